"""``edge-fleet reviews``: a second person at the platform approves what was honoured pending review, or rejects it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from edge.token.keys import Signer
from sync.fleet.device_table import drawn
from sync.fleet.fleet_file import fleet_option, load_fleet_file
from sync.fleet.hub_client import HubClient, hub_client
from sync.fleet.key_folder import KeyFolderError, load_signer
from sync.wire.fleet_requests import FleetAction
from sync.wire.review_decision import LONGEST_REASON, ReviewDecision, sign_review_decision

_LOOK_EVERY_S: Final = 0.5
_INSTEAD: Final = {  # why something else came of a decision, by the review's state
    "approved": "{decided_by} had approved it at {dev}",
    "rejected": "{decided_by} had rejected it at {dev}",
    "void": "it was taken back at {dev} before anybody decided",
    "not_found": "{dev} has no such redemption any more (its store is a new one), so it stands",
    "same_person": "{dev} says that {decided_by} scanned it: another person must decide",
    "not_verified": "{dev} does not believe your key: see that the newest trust list names it, then decide again",
}
_HEAD: Final = ("WHEN", "DEVICE", "ORDER", "WORTH", "SCANNED BY", "STATE", "DECIDED BY", "ID")


@click.group()
def reviews() -> None:
    """Decide on redemptions that wait for a second person.

    Example: edge-fleet reviews list
    """


@reviews.command("list")
@fleet_option
@click.option("--dev", metavar="ID", help="Only this device's.")
@click.option("--all", "every", is_flag=True, help="Decided ones, too.")
def list_command(fleet_file: Path, as_json: bool, dev: str | None, every: bool) -> None:
    """List the redemptions that wait for a second person, oldest first, each with the ID to decide it by.

    Example: edge-fleet reviews list --dev kiosk-7
    """
    found: list[dict[str, Any]] = []
    after: int | None = 0
    with hub_client(load_fleet_file(fleet_file)) as talk:
        while after is not None:
            page = talk.ask(FleetAction.REVIEWS, dev=dev, all=every, after=after)
            found += page["reviews"]
            after = page["next"]
    if as_json:
        for review in found:
            click.echo(json.dumps(review, ensure_ascii=False))
    else:
        for line in drawn([_HEAD, *map(_row, found)]):
            click.echo(line)


def _decides(command: Callable[..., None]) -> Callable[..., None]:
    """What both decisions are told."""
    for option in (
        click.option("--wait", "wait_s", type=click.FloatRange(min=0), default=10, show_default=True, metavar="SECONDS",
                     help="For the device to say that it knows."),
        click.option("--key", "key_file", required=True, metavar="FILE", envvar="EDGE_REVIEWER_KEY", show_envvar=True,
                     type=click.Path(dir_okay=False, path_type=Path), help="Your own key: edge-fleet keys reviewer."),
        click.argument("ident", metavar="ID"),
    ):  # fmt: skip
        command = option(command)
    return fleet_option(command)


def _as_reason(_: click.Context, __: click.Parameter, value: str) -> str:
    if len(value) > LONGEST_REASON or any(
        not (char.isprintable() or char == " ") for char in value
    ):
        raise click.BadParameter(f"at most {LONGEST_REASON} printable characters")
    return value.strip()


@reviews.command()
@_decides
@click.option("--reason", default="", callback=_as_reason, help="In words, for whoever asks later.")
def approve(**said: Any) -> None:
    """Approve redemption ID: it is final. Never your own scan.

    Example: edge-fleet reviews approve 018e8f3a-1c2d-7e4f-9a0b-00000000002a --key zoe.pem
    """
    _decide(approve=True, **said)


@reviews.command()
@_decides
@click.option("--reason", required=True, callback=_as_reason, help="Why it is taken back.")
def reject(**said: Any) -> None:
    """Reject redemption ID: it is taken back, and the code is good again. Never your own scan.

    Example: edge-fleet reviews reject 018e8f3a-1c2d-7e4f-9a0b-00000000002a --key zoe.pem --reason "stolen card"
    """
    if not said["reason"]:
        raise click.UsageError("--reason says why it is taken back")
    _decide(approve=False, **said)


def _decide(
    *,
    approve: bool,
    ident: str,
    key_file: Path,
    reason: str,
    wait_s: float,
    fleet_file: Path,
    as_json: bool,
) -> None:
    place = load_fleet_file(fleet_file)
    reviewer = _signer(key_file)
    with hub_client(place) as talk:
        review = _find(talk, ident)
        decision = ReviewDecision(
            tenant=place.tenant, device=review["dev"], epoch=review["epoch"], seq=review["seq"],
            cti=bytes.fromhex(review["cti"]), approve=approve, reason=reason, issued_at_s=int(time.time()),
        )  # fmt: skip
        talk.ask(
            FleetAction.REVIEW,
            decision=base64.b64encode(sign_review_decision(decision, reviewer)).decode(),
        )
        end_s = time.monotonic() + wait_s
        review = _find(talk, ident)
        while review["state"] == "on_its_way" and time.monotonic() < end_s:
            time.sleep(_LOOK_EVERY_S)
            review = _find(talk, ident)
    asked = "approved" if approve else "rejected"
    if as_json:
        click.echo(json.dumps(review, ensure_ascii=False))
    if review["state"] not in (asked, "on_its_way"):
        words = _INSTEAD.get(review["state"], "it is {state}").format(**review)
        raise click.ClickException(f"order {review['order']} is not {asked}: {words}")
    if as_json:
        return
    words = (
        f"{review['dev']} has it"
        if review["state"] == asked
        else f"{review['dev']} gets it when it is back"
    )
    click.echo(f"order {review['order']}: {asked} by {review['decided_by']}; {words}", err=True)


def _find(talk: HubClient, ident: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = talk.ask(FleetAction.REVIEWS, id=ident, all=True)["reviews"]
    if not ident or not found:
        raise click.ClickException(
            f"no redemption {ident} waits for a second person: see edge-fleet reviews list"
        )
    return found[-1]


def _signer(file: Path) -> Signer:
    try:
        return load_signer(file)
    except KeyFolderError as error:
        raise click.ClickException(str(error)) from None


def _row(review: dict[str, Any]) -> tuple[str, ...]:
    when = datetime.fromtimestamp(review["at_s"], UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    amount = review["amount_minor"]
    worth = (
        f"{review['units']} x" if amount is None else f"{amount} {review['currency'] or ''}".strip()
    )
    named = (review["scanned_by"], review["state"], review["decided_by"], review["id"])
    return (
        when,
        review["dev"],
        str(review["order"]),
        worth,
        *(str(value or "-") for value in named),
    )
