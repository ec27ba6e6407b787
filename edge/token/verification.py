"""Open a token: text in, ``Claims`` or a ``TokenRefusal`` out, the checks in one fixed order.

Length, prefix, base45, COSE structure, headers, key, signature, payload, claims, scope,
audience, time, lists, status, dynamic code. Nothing in the payload is used before the
signature holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from edge.token import base45, cose, dynamic_code
from edge.token.claims import Claims, Kind, TokenRefusal
from edge.token.claims_set import LARGEST_PAYLOAD, read_claims
from edge.token.purpose import Purpose
from edge.token.rejection import InputRefused, Rejection
from edge.token.status_list import StatusList
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey
from edge.values.instant import ClockTrust, Instant

LONGEST_TEXT: Final = 512  # characters
_DAY_S: Final = 86_400
LONGEST_LIFETIME_S: Final = MappingProxyType(
    {Kind.WRITE_OFF: 5 * 366 * _DAY_S, Kind.PICKUP: 366 * _DAY_S, Kind.OPERATOR: 366 * _DAY_S}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyPolicy:
    """Limits and exceptions of verification on this device."""

    issuers: frozenset[str] = (
        frozenset()
    )  # a further restriction of iss; empty: as the trust list says
    floor_only_kinds: frozenset[Kind] = frozenset({Kind.PICKUP})  # accepted on the time floor alone
    longest_lifetime_s: Mapping[Kind, int] = field(
        default_factory=lambda: LONGEST_LIFETIME_S
    )  # exp - nbf
    trust_list_max_age_s: int | None = 30 * _DAY_S  # None: until the list expires
    status_list_max_age_s: int | None = 7 * _DAY_S
    status_required: bool = True  # a token with a status index needs a list at hand
    group_keys: Mapping[bytes, bytes] = field(
        default_factory=dict, repr=False
    )  # by kid; secret, for dynamic mode 1


def open_token(
    text: bytes,
    *,
    trust: TrustList,
    status: Mapping[bytes, StatusList],
    now: Instant,
    audiences: frozenset[str] | None,
    policy: VerifyPolicy,
) -> Claims | TokenRefusal:
    """Return the claims of the code ``text``, or why it is refused. Never raises for any ``text``.

    ``text`` is bytes as decoded, unstripped (TypeError for a str: it could have lost bytes).
    ``status`` holds the status list of each issuer key by kid. ``audiences`` are this
    device's site and groups; None, for tools only, accepts any audience.
    """
    if not isinstance(text, bytes):
        raise TypeError("a token is bytes, exactly as decoded")
    claims: Claims | None = None
    try:
        framed, message = _unwrap(text)
        key = _find_key(message, trust, now)
        claims = read_claims(_signed_payload(message, key), key.kid)
        _check_bounds(claims, key, policy)
        if audiences is not None and claims.audience not in audiences:
            raise InputRefused(Rejection.AUDIENCE, "the token is for another site or device group")
        _check_time(claims, now, policy)
        _check_lists(claims, trust, status, now, policy)
        dynamic_code.check(claims, framed, now, policy.group_keys.get(claims.kid))
    except InputRefused as refused:
        return TokenRefusal(reason=refused.reason, detail=refused.detail, claims=claims)
    return claims


def check_again(
    claims: Claims,
    *,
    trust: TrustList,
    status: Mapping[bytes, StatusList],
    now: Instant,
    policy: VerifyPolicy,
) -> TokenRefusal | None:
    """Return why claims that were verified before no longer hold now, or None if they do."""
    try:
        key = trust.find(claims.kid)
        if key is None or not key.in_window(now):
            raise InputRefused(
                Rejection.KEY_UNKNOWN, f"key {claims.kid.hex()} is no longer trusted"
            )
        _check_bounds(claims, key, policy)
        _check_time(claims, now, policy)
        _check_lists(claims, trust, status, now, policy)
    except InputRefused as refused:
        return TokenRefusal(reason=refused.reason, detail=refused.detail, claims=claims)
    return None


def _unwrap(text: bytes) -> tuple[dynamic_code.FramedCode, cose.Sign1]:
    if len(text) > LONGEST_TEXT:
        raise InputRefused(Rejection.TOO_LONG, f"the code has more than {LONGEST_TEXT} characters")
    framed = dynamic_code.split(text)
    try:
        message = base45.decode(framed.token)
    except base45.Base45Error as error:
        raise InputRefused(Rejection.BASE45_INVALID, str(error)) from None
    return framed, cose.parse(message, cose.STRICT)


def _find_key(message: cose.Sign1, trust: TrustList, now: Instant) -> TrustedKey:
    key = trust.find_by_header(message.protected)
    if key is None:
        raise _header_fault(message, trust)
    if Purpose.TOKEN not in key.purposes:
        raise InputRefused(Rejection.KEY_SCOPE, f"key {key.kid.hex()} does not sign tokens")
    if not key.in_window(now):
        raise InputRefused(Rejection.KEY_WINDOW, f"key {key.kid.hex()} is outside its window")
    return key


def _header_fault(message: cose.Sign1, trust: TrustList) -> InputRefused:
    """Say why a protected header is none of the trust list's."""
    headers = cose.protected_headers(message, cose.STRICT)
    kid, alg = headers.get(cose.KID), headers.get(cose.ALG)
    if headers.keys() != {cose.ALG, cose.KID} or type(kid) is not bytes or type(alg) is not int:
        return InputRefused(
            Rejection.HEADER_SET, "the protected header is not exactly an alg and a kid"
        )
    if trust.find(kid) is None:
        return InputRefused(Rejection.KEY_UNKNOWN, f"no trusted key has kid {kid.hex():.40}")
    return InputRefused(
        Rejection.ALG_MISMATCH, f"key {kid.hex()} does not sign with algorithm {alg}"
    )


