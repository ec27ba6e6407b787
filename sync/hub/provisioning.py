"""One folder with everything that a broker, a hub and their devices need.

It serves a site, a test or a demonstration. ``provision`` writes the authority, a certificate for
each party, the broker's configuration and ACL (from the templates in
``firmware-config/mosquitto``), and the hub's configuration. Existing certificates stay: a second
call with more devices adds only theirs::

    spec = PlatformSpec(port=8883, devices={"kiosk-1": "shop-1"}, user=getpass.getuser())
    documents = PlatformDocuments(
        order_feed_key=keys / "order_feed.pem", trust_list=keys / "trust-list.cose"
    )
    files = provision(folder, spec, documents, now_s=int(time.time()))
    # mosquitto -c {files.broker_config}, edge-hub run --config {files.hub_config},
    # and a device's profile with files.mqtt_section("kiosk-1", spec)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import Template

from edge.system.durable_file import write_durably, write_secret
from edge.values.errors import EdgeError
from sync.hub.pki.broker_access import acl_lines
from sync.hub.pki.certificate_authority import (
    CertificateAuthority,
    Credential,
    authority_pem,
    issue_client,
    issue_server,
    load_certificate_authority,
    new_certificate_authority,
    revocation_list,
)
from sync.wire.limits import MOST_PACKET_BYTES
from sync.wire.topics import HUB, OPS, is_device_name

TEMPLATES = (
    Path(__file__).parents[2] / "firmware-config" / "mosquitto",
    Path("/usr/share/edge-scanner/mosquitto"),  # as the package installs it
)


_TAKEN = ("ca", "broker", "enrolment")  # names of other certificates in the folder


class ProvisioningError(EdgeError):
    """The folder cannot be made; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSpec:
    """What ``provision`` makes."""

    tenant: str = "main"
    host: str = "127.0.0.1"  # name or address under which devices and hub reach the broker
    address: str = "127.0.0.1"  # address on which the broker listens
    port: int = 8883
    enrolment_port: int | None = None  # of the enrolment service; None: the one after the broker's
    # The account to which a broker started by root changes; it must be able to read the folder.
    user: str = "mosquitto"
    devices: dict[str, str]  # device id -> site
    hubs: int = 1  # hub processes that share the work
    database: str | None = None  # the hubs' store, a postgresql:// URL; None: a file

    @property
    def hub_names(self) -> tuple[str, ...]:
        """The hubs' identities at the broker: ``_hub``, ``_hub-2``, ..."""
        return (HUB, *(f"{HUB}-{number}" for number in range(2, self.hubs + 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformDocuments:
    """Paths of the hub's documents: see ``sync.hub.config.HubDocuments``."""

    order_feed_key: Path
    trust_list: Path
    status_lists: tuple[Path, ...] = ()


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


def provision(
    folder: Path, site: PlatformSpec, documents: PlatformDocuments | None, *, now_s: int
) -> PlatformFiles:
    """Make or extend ``folder``. Raises ProvisioningError.

    Without ``documents`` no hub configuration is written.
    """
    for device in site.devices:
        _check_name(device)
    files = PlatformFiles(folder.absolute())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "broker-data").mkdir(mode=0o700, exist_ok=True)
        authority = _authority(files, now_s)
        hosts = list(dict.fromkeys([site.host, site.address, "localhost"]))
        for name in ("broker", "enrolment"):
            if not files.certificate(name).exists():
                write_credential(files, name, issue_server(authority, hosts, now_s=now_s))
        for name in (*site.hub_names, OPS, *site.devices):
            if not files.certificate(name).exists():
                write_credential(files, name, issue_client(authority, name, now_s=now_s))
        if not files.revocations.exists():
            write_public(files.revocations, revocation_list(authority, [], now_s=now_s))
        _broker(files, site)
        write_public(files.fleet_config, _fleet_toml(site, documents).encode())
        if documents is not None:
            for name in site.hub_names:
                write_public(files.hub_config_of(name), _hub_toml(site, documents, name).encode())
    except OSError as error:
        raise ProvisioningError(f"{folder} cannot be written: {error}") from error
    except ValueError as error:
        raise ProvisioningError(f"{folder}: {error}; use a new folder") from error
    return files


def _check_name(device: str) -> None:
    """Raise ProvisioningError for what cannot name a device."""
    if device in _TAKEN:
        raise ProvisioningError(
            f"{device!r} cannot name a device: its files would be those of the {device}"
        )
    if not is_device_name(device):
        raise ProvisioningError(
            f"{device!r} cannot name a device: letters, digits, '.', '_' and '-', "
            "not starting 'site-'"
        )


def _authority(files: PlatformFiles, now_s: int) -> CertificateAuthority:
    if files.ca.exists():
        return load_certificate_authority(files.ca.read_bytes(), files.key("ca").read_bytes())
    authority = new_certificate_authority("edge-scanner devices", now_s=now_s)
    write_credential(files, "ca", authority_pem(authority))
    return authority


def write_credential(files: PlatformFiles, name: str, credential: Credential) -> None:
    """Write a certificate and, before it, its key. Raises OSError."""
    write_secret(files.key(name), credential.key_pem)
    write_public(files.certificate(name), credential.certificate_pem)


def write_public(path: Path, content: bytes) -> None:
    """Write a file that the broker, the hub and people read: mode 0644. Raises OSError."""
    write_durably(path, content, mode=0o644)


def _broker(files: PlatformFiles, site: PlatformSpec) -> None:
    values = {
        "folder": str(files.folder),
        "address": site.address,
        "port": str(site.port),
        "most_packet_bytes": str(MOST_PACKET_BYTES),
        "tenant": site.tenant,
    }
    values["user"] = site.user
    write_public(files.broker_config, template("mosquitto.conf").substitute(values).encode())
    base = template("acl").substitute(values)
    for name in site.hub_names[1:]:
        base += f"\nuser {name}\n"
        base += f"topic read v1/{site.tenant}/+/up/#\ntopic write v1/{site.tenant}/+/dn/#\n"
    write_secret(files.folder / "acl.base", base.encode())
    write_secret(files.folder / "acl", (base + acl_lines(site.tenant, site.devices, {})).encode())


def template(name: str) -> Template:
    """Return a template of ``firmware-config/mosquitto``. Raises ProvisioningError."""
    for folder in TEMPLATES:
        if (folder / name).exists():
            return Template((folder / name).read_text(encoding="utf-8"))
    raise ProvisioningError(f"the template {name} is in none of: {', '.join(map(str, TEMPLATES))}")


def _hub_toml(site: PlatformSpec, documents: PlatformDocuments, name: str) -> str:
    database = f'database = "{site.database}"\n' if site.database else ""
    share = f'identity = "{name}"\nshare = "hubs"\n' if site.hubs > 1 else ""
    status_lists = ", ".join(f'"{path.absolute()}"' for path in documents.status_lists)
    devices = "".join(
        f'\n[[device]]\nid = "{device}"\nsite = "{of}"\n' for device, of in site.devices.items()
    )
    return f"""tenant = "{site.tenant}"
data_dir = "hub-data"
{database}
[mqtt]
host = "{site.host}"
port = {site.port}
ca_file = "ca.pem"
cert_file = "{name}.pem"
key_file = "{name}.key"
{share}
[documents]
order_feed_key_file = "{documents.order_feed_key.absolute()}"
trust_list_file = "{documents.trust_list.absolute()}"
status_list_files = [{status_lists}]

[broker]
acl_file = "acl"
acl_base_file = "acl.base"
crl_file = "crl.pem"
pid_file = "mosquitto.pid"

[enrolment]
address = "{site.address}"
host = "{site.host}"
port = {site.enrolment_port or site.port + 1}
cert_file = "enrolment.pem"
key_file = "enrolment.key"
ca_key_file = "ca.key"
{devices}"""


def _fleet_toml(site: PlatformSpec, documents: PlatformDocuments | None) -> str:
    keys = f'keys = "{documents.order_feed_key.parent.absolute()}"\n' if documents else ""
    return f"""tenant = "{site.tenant}"
host = "{site.host}"
port = {site.port}
ca_file = "ca.pem"
cert_file = "{OPS}.pem"
key_file = "{OPS}.key"
{keys}"""
