"""From a profile, a data folder and devices to a scanner that runs."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from edge.capture.triggered_frames import PresenceFrames, TriggeredFrames, Waker
from edge.config import Profile
from edge.decode.exposure.controller import ExposureController
from edge.decode.exposure.proposals import ExposureLimits
from edge.decode.hold_off import HoldOff
from edge.decode.isolation.decoder import IsolatedDecoder
from edge.decode.isolation.fork_server import ForkServer
from edge.domain.decision_facts import DecisionTerms
from edge.domain.redemption_state import place_of
from edge.feedback.result_display import ResultDisplay
from edge.identity.damage import identity_is_unknown
from edge.identity.identity import UNENROLLED
from edge.operators.sign_in import sign_in_service
from edge.pickup.lock_actuator import LockActuator, QueuedActuator
from edge.pickup.pickups import DoorTimings, Pickups
from edge.ports import Frame, FrameSource
from edge.redemption.authorisation_client import REPLY_DEADLINE_S
from edge.redemption.redeemer import Redeemer
from edge.redemption.scan_handler import VerifyingHandler
from edge.redemption.verification_policy import audiences_of, verify_policy_of
from edge.scanner.daemon import Daemon
from edge.scanner.hardware import Hardware
from edge.scanner.supervisor import Supervisor, WatchedParts
from edge.store.database.store import FILE as STORE_FILE
from edge.store.database.store import Store, StoreUnavailableError
from edge.store.opening import OpenedStore, StoreState, open_store
from edge.store.time_floor import time_floor_s
from edge.system.health import Health
from edge.system.systemd import notify
from edge.system.time_zone import zone_problem
from edge.system.wall_clock import WallClock, synchronised_by_systemd
from edge.token.roots import Roots
from edge.trust.anchors import Anchors, RootsFileRefusal, load_roots

# 2025-01-01: the least time floor (docs/explanation/time.md).
RELEASED_S: Final = 1_735_689_600
_STEADY_S: Final = 0.25  # a door contact that reads closed for this long does not bounce
_DECODING_CORES: Final = 2 if (os.cpu_count() or 1) > 2 else 1  # the main loop has one
_DECODER_START_S: Final = 8.0  # below the next
_STUCK_AFTER_S: Final = 10.0  # below the unit's WatchdogSec


@contextmanager
def build_scanner(
    profile: Profile,
    data: Path,
    parts: Hardware,
    *,
    log: FilteringBoundLogger,
    synchronised: Callable[[], bool] = synchronised_by_systemd,
    hold_off: HoldOff | None = None,
    fork_server: ForkServer | None = None,
) -> Iterator[Daemon]:
    """Join store, trust, decoder and ``parts`` into a daemon; release everything at the end.

    ``synchronised`` returns whether the wall clock was set from a time source since the boot;
    ``hold_off`` is that of an earlier daemon; ``fork_server`` forks the decoder's processes. Any
    state of the disk, the roots file or the hardware is a problem in the health, not an error.
    """
    hold_off = HoldOff(profile.decode.hold_off_s) if hold_off is None else hold_off
    health = _initial_health(profile, parts)
    with ExitStack() as releases:
        releases.callback(parts.close)
        opened = _opened(profile, data, health, releases)
        store = opened.store
        clock = WallClock(_floor_s(store), synchronised=synchronised)
        anchors = _anchors(profile, store, clock, health)
        decoder = _decoder(profile, fork_server, releases)
        pickups = _pickups(profile, store, parts=parts, actuator=_actuator(parts, releases))
        supervisor = Supervisor(
            health=health,
            health_file=data / "health.json",
            watched=WatchedParts(
                capture=parts.capture,
                decoder=decoder,
                store=store,
                anchors=anchors,
                store_is_back=lambda: _open_and_close(profile, _store_folder(profile, data)),
                devices=parts.problems_now,
                policy=profile.policy,
            ),
            clock=clock,
            log=log,
            notify=notify,
        )
        _start(parts)
        yield Daemon(
            frames=_frames(profile, parts, hold_off, decoder.wake),
            engines=parts.engines,
            decoder=decoder,
            hold_off=hold_off,
            handler=_handler(profile, store, anchors, opened.detail),
            pickups=pickups,
            display=ResultDisplay(parts.indicator, profile.indicators.hold_s),
            clock=clock,
            supervisor=supervisor,
            log=log,
            meter=_meter(profile, decoder, parts) if profile.camera.bracket else None,
        )


def _initial_health(profile: Profile, parts: Hardware) -> Health:
    health = Health(limit_s=_STUCK_AFTER_S)
    for name, detail in parts.problems.items():
        health.set_problem(name, detail)
    health.set_problem("timezone_unknown", zone_problem(profile.policy.timezone))
    return health


def _start(parts: Hardware) -> None:
    parts.capture.start()
    for engine in parts.engines:
        engine.start()


def _meter(
    profile: Profile, decoder: IsolatedDecoder, parts: Hardware
) -> Callable[[Frame, bool], None]:
    """Return the function that sets the exposure after each frame, for a code that is not read."""
    frame_us = 1e6 / profile.camera.frame_rate_hz
    controller = ExposureController(
        ExposureLimits(longest_us=min(ExposureLimits().longest_us, frame_us))
    )

    def after_frame(frame: Frame, read: bool) -> None:
        wanted = controller.update(
            frame, read=read, unread=decoder.unread, hint=decoder.hint, now_s=time.monotonic()
        )
        parts.capture.expose(wanted)

    return after_frame


def _frames(
    profile: Profile, parts: Hardware, hold_off: HoldOff, wake: Callable[[], None]
) -> FrameSource:
    """Return the source of the frames to decode.

    A code in view when the trigger was released counts again when it is pressed again.
    """
    frames: FrameSource = parts.capture
    if parts.presence is not None:
        frames = PresenceFrames(frames, Waker(parts.presence.is_pressed, wake))
    if parts.trigger is None or profile.trigger is None:
        return frames
    return TriggeredFrames(
        frames,
        Waker(parts.trigger.is_pressed, wake).poll,
        scan_s=profile.trigger.scan_s,
        on_sleep=lambda: hold_off.fresh((), time.monotonic()),
    )


def _decoder(
    profile: Profile, fork_server: ForkServer | None, releases: ExitStack
) -> IsolatedDecoder:
    """Return the decoder. Only frames of files wait for its start, because they come once."""
    once = profile.camera.source in ("video", "images")
    decoder = IsolatedDecoder(
        budget_ms=profile.decode.budget_ms,
        cores=_DECODING_CORES,
        fork_server=fork_server,
        start_wait_s=_DECODER_START_S if once else 0.0,
    )
    releases.callback(decoder.close)
    return decoder


def _actuator(parts: Hardware, releases: ExitStack) -> LockActuator:
    actuator = QueuedActuator(parts.lock)
    releases.callback(actuator.close)
    releases.callback(parts.lock.close)  # runs first: it ends the pulse that the actuator waits for
    return actuator


def _store_folder(profile: Profile, data: Path) -> Path:
    """Return the store's folder; a device without a usable identity gets a throw-away one."""
    enrolled = Path(profile.trust.roots_file).exists() or (data / STORE_FILE).exists()
    return data if enrolled and not identity_is_unknown(data) else data / UNENROLLED


