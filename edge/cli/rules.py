"""``edge-scanner rules``: check rules before an order or a device uses them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from edge.rules.rule import Rule, RuleFailure, first_failure, parse_rules
from edge.rules.validation import validate
from edge.system.terminal import print_lines
from edge.values.printable import json_line

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def rules() -> None:
    """Check and try rules in JSON Logic."""


@rules.command()
@click.argument("file", type=_FILE)
@click.option(
    "--data",
    "data_file",
    type=_FILE,
    help="Evaluate them on this JSON document of a scan (docs/reference/rules.md).",
)
def check(file: Path, data_file: Path | None) -> None:
    """Print what is wrong with the rules in FILE, by their ids, and exit 1.

    With --data, also print the first rule that is not met.

    Example: edge-scanner rules check opening-hours.json
    """
    parsed = parse_rules(_text(file))
    problems = [str(parsed)] if isinstance(parsed, RuleFailure) else _problems(parsed, data_file)
    for problem in problems:
        print_lines(f"{file}: {problem}", err=True)
    if problems:
        sys.exit(1)
    print_lines(f"{file}: valid", err=True)


def _problems(parsed: tuple[Rule, ...], data_file: Path | None) -> list[str]:
    problems = [
        f"rule {rule.id}: {issue.message} in {json_line(issue.part):.80}"
        for rule in parsed
        for issue in validate(rule.logic)
    ]
    if data_file is not None and not problems:
        failure = first_failure(parsed, _document(data_file))
        return [] if failure is None else [str(failure)]
    return problems


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} cannot be read: {error}") from None


def _document(file: Path) -> Any:
    try:
        return json.loads(_text(file))
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"{file} is not JSON: {error}") from None
