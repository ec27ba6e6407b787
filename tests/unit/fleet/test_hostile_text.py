"""Text of devices moves no cursor, forges no line and turns no direction where it is printed."""

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from sync.fleet import hub_client
from sync.fleet.cli import cli as edge_fleet
from sync.mqtt.endpoint import Arrival
from sync.wire.fleet_requests import FleetAction
from sync.wire.settings_report import ReportedError, SettingsReport
from sync.wire.topics import parse_topic

FORGED = "kiosk-2 is well"
HOSTILE = f"a\x1b[2K\rb\n{FORGED}\x7f\x9b31m\u202ed\u2066e\u2028f\x00"
CONTROLS = set(HOSTILE) - set(f"ab[2K31mdef{FORGED}")
REPORT = {
    "state": "refused",
    "applied_rev": 1,
    "desired_rev": 2,
    "software": HOSTILE,
    "blocked": HOSTILE,
    "errors": [{"path": HOSTILE, "message": HOSTILE}],
    "refused": [{"hash": HOSTILE, "code": HOSTILE, "detail": HOSTILE}],
}
DEVICE = {
    "dev": "kiosk-1",
    "site": HOSTILE,
    "groups": [],
    "report": REPORT,
    "report_s": 1,
    "revoked": None,
    "serial": None,
    "enrolled_s": None,
    "code_reused": 0,
    "certificate_expires_s": None,
    "state": "online",
    "health": {"scanner": "degraded", "camera": HOSTILE, "clock": "", "problems": [HOSTILE]},
    "status_s": 1,
    "last_seq": 1,
    "acknowledged_through": 1,
    "rungs": [],
    "conflicts": 1,
    "sequence_conflicts": 0,
    "refused_events": 0,
    "orders_dropped": None,
}
CASE = {"at_s": 1, "dev": "kiosk-1", "kind": HOSTILE, "cti": None, "detail": HOSTILE}
REVIEW = {
    "id": "r1", "dev": "kiosk-1", "epoch": "e", "seq": 1, "at_s": 1, "cti": "00", "order": HOSTILE,
    "use": 1, "kind": "write_off", "units": 1, "amount_minor": 1, "currency": HOSTILE,
    "risks": [HOSTILE], "scanned_by": HOSTILE, "state": HOSTILE, "approve": None,
    "decided_by": HOSTILE, "reason": HOSTILE, "decided_s": None,
}  # fmt: skip
CODE = {
    "id": "c1", "dev": HOSTILE, "site": HOSTILE, "expires_at_s": 1, "state": "used",
    "created_s": 1, "used_s": 1, "used_from": HOSTILE,
}  # fmt: skip
REFUSAL = {
    "at_s": 1, "reason": "x", "dev": HOSTILE, "code": HOSTILE, "address": HOSTILE,
    "detail": HOSTILE,
}  # fmt: skip
ALARM = {
    "code": HOSTILE, "dev": HOSTILE, "times": 2, "first_s": 1, "last_s": 2,
    "first_address": HOSTILE, "last_address": HOSTILE,
}  # fmt: skip
RESULTS = {
    FleetAction.HUB: {"held": {"detail": HOSTILE}},
    FleetAction.DEVICES: {"devices": [DEVICE], "next": None, "held": None},
    FleetAction.EXCEPTIONS: {"exceptions": [CASE], "left_out": 0},
    FleetAction.REVIEWS: {"reviews": [REVIEW], "next": None},
    FleetAction.ENROLMENTS: {"enrolments": [CODE], "alarms": [ALARM], "refusals": [REFUSAL]},
}
REPORTED = SettingsReport(
    dev="kiosk-1", state=HOSTILE, errors=[ReportedError(path=HOSTILE, message=HOSTILE)]
)
EVENT = {
    "v": 1, "dev": "kiosk-1", "epoch": "e1", "events": [{
        "seq": 1, "id": "i", "ts": 1, "ts_trust": "trusted", "type": "redeemed",
        "body": {"order": HOSTILE.replace("\x00", ""), "verdict": HOSTILE.replace("\x00", "")},
    }],
}  # fmt: skip


class Client:
    """A hub whose devices say what they like."""

    def __init__(self, *_, **__):
        self.arrivals = [
            ("v1/main/kiosk-1/up/cfg", REPORTED.model_dump_json().encode()),
            ("v1/main/kiosk-1/up/evt", json.dumps(EVENT).encode()),
        ]

    def connect(self):
        pass

    def request(self, action, **_):
        return RESULTS[action]

    def receive(self, _timeout_s):
        arrived, self.arrivals = self.arrivals, []
        return [
            (parse_topic(topic), Arrival(topic, payload, 1, 1, False, 1))
            for topic, payload in arrived
        ]

    def close(self):
        pass


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setattr(hub_client, "HubClient", Client)
    file = tmp_path / "fleet.toml"
    names = ("host", "ca_file", "cert_file", "key_file")
    file.write_text("".join(f'{name} = "x"\n' for name in names))

    def invoke(*arguments):
        done = CliRunner().invoke(edge_fleet, [*arguments, "--fleet", str(file)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return SimpleNamespace(output=done.output, stdout=done.stdout)

    return invoke


COMMANDS = [
    ("status",),
    ("exceptions",),
    ("reviews", "list"),
    ("enrol", "--list"),
    ("watch", "--for", "0.1"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_a_command_prints_for_people_has_no_control_character(run, command):
    shown = run(*command).output
    assert "\\x1b[2K" in shown, "the text is there"
    assert not set(shown) & (CONTROLS - {"\n"})
    assert not any(line.startswith(FORGED) for line in shown.splitlines()), "no line of its making"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_json_keeps_each_character_and_prints_none_of_them(run, command):
    shown = run(*command, "--json").stdout
    assert not set(shown) & (CONTROLS - {"\n"})
    text = json.dumps([json.loads(line) for line in shown.split("\n") if line])
    assert json.dumps(HOSTILE)[1:-7] in text
