"""Run five trips through the house and count files, rooms and moves between rooms.

A *move* is a call of a function in one room from a function in another; what a library or a test
calls is none. Each trip runs in a fresh world twice, and the second run is counted: by then every
module is imported. The parts of the world that are no part of the house (broker, camera, locks) are
simulated, so that the figures are the same each time.
"""

from __future__ import annotations

import dis
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import CodeType, FrameType, SimpleNamespace
from typing import Any

from hardware_sim.parts.doors import Doors
from hardware_sim.parts.mock_pins import wired_factory
from hardware_sim.run.in_process_scanner import provision_scanner
from hardware_sim.vision.camera import CameraScene, SimCamera
from hardware_sim.world.sample_platform import DEVICE, SITE, SamplePlatform

from edge.bootstrap.hardware_assembly import build_hardware
from edge.bootstrap.scanner import build_scanner
from edge.capture.scan_engine import EngineScan
from edge.config import Profile, parse_profile
from edge.domain.roles import Role
from edge.enrolment.code_intake import CodeIntake
from edge.enrolment.handover import EnrolmentMailbox
from edge.operators.actions import OperatorActions
from edge.operators.operator_action import ActionResult
from edge.pickup.lock_actuator import ImmediateActuator
from edge.ports import NO_QUAD, Symbol
from edge.redemption.retry import RetryService
from edge.settings.state_machine import SettingsPhase
from edge.store import exception_cases, outbox
from edge.store.sessions import OperatorSession, open_session
from edge.values.instant import Instant
from edge.values.uuid7 import uuid7
from sync.agent.agent import Agent
from sync.agent.agent_parts import AgentAddress, AgentParts, AgentSources
from sync.agent.enrolment.runner import EnrolmentRunner
from sync.agent.uplink import Uplink
from sync.fleet.key_folder import KeyFolder
from sync.hub.config import load_hub_config
from sync.hub.server.hub import Hub, HubParts
from sync.hub.server.list_publisher import ListPublisher
from sync.hub.store.opening import open_hub_store
from sync.mqtt.endpoint import Arrival, LinkState
from sync.mqtt.oversized import OversizedPublishes
from sync.wire.topics import Down, parse_topic
from tests.architecture.house import rooms_of
from tests.support.enrolment_platform import LOG, Platform
from tests.support.paths import ROOT
from tests.support.sample_shop import code, deliver, open_at, order, redeemer
from tests.support.settings_device import Device, document

NOW = Instant(unix_s=1_800_000_000)
LONGEST_S = 30.0  # for a trip; then it has failed


