"""The capture worker with a camera that fails in every way a camera can fail.

Its threads, and the time that they wait, are real.
"""

import threading
import time

import cv2
import numpy as np
import pytest
from hardware_sim.vision.camera import CameraScene, SimCamera

from edge.capture.camera_worker import CaptureTimings, CaptureWorker
from edge.capture.capture_status import CaptureState
from edge.capture.image_folder import PictureFolder
from edge.ports import CameraEnded, CameraError, Exposure, Frame

QUICK = CaptureTimings(
    stall_s=0.15,
    first_frame_s=0.3,
    replace_after_s=0.5,
    open_s=0.6,
    first_pause_s=0.02,
    longest_pause_s=0.1,
)
PICTURE = np.zeros((8, 8), np.uint8)


@pytest.fixture
def scene():
    return CameraScene(width_px=64, height_px=48)


@pytest.fixture
def worker(scene):
    with CaptureWorker(lambda: SimCamera(scene, frame_rate_hz=100), timings=QUICK) as worker:
        yield worker
        scene.replug()


def becomes(worker, state, within_s=3.0):
    """Wait until the worker is in ``state``; return how long that took."""
    return wait_until(worker, lambda status: status.state is state, within_s)


def wait_until(worker, holds, within_s=3.0):
    before = time.monotonic()
    while not holds(worker.status()):
        assert time.monotonic() - before < within_s, f"still {worker.status()}"
        time.sleep(0.005)
    return time.monotonic() - before


def test_frames_arrive_and_the_status_reports_them(worker):
    assert worker.next_frame(2).grey.shape == (48, 64)
    status = worker.status()
    assert (status.state, status.detail, status.openings) == (CaptureState.STREAMING, "", 1)


def test_a_slow_reader_gets_the_newest_frame_and_the_drops_are_counted(worker):
    first = worker.next_frame(2)
    time.sleep(0.2)
    later = worker.next_frame(2)
    assert later.number > first.number + 5
    assert worker.status().dropped >= 5


def test_an_unplugged_camera_is_noticed_named_and_opened_again(worker, scene):
    before = worker.next_frame(2)
    scene.unplug()
    assert becomes(worker, CaptureState.LOST) < 1
    wait_until(worker, lambda status: status.detail == "there is no camera: check its cable")
    assert worker.status().state is CaptureState.LOST
    scene.replug()
    becomes(worker, CaptureState.STREAMING)
    assert worker.status().openings == 2
    assert worker.next_frame(2).number > before.number


def test_the_default_timings_notice_a_stall_within_a_second(scene):
    with CaptureWorker(lambda: SimCamera(scene, frame_rate_hz=100)) as worker:
        worker.next_frame(2)
        scene.stall()
        assert becomes(worker, CaptureState.STALLED) < 1
        scene.replug()
        becomes(worker, CaptureState.STREAMING)


def test_a_short_stall_is_reported_and_the_same_camera_goes_on(worker, scene):
    worker.next_frame(2)
    scene.stall()
    becomes(worker, CaptureState.STALLED)
    assert "no frame" in worker.status().detail
    scene.replug()
    becomes(worker, CaptureState.STREAMING)
    status = worker.status()
    assert (status.openings, status.stalls, status.hanging) == (1, 1, 0)


def test_a_read_that_never_returns_is_replaced_by_a_fresh_reader():
    hang = threading.Event()
    cameras = []

    class Hanging:
        def __init__(self):
            self.closed, self.number = False, -1
            self.hangs = not cameras
            cameras.append(self)

        def read(self):
            self.number += 1
            if self.hangs and self.number == 3:
                hang.wait()
                raise CameraError("gone")
            time.sleep(0.01)
            return Frame(grey=PICTURE, number=self.number, captured_ns=time.monotonic_ns())

        def close(self):
            self.closed = True

    with CaptureWorker(Hanging, timings=QUICK) as worker:
        assert becomes(worker, CaptureState.STALLED) < 1
        becomes(worker, CaptureState.STREAMING)
        assert (len(cameras), worker.status().hanging) == (2, 1)
        assert not cameras[0].closed, "only its own thread may close it: drivers crash otherwise"
        hang.set()
        while worker.status().hanging:
            time.sleep(0.01)
        assert cameras[0].closed
        assert worker.status().state is CaptureState.STREAMING
    assert cameras[1].closed


