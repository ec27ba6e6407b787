"""``edge-fleet keys``: make the keys of a new fleet, of a site and of a reviewer."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import click

from edge.values.person_name import name_fault
from sync.fleet.key_folder import (
    REVIEWERS,
    ROOTS_FILE,
    SITES,
    FleetRecord,
    KeyFolder,
    KeyFolderError,
    create_key_folder,
)
from sync.fleet.options import json_option, report_outcome, site_name

_DAY_S = 86_400


@click.group()
def keys() -> None:
    """Make and manage the fleet's keys.

    Example: edge-fleet keys init ./fleet-keys
    """


@keys.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.argument("site", metavar="SITE", callback=site_name)
@json_option
def site(folder: Path, site: str, as_json: bool) -> None:
    """Make the key with which the authority of SITE replies to authorisation requests.

    The authority runs with edge-hub authority. Every trust list that is built from now on names the
    key, for replies of this site alone. To withdraw it, remove DIR/sites/SITE.pub and build the
    list again.

    Example: edge-fleet keys site ./fleet-keys shop-1
    """
    try:
        path = KeyFolder(folder).add_holder(SITES, site)
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None
    report_outcome(
        {"key": str(path), "site": site},
        f"{path} is the key for edge-hub authority site --grant-key. Move it there once a trust "
        "list names it: "
        f"edge-fleet trust-list build --keys {folder} -o FILE",
        as_json=as_json,
    )


@keys.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--issuer",
    default="platform",
    show_default=True,
    metavar="NAME",
    help="The iss claim of its tokens.",
)
@click.option(
    "--issuer-alg",
    type=click.Choice(["Ed25519", "ESP256"], case_sensitive=False),
    default="Ed25519",
    show_default=True,
    help="ESP256 for issuers whose HSM or KMS does not support Ed25519.",
)
@click.option(
    "--valid-days",
    type=click.IntRange(1, 36_500),
    default=3650,
    show_default=True,
    help="How long the keys are valid.",
)
@json_option
def init(folder: Path, issuer: str, issuer_alg: str, valid_days: int, as_json: bool) -> None:
    """Make the root, issuer and document keys of a new fleet in DIR, readable by you alone.

    Keep root.pem offline: its holder decides which keys every device trusts.

    Example: edge-fleet keys init ./fleet-keys
    """
    if not issuer.isprintable() or not 1 <= len(issuer.encode()) <= 40:
        raise click.BadParameter("the issuer has a name of 1 to 40 bytes", param_hint="--issuer")
    record = FleetRecord(
        issuer=issuer, not_before_s=0, expires_at_s=int(time.time()) + valid_days * _DAY_S
    )
    try:
        create_key_folder(folder, record, issuer_alg=issuer_alg, group_key=secrets.token_bytes(32))
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None
    report_outcome(
        {
            "keys": str(folder),
            "issuer": issuer,
            "expires": record.expires_at_s,
            "roots": str(folder / ROOTS_FILE),
        },
        f"The keys are in {folder}. "
        f"Next: edge-fleet trust-list build --keys {folder} -o trust-list.cbor",
        as_json=as_json,
    )


def _reviewer_name(_: click.Context, __: click.Parameter, value: str) -> str:
    """Return an operator name that is also a safe file name. Raises BadParameter.

    An operator name, so that a review of the reviewer's own scan is detected.
    """
    if (
        not value.isprintable()
        or not 1 <= len(value.encode(errors="replace")) <= 40
        or set("/\\") & set(value)
    ):
        raise click.BadParameter(
            "a reviewer has a name of 1 to 40 bytes without slashes, as in the operator list"
        )
    if value.startswith("."):
        raise click.BadParameter("a name does not begin with a dot")
    if fault := name_fault(value):
        raise click.BadParameter(fault)
    return value


@keys.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.argument("name", metavar="NAME", callback=_reviewer_name)
@json_option
def reviewer(folder: Path, name: str, as_json: bool) -> None:
    """Make a key for NAME, who reviews redemptions as a second person (edge-fleet reviews).

    Use the person's operator name: reviews of one's own scans are refused. The key is valid once a
    trust list with it is published. To withdraw it, remove DIR/reviewers/NAME.pub and build the
    list again.

    Example: edge-fleet keys reviewer ./fleet-keys zoe
    """
    try:
        path = KeyFolder(folder).add_holder(REVIEWERS, name)
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None
    report_outcome(
        {"key": str(path), "name": name},
        f"Hand {path} to {name} alone. Next: edge-fleet trust-list build --keys {folder} -o FILE",
        as_json=as_json,
    )
