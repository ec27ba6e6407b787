"""``edge-fleet clock-reset``: sign the order with which a device lowers a wrong time floor."""

from __future__ import annotations

import time
from pathlib import Path

import click

from edge.documents.clock_reset_order import ClockResetOrder, sign_clock_reset_order
from edge.system.durable_file import write_durably
from edge.token.fields import TIME_END
from edge.token.purpose import Purpose
from edge.values.node_name import device_name_fault, name_fault
from sync.fleet.key_folder import KeyFolder, KeyFolderError
from sync.fleet.options import json_option, keys_option, output_option, report_outcome


@click.command("clock-reset")
@click.argument("device", metavar="DEVICE")
@click.option(
    "--floor",
    "wrong_s",
    required=True,
    metavar="UNIX_S",
    type=click.IntRange(1, TIME_END - 1),
    help="The wrong floor, as edge-scanner clock shows it on the device. "
    "The order is valid only for this floor and later ones.",
)
@click.option("--tenant", default="main", show_default=True, help="The tenant of DEVICE.")
@click.option("--reason", required=True, help="The reason, for the records.")
@keys_option(required=True)
@output_option
@json_option
def clock_reset(
    *,
    device: str,
    tenant: str,
    wrong_s: int,
    reason: str,
    keys_dir: Path,
    output: Path,
    as_json: bool,
) -> None:
    """Write the order with which DEVICE lowers its time floor to this machine's time.

    Carry the file to the device and run edge-scanner clock reset there. Check first that the clock
    of this machine is right, and that no list signed with a wrong time is still published.

    Example: edge-fleet clock-reset kiosk-7 --floor 4102444800 --reason "set by hand"
    --keys ./keys -o kiosk-7.clock
    """
    now_s = int(time.time())
    order = ClockResetOrder(
        tenant=tenant, device=device, wrong_s=wrong_s, reason=reason, issued_at_s=now_s
    )
    _check(order)
    try:
        signed = sign_clock_reset_order(order, KeyFolder(keys_dir).signer(Purpose.ENROLMENT))
        write_durably(output, signed, mode=0o644)
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}.") from None
    report_outcome(
        {"file": str(output), "device": device, "floor": now_s},
        f"{output} is valid for {device} alone. Run there: edge-scanner clock reset {output.name}",
        as_json=as_json,
    )


def _check(order: ClockResetOrder) -> None:
    """Raise UsageError for an order that no device would carry out."""
    if fault := device_name_fault(order.device) or name_fault(order.tenant):
        raise click.UsageError(f"DEVICE or --tenant: {fault}")
    if not order.reason.isprintable() or not 1 <= len(order.reason) <= 200:
        raise click.UsageError("--reason has 1 to 200 printable characters")
    if order.wrong_s <= order.issued_at_s:
        raise click.UsageError(
            "--floor is in the past: such a floor blocks nothing. "
            "Read it with edge-scanner clock on the device"
        )
