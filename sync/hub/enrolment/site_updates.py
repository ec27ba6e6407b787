"""What a site's broker needs from the platform: revocations and renewed certificates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from sync.hub.pki.certificate_authority import CertificateAuthority
from sync.hub.pki.certificate_renewal import name_of, renewed_certificate
from sync.hub.store.fleet import certificate_table, enrolment_table, revocation_table
from sync.hub.store.fleet.fleet_store import FleetConnection


def site_updates(
    connection: FleetConnection,
    body: dict[str, Any],
    authority: CertificateAuthority,
    crl_file: Path,
    *,
    devices: frozenset[str],
    now_s: int,
) -> dict[str, Any]:
    """Return revocations, and the certificates that are renewed of those in ``body``.

    ``body`` is ``{"certificates": {name: PEM}}``, and the result
    ``{"crl": PEM, "revoked": {device: stage}, "certificates": {name: PEM}}``.

    A renewed certificate keeps its key, so that it is of use only to the holder of that key. A
    device's certificate is not renewed, since a device renews its own; ``devices`` are those of the
    configuration. An expired certificate is not renewed either. Raises OSError.
    """
    devices |= enrolment_table.sites_of_devices(connection).keys()
    devices |= set(certificate_table.devices_with_certificate(connection))
    asked = body.get("certificates")
    renewed = {}
    for name, pem in asked.items() if isinstance(asked, dict) else ():
        try:
            certificate = x509.load_pem_x509_certificate(str(pem).encode())
            expired = now_s >= certificate.not_valid_after_utc.timestamp()
            if not expired and (_is_for_server(certificate) or name_of(certificate) not in devices):
                new = renewed_certificate(connection, certificate, authority, now_s=now_s)
                if new is not None:
                    renewed[name] = new.public_bytes(Encoding.PEM).decode()
        except ValueError:
            continue  # not a certificate of ours: it is not renewed
    return {
        "crl": crl_file.read_text(encoding="ascii"),
        "revoked": revocation_table.revocation_stages(connection),
        "certificates": renewed,
    }


def _is_for_server(certificate: x509.Certificate) -> bool:
    """Return whether it names a host, so that no device can speak with it.

    Raises ValueError for another shape.
    """
    try:
        use = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        raise ValueError("a certificate without a use: an authority's own") from None
    return list(use) == [ExtendedKeyUsageOID.SERVER_AUTH]
