"""``edge-scanner scan``: hand codes to the device, as its camera would."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import click

from edge.cli.profile_options import read_active
from edge.cli.store_options import data_option, profile_option
from edge.scanner.code_socket import LARGEST_CODE, hand_over
from edge.system.terminal import print_lines
from edge.values.printable import json_line

REPLY_TIMEOUT_S: Final = 30.0  # a redemption with a request for a grant takes 2 s
NOT_RUNNING: Final = "the scanner is not running: no door opens until the code is shown to it"


@click.command()
@profile_option("The device's profile; used while the scanner is not running.")
@data_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a code, on one line.")
@click.argument("codes", metavar="TOKEN|PICTURE...", nargs=-1, required=True)
def scan(profile: Path, data: Path, as_json: bool, codes: tuple[str, ...]) -> None:
    """Hand codes to the device as its camera would, and print what becomes of them.

    A running scanner judges the code, shows the result and opens doors. While none runs, the code
    is redeemed in the store, and no door opens. Exit 0 when all were accepted, 1 when one was not.

    Example: edge-scanner scan --json photo-of-a-voucher.png
    """
    contents = [content for code in codes for content in _contents(code)]
    accepted = True
    with ExitStack() as releases:
        device = _Judge(profile, data, releases)
        for content in contents:
            outcome = device.judge(content)
            accepted &= bool(outcome["accepted"])
            _print(outcome, as_json)
    sys.exit(0 if accepted else 1)


def _contents(code: str) -> list[bytes]:
    """Return the codes in a picture, or the one that ``code`` is itself."""
    path = Path(code)
    if code[:4] not in ("ES1:", "ES2:", "ES3:") and path.suffix and path.exists():
        return _read_picture(path)
    content = code.encode("utf-8", "surrogateescape")
    if not 0 < len(content) <= LARGEST_CODE:
        raise click.UsageError(f"a code has 1 to {LARGEST_CODE} bytes, this one {len(content)}")
    return [content]


def _read_picture(path: Path) -> list[bytes]:
    # Imported here: a token needs no decoder.
    from edge.capture import picture_files
    from edge.decode.ladder import Ladder
    from edge.decode.rungs import DEEP

    picture_files.silence_opencv()
    try:
        symbols = Ladder(DEEP).decode(picture_files.load(path))
    except picture_files.UnreadablePictureError as error:
        raise click.ClickException(f"{path}: {error}") from None
    if not symbols:
        raise click.ClickException(f"{path}: no code read; edge-scanner decode {path} says more")
    return [symbol.content for symbol in symbols]


class _Judge:
    """What judges a code: the running scanner, else its rules over its store."""

    def __init__(self, profile: Path, data: Path, releases: ExitStack) -> None:
        self._profile = profile
        self._data = data
        self._releases = releases
        self._in_store: Callable[[bytes], dict[str, Any]] | None = None

    def judge(self, content: bytes) -> dict[str, Any]:
        """Return what becomes of a code. Raises ClickException when the scanner hangs."""
        try:
            outcome = hand_over(self._data, content, timeout_s=REPLY_TIMEOUT_S)
        except FileNotFoundError:
            outcome = None  # no data folder yet
        except OSError as error:
            raise click.ClickException(
                f"the scanner did not reply ({error}): see edge-scanner doctor. Look into"
                " edge-scanner ledger before you try again"
            ) from None
        if outcome is not None:
            return outcome
        if self._in_store is None:
            self._in_store = self._releases.enter_context(_store_judge(self._profile, self._data))
        return self._in_store(content)


@contextmanager
def _store_judge(profile: Path, data: Path) -> Iterator[Callable[[bytes], dict[str, Any]]]:
    from edge.bootstrap.handler_assembly import open_handler

    with open_handler(read_active(profile, data), data) as (handler, clock):

        def judge(content: bytes) -> dict[str, Any]:
            outcome = handler.handle(content, clock.now()).summary()
            if outcome["doors"]:
                outcome["detail"] = "; ".join(filter(None, (str(outcome["detail"]), NOT_RUNNING)))
            return outcome

        yield judge


def _print(outcome: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_lines(json_line(outcome))
        return
    row = "" if outcome["ledger"] is None else f"  ledger row {outcome['ledger']}"
    doors = f"  doors {', '.join(outcome['doors'])}" if outcome["doors"] else ""
    detail = f"  ({outcome['detail']})" if outcome["detail"] else ""
    print_lines(f"{outcome['reason']}{row}{doors}{detail}")
