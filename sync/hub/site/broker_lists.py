"""A site's broker kept as the platform says: who may not speak there, and certificates that do not end.

Every few seconds the site's authority asks the platform's desk, by its own certificate. While the line is cut the
broker goes on with what it has; what was missed comes with the first answer afterwards.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from cryptography import x509

from sync.hub.config import HubBroker, HubMqtt, PlatformService
from sync.hub.pki.broker_access import acl_lines, reload_broker, write_if_changed
from sync.mqtt.https_client import HttpsError, post_json
from sync.mqtt.tls import client_context


class SiteUpdatesError(Exception):
    """The desk did not answer, or said no."""


class SiteLists:
    """Keeps the files of one site's broker. File names are relative to ``folder``."""

    def __init__(
        self,
        *,
        tenant: str,
        site: str,
        devices: tuple[str, ...],
        broker: HubBroker,
        desk: PlatformService,
        mqtt: HubMqtt,
        folder: Path,
        log: Any,  # a structlog logger
    ) -> None:
        self._sites = dict.fromkeys(devices, site)
        self._broker = broker
        self._desk = desk
        self._mqtt = mqtt
        self._folder = folder
        self._log = log
        self._tenant = tenant
        self._state = ""

    def keep(self) -> None:
        """Refresh for ever, in a thread of its own."""
        while True:
            try:
                if changed := self.refresh():
                    self._log.info("site_lists_written", files=changed)
                self._tell("current", "")
            except (SiteUpdatesError, OSError, ValueError) as error:
                self._tell("behind", str(error))
            time.sleep(self._desk.every_s)

    def refresh(self) -> list[str]:
        """Ask, write what has changed, and have the broker read it; the changed files. Raises DeskError, OSError."""
        mine = {
            path.stem: path
            for path in sorted(self._folder.glob("*.pem"))
            if path.with_suffix(".key").exists()
        }
        answer = self._ask(
            {
                "certificates": {
                    name: path.read_text(encoding="ascii") for name, path in mine.items()
                }
            }
        )
        try:
            wanted = self._wanted(answer, mine)
        except (KeyError, TypeError, ValueError) as error:
            raise SiteUpdatesError(f"an answer that cannot be read: {error!r}") from None
        changed = [
            path.name
            for path, (content, mode) in wanted.items()
            if write_if_changed(path, content, mode=mode)
        ]
        if changed:
            reload_broker(self._folder / self._broker.pid_file)
        return changed

    def _wanted(
        self, answer: dict[str, Any], mine: dict[str, Path]
    ) -> dict[Path, tuple[bytes, int]]:
        """What each file is to hold, and its mode."""
        base = (self._folder / self._broker.acl_base_file).read_text(encoding="utf-8")
        revoked = {
            dev: str(stage) for dev, stage in _map(answer, "revoked").items() if dev in self._sites
        }
        crl = str(answer["crl"]).encode()
        x509.load_pem_x509_crl(crl)
        wanted = {
            self._folder / self._broker.acl_file: (
                (base + acl_lines(self._tenant, self._sites, revoked)).encode(),
                0o600,
            ),
            self._folder / self._broker.crl_file: (crl, 0o644),
        }
        for name, pem in _map(answer, "certificates").items():
            successor = x509.load_pem_x509_certificate(str(pem).encode())
            present = x509.load_pem_x509_certificate(mine[name].read_bytes())
            if successor.public_key() != present.public_key():
                raise ValueError(f"{name}: not the successor of the certificate that is here")
            wanted[mine[name]] = (str(pem).encode(), 0o644)
        return wanted

    def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        files = (self._mqtt.ca_file, self._mqtt.cert_file, self._mqtt.key_file)
        context = client_context(*(str(self._folder / name) for name in files))
        try:
            reply = post_json(self._desk.host, self._desk.port, "/v1/site", body, context)
        except HttpsError as error:
            raise SiteUpdatesError(f"the enrolment service does not reply: {error}") from None
        if not reply.accepted:
            raise SiteUpdatesError(f"the enrolment service refused: {reply.body}")
        return reply.body

    def _tell(self, state: str, detail: str) -> None:
        """A line for each change of state."""
        if state != self._state:
            self._state = state
            (self._log.info if state == "current" else self._log.warning)(
                "site_lists", state=state, detail=detail
            )


def _map(answer: dict[str, Any], name: str) -> dict[str, Any]:
    found = answer[name]
    if not isinstance(found, dict):
        raise ValueError(f"{name}: not an object")
    return found
