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

from edge.config import MqttSection, Profile
from edge.identity.damage import identity_damage
from edge.settings.active_profile import ActiveProfile, load_active_profile
from edge.store.database.store import Store, StoreUnavailableError
from edge.store.online_flag import OnlineFlag
from edge.store.opening import open_store
from edge.store.order_cache import FeedState, feed_state
from edge.store.order_shrink import ShrinkLimits
from edge.store.time_floor import raise_time_floor, time_floor_s
from edge.system import log
from edge.system.disk_space import disk_problem
from edge.system.health import read_health, write_health
from edge.system.program import Stop, StopSignal, run_program, run_until_signal
from edge.system.wall_clock import WallClock
from edge.token.roots import Roots
from edge.token.trust_list import TrustList
from edge.trust.anchors import Anchors, load_roots
from edge.trust.freshness import staleness
from edge.values.instant import Instant
from edge.values.uuid7 import uuid7
from sync.agent.agent import Agent
from sync.agent.agent_parts import AgentAddress, AgentParts, AgentSources
from sync.agent.authorisation_relay import AuthorisationRelay
from sync.agent.decoder_counters import decoder_counters
from sync.agent.device_metrics import DEVICE_FILE, decoder_metrics, device_metrics
from sync.agent.downlink import Downlink
from sync.agent.enrolment.revocation import RevocationHandler
from sync.agent.enrolment.runner import EnrolmentRunner, trusted_keys, wait_for_identity
from sync.agent.order_intake import SHRUNK
from sync.agent.restore_requester import RestoreRequester
from sync.agent.scanner_health import ScannerHealthWatch
from sync.agent.settings.assembly import (
    build_applier,
    count_start,
    count_stop,
    endpoint_of,
    scope_of,
)
from sync.agent.settings.refused_documents import RefusedDocuments
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
FLOOR_STEP_S = 60  # the time floor on disk moves in steps of at least this


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edge-scanner")
def cli() -> None:
    """Report redemptions to the platform, and fetch orders and lists from it.

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
    """Sync until SIGTERM. The scanner needs no network and does not wait for this process.

    Example: edge-sync run --profile /etc/edge-scanner/profile.toml --data /var/lib/edge-scanner
    """
    stop = StopSignal()
    count_start(data)
    while _run_once(profile_file, data, stop, timings or AGENT_TIMINGS):
        pass
    count_stop(data)


def _run_once(profile_file: Path, data: Path, stop: Stop, timings: AgentTimings) -> bool:
    """Sync on the present settings. True: they have changed, and it has to run again."""
    running = _load(profile_file, data)
    profile = running.profile
    roots = load_roots(Path(profile.trust.roots_file))
    log.configure()
    logger = structlog.get_logger().bind(process="edge-sync", dev=profile.device.id)
    if running.invalid:
        logger.error("profile_invalid", detail=running.invalid)
    if running.damage:
        logger.error("identity_damaged", detail=running.damage)
        keys = trusted_keys(data, roots if isinstance(roots, Roots) else None)
        return wait_for_identity(
            data, stop, logger, keys=keys, repaired=lambda: not identity_damage(data)
        )
    if not isinstance(roots, Roots):
        logger.warning("not_enrolled", reason="no_roots", detail=str(roots))
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
        retry = _after(timings.store_retry_s)
        keys = trusted_keys(data, roots)
        return wait_for_identity(data, stop, logger, keys=keys, repaired=retry)
    opened.store.give_way()
    logger.info("started", store=opened.state, detail=opened.detail)
    process = _Process(running, profile.mqtt, opened.store, roots, data, logger, timings)
    try:
        again = _serve(process, stop)
    except StoreUnavailableError as error:
        logger.error("store_unavailable", detail=str(error))  # systemd starts this process again
        sys.exit(1)
    logger.info("stopped", again=again)
    return again


def _after(delay_s: float) -> Callable[[], bool]:
    """Return a function that returns True once ``delay_s`` have passed since now."""
    until_s = time.monotonic() + delay_s
    return lambda: time.monotonic() >= until_s


def main(timings: AgentTimings = AGENT_TIMINGS) -> None:
    """Run ``edge-sync``. Exit 0 success, 1 failure, 2 usage."""
    run_program(cli, "edge-sync", timings=timings)


@dataclass(frozen=True, slots=True)
class _Process:
    """What the process serves with, on one profile."""

    running: ActiveProfile
    mqtt: MqttSection
    store: Store
    roots: Roots
    data: Path
    log: structlog.typing.FilteringBoundLogger
    timings: AgentTimings

    @property
    def address(self) -> AgentAddress:
        """Return the device as topics name it."""
        device = self.running.profile.device
        return AgentAddress(tenant=device.tenant, device=device.id, site=device.site)


def _serve(process: _Process, stop: Stop) -> bool:
    """Serve until a signal or until the settings have changed. True: they have."""
    clock = WallClock(time_floor_s(process.store))
    anchors = Anchors(process.store, process.roots)
    anchors.refresh(clock.now())
    session = _session(process, clock)
    parts = _parts(process, session, anchors, clock)
    agent = Agent(
        process.address, parts, _sources(process, anchors, clock), process.log, process.timings
    )
    session.will = Will(agent.status_topic, agent.offline_status())
    enrolment = EnrolmentRunner(
        process.data, keys=lambda: anchors.trust, now=clock.now, log=process.log
    )
    health_due_s = 0.0

    def step() -> bool:
        nonlocal health_due_s
        changed = parts.settings is not None and parts.settings.wants_restart
        if changed or enrolment.step(time.monotonic()):
            return True
        agent.step()
        if time.monotonic() >= health_due_s:
            _write_health(process.data, agent)
            health_due_s = time.monotonic() + process.timings.health_every_s
        return False

    stopped = run_until_signal(step, stop)
    session.close(Will(agent.status_topic, agent.offline_status()))
    _write_health(process.data, agent)
    process.store.close()
    return not stopped


def _write_health(data: Path, agent: Agent) -> None:
    """Write the state of the process, for people and for Prometheus."""
    report = agent.report()
    write_health(data / HEALTH_FILE, report)
    decoder = decoder_metrics(_rungs(data))
    write_metrics(data / DEVICE_FILE, [*device_metrics(report, now_s=int(time.time())), *decoder])


def _rungs(data: Path) -> tuple[RungReport, ...]:
    """Return what the scanner's decoder has counted."""
    return decoder_counters(read_health(data / SCANNER_HEALTH_FILE))


