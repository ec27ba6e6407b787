"""Identifiers that sort by time: UUIDv7, RFC 9562 section 5.7."""

from __future__ import annotations

from collections.abc import Callable

from edge.values.instant import Instant


def uuid7(unix_ms: int, random_10: bytes) -> str:
    """Return the UUIDv7 of ``unix_ms`` with 74 of the bits of ``random_10`` (10 bytes).

    >>> uuid7(0x017F22E279B0, bytes.fromhex("0CC318C4DC0C0C07398F"))  # RFC 9562 appendix A.6
    '017f22e2-79b0-7cc3-98c4-dc0c0c07398f'
    """
    time, noise = f"{unix_ms & 0xFFFFFFFFFFFF:012x}", random_10.hex()
    variant = "89ab"[int(noise[4], 16) & 3]
    return f"{time[:8]}-{time[8:]}-7{noise[1:4]}-{variant}{noise[5:8]}-{noise[8:20]}"


def event_id(now: Instant, random_bytes: Callable[[int], bytes]) -> str:
    """Return the id of an event that happens ``now``; ``random_bytes(n)`` returns n random bytes.

    >>> event_id(Instant(unix_s=1_800_000_000), bytes)
    '01a3185c-5000-7000-8000-000000000000'
    """
    return uuid7(now.unix_s * 1000, random_bytes(10))
