"""Decide whether a believed code may be honoured now.

Every fact the verdict rests on is an argument: no clock, no database, no log.
A journalled scan therefore replays to the same verdict on any machine.
The first rule that fails gives the verdict, most fundamental first (REDEMPTION, "Verdicts").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, assert_never

from edge.claim_result import ClaimResult
from edge.config import Policy
from edge.entitlement import Entitlement, OrderStatus
from edge.instant import ClockTrust, Instant
from edge.operators.roles import Act, Operator, may
from edge.rules.document import document
from edge.rules.evaluate import Dialect
from edge.rules.fault import Cause, Fault
from edge.rules.rule import Failure, Rule, first_failure, parse_logic, parse_rules
from edge.standing import Asked, Place, Standing, Use
from edge.token.claims import Claims, Kind
from edge.verdict import Verdict


class Risk(StrEnum):
    """What was not certain when a code was honoured. Every one is in the event."""

    NOT_IN_CACHE = "not_in_cache"  # a good signature, and nothing else known
    SITE_HOME = "site_home"  # another device of the site may have honoured it meanwhile
    CLOCK_FLOOR_ONLY = "clock_floor_only"  # it may have expired already
    ORDERS_STALE = "orders_stale"  # it may have been cancelled meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict with its reason, and when honoured, exactly what."""

    verdict: Verdict
    detail: str = ""  # in English, for the log; no personal data
    units: int = 0
    amount_minor: int | None = None
    doors: tuple[str, ...] = ()  # compartments to open, in this order
    continues: Use | None = None  # a pickup under way: no new use, only its doors
    reopening: bool = False  # those doors were opened before
    risks: tuple[Risk, ...] = ()
    prior: Use | None = None  # with ALREADY_REDEEMED: when
    claim: str | None = None  # the claim that it rests on
    ask_home: bool = False  # whoever has authority over it could say more: worth a claim while online


def decide(
    claims: Claims,
    standing: Standing,
    *,
    place: Place,
    policy: Policy,
    now: Instant,
    asked: Asked = Asked(),  # noqa: B008 - immutable
    grace_s: float = 0,
    operator: Operator | None = None,
    utc_offset_s: int | None = 0,
) -> Decision:
    """Return the verdict on ``claims``. Total: never raises.

    ``grace_s``: how long a pickup's door may be reopened. ``operator``: who is signed in.
    ``utc_offset_s``: how far the site's clocks are ahead of UTC, for rules; None where that is not known.
    """
    case = _case(claims, standing, place, policy, now, asked, grace_s, operator, utc_offset_s)
    for rule in _RULES:
        failure = rule(case)
        if failure is not None:
            return failure
    return _accept(case)


class _Case(NamedTuple):
    """The facts, and the sums that several rules need, done once: this is on the way of every scan."""

    claims: Claims
    standing: Standing
    entitlement: Entitlement | None
    place: Place
    policy: Policy
    now: Instant
    asked: Asked
    grace_s: float
    operator: Operator | None
    utc_offset_s: int | None
    in_parts: bool  # a single voucher with a value is used up by amount; anything else by count
    left: int  # units left, or minor units of money for a voucher in parts
    wanted: int  # in the same measure
    value_minor: int | None  # what this redemption is worth


def _case(  # noqa: PLR0917 - positional for speed
    claims: Claims,
    standing: Standing,
    place: Place,
    policy: Policy,
    now: Instant,
    asked: Asked,
    grace_s: float,
    operator: Operator | None,
    utc_offset_s: int | None,
) -> _Case:
    """Do the sums. Never more than was signed, and less where the platform now says less."""
    order = standing.entitlement
    units, minor = claims.quantity, claims.amount_minor
    if order is not None:
        units = min(units, order.quantity)
        if order.amount_minor is not None:
            minor = order.amount_minor if minor is None else min(minor, order.amount_minor)
    in_parts = units == 1 and bool(minor) and claims.kind is Kind.WRITE_OFF
    if in_parts:
        left = (minor or 0) - sum(use.amount_minor or 0 for use in standing.uses)
        left -= 0 if standing.claimed is None else standing.claimed.used_minor
        wanted = left if asked.amount_minor is None else asked.amount_minor
        value_minor: int | None = wanted
    else:
        left = units - sum(use.units for use in standing.uses)
        left -= 0 if standing.claimed is None else standing.claimed.used
        wanted = asked.units
        value_minor = None if minor is None else minor * wanted // max(units, 1)
    return _Case(
        claims,
        standing,
        order,
        place,
        policy,
        now,
        asked,
        grace_s,
        operator,
        utc_offset_s,
        in_parts,
        left,
        wanted,
        value_minor,
    )


