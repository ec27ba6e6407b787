"""What a signed code asserts, once its signature holds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from edge.token.rejection import Rejection


class Kind(IntEnum):
    """What a token is for. The number is the wire's (private claim, key 2)."""

    WRITE_OFF = 1
    PICKUP = 2
    OPERATOR = 3

    @property
    def code(self) -> str:
        """Return the code in configuration, events and command lines: ``write_off``."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """A verified token's claims. Only ``open_token`` makes one, after verifying."""

    cti: bytes  # 16 bytes, the only identity of a redemption
    kid: bytes  # 4 bytes, which issuer key signed
    issuer: str
    audience: str  # a site or a device group
    not_before_s: int  # Unix seconds, inclusive
    expires_at_s: int  # Unix seconds, exclusive
    issued_at_s: int | None
    order_id: str
    kind: Kind
    quantity: int  # whole units, at least 1
    amount_minor: int | None  # minor units of ``currency``
    currency: str | None  # ISO 4217
    flags: int
    status_index: int | None  # place in the key's status list
    dynamic_mode: int | None  # None, 1 (HMAC tail) or 2 (holder key)
    holder_key: bytes | None  # RFC 8747 cnf, as encoded COSE_Key


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRefusal:
    """A code that failed verification, and why.

    ``claims`` is set only when the signature held and a later check failed
    (expired, wrong audience, revoked), so that the journal can name the order.
    """

    reason: Rejection
    detail: str  # for the log, in English; never contains personal data
    claims: Claims | None = None
