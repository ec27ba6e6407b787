"""A small platform for the tests: real keys, fixed by their seeds, and tokens made with them."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.token import base45, cbor, cose
from edge.token.claims import Claims, Kind, TokenRefusal
from edge.token.issuing import TokenRequest, issue_token
from edge.token.keys import Signer, signer
from edge.token.purpose import Purpose
from edge.token.roots import Roots
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey
from edge.token.verification import VerifyPolicy, open_token
from edge.values.instant import ClockTrust, Instant

NOW_S = 1_800_000_000
NOW = Instant(unix_s=NOW_S)
FLOOR = Instant(unix_s=NOW_S, trust=ClockTrust.FLOOR_ONLY)
DAY_S = 86_400


def ed25519(name: str) -> Signer:
    return signer(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


def p256(name: str) -> Signer:
    return signer(
        ec.derive_private_key(
            int.from_bytes(hashlib.sha256(name.encode()).digest(), "big"), ec.SECP256R1()
        )
    )


ROOT = ed25519("root")
ROOTS = Roots(1, (ROOT.public,))
ISSUER = ed25519("issuer")
ISSUER_P256 = p256("issuer on P-256")
STATUS = ed25519("status list")


def trusted(key: Signer, purpose: Purpose = Purpose.TOKEN, **changes) -> TrustedKey:
    facts = {
        "purposes": frozenset({purpose}),
        "not_before_s": 0,
        "expires_at_s": NOW_S + 1000 * DAY_S,
    }
    if purpose is Purpose.TOKEN:
        facts |= {"issuers": frozenset({"platform"}), "kinds": frozenset(Kind)}
    return TrustedKey(key=key.public, **{**facts, **changes})


def trust_list(*keys: TrustedKey, **changes) -> TrustList:
    facts = {"version": 7, "issued_at_s": NOW_S - DAY_S, "expires_at_s": NOW_S + 30 * DAY_S}
    return TrustList(keys=keys or DEFAULT_KEYS, **{**facts, **changes})


DEFAULT_KEYS = (trusted(ISSUER), trusted(ISSUER_P256), trusted(STATUS, Purpose.STATUS_LIST))
TRUST = trust_list()
GRANT = TokenRequest(
    cti=bytes(range(16)),
    issuer="platform",
    audience="shop-1",
    not_before_s=NOW_S - 60,
    expires_at_s=NOW_S + 60,
    order_id="A-1001",
    kind=Kind.PICKUP,
)


def token(key: Signer = ISSUER, **changes) -> bytes:
    """Return a token that devices accept, but for ``changes``."""
    return issue_token(replace(GRANT, **changes), key).encode()


def scan(text: bytes, **changes) -> Claims | TokenRefusal:
    """Open ``text`` as a device of shop-1 does now, but for ``changes``."""
    facts = {
        "trust": TRUST,
        "status": {},
        "now": NOW,
        "audiences": frozenset({"shop-1"}),
        "policy": VerifyPolicy(),
    }
    return open_token(text, **{**facts, **changes})


def reason(text: bytes, **changes) -> str:
    """Return the reason for which ``text`` is refused, or "accepted"."""
    outcome = scan(text, **changes)
    return outcome.reason.value if isinstance(outcome, TokenRefusal) else "accepted"


def payload() -> dict:
    """Return the decoded payload of a good token."""
    message = cose.parse(base45.decode(token()[4:]), cose.STRICT)
    return cbor.decode(message.payload, cbor.TOKEN_LIMITS)


def wrap(message: bytes) -> bytes:
    """Return a COSE message as the text of a token."""
    return b"ES1:" + base45.encode(message)


def sign_raw(encoded: bytes, key: Signer = ISSUER) -> bytes:
    """Return a correctly signed token over any payload bytes.

    A careless or hostile issuer might make one.
    """
    return wrap(cose.sign(encoded, key, external_aad=Purpose.TOKEN.external_aad))


def sign_headers(protected: bytes, *, unprotected: bytes = b"\xa0", key: Signer = ISSUER) -> bytes:
    """Return a token with any header bytes, correctly signed over them."""
    encoded = cbor.encode(payload())
    signature = key.sign(
        cose.signed_bytes(cose.signed_prefix(protected, Purpose.TOKEN.external_aad), encoded)
    )
    parts = (cbor.encode(protected), unprotected, cbor.encode(encoded), cbor.encode(signature))
    return wrap(b"\xd2\x84" + b"".join(parts))
