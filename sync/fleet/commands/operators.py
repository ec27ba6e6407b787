"""``edge-fleet operators``: the signed list of people who may sign in at devices."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, NoReturn

import click
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from edge.config import Section
from edge.documents.operator_list import OperatorEntry, OperatorList, sign_operator_list
from edge.documents.pin_hash import hash_fault, hash_pin, pin_fault
from edge.domain.roles import Role
from edge.system.durable_file import write_secret
from edge.system.terminal import print_lines
from edge.token.fields import TIME_END
from edge.token.purpose import Purpose
from edge.values.person_name import name_fault, normalised
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
from sync.wire.codec import MAX_MESSAGE_BYTES
from sync.wire.fleet_requests import FleetAction

_DAY_S = 86_400
_LARGEST = MAX_MESSAGE_BYTES * 3 // 4 - 1000  # as base64 in a request
_Time = Annotated[int, Field(ge=0, lt=TIME_END)]


class _Person(Section):
    """One person of the input file. It has the hash of the PIN, never the PIN."""

    model_config = ConfigDict(strict=True)

    id: Annotated[str, Field(min_length=1, max_length=40)]
    role: Annotated[Role, Field(strict=False)]
    pin_hash: str
    not_before: _Time = 0
    expires: _Time = TIME_END - 1


_PEOPLE = TypeAdapter(list[_Person])


@click.group()
def operators() -> None:
    """Manage who may sign in at devices, with which role and PIN.

    Example: edge-fleet operators build --keys ./fleet-keys --site shop-1 --people people.json
    -o operators.cbor
    """


@operators.command("hash-pin")
@json_option
def hash_command(*, as_json: bool) -> None:
    """Ask for a PIN twice and print its argon2id hash, for the people file.

    Example: edge-fleet operators hash-pin
    """
    pin = click.prompt("PIN", hide_input=True, confirmation_prompt=True, err=True)
    if fault := pin_fault(pin):
        raise click.ClickException(fault)
    hashed = hash_pin(pin)
    print_lines(json_line({"pin_hash": hashed}) if as_json else hashed)


@operators.command()
@keys_option(required=True)
@click.option(
    "--site",
    required=True,
    metavar="ID",
    help="The site or device group that the list is for.",
)
@click.option(
    "--people",
    "people_file",
    required=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='A JSON array: [{"id": ..., "role": ..., "pin_hash": ..., '
    '"not_before"?: UNIX_S, "expires"?: UNIX_S}].',
)
@output_option
@click.option(
    "--valid-days",
    type=click.IntRange(1, 400),
    default=35,
    show_default=True,
    help="How long the list is valid; publish the next one before.",
)
@json_option
def build(
    *, keys_dir: Path, site: str, people_file: Path, output: Path, valid_days: int, as_json: bool
) -> None:
    """Write the signed list to FILE. It replaces the list before it.

    A person who is not in it can no longer sign in. Its version is the time it was built. Badges:
    edge-fleet issue --kind operator --order OPERATOR.

    Example: edge-fleet operators build --keys ./fleet-keys --site shop-1 --people people.json
    -o operators.cbor
    """
    issued_at_s = int(time.time())
    operator_list = OperatorList(
        audience=site,
        version=issued_at_s,
        issued_at_s=issued_at_s,
        expires_at_s=issued_at_s + valid_days * _DAY_S,
        entries=_entries(people_file),
    )
    try:
        signer = KeyFolder(keys_dir).signer(Purpose.OPERATORS)
        write_secret(output, sign_operator_list(operator_list, signer))
    except (KeyFolderError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}.") from None
    count = len(operator_list.entries)
    report_outcome(
        {
            "operators": str(output),
            "site": site,
            "count": count,
            "version": issued_at_s,
            "expires": operator_list.expires_at_s,
        },
        f"{output} lists {counted(count, 'operator')} of {site}, "
        f"valid for {counted(valid_days, 'day')}.",
        as_json=as_json,
    )


@operators.command()
@click.argument(
    "file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@fleet_option
def push(file: Path, fleet_file: Path, as_json: bool) -> None:
    """Send the list in FILE (from operators build) to the hub, which passes it on to its devices.

    Example: edge-fleet operators push operators.cbor
    """
    raw = file.read_bytes()
    if len(raw) > _LARGEST:
        raise click.ClickException(
            f"{file} is too large to push: copy it to the hub and name it in hub.toml"
        )
    with hub_client(load_fleet_file(fleet_file)) as client:
        stored = client.request(FleetAction.OPERATORS, document=base64.b64encode(raw).decode())
    report_outcome(
        stored,
        f"The hub has the list: {counted(stored['count'], 'operator')} of {stored['site']}.",
        as_json=as_json,
    )


def _entries(file: Path) -> tuple[OperatorEntry, ...]:
    try:
        people = _PEOPLE.validate_python(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} cannot be read: {error}") from None
    except ValidationError as error:
        _exit_with_faults(
            file, [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        )
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"{file} is not JSON: {error}") from None
    faults = [f"{person.id}: {fault}" for person in people if (fault := _fault(person))]
    # Two people of one normalised name could review each other's scans unnoticed.
    counts = Counter(normalised(person.id) for person in people)
    faults += [
        f"{name}: listed twice, perhaps in another case or form"
        for name, count in counts.items()
        if count > 1
    ]
    if faults:
        _exit_with_faults(file, faults)
    return tuple(
        OperatorEntry(
            id=person.id,
            role=person.role,
            pin_hash=person.pin_hash,
            not_before_s=person.not_before,
            expires_at_s=person.expires,
        )
        for person in people
    )


def _fault(person: _Person) -> str | None:
    if not person.id.isprintable():
        return "the id is not printable"
    if fault := name_fault(person.id):
        return fault
    if person.expires <= person.not_before:
        return "expires is not after not_before"
    return hash_fault(person.pin_hash)


def _exit_with_faults(file: Path, faults: list[str]) -> NoReturn:
    for fault in faults:
        print_lines(f"{file}: {fault}", err=True)
    sys.exit(1)
