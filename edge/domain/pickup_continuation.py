"""Continue a pickup that is already in the ledger: its doors, without a second redemption."""

from __future__ import annotations

from edge.domain.decision_input import Decision, DecisionInput, operator_fault
from edge.domain.redemption_state import LocalRedemption
from edge.domain.verdict import Verdict
from edge.token.claims import Kind


def continue_pickup(inputs: DecisionInput) -> Decision | None:
    """Return how a recorded pickup continues, or None if this is a new redemption.

    Its doors continue, wait for a second person, or open again within the grace period.
    """
    state, use = inputs.state, inputs.state.uses[-1] if inputs.state.uses else None
    if inputs.claims.kind is not Kind.PICKUP or use is None or state.blocked is not None:
        return None
    continuation: Decision | None
    if use.review == "pending":
        continuation = _continuation(
            use, "waits for a second person", verdict=Verdict.ACCEPTED_PENDING_REVIEW
        )
    elif not state.doors:
        doors = inputs.entitlement.compartments if inputs.entitlement is not None else ()
        continuation = (
            _continuation(use, "approved", doors) if use.review == "approved" and doors else None
        )
    else:
        continuation = _next_doors(inputs, use)
    return continuation and (operator_fault(inputs) or continuation)


def _next_doors(inputs: DecisionInput, use: LocalRedemption) -> Decision | None:
    doors = inputs.state.doors
    left = tuple(door.compartment for door in doors if door.emptied is False and not door.live)
    if left:
        return _continuation(use, "remaining doors", left)
    live = [door.compartment for door in doors if door.live]
    if live:
        return _continuation(use, f"in progress: {', '.join(live)}")
    again = tuple(door.compartment for door in doors if _within_grace(door.ended_s, inputs))
    return (
        _continuation(use, "reopened", again, reopening=True)
        if again and inputs.left <= 0
        else None
    )


def _continuation(
    use: LocalRedemption,
    detail: str,
    doors: tuple[str, ...] = (),
    *,
    verdict: Verdict = Verdict.ACCEPTED,
    reopening: bool = False,
) -> Decision:
    return Decision(verdict=verdict, detail=detail, doors=doors, continues=use, reopening=reopening)


def _within_grace(ended_s: int | None, inputs: DecisionInput) -> bool:
    return ended_s is not None and 0 <= inputs.now.unix_s - ended_s < inputs.grace_s