class Exposable:
    """Records each exposure and the thread that sets it; lost when ``breaks`` is set."""

    def __init__(self, settings, breaks, refuses=False):
        self.settings, self.breaks, self.refuses = settings, breaks, refuses
        self.number, self.exposure = -1, None

    def expose(self, wanted):
        self.settings.append((wanted, threading.current_thread().name))
        if self.refuses:
            raise RuntimeError("no such control")
        self.exposure = wanted

    def read(self):
        if self.breaks.is_set():
            self.breaks.clear()
            raise CameraError("gone")
        self.number += 1
        time.sleep(0.005)
        return Frame(
            grey=PICTURE,
            number=self.number,
            captured_ns=time.monotonic_ns(),
            exposure=self.exposure,
        )

    def close(self):
        pass


def exposed(worker, wanted):
    until = time.monotonic() + 3
    while time.monotonic() < until:
        frame = worker.next_frame(1)
        if frame is not None and frame.exposure == wanted:
            return True
    return False


def test_the_reader_sets_an_exposure_once_and_a_camera_opened_again_has_its_own():
    settings, breaks, bright = [], threading.Event(), Exposure(8000, 2)
    with CaptureWorker(lambda: Exposable(settings, breaks), timings=QUICK) as worker:
        assert exposed(worker, None)
        worker.expose(bright)
        assert exposed(worker, bright)
        assert settings == [(bright, "capture-reader")]
        breaks.set()
        assert exposed(worker, None)
        assert settings == [(bright, "capture-reader")]
        worker.expose(bright)
        assert exposed(worker, bright)
        worker.expose(None)
        assert exposed(worker, None)


def test_a_camera_that_refuses_an_exposure_goes_on_as_it_is():
    settings = []
    with CaptureWorker(
        lambda: Exposable(settings, threading.Event(), refuses=True), timings=QUICK
    ) as worker:
        worker.next_frame(1)
        worker.expose(Exposure(8000, 2))
        for _ in range(20):
            assert worker.next_frame(1) is not None
        assert (len(settings), worker.status().losses) == (1, 0)


def test_a_device_that_allows_one_owner_is_opened_once_the_hanging_reader_has_closed_it():
    owner, hang, refusals = threading.Lock(), threading.Event(), []

    class Exclusive:
        def __init__(self):
            if not owner.acquire(blocking=False):
                refusals.append("busy")
                raise CameraError("busy: used by another process")
            self.number = -1

        def read(self):
            self.number += 1
            if self.number == 2 and not hang.is_set():
                hang.wait()
                raise CameraError("gone")
            time.sleep(0.01)
            return Frame(grey=PICTURE, number=self.number, captured_ns=0)

        def close(self):
            owner.release()

    with CaptureWorker(Exclusive, timings=QUICK) as worker:
        becomes(worker, CaptureState.STALLED)
        becomes(worker, CaptureState.LOST)
        while "busy" not in worker.status().detail:
            time.sleep(0.01)
        assert refusals
        hang.set()
        becomes(worker, CaptureState.STREAMING)


def test_a_device_that_hangs_for_ever_costs_a_bounded_number_of_threads():
    hang = threading.Event()

    class Dead:
        def read(self):
            hang.wait()
            raise CameraError("gone")

        def close(self):
            pass

    timings = CaptureTimings(
        stall_s=0.02, first_frame_s=0.02, replace_after_s=0.03, open_s=0.03, first_pause_s=0.01
    )
    with CaptureWorker(Dead, timings=timings) as worker:
        time.sleep(0.6)
        assert worker.status().hanging == 3
        assert worker.status().state in (CaptureState.LOST, CaptureState.STALLED)
        hang.set()


def test_a_camera_missing_at_the_start_is_waited_for(scene):
    scene.unplug()
    with CaptureWorker(lambda: SimCamera(scene, frame_rate_hz=100), timings=QUICK) as worker:
        becomes(worker, CaptureState.LOST)
        assert "check its cable" in worker.status().detail
        scene.replug()
        assert worker.next_frame(3) is not None


