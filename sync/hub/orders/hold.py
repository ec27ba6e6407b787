"""Whether the hub is held: its store has less history than the devices report.

A store that was lost and made anew, or put back from an older copy, would empty the fleet's order
caches and grant what is redeemed. So while more than a share of the devices report what it does not
have, it takes events, and sends no orders and no grants, until a named person resumes it. That
begins a new incarnation, so that no revision of before is compared with one of after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.values.errors import EdgeError
from sync.hub.store import event_table, feed_table, incarnation_table, status_table
from sync.hub.store.incarnation_table import Claim, Resumption, new_incarnation
from sync.hub.store.interface import HubConnection
from sync.wire.messages import OrdersRequest, Status

CLAIMS_COUNT_S: Final = 86_400  # a report counts for so long
PLAUSIBLE_S: Final = 366 * 86_400  # no hub's clock is further ahead: such a report is a lie
_ORDERS: Final = "orders"
_EVENTS: Final = "events"
_NAMED: Final = 5  # devices in the detail of a hold


class NotHeldError(EdgeError):
    """There is nothing to resume."""


@dataclass(frozen=True, slots=True)
class HoldRule:
    """The hub is held when more than this share of the devices heard report more than it has."""

    above_percent: int = 10


def is_held(connection: HubConnection) -> bool:
    """Return whether the hub sends no orders and no grants."""
    return incarnation_table.hold_of(connection) is not None


def check_request(
    connection: HubConnection, request: OrdersRequest, *, site: str, rule: HoldRule, now_s: int
) -> bool:
    """Return whether ``request`` can be served: the hub is not held, and has what it names."""
    claimed = max(request.have, request.snapshot)
    served = _check_orders(
        connection, request.dev, request.incarnation, claimed, site=site, now_s=now_s
    )
    _hold_if_due(connection, rule, now_s)
    return served and not is_held(connection)


def check_status(
    connection: HubConnection, status: Status, *, site: str | None, rule: HoldRule, now_s: int
) -> None:
    """Compare what a device reports with the store. Call it before the status is recorded."""
    if site is not None:
        _check_orders(
            connection,
            status.dev,
            status.incarnation,
            status.orders_revision,
            site=site,
            now_s=now_s,
        )
    _check_events(connection, status, now_s)
    _hold_if_due(connection, rule, now_s)


def resume(connection: HubConnection, *, by: str, reason: str, now_s: int) -> bytes:
    """Serve again, in a new incarnation; return it. Raises NotHeldError."""
    held = incarnation_table.hold_of(connection)
    claims = incarnation_table.open_claims(connection, since_s=0)
    if held is None and not claims:
        raise NotHeldError("the hub is not held, and no device reports more than it has")
    cause = held[1] if held is not None else _named(claims)
    incarnation = _after(incarnation_table.present_incarnation(connection), claims, now_s)
    incarnation_table.add_incarnation(
        connection, incarnation, began_s=now_s, resumption=Resumption(by, reason, cause)
    )
    incarnation_table.accept_claims(connection)
    incarnation_table.delete_hold(connection)
    return incarnation


def _check_orders(
    connection: HubConnection, dev: str, incarnation: str, revision: int, *, site: str, now_s: int
) -> bool:
    """Compare a device's orders with this hub's. Return whether it can be sent what is newer."""
    if not incarnation:
        return True
    ours = incarnation_table.present_incarnation(connection).hex()
    if incarnation == ours:
        feed = feed_table.feed_of(connection, site)
        head = 0 if feed is None else feed.head
        ahead, served = revision > head, revision <= head
        detail = f"it has orders of revision {revision}, the newest here is {head}"
    else:
        # An older incarnation is no news to a hub that was resumed: it is what was lost.
        older = incarnation < ours
        ahead = not older or incarnation_table.last_resumed_s(connection) is None
        served = older
        detail = "it has orders of another store"
    if ahead:
        claim = Claim(dev, _ORDERS, incarnation, revision, detail, now_s)
        incarnation_table.put_claim(connection, claim, accepted=False)
    else:
        incarnation_table.delete_open_claim(connection, dev, _ORDERS)
    return served


def _check_events(connection: HubConnection, status: Status, now_s: int) -> None:
    dev, epoch, claimed = status.dev, status.epoch, status.acknowledged_through
    committed = event_table.committed_through(connection, dev, epoch) or 0
    if claimed <= committed:
        incarnation_table.delete_open_claim(connection, dev, _EVENTS)
    elif claimed > incarnation_table.accepted_through(connection, dev, _EVENTS, epoch):
        detail = f"it holds event {claimed} as acknowledged, the newest here is {committed}"
        claim = Claim(dev, _EVENTS, epoch, claimed, detail, now_s)
        lost_before = _is_first_since_resumption(connection, dev)
        incarnation_table.put_claim(connection, claim, accepted=lost_before)


def _is_first_since_resumption(connection: HubConnection, dev: str) -> bool:
    """Return whether a person has resumed the hub since it last heard from a device."""
    resumed_s = incarnation_table.last_resumed_s(connection)
    if resumed_s is None:
        return False
    status = status_table.status_of(connection, dev)
    return status is None or status[1] <= resumed_s


def _hold_if_due(connection: HubConnection, rule: HoldRule, now_s: int) -> None:
    claims = incarnation_table.open_claims(connection, since_s=now_s - CLAIMS_COUNT_S)
    devices = {claim.dev for claim in claims}
    if not devices or is_held(connection):
        return
    heard = max(status_table.count_statuses(connection), len(devices))
    if 100 * len(devices) > rule.above_percent * heard:
        incarnation_table.put_hold(connection, since_s=now_s, detail=_named(claims))


def _named(claims: list[Claim]) -> str:
    """Return what devices report, for a person."""
    first = "; ".join(f"{claim.dev}: {claim.detail}" for claim in claims[:_NAMED])
    more = len({claim.dev for claim in claims}) - len({claim.dev for claim in claims[:_NAMED]})
    return first + (f"; and {more} more devices" if more else "")


def _after(present: bytes, claims: list[Claim], now_s: int) -> bytes:
    """Return an incarnation that is later than the present one and than those that devices have."""
    claimed = (bytes.fromhex(claim.numbering) for claim in claims if claim.kind == _ORDERS)
    latest_ms = (now_s + PLAUSIBLE_S) * 1000
    known_ms = (_unix_ms(id) for id in (present, *claimed))
    return new_incarnation(max([now_s * 1000, *(ms + 1 for ms in known_ms if ms < latest_ms)]))


def _unix_ms(incarnation: bytes) -> int:
    """Return the time in a UUIDv7 (RFC 9562 section 5.7)."""
    return int.from_bytes(incarnation[:6], "big")
