"""Two files between the scanner, which has no network, and edge-sync, which has no camera."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from edge.system.durable_file import digest_of, write_durably

FOLDER: Final = "enrolment"  # in the data folder
_CODE, _OUTCOME = "code", "outcome.json"


@dataclass(frozen=True, slots=True)
class EnrolmentOutcome:
    """What became of a code. ``reason`` is a code, ``detail`` says what to do."""

    code: str  # SHA-256 of its text
    enrolled: bool
    reason: str
    detail: str


class EnrolmentMailbox:
    """The scanner writes a code; edge-sync reads it and writes its outcome."""

    def __init__(self, data: Path) -> None:
        self._folder = data / FOLDER

    def write_code(self, text: str) -> None:
        """Leave a code for edge-sync, in place of one that it has not read. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(self._folder / _CODE, text.encode())

    def read_code(self) -> str | None:
        """Return the code that waits; None if none does."""
        with suppress(OSError, UnicodeDecodeError):
            return (self._folder / _CODE).read_text(encoding="utf-8")
        return None

    def write_outcome(self, text: str, *, enrolled: bool, reason: str, detail: str) -> None:
        """Write what became of the code ``text``, which then waits no longer. Raises OSError."""
        outcome = EnrolmentOutcome(digest_of(text.encode()), enrolled, reason, detail)
        write_durably(self._folder / _OUTCOME, json.dumps(asdict(outcome)).encode())
        if self.read_code() == text:
            (self._folder / _CODE).unlink(missing_ok=True)

    def read_outcome(self, text: str) -> EnrolmentOutcome | None:
        """Return what became of the code ``text``; None as long as it waits."""
        with suppress(OSError, ValueError, TypeError):
            outcome = EnrolmentOutcome(**json.loads((self._folder / _OUTCOME).read_bytes()))
            return outcome if outcome.code == digest_of(text.encode()) else None
        return None
