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
from edge.domain.offline_authority import (
    authorisation_of,
    authority_of,
    may_request_grant,
    risks,
    used_elsewhere,
)
from edge.domain.pickup_continuation import continue_pickup
from edge.domain.redemption_state import LocalRedemption, RestoredRedemption, Use
from edge.domain.rule_data import rule_data
from edge.domain.verdict import Verdict
from edge.rules.fault import RuleFault, RuleFaultCause
from edge.rules.rule import Rule, RuleFailure, first_failure, parse_logic, parse_rules
from edge.token.claims import Kind


def decide(facts: DecisionFacts, terms: DecisionTerms) -> Decision:
    """Return the verdict on the code that ``facts`` are about. Total: never raises."""
    inputs = build_input(facts, terms)
    for rule in _RULES:
        failure = rule(inputs)
        if failure is not None:
            return failure
    return _accept(inputs)


def _site(inputs: DecisionInput) -> Decision | None:
    here = inputs.place
    if inputs.claims.audience != here.site_id and inputs.claims.audience not in here.groups:
        return refusal(Verdict.WRONG_SITE, f"the code is for {inputs.claims.audience}")
    order = inputs.entitlement
    if order is None:
        return None
    if order.home_device not in (None, here.device_id):
        return refusal(Verdict.WRONG_SITE, f"homed on device {order.home_device}")
    if order.home_device is None and order.home_site != here.site_id:
        return refusal(Verdict.WRONG_SITE, f"homed on site {order.home_site}")
    if inputs.claims.kind is not Kind.PICKUP:
        return None
    strangers = [name for name in order.compartments if name not in here.compartments]
    return (
        refusal(Verdict.WRONG_SITE, f"compartment {strangers[0]} is not part of this device")
        if strangers
        else None
    )


def _kind(inputs: DecisionInput) -> Decision | None:
    kind = inputs.claims.kind
    if kind not in inputs.place.kinds:
        return refusal(Verdict.WRONG_KIND, f"this device does not serve {kind.code}")
    if inputs.entitlement is not None and inputs.entitlement.kind is not kind:
        return refusal(
            Verdict.WRONG_KIND,
            f"the code says {kind.code}, the order {inputs.entitlement.kind.code}",
        )
    return None


def _agreement(inputs: DecisionInput) -> Decision | None:
    """Refuse a code whose order line names another order, currency or amount.

    One of the two is wrong, and this device cannot know which.
    """
    claims, order = inputs.claims, inputs.entitlement
    if order is None:
        return None
    pairs = {
        "order": (claims.order_id, order.order_id),
        "currency": (claims.currency, order.currency),
        "amount": (claims.amount_minor, order.amount_minor),
    }
    for name, (in_code, in_line) in pairs.items():
        if in_code != in_line and None not in (in_code, in_line):
            return refusal(
                Verdict.DATA_ERROR, f"the {name} is {in_code} in the code, {in_line} in the order"
            )
    return None


def _withdrawn(inputs: DecisionInput) -> Decision | None:
    if inputs.state.revoked:
        return refusal(Verdict.REVOKED, "the platform revoked this code")
    if inputs.state.campaign_withdrawn:
        return refusal(
            Verdict.CAMPAIGN_WITHDRAWN,
            f"campaign {inputs.entitlement.campaign if inputs.entitlement else ''}",
        )
    return None


