"""What the options of several commands accept."""

from __future__ import annotations

import click

from edge.token.cbor import TOKEN_LIMITS


def short_text(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Refuse what a token has no room for. Raises BadParameter."""
    del context, parameter
    if not value.isprintable() or not 1 <= len(value.encode(errors="replace")) <= TOKEN_LIMITS.text:
        raise click.BadParameter(f"1 to {TOKEN_LIMITS.text} bytes of printable text fit into a token")
    return value


def short_texts(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Each of several. Raises BadParameter."""
    return tuple(short_text(context, parameter, value) for value in values)
