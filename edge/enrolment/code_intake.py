"""An enrolment code before the camera: passed on to sync, and its outcome shown on the lamps."""

from __future__ import annotations

from edge.documents.enrolment_code import PREFIX, message_of, read_unverified
from edge.enrolment.handover import EnrolmentMailbox, EnrolmentOutcome


class CodeIntake:
    """The scanner's half. It judges nothing: it has no network, and what a code is worth the desk says."""

    def __init__(self, post: EnrolmentMailbox) -> None:
        self._post = post
        self._shown: str | None = None  # the code whose outcome is awaited

    def offer(self, content: bytes) -> str | None:
        """Pass ``content`` on if it is an enrolment code. Returns the device that it names. Raises OSError."""
        if not content.startswith(PREFIX.encode()):
            return None
        text = content.decode("ascii", errors="replace")
        message = message_of(text)
        code = read_unverified(message) if message else None
        if code is None:
            return None
        self._post.drop(text)
        self._shown = text
        return code.device

    def outcome(self) -> EnrolmentOutcome | None:
        """What came of the code that was shown last; said once."""
        outcome = self._post.outcome(self._shown) if self._shown is not None else None
        if outcome is not None:
            self._shown = None
        return outcome
