"""What the commands print. Everything passes here.

So no text of a device, a code or another program controls the terminal (``edge.values.printable``).
"""

from __future__ import annotations

from typing import Any

import click

from edge.values.printable import printable


def print_lines(
    *lines: str, head: str = "", err: bool = False, nl: bool = True, **style: Any
) -> None:
    """Print each of ``lines`` on one line, whatever it holds.

    ``head`` stands before the first line. ``style`` is click's: of the head, or of all without one.
    """
    for number, line in enumerate(lines):
        text = printable(line)
        if head and number == 0:
            text = click.style(printable(head), **style) + text
        elif style and not head:
            text = click.style(text, **style)
        click.echo(text, err=err, nl=nl)
