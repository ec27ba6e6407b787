"""The broker's access control list and certificate revocation list.

Both are rewritten when the fleet changes. A revoked device may first only receive its revocation
and confirm it. After that, or at once if operations ask for it, its certificates are revoked as
well. Mosquitto reads both files again at SIGHUP.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography import x509

from edge.system.durable_file import write_durably
from edge.values.node_name import FLEET
from sync.hub.config import HubBroker, HubConfig
from sync.hub.pki.certificate_authority import CertificateAuthority, revocation_list
from sync.hub.store.fleet import certificate_table, enrolment_table, revocation_table
from sync.hub.store.fleet.fleet_store import FleetConnection, FleetStore
from sync.wire.fleet_requests import CONFIRMED, CUT
from sync.wire.topics import Down, Up, site_group

# The channels that a revoked device may still use: to receive its revocation and to confirm it.
_MAY_READ: Final = Down.CONFIG
_MAY_WRITE: Final = Up.CONFIG


def acl_lines(tenant: str, sites: dict[str, str], revoked: dict[str, str]) -> str:
    """Return the devices' ACL lines: group topics for active devices, denials for revoked ones.

    ``sites`` maps each device to its site, ``revoked`` each revoked device to the stage of its
    revocation.
    """
    lines = []
    for dev in sorted({*sites, *revoked}):
        lines.append(f"\nuser {dev}\n")
        stage = revoked.get(dev)
        if stage in (CONFIRMED, CUT):
            lines.append("topic deny #\n")
        elif stage is not None:
            denied = [f"up/{channel}" for channel in Up if channel is not _MAY_WRITE]
            denied += [f"dn/{channel}" for channel in Down if channel is not _MAY_READ]
            lines += [f"topic deny v1/{tenant}/{dev}/{topic}\n" for topic in denied]
        else:
            lines += [
                f"topic read v1/{tenant}/{group}/dn/#\n"
                for group in (site_group(sites[dev]), FLEET)
            ]
    return "".join(lines)


def users_of(acl: str) -> set[str]:
    """Return the users that an ACL names."""
    return {line.removeprefix("user ") for line in acl.splitlines() if line.startswith("user ")}


class BrokerAccess:
    """Updates the broker's files from the fleet's store. Only the enrolment service has one."""

    def __init__(
        self,
        config: HubConfig,
        broker: HubBroker,
        authority: CertificateAuthority,
        store: FleetStore,
    ) -> None:
        self._config = config
        self._broker = broker
        self._authority = authority
        self._store = store

    def refresh(self, now_s: int) -> bool:
        """Write what has changed and reload the broker. Return whether anything had changed.

        Raises OSError and HubStoreError.
        """
        with self._store.transaction() as connection:
            self._revoke_certificates(connection, now_s)
            revoked = revocation_table.revocation_stages(connection)
            serials = [int(serial, 16) for serial in certificate_table.revoked_serials(connection)]
            sites = {device.id: device.site for device in self._config.device}
            sites |= enrolment_table.sites_of_devices(connection)
        base = Path(self._broker.acl_base_file).read_text(encoding="utf-8")
        changed = write_if_changed(
            Path(self._broker.acl_file),
            (base + acl_lines(self._config.tenant, sites, revoked)).encode(),
        )
        if self._listed() != set(serials):
            crl = revocation_list(self._authority, serials, now_s=now_s)
            write_durably(Path(self._broker.crl_file), crl, mode=0o644)
            changed = True
        if changed:
            self.reload_broker()
        with self._store.transaction() as connection:  # now that the broker enforces it
            revocation_table.advance_revocations(connection)
        return changed

    def reload_broker(self) -> None:
        """Have the broker read its lists and certificates again."""
        reload_broker(Path(self._broker.pid_file))

    def _revoke_certificates(self, connection: FleetConnection, now_s: int) -> None:
        """Put every certificate of a device that is cut off on the revocation list."""
        stages = revocation_table.revocation_stages(connection)
        for dev in (dev for dev, stage in stages.items() if stage in (CONFIRMED, CUT)):
            serials = certificate_table.serials_of(connection, dev)
            with suppress(OSError, ValueError):  # a certificate that was made with the platform
                pem = (Path(self._broker.crl_file).parent / f"{dev}.pem").read_bytes()
                serials.append(f"{x509.load_pem_x509_certificate(pem).serial_number:x}")
            certificate_table.revoke_certificates(connection, serials, at_s=now_s)

    def _listed(self) -> set[int]:
        """Return the serial numbers on the broker's list.

        For a list that cannot be read return a set that differs from every list: it is then
        written again.
        """
        with suppress(OSError, ValueError):
            crl = x509.load_pem_x509_crl(Path(self._broker.crl_file).read_bytes())
            return {revoked.serial_number for revoked in crl}
        return {-1}


def reload_broker(pid_file: Path) -> None:
    """Have a broker read its lists and certificates again.

    A broker that is not running reads them when it starts.
    """
    with suppress(OSError, ValueError):
        os.kill(int(pid_file.read_text(encoding="ascii")), signal.SIGHUP)


def write_if_changed(path: Path, content: bytes, *, mode: int = 0o600) -> bool:
    """Write ``content`` unless the file has it already. Return whether it wrote. Raises OSError."""
    with suppress(OSError):
        if path.read_bytes() == content:
            return False
    write_durably(path, content, mode=mode)
    return True