def _signed_payload(message: cose.Sign1, key: TrustedKey) -> bytes:
    payload = message.payload
    assert payload is not None  # the strict policy allows no detached payload
    if len(payload) > LARGEST_PAYLOAD:
        raise InputRefused(Rejection.TOO_LONG, f"the payload has more than {LARGEST_PAYLOAD} bytes")
    if not key.key.verifies(message.signature, cose.signed_bytes(key.token_prefix, payload)):
        raise InputRefused(Rejection.SIGNATURE_INVALID, f"not signed by key {key.kid.hex()}")
    return payload


def _check_bounds(claims: Claims, key: TrustedKey, policy: VerifyPolicy) -> None:
    """Hold the claims to the bounds of their issuer's key."""
    longest_s = policy.longest_lifetime_s.get(claims.kind, LONGEST_LIFETIME_S[claims.kind])
    if claims.expires_at_s - claims.not_before_s > longest_s:
        raise InputRefused(
            Rejection.CLAIM_RANGE, f"a {claims.kind.code} token cannot live that long"
        )
    if claims.kind not in key.kinds:
        raise InputRefused(
            Rejection.KEY_SCOPE, f"key {key.kid.hex()} does not sign {claims.kind.code} tokens"
        )
    if key.audiences is not None and claims.audience not in key.audiences:
        raise InputRefused(
            Rejection.KEY_SCOPE, f"key {key.kid.hex()} does not sign for this audience"
        )
    largest = key.largest_amount_minor
    if largest is not None and claims.amount_minor is not None and claims.amount_minor > largest:
        raise InputRefused(
            Rejection.KEY_SCOPE, f"key {key.kid.hex()} does not sign amounts above {largest}"
        )
    if claims.issuer not in key.issuers or (policy.issuers and claims.issuer not in policy.issuers):
        raise InputRefused(Rejection.ISSUER, f"key {key.kid.hex()} does not speak for this issuer")


def _check_time(claims: Claims, now: Instant, policy: VerifyPolicy) -> None:
    """Check the window. An untrusted clock can prove "expired", never the opposite."""
    if now.unix_s < claims.not_before_s and now.trust is ClockTrust.TRUSTED:
        raise InputRefused(Rejection.NOT_YET_VALID, f"valid from {claims.not_before_s}")
    if now.unix_s >= claims.expires_at_s:
        raise InputRefused(Rejection.EXPIRED, f"expired at {claims.expires_at_s}")
    if now.trust is not ClockTrust.TRUSTED and claims.kind not in policy.floor_only_kinds:
        raise InputRefused(Rejection.TIME_UNTRUSTED, f"a {claims.kind.code} needs a trusted clock")


def _check_lists(
    claims: Claims,
    trust: TrustList,
    status: Mapping[bytes, StatusList],
    now: Instant,
    policy: VerifyPolicy,
) -> None:
    if trust.is_stale(now, policy.trust_list_max_age_s):
        raise InputRefused(
            Rejection.TRUST_LIST_STALE,
            f"trust list {trust.version} is too old: this device must sync",
        )
    if claims.status_index is None:
        return
    statuses = status.get(claims.kid)
    if statuses is None:
        if policy.status_required:
            raise InputRefused(
                Rejection.STATUS_STALE, f"no status list of key {claims.kid.hex()} is here"
            )
        return
    if statuses.is_stale(now, policy.status_list_max_age_s):
        raise InputRefused(
            Rejection.STATUS_STALE,
            f"status list {statuses.version} is too old: this device must sync",
        )
    match statuses.is_revoked(claims.status_index):
        case None:
            raise InputRefused(
                Rejection.STATUS_STALE, f"status list {statuses.version} does not reach this token"
            )
        case True:
            raise InputRefused(Rejection.REVOKED, f"revoked by status list {statuses.version}")
