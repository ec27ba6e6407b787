"""The claims set of the strict profile (RFC 8392): payload bytes to ``Claims`` and back.

Claims: 1 iss, 3 aud, 4 exp, 5 nbf, 6 iat (optional), 7 cti, 8 cnf (optional, RFC 8747), and
under one private label the entitlement. Nothing else may be in it.
"""

from __future__ import annotations

from typing import Final

from edge.token import cbor, fields
from edge.token.claims import Claims, Kind
from edge.token.keys import UnfitKeyError, from_cose_key
from edge.token.rejection import InputRefused, Rejection

LARGEST_PAYLOAD: Final = 240  # bytes
CTI_LENGTH: Final = 16
AMOUNT_END: Final = 2**53  # minor units; what every JSON reader keeps exact
QUANTITY_END: Final = 2**16
FLAGS_END: Final = 2**16
STATUS_INDEX_END: Final = 2**27  # a list of 16 MiB
DYNAMIC_HMAC, DYNAMIC_HOLDER = 1, 2

ISS, AUD, EXP, NBF, IAT, CTI, CNF = 1, 3, 4, 5, 6, 7, 8
ENTITLEMENT: Final = -65537  # private use is below -65536 (IANA "CWT Claims")
ORDER, KIND, QUANTITY, AMOUNT, CURRENCY, FLAGS, STATUS_INDEX, DYNAMIC = range(1, 9)
_CLAIMS: Final = frozenset({ISS, AUD, EXP, NBF, IAT, CTI, CNF, ENTITLEMENT})
_ENTITLEMENT: Final = frozenset(range(1, 9))
_COSE_KEY: Final = 1  # RFC 8747 section 3.1
_KINDS: Final = {int(kind): kind for kind in Kind}  # 1, 2, 3 without a gap


def read_claims(payload: bytes, kid: bytes) -> Claims:
    """Return the claims of a payload that ``kid`` signed.

    Raises InputRefused: ``cbor_*`` or ``claim_*``.
    """
    claims = fields.mapping(cbor.decode(payload, cbor.TOKEN_LIMITS), "the claims set", _CLAIMS)
    entitlement = fields.mapping(
        fields.required(claims, ENTITLEMENT, "entitlement"), "the entitlement", _ENTITLEMENT
    )
    not_before_s = fields.integer(claims, NBF, "nbf", 0, fields.TIME_END)
    expires_at_s = fields.integer(claims, EXP, "exp", 0, fields.TIME_END)
    issued_at_s = fields.integer(claims, IAT, "iat", 0, fields.TIME_END) if IAT in claims else None
    if expires_at_s <= not_before_s or (issued_at_s is not None and expires_at_s <= issued_at_s):
        raise InputRefused(Rejection.CLAIM_RANGE, "exp is not after nbf and iat")
    amount_minor, currency = _amount(entitlement)
    dynamic_mode, holder_key = _dynamic(entitlement, claims)
    return Claims(
        cti=_cti(claims),
        kid=kid,
        issuer=fields.text(claims, ISS, "iss"),
        audience=fields.text(claims, AUD, "aud"),
        not_before_s=not_before_s,
        expires_at_s=expires_at_s,
        issued_at_s=issued_at_s,
        order_id=fields.text(entitlement, ORDER, "order"),
        kind=_KINDS[fields.integer(entitlement, KIND, "kind", 1, len(_KINDS) + 1)],
        quantity=fields.integer(entitlement, QUANTITY, "quantity", 1, QUANTITY_END),
        amount_minor=amount_minor,
        currency=currency,
        flags=_optional(entitlement, FLAGS, "flags", FLAGS_END) or 0,
        status_index=_optional(entitlement, STATUS_INDEX, "status index", STATUS_INDEX_END),
        dynamic_mode=dynamic_mode,
        holder_key=holder_key,
    )


def write_claims(claims: Claims) -> bytes:
    """Return the payload of ``claims``: the inverse of ``read_claims``."""
    entitlement = {
        ORDER: claims.order_id,
        KIND: claims.kind,
        QUANTITY: claims.quantity,
        AMOUNT: claims.amount_minor,
        CURRENCY: claims.currency,
        FLAGS: claims.flags or None,
        STATUS_INDEX: claims.status_index,
        DYNAMIC: claims.dynamic_mode,
    }
    holder = (
        None
        if claims.holder_key is None
        else {_COSE_KEY: cbor.decode(claims.holder_key, cbor.TOKEN_LIMITS)}
    )
    payload = {
        ISS: claims.issuer,
        AUD: claims.audience,
        EXP: claims.expires_at_s,
        NBF: claims.not_before_s,
        IAT: claims.issued_at_s,
        CTI: claims.cti,
        CNF: holder,
        ENTITLEMENT: _present(entitlement),
    }
    return cbor.encode(_present(payload))


def _present(entries: dict[int, cbor.Item]) -> dict[int, cbor.Item]:
    return {label: value for label, value in entries.items() if value is not None}


def _cti(claims: dict[cbor.Item, cbor.Item]) -> bytes:
    cti = fields.octets(claims, CTI, "cti")
    if len(cti) != CTI_LENGTH:
        raise InputRefused(Rejection.CLAIM_RANGE, f"cti is not {CTI_LENGTH} bytes")
    return cti


def _optional(
    entitlement: dict[cbor.Item, cbor.Item], label: int, name: str, end: int
) -> int | None:
    return fields.integer(entitlement, label, name, 0, end) if label in entitlement else None


def _amount(entitlement: dict[cbor.Item, cbor.Item]) -> tuple[int | None, str | None]:
    if AMOUNT not in entitlement and CURRENCY not in entitlement:
        return None, None
    amount_minor = fields.integer(
        entitlement, AMOUNT, "amount, which a currency needs", 0, AMOUNT_END
    )
    currency = fields.text(entitlement, CURRENCY, "currency, which an amount needs")
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        raise InputRefused(
            Rejection.CLAIM_RANGE, "currency is not three capital letters (ISO 4217)"
        )
    return amount_minor, currency


def _dynamic(
    entitlement: dict[cbor.Item, cbor.Item], claims: dict[cbor.Item, cbor.Item]
) -> tuple[int | None, bytes | None]:
    mode = None
    if DYNAMIC in entitlement:
        mode = fields.integer(
            entitlement, DYNAMIC, "dynamic mode", DYNAMIC_HMAC, DYNAMIC_HOLDER + 1
        )
    if CNF in claims:
        return mode, _holder_key(claims[CNF])
    if mode == DYNAMIC_HOLDER:
        raise InputRefused(
            Rejection.CLAIM_MISSING, "cnf is missing: dynamic mode 2 needs the holder's key"
        )
    return mode, None


def _holder_key(value: cbor.Item) -> bytes:
    confirmation = fields.mapping(value, "cnf", frozenset({_COSE_KEY}))
    try:
        return from_cose_key(fields.required(confirmation, _COSE_KEY, "COSE_Key")).cose_key
    except UnfitKeyError as unfit:
        raise InputRefused(Rejection.CLAIM_RANGE, f"cnf: {unfit}") from None
