"""``edge-fleet clock-reset``: the signed order with which a device gives up a time floor that is wrong."""

from __future__ import annotations

import re
import time
from pathlib import Path

import click

from edge.documents.clock_reset_order import ClockResetOrder, sign_clock_reset_order
from edge.system.durable_file import write_durably
from edge.token.fields import TIME_END
from edge.token.purpose import Purpose
from sync.fleet.key_folder import KeyFolder, KeyFolderError
from sync.fleet.options import json_option, tell
from sync.wire.topics import NAME


@click.command("clock-reset")
@click.argument("device", metavar="DEVICE")
@click.option(
    "--floor",
    "wrong_s",
    required=True,
    metavar="UNIX_S",
    type=click.IntRange(1, TIME_END - 1),
    help="The wrong floor, as edge-scanner clock shows it there. The order holds only for it and later ones.",
)
@click.option("--tenant", default="main", show_default=True, help="Whose DEVICE is.")
@click.option("--reason", required=True, help="Why, for the records.")
@click.option(
    "--keys",
    "keys_dir",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The keys.",
)
@click.option(
    "-o", "output", required=True, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path)
)
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
    """Write the order for DEVICE to go by this machine's time again, to be carried there.

    There, edge-scanner clock reset takes it. See first that this machine's clock is right, and that no list that was
    signed with a wrong time is still out.

    Example: edge-fleet clock-reset kiosk-7 --floor 4102444800 --reason "set by hand" --keys ./keys -o kiosk-7.clock
    """
    now_s = int(time.time())
    named = re.fullmatch(NAME, device) and re.fullmatch(NAME, tenant)
    if not named or not reason.isprintable() or not 1 <= len(reason) <= 200:
        raise click.UsageError(
            "DEVICE is a device's name, --tenant its tenant's, and --reason 1 to 200 printable characters"
        )
    if wrong_s <= now_s:
        raise click.UsageError(
            "--floor is past already: such a floor holds nothing up. See edge-scanner clock there"
        )
    order = ClockResetOrder(
        tenant=tenant, device=device, wrong_s=wrong_s, reason=reason, issued_at_s=now_s
    )
    try:
        write_durably(
            output,
            sign_clock_reset_order(order, KeyFolder(keys_dir).signer(Purpose.ENROLMENT)),
            mode=0o644,
        )
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}.") from None
    words = f"{output} is for {device} alone; there: edge-scanner clock reset {output.name}"
    tell({"file": str(output), "device": device, "floor": now_s}, words, as_json=as_json)
