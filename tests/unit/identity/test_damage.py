"""A device whose identity file is damaged keeps its name and its store, and redeems nothing."""

import json
import os
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from edge.bootstrap.scanner import build_scanner
from edge.decode.hold_off import HoldOff
from edge.devices.null_devices import NoIndicator, NoLocker
from edge.domain.verdict import Verdict
from edge.identity.identity import Identity, write_identity
from edge.scanner.hardware import Hardware
from edge.scanner.lifecycle import ScannerLifecycle
from edge.settings.active_profile import load_active_profile
from edge.settings.folder import SettingsFolder
from edge.settings.plan import Plan, PlanLayer
from edge.settings.state_machine import SettingsPhase, SettingsState
from edge.store import documents
from edge.store.opening import StoreState, open_for_work, open_store
from edge.token.roots import Roots
from edge.values.instant import Instant
from sync.agent.enrolment.runner import trusted_keys, wait_for_identity
from tests.support.platform_processes import Keys

SHIPPED = """
[device]
id = "new"
site = "none"
kind = "locker"

[camera]
width_px = 640

[trust]
roots_file = "/etc/edge-scanner/roots.cbor"
"""
DAMAGED = {
    "empty": b"",
    "cut short": b'{"profile": {"device"',
    "zeros": bytes(400),
    "not a mapping": b"[]",
    "an empty list for a profile": b'{"profile": []}',
    "an empty profile": b'{"profile": {}}',
    "no profile": b"{}",
    "a name that is none": b'{"profile": {"device": {"id": 7, "site": "s"},'
    b' "trust": {"roots_file": "r"}}}',
    "a number of 5000 digits": b'{"profile": ' + b"1" * 5000 + b"}",
    "nested without end": b"[" * 100_000,
}


class Enrolled:
    """A device with an identity and a store of its own."""

    def __init__(self, folder: Path):
        self.file, self.data = folder / "profile.toml", folder / "data"
        self.file.write_text(SHIPPED)
        self.data.mkdir()
        folder = self.data / "identity"
        files = {"ca_file": "ca.pem", "cert_file": "device-1.pem", "key_file": "device-1.key"}
        profile = {
            "device": {"id": "kiosk-7", "tenant": "main", "site": "shop-1", "groups": []},
            "trust": {"roots_file": str(folder / "roots.cbor")},
            "mqtt": {
                "host": "b",
                "port": 8883,
                **{key: str(folder / name) for key, name in files.items()},
            },
        }
        identity = Identity(profile=profile, service={"host": "d", "port": 8443}, enrolled_s=1)
        write_identity(
            self.data, identity, {"roots.cbor": b"roots", "device-1.pem": certificate("kiosk-7")}
        )
        assert self.open("kiosk-7").state is StoreState.NEW

    @property
    def identity(self) -> Path:
        return self.data / "identity" / "identity.json"

    def open(self, name: str):
        opened = open_store(
            self.data, device_id=name, now_s=int(time.time()), random_bytes=os.urandom
        )
        opened.store.close()
        return opened


def certificate(name: str) -> bytes:
    key, subject = (
        Ed25519PrivateKey.generate(),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]),
    )
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        subject, subject, key.public_key(), 1, now, now + timedelta(days=1)
    )
    return builder.sign(key, None).public_bytes(Encoding.PEM)


@pytest.fixture
def device(tmp_path):
    return Enrolled(tmp_path)


def test_a_device_without_an_identity_file_is_as_shipped(device):
    device.identity.unlink()
    running = load_active_profile(device.file, device.data)
    assert (running.profile.device.id, running.damage) == ("new", "")


def test_a_sound_identity_is_no_damage(device):
    running = load_active_profile(device.file, device.data)
    assert (running.profile.device.id, running.damage) == ("kiosk-7", "")


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_damage_has_a_name_and_the_device_keeps_its_own(device, content):
    device.identity.write_bytes(content)
    running = load_active_profile(device.file, device.data)
    assert str(device.identity) in running.damage
    assert "enrol this device again" in running.damage
    assert (running.profile.device.id, running.profile.device.kind) == ("kiosk-7", "locker")
    assert running.profile.camera.width_px == 640, "it boots with the hardware that it has"
    assert running.profile.mqtt is None, "it speaks to no broker, least of all to the shipped one's"
    assert device.open(running.profile.device.id).state is StoreState.READY, "nothing is put aside"


def test_a_file_that_cannot_be_read_is_damage_too(device):
    device.identity.unlink()
    device.identity.mkdir()
    running = load_active_profile(device.file, device.data)
    assert "Is a directory" in running.damage
    assert running.profile.device.id == "kiosk-7"


def test_the_anchors_stay_those_of_its_fleet(device):
    device.identity.write_bytes(b"")
    assert load_active_profile(device.file, device.data).profile.trust.roots_file == str(
        device.identity.with_name("roots.cbor")
    )


def test_without_a_store_the_certificate_names_the_device(device):
    for path in device.data.glob("store.db*"):
        path.unlink()
    device.identity.write_bytes(b"")
    assert load_active_profile(device.file, device.data).profile.device.id == "kiosk-7"


