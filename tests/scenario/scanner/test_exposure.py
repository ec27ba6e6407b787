"""The whole scanner in bad light: decoder process, daemon, capture thread and camera."""

import time

import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory
from hardware_sim.run.in_process_scanner import open_scanner, provision_scanner
from hardware_sim.vision.lighting_scenes import glare_on_a_label, phone_in_the_dark
from hardware_sim.vision.view_condition import CUT_OFF

from edge.decode.isolation.decoder import IsolatedDecoder
from edge.ports import Signal
from edge.system.health import read_health

FRAME = {"width_px": 1280, "height_px": 720}


@pytest.fixture
def sample(tmp_path):
    return provision_scanner(tmp_path, now_s=int(time.time()))


def changed(sample, before, after):
    text = sample.profile.read_text(encoding="utf-8")
    assert before in text
    sample.profile.write_text(text.replace(before, after), encoding="utf-8")


@pytest.mark.parametrize(
    ("scene", "px_per_module"),
    [
        pytest.param(phone_in_the_dark, 2.6, id="a phone in the dark"),
        pytest.param(glare_on_a_label, 5.0, id="glare on a label"),
    ],
)
def test_a_code_in_the_wrong_light_is_scanned(sample, scene, px_per_module):
    light = scene(
        sample.codes["voucher"], rng=np.random.default_rng(2), px_per_module=px_per_module, **FRAME
    )
    with open_scanner(sample) as kiosk:
        kiosk.scene.show_light(light)
        kiosk.wait(lambda: kiosk.scans)
        assert kiosk.scans[0]["reason"] == "accepted"


def test_with_the_bracket_turned_off_the_camera_is_left_alone(sample):
    changed(sample, "[camera]\n", "[camera]\nbracket = false\n")
    light = phone_in_the_dark(
        sample.codes["voucher"], rng=np.random.default_rng(2), px_per_module=2.6, **FRAME
    )
    with open_scanner(sample) as kiosk:
        kiosk.scene.show_light(light)
        time.sleep(2.5)
        assert kiosk.scans == []


@pytest.mark.parametrize("section", ["[presence]\npin = 26\n", "[trigger]\npin = 26\n"])
def test_a_presence_sensor_or_a_trigger_wakes_the_decoder(sample, section, monkeypatch):
    woken = []
    monkeypatch.setattr(IsolatedDecoder, "wake", lambda self: woken.append(time.monotonic()))
    factory = MockFactory()
    monkeypatch.setattr("hardware_sim.run.in_process_scanner.wired_factory", lambda *_: factory)
    changed(sample, "[camera]\n", section + "[camera]\n")
    with open_scanner(sample) as kiosk:
        time.sleep(0.3)
        assert woken == []
        (factory.pin(26).drive_high if "presence" in section else factory.pin(26).drive_low)()
        kiosk.wait(lambda: woken)


def test_why_a_code_in_view_is_not_read_is_on_the_lamps_and_in_the_health_file_until_it_is_gone(
    sample,
):
    def hint():
        return read_health(sample.data / "health.json").get("hint")

    with open_scanner(sample) as kiosk:
        shown = []
        show = kiosk.daemon.display.show_idle
        kiosk.daemon.display.show_idle = lambda signal, now_s: (
            shown.append(signal),
            show(signal, now_s),
        )
        kiosk.scene.show(sample.codes["voucher"], CUT_OFF)
        kiosk.wait(lambda: hint() == "cut_off")
        assert shown[-1] is Signal.AIM
        kiosk.scene.clear()
        kiosk.wait(lambda: hint() is None and shown[-1] is Signal.IDLE)
        assert kiosk.scans == []
