"""The calls to picamera2, checked with the real package's source."""

import ast
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from edge.capture.picamera import PiCamera, controls
from edge.config import CameraSection
from edge.ports import CameraError, Exposure
from tests.support import picamera2_double as double

pytestmark = pytest.mark.skipif(
    double.package() is None, reason="picamera2's source is not installed (make setup)"
)

WIDTH, HEIGHT = 1000, 600  # 1000 is no multiple of 64, so every row is padded


@pytest.fixture
def sensor():
    scene = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    with double.installed(double.Sensor(scene)) as sensor:
        yield sensor


def section(**changes):
    return CameraSection(**{"width_px": WIDTH, "height_px": HEIGHT, "stall_s": 0.1, **changes})


def configured(sensor):
    return dict(sensor.calls)["create_video_configuration"]


def test_the_frame_is_the_y_plane_without_its_padding(sensor):
    camera = PiCamera(section())
    frame = camera.read()
    assert frame.grey.shape == (HEIGHT, WIDTH)
    assert frame.grey.dtype == np.uint8
    assert np.array_equal(frame.grey, sensor.scene)
    camera.close()


def test_the_frame_is_a_copy_and_the_buffer_is_released(sensor):
    camera = PiCamera(section())
    first = camera.read()
    for _ in range(5):
        camera.read()
    assert np.array_equal(
        first.grey, sensor.scene
    )  # a returned buffer is overwritten by the double
    assert sensor.held == 0
    camera.close()


def test_frame_numbers_increase(sensor):
    camera = PiCamera(section())
    numbers = [camera.read().number for _ in range(10)]
    assert numbers == sorted(set(numbers))
    camera.close()


def test_the_stream_is_yuv420_with_few_buffers_and_the_profiles_frame_rate(sensor):
    PiCamera(section(frame_rate_hz=25)).close()
    requested = configured(sensor)
    assert requested["main"] == {"format": "YUV420", "size": (WIDTH, HEIGHT)}
    assert requested["buffer_count"] == 4
    assert requested["controls"]["FrameDurationLimits"] == (40_000, 40_000)
    assert ("__init__", {"camera_num": 0}) in sensor.calls


def test_the_second_camera_of_a_pi_5_is_opened_by_its_number(sensor):
    PiCamera(section(index=1)).close()
    assert ("__init__", {"camera_num": 1}) in sensor.calls


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, {"AeEnable": True}, id="automatic exposure by default"),
        pytest.param(
            {"exposure_us": 4000},
            {"ExposureTime": 4000},
            id="a fixed exposure keeps the automatic gain",
        ),
        pytest.param(
            {"analogue_gain": 2.0},
            {"AnalogueGain": 2.0},
            id="a fixed gain keeps the automatic exposure",
        ),
        pytest.param(
            {"autofocus": "continuous"},
            {"AeEnable": True, "AfMode": "AfModeContinuous"},
            id="autofocus",
        ),
        pytest.param(
            {"autofocus": "manual", "lens_position_dioptre": 5.0},
            {"AeEnable": True, "AfMode": "AfModeManual", "LensPosition": 5.0},
            id="a fixed focus at 20 cm",
        ),
    ],
)
def test_the_profile_becomes_controls(sensor, changes, expected):
    PiCamera(section(**changes)).close()
    assert configured(sensor)["controls"] == {"FrameDurationLimits": (33_333, 33_333), **expected}


def test_a_control_that_the_camera_lacks_is_left_out_and_listed(sensor):
    sensor.controls = ("FrameDurationLimits", "AeEnable")
    camera = PiCamera(section(autofocus="manual", lens_position_dioptre=5.0))
    assert camera.unsupported == ("AfMode", "LensPosition")
    assert camera.notes == ("this camera has no AfMode, LensPosition: see [camera]",)
    assert np.array_equal(camera.read().grey, sensor.scene)
    camera.close()


def test_a_frame_has_its_exposure_and_the_next_frames_have_the_requested_one(sensor):
    camera = PiCamera(section())
    assert camera.read().exposure == Exposure(10_000, 1.5)
    camera.expose(Exposure(2_000.4, 3.0))
    assert dict(sensor.calls)["set_controls"] == {
        "controls": {"ExposureTime": 2_000, "AnalogueGain": 3.0}
    }
    assert camera.read().exposure == Exposure(2_000, 3.0)
    camera.close()


