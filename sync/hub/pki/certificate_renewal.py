"""Certificates that were made with a site, a broker's, a desk's, a hub's: replaced in the last third of their time.

Each keeps its key, so that one public file is replaced at once and nobody ever reads half a pair. A device's
certificate is not among them: it renews itself, with a new key (``sync.agent.enrolment.renewal``).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from edge.system.durable_file import write_durably
from sync.hub.pki.certificate_authority import CertificateAuthority, reissue
from sync.mqtt.tls import renewal_due

SERVERS = ("broker", "desk")


def own_certificates(folder: Path) -> dict[str, Path]:
    """The folder's own, by name: servers, and those whose names no device can have."""
    return {
        path.stem: path
        for path in sorted(folder.glob("*.pem"))
        if path.stem in SERVERS or path.stem[0] == "_"
    }


def renewed_certificate(
    connection: sqlite3.Connection,
    certificate: x509.Certificate,
    authority: CertificateAuthority,
    *,
    now_s: int,
) -> x509.Certificate | None:
    """Its successor, in the caller's transaction; None for one that is not due, or is no longer believed.

    Both numbers are kept with the name, so that whoever is revoked can be barred under each of them.
    Raises ValueError for a certificate of another authority.
    """
    name, serial = name_of(certificate), f"{certificate.serial_number:x}"
    if not renewal_due(certificate, now_s):
        return None
    barred = "SELECT 1 FROM barred WHERE serial = ? UNION SELECT 1 FROM revoked WHERE dev = ?"
    if connection.execute(barred, (serial, name)).fetchone():
        return None
    new = reissue(authority, certificate, now_s=now_s)
    both = [(serial, name), (f"{new.serial_number:x}", name)]
    connection.executemany("INSERT OR IGNORE INTO succession VALUES (?, ?)", both)
    return new


def name_of(certificate: x509.Certificate) -> str:
    """Whom a certificate names; empty for one that names nobody."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def renew_folder(
    folder: Path, connection: sqlite3.Connection, authority: CertificateAuthority, *, now_s: int
) -> list[str]:
    """Replace what is due, in the caller's transaction; its names.

    Raises OSError, and ValueError for a certificate of another authority.
    """
    renewed = []
    for name, path in own_certificates(folder).items():
        new = renewed_certificate(
            connection, x509.load_pem_x509_certificate(path.read_bytes()), authority, now_s=now_s
        )
        if new is not None:
            write_durably(path, new.public_bytes(Encoding.PEM), mode=0o644)
            renewed.append(name)
    return renewed
