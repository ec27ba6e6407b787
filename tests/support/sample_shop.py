"""A small shop for tests: its codes, its orders, and a device's store on a real disk."""

import itertools
import os

from edge.config import FloorLimits, Policy
from edge.domain.decision_facts import DecisionTerms
from edge.domain.entitlement import Entitlement
from edge.domain.order_row import row_of
from edge.domain.redemption_state import DevicePlace
from edge.redemption.redeemer import Redeemer
from edge.store import order_cache, order_pages
from edge.store.ledger_restore import apply_restore_page, restore_state
from edge.store.opening import open_store
from edge.token.claims import Claims, Kind
from edge.values.instant import ClockTrust, Instant

SITE, DEVICE = "site-1", "kiosk-1"
NOON = Instant(unix_s=1_800_000_000)
PLACE = DevicePlace(
    device_id=DEVICE,
    site_id=SITE,
    groups=frozenset({"north"}),
    compartments=frozenset({"A", "B", "C"}),
)
RISKY = Policy(
    offline_unknown="floor_limit",
    offline_site_home="floor_limit",
    floor=FloorLimits(amount_minor=1000, uses_a_day=3, exposure_minor=2000),
)
_numbers = itertools.count(1)


def at(seconds, trust=ClockTrust.TRUSTED):
    """Return the moment ``seconds`` after NOON."""
    return Instant(unix_s=NOON.unix_s + seconds, trust=trust)


def code(**given):
    """Return a verified code: by default a single write-off, valid for an hour either way."""
    fields = {
        "cti": next(_numbers).to_bytes(16, "big"),
        "kid": b"kid1",
        "issuer": "shop",
        "audience": SITE,
        "not_before_s": NOON.unix_s - 3600,
        "expires_at_s": NOON.unix_s + 3600,
        "issued_at_s": None,
        "order_id": "A-1",
        "kind": Kind.WRITE_OFF,
        "quantity": 1,
        "amount_minor": None,
        "currency": None,
        "flags": 0,
        "status_index": None,
        "dynamic_mode": None,
        "holder_key": None,
    }
    return Claims(**{**fields, **given})


def order(claims, **given):
    """Return the entitlement that goes with a code: by default homed on this device, and ready."""
    fields = {
        "cti": claims.cti,
        "order_id": claims.order_id,
        "kind": claims.kind,
        "home_site": SITE,
        "home_device": DEVICE,
        "quantity": claims.quantity,
        "amount_minor": claims.amount_minor,
        "currency": claims.currency,
        "compartments": ("A",) if claims.kind is Kind.PICKUP else (),
    }
    return Entitlement(**{**fields, **given})


INCARNATION = bytes(16)  # of the platform's store


def open_at(folder, *, recovering=False, **given):
    """Open the store in ``folder``; it must open. Unless ``recovering``, nothing is missing."""
    facts = {"device_id": DEVICE, "now_s": NOON.unix_s, "random_bytes": os.urandom, **given}
    opened = open_store(folder, **facts)
    assert opened.store is not None, opened.detail
    if not recovering:
        give_back_nothing(opened.store)
    return opened.store


def give_back_nothing(store):
    """Let the platform reply that it knows of nothing that this store has not: no code is in doubt.

    So what a store redeems, or refuses, is by what it has itself.
    """
    if restore_state(store).after is not None:
        assert apply_restore_page(store, (), after="", following=None)


def deliver(store, *entitlements, now=NOON):
    """Deliver orders from the platform: a first snapshot, or a change to it."""
    state, sold = order_cache.feed_state(store), [row_of(each) for each in entitlements]
    (site,) = {each.home_site for each in entitlements} or {SITE}
    if state.revision == 0:
        done = order_pages.apply_snapshot_page(
            store, sold, site=site, incarnation=INCARNATION, revision=1, page=0, last=True, now=now
        )
        assert done is order_pages.PageResult.COMPLETE
        return
    step = {
        "incarnation": INCARNATION,
        "from_revision": state.revision,
        "to_revision": state.revision + 1,
    }
    assert (
        order_pages.apply_delta(store, sold, site=site, **step, now=now)
        is order_pages.PageResult.APPLIED
    )


def redeemer(store, *, place=PLACE, policy=None, grace_s=60, **given):
    return Redeemer(
        store,
        DecisionTerms(place, policy or Policy(), grace_s),
        random_bytes=os.urandom,
        **given,
    )
