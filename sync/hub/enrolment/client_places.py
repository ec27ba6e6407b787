"""The places of the enrolment service's clients: a number in all, and a share for each address."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address, ip_address
from threading import Lock
from typing import Final

MOST: Final = 32
SHARE: Final = 8  # of one address: a shop's devices may come from one


class ClientPlaces:
    """Any thread may take and free places."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._alone = Lock()

    def take(self, address: str) -> bool:
        """Take a place for a client at ``address``. Return False when there is none for it."""
        owner = _owner_of(address)
        with self._alone:
            if self._taken.total() >= MOST or self._taken[owner] >= SHARE:
                return False
            self._taken[owner] += 1
            return True

    def free(self, address: str) -> None:
        """Free a place that was taken."""
        owner = _owner_of(address)
        with self._alone:
            self._taken[owner] -= 1
            if not self._taken[owner]:
                del self._taken[owner]


def _owner_of(address: str) -> str:
    """Return what stands for an address: of IPv6 its /64, all of which one party has.

    >>> _owner_of("192.0.2.7"), _owner_of("2001:db8:1:2::7")
    ('192.0.2.7', '2001:db8:1:2::')
    """
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
