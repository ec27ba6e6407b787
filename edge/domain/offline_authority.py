"""Decide whether this device may redeem a code by itself: homes, grants and floor limits.

docs/explanation/floor-limits.md explains the rules.
"""

from __future__ import annotations

from typing import assert_never

from edge.domain.authorisation import AuthorisationResult
from edge.domain.decision_input import Decision, DecisionInput, Risk, refusal
from edge.domain.redemption_state import OnlineAuthorisation
from edge.domain.verdict import Verdict
from edge.token.claims import Kind
from edge.values.instant import ClockTrust


def authorisation_of(inputs: DecisionInput) -> Decision | None:
    """Apply the reply of the home authority, if there is one. None: no objection."""
    authorisation = inputs.state.authorisation
    if authorisation is None:
        return None
    match authorisation.result:
        case AuthorisationResult.GRANTED:
            return None
        case AuthorisationResult.SPENT:
            return refusal(Verdict.ALREADY_REDEEMED, used_elsewhere(authorisation))
        case AuthorisationResult.HELD:
            return refusal(
                Verdict.NEEDS_ONLINE, "another device is redeeming it now: try again shortly"
            )
        case AuthorisationResult.NOT_READY:
            return refusal(Verdict.NOT_READY, f"reported by {authorisation.authority}")
        case AuthorisationResult.UNKNOWN:
            return refusal(Verdict.WRONG_SITE, f"{authorisation.authority} has no such order here")
        case _:
            assert_never(authorisation.result)


def used_elsewhere(reply: OnlineAuthorisation) -> str:
    """Return when and where another device redeemed a code, as the authority reports it."""
    if not reply.used_s:
        return f"redeemed elsewhere, reports {reply.authority}"
    return f"redeemed at {reply.used_s} on {reply.used_by}, reports {reply.authority}"


def authority_of(inputs: DecisionInput) -> Decision | None:
    """Refuse what this device may not redeem by itself. None: no objection."""
    order, policy = inputs.entitlement, inputs.policy
    if order is None and inputs.claims.kind is Kind.PICKUP and inputs.place.compartments:
        return refusal(Verdict.NEEDS_ONLINE, "not in the cache: the compartment is not known")
    if may_request_grant(inputs):
        if order is None and policy.offline_unknown == "refuse":
            return _needs_grant(Verdict.NEEDS_ONLINE, "not in the cache")
        homed_on_site = order is not None and order.home_device is None
        if homed_on_site and policy.offline_site_home == "refuse":
            return _needs_grant(
                Verdict.NEEDS_ONLINE, "homed on the site: another device may have redeemed it"
            )
        if _is_in_doubt(inputs) and policy.offline_recovering == "refuse":
            return _needs_grant(
                Verdict.NEEDS_ONLINE, "this device has lost its ledger and may have redeemed it"
            )
        over = _over_floor(inputs)
        if over is not None:
            return _needs_grant(Verdict.OVER_FLOOR_LIMIT, over)
    return None


def _needs_grant(verdict: Verdict, detail: str) -> Decision:
    return Decision(verdict=verdict, detail=detail, request_grant=True)


def may_request_grant(inputs: DecisionInput) -> bool:
    """Return whether another authority could decide on it and has not replied."""
    order = inputs.entitlement
    elsewhere = order is None or order.home_device is None
    return (elsewhere or _is_in_doubt(inputs)) and inputs.state.authorisation is None


def _is_in_doubt(inputs: DecisionInput) -> bool:
    """Return whether this device may have redeemed the code and does not know of it any more."""
    lost_s, issued_at_s = inputs.state.lost_s, inputs.claims.issued_at_s
    return lost_s is not None and (issued_at_s is None or issued_at_s < lost_s)


def _over_floor(inputs: DecisionInput) -> str | None:
    """Return the floor limit that this redemption would exceed, or None.

    The limits are those that EMV has for cards without a connection.
    """
    floor, state, value = inputs.policy.floor, inputs.state, inputs.value_minor or 0
    if value > floor.amount_minor:
        return f"amount {value} exceeds the floor limit {floor.amount_minor}"
    if state.exposure.uses_today >= floor.uses_a_day:
        return f"{state.exposure.uses_today} offline uses today, the limit is {floor.uses_a_day}"
    if state.exposure.amount_minor + value > floor.exposure_minor:
        return f"the offline exposure would exceed {floor.exposure_minor}"
    if (
        state.last_contact_s is None
        or inputs.now.unix_s - state.last_contact_s > floor.longest_offline_s
    ):
        return f"the platform was last reached at {state.last_contact_s}"
    return None


def risks(inputs: DecisionInput) -> tuple[Risk, ...]:
    """Return the doubts that remain if this code is redeemed."""
    order, last_contact_s = inputs.entitlement, inputs.state.last_contact_s
    has_reply = inputs.state.authorisation is not None
    found = []
    if not has_reply and order is None:
        found.append(Risk.NOT_IN_CACHE)
    elif not has_reply and order is not None and order.home_device is None:
        found.append(Risk.SITE_HOME)
    if not has_reply and _is_in_doubt(inputs):
        found.append(Risk.LEDGER_LOST)
    if inputs.now.trust is ClockTrust.FLOOR_ONLY:
        found.append(Risk.CLOCK_FLOOR_ONLY)
    if (
        not has_reply
        and order is not None
        and (
            last_contact_s is None
            or inputs.now.unix_s - last_contact_s > inputs.policy.orders_max_age_s
        )
    ):
        found.append(Risk.ORDERS_STALE)
    return tuple(found)
