"""Assembly of what decides on codes: the store, the trust list, the handler. No hardware."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from edge.config import Profile
from edge.domain.decision_facts import DecisionTerms
from edge.domain.redemption_state import place_of
from edge.identity.damage import identity_is_unknown
from edge.identity.identity import UNENROLLED, why_blocked
from edge.operators.sign_in import sign_in_service
from edge.ports import Clock
from edge.redemption.authorisation_client import REPLY_DEADLINE_S
from edge.redemption.redeemer import Redeemer
from edge.redemption.scan_handler import BlockedHandler, VerifyingHandler
from edge.redemption.verification_policy import audiences_of, verify_policy_of
from edge.scanner.daemon import ScanHandler
from edge.settings.active_profile import ActiveProfile
from edge.store.database.store import FILE as STORE_FILE
from edge.store.database.store import Store, StoreUnavailableError
from edge.store.opening import OpenedStore, StoreState, open_store
from edge.store.time_floor import time_floor_s
from edge.system.file_presence import is_missing
from edge.system.health import Health
from edge.system.wall_clock import WallClock, synchronised_by_systemd
from edge.token.roots import Roots
from edge.trust.anchors import Anchors, RootsFileRefusal, load_roots

# 2025-01-01: the least time floor (docs/explanation/time.md).
RELEASED_S: Final = 1_735_689_600
STUCK_AFTER_S: Final = 10.0  # below the unit's WatchdogSec


@contextmanager
def open_handler(running: ActiveProfile, data: Path) -> Iterator[tuple[ScanHandler, Clock]]:
    """Give what decides on codes, and its clock, while no scanner runs. No hardware is touched."""
    profile, health = running.profile, Health(limit_s=STUCK_AFTER_S)
    with ExitStack() as releases:
        opened = opened_store(profile, data, health, releases)
        clock = WallClock(known_floor_s(opened.store), synchronised=synchronised_by_systemd)
        blocked = why_blocked(data) or running.damage
        if blocked:
            yield BlockedHandler(blocked), clock
            return
        anchors = device_anchors(profile, opened.store, clock, health)
        yield code_handler(profile, opened.store, anchors, opened.detail), clock


def store_folder(profile: Profile, data: Path) -> Path:
    """Return the store's folder; a device without a usable identity gets a throw-away one."""
    new = is_missing(Path(profile.trust.roots_file)) and is_missing(data / STORE_FILE)
    return data if not new and not identity_is_unknown(data) else data / UNENROLLED


def opened_store(profile: Profile, data: Path, health: Health, releases: ExitStack) -> OpenedStore:
    """Open the device's store. What is wrong with it is a problem in ``health``."""
    opened = _open(profile, store_folder(profile, data))
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


def store_opens(profile: Profile, data: Path) -> bool:
    """Return whether the store can be used again."""
    store = _open(profile, data).store
    if store is not None:
        store.close()
    return store is not None


def known_floor_s(store: Store | None) -> int:
    """Return the time floor of the store, or of the build."""
    try:
        return RELEASED_S if store is None else time_floor_s(store)
    except StoreUnavailableError:
        return RELEASED_S  # the supervisor meets it again, and names it


def device_anchors(
    profile: Profile, store: Store | None, clock: WallClock, health: Health
) -> Anchors | None:
    """Return what the device trusts; None without a store. Faults are in ``health``."""
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


def code_handler(
    profile: Profile, store: Store | None, anchors: Anchors | None, detail: str
) -> VerifyingHandler:
    """Return what decides on codes; ``detail`` says why there is no store."""
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
