"""``edge-fleet status``, ``watch``, ``orders`` and ``exceptions``: look at the fleet. Nothing here changes it."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from sync.fleet.device_table import HEAD, drawn, issues, needs_attention, row, severity
from sync.fleet.fleet_file import fleet_option, load_fleet_file
from sync.fleet.hub_client import every_device, hub_client
from sync.fleet.options import counted
from sync.mqtt.endpoint import Arrival
from sync.wire import codec
from sync.wire.fleet_requests import FleetAction
from sync.wire.messages import Batch, Event, Status
from sync.wire.settings_report import SettingsReport
from sync.wire.topics import Topic, Up

_ORDERS: Final = {
    "order_id": ("order", 16), "kind": ("kind", 9), "home_site": ("site", 12), "status": ("status", 10),
    "quantity": ("quantity", 8), "redeemed": ("used", 4), "cti": ("code", 32),
}  # fmt: skip
_CASES: Final = {
    "at_s": ("at", 19), "dev": ("device", 16), "kind": ("case", 18), "cti": ("code", 32),
    "detail": ("what is known", 0),
}  # fmt: skip


@click.command()
@fleet_option
@click.option(
    "--sick", "only_sick", is_flag=True, help="Only devices that something is wrong with."
)
@click.option("--site", help="Only this site's.")
def status(fleet_file: Path, as_json: bool, only_sick: bool, site: str | None) -> None:
    """Show every device, the sick ones on top. Exit 1 when one is sick.

    Example: edge-fleet status --sick
    """
    with hub_client(load_fleet_file(fleet_file)) as talk:
        devices = every_device(talk)
    now_s = int(time.time())
    listed = sorted(
        (device for device in devices if site in (None, device["site"])),
        key=lambda one: severity(one, now_s),
    )
    sick = [device for device in listed if needs_attention(device, now_s)]
    shown = sick if only_sick else listed
    if as_json:
        for device in shown:
            click.echo(json.dumps({**device, "ills": issues(device, now_s)}, ensure_ascii=False))
    else:
        for number, line in enumerate(drawn([HEAD, *(row(device, now_s) for device in shown)])):
            well = number == 0 or not needs_attention(shown[number - 1], now_s)
            click.secho(line, fg=None if well else "red", bold=number == 0)
        how = f"{len(sick)} of them sick" if sick else "all well"
        click.echo(
            f"{counted(len(listed), 'device')}, {how}" if listed else "there is no such device yet",
            err=True,
        )
    if sick:
        sys.exit(1)


@click.command()
@fleet_option
@click.option(
    "--for",
    "for_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Stop after.  [default: never]",
)
def watch(fleet_file: Path, as_json: bool, for_s: float | None) -> None:
    """Show what devices say as they say it: comings and goings, settings, redemptions. Ctrl-C ends.

    Example: edge-fleet watch --json | jq 'select(.what == "settings")'
    """
    end_s = float("inf") if for_s is None else time.monotonic() + for_s
    try:
        with hub_client(
            load_fleet_file(fleet_file), hear=(Up.STATUS, Up.CONFIG, Up.EVENTS)
        ) as talk:
            click.echo("How devices are now, and then what they say. Ctrl-C ends.", err=True)
            while time.monotonic() < end_s:
                for topic, arrival in talk.hear(min(0.5, max(0.0, end_s - time.monotonic()))):
                    for line in told(topic, arrival):
                        _print(line, as_json)
    except KeyboardInterrupt:
        click.echo("", err=True)


@click.command()
@fleet_option
@click.option("--site", help="Only this site's.")
@click.option("--order", help="Only this order's lines.")
def orders(fleet_file: Path, as_json: bool, site: str | None, order: str | None) -> None:
    """List the order lines that the platform feeds to devices, and how much of each is used.

    Example: edge-fleet orders --order A-1001
    """
    after: str | None = ""
    count = 0
    with hub_client(load_fleet_file(fleet_file)) as talk:
        while after is not None:
            page = talk.ask(FleetAction.ORDERS, site=site, order=order, after=after)
            for line in page["orders"]:
                _row(line, as_json, _ORDERS, first=count == 0)
                count += 1
            after = page["next"]
    if not as_json:
        click.echo(counted(count, "order line"), err=True)


@click.command()
@fleet_option
@click.option("--dev", metavar="ID", help="Only this device's.")
def exceptions(fleet_file: Path, as_json: bool, dev: str | None) -> None:
    """List the cases that a person must look into, newest first. Exit 1 when there is one.

    Example: edge-fleet exceptions --dev locker-1
    """
    with hub_client(load_fleet_file(fleet_file)) as talk:
        cases = talk.ask(FleetAction.EXCEPTIONS, dev=dev)["exceptions"]
    for number, case in enumerate(cases):
        _row(
            case if as_json else {**case, "at_s": _clock(case["at_s"])},
            as_json,
            _CASES,
            first=number == 0,
        )
    if cases:
        sys.exit(1)
    click.echo("nothing to look into", err=True)


def told(topic: Topic, arrival: Arrival) -> list[dict[str, Any]]:
    """What a message of a device says, a line each."""
    dev = topic.node
    match topic.channel:
        case Up.STATUS:
            status = codec.decode_addressed(Status, arrival.payload, dev=dev)
            return (
                [{"dev": dev, "what": "status", "state": status.state}]
                if isinstance(status, Status)
                else []
            )
        case Up.CONFIG:
            report = codec.decode_addressed(SettingsReport, arrival.payload, dev=dev)
            if not isinstance(report, SettingsReport):
                return []
            line: dict[str, Any] = {
                "dev": dev,
                "what": "settings",
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
    told_of: dict[str, Any] = {name: event.body[name] for name in names if name in event.body}
    return {"dev": dev, "what": event.type, "seq": event.seq, "ts": event.ts, **told_of}


def _print(line: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"at_s": int(time.time()), **line}, ensure_ascii=False))
    else:
        rest = " ".join(
            f"{key}={value}" for key, value in line.items() if key not in ("dev", "what", "ts")
        )
        click.echo(f"{_clock(int(time.time()))}  {line['dev']:<16} {line['what']:<10} {rest}")
    sys.stdout.flush()


def _row(
    line: dict[str, Any], as_json: bool, columns: dict[str, tuple[str, int]], *, first: bool
) -> None:
    """One row of a table that is printed as it comes; ``columns``: what each is called, and its least width."""
    if as_json:
        click.echo(json.dumps(line, ensure_ascii=False))
        return
    if first:
        click.secho(
            "  ".join(name.ljust(width) for name, width in columns.values()).rstrip(), bold=True
        )
    cells = ("" if line.get(key) is None else str(line[key]) for key in columns)
    click.echo(
        "  ".join(
            cell.ljust(width) for cell, (_, width) in zip(cells, columns.values(), strict=True)
        ).rstrip()
    )


def _clock(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
