"""Ask for a grant through edge-sync and wait for the reply, within a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from edge.store.authorisations import (
    AuthorisationReply,
    AuthorisationRequest,
    find_reply,
    write_request,
)
from edge.store.database.store import Store
from edge.store.online_flag import is_online
from edge.values.instant import Instant

REPLY_DEADLINE_S: Final = 1.5
_POLL_S: Final = 0.005
_AFTER_SILENCE_NS: Final = 150_000_000  # an authority that replies at all needs less


class AuthorisationClient:
    """The scanner's end of authorisation requests; edge-sync sends what it writes.

    It asks only while edge-sync says that an authority replies (``edge.store.online_flag``), and
    never waits beyond the deadline: no reply in time means offline (law 7).
    """

    def __init__(
        self,
        store: Store,
        *,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._monotonic_ns = monotonic_ns
        self._sleep = sleep
        self._unanswered: str | None = None  # the id of the last request, if no reply came in time

    def is_online(self) -> bool:
        """Return whether an authority replies just now."""
        return is_online(self._store.path.parent)

    def request(self, request: AuthorisationRequest, now: Instant) -> AuthorisationReply | None:
        """Send ``request`` and wait for the reply until its ``due_ns``; None: offline or too late.

        After an unanswered request, wait at most 150 ms until a reply arrives: the authority may
        hang, and a reply shows that it is back. Raises StoreUnavailableError.
        """
        if not self.is_online():
            self._unanswered = None
            return None
        until_ns = request.due_ns
        if self._unanswered is not None and find_reply(self._store, self._unanswered) is None:
            until_ns = min(until_ns, self._monotonic_ns() + _AFTER_SILENCE_NS)
        write_request(self._store, request, now)
        self._unanswered = request.id
        reply = self._wait(request.id, until_ns)
        if reply is not None:
            self._unanswered = None
        return reply

    def _wait(self, request_id: str, until_ns: int) -> AuthorisationReply | None:
        seen_version = -1
        while self._monotonic_ns() < until_ns:
            version = self._store.data_version()
            if version != seen_version:
                seen_version = version
                reply = find_reply(self._store, request_id)
                if reply is not None:
                    return reply
            self._sleep(_POLL_S)
        return None
