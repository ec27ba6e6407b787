"""Updates of a site's broker from the platform: revoked devices and renewed certificates.

Every few seconds the site authority asks the platform's enrolment service, with its own
certificate. While the line is cut the broker continues with what it has; the first reply
afterwards brings what it missed.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from cryptography import x509
from structlog.typing import FilteringBoundLogger

from edge.values.errors import EdgeError
from sync.hub.config import HubBroker, HubMqtt, PlatformService
from sync.hub.pki.broker_access import acl_lines, reload_broker, write_if_changed
from sync.mqtt.https_client import HttpsError, post_json
from sync.mqtt.tls import client_context


class SiteUpdatesError(EdgeError):
    """The enrolment service did not reply, or refused."""


class SiteLists:
    """Updates the files of one site's broker from the platform.

    File names are relative to ``folder``.
    """

    def __init__(
        self,
        *,
        tenant: str,
        site: str,
        devices: tuple[str, ...],
        broker: HubBroker,
        service: PlatformService,
        mqtt: HubMqtt,
        folder: Path,
        log: FilteringBoundLogger,
    ) -> None:
        self._sites = dict.fromkeys(devices, site)
        self._broker = broker
        self._service = service
        self._mqtt = mqtt
        self._folder = folder
        self._log = log
        self._tenant = tenant
        self._state = ""

    def run(self) -> None:
        """Refresh for ever; call it in a thread of its own."""
        while True:
            try:
                if changed := self.refresh():
                    self._log.info("site_lists_written", files=changed)
                self._log_state("current", "")
            except (SiteUpdatesError, OSError, ValueError) as error:
                self._log_state("behind", str(error))
            time.sleep(self._service.every_s)

    def refresh(self) -> list[str]:
        """Ask, write what has changed, reload the broker, and return the changed files.

        Raises SiteUpdatesError and OSError.
        """
        present = {
            path.stem: path
            for path in sorted(self._folder.glob("*.pem"))
            if path.with_suffix(".key").exists()
        }
        pems = {name: path.read_text(encoding="ascii") for name, path in present.items()}
        reply = self._request({"certificates": pems})
        try:
            wanted = self._wanted(reply, present)
        except (KeyError, TypeError, ValueError) as error:
            raise SiteUpdatesError(f"the reply cannot be read: {error!r}") from None
        changed = [
            path.name
            for path, (content, mode) in wanted.items()
            if write_if_changed(path, content, mode=mode)
        ]
        if changed:
            reload_broker(self._folder / self._broker.pid_file)
        return changed

    def _wanted(
        self, reply: dict[str, Any], present: dict[str, Path]
    ) -> dict[Path, tuple[bytes, int]]:
        """Return the content and the mode that each file should have.

        Raises KeyError, TypeError and ValueError for a reply of another form.
        """
        base = (self._folder / self._broker.acl_base_file).read_text(encoding="utf-8")
        revoked = {
            dev: str(stage)
            for dev, stage in _object(reply, "revoked").items()
            if dev in self._sites
        }
        acl = base + acl_lines(self._tenant, self._sites, revoked)
        crl = str(reply["crl"]).encode()
        x509.load_pem_x509_crl(crl)
        wanted = {
            self._folder / self._broker.acl_file: (acl.encode(), 0o600),
            self._folder / self._broker.crl_file: (crl, 0o644),
        }
        for name, pem in _object(reply, "certificates").items():
            renewed = x509.load_pem_x509_certificate(str(pem).encode())
            before = x509.load_pem_x509_certificate(present[name].read_bytes())
            if renewed.public_key() != before.public_key():
                raise ValueError(f"{name}: the renewed certificate has another key")
            wanted[present[name]] = (str(pem).encode(), 0o644)
        return wanted

    def _request(self, body: dict[str, Any]) -> dict[str, Any]:
        files = (self._mqtt.ca_file, self._mqtt.cert_file, self._mqtt.key_file)
        context = client_context(*(str(self._folder / name) for name in files))
        try:
            reply = post_json(self._service.host, self._service.port, "/v1/site", body, context)
        except HttpsError as error:
            raise SiteUpdatesError(f"the enrolment service does not reply: {error}") from None
        if not reply.accepted:
            raise SiteUpdatesError(f"the enrolment service refused: {reply.body}")
        return reply.body

    def _log_state(self, state: str, detail: str) -> None:
        """Log each change of state."""
        if state != self._state:
            self._state = state
            write = self._log.info if state == "current" else self._log.warning
            write("site_lists", state=state, detail=detail)


def _object(reply: dict[str, Any], name: str) -> dict[str, Any]:
    found = reply[name]
    if not isinstance(found, dict):
        raise TypeError(f"{name}: not an object")
    return found
