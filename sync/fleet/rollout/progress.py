"""What a rollout says while it goes on: lines of JSON on standard output, or words and a progress bar for a person."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from sync.fleet.options import counted
from sync.fleet.rollout.preview import Preview
from sync.fleet.rollout.waves import DeviceOutcome, Wave

_COLOURS = {
    DeviceOutcome.COMMITTED: "green",
    DeviceOutcome.FAILED: "red",
    DeviceOutcome.SILENT: "red",
}
_NAMED = 5  # devices that a line names


class RolloutReporter:
    """One rollout's. People read standard error, programs standard output."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._bar: Any = None  # click's progress bar, while a wave goes on

    def difference(self, title: str, previews: Mapping[str, Preview], away: Sequence[str]) -> None:
        """What would change, devices with the same difference together."""
        if self._as_json:
            for dev, item in previews.items():
                changes = [
                    {"path": one.path, "before": one.before, "after": one.after}
                    for one in item.changes
                ]
                self._line(
                    "difference",
                    dev=dev,
                    changes=changes,
                    errors=[str(error) for error in item.errors],
                )
            return
        together: dict[tuple[str, ...], list[str]] = {}
        for dev, item in previews.items():
            lines = tuple(str(change) for change in item.changes) + tuple(
                f"REFUSED {error}" for error in item.errors
            )
            together.setdefault(lines, []).append(dev)
        self._say(title)
        for lines, devices in sorted(together.items(), key=lambda item: -len(item[1])):
            self._say(f"{counted(len(devices), 'device')} ({_names(devices)}):")
            for line in lines or ("no change",):
                self._say(f"  {line}", "red" if line.startswith("REFUSED") else None)
        if away:
            self._say(f"Away, to get it when they are back: {_names(away)}.")

    def wave(self, wave: Wave) -> None:
        """A wave begins."""
        if not self._line("wave", name=wave.name, devices=len(wave.devices)):
            self._say(f"Wave {wave.name}: {counted(len(wave.devices), 'device')}", "cyan")

    def device(self, dev: str, outcome: DeviceOutcome, why: str) -> None:
        """A device has come further."""
        if not self._line("device", dev=dev, outcome=str(outcome), why=why):
            words = str(outcome).replace("_", " ") + (f", {why}" if why else "")
            self._say(f"{dev}: {words}", _COLOURS.get(outcome))

    def stopped(self, wave: Wave, bad: Sequence[str]) -> None:
        """The rollout has stopped by itself."""
        self._line("stopped", wave=wave.name, failed=list(bad))
        self._say(
            f"Stopped in wave {wave.name}: {_names(bad)}. Those that failed went back by themselves; "
            "those that have committed keep it until you push a former file again.",
            "red",
        )

    def done(self, rev: int, committed: int, away: int) -> None:
        """Every wave is over."""
        if not self._line("done", rev=rev, committed=committed, away=away):
            here = (
                [f"is committed on {counted(committed, 'device')}"] if committed or not away else []
            )
            late = [f"waits for {counted(away, 'device')} to come back"] if away else []
            self._say(f"Done: rev {rev} {' and '.join(here + late)}.", "green")

    @contextmanager
    def progress(self, wave: Wave) -> Iterator[None]:
        """A bar at a terminal, for the time of a wave; ``over`` moves it."""
        hidden = not sys.stderr.isatty()
        with click.progressbar(
            length=len(wave.devices), label=wave.name, file=sys.stderr, hidden=hidden
        ) as bar:
            self._bar = None if hidden else bar
            yield
        self._bar = None

    def over(self, count: int) -> None:
        """``count`` devices of the wave have had their last word."""
        if self._bar is not None:
            self._bar.update(count - self._bar.pos)

    def _line(self, event: str, **fields: Any) -> bool:
        """Whether it was said as JSON."""
        if self._as_json:
            click.echo(json.dumps({"event": event, **fields}, ensure_ascii=False))
        return self._as_json

    def _say(self, words: str, colour: str | None = None) -> None:
        if self._bar is None:
            click.secho(words, err=True, fg=colour)
            return
        click.echo(
            "\r\033[K", err=True, nl=False
        )  # the bar's line becomes the message's, and the bar comes after it
        click.secho(words, err=True, fg=colour)
        click.echo(self._bar.format_progress_line(), err=True, nl=False)


def _names(devices: Sequence[str]) -> str:
    rest = len(devices) - _NAMED
    return ", ".join(devices[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
