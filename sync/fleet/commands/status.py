"""``edge-fleet status``, ``watch``, ``orders``, ``exceptions``: show the fleet, change nothing."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from edge.system.terminal import print_lines
from edge.values.printable import json_line
from sync.fleet.device_table import HEADER, align_columns, issues, needs_attention, row, severity
from sync.fleet.fleet_file import fleet_option, load_fleet_file
from sync.fleet.hub_client import every_device, held_detail, hub_client
from sync.fleet.options import counted
from sync.mqtt.endpoint import Arrival
from sync.wire import codec
from sync.wire.fleet_requests import FleetAction
from sync.wire.messages import Batch, Event, Status
from sync.wire.settings_report import SettingsReport
from sync.wire.topics import Topic, Up

_ORDER_COLUMNS: Final = {  # field: its heading, and the least width of its column
    "order_id": ("order", 16),
    "kind": ("kind", 9),
    "home_site": ("site", 12),
    "status": ("status", 10),
    "quantity": ("quantity", 8),
    "redeemed": ("used", 4),
    "cti": ("code", 32),
}
_CASE_COLUMNS: Final = {
    "at_s": ("at", 19),
    "dev": ("device", 16),
    "kind": ("case", 18),
    "cti": ("code", 32),
    "detail": ("detail", 0),
}


@click.command()
@fleet_option
@click.option("--issues", "only_issues", is_flag=True, help="Only devices that have an issue.")
@click.option("--site", help="Only devices of this site.")
def status(fleet_file: Path, as_json: bool, only_issues: bool, site: str | None) -> None:
    """Show every device, those with issues on top. Exit 1 when a device or the hub has one.

    Example: edge-fleet status --issues
    """
    with hub_client(load_fleet_file(fleet_file)) as client:
        held = held_detail(client)
        devices = every_device(client)
    now_s = int(time.time())
    listed = sorted(
        (device for device in devices if site in (None, device["site"])),
        key=lambda device: severity(device, now_s),
    )
    with_issues = [device for device in listed if needs_attention(device, now_s)]
    shown = with_issues if only_issues else listed
    if as_json:
        for device in shown:
            shown_device = {**device, "issues": issues(device, now_s), "hub_held": held}
            print_lines(json_line(shown_device))
    else:
        _print_table(shown, now_s)
        health = f"{len(with_issues)} with issues" if with_issues else "all healthy"
        print_lines(
            f"{counted(len(listed), 'device')}, {health}" if listed else "there is no such device",
            err=True,
        )
    if held is not None:
        print_lines(
            f"The hub is held: it sends no orders and no grants. {held}.",
            "Put back its newest backup or import the orders again, then: edge-hub resume",
            fg="red",
            bold=True,
            err=True,
        )
    if with_issues or held is not None:
        sys.exit(1)


def _print_table(devices: list[dict[str, Any]], now_s: int) -> None:
    header, *lines = align_columns([HEADER, *(row(device, now_s) for device in devices)])
    print_lines(header, bold=True)
    for device, line in zip(devices, lines, strict=True):
        print_lines(line, fg="red" if needs_attention(device, now_s) else None)


@click.command()
@fleet_option
@click.option(
    "--for",
    "for_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Stop after this long.  [default: never]",
)
def watch(fleet_file: Path, as_json: bool, for_s: float | None) -> None:
    """Show what devices report, as it arrives: status, settings, redemptions. Ctrl-C ends.

    Example: edge-fleet watch --json | jq 'select(.type == "settings")'
    """
    end_s = float("inf") if for_s is None else time.monotonic() + for_s
    try:
        with hub_client(
            load_fleet_file(fleet_file), subscribe=(Up.STATUS, Up.CONFIG, Up.EVENTS)
        ) as client:
            print_lines("The devices' state now, then each report. Ctrl-C ends.", err=True)
            while time.monotonic() < end_s:
                for topic, arrival in client.receive(min(0.5, max(0.0, end_s - time.monotonic()))):
                    for line in report_lines(topic, arrival):
                        _print(line, as_json)
    except KeyboardInterrupt:
        print_lines("", err=True)


@click.command()
@fleet_option
@click.option("--site", help="Only orders of this site.")
@click.option("--order", help="Only lines of this order.")
def orders(fleet_file: Path, as_json: bool, site: str | None, order: str | None) -> None:
    """List the order lines that the platform sends to devices, and how much of each is used.

    Example: edge-fleet orders --order A-1001
    """
    after: str | None = ""
    count = 0
    with hub_client(load_fleet_file(fleet_file)) as client:
        while after is not None:
            page = client.request(FleetAction.ORDERS, site=site, order=order, after=after)
            for line in page["orders"]:
                _print_row(line, as_json, _ORDER_COLUMNS, first=count == 0)
                count += 1
            after = page["next"]
    if not as_json:
        print_lines(counted(count, "order line"), err=True)


@click.command()
@fleet_option
@click.option("--dev", metavar="ID", help="Only cases of this device.")
def exceptions(fleet_file: Path, as_json: bool, dev: str | None) -> None:
    """List the cases that a person must settle, newest first. Exit 1 when there is one.

    Example: edge-fleet exceptions --dev locker-1
    """
    with hub_client(load_fleet_file(fleet_file)) as client:
        page = client.request(FleetAction.EXCEPTIONS, dev=dev)
    cases = page["exceptions"]
    for number, case in enumerate(cases):
        _print_row(
            case if as_json else {**case, "at_s": _local_time(case["at_s"])},
            as_json,
            _CASE_COLUMNS,
            first=number == 0,
        )
    if page["left_out"]:
        print_lines(f"{page['left_out']} older cases are left out: settle these first", err=True)
    if cases:
        sys.exit(1)
    print_lines("no open cases", err=True)


def report_lines(topic: Topic, arrival: Arrival) -> list[dict[str, Any]]:
    """Return the lines to print for a device's message; none for one that cannot be read."""
    dev = topic.node
    match topic.channel:
        case Up.STATUS:
            status = codec.decode_addressed(Status, arrival.payload, dev=dev)
            return (
                [{"dev": dev, "type": "status", "state": status.state}]
                if isinstance(status, Status)
                else []
            )
        case Up.CONFIG:
            report = codec.decode_addressed(SettingsReport, arrival.payload, dev=dev)
            if not isinstance(report, SettingsReport):
                return []
            line: dict[str, Any] = {
                "dev": dev,
                "type": "settings",
                "state": report.state,
                "rev": report.desired_rev,
            }
            errors = [f"{error.path}: {error.message}" for error in report.errors]
            return [
                line
                | ({"errors": errors} if errors else {})
                | ({"blocked": report.blocked} if report.blocked else {})
            ]
        case Up.EVENTS:
            batch = codec.decode_batch(arrival.payload, dev=dev)
            return (
                [_event(dev, event) for event in batch.events] if isinstance(batch, Batch) else []
            )
        case _:
            return []


