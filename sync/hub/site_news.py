"""What a site's broker has to know of the platform: who may not speak there, and its certificates' successors."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sync.hub.pki import Authority, reissue
from sync.renewal import renewal_due


def news(
    connection: sqlite3.Connection, body: dict[str, Any], authority: Authority, crl_file: Path, *, now_s: int
) -> dict[str, Any]:
    """Answer ``{"certificates": {name: PEM}}`` with ``{"crl": PEM, "revoked": {device: stage}, "certificates": ...}``.

    A successor keeps the key, so that it is of use only to who has the certificate already. Raises OSError.
    """
    revoked = dict(connection.execute("SELECT dev, stage FROM revoked").fetchall())
    barred = {int(serial, 16) for (serial,) in connection.execute("SELECT serial FROM barred")}
    asked = body.get("certificates")
    successors = {}
    for name, pem in asked.items() if isinstance(asked, dict) else ():
        try:
            certificate = x509.load_pem_x509_certificate(str(pem).encode())
            if renewal_due(certificate, now_s) and certificate.serial_number not in barred:
                new = reissue(authority, certificate, now_s=now_s)
                successors[name] = new.public_bytes(Encoding.PEM).decode()
        except ValueError:
            continue  # not a certificate of ours: it has no successor
    return {"crl": crl_file.read_text(encoding="ascii"), "revoked": revoked, "certificates": successors}
