"""``edge-scanner history``: the history of one order on this device."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from edge.cli.store_options import as_text, data_option
from edge.store.database.store import StoreUnavailableError
from edge.store.opening import open_for_reading
from edge.store.order_history import HistoryEntry, OrderHistory, order_history
from edge.system.terminal import print_lines
from edge.values.printable import json_line


@click.command()
@data_option
@click.argument("order", callback=as_text)
@click.option("--json", "as_json", is_flag=True, help="The history as one JSON object.")
def history(data: Path, order: str, as_json: bool) -> None:
    """Show an order's history on this device: scans, redemptions, doors, reviews, cases, events.

    Example: edge-scanner history A-1042
    """
    try:
        with closing(open_for_reading(data)) as store:
            found = order_history(store, order)
    except StoreUnavailableError as error:
        print_lines(f"edge-scanner: {error}", err=True)
        sys.exit(1)
    if not found.lines:
        print_lines(
            f"edge-scanner: this device has no record of order {order}; see edge-scanner orders",
            err=True,
        )
        sys.exit(1)
    print_lines(*([json_line(_document(found))] if as_json else _text_lines(found)))


def _document(history: OrderHistory) -> dict[str, Any]:
    return {
        "device": history.device,
        "order": history.order,
        "complete": history.complete,
        "history": [
            {"at_s": line.at_s, "record": line.record, **line.fields} for line in history.lines
        ],
    }


def _text_lines(history: OrderHistory) -> list[str]:
    end = (
        "complete: the platform has acknowledged everything"
        if history.complete
        else "not complete: something is pending"
    )
    return [
        f"order {history.order} on {history.device}",
        *(_line(line) for line in history.lines),
        end,
    ]


def _line(line: HistoryEntry) -> str:
    when = (
        "now"
        if line.at_s is None
        else datetime.fromtimestamp(line.at_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    )
    shown = {
        name: value for name, value in line.fields.items() if value not in (None, "", False, [])
    }
    if line.record == "event":
        shown.pop("body", None)
        if not {"refused", "retry_of"} & shown.keys():
            shown.pop("id", None)
    return f"{when:<20}  {line.record:<9}  " + "  ".join(
        f"{name} {_plain(value)}" for name, value in shown.items()
    )


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
