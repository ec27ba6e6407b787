"""TLS 1.3 with our certificate, also on a device whose clock is not set.

A certificate's window is checked against what this device knows of the time. A Raspberry Pi without
a clock battery starts in the past, where no certificate is valid yet, and it needs the network to
learn the time. So while the clock is not trusted, the broker's chain and name are verified as
always, but of the window only the end, against the time floor. The broker decides nothing: signed
documents decide what is accepted.
"""

from __future__ import annotations

import ssl
from typing import Final

from cryptography import x509

from edge.values.errors import EdgeError
from edge.values.instant import ClockTrust, Instant
from sync.mqtt.endpoint import Endpoint

_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME (OpenSSL's x509_vfy.h)


class CertificateExpiredError(EdgeError):
    """The broker's certificate has expired, even by the earliest time that it can be now."""


def client_context(ca_file: str, cert_file: str, key_file: str) -> ssl.SSLContext:
    """Return a context that verifies a server strictly and shows it our certificate.

    TLS 1.3, all files PEM. Strictly is by RFC 5280: a certificate without an authority key
    identifier, for example, is refused. Python does so by default from 3.13 on. Raises OSError or
    ValueError for files that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(ca_file)
    context.load_cert_chain(cert_file, key_file)
    return context


def tls_context(endpoint: Endpoint, now: Instant) -> ssl.SSLContext:
    """Return the context to connect with. Raises OSError or ValueError for unusable files."""
    context = client_context(endpoint.ca_file, endpoint.cert_file, endpoint.key_file)
    if now.trust is not ClockTrust.TRUSTED:
        context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return context


def check_window(sock: object, now: Instant) -> None:
    """Check the end of the broker's certificate after the handshake, without a trusted clock.

    Raises CertificateExpiredError.
    """
    if now.trust is ClockTrust.TRUSTED or not isinstance(sock, ssl.SSLSocket):
        return
    certificate = sock.getpeercert() or {}
    not_after = certificate.get("notAfter")
    if isinstance(not_after, str) and ssl.cert_time_to_seconds(not_after) <= now.unix_s:
        raise CertificateExpiredError(f"the broker's certificate has expired: {not_after}")


def renewal_due(certificate: x509.Certificate, now_s: int) -> bool:
    """Return whether less than a third of the certificate's time is left."""
    start_s, end_s = (
        int(at.timestamp())
        for at in (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    )
    return now_s >= end_s - (end_s - start_s) // 3
