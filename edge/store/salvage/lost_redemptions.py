"""Rebuild the ledger rows that a broken store lost, from all else that names a redemption.

Best comes first: the event that reported it, the scan that wrote it, an index that has its key, and
last whatever names the use of a code. Where nothing says how much was redeemed, all of it was: a
person can reverse that, and no one can take back what is redeemed twice.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from typing import Any, Final

from edge.domain.exception_case import ExceptionCase
from edge.domain.redemption_report import REDEMPTION_EVENT, RETRY_OF
from edge.domain.verdict import Verdict
from edge.store.salvage.event_body import StoredEvent, events_of_uses
from edge.store.salvage.journalled_use import journalled_use
from edge.store.salvage.lost_events import lost_case
from edge.store.salvage.remains import SalvagedRows

_ALL: Final = 2**31 - 1  # units and minor units of a redemption of which no one knows how much
_REVERSED: Final = "reversed"
_NAMES_A_USE: Final = ("pickup", "continued", "reopened", "review", _REVERSED)
_COLUMNS: Final = (
    "id",
    "cti",
    "use_no",
    "reverses",
    "order_id",
    "kind",
    "units",
    "amount_minor",
    "currency",
    "verdict",
    "reason",
    "at_s",
    "trust",
    "operator",
    "risk",
    "epoch_no",
    "seq",
    "event_id",
)
_INSERT: Final = (
    f"INSERT OR IGNORE INTO ledger ({', '.join(_COLUMNS)})"
    f" VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"
)


def rebuild_redemptions(
    connection: sqlite3.Connection, remains: SalvagedRows, *, now_s: int
) -> list[ExceptionCase]:
    """Write the ledger rows that can be rebuilt; return a case for each that is known in part."""
    rebuilding = _Rebuilding(connection, remains, now_s)
    rebuilding.from_events()
    rebuilding.from_scans()
    rebuilding.from_mentions()
    rebuilding.reversals()
    return rebuilding.cases


class _Rebuilding:
    def __init__(self, connection: sqlite3.Connection, remains: SalvagedRows, now_s: int) -> None:
        self._connection = connection
        self._remains = remains
        self._now_s = now_s
        self.cases: list[ExceptionCase] = []
        self._hints = self._read_hints()
        self._hinted = {number for numbers in self._hints.values() for number in numbers}

    def from_events(self) -> None:
        """Write the row of each event that reported a redemption.

        Rows and events are written together, so the id of a lost row follows that of the row whose
        event came before.
        """
        before = 0
        for event in events_of_uses(self._connection, "redeemed", _REVERSED):
            row = self._row_of(event)
            if row is not None:
                before = row[0] if row[1:] == (event.epoch_no, event.seq) else before
                continue
            if event.type == _REVERSED:
                before += 1  # its row was lost too, and has its own id
                continue
            ledger_id = self._lost_id(event.cti, before + 1)
            self._write(
                id=ledger_id,
                cti=event.cti,
                use_no=event.use_no,
                order_id=event.text("order") or "",
                kind=event.text("kind") or "",
                units=event.number("units") or _ALL,
                amount_minor=event.number("amount_minor"),
                currency=event.text("currency"),
                verdict=event.text("verdict") or Verdict.ACCEPTED.value,
                at_s=event.at_s,
                trust=event.trust,
                operator=event.text("operator"),
                risk=" ".join(event.texts("risks")) or None,
                epoch_no=event.epoch_no,
                seq=event.seq,
                event_id=event.text(REDEMPTION_EVENT) or event.text(RETRY_OF) or event.id,
            )
            before = ledger_id if ledger_id in self._hinted else before + 1

    def from_scans(self) -> None:
        """Write the row of each scan that redeemed, whose event is lost too."""
        lost = self._connection.execute(
            "SELECT DISTINCT ledger_id FROM journal WHERE ledger_id IS NOT NULL"
            " AND ledger_id NOT IN (SELECT id FROM ledger) ORDER BY ledger_id"
        ).fetchall()
        for (ledger_id,) in lost:
            use = journalled_use(self._remains.gathered, ledger_id)
            if use is None or self._has_use(use.facts.claims.cti, use.facts.state.next_use_no):
                continue
            claims, decision, operator = use.facts.claims, use.decision, use.facts.operator
            self._write(
                id=ledger_id,
                cti=claims.cti,
                use_no=use.facts.state.next_use_no,
                order_id=claims.order_id,
                kind=claims.kind.code,
                units=decision.units,
                amount_minor=decision.amount_minor,
                currency=claims.currency,
                verdict=decision.verdict.value,
                at_s=use.facts.now.unix_s,
                trust=use.facts.now.trust.value,
                operator=None if operator is None else operator.id,
                risk=" ".join(decision.risks) or None,
                **self._place(ledger_id),
            )

    def from_mentions(self) -> None:
        """Write a row for each redemption that only an index, doors, cases or later events name."""
        for event in events_of_uses(self._connection, *_NAMES_A_USE):
            if not self._has_use(event.cti, event.use_no):
                number = self._lost_id(event.cti, None)
                known = {
                    "order_id": event.text("order") or "",
                    "event_id": event.text(REDEMPTION_EVENT) or "",
                }
                self._write_unknown(number, event.cti, event.use_no, **known)
        for cti, numbers in self._hints.items():
            for number in numbers:
                if not self._has_id(number):
                    self._write_unknown(number, cti, self._next_use_no(cti))

    def reversals(self) -> None:
        """Write the reversals whose event, or whose index, is all that is left."""
        for event in events_of_uses(self._connection, _REVERSED):
            self._write_reversal(self._of_use(event.cti, event.use_no), event)
        parts = self._remains.gathered.connection.execute(
            "SELECT reverses FROM ledger WHERE evidence = 2 AND reverses IS NOT NULL"
        )
        for (reversed_id,) in parts.fetchall():
            self._write_reversal(reversed_id, None)

    def _write_reversal(self, reversed_id: int | None, event: StoredEvent | None) -> None:
        query = (
            "SELECT cti, order_id, kind, units, amount_minor, currency FROM ledger l WHERE id = ?"
            " AND use_no IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ledger WHERE reverses = l.id)"
        )
        found = self._connection.execute(query, (reversed_id,)).fetchone()
        if found is None:
            return
        cti, order_id, kind, units, amount_minor, currency = found
        about: dict[str, Any] = {}
        if event is not None:
            about = {
                "reason": event.text("reason"),
                "at_s": event.at_s,
                "trust": event.trust,
                "operator": event.text("operator"),
                "epoch_no": event.epoch_no,
                "seq": event.seq,
                "event_id": event.text(RETRY_OF) or event.id,
            }
        self._write(
            id=self._new_id(),
            cti=cti,
            reverses=reversed_id,
            order_id=order_id,
            kind=kind,
            units=units,
            amount_minor=amount_minor,
            currency=currency,
            verdict=_REVERSED,
            **about,
        )

    def _write_unknown(self, ledger_id: int, cti: bytes, use_no: int, **known: Any) -> None:
        """Write a redemption of which only the code is known, with a case."""
        if self._has_use(cti, use_no) or self._has_id(ledger_id):
            return
        row = {"units": _ALL, "amount_minor": _ALL, **self._place(ledger_id), **known}
        self._write(id=ledger_id, cti=cti, use_no=use_no, **row)
        self.cases.append(
            lost_case(
                f"what use {use_no} of this code redeemed could not be read",
                "all of the code counts as redeemed; reverse it if that is wrong",
                self._now_s,
                cti=cti,
                order_id=known.get("order_id"),
                ledger_id=ledger_id,
            )
        )

    def _write(self, **row: Any) -> None:
        unknown: dict[str, Any] = {
            "use_no": None,
            "reverses": None,
            "order_id": "",
            "kind": "",
            "amount_minor": None,
            "currency": None,
            "verdict": Verdict.ACCEPTED.value,
            "reason": None,
            "at_s": 0,
            "trust": "floor_only",
            "operator": None,
            "risk": None,
            "epoch_no": 0,
            "seq": 0,
            "event_id": "",
        }
        self._connection.execute(_INSERT, {**unknown, **row})

    def _place(self, ledger_id: int) -> dict[str, int]:
        """Return where an index says that the row's event stands; no number where none does."""
        part = self._remains.gathered.connection.execute(
            "SELECT epoch_no, seq FROM ledger WHERE id = ? AND seq IS NOT NULL", (ledger_id,)
        ).fetchone()
        if part is not None:
            return {"epoch_no": part[0], "seq": part[1]}
        (number,) = self._connection.execute("SELECT coalesce(min(no), 0) FROM epoch").fetchone()
        return {"epoch_no": number, "seq": 0}

    def _read_hints(self) -> dict[bytes, list[int]]:
        """Return the ids of lost rows by code, as indexes, scans, doors and cases name them."""
        hints: dict[bytes, list[int]] = defaultdict(list)
        parts = self._remains.gathered.connection.execute(
            "SELECT id, cti FROM ledger WHERE evidence = 2 AND cti IS NOT NULL"
            " AND use_no IS NOT NULL ORDER BY id"
        ).fetchall()
        named = self._connection.execute(
            "SELECT ledger_id, cti FROM journal UNION SELECT ledger_id, cti FROM intent"
            " UNION SELECT ledger_id, cti FROM exception ORDER BY 1"
        )
        for ledger_id, cti in [*parts, *named]:
            if ledger_id is None or cti is None or ledger_id in hints[cti]:
                continue
            if not self._has_id(ledger_id):
                hints[cti].append(ledger_id)
        return {cti: sorted(numbers) for cti, numbers in hints.items() if numbers}

    def _lost_id(self, cti: bytes, following: int | None) -> int:
        """Return the id that a lost row of this code had, as far as that is known."""
        for number in self._hints.get(cti, ()):
            if not self._has_id(number):
                return number
        if following is None or self._has_id(following) or following in self._hinted:
            return self._new_id()
        return following

    def _new_id(self) -> int:
        (newest,) = self._connection.execute("SELECT coalesce(max(id), 0) FROM ledger").fetchone()
        return 1 + max(int(newest), max(self._hinted, default=0))

    def _row_of(self, event: StoredEvent) -> tuple[int, int, int] | None:
        condition = "cti = ? AND use_no = ?"
        if event.type == _REVERSED:
            condition = "reverses = (SELECT id FROM ledger WHERE cti = ? AND use_no = ?)"
        row: tuple[int, int, int] | None = self._connection.execute(
            f"SELECT id, epoch_no, seq FROM ledger WHERE {condition}", (event.cti, event.use_no)
        ).fetchone()
        return row

    def _of_use(self, cti: bytes, use_no: int) -> int | None:
        row = self._connection.execute(
            "SELECT id FROM ledger WHERE cti = ? AND use_no = ?", (cti, use_no)
        ).fetchone()
        return None if row is None else int(row[0])

    def _has_use(self, cti: bytes, use_no: int) -> bool:
        return self._of_use(cti, use_no) is not None

    def _next_use_no(self, cti: bytes) -> int:
        query = "SELECT 1 + coalesce(max(use_no), 0) FROM ledger WHERE cti = ?"
        return int(self._connection.execute(query, (cti,)).fetchone()[0])

    def _has_id(self, ledger_id: int) -> bool:
        row = self._connection.execute("SELECT 1 FROM ledger WHERE id = ?", (ledger_id,)).fetchone()
        return row is not None
