"""The table of what the platform sold: rows of the feed go in, entitlements come out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from edge.domain.entitlement import Entitlement, OrderStatus
from edge.domain.order_row import Row
from edge.token.claims import Kind

COLUMNS = (
    "cti, order_id, kind, home_site, home_device, status, quantity, amount_minor, currency,"
    " not_before_s, expires_at_s, review, compartments, subject, campaign, rules, revision"
)
_NAMES = (*COLUMNS.split(", "), "generation")
_SET = ", ".join(f"{name} = excluded.{name}" for name in _NAMES[1:-1])
_KINDS = {kind.value: kind for kind in Kind}  # a dictionary is faster than the enum's own lookup
_STATUS = {status.value: status for status in OrderStatus}


def upsert(
    connection: sqlite3.Connection,
    rows: Sequence[Row],
    *,
    site: str,
    revision: int,
    generation: int,
) -> None:
    """Write the rows of one page.

    sqlite3 looks for an adapter of each null and each bytes, which costs more than binding them: a
    column that is null in every row is left out, and the cti is a bytearray.
    """
    if not rows:
        return
    columns = zip(_NAMES, _columns(rows, site, revision, generation), strict=True)
    filled = [(name, column) for name, column in columns if column.count(None) != len(rows)]
    connection.executemany(
        f"INSERT INTO entitlement ({', '.join(name for name, _ in filled)})"
        f" VALUES ({', '.join('?' * len(filled))}) ON CONFLICT (cti) DO UPDATE SET {_SET},"
        " generation = max(generation, excluded.generation)",
        zip(*(column for _, column in filled), strict=True),
    )


def _columns(
    rows: Sequence[Row], site: str, revision: int, generation: int
) -> list[Sequence[object]]:
    size = len(rows)
    (
        cti, order, kind, device, status, quantity, amount, currency, start, end, review, doors,
        subject, campaign, rules,
    ) = zip(*rows, strict=True)  # fmt: skip  # a row
    return [
        list(map(bytearray, cti)), order, kind, [site] * size, device, status, quantity, amount,
        currency, start, end, list(map(int, review)), [_doors(tuple(each)) for each in doors],
        subject, campaign, rules, [revision] * size, [generation] * size,
    ]  # fmt: skip  # a row


def entitlement_of(row: tuple[Any, ...]) -> Entitlement:
    """Return the entitlement in a row of ``COLUMNS``."""
    (
        cti, order, kind, site, device, status, quantity, amount, currency, start, end, review,
        doors, subject, campaign, rules, revision,
    ) = row  # fmt: skip  # a row
    return Entitlement(
        cti=cti,
        order_id=order,
        kind=_KINDS[kind],
        home_site=site,
        home_device=device,
        status=_STATUS[status],
        quantity=quantity,
        amount_minor=amount,
        currency=currency,
        not_before_s=start,
        expires_at_s=end,
        review=bool(review),
        compartments=() if doors == "[]" else tuple(json.loads(doors)),
        subject=subject,
        campaign=campaign,
        rules=rules,
        revision=revision,
    )


@lru_cache(maxsize=4096)
def _doors(compartments: tuple[str, ...]) -> str:
    return json.dumps(compartments, separators=(",", ":"), ensure_ascii=False)
