"""The documents of the settings topic that were refused last, for the report of settings."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Final, NamedTuple

from edge.values.tenfold import is_tenfold

MOST_REFUSALS: Final = 16  # remembered


class RefusedDocument(NamedTuple):
    """A document that never comes into effect."""

    digest: str  # SHA-256
    code: str
    detail: str


class RefusedDocuments:
    """The last refusals, by the digest of their document. ``count`` is of all since the start."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, RefusedDocument] = OrderedDict()
        self._unverified: Counter[str] = Counter()  # by reason
        self.count = 0

    def __contains__(self, digest: str) -> bool:
        return digest in self._last

    def add(self, digest: str, code: str, detail: str) -> None:
        """Note a refusal. One that is remembered is not counted again."""
        if digest in self._last:
            return
        self._last[digest] = RefusedDocument(digest, code, detail)
        self.count += 1
        while len(self._last) > MOST_REFUSALS:
            self._last.popitem(last=False)

    def add_unverified(self, digest: str, code: str, detail: str) -> int:
        """Count a document whose signature does not hold.

        Return the count of its reason at the 1st, 10th, 100th, ..., which alone is remembered;
        otherwise 0. Anyone at the broker can send them, and they must cost nothing.
        """
        if digest in self._last:
            return 0
        self._unverified[code] += 1
        count = self._unverified[code]
        if not is_tenfold(count):
            return 0
        self.add(digest, code, detail)
        return count

    def newest(self, most: int) -> list[RefusedDocument]:
        """Return the newest ``most`` refusals, oldest first."""
        return list(self._last.values())[-most:]
