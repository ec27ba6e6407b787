"""Signature algorithms: which exist, and whether one signature holds.

The strict profile knows two, fully specified (RFC 9864). The others serve the policy-free
core, so that the public vectors can run through it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

RawKey = Ed25519PublicKey | Ed448PublicKey | EllipticCurvePublicKey | RSAPublicKey
Check = Callable[[bytes, bytes], bool]  # signature and message in


class Algorithm(IntEnum):
    """COSE algorithm numbers (IANA registry "COSE Algorithms")."""

    ED25519 = -19
    ESP256 = -9
    EDDSA = -8
    ES256 = -7
    ES384 = -35
    ES512 = -36
    PS256 = -37
    PS384 = -38
    PS512 = -39


STRICT: Final = frozenset({Algorithm.ED25519, Algorithm.ESP256})
CORE: Final = frozenset(Algorithm)

_HASHES: Final[dict[Algorithm, hashes.HashAlgorithm]] = {
    Algorithm.ESP256: hashes.SHA256(),
    Algorithm.ES256: hashes.SHA256(),
    Algorithm.ES384: hashes.SHA384(),
    Algorithm.ES512: hashes.SHA512(),
    Algorithm.PS256: hashes.SHA256(),
    Algorithm.PS384: hashes.SHA384(),
    Algorithm.PS512: hashes.SHA512(),
}


def fits(algorithm: Algorithm, key: RawKey) -> bool:
    """Whether ``key`` is of the type (and, where the name says so, the curve) of ``algorithm``."""
    match algorithm:
        case Algorithm.ED25519:
            return isinstance(key, Ed25519PublicKey)
        case Algorithm.EDDSA:
            return isinstance(key, Ed25519PublicKey | Ed448PublicKey)
        case Algorithm.ESP256:
            return isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
        case Algorithm.ES256 | Algorithm.ES384 | Algorithm.ES512:  # RFC 9053: any curve
            return isinstance(key, EllipticCurvePublicKey)
        case Algorithm.PS256 | Algorithm.PS384 | Algorithm.PS512:
            return isinstance(key, RSAPublicKey)


def checker(algorithm: Algorithm, key: RawKey) -> Check:
    """Return the function that says whether a signature, in COSE's form, holds over a message.

    Made once a key, so that a scan does not ask again what kind of key it is. Raises
    ValueError for a key that does not fit ``algorithm``.
    """
    if not fits(algorithm, key):
        raise ValueError(f"{algorithm.name} does not fit the key")
    if isinstance(key, EllipticCurvePublicKey):
        return _ecdsa_checker(key, ECDSA(_HASHES[algorithm]))
    if isinstance(key, RSAPublicKey):
        return _pss_checker(key, _HASHES[algorithm])
    verify = key.verify

    def check(signature: bytes, message: bytes) -> bool:
        try:
            verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return check


def _ecdsa_checker(key: EllipticCurvePublicKey, ecdsa: ECDSA) -> Check:
    verify = key.verify
    half = (key.key_size + 7) // 8  # bytes of r and of s, RFC 9053 section 2.1

    def check(signature: bytes, message: bytes) -> bool:
        if len(signature) != 2 * half:
            return False
        r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        try:
            verify(encode_dss_signature(r, s), message, ecdsa)
        except InvalidSignature:
            return False
        return True

    return check


def _pss_checker(key: RSAPublicKey, digest: hashes.HashAlgorithm) -> Check:
    pss = padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)

    def check(signature: bytes, message: bytes) -> bool:
        try:
            key.verify(signature, message, pss, digest)
        except InvalidSignature:
            return False
        return True

    return check
