"""Renewal of the device's certificate, by the device itself, in the last third of its life."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography import x509
from structlog.typing import FilteringBoundLogger

from edge.identity.damage import IDENTITY
from edge.identity.identity import BLOCKED, read_identity
from edge.system.durable_file import write_durably
from sync.agent.enrolment.enrolment import renew
from sync.agent.enrolment.enrolment_error import EnrolmentError
from sync.mqtt.tls import renewal_due

LEAST_BETWEEN_S: Final = 60  # two certificates


class Renewal:
    """Renews the certificate when it is due; looks once an hour. Monotonic seconds."""

    EVERY_S: Final = 3600.0

    def __init__(self, data: Path, *, now_s: Callable[[], int], log: FilteringBoundLogger) -> None:
        self._data = data
        self._now_s = now_s
        self._log = log
        self._due_s = 0.0

    def step(self, monotonic_s: float) -> bool:
        """Renew if it is due. True when there is a new certificate to connect with."""
        if monotonic_s < self._due_s:
            return False
        self._due_s = monotonic_s + self.EVERY_S
        identity = read_identity(self._data)
        if identity is None or (self._data / BLOCKED).exists():
            return False  # its certificate was made by hand, and so is the next
        renewed_file = self._data / IDENTITY.parent / "renewed"
        try:
            pem = Path(identity.profile["mqtt"]["cert_file"]).read_bytes()
            now_s = self._now_s()
            due = renewal_due(x509.load_pem_x509_certificate(pem), now_s)
            if not due or _is_young(renewed_file, now_s):
                return False
            renew(self._data, identity)
            write_durably(renewed_file, str(now_s).encode())
        except (EnrolmentError, OSError, ValueError, KeyError) as error:
            self._log.warning("certificate_not_renewed", detail=str(error))
            return False
        self._log.info("certificate_renewed")
        return True


def _is_young(renewed_file: Path, now_s: int) -> bool:
    """Return whether the last renewal was just now: a short-lived certificate is always due."""
    with suppress(OSError, ValueError):
        return 0 <= now_s - int(renewed_file.read_text()) < LEAST_BETWEEN_S
    return False
