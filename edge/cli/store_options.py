"""The store's folder as an option, and a store to work in, for the commands that change something."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import click

from edge.operators.actions import ActionOutcome, ActionResult, OperatorActions
from edge.store.database.store import Store, StoreUnavailableError
from edge.store.opening import open_for_work
from edge.store.time_floor import time_floor_s
from edge.values.instant import Instant

Decorated = TypeVar("Decorated", bound=Callable[..., object])


def as_text(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """The callback of what is looked up or kept: a shell hands bytes that are no text on as surrogates."""
    try:
        (value or "").encode()
    except UnicodeEncodeError as error:
        raise click.BadParameter("this is not text in UTF-8; copy it again") from error
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
    """The device's time: the wall clock held to the store's floor."""
    from edge.system.wall_clock import WallClock

    return WallClock(time_floor_s(store)).now()


def act(data: Path, work: Callable[[OperatorActions, Instant], ActionOutcome]) -> None:
    """Do ``work`` in the store of ``data`` in the name of who is signed in; exit 1 when the answer is no."""
    try:
        with closing(open_for_work(data)) as store:
            answer = work(OperatorActions(store, random_bytes=secrets.token_bytes), now_of(store))
    except StoreUnavailableError as error:
        click.echo(f"edge-scanner: {error}", err=True)
        sys.exit(1)
    if answer.result is not ActionResult.DONE:
        click.echo(f"edge-scanner: {answer.result}: {answer.detail}", err=True)
        sys.exit(1)
    click.echo(answer.detail)


def profile_option(help: str) -> Callable[[Decorated], Decorated]:
    """``--profile FILE``, by default the device's own."""
    return click.option(
        "--profile",
        type=click.Path(path_type=Path),
        default=lambda: (
            Path(os.environ.get("EDGE_SCANNER_CONFIG", "/etc/edge-scanner")) / "profile.toml"
        ),
        show_default="profile.toml in EDGE_SCANNER_CONFIG, else in /etc/edge-scanner",
        help=help,
    )
