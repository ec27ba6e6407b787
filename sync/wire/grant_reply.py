"""The signed reply to a grant request: one device may redeem one entitlement, now. Pure.

The reply changes what a device accepts, so it is a signed document, which travels as base64 in
``sync.wire.messages.Response``. It names the device, the request and the entitlement: a reply that
was given once cannot be replayed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.documents.document_type import (
    DocumentType,
    free_text,
    integer,
    member,
    octets,
    text,
    time,
)
from edge.domain.authorisation import AuthorisationResult
from edge.token.purpose import Purpose
from sync.wire.messages import MAX_SEQ

_END: Final = MAX_SEQ + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantReply:
    """The reply of an authority to one request."""

    device: str
    id: str  # of the request
    cti: bytes  # 16 bytes
    result: AuthorisationResult
    quantity: int  # whole units
    site: str
    authority: str
    issued_at_s: int  # Unix seconds
    used: int = 0  # units that others have used or may still use
    used_minor: int = 0  # the same in minor units of money
    used_s: int = 0  # when others last redeemed it, Unix seconds; 0: never
    used_by: str = ""  # the device that did


GRANT_REPLY: Final = DocumentType(
    name="grant reply",
    purpose=Purpose.GRANT,
    content=GrantReply,
    fields=(
        text(1, "device"),
        text(2, "id"),
        octets(3, "cti", length=16),
        member(4, "result", AuthorisationResult),
        integer(5, "quantity", 0, _END),
        text(6, "site"),
        text(7, "authority"),
        time(8, "issued_at_s"),
        integer(9, "used", 0, _END),
        integer(10, "used_minor", 0, _END),
        time(11, "used_s"),
        free_text(12, "used_by", longest=40),
    ),
)
