"""Roles, and the acts each may do: least privilege, one table. Pure."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class Role(StrEnum):
    """What a person is here for. One role a person; the signed operator list says which."""

    OPERATOR = "operator"
    REVIEWER = "reviewer"
    SUPERVISOR = "supervisor"
    TECHNICIAN = "technician"


class StaffAction(StrEnum):
    """What a role guards. Looking at the store is guarded by the file's own rights, not here."""

    REDEEM = "redeem"  # scan, write off, hand over
    REVIEW = "review"  # approve or reject what another person scanned
    REVERSE = "reverse"  # take a redemption back
    SETTLE = "settle"  # settle an exception, retry included
    UNLOCK = "unlock"  # let a locked-out operator try again
    DIAGNOSE = "diagnose"  # test lamps and locks that hold nothing


MAY: Final = MappingProxyType(
    {
        Role.OPERATOR: frozenset({StaffAction.REDEEM}),
        Role.REVIEWER: frozenset({StaffAction.REDEEM, StaffAction.REVIEW}),
        Role.SUPERVISOR: frozenset(
            {StaffAction.REDEEM, StaffAction.REVERSE, StaffAction.SETTLE, StaffAction.UNLOCK}
        ),
        Role.TECHNICIAN: frozenset({StaffAction.DIAGNOSE}),
    }
)


class Operator(NamedTuple):
    """Who is signed in, as far as a verdict rests on it."""

    id: str
    role: Role


def is_permitted(role: Role, act: StaffAction) -> bool:
    """Whether ``role`` may do ``act``.

    >>> may(Role.TECHNICIAN, Act.REDEEM)
    False
    """
    return act in MAY[role]
