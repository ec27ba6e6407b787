"""Waves, outcomes and stops of a rollout, and the issues that operations see."""

import pytest
from click.testing import CliRunner

from edge.documents.settings import SettingsDocument, SettingsLayer
from sync.fleet.cli import cli
from sync.fleet.device_table import issues, needs_attention, severity
from sync.fleet.rollout.preview import preview
from sync.fleet.rollout.waves import DeviceOutcome, Wave, outcome, stops, waves
from sync.wire.settings_report import ReportedError, ReportedRefusal, SettingsReport

NAMES = [f"kiosk-{number}" for number in range(200)]
SHIPPED = {"camera": {"source": "v4l2"}, "decode": {"hold_off_s": 2.0}}
COMMANDS = ["push", "status", "watch", "revoke", "recover", "enrol", "orders", "exceptions"]
KEY, REV, DIGEST = "site/shop-1", 7, "d" * 64
DEVICE = {
    "dev": "kiosk-1",
    "site": "shop-1",
    "groups": [],
    "report": None,
    "revoked": None,
    "code_reused": 0,
    "sequence_conflicts": 0,
    "state": "online",
    "certificate_expires_s": None,
    "conflicts": 0,
    "refused_events": 0,
    "last_seq": 0,
    "acknowledged_through": 0,
    "health": None,
}


def report(**fields) -> SettingsReport:
    return SettingsReport(
        dev="kiosk-1",
        site="shop-1",
        kind="kiosk",
        shipped=SHIPPED,
        **{"state": "shipped", **fields},
    )


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (2, [1, 1]), (11, [1, 2, 8]), (200, [1, 20, 179])], ids=str
)
def test_one_device_goes_first_then_a_tenth_then_all(count, sizes):
    parts = waves(NAMES[:count])
    assert [len(part.devices) for part in parts] == sizes
    assert sorted(name for part in parts for name in part.devices) == sorted(NAMES[:count])


def test_operations_may_choose_the_first_devices():
    assert waves(NAMES, ["kiosk-9", "kiosk-3"])[0].devices == ("kiosk-9", "kiosk-3")


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        pytest.param(None, DeviceOutcome.WAITING, id="no report yet"),
        pytest.param(
            report(desired={KEY: 6}, applied={KEY: 6}),
            DeviceOutcome.WAITING,
            id="still the previous document",
        ),
        pytest.param(
            report(desired={KEY: 7}, state="probation"),
            DeviceOutcome.ON_PROBATION,
            id="on probation",
        ),
        pytest.param(
            report(desired={KEY: 7}, applied={KEY: 7}, state="committed"),
            DeviceOutcome.COMMITTED,
            id="committed",
        ),
        pytest.param(
            report(
                desired={KEY: 7},
                state="rolled_back",
                errors=[ReportedError(path="", message="died")],
            ),
            DeviceOutcome.FAILED,
            id="rolled back",
        ),
        pytest.param(
            report(
                refused=[ReportedRefusal(hash=DIGEST, code="settings_agent_too_old", detail="")]
            ),
            DeviceOutcome.FAILED,
            id="refused the document",
        ),
        pytest.param(report(blocked="stolen"), DeviceOutcome.FAILED, id="is blocked"),
    ],
)
def test_the_outcome_follows_from_the_devices_report(reported, expected):
    assert outcome(reported, KEY, REV, DIGEST)[0] is expected


@pytest.mark.parametrize(
    ("name", "size", "bad", "stopped"),
    [("canary", 1, 1, True), ("10 %", 20, 1, True), ("all", 100, 2, False), ("all", 100, 3, True)],
)
def test_a_rollout_stops_when_too_many_fail(name, size, bad, stopped):
    wave = next(part for part in waves(NAMES) if part.name == name)
    wave = Wave(name, wave.devices[:size], int(size * 0.02) if name == "all" else 0)
    for failure in (DeviceOutcome.FAILED, DeviceOutcome.SILENT):
        outcomes = dict.fromkeys(wave.devices, DeviceOutcome.COMMITTED) | dict.fromkeys(
            wave.devices[:bad], failure
        )
        assert stops(wave, outcomes) is stopped


