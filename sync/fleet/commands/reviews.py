"""``edge-fleet reviews``: a second person approves or rejects redemptions that await review."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from edge.system.terminal import print_lines
from edge.trust.signer_file import load_signer
from edge.values.printable import json_line
from sync.fleet.device_table import align_columns
from sync.fleet.fleet_file import fleet_option, load_fleet_file
from sync.fleet.hub_client import HubClient, hub_client
from sync.fleet.key_folder import RESTORE_KEY
from sync.wire.fleet_requests import FleetAction
from sync.wire.review_decision import LONGEST_REASON, ReviewDecision, sign_review_decision

_POLL_EVERY_S: Final = 0.5
_OTHER_OUTCOMES: Final = {  # why a decision had no effect, by the review's state
    "approved": "{decided_by} had approved it at {dev}",
    "rejected": "{decided_by} had rejected it at {dev}",
    "void": "it was reversed at {dev} before a decision",
    "not_found": "{dev} no longer has this redemption (its store was replaced), so it remains",
    "same_person": "{dev} reports that {decided_by} scanned it: another person must decide",
    "not_verified": "{dev} does not trust your key: "
    "check that the newest trust list names it, then decide again",
}
_HEADER: Final = ("WHEN", "DEVICE", "ORDER", "WORTH", "SCANNED BY", "STATE", "DECIDED BY", "ID")


@click.group()
def reviews() -> None:
    """Review redemptions that wait for a second person.

    Example: edge-fleet reviews list
    """


@reviews.command("list")
@fleet_option
@click.option("--dev", metavar="ID", help="Only reviews of this device.")
@click.option("--all", "every", is_flag=True, help="Include the decided ones.")
def list_command(fleet_file: Path, as_json: bool, dev: str | None, every: bool) -> None:
    """List the redemptions that wait for a second person, oldest first, with their IDs.

    Example: edge-fleet reviews list --dev kiosk-7
    """
    found: list[dict[str, Any]] = []
    after: int | None = 0
    with hub_client(load_fleet_file(fleet_file)) as client:
        while after is not None:
            page = client.request(FleetAction.REVIEWS, dev=dev, all=every, after=after)
            found += page["reviews"]
            after = page["next"]
    if as_json:
        for review in found:
            print_lines(json_line(review))
    else:
        for line in align_columns([_HEADER, *map(_row, found)]):
            print_lines(line)


def _decision_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that approve and reject have in common."""
    wait = click.option(
        "--wait",
        "wait_s",
        type=click.FloatRange(min=0),
        default=10,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for the device to confirm.",
    )
    key = click.option(
        "--key",
        "key_file",
        required=True,
        metavar="FILE",
        envvar="EDGE_REVIEWER_KEY",
        show_envvar=True,
        type=click.Path(dir_okay=False, path_type=Path),
        help="Your own key, from edge-fleet keys reviewer.",
    )
    return fleet_option(click.argument("review_id", metavar="ID")(key(wait(command))))


def _reason(_: click.Context, __: click.Parameter, value: str) -> str:
    """Return a printable reason. Raises BadParameter."""
    if len(value) > LONGEST_REASON or any(
        not (char.isprintable() or char == " ") for char in value
    ):
        raise click.BadParameter(f"at most {LONGEST_REASON} printable characters")
    return value.strip()


@reviews.command()
@_decision_options
@click.option("--reason", default="", callback=_reason, help="The reason, for the records.")
def approve(**options: Any) -> None:
    """Approve redemption ID: it becomes final. You cannot approve your own scan.

    Example: edge-fleet reviews approve 018e8f3a-1c2d-7e4f-9a0b-00000000002a --key zoe.pem
    """
    _decide(approve=True, **options)


@reviews.command()
@_decision_options
@click.option("--reason", required=True, callback=_reason, help="Why it is reversed.")
def reject(**options: Any) -> None:
    """Reject redemption ID: it is reversed, and the code is valid again. Not your own scan.

    Example: edge-fleet reviews reject 018e8f3a-1c2d-7e4f-9a0b-00000000002a --key zoe.pem
    --reason "stolen card"
    """
    if not options["reason"]:
        raise click.UsageError("name with --reason why it is reversed")
    _decide(approve=False, **options)


def _decide(
    *,
    approve: bool,
    review_id: str,
    key_file: Path,
    reason: str,
    wait_s: float,
    fleet_file: Path,
    as_json: bool,
) -> None:
    fleet = load_fleet_file(fleet_file)
    reviewer = load_signer(key_file, advice=RESTORE_KEY)
    with hub_client(fleet) as client:
        review = _find(client, review_id)
        decision = ReviewDecision(
            tenant=fleet.tenant,
            device=review["dev"],
            epoch=review["epoch"],
            seq=review["seq"],
            cti=bytes.fromhex(review["cti"]),
            approve=approve,
            reason=reason,
            issued_at_s=int(time.time()),
        )
        client.request(
            FleetAction.REVIEW,
            decision=base64.b64encode(sign_review_decision(decision, reviewer)).decode(),
        )
        end_s = time.monotonic() + wait_s
        review = _find(client, review_id)
        while review["state"] == "on_its_way" and time.monotonic() < end_s:
            time.sleep(_POLL_EVERY_S)
            review = _find(client, review_id)
    _report(review, "approved" if approve else "rejected", as_json=as_json)


def _report(review: dict[str, Any], wanted: str, *, as_json: bool) -> None:
    """Print what came of the decision. Raises ClickException when it was not the ``wanted``."""
    if as_json:
        print_lines(json_line(review))
    if review["state"] not in (wanted, "on_its_way"):
        reason = _OTHER_OUTCOMES.get(review["state"], "it is {state}").format(**review)
        raise click.ClickException(f"order {review['order']} is not {wanted}: {reason}")
    if as_json:
        return
    delivery = (
        f"{review['dev']} has the decision"
        if review["state"] == wanted
        else f"{review['dev']} gets the decision when it is online again"
    )
    print_lines(
        f"order {review['order']}: {wanted} by {review['decided_by']}; {delivery}", err=True
    )


def _find(client: HubClient, review_id: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = client.request(FleetAction.REVIEWS, id=review_id, all=True)[
        "reviews"
    ]
    if not review_id or not found:
        raise click.ClickException(
            f"no redemption {review_id} waits for a second person: see edge-fleet reviews list"
        )
    return found[-1]


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
