"""Whether the platform is reached: the state of the connection, and the replies over it.

The log has a line for each change of that state and none for a retry.
"""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from sync.agent.response_timer import ResponseTimer
from sync.agent.timings import AgentTimings
from sync.mqtt.endpoint import LinkState
from sync.mqtt.session import MqttSession


class LinkMonitor:
    """Joins a session to what is known of the replies over it. Monotonic seconds."""

    def __init__(
        self,
        session: MqttSession,
        replies: ResponseTimer,
        log: FilteringBoundLogger,
        timings: AgentTimings,
    ) -> None:
        self._session = session
        self._replies = replies
        self._log = log
        self._timings = timings
        self._given_up = False  # the connection was made anew, and no reply has come since
        self._probe_due_s = 0.0
        self.link: LinkState | None = None  # as last logged

    def note_reply(self) -> None:
        """Note that the platform has replied."""
        self._given_up = False

    def wants_probe(self, monotonic_s: float) -> bool:
        """Return whether to ask the platform for a reply, only to time it.

        So it is when the last reply was slow and none is awaited: at once, then at intervals.
        """
        if self.link is not LinkState.SLOW:
            self._probe_due_s = 0.0
            return False
        if self._replies.silence_s(monotonic_s) or monotonic_s < self._probe_due_s:
            return False
        self._probe_due_s = monotonic_s + self._timings.slow_probe_s
        return True

    def check(self, monotonic_s: float) -> bool:
        """Name the state and log its change. True: the connection was given up as not replying."""
        deaf = self._replies.silence_s(monotonic_s) > self._timings.deaf_s
        gives_up = self._session.connected and deaf
        if gives_up:
            self._session.give_up(LinkState.SILENT)
            self._given_up = True
        link = self._state(monotonic_s)
        if link is not self.link:
            self.link = link
            log = self._log.warning if link.is_permanent else self._log.info
            log("link", state=link, detail=self._session.detail)
        self._session.oversized.log_news(self._log)
        return gives_up

    def _state(self, monotonic_s: float) -> LinkState:
        if not self._session.connected:
            return self._session.link
        silent_s = self._timings.silent_s
        if self._given_up or self._replies.silence_s(monotonic_s) > silent_s:
            return LinkState.SILENT
        # A reply that took longer still says nothing of the line: the hub was silent, and is back.
        slow = self._timings.slow_s < self._replies.reply_time_s(monotonic_s) <= silent_s
        return LinkState.SLOW if slow else LinkState.CONNECTED
