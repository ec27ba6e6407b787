"""What ready-made decoders let through (the design's list), each held against ours."""

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from edge.token import base45, cbor
from edge.token.claims import Claims
from tests.support.token_factory import (
    ISSUER,
    ISSUER_P256,
    NOW_S,
    payload,
    reason,
    scan,
    sign_raw,
    token,
    wrap,
)

ENTITLEMENT = -65537
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def changed(**labels):
    """Return a correctly signed token with changed claims.

    ``c4`` is claim 4, ``e3`` the entitlement's 3; an ellipsis removes the claim.
    """
    claims = payload()
    for name, value in labels.items():
        where = claims if name[0] == "c" else claims[ENTITLEMENT]
        where[int(name[1:])] = value
        if value is ...:
            del where[int(name[1:])]
    return sign_raw(cbor.encode(claims))


def test_the_unchanged_token_of_these_tests_is_good():
    assert reason(changed()) == "accepted"


# --- cwt 3.3.0's list ----------------------------------------------------------------------------


def test_an_unsigned_map_of_claims_is_refused():
    assert reason(wrap(cbor.encode(payload()))) == "cose_structure"


def test_trailing_bytes_after_the_message_or_the_payload_are_refused():
    assert reason(wrap(base45.decode(token()[4:]) + b"\x00")) == "cbor_trailing"
    assert reason(sign_raw(cbor.encode(payload()) + b"\x00")) == "cbor_trailing"


def test_a_second_exp_cannot_revive_an_expired_token():
    claims = payload()
    old, new = cbor.encode({4: NOW_S - 1})[1:], cbor.encode({4: claims[4]})[1:]
    encoded = cbor.encode(claims)
    twice = bytes((encoded[0] + 1,)) + encoded[1:].replace(new, old + new)
    assert cbor2.loads(twice)[4] == claims[4]  # the last one wins there
    assert reason(sign_raw(twice)) == "cbor_key_order_or_duplicate"


@pytest.mark.parametrize("time", [float("nan"), float("inf"), float("-inf"), 1.8e9, 2.0**32])
@pytest.mark.parametrize("claim", [4, 5, 6])
def test_nan_infinite_and_fractional_times_are_refused(claim, time):
    claims = payload()
    claims[claim] = time
    ordered = {label: claims[label] for label in sorted(claims, key=cbor.encode)}
    assert reason(sign_raw(cbor2.dumps(ordered))) == "cbor_type"


def test_indefinite_lengths_are_refused():
    encoded = cbor.encode(payload())
    assert reason(sign_raw(b"\xbf" + encoded[1:] + b"\xff")) == "cbor_indefinite"
    chunked = encoded.replace(b"\x68platform", b"\x7f\x64plat\x64form\xff")
    assert reason(sign_raw(chunked)) == "cbor_indefinite"


def test_two_hundred_nested_layers_are_refused():
    assert reason(sign_raw(b"\x81" * 200 + b"\x00")) == "cbor_depth"
    assert reason(sign_raw(b"\xd8\x3d" * 100 + cbor.encode({}))) == "cbor_type"


# --- cbor2's list --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        pytest.param("a1011817", "cbor_not_shortest", id="non-shortest integer"),
        pytest.param("a203000100", "cbor_key_order_or_duplicate", id="unsorted keys"),
        pytest.param("a101f90000", "cbor_type", id="float"),
        pytest.param("a101c100", "cbor_type", id="tag"),
        pytest.param("a101f6", "cbor_type", id="null"),
        pytest.param("a1010000", "cbor_trailing", id="trailing bytes"),
        pytest.param("a10161ff", "cbor_utf8", id="not UTF-8"),
        pytest.param("a101", "cbor_truncated", id="cut short"),
        pytest.param("", "cbor_truncated", id="empty"),
    ],
)
def test_a_correctly_signed_payload_is_still_read_strictly(encoded, expected):
    assert reason(sign_raw(bytes.fromhex(encoded))) == expected


@pytest.mark.parametrize("encoded", ["00", "80", "40", "60", "f5", "a0"])
def test_a_signed_payload_that_is_no_claims_set_is_refused(encoded):
    assert reason(sign_raw(bytes.fromhex(encoded))) in {"claim_type", "claim_missing"}


# --- identity ------------------------------------------------------------------------------------


def test_a_malleable_signature_makes_another_text_but_not_another_identity():
    """(r, n - s) verifies as (r, s) does: neither text nor signature may identify a redemption."""
    first = token(ISSUER_P256)
    message = base45.decode(first[4:])
    s = int.from_bytes(message[-32:], "big")
    second = wrap(message[:-32] + (P256_ORDER - s).to_bytes(32, "big"))
    assert first != second
    one, two = scan(first), scan(second)
    assert isinstance(one, Claims)
    assert one == two
    assert one.cti == two.cti


def test_a_der_signature_is_refused():
    message = base45.decode(token(ISSUER_P256)[4:])
    der = encode_dss_signature(
        int.from_bytes(message[-64:-32], "big"), int.from_bytes(message[-32:], "big")
    )
    assert reason(wrap(message[:-66] + cbor.encode(der))) == "signature_invalid"


