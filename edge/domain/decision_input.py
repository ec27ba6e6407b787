"""The input of a decision (facts, and the sums that several rules need) and its result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from edge.config import Policy
from edge.domain.decision_facts import DecisionFacts, DecisionTerms
from edge.domain.entitlement import Entitlement
from edge.domain.redemption_state import (
    DevicePlace,
    LocalRedemption,
    RedemptionState,
    RequestedUse,
    RestoredRedemption,
    Use,
)
from edge.domain.roles import Operator, StaffAction, is_permitted
from edge.domain.verdict import Verdict
from edge.token.claims import Claims, Kind
from edge.values.instant import Instant


class Risk(StrEnum):
    """A doubt that remained when a code was redeemed. The event names each."""

    NOT_IN_CACHE = "not_in_cache"  # a good signature, and nothing else known
    SITE_HOME = "site_home"  # another device of the site may have redeemed it meanwhile
    CLOCK_FLOOR_ONLY = "clock_floor_only"  # it may have expired already
    ORDERS_STALE = "orders_stale"  # it may have been cancelled meanwhile
    LEDGER_LOST = "ledger_lost"  # this device may have redeemed it in a store that it has lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict with its reason and, if accepted, exactly what is redeemed."""

    verdict: Verdict
    detail: str = ""  # in English, for the log; no personal data
    units: int = 0
    amount_minor: int | None = None
    doors: tuple[str, ...] = ()  # compartments to open, in this order
    continues: LocalRedemption | None = None  # a pickup in progress: no new use, only its doors
    reopening: bool = False  # those doors were opened before
    risks: tuple[Risk, ...] = ()
    prior: Use | None = None  # with ALREADY_REDEEMED: when
    claim: str | None = None  # id of the grant that it rests on
    request_grant: bool = False  # the home authority could say more: request a grant while online


class DecisionInput(NamedTuple):
    """The facts, and the sums that several rules need, computed once a scan."""

    claims: Claims
    state: RedemptionState
    entitlement: Entitlement | None
    place: DevicePlace
    policy: Policy
    now: Instant
    requested: RequestedUse
    grace_s: float
    operator: Operator | None
    utc_offset_s: int | None
    in_parts: bool  # a single voucher with a value is used up by amount; anything else by count
    left: int  # units left, or minor units of money for a voucher in parts
    wanted: int  # in the same measure
    value_minor: int | None  # what this redemption is worth


def build_input(facts: DecisionFacts, terms: DecisionTerms) -> DecisionInput:
    """Add the sums to the facts.

    At most the quantity that the token asserts counts, and less where the platform's order line
    says less. The value is that of either: where both name one, they agree or nothing is redeemed.
    """
    claims, state, now, requested, operator, utc_offset_s = facts
    place, policy, grace_s = terms
    order = state.entitlement
    units, minor = claims.quantity, claims.amount_minor
    if order is not None:
        units = min(units, order.quantity)
        minor = order.amount_minor if minor is None else minor
    in_parts = units == 1 and bool(minor) and claims.kind is Kind.WRITE_OFF
    uses: tuple[Use, ...] = (*state.uses, *_restored_uses(state, place))
    if in_parts:
        left = (minor or 0) - sum(use.amount_minor or 0 for use in uses)
        left -= 0 if state.authorisation is None else state.authorisation.used_minor
        wanted = left if requested.amount_minor is None else requested.amount_minor
        value_minor: int | None = wanted
    else:
        left = units - sum(use.units for use in uses)
        left -= 0 if state.authorisation is None else state.authorisation.used
        wanted = requested.units
        value_minor = None if minor is None else minor * wanted // max(units, 1)
    return DecisionInput(
        claims,
        state,
        order,
        place,
        policy,
        now,
        requested,
        grace_s,
        operator,
        utc_offset_s,
        in_parts,
        left,
        wanted,
        value_minor,
    )


def _restored_uses(state: RedemptionState, place: DevicePlace) -> Iterator[RestoredRedemption]:
    """Yield the restored redemptions that count.

    An authority's reply counts those of other devices itself, as they are now.
    """
    for each in state.restored:
        if state.authorisation is None or each.device == place.device_id:
            yield each


def refusal(verdict: Verdict, detail: str) -> Decision:
    """Return a refusal with its reason for the log."""
    return Decision(verdict=verdict, detail=detail)


def operator_fault(inputs: DecisionInput) -> Decision | None:
    """Refuse an operator without the right, or a missing one where the kind requires one."""
    if inputs.operator is None:
        required = inputs.policy.operator_required_kinds
        if not required:
            return None
        kind = inputs.claims.kind.code
        if kind in required:
            return refusal(Verdict.OPERATOR_REQUIRED, f"a {kind} needs a signed-in operator")
        return None
    if not is_permitted(inputs.operator.role, StaffAction.REDEEM):
        return refusal(Verdict.OPERATOR_FORBIDDEN, f"a {inputs.operator.role} may not redeem")
    return None
