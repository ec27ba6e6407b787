"""``edge-fleet issue``: issue tokens, and write pictures of them."""

from __future__ import annotations

import getpass
import secrets
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edge.system.terminal import print_lines
from edge.token.claims import Kind
from edge.token.claims_set import (
    AMOUNT_END,
    CTI_LENGTH,
    DYNAMIC_HMAC,
    QUANTITY_END,
    STATUS_INDEX_END,
)
from edge.token.dynamic_code import derive_key
from edge.token.fields import TIME_END
from edge.token.issuing import IssueError, TokenRequest, issue_token
from edge.token.purpose import Purpose
from edge.values.printable import json_line
from sync.fleet.key_folder import KeyFolder, KeyFolderError
from sync.fleet.options import keys_option, short_text
from sync.fleet.qr_picture import QrPictureError, write_qr
from sync.register.code_record import CodeRecord
from sync.register.code_register import FILE, CodeRegister, RegisterError

_DAY_S = 86_400
_LIFETIME_S = {Kind.WRITE_OFF: 365 * _DAY_S, Kind.PICKUP: 7 * _DAY_S, Kind.OPERATOR: 365 * _DAY_S}
_KINDS = {kind.code: kind for kind in Kind}
_UNIX_S = click.IntRange(0, TIME_END - 1)
_AT_ONCE = 500  # tokens that are recorded in one transaction
_LONG_COUNT = 100  # from this many tokens on, a progress bar helps


