"""edge-fleet with a real broker and hub, and eleven devices whose scanners are simulated here."""

import json
import random
import threading
import time

import pytest
import structlog

from edge.config import load_profile
from edge.documents.settings import DeviceScope
from edge.settings import state_machine as states
from edge.settings.active_profile import ActiveProfile
from edge.settings.folder import SettingsFolder
from edge.settings.state_machine import SettingsPhase
from edge.token.roots import claimed_roots
from edge.token.trust_list import open_trust_list
from edge.values.instant import Instant
from sync.agent.downlink import split_documents
from sync.mqtt.endpoint import Endpoint
from sync.mqtt.session import MqttSession
from sync.wire.codec import encode
from sync.wire.messages import Status
from tests.support.broker import MOSQUITTO, Process, until
from tests.support.platform_processes import BIN
from tests.support.platform_processes import Platform as Site
from tests.support.settings_device import applier_of

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None, reason="mosquitto is not installed: apt-get install mosquitto"
)
NAMES = [f"kiosk-{number:02}" for number in range(1, 12)]
LOG = structlog.wrap_logger(
    structlog.testing.CapturingLogger(), processors=[structlog.testing.LogCapture()]
)
BROKEN_MS = 13.0  # a decode budget that kiosk-03's scanner does not survive


class SimulatedDevice:
    """A device: the real settings applier over a real connection, with a scanner of a few lines."""

    def __init__(self, site: Site, name: str):
        files = site.broker.files
        endpoint = Endpoint(
            host="127.0.0.1",
            port=site.broker.site.port,
            client_id=name,
            ca_file=str(files.ca),
            cert_file=str(files.certificate(name)),
            key_file=str(files.key(name)),
        )
        self.name = name
        self.unresponsive = False
        self.session = MqttSession(endpoint, [f"v1/main/{name}/dn/cfg"], uniform=random.uniform)
        self.folder = SettingsFolder(site.folder / name)
        baseline = {
            "device": {"id": name, "site": "shop-1", "kind": "kiosk"},
            "trust": {"roots_file": "r"},
            "camera": {"source": "v4l2"},
        }
        profile = load_profile(baseline)
        assert not isinstance(profile, list)
        raw = site.trust_file.read_bytes()
        trust = open_trust_list(raw, roots=claimed_roots(raw), now=Instant(unix_s=int(time.time())))
        self.applier = applier_of(
            site.folder / name,
            ActiveProfile(profile=profile, baseline=baseline, digest=None),
            lambda: trust,
            scope=DeviceScope(tenant="main", device=name, site="shop-1", agent_version="1.0"),
            log=LOG,
        )
        self._status_sent = False

    def step(self) -> None:
        for arrival in self.session.step(0.005):
            if not self.unresponsive:
                for raw in split_documents(arrival.payload):
                    self.applier.receive(raw, self._now())
            self.session.acknowledge(arrival)
        if not self.session.connected or self.unresponsive:
            return
        if not self._status_sent:
            status = Status(dev=self.name, state="online", epoch="a")
            self._status_sent = self.session.publish(
                f"v1/main/{self.name}/up/status", encode(status), retain=True
            )
        self._step_scanner()
        self.applier.step(connected=True, now=self._now(), monotonic_s=time.monotonic())
        report = self.applier.report()
        if report and self.session.publish(f"v1/main/{self.name}/up/cfg", report, retain=True):
            self.applier.note_reported(report)

    def _step_scanner(self) -> None:
        state = self.folder.state()
        if state.phase is SettingsPhase.STAGED:
            plan = self.folder.plan(state.candidate)
            budget_ms = plan.patches[-1].get("decode", {}).get("budget_ms")
            if self.name == "kiosk-03" and budget_ms == BROKEN_MS:
                blamed = self.folder.blamed()
                self.folder.change(
                    lambda now: states.roll_back(now, "the scanner died on it", blamed)
                )
                return
            self.folder.change(lambda now: states.apply(now, ()))
        elif state.phase is SettingsPhase.APPLYING:
            self.folder.change(lambda now: states.replace(now, phase=SettingsPhase.PROBATION))
        elif state.phase is SettingsPhase.PROBATION:
            self.folder.change(lambda now: states.prove(now, "scanner"))

    def _now(self) -> Instant:
        return Instant(unix_s=int(time.time()))


