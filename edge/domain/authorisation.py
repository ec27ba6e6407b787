"""The result of a request for a grant: the same on the wire, in the store and on the platform."""

from __future__ import annotations

from enum import StrEnum


class AuthorisationResult(StrEnum):
    """The reply of an entitlement's home authority to a device that requests a grant."""

    GRANTED = "granted"
    UNKNOWN = "unknown"  # no such entitlement
    NOT_READY = "not_ready"  # the state of its order does not allow a redemption
    SPENT = "already_redeemed"
    HELD = "held"  # another device holds a grant on it
