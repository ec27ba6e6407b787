"""Messages that were not sent, because no packet of their size is accepted.

A broker ends the connection of a client that sends one. So such a message is set aside before it
is sent: counted and named, and never tried again.
"""

from __future__ import annotations

from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger


@dataclass(slots=True)
class OversizedPublishes:
    """Those of one session, over all of its connections."""

    count: int = 0
    detail: str = ""  # of the last one, for people
    _logged: int = 0

    def add(self, topic: str, packet_bytes: int, most_bytes: int) -> None:
        """Count one message."""
        self.count += 1
        self.detail = (
            f"{topic}: a packet of {packet_bytes} bytes, at most {most_bytes} are accepted"
        )

    def log_news(self, log: FilteringBoundLogger) -> None:
        """Log the last one at the 1st, 10th, 100th, ..."""
        if self.count >= max(1, 10 * self._logged):
            self._logged = 10 ** (len(str(self.count)) - 1)
            log.error("publish_too_large", detail=self.detail, count=self.count)
