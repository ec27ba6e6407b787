"""Claims: leave to honour what this device has no authority over, asked of whoever has it.

The scanner has no network and edge-sync no camera; they meet here. The scanner writes a row (``ask``),
edge-sync sends it, the signed answer comes back into the row (``answer``), and the redemption's own
transaction rests on it (``granted_in``, ``spend``). The scanner asks only while ``edge.store.online_flag``
says that somebody answers, and never waits beyond the deadline: late or no answer means offline (law 7).

Claims are numbered in the order they were asked, whatever the clock does. When the platform hears that those up to a
number are over (``released_through``), it gives their leave to others. It does not hear that of one whose redemption it
refused: it knows of no use then.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.domain.authorisation import AuthorisationResult
from edge.domain.redemption_state import OnlineAuthorisation
from edge.store.database.store import Store
from edge.store.online_flag import is_online
from edge.values.instant import Instant

DEADLINE_S: Final = 1.5
USE_WITHIN_NS: Final = (
    5_000_000_000  # after the deadline: the redemption follows its answer at once, or not at all
)
_LOOK_EVERY_S: Final = 0.005
_GLANCE_NS: Final = (
    150_000_000  # for a request after an unanswered one; an authority that lives needs less
)
_KEEP: Final = 1000
_SPENT, _UNTOLD = 1, 2  # claim.spent: a redemption rests on it; one whose event was refused
_BOOT_ID = Path(
    "/proc/sys/kernel/random/boot_id"
)  # proc(5): a new one at each start of the machine


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorisationRequest:
    """What is asked. ``sold`` and ``sold_minor`` are what this device's own signed cache says of it."""

    id: str  # UUIDv7
    cti: bytes
    units: int = 1
    sold: int = 0  # units; 0: not in the cache
    sold_minor: int | None = None  # of a voucher that is used in parts
    due_ns: int  # CLOCK_MONOTONIC, which every process of a boot shares
    no: int = 0  # given when it is written


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorisationReply:
    """What came back, its signature checked. ``used``: by other devices than this."""

    id: str
    result: AuthorisationResult
    used: int = 0
    used_minor: int = 0
    authority: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Leave that a redemption may rest on, once."""

    id: str
    units: int
    used: int
    used_minor: int
    authority: str


@dataclass(slots=True)
class WaitMemory:
    """What a scanner remembers from one request to the next: the one that it waited for in vain."""

    unanswered: str | None = None


def request_and_wait(
    store: Store,
    ask_for: AuthorisationRequest,
    now: Instant,
    patience: WaitMemory,
    *,
    monotonic_ns: Callable[[], int] = time.monotonic_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> AuthorisationReply | None:
    """Ask and wait for the answer until ``ask_for.due_ns``. None at once while nobody answers, or when it is late.

    Whoever left the request before unanswered, and still says to be there, hangs: it is asked, so that its answer
    shows when it is back, and waited for no longer than a glance. Raises StoreUnavailableError.
    """
    if not is_online(store.path.parent):
        patience.unanswered = None
        return None
    until_ns = ask_for.due_ns
    if patience.unanswered is not None and answer_of(store, patience.unanswered) is None:
        until_ns = min(until_ns, monotonic_ns() + _GLANCE_NS)
    ask(store, ask_for, now)
    patience.unanswered = ask_for.id
    seen = -1
    while monotonic_ns() < until_ns:
        version = store.data_version()
        if version != seen:
            seen = version
            found = answer_of(store, ask_for.id)
            if found is not None:
                patience.unanswered = None
                return found
        sleep(_LOOK_EVERY_S)
    return None


def ask(store: Store, asked: AuthorisationRequest, now: Instant) -> None:
    """Write the request under the next number. Old ones are forgotten. Raises StoreUnavailableError."""
    with store.transaction() as connection:
        connection.execute("UPDATE device SET claims = claims + 1")
        connection.execute(
            "INSERT INTO claim (id, cti, units, sold, sold_minor, asked_s, boot, due_ns, no)"
            " SELECT ?, ?, ?, ?, ?, ?, ?, ?, claims FROM device",
            (
                asked.id,
                asked.cti,
                asked.units,
                asked.sold,
                asked.sold_minor,
                now.unix_s,
                boot_id(),
                asked.due_ns,
            ),
        )
        connection.execute(
            "DELETE FROM claim WHERE no <= (SELECT claims FROM device) - ? AND spent <> ?",
            (_KEEP, _UNTOLD),
        )


def unanswered(store: Store, now_ns: int) -> list[AuthorisationRequest]:
    """The requests whose time is not over, oldest first."""
    with store.read() as connection:
        rows = connection.execute(
            "SELECT id, cti, units, sold, sold_minor, due_ns, no FROM claim"
            " WHERE result IS NULL AND boot = ? AND due_ns > ? ORDER BY no",
            (boot_id(), now_ns),
        ).fetchall()
    return [
        AuthorisationRequest(
            id=row[0],
            cti=row[1],
            units=row[2],
            sold=row[3],
            sold_minor=row[4],
            due_ns=row[5],
            no=row[6],
        )
        for row in rows
    ]


_OVER_THROUGH: Final = """
    SELECT CASE WHEN blocked IS NOT NULL OR EXISTS (
        SELECT 1 FROM outbox o JOIN epoch e ON e.no = o.epoch_no WHERE o.seq > e.settled_through AND o.rejected IS NULL
      ) THEN 0 ELSE coalesce((
        SELECT min(no) - 1 FROM claim
        WHERE spent = ? OR spent = 0 AND (result IS NULL OR result = 'granted') AND boot = ? AND due_ns + ? > ?
      ), claims) END
    FROM device
