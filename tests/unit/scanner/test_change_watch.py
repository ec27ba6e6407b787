"""When a daemon ends for other settings, and when it must not: it would never stop changing."""

import json
from types import SimpleNamespace

import pytest
import structlog

from edge.capture.capture_status import CaptureState
from edge.decode.hold_off import HoldOff
from edge.identity.damage import IDENTITY
from edge.scanner.change_watch import ChangeWatch
from edge.settings import state_machine as states
from edge.settings.active_profile import load_active_profile
from edge.settings.folder import SettingsFolder
from edge.settings.plan import Plan, PlanLayer
from edge.settings.state_machine import SettingsPhase, SettingsState
from tests.support.settings_device import TRUST, applier_of

LOG = structlog.wrap_logger(
    structlog.testing.CapturingLogger(), processors=[structlog.testing.LogCapture()]
)
PROFILE = """
[device]
id = "kiosk-1"
site = "shop-1"
kind = "kiosk"

[trust]
roots_file = "roots.cbor"

[mqtt]
host = "broker"
ca_file = "ca.pem"
cert_file = "c.pem"
key_file = "k.pem"
"""


def plan_of(content: dict, rev: int = 1) -> Plan:
    return Plan((PlanLayer(key="fleet", rev=rev, digest="0" * 64, probation_s=1, content=content),))


class Device:
    """A device that has committed a plan which it cannot use any more."""

    def __init__(self, folder, why: str, before_watch=lambda device: None):
        self.data, self.file = folder, folder / "profile.toml"
        self.file.write_text(PROFILE)
        self.settings = SettingsFolder(folder)
        content = {"decode": {"budget_ms": -1.0}} if why == "refused by this software" else {}
        self.plan = plan_of(content)
        self.settings.change(
            lambda _: SettingsState(
                phase=SettingsPhase.COMMITTED, good=self.plan.digest, desired=1, applied=1
            )
        )
        self.settings.write_plan(self.plan)
        if why == "damaged":
            path = self.data / "settings" / f"{self.plan.digest}.json"
            path.write_bytes(path.read_bytes()[:-3])
        self.now_s = 0.0
        status = SimpleNamespace(state=CaptureState.STREAMING, frames=0, detail="")
        self.running = load_active_profile(self.file, self.data)
        before_watch(self)
        self.watch = ChangeWatch(
            self.data, self.running, SimpleNamespace(status=lambda: status), LOG
        )
        self.daemon = SimpleNamespace(
            hold_off=HoldOff(1.0),
            serving=False,
            handler=None,
            clock=SimpleNamespace(monotonic_s=lambda: self.now_s),
            supervisor=SimpleNamespace(
                finished="", problems={}, note_problem=lambda name, detail: None
            ),
        )

    def scan(self, seconds: int) -> bool:
        """Scan on; True when the daemon was asked to make way."""
        for _ in range(seconds):
            self.now_s += 1.0
            self.watch(self.daemon)
        return bool(self.daemon.supervisor.finished)


@pytest.fixture(params=["damaged", "refused by this software"])
def device(tmp_path, request):
    return Device(tmp_path, request.param)


def test_chosen_settings_that_cannot_be_used_are_not_changed_to_for_ever(device):
    assert (device.running.digest, device.running.profile.decode.budget_ms) == (None, 60.0)
    assert device.running.problem
    assert not device.scan(seconds=100)


@pytest.mark.parametrize("device", ["damaged"], indirect=True)
def test_chosen_settings_whose_file_comes_back_are_changed_to(device):
    assert not device.scan(seconds=2)
    device.settings.write_plan(device.plan)
    assert device.scan(seconds=2)


def test_and_others_are_still_changed_to(device):
    good = plan_of({"decode": {"budget_ms": 40.0}}, rev=2)
    assert not device.scan(seconds=2)
    device.settings.write_plan(good)
    device.settings.change(lambda state: states.stage(state, good.digest, 2))
    assert device.scan(seconds=2)


def test_health_names_them(device):
    named = {}
    device.daemon.supervisor.note_problem = lambda name, detail: named.update({name: detail})
    device.scan(seconds=1)
    assert named["settings_unusable"] == device.running.problem


def test_the_sync_process_reports_them_and_does_not_start_over_for_them(device):
    applier = applier_of(device.data, device.running, lambda: TRUST)
    assert not applier.wants_restart
    report = json.loads(applier.report())
    assert report["state"] == "committed"
    assert report["errors"], "and it says that the device does not run on them"


def test_an_identity_that_is_written_while_the_devices_are_opened_is_changed_to(tmp_path):
    def enrol(device):
        (device.data / IDENTITY).parent.mkdir()
        (device.data / IDENTITY).write_text('{"profile": {"device": {"id": "kiosk-2"}}}')

    device = Device(tmp_path, "refused by this software", before_watch=enrol)
    assert device.scan(seconds=2)
