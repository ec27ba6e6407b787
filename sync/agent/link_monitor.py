"""Whether the platform is reached: the state of the connection, and whether it is answered over it.

The log has a line for each change of that state and none for a retry.
"""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from sync.agent.response_timer import ResponseTimer
from sync.agent.timings import AgentTimings
from sync.mqtt.endpoint import LinkState
from sync.mqtt.session import MqttSession


class LinkMonitor:
    """Joins a session to what is known of the answers over it."""

    def __init__(
        self,
        session: MqttSession,
        answers: ResponseTimer,
        log: FilteringBoundLogger,
        timings: AgentTimings,
    ) -> None:
        self._timings = timings
        self._session = session
        self._answers = answers
        self._log = log
        self._deaf = False  # the connection was made anew, and nothing has been heard since
        self._ask_due_s = 0.0
        self.link: LinkState | None = None  # as last logged

    def heard(self) -> None:
        """The platform has answered."""
        self._deaf = False

    def wants_answer(self, monotonic_s: float) -> bool:
        """True when the last answer was slow and none is awaited: at once, then at times, it is to be asked again."""
        if self.link is not LinkState.SLOW:
            self._ask_due_s = 0.0
            return False
        if self._answers.silent_s(monotonic_s) or monotonic_s < self._ask_due_s:
            return False
        self._ask_due_s = monotonic_s + self._timings.slow_probe_s
        return True

    def watch(self, monotonic_s: float) -> bool:
        """Name the state, and log its change. True when the connection was given up because nobody answers on it."""
        gives_up = (
            self._session.connected and self._answers.silent_s(monotonic_s) > self._timings.deaf_s
        )
        if gives_up:
            self._session.give_up(LinkState.SILENT)
            self._deaf = True
        link = self._state(monotonic_s)
        if link is not self.link:
            self.link = link
            note = self._log.warning if link.hopeless else self._log.info
            note("link", state=link, detail=self._session.detail)
        return gives_up

    def _state(self, monotonic_s: float) -> LinkState:
        if not self._session.connected:
            return self._session.link
        if self._deaf or self._answers.silent_s(monotonic_s) > self._timings.silent_s:
            return LinkState.SILENT
        # An answer that came later still was none to judge the line by: the hub was silent, and is back.
        return (
            LinkState.SLOW
            if self._timings.slow_s < self._answers.takes_s(monotonic_s) <= self._timings.silent_s
            else LinkState.CONNECTED
        )