def _currency(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return a currency code of ISO 4217. Raises BadParameter."""
    del context, parameter
    if value is not None and not (
        len(value) == 3 and value.isascii() and value.isalpha() and value.isupper()
    ):
        raise click.BadParameter(f"{value!r} is not three capital letters (ISO 4217), such as CNY")
    return value


def _optional_text(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    return None if value is None else short_text(context, parameter, value)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issues tokens, and for which line of the order."""

    person: str
    line: str | None
    revocable: bool

    def record(self, request: TokenRequest, kid: bytes) -> CodeRecord:
        """Return what the register keeps of a token."""
        return CodeRecord(
            cti=request.cti,
            kid=kid,
            status_index=request.status_index,
            order_id=request.order_id,
            line=self.line,
            kind=request.kind.code,
            site=request.audience,
            quantity=request.quantity,
            amount_minor=request.amount_minor,
            currency=request.currency,
            not_before_s=request.not_before_s,
            expires_at_s=request.expires_at_s,
            issued_s=int(time.time()),
            issued_by=self.person,
        )


@click.command()
@keys_option(required=True)
@click.option("--kind", required=True, type=click.Choice(list(_KINDS)), help="The kind of token.")
@click.option(
    "--site",
    required=True,
    metavar="ID",
    callback=short_text,
    help="The site or device group that may redeem them.",
)
@click.option(
    "--order", required=True, metavar="ID", callback=short_text, help="The order they belong to."
)
@click.option(
    "--quantity",
    type=click.IntRange(1, QUANTITY_END - 1),
    default=1,
    show_default=True,
    metavar="N",
)
@click.option(
    "--amount-minor",
    type=click.IntRange(0, AMOUNT_END - 1),
    metavar="N",
    help="Value in minor units.",
)
@click.option(
    "--currency",
    metavar="CUR",
    callback=_currency,
    help="ISO 4217, three capital letters; with --amount-minor.",
)
@click.option("--not-before", "not_before_s", type=_UNIX_S, metavar="UNIX_S", help="[default: now]")
@click.option(
    "--expires",
    "expires_at_s",
    type=_UNIX_S,
    metavar="UNIX_S",
    help="[default: a week for a pickup, else a year]",
)
@click.option(
    "--status-index",
    type=click.IntRange(0, STATUS_INDEX_END - 1),
    metavar="N",
    help="Status index of the first token. An index is never used twice.",
)
@click.option(
    "--revocable",
    is_flag=True,
    help="Take the next free status index: edge-fleet status-list can revoke the token.",
)
@click.option(
    "--line",
    metavar="ID",
    callback=_optional_text,
    help="The line of the order. A new token of a line supersedes the one before; --revocable.",
)
@click.option(
    "--by", metavar="NAME", default=getpass.getuser, help="Who issues.  [default: your login name]"
)
@click.option(
    "--dynamic",
    is_flag=True,
    help="Codes change every 15 s (mode 1); adds dynamic_key to the line.",
)
@click.option(
    "--count", type=click.IntRange(1, 1_000_000), default=1, show_default=True, metavar="N"
)
@click.option(
    "--qr-dir",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a PNG of each, named CTI.png.",
)
@click.option("--json", "as_json", is_flag=True, help="Accepted; the output is always JSON lines.")
def issue(
    *,
    keys_dir: Path,
    kind: str,
    not_before_s: int | None,
    expires_at_s: int | None,
    count: int,
    qr_dir: Path | None,
    as_json: bool,
    **content: Any,
) -> None:
    """Issue tokens: one JSON line each on standard output.

    Each is recorded in DIR/register.db before it is printed.

    Example: edge-fleet issue --keys ./fleet-keys --kind pickup --site shop-1 --order A-1001
    --qr-dir codes
    """
    del as_json
    now_s = int(time.time())
    start_s, end_s = _window(_KINDS[kind], not_before_s, expires_at_s, now_s)
    try:
        folder = KeyFolder(keys_dir)
        shared = _shared_fields(folder, _KINDS[kind], start_s, end_s, content)
        if now_s < end_s:  # a token that is made expired, for a test, has no moment of its issue
            shared["issued_at_s"] = now_s
        if qr_dir is not None:
            qr_dir.mkdir(parents=True, exist_ok=True)
        person = Issuer(content["by"], content["line"], revocable=_is_revocable(content, count))
        with closing(CodeRegister(folder.folder / FILE)) as register:
            _issue_each(folder, register, person, shared, count=count, qr_dir=qr_dir)
    except (KeyFolderError, RegisterError, IssueError, QrPictureError) as error:
        raise click.ClickException(str(error)) from None
    except BrokenPipeError:  # the reader of the lines has enough: click ends quietly
        raise
    except OSError as error:
        target = "standard output" if error.filename is None else error.filename
        raise click.ClickException(f"cannot write {target}: {error.strerror}.") from None


def _window(
    kind: Kind, not_before_s: int | None, expires_at_s: int | None, now_s: int
) -> tuple[int, int]:
    """Return the validity, with defaults for what is None; an expiry may lie in the past."""
    if not_before_s is None:
        not_before_s = (
            now_s if expires_at_s is None or expires_at_s > now_s else max(expires_at_s - _DAY_S, 0)
        )
    if expires_at_s is None:
        expires_at_s = min(not_before_s + _LIFETIME_S[kind], TIME_END - 1)
    if expires_at_s <= not_before_s:
        raise click.UsageError("--expires must be after --not-before.")
    return not_before_s, expires_at_s


def _is_revocable(content: dict[str, Any], count: int) -> bool:
    """Return whether each token takes the next free status index. Raises UsageError."""
    revocable = bool(content["revocable"] or content["line"])
    if revocable and content["status_index"] is not None:
        raise click.UsageError("--status-index names the index: leave out --revocable and --line.")
    if content["line"] and count > 1:
        raise click.UsageError("a line has one live token: --line goes with --count 1.")
    return revocable


def _shared_fields(
    folder: KeyFolder, kind: Kind, start_s: int, end_s: int, content: dict[str, Any]
) -> dict[str, Any]:
    """Return the fields that all tokens of one run have in common."""
    if (content["amount_minor"] is None) != (content["currency"] is None):
        raise click.UsageError("--amount-minor and --currency go together.")
    return {
        "issuer": folder.record().issuer,
        "audience": content["site"],
        "order_id": content["order"],
        "kind": kind,
        "quantity": content["quantity"],
        "amount_minor": content["amount_minor"],
        "currency": content["currency"],
        "not_before_s": start_s,
        "expires_at_s": end_s,
        "status_index": content["status_index"],
        "dynamic_mode": DYNAMIC_HMAC if content["dynamic"] else None,
    }


def _issue_each(
    folder: KeyFolder,
    register: CodeRegister,
    issuer: Issuer,
    shared: dict[str, Any],
    *,
    count: int,
    qr_dir: Path | None,
) -> None:
    """Record and print the tokens, some at a time: none is printed before it is recorded."""
    signer = folder.signer(Purpose.TOKEN)
    group_key = folder.group_key() if shared["dynamic_mode"] else None
    hidden = count < _LONG_COUNT or sys.stdout.isatty() or not sys.stderr.isatty()
    with click.progressbar(length=count, file=sys.stderr, label="tokens", hidden=hidden) as bar:
        for first in range(0, count, _AT_ONCE):
            some = min(_AT_ONCE, count - first)
            with register.alone():
                index = shared["status_index"]
                if issuer.revocable:
                    index = register.next_status_index(signer.public.kid)
                elif index is not None:
                    index += first
                requests = _requests(shared, index, some)
                tokens = [issue_token(request, signer) for request in requests]
                register.add([issuer.record(request, signer.public.kid) for request in requests])
            for request, token in zip(requests, tokens, strict=True):
                path = None if qr_dir is None else qr_dir / f"{request.cti.hex()}.png"
                if path is not None:
                    write_qr(token, path)
                print_lines(json_line(_line(token, request, path, group_key)))
            bar.update(len(requests))


def _requests(shared: dict[str, Any], index: int | None, count: int) -> list[TokenRequest]:
    """Return what the next tokens say; the first has status index ``index``."""
    return [
        TokenRequest(
            **{
                **shared,
                "cti": secrets.token_bytes(CTI_LENGTH),
                "status_index": None if index is None else index + number,
            }
        )
        for number in range(count)
    ]


def _line(
    token: str, request: TokenRequest, path: Path | None, group_key: bytes | None
) -> dict[str, Any]:
    line: dict[str, Any] = {
        "token": token,
        "cti": request.cti.hex(),
        "kind": request.kind.code,
        "site": request.audience,
        "order": request.order_id,
        "quantity": request.quantity,
        "amount_minor": request.amount_minor,
        "currency": request.currency,
        "not_before": request.not_before_s,
        "expires": request.expires_at_s,
        "status_index": request.status_index,
    }
    if path is not None:
        line["qr"] = str(path)
    if group_key is not None:
        line["dynamic_key"] = derive_key(group_key, request.cti).hex()
    return line
