"""What a site's broker has to know of the platform: who may not speak there, and its certificates' successors."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from sync.hub.pki.certificate_authority import CertificateAuthority
from sync.hub.pki.certificate_renewal import name_of, renewed_certificate


def site_updates(
    connection: sqlite3.Connection,
    body: dict[str, Any],
    authority: CertificateAuthority,
    crl_file: Path,
    *,
    devices: frozenset[str],
    now_s: int,
) -> dict[str, Any]:
    """Answer ``{"certificates": {name: PEM}}`` with ``{"crl": PEM, "revoked": {device: stage}, "certificates": ...}``.

    A successor keeps the key, so that it is of use only to who has the certificate already. None is given for a
    device's (``devices``: those of the configuration), which renews its own, and none for one that has ended.
    Raises OSError.
    """
    revoked = dict(connection.execute("SELECT dev, stage FROM revoked").fetchall())
    known = connection.execute("SELECT dev FROM device UNION SELECT dev FROM certificate")
    devices |= {dev for (dev,) in known}
    asked = body.get("certificates")
    successors = {}
    for name, pem in asked.items() if isinstance(asked, dict) else ():
        try:
            certificate = x509.load_pem_x509_certificate(str(pem).encode())
            ended = now_s >= certificate.not_valid_after_utc.timestamp()
            if not ended and (_for_server(certificate) or name_of(certificate) not in devices):
                new = renewed_certificate(connection, certificate, authority, now_s=now_s)
                if new is not None:
                    successors[name] = new.public_bytes(Encoding.PEM).decode()
        except ValueError:
            continue  # not a certificate of ours: it has no successor
    return {
        "crl": crl_file.read_text(encoding="ascii"),
        "revoked": revoked,
        "certificates": successors,
    }


def _for_server(certificate: x509.Certificate) -> bool:
    """Whether it names a host, and nobody can speak as a device with it. Raises ValueError for one of another shape."""
    try:
        use = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        raise ValueError("a certificate without a use: an authority's own") from None
    return list(use) == [ExtendedKeyUsageOID.SERVER_AUTH]
