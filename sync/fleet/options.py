"""What the options of several commands accept, and how their outcome is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import click

from edge.token.cbor import TOKEN_LIMITS
from sync.wire.topics import NAME


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option ``--json`` of a command that does one thing."""
    option = click.option(
        "--json", "as_json", is_flag=True, help="One JSON object on standard output."
    )
    return option(command)


def tell(outcome: dict[str, Any], words: str, *, as_json: bool) -> None:
    """Say what was done: ``outcome`` as JSON on standard output, or ``words`` for a person."""
    if as_json:
        click.echo(json.dumps(outcome, ensure_ascii=False))
    else:
        click.echo(words, err=True)


def counted(number: int, noun: str) -> str:
    """``number`` with its noun.

    >>> counted(1, "device"), counted(2, "device")
    ('1 device', '2 devices')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def site_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Refuse what is no name of a site. Raises BadParameter."""
    del context, parameter
    if re.fullmatch(NAME, value) is None:
        raise click.BadParameter(
            "1 to 40 letters, digits, dots, dashes and underscores, a letter or digit first"
        )
    return value


def short_text(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Refuse what a token has no room for. Raises BadParameter."""
    del context, parameter
    if not value.isprintable() or not 1 <= len(value.encode(errors="replace")) <= TOKEN_LIMITS.text:
        raise click.BadParameter(
            f"1 to {TOKEN_LIMITS.text} bytes of printable text fit into a token"
        )
    return value


def short_texts(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Each of several. Raises BadParameter."""
    return tuple(short_text(context, parameter, value) for value in values)
