"""Actions of the signed-in operator besides scanning: ``reverse``, ``review``, ``request``."""

from __future__ import annotations

import sys
from contextlib import closing
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from edge.cli.store_options import act, as_text, data_option
from edge.domain.redemption_state import RequestedUse
from edge.store import reviews
from edge.store.database.store import StoreUnavailableError
from edge.store.opening import open_for_reading
from edge.system.terminal import print_lines
from edge.values.printable import json_line

_reason = click.option(
    "--reason", callback=as_text, required=True, help="Why. It is stored and sent to the platform."
)


@click.command()
@data_option
@click.argument("ledger_id", type=click.IntRange(1))
@_reason
def reverse(data: Path, ledger_id: int, reason: str) -> None:
    """Reverse a redemption, as a new row of the ledger. A supervisor must be signed in.

    Example: edge-scanner reverse 42 --reason "wrong person"
    """
    act(data, lambda staff, now: staff.reverse(ledger_id, reason, now))


@click.group()
def review() -> None:
    """Decide, as a second person, on redemptions that need a review.

    Example: edge-scanner review list
    """


@review.command("list")
@data_option
@click.option("--all", "every", is_flag=True, help="List decided reviews too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_reviews(data: Path, every: bool, as_json: bool) -> None:
    """List the redemptions that wait for a second person, oldest first.

    Example: edge-scanner review list --json
    """
    try:
        with closing(open_for_reading(data)) as store:
            rows = reviews.reviews(store, only_pending=not every)
    except StoreUnavailableError as error:
        print_lines(f"edge-scanner: {error}", err=True)
        sys.exit(1)
    for row in rows:
        print_lines(_json_line(row) if as_json else _text_line(row))


def _json_line(row: reviews.Review) -> str:
    line = {
        "ledger_id": row.ledger_id,
        "order": row.order_id,
        "use": row.use_no,
        "kind": row.kind,
        "units": row.units,
        "amount_minor": row.amount_minor,
        "currency": row.currency,
        "scanned_by": row.operator,
        "opened_s": row.opened_s,
        "state": row.state.value,
        "decided_s": row.decided_s,
        "decided_by": row.decided_by,
        "reason": row.reason,
    }
    return json_line(line)


def _text_line(row: reviews.Review) -> str:
    scanned_by = f"scanned by {row.operator}" if row.operator else "scanned without a sign-in"
    return f"{row.ledger_id}  {row.order_id}  {row.kind}  {row.state.value}  {scanned_by}"


@review.command()
@data_option
@click.argument("ledger_id", type=click.IntRange(1))
@click.option("--note", callback=as_text, default="", help="What was checked.")
def approve(data: Path, ledger_id: int, note: str) -> None:
    """Approve a redemption that another person scanned.

    It is final, and a parcel's door opens at the next scan.

    Example: edge-scanner review approve 42
    """
    act(data, lambda staff, now: staff.review(ledger_id, approve=True, reason=note, now=now))


@review.command()
@data_option
@click.argument("ledger_id", type=click.IntRange(1))
@_reason
def reject(data: Path, ledger_id: int, reason: str) -> None:
    """Reject a redemption that another person scanned: it is reversed.

    Example: edge-scanner review reject 42 --reason "not the customer"
    """
    act(data, lambda staff, now: staff.review(ledger_id, approve=False, reason=reason, now=now))


def _minor(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return an amount in units of currency, with at most two decimals, in minor units."""
    try:
        minor = None if value is None else Decimal(value) * 100
        if minor is not None and not (
            minor.is_finite() and minor == int(minor) and 1 <= minor < 2**53
        ):
            raise InvalidOperation
    except InvalidOperation:
        detail = f"{value!r} is not an amount above 0 with at most two decimals; write it as 12.50"
        raise click.BadParameter(detail, ctx, param) from None
    return None if minor is None else int(minor)


@click.command()
@data_option
@click.option("--units", type=click.IntRange(1, 1_000_000), help="How many uses.")
@click.option("--amount", callback=_minor, help="How much of a voucher with a value, like 12.50.")
@click.option(
    "--amount-minor",
    type=click.IntRange(1),
    help="The same in minor units, for any currency: 1250.",
)
def request(data: Path, units: int | None, amount: int | None, amount_minor: int | None) -> None:
    """Set how much of the next voucher to redeem; then scan it. An operator must be signed in.

    Example: edge-scanner request --amount 12.50
    """
    given = [value for value in (units, amount, amount_minor) if value is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --units, --amount and --amount-minor")
    requested = RequestedUse(
        units=units or 1, amount_minor=amount if amount is not None else amount_minor
    )
    act(data, lambda staff, now: staff.request_amount(requested, now))
