"""``edge-fleet trust-list``: the list of keys that devices trust, signed by the root."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click

from edge.system.durable_file import write_durably
from edge.token.claims import Kind
from edge.token.claims_set import AMOUNT_END
from edge.token.keys import Signer
from edge.token.roots import Roots
from edge.token.signed_document import DocumentRefusal
from edge.token.trust_list import TrustList, open_trust_list, sign_trust_list
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant
from sync.fleet.key_folder import (
    ROOT,
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
    roots_file = output.with_name(output.name + ".roots")
    try:
        folder = KeyFolder(keys_dir)
        keys = folder.trusted_keys(
            audiences=frozenset(audiences) or None,
            kinds=frozenset(kind for kind in Kind if not kinds or kind.code in kinds),
            largest_amount_minor=largest_amount_minor,
        )
        trust = _write_next(folder, keys, valid_days, output, roots_file)
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


def _write_next(
    folder: KeyFolder,
    keys: tuple[TrustedKey, ...],
    valid_days: int,
    output: Path,
    roots_file: Path,
) -> TrustList:
    """Write the next version and the roots; return the list. Raises KeyFolderError, OSError."""
    record = folder.record()
    record = replace(record, trust_list_version=record.trust_list_version + 1)
    issued_at_s = int(time.time())
    trust = TrustList(
        version=record.trust_list_version,
        issued_at_s=issued_at_s,
        expires_at_s=issued_at_s + valid_days * _DAY_S,
        keys=keys,
    )
    roots = folder.roots()
    signed = _sign_and_check(trust, folder.signer(ROOT), roots)
    folder.save(record)  # before the list is written: a version is never used twice
    write_durably(output, signed, mode=0o644)
    write_durably(roots_file, roots.to_bytes(), mode=0o644)
    return trust


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
