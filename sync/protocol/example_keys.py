"""The keys, lists and names that the protocol's examples are made with.

The keys are made of known bytes and are for these pages only.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.token.claims import Kind
from edge.token.keys import Signer, signer
from edge.token.purpose import Purpose
from edge.token.roots import Roots
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey

DEV: Final = "kiosk-1"
SITE: Final = "shop-1"
EPOCH: Final = "0190c8f0-5f5e-7a1b-8c3d-2b1a09f8e7d6"
NOW_S: Final = 1_800_000_000
DAY_S: Final = 86_400
YEAR_S: Final = 365 * DAY_S
REVISION: Final = 1_800_000_000_000_000
INCARNATION: Final = bytes.fromhex("018e8f3a1c2d7e4f9a0b0000000000ff")
CTI: Final = "00112233445566778899aabbccddeeff"
PIN_HASH: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1"
    "$ZXhhbXBsZSBzYWx0IDE2Qg$bm90IGEgcmVhbCBoYXNoLCBhbiBleGFtcGxlIG9ubHk"
)


def ident(number: int) -> str:
    """Return the example identity of an event or a request."""
    return f"018e8f3a-1c2d-7e4f-9a0b-{number:012x}"


def key(purpose: Purpose) -> Signer:
    """Return the example key of ``purpose``."""
    return signer(Ed25519PrivateKey.from_private_bytes(str(purpose).encode().ljust(32, b".")))


def roots() -> Roots:
    """Return the root that signs the example trust list."""
    return Roots(version=1, keys=(key(Purpose.ROOT).public,))


def trust() -> TrustList:
    """Return the example trust list."""
    token_key = _trusted(
        Purpose.TOKEN,
        issuers=frozenset({"shop.example"}),
        kinds=frozenset({Kind.WRITE_OFF, Kind.PICKUP}),
    )
    return TrustList(
        version=7,
        issued_at_s=NOW_S,
        expires_at_s=NOW_S + YEAR_S,
        keys=(
            _trusted(Purpose.ORDER_FEED),
            _trusted(Purpose.STATUS_LIST),
            _trusted(Purpose.CONFIGURATION),
            _trusted(Purpose.GRANT),
            token_key,
            _trusted(Purpose.OPERATORS),
            _trusted(Purpose.REVIEW, issuers=frozenset({"zoe"})),
        ),
    )


def _trusted(
    purpose: Purpose,
    *,
    issuers: frozenset[str] = frozenset(),
    kinds: frozenset[Kind] = frozenset(),
) -> TrustedKey:
    return TrustedKey(
        key=key(purpose).public,
        purposes=frozenset({purpose}),
        not_before_s=0,
        expires_at_s=2**33 - 1,
        issuers=issuers,
        kinds=kinds,
    )