def test_pushed_settings_hold_but_for_the_broker(device):
    content = {"decode": {"budget_ms": 40.0}, "mqtt": {"keepalive_s": 20}}
    plan = Plan((PlanLayer(key="fleet", rev=1, digest="0" * 64, probation_s=1, content=content),))
    folder = SettingsFolder(device.data)
    folder.change(
        lambda _: SettingsState(
            phase=SettingsPhase.COMMITTED, good=plan.digest, desired=1, applied=1
        )
    )
    folder.write_plan(plan)
    assert load_active_profile(device.file, device.data).profile.mqtt.keepalive_s == 20
    device.identity.write_bytes(b"")
    running = load_active_profile(device.file, device.data)
    assert (running.digest, running.problem, running.profile.decode.budget_ms) == (
        plan.digest,
        "",
        40.0,
    )


def test_without_any_name_it_is_reported_and_no_store_is_made_or_opened_under_another(device):
    """Under the shipped profile's name, the store would be lost to the repaired device."""
    whole = device.identity.read_bytes()
    device.identity.write_bytes(b"{")
    (device.data / "identity" / "device-1.pem").unlink()
    store = device.data / "store.db"
    sound = store.read_bytes()
    store.write_bytes(b"no store at all" * 1000)
    damaged = store.read_bytes()
    running = load_active_profile(device.file, device.data)
    assert "neither its store nor its certificate names this device" in running.damage
    capture = SimpleNamespace(start=lambda: None, close=lambda: None)
    parts = Hardware(capture=capture, indicator=NoIndicator(), lock=NoLocker(), doors=NoLocker())
    with build_scanner(running.profile, device.data, parts, log=LOG):
        assert store.read_bytes() == damaged
    assert [path.name for path in device.data.glob("store.db.*") if "corrupt" in path.name] == []
    device.identity.write_bytes(whole)
    store.write_bytes(sound)
    assert device.open("kiosk-7").state is StoreState.READY


def test_repairing_the_file_repairs_the_device(device):
    whole = device.identity.read_bytes()
    device.identity.write_bytes(b"")
    assert load_active_profile(device.file, device.data).damage
    device.identity.write_bytes(whole)
    assert load_active_profile(device.file, device.data).damage == ""
    assert json.loads(whole)["profile"]["device"]["id"] == "kiosk-7"


LOG = structlog.wrap_logger(
    structlog.testing.CapturingLogger(), processors=[structlog.testing.LogCapture()]
)


def scan(device, during=lambda clock: None) -> list[tuple]:
    """Scan a code a second through two daemons. Return the reasons and problems of each."""
    seen: list[tuple] = []
    stop, clock = threading.Event(), {"s": 0.0}

    def run(daemon) -> None:
        problems = daemon.supervisor.problems
        first = daemon.handler.handle(b"a code", Instant(unix_s=1)).reason
        seen.append((daemon.profile.device.id, first, problems.get("identity_damaged", "")))
        for _ in range(5):
            clock["s"] += 1.0
            during(clock["s"])
            daemon.after_step(daemon)
            if daemon.supervisor.finished:
                return
        stop.set()

    @contextmanager
    def open_daemon(profile, parts, hold_off):
        problems: dict[str, str] = {}
        supervisor = SimpleNamespace(
            finished="", wants_restart=False, wants_reopening=False, problems=problems
        )
        supervisor.note_problem = lambda name, detail: problems.update(
            {name: detail} if detail else {}
        )
        accepted = SimpleNamespace(reason=Verdict.ACCEPTED)
        handler = SimpleNamespace(handle=lambda content, now: accepted)
        daemon = SimpleNamespace(
            after_step=None,
            offer_enrolment_code=None,
            handler=handler,
            hold_off=HoldOff(1.0),
            serving=False,
            supervisor=supervisor,
            clock=SimpleNamespace(monotonic_s=lambda: clock["s"]),
            profile=profile,
        )
        daemon.run = lambda _stop: run(daemon)
        yield daemon

    capture = SimpleNamespace(
        start=lambda: None, close=lambda: None, take=lambda timeout_s: None, status=lambda: None
    )
    parts = Hardware(capture=capture, indicator=NoIndicator(), lock=NoLocker(), doors=NoLocker())
    ScannerLifecycle(
        file=device.file, data=device.data, equip=lambda profile: parts, open=open_daemon, log=LOG
    ).run(stop)
    return seen


def test_it_scans_and_refuses_from_the_first_code_on_and_reports_why(device):
    device.identity.write_bytes(b"{")
    ((name, reason, problem),) = scan(device)
    assert (name, reason) == ("kiosk-7", Verdict.BLOCKED_DEVICE)
    assert "not JSON" in problem


def test_once_repaired_it_continues_without_a_restart(device):
    whole = device.identity.read_bytes()
    device.identity.write_bytes(b"{")
    damaged, repaired = scan(
        device, during=lambda now_s: device.identity.write_bytes(whole) if now_s == 2.0 else None
    )
    assert damaged[1] is Verdict.BLOCKED_DEVICE
    assert repaired == ("kiosk-7", Verdict.ACCEPTED, "")


def test_sync_waits_for_repair_and_trusts_only_its_own_fleet(device, tmp_path):
    keys = Keys(tmp_path / "keys")
    store = open_for_work(device.data)
    now_s, raw = int(time.time()), keys.trust_list(3)
    now = Instant(unix_s=now_s)
    documents.put(store, name=documents.TRUST_LIST, version=3, issued_at_s=now_s, raw=raw, now=now)
    store.close()
    device.identity.write_bytes(b"{")
    assert trusted_keys(device.data, keys.folder.roots()).version == 3
    assert trusted_keys(device.data, None).keys == (), "and a device without roots trusts no key"
    assert trusted_keys(device.data, Roots(version=0, keys=())).keys == ()
    assert wait_for_identity(device.data, threading.Event(), LOG, keys=None, repaired=lambda: True)
