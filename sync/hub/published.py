"""Signed lists that the hub passes on from files. It holds none of their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.token import cbor
from sync.hub.config import HubDocuments
from sync.topics import Down


class Published:
    """Watches the files of the trust list and the status lists. A file is read again when it was replaced."""

    def __init__(self, documents: HubDocuments) -> None:
        self._files = {
            Down.TRUST: (Path(documents.trust_list_file),),
            Down.REVOKED: tuple(Path(name) for name in documents.status_list_files),
        }
        self._seen: dict[Down, tuple[tuple[int, int, int], ...]] = {}
        self._missing: set[Down] = set()

    def forget(self) -> None:
        """Publish everything again: a broker may have come back with an empty store."""
        self._seen.clear()

    def changed(self, log: Any) -> list[tuple[Down, bytes]]:
        """Channels whose files are new, with what to publish, retained."""
        found = []
        for channel, paths in self._files.items():
            if not paths:
                continue
            try:
                marks = tuple(_mark(path) for path in paths)
                if marks == self._seen.get(channel):
                    continue
                contents = [path.read_bytes() for path in paths]
            except OSError as error:
                if channel not in self._missing:
                    log.warning("document_missing", channel=channel, detail=str(error))
                self._missing.add(channel)
                continue
            self._missing.discard(channel)
            self._seen[channel] = marks
            found.append((channel, contents[0] if channel is Down.TRUST else cbor.encode(contents)))
        return found


def _mark(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size
