"""From a profile, a data folder and devices to a scanner that runs."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from edge.bootstrap.handler_assembly import (
    STUCK_AFTER_S,
    code_handler,
    device_anchors,
    known_floor_s,
    opened_store,
    store_folder,
    store_opens,
)
from edge.capture.triggered_frames import PresenceFrames, TriggeredFrames, Waker
from edge.config import Profile
from edge.decode.exposure.controller import ExposureController
from edge.decode.exposure.proposals import ExposureLimits
from edge.decode.hold_off import HoldOff
from edge.decode.isolation.decoder import IsolatedDecoder
from edge.decode.isolation.fork_server import ForkServer
from edge.feedback.result_display import ResultDisplay
from edge.pickup.lock_actuator import LockActuator, QueuedActuator
from edge.pickup.pickups import DoorTimings, Pickups
from edge.ports import Frame, FrameSource
from edge.scanner.code_socket import CodeSocket
from edge.scanner.daemon import Daemon
from edge.scanner.hardware import Hardware
from edge.scanner.supervisor import Supervisor, WatchedParts
from edge.store.database.store import Store
from edge.system.health import Health
from edge.system.systemd import notify
from edge.system.time_zone import zone_problem
from edge.system.wall_clock import WallClock, synchronised_by_systemd

_STEADY_S: Final = 0.25  # a door contact that reads closed for this long does not bounce
_DECODING_CORES: Final = 2 if (os.cpu_count() or 1) > 2 else 1  # the main loop has one
_DECODER_START_S: Final = 8.0  # below the next


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
    known_codes = HoldOff(profile.decode.hold_off_s) if hold_off is None else hold_off
    health = _initial_health(profile, parts)
    with ExitStack() as releases:
        releases.callback(parts.close)
        opened = opened_store(profile, data, health, releases)
        clock = WallClock(known_floor_s(opened.store), synchronised=synchronised)
        anchors = device_anchors(profile, opened.store, clock, health)
        decoder = _decoder(profile, fork_server, releases)
        watched = WatchedParts(
            capture=parts.capture,
            decoder=decoder,
            store=opened.store,
            anchors=anchors,
            store_is_back=lambda: store_opens(profile, store_folder(profile, data)),
            devices=parts.problems_now,
            policy=profile.policy,
        )
        _start(parts)
        yield Daemon(
            frames=_frames(profile, parts, known_codes, decoder.wake),
            engines=parts.engines,
            handed=_code_socket(data, log, releases),
            decoder=decoder,
            hold_off=known_codes,
            handler=code_handler(profile, opened.store, anchors, opened.detail),
            pickups=_pickups(profile, opened.store, parts, _actuator(parts, releases)),
            display=ResultDisplay(parts.indicator, profile.indicators.hold_s),
            clock=clock,
            supervisor=_supervisor(health, data, watched, clock, log),
            log=log,
            meter=_meter(profile, decoder, parts) if profile.camera.bracket else None,
        )


def _supervisor(
    health: Health, data: Path, watched: WatchedParts, clock: WallClock, log: FilteringBoundLogger
) -> Supervisor:
    return Supervisor(
        health=health,
        health_file=data / "health.json",
        watched=watched,
        clock=clock,
        log=log,
        notify=notify,
    )


def _code_socket(data: Path, log: FilteringBoundLogger, releases: ExitStack) -> CodeSocket | None:
    try:
        handed = CodeSocket(data)
    except OSError as error:  # a read-only disk: the camera scans all the same
        log.warning("code_socket_unavailable", detail=str(error))
        return None
    releases.callback(handed.close)
    return handed


def _initial_health(profile: Profile, parts: Hardware) -> Health:
    health = Health(limit_s=STUCK_AFTER_S)
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


def _pickups(
    profile: Profile, store: Store | None, parts: Hardware, actuator: LockActuator
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
