"""``edge-fleet operators``: the signed list of who may sign in at devices."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import click
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from edge.documents.operator_list import OperatorEntry, OperatorList, sign_operator_list
from edge.documents.pin_hash import hash_fault, hash_pin, pin_fault
from edge.domain.roles import Role
from edge.system.durable_file import write_secret
from edge.token.fields import TIME_END
from edge.token.purpose import Purpose
from edge.values.person_name import name_fault, normalised
from sync.fleet.fleet_file import fleet_option, load_fleet_file
from sync.fleet.hub_client import hub_client
from sync.fleet.key_folder import KeyFolder, KeyFolderError
from sync.fleet.options import counted, json_option, tell
from sync.wire.codec import MAX_MESSAGE_BYTES
from sync.wire.fleet_requests import FleetAction

_DAY_S = 86_400
_LARGEST = MAX_MESSAGE_BYTES * 3 // 4 - 1000  # as base64 in a request
_Time = Annotated[int, Field(ge=0, lt=TIME_END)]


class _Person(BaseModel):
    """One person of the input file. The PIN comes as its hash: no file holds a PIN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Annotated[str, Field(min_length=1, max_length=40)]
    role: Annotated[Role, Field(strict=False)]
    pin_hash: str
    not_before: _Time = 0
    expires: _Time = TIME_END - 1


_PEOPLE = TypeAdapter(list[_Person])


@click.group()
def operators() -> None:
    """Say who may sign in at devices, as what, with which PIN.

    Example: edge-fleet operators build --keys ./fleet-keys --site shop-1 --people people.json -o operators.cbor
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
    click.echo(json.dumps({"pin_hash": hashed}) if as_json else hashed)


@operators.command()
@click.option(
    "--keys",
    "keys_dir",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The keys.",
)
@click.option(
    "--site",
    required=True,
    metavar="ID",
    help="The site or device group whose devices take the list.",
)
@click.option(
    "--people",
    "people_file",
    required=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='A JSON array: [{"id": ..., "role": ..., "pin_hash": ..., "not_before"?: UNIX_S, "expires"?: UNIX_S}].',
)
@click.option(
    "-o", "output", required=True, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path)
)
@click.option(
    "--valid-days",
    type=click.IntRange(1, 400),
    default=35,
    show_default=True,
    help="Until the next list.",
)
@json_option
def build(
    *, keys_dir: Path, site: str, people_file: Path, output: Path, valid_days: int, as_json: bool
) -> None:
    """Write the signed list to FILE. It takes the place of the one before: who is not in it can no longer sign in.

    Its version is the time it was built. Badges: edge-fleet issue --kind operator --order OPERATOR.

    Example: edge-fleet operators build --keys ./fleet-keys --site shop-1 --people people.json -o operators.cbor
    """
    issued_at_s = int(time.time())
    listed = OperatorList(
        audience=site,
        version=issued_at_s,
        issued_at_s=issued_at_s,
        expires_at_s=issued_at_s + valid_days * _DAY_S,
        entries=_entries(people_file),
    )
    try:
        signer = KeyFolder(keys_dir).signer(Purpose.OPERATORS)
        write_secret(output, sign_operator_list(listed, signer))
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}.") from None
    count = len(listed.entries)
    tell(
        {
            "operators": str(output),
            "site": site,
            "count": count,
            "version": issued_at_s,
            "expires": listed.expires_at_s,
        },
        f"{counted(count, 'operator')} of {site} in {output}, good for {counted(valid_days, 'day')}.",
        as_json=as_json,
    )


@operators.command()
@click.argument(
    "file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@fleet_option
def push(file: Path, fleet_file: Path, as_json: bool) -> None:
    """Give the list in FILE, from operators build, to the hub, which passes it on to the devices of its site.

    Example: edge-fleet operators push operators.cbor
    """
    raw = file.read_bytes()
    if len(raw) > _LARGEST:
        raise click.ClickException(
            f"{file} is too large to be pushed: put it on the hub, and name it in hub.toml"
        )
    with hub_client(load_fleet_file(fleet_file)) as talk:
        told = talk.ask(FleetAction.OPERATORS, document=base64.b64encode(raw).decode())
    tell(
        told,
        f"{counted(told['count'], 'operator')} of {told['site']}: the hub has the list",
        as_json=as_json,
    )


def _entries(file: Path) -> tuple[OperatorEntry, ...]:
    try:
        people = _PEOPLE.validate_python(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} cannot be read: {error}") from None
    except ValidationError as error:
        _stop(
            file, [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        )
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"{file} is not JSON: {error}") from None
    faults = [f"{person.id}: {fault}" for person in people if (fault := _fault(person))]
    counts = Counter(
        normalised(person.id) for person in people
    )  # two who could not be told apart when they review
    faults += [
        f"{name}: named twice, perhaps in another case or form"
        for name, count in counts.items()
        if count > 1
    ]
    if faults:
        _stop(file, faults)
    return tuple(
        OperatorEntry(
            id=person.id, role=person.role, pin_hash=person.pin_hash, not_before_s=person.not_before,
            expires_at_s=person.expires,
        )
        for person in people
    )  # fmt: skip


def _fault(person: _Person) -> str | None:
    if not person.id.isprintable():
        return "the id is not printable"
    if fault := name_fault(person.id):
        return fault
    if person.expires <= person.not_before:
        return "expires is not after not_before"
    return hash_fault(person.pin_hash)


def _stop(file: Path, faults: list[str]) -> Any:
    for fault in faults:
        click.echo(f"{file}: {fault}", err=True)
    sys.exit(1)