def test_a_signature_has_one_length_so_that_no_zero_can_be_slipped_in():
    message = base45.decode(token(ISSUER_P256)[4:])
    r, s = message[-64:-32], message[-32:]
    assert reason(wrap(message[:-66] + cbor.encode(r + s))) == "accepted"
    assert reason(wrap(message[:-66] + cbor.encode(r + b"\x00" + s))) == "signature_invalid"
    assert reason(wrap(message[:-66] + cbor.encode(b"\x00" + r + s))) == "signature_invalid"


@pytest.mark.parametrize("r", [0, 1, P256_ORDER, 2**256 - 1])
@pytest.mark.parametrize("s", [0, P256_ORDER])
def test_psychic_signatures_are_refused(r, s):
    message = base45.decode(token(ISSUER_P256)[4:])
    assert (
        reason(wrap(message[:-64] + r.to_bytes(32, "big") + s.to_bytes(32, "big")))
        == "signature_invalid"
    )


def test_one_keys_signature_is_not_anothers():
    message = base45.decode(token(ISSUER)[4:])
    swapped = message.replace(ISSUER.public.kid, ISSUER_P256.public.kid)
    assert reason(wrap(swapped)) == "alg_mismatch"
    both = swapped.replace(b"\x01\x32", b"\x01\x28")
    assert reason(wrap(both)) == "signature_invalid"


# --- claims: exactly these, exactly so -----------------------------------------------------------


@pytest.mark.parametrize("label", ["c1", "c3", "c4", "c5", "c7", "c-65537", "e1", "e2", "e3"])
def test_a_missing_claim_is_refused(label):
    assert reason(changed(**{label: ...})) == "claim_missing"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"c4": True}, "claim_type"),  # True == 1 in Python
        ({"c4": str(NOW_S + 60)}, "claim_type"),
        ({"c5": False}, "claim_type"),
        ({"c4": -1}, "claim_range"),
        ({"c4": 2**33}, "claim_range"),
        ({"c5": -1}, "claim_range"),
        ({"c5": NOW_S + 60}, "claim_range"),  # exp == nbf
        ({"c6": NOW_S + 60}, "claim_range"),  # iat == exp
        ({"c6": True}, "claim_type"),
        ({"c1": 1}, "claim_type"),
        ({"c1": b"platform"}, "claim_type"),
        ({"c1": ""}, "claim_range"),
        ({"c1": "plat\x00form"}, "claim_range"),
        ({"c1": "other"}, "issuer"),
        ({"c3": ["shop-1"]}, "claim_type"),
        ({"c3": "shop-1\n"}, "claim_range"),
        ({"c3": "shop-2"}, "audience"),
        ({"c7": bytes(15)}, "claim_range"),
        ({"c7": bytes(17)}, "claim_range"),
        ({"c7": "0123456789abcdef"}, "claim_type"),
        ({"c2": "subject"}, "claim_type"),  # a claim that is not of the profile
        ({"c9": 0}, "claim_type"),
        ({"c-65537": []}, "claim_type"),
        ({"c8": {}}, "claim_missing"),
        ({"c8": 1}, "claim_type"),
        (
            {"c8": {1: {1: 1, -1: 6, -2: (1).to_bytes(32, "little")}}},
            "claim_range",
        ),  # the identity key as holder
        ({"c8": {1: {1: 4, -1: b"secret"}}}, "claim_range"),
        ({"c8": {1: []}}, "claim_range"),
        ({"e1": 7}, "claim_type"),
        ({"e1": "a" * 41}, "too_long"),
        ({"e2": 0}, "claim_range"),
        ({"e2": 4}, "claim_range"),
        ({"e2": "pickup"}, "claim_type"),
        ({"e2": True}, "claim_type"),
        ({"e3": 0}, "claim_range"),
        ({"e3": -1}, "claim_range"),
        ({"e3": 2**16}, "claim_range"),
        ({"e3": True}, "claim_type"),
        ({"e4": 100}, "claim_missing"),  # an amount without its currency
        ({"e5": "EUR"}, "claim_missing"),
        ({"e4": -1, "e5": "EUR"}, "claim_range"),
        ({"e4": 2**53, "e5": "EUR"}, "claim_range"),
        ({"e4": True, "e5": "EUR"}, "claim_type"),
        ({"e4": 1, "e5": "eur"}, "claim_range"),
        ({"e4": 1, "e5": "EURO"}, "claim_range"),
        ({"e4": 1, "e5": "ÄÖÜ"}, "claim_range"),
        ({"e6": 2**16}, "claim_range"),
        ({"e6": b""}, "claim_type"),
        ({"e7": -1}, "claim_range"),
        ({"e7": 2**27}, "claim_range"),
        ({"e8": 0}, "claim_range"),
        ({"e8": 3}, "claim_range"),
        ({"e8": 2}, "claim_missing"),  # a holder's proof without the holder's key
        ({"e9": 0}, "claim_type"),
    ],
    ids=lambda value: ascii(value).replace("\\", ""),  # an id that pytest takes as an argument
)
def test_a_claim_of_another_type_or_range_is_refused(change, expected):
    assert reason(changed(**change)) == expected
