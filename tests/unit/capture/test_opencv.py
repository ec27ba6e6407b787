"""V4L2 buffers and OpenCV's VideoCapture, without a camera."""

import cv2
import numpy as np
import pytest

from edge.capture.opencv import V4l2Camera, VideoFile, luminance
from edge.config import CameraSection
from edge.ports import CameraError, Exposure

HEIGHT, WIDTH = 12, 16
PICTURE = np.random.default_rng(3).integers(16, 235, (HEIGHT, WIDTH), np.uint8)


def fourcc(name):
    return cv2.VideoWriter.fourcc(*name)


def yuyv(grey, padding=0):
    rows = np.full((grey.shape[0], grey.shape[1] * 2 + padding), 0x80, np.uint8)
    rows[:, : grey.shape[1] * 2 : 2] = grey
    return rows


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        pytest.param("YUYV", yuyv(PICTURE).reshape(1, -1), id="YUYV, flat as OpenCV hands it over"),
        pytest.param("YUYV", yuyv(PICTURE).reshape(HEIGHT, WIDTH, 2), id="YUYV, shaped"),
        pytest.param("YUYV", yuyv(PICTURE, padding=32).reshape(1, -1), id="YUYV with padded rows"),
        pytest.param("GREY", PICTURE.reshape(1, -1), id="grey"),
        pytest.param(
            "NV12", np.vstack([PICTURE, PICTURE[: HEIGHT // 2]]).reshape(1, -1), id="NV12"
        ),
        pytest.param(
            "YU12",
            np.vstack([PICTURE, PICTURE[: HEIGHT // 2]]).reshape(1, -1),
            id="planar YUV 4:2:0",
        ),
        pytest.param("\0\0\0\0", np.dstack([PICTURE] * 3), id="BGR, converted by OpenCV"),
    ],
)
def test_the_luminance_is_cut_out_of_the_raw_buffer(name, raw):
    assert np.array_equal(luminance(raw, fourcc(name), (HEIGHT, WIDTH)), PICTURE)


def test_a_jpeg_is_decoded_to_grey():
    data = cv2.imencode(".jpg", np.full((HEIGHT, WIDTH), 90, np.uint8))[1].reshape(1, -1)
    assert np.abs(luminance(data, fourcc("MJPG"), (HEIGHT, WIDTH)).astype(int) - 90).max() <= 2


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        pytest.param("MJPG", np.zeros((1, 50), np.uint8), id="no JPEG"),
        pytest.param("YUYV", yuyv(PICTURE).reshape(1, -1)[:, :100], id="half a frame"),
        pytest.param("GREY", np.zeros((1, 0), np.uint8), id="nothing"),
    ],
)
def test_a_damaged_frame_has_no_luminance(name, raw):
    assert luminance(raw, fourcc(name), (HEIGHT, WIDTH)) is None


class Device:
    """A V4L2 device as cv2.VideoCapture shows it, with the formats of ``offers`` at those rates."""

    def __init__(self, offers, frames, *, lacks=()):
        self.offers, self.frames, self.properties, self.released = offers, list(frames), {}, False
        self.lacks = lacks  # (property, value) that the driver refuses
        self.properties[cv2.CAP_PROP_FOURCC] = fourcc(next(iter(offers)))
        unknown = {name for name in vars(Device) if not name.startswith("_")} - set(
            dir(cv2.VideoCapture)
        )
        assert not unknown, "a method that cv2.VideoCapture does not have"

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return True

    def set(self, prop, value):
        if prop == cv2.CAP_PROP_FOURCC and value not in {fourcc(name) for name in self.offers}:
            return False
        if (prop, value) in self.lacks:
            return False
        self.properties[prop] = value
        return True

    def get(self, prop):
        if prop == cv2.CAP_PROP_FPS:
            best = {fourcc(name): rate for name, rate in self.offers.items()}[
                self.properties[cv2.CAP_PROP_FOURCC]
            ]
            return min(best, self.properties[prop])
        return self.properties.get(prop, -1)  # as OpenCV does for what a device does not have

    def read(self):
        frame = self.frames.pop(0) if self.frames else None
        return frame is not None, frame

    def release(self):
        self.released = True


SECTION = CameraSection(
    source="v4l2", width_px=160, height_px=120, frame_rate_hz=30, exposure_us=5000
)
WIDE = np.arange(160 * 120, dtype=np.uint32).astype(np.uint8).reshape(120, 160)


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Open a camera over a device that takes the place of cv2.VideoCapture."""
    (tmp_path / "video0").touch()

    def open_with(device, **changes):
        monkeypatch.setattr(cv2, "VideoCapture", lambda *_: device)
        return V4l2Camera(SECTION.model_copy(update=changes), devices=tmp_path)

    return open_with


@pytest.mark.parametrize(
    ("offers", "chosen"),
    [
        pytest.param({"YUYV": 30, "MJPG": 30}, "YUYV", id="raw luminance where it is fast enough"),
        pytest.param(
            {"YUYV": 10, "MJPG": 30}, "MJPG", id="JPEG where USB is too slow for raw frames"
        ),
        pytest.param({"GREY": 60, "MJPG": 30}, "GREY", id="a grey sensor"),
        pytest.param({"MJPG": 15}, "MJPG", id="what there is"),
    ],
)
def test_the_cheapest_format_that_keeps_the_frame_rate_is_chosen(opened, offers, chosen):
    device = Device(offers, [])
    opened(device)
    assert device.properties[cv2.CAP_PROP_FOURCC] == fourcc(chosen)
    assert device.properties[cv2.CAP_PROP_CONVERT_RGB] == 0
    assert device.properties[cv2.CAP_PROP_EXPOSURE] == 50  # units of 100 us


def test_an_exposure_is_set_in_the_drivers_units_and_given_back_to_the_automatic(opened):
    frame = yuyv(WIDE).reshape(1, -1)
    device = Device({"YUYV": 30}, [frame] * 3)
    device.properties[cv2.CAP_PROP_EXPOSURE] = 80.0
    camera = opened(device, exposure_us=None)
    assert camera.read().exposure == Exposure(8000, 1.0)
    camera.expose(Exposure(2000, 1.5))
    assert device.properties[cv2.CAP_PROP_AUTO_EXPOSURE] == 1
    assert camera.read().exposure == Exposure(3000, 1.0)
    camera.expose(None)
    assert device.properties[cv2.CAP_PROP_AUTO_EXPOSURE] == 3


@pytest.mark.parametrize(
    ("found", "given_back"),
    [
        pytest.param(3, 3, id="aperture priority"),
        pytest.param(0, 0, id="a camera that knows only fully automatic"),
        pytest.param(1, 3, id="manual, since a process crashed"),
    ],
)
def test_a_camera_goes_back_to_the_automatic_mode_that_it_has(opened, found, given_back):
    device = Device({"YUYV": 30}, [])
    device.properties[cv2.CAP_PROP_AUTO_EXPOSURE] = found
    camera = opened(device, exposure_us=None)
    assert device.properties[cv2.CAP_PROP_AUTO_EXPOSURE] == given_back, "at once"
    camera.expose(Exposure(2000, 1.0))
    camera.expose(None)
    assert device.properties[cv2.CAP_PROP_AUTO_EXPOSURE] == given_back


def test_a_manual_camera_without_aperture_priority_goes_back_to_automatic_after_a_crash(opened):
    device = Device({"YUYV": 30}, [], lacks=[(cv2.CAP_PROP_AUTO_EXPOSURE, 3)])
    device.properties[cv2.CAP_PROP_AUTO_EXPOSURE] = 1
    opened(device, exposure_us=None)
    assert device.properties[cv2.CAP_PROP_AUTO_EXPOSURE] == 0


def test_a_profile_without_bracket_leaves_the_cameras_exposure_alone(opened):
    device = Device({"YUYV": 30}, [])
    opened(device, exposure_us=None, bracket=False)
    assert cv2.CAP_PROP_AUTO_EXPOSURE not in device.properties


def test_a_camera_goes_back_to_the_fixed_exposure_of_its_profile(opened):
    device = Device({"YUYV": 30}, [])
    camera = opened(device)
    camera.expose(Exposure(2000, 1.0))
    camera.expose(None)
    assert (
        device.properties[cv2.CAP_PROP_AUTO_EXPOSURE],
        device.properties[cv2.CAP_PROP_EXPOSURE],
    ) == (1, 50)


def test_the_exposure_is_unknown_when_the_camera_does_not_report_it(opened):
    device = Device({"YUYV": 30}, [yuyv(WIDE).reshape(1, -1)])
    device.properties[cv2.CAP_PROP_EXPOSURE] = -1.0
    assert opened(device, exposure_us=None).read().exposure is None


def test_opencv_converts_a_format_that_is_not_read_raw(opened):
    device = Device({"H264": 30}, [np.dstack([WIDE] * 3)])
    camera = opened(device)
    assert cv2.CAP_PROP_CONVERT_RGB not in device.properties
    assert np.array_equal(camera.read().grey, WIDE)


def test_a_damaged_frame_is_skipped_and_shows_as_a_gap(opened):
    whole = yuyv(WIDE).reshape(1, -1)
    camera = opened(Device({"YUYV": 30}, [whole, whole[:, :100], whole]))
    assert [camera.read().number for _ in range(2)] == [0, 2]


def test_frames_that_are_always_damaged_are_a_lost_camera(opened):
    camera = opened(Device({"YUYV": 30}, [np.zeros((1, 100), np.uint8)] * 50))
    with pytest.raises(CameraError, match="damaged"):
        camera.read()


def test_an_unplugged_camera_is_lost(opened):
    device = Device({"YUYV": 30}, [])
    camera = opened(device)
    with pytest.raises(CameraError, match="gives no frames"):
        camera.read()
    camera.close()
    assert device.released


def test_the_error_of_a_missing_camera_says_what_to_check(tmp_path):
    with pytest.raises(CameraError, match="plugged in"):
        V4l2Camera(CameraSection(source="v4l2", index=31), devices=tmp_path)


def test_the_error_of_a_device_that_is_not_a_camera_says_what_to_check(opened, monkeypatch):
    device = Device({"YUYV": 30}, [])
    monkeypatch.setattr(device, "isOpened", lambda: False)
    with pytest.raises(CameraError, match="group video"):
        opened(device)


@pytest.mark.parametrize("content", [None, b"", b"no video"])
def test_a_file_that_is_not_a_video_is_refused(tmp_path, content):
    path = tmp_path / "video.avi"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CameraError, match=r"video"):
        VideoFile(path)
