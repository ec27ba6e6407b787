"""``edge-scanner story``: all that happened to one order on this device."""

from __future__ import annotations

import json
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


@click.command()
@data_option
@click.argument("order", callback=as_text)
@click.option("--json", "as_json", is_flag=True, help="The whole story as one JSON object.")
def story(data: Path, order: str, as_json: bool) -> None:
    """Tell all that happened to an order on this device: scans, redemptions, doors, reviews, cases, events.

    Example: edge-scanner story A-1042
    """
    try:
        with closing(open_for_reading(data)) as store:
            told = order_history(store, order)
    except StoreUnavailableError as error:
        click.echo(f"edge-scanner: {error}", err=True)
        sys.exit(1)
    if not told.lines:
        click.echo(
            f"edge-scanner: this device knows nothing of order {order}; see edge-scanner orders",
            err=True,
        )
        sys.exit(1)
    click.echo(
        json.dumps(_document(told), ensure_ascii=False) if as_json else "\n".join(_words(told))
    )


def _document(told: OrderHistory) -> dict[str, Any]:
    lines = [{"at_s": line.at_s, "what": line.what, **line.fields} for line in told.lines]
    return {"device": told.device, "order": told.order, "settled": told.settled, "story": lines}


def _words(told: OrderHistory) -> list[str]:
    end = "settled: the platform has all of it" if told.settled else "not settled: something waits"
    return [f"order {told.order} on {told.device}", *(_line(line) for line in told.lines), end]


def _line(line: HistoryEntry) -> str:
    when = (
        "now"
        if line.at_s is None
        else datetime.fromtimestamp(line.at_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    )
    said = {
        name: value for name, value in line.fields.items() if value not in (None, "", False, [])
    }
    if line.what == "event":
        said.pop("body", None)
        if not {"refused", "retry_of"} & said.keys():
            said.pop("id", None)
    return f"{when:<20}  {line.what:<9}  " + "  ".join(
        f"{name} {_plain(value)}" for name, value in said.items()
    )


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
