"""Listings of the store: ``ledger``, ``orders``, ``outbox`` and the exceptions. They only read."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import click

from edge.cli.store_options import as_text, data_option
from edge.store import exception_cases as exception_store
from edge.store import ledger as ledger_store
from edge.store import order_cache as order_store
from edge.store import outbox as outbox_store
from edge.store.database.store import Store, StoreUnavailableError
from edge.store.opening import open_for_reading
from edge.store.outbox import Backlog
from edge.system.terminal import print_lines
from edge.values.printable import json_line

Row = TypeVar("Row")
Key = TypeVar("Key")

_PAGE = 500

_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.command()
@data_option
@_json
def ledger(data: Path, as_json: bool) -> None:
    """List every redemption and reversal on this device, oldest first.

    Example: edge-scanner ledger --json | jq 'select(.acknowledged | not)'
    """
    _show(
        data,
        as_json,
        _ledger,
        "id",
        "at_s",
        "kind",
        "order",
        "use",
        "units",
        "verdict",
        "acknowledged",
    )


@click.command()
@data_option
@_json
@click.option("--order", callback=as_text, help="Only this order's entitlements.")
def orders(data: Path, as_json: bool, order: str | None) -> None:
    """List the entitlements that this device caches.

    Example: edge-scanner orders --order A-1042
    """
    _show(
        data,
        as_json,
        lambda store: _orders(store, order),
        "order",
        "cti",
        "kind",
        "status",
        "home",
        "quantity",
    )


@click.command()
@data_option
@_json
@click.option(
    "--limit",
    type=click.IntRange(1, 10**9),
    default=1000,
    show_default=True,
    help="At most this many events.",
)
def outbox(data: Path, as_json: bool, limit: int) -> None:
    """List the events that the platform has not acknowledged, oldest first, and their backlog.

    Example: edge-scanner outbox --json | wc -l
    """
    _show(
        data, as_json, lambda store: _outbox(store, limit), "epoch", "seq", "at_s", "type", "body"
    )
    if not as_json:
        with closing(open_for_reading(data)) as store:
            print_lines(backlog_sentence(outbox_store.backlog(store), int(time.time())), err=True)


def backlog_sentence(backlog: Backlog, now_s: int) -> str:
    """Return the backlog of events in a sentence.

    >>> backlog = Backlog(pending=2, rejected=0, oldest_s=1_000)
    >>> backlog_sentence(backlog, 1_000 + 3 * 86_400 + 3_600)
    '2 events wait for the platform, the oldest for 3 d 1 h.'
    """
    refused = (
        f" {backlog.rejected} were refused: edge-scanner exceptions." if backlog.rejected else ""
    )
    if backlog.oldest_s is None:
        return f"No event waits: the platform has acknowledged everything.{refused}"
    minutes = max(0, now_s - backlog.oldest_s) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    age = (
        f"{days} d {hours} h"
        if days
        else f"{hours} h {minutes % 60} min"
        if hours
        else f"{minutes} min"
    )
    events = "1 event waits" if backlog.pending == 1 else f"{backlog.pending} events wait"
    return f"{events} for the platform, the oldest for {age}.{refused}"


def show_exceptions(data: Path, *, as_json: bool, only_open: bool) -> None:
    """List the cases that a person must settle."""
    columns = ("id", "raised_s", "kind", "order", "compartment", "cause", "settled_s")
    _show(data, as_json, lambda store: _exceptions(store, only_open), *columns)


def _show(
    data: Path, as_json: bool, rows: Callable[[Store], Iterable[dict[str, Any]]], *columns: str
) -> None:
    try:
        with closing(open_for_reading(data)) as store:
            lines = (_line(row, as_json, columns) for row in rows(store))
            if not as_json and sys.stdout.isatty():
                print_lines("  ".join(columns), err=True)
            for line in lines:
                print_lines(line)
    except StoreUnavailableError as error:
        print_lines(f"edge-scanner: {error}", err=True)
        sys.exit(1)


def _line(row: dict[str, Any], as_json: bool, columns: tuple[str, ...]) -> str:
    if as_json:
        return json_line(row)
    return "  ".join("-" if row[name] is None else str(row[name]) for name in columns)


def _pages(
    page: Callable[[Key], list[Row]], key: Callable[[Row], Key], start: Key
) -> Iterator[Row]:
    """Yield every row of a table, a page at a time, so that a large one needs little memory."""
    after = start
    while rows := page(after):
        yield from rows
        after = key(rows[-1])


def _ledger(store: Store) -> Iterator[dict[str, Any]]:
    pages = _pages(
        lambda after: ledger_store.rows(store, after_id=after, limit=_PAGE), lambda row: row.id, 0
    )
    for row in pages:
        yield {
            "id": row.id,
            "at_s": row.at.unix_s,
            "clock": row.at.trust.value,
            "cti": row.cti.hex(),
            "use": row.use_no,
            "reverses": row.reverses,
            "order": row.order_id,
            "kind": row.kind,
            "units": row.units,
            "amount_minor": row.amount_minor,
            "currency": row.currency,
            "verdict": row.verdict,
            "reason": row.reason,
            "operator": row.operator,
            "risks": list(row.risks),
            "epoch": row.epoch,
            "seq": row.seq,
            "acknowledged": row.acknowledged,
        }


def _orders(store: Store, order: str | None) -> Iterator[dict[str, Any]]:
    def page(after: bytes) -> list[Any]:
        return order_store.entitlements(store, order_id=order, after=after, limit=_PAGE)

    for row in _pages(page, lambda row: row.cti, b""):
        yield {
            "cti": row.cti.hex(),
            "order": row.order_id,
            "kind": row.kind.code,
            "status": row.status.value,
            "home": row.home_device or row.home_site,
            "quantity": row.quantity,
            "amount_minor": row.amount_minor,
            "currency": row.currency,
            "not_before_s": row.not_before_s,
            "expires_at_s": row.expires_at_s,
            "review": row.review,
            "compartments": list(row.compartments),
            "campaign": row.campaign,
            "revision": row.revision,
        }


def _exceptions(store: Store, only_open: bool) -> Iterator[dict[str, Any]]:
    def page(after: int) -> list[Any]:
        return exception_store.cases(store, only_open=only_open, after_id=after, limit=_PAGE)

    for row in _pages(page, lambda row: row.id, 0):
        yield {
            "id": row.id,
            "kind": row.kind.value,
            "cause": row.cause,
            "tried": row.tried,
            "cti": row.cti.hex() if row.cti else None,
            "order": row.order_id,
            "compartment": row.compartment,
            "ledger_id": row.ledger_id,
            "raised_s": row.raised_s,
            "settled_s": row.settled_s,
            "settled_by": row.settled_by,
            "settlement": row.settlement,
            "note": row.note,
        }


def _outbox(store: Store, limit: int) -> Iterator[dict[str, Any]]:
    for row in outbox_store.pending(store, limit=limit):
        yield {
            "epoch": row.epoch,
            "seq": row.seq,
            "id": row.id,
            "at_s": row.at.unix_s,
            "clock": row.at.trust.value,
            "type": row.type,
            "body": row.body,
        }
