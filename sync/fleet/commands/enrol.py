"""``edge-fleet enrol``: print a code with which one device may join, and wait until it does."""

from __future__ import annotations

import secrets
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edge.documents.enrolment_code import PIN_LENGTH, EnrolmentCode, pin_of, sign_enrolment_code
from edge.documents.settings import MOST_GROUPS
from edge.system.terminal import print_lines
from edge.token.purpose import Purpose
from edge.values.printable import json_line
from sync.fleet.fleet_file import FleetFile, fleet_option, load_fleet_file
from sync.fleet.hub_client import HubClient, hub_client
from sync.fleet.key_folder import KeyFolder, KeyFolderError
from sync.fleet.options import device_name, keys_option, report_outcome, site_name
from sync.fleet.qr_picture import QrPictureError, write_qr
from sync.wire.fleet_requests import FleetAction

_POLL_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _NewDevice:
    """The options that describe the device to enrol."""

    device: str | None
    site: str | None
    groups: tuple[str, ...]
    serial: str
    valid_minutes: int


@click.command()
@fleet_option
@click.option("--device", metavar="ID", callback=device_name, help="The name of the new device.")
@click.option("--site", metavar="ID", callback=site_name, help="The site of the new device.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="A group of the device.")
@click.option(
    "--serial",
    metavar="TEXT",
    default="",
    help="Only the board with this serial number may use the code.",
)
@click.option("--valid-minutes", type=click.IntRange(1, 24 * 60), default=15, show_default=True)
@click.option(
    "--png",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the code as a picture to print.",
)
@keys_option(required=False)
@click.option(
    "--wait/--no-wait", default=None, help="Wait until the code is used.  [default: at a terminal]"
)
@click.option("--list", "listed", is_flag=True, help="List the issued codes and refused attempts.")
@click.option("--cancel", metavar="CODE-ID", help="Make a code invalid.")
def enrol(
    *,
    fleet_file: Path,
    as_json: bool,
    png: Path | None,
    keys_dir: Path | None,
    wait: bool | None,
    listed: bool,
    cancel: str | None,
    **device_options: Any,
) -> None:
    """Print a short-lived, single-use code. A new device that scans it joins the fleet.

    The first device that shows the code is enrolled: keep the code secret until then. --serial
    binds it to one board.

    Example: edge-fleet enrol --device kiosk-7 --site shop-1
    """
    fleet = load_fleet_file(fleet_file)
    with hub_client(fleet) as client:
        if listed:
            _list(client, as_json)
        elif cancel is not None:
            _cancel(client, cancel, as_json)
        else:
            code = _issue_code(
                client, fleet, keys_dir, _NewDevice(**device_options), png=png, as_json=as_json
            )
            if wait if wait is not None else sys.stderr.isatty():
                _wait_until_used(client, code, as_json)


def _issue_code(
    client: HubClient,
    fleet: FleetFile,
    keys_dir: Path | None,
    new: _NewDevice,
    *,
    png: Path | None,
    as_json: bool,
) -> EnrolmentCode:
    """Sign a code, register it at the hub, and show it."""
    if new.device is None or new.site is None:
        raise click.UsageError("name the new device and its site: --device and --site")
    service = client.request(FleetAction.ENROLMENT_SERVICE)
    keys = fleet.open_keys(keys_dir)
    if len(new.groups) > MOST_GROUPS:
        raise click.UsageError(f"a device is in at most {MOST_GROUPS} groups")
    code = EnrolmentCode(
        id=secrets.token_bytes(PIN_LENGTH),
        tenant=fleet.tenant,
        device=new.device,
        site=new.site,
        groups=new.groups,
        host=service["host"],
        port=service["port"],
        service_pin=_certificate_pin(service["certificate"]),
        roots_pin=_roots_pin(keys),
        expires_at_s=int(time.time()) + new.valid_minutes * 60,
        serial=new.serial,
    )
    text = _sign(code, keys)
    client.request(FleetAction.ENROL, code=text)
    _show(code, text, png, as_json)
    return code


def _certificate_pin(pem: str) -> bytes:
    return pin_of(x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER))


def _roots_pin(keys: KeyFolder) -> bytes:
    try:
        return pin_of(keys.roots().to_bytes())
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None


