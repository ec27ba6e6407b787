"""Hold a device's ledger against the hub's, row by row. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
_FIELDS = ("cti", "order", "kind", "use", "units", "amount_minor", "currency", "verdict")
_OF_LEDGER = frozenset({"redeemed", "reversed"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which the two do not agree."""

    seq: int
    what: str

    def __str__(self) -> str:
        return f"seq {self.seq}: {self.what}"


def compare(device: Sequence[Row], hub: Sequence[Row]) -> list[Difference]:
    """Return how ``hub`` (rows of ``edge-hub ledger --json``) differs from ``device`` (``edge-scanner ledger --json``).

    Every ledger row must be on the hub exactly once, with the same content; the hub may have no other.
    """
    told = {(row["epoch"], row["seq"]): row for row in hub if row["type"] in _OF_LEDGER}
    written = {(row["epoch"], row["seq"]): row for row in device}
    found = [
        Difference(seq, "the hub has it, the device has not")
        for _, seq in told.keys() - written.keys()
    ]
    for key, row in written.items():
        if key not in told:
            found.append(Difference(row["seq"], "the device has it, the hub has not"))
        else:
            found += _fields(row, told[key])
    return sorted(found, key=lambda difference: difference.seq)


def _fields(row: Row, event: Row) -> list[Difference]:
    if event["refused"]:
        return [Difference(row["seq"], f"the hub refused it: {event['refused']}")]
    body = event["body"]
    return [
        Difference(
            row["seq"], f"{name} is {row[name]!r} on the device and {body[name]!r} on the hub"
        )
        for name in _FIELDS
        if name in body and row[name] != body[name]
    ]
