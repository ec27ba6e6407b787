"""``edge-fleet trust-list``: the list of keys that devices trust, signed by the root."""

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
    FleetRecord,
    KeyFolder,
    KeyFolderError,
)
from sync.fleet.options import (
    json_option,
    keys_option,
    output_option,
    report_outcome,
    short_texts,
)

_DAY_S = 86_400


@click.group("trust-list")
def trust_list() -> None:
    """Build the signed list of keys that devices trust.

    Example: edge-fleet trust-list build --keys ./fleet-keys -o trust-list.cbor
    """


@trust_list.command()
@keys_option(required=True)
@output_option
@click.option(
    "--audience",
    "audiences",
    multiple=True,
    metavar="ID",
    callback=short_texts,
    help="Trust tokens for this audience only.  [default: any]",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([kind.code for kind in Kind]),
    help="Trust tokens of this kind only.  [default: any]",
)
@click.option(
    "--largest-amount-minor",
    type=click.IntRange(0, AMOUNT_END - 1),
    metavar="N",
    help="Trust tokens up to this amount only.  [default: any]",
)
@click.option(
    "--valid-days",
    type=click.IntRange(1, 3650),
    default=400,
    show_default=True,
    help="How long the list is valid; publish the next one before.",
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
    """Write the next version of the signed trust list to FILE, and its root keys to FILE.roots.

    Example: edge-fleet trust-list build --keys ./fleet-keys -o trust-list.cbor
    """
    issued_at_s = int(time.time())
    scope = {
        "audiences": frozenset(audiences) or None,
        "kinds": frozenset(kind for kind in Kind if not kinds or kind.code in kinds),
        "largest_amount_minor": largest_amount_minor,
    }
    roots_file = output.with_name(output.name + ".roots")
    try:
        folder = KeyFolder(keys_dir)
        record = folder.record()
        record = replace(record, trust_list_version=record.trust_list_version + 1)
        trust = TrustList(
            version=record.trust_list_version,
            issued_at_s=issued_at_s,
            expires_at_s=issued_at_s + valid_days * _DAY_S,
            keys=listed_keys(folder, record, scope),
        )
        roots = folder.roots()
        signed = _sign_and_check(trust, folder.signer(ROOT), roots)
        folder.save(record)  # before the list is written: a version is never used twice
        write_durably(output, signed, mode=0o644)
        write_durably(roots_file, roots.to_bytes(), mode=0o644)
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}.") from None
    report_outcome(
        {
            "trust_list": str(output),
            "roots": str(roots_file),
            "version": trust.version,
            "expires": trust.expires_at_s,
        },
        f"Trust list {trust.version} is in {output}; its root keys are in {roots_file}.",
        as_json=as_json,
    )


def listed_keys(
    folder: KeyFolder, record: FleetRecord, scope: dict[str, Any]
) -> tuple[TrustedKey, ...]:
    """Return every key that a trust list of ``folder`` names.

    ``scope`` limits the issuer's key to audiences, kinds and amounts. Raises KeyFolderError.
    """
    scope = {"issuers": frozenset({record.issuer}), **scope}
    return (
        *(_trusted(folder.signer(purpose).public, purpose, record, scope) for purpose in LISTED),
        *(_site_key(key, name, record) for name, key in folder.holder_keys(SITES).items()),
        *(_reviewer_key(key, name, record) for name, key in folder.holder_keys(REVIEWERS).items()),
    )


def _sign_and_check(trust: TrustList, root: Signer, roots: Roots) -> bytes:
    """Return the signed list, after opening it as a device does."""
    try:
        signed = sign_trust_list(trust, root, roots)
    except (ValueError, TypeError) as error:
        raise click.ClickException(
            f"the list cannot be signed: {error}. Nothing was written."
        ) from None
    opened = open_trust_list(signed, roots=roots, now=Instant(unix_s=trust.issued_at_s))
    if isinstance(opened, DocumentRefusal):
        raise click.ClickException(
            f"no device would accept this list ({opened}). Nothing was written."
        )
    return signed


def _site_key(key: PublicKey, name: str, record: FleetRecord) -> TrustedKey:
    """Return a site authority's key: it is trusted for replies of that site alone."""
    return replace(_trusted(key, Purpose.GRANT, record, {}), audiences=frozenset({name}))


def _reviewer_key(key: PublicKey, name: str, record: FleetRecord) -> TrustedKey:
    """Return the key of the person ``name``, who decides on redemptions."""
    return replace(_trusted(key, Purpose.REVIEW, record, {}), issuers=frozenset({name}))


def _trusted(
    key: PublicKey, purpose: Purpose, record: FleetRecord, scope: dict[str, Any]
) -> TrustedKey:
    return TrustedKey(
        key=key,
        purposes=frozenset({purpose}),
        not_before_s=record.not_before_s,
        expires_at_s=record.expires_at_s,
        **(scope if purpose is Purpose.TOKEN else {}),
    )
