"""UUIDs that sort by time (RFC 9562 section 5.7), from a time and randomness that the caller gives."""

from __future__ import annotations


def uuid7(unix_ms: int, random_10: bytes) -> str:
    """Return the UUIDv7 of ``unix_ms`` with 74 of the bits of ``random_10`` (10 bytes).

    >>> uuid7(0x017F22E279B0, bytes.fromhex("0CC3" "18C4DC0C0C07398F"))  # RFC 9562 appendix A.6
    '017f22e2-79b0-7cc3-98c4-dc0c0c07398f'
    """
    number = (unix_ms & (1 << 48) - 1) << 80 | int.from_bytes(random_10, "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
