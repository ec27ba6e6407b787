"""Decide whether a believed code may be honoured now.

Every fact the verdict rests on is an argument: no clock, no database, no log.
A journalled scan therefore replays to the same verdict on any machine.
The first rule that fails gives the verdict, most fundamental first (docs/reference/verdicts.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from edge.config import Policy
from edge.domain.decision_input import Case, Decision, case_of, no, operator_fault
from edge.domain.entitlement import OrderStatus
from edge.domain.offline_authority import answer, authority, may_ask, risks
from edge.domain.pickup_continuation import under_way
from edge.domain.roles import Operator
from edge.domain.rule_data import document
from edge.domain.standing import Asked, Place, Standing
from edge.domain.verdict import Verdict
from edge.rules.fault import Cause, Fault
from edge.rules.rule import Failure, Rule, first_failure, parse_logic, parse_rules
from edge.token.claims import Claims, Kind
from edge.values.instant import Instant


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
    case = case_of(claims, standing, place, policy, now, asked, grace_s, operator, utc_offset_s)
    for rule in _RULES:
        failure = rule(case)
        if failure is not None:
            return failure
    return _accept(case)


def _site(case: Case) -> Decision | None:
    here = case.place
    if case.claims.audience != here.site_id and case.claims.audience not in here.groups:
        return no(Verdict.WRONG_SITE, f"the code is for {case.claims.audience}")
    order = case.entitlement
    if order is None:
        return None
    if order.home_device not in (None, here.device_id):
        return no(Verdict.WRONG_SITE, f"homed on device {order.home_device}")
    if order.home_device is None and order.home_site != here.site_id:
        return no(Verdict.WRONG_SITE, f"homed on site {order.home_site}")
    if case.claims.kind is not Kind.PICKUP:
        return None
    strangers = [name for name in order.compartments if name not in here.compartments]
    return (
        no(Verdict.WRONG_SITE, f"compartment {strangers[0]} is not of this device")
        if strangers
        else None
    )


def _kind(case: Case) -> Decision | None:
    kind = case.claims.kind
    if kind not in case.place.kinds:
        return no(Verdict.WRONG_KIND, f"this device does not serve {kind.code}")
    if case.entitlement is not None and case.entitlement.kind is not kind:
        return no(
            Verdict.WRONG_KIND, f"the code says {kind.code}, the order {case.entitlement.kind.code}"
        )
    return None


def _withdrawn(case: Case) -> Decision | None:
    if case.standing.revoked:
        return no(Verdict.REVOKED, "the platform revoked this code")
    if case.standing.campaign_withdrawn:
        return no(
            Verdict.CAMPAIGN_WITHDRAWN,
            f"campaign {case.entitlement.campaign if case.entitlement else ''}",
        )
    return None


def _status(case: Case) -> Decision | None:
    order = case.entitlement
    if order is None:
        return None
    match order.status:
        case OrderStatus.READY | OrderStatus.SHIPPED:
            if (
                case.claims.kind is Kind.PICKUP
                and case.place.compartments
                and not order.compartments
            ):
                return no(Verdict.NOT_READY, "the parcel is in no compartment yet")
            return None
        case OrderStatus.CANCELLED:
            return no(Verdict.ORDER_CANCELLED, "the order was cancelled")
        case OrderStatus.REFUNDED:
            return no(Verdict.ORDER_REFUNDED, "the order was refunded")
        case OrderStatus.AWAITING_PAYMENT:
            return no(Verdict.NOT_PAID, "the order is not paid in full")
        case OrderStatus.PAID:
            return no(Verdict.NOT_READY, "the order is paid and not yet ready")
        case _:
            assert_never(order.status)


def _window(case: Case) -> Decision | None:
    opens_s, closes_s = case.claims.not_before_s, case.claims.expires_at_s
    if case.entitlement is not None:
        opens_s = max(opens_s, case.entitlement.not_before_s)
        closes_s = min(closes_s, case.entitlement.expires_at_s)
    if case.now.unix_s < opens_s:
        return no(Verdict.TOO_EARLY, f"opens at {opens_s}")
    if case.now.unix_s >= closes_s:
        return no(Verdict.EXPIRED, f"expired at {closes_s}")
    return None


def _conditions(case: Case) -> Decision | None:
    """The rules of this device's policy, then those that came with the order. What cannot be read is not met."""
    here = [rule for rule in case.policy.rules if case.claims.kind.code in rule.kinds]
    text = case.entitlement.rules if case.entitlement is not None else None
    if not here and text is None:
        return None
    rules = [Rule(id=rule.id, logic=parse_logic(rule.logic)) for rule in here]
    own = () if text is None else parse_rules(text)
    if isinstance(own, Failure):
        return no(Verdict.RULE_FAILED, str(own))
    rules += own
    if not rules:
        return None
    if case.utc_offset_s is None:
        return no(
            Verdict.RULE_FAILED,
            str(Failure(rules[0].id, Fault(Cause.NO_LOCAL_TIME, case.policy.timezone))),
        )
    failure = first_failure(rules, document(case, case.utc_offset_s))
    return None if failure is None else no(Verdict.RULE_FAILED, str(failure))


def _left(case: Case) -> Decision | None:
    if case.left <= 0 and case.standing.uses:
        last = case.standing.uses[-1]
        where = f"at {last.at_s} on {case.place.device_id}"
        where += ", waits for a second person" if last.review == "pending" else ""
        return Decision(verdict=Verdict.ALREADY_REDEEMED, detail=f"redeemed {where}", prior=last)
    if not 1 <= case.wanted <= case.left:
        return no(Verdict.QUANTITY_EXCEEDED, f"{case.wanted} asked, {max(case.left, 0)} left")
    return None


def _blocked(case: Case) -> Decision | None:
    return (
        None if case.standing.blocked is None else no(Verdict.BLOCKED_DEVICE, case.standing.blocked)
    )


_RULES: tuple[Callable[[Case], Decision | None], ...] = (_site, _kind, _withdrawn, _status, _window)
_RULES += (under_way, _conditions, _left, answer, authority, operator_fault, _blocked)


def _accept(case: Case) -> Decision:
    order, limit = case.entitlement, case.policy.review_above_minor
    review = (order is not None and order.review) or (
        limit is not None and (case.value_minor or 0) > limit
    )
    to_open = (
        order is not None and case.claims.kind is Kind.PICKUP and not review
    )  # no door before the second person
    return Decision(
        verdict=Verdict.ACCEPTED_PENDING_REVIEW if review else Verdict.ACCEPTED,
        units=1 if case.in_parts else case.wanted,
        amount_minor=case.value_minor,
        doors=order.compartments if order is not None and to_open else (),
        risks=risks(case),
        claim=None if case.standing.claimed is None else case.standing.claimed.id,
        ask_home=may_ask(case),
    )
