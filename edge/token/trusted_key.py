"""A public key together with what it may sign."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.token import cbor, cose
from edge.token.claims import Kind
from edge.token.keys import PublicKey
from edge.token.purpose import Purpose
from edge.values.instant import ClockTrust, Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """One key of the trust list, or a root. The last four fields bound an issuer's tokens."""

    key: PublicKey
    purposes: frozenset[Purpose]
    not_before_s: int  # Unix seconds, inclusive
    expires_at_s: int  # Unix seconds, exclusive
    # The ``iss`` that it may write; for a review key, the person who owns it.
    issuers: frozenset[str] = frozenset()
    # The ``aud`` that it may write, or the sites whose grants it may sign; None: any.
    audiences: frozenset[str] | None = None
    kinds: frozenset[Kind] = frozenset()
    largest_amount_minor: int | None = None  # None: no bound
    protected: bytes = field(init=False, repr=False)  # the only protected header it may sign under
    token_prefix: bytes = field(init=False, repr=False)  # of the Sig_structure of its tokens

    def __post_init__(self) -> None:
        protected = cbor.encode({cose.ALG: self.key.algorithm, cose.KID: self.key.kid})
        object.__setattr__(self, "protected", protected)
        object.__setattr__(
            self, "token_prefix", cose.signed_prefix(protected, Purpose.TOKEN.external_aad)
        )

    @property
    def kid(self) -> bytes:
        """Return the first 4 bytes of the key's thumbprint."""
        return self.key.kid

    def in_window(self, now: Instant) -> bool:
        """Return whether the key is valid now. An untrusted clock only proves expiry."""
        if now.unix_s >= self.expires_at_s:
            return False
        return now.trust is ClockTrust.FLOOR_ONLY or now.unix_s >= self.not_before_s
