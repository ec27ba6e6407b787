"""``edge-fleet``: the command line of operations.

The module of a command is imported only when that command runs.
"""

from __future__ import annotations

from importlib import import_module

import click

from edge.system.program import run_program

COMMANDS = {
    "keys": "sync.fleet.commands.keys:keys",
    "trust-list": "sync.fleet.commands.trust_list:trust_list",
    "issue": "sync.fleet.commands.issue:issue",
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


class _LazyGroup(click.Group):
    """A group whose commands are named as ``module:attribute`` and imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edge-scanner")
def cli() -> None:
    """Run a fleet of scanners: keys, trust lists, tokens, configuration, revocation.

    Example: edge-fleet keys init ./fleet-keys
    """


def main() -> None:
    """Run ``edge-fleet``. Exit codes: 0 success, 1 refused or failed, 2 wrong usage."""
    run_program(cli, "edge-fleet")
