"""``edge-fleet trust-list``: which keys the devices are to believe, signed by the root."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from edge.system.durable_file import write_durably
from edge.token.claims import Kind
from edge.token.claims_set import AMOUNT_END
from edge.token.keys import PublicKey, Signer
from edge.token.purpose import Purpose
from edge.token.roots import Roots
from edge.token.signed_document import DocumentRefusal
from edge.token.trust_list import TrustList, open_trust_list, sign_trust_list
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant
from sync.fleet.key_folder import (
    LISTED,
    REVIEWERS,
    ROOT,
    SITES,
    Fleet,
    KeyFolder,
    KeyFolderError,
)
from sync.fleet.options import json_option, short_texts, tell

_DAY_S = 86_400


@click.group("trust-list")
def trust_list() -> None:
    """Build the signed list of the keys that devices believe.

    Example: edge-fleet trust-list build --keys ./fleet-keys -o trust-list.cbor
    """


@trust_list.command()
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
@click.option(
    "--audience",
    "audiences",
    multiple=True,
    metavar="ID",
    callback=short_texts,
    help="Tokens only for these.  [default: any]",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([kind.code for kind in Kind]),
    help="Tokens only of these.",
)
@click.option(
    "--largest-amount-minor",
    type=click.IntRange(0, AMOUNT_END - 1),
    metavar="N",
    help="Tokens only up to this amount.",
)
@click.option(
    "--valid-days",
    type=click.IntRange(1, 3650),
    default=400,
    show_default=True,
    help="Until the next list.",
)
@json_option
def build(
    *,
    keys_dir: Path,
    output: Path,
    audiences: tuple[str, ...],
    kinds: tuple[str, ...],
    largest_amount_minor: int | None,
    valid_days: int,
    as_json: bool,
) -> None:
    """Write the signed trust list to FILE, one version up, and its root keys beside it (FILE.roots).

    Example: edge-fleet trust-list build --keys ./fleet-keys -o trust-list.cbor
    """
    issued_at_s = int(time.time())
    try:
        folder = KeyFolder(keys_dir)
        fleet = folder.fleet()
        fleet = replace(fleet, trust_list_version=fleet.trust_list_version + 1)
        scope = {
            "issuers": frozenset({fleet.issuer}),
            "audiences": frozenset(audiences) or None,
            "kinds": frozenset(kind for kind in Kind if not kinds or kind.code in kinds),
            "largest_amount_minor": largest_amount_minor,
        }
        trust = TrustList(
            version=fleet.trust_list_version,
            issued_at_s=issued_at_s,
            expires_at_s=issued_at_s + valid_days * _DAY_S,
            keys=listed_keys(folder, fleet, scope),
        )
        roots = folder.roots()
        signed = _signed(trust, folder.signer(ROOT), roots)
        folder.keep(fleet)  # before the list is out: a version is never used twice
        write_durably(output, signed, mode=0o644)
        beside = output.with_name(output.name + ".roots")
        write_durably(beside, roots.to_bytes(), mode=0o644)
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}.") from None
    tell(
        {
            "trust_list": str(output),
            "roots": str(beside),
            "version": trust.version,
            "expires": trust.expires_at_s,
        },
        f"Trust list {trust.version} is in {output}; its root keys are beside it in {beside}.",
        as_json=as_json,
    )


def listed_keys(folder: KeyFolder, fleet: Fleet, scope: dict[str, Any]) -> tuple[TrustedKey, ...]:
    """All that a list of ``folder`` names; ``scope`` is of the issuer's key. Raises KeyFolderError."""
    return (
        *(_trusted(folder.signer(purpose).public, purpose, fleet, scope) for purpose in LISTED),
        *(_site(key, name, fleet) for name, key in folder.holders(SITES).items()),
        *(_reviewer(key, name, fleet) for name, key in folder.holders(REVIEWERS).items()),
    )


def _signed(trust: TrustList, root: Signer, roots: Roots) -> bytes:
    """The list, signed and opened again as a device will: one that no device takes must not get out."""
    try:
        signed = sign_trust_list(trust, root, roots)
    except (ValueError, TypeError) as error:
        raise click.ClickException(
            f"the list cannot be signed: {error}. Nothing was written."
        ) from None
    opened = open_trust_list(signed, roots=roots, now=Instant(unix_s=trust.issued_at_s))
    if isinstance(opened, DocumentRefusal):
        raise click.ClickException(
            f"no device would take this list ({opened}). Nothing was written."
        )
    return signed


def _site(key: PublicKey, name: str, fleet: Fleet) -> TrustedKey:
    """The key of a site's own authority: for claims of that site alone."""
    return replace(_trusted(key, Purpose.GRANT, fleet, {}), audiences=frozenset({name}))


def _reviewer(key: PublicKey, name: str, fleet: Fleet) -> TrustedKey:
    """The key of a person who decides on redemptions, and whose it is."""
    return replace(_trusted(key, Purpose.REVIEW, fleet, {}), issuers=frozenset({name}))


def _trusted(key: PublicKey, purpose: Purpose, fleet: Fleet, scope: dict[str, Any]) -> TrustedKey:
    return TrustedKey(
        key=key,
        purposes=frozenset({purpose}),
        not_before_s=fleet.not_before_s,
        expires_at_s=fleet.expires_at_s,
        **(scope if purpose is Purpose.TOKEN else {}),
    )
