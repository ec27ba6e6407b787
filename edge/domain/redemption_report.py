"""The body of the event that reports a redemption, and the keys that join events. Pure."""

from __future__ import annotations

from typing import Final

from edge.domain.decision_input import Decision
from edge.token.claims import Claims

RETRY_OF: Final = "retry_of"  # the id of the refused event that this one replaces
REDEMPTION_EVENT: Final = "redemption_event"  # the id of the event that first reported it
GRANT_REQUEST: Final = "grant_request"  # the id of the request that the redemption rests on


def redeemed_body(
    claims: Claims, decision: Decision, use_no: int, operator: str | None
) -> dict[str, object]:
    """Return the body of the event of an accepted ``decision``."""
    body: dict[str, object] = {
        "cti": claims.cti.hex(),
        "order": claims.order_id,
        "kind": claims.kind.code,
        "use": use_no,
        "units": decision.units,
        "amount_minor": decision.amount_minor,
        "currency": claims.currency,
        "verdict": decision.verdict.value,
        "risks": list(decision.risks),
        "operator": operator,
        "doors": list(decision.doors),
        "kid": claims.kid.hex(),
        "expires_s": claims.expires_at_s,
    }
    if decision.claim is not None:
        body[GRANT_REQUEST] = decision.claim
    return body
