"""Mutate good tokens and watch the verifier.

Run it with ``python -m tests.support.token_mutations --seconds N [--seed N]``.

Two hostile worlds. A stranger changes the text or the bytes of a good token, without a key: no
mutant may be accepted. A careless issuer signs what a mutated payload says: it may be accepted
only if it is exactly a claims set of the profile. In both, nothing but a refusal comes out.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from edge.token import base45, cbor, cose
from edge.token.claims import TokenRefusal
from edge.token.claims_set import read_claims, write_claims
from tests.support.token_factory import ISSUER_P256, ed25519, scan, sign_raw, token, wrap

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
TOKENS = (
    token(),
    token(ISSUER_P256),
    token(amount_minor=2599, currency="EUR", flags=3, issued_at_s=1_800_000_000 - 60),
    token(dynamic_mode=2, holder=ed25519("holder").public),
)
PAYLOADS = tuple(cose.parse(base45.decode(text[4:]), cose.STRICT).payload or b"" for text in TOKENS)
INTERESTING = [
    *(bytes((number,)) for number in range(256)),
    *map(
        bytes.fromhex,
        (
            "1800",
            "1817",
            "190000",
            "1a00000000",
            "1b0000000000000000",
            "1bffffffffffffffff",
            "3800",
        ),
    ),
    *map(
        bytes.fromhex,
        (
            "f97e00",
            "fa7fc00000",
            "fb7ff0000000000000",
            "5f",
            "7f",
            "9f",
            "bf",
            "ff",
            "c1",
            "d2",
            "d83d",
        ),
    ),
    *map(
        bytes.fromhex,
        ("d28443a10126a0", "5840", "a0", "80", "a10101", "f5", "f6", "9bffffffffffffffff"),
    ),
]
ITEMS = [
    *(0, 1, -1, 23, 24, 2**33, 2**64 - 1, -(2**64), True, False, None),
    *(b"", b"x" * 16, "", "a", "a" * 41, "\x00", "é", [], {}, [[[]]], {1: 1}, {2: {}}),
]


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """Flip, insert, delete, repeat, swap or splice; one to three times."""
    mutant = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at, other = chance.randrange(len(mutant) + 1), chance.randrange(len(mutant) + 1)
        low, high = min(at, other), max(at, other)
        match chance.randrange(7):
            case 0 if at < len(mutant):
                mutant[at] ^= 1 << chance.randrange(8)
            case 1:
                mutant[at:at] = chance.choice(INTERESTING)
            case 2:
                del mutant[at : at + chance.choice((1, 1, 2, 8))]
            case 3:
                mutant[at:at] = mutant[low : min(high, low + 20)]
            case 4:
                piece = chance.choice(INTERESTING)
                mutant[at : at + len(piece)] = piece
            case 5:
                mutant = mutant[:at]
            case _:
                mutant += chance.choice(INTERESTING)
        if not mutant:
            return b""
    return bytes(mutant)


def mutate_item(item: cbor.Item, chance: random.Random) -> cbor.Item:
    """Change one place of a decoded payload: another value, key or entry, or one removed."""
    if isinstance(item, dict) and item and chance.random() < 0.85:
        changed = dict(item)
        key = chance.choice(list(changed))
        match chance.randrange(5):
            case 0:
                del changed[key]
            case 1:
                changed[chance.choice((0, 2, 8, 9, -1, -65537, -65538, "exp", b"\x04"))] = (
                    chance.choice(ITEMS)
                )
            case 2 if isinstance(changed[key], int):
                changed[key] += chance.choice((-1, 1, 2**31, -(2**31), 2**33))
            case _:
                changed[key] = mutate_item(changed[key], chance)
        return changed
    return chance.choice(ITEMS)


def stranger(chance: random.Random) -> bytes:
    """Return a mutant of a good token, unsigned, in its text or in its bytes."""
    text = chance.choice(TOKENS)
    if chance.random() < 0.3:
        return mutate_bytes(text, chance)
    return b"ES1:" + base45.encode(mutate_bytes(base45.decode(text[4:]), chance))


def careless_issuer(chance: random.Random) -> bytes:
    """Return a token over a mutated payload, correctly signed."""
    encoded = chance.choice(PAYLOADS)
    if chance.random() < 0.5:
        return sign_raw(mutate_bytes(encoded, chance))
    item = mutate_item(cbor.decode(encoded, cbor.TOKEN_LIMITS), chance)
    try:
        return sign_raw(cbor.encode(item))
    except TypeError:  # an integer that grew beyond CBOR's
        return wrap(b"")


def is_malleable_twin(text: bytes) -> bool:
    """Return whether ``text`` is a good ES256 token with n - s for s.

    It is the one other text that may verify.
    """
    message, good = base45.decode(text[4:]), base45.decode(TOKENS[1][4:])
    s, t = int.from_bytes(message[-32:], "big"), int.from_bytes(good[-32:], "big")
    return message[:-32] == good[:-32] and s == P256_ORDER - t


def check_stranger(text: bytes) -> str:
    """Return the reason, or "as it was" for a mutant equal to a good token.

    Raises AssertionError for a mutant that is accepted.
    """
    outcome = scan(text)
    if text in TOKENS:
        return "as it was"
    if isinstance(outcome, TokenRefusal):
        assert outcome.claims is None or outcome.claims.dynamic_mode, (
            f"claims of an unsigned token: {text!r}"
        )
        return outcome.reason.value
    assert is_malleable_twin(text), f"a mutant is believed: {text!r}"
    return "malleable twin"


def check_issuer(text: bytes) -> str:
    """Return the reason or "accepted".

    Raises AssertionError for an accepted payload that breaks the profile.
    """
    outcome = scan(text)
    if isinstance(outcome, TokenRefusal):
        return outcome.reason.value
    assert read_claims(write_claims(outcome), outcome.kid) == outcome, (
        f"not of the profile: {text!r}"
    )
    return "accepted"


WORLDS: tuple[tuple[Callable[[random.Random], bytes], Callable[[bytes], str]], ...] = (
    (stranger, check_stranger),
    (careless_issuer, check_issuer),
)


def until_over(seconds: float) -> Iterator[None]:
    """Yield turns for ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield


def run(turns: Iterable[object], seed: int) -> Counter[str]:
    """Fuzz once in each world a turn; return how often each outcome came, by world and reason."""
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for _ in turns:
        for make, check in WORLDS:
            text = make(chance)
            outcomes[f"{make.__name__}: {check(text)}"] += 1
    return outcomes


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.token_mutations", description=__doc__
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", file=sys.stderr)
    outcomes = run(until_over(arguments.seconds), arguments.seed)
    for outcome, times in sorted(outcomes.items()):
        print(f"{times:>9}  {outcome}")
    print(f"{outcomes.total():>9}  in all, none believed that should not be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
