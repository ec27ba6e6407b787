"""The settings on disk: the state, a file for each plan, the newest document of each layer.

Two processes write here. The one that changes the state holds the lock and replaces the file
durably. A reader never needs the lock. No store is needed: settings must be there when the store is
not.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from edge.settings.plan import Plan, blamed, read_plan
from edge.settings.state_machine import SettingsState, from_item
from edge.system.durable_file import write_durably
from edge.system.file_version import FileVersion, file_version

FOLDER: Final = "settings"  # in the data folder
_STATE, _LOCK, _DOCUMENTS = "state.json", "lock", "documents"


class SettingsFolder:
    """The settings of one device. Writing raises OSError for the disk; reading never raises."""

    def __init__(self, data: Path) -> None:
        self._folder = data / FOLDER
        self._read_version: FileVersion | None = None
        self.last_state = SettingsState()  # as ``state`` last read it, or ``write_state`` wrote it

    def state(self) -> SettingsState:
        """Return the present state. Without a file that can be read, the device is as shipped."""
        path = self._folder / _STATE
        version = file_version(path)
        if version is None or version != self._read_version:
            self.last_state, self._read_version = SettingsState(), None
            with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
                self.last_state = from_item(json.loads(path.read_bytes()))
                self._read_version = version
        return self.last_state

    @contextmanager
    def locked(self) -> Iterator[SettingsState]:
        """Hold the lock and yield the state, which no other process can change meanwhile."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield self.state()
        finally:
            os.close(descriptor)

    def change(self, step: Callable[[SettingsState], SettingsState]) -> SettingsState:
        """Write what ``step`` makes of the state, if that is a change, and return it."""
        with self.locked() as state:
            if (changed := step(state)) != state:
                self.write_state(changed)
            return changed

    def write_state(self, state: SettingsState) -> None:
        """Write ``state``. The caller holds the lock."""
        self._write(_STATE, json.dumps(state.to_item()).encode())
        self.last_state, self._read_version = state, file_version(self._folder / _STATE)

    def write_plan(self, plan: Plan) -> None:
        """Write a plan under its hash."""
        self._write(f"{plan.digest}.json", plan.to_bytes())

    def plan(self, digest: str | None) -> Plan | None:
        """Return the plan of that hash; None for None, or where its file is gone or damaged."""
        if digest is None:
            return None
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            return read_plan((self._folder / f"{digest}.json").read_bytes(), digest)
        return None

    def blamed(self) -> tuple[str, ...]:
        """Return what to deny should the present candidate fail."""
        state = self.state()
        plan = self.plan(state.candidate)
        return blamed(plan, self.plan(state.good)) if plan else ()

    def chosen(self) -> tuple[str | None, Plan | None]:
        """Return the plan to run on now, after its hash; no plan where its file is gone or damaged.

        Another process may change the state, and remove the plan that it named, after it was read
        here.
        """
        digest = self.state().choice
        while (plan := self.plan(digest)) is None and digest != (now := self.state().choice):
            digest = now
        return digest, plan

    def forget_plans(self, but: set[str | None]) -> None:
        """Remove all other plans than ``but``, which the state on disk names.

        The caller holds the lock. A process that dies here leaves files that the next call removes.
        """
        for path in self._folder.glob("*.json"):
            if path.name != _STATE and path.stem not in but:
                path.unlink(missing_ok=True)

    def write_document(self, key: str, raw: bytes) -> None:
        """Write the newest document of the layer ``key``."""
        self._write(f"{_DOCUMENTS}/{key.replace('/', '~')}.cose", raw)

    def documents(self) -> dict[str, bytes]:
        """Return the newest document of each layer, by its key."""
        found = {}
        for path in sorted((self._folder / _DOCUMENTS).glob("*.cose")):
            with suppress(OSError):
                found[path.stem.replace("~", "/")] = path.read_bytes()
        return found

    def _write(self, name: str, content: bytes) -> None:
        path = self._folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, content)
