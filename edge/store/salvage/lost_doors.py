"""Account for the doors of pickups whose commands a broken store lost: none is pulsed on a guess.

An event says which doors were to open, and another what became of each. A door of which only the
first is known has the outcome "unknown": a person looks, and settles its case (law 5).
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from typing import Final, NamedTuple

from edge.domain.exception_case import ExceptionCase
from edge.store.salvage.event_body import StoredEvent, events_of_uses
from edge.store.salvage.lost_events import lost_case
from edge.store.salvage.remains import SalvagedRows

_COMMANDS: Final = ("redeemed", "continued", "reopened")
_ENDED: Final = ("collected", "released", "unknown")
_UNKNOWN: Final = "unknown"
_WHY: Final = "the store was damaged: the outcome at this door is not known"
_NO_NAME: Final = "?"  # a compartment of which not even the name is known


class _Use(NamedTuple):
    cti: bytes
    use_no: int


def close_lost_doors(
    connection: sqlite3.Connection, remains: SalvagedRows, *, now_s: int
) -> list[ExceptionCase]:
    """Write a door command for each that was lost; return a case for each unknown outcome."""
    _end_doubtful(connection, remains)
    commands: dict[_Use, list[str]] = defaultdict(list)
    outcomes: dict[_Use, list[StoredEvent]] = defaultdict(list)
    for event in events_of_uses(connection, *_COMMANDS, "pickup"):
        use = _Use(event.cti, event.use_no)
        if event.type != "pickup":
            commands[use] += event.texts("doors")
        elif event.text("state") in _ENDED:
            outcomes[use].append(event)
    for use in sorted(commands.keys() | outcomes.keys()):
        _complete(connection, use, commands[use], outcomes[use])
    _close_nameless(connection, remains)
    return _cases(connection, now_s)


def _end_doubtful(connection: sqlite3.Connection, remains: SalvagedRows) -> None:
    """End the commands that may have gone on after the copy of their row that could be read.

    Like every unknown outcome here they ended when they began: the grace to reopen a door is over.
    """
    earlier = remains.gathered.connection.execute("SELECT id FROM intent WHERE evidence = 1")
    doubtful = [number for (number,) in earlier]
    if remains.doubtful:
        doubtful += [number for (number,) in connection.execute("SELECT id FROM intent")]
    connection.executemany(
        "UPDATE intent SET state = ?, detail = ?, ended_s = reserved_s"
        " WHERE id = ? AND ended_s IS NULL",
        [(_UNKNOWN, _WHY, number) for number in doubtful],
    )


def _complete(
    connection: sqlite3.Connection,
    use: _Use,
    commanded: list[str],
    outcomes: list[StoredEvent],
) -> None:
    """Write what is missing of one use: as many commands to each door as the events name."""
    row = connection.execute(
        "SELECT id, at_s FROM ledger WHERE cti = ? AND use_no = ?", use
    ).fetchone()
    if row is None:
        return
    ended = [event.text("compartment") or _NO_NAME for event in outcomes]
    for compartment in dict.fromkeys(commanded + ended):
        (there,) = connection.execute(
            "SELECT count(*) FROM intent WHERE cti = ? AND ledger_id = ? AND compartment = ?",
            (use.cti, row[0], compartment),
        ).fetchone()
        wanted = max(commanded.count(compartment), ended.count(compartment))
        if there >= wanted:
            continue
        last = [event for event in outcomes if event.text("compartment") == compartment][-1:]
        known = bool(last) and ended.count(compartment) == wanted
        _write(
            connection,
            ledger_id=row[0],
            cti=use.cti,
            compartment=compartment,
            state=(last[0].text("state") if known else None) or _UNKNOWN,
            detail=(last[0].text("detail") if known else None) or _WHY,
            ended_s=last[0].at_s if known else row[1],
        )


def _close_nameless(connection: sqlite3.Connection, remains: SalvagedRows) -> None:
    """Keep the doors shut of a pickup that may have had door commands, of which none is left."""
    if "intent" not in remains.damaged:
        return
    bare = connection.execute(
        "SELECT l.id, l.cti, l.at_s FROM ledger l LEFT JOIN review r ON r.ledger_id = l.id"
        " WHERE l.kind IN ('pickup', '') AND l.use_no IS NOT NULL"
        " AND coalesce(r.state, 'approved') = 'approved'"
        " AND NOT EXISTS (SELECT 1 FROM ledger v WHERE v.reverses = l.id)"
        " AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.cti = l.cti AND i.ledger_id = l.id)"
    ).fetchall()
    for ledger_id, cti, at_s in bare:
        _write(
            connection,
            ledger_id=ledger_id,
            cti=cti,
            compartment=_NO_NAME,
            state=_UNKNOWN,
            detail=_WHY,
            ended_s=at_s,
        )


def _write(connection: sqlite3.Connection, **row: object) -> None:
    connection.execute(
        "INSERT INTO intent (ledger_id, cti, compartment, position, reopening, state, detail,"
        " reserved_s, ended_s) VALUES (:ledger_id, :cti, :compartment, (SELECT count(*) FROM"
        " intent WHERE ledger_id = :ledger_id), 0, :state, :detail, :ended_s, :ended_s)",
        row,
    )


def _cases(connection: sqlite3.Connection, now_s: int) -> list[ExceptionCase]:
    """Return a case for each door with an unknown outcome that no case is about."""
    found = connection.execute(
        "SELECT DISTINCT i.cti, l.order_id, i.compartment, i.ledger_id FROM intent i"
        " JOIN ledger l ON l.id = i.ledger_id WHERE i.state = ? AND NOT EXISTS"
        " (SELECT 1 FROM exception x WHERE x.ledger_id = i.ledger_id"
        " AND x.compartment = i.compartment)",
        (_UNKNOWN,),
    ).fetchall()
    return [
        lost_case(
            _WHY,
            "nothing: its lock is not pulsed again; look into the compartment",
            now_s,
            cti=cti,
            order_id=order_id or None,
            compartment=compartment,
            ledger_id=ledger_id,
        )
        for cti, order_id, compartment, ledger_id in found
    ]
