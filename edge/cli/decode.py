"""``edge-scanner decode``: read the codes in pictures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from edge.capture import picture_files
from edge.decode.counters import monotonic_ms
from edge.decode.ladder import Ladder
from edge.decode.qr import zbar
from edge.decode.rungs import DEEP, RUNGS
from edge.ports import Symbol
from edge.system.terminal import print_lines
from edge.values.printable import json_line


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a picture, on one line.")
@click.option(
    "--budget-ms",
    type=click.FloatRange(min=0),
    help="Start no further method after this long.  [default: no limit]",
)
@click.option("--deep", is_flag=True, help="Also use methods that are too slow for a live camera.")
@click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
def decode(as_json: bool, budget_ms: float | None, deep: bool, paths: tuple[Path, ...]) -> None:
    """Read the codes in pictures, or in every picture of a folder.

    Exit 0 when every picture could be opened, 1 when one could not.

    Example: edge-scanner decode --json label.jpg photos/
    """
    picture_files.silence_opencv()
    if reason := zbar.absence():
        print_lines(f"edge-scanner decode: the second decoder is not used: {reason}", err=True)
    ladder = Ladder(DEEP if deep else RUNGS, budget_ms=budget_ms)
    failed = False
    for path in picture_files.find(paths):
        try:
            grey = picture_files.load(path)
        except picture_files.UnreadablePictureError as error:
            failed = True
            _print_error(path, str(error), as_json=as_json)
            continue
        started_ms = monotonic_ms()
        symbols = ladder.decode(grey)
        _print_symbols(path, symbols, monotonic_ms() - started_ms, as_json=as_json)
    sys.exit(1 if failed else 0)


def _print_error(path: Path, message: str, *, as_json: bool) -> None:
    if as_json:
        print_lines(json_line({"image": str(path), "error": message}))
    else:
        print_lines(f"{path}: {message}", err=True)


def _print_symbols(
    path: Path, symbols: Sequence[Symbol], elapsed_ms: float, *, as_json: bool
) -> None:
    if as_json:
        codes = [
            {
                "text": code.text,
                "bytes_hex": code.content.hex(),
                "quad": code.quad,
                "decoder": code.decoder,
            }
            for code in symbols
        ]
        print_lines(
            json_line({"image": str(path), "symbols": codes, "elapsed_ms": round(elapsed_ms, 3)})
        )
        return
    for code in symbols:
        print_lines(f"{path}: {code.text!r} ({code.decoder}, {elapsed_ms:.1f} ms)")
    if not symbols:
        print_lines(f"{path}: no code read ({elapsed_ms:.1f} ms)")
