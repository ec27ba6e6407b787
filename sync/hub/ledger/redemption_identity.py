"""Which redemption an event of a device is about.

A device numbers the uses of a code in its store, and a store that nothing was carried over to begins with 1 again. So
a redemption is called by the id of the event that first told it, which a reversal and the end of a review name.
"""

from __future__ import annotations

from typing import Final

from edge.store.outbox import FIRST, RETRIES
from sync.wire.messages import Event

_LONGEST: Final = 40

# Whether ``v``, a reversal or the end of a review, is about ``r``, a redemption. A device of an older version names
# none (``about`` is then the epoch of its own event): it means that store's use of this number, or one that was
# carried over into it. Of a redemption without ``ident`` (an older platform's lease) the number alone is known.
IS_ABOUT: Final = (
    "v.cti = r.cti AND v.dev = r.dev AND v.use_no = r.use_no AND (v.about IN (r.ident, r.epoch) OR r.ident = ''"
    " OR v.about = v.epoch AND v.ts >= r.ts AND NOT EXISTS (SELECT 1 FROM redemption o WHERE o.cti = v.cti"
    " AND o.dev = v.dev AND o.epoch = v.epoch AND o.use_no = v.use_no))"
)
STANDS: Final = f"NOT EXISTS (SELECT 1 FROM reversal v WHERE {IS_ABOUT})"  # noqa: S608 - ``r`` was not taken back


def identity(event: Event) -> str:
    """What a redemption is called: the id of the event that first told it."""
    return _named(event, FIRST) or _named(event, RETRIES) or event.id


def about(epoch: str, event: Event) -> str:
    """What a reversal or a review's end names; ``epoch`` is its own."""
    return _named(event, FIRST) or epoch


def _named(event: Event, key: str) -> str | None:
    value = event.body.get(key)
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST else None
