"""The files of a platform's folder, and how they are written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from string import Template

from edge.system.durable_file import write_durably, write_secret
from edge.values.errors import EdgeError
from sync.hub.pki.certificate_authority import Credential
from sync.hub.provisioning.platform_spec import PlatformSpec

TEMPLATES = (
    Path(__file__).parents[3] / "firmware-config" / "mosquitto",
    Path("/usr/share/edge-scanner/mosquitto"),  # as the package installs it
)


class ProvisioningError(EdgeError):
    """The folder cannot be made; the message says what to do."""


@dataclass(frozen=True, slots=True)
class PlatformFiles:
    """Paths of the files in a provisioned folder."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The authority's certificate, for every device."""
        return self.folder / "ca.pem"

    @property
    def broker_config(self) -> Path:
        """The broker's configuration, for ``mosquitto -c``."""
        return self.folder / "mosquitto.conf"

    @property
    def hub_config(self) -> Path:
        """The first hub's configuration, for ``edge-hub run --config``."""
        return self.folder / "hub.toml"

    def hub_config_of(self, name: str) -> Path:
        """Return the configuration of one of several hubs: hub-2.toml for ``_hub-2``."""
        return self.folder / f"{name.lstrip('_')}.toml"

    @property
    def revocations(self) -> Path:
        """The broker's list of revoked certificates."""
        return self.folder / "crl.pem"

    @property
    def fleet_config(self) -> Path:
        """The configuration of operations, for ``edge-fleet --fleet``."""
        return self.folder / "fleet.toml"

    def certificate(self, name: str) -> Path:
        """Return the certificate of a device, of ``_hub`` or of ``broker``."""
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        """Return the private key that belongs to ``certificate(name)``."""
        return self.folder / f"{name}.key"

    def mqtt_section(self, device: str, site: PlatformSpec) -> str:
        """Return the ``[mqtt]`` section of a device's profile, TOML."""
        return (
            f'[mqtt]\nhost = "{site.host}"\nport = {site.port}\nca_file = "{self.ca}"\n'
            f'cert_file = "{self.certificate(device)}"\nkey_file = "{self.key(device)}"\n'
        )


def write_credential(files: PlatformFiles, name: str, credential: Credential) -> None:
    """Write a certificate and, before it, its key. Raises OSError."""
    write_secret(files.key(name), credential.key_pem)
    write_public(files.certificate(name), credential.certificate_pem)
    for path in (files.key(name), files.certificate(name)):
        _give_to_owner_of(files.folder, path)


def write_public(path: Path, content: bytes) -> None:
    """Write a file that the broker, the hub and people read: mode 0644. Raises OSError."""
    write_durably(path, content, mode=0o644)


def write_new(path: Path, content: str, *, mode: int) -> bool:
    """Write a file unless it exists: a person may have changed it. Return whether it did not."""
    if path.exists():
        return False
    write_durably(path, content.encode(), mode=mode)
    _give_to_owner_of(path.parent, path)
    return True


def append(path: Path, text: str) -> None:
    """Add ``text`` at the end of a file, whose mode and owner stay. Raises OSError."""
    if not text:
        return
    status = path.stat()
    write_durably(path, path.read_bytes() + text.encode(), mode=status.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(path, status.st_uid, status.st_gid)


def template(name: str) -> Template:
    """Return a template of ``firmware-config/mosquitto``. Raises ProvisioningError."""
    for folder in TEMPLATES:
        if (folder / name).exists():
            return Template((folder / name).read_text(encoding="utf-8"))
    raise ProvisioningError(f"the template {name} is in none of: {', '.join(map(str, TEMPLATES))}")


def _give_to_owner_of(folder: Path, path: Path) -> None:
    """Give a new file to the owner of its folder, who is the broker's user once it runs."""
    if os.geteuid() == 0:
        status = folder.stat()
        os.chown(path, status.st_uid, status.st_gid)