def _no(verdict: Verdict, detail: str) -> Decision:
    return Decision(verdict=verdict, detail=detail)


def _site(case: _Case) -> Decision | None:
    here = case.place
    if case.claims.audience != here.site_id and case.claims.audience not in here.groups:
        return _no(Verdict.WRONG_SITE, f"the code is for {case.claims.audience}")
    order = case.entitlement
    if order is None:
        return None
    if order.home_device not in (None, here.device_id):
        return _no(Verdict.WRONG_SITE, f"homed on device {order.home_device}")
    if order.home_device is None and order.home_site != here.site_id:
        return _no(Verdict.WRONG_SITE, f"homed on site {order.home_site}")
    strangers = [name for name in order.compartments if name not in here.compartments]
    if case.claims.kind is Kind.PICKUP and strangers:
        return _no(Verdict.WRONG_SITE, f"compartment {strangers[0]} is not of this device")
    return None


def _kind(case: _Case) -> Decision | None:
    kind = case.claims.kind
    if kind not in case.place.kinds:
        return _no(Verdict.WRONG_KIND, f"this device does not serve {kind.code}")
    if case.entitlement is not None and case.entitlement.kind is not kind:
        return _no(Verdict.WRONG_KIND, f"the code says {kind.code}, the order {case.entitlement.kind.code}")
    return None


def _withdrawn(case: _Case) -> Decision | None:
    if case.standing.revoked:
        return _no(Verdict.REVOKED, "the platform revoked this code")
    if case.standing.campaign_withdrawn:
        return _no(Verdict.CAMPAIGN_WITHDRAWN, f"campaign {case.entitlement.campaign if case.entitlement else ''}")
    return None


def _status(case: _Case) -> Decision | None:
    order = case.entitlement
    if order is None:
        return None
    match order.status:
        case OrderStatus.CANCELLED:
            return _no(Verdict.ORDER_CANCELLED, "the order was cancelled")
        case OrderStatus.REFUNDED:
            return _no(Verdict.ORDER_REFUNDED, "the order was refunded")
        case OrderStatus.AWAITING_PAYMENT:
            return _no(Verdict.NOT_PAID, "the order is not paid in full")
        case OrderStatus.PAID:
            return _no(Verdict.NOT_READY, "the order is paid and not yet ready")
        case OrderStatus.READY | OrderStatus.SHIPPED:
            if case.claims.kind is Kind.PICKUP and case.place.compartments and not order.compartments:
                return _no(Verdict.NOT_READY, "the parcel is in no compartment yet")
            return None
        case _:
            assert_never(order.status)


def _window(case: _Case) -> Decision | None:
    opens_s, closes_s = case.claims.not_before_s, case.claims.expires_at_s
    if case.entitlement is not None:
        opens_s = max(opens_s, case.entitlement.not_before_s)
        closes_s = min(closes_s, case.entitlement.expires_at_s)
    if case.now.unix_s < opens_s:
        return _no(Verdict.TOO_EARLY, f"opens at {opens_s}")
    if case.now.unix_s >= closes_s:
        return _no(Verdict.EXPIRED, f"expired at {closes_s}")
    return None


def _pickup_under_way(case: _Case) -> Decision | None:
    """A use that is written already: its doors go on, or wait for a second person, or open again within the grace."""
    standing, use = case.standing, case.standing.uses[-1] if case.standing.uses else None
    if case.claims.kind is not Kind.PICKUP or use is None or standing.blocked is not None:
        return None
    going_on: Decision | None
    if use.review == "pending":
        going_on = _goes_on(use, "waits for a second person", verdict=Verdict.ACCEPTED_PENDING_REVIEW)
    elif not standing.doors:
        doors = case.entitlement.compartments if case.entitlement is not None else ()
        going_on = _goes_on(use, "approved", doors) if use.review == "approved" and doors else None
    else:
        going_on = _next_doors(case, use)
    return going_on and (_operator(case) or going_on)


