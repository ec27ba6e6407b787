"""Public keys as COSE_Key (RFC 9052 section 7), their thumbprints (RFC 9679), signers, and PEM.

A key here is fit for one algorithm of the strict profile. Keys for which a signature
proves nothing are refused when they are read, not when they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from edge.token import cbor
from edge.token.algorithm import Algorithm, Check, checker

KID_LENGTH: Final = 4
PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey

# COSE_Key parameters, RFC 9052 section 7.1 and RFC 9053 section 7
_KTY, _CRV, _X, _Y = 1, -1, -2, -3
_OKP, _EC2 = 1, 2
_P256, _ED25519 = 1, 6

_FIELD: Final = 2**255 - 19
_ORDER_8_Y: Final = int.from_bytes(
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
)
_SMALL_ORDER_Y: Final = frozenset({0, 1, _FIELD - 1, _ORDER_8_Y, _FIELD - _ORDER_8_Y})


class UnfitKeyError(ValueError):
    """A key that may not be used, and why."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies with ``algorithm`` and nothing else."""

    algorithm: Algorithm
    raw: Ed25519PublicKey | ec.EllipticCurvePublicKey
    cose_key: bytes  # the deterministic COSE_Key, required parameters only
    kid: bytes  # the first 4 bytes of its thumbprint
    verifies: Check = field(
        repr=False, compare=False
    )  # whether a signature is this key's over a message


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and what identifies it."""

    public: PublicKey
    sign: Callable[[bytes], bytes]  # message in, COSE signature out


def public_key(raw: object) -> PublicKey:
    """Return ``raw``, a key of ``cryptography``, as ours. Raises UnfitKeyError for an unfit one."""
    if isinstance(raw, Ed25519PublicKey):
        encoded = raw.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return _ed25519(encoded)
    if isinstance(raw, ec.EllipticCurvePublicKey) and isinstance(raw.curve, ec.SECP256R1):
        numbers = raw.public_numbers()
        return _p256(numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"))
    raise UnfitKeyError("only Ed25519 and P-256 keys sign here")


def from_cose_key(parameters: cbor.Item) -> PublicKey:
    """Return the key in a decoded COSE_Key map: its required parameters and no others.

    Raises UnfitKeyError.
    """
    if not isinstance(parameters, dict) or {type(value) for value in parameters.values()} - {
        int,
        bytes,
    }:
        raise UnfitKeyError("a COSE_Key is a map of integers and byte strings")
    match parameters:
        case {1: kty, -1: crv, -2: bytes(x)} if (kty, crv, len(parameters)) == (_OKP, _ED25519, 3):
            return _ed25519(x)
        case {1: kty, -1: crv, -2: bytes(x), -3: bytes(y)} if (kty, crv, len(parameters)) == (
            _EC2,
            _P256,
            4,
        ):
            return _p256(x, y)
    raise UnfitKeyError(
        "a COSE_Key is OKP Ed25519 {1, -1, -2} or EC2 P-256 {1, -1, -2, -3}, with nothing else"
    )


def to_cose_key(key: PublicKey) -> cbor.Item:
    """Return the COSE_Key map of ``key``."""
    return cbor.decode(key.cose_key, cbor.TOKEN_LIMITS)


def signer(private: object) -> Signer:
    """Return a signer for a private key of ``cryptography``: deterministic (RFC 8032, RFC 6979)."""
    if isinstance(private, Ed25519PrivateKey):
        return Signer(public_key(private.public_key()), private.sign)
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return Signer(
            public_key(private.public_key()), lambda message: _sign_p256(private, message)
        )
    raise UnfitKeyError("only Ed25519 and P-256 keys sign here")


def signer_from_pem(pem: bytes) -> Signer:
    """Return a signer for an unencrypted private key in PEM. Raises UnfitKeyError otherwise."""
    try:
        return signer(serialization.load_pem_private_key(pem, password=None))
    except (ValueError, TypeError) as error:
        raise UnfitKeyError(str(error)) from None


def private_key_pem(private: PrivateKeyTypes) -> bytes:
    """Return a private key as unencrypted PEM (PKCS 8), for a file that only its owner can read."""
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _sign_p256(private: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    r, s = decode_dss_signature(
        private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    )
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _ed25519(encoded: bytes) -> PublicKey:
    if len(encoded) != 32:
        raise UnfitKeyError("an Ed25519 key is 32 bytes")
    y = int.from_bytes(encoded, "little") & (2**255 - 1)  # the top bit is the sign of x
    if y >= _FIELD:
        raise UnfitKeyError("the Ed25519 key is not in its one encoding")
    if y in _SMALL_ORDER_Y:
        raise UnfitKeyError("the Ed25519 key has a small order: forged signatures would verify")
    raw = Ed25519PublicKey.from_public_bytes(encoded)
    return _identified(Algorithm.ED25519, raw, {_KTY: _OKP, _CRV: _ED25519, _X: encoded})


def _p256(x: bytes, y: bytes) -> PublicKey:
    if len(x) != 32 or len(y) != 32:
        raise UnfitKeyError("a P-256 coordinate is 32 bytes")
    try:
        raw = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + x + y)
    except ValueError:
        raise UnfitKeyError("the P-256 key is not a point of the curve") from None
    return _identified(Algorithm.ESP256, raw, {_KTY: _EC2, _CRV: _P256, _X: x, _Y: y})


def _identified(
    algorithm: Algorithm, raw: Ed25519PublicKey | ec.EllipticCurvePublicKey, required: cbor.Item
) -> PublicKey:
    """Add the thumbprint: SHA-256 of the required parameters, encoded (RFC 9679 section 4)."""
    encoded = cbor.encode(required)
    return PublicKey(
        algorithm, raw, encoded, sha256(encoded).digest()[:KID_LENGTH], checker(algorithm, raw)
    )
