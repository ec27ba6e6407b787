"""What a client of the enrolment service must prove, and why it is refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRefusal:
    """Why a request is refused: for the client and for the record."""

    reason: str
    detail: str
    dev: str = ""
    code: str = ""  # of the enrolment code, hexadecimal


def no_certificate() -> EnrolmentRefusal:
    """Return the refusal of a client that shows no certificate."""
    return EnrolmentRefusal(reason="no_certificate", detail="show your certificate, or enrol")


def public_key_of(
    csr_pem: str, *, dev: str, code: str = ""
) -> ec.EllipticCurvePublicKey | EnrolmentRefusal:
    """Return the key of a request that proves that its sender has the private one."""
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
    except ValueError:
        detail = "csr is not a certificate request, PEM"
        return EnrolmentRefusal(reason="request_malformed", detail=detail, dev=dev, code=code)
    public = request.public_key()
    if not request.is_signature_valid or not isinstance(public, ec.EllipticCurvePublicKey):
        detail = "the request is not signed by its own P-256 key"
        return EnrolmentRefusal(reason="request_not_proven", detail=detail, dev=dev, code=code)
    if not isinstance(public.curve, ec.SECP256R1):
        detail = "the key is not of P-256"
        return EnrolmentRefusal(reason="request_not_proven", detail=detail, dev=dev, code=code)
    return public


def key_digest_of(public: ec.EllipticCurvePublicKey) -> str:
    """Return the SHA-256 of a public key (SubjectPublicKeyInfo, DER) in hexadecimal."""
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()