def _sign(code: EnrolmentCode, keys: KeyFolder) -> str:
    try:
        return sign_enrolment_code(code, keys.signer(Purpose.ENROLMENT))
    except (KeyFolderError, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _show(code: EnrolmentCode, text: str, png: Path | None, as_json: bool) -> None:
    if png is not None:
        try:
            write_qr(text, png)
        except QrPictureError as error:
            raise click.ClickException(str(error)) from None
    if as_json:
        line = {
            "code": text,
            "id": code.id.hex(),
            "device": code.device,
            "site": code.site,
            "expires": code.expires_at_s,
        }
        print_lines(json_line(line | ({"png": str(png)} if png else {})))
        return
    if png is None:
        _draw(text)
    else:
        print_lines(f"The code is in {png}: print it, or show it on a screen.", err=True)
    print_lines(
        f"Show this code to the camera of {code.device} at {code.site} before "
        f"{_local_time(code.expires_at_s)}. Code {code.id.hex()}.",
        err=True,
    )


def _local_time(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _draw(text: str) -> None:
    try:
        import segno
    except ImportError:
        raise click.ClickException(
            "QR codes need segno: pip install 'edge-scanner[fleet]'; or use --json"
        ) from None
    segno.make_qr(text, mode="alphanumeric", error="l").terminal(out=sys.stdout, compact=True)


def _wait_until_used(client: HubClient, code: EnrolmentCode, as_json: bool) -> None:
    """Wait until the code is used, cancelled or expired, and report each refused attempt.

    Exits with 1 when the device has not joined.
    """
    print_lines(
        "Waiting until the code is used. Ctrl-C stops the wait; the code stays valid.", err=True
    )
    reported = 0
    while True:
        state = client.request(FleetAction.ENROLMENTS)
        (mine,) = [item for item in state["enrolments"] if item["id"] == code.id.hex()]
        attempts = [item for item in state["refusals"] if item["code"] == code.id.hex()]
        for item in attempts[: len(attempts) - reported]:  # newest first
            print_lines(
                f"refused: {item['reason']} from {item['address']}: {item['detail']}",
                err=True,
                fg="red",
            )
        reported = len(attempts)
        if mine["state"] == "used":
            _report(as_json, "enrolled", code, f"from {mine['used_from']}")
            return
        if mine["state"] == "cancelled":
            _report(as_json, "not_enrolled", code, "cancelled")
            sys.exit(1)
        if time.time() >= code.expires_at_s:
            _report(as_json, "not_enrolled", code, "the code expired")
            sys.exit(1)
        time.sleep(_POLL_EVERY_S)


def _report(as_json: bool, event: str, code: EnrolmentCode, detail: str) -> None:
    if as_json:
        print_lines(json_line({"event": event, "device": code.device, "detail": detail}))
    else:
        print_lines(
            f"{code.device}: {event.replace('_', ' ')}, {detail}",
            err=True,
            fg="green" if event == "enrolled" else "red",
        )


def _cancel(client: HubClient, code_id: str, as_json: bool) -> None:
    client.request(FleetAction.CANCEL, id=code_id)
    report_outcome(
        {"event": "cancelled", "id": code_id},
        f"The code {code_id} is cancelled.",
        as_json=as_json,
    )


def _list(client: HubClient, as_json: bool) -> None:
    state = client.request(FleetAction.ENROLMENTS)
    if not state["enrolments"] and not state["refusals"]:
        print_lines("no code was issued yet", err=True)
    for item in state["enrolments"]:
        expired = item["state"] == "open" and item["expires_at_s"] <= time.time()
        shown = {**item, "state": "expired" if expired else item["state"]}
        if as_json:
            print_lines(json_line({"type": "code", **shown}))
            continue
        used = f"  from {item['used_from']}" if item["used_from"] else ""
        print_lines(f"{shown['id']}  {shown['dev']:<16} {shown['site']:<12} {shown['state']}{used}")
    for item in state["alarms"]:
        if as_json:
            print_lines(json_line({"type": "alarm", **item}))
            continue
        print_lines(
            f"ALARM: the code {item['code']} of {item['dev']} was shown {item['times']} times after"
            f" its use, first {_local_time(item['first_s'])} from {item['first_address']}, last"
            f" {_local_time(item['last_s'])} from {item['last_address']}",
            fg="red",
        )
    for item in state["refusals"]:
        if as_json:
            print_lines(json_line({**item, "type": "refusal"}))
            continue
        print_lines(
            f"{_local_time(item['at_s'])}  refused  {item['reason']:<20} {item['dev']} "
            f"from {item['address']}: {item['detail']}"
        )