"""


def released_through(store: Store, now_ns: int) -> int:
    """Every claim up to this number is over: its leave can no longer be used, and the platform has all that came of it.

    0, which says nothing, while an event waits for the platform, and on a device that is blocked. It stays before a
    claim whose redemption was refused until that was sent again and taken, or was taken back. A transaction of its
    own: a redemption that found its leave in time just before ``now_ns`` is either written by now or never will be.
    Raises StoreUnavailableError.
    """
    with store.transaction() as connection:
        (number,) = connection.execute(
            _OVER_THROUGH, (_UNTOLD, boot_id(), USE_WITHIN_NS, now_ns)
        ).fetchone()
    return int(number)


def answer(store: Store, given: AuthorisationReply, now_ns: int) -> bool:
    """Write the answer. True when it came in time: a late one is kept to be looked at and grants nothing."""
    with store.transaction() as connection:
        connection.execute(
            "UPDATE claim SET result = ?, used = ?, used_minor = ?, authority = ?, answered_ns = ?"
            " WHERE id = ? AND result IS NULL",
            (given.result.value, given.used, given.used_minor, given.authority, now_ns, given.id),
        )
        row = connection.execute(
            "SELECT due_ns >= ? FROM claim WHERE id = ?", (now_ns, given.id)
        ).fetchone()
    return bool(row and row[0])


def answer_of(store: Store, identity: str) -> AuthorisationReply | None:
    """The answer to a request, or None while there is none."""
    with store.read() as connection:
        row = connection.execute(
            "SELECT result, used, used_minor, authority FROM claim WHERE id = ? AND result IS NOT NULL",
            (identity,),
        ).fetchone()
    if row is None:
        return None
    return AuthorisationReply(
        id=identity,
        result=AuthorisationResult(row[0]),
        used=row[1],
        used_minor=row[2],
        authority=row[3],
    )


def granted_in(connection: sqlite3.Connection, cti: bytes, now_ns: int) -> Grant | None:
    """The leave that holds for ``cti`` in the caller's transaction: in time, of this boot, and not yet used."""
    row = connection.execute(
        "SELECT id, units, used, used_minor, authority FROM claim WHERE cti = ? AND result = 'granted' AND spent = 0"
        " AND boot = ? AND answered_ns <= due_ns AND due_ns + ? > ? ORDER BY no DESC LIMIT 1",
        (cti, boot_id(), USE_WITHIN_NS, now_ns),
    ).fetchone()
    return (
        None
        if row is None
        else Grant(id=row[0], units=row[1], used=row[2], used_minor=row[3], authority=row[4])
    )


def spend(connection: sqlite3.Connection, grant: Grant) -> None:
    """A redemption rests on ``grant``, in the caller's transaction: no other may."""
    connection.execute("UPDATE claim SET spent = ? WHERE id = ?", (_SPENT, grant.id))


def mark_unreported(connection: sqlite3.Connection, epoch_no: int, seq: int) -> None:
    """The event of a redemption was refused, in the caller's transaction: the platform does not know of the use."""
    _mark(connection, epoch_no, seq, _SPENT, _UNTOLD)


def mark_reported(connection: sqlite3.Connection, epoch_no: int, seq: int) -> None:
    """What that event told is told again, or was taken back, in the caller's transaction."""
    _mark(connection, epoch_no, seq, _UNTOLD, _SPENT)


def _mark(connection: sqlite3.Connection, epoch_no: int, seq: int, was: int, spent: int) -> None:
    event = "SELECT body FROM outbox WHERE epoch_no = ? AND seq = ? AND type = 'redeemed'"
    row = connection.execute(event, (epoch_no, seq)).fetchone()
    identity = json.loads(row[0]).get("grant_request") if row else None
    if isinstance(identity, str):
        connection.execute(
            "UPDATE claim SET spent = ? WHERE id = ? AND spent = ?", (spent, identity, was)
        )


def boot_id() -> str:
    """The run of the machine. Monotonic clocks count within it."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


def claimed_in(
    connection: sqlite3.Connection, cti: bytes, answer: AuthorisationReply, now_ns: int
) -> tuple[OnlineAuthorisation | None, Grant | None]:
    """The answer to a claim, and what is to be spent of it. Leave that came late, or was used before, is none."""
    said = OnlineAuthorisation(
        result=answer.result,
        id=answer.id,
        used=answer.used,
        used_minor=answer.used_minor,
        authority=answer.authority,
    )
    if answer.result is not AuthorisationResult.GRANTED:
        return said, None
    grant = granted_in(connection, cti, now_ns)
    return (said, grant) if grant is not None and grant.id == answer.id else (None, None)
