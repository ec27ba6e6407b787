"""The keys and lists that this device trusts: roots from a file, lists from its store.

Every list is verified again when it is read (law 4): the store is a cache, not an authority.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edge.store import documents
from edge.store.database.store import Store
from edge.token.roots import Roots, read_roots
from edge.token.signed_document import DocumentRefusal
from edge.token.status_list import StatusList, open_status_list
from edge.token.trust_list import TrustList, open_trust_list
from edge.values.instant import Instant

NO_TRUST = TrustList(version=0, issued_at_s=0, expires_at_s=2**33, keys=())


@dataclass(frozen=True, slots=True)
class RootsFileRefusal:
    """A roots file that cannot be used."""

    where: str  # the file, or the setting that names it
    detail: str  # what is wrong, and what to do now

    def __str__(self) -> str:
        return f"{self.where}: {self.detail}"


def load_roots(path: Path) -> Roots | RootsFileRefusal:
    """Return the roots in ``path``."""
    try:
        roots = read_roots(path.read_bytes())
    except OSError as error:
        return RootsFileRefusal(
            str(path), f"{error.strerror}: enrol this device, or copy its fleet's roots file there"
        )
    except ValueError:  # a NUL in its name
        return RootsFileRefusal(
            "trust.roots_file",
            f"{str(path)!r} cannot be a file's name: name the fleet's roots file",
        )
    if isinstance(roots, DocumentRefusal):
        return RootsFileRefusal(str(path), f"{roots}: copy the fleet's roots file there again")
    return roots


class Anchors:
    """The lists that verification rests on.

    Call ``refresh`` after another process has committed.
    """

    def __init__(self, store: Store, roots: Roots) -> None:
        self._store = store
        self._roots = roots
        self.trust: TrustList = NO_TRUST
        self.status: Mapping[bytes, StatusList] = MappingProxyType({})

    def refresh(self, now: Instant) -> dict[str, str]:
        """Read and verify the lists again; return what is wrong with them, by problem name.

        A list that is refused leaves the last good one in force. Raises StoreUnavailableError.
        """
        problems: dict[str, str] = {}
        stored = documents.find_document(self._store, documents.TRUST_LIST)
        if stored is None:
            problems["no_trust_list"] = (
                "no trust list yet: connect the device, or wait for edge-sync"
            )
            return problems
        trust = open_trust_list(stored.raw, roots=self._roots, now=now)
        if isinstance(trust, DocumentRefusal):
            problems["trust_list_refused"] = str(trust)
            return problems
        self.trust = trust
        statuses: dict[bytes, StatusList] = {}
        for document in documents.documents_named(self._store, documents.status_list_name(b"")):
            status = open_status_list(document.raw, keys=trust, now=now)
            if isinstance(status, DocumentRefusal):
                problems[f"{document.name}_refused"] = str(status)
            else:
                statuses[status.kid] = status
        self.status = MappingProxyType(statuses)
        return problems
