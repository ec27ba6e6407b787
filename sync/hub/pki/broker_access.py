"""Who may speak at the broker: its ACL and its revocation list, written anew when the fleet changes.

A revoked device first may do nothing but hear of it and answer; when it has, or at once if ops say so, its
certificates are barred as well. Mosquitto reads both files again at SIGHUP.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import suppress
from pathlib import Path

from cryptography import x509

from edge.system.durable_file import write_durably
from sync.hub.config import HubBroker, HubConfig
from sync.hub.fleet.fleet_store import FleetStore
from sync.hub.pki.certificate_authority import CertificateAuthority, revocation_list
from sync.wire.fleet_requests import CONFIRMED, CUT, ORDERED, QUARANTINED
from sync.wire.topics import FLEET, Down, Up, site_group

_HEARS, _ANSWERS = Down.CONFIG, Up.CONFIG


def acl_lines(tenant: str, sites: dict[str, str], revoked: dict[str, str]) -> str:
    """The lines of the devices: groups for those that take part, denials for those that were revoked.

    ``sites`` is each device's site, ``revoked`` the stage of each revocation.
    """
    lines = []
    for dev in sorted({*sites, *revoked}):
        lines.append(f"\nuser {dev}\n")
        stage = revoked.get(dev)
        if stage in (CONFIRMED, CUT):
            lines.append("topic deny #\n")
        elif stage is not None:
            denied = [f"up/{channel}" for channel in Up if channel is not _ANSWERS]
            denied += [f"dn/{channel}" for channel in Down if channel is not _HEARS]
            lines += [f"topic deny v1/{tenant}/{dev}/{topic}\n" for topic in denied]
        else:
            lines += [
                f"topic read v1/{tenant}/{group}/dn/#\n"
                for group in (site_group(sites[dev]), FLEET)
            ]
    return "".join(lines)


class BrokerAccess:
    """Keeps the broker's files as the fleet's store says. Only the desk has one."""

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
        """Write what has changed and tell the broker. True when anything had. Raises OSError, FleetStoreError."""
        with self._store.transaction() as connection:
            self._bar(connection, now_s)
            revoked = dict(connection.execute("SELECT dev, stage FROM revoked").fetchall())
            serials = [
                int(serial, 16)
                for (serial,) in connection.execute("SELECT serial FROM barred ORDER BY serial")
            ]
            sites = {device.id: device.site for device in self._config.device}
            sites |= dict(connection.execute("SELECT dev, site FROM device").fetchall())
        base = Path(self._broker.acl_base_file).read_text(encoding="utf-8")
        changed = replace_file(
            Path(self._broker.acl_file),
            (base + acl_lines(self._config.tenant, sites, revoked)).encode(),
        )
        if self._listed() != set(serials):
            crl = revocation_list(self._authority, serials, now_s=now_s)
            write_durably(Path(self._broker.crl_file), crl, mode=0o644)
            changed = True
        if changed:
            self.tell_broker()
        with self._store.transaction() as connection:  # only now it is so
            connection.execute(
                "UPDATE revoked SET stage = ? WHERE stage = ?", (QUARANTINED, ORDERED)
            )
            connection.execute("UPDATE revoked SET stage = ? WHERE stage = ?", (CUT, CONFIRMED))
        return changed

    def _bar(self, connection: sqlite3.Connection, now_s: int) -> None:
        """Every certificate of a device that is to be cut off goes onto the list."""
        cut = connection.execute(
            "SELECT dev FROM revoked WHERE stage IN (?, ?)", (CONFIRMED, CUT)
        ).fetchall()
        for (dev,) in cut:
            given = "SELECT serial FROM certificate WHERE dev = ?1 UNION SELECT serial FROM succession WHERE name = ?1"
            known = [serial for (serial,) in connection.execute(given, (dev,))]
            with suppress(OSError, ValueError):  # one that was made with the site
                pem = (Path(self._broker.crl_file).parent / f"{dev}.pem").read_bytes()
                known.append(f"{x509.load_pem_x509_certificate(pem).serial_number:x}")
            connection.executemany(
                "INSERT OR IGNORE INTO barred VALUES (?, ?)", [(serial, now_s) for serial in known]
            )

    def _listed(self) -> set[int]:
        with suppress(OSError, ValueError):
            crl = x509.load_pem_x509_crl(Path(self._broker.crl_file).read_bytes())
            return {revoked.serial_number for revoked in crl}
        return {-1}

    def tell_broker(self) -> None:
        """Have the broker read its lists and certificates again."""
        tell_broker(Path(self._broker.pid_file))


def tell_broker(pid_file: Path) -> None:
    """Have a broker read its lists and certificates again; one that is not running reads them when it starts."""
    with suppress(OSError, ValueError):
        os.kill(int(pid_file.read_text(encoding="ascii")), signal.SIGHUP)


def replace_file(path: Path, content: bytes, *, mode: int = 0o600) -> bool:
    """Write ``content`` where it is not there yet; whether it was not. Raises OSError."""
    with suppress(OSError):
        if path.read_bytes() == content:
            return False
    write_durably(path, content, mode=mode)
    return True
