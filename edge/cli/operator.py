"""``edge-scanner operator``: sign in and out at this device, show who is signed in, unlock."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click

from edge.cli.profile_options import read_profile
from edge.config import Profile
from edge.documents.operator_list import OperatorList
from edge.operators.actions import OperatorActions
from edge.operators.known_lists import read_operator_directory, store_operator_list
from edge.operators.operator_action import ActionResult
from edge.operators.sign_in import SignInService, badge_of, sign_in_service
from edge.operators.sign_in_result import SignInResult
from edge.redemption.verification_policy import audiences_of, verify_policy_of
from edge.store.database.store import FILE, Store, StoreUnavailableError
from edge.store.documents import StoreResult
from edge.store.opening import open_for_reading
from edge.store.sessions import OperatorSession, ShownBadge, current_session
from edge.store.time_floor import time_floor_s
from edge.system.terminal import print_lines
from edge.system.wall_clock import WallClock
from edge.token.claims import Kind, TokenRefusal
from edge.token.verification import open_token
from edge.trust.anchors import Anchors, RootsFileRefusal, load_roots
from edge.values.instant import Instant
from edge.values.printable import json_line

_PROFILE = click.option(
    "--profile",
    "file",
    type=click.Path(path_type=Path),
    default=lambda: (
        Path(os.environ.get("EDGE_SCANNER_CONFIG", "/etc/edge-scanner")) / "profile.toml"
    ),
    show_default="profile.toml in EDGE_SCANNER_CONFIG, else in /etc/edge-scanner",
    help="The device's profile.",
)
_DATA = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="EDGE_SCANNER_DATA",
    default=Path("/var/lib/edge-scanner"),
    show_default=True,
    show_envvar=True,
    help="The device's data folder.",
)


@dataclass(frozen=True, slots=True)
class _Device:
    """This device, with what a sign-in needs."""

    profile: Profile
    store: Store
    anchors: Anchors
    clock: WallClock

    @property
    def now(self) -> Instant:
        return self.clock.now()

    @property
    def service(self) -> SignInService:
        return sign_in_service(self.profile, self.store, secrets.token_bytes)

    @property
    def audiences(self) -> frozenset[str]:
        return audiences_of(self.profile)


@click.group()
def operator() -> None:
    """Sign in at this device with a badge and its PIN.

    Example: edge-scanner operator sign-in
    """


@operator.command("sign-in")
@_PROFILE
@_DATA
@click.option(
    "--badge",
    metavar="TEXT",
    help="The badge's code, or - for standard input.  [default: the badge just scanned]",
)
def sign_in(file: Path, data: Path, badge: str | None) -> None:
    """Open a session: scan the badge or give its code, then type the PIN. Exit 1 when refused.

    Example: edge-scanner operator sign-in --badge 'ES1:...'
    """
    with _open_device(file, data) as device:
        text = sys.stdin.readline() if badge == "-" else badge
        shown = None if text is None else _verified_badge(device, text)
        pin = click.prompt("PIN", hide_input=True, err=True)
        register = read_operator_directory(
            device.store, device.anchors.trust, device.audiences, device.now
        )
        outcome = device.service.sign_in(pin, register, device.now, badge=shown)
    if outcome.session is None:
        _refuse(outcome.reason, outcome.detail)
    print_lines(_line(outcome.session))


@operator.command("sign-out")
@_PROFILE
@_DATA
def sign_out(file: Path, data: Path) -> None:
    """End the session. Scanning the badge again does the same.

    Example: edge-scanner operator sign-out
    """
    with _open_device(file, data) as device:
        outcome = device.service.sign_out(device.now)
    print_lines(
        "no operator was signed in" if outcome is None else f"{outcome.operator_id} is signed out"
    )


@operator.command()
@_DATA
@click.option("--json", "as_json", is_flag=True, help="One JSON object, or null.")
def who(data: Path, as_json: bool) -> None:
    """Show which operator is signed in. Exit 1 when none is.

    Example: edge-scanner operator who --json
    """
    try:
        store = open_for_reading(data)
        session = current_session(store, WallClock(time_floor_s(store)).now())
        store.close()
    except StoreUnavailableError as error:
        _stop(str(error))
    if as_json:
        print_lines(json_line(None if session is None else _plain(session)))
    else:
        print_lines("no operator is signed in" if session is None else _line(session))
    sys.exit(session is None)


@operator.command()
@_PROFILE
@_DATA
@click.argument("operator_id", metavar="OPERATOR")
def unlock(file: Path, data: Path, operator_id: str) -> None:
    """Unlock an operator who gave too many wrong PINs. A supervisor must be signed in.

    Example: edge-scanner operator unlock anna
    """
    with _open_device(file, data) as device:
        actions = OperatorActions(device.store, random_bytes=secrets.token_bytes)
        outcome = actions.unlock(operator_id, device.now)
    if outcome.result is not ActionResult.DONE:
        _stop(outcome.detail)
    print_lines(outcome.detail)


@operator.command()
@_PROFILE
@_DATA
@click.argument(
    "list_file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def load(file: Path, data: Path, list_file: Path) -> None:
    """Load a signed operator list from FILE, which otherwise comes over the network.

    Example: edge-scanner operator load operators.cbor
    """
    with _open_device(file, data) as device:
        stored = store_operator_list(
            device.store,
            list_file.read_bytes(),
            keys=device.anchors.trust,
            audiences=device.audiences,
            now=device.now,
        )
    if isinstance(stored, OperatorList):
        count = len(stored.entries)
        print_lines(f"{count} operators of {stored.audience}, version {stored.version}")
    elif stored is StoreResult.SAME:
        print_lines("this list is loaded already")
    else:
        _stop(f"{list_file} is refused ({stored}): build a new one: edge-fleet operators build")


@contextmanager
def _open_device(file: Path, data: Path) -> Iterator[_Device]:
    profile = read_profile(file)
    roots = load_roots(Path(profile.trust.roots_file))
    if isinstance(roots, RootsFileRefusal):
        _stop(str(roots))
    try:
        open_for_reading(data).close()  # its error says what to do where there is no store
        store = Store(data / FILE)
        try:
            clock = WallClock(time_floor_s(store))
            anchors = Anchors(store, roots)
            anchors.refresh(clock.now())
            yield _Device(profile, store, anchors, clock)
        finally:
            store.close()
    except StoreUnavailableError as error:
        _stop(str(error))


def _verified_badge(device: _Device, text: str) -> ShownBadge:
    """Return the badge of a code; print the reason and exit 1 when it is refused."""
    opened = open_token(
        os.fsencode(text.strip("\r\n")),
        trust=device.anchors.trust,
        status=device.anchors.status,
        now=device.now,
        audiences=device.audiences,
        policy=verify_policy_of(device.profile),
    )
    if isinstance(opened, TokenRefusal):
        _stop(f"{opened.reason}: {opened.detail}")
    if opened.kind is not Kind.OPERATOR:
        _stop(f"this is a {opened.kind.code} code, not a badge")
    return badge_of(opened)


def _refuse(reason: SignInResult, detail: str) -> NoReturn:
    from edge.feedback.result_messages import message_for  # it imports what only lamps need

    _stop(f"{reason}: {message_for(reason).en}{f' ({detail})' if detail else ''}")


def _stop(message: str) -> NoReturn:
    print_lines(f"edge-scanner: {message}", err=True)
    sys.exit(1)


def _line(session: OperatorSession) -> str:
    return f"{session.operator_id} ({session.role}) is signed in until {session.expires_s}"


def _plain(session: OperatorSession) -> dict[str, object]:
    return {
        "operator": session.operator_id,
        "role": session.role.value,
        "opened_s": session.opened_s,
        "expires_s": session.expires_s,
        "idle_s": session.idle_s,
        "acted_s": session.acted_s,
    }
