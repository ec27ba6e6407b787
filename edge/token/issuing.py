"""Make tokens: the issuer's side. Pure: identity, times and keys are arguments."""

from __future__ import annotations

from dataclasses import dataclass

from edge.token import base45, cose
from edge.token.claims import Claims, Kind
from edge.token.claims_set import LARGEST_PAYLOAD, read_claims, write_claims
from edge.token.dynamic_code import TAIL_CHARACTERS
from edge.token.keys import PublicKey, Signer
from edge.token.purpose import Purpose
from edge.token.rejection import InputRefused
from edge.token.verification import LONGEST_LIFETIME_S, LONGEST_TEXT


class IssueError(ValueError):
    """A token that no device would accept. The message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """What a token is to assert."""

    cti: bytes  # 16 random bytes
    issuer: str
    audience: str  # a site or a device group
    not_before_s: int
    expires_at_s: int
    order_id: str
    kind: Kind
    quantity: int = 1
    amount_minor: int | None = None
    currency: str | None = None
    flags: int = 0
    status_index: int | None = None
    dynamic_mode: int | None = None
    holder: PublicKey | None = None  # dynamic mode 2
    issued_at_s: int | None = None


def issue_token(request: TokenRequest, signer: Signer) -> str:
    """Return the signed ``ES1:`` text. Raises IssueError for what the profile refuses."""
    try:
        payload = write_claims(_claims(request, signer))
        read_claims(payload, signer.public.kid)
    except (InputRefused, TypeError) as refused:
        raise IssueError(str(refused)) from None
    if request.expires_at_s - request.not_before_s > LONGEST_LIFETIME_S[request.kind]:
        days = LONGEST_LIFETIME_S[request.kind] // 86_400
        raise IssueError(
            f"a {request.kind.code} token lives at most {days} days: choose an earlier expiry"
        )
    message = cose.sign(payload, signer, external_aad=Purpose.TOKEN.external_aad)
    text = "ES1:" + base45.encode(message).decode()
    longest = LONGEST_TEXT - TAIL_CHARACTERS[request.dynamic_mode]
    if len(payload) > LARGEST_PAYLOAD or len(text) > longest:
        raise IssueError(
            f"the payload of {len(payload)} bytes is too long: shorten order, issuer or audience"
        )
    return text


def _claims(request: TokenRequest, signer: Signer) -> Claims:
    return Claims(
        cti=request.cti,
        kid=signer.public.kid,
        issuer=request.issuer,
        audience=request.audience,
        not_before_s=request.not_before_s,
        expires_at_s=request.expires_at_s,
        issued_at_s=request.issued_at_s,
        order_id=request.order_id,
        kind=request.kind,
        quantity=request.quantity,
        amount_minor=request.amount_minor,
        currency=request.currency,
        flags=request.flags,
        status_index=request.status_index,
        dynamic_mode=request.dynamic_mode,
        holder_key=None if request.holder is None else request.holder.cose_key,
    )
