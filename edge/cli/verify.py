"""``edge-scanner verify``: check a token's signature, claims and time as a device does."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edge.system.terminal import print_lines
from edge.token.claims import Claims, Kind, TokenRefusal
from edge.token.fields import TIME_END
from edge.token.roots import Roots, claimed_roots, read_roots
from edge.token.signed_document import DocumentRefusal
from edge.token.status_list import StatusList, open_status_list
from edge.token.trust_list import TrustList, open_trust_list
from edge.token.verification import VerifyPolicy, open_token
from edge.values.instant import Instant
from edge.values.printable import json_line

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class InputError(click.ClickException):
    """A file that the command cannot work with."""

    exit_code = 2


@click.command()
@click.option(
    "--trust-list", "trust_file", type=_FILE, required=True, help="The signed trust list."
)
@click.option(
    "--root",
    "root_file",
    type=_FILE,
    help="The root keys that must have signed the list.  [default: FILE.roots]",
)
@click.option(
    "--status-list",
    "status_files",
    type=_FILE,
    multiple=True,
    help="A signed status list. May be repeated.",
)
@click.option(
    "--group-key", "group_key_file", type=_FILE, help="The group key (hex) for dynamic codes."
)
@click.option(
    "--at",
    "at_s",
    type=click.IntRange(0, TIME_END - 1),
    metavar="UNIX_S",
    help="The time of the check.  [default: now]",
)
@click.option(
    "--site",
    "sites",
    multiple=True,
    metavar="ID",
    help="The site of the check; without it any audience is accepted.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON lines on a terminal too.")
@click.argument("tokens", nargs=-1, required=True, metavar="(TOKEN... | -)")
def verify(
    *,
    trust_file: Path,
    root_file: Path | None,
    status_files: tuple[Path, ...],
    group_key_file: Path | None,
    at_s: int | None,
    sites: tuple[str, ...],
    as_json: bool,
    tokens: tuple[str, ...],
) -> None:
    """Verify tokens given as arguments, or one a line on standard input with `-`.

    One line a token: {"result": "ok" or a reason code, "claims": {...} or null}. Exit 0 when
    all are ok, 1 when some are refused, 2 for wrong usage or an unusable file. The check applies
    the list's expiry, not its maximum age, and does not require a status list.

    Example: edge-scanner verify --trust-list trust.cbor --site shop-1 'ES1:...'
    """
    now = Instant(unix_s=int(time.time()) if at_s is None else at_s)
    trust = _read_trust(trust_file, root_file, now)
    status = {
        listed.kid: listed for listed in (_read_status(path, trust, now) for path in status_files)
    }
    policy = _policy(trust, _read_group_key(group_key_file), status_required=bool(status_files))
    audiences = frozenset(sites) or None
    machine = as_json or not sys.stdout.isatty()
    refused = False
    for text in _texts(tokens):
        outcome = open_token(
            text, trust=trust, status=status, now=now, audiences=audiences, policy=policy
        )
        refused |= isinstance(outcome, TokenRefusal)
        print_lines(_json_line(outcome) if machine else _human_line(outcome))
    sys.exit(1 if refused else 0)


def _policy(trust: TrustList, group_key: bytes | None, *, status_required: bool) -> VerifyPolicy:
    return VerifyPolicy(
        trust_list_max_age_s=None,
        status_list_max_age_s=None,
        status_required=status_required,
        group_keys={} if group_key is None else {key.kid: group_key for key in trust.keys},
    )


def _texts(tokens: tuple[str, ...]) -> Iterator[bytes]:
    """Yield the tokens byte by byte: a space can be part of one, a line end cannot."""
    if "-" not in tokens:
        yield from (os.fsencode(token) for token in tokens)
        return
    if len(tokens) > 1:
        raise click.UsageError("- reads the tokens from standard input: give either - or tokens.")
    line = None
    for line in sys.stdin.buffer:
        yield line.removesuffix(b"\n").removesuffix(b"\r")
    if line is None:
        raise click.UsageError("standard input is empty: give one token a line.")


def _read_trust(path: Path, root_path: Path | None, now: Instant) -> TrustList:
    data = _content(path)
    beside = path.with_name(path.name + ".roots")
    if root_path is None and beside.exists():
        root_path = beside
    if root_path is not None:
        roots = read_roots(_content(root_path))
        if isinstance(roots, DocumentRefusal):
            raise InputError(f"{root_path} is not a roots file ({roots}).")
    else:
        roots = _unpinned_roots(path, data)
    trust = open_trust_list(data, roots=roots, now=now)
    if isinstance(trust, DocumentRefusal):
        raise InputError(
            f"{path} is not a trust list of these roots ({trust})."
            " Use the list and the roots of one fleet."
        )
    return trust


def _unpinned_roots(path: Path, data: bytes) -> Roots:
    roots = claimed_roots(data)
    if isinstance(roots, DocumentRefusal):
        raise InputError(f"{path} is not a trust list ({roots}).")
    print_lines(
        f"warning: no {path.name}.roots beside the list and no --root:"
        " the list was checked only against the root that it names itself."
        " This finds damage but not a forgery.",
        err=True,
    )
    return roots


def _read_status(path: Path, trust: TrustList, now: Instant) -> StatusList:
    status = open_status_list(_content(path), keys=trust, now=now)
    if isinstance(status, DocumentRefusal):
        raise InputError(f"{path} is not a status list of this trust list ({status}).")
    return status


def _read_group_key(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return bytes.fromhex(_content(path).decode("ascii").strip())
    except ValueError:
        raise InputError(
            f"{path} is not a group key: it must be one line of hexadecimal digits."
        ) from None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from None


def _json_line(outcome: Claims | TokenRefusal) -> str:
    claims = outcome.claims if isinstance(outcome, TokenRefusal) else outcome
    result = outcome.reason.value if isinstance(outcome, TokenRefusal) else "ok"
    return json_line({"result": result, "claims": None if claims is None else _plain(claims)})


def _plain(claims: Claims) -> dict[str, Any]:
    """Return the claims in JSON's types: bytes in hexadecimal, the kind by its code."""
    plain = {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in asdict(claims).items()
    }
    return plain | {"kind": Kind(claims.kind).code}


def _human_line(outcome: Claims | TokenRefusal) -> str:
    if isinstance(outcome, TokenRefusal):
        return f"{outcome.reason}  ({outcome.detail})"
    amount = (
        ""
        if outcome.amount_minor is None
        else f", {outcome.amount_minor} minor units {outcome.currency}"
    )
    return (
        f"ok  {outcome.kind.code} of order {outcome.order_id} at {outcome.audience},"
        f" {outcome.quantity} x{amount}"
    )
