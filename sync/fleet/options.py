"""Options that several commands have in common, and how a command reports its outcome."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edge.system.terminal import print_lines
from edge.token.cbor import TOKEN_LIMITS
from edge.values.node_name import device_name_fault, name_fault
from edge.values.printable import json_line


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option ``--json`` to a command that does one thing."""
    option = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object on standard output."
    )
    return option(command)


def keys_option(*, required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--keys DIR``; not required where ``fleet.toml`` may name the folder."""
    return click.option(
        "--keys",
        "keys_dir",
        required=required,
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="The fleet's key folder.",
    )


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``-o FILE``, the file that the command writes."""
    option = click.option(
        "-o",
        "output",
        required=True,
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The file to write.",
    )
    return option(command)


def report_outcome(outcome: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print ``outcome`` as JSON on standard output, or ``text`` for a person on standard error."""
    if as_json:
        print_lines(json_line(outcome))
    else:
        print_lines(text, err=True)


def counted(number: int, noun: str) -> str:
    """Return ``number`` with its noun.

    >>> counted(1, "device"), counted(2, "device")
    ('1 device', '2 devices')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def site_name(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return a valid name of a site. Raises BadParameter."""
    del context, parameter
    if value is not None and (fault := name_fault(value)):
        raise click.BadParameter(fault)
    return value


def device_name(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """Return a valid name of a device. Raises BadParameter."""
    del context, parameter
    if value is not None and (fault := device_name_fault(value)):
        raise click.BadParameter(fault)
    return value


def short_text(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Return a text that fits into a token. Raises BadParameter."""
    del context, parameter
    if not value.isprintable() or not 1 <= len(value.encode(errors="replace")) <= TOKEN_LIMITS.text:
        raise click.BadParameter(
            f"1 to {TOKEN_LIMITS.text} bytes of printable text fit into a token"
        )
    return value


def short_texts(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Return texts of which each fits into a token. Raises BadParameter."""
    return tuple(short_text(context, parameter, value) for value in values)
