"""``edge-fleet revoke`` and ``recover``: put a device out of the fleet, and read what it had not told."""

from __future__ import annotations

import base64
import json
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
from edge.token.keys import private_key_pem
from edge.token.purpose import Purpose
from sync.fleet.fleet_file import fleet_option, load_fleet_file
from sync.fleet.hub_client import HubClient, every_device, hub_client
from sync.fleet.key_folder import KeyFolderError
from sync.fleet.options import counted
from sync.wire.fleet_requests import CUT, QUARANTINED, FleetAction

RECOVERY_FILE = "recovery.pem"
_LOOK_EVERY_S = 0.5


@click.command()
@click.argument("device", metavar="DEVICE")
@fleet_option
@click.option(
    "--reason",
    default="revoked by operations",
    show_default=True,
    help="What the device is to say.",
)
@click.option(
    "--keys", "keys_dir", metavar="DIR", type=click.Path(path_type=Path), help="The fleet's keys."
)
@click.option(
    "--now",
    "at_once",
    is_flag=True,
    help="Bar its certificate before it has heard (it was stolen).",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=30,
    show_default=True,
    metavar="SECONDS",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
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
    """Put DEVICE out of the fleet. From now on it can only hear that it is revoked and say that it heard.

    It stops, wipes what it knows of people, and keeps what it had not told sealed, for `edge-fleet recover`. When
    it has said so, its certificate is barred. To take it back, enrol it again.

    Example: edge-fleet revoke kiosk-7 --reason "stolen from shop-1" --now
    """
    if not reason.isprintable() or not 1 <= len(reason) <= 200:
        raise click.UsageError("--reason is 1 to 200 printable characters")
    place = load_fleet_file(fleet_file)
    folder = place.keys_dir if keys_dir is None else keys_dir
    keys = place.keys(keys_dir)
    assert folder is not None  # place.keys has said so
    with hub_client(place) as talk:
        _ask(_found(talk, device), yes=yes)
        order = RevocationOrder(
            tenant=place.tenant,
            device=device,
            reason=reason,
            issued_at_s=int(time.time()),
            recovery_key=_recovery_key(folder).public_key().public_bytes_raw(),
        )
        try:
            raw = sign_revocation_order(order, keys.signer(Purpose.ENROLMENT))
        except KeyFolderError as error:
            raise click.ClickException(str(error)) from None
        talk.ask(FleetAction.REVOKE, order=base64.b64encode(raw).decode(), now=at_once)
        click.echo(
            f"The order is out. Waiting up to {wait_s:.0f} s for {device} to say that it heard.",
            err=True,
        )
        stage = _follow(talk, device, wait_s)
    if as_json:
        click.echo(json.dumps({"device": device, "stage": stage}))
    else:
        click.secho(
            f"{device}: {_WORDS.get(stage, stage)}",
            err=True,
            fg="green" if stage == CUT else "yellow",
        )
    if stage not in (CUT, QUARANTINED):
        click.echo("The broker was not told: does edge-hub desk run?", err=True)
        sys.exit(1)


def _ask(device: dict[str, Any], *, yes: bool) -> None:
    """Whether it is meant; ends the command when it is not."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to ask: add --yes")
    where = f"{device['dev']} at {device['site']} ({device['state'] or 'never heard'})"
    click.confirm(f"Revoke {where}? It wipes its data", abort=True, err=True)


_WORDS = {
    CUT: "cut off: its certificate is barred",
    QUARANTINED: "it may do nothing but hear of it; it has not answered yet, and is cut off when it does",
}


@click.command()
@click.argument("file", metavar="SEALED", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--keys",
    "keys_dir",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The keys.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON lines; they always are.")
def recover(file: Path, keys_dir: Path, as_json: bool) -> None:
    """Print the events that a revoked device had not told: the file recovery/*.sealed in its data folder.

    Example: edge-fleet recover kiosk-7/recovery/0a1b.sealed --keys ./fleet-keys
    """
    del as_json
    path = keys_dir / RECOVERY_FILE
    if not path.exists():
        raise click.ClickException(
            f"{path} is not there: restore the key that the device was revoked with"
        )
    try:
        content = unseal(file.read_bytes(), _recovery_key(keys_dir))
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise click.ClickException(f"{file}: {error}") from None
    click.echo(content.decode(), nl=False)
    click.echo(counted(len(content.splitlines()), "event"), err=True)


def _follow(talk: HubClient, device: str, wait_s: float) -> str:
    """Until the broker bars the device, or the time is up. Returns the stage that was reached."""
    end_s = time.monotonic() + wait_s
    while True:
        revoked = _found(talk, device)["revoked"]
        stage = str(revoked["stage"]) if revoked else "unknown"
        if stage == CUT or time.monotonic() >= end_s:
            return stage
        time.sleep(_LOOK_EVERY_S)


def _found(talk: HubClient, device: str) -> dict[str, Any]:
    for item in every_device(talk):
        if item["dev"] == device:
            return item
    raise click.ClickException(
        f"there is no device {device} here: edge-fleet status lists those there are"
    )


def _recovery_key(folder: Path) -> X25519PrivateKey:
    """The key that unsent events are sealed to; made at the first revocation, and to be backed up with the others."""
    path = folder / RECOVERY_FILE
    try:
        if not path.exists():
            made = X25519PrivateKey.generate()
            write_secret(path, private_key_pem(made))
            click.echo(f"{path} was made: keep it with the fleet's other keys.", err=True)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise click.ClickException(f"{path} is not a usable key: {error}") from None
    if not isinstance(key, X25519PrivateKey):
        raise click.ClickException(f"{path} is not an X25519 key")
    return key
