"""``edge-fleet status-list``: revoke and restore codes; build and publish the signed list."""

from __future__ import annotations

import base64
import getpass
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from edge.system.durable_file import write_durably
from edge.system.terminal import print_lines
from edge.token.purpose import Purpose
from edge.token.status_list import StatusList, sign_status_list, status_list
from edge.values.printable import json_line
from sync.fleet.fleet_file import fleet_option, load_fleet_file
from sync.fleet.hub_client import hub_client
from sync.fleet.key_folder import KeyFolder, KeyFolderError
from sync.fleet.options import (
    counted,
    json_option,
    keys_option,
    output_option,
    report_outcome,
)
from sync.register.code_record import CodeRecord, IssuedCodeState
from sync.register.code_register import FILE, Act, CodeRegister, RegisterError
from sync.wire.codec import MAX_MESSAGE_BYTES
from sync.wire.fleet_requests import FleetAction

_DAY_S = 86_400
_LARGEST = MAX_MESSAGE_BYTES * 3 // 4 - 1000  # as base64 in a request


@click.group("status-list")
def status_list_group() -> None:
    """Revoke single codes: mark them, build the signed list, publish it to the devices.

    Example: edge-fleet status-list revoke --keys ./fleet-keys --order A-1001 --reason "lost phone"
    """


