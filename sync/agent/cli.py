"""``edge-sync``: the device's sync process, on the command line."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import structlog

from edge.config import Profile
from edge.identity.damage import identity_damage
from edge.settings.active_profile import ActiveProfile, load_active_profile
from edge.store.database.store import Store, StoreUnavailableError
from edge.store.online_flag import OnlineFlag
from edge.store.opening import open_store
from edge.store.order_cache import feed_state
from edge.store.time_floor import raise_time_floor, time_floor_s
from edge.system import log
from edge.system.health import read_health, write_health
from edge.system.program import StopSignal, run_program, run_until_signal
from edge.system.wall_clock import WallClock
from edge.token.roots import Roots
from edge.trust.anchors import Anchors, load_roots
from edge.trust.freshness import staleness
from edge.values.uuid7 import uuid7
from sync.agent.agent import Agent
from sync.agent.authorisation_relay import AuthorisationRelay
from sync.agent.decoder_counters import decoder_counters
from sync.agent.device_metrics import DEVICE_FILE, decoder_metrics, device_metrics
from sync.agent.downlink import Downlink
from sync.agent.enrolment.runner import EnrolmentRunner, believed, wait_for_identity
from sync.agent.settings.applier import SettingsApplier
from sync.agent.settings.assembly import build_applier, count_start, count_stop, endpoint_of
from sync.agent.timings import AGENT_TIMINGS, AgentTimings
from sync.agent.uplink import Uplink
from sync.metrics import write_metrics
from sync.mqtt.endpoint import Will
from sync.mqtt.session import MqttSession
from sync.wire.messages import RungReport
from sync.wire.topics import device_filters

HEALTH_FILE = "sync-health.json"
SCANNER_HEALTH_FILE = "health.json"
CLOCK_WRONG = "clock_wrong"
FLOOR_STEP_S = 60  # the persisted time floor moves in steps of at least this


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edge-scanner")
def cli() -> None:
    """Carry what was redeemed to the platform, and orders and lists from it.

    Example: edge-sync run --profile /etc/edge-scanner/profile.toml
    """


@cli.command()
@click.option(
    "--profile", "profile_file", required=True, metavar="FILE", type=click.Path(path_type=Path)
)
@click.option(
    "--data",
    "data",
    metavar="DIR",
    type=click.Path(path_type=Path),
    envvar="EDGE_SCANNER_DATA",
    default=Path("/var/lib/edge-scanner"),
    show_default=True,
    help="The folder of the store.",
)
@click.pass_obj
def run(timings: AgentTimings | None, profile_file: Path, data: Path) -> None:
    """Sync until SIGTERM. The store and the scanner need no network and do not wait for this process.

    Example: edge-sync run --profile /etc/edge-scanner/profile.toml --data /var/lib/edge-scanner
    """
    stop = StopSignal()
    count_start(data)
    while _run_once(profile_file, data, stop, timings or AGENT_TIMINGS):
        pass
    count_stop(data)


def _run_once(profile_file: Path, data: Path, stop: StopSignal, timings: AgentTimings) -> bool:
    """Sync on the settings of now. True: they have changed, and it is to be run again."""
    running = _running(profile_file, data)
    profile = running.profile
    roots = load_roots(Path(profile.trust.roots_file))
    log.configure()
    logger = structlog.get_logger().bind(process="edge-sync", dev=profile.device.id)
    if running.invalid:
        logger.error("profile_invalid", detail=running.invalid)
    if running.damage:
        logger.error("identity_damaged", detail=running.damage)
        return wait_for_identity(
            data,
            stop,
            logger,
            keys=believed(data, roots),
            mended=lambda: not identity_damage(data),
        )
    if isinstance(roots, str):
        logger.warning("not_enrolled", reason="no_roots", detail=roots)
        return wait_for_identity(data, stop, logger)
    if profile.mqtt is None:
        raise click.ClickException(
            f"{profile_file} has no [mqtt] section: add the broker, or do not run edge-sync"
        )
    opened = open_store(
        data, device_id=profile.device.id, now_s=int(time.time()), random_bytes=os.urandom
    )
    if opened.store is None:
        logger.error("store_unavailable", detail=opened.detail)
        return wait_for_identity(
            data, stop, logger, keys=believed(data, roots), mended=_after(timings.store_retry_s)
        )
    logger.info("started", store=opened.state, detail=opened.detail)
    try:
        again = _serve(
            _Parts(profile, opened.store, roots, profile_file, data, logger, timings), stop
        )
    except StoreUnavailableError as error:
        logger.error("store_unavailable", detail=str(error))  # systemd starts this process again
        sys.exit(1)
    logger.info("stopped", again=again)
    return again


def _after(delay_s: float) -> Callable[[], bool]:
    """Whether ``delay_s`` have passed since now."""
    until_s = time.monotonic() + delay_s
    return lambda: time.monotonic() >= until_s


def main(timings: AgentTimings = AGENT_TIMINGS) -> None:
    """Run ``edge-sync``. Exit 0 success, 1 the world said no, 2 usage."""
    run_program(cli, "edge-sync", timings=timings)


@dataclass(frozen=True, slots=True)
class _Parts:
    profile: Profile
    store: Store
    roots: Roots
    profile_file: Path
    data: Path
    log: structlog.typing.FilteringBoundLogger
    timings: AgentTimings


def _serve(parts: _Parts, stop: StopSignal) -> bool:
    session, agent, desk, identity = _compose(parts)
    health_due_s = 0.0

    def step() -> bool:
        nonlocal health_due_s
        if desk.wants_restart or identity.step(time.monotonic()):
            return True
        agent.step()
        if time.monotonic() >= health_due_s:
            _tell(parts.data, agent)
            health_due_s = time.monotonic() + parts.timings.health_every_s
        return False

    stopped = run_until_signal(step, stop)
    session.close(Will(agent.status_topic, agent.farewell()))
    _tell(parts.data, agent)
    parts.store.close()
    return not stopped


def _tell(data: Path, agent: Agent) -> None:
    """Write how things are, for people and for Prometheus."""
    report = agent.report()
    write_health(data / HEALTH_FILE, report)
    decoder = decoder_metrics(_rungs(data))
    write_metrics(data / DEVICE_FILE, [*device_metrics(report, now_s=int(time.time())), *decoder])


def _rungs(data: Path) -> tuple[RungReport, ...]:
    """What the scanner's decoder has counted."""
    return decoder_counters(read_health(data / SCANNER_HEALTH_FILE))


