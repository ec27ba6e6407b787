"""Why the platform refuses an event for good."""

from __future__ import annotations

from enum import StrEnum


class UploadRefusal(StrEnum):
    """Reasons that both ends act on: words of the protocol, under which a device keeps the refusal.

    The platform may refuse with other words; a device keeps those as they come.
    """

    SEQUENCE_REUSED = "sequence_reused"  # its number has another event: an identity in use twice
    BODY_INVALID = "body_invalid"
    ALREADY_REPORTED = "already_reported"  # its redemption was reported under another number
