"""Why the platform refuses an event for good."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

# The reason under which a device holds the number of an event that was lost with its store. The
# number is sent without content, and the platform refuses it under this reason.
LOST: Final = "lost"


class UploadRefusal(StrEnum):
    """Reasons that both ends act on: words of the protocol, under which a device keeps the refusal.

    The platform may refuse with other words; a device keeps those as they come.
    """

    SEQUENCE_REUSED = "sequence_reused"  # its number has another event: an identity in use twice
    BODY_INVALID = "body_invalid"
    ALREADY_REPORTED = "already_reported"  # its redemption was reported under another number
