"""A fleet's certificates as PEM files, for tests of what reads them."""

from pathlib import Path

from edge.config import MqttSection
from sync.hub.pki.certificate_authority import (
    Credential,
    authority_pem,
    issue_client,
    issue_server,
    new_certificate_authority,
)
from tests.support.certificates import without_authority_key_identifier


class PemFleet:
    """A fleet's certificate authority, which writes PEM files into ``folder``."""

    def __init__(self, folder: Path, name: str, *, now_s: int):
        self.folder = folder
        self.now_s = now_s
        self.authority = new_certificate_authority(name, now_s=now_s)
        self.ca_file = self._write(f"{name}.pem", authority_pem(self.authority).certificate_pem)

    def device(self, name: str, *, days: float = 1) -> tuple[Path, Path]:
        """Return the files of a device's certificate and key."""
        return self._files(name, issue_client(self.authority, name, now_s=self.now_s, days=days))

    def server(self, *, strictly_valid: bool = True) -> tuple[Path, Path]:
        """Return the files of the certificate and key of a broker at localhost."""
        issued = issue_server(self.authority, ["localhost"], now_s=self.now_s, days=1)
        return self._files(
            "broker",
            issued if strictly_valid else without_authority_key_identifier(self.authority, issued),
        )

    def mqtt(self, certificate: tuple[Path, Path], port: int = 8883) -> MqttSection:
        """Return the section of a device with ``certificate``, for a broker at localhost."""
        cert, key = certificate
        return MqttSection(
            host="localhost",
            port=port,
            ca_file=str(self.ca_file),
            cert_file=str(cert),
            key_file=str(key),
        )

    def _files(self, name: str, credential: Credential) -> tuple[Path, Path]:
        return (
            self._write(f"{name}.pem", credential.certificate_pem),
            self._write(f"{name}.key", credential.key_pem),
        )

    def _write(self, name: str, pem: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(pem)
        path.chmod(0o600)
        return path
