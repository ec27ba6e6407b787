"""PINs as argon2id hashes (RFC 9106). The platform makes them, the device checks them."""

from __future__ import annotations

from typing import Final

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

SHORTEST, LONGEST = 6, 12  # digits
LONGEST_HASH: Final = 200  # characters
# The choice of OWASP's Password Storage Cheat Sheet for 19 MiB. argon2-cffi takes the salt from the
# system.
_HASHER: Final = PasswordHasher(
    time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
)
_LEAST_KIB, _MOST_KIB = 19_456, 131_072  # more than that, and a small device cannot check it
_LEAST_PASSES, _MOST_PASSES = 2, 10
_MOST_LANES: Final = 4
_RUN: Final = "01234567890123456789"


def pin_fault(pin: str) -> str | None:
    """Return what is wrong with a PIN that a person chose, or None."""
    if not (pin.isascii() and pin.isdigit() and SHORTEST <= len(pin) <= LONGEST):
        return f"a PIN is {SHORTEST} to {LONGEST} digits"
    if len(set(pin)) < 3 or pin in _RUN or pin in _RUN[::-1]:
        return "this PIN is easy to guess: choose another"
    return None


def hash_pin(pin: str) -> str:
    """Return the argon2id hash of ``pin``. Raises ValueError for what ``pin_fault`` names."""
    if fault := pin_fault(pin):
        raise ValueError(fault)
    return _HASHER.hash(pin)


def hash_fault(pin_hash: str) -> str | None:
    """Return what is wrong with a hash from outside, or None.

    It may be of another kind, too weak, or too costly for a device.
    """
    if len(pin_hash) > LONGEST_HASH:
        return "longer than an argon2id hash"
    try:
        given = extract_parameters(pin_hash)
    except (InvalidHashError, ValueError):
        return "not an argon2 hash"
    if given.type is not Type.ID:
        return "not argon2id"
    heavy_enough = given.memory_cost >= _LEAST_KIB and given.time_cost >= _LEAST_PASSES
    light_enough = given.memory_cost <= _MOST_KIB and given.time_cost <= _MOST_PASSES
    if not (heavy_enough and light_enough and 1 <= given.parallelism <= _MOST_LANES):
        return "its cost is not within the bounds: 19 to 128 MiB, 2 to 10 passes, 1 to 4 lanes"
    if given.hash_len < 16 or given.salt_len < 8:
        return "its hash or salt is too short"
    return None


def pin_matches(pin: str, pin_hash: str) -> bool:
    """Return whether ``pin`` is the one that was hashed. Slow on purpose; never raises."""
    try:
        return _HASHER.verify(pin_hash, pin)
    except (VerificationError, InvalidHashError, UnicodeError, ValueError):
        return False