def _opened(profile: Profile, data: Path, health: Health, releases: ExitStack) -> OpenedStore:
    opened = _open(profile, _store_folder(profile, data))
    if opened.state not in (StoreState.READY, StoreState.NEW):
        health.set_problem(opened.state.value, opened.detail)
    if opened.store is not None:
        releases.callback(opened.store.close)
    return opened


def _open(profile: Profile, data: Path) -> OpenedStore:
    return open_store(
        data,
        device_id=profile.device.id,
        now_s=int(time.time()),
        random_bytes=secrets.token_bytes,
        floor_s=RELEASED_S,
    )


def _open_and_close(profile: Profile, data: Path) -> bool:
    store = _open(profile, data).store
    if store is not None:
        store.close()
    return store is not None


def _floor_s(store: Store | None) -> int:
    try:
        return RELEASED_S if store is None else time_floor_s(store)
    except StoreUnavailableError:
        return RELEASED_S  # the supervisor meets it again, and names it


def _anchors(
    profile: Profile, store: Store | None, clock: WallClock, health: Health
) -> Anchors | None:
    roots = load_roots(Path(profile.trust.roots_file))
    if isinstance(roots, RootsFileRefusal):
        health.set_problem("no_roots", str(roots))
        roots = Roots(version=0, keys=())
    if store is None:
        return None
    anchors = Anchors(store, roots)
    with suppress(StoreUnavailableError):  # the supervisor meets it again, and names it
        for name, detail in anchors.refresh(clock.now()).items():
            health.set_problem(name, detail)
    return anchors


def _handler(
    profile: Profile, store: Store | None, anchors: Anchors | None, detail: str
) -> VerifyingHandler:
    redeemer = Redeemer(
        store,
        DecisionTerms(place_of(profile), profile.policy, profile.locker.grace_s),
        random_bytes=secrets.token_bytes,
        unavailable=detail,
        reply_within_s=None if profile.mqtt is None else REPLY_DEADLINE_S,
    )
    return VerifyingHandler(
        redeemer,
        anchors,
        audiences=audiences_of(profile),
        policy=verify_policy_of(profile),
        sign_in=None if store is None else sign_in_service(profile, store, secrets.token_bytes),
    )


def _pickups(
    profile: Profile, store: Store | None, *, parts: Hardware, actuator: LockActuator
) -> Pickups | None:
    if store is None:
        return None
    section = profile.locker
    return Pickups(
        store,
        parts.lock,
        parts.doors,
        times=DoorTimings(
            open_s=section.door_open_timeout_s,
            close_s=section.door_close_timeout_s,
            steady_s=_STEADY_S,
        ),
        random_bytes=secrets.token_bytes,
        with_contact=frozenset(
            name for name, door in section.compartments.items() if door.has_contact
        ),
        actuator=actuator,
    )
