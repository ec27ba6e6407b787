"""Decide whether a verified code may be redeemed now.

Every fact the verdict rests on is an argument: no clock, no database, no log.
A journalled scan therefore replays to the same verdict on any machine.
The first rule that fails gives the verdict, most fundamental first (docs/reference/verdicts.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from edge.domain.decision_facts import DecisionFacts, DecisionTerms
from edge.domain.decision_input import Decision, DecisionInput, build_input, operator_fault, refusal
from edge.domain.entitlement import OrderStatus
from edge.domain.offline_authority import authorisation_of, authority_of, may_ask, risks
from edge.domain.pickup_continuation import continue_pickup
from edge.domain.rule_data import rule_data
from edge.domain.verdict import Verdict
from edge.rules.fault import RuleFault, RuleFaultCause
from edge.rules.rule import Rule, RuleFailure, first_failure, parse_logic, parse_rules
from edge.token.claims import Kind


def decide(facts: DecisionFacts, terms: DecisionTerms) -> Decision:
    """Return the verdict on the code that ``facts`` are about. Total: never raises."""
    case = build_input(facts, terms)
    for rule in _RULES:
        failure = rule(case)
        if failure is not None:
            return failure
    return _accept(case)


def _site(case: DecisionInput) -> Decision | None:
    here = case.place
    if case.claims.audience != here.site_id and case.claims.audience not in here.groups:
        return refusal(Verdict.WRONG_SITE, f"the code is for {case.claims.audience}")
    order = case.entitlement
    if order is None:
        return None
    if order.home_device not in (None, here.device_id):
        return refusal(Verdict.WRONG_SITE, f"homed on device {order.home_device}")
    if order.home_device is None and order.home_site != here.site_id:
        return refusal(Verdict.WRONG_SITE, f"homed on site {order.home_site}")
    if case.claims.kind is not Kind.PICKUP:
        return None
    strangers = [name for name in order.compartments if name not in here.compartments]
    return (
        refusal(Verdict.WRONG_SITE, f"compartment {strangers[0]} is not part of this device")
        if strangers
        else None
    )


def _kind(case: DecisionInput) -> Decision | None:
    kind = case.claims.kind
    if kind not in case.place.kinds:
        return refusal(Verdict.WRONG_KIND, f"this device does not serve {kind.code}")
    if case.entitlement is not None and case.entitlement.kind is not kind:
        return refusal(
            Verdict.WRONG_KIND, f"the code says {kind.code}, the order {case.entitlement.kind.code}"
        )
    return None


def _withdrawn(case: DecisionInput) -> Decision | None:
    if case.state.revoked:
        return refusal(Verdict.REVOKED, "the platform revoked this code")
    if case.state.campaign_withdrawn:
        return refusal(
            Verdict.CAMPAIGN_WITHDRAWN,
            f"campaign {case.entitlement.campaign if case.entitlement else ''}",
        )
    return None


def _status(case: DecisionInput) -> Decision | None:
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
                return refusal(Verdict.NOT_READY, "the parcel is in no compartment yet")
            return None
        case OrderStatus.CANCELLED:
            return refusal(Verdict.ORDER_CANCELLED, "the order was cancelled")
        case OrderStatus.REFUNDED:
            return refusal(Verdict.ORDER_REFUNDED, "the order was refunded")
        case OrderStatus.AWAITING_PAYMENT:
            return refusal(Verdict.NOT_PAID, "the order is not paid in full")
        case OrderStatus.PAID:
            return refusal(Verdict.NOT_READY, "the order is paid and not yet ready")
        case _:
            assert_never(order.status)


def _window(case: DecisionInput) -> Decision | None:
    opens_s, closes_s = case.claims.not_before_s, case.claims.expires_at_s
    if case.entitlement is not None:
        opens_s = max(opens_s, case.entitlement.not_before_s)
        closes_s = min(closes_s, case.entitlement.expires_at_s)
    if case.now.unix_s < opens_s:
        return refusal(Verdict.TOO_EARLY, f"opens at {opens_s}")
    if case.now.unix_s >= closes_s:
        return refusal(Verdict.EXPIRED, f"expired at {closes_s}")
    return None


def _conditions(case: DecisionInput) -> Decision | None:
    """Apply the rules of the policy, then those of the order. An unreadable rule is not met."""
    here = [rule for rule in case.policy.rules if case.claims.kind.code in rule.kinds]
    text = case.entitlement.rules if case.entitlement is not None else None
    if not here and text is None:
        return None
    rules = [Rule(id=rule.id, logic=parse_logic(rule.logic)) for rule in here]
    own = () if text is None else parse_rules(text)
    if isinstance(own, RuleFailure):
        return refusal(Verdict.RULE_FAILED, str(own))
    rules += own
    if not rules:
        return None
    if case.utc_offset_s is None:
        return refusal(
            Verdict.RULE_FAILED,
            str(
                RuleFailure(
                    rules[0].id, RuleFault(RuleFaultCause.NO_LOCAL_TIME, case.policy.timezone)
                )
            ),
        )
    failure = first_failure(rules, rule_data(case, case.utc_offset_s))
    return None if failure is None else refusal(Verdict.RULE_FAILED, str(failure))


def _left(case: DecisionInput) -> Decision | None:
    if case.left <= 0 and case.state.uses:
        last = case.state.uses[-1]
        where = f"at {last.at_s} on {case.place.device_id}"
        where += ", waits for a second person" if last.review == "pending" else ""
        return Decision(verdict=Verdict.ALREADY_REDEEMED, detail=f"redeemed {where}", prior=last)
    if not 1 <= case.wanted <= case.left:
        return refusal(
            Verdict.QUANTITY_EXCEEDED, f"{case.wanted} requested, {max(case.left, 0)} left"
        )
    return None


def _blocked(case: DecisionInput) -> Decision | None:
    return (
        None if case.state.blocked is None else refusal(Verdict.BLOCKED_DEVICE, case.state.blocked)
    )


_RULES: tuple[Callable[[DecisionInput], Decision | None], ...] = (
    _site,
    _kind,
    _withdrawn,
    _status,
    _window,
    continue_pickup,
    _conditions,
    _left,
    authorisation_of,
    authority_of,
    operator_fault,
    _blocked,
)


def _accept(case: DecisionInput) -> Decision:
    order, limit = case.entitlement, case.policy.review_above_minor
    review = (order is not None and order.review) or (
        limit is not None and (case.value_minor or 0) > limit
    )
    # No door opens before the second person has approved.
    to_open = order is not None and case.claims.kind is Kind.PICKUP and not review
    return Decision(
        verdict=Verdict.ACCEPTED_PENDING_REVIEW if review else Verdict.ACCEPTED,
        units=1 if case.in_parts else case.wanted,
        amount_minor=case.value_minor,
        doors=order.compartments if order is not None and to_open else (),
        risks=risks(case),
        claim=None if case.state.authorisation is None else case.state.authorisation.id,
        ask_home=may_ask(case),
    )
