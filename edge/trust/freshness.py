"""Find what is older than the policy allows. Pure.

The names stand in both health files (docs/reference/). What a stale list means for a scan is
decided by the verifier and by ``edge.domain``.
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
    last_contact_s: int | None,
    *,
    policy: Policy,
    now: Instant,
) -> dict[str, str]:
    """Return what is older than ``policy`` allows, as name to detail.

    ``last_contact_s``: Unix seconds of the newest order data, or None if none ever came. A list
    that never came is not stale: it is missing, which is another problem.
    came is not stale: it is missing, which is another problem.
    """
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
    if last_contact_s is not None and now.unix_s - last_contact_s > policy.orders_max_age_s:
        found[ORDERS_STALE] = _older(
            "the newest order data", last_contact_s, policy.orders_max_age_s
        )
    return found


def _older(name: str, since_s: int, limit_s: int) -> str:
    return f"{name} was issued at {since_s}, older than {limit_s} s or expired: connect the device"
