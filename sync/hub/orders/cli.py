"""``edge-hub orders`` and ``edge-hub resume``: what a person decides about the order feed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click

from edge.system.terminal import print_lines
from edge.values.person_name import name_fault
from sync.hub.config import load_hub_config_or_exit
from sync.hub.orders import hold, order_lines
from sync.hub.store.interface import HubStore
from sync.hub.store.opening import open_hub_store

_CONFIG = click.option(
    "--config",
    "config_file",
    required=True,
    type=click.Path(path_type=Path),
    help="The hub's configuration, TOML.",
)


def _person(_context: click.Context, _option: click.Parameter, name: str) -> str:
    fault = "the name is empty" if not name else name_fault(name)
    if fault is not None:
        raise click.BadParameter(fault)
    return name


def _reason(_context: click.Context, _option: click.Parameter, reason: str) -> str:
    if not reason.strip():
        raise click.BadParameter("write why, for those who read the record later")
    return reason


_BY = click.option("--by", required=True, callback=_person, help="Who decides this, by name.")
_WHY = click.option("--reason", required=True, callback=_reason, help="Why, in a sentence.")


@click.group("orders")
def orders_group() -> None:
    """Load the orders that devices are fed.

    Example: edge-hub orders import --config hub.toml orders.jsonl
    """


@orders_group.command("import")
@_CONFIG
@click.argument("file", type=click.File(encoding="utf-8"))
def import_orders(config_file: Path, file: TextIO) -> None:
    """Load order lines from FILE (or - for standard input), one JSON object a line.

    A line with a cti that is known replaces it. Devices receive changes at once. Nothing is loaded
    if a line is wrong.

    Example line: {"cti": "00112233445566778899aabbccddeeff", "order_id": "A-1", "kind": "pickup",
    "home_site": "shop-1", "compartments": ["A1"]}
    """
    store = _open_store(config_file)
    now_us = time.time_ns() // 1000
    try:
        with store.transaction() as connection:
            changed = order_lines.put_lines(connection, _lines(iter(file)), now_us)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    print_lines(f"{changed} order lines are new or changed.", err=True)


@orders_group.command("confirm-shrink")
@_CONFIG
@click.option("--site", required=True, metavar="ID", help="The site whose orders are right.")
@_BY
@_WHY
def confirm_shrink(config_file: Path, site: str, by: str, reason: str) -> None:
    """Confirm that the orders of a site are right, although they are far fewer than before.

    Devices of the site that report `orders_shrunk` then drop the others. Import what is missing
    instead, if anything is.

    Example: edge-hub orders confirm-shrink --config hub.toml --site shop-1 --by "Zoe Lind"
    --reason "the campaign has ended"
    """
    store = _open_store(config_file)
    with store.transaction() as connection:
        confirmed = order_lines.confirm_orders(
            connection, site, by=by, reason=reason, now_s=int(time.time())
        )
    if confirmed is None:
        raise click.ClickException(f"{site} has no orders here: check the name")
    print_lines(f"{by} confirms the {confirmed.entries} orders of {site}.", err=True)


@click.command("resume")
@_CONFIG
@_BY
@_WHY
def resume_command(config_file: Path, by: str, reason: str) -> None:
    """Let a hub that is held send orders and grants again.

    A hub is held when devices report more than its store has: it was lost, or an older copy was put
    back. First put back the newest copy of the store, or import the orders again. Devices keep the
    orders that they have until then.

    Example: edge-hub resume --config hub.toml --by "Zoe Lind" --reason "orders imported again"
    """
    store = _open_store(config_file)
    try:
        with store.transaction() as connection:
            hold.resume(connection, by=by, reason=reason, now_s=int(time.time()))
    except hold.NotHeldError as error:
        raise click.ClickException(str(error)) from None
    print_lines(f"The hub is resumed by {by}. Every device loads its orders again.", err=True)


def _open_store(config_file: Path) -> HubStore:
    """Open the hub's store. Raises HubStoreError."""
    config = load_hub_config_or_exit(config_file)
    return open_hub_store(Path(config.data_dir), config.database)


def _lines(file: Iterator[str]) -> Iterator[order_lines.OrderLine]:
    for number, text in enumerate(file, 1):
        if not text.strip():
            continue
        line = order_lines.parse_line(text)
        if isinstance(line, order_lines.LineRefusal):
            raise ValueError(f"line {number}: {line}; nothing was loaded")
        yield line
