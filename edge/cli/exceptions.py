"""``edge-scanner exceptions``: list, settle and retry cases, and raise a dispute."""

from __future__ import annotations

from pathlib import Path

import click

from edge.cli.listings import show_exceptions
from edge.cli.store_options import act, as_text, data_option, profile_option
from edge.domain.exception_case import Settlement

_BY_HAND = [how.value for how in Settlement if how is not Settlement.RETRIED]


@click.group(invoke_without_command=True)
@data_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--open", "only_open", is_flag=True, help="Only cases that are not settled.")
@click.pass_context
def exceptions(ctx: click.Context, data: Path, as_json: bool, only_open: bool) -> None:
    """List the cases that a person must settle; with a subcommand, settle one.

    Example: edge-scanner exceptions --open
    """
    ctx.obj = data
    if ctx.invoked_subcommand is None:
        show_exceptions(data, as_json=as_json, only_open=only_open)


@exceptions.command()
@click.argument("case", type=click.IntRange(1))
@click.option(
    "--how", required=True, type=click.Choice(_BY_HAND), help="What was found or decided."
)
@click.option("--note", callback=as_text, default="", help="What was done.")
@click.pass_obj
def settle(data: Path, case: int, how: str, note: str) -> None:
    """Settle a case. A supervisor must be signed in.

    fixed: the cause is repaired. accepted: nothing changes. collected, not_collected: a person has
    looked into the compartment; a parcel that is still inside makes the code valid again.
    reversed: the redemption is reversed.

    Example: edge-scanner exceptions settle 7 --how not_collected --note "bolt was stuck; greased"
    """
    act(data, lambda staff, now: staff.settle(case, Settlement(how), note, now))


@exceptions.command()
@click.argument("case", type=click.IntRange(1))
@profile_option("The device's profile (TOML), for a write-off.")
@click.pass_obj
def retry(data: Path, case: int, profile: Path) -> None:
    """Retry the failed action of a case, and settle the case. A supervisor must be signed in.

    A write-off is retried now, with the present orders and lists. An upload that the platform
    refused is sent as a new event that names the refused one. For a case that cannot be retried,
    the message says what to do instead.

    Example: edge-scanner exceptions retry 7 --profile /etc/edge-scanner/profile.toml
    """
    from edge.cli.profile_options import read_profile
    from edge.redemption.retry import RetryService

    act(
        data, lambda staff, now: RetryService(staff, lambda: read_profile(profile)).retry(case, now)
    )


@exceptions.command("raise")
@click.argument("ledger_id", type=click.IntRange(1))
@click.option("--cause", callback=as_text, required=True, help="What differs from the record.")
@click.pass_obj
def raise_dispute(data: Path, ledger_id: int, cause: str) -> None:
    """Raise a dispute about a redemption. An operator must be signed in.

    Example: edge-scanner exceptions raise 42 --cause "the customer says the compartment was empty"
    """
    act(data, lambda staff, now: staff.raise_dispute(ledger_id, cause, now))
