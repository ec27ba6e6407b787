"""The answer to a claim, in one word. The same on the wire, in the store and on the platform."""

from __future__ import annotations

from enum import StrEnum


class AuthorisationResult(StrEnum):
    """What the authority of an entitlement's home says to a device that asks for leave to honour it."""

    GRANTED = "granted"
    UNKNOWN = "unknown"  # no such entitlement
    NOT_READY = "not_ready"  # its order is not in a state to be honoured
    SPENT = "already_redeemed"
    HELD = "held"  # another device holds a claim on it
