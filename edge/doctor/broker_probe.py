"""The device's certificate, and one TLS connection to the broker with it."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from edge.config import MqttSection
from edge.doctor.facts import BrokerFact, CertificateFact, LastContact, NotEnrolled

_PUBLIC = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def missing_files(mqtt: MqttSection) -> tuple[str, ...]:
    """Return the certificate files of the profile that do not exist; any: it is not enrolled."""
    return tuple(
        file for file in (mqtt.ca_file, mqtt.cert_file, mqtt.key_file) if not Path(file).exists()
    )


def read_certificate(mqtt: MqttSection) -> CertificateFact | NotEnrolled:
    """Return the certificate, and whether the private key fits it."""
    missing = missing_files(mqtt)
    if missing:
        return NotEnrolled(missing)
    certificate = x509.load_pem_x509_certificate(Path(mqtt.cert_file).read_bytes())
    key = serialization.load_pem_private_key(Path(mqtt.key_file).read_bytes(), password=None)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return CertificateFact(
        subject=str(names[0].value) if names else certificate.subject.rfc4514_string(),
        not_before_s=int(certificate.not_valid_before_utc.timestamp()),
        not_after_s=int(certificate.not_valid_after_utc.timestamp()),
        key_fits=key.public_key().public_bytes(*_PUBLIC)
        == certificate.public_key().public_bytes(*_PUBLIC),
        key_mode=Path(mqtt.key_file).stat().st_mode & 0o777,
    )


def try_broker(mqtt: MqttSection, timeout_s: float) -> BrokerFact:
    """Connect with TLS 1.3 and the device's certificate, and disconnect."""
    address = f"{mqtt.host}:{mqtt.port}"
    if missing_files(mqtt):
        return BrokerFact(
            address=address, contact=LastContact.NOT_TRIED, detail="the device has no certificate"
        )
    try:
        context = _context(mqtt)
    except (OSError, ssl.SSLError) as error:
        return BrokerFact(
            address=address, contact=LastContact.NOT_ACCEPTED, detail=f"certificate files: {error}"
        )
    try:
        plain = socket.create_connection((mqtt.host, mqtt.port), timeout=timeout_s)
    except socket.gaierror as error:
        return BrokerFact(
            address=address, contact=LastContact.NAME_NOT_FOUND, detail=error.strerror or str(error)
        )
    except OSError as error:
        return BrokerFact(
            address=address, contact=LastContact.NO_ROUTE, detail=error.strerror or str(error)
        )
    with plain:
        return _try_tls(context, plain, mqtt.host, address)


def _context(mqtt: MqttSection) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=mqtt.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # RFC 5280; Python's default from 3.13
    context.load_cert_chain(mqtt.cert_file, mqtt.key_file)
    return context


def _try_tls(context: ssl.SSLContext, plain: socket.socket, host: str, address: str) -> BrokerFact:
    try:
        with context.wrap_socket(plain, server_hostname=host) as secure:
            # With TLS 1.3 a refused client certificate shows at the first read, after the
            # handshake. A broker that accepts it waits for CONNECT and sends nothing.
            secure.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                secure.recv(1)
            return BrokerFact(
                address=address, contact=LastContact.REACHED, detail=secure.version() or "TLS"
            )
    except ssl.SSLCertVerificationError as error:
        return BrokerFact(
            address=address, contact=LastContact.NOT_TRUSTED, detail=error.verify_message
        )
    except ssl.SSLError as error:
        return BrokerFact(
            address=address, contact=LastContact.NOT_ACCEPTED, detail=error.reason or str(error)
        )
    except OSError as error:
        return BrokerFact(
            address=address, contact=LastContact.NO_ROUTE, detail=error.strerror or str(error)
        )
