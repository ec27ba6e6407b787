"""``edge-scanner``: the command line of the device, whose commands are imported when they run."""

from __future__ import annotations

import os

import click

from edge.system.program import LazyGroup, run_program

# None is used, and the search for plugins is slow.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

COMMANDS = {
    "run": "edge.cli.run:run",
    "scan": "edge.cli.scan:scan",
    "decode": "edge.cli.decode:decode",
    "verify": "edge.cli.verify:verify",
    "ledger": "edge.cli.listings:ledger",
    "orders": "edge.cli.listings:orders",
    "exceptions": "edge.cli.exceptions:exceptions",
    "outbox": "edge.cli.listings:outbox",
    "history": "edge.cli.history:history",
    "story": "edge.cli.history:history",  # the name that scripts know
    "request": "edge.cli.actions:request",
    "reverse": "edge.cli.actions:reverse",
    "review": "edge.cli.actions:review",
    "config": "edge.cli.config:config",
    "operator": "edge.cli.operator:operator",
    "rules": "edge.cli.rules:rules",
    "clock": "edge.cli.clock:clock",
    "doctor": "edge.cli.doctor:doctor",
}


@click.group(
    cls=LazyGroup,
    targets=COMMANDS,
    entry_points="edge_scanner.commands",  # of commands outside ``edge/``
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="edge-scanner")
def cli() -> None:
    """Read signed QR codes and redeem each once, offline.

    Example: edge-scanner demo
    """


def main() -> None:
    """Run ``edge-scanner``. Exit codes: 0 success, 1 refused or failed, 2 wrong usage."""
    run_program(cli, "edge-scanner")