def _next_doors(case: _Case, use: Use) -> Decision | None:
    doors = case.standing.doors
    left = tuple(door.compartment for door in doors if door.emptied is False and not door.live)
    if left:
        return _goes_on(use, "doors that are left", left)
    live = [door.compartment for door in doors if door.live]
    if live:
        return _goes_on(use, f"under way: {', '.join(live)}")
    again = tuple(door.compartment for door in doors if _within_grace(door.ended_s, case))
    return _goes_on(use, "reopened", again, reopening=True) if again and case.left <= 0 else None


def _goes_on(
    use: Use, detail: str, doors: tuple[str, ...] = (), *, verdict: Verdict = Verdict.ACCEPTED, reopening: bool = False
) -> Decision:
    return Decision(verdict=verdict, detail=detail, doors=doors, continues=use, reopening=reopening)


def _within_grace(ended_s: int | None, case: _Case) -> bool:
    return ended_s is not None and 0 <= case.now.unix_s - ended_s < case.grace_s


def _conditions(case: _Case) -> Decision | None:
    """The rules of this device's policy, then those that came with the order. What cannot be read is not met."""
    here = [rule for rule in case.policy.rules if case.claims.kind.code in rule.kinds]
    text = case.entitlement.rules if case.entitlement is not None else None
    if not here and text is None:
        return None
    rules = [Rule(id=rule.id, logic=parse_logic(rule.logic), dialect=Dialect(rule.dialect)) for rule in here]
    own = () if text is None else parse_rules(text)
    if isinstance(own, Failure):
        return _no(Verdict.RULE_FAILED, str(own))
    rules += own
    if not rules:
        return None
    if case.utc_offset_s is None:
        return _no(Verdict.RULE_FAILED, str(Failure(rules[0].id, Fault(Cause.NO_LOCAL_TIME, case.policy.timezone))))
    failure = first_failure(rules, document(case, case.utc_offset_s))
    return None if failure is None else _no(Verdict.RULE_FAILED, str(failure))


def _left(case: _Case) -> Decision | None:
    if case.left <= 0 and case.standing.uses:
        last = case.standing.uses[-1]
        where = f"at {last.at_s} on {case.place.device_id}"
        where += ", waits for a second person" if last.review == "pending" else ""
        return Decision(verdict=Verdict.ALREADY_REDEEMED, detail=f"redeemed {where}", prior=last)
    if not 1 <= case.wanted <= case.left:
        return _no(Verdict.QUANTITY_EXCEEDED, f"{case.wanted} asked, {max(case.left, 0)} left")
    return None


def _answer(case: _Case) -> Decision | None:
    """What the authority of its home said, where it was asked."""
    claimed = case.standing.claimed
    if claimed is None:
        return None
    match claimed.result:
        case ClaimResult.GRANTED:
            return None
        case ClaimResult.SPENT:
            return _no(Verdict.ALREADY_REDEEMED, f"elsewhere, says {claimed.authority}")
        case ClaimResult.HELD:
            return _no(Verdict.NEEDS_ONLINE, "another device is honouring it now: try again shortly")
        case ClaimResult.NOT_READY:
            return _no(Verdict.NOT_READY, f"says {claimed.authority}")
        case ClaimResult.UNKNOWN:
            return _no(Verdict.WRONG_SITE, f"{claimed.authority} has no such order here")
        case _:
            assert_never(claimed.result)


def _authority(case: _Case) -> Decision | None:
    """Whether this device may honour it: homes, claims and floor limits (REDEMPTION's table)."""
    order, policy = case.entitlement, case.policy
    if order is None and case.claims.kind is Kind.PICKUP and case.place.compartments:
        return _no(Verdict.NEEDS_ONLINE, "not in the cache: the compartment is not known")
    if _may_ask(case):
        if order is None and policy.offline_unknown == "refuse":
            return _ask_home(Verdict.NEEDS_ONLINE, "not in the cache")
        if order is not None and policy.offline_site_home == "refuse":
            return _ask_home(Verdict.NEEDS_ONLINE, "homed on the site: another device may have honoured it")
    if _floor_applies(case):
        over = _over_floor(case)
        if over is not None:
            return Decision(verdict=Verdict.OVER_FLOOR_LIMIT, detail=over, ask_home=_may_ask(case))
    return None


