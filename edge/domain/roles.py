"""Roles, and the actions that each permits: least privilege, one table. Pure."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class Role(StrEnum):
    """The role of a person: one a person, named by the signed operator list."""

    OPERATOR = "operator"
    REVIEWER = "reviewer"
    SUPERVISOR = "supervisor"
    TECHNICIAN = "technician"


class StaffAction(StrEnum):
    """An action that needs a role. Reading the store is guarded by its file permissions instead."""

    REDEEM = "redeem"  # scan, write off, hand over
    REVIEW = "review"  # approve or reject what another person scanned
    REVERSE = "reverse"  # reverse a redemption
    SETTLE = "settle"  # settle an exception, retry included
    UNLOCK = "unlock"  # let a locked-out operator try again
    DIAGNOSE = "diagnose"  # test lamps and locks that hold nothing


PERMISSIONS: Final = MappingProxyType(
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
    """The signed-in operator, as far as a verdict depends on it."""

    id: str
    role: Role


def is_permitted(role: Role, action: StaffAction) -> bool:
    """Return whether ``role`` permits ``action``.

    >>> is_permitted(Role.TECHNICIAN, StaffAction.REDEEM)
    False
    """
    return action in PERMISSIONS[role]
