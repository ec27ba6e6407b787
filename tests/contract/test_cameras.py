"""One contract for every camera: simulated, files, folders, and picamera2 by its own source."""

import contextlib

import cv2
import numpy as np
import pytest
from hardware_sim.vision.camera import CameraScene, SimCamera
from hardware_sim.vision.render import render
from hardware_sim.vision.view_condition import CLEAN

from edge.capture.image_folder import PictureFolder
from edge.capture.opencv import VideoFile
from edge.capture.picamera import PiCamera
from edge.config import CameraSection
from edge.ports import CameraEnded, CameraError
from tests.support import picamera2_double

WIDTH, HEIGHT = 320, 240
FRAMES = 5


@pytest.fixture(scope="module")
def picture():
    return render(
        "ES1:HELLO", CLEAN, rng=np.random.default_rng(1), width_px=WIDTH, height_px=HEIGHT
    )


@contextlib.contextmanager
def simulated(picture, folder):
    scene = CameraScene(width_px=WIDTH, height_px=HEIGHT)
    scene.show_frame(picture)
    yield lambda: SimCamera(scene, frame_rate_hz=200), 0


@contextlib.contextmanager
def folder_of_pictures(picture, folder):
    for number in range(FRAMES):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    yield lambda: PictureFolder(folder), 0


@contextlib.contextmanager
def video(picture, folder):
    path = folder / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (WIDTH, HEIGHT))
    for _ in range(FRAMES):
        writer.write(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    writer.release()
    yield lambda: VideoFile(path), 12  # JPEG moves the grey values a little


@contextlib.contextmanager
def picamera2(picture, folder):
    if picamera2_double.package() is None:
        pytest.skip("picamera2's source is not installed (make setup)")
    with picamera2_double.installed(picamera2_double.Sensor(picture)):
        yield lambda: PiCamera(CameraSection(width_px=WIDTH, height_px=HEIGHT, stall_s=0.2)), 0


@pytest.fixture(
    params=[simulated, folder_of_pictures, video, picamera2], ids=lambda kind: kind.__name__
)
def source(request, picture, tmp_path):
    with request.param(picture, tmp_path) as (open_camera, tolerance):
        yield open_camera, tolerance


@pytest.fixture
def camera(source):
    camera = source[0]()
    yield camera
    camera.close()


def test_a_frame_is_grey_contiguous_and_shows_the_scene(source, camera, picture):
    grey = camera.read().grey
    assert (grey.dtype, grey.shape) == (np.uint8, (HEIGHT, WIDTH))
    assert grey.flags.c_contiguous
    assert np.abs(grey.astype(int) - picture).mean() <= source[1]


def test_numbers_and_times_of_frames_increase(camera):
    frames = [camera.read() for _ in range(FRAMES)]
    numbers = [frame.number for frame in frames]
    times = [frame.captured_ns for frame in frames]
    assert numbers == sorted(set(numbers))
    assert times == sorted(times)


def test_a_frame_does_not_change_when_later_ones_are_read(camera):
    first = camera.read()
    before = first.grey.copy()
    for _ in range(FRAMES - 1):
        camera.read()
    assert np.array_equal(first.grey, before)


def test_closing_twice_is_harmless_and_reading_after_it_is_an_error(camera):
    camera.read()
    camera.close()
    camera.close()
    with pytest.raises(CameraError):
        camera.read()


def test_a_camera_that_was_closed_can_be_opened_again_and_shows_the_scene(source, picture):
    open_camera, tolerance = source
    for _ in range(2):
        camera = open_camera()
        assert np.abs(camera.read().grey.astype(int) - picture).mean() <= tolerance
        camera.close()


@pytest.mark.parametrize("source", [folder_of_pictures, video], indirect=True)
def test_the_end_of_a_finite_source_is_reported(source, camera):
    for _ in range(FRAMES):
        camera.read()
    with pytest.raises(CameraEnded, match="5"):
        camera.read()
