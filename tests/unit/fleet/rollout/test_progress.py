"""Reports of a rollout: text and a progress bar for people, JSON for programs."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from edge.config import ConfigError
from sync.fleet.rollout.preview import Change, Preview
from sync.fleet.rollout.progress import RolloutReporter
from sync.fleet.rollout.waves import DeviceOutcome, Wave

WAVE = Wave("canary", ("kiosk-1",), 0)
SAME = Preview((Change("decode.budget_ms", 60.0, 47.0),))
REFUSES = Preview((), (ConfigError("camera.width_px", "too wide"),))


def report(reporter: RolloutReporter) -> None:
    reporter.difference(
        "fleet rev 7", {"kiosk-1": SAME, "kiosk-2": SAME, "kiosk-3": REFUSES}, ["kiosk-4"]
    )
    reporter.wave(WAVE)
    reporter.device("kiosk-1", DeviceOutcome.ON_PROBATION, "probation")
    reporter.device("kiosk-1", DeviceOutcome.COMMITTED, "")
    reporter.stopped(WAVE, ["kiosk-3"])
    reporter.done(7, committed=1, away=2)


def test_people_get_text_on_standard_error_with_equal_differences_together(capsys):
    report(RolloutReporter(as_json=False))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[:9] == [
        "fleet rev 7",
        "2 devices (kiosk-1, kiosk-2):",
        "  decode.budget_ms: 60.0 -> 47.0",
        "1 device (kiosk-3):",
        "  REFUSED camera.width_px: too wide",
        "Offline, get the settings when online again: kiosk-4.",
        "Wave canary: 1 device",
        "kiosk-1: on probation, probation",
        "kiosk-1: committed",
    ]
    assert (
        err.splitlines()[-1]
        == "Done: rev 7 is committed on 1 device and waits for 2 devices to be online again."
    )


def test_programs_get_one_json_object_a_line_on_standard_output(capsys):
    report(RolloutReporter(as_json=True))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == [
        *["difference"] * 3,
        "wave",
        "device",
        "device",
        "stopped",
        "done",
    ]
    assert lines[2]["errors"] == ["camera.width_px: too wide"]


@pytest.mark.parametrize(
    ("committed", "away", "text"),
    [
        (0, 1, "waits for 1 device to be online again"),
        (2, 0, "is committed on 2 devices"),
        (0, 0, "committed on 0 devices"),
    ],
)
def test_the_last_line_counts_committed_and_offline_devices(capsys, committed, away, text):
    RolloutReporter(as_json=False).done(7, committed, away)
    assert text in capsys.readouterr().err


def test_at_a_terminal_messages_do_not_run_into_the_progress_bar():
    master, slave = os.openpty()
    script = """
        from sync.fleet.rollout.waves import DeviceOutcome, Wave
        from sync.fleet.rollout.progress import RolloutReporter
        reporter, wave = RolloutReporter(as_json=False), Wave("canary", ("kiosk-1", "kiosk-2"), 0)
        with reporter.progress(wave):
            reporter.device("kiosk-1", DeviceOutcome.COMMITTED, "")
            reporter.advance(1)
            reporter.advance(2)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, stderr=slave)
    os.close(slave)
    shown = os.read(master, 100_000).decode()
    os.close(master)
    assert "\r\x1b[K\x1b[32mkiosk-1: committed" in shown, "the bar's line is cleared first"
    assert "50%" in shown
    assert "100%" in shown
