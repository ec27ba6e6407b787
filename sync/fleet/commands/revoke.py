"""``edge-fleet revoke`` and ``recover``: remove a device, and read its unsent events."""

from __future__ import annotations

import base64
import sys
import time
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.documents.revocation_order import RevocationOrder, sign_revocation_order
from edge.encryption.sealed_box import unseal
from edge.system.durable_file import write_secret
from edge.system.terminal import print_lines
from edge.token.keys import private_key_pem
from edge.token.purpose import Purpose
from edge.values.printable import json_escaped, json_line
from sync.fleet.fleet_file import fleet_option, load_fleet_file
from sync.fleet.hub_client import HubClient, every_device, hub_client
from sync.fleet.key_folder import KeyFolder, KeyFolderError
from sync.fleet.options import counted, keys_option
from sync.wire.fleet_requests import CUT, QUARANTINED, FleetAction

RECOVERY_FILE = "recovery.pem"
_POLL_EVERY_S = 0.5


@click.command()
@click.argument("device", metavar="DEVICE")
@fleet_option
@click.option(
    "--reason",
    default="revoked by operations",
    show_default=True,
    help="The reason that the device shows.",
)
@keys_option(required=False)
@click.option(
    "--now",
    "at_once",
    is_flag=True,
    help="Bar its certificate before it confirms: for a stolen device.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until the device confirms.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def revoke(
    *,
    device: str,
    fleet_file: Path,
    as_json: bool,
    reason: str,
    keys_dir: Path | None,
    at_once: bool,
    wait_s: float,
    yes: bool,
) -> None:
    """Remove DEVICE from the fleet. From now on it can only receive its revocation and confirm it.

    The device stops, wipes what it knows of people, and seals its unsent events for edge-fleet
    recover. When it has confirmed, its certificate is barred. To use it again, enrol it again.

    Example: edge-fleet revoke kiosk-7 --reason "stolen from shop-1" --now
    """
    if not reason.isprintable() or not 1 <= len(reason) <= 200:
        raise click.UsageError("--reason has 1 to 200 printable characters")
    fleet = load_fleet_file(fleet_file)
    keys = fleet.open_keys(keys_dir)
    with hub_client(fleet) as client:
        _confirm(_find(client, device), yes=yes)
        order = _sign_order(keys, device=device, tenant=fleet.tenant, reason=reason)
        client.request(FleetAction.REVOKE, order=base64.b64encode(order).decode(), now=at_once)
        print_lines(
            f"The order is sent. Waiting up to {wait_s:.0f} s for {device} to confirm.", err=True
        )
        stage = _wait_until_cut(client, device, wait_s)
    _report(device, stage, as_json=as_json)
    if stage not in (CUT, QUARANTINED):
        print_lines("The broker did not bar the device: does edge-hub enrolment run?", err=True)
        sys.exit(1)


def _confirm(device: dict[str, Any], *, yes: bool) -> None:
    """Ask the person at the terminal; end the command when the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask at: add --yes")
    state = device["state"] or "has never connected"
    click.confirm(
        f"Revoke {device['dev']} at {device['site']} ({state})? It wipes its data",
        abort=True,
        err=True,
    )


def _sign_order(keys: KeyFolder, *, device: str, tenant: str, reason: str) -> bytes:
    order = RevocationOrder(
        tenant=tenant,
        device=device,
        reason=reason,
        issued_at_s=int(time.time()),
        recovery_key=_recovery_key(keys.folder).public_key().public_bytes_raw(),
    )
    try:
        return sign_revocation_order(order, keys.signer(Purpose.ENROLMENT))
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None


def _report(device: str, stage: str, *, as_json: bool) -> None:
    if as_json:
        print_lines(json_line({"device": device, "stage": stage}))
    else:
        text = _STAGE_TEXTS.get(stage, stage)
        print_lines(f"{device}: {text}", err=True, fg="green" if stage == CUT else "yellow")


_STAGE_TEXTS = {
    CUT: "cut off: its certificate is barred",
    QUARANTINED: "it can only receive the revocation. It has not confirmed yet; "
    "when it does, its certificate is barred",
}


@click.command()
@click.argument("file", metavar="SEALED", type=click.Path(path_type=Path, dir_okay=False))
@keys_option(required=True)
@click.option("--json", "as_json", is_flag=True, help="Accepted; the output is always JSON lines.")
def recover(file: Path, keys_dir: Path, as_json: bool) -> None:
    """Print the unsent events of a revoked device: the file recovery/*.sealed in its data folder.

    Example: edge-fleet recover kiosk-7/recovery/0a1b.sealed --keys ./fleet-keys
    """
    del as_json
    path = keys_dir / RECOVERY_FILE
    if not path.exists():
        raise click.ClickException(
            f"{path} is missing: restore the key with which the device was revoked"
        )
    try:
        content = unseal(file.read_bytes(), _recovery_key(keys_dir))
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise click.ClickException(f"{file}: {error}") from None
    print_lines(*(json_escaped(line) for line in content.decode().removesuffix("\n").split("\n")))
    print_lines(counted(len(content.splitlines()), "event"), err=True)


def _wait_until_cut(client: HubClient, device: str, wait_s: float) -> str:
    """Wait until the broker bars the device, or ``wait_s`` is over. Return the stage reached."""
    end_s = time.monotonic() + wait_s
    while True:
        revoked = _find(client, device)["revoked"]
        stage = str(revoked["stage"]) if revoked else "unknown"
        if stage == CUT or time.monotonic() >= end_s:
            return stage
        time.sleep(_POLL_EVERY_S)


def _find(client: HubClient, device: str) -> dict[str, Any]:
    for item in every_device(client):
        if item["dev"] == device:
            return item
    raise click.ClickException(f"there is no device {device}: edge-fleet status lists the devices")


def _recovery_key(folder: Path) -> X25519PrivateKey:
    """Return the key to which unsent events are sealed; made at the first revocation."""
    path = folder / RECOVERY_FILE
    try:
        if not path.exists():
            write_secret(path, private_key_pem(X25519PrivateKey.generate()))
            print_lines(f"{path} was made: back it up with the fleet's other keys.", err=True)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise click.ClickException(f"{path} is not a usable key: {error}") from None
    if not isinstance(key, X25519PrivateKey):
        raise click.ClickException(f"{path} is not an X25519 key")
    return key
