"""Whether the platform is reached: the state of the connection, and whether it is answered over it.

The log has a line for each change of that state and none for a retry.
"""

from __future__ import annotations

from typing import Any, Final

from sync.agent.response_timer import ResponseTimer
from sync.mqtt.endpoint import LinkState
from sync.mqtt.session import MqttSession

SLOW_S: Final = 3.0  # an answer that takes this long: the line or the hub is slow
SILENT_S: Final = 30.0  # connected and waiting for an acknowledgement this long: the hub is silent
DEAF_S: Final = 300.0  # and this long: the connection is made anew
ASK_AGAIN_S: Final = (
    30.0  # while answers are slow, an idle device asks this often whether they still are
)


class LinkMonitor:
    """Joins a session to what is known of the answers over it."""

    def __init__(self, session: MqttSession, answers: ResponseTimer, log: Any) -> None:
        """``log``: a structlog logger."""
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
        self._ask_due_s = monotonic_s + ASK_AGAIN_S
        return True

    def watch(self, monotonic_s: float) -> bool:
        """Name the state, and log its change. True when the connection was given up because nobody answers on it."""
        gives_up = self._session.connected and self._answers.silent_s(monotonic_s) > DEAF_S
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
        if self._deaf or self._answers.silent_s(monotonic_s) > SILENT_S:
            return LinkState.SILENT
        # An answer that came later still was none to judge the line by: the hub was silent, and is back.
        return (
            LinkState.SLOW
            if SLOW_S < self._answers.takes_s(monotonic_s) <= SILENT_S
            else LinkState.CONNECTED
        )
