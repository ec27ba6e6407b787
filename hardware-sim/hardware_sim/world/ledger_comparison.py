"""Comparison of a device's ledger with the hub's, row by row. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
_FIELDS = ("cti", "order", "kind", "use", "units", "amount_minor", "currency", "verdict")
_LEDGER_EVENTS = frozenset({"redeemed", "reversed"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between the two ledgers."""

    seq: int
    difference: str

    def __str__(self) -> str:
        return f"seq {self.seq}: {self.difference}"


def compare(device: Sequence[Row], hub: Sequence[Row]) -> list[Difference]:
    """Return how the ledger of ``hub`` differs from that of ``device``.

    The rows are those of ``edge-hub ledger --json`` and ``edge-scanner ledger --json``. Every row
    of the device must be on the hub exactly once, with the same content, and the hub has no other.
    """
    reported = {(row["epoch"], row["seq"]): row for row in hub if row["type"] in _LEDGER_EVENTS}
    written = {(row["epoch"], row["seq"]): row for row in device}
    found = [
        Difference(seq, "the hub has it, the device does not")
        for _, seq in reported.keys() - written.keys()
    ]
    for key, row in written.items():
        if key not in reported:
            found.append(Difference(row["seq"], "the device has it, the hub does not"))
        else:
            found += _field_differences(row, reported[key])
    return sorted(found, key=lambda difference: difference.seq)


def _field_differences(row: Row, event: Row) -> list[Difference]:
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
