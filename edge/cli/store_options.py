"""Options for the store, and actions in it, shared by commands."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import click

from edge.operators.actions import OperatorActions
from edge.operators.operator_action import ActionOutcome, ActionResult
from edge.store.database.store import Store, StoreUnavailableError
from edge.store.opening import open_for_work
from edge.store.time_floor import time_floor_s
from edge.system.terminal import print_lines
from edge.values.instant import Instant

Decorated = TypeVar("Decorated", bound=Callable[..., object])


def as_text(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Return ``value``; refuse bytes that are not text, which Python reads as surrogates."""
    try:
        (value or "").encode()
    except UnicodeEncodeError as error:
        raise click.BadParameter("this is not UTF-8 text; copy it again") from error
    return value


data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="EDGE_SCANNER_DATA",
    default=Path("/var/lib/edge-scanner"),
    show_default=True,
    show_envvar=True,
    help="The device's data folder.",
)


def now_of(store: Store) -> Instant:
    """Return the device's time: the wall clock, raised to the store's floor."""
    from edge.system.wall_clock import WallClock

    return WallClock(time_floor_s(store)).now()


def act(data: Path, work: Callable[[OperatorActions, Instant], ActionOutcome]) -> None:
    """Do ``work`` in the store of ``data`` as the signed-in operator; exit 1 when it is refused."""
    try:
        with closing(open_for_work(data)) as store:
            outcome = work(OperatorActions(store, random_bytes=secrets.token_bytes), now_of(store))
    except StoreUnavailableError as error:
        print_lines(f"edge-scanner: {error}", err=True)
        sys.exit(1)
    if outcome.result is not ActionResult.DONE:
        print_lines(f"edge-scanner: {outcome.result}: {outcome.detail}", err=True)
        sys.exit(1)
    print_lines(outcome.detail)


def profile_option(help: str) -> Callable[[Decorated], Decorated]:
    """Return the option ``--profile FILE``, by default the device's own profile."""
    return click.option(
        "--profile",
        type=click.Path(path_type=Path),
        default=lambda: (
            Path(os.environ.get("EDGE_SCANNER_CONFIG", "/etc/edge-scanner")) / "profile.toml"
        ),
        show_default="profile.toml in EDGE_SCANNER_CONFIG, else in /etc/edge-scanner",
        help=help,
    )
