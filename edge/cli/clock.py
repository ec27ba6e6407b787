"""``edge-scanner clock``: the time that this device uses, and the reset of a wrong time floor."""

from __future__ import annotations

import secrets
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import click

from edge.cli.store_options import data_option, now_of, profile_option
from edge.documents.clock_reset_order import ClockResetOrder, open_clock_reset_order
from edge.store.database.store import Store, StoreUnavailableError
from edge.store.device_record import device_name
from edge.store.opening import open_for_reading, open_for_work
from edge.store.time_floor import ResetResult, lower_time_floor, time_floor_s
from edge.system.terminal import print_lines
from edge.values.printable import json_line


@click.group(invoke_without_command=True)
@data_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def clock(ctx: click.Context, data: Path, as_json: bool) -> None:
    """Show the time that this device uses, its wall clock, and the floor: what is proved past.

    Example: edge-scanner clock
    """
    ctx.obj = data
    if ctx.invoked_subcommand is not None:
        return
    try:
        with closing(open_for_reading(data)) as store:
            floor_s, now = time_floor_s(store), now_of(store)
    except StoreUnavailableError as error:
        _stop(str(error))
    wall_s = int(time.time())
    if as_json:
        print_lines(
            json_line(
                {
                    "now_s": now.unix_s,
                    "trust": now.trust.value,
                    "wall_s": wall_s,
                    "floor_s": floor_s,
                }
            )
        )
        return
    print_lines(f"time   {_date(now.unix_s)}  ({now.trust})")
    print_lines(f"clock  {_date(wall_s)}")
    print_lines(f"floor  {_date(floor_s)}  ({floor_s})")


@clock.command()
@click.argument(
    "file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@profile_option("The device's profile.")
@click.pass_obj
def reset(data: Path, file: Path, profile: Path) -> None:
    """Lower a wrong time floor, by the signed order in FILE (edge-fleet clock-reset).

    With a floor years ahead every list, badge and certificate has expired, and no operator can
    sign in: only a signed order helps. It is reported to the platform. Scanner and sync notice it
    and restart by themselves.

    Example: edge-scanner clock reset kiosk-7.clock
    """
    from edge.system.wall_clock import WallClock
    from edge.values.uuid7 import event_id

    try:
        with closing(open_for_work(data)) as store:
            order = _verified_order(store, file, profile)
        now = WallClock(order.issued_at_s).now()
        done = lower_time_floor(
            data,
            wrong_s=order.wrong_s,
            floor_s=order.issued_at_s,
            reason=order.reason,
            now=now,
            event_id=event_id(now, secrets.token_bytes),
        )
    except (StoreUnavailableError, OSError) as error:
        _stop(str(error))
    if done is ResetResult.NOT_WRONG:
        _stop(
            f"the floor is before {_date(order.wrong_s)}, so the order does not apply:"
            " see edge-scanner clock"
        )
    if done is ResetResult.SUPERSEDED:
        _stop(
            f"an order as new as {file} was applied before:"
            " make a new one with edge-fleet clock-reset"
        )
    print_lines(f"the floor is now {_date(order.issued_at_s)}")


def _verified_order(store: Store, file: Path, profile: Path) -> ClockResetOrder:
    from edge.cli.profile_options import read_profile
    from edge.token.signed_document import DocumentRefusal
    from edge.trust.anchors import Anchors, RootsFileRefusal, load_roots

    read = read_profile(profile)
    roots = load_roots(Path(read.trust.roots_file))
    if isinstance(roots, RootsFileRefusal):
        _stop(str(roots))
    anchors = Anchors(store, roots)
    anchors.refresh(now_of(store))
    order = open_clock_reset_order(file.read_bytes(), anchors.trust)
    if isinstance(order, DocumentRefusal):
        _stop(f"{file} is refused ({order}): make it with edge-fleet clock-reset")
    device = device_name(store)
    if (order.tenant, order.device) != (read.device.tenant, device):
        _stop(
            f"{file} is for {order.device} of {order.tenant},"
            f" this is {device} of {read.device.tenant}"
        )
    return order


def _date(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _stop(message: str) -> NoReturn:
    print_lines(f"edge-scanner: {message}", err=True)
    sys.exit(1)
