"""``edge-fleet keys``: make the keys of a new fleet."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import click

from edge.values.person_name import name_fault
from sync.fleet import key_folder
from sync.fleet.key_folder import REVIEWERS, ROOTS_FILE, SITES, Fleet, KeyFolder, KeyFolderError
from sync.fleet.options import json_option, site_name, tell

_DAY_S = 86_400


@click.group()
def keys() -> None:
    """Make and look after the fleet's keys.

    Example: edge-fleet keys init ./fleet-keys
    """


@keys.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.argument("site", metavar="SITE", callback=site_name)
@json_option
def site(folder: Path, site: str, as_json: bool) -> None:
    """Make the key with which the own authority of SITE answers claims (edge-hub authority).

    Every trust list that is built from then on names it, for claims of this site alone. To take it back, remove
    DIR/sites/SITE.pub and build the list again.

    Example: edge-fleet keys site ./fleet-keys shop-1
    """
    try:
        path = KeyFolder(folder).add_holder(SITES, site)
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None
    tell(
        {"key": str(path), "site": site},
        f"{path} is the key for: edge-hub authority site --grant-key. Move it there once a list names it: "
        f"edge-fleet trust-list build --keys {folder} -o FILE",
        as_json=as_json,
    )


@keys.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--issuer", default="platform", show_default=True, metavar="NAME", help="The iss of its tokens."
)
@click.option(
    "--issuer-alg",
    type=click.Choice(["Ed25519", "ESP256"], case_sensitive=False),
    default="Ed25519",
    show_default=True,
    help="ESP256 for issuers whose HSM or KMS knows no Ed25519.",
)
@click.option(
    "--valid-days",
    type=click.IntRange(1, 36_500),
    default=3650,
    show_default=True,
    help="Keys' lifetime.",
)
@json_option
def init(folder: Path, issuer: str, issuer_alg: str, valid_days: int, as_json: bool) -> None:
    """Make the root, issuer and document keys of a new fleet in DIR, readable by you alone.

    Keep root.pem offline: who has it decides what every device believes.

    Example: edge-fleet keys init ./fleet-keys
    """
    if not issuer.isprintable() or not 1 <= len(issuer.encode()) <= 40:
        raise click.BadParameter("a name of 1 to 40 bytes is needed", param_hint="--issuer")
    fleet = Fleet(
        issuer=issuer, not_before_s=0, expires_at_s=int(time.time()) + valid_days * _DAY_S
    )
    try:
        key_folder.create(folder, fleet, issuer_alg=issuer_alg, group_key=secrets.token_bytes(32))
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None
    tell(
        {
            "keys": str(folder),
            "issuer": issuer,
            "expires": fleet.expires_at_s,
            "roots": str(folder / ROOTS_FILE),
        },
        f"Keys are in {folder}. Next: edge-fleet trust-list build --keys {folder} -o trust-list.cbor",
        as_json=as_json,
    )


def _as_person(_: click.Context, __: click.Parameter, value: str) -> str:
    """As operators are called, so that nobody decides on what they scanned; and a file's name."""
    if (
        not value.isprintable()
        or not 1 <= len(value.encode(errors="replace")) <= 40
        or set("/\\") & set(value)
    ):
        raise click.BadParameter(
            "a name of 1 to 40 bytes without slashes is needed, as in the operator list"
        )
    if value.startswith("."):
        raise click.BadParameter("a name does not begin with a dot")
    if fault := name_fault(value):
        raise click.BadParameter(fault)
    return value


@keys.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.argument("name", metavar="NAME", callback=_as_person)
@json_option
def reviewer(folder: Path, name: str, as_json: bool) -> None:
    """Make a key for NAME, who decides as a second person on redemptions (edge-fleet reviews).

    Give people the names that they have as operators: nobody decides on what they scanned. The key counts once a new
    trust list is out; upgrade every device first, for a version that does not know reviewers refuses such a list.
    To take the right back, remove NAME.pub and build the list again.

    Example: edge-fleet keys reviewer ./fleet-keys zoe
    """
    try:
        path = KeyFolder(folder).add_holder(REVIEWERS, name)
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None
    tell(
        {"key": str(path), "name": name},
        f"Hand {path} to {name} alone, then: edge-fleet trust-list build --keys {folder} -o FILE",
        as_json=as_json,
    )
