"""Certificates that were made with a site, a broker's, a desk's, a hub's: replaced in the last third of their time.

Each keeps its key, so that one public file is replaced at once and nobody ever reads half a pair. A device's
certificate is not among them: it renews itself, with a new key (``sync.renewal``).
"""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edge.settings.folder import write_durably
from sync.hub.pki import Authority, reissue
from sync.renewal import renewal_due

SERVERS = ("broker", "desk")


def own_certificates(folder: Path) -> dict[str, Path]:
    """The folder's own, by name: servers, and those whose names no device can have."""
    return {path.stem: path for path in sorted(folder.glob("*.pem")) if path.stem in SERVERS or path.stem[0] == "_"}


def renew_folder(folder: Path, authority: Authority, *, now_s: int) -> list[str]:
    """Replace what is due; its names. Raises OSError, and ValueError for a certificate of another authority."""
    renewed = []
    for name, path in own_certificates(folder).items():
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        if renewal_due(certificate, now_s):
            new = reissue(authority, certificate, now_s=now_s)
            write_durably(path, new.public_bytes(Encoding.PEM), mode=0o644)
            renewed.append(name)
    return renewed
