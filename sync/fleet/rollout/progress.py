"""Reports of a running rollout: JSON lines for programs, text and a progress bar for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from edge.system.terminal import print_lines
from edge.values.printable import json_line
from sync.fleet.options import counted
from sync.fleet.rollout.preview import Preview
from sync.fleet.rollout.waves import DeviceOutcome, Wave

_COLOURS = {
    DeviceOutcome.COMMITTED: "green",
    DeviceOutcome.FAILED: "red",
    DeviceOutcome.SILENT: "red",
}
_MAX_NAMED = 5  # devices that a line names


class RolloutReporter:
    """Reports one rollout: to people on standard error, to programs on standard output."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._bar: Any = None  # click's progress bar, while a wave runs

    def difference(
        self, title: str, previews: Mapping[str, Preview], offline: Sequence[str]
    ) -> None:
        """Report what would change, devices with the same difference together."""
        if self._as_json:
            for dev, item in previews.items():
                changes = [
                    {"path": change.path, "before": change.before, "after": change.after}
                    for change in item.changes
                ]
                self._print_json(
                    "difference",
                    dev=dev,
                    changes=changes,
                    errors=[str(error) for error in item.errors],
                )
            return
        groups: dict[tuple[str, ...], list[str]] = {}
        for dev, item in previews.items():
            lines = tuple(str(change) for change in item.changes) + tuple(
                f"REFUSED {error}" for error in item.errors
            )
            groups.setdefault(lines, []).append(dev)
        self._print(title)
        for lines, devices in sorted(groups.items(), key=lambda item: -len(item[1])):
            self._print(f"{counted(len(devices), 'device')} ({_names(devices)}):")
            for line in lines or ("no change",):
                self._print(f"  {line}", "red" if line.startswith("REFUSED") else None)
        if offline:
            self._print(f"Offline, get the settings when online again: {_names(offline)}.")

    def wave(self, wave: Wave) -> None:
        """Report that a wave begins."""
        if not self._print_json("wave", name=wave.name, devices=len(wave.devices)):
            self._print(f"Wave {wave.name}: {counted(len(wave.devices), 'device')}", "cyan")

    def device(self, dev: str, outcome: DeviceOutcome, why: str) -> None:
        """Report the new state of a device."""
        if not self._print_json("device", dev=dev, outcome=str(outcome), why=why):
            text = str(outcome).replace("_", " ") + (f", {why}" if why else "")
            self._print(f"{dev}: {text}", _COLOURS.get(outcome))

    def stopped(self, wave: Wave, failed: Sequence[str]) -> None:
        """Report that the rollout has stopped by itself."""
        self._print_json("stopped", wave=wave.name, failed=list(failed))
        self._print(
            f"Stopped in wave {wave.name}: {_names(failed)}. Devices that failed have rolled back; "
            "devices that have committed keep the settings until you push an earlier file again.",
            "red",
        )

    def done(self, rev: int, committed: int, away: int) -> None:
        """Report the end: ``committed`` devices have the settings, ``away`` are offline."""
        if self._print_json("done", rev=rev, committed=committed, away=away):
            return
        parts = []
        if committed or not away:
            parts.append(f"is committed on {counted(committed, 'device')}")
        if away:
            parts.append(f"waits for {counted(away, 'device')} to be online again")
        self._print(f"Done: rev {rev} {' and '.join(parts)}.", "green")

    @contextmanager
    def progress(self, wave: Wave) -> Iterator[None]:
        """Show a progress bar at a terminal while a wave runs; ``advance`` moves it."""
        hidden = not sys.stderr.isatty()
        with click.progressbar(
            length=len(wave.devices), label=wave.name, file=sys.stderr, hidden=hidden
        ) as bar:
            self._bar = None if hidden else bar
            yield
        self._bar = None

    def advance(self, count: int) -> None:
        """Move the bar: ``count`` devices of the wave are done."""
        if self._bar is not None:
            self._bar.update(count - self._bar.pos)

    def _print_json(self, event: str, **fields: Any) -> bool:
        """Print the event if JSON is wanted; return whether it is."""
        if self._as_json:
            print_lines(json_line({"event": event, **fields}))
        return self._as_json

    def _print(self, text: str, colour: str | None = None) -> None:
        if self._bar is None:
            print_lines(text, err=True, fg=colour)
            return
        # The message takes the line of the bar, and the bar is drawn again below it.
        click.echo("\r\033[K", err=True, nl=False)
        print_lines(text, err=True, fg=colour)
        click.echo(self._bar.format_progress_line(), err=True, nl=False)


def _names(devices: Sequence[str]) -> str:
    rest = len(devices) - _MAX_NAMED
    return ", ".join(devices[:_MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")
