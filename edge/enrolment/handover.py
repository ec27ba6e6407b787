"""Between the scanner, which has the camera and no network, and sync, which has it the other way: two files."""

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
    """What came of a code. ``reason`` is one word, ``detail`` says what to do."""

    code: str  # SHA-256 of its text
    enrolled: bool
    reason: str
    detail: str


class EnrolmentMailbox:
    """The scanner drops a code; sync takes it, and leaves what came of it."""

    def __init__(self, data: Path) -> None:
        self._folder = data / FOLDER

    def drop(self, text: str) -> None:
        """Leave a code for sync; one that was not taken yet is replaced. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(self._folder / _CODE, text.encode())

    def waiting(self) -> str | None:
        """The code that waits."""
        with suppress(OSError, UnicodeDecodeError):
            return (self._folder / _CODE).read_text(encoding="utf-8")
        return None

    def answer(self, text: str, *, enrolled: bool, reason: str, detail: str) -> None:
        """Say what came of ``text``; it waits no longer. Raises OSError."""
        outcome = EnrolmentOutcome(digest_of(text.encode()), enrolled, reason, detail)
        write_durably(self._folder / _OUTCOME, json.dumps(asdict(outcome)).encode())
        if self.waiting() == text:
            (self._folder / _CODE).unlink(missing_ok=True)

    def outcome(self, text: str) -> EnrolmentOutcome | None:
        """What came of ``text``; None while nothing has."""
        with suppress(OSError, ValueError, TypeError):
            outcome = EnrolmentOutcome(**json.loads((self._folder / _OUTCOME).read_bytes()))
            return outcome if outcome.code == digest_of(text.encode()) else None
        return None