def _event(dev: str, event: Event) -> dict[str, Any]:
    names = ("order", "verdict", "reason", "compartment", "state")
    fields: dict[str, Any] = {name: event.body[name] for name in names if name in event.body}
    return {"dev": dev, "type": event.type, "seq": event.seq, "ts": event.ts, **fields}


def _print(line: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_lines(json_line({"at_s": int(time.time()), **line}))
    else:
        rest = " ".join(
            f"{key}={value}" for key, value in line.items() if key not in ("dev", "type", "ts")
        )
        print_lines(f"{_local_time(int(time.time()))}  {line['dev']:<16} {line['type']:<10} {rest}")
    sys.stdout.flush()


def _print_row(
    line: dict[str, Any], as_json: bool, columns: dict[str, tuple[str, int]], *, first: bool
) -> None:
    """Print one row of a table, after the headings if it is the ``first``."""
    if as_json:
        print_lines(json_line(line))
        return
    if first:
        print_lines(
            "  ".join(name.ljust(width) for name, width in columns.values()).rstrip(), bold=True
        )
    cells = ("" if line.get(key) is None else str(line[key]) for key in columns)
    print_lines(
        "  ".join(
            cell.ljust(width) for cell, (_, width) in zip(cells, columns.values(), strict=True)
        ).rstrip()
    )


def _local_time(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
