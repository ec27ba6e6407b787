"""How old what this device knows may be: each limit that is passed, by its name. Pure.

The names are those of the sync page and stand in both health files; what a stale list means for a scan is
the verifier's and the decision's to say.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge.config import Policy
from edge.token.status_list import StatusList
from edge.token.trust_list import TrustList
from edge.values.instant import Instant

TRUST_LIST_STALE = "trust_list_stale"
STATUS_STALE = "status_stale"
ORDERS_STALE = "orders_stale"


def staleness(
    trust: TrustList,
    statuses: Mapping[bytes, StatusList],
    heard_s: int | None,
    *,
    policy: Policy,
    now: Instant,
) -> dict[str, str]:
    """What is older than ``policy`` allows: name to detail. What never came is not stale, but missing."""
    found: dict[str, str] = {}
    if trust.keys and trust.is_stale(now, policy.trust_list_max_age_s):
        found[TRUST_LIST_STALE] = _older(
            f"trust list {trust.version}", trust.issued_at_s, policy.trust_list_max_age_s
        )
    old = [
        status for status in statuses.values() if status.is_stale(now, policy.status_list_max_age_s)
    ]
    if old:
        oldest = min(old, key=lambda status: status.issued_at_s)
        found[STATUS_STALE] = _older(
            f"status list of {oldest.kid.hex()}", oldest.issued_at_s, policy.status_list_max_age_s
        )
    if heard_s is not None and now.unix_s - heard_s > policy.orders_max_age_s:
        found[ORDERS_STALE] = _older("the newest word on orders", heard_s, policy.orders_max_age_s)
    return found


def _older(what: str, since_s: int, limit_s: int) -> str:
    return f"{what} is of {since_s}, older than {limit_s} s or expired: connect the device"
