"""Decide whether this device may redeem a code by itself: homes, grants and floor limits.

docs/explanation/floor-limits.md explains the rules.
"""

from __future__ import annotations

from typing import assert_never

from edge.domain.authorisation import AuthorisationResult
from edge.domain.decision_input import Decision, DecisionInput, Risk, refusal
from edge.domain.verdict import Verdict
from edge.token.claims import Kind
from edge.values.instant import ClockTrust


def authorisation_of(case: DecisionInput) -> Decision | None:
    """Apply the reply of the home authority, if it was asked. None: no objection."""
    authorisation = case.state.authorisation
    if authorisation is None:
        return None
    match authorisation.result:
        case AuthorisationResult.GRANTED:
            return None
        case AuthorisationResult.SPENT:
            return refusal(
                Verdict.ALREADY_REDEEMED, f"redeemed elsewhere, reports {authorisation.authority}"
            )
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


def authority_of(case: DecisionInput) -> Decision | None:
    """Refuse what this device may not redeem by itself. None: no objection."""
    order, policy = case.entitlement, case.policy
    if order is None and case.claims.kind is Kind.PICKUP and case.place.compartments:
        return refusal(Verdict.NEEDS_ONLINE, "not in the cache: the compartment is not known")
    if may_ask(case):
        if order is None and policy.offline_unknown == "refuse":
            return _ask_home(Verdict.NEEDS_ONLINE, "not in the cache")
        if order is not None and policy.offline_site_home == "refuse":
            return _ask_home(
                Verdict.NEEDS_ONLINE, "homed on the site: another device may have redeemed it"
            )
    if _floor_applies(case):
        over = _over_floor(case)
        if over is not None:
            return Decision(verdict=Verdict.OVER_FLOOR_LIMIT, detail=over, ask_home=may_ask(case))
    return None


def _ask_home(verdict: Verdict, detail: str) -> Decision:
    return Decision(verdict=verdict, detail=detail, ask_home=True)


def may_ask(case: DecisionInput) -> bool:
    """Return whether another authority could decide on it and has not been asked."""
    order = case.entitlement
    return (order is None or order.home_device is None) and case.state.authorisation is None


def _floor_applies(case: DecisionInput) -> bool:
    unsure_when = (
        case.now.trust is ClockTrust.FLOOR_ONLY
        and case.claims.kind.code not in case.policy.floor_only_kinds
    )
    return unsure_when or may_ask(case)


def _over_floor(case: DecisionInput) -> str | None:
    """Return the floor limit that this redemption would exceed, or None.

    The limits are those that EMV has for cards without a connection.
    """
    floor, state, value = case.policy.floor, case.state, case.value_minor or 0
    if value > floor.amount_minor:
        return f"amount {value} exceeds the floor limit {floor.amount_minor}"
    if state.exposure.uses_today >= floor.uses_a_day:
        return f"{state.exposure.uses_today} offline uses today, the limit is {floor.uses_a_day}"
    if state.exposure.amount_minor + value > floor.exposure_minor:
        return f"the offline exposure would exceed {floor.exposure_minor}"
    if (
        state.last_contact_s is None
        or case.now.unix_s - state.last_contact_s > floor.longest_offline_s
    ):
        return f"the platform was last reached at {state.last_contact_s}"
    return None


def risks(case: DecisionInput) -> tuple[Risk, ...]:
    """Return the doubts that remain if this code is redeemed."""
    order, last_contact_s = case.entitlement, case.state.last_contact_s
    asked = case.state.authorisation is not None
    found = []
    if not asked and order is None:
        found.append(Risk.NOT_IN_CACHE)
    elif not asked and order is not None and order.home_device is None:
        found.append(Risk.SITE_HOME)
    if case.now.trust is ClockTrust.FLOOR_ONLY:
        found.append(Risk.CLOCK_FLOOR_ONLY)
    if (
        not asked
        and order is not None
        and (
            last_contact_s is None
            or case.now.unix_s - last_contact_s > case.policy.orders_max_age_s
        )
    ):
        found.append(Risk.ORDERS_STALE)
    return tuple(found)
