"""The identity of the redemption that an event of a device is about.

A device numbers the uses of a code in its store, and a new, empty store begins with 1 again. A
redemption is therefore identified by the id of the event that first reported it. A reversal and
the report of a review name that id.
"""

from __future__ import annotations

from typing import Final

from edge.domain.redemption_report import REDEMPTION_EVENT, RETRY_OF
from sync.wire.messages import Event

_LONGEST: Final = 40


def redemption_id_of(event: Event) -> str:
    """Return the id of the event that first reported the redemption in ``event``."""
    return _named(event, REDEMPTION_EVENT) or _named(event, RETRY_OF) or event.id


def names_of(event: Event) -> frozenset[str]:
    """Return every id by which a device may name the redemption in ``event``."""
    retried = _named(event, RETRY_OF)
    return frozenset({redemption_id_of(event), event.id, retried or event.id})


def redemption_named_by(event: Event) -> str | None:
    """Return the id of the redemption that a reversal or a review names; None if it names none."""
    return _named(event, REDEMPTION_EVENT)


def _named(event: Event, key: str) -> str | None:
    value = event.body.get(key)
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST else None