def _ask_home(verdict: Verdict, detail: str) -> Decision:
    return Decision(verdict=verdict, detail=detail, ask_home=True)


def _may_ask(case: _Case) -> bool:
    """Whether another device may have authority over it, and has not been asked."""
    order = case.entitlement
    return (order is None or order.home_device is None) and case.standing.claimed is None


def _floor_applies(case: _Case) -> bool:
    unsure_when = case.now.trust is ClockTrust.FLOOR_ONLY and case.claims.kind.code not in case.policy.floor_only_kinds
    return unsure_when or _may_ask(case)


def _over_floor(case: _Case) -> str | None:
    """Which floor limit this redemption would break, or None (EMV's floor limits for offline cards)."""
    floor, standing, value = case.policy.floor, case.standing, case.value_minor or 0
    if value > floor.amount_minor:
        return f"amount {value} above the floor limit {floor.amount_minor}"
    if standing.exposure.uses_today >= floor.uses_a_day:
        return f"{standing.exposure.uses_today} offline uses today, the limit is {floor.uses_a_day}"
    if standing.exposure.amount_minor + value > floor.exposure_minor:
        return f"exposure would be above {floor.exposure_minor}"
    if standing.heard_s is None or case.now.unix_s - standing.heard_s > floor.longest_offline_s:
        return f"the platform was last heard at {standing.heard_s}"
    return None


def _operator(case: _Case) -> Decision | None:
    """Whoever is signed in must have the right; and for some kinds somebody must be."""
    if case.operator is None:
        kind = case.claims.kind.code
        if kind in case.policy.operator_required_kinds:
            return _no(Verdict.OPERATOR_REQUIRED, f"a {kind} needs somebody signed in")
        return None
    if not may(case.operator.role, Act.REDEEM):
        return _no(Verdict.OPERATOR_FORBIDDEN, f"a {case.operator.role} may not redeem")
    return None


def _blocked(case: _Case) -> Decision | None:
    return None if case.standing.blocked is None else _no(Verdict.BLOCKED_DEVICE, case.standing.blocked)


_RULES: tuple[Callable[[_Case], Decision | None], ...] = (_site, _kind, _withdrawn, _status, _window)
_RULES += (_pickup_under_way, _conditions, _left, _answer, _authority, _operator, _blocked)


def _accept(case: _Case) -> Decision:
    order, limit = case.entitlement, case.policy.review_above_minor
    review = (order is not None and order.review) or (limit is not None and (case.value_minor or 0) > limit)
    to_open = order is not None and case.claims.kind is Kind.PICKUP and not review  # no door before the second person
    return Decision(
        verdict=Verdict.ACCEPTED_PENDING_REVIEW if review else Verdict.ACCEPTED,
        units=1 if case.in_parts else case.wanted,
        amount_minor=case.value_minor,
        doors=order.compartments if order is not None and to_open else (),
        risks=_risks(case),
        claim=None if case.standing.claimed is None else case.standing.claimed.id,
        ask_home=_may_ask(case),
    )


def _risks(case: _Case) -> tuple[Risk, ...]:
    order, heard_s = case.entitlement, case.standing.heard_s
    asked = case.standing.claimed is not None
    risks = []
    if not asked and order is None:
        risks.append(Risk.NOT_IN_CACHE)
    elif not asked and order is not None and order.home_device is None:
        risks.append(Risk.SITE_HOME)
    if case.now.trust is ClockTrust.FLOOR_ONLY:
        risks.append(Risk.CLOCK_FLOOR_ONLY)
    if (
        not asked
        and order is not None
        and (heard_s is None or case.now.unix_s - heard_s > case.policy.orders_max_age_s)
    ):
        risks.append(Risk.ORDERS_STALE)
    return tuple(risks)