def document(content: dict, *, layer=SettingsLayer.FLEET, name="", rev=9) -> SettingsDocument:
    return SettingsDocument(tenant="main", layer=layer, name=name, rev=rev, content=content)


def test_the_preview_compares_with_what_the_device_runs():
    running = document({"decode": {"hold_off_s": 4.0, "budget_ms": 40.0}}, rev=8)
    new = document({"decode": {"hold_off_s": 5.0}})
    changes = preview(report(applied={"fleet": 8}), new, {("fleet", 8): running}).changes
    assert [str(change) for change in changes] == [
        "decode.budget_ms: 40.0 -> 60.0",
        "decode.hold_off_s: 4.0 -> 5.0",
    ]


def test_the_preview_shows_what_a_device_would_refuse():
    found = preview(report(), document({"indicators": {"green_pin": 5, "red_pin": 5}}), {})
    assert "pin 5" in str(found.errors[0])


@pytest.mark.parametrize(
    ("change", "issue"),
    [
        ({"state": "offline"}, "is offline"),
        ({"state": None}, "never connected"),
        ({"code_reused": 1}, "stolen"),
        ({"sequence_conflicts": 1}, "two devices"),
        ({"report": report(state="rolled_back").model_dump()}, "rolled_back"),
        (
            {
                "report": report(
                    state="committed", errors=[ReportedError(path="a", message="x")]
                ).model_dump()
            },
            "runs as shipped: a x",
        ),
        (
            {"report": report(certificate_expires_s=1_000 + 3 * 86_400).model_dump()},
            "expires in 3 days",
        ),
        ({"report": report(certificate_expires_s=999).model_dump()}, "has expired"),
        ({"revoked": {"stage": "quarantined", "reason": "stolen", "at_s": 1}}, "revoked"),
        ({"conflicts": 2}, "2 cases"),
    ],
    ids=str,
)
def test_a_device_with_an_issue_is_listed_above_the_healthy_ones(change, issue):
    faulty = {**DEVICE, **change, "dev": "zz-last-by-name"}
    assert issue in " ".join(issues(faulty, 1_000))
    assert sorted([DEVICE, faulty], key=lambda device: severity(device, 1_000))[0] is faulty
    assert not needs_attention(DEVICE, 1_000)


def test_a_revoked_device_that_is_cut_off_needs_no_attention():
    revoked = {
        **DEVICE,
        "state": "offline",
        "revoked": {"stage": "cut", "reason": "sold", "at_s": 1},
    }
    assert not needs_attention(revoked, 1_000)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(command):
    result = CliRunner().invoke(cli, [command, "--help"])
    assert result.exit_code == 0
    assert f"Example: edge-fleet {command}" in " ".join(result.output.split())
    assert "--json" in result.output


HEALTHY = {"scanner": "scanning", "camera": "streaming", "clock": "trusted", "problems": []}


def test_a_device_that_scans_and_believes_its_clock_is_healthy():
    assert issues({**DEVICE, "health": HEALTHY}, 1_800_000_000) == []


@pytest.mark.parametrize(
    ("health", "word"),
    [
        ({"scanner": "silent"}, "no sign of life"),
        ({"clock": "floor_only"}, "clock"),
        ({"scanner": "degraded", "problems": ["camera"]}, "camera"),
    ],
)
def test_a_device_that_does_not_scan_or_has_a_problem_is_not_healthy(health, word):
    (issue,) = issues({**DEVICE, "health": HEALTHY | health}, 1_800_000_000)
    assert word in issue
    assert needs_attention({**DEVICE, "health": HEALTHY | health}, 1_800_000_000)


def test_the_last_health_of_a_device_that_is_offline_says_nothing_about_it_now():
    device = {**DEVICE, "state": "offline", "health": HEALTHY | {"problems": ["camera"]}}
    assert issues(device, 1_800_000_000) == ["is offline"]
