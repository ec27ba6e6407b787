"""The data that a rule sees: the facts of one scan as a JSON document.

docs/reference/rules.md has the table. Every value comes from the scan journal, so that a scan
replays to the same verdict.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from edge.config import Policy
from edge.domain.entitlement import Entitlement
from edge.domain.redemption_state import DevicePlace, RedemptionState, RequestedUse, Use
from edge.domain.roles import Operator
from edge.token.claims import Claims
from edge.values.civil_date import civil_from_days
from edge.values.instant import Instant

_DAY_S: Final = 86_400


class ScanContext(Protocol):
    """The input of ``decide`` and its sums."""

    @property
    def claims(self) -> Claims:
        """The claims of the code."""
        ...

    @property
    def state(self) -> RedemptionState:
        """The store's state of the code."""
        ...

    @property
    def place(self) -> DevicePlace:
        """This device."""
        ...

    @property
    def policy(self) -> Policy:
        """The configured policy."""
        ...

    @property
    def now(self) -> Instant:
        """The time of the scan."""
        ...

    @property
    def requested(self) -> RequestedUse:
        """The requested use."""
        ...

    @property
    def operator(self) -> Operator | None:
        """The signed-in operator."""
        ...

    @property
    def value_minor(self) -> int | None:
        """The value of this redemption, in minor units."""
        ...


def rule_data(scan: ScanContext, utc_offset_s: int) -> dict[str, Any]:
    """Return the data of a scan at a site whose clocks are ``utc_offset_s`` ahead of UTC."""
    claims, order, operator = scan.claims, scan.state.entitlement, scan.operator
    return {
        "now": _now(scan.now, utc_offset_s),
        "kind": claims.kind.code,
        "order": _order(claims, order),
        "requested": {"units": scan.requested.units, "amount_minor": scan.value_minor},
        "uses": _uses(scan.state, scan.now, utc_offset_s, scan.place.device_id),
        "device": {
            "id": scan.place.device_id,
            "site": scan.place.site_id,
            "groups": sorted(scan.place.groups),
            "products": list(scan.policy.products),
        },
        "operator": None if operator is None else {"id": operator.id, "role": operator.role.value},
    }


def _now(now: Instant, utc_offset_s: int) -> dict[str, Any]:
    days, second_of_day = divmod(now.unix_s + utc_offset_s, _DAY_S)
    year, month, day = civil_from_days(days)
    minute_of_day = second_of_day // 60
    sign, offset_min = "-" if utc_offset_s < 0 else "+", abs(utc_offset_s) // 60
    date = f"{year:04}-{month:02}-{day:02}"
    clock = f"{minute_of_day // 60:02}:{minute_of_day % 60:02}:{second_of_day % 60:02}"
    offset = f"{sign}{offset_min // 60:02}:{offset_min % 60:02}"
    return {
        "unix_s": now.unix_s,
        "iso": f"{date}T{clock}{offset}",
        "date": date,
        "year": year,
        "month": month,
        "day": day,
        "weekday": (days + 3) % 7 + 1,  # 1 Monday to 7 Sunday (ISO 8601); 1970-01-01 was a Thursday
        "minute_of_day": minute_of_day,
        "clock": now.trust.value,
    }


def _order(claims: Claims, order: Entitlement | None) -> dict[str, Any]:
    """Return the order's data: the token's, and the platform's if the line is in the cache."""
    data: dict[str, Any] = {
        "id": claims.order_id,
        "cached": order is not None,
        "quantity": claims.quantity,
        "amount_minor": claims.amount_minor,
        "currency": claims.currency,
        "status": None,
        "campaign": None,
        "subject": None,
        "compartments": [],
    }
    if order is not None:
        data |= {
            "quantity": min(claims.quantity, order.quantity),
            "status": order.status.value,
            "campaign": order.campaign,
            "subject": order.subject,
            "compartments": list(order.compartments),
        }
    return data


def _uses(state: RedemptionState, now: Instant, utc_offset_s: int, device: str) -> dict[str, Any]:
    """Return how this code was redeemed on this device, without reversed redemptions."""
    uses: list[Use] = [*state.uses, *(use for use in state.restored if use.device == device)]
    today = (now.unix_s + utc_offset_s) // _DAY_S
    last = max((use.at_s for use in uses), default=None)
    return {
        "count": len(uses),
        "units": sum(use.units for use in uses),
        "today": sum((use.at_s + utc_offset_s) // _DAY_S == today for use in uses),
        "seconds_since_last": None if last is None else now.unix_s - last,
    }