def _session(process: _Process, clock: WallClock) -> MqttSession:
    address = process.address
    return MqttSession(
        endpoint_of(process.mqtt, address.device),
        device_filters(address.tenant, address.device, address.site),
        uniform=random.uniform,
        now=clock.now,
        backoff=process.timings.reconnect,
    )


def _parts(
    process: _Process, session: MqttSession, anchors: Anchors, clock: WallClock
) -> AgentParts:
    store, address = process.store, process.address

    def keys() -> TrustList:
        return anchors.trust

    refused = RefusedDocuments()  # of the topic that settings and revocation orders share
    return AgentParts(
        store=store,
        session=session,
        uplink=Uplink(
            store,
            address.device,
            window=process.mqtt.window,
            random_bytes=os.urandom,
            timings=process.timings,
        ),
        downlink=_downlink(process, anchors, clock),
        settings=build_applier(
            process.data,
            process.running,
            keys=keys,
            session=session,
            refused=refused,
            monotonic=time.monotonic,
            log=process.log,
        ),
        revocations=RevocationHandler(
            store,
            process.data,
            scope=scope_of(process.running.profile),
            keys=keys,
            refused=refused,
            log=process.log,
        ),
        relay=AuthorisationRelay(store, anchors, device=address.device, site=address.site),
        restores=RestoreRequester(
            store,
            anchors,
            device=address.device,
            site=address.site,
            patience_s=process.timings.restore_patience_s,
        ),
        online_flag=OnlineFlag(process.data),
    )


def _downlink(process: _Process, anchors: Anchors, clock: WallClock) -> Downlink:
    store = process.store

    def vouch(issued_at_s: int) -> None:
        clock.raise_floor(issued_at_s)
        if issued_at_s >= time_floor_s(store) + FLOOR_STEP_S:
            raise_time_floor(store, issued_at_s)

    return Downlink(
        store,
        process.roots,
        anchors,
        device=process.address.device,
        site=process.address.site,
        vouch=vouch,
        limits=_shrink_limits(process.running.profile),
    )


def _sources(process: _Process, anchors: Anchors, clock: WallClock) -> AgentSources:
    policy = process.running.profile.policy

    def problems(now: Instant) -> dict[str, str]:
        feed = feed_state(process.store)
        stale = staleness(
            anchors.trust, anchors.status, feed.last_contact_s, policy=policy, now=now
        )
        return stale | _shrink_problem(feed) | _clock_problem(clock) | disk_problem(process.data)

    return AgentSources(
        now=clock.now,
        monotonic_s=time.monotonic,
        new_id=lambda: uuid7(time.time_ns() // 1_000_000, os.urandom(10)),
        problems=problems,
        rungs=lambda: _rungs(process.data),
        health=ScannerHealthWatch(
            lambda: read_health(process.data / SCANNER_HEALTH_FILE),
            every_s=process.timings.health_every_s,
            silent_s=process.timings.scanner_silent_s,
            monotonic_s=time.monotonic,
        ).health,
    )


def _shrink_limits(profile: Profile) -> ShrinkLimits:
    """Return how many orders the platform may take away before a person confirms it."""
    return ShrinkLimits(percent=profile.orders.shrink_percent, rows=profile.orders.shrink_rows)


def _shrink_problem(feed: FeedState) -> dict[str, str]:
    """Return the problem of a snapshot that waits for a person, name to detail."""
    if feed.dropped is None:
        return {}
    detail = f"the platform no longer names {feed.dropped} orders in use, which stay valid here"
    return {SHRUNK: f"{detail}: import them again, or run edge-hub orders confirm-shrink"}


def _clock_problem(clock: WallClock) -> dict[str, str]:
    """Return the problem of a clock whose time is impossible, name to detail; empty without one."""
    implausible_by_s = clock.implausible_by_s()
    if not implausible_by_s:
        return {}
    days = implausible_by_s // 86_400
    detail = (
        f"{-days} days before what is proved to be past"
        if days < 0
        else f"{days} days after the newest proof"
    )
    return {CLOCK_WRONG: f"the system's clock is {detail}: connect the device to a time server"}


def _load(path: Path, data: Path) -> ActiveProfile:
    running = load_active_profile(path, data)
    if isinstance(running, list):
        count_stop(data)  # the settings on trial are not to blame
        raise click.ClickException("; ".join(f"{path}: {error}" for error in running))
    return running
