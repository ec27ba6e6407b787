"""The signed answer to a claim: leave for one device to honour one entitlement, now. Pure.

A claim's answer changes what is accepted, so that it is a COSE_Sign1 document like the order feed, of its own
purpose (``claim``), and travels as base64 in ``sync.wire.codec.Response``. It names device, request and entitlement:
an answer that was given once cannot be played again.

``{1: device, 2: request id, 3: cti, 4: result, 5: quantity, 6: site, 7: authority, 8: issued at, 9: units that
others have used, 10: minor units of money that others have used}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.domain.authorisation import AuthorisationResult
from edge.token.cbor import Item
from sync.wire.messages import MAX_SEQ, MessageFault, MessageRefusal

_DEVICE, _ID, _CTI, _RESULT, _QUANTITY, _SITE, _AUTHORITY, _ISSUED_AT, _USED, _USED_MINOR = range(
    1, 11
)
_LABELS: Final = frozenset(range(1, 11))


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantReply:
    """What an authority says to one request."""

    device: str
    id: str
    cti: bytes
    result: AuthorisationResult
    quantity: int
    site: str
    authority: str
    issued_at_s: int
    used: int = 0
    used_minor: int = 0


def answer_payload(answer: GrantReply) -> Item:
    """The CBOR item to sign."""
    return {
        _DEVICE: answer.device,
        _ID: answer.id,
        _CTI: answer.cti,
        _RESULT: answer.result.value,
        _QUANTITY: answer.quantity,
        _SITE: answer.site,
        _AUTHORITY: answer.authority,
        _ISSUED_AT: answer.issued_at_s,
        _USED: answer.used,
        _USED_MINOR: answer.used_minor,
    }


def read_answer(payload: Item) -> GrantReply | MessageRefusal:
    """Read an answer whose signature held."""
    if not isinstance(payload, dict) or payload.keys() != _LABELS:
        return MessageRefusal(MessageFault.WRONG_SHAPE, "not a map of the labels of an answer")
    texts = [payload[label] for label in (_DEVICE, _ID, _RESULT, _SITE, _AUTHORITY)]
    numbers = [payload[label] for label in (_QUANTITY, _ISSUED_AT, _USED, _USED_MINOR)]
    cti = payload[_CTI]
    if any(type(text) is not str for text in texts) or type(cti) is not bytes or len(cti) != 16:
        return MessageRefusal(MessageFault.WRONG_SHAPE, "a text or the cti of an answer")
    if any(type(number) is not int or not 0 <= number <= MAX_SEQ for number in numbers):
        return MessageRefusal(MessageFault.WRONG_SHAPE, "a number of an answer")
    if texts[2] not in set(AuthorisationResult):
        return MessageRefusal(MessageFault.WRONG_SHAPE, "an answer of a word that is not known")
    return GrantReply(
        device=texts[0],
        id=texts[1],
        cti=cti,
        result=AuthorisationResult(texts[2]),
        quantity=numbers[0],
        site=texts[3],
        authority=texts[4],
        issued_at_s=numbers[1],
        used=numbers[2],
        used_minor=numbers[3],
    )
