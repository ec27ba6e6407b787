"""COSE_Sign1 (RFC 9052 section 4.2), generic: what is demanded of a message is an argument.

The public vectors run here under ``VECTORS``; the strict profile under ``STRICT``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from edge.token import algorithm, cbor
from edge.token.algorithm import Algorithm, RawKey
from edge.token.keys import Signer
from edge.token.rejection import InputRefused, Rejection

TAG: Final = 18
CWT_TAG: Final = 61  # RFC 8392 section 6
ALG, CRIT, KID = 1, 2, 4  # header parameters, RFC 9052 section 3.1
_ARRAY_OF_FOUR: Final = b"\x84"

# Tag 18, array of four, 9 bytes of header {alg, kid}; an empty map; a payload of 24 to 255 bytes;
# a signature of 64 bytes.
_USUAL_HEAD, _USUAL_MIDDLE, _USUAL_TAIL = b"\xd2\x84\x49", b"\xa0\x58", b"\x58\x40"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign1Policy:
    """What a COSE_Sign1 must be before its signature is looked at."""

    algorithms: frozenset[Algorithm]
    limits: cbor.CborLimits  # of both header maps
    tags_optional: bool = False  # without tag 18, or within a CWT's tag 61
    unprotected_allowed: bool = False  # even the algorithm may stand there
    detached_allowed: bool = False


STRICT: Final = Sign1Policy(algorithms=algorithm.STRICT, limits=cbor.TOKEN_LIMITS)
VECTORS: Final = Sign1Policy(
    algorithms=algorithm.CORE,
    limits=cbor.CborLimits(depth=4, entries=16, text=255, any_order=True),
    tags_optional=True,
    unprotected_allowed=True,
    detached_allowed=True,
)


class Sign1(NamedTuple):
    """A COSE_Sign1 taken apart. Nothing of it is verified yet."""

    protected: bytes  # the encoded protected header
    unprotected: dict[cbor.Item, cbor.Item]
    payload: bytes | None  # None: detached
    signature: bytes


def parse(message: bytes, policy: Sign1Policy) -> Sign1:
    """Parse ``message``.

    Raises InputRefused: ``cbor_*``, ``cose_structure`` or ``unprotected_not_empty``.
    """
    if (
        message[:3] == _USUAL_HEAD
        and message[12:14] == _USUAL_MIDDLE
        and message[-66:-64] == _USUAL_TAIL
    ):
        length = message[14]
        if (
            length >= 24 and len(message) == length + 81
        ):  # the layout of nearly every token, taken apart at once
            return Sign1(message[3:12], {}, message[15:-66], message[-64:])
    at = _open_array(message, policy)
    protected, at = _byte_string(message, at, "protected header")
    unprotected, at = _unprotected(message, at, policy)
    if policy.detached_allowed and message[at : at + 1] == b"\xf6":
        payload, at = None, at + 1
    else:
        payload, at = _byte_string(message, at, "payload")
    signature, at = _byte_string(message, at, "signature")
    if at != len(message):
        raise InputRefused(
            Rejection.CBOR_TRAILING, f"{len(message) - at} bytes after the COSE_Sign1"
        )
    return Sign1(protected, unprotected, payload, signature)


def _open_array(message: bytes, policy: Sign1Policy) -> int:
    if message[:2] == b"\xd2\x84":
        return 2
    major, argument, at = cbor.head(message, 0)
    if policy.tags_optional and (major, argument) == (cbor.TAG, CWT_TAG):
        major, argument, at = cbor.head(message, at)
    if (major, argument) == (cbor.TAG, TAG):
        major, argument, at = cbor.head(message, at)
    elif not policy.tags_optional:
        raise InputRefused(Rejection.COSE_STRUCTURE, "not a tagged COSE_Sign1 (tag 18)")
    if (major, argument) != (cbor.ARRAY, 4):
        raise InputRefused(Rejection.COSE_STRUCTURE, "a COSE_Sign1 is an array of four")
    return at


def _byte_string(message: bytes, at: int, name: str) -> tuple[bytes, int]:
    major, length, at = cbor.head(message, at)
    if major != cbor.BYTES:
        raise InputRefused(Rejection.COSE_STRUCTURE, f"the {name} is not a byte string")
    end = at + length
    if end > len(message):
        raise InputRefused(Rejection.CBOR_TRUNCATED, f"the data end inside the {name}")
    return message[at:end], end


def _unprotected(
    message: bytes, at: int, policy: Sign1Policy
) -> tuple[dict[cbor.Item, cbor.Item], int]:
    if message[at : at + 1] == b"\xa0":
        return {}, at + 1
    headers, at = cbor.read(message, at, policy.limits)
    if not isinstance(headers, dict):
        raise InputRefused(Rejection.COSE_STRUCTURE, "the unprotected header is not a map")
    if not policy.unprotected_allowed:
        raise InputRefused(Rejection.UNPROTECTED_NOT_EMPTY, "the unprotected header must be empty")
    return headers, at


def protected_headers(message: Sign1, policy: Sign1Policy) -> dict[cbor.Item, cbor.Item]:
    """Return the protected header map; an empty string stands for an empty map. Raises Refused."""
    if not message.protected and policy.unprotected_allowed:
        return {}
    headers = cbor.decode(message.protected, policy.limits)
    if not isinstance(headers, dict):
        raise InputRefused(Rejection.COSE_STRUCTURE, "the protected header is not a map")
    return headers


def signed_prefix(protected: bytes, external_aad: bytes) -> bytes:
    """Return the signed bytes before the payload (Sig_structure, RFC 9052 section 4.4)."""
    return _ARRAY_OF_FOUR + b"".join(
        cbor.encode(part) for part in ("Signature1", protected, external_aad)
    )


def signed_bytes(prefix: bytes, payload: bytes) -> bytes:
    """Return the whole Sig_structure for ``payload``."""
    length = len(payload)
    if 24 <= length < 256:
        return b"%b\x58%c%b" % (prefix, length, payload)
    return prefix + cbor.encode(payload)


def verify(
    message: bytes,
    key: RawKey,
    policy: Sign1Policy,
    *,
    external_aad: bytes = b"",
    detached: bytes | None = None,
) -> bytes:
    """Return the payload of ``message`` once its signature by ``key`` holds.

    The algorithm comes from the header, the protected one first; ``policy`` must allow it and it
    must fit ``key``. ``detached`` is the payload of a message that carries none.
    Raises InputRefused.
    """
    parts = parse(message, policy)
    headers = protected_headers(parts, policy)
    if CRIT in headers or CRIT in parts.unprotected:
        raise InputRefused(Rejection.HEADER_SET, "a critical header that nothing here understands")
    chosen = _algorithm(headers.get(ALG, parts.unprotected.get(ALG)), policy)
    if not algorithm.fits(chosen, key):
        raise InputRefused(Rejection.ALG_MISMATCH, f"{chosen.name} does not fit the key")
    payload = _one_payload(parts.payload, detached)
    protected = parts.protected if headers else b""  # an empty map counts as an empty string
    to_verify = signed_bytes(signed_prefix(protected, external_aad), payload)
    if not algorithm.checker(chosen, key)(parts.signature, to_verify):
        raise InputRefused(Rejection.SIGNATURE_INVALID, "the signature does not hold")
    return payload


def _algorithm(number: cbor.Item, policy: Sign1Policy) -> Algorithm:
    if type(number) is int and number in policy.algorithms:
        return Algorithm(number)
    raise InputRefused(Rejection.ALG_MISMATCH, f"algorithm {number!r:.40} is not accepted")


def _one_payload(attached: bytes | None, detached: bytes | None) -> bytes:
    if (attached is None) == (detached is None):
        raise InputRefused(
            Rejection.COSE_STRUCTURE, "the payload must be either in the message or given apart"
        )
    payload = attached if detached is None else detached
    assert payload is not None
    return payload


def protected_header(signer: Signer) -> bytes:
    """Return the strict profile's protected header for ``signer``: exactly alg and kid."""
    return cbor.encode({ALG: signer.public.algorithm, KID: signer.public.kid})


def sign(payload: bytes, signer: Signer, *, external_aad: bytes) -> bytes:
    """Return the tagged COSE_Sign1 of the strict profile over ``payload``."""
    protected = protected_header(signer)
    signature = signer.sign(signed_bytes(signed_prefix(protected, external_aad), payload))
    return (
        b"\xd2\x84"
        + cbor.encode(protected)
        + b"\xa0"
        + cbor.encode(payload)
        + cbor.encode(signature)
    )
