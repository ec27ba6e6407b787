"""Why a code was refused before any store was asked. One code a reason (law 8)."""

from __future__ import annotations

from enum import StrEnum


class Rejection(StrEnum):
    """Reason codes of the verifier, in the order in which they are tested."""

    TOO_LONG = "too_long"
    PREFIX_UNKNOWN = "prefix_unknown"
    BASE45_INVALID = "base45_invalid"
    CBOR_TRUNCATED = "cbor_truncated"
    CBOR_TRAILING = "cbor_trailing"
    CBOR_NOT_SHORTEST = "cbor_not_shortest"
    CBOR_INDEFINITE = "cbor_indefinite"
    CBOR_KEY_ORDER_OR_DUPLICATE = "cbor_key_order_or_duplicate"
    CBOR_TYPE = "cbor_type"
    CBOR_DEPTH = "cbor_depth"
    CBOR_UTF8 = "cbor_utf8"
    COSE_STRUCTURE = "cose_structure"
    UNPROTECTED_NOT_EMPTY = "unprotected_not_empty"
    HEADER_SET = "header_set"
    KEY_UNKNOWN = "key_unknown"
    KEY_WINDOW = "key_window"
    KEY_SCOPE = "key_scope"
    ALG_MISMATCH = "alg_mismatch"
    SIGNATURE_INVALID = "signature_invalid"
    CLAIM_MISSING = "claim_missing"
    CLAIM_TYPE = "claim_type"
    CLAIM_RANGE = "claim_range"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    TIME_UNTRUSTED = "time_untrusted"
    TRUST_LIST_STALE = "trust_list_stale"
    STATUS_STALE = "status_stale"
    REVOKED = "revoked"
    DYNAMIC_MISSING = "dynamic_missing"
    DYNAMIC_STALE = "dynamic_stale"
    DYNAMIC_INVALID = "dynamic_invalid"
    HOLDER_PROOF = "holder_proof"


class InputRefused(Exception):  # noqa: N818 - an outcome of the world, raised and caught inside this room
    """Wrong input. ``open_token`` and ``open_document`` turn it into a value."""

    def __init__(self, reason: Rejection, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
