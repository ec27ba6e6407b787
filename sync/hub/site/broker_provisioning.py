"""Certificates and configuration of a site's broker, its bridge to the platform and its authority.

The devices of the site always connect to this broker. The bridge is our own
(``sync.hub.site.bridge``): that of Mosquitto 2.0.11, which Debian 12 ships, can hang with its whole
broker when the line returns (adr/0042). ``provision_site_broker`` issues certificates from the
authority in the platform's folder (``sync.hub.provisioning``) and adds the bridge to the ACL there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.system.durable_file import write_secret
from edge.values.node_name import (
    AUTHORITY_PREFIX,
    BRIDGE_PREFIX,
    FLEET,
    device_name_fault,
    name_fault,
)
from sync.hub.pki.broker_access import acl_lines
from sync.hub.pki.certificate_authority import (
    Credential,
    issue_client,
    issue_server,
    load_certificate_authority,
)
from sync.hub.provisioning.platform_files import (
    PlatformFiles,
    ProvisioningError,
    template,
    write_credential,
    write_public,
)
from sync.wire.limits import MOST_PACKET_BYTES
from sync.wire.topics import site_group


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteBroker:
    """What to make. ``platform`` is the host and port by which the site reaches its broker."""

    tenant: str = "main"
    site: str
    devices: tuple[str, ...]
    host: str = "127.0.0.1"
    address: str = "127.0.0.1"
    port: int = 8883
    platform: tuple[str, int]
    # Port of the platform's enrolment service; None: the one after the platform's broker.
    enrolment_port: int | None = None
    user: str = "mosquitto"
    grant_key: Path  # PEM; the trust list names it for grants of this site
    roots: Path

    @property
    def fault(self) -> str | None:
        """What is wrong with a name; None when all are good."""
        names = (self.tenant, self.site, self.authority)
        faults = [*map(name_fault, names), *map(device_name_fault, self.devices)]
        return next((fault for fault in faults if fault is not None), None)

    @property
    def authority(self) -> str:
        """The name of the site's authority."""
        return AUTHORITY_PREFIX + self.site

    @property
    def bridge(self) -> str:
        """The user name of the bridge, at both brokers."""
        return BRIDGE_PREFIX + self.site


def provision_site_broker(
    folder: Path, at: SiteBroker, platform: PlatformFiles, *, now_s: int
) -> PlatformFiles:
    """Make ``folder`` for ``mosquitto -c`` and for ``edge-hub authority run`` and ``bridge``.

    Extends the platform's ACL; the platform's broker must then read it again (SIGHUP).
    Raises OSError, ValueError and ProvisioningError.
    """
    if at.fault is not None:
        raise ProvisioningError(at.fault)
    files = PlatformFiles(folder.absolute())
    (folder / "broker-data").mkdir(mode=0o700, parents=True, exist_ok=True)
    issuer = load_certificate_authority(platform.ca.read_bytes(), platform.key("ca").read_bytes())
    write_public(files.ca, platform.ca.read_bytes())
    hosts = list(dict.fromkeys([at.host, at.address, "localhost"]))
    _write(files, "broker", issue_server(issuer, hosts, now_s=now_s))
    for name in (at.bridge, at.authority):
        _write(files, name, issue_client(issuer, name, now_s=now_s))
    write_public(files.revocations, platform.revocations.read_bytes())
    values = {
        "folder": str(files.folder),
        "address": at.address,
        "port": str(at.port),
        "most_packet_bytes": str(MOST_PACKET_BYTES),
        "tenant": at.tenant,
        "user": at.user,
    }
    write_public(files.broker_config, template("mosquitto.conf").substitute(values).encode())
    base = template("acl").substitute(values) + _authority_acl(at) + _bridge_acl(at)
    write_secret(files.folder / "acl.base", base.encode())
    acl = base + acl_lines(at.tenant, dict.fromkeys(at.devices, at.site), {})
    write_secret(files.folder / "acl", acl.encode())
    write_public(files.folder / "authority.toml", _authority_toml(at).encode())
    write_public(files.folder / "bridge.toml", _bridge_toml(at).encode())
    _extend_platform_acl(platform, at)
    return files


def _write(files: PlatformFiles, name: str, credential: Credential) -> None:
    if not files.certificate(name).exists():
        write_credential(files, name, credential)


def _authority_acl(at: SiteBroker) -> str:
    """Return the authority's rights at the site's broker: read its devices, reply to them."""
    lines = [
        f"\n# The site's authority.\nuser {at.authority}\n",
        f"topic read v1/{at.tenant}/+/up/#\n",
    ]
    lines.append(f"topic read v1/{at.tenant}/{FLEET}/dn/#\n")
    lines.append(f"topic write v1/{at.tenant}/{site_group(at.site)}/dn/cmd\n")
    lines += [f"topic write v1/{at.tenant}/{device}/dn/res\n" for device in at.devices]
    return "".join(lines)


def _bridge_acl(at: SiteBroker) -> str:
    """Return the bridge's rights at the site's broker: read the site, publish to its devices."""
    lines = [
        f"\n# The line to the platform.\nuser {at.bridge}\n",
        f"topic read v1/{at.tenant}/+/up/#\n",
    ]
    return "".join([*lines, f"topic write v1/{at.tenant}/+/dn/#\n"])


def _extend_platform_acl(platform: PlatformFiles, at: SiteBroker) -> None:
    """Give the bridge rights at the platform's broker, for its own site's devices alone."""
    lines = [f"\n# The bridge of {at.site}.\nuser {at.bridge}\n"]
    for name in (*at.devices, at.authority):
        lines += [
            f"topic write v1/{at.tenant}/{name}/up/#\n",
            f"topic read v1/{at.tenant}/{name}/dn/#\n",
        ]
    lines += [f"topic read v1/{at.tenant}/{group}/dn/#\n" for group in (site_group(at.site), FLEET)]
    for name in ("acl.base", "acl"):
        path = platform.folder / name
        text = path.read_text(encoding="utf-8")
        if lines[0] not in text:
            write_secret(path, (text + "".join(lines)).encode())


def _authority_toml(at: SiteBroker) -> str:
    devices = ", ".join(f'"{device}"' for device in at.devices)
    return f"""tenant = "{at.tenant}"
site = "{at.site}"
id = "{at.authority}"
data_dir = "authority-data"
roots_file = "{at.roots.absolute()}"
grant_key_file = "{at.grant_key.absolute()}"
devices = [{devices}]

[mqtt]
host = "{at.host}"
port = {at.port}
ca_file = "ca.pem"
cert_file = "{at.authority}.pem"
key_file = "{at.authority}.key"
identity = "{at.authority}"

[broker]
acl_file = "acl"
acl_base_file = "acl.base"
crl_file = "crl.pem"
pid_file = "mosquitto.pid"

[enrolment]
host = "{at.platform[0]}"
port = {at.enrolment_port or at.platform[1] + 1}
"""


def _bridge_toml(at: SiteBroker) -> str:
    return f"""tenant = "{at.tenant}"
site = "{at.site}"
{_bridge_end("here", at, at.host, at.port)}{_bridge_end("platform", at, *at.platform)}"""


def _bridge_end(section: str, at: SiteBroker, host: str, port: int) -> str:
    return f"""
[{section}]
host = "{host}"
port = {port}
ca_file = "ca.pem"
cert_file = "{at.bridge}.pem"
key_file = "{at.bridge}.key"
identity = "{at.bridge}"
keepalive_s = 15
"""