def test_any_exception_of_a_driver_is_a_lost_camera_and_not_the_end():
    tries = []

    def broken():
        tries.append(1)
        raise ValueError("a bug in a driver")

    with CaptureWorker(broken, timings=QUICK) as worker:
        becomes(worker, CaptureState.LOST)
        assert "ValueError: a bug in a driver" in worker.status().detail
        while len(tries) < 3:
            time.sleep(0.01)


def test_there_is_never_more_than_one_owner_while_a_camera_comes_and_goes(worker, scene):
    for _ in range(5):
        worker.next_frame(1)
        scene.unplug()
        becomes(worker, CaptureState.LOST)
        scene.replug()
        becomes(worker, CaptureState.STREAMING)
    assert scene.most_owners == 1


def test_closing_releases_the_camera_and_stops_the_threads(scene):
    worker = CaptureWorker(lambda: SimCamera(scene, frame_rate_hz=100), timings=QUICK)
    worker.start()
    worker.next_frame(2)
    worker.close()
    worker.close()
    assert scene.owners == 0
    assert worker.status().state is CaptureState.ENDED
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("capture")]


def test_closing_does_not_wait_for_ever_for_a_hanging_camera(scene):
    worker = CaptureWorker(lambda: SimCamera(scene, frame_rate_hz=100), timings=QUICK)
    worker.start()
    worker.next_frame(2)
    scene.stall()
    before = time.monotonic()
    worker.close()
    assert time.monotonic() - before < 2
    scene.replug()


def test_a_slow_reader_gets_every_picture_of_a_folder_and_then_its_end(tmp_path):
    for number in range(20):
        cv2.imwrite(str(tmp_path / f"{number}.png"), PICTURE)
    numbers = []
    with CaptureWorker(lambda: PictureFolder(tmp_path), timings=QUICK, every_frame=True) as worker:
        while (frame := worker.next_frame(5)) is not None:
            numbers.append(frame.number)
            time.sleep(0.01)
        assert worker.status().state is CaptureState.ENDED
        assert "20 pictures" in worker.status().detail
    assert numbers == list(range(20))


def test_a_picture_that_takes_long_to_read_does_not_restart_the_folder():
    openings = []

    class Slow:
        def __init__(self):
            openings.append(1)
            self.number = -1

        def read(self):
            self.number += 1
            if self.number == 1:
                time.sleep(0.8)
            if self.number == 3:
                raise CameraEnded("3 pictures")
            return Frame(grey=PICTURE, number=self.number, captured_ns=0)

        def close(self):
            pass

    with CaptureWorker(Slow, timings=QUICK, every_frame=True) as worker:
        assert [worker.next_frame(5).number for _ in range(3)] == [0, 1, 2]
        assert worker.next_frame(5) is None
    assert len(openings) == 1


def test_an_ended_source_is_not_opened_again():
    openings = []

    class Empty:
        def __init__(self):
            openings.append(1)

        def read(self):
            raise CameraEnded("nothing")

        def close(self):
            pass

    with CaptureWorker(Empty, timings=QUICK) as worker:
        assert worker.next_frame(2) is None
        time.sleep(0.1)
    assert len(openings) == 1


def test_pictures_that_cannot_be_read_are_in_the_status(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), PICTURE)
    (tmp_path / "b.png").write_bytes(b"not a picture")
    with CaptureWorker(lambda: PictureFolder(tmp_path), timings=QUICK, every_frame=True) as worker:
        assert worker.next_frame(2) is not None
        becomes(worker, CaptureState.ENDED)
        (note,) = worker.status().notes
        assert note.startswith("1 of 2 pictures cannot be read: ")
        assert "b.png" in note


def test_what_a_camera_lacks_is_in_the_status_though_frames_come(scene):
    class NoFocus(SimCamera):
        notes = ("this camera has no AfMode: see [camera]",)

    with CaptureWorker(lambda: NoFocus(scene, frame_rate_hz=100), timings=QUICK) as worker:
        assert worker.next_frame(2) is not None
        becomes(worker, CaptureState.STREAMING)
        assert worker.next_frame(2) is not None
        assert worker.status().notes == NoFocus.notes
