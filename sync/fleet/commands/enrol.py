"""``edge-fleet enrol``: print a code with which one device may join, and see that it does."""

from __future__ import annotations

import json
import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edge.documents.enrolment_code import PIN_LENGTH, EnrolmentCode, pin_of, sign_enrolment_code
from edge.token.purpose import Purpose
from sync.fleet.fleet_file import fleet_option, load_fleet_file
from sync.fleet.hub_client import HubClient, hub_client
from sync.fleet.key_folder import KeyFolder, KeyFolderError
from sync.fleet.options import tell
from sync.fleet.qr_picture import QrError, write_qr
from sync.wire.fleet_requests import FleetAction
from sync.wire.topics import is_device_name

_LOOK_EVERY_S = 1.0


def _name(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    del context, parameter
    if value is not None and not is_device_name(value):
        raise click.BadParameter(
            "letters, digits, '.', '_' and '-', at most 40, not starting 'site-'"
        )
    return value


@click.command()
@fleet_option
@click.option("--device", metavar="ID", callback=_name, help="Who the device is to be.")
@click.option("--site", metavar="ID", callback=_name, help="Where it stands.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="Its groups.")
@click.option(
    "--serial",
    metavar="TEXT",
    default="",
    help="Only the board with this serial number may use it.",
)
@click.option("--valid-minutes", type=click.IntRange(1, 24 * 60), default=15, show_default=True)
@click.option(
    "--png",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A picture to print.",
)
@click.option(
    "--keys", "keys_dir", metavar="DIR", type=click.Path(path_type=Path), help="The fleet's keys."
)
@click.option("--wait/--no-wait", default=None, help="Until it is used.  [default: at a terminal]")
@click.option(
    "--list",
    "listed",
    is_flag=True,
    help="Show the codes that were given out, and what was refused.",
)
@click.option("--cancel", metavar="CODE-ID", help="Make a code worthless.")
def enrol(
    *,
    fleet_file: Path,
    as_json: bool,
    device: str | None,
    site: str | None,
    groups: tuple[str, ...],
    serial: str,
    valid_minutes: int,
    png: Path | None,
    keys_dir: Path | None,
    wait: bool | None,
    listed: bool,
    cancel: str | None,
) -> None:
    """Print a short-lived, single-use code. Show it to the camera of a new device, and it joins the fleet.

    Whoever shows the code first is let in: do not let it out of your sight. --serial binds it to one board.

    Example: edge-fleet enrol --device kiosk-7 --site shop-1
    """
    place = load_fleet_file(fleet_file)
    with hub_client(place) as talk:
        if listed:
            _list(talk, as_json)
            return
        if cancel is not None:
            talk.ask(FleetAction.CANCEL, id=cancel)
            words = f"The code {cancel} is worth nothing now."
            tell({"event": "cancelled", "id": cancel}, words, as_json=as_json)
            return
        if device is None or site is None:
            raise click.UsageError("--device and --site say who the device is to be")
        where = talk.ask(FleetAction.ENROLMENT_SERVICE)
        keys = place.keys(keys_dir)
        code = EnrolmentCode(
            id=secrets.token_bytes(PIN_LENGTH),
            tenant=place.tenant,
            device=device,
            site=site,
            groups=groups,
            host=where["host"],
            port=where["port"],
            service_pin=_pin_of_certificate(where["certificate"]),
            roots_pin=_pin_of_roots(keys),
            expires_at_s=int(time.time()) + valid_minutes * 60,
            serial=serial,
        )
        text = _signed(code, keys)
        talk.ask(FleetAction.ENROL, code=text)
        _show(code, text, png, as_json)
        if wait if wait is not None else sys.stderr.isatty():
            _wait(talk, code, as_json)


def _pin_of_certificate(pem: str) -> bytes:
    return pin_of(x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER))


def _pin_of_roots(keys: KeyFolder) -> bytes:
    try:
        return pin_of(keys.roots().to_bytes())
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None


def _signed(code: EnrolmentCode, keys: KeyFolder) -> str:
    try:
        return sign_enrolment_code(code, keys.signer(Purpose.ENROLMENT))
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None


def _show(code: EnrolmentCode, text: str, png: Path | None, as_json: bool) -> None:
    if png is not None:
        try:
            write_qr(text, png)
        except QrError as error:
            raise click.ClickException(str(error)) from None
    line = {
        "code": text,
        "id": code.id.hex(),
        "device": code.device,
        "site": code.site,
        "expires": code.expires_at_s,
    }
    if as_json:
        click.echo(json.dumps(line | ({"png": str(png)} if png else {})))
        return
    if png is None:
        _draw(text)
    else:
        click.echo(f"The code is in {png}: print it, or show it on a screen.", err=True)
    until = _clock(code.expires_at_s)
    click.echo(
        f"{code.device} at {code.site}: show this to its camera before {until}. Code {code.id.hex()}.",
        err=True,
    )


def _clock(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _draw(text: str) -> None:
    try:
        import segno
    except ImportError:
        raise click.ClickException(
            "QR codes need segno: pip install 'edge-scanner[fleet]'; or --json"
        ) from None
    segno.make_qr(text, mode="alphanumeric", error="l").terminal(out=sys.stdout, compact=True)


def _wait(talk: HubClient, code: EnrolmentCode, as_json: bool) -> None:
    """Follow the code to its end, and every attempt to misuse it."""
    click.echo("Waiting until it is used. Ctrl-C stops the waiting; the code stays good.", err=True)
    seen = 0
    while True:
        state = talk.ask(FleetAction.ENROLMENTS)
        (mine,) = [item for item in state["enrolments"] if item["id"] == code.id.hex()]
        traces = [item for item in state["refusals"] if item["code"] == code.id.hex()]
        for item in traces[: len(traces) - seen]:
            click.secho(
                f"refused: {item['what']} from {item['address']}: {item['detail']}",
                err=True,
                fg="red",
            )
        seen = len(traces)
        if mine["state"] == "used":
            _say(as_json, "enrolled", code, f"from {mine['used_from']}")
            return
        if mine["state"] == "cancelled" or time.time() >= code.expires_at_s:
            _say(
                as_json,
                "not_enrolled",
                code,
                "cancelled" if mine["state"] == "cancelled" else "the code expired",
            )
            sys.exit(1)
        time.sleep(_LOOK_EVERY_S)


def _say(as_json: bool, event: str, code: EnrolmentCode, words: str) -> None:
    if as_json:
        click.echo(json.dumps({"event": event, "device": code.device, "detail": words}))
    else:
        said = event.replace("_", " ")
        click.secho(
            f"{code.device}: {said}, {words}",
            err=True,
            fg="green" if event == "enrolled" else "red",
        )


def _list(talk: HubClient, as_json: bool) -> None:
    state = talk.ask(FleetAction.ENROLMENTS)
    if not state["enrolments"] and not state["refusals"]:
        click.echo("no code was given out yet", err=True)
    for item in state["enrolments"]:
        expired = item["state"] == "open" and item["expires_at_s"] <= time.time()
        shown = {**item, "state": "expired" if expired else item["state"]}
        used = f"  from {item['used_from']}" if item["used_from"] else ""
        click.echo(
            json.dumps({"what": "code", **shown})
            if as_json
            else f"{shown['id']}  {shown['dev']:<16} {shown['site']:<12} {shown['state']}{used}"
        )
    for item in state["refusals"]:
        click.echo(
            json.dumps({**item, "what": "refused", "reason": item["what"]})
            if as_json
            else f"{_clock(item['at_s'])}  refused  {item['what']:<20} {item['dev']} from {item['address']}:"
            f" {item['detail']}"
        )
