"""Dynamic codes, against screenshots: a tail that changes every 15 seconds.

``ES1:`` token · ``ES2:`` token, then the Base45 of a 4-byte step and a 6-byte HMAC (mode 1) ·
``ES3:`` token, then the Base45 of a 4-byte step and a 64-byte signature of the holder (mode 2).
Tails have a fixed length in characters, so a page that shows a code can replace the tail alone.
A step is the Unix time divided by 15. A group key can make tails, never tokens.
"""

from __future__ import annotations

import hmac
from typing import Final, NamedTuple

from edge.token import base45, cbor
from edge.token.claims import Claims
from edge.token.claims_set import DYNAMIC_HMAC, DYNAMIC_HOLDER
from edge.token.keys import Signer, from_cose_key
from edge.token.rejection import InputRefused, Rejection
from edge.values.instant import ClockTrust, Instant

STEP_S: Final = 15
STEPS_EITHER_WAY: Final = 2
_STEP_LENGTH: Final = 4
_HMAC_LENGTH: Final = 6
_SIGNATURE_LENGTH: Final = 64
_MODES: Final = {b"ES1:": None, b"ES2:": DYNAMIC_HMAC, b"ES3:": DYNAMIC_HOLDER}
_PREFIXES: Final = {mode: prefix for prefix, mode in _MODES.items()}
TAIL_CHARACTERS: Final = {  # by mode; bytes / 2 * 3, for both lengths are even
    None: 0,
    DYNAMIC_HMAC: (_STEP_LENGTH + _HMAC_LENGTH) // 2 * 3,
    DYNAMIC_HOLDER: (_STEP_LENGTH + _SIGNATURE_LENGTH) // 2 * 3,
}


class FramedCode(NamedTuple):
    """A code's text taken apart."""

    mode: int | None  # which tail the prefix announces
    token: bytes  # Base45
    tail: bytes  # Base45; empty without a mode


def has_token_prefix(text: bytes) -> bool:
    """Return whether a code looks like a token. Only ``open_token`` proves that it is one.

    >>> has_token_prefix(b"ES1:6BF"), has_token_prefix(b"https://example.com/menu")
    (True, False)
    """
    return text[:4] in _MODES


def split(text: bytes) -> FramedCode:
    """Split a code's text by its prefix.

    Raises InputRefused: ``prefix_unknown`` or ``dynamic_missing``.
    """
    prefix = text[:4]
    if prefix not in _MODES:
        raise InputRefused(Rejection.PREFIX_UNKNOWN, "not one of our codes")
    mode = _MODES[prefix]
    if mode is None:
        return FramedCode(None, text[4:], b"")
    end = len(text) - TAIL_CHARACTERS[mode]
    if end <= 4:
        raise InputRefused(Rejection.DYNAMIC_MISSING, "the code is shorter than its tail")
    return FramedCode(mode, text[4:end], text[end:])


def derive_key(group_key: bytes, cti: bytes) -> bytes:
    """Return the key for the tails of one token: all that the holder's page needs."""
    return hmac.digest(group_key, b"edge-scanner/1/dynamic/" + cti, "sha256")


def append_hmac(token: str, key: bytes, unix_s: int) -> str:
    """Return the ``ES2:`` code of an ``ES1:`` token of mode 1 at ``unix_s``.

    ``key`` comes from ``derive_key``.
    """
    step = _step_bytes(unix_s)
    return _with_tail(token, DYNAMIC_HMAC, step + _tag(key, step))


def append_proof(token: str, cti: bytes, holder: Signer, unix_s: int) -> str:
    """Return the ``ES3:`` code of a mode 2 ``ES1:`` token at ``unix_s``, signed by ``holder``."""
    step = _step_bytes(unix_s)
    return _with_tail(token, DYNAMIC_HOLDER, step + holder.sign(_proof_message(cti, step)))


def check(claims: Claims, framed: FramedCode, now: Instant, group_key: bytes | None) -> None:
    """Raise InputRefused unless ``framed`` has the fresh tail of ``claims``."""
    if framed.mode != claims.dynamic_mode:
        reason = (
            Rejection.DYNAMIC_INVALID if claims.dynamic_mode is None else Rejection.DYNAMIC_MISSING
        )
        raise InputRefused(
            reason, f"the token's dynamic mode is {claims.dynamic_mode}, the code's {framed.mode}"
        )
    if claims.dynamic_mode is None:
        return
    if now.trust is not ClockTrust.TRUSTED:
        raise InputRefused(Rejection.TIME_UNTRUSTED, "a dynamic code needs a trusted clock")
    tail = _decoded(framed.tail)
    step, proof = tail[:_STEP_LENGTH], tail[_STEP_LENGTH:]
    if abs(int.from_bytes(step, "big") - now.unix_s // STEP_S) > STEPS_EITHER_WAY:
        raise InputRefused(
            Rejection.DYNAMIC_STALE,
            "the code is not of this half minute: a screenshot, or a wrong clock",
        )
    if claims.dynamic_mode == DYNAMIC_HMAC:
        _check_hmac(claims, step, proof, group_key)
    else:
        _check_holder(claims, step, proof)


def _check_hmac(claims: Claims, step: bytes, tag: bytes, group_key: bytes | None) -> None:
    if group_key is None:
        raise InputRefused(
            Rejection.DYNAMIC_INVALID, "this device has no group key for the token's issuer"
        )
    if not hmac.compare_digest(tag, _tag(derive_key(group_key, claims.cti), step)):
        raise InputRefused(Rejection.DYNAMIC_INVALID, "the tail is not the token's")


def _check_holder(claims: Claims, step: bytes, signature: bytes) -> None:
    assert claims.holder_key is not None  # the profile demands it of mode 2
    holder = from_cose_key(cbor.decode(claims.holder_key, cbor.TOKEN_LIMITS))
    if not holder.verifies(signature, _proof_message(claims.cti, step)):
        raise InputRefused(Rejection.HOLDER_PROOF, "the proof is not the holder's")


def _decoded(tail: bytes) -> bytes:
    try:
        return base45.decode(tail)
    except base45.Base45Error as error:
        raise InputRefused(Rejection.DYNAMIC_INVALID, f"tail: {error}") from None


def _step_bytes(unix_s: int) -> bytes:
    return (unix_s // STEP_S).to_bytes(_STEP_LENGTH, "big")


def _tag(key: bytes, step: bytes) -> bytes:
    return hmac.digest(key, step, "sha256")[:_HMAC_LENGTH]


def _proof_message(cti: bytes, step: bytes) -> bytes:
    return b"edge-scanner/1/holder/" + cti + step


def _with_tail(token: str, mode: int, tail: bytes) -> str:
    if not token.startswith("ES1:"):
        raise ValueError("a tail goes on an ES1: token")
    return _PREFIXES[mode].decode() + token[4:] + base45.encode(tail).decode()