@dataclass
class Trip:
    """What was entered. ``moves`` counts calls, by the two rooms."""

    files: set[str] = field(default_factory=set)
    rooms: set[str] = field(default_factory=set)
    moves: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Return how many moves there were."""
        return sum(self.moves.values())


class Recorder:
    """Counts calls between ``start`` and ``stop``, in this thread and in those begun meanwhile.

    ``trips`` holds one for this thread, ``here``, and one for all others.
    """

    def __init__(self) -> None:
        self.here, self.elsewhere = Trip(), Trip()
        self.running = False
        self._thread = threading.get_ident()

    def start(self) -> None:
        """Count from now on."""
        self.running = True

    def stop(self) -> None:
        """Count no more."""
        self.running = False

    @contextmanager
    def on(self) -> Iterator[Recorder]:
        """Watch until the block ends."""
        former = sys.getprofile()  # the profiler of a coverage run, or None
        threading.setprofile(self._event)
        sys.setprofile(self._event)
        try:
            yield self
        finally:
            sys.setprofile(former)
            threading.setprofile(None)
            self.stop()

    def _event(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call" or not self.running:
            return
        room = _room(frame.f_code.co_filename)
        if room is None or _goes_on(frame) or frame.f_code.co_name == "<module>":
            return
        trip = self.here if threading.get_ident() == self._thread else self.elsewhere
        trip.files.add(frame.f_code.co_filename)
        trip.rooms.add(room)
        caller = _caller(frame)
        if caller is not None and caller != room:
            trip.moves[caller, room] = trip.moves.get((caller, room), 0) + 1


@cache
def _room(file: str) -> str | None:
    """Return the room of a source file of the product; None for any other file.

    The hub's inner rooms are rooms of their own.
    """
    path = Path(file)
    if not path.is_relative_to(ROOT):
        return None
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] not in {"edge", "sync"}:
        return None
    rooms = rooms_of(".".join(part for part in parts if part != "__init__"))
    return rooms[-1] if rooms else None


@cache
def _is_test(file: str) -> bool:
    return Path(file).is_relative_to(ROOT / "tests")


def _caller(frame: FrameType) -> str | None:
    """Return the room of the nearest caller in the product.

    None when a test is nearer, or when there is no caller.
    """
    above = frame.f_back
    while above is not None:
        file = above.f_code.co_filename
        if (room := _room(file)) is not None:
            return room
        if _is_test(file):
            return None
        above = above.f_back
    return None


def _goes_on(frame: FrameType) -> bool:
    """Tell a generator that goes on from a call."""
    return frame.f_lasti > _beginning(frame.f_code)


@cache
def _beginning(code: CodeType) -> int:
    return next(
        (step.offset for step in dis.get_instructions(code) if step.opname == "RESUME"), 1 << 30
    )


# A scan


class _Engine:
    """A scan engine that reads one code, and starts the count as it hands it over."""

    def __init__(self, content: bytes, record: Recorder) -> None:
        self._symbol = Symbol(content=content, quad=NO_QUAD, decoder="engine")
        self._record = record
        self._read = False

    def poll(self) -> list[EngineScan]:
        """Return the code, once."""
        if self._read:
            return []
        self._read = True
        self._record.start()
        return [EngineScan(self._symbol, time.monotonic_ns())]


class _Last:
    """A part whose method ends the trip when it has done its work."""

    def __init__(self, part: Any, method: str, record: Recorder) -> None:
        self._part, self._method, self._record = part, method, record

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if name != self._method:
            return found

        def last(*arguments: Any) -> None:
            found(*arguments)
            self._record.stop()

        return last


def scan(folder: Path, record: Recorder, code_name: str, last: str, method: str) -> None:
    """Scan one code of the sample platform.

    ``last`` is the part that ends the trip with ``method``.
    """
    platform = provision_scanner(folder, now_s=int(time.time()))
    profile = _profile(platform)
    scene, doors = CameraScene(), Doors(profile.locker.compartments)
    parts = build_hardware(
        profile,
        pin_factory=wired_factory(profile.locker, doors),
        open_camera=partial(SimCamera, scene, frame_rate_hz=profile.camera.frame_rate_hz),
    )
    with build_scanner(profile, platform.data, parts, log=LOG, synchronised=lambda: True) as daemon:
        while not daemon.recovered:
            daemon.step()
        part = _Last(getattr(parts, last), method, record)
        if last == "lock":
            assert daemon.pickups is not None
            daemon.pickups._actuator = ImmediateActuator(
                part
            )  # in this thread, to count it in order
        else:
            daemon.display._indicator = part
        daemon.engines = (_Engine(platform.codes[code_name].encode(), record),)
        daemon.step()
        assert not record.running, f"{code_name} never came to the {last}"


def _profile(platform: SamplePlatform) -> Profile:
    profile = parse_profile(platform.profile.read_text(encoding="utf-8"))
    assert isinstance(profile, Profile), profile
    return profile


# Both ends of the wire


class _Session:
    """A session over a broker in memory, always connected."""

    connected, connections, room, link, detail = True, 1, True, LinkState.CONNECTED, ""
    refused_publishes = 0
    oversized = OversizedPublishes()

    def __init__(self) -> None:
        self.sent: list[Arrival] = []
        self.come: list[Arrival] = []

    def step(self, _timeout_s: float) -> list[Arrival]:
        """Return what came."""
        come, self.come = self.come, []
        return come

    def publish(self, topic: str, payload: bytes, **_: Any) -> bool:
        """Send."""
        fields = {"mid": 1, "qos": 1, "retained": False, "connection": 1}
        self.sent.append(Arrival(topic=topic, payload=payload, **fields))
        return True

    def acknowledge(self, _arrival: Arrival) -> None:
        """Do nothing: nothing is lost."""

    def resubscribe(self) -> None:
        """Do nothing: nothing is retained."""


class BothEnds:
    """A device's sync process and a hub, with a broker in memory between them."""

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        self.platform = provision_scanner(folder / "platform", now_s=NOW.unix_s)
        (
            store,
            self.scanner,
        ) = (  # of sync and of the scanner: each process has a connection of its own
            open_at(folder / "device", device_id=DEVICE, now_s=NOW.unix_s) for _ in range(2)
        )
        closing.callback(store.close)
        closing.callback(self.scanner.close)
        self._device, self._hub = _Session(), _Session()
        quiet = SimpleNamespace(
            next_request=lambda *_, **__: None,
            request_now=lambda *_: None,
            remove_stale_rows=lambda: None,
        )
        self.agent = Agent(
            AgentAddress(tenant="main", device=DEVICE, site=SITE),
            AgentParts(
                store=store,
                session=self._device,
                uplink=Uplink(store, DEVICE, window=50, random_bytes=os.urandom),
                downlink=quiet,
            ),
            AgentSources(now=lambda: NOW, monotonic_s=lambda: 0.0, new_id=lambda: "a"),
            LOG,
        )
        config = load_hub_config(self.platform.files.hub_config)
        config = config.model_copy(update={"data_dir": str(folder / "hub")})
        hub_store = open_hub_store(folder / "hub")
        closing.callback(hub_store.close)
        key = KeyFolder(Path(config.documents.order_feed_key_file).parent).signer("order_feed")
        parts = HubParts(
            store=hub_store,
            session=self._hub,
            lists=ListPublisher(config.documents),
            feed_signer=key,
            now_us=lambda: NOW.unix_s * 1_000_000,
            monotonic=lambda: 0.0,
            log=LOG,
        )
        self.hub = Hub(config, parts)
        for _ in range(3):  # both have connected, and nothing is on its way
            self.turn()

    def turn(self) -> None:
        """Let the device, the hub and the device again do what is due."""
        self.agent.step(0.0)
        self._carry(self._device, self._hub)
        self.hub.step(0.0)
        self._carry(self._hub, self._device)
        self.agent.step(0.0)

    def _carry(self, sender: _Session, receiver: _Session) -> None:
        for arrival in sender.sent:
            topic = parse_topic(arrival.topic)
            if sender is self._device or topic.channel in (Down.ACK, Down.COMMAND):
                receiver.come.append(arrival)
        sender.sent.clear()


