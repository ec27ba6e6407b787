"""The results of showing a badge, entering a PIN and signing out. One reason code each (law 8).

This module imports nothing of the room, so that whatever shows a result starts fast.
"""

from __future__ import annotations

from enum import StrEnum


class SignInResult(StrEnum):
    """Results around a session, in the order in which they are tested."""

    BADGE_NOT_SHOWN = "badge_not_shown"  # or too long ago
    OPERATOR_LIST_MISSING = "operator_list_missing"
    OPERATOR_LIST_STALE = "operator_list_stale"
    OPERATOR_UNKNOWN = "operator_unknown"  # in no list, or outside the days that the list gives
    OPERATOR_LOCKED_OUT = "operator_locked_out"  # too many wrong PINs
    PIN_NEEDED = "pin_needed"  # the badge is valid; it opens nothing by itself
    PIN_WRONG = "pin_wrong"
    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
