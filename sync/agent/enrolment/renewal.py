"""A certificate's successor: asked for in the last third of its time, by the device itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from edge.identity.damage import IDENTITY
from edge.identity.identity import BLOCKED, read_identity
from sync.agent.enrolment.client import EnrolmentError, renew
from sync.mqtt.tls import renewal_due

AGAIN_S: Final = 60  # between two certificates


class Renewal:
    """Renews the certificate when it is due; asks at most once an hour. Monotonic seconds."""

    EVERY_S: Final = 3600.0

    def __init__(self, data: Path, *, now_s: Callable[[], int], log: Any) -> None:
        self._data = data
        self._now_s = now_s
        self._log = log
        self._due_s = 0.0

    def step(self, monotonic_s: float) -> bool:
        """True when there is a new certificate to connect with."""
        if monotonic_s < self._due_s:
            return False
        self._due_s = monotonic_s + self.EVERY_S
        identity = read_identity(self._data)
        if identity is None or (self._data / BLOCKED).exists():
            return False  # its certificate was made by hand, and so is the next
        mark = self._data / IDENTITY.parent / "renewed"
        try:
            pem = Path(identity.profile["mqtt"]["cert_file"]).read_bytes()
            now_s = self._now_s()
            if not renewal_due(x509.load_pem_x509_certificate(pem), now_s) or _young(mark, now_s):
                return False
            renew(self._data, identity)
            mark.write_text(str(now_s))
        except (EnrolmentError, OSError, ValueError, KeyError) as error:
            self._log.warning("certificate_not_renewed", detail=str(error))
            return False
        self._log.info("certificate_renewed")
        return True


def _young(mark: Path, now_s: int) -> bool:
    """A certificate that is always due (of a short life) is not asked for in a loop."""
    with suppress(OSError, ValueError):
        return 0 <= now_s - int(mark.read_text()) < AGAIN_S
    return False
