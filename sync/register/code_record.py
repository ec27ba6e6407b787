"""One issued code as the register knows it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class IssuedCodeState(StrEnum):
    """Whether a code may still be redeemed, as far as its issuer is concerned."""

    LIVE = "live"
    SUPERSEDED = "superseded"  # its line got another code
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRecord:
    """A code, the line that it was issued for, and its state. Times are Unix seconds."""

    cti: bytes  # 16 bytes
    kid: bytes  # of the key that signed it
    status_index: int | None  # in the status list of ``kid``; None: it cannot be revoked by itself
    order_id: str
    line: str | None  # of the order; None: it has one line for each code
    kind: str
    site: str
    quantity: int
    amount_minor: int | None
    currency: str | None
    not_before_s: int
    expires_at_s: int
    issued_s: int
    issued_by: str
    state: IssuedCodeState = IssuedCodeState.LIVE