def _status(inputs: DecisionInput) -> Decision | None:
    order = inputs.entitlement
    if order is None:
        return None
    match order.status:
        case OrderStatus.READY | OrderStatus.SHIPPED:
            if (
                inputs.claims.kind is Kind.PICKUP
                and inputs.place.compartments
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


def _window(inputs: DecisionInput) -> Decision | None:
    opens_s, closes_s = inputs.claims.not_before_s, inputs.claims.expires_at_s
    if inputs.entitlement is not None:
        opens_s = max(opens_s, inputs.entitlement.not_before_s)
        closes_s = min(closes_s, inputs.entitlement.expires_at_s)
    if inputs.now.unix_s < opens_s:
        return refusal(Verdict.TOO_EARLY, f"opens at {opens_s}")
    if inputs.now.unix_s >= closes_s:
        return refusal(Verdict.EXPIRED, f"expired at {closes_s}")
    return None


def _conditions(inputs: DecisionInput) -> Decision | None:
    """Apply the rules of the policy, then those of the order. An unreadable rule is not met."""
    here = [rule for rule in inputs.policy.rules if inputs.claims.kind.code in rule.kinds]
    text = inputs.entitlement.rules if inputs.entitlement is not None else None
    if not here and text is None:
        return None
    rules = [Rule(id=rule.id, logic=parse_logic(rule.logic)) for rule in here]
    own = () if text is None else parse_rules(text)
    if isinstance(own, RuleFailure):
        return refusal(Verdict.RULE_FAILED, str(own))
    rules += own
    if not rules:
        return None
    if inputs.utc_offset_s is None:
        return refusal(
            Verdict.RULE_FAILED,
            str(
                RuleFailure(
                    rules[0].id, RuleFault(RuleFaultCause.NO_LOCAL_TIME, inputs.policy.timezone)
                )
            ),
        )
    failure = first_failure(rules, rule_data(inputs, inputs.utc_offset_s))
    return None if failure is None else refusal(Verdict.RULE_FAILED, str(failure))


def _left(inputs: DecisionInput) -> Decision | None:
    if inputs.left <= 0 and (inputs.state.uses or inputs.state.restored):
        return _already_redeemed(inputs)
    reply = inputs.state.authorisation
    if inputs.left <= 0 and reply is not None and (reply.used or reply.used_minor):
        return refusal(Verdict.ALREADY_REDEEMED, used_elsewhere(reply))
    if not 1 <= inputs.wanted <= inputs.left:
        return refusal(
            Verdict.QUANTITY_EXCEEDED, f"{inputs.wanted} requested, {max(inputs.left, 0)} left"
        )
    return None


def _already_redeemed(inputs: DecisionInput) -> Decision:
    """Refuse with when and where. Another device's restored use may be reversed by now: ask."""
    state, here = inputs.state, inputs.place.device_id
    uses: list[Use] = [*state.restored, *state.uses]
    last = max(uses, key=lambda use: use.at_s)
    where = f"at {last.at_s} on {last.device if isinstance(last, RestoredRedemption) else here}"
    if isinstance(last, LocalRedemption) and last.review == "pending":
        where += ", waits for a second person"
    elsewhere = any(use.device != here for use in state.restored)
    return Decision(
        verdict=Verdict.ALREADY_REDEEMED,
        detail=f"redeemed {where}",
        prior=last,
        request_grant=elsewhere and state.authorisation is None,
    )


def _blocked(inputs: DecisionInput) -> Decision | None:
    return (
        None
        if inputs.state.blocked is None
        else refusal(Verdict.BLOCKED_DEVICE, inputs.state.blocked)
    )


_RULES: tuple[Callable[[DecisionInput], Decision | None], ...] = (
    _site,
    _kind,
    _agreement,
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


def _accept(inputs: DecisionInput) -> Decision:
    order, limit = inputs.entitlement, inputs.policy.review_above_minor
    review = (order is not None and order.review) or (
        limit is not None and (inputs.value_minor or 0) > limit
    )
    # No door opens before the second person has approved.
    to_open = order is not None and inputs.claims.kind is Kind.PICKUP and not review
    return Decision(
        verdict=Verdict.ACCEPTED_PENDING_REVIEW if review else Verdict.ACCEPTED,
        units=1 if inputs.in_parts else inputs.wanted,
        amount_minor=inputs.value_minor,
        doors=order.compartments if order is not None and to_open else (),
        risks=risks(inputs),
        claim=None if inputs.state.authorisation is None else inputs.state.authorisation.id,
        request_grant=may_request_grant(inputs),
    )
