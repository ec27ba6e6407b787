"""``edge-fleet``: the ops command line. A command's module is imported only when that command runs."""

from __future__ import annotations

from importlib import import_module

import click

from edge.cli.outlet import run_program

COMMANDS = {
    "keys": "sync.fleet.keys:keys",
    "trust-list": "sync.fleet.trust_list:trust_list",
    "issue": "sync.fleet.issue:issue",
    "operators": "sync.fleet.operators:operators",
    "push": "sync.fleet.push:push",
    "status": "sync.fleet.look:status",
    "watch": "sync.fleet.look:watch",
    "enrol": "sync.fleet.enrol:enrol",
    "revoke": "sync.fleet.revoke:revoke",
    "recover": "sync.fleet.revoke:recover",
    "clock-reset": "sync.fleet.clock:clock_reset",
    "orders": "sync.fleet.look:orders",
    "reviews": "sync.fleet.reviews:reviews",
    "exceptions": "sync.fleet.look:exceptions",
    "conformance": "sync.protocol.conformance:conformance",
}


class _LazyGroup(click.Group):
    """A group whose commands are ``module:attribute`` until they are asked for."""

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
    """Run ``edge-fleet``. Exit 0 success, 1 the world said no, 2 usage."""
    run_program(cli, "edge-fleet")