def _change_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command that changes the state of codes."""
    for option in (
        json_option,
        click.option(
            "--by",
            metavar="NAME",
            default=getpass.getuser,
            help="Who decides.  [default: your login name]",
        ),
        click.option("--reason", required=True, help="Why. It is kept in the register."),
        click.option("--order", "order_id", metavar="ID", help="Every code of this order."),
        click.option("--cti", "ctis", multiple=True, metavar="HEX", help="One code, or several."),
        keys_option(required=True),
    ):
        command = option(command)
    return command


@status_list_group.command()
@_change_options
def revoke(**options: Any) -> None:
    """Revoke codes in the register. Then build and publish the list: from then on it holds.

    Example: edge-fleet status-list revoke --keys ./fleet-keys --cti 0011..ff --reason "stolen"
    """
    _change(IssuedCodeState.REVOKED, "revoked", **options)


@status_list_group.command()
@_change_options
def restore(**options: Any) -> None:
    """Make revoked codes valid again. Then build and publish the list.

    Example: edge-fleet status-list restore --keys ./fleet-keys --cti 0011..ff --reason "found"
    """
    _change(IssuedCodeState.LIVE, "restored", **options)


@status_list_group.command()
@keys_option(required=True)
@output_option
@click.option(
    "--valid-days",
    type=click.IntRange(1, 400),
    default=35,
    show_default=True,
    help="How long the list is valid; publish the next one before.",
)
@json_option
def build(*, keys_dir: Path, output: Path, valid_days: int, as_json: bool) -> None:
    """Write the signed list of all codes of the current issuer key to FILE.

    Example: edge-fleet status-list build --keys ./fleet-keys -o status-list.cbor
    """
    try:
        folder = KeyFolder(keys_dir)
        kid = folder.signer(Purpose.TOKEN).public.kid
        with closing(CodeRegister(keys_dir / FILE)) as register:
            built = _built_list(register, kid, int(time.time()), valid_days)
        write_durably(output, sign_status_list(built, folder.signer(Purpose.STATUS_LIST)))
    except (KeyFolderError, RegisterError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}.") from None
    revoked = sum(byte.bit_count() for byte in built.bits)
    report_outcome(
        {
            "status_list": str(output),
            "kid": kid.hex(),
            "version": built.version,
            "revoked": revoked,
            "expires": built.expires_at_s,
        },
        f"{output} names {counted(revoked, 'code')} that may not be redeemed,"
        f" valid for {counted(valid_days, 'day')}. Publish it: edge-fleet status-list publish"
        f" {output}",
        as_json=as_json,
    )


@status_list_group.command()
@click.argument(
    "file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@fleet_option
def publish(file: Path, fleet_file: Path, as_json: bool) -> None:
    """Send the list in FILE (from status-list build) to the hub, which passes it to every device.

    Example: edge-fleet status-list publish status-list.cbor
    """
    raw = file.read_bytes()
    if len(raw) > _LARGEST:
        raise click.ClickException(
            f"{file} is too large to publish so: copy it to the hub and name it in hub.toml"
        )
    with hub_client(load_fleet_file(fleet_file)) as client:
        stored = client.request(FleetAction.STATUS_LIST, document=base64.b64encode(raw).decode())
    report_outcome(
        stored,
        f"The hub publishes version {stored['version']}, with {counted(stored['revoked'], 'code')}"
        " that may not be redeemed.",
        as_json=as_json,
    )


@status_list_group.command()
@keys_option(required=True)
@click.option("--order", "order_id", metavar="ID", help="The codes of this order.")
@click.option("--cti", metavar="HEX", help="This code.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def show(*, keys_dir: Path, order_id: str | None, cti: str | None, as_json: bool) -> None:
    """Show codes of the register, and who changed each, when and why. Exit 1 when there is none.

    Example: edge-fleet status-list show --keys ./fleet-keys --order A-1001
    """
    if (order_id is None) == (cti is None):
        raise click.UsageError("name --order or --cti.")
    try:
        with closing(CodeRegister(KeyFolder(keys_dir).folder / FILE)) as register:
            found = register.records(order_id=order_id, cti=None if cti is None else _octets(cti))
            lines = [(record, register.changes(record.cti)) for record in found]
    except (KeyFolderError, RegisterError) as error:
        raise click.ClickException(str(error)) from None
    for record, changes in lines:
        _print(record, changes, as_json=as_json)
    if not lines:
        print_lines("no such code is in the register", err=True)
        sys.exit(1)


def _change(
    state: IssuedCodeState,
    word: str,
    *,
    keys_dir: Path,
    ctis: tuple[str, ...],
    order_id: str | None,
    reason: str,
    by: str,
    as_json: bool,
) -> None:
    if not ctis and order_id is None:
        raise click.UsageError("name --cti or --order.")
    try:
        with closing(CodeRegister(KeyFolder(keys_dir).folder / FILE)) as register:
            wanted = [_octets(cti) for cti in ctis]
            if order_id is not None:
                wanted += _ctis_of(register, order_id, state)
            changed = register.set_state(wanted, state, Act(by, int(time.time()), reason))
    except (KeyFolderError, RegisterError) as error:
        raise click.ClickException(str(error)) from None
    report_outcome(
        {word: changed, "codes": [cti.hex() for cti in wanted]},
        f"{counted(changed, 'code')} {word}. Now: edge-fleet status-list build, then publish.",
        as_json=as_json,
    )


def _ctis_of(register: CodeRegister, order_id: str, state: IssuedCodeState) -> list[bytes]:
    """Return the codes of an order that the change is about. Raises RegisterError."""
    found = register.records(order_id=order_id)
    if not found:
        raise RegisterError(f"no code of order {order_id} is in the register")
    about = IssuedCodeState.REVOKED if state is IssuedCodeState.LIVE else IssuedCodeState.LIVE
    return [record.cti for record in found if record.state in (about, state)]


def _built_list(register: CodeRegister, kid: bytes, now_s: int, valid_days: int) -> StatusList:
    return status_list(
        kid=kid,
        version=register.next_version(kid, now_s),
        issued_at_s=now_s,
        expires_at_s=now_s + valid_days * _DAY_S,
        size=max(1, register.next_status_index(kid)),
        revoked=register.withdrawn_indexes(kid),
    )


def _octets(cti: str) -> bytes:
    try:
        octets = bytes.fromhex(cti)
    except ValueError:
        octets = b""
    if len(octets) != 16:
        raise click.UsageError(f"{cti!r} is no code: it has 32 hexadecimal digits.")
    return octets


def _print(
    record: CodeRecord, changes: list[tuple[IssuedCodeState, Act]], *, as_json: bool
) -> None:
    listed = [
        {"state": state.value, "by": act.person, "at_s": act.at_s, "reason": act.reason}
        for state, act in changes
    ]
    line = {
        "cti": record.cti.hex(),
        "order": record.order_id,
        "line": record.line,
        "kind": record.kind,
        "site": record.site,
        "state": record.state.value,
        "status_index": record.status_index,
        "issued_s": record.issued_s,
        "issued_by": record.issued_by,
        "changes": listed,
    }
    if as_json:
        print_lines(json_line(line))
        return
    print_lines(f"{line['cti']}  {record.order_id}  {record.state}  issued by {record.issued_by}")
    for change in listed:
        print_lines(f"    {change['state']} by {change['by']}: {change['reason']}")
