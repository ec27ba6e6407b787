"""Scanner side of enrolment: hand a scanned code to edge-sync and report the outcome.

Codes are validated by the enrolment service, not here.
"""

from __future__ import annotations

from edge.documents.enrolment_code import PREFIX, message_of, read_unverified
from edge.enrolment.handover import EnrolmentMailbox, EnrolmentOutcome


class CodeIntake:
    """Recognises enrolment codes among the codes that are scanned."""

    def __init__(self, mailbox: EnrolmentMailbox) -> None:
        self._mailbox = mailbox
        self._awaited: str | None = None  # the code whose outcome is not reported yet

    def offer(self, content: bytes) -> str | None:
        """Hand ``content`` over if it is an enrolment code. Return the device that it names.

        None for every other code. Raises OSError.
        """
        if not content.startswith(PREFIX.encode()):
            return None
        text = content.decode("ascii", errors="replace")
        message = message_of(text)
        code = read_unverified(message) if message else None
        if code is None:
            return None
        self._mailbox.write_code(text)
        self._awaited = text
        return code.device

    def outcome(self) -> EnrolmentOutcome | None:
        """Return once what became of the last code that was shown."""
        outcome = self._mailbox.read_outcome(self._awaited) if self._awaited is not None else None
        if outcome is not None:
            self._awaited = None
        return outcome
