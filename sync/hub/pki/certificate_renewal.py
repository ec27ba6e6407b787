"""Renewal of a platform's own certificates: of the broker, the enrolment service and the hubs.

Each is renewed in the last third of its validity, with the same key. Only one public file is then
replaced, atomically, and no reader sees a certificate without its key. A device renews its own
certificate, with a new key (``sync.agent.enrolment.renewal``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from edge.system.durable_file import write_durably
from sync.hub.pki.certificate_authority import CertificateAuthority, reissue
from sync.hub.store.fleet import certificate_table, revocation_table
from sync.hub.store.fleet.fleet_store import FleetConnection
from sync.mqtt.tls import renewal_due

SERVERS: Final = ("broker", "enrolment")


def own_certificates(folder: Path) -> dict[str, Path]:
    """Return the platform's own certificates by name: of servers, hubs and operations."""
    return {
        path.stem: path
        for path in sorted(folder.glob("*.pem"))
        if path.stem in SERVERS or path.stem[0] == "_"
    }


def renewed_certificate(
    connection: FleetConnection,
    certificate: x509.Certificate,
    authority: CertificateAuthority,
    *,
    now_s: int,
) -> x509.Certificate | None:
    """Renew a certificate in the caller's transaction; return None if it is not due or is revoked.

    Both serial numbers are stored with the name, so that a revocation of the name covers both.
    Raises ValueError for a certificate of another authority.
    """
    name, serial = name_of(certificate), f"{certificate.serial_number:x}"
    if not renewal_due(certificate, now_s):
        return None
    if (
        certificate_table.is_certificate_revoked(connection, serial)
        or revocation_table.revocation_of(connection, name) is not None
    ):
        return None
    new = reissue(authority, certificate, now_s=now_s)
    certificate_table.insert_renewal(connection, name, (serial, f"{new.serial_number:x}"))
    return new


def name_of(certificate: x509.Certificate) -> str:
    """Return the common name of a certificate; empty for one without."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def renew_folder(
    folder: Path, connection: FleetConnection, authority: CertificateAuthority, *, now_s: int
) -> list[str]:
    """Renew the certificates that are due, in the caller's transaction, and return their names.

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