class Fleet:
    def __init__(self, folder):
        self.site = Site(folder, dict.fromkeys(NAMES, "shop-1"))
        self.devices: dict[str, SimulatedDevice] = {}
        self._stopping = False

    def __enter__(self):
        self.site.__enter__()
        self.devices = {name: SimulatedDevice(self.site, name) for name in NAMES}
        self._thread = threading.Thread(target=self._run_devices, daemon=True)
        self._thread.start()
        until(
            lambda: all(device["report"] for device in self.lines("status")),
            60,
            "every device has reported",
        )
        return self

    def __exit__(self, *_):
        self._stopping = True
        self._thread.join(10)
        self.site.__exit__()

    def _run_devices(self) -> None:
        while not self._stopping:
            for device in list(self.devices.values()):
                device.step()

    def run(self, *command: str) -> tuple[int, str, str]:
        output = self.site.folder / "fleet.out"
        where = ["--fleet", str(self.site.broker.files.fleet_config)]
        process = Process([str(BIN / "edge-fleet"), *command, *where], output)
        output.write_text("")
        process.start()
        code = process.child.wait(90)
        return code, output.read_text(), command[0]

    def lines(self, *command: str, code: int | None = None) -> list[dict]:
        got, text, _ = self.run(*command, "--json")
        assert code is None or got == code, text
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def push(self, budget_ms: float, *more: str, code: int = 0) -> list[dict]:
        file = self.site.folder / "push.toml"
        file.write_text(
            f'layer = "fleet"\nprobation_s = 1\n[content.decode]\nbudget_ms = {budget_ms}\n'
        )
        return self.lines("push", str(file), "--yes", *more, code=code)

    def budgets(self) -> dict[str, float]:
        found = {}
        for name, device in self.devices.items():
            plan = device.folder.plan(device.folder.state().good)
            found[name] = plan.patches[-1]["decode"]["budget_ms"] if plan else 60.0
        return found


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    with Fleet(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


def test_settings_go_to_one_device_then_to_a_tenth_then_to_all(fleet):
    lines = fleet.push(50.0)
    assert [(line["name"], line["devices"]) for line in lines if line["event"] == "wave"] == [
        ("canary", 1),
        ("10 %", 2),
        ("all", 8),
    ]
    assert set(fleet.budgets().values()) == {50.0}
    assert lines[-1]["committed"] == 11


def test_a_rollout_stops_when_a_device_fails_and_the_other_devices_never_get_it(fleet):
    lines = fleet.push(BROKEN_MS, "--canary", "kiosk-01", code=1)
    assert lines[-1] == {"event": "stopped", "wave": "10 %", "failed": ["kiosk-03"]}
    budgets = fleet.budgets()
    assert budgets["kiosk-03"] == 50.0, "it rolled back by itself"
    assert {budgets[name] for name in NAMES[3:]} == {50.0}
    assert fleet.lines("status")[0]["dev"] == "kiosk-03", "the device with an issue is on top"


@pytest.mark.slow
def test_pushing_the_earlier_settings_again_repairs_the_fleet(fleet):
    fleet.push(50.0)
    assert set(fleet.budgets().values()) == {50.0}
    assert fleet.lines("status", "--issues") == []


@pytest.mark.slow
def test_a_rollout_stops_when_a_device_falls_silent(fleet):
    fleet.devices["kiosk-01"].unresponsive = True
    lines = fleet.push(45.0, "--canary", "kiosk-01", "--patience", "3", code=1)
    assert lines[-1]["failed"] == ["kiosk-01"]
    assert 45.0 not in {fleet.budgets()[name] for name in NAMES[1:]}
    fleet.devices["kiosk-01"].unresponsive = False


def test_the_identity_of_operations_cannot_publish_to_a_device(fleet):
    files = fleet.site.broker.files
    endpoint = Endpoint(
        host="127.0.0.1",
        port=fleet.site.broker.site.port,
        client_id="_fleet",
        ca_file=str(files.ca),
        cert_file=str(files.certificate("_fleet")),
        key_file=str(files.key("_fleet")),
    )
    session = MqttSession(endpoint, ["v1/main/_fleet/dn/res"], uniform=random.uniform)
    until(lambda: session.step(0.05) is not None and session.connected, what="it connects")
    for topic in ("kiosk-01/dn/cfg", "_all/dn/trust", "kiosk-01/up/cfg"):
        assert session.publish(f"v1/main/{topic}", b"x")
    until(
        lambda: session.step(0.05) is not None and session.refused_publishes == 3,
        what="the broker refuses",
    )
    session.close()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["push", "missing.toml", "--yes"], 1),
        (["revoke", "nobody", "--yes"], 1),
        (["enrol", "--device", "site-1", "--site", "shop-1"], 2),
        (["watch", "--for", "1"], 0),
    ],
    ids=str,
)
def test_each_outcome_has_its_exit_code_and_no_traceback(fleet, command, code):
    got, text, _ = fleet.run(*command)
    assert "Traceback" not in text
    assert got == code, text


@pytest.mark.slow
def test_an_unreachable_broker_is_reported_without_a_traceback(fleet, tmp_path):
    text = fleet.site.broker.files.fleet_config.read_text().replace(
        f"port = {fleet.site.broker.site.port}", "port = 1"
    )
    (fleet.site.broker.files.folder / "wrong.toml").write_text(text)
    process = Process(
        [
            str(BIN / "edge-fleet"),
            "status",
            "--fleet",
            str(fleet.site.broker.files.folder / "wrong.toml"),
        ],
        tmp_path / "out",
    ).start()
    assert process.child.wait(40) == 1
    assert "broker_unreachable" in process.text
