"""A private certificate authority for a broker, its hub and its devices.

It suits one site, a test or a small fleet. Keys are P-256, which every TLS 1.3 stack supports. A
device's certificate names the device in the common name only; the broker uses that name as the
user name.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.token.keys import private_key_pem

END_DAYS = 825  # validity of an end-entity certificate: a broker's, a hub's
SKEW = timedelta(
    days=1
)  # a certificate is valid from a little before it is made, because clocks differ


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """A certificate authority that can issue."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its private key, both PEM."""

    certificate_pem: bytes
    key_pem: bytes


def new_certificate_authority(name: str, *, now_s: int, days: int = 3650) -> CertificateAuthority:
    """Make a self-signed authority that signs end-entity certificates, but no other authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key.public_key(), now_s, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    return CertificateAuthority(builder.sign(key, hashes.SHA256()), key)


def load_certificate_authority(certificate_pem: bytes, key_pem: bytes) -> CertificateAuthority:
    """Read an authority. Raises ValueError when the two do not belong together."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    key = serialization.load_pem_private_key(key_pem, password=None)
    if (
        not isinstance(key, ec.EllipticCurvePrivateKey)
        or key.public_key() != certificate.public_key()
    ):
        raise ValueError("the authority's key does not belong to its certificate")
    return CertificateAuthority(certificate, key)


def authority_pem(authority: CertificateAuthority) -> Credential:
    """Return the authority as PEM, for storage."""
    return Credential(
        authority.certificate.public_bytes(serialization.Encoding.PEM),
        private_key_pem(authority.key),
    )


def issue_client(
    authority: CertificateAuthority, name: str, *, now_s: int, days: float = END_DAYS
) -> Credential:
    """Issue a certificate with a new key to a device or hub; the broker's user is ``name``."""
    return _issue(authority, name, [], ExtendedKeyUsageOID.CLIENT_AUTH, now_s=now_s, days=days)


def issue_for(
    authority: CertificateAuthority,
    name: str,
    public_key: ec.EllipticCurvePublicKey,
    *,
    now_s: int,
    days: float,
) -> x509.Certificate:
    """Issue a certificate for a device whose private key stays on the device."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, authority.certificate.subject, public_key, now_s, days)
    return _end(builder, authority, ExtendedKeyUsageOID.CLIENT_AUTH).sign(
        authority.key, hashes.SHA256()
    )


def revocation_list(
    authority: CertificateAuthority, serials: list[int], *, now_s: int, days: int = 3650
) -> bytes:
    """Return a revocation list of these serial numbers, PEM.

    It is long-lived, because with an expired list the broker refuses every client.
    """
    now = datetime.fromtimestamp(now_s, UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.certificate.subject)
    builder = builder.last_update(now - SKEW).next_update(now + timedelta(days=days))
    for serial in serials:
        revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - SKEW)
        builder = builder.add_revoked_certificate(revoked.build())
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def issue_server(
    authority: CertificateAuthority, hosts: list[str], *, now_s: int, days: float = END_DAYS
) -> Credential:
    """Issue a certificate for a server that is reached under ``hosts``: names or addresses."""
    return _issue(
        authority, hosts[0], hosts, ExtendedKeyUsageOID.SERVER_AUTH, now_s=now_s, days=days
    )


def reissue(
    authority: CertificateAuthority,
    certificate: x509.Certificate,
    *,
    now_s: int,
    days: float = END_DAYS,
) -> x509.Certificate:
    """Issue a renewal of a certificate: the same name, purpose and key, and a later end.

    It needs no proof of identity, because only the holder of the private key can use it.
    Raises ValueError for a certificate that this authority did not issue.
    """
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (TypeError, InvalidSignature) as error:
        raise ValueError(f"the certificate was not issued by this authority: {error}") from None
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("the certificate's key is not of P-256")
    builder = _builder(certificate.subject, authority.certificate.subject, key, now_s, days)
    for extension in certificate.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.sign(authority.key, hashes.SHA256())


def _issue(
    authority: CertificateAuthority,
    name: str,
    hosts: list[str],
    purpose: x509.ObjectIdentifier,
    *,
    now_s: int,
    days: float,
) -> Credential:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, authority.certificate.subject, key.public_key(), now_s, days)
    builder = _end(builder, authority, purpose)
    if hosts:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
        )
    certificate = builder.sign(authority.key, hashes.SHA256())
    return Credential(certificate.public_bytes(serialization.Encoding.PEM), private_key_pem(key))


def _end(
    builder: x509.CertificateBuilder,
    authority: CertificateAuthority,
    purpose: x509.ObjectIdentifier,
) -> x509.CertificateBuilder:
    """Add the extensions of an end-entity certificate (RFC 5280, section 4.2)."""
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    return builder.add_extension(issuer_key, critical=False)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now_s: int, days: float
) -> x509.CertificateBuilder:
    now = datetime.fromtimestamp(now_s, UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - SKEW).not_valid_after(now + timedelta(days=days))


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
