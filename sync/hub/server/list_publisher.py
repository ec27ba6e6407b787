"""Signed lists that the hub publishes from files. It holds none of their keys."""

from __future__ import annotations

from pathlib import Path

from structlog.typing import FilteringBoundLogger

from edge.system.file_version import FileVersion, file_version
from edge.token import cbor
from edge.values.node_name import FLEET
from sync.hub.config import HubDocuments
from sync.hub.fleet.operator_lists import FOLDER as OPERATOR_LISTS
from sync.hub.fleet.operator_lists import pushed_lists
from sync.hub.fleet.status_lists import FOLDER as STATUS_LISTS
from sync.hub.fleet.status_lists import published_lists
from sync.wire.topics import Down, site_group

Destination = tuple[str, Down]  # a node and a channel


class ListPublisher:
    """Watches the files of the trust list, the status lists and the operator lists.

    A file is read again when it is replaced.
    """

    def __init__(self, documents: HubDocuments, pushed: Path | None = None) -> None:
        """Watch ``documents`` and what operations pushed.

        ``pushed`` is the hub's data folder, with the operator lists and status lists in it.
        """
        self._pushed = pushed
        self._named_status_lists = tuple(Path(name) for name in documents.status_list_files)
        self._files: dict[Destination, tuple[Path, ...]] = {
            (FLEET, Down.TRUST): (Path(documents.trust_list_file),),
            (FLEET, Down.REVOKED): self._named_status_lists,
        }
        for item in documents.operators:  # to its site alone: no other site may read its hashes
            self._files[site_group(item.site), Down.OPERATORS] = (Path(item.file),)
        self._seen: dict[Destination, tuple[FileVersion | None, ...]] = {}
        self._missing: set[Destination] = set()

    def start_over(self) -> None:
        """Publish everything again: a broker may have come back with an empty store."""
        self._seen.clear()

    def _find_pushed(self, data: Path) -> None:
        for site, path in pushed_lists(data / OPERATOR_LISTS).items():
            self._files.setdefault((site_group(site), Down.OPERATORS), (path,))
        published = published_lists(data / STATUS_LISTS)
        self._files[FLEET, Down.REVOKED] = (*self._named_status_lists, *published)

    def changed(self, log: FilteringBoundLogger) -> list[tuple[str, Down, bytes]]:
        """Return each node and channel whose files are new, with the payload to retain there."""
        if self._pushed is not None:
            self._find_pushed(self._pushed)
        found = []
        for place, paths in self._files.items():
            node, channel = place
            if not paths:
                continue
            try:
                versions = tuple(file_version(path) for path in paths)
                if versions == self._seen.get(place):
                    continue
                contents = [path.read_bytes() for path in paths]
            except OSError as error:
                if place not in self._missing:
                    log.warning("document_missing", channel=channel, detail=str(error))
                self._missing.add(place)
                continue
            self._missing.discard(place)
            self._seen[place] = versions
            found.append(
                (node, channel, cbor.encode(contents) if channel is Down.REVOKED else contents[0])
            )
        return found
