"""The documents of the settings topic that were refused last, for the report of settings."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

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

    def newest(self, most: int) -> list[RefusedDocument]:
        """Return the newest ``most`` refusals, oldest first."""
        return list(self._last.values())[-most:]
