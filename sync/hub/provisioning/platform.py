"""One folder with everything that a broker, a hub and their devices need.

It serves a site, a test or a demonstration. ``provision`` writes the authority, a certificate for
each party, the broker's configuration and ACL (from the templates in
``firmware-config/mosquitto``), and the hub's configuration. What is there stays as it is: a second
call adds its devices, and drops and changes nothing::

    spec = PlatformSpec(port=8883, devices={"kiosk-1": "shop-1"}, user=getpass.getuser())
    documents = PlatformDocuments(
        order_feed_key=keys / "order_feed.pem", trust_list=keys / "trust-list.cose"
    )
    files = provision(folder, spec, documents, now_s=int(time.time()))
    # mosquitto -c {files.broker_config}, edge-hub run --config {files.hub_config},
    # and a device's profile with files.mqtt_section("kiosk-1", spec)
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from edge.system.durable_file import write_secret
from edge.values.node_name import OPS
from sync.hub.pki.broker_access import acl_lines, users_of
from sync.hub.pki.certificate_authority import (
    CertificateAuthority,
    authority_pem,
    issue_client,
    issue_server,
    load_certificate_authority,
    new_certificate_authority,
    revocation_list,
)
from sync.hub.provisioning.platform_files import (
    PlatformFiles,
    ProvisioningError,
    append,
    template,
    write_credential,
    write_new,
)
from sync.hub.provisioning.platform_record import FILE, extended, record_text, recorded_spec
from sync.hub.provisioning.platform_spec import PlatformDocuments, PlatformSpec
from sync.wire.limits import MOST_PACKET_BYTES


def provision(
    folder: Path, asked: PlatformSpec, documents: PlatformDocuments | None, *, now_s: int
) -> PlatformFiles:
    """Make or extend ``folder``. Raises ProvisioningError.

    Without ``documents`` no hub configuration is written.
    """
    if asked.fault is not None:
        raise ProvisioningError(asked.fault)
    recorded = recorded_spec(folder)
    spec = asked if recorded is None else extended(recorded, asked)
    files = PlatformFiles(folder.absolute())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "broker-data").mkdir(mode=0o700, exist_ok=True)
        write_secret(folder / FILE, record_text(spec).encode())
        _certificates(files, spec, now_s)
        _broker(files, spec)
        write_new(files.fleet_config, _fleet_toml(spec), mode=0o644)
        if documents is not None:
            _add_keys(files.fleet_config, documents)
            for name in spec.hub_names:
                _hub_config(files.hub_config_of(name), spec, documents, name)
    except OSError as error:
        raise ProvisioningError(f"{folder} cannot be written: {error}") from error
    except ValueError as error:
        raise ProvisioningError(f"{folder}: {error}; use a new folder") from error
    return files


def _certificates(files: PlatformFiles, spec: PlatformSpec, now_s: int) -> None:
    authority = _authority(files, now_s)
    hosts = list(dict.fromkeys([spec.host, spec.address, "localhost"]))
    for name in ("broker", "enrolment"):
        if not files.certificate(name).exists():
            write_credential(files, name, issue_server(authority, hosts, now_s=now_s))
    for name in (*spec.hub_names, OPS, *spec.devices):
        if not files.certificate(name).exists():
            write_credential(files, name, issue_client(authority, name, now_s=now_s))
    write_new(files.revocations, revocation_list(authority, [], now_s=now_s).decode(), mode=0o644)


def _authority(files: PlatformFiles, now_s: int) -> CertificateAuthority:
    if files.ca.exists():
        return load_certificate_authority(files.ca.read_bytes(), files.key("ca").read_bytes())
    authority = new_certificate_authority("edge-scanner devices", now_s=now_s)
    write_credential(files, "ca", authority_pem(authority))
    return authority


def _broker(files: PlatformFiles, spec: PlatformSpec) -> None:
    values = {
        "folder": str(files.folder),
        "address": spec.address,
        "port": str(spec.port),
        "most_packet_bytes": str(MOST_PACKET_BYTES),
        "tenant": spec.tenant,
        "user": spec.user,
    }
    write_new(files.broker_config, template("mosquitto.conf").substitute(values), mode=0o644)
    base = template("acl").substitute(values)
    for name in spec.hub_names[1:]:
        base += f"\nuser {name}\n"
        base += f"topic read v1/{spec.tenant}/+/up/#\ntopic write v1/{spec.tenant}/+/dn/#\n"
    write_new(files.folder / "acl.base", base, mode=0o600)
    acl = files.folder / "acl"
    if not write_new(acl, base + acl_lines(spec.tenant, spec.devices, {}), mode=0o600):
        listed = users_of(acl.read_text(encoding="utf-8"))
        added = {dev: site for dev, site in spec.devices.items() if dev not in listed}
        append(acl, acl_lines(spec.tenant, added, {}))


def _hub_config(path: Path, spec: PlatformSpec, documents: PlatformDocuments, name: str) -> None:
    """Write a hub's configuration, or add the devices that it lacks.

    Its owner alone reads it: the URL of a database holds a password.
    """
    if not write_new(path, _hub_toml(spec, documents, name), mode=0o600):
        written = tomllib.loads(path.read_text(encoding="utf-8")).get("device", [])
        listed = {device.get("id") for device in written}
        append(
            path,
            _device_sections({dev: of for dev, of in spec.devices.items() if dev not in listed}),
        )


def _device_sections(devices: dict[str, str]) -> str:
    return "".join(
        f'\n[[device]]\nid = "{device}"\nsite = "{of}"\n' for device, of in devices.items()
    )


def _hub_toml(site: PlatformSpec, documents: PlatformDocuments, name: str) -> str:
    database = f'database = "{site.database}"\n' if site.database else ""
    share = f'identity = "{name}"\nshare = "hubs"\n' if site.hubs > 1 else ""
    status_lists = ", ".join(f'"{path.absolute()}"' for path in documents.status_lists)
    devices = _device_sections(site.devices)
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


def _fleet_toml(site: PlatformSpec) -> str:
    return f"""tenant = "{site.tenant}"
host = "{site.host}"
port = {site.port}
ca_file = "ca.pem"
cert_file = "{OPS}.pem"
key_file = "{OPS}.key"
"""


def _add_keys(path: Path, documents: PlatformDocuments) -> None:
    """Name the folder of keys for operations, unless the file names one."""
    if "keys" not in tomllib.loads(path.read_text(encoding="utf-8")):
        append(path, f'keys = "{documents.order_feed_key.parent.absolute()}"\n')
