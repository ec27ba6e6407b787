"""The keys that the hub trusts: those of the trust list that it publishes."""

from __future__ import annotations

import time
from pathlib import Path

from edge.system.file_version import FileVersion, file_version
from edge.token.roots import Roots, claimed_roots
from edge.token.signed_document import DocumentRefusal
from edge.token.trust_list import TrustList, open_trust_list
from edge.trust.anchors import NO_TRUST
from edge.values.instant import Instant


class ListedKeys:
    """The keys of the trust list in a file from operations, read again when it is replaced.

    Write access to the file decides which keys the *hub* trusts. A device does not depend on it:
    it verifies the list against its own roots.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._version: FileVersion | None = None
        self._list = NO_TRUST
        self._roots: Roots | None = None

    def __call__(self) -> TrustList:
        """Return the present list; an empty one when there is none."""
        try:
            version = file_version(self._file)
            if version != self._version:
                self._read(self._file.read_bytes())
                self._version = version
        except OSError:
            pass
        return self._list

    @property
    def roots(self) -> Roots | None:
        """The roots that the list names."""
        self()
        return self._roots

    def _read(self, raw: bytes) -> None:
        roots = claimed_roots(raw)
        if isinstance(roots, DocumentRefusal):
            return
        trust = open_trust_list(raw, roots=roots, now=Instant(unix_s=int(time.time())))
        if isinstance(trust, TrustList):
            self._list, self._roots = trust, roots