@pytest.mark.parametrize(
    ("changes", "given_back"),
    [
        pytest.param({}, {"ExposureTime": 0, "AnalogueGain": 0.0}, id="to the automatic"),
        pytest.param(
            {"exposure_us": 4000},
            {"ExposureTime": 4000, "AnalogueGain": 0.0},
            id="to the profile's time",
        ),
        pytest.param(
            {"analogue_gain": 2.0},
            {"ExposureTime": 0, "AnalogueGain": 2.0},
            id="to the profile's gain",
        ),
    ],
)
def test_the_exposure_of_the_profile_comes_back(sensor, changes, given_back):
    camera = PiCamera(section(**changes))
    camera.expose(Exposure(2_000, 3.0))
    camera.expose(None)
    assert sensor.calls[-1] == ("set_controls", {"controls": given_back})
    camera.close()


@pytest.mark.parametrize(("value", "mode"), [(0, 0), (2_000, 1)])
def test_zero_gives_the_exposure_back_to_the_automatic_in_picamera2_itself(value, mode):
    """It runs the real ``CompletedRequest.release``, with a request that records the controls."""
    controls, names = {}, ("ExposureTime", "ExposureTimeMode", "AnalogueGain", "AnalogueGainMode")
    libcamera = SimpleNamespace(controls=SimpleNamespace(**{name: name for name in names}))
    release = double.real_function(
        "request.py", "CompletedRequest", "release", libcamera=libcamera, Controls=lambda _: None
    )
    requested = SimpleNamespace(
        get_libcamera_controls=lambda: {"ExposureTime": value, "AnalogueGain": value}
    )
    picam2 = SimpleNamespace(
        camera=SimpleNamespace(queue_request=lambda _: None),
        stop_count=0,
        started=True,
        controls=requested,
        allocator=SimpleNamespace(release=lambda _: None),
    )
    request = SimpleNamespace(reuse=lambda: None, set_control=controls.__setitem__, buffers={})
    release(
        SimpleNamespace(
            lock=nullcontext(), ref_count=1, picam2=picam2, stop_count=0, syncs=[], request=request
        )
    )
    values = {"ExposureTime": value, "AnalogueGain": value} if value else {}
    assert controls == {"ExposureTimeMode": mode, "AnalogueGainMode": mode, **values}


@pytest.mark.parametrize("lacking", ["ExposureTime", "AnalogueGain"])
def test_a_camera_without_manual_exposure_is_never_set(sensor, lacking):
    sensor.controls = tuple(name for name in sensor.controls if name != lacking)
    camera = PiCamera(section())
    assert camera.read().exposure is None
    camera.expose(Exposure(2_000, 3.0))
    assert "set_controls" not in dict(sensor.calls)
    camera.close()


def test_a_profile_without_bracket_reads_no_metadata(sensor):
    camera = PiCamera(section(bracket=False))
    assert camera.read().exposure is None
    camera.close()


def test_a_stall_is_an_error_in_time_and_the_camera_can_still_be_closed(sensor):
    camera = PiCamera(section())
    camera.read()
    sensor.stalled.set()
    with pytest.raises(CameraError, match=r"no frame for 0\.2 s"):
        camera.read()
    camera.close()
    camera.close()
    assert (sensor.open_cameras, sensor.held) == (0, 0)


def test_the_error_of_a_missing_camera_says_what_to_check(sensor):
    sensor.present = False
    with pytest.raises(CameraError, match="check its cable"):
        PiCamera(section())


def test_a_camera_without_yuv420_is_released_and_the_error_says_what_to_do(sensor):
    sensor.format_given = "MJPEG"
    with pytest.raises(CameraError, match="v4l2"):
        PiCamera(section())
    assert sensor.open_cameras == 0


def test_the_error_without_picamera2_says_how_to_install_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "picamera2", None)
    monkeypatch.setitem(sys.modules, "libcamera", None)
    with pytest.raises(CameraError, match="python3-picamera2"):
        PiCamera(section())


def test_the_controls_are_ones_that_picamera2_itself_uses():
    """Two more names are libcamera's, of control_ids_core.yaml."""
    import types

    mentioned = set()
    for path in double.package().rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            mentioned |= {str(getattr(node, "attr", "")), str(getattr(node, "value", ""))}
    enums = types.SimpleNamespace(
        controls=types.SimpleNamespace(AfModeEnum=types.SimpleNamespace(Manual=0))
    )
    used = controls(
        section(exposure_us=100, analogue_gain=1, autofocus="manual", lens_position_dioptre=1),
        enums,
    )
    assert set(used) - mentioned <= {"LensPosition"}
    assert "AfModeEnum" in mentioned


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda camera: camera.capture_frame(), id="a method that does not exist"),
        pytest.param(
            lambda camera: camera.capture_request(timeout=1), id="an argument that does not exist"
        ),
        pytest.param(
            lambda camera: camera.stream_configuration("main", "lores"), id="one argument too many"
        ),
    ],
)
def test_the_double_refuses_what_the_real_package_would_refuse(sensor, call):
    import picamera2

    with pytest.raises((AssertionError, TypeError)):
        call(picamera2.Picamera2(camera_num=0))
