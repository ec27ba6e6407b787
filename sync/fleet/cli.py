"""``edge-fleet``: the command line of operations.

The module of a command is imported only when that command runs.
"""

from __future__ import annotations

import click

from edge.system.program import LazyGroup, run_program

COMMANDS = {
    "keys": "sync.fleet.commands.keys:keys",
    "trust-list": "sync.fleet.commands.trust_list:trust_list",
    "issue": "sync.fleet.commands.issue:issue",
    "status-list": "sync.fleet.commands.code_withdrawal:status_list_group",
    "operators": "sync.fleet.commands.operators:operators",
    "push": "sync.fleet.commands.push:push",
    "status": "sync.fleet.commands.status:status",
    "watch": "sync.fleet.commands.status:watch",
    "enrol": "sync.fleet.commands.enrol:enrol",
    "revoke": "sync.fleet.commands.revoke:revoke",
    "recover": "sync.fleet.commands.revoke:recover",
    "clock-reset": "sync.fleet.commands.clock_reset:clock_reset",
    "orders": "sync.fleet.commands.status:orders",
    "reviews": "sync.fleet.commands.reviews:reviews",
    "exceptions": "sync.fleet.commands.status:exceptions",
    "conformance": "sync.conformance.cli:conformance",
}


@click.group(
    cls=LazyGroup,
    targets=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="edge-scanner")
def cli() -> None:
    """Run a fleet of scanners: keys, trust lists, tokens, configuration, revocation.

    Example: edge-fleet keys init ./fleet-keys
    """


def main() -> None:
    """Run ``edge-fleet``. Exit codes: 0 success, 1 refused or failed, 2 wrong usage."""
    run_program(cli, "edge-fleet")
