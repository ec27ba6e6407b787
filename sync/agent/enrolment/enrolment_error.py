"""Why an enrolment or a renewal did not succeed."""

from __future__ import annotations

from edge.values.errors import EdgeError


class EnrolmentError(EdgeError):
    """No identity came of it. ``reason`` is a code; ``again``: trying again may help."""

    def __init__(self, reason: str, detail: str, *, again: bool = False) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.again = reason, detail, again
