"""From a code's text to its claims, against one bare signature verification of ``cryptography``.

Ours and the peer alternate, a token at a time, so that other load slows both alike and an
interruption affects few turns. The figures are medians over the turns.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Iterator
from time import perf_counter_ns

import base45 as ready_made_base45
import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from benchmarks.measurement import Measurement
from edge.token import base45, cose
from edge.token.claims import Claims, Kind
from edge.token.issuing import TokenRequest, issue_token
from edge.token.keys import PrivateKey, Signer, signer
from edge.token.purpose import Purpose
from edge.token.status_list import StatusList, status_list
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey
from edge.token.verification import VerifyPolicy, open_token
from edge.values.instant import Instant

TURNS = 6000
WARM_UP = 200
TOKENS = 40  # different tokens, used in turn
NOW_S = 1_800_000_000

Work = Callable[[int], None]  # the number of a token in


def measure() -> Iterator[Measurement]:
    """Yield the cost of a token, in microseconds, for each algorithm."""
    for name, private in (
        ("Ed25519", Ed25519PrivateKey.generate()),
        ("ESP256", ec.generate_private_key(ec.SECP256R1())),
    ):
        issuer = signer(private)
        texts = [_token(issuer, number) for number in range(TOKENS)]
        ours_ns, bare_ns, ready_ns = _interleave(
            _open_all(texts, issuer), _verify_all(texts, private, issuer), _library_decoders(texts)
        )
        bare = f"bare cryptography {name} verify"
        yield Measurement(
            f"token {name}: text to claims", _us(ours_ns), "us", bare, _ratio(ours_ns, bare_ns)
        )
        calm_ours, calm_bare = _calm(ours_ns), _calm(bare_ns)
        yield Measurement(
            f"token {name}: the same, undisturbed",
            _us(calm_ours),
            "us",
            bare,
            _ratio(calm_ours, calm_bare),
        )
        yield Measurement(f"token {name}: the peer itself", _us(bare_ns), "us")
        yield Measurement(f"token {name}: base45 + cbor2, unverified", _us(ready_ns), "us")
        yield _beyond_signature(name, ours_ns, bare_ns, ready_ns)


def _beyond_signature(
    name: str, ours_ns: list[int], bare_ns: list[int], ready_ns: list[int]
) -> Measurement:
    ours = [ours - bare for ours, bare in zip(ours_ns, bare_ns, strict=True)]
    return Measurement(
        f"token {name}: ours beyond the signature",
        _us(ours),
        "us",
        "base45 + cbor2 decode",
        _ratio(ours, ready_ns),
    )


def _interleave(*works: Work) -> list[list[int]]:
    """Return each work's nanoseconds, a turn an entry; who goes first moves on each turn."""
    taken: list[list[int]] = [[] for _ in works]
    for number in range(WARM_UP + TURNS):
        for turn in range(len(works)):
            which = (number + turn) % len(works)
            start = perf_counter_ns()
            works[which](number % TOKENS)
            taken[which].append(perf_counter_ns() - start)
    return [turns[WARM_UP:] for turns in taken]


def _calm(turns_ns: list[int]) -> list[int]:
    """Return the fastest fifth of the turns: those in which other programs disturbed least."""
    return sorted(turns_ns)[: len(turns_ns) // 5]


def _us(turns_ns: list[int]) -> float:
    return statistics.median(turns_ns) / 1000


def _ratio(ours_ns: list[int], peer_ns: list[int]) -> float:
    return statistics.median(ours_ns) / statistics.median(peer_ns)


def _token(issuer: Signer, number: int) -> bytes:
    grant = TokenRequest(
        cti=hashlib.sha256(b"%d" % number).digest()[:16],
        issuer="platform",
        audience="shop-17",
        not_before_s=NOW_S - 3600,
        expires_at_s=NOW_S + 86_400,
        order_id=f"2026-11-{100_000 + number}",
        kind=Kind.WRITE_OFF,
        amount_minor=2599,
        currency="EUR",
        status_index=40_000 + number,
    )
    return issue_token(grant, issuer).encode()


def _open_all(texts: list[bytes], issuer: Signer) -> Work:
    kid = issuer.public.kid
    key = TrustedKey(
        key=issuer.public,
        purposes=frozenset({Purpose.TOKEN}),
        not_before_s=0,
        expires_at_s=2 * NOW_S,
        issuers=frozenset({"platform"}),
        kinds=frozenset(Kind),
        largest_amount_minor=10_000,
    )
    trust = TrustList(version=1, issued_at_s=NOW_S - 60, expires_at_s=NOW_S + 86_400, keys=(key,))
    revoked: StatusList = status_list(
        kid=kid,
        version=1,
        issued_at_s=NOW_S - 60,
        expires_at_s=NOW_S + 86_400,
        size=1_000_000,
        revoked=range(0, 999, 7),
    )
    now, policy, audiences = Instant(unix_s=NOW_S), VerifyPolicy(), frozenset({"shop-17", "kiosks"})

    def work(number: int) -> None:
        opened = open_token(
            texts[number],
            trust=trust,
            status={kid: revoked},
            now=now,
            audiences=audiences,
            policy=policy,
        )
        assert isinstance(opened, Claims)

    return work


def _verify_all(texts: list[bytes], private: PrivateKey, issuer: Signer) -> Work:
    """Return the peer: the signature check alone, with every input prepared."""
    prefix = cose.signed_prefix(cose.protected_header(issuer), Purpose.TOKEN.external_aad)
    parts = [cose.parse(base45.decode(text[4:]), cose.STRICT) for text in texts]
    prepared = [(part.signature, cose.signed_bytes(prefix, part.payload or b"")) for part in parts]
    public = private.public_key()
    if isinstance(public, Ed25519PublicKey):
        verify = public.verify

        return lambda number: verify(*prepared[number])
    return _verify_all_ecdsa(public, prepared)


def _verify_all_ecdsa(
    public: ec.EllipticCurvePublicKey, prepared: list[tuple[bytes, bytes]]
) -> Work:
    ecdsa = ec.ECDSA(hashes.SHA256())
    halves = [
        (int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"), message)
        for raw, message in prepared
    ]
    der = [(encode_dss_signature(r, s), message) for r, s, message in halves]

    return lambda number: public.verify(*der[number], ecdsa)


def _library_decoders(texts: list[bytes]) -> Work:
    """Return ready-made decoders on the same text: no strictness, no checks, no signature."""

    def work(number: int) -> None:
        cbor2.loads(cbor2.loads(ready_made_base45.b45decode(texts[number][4:])).value[2])

    return work