def acknowledge_event(folder: Path, record: Recorder) -> None:
    """Carry one redemption from its outbox row to the acknowledgement that closes it."""
    with ExitStack() as closing:
        ends = BothEnds(folder, closing)
        claims = code()
        deliver(ends.scanner, order(claims))
        assert redeemer(ends.scanner).redeem(claims, NOW).is_accepted
        record.start()
        ends.turn()
        record.stop()
        assert outbox.backlog(ends.scanner).pending == 0


def retry_refused_upload(folder: Path, record: Recorder) -> None:
    """Carry an event that the platform refuses to its case, and to the event sent in its place."""
    with ExitStack() as closing:
        ends = BothEnds(folder, closing)
        with ends.scanner.transaction() as connection:
            session = OperatorSession(
                operator_id="ann",
                role=Role.SUPERVISOR,
                badge=b"b" * 16,
                opened_s=NOW.unix_s,
                expires_s=NOW.unix_s + 1000,
                acted_s=NOW.unix_s,
                idle_s=1000,
            )
            open_session(connection, session)
            outbox.append(
                connection, type="redeemed", body={}, now=NOW, id=uuid7(1, os.urandom(10))
            )
        record.start()
        ends.turn()
        record.stop()
        (case,) = exception_cases.cases(ends.scanner)
        retry = RetryService(OperatorActions(ends.scanner, random_bytes=os.urandom), _no_profile)
        record.start()
        outcome = retry.retry(case.id, NOW)
        record.stop()
        assert outcome.result is ActionResult.DONE, outcome


def _no_profile() -> Profile:
    raise AssertionError("an upload is retried without a profile")


# Settings


def commit_settings(folder: Path, record: Recorder) -> None:
    """Push three settings documents in turn, each until both processes have committed it."""
    device = Device(folder)
    for rev in (1, 2, 3):
        pushed = document(rev, 50.0 + rev)
        record.start()
        device.live(pushed)
        record.stop()
        assert device.settings.state().phase is SettingsPhase.COMMITTED
        assert device.budget_ms() == 50.0 + rev


# Enrolment


def enrol_device(folder: Path, record: Recorder) -> None:
    """Have the scanner see an enrolment code and a factory-fresh device enrol, over TLS."""
    platform = Platform(folder)
    try:
        data = folder / "device"
        data.mkdir()
        text = platform.code()
        mailbox = EnrolmentMailbox(data)
        intake = CodeIntake(mailbox)
        runner = EnrolmentRunner(
            data, keys=None, now=lambda: Instant(unix_s=int(time.time())), log=LOG
        )
        record.start()
        assert intake.offer(text.encode()) == "kiosk-7"
        assert runner.step(0.0)
        outcome = intake.outcome()
        record.stop()
        assert outcome is not None
        assert outcome.enrolled, outcome
    finally:
        platform.server.shutdown()
        platform.server.server_close()


Way = Callable[[Path, Recorder], None]
HERE: dict[str, Way] = {
    "voucher: symbol to lamp": partial(scan, code_name="voucher", last="indicator", method="show"),
    "pickup: symbol to lock": partial(scan, code_name="pickup", last="lock", method="pulse"),
    "outbox row to acknowledged": acknowledge_event,
    "three settings to committed": commit_settings,
    "refused upload until retried": retry_refused_upload,
}


def run_trips() -> dict[str, Trip]:
    """Run every trip, and return what each entered.

    Enrolment is two trips: the device's and the service's.
    """
    found = {name: _run(way).here for name, way in HERE.items()}
    enrolment = _run(enrol_device)
    return found | {
        "enrolment, the device": enrolment.here,
        "enrolment, the service": enrolment.elsewhere,
    }


def _run(way: Way) -> Recorder:
    """Run ``way`` twice, and return what the second run recorded."""
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder, Recorder().on() as record:
            way(Path(folder), record)
    return record