def _compose(parts: _Parts) -> tuple[MqttSession, Agent, SettingsApplier, EnrolmentRunner]:
    device, mqtt, store = parts.profile.device, parts.profile.mqtt, parts.store
    assert mqtt is not None  # checked by the command
    clock = WallClock(time_floor_s(store))

    def vouch(issued_at_s: int) -> None:
        clock.raise_floor(issued_at_s)
        if issued_at_s >= time_floor_s(store) + FLOOR_STEP_S:
            raise_time_floor(store, issued_at_s)

    anchors = Anchors(store, parts.roots)
    anchors.refresh(clock.now())
    filters = device_filters(device.tenant, device.id, device.site)
    session = MqttSession(
        endpoint_of(mqtt, device.id),
        filters,
        uniform=random.uniform,
        now=clock.now,
        backoff=parts.timings.reconnect,
    )
    desk = build_applier(
        parts.profile_file,
        parts.data,
        parts.profile,
        store=store,
        keys=lambda: anchors.trust,
        session=session,
        monotonic=time.monotonic,
        log=parts.log,
    )
    agent = Agent(
        tenant=device.tenant,
        device=device.id,
        site=device.site,
        store=store,
        session=session,
        uplink=Uplink(
            store, device.id, window=mqtt.window, random_bytes=os.urandom, timings=parts.timings
        ),
        downlink=Downlink(
            store, parts.roots, anchors, device=device.id, site=device.site, vouch=vouch
        ),
        now=clock.now,
        monotonic=time.monotonic,
        ident=lambda: uuid7(time.time_ns() // 1_000_000, os.urandom(10)),
        log=parts.log,
        timings=parts.timings,
        settings=desk,
        claims=AuthorisationRelay(store, anchors, device=device.id, site=device.site),
        presence=OnlineFlag(parts.data),
        rungs=lambda: _rungs(parts.data),
        stale=lambda now: (
            staleness(
                anchors.trust,
                anchors.status,
                feed_state(store).last_contact_s,
                policy=parts.profile.policy,
                now=now,
            )
            | _astray(clock)
        ),
    )
    session.will = Will(agent.status_topic, agent.farewell())
    identity = EnrolmentRunner(parts.data, keys=lambda: anchors.trust, now=clock.now, log=parts.log)
    return session, agent, desk, identity


def _astray(clock: WallClock) -> dict[str, str]:
    """The problem of a clock that tells a time which cannot be: name to detail."""
    days = clock.astray_s() // 86_400
    if not clock.astray_s():
        return {}
    words = (
        f"{-days} days before what is proved to be past"
        if days < 0
        else f"{days} days after the newest proof"
    )
    return {CLOCK_WRONG: f"the system's clock is {words}: connect the device to a time server"}


def _running(path: Path, data: Path) -> ActiveProfile:
    running = load_active_profile(path, data)
    if isinstance(running, list):
        raise click.ClickException("; ".join(f"{path}: {error}" for error in running))
    return running
