"""``edge-scanner``: the command line of the device."""

# A command's module is imported only when that command runs, so that ``--help`` and small commands start at once.
# Commands that live outside ``edge/`` join through the entry-point group ``edge_scanner.commands``.

from __future__ import annotations

import os
from importlib import import_module

import click

from edge.system.program import run_program

os.environ.setdefault(
    "PYDANTIC_DISABLE_PLUGINS", "__all__"
)  # none is wanted, and to look for some takes long

COMMANDS = {
    "run": "edge.cli.run:run",
    "decode": "edge.cli.decode:decode",
    "verify": "edge.cli.verify:verify",
    "ledger": "edge.cli.listings:ledger",
    "orders": "edge.cli.listings:orders",
    "exceptions": "edge.cli.exceptions:exceptions",
    "outbox": "edge.cli.listings:outbox",
    "story": "edge.cli.story:story",
    "ask": "edge.cli.actions:ask",
    "reverse": "edge.cli.actions:reverse",
    "review": "edge.cli.actions:review",
    "config": "edge.cli.config:config",
    "operator": "edge.cli.operator:operator",
    "rules": "edge.cli.rules:rules",
    "clock": "edge.cli.clock:clock",
    "doctor": "edge.cli.doctor:doctor",
}


class _LazyGroup(click.Group):
    """A group whose commands are ``module:attribute`` until they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [*COMMANDS, *sorted(self._elsewhere())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        target = COMMANDS.get(cmd_name) or self._elsewhere().get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    @staticmethod
    def _elsewhere() -> dict[str, str]:
        from importlib.metadata import entry_points  # slow to import, and `run` does not need it

        return {point.name: point.value for point in entry_points(group="edge_scanner.commands")}


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edge-scanner")
def cli() -> None:
    """Read signed QR codes, honour each once, offline.

    Example: edge-scanner demo
    """


def main() -> None:
    """Run ``edge-scanner``. Exit 0 success, 1 the world said no, 2 usage."""
    run_program(cli, "edge-scanner")
