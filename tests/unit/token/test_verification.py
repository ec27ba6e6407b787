from dataclasses import replace

import pytest

from edge.token import base45, cbor, cose
from edge.token.claims import Claims, Kind, TokenRefusal
from edge.token.issuing import issue_token
from edge.token.purpose import Purpose
from edge.token.rejection import Rejection
from edge.token.verification import LONGEST_LIFETIME_S, VerifyPolicy
from edge.values.instant import ClockTrust, Instant
from tests.support.token_factory import (
    DAY_S,
    FLOOR,
    GRANT,
    ISSUER,
    ISSUER_P256,
    NOW,
    NOW_S,
    STATUS,
    ed25519,
    payload,
    reason,
    scan,
    sign_headers,
    sign_raw,
    token,
    trust_list,
    trusted,
    wrap,
)

KEYS = pytest.mark.parametrize("key", [ISSUER, ISSUER_P256], ids=["Ed25519", "ESP256"])
GOOD_HEADER = {1: -19, 4: ISSUER.public.kid}


@KEYS
def test_a_good_token_gives_its_claims(key):
    grant = replace(
        GRANT,
        kind=Kind.WRITE_OFF,
        quantity=3,
        amount_minor=2599,
        currency="EUR",
        flags=5,
        issued_at_s=NOW_S - 60,
    )
    assert scan(issue_token(grant, key).encode()) == Claims(
        cti=bytes(range(16)),
        kid=key.public.kid,
        issuer="platform",
        audience="shop-1",
        not_before_s=NOW_S - 60,
        expires_at_s=NOW_S + 60,
        issued_at_s=NOW_S - 60,
        order_id="A-1001",
        kind=Kind.WRITE_OFF,
        quantity=3,
        amount_minor=2599,
        currency="EUR",
        flags=5,
        status_index=None,
        dynamic_mode=None,
        holder_key=None,
    )


def test_a_realistic_token_is_as_short_as_the_design_says():
    text = token(order_id="2026-11-100042", amount_minor=2599, currency="EUR", status_index=40_123)
    assert len(text) <= 259  # version 9 at level M holds 262 alphanumeric characters


def test_text_is_bytes_because_a_str_could_have_lost_some():
    with pytest.raises(TypeError):
        scan(token().decode())


# --- length, prefix, base45 ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"", "prefix_unknown", id="nothing"),
        pytest.param(b"ES1", "prefix_unknown", id="half a prefix"),
        pytest.param(b"es1:00", "prefix_unknown", id="lower case"),
        pytest.param(b"HC1:00", "prefix_unknown", id="a health certificate"),
        pytest.param(b"https://example.com/", "prefix_unknown", id="a foreign code"),
        pytest.param("二维码".encode(), "prefix_unknown", id="a foreign code, not ASCII"),
        pytest.param(b"ES1:" + b"0" * 508, "base45_invalid", id="512 characters"),
        pytest.param(b"ES1:" + b"0" * 509, "too_long", id="513 characters"),
        pytest.param(b"x" * 100_000, "too_long", id="a foreign code, very long"),
        pytest.param(b"ES1:", "cbor_truncated", id="a prefix alone"),
        pytest.param(b"ES1:0", "base45_invalid", id="one character over"),
        pytest.param(b"ES1:GGW", "base45_invalid", id="a group above its range"),
        pytest.param(b"ES1:abc", "base45_invalid", id="lower case text"),
        pytest.param(token() + b"\n", "base45_invalid", id="a trailing newline"),
        pytest.param(b" " + token(), "prefix_unknown", id="a leading space"),
        pytest.param(token() + b"00", "cbor_trailing", id="a trailing byte"),
        pytest.param(token().lower(), "prefix_unknown", id="a token in lower case"),
    ],
)
def test_text_that_is_no_token_is_refused_by_name(text, expected):
    assert reason(text) == expected


# --- COSE structure and headers ------------------------------------------------------------------


def message(protected=None, unprotected=b"\xa0", body=b"\x41x", signature=None, head=b"\xd2\x84"):
    protected = cbor.encode(cbor.encode(GOOD_HEADER)) if protected is None else protected
    return wrap(
        head
        + protected
        + unprotected
        + body
        + (cbor.encode(bytes(64)) if signature is None else signature)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(message(head=b"\x84"), "cose_structure", id="no tag"),
        pytest.param(message(head=b"\xd1\x84"), "cose_structure", id="tag 17: a MAC"),
        pytest.param(message(head=b"\xd8\x62\x84"), "cose_structure", id="tag 98: several signers"),
        pytest.param(message(head=b"\xd8\x3d\xd2\x84"), "cose_structure", id="a CWT tag around it"),
        pytest.param(message(head=b"\xd8\x12\x84"), "cbor_not_shortest", id="tag 18 in two bytes"),
        pytest.param(message(head=b"\xd2\x85"), "cose_structure", id="an array of five"),
        pytest.param(message(head=b"\xd2\x9f"), "cbor_indefinite", id="an array without a size"),
        pytest.param(message(head=b"\xd2\xa4"), "cose_structure", id="a map"),
        pytest.param(
            message(protected=b"\xa0"), "cose_structure", id="a protected header as a map"
        ),
        pytest.param(message(protected=b"\x40"), "cbor_truncated", id="an empty protected header"),
        pytest.param(
            message(protected=b"\x41\xa0"), "header_set", id="a protected header of nothing"
        ),
        pytest.param(
            message(protected=b"\x41\x80"), "cose_structure", id="a protected header as an array"
        ),
        pytest.param(message(body=b"\xf6"), "cose_structure", id="a detached payload"),
        pytest.param(message(body=b"\x61x"), "cose_structure", id="a text as payload"),
        pytest.param(message(signature=b"\xf6"), "cose_structure", id="no signature"),
        pytest.param(message(signature=b"\x40"), "signature_invalid", id="an empty signature"),
        pytest.param(
            message(signature=b"\x58\x3f" + bytes(63)), "signature_invalid", id="a short signature"
        ),
        pytest.param(
            message(signature=b"\x58\x41" + bytes(65)), "signature_invalid", id="a long signature"
        ),
        pytest.param(
            message(body=b"\x58\xf0" + bytes(240)), "signature_invalid", id="a payload of 240 bytes"
        ),
        pytest.param(
            message(body=b"\x58\xf1" + bytes(241)), "too_long", id="a payload of 241 bytes"
        ),
        pytest.param(
            message(unprotected=b"\xa1\x04\x41\x00"), "unprotected_not_empty", id="a kid outside"
        ),
        pytest.param(
            message(unprotected=b"\xa1\x01\x32"), "unprotected_not_empty", id="an alg outside"
        ),
        pytest.param(message(unprotected=b"\x80"), "cose_structure", id="an array outside"),
        pytest.param(message(unprotected=b"\xf6"), "cbor_type", id="null outside"),
    ],
)
def test_what_is_no_strict_cose_sign1_is_refused_by_name(text, expected):
    assert reason(text) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param({1: -19}, "header_set", id="no kid"),
        pytest.param({4: ISSUER.public.kid}, "header_set", id="no alg"),
        pytest.param({**GOOD_HEADER, 2: [1]}, "header_set", id="crit"),
        pytest.param({**GOOD_HEADER, 2: [-70_000], -70_000: 0}, "header_set", id="an unknown crit"),
        pytest.param({**GOOD_HEADER, 3: 0}, "header_set", id="a content type"),
        pytest.param({1: "EdDSA", 4: ISSUER.public.kid}, "header_set", id="alg as text"),
        pytest.param({1: True, 4: ISSUER.public.kid}, "header_set", id="alg as bool"),
        pytest.param({1: -19, 4: "kid!"}, "header_set", id="kid as text"),
        pytest.param({1: -19, 4: b"else"}, "key_unknown", id="an unknown kid"),
        pytest.param({1: -19, 4: ISSUER.public.kid[:3]}, "key_unknown", id="a short kid"),
        pytest.param({1: -19, 4: ISSUER.public.kid + b"\x00"}, "key_unknown", id="a long kid"),
        pytest.param(
            {1: -8, 4: ISSUER.public.kid}, "alg_mismatch", id="EdDSA, the deprecated name"
        ),
        pytest.param({1: -9, 4: ISSUER.public.kid}, "alg_mismatch", id="another key's algorithm"),
        pytest.param({1: -7, 4: ISSUER.public.kid}, "alg_mismatch", id="ES256"),
        pytest.param(
            {1: 5, 4: ISSUER.public.kid}, "alg_mismatch", id="HMAC with the public key as secret"
        ),
        pytest.param({1: 0, 4: ISSUER.public.kid}, "alg_mismatch", id="alg 0"),
    ],
)
def test_a_header_is_exactly_the_alg_and_kid_of_a_trusted_key(header, expected):
    assert reason(sign_headers(cbor.encode(GOOD_HEADER))) == "accepted"
    assert reason(sign_headers(cbor.encode(header))) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(
            "a20444" + ISSUER.public.kid.hex() + "0132",
            "cbor_key_order_or_duplicate",
            id="out of order",
        ),
        pytest.param(
            "a301320132 0444" + ISSUER.public.kid.hex(),
            "cbor_key_order_or_duplicate",
            id="alg twice",
        ),
        pytest.param(
            "a2013812" + "0444" + ISSUER.public.kid.hex(),
            "cbor_not_shortest",
            id="alg in two bytes",
        ),
        pytest.param(
            "bf01320444" + ISSUER.public.kid.hex() + "ff", "cbor_indefinite", id="no size"
        ),
        pytest.param(
            "a201320444" + ISSUER.public.kid.hex() + "00", "cbor_trailing", id="a byte after"
        ),
    ],
)
def test_a_header_has_one_spelling(header, expected):
    assert reason(sign_headers(bytes.fromhex(header))) == expected


# --- key and signature ---------------------------------------------------------------------------


def test_a_key_outside_its_window_signs_nothing():
    assert reason(token(), trust=trust_list(trusted(ISSUER, not_before_s=NOW_S))) == "accepted"
    assert (
        reason(token(), trust=trust_list(trusted(ISSUER, not_before_s=NOW_S + 1))) == "key_window"
    )
    assert reason(token(), trust=trust_list(trusted(ISSUER, expires_at_s=NOW_S + 1))) == "accepted"
    assert reason(token(), trust=trust_list(trusted(ISSUER, expires_at_s=NOW_S))) == "key_window"
    assert (
        reason(token(), trust=trust_list(trusted(ISSUER, expires_at_s=NOW_S)), now=FLOOR)
        == "key_window"
    )


def test_a_document_key_signs_no_token():
    assert reason(token(STATUS)) == "key_scope"
    generous = trusted(
        STATUS, Purpose.STATUS_LIST, issuers=frozenset({"platform"}), kinds=frozenset(Kind)
    )
    assert reason(token(STATUS), trust=trust_list(generous)) == "key_scope"
    assert reason(token(ed25519("stranger"))) == "key_unknown"


@pytest.mark.parametrize(
    "purpose", [purpose for purpose in Purpose if purpose is not Purpose.TOKEN]
)
def test_a_signature_made_for_a_document_is_none_for_a_token(purpose):
    stolen = cose.sign(cbor.encode(payload()), ISSUER, external_aad=purpose.external_aad)
    assert reason(wrap(stolen)) == "signature_invalid"
    assert (
        reason(wrap(cose.sign(cbor.encode(payload()), ISSUER, external_aad=b"")))
        == "signature_invalid"
    )


@KEYS
def test_every_flipped_bit_of_a_token_is_refused(key):
    good = base45.decode(token(key)[4:])
    for position in range(8 * len(good)):
        mutant = bytearray(good)
        mutant[position // 8] ^= 1 << position % 8
        assert reason(wrap(bytes(mutant))) != "accepted"


@KEYS
def test_every_shortened_token_is_refused(key):
    good = base45.decode(token(key)[4:])
    assert {reason(wrap(good[:length])) for length in range(len(good))} == {"cbor_truncated"}


def test_nothing_of_an_unsigned_payload_is_believed_or_told():
    forged = base45.decode(token()[4:]).replace(b"A-1001", b"A-1002")
    outcome = scan(wrap(forged))
    assert isinstance(outcome, TokenRefusal)
    assert (outcome.reason, outcome.claims) == (Rejection.SIGNATURE_INVALID, None)
    expired = base45.decode(token(not_before_s=1, expires_at_s=2)[4:]).replace(b"A-1001", b"A-1002")
    assert (
        reason(wrap(expired)) == "signature_invalid"
    )  # not "expired": the payload has not been read


# --- scope ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"audiences": frozenset({"shop-1"})}, "accepted"),
        ({"audiences": frozenset({"shop-2"})}, "key_scope"),
        ({"audiences": frozenset()}, "key_scope"),
        ({"kinds": frozenset({Kind.PICKUP})}, "accepted"),
        ({"kinds": frozenset({Kind.WRITE_OFF, Kind.OPERATOR})}, "key_scope"),
        ({"largest_amount_minor": 2599}, "accepted"),
        ({"largest_amount_minor": 2598}, "key_scope"),
        ({"issuers": frozenset({"platform", "partner"})}, "accepted"),
        ({"issuers": frozenset({"partner"})}, "issuer"),
        ({"issuers": frozenset()}, "issuer"),
    ],
)
def test_an_issuer_says_only_what_the_trust_list_lets_it_say(scope, expected):
    text = token(amount_minor=2599, currency="EUR")
    assert reason(text, trust=trust_list(trusted(ISSUER, **scope))) == expected


def test_a_device_may_restrict_the_issuers_further():
    assert reason(token(), policy=VerifyPolicy(issuers=frozenset({"platform"}))) == "accepted"
    assert reason(token(), policy=VerifyPolicy(issuers=frozenset({"partner"}))) == "issuer"


def test_a_token_is_for_this_site_or_one_of_its_groups():
    assert reason(token(), audiences=frozenset({"shop-9", "shop-1"})) == "accepted"
    assert reason(token(), audiences=frozenset({"shop-9"})) == "audience"
    assert reason(token(), audiences=frozenset()) == "audience"
    assert reason(token(), audiences=None) == "accepted"
    assert scan(token(), audiences=frozenset()).claims.audience == "shop-1"


# --- time ----------------------------------------------------------------------------------------

BEGIN_S, END_S = NOW_S - 60, NOW_S + 60


def at(unix_s, trust=ClockTrust.TRUSTED):
    return Instant(unix_s=unix_s, trust=trust)


@pytest.mark.parametrize(
    ("now_s", "expected"),
    [
        pytest.param(BEGIN_S - 1, "not_yet_valid", id="a second before it begins"),
        pytest.param(BEGIN_S, "accepted", id="its first second"),
        pytest.param(END_S - 1, "accepted", id="its last second"),
        pytest.param(END_S, "expired", id="the second it expires"),
    ],
)
def test_a_token_is_believed_only_in_its_window(now_s, expected):
    assert reason(token(), now=at(now_s)) == expected


@pytest.mark.parametrize("kind", list(Kind))
def test_a_time_floor_proves_expired_for_every_kind(kind):
    assert reason(token(kind=kind), now=at(END_S, ClockTrust.FLOOR_ONLY)) == "expired"


@pytest.mark.parametrize("now_s", [BEGIN_S - 1, BEGIN_S, END_S - 1])
def test_a_time_floor_never_proves_not_yet_expired_so_policy_says_which_kinds_are_believed(now_s):
    floor = at(now_s, ClockTrust.FLOOR_ONLY)
    assert reason(token(kind=Kind.PICKUP), now=floor) == "accepted"
    assert reason(token(kind=Kind.WRITE_OFF), now=floor) == "time_untrusted"
    assert reason(token(kind=Kind.OPERATOR), now=floor) == "time_untrusted"
    none = VerifyPolicy(floor_only_kinds=frozenset())
    assert reason(token(kind=Kind.PICKUP), now=floor, policy=none) == "time_untrusted"


@pytest.mark.parametrize("kind", list(Kind))
def test_a_lifetime_is_bounded_for_each_kind(kind):
    longest = LONGEST_LIFETIME_S[kind]
    for lifetime, expected in ((longest, "accepted"), (longest + 1, "claim_range")):
        claims = payload()
        claims[4] = claims[5] + lifetime
        claims[-65537] |= {2: int(kind)}
        assert reason(sign_raw(cbor.encode(claims))) == expected
    short = VerifyPolicy(longest_lifetime_s=dict.fromkeys(Kind, 119))
    assert reason(token(kind=kind), policy=short) == "claim_range"


# --- one reason at a time, the most fundamental first --------------------------------------------


def test_of_several_faults_the_first_in_order_is_the_reason():
    """Build up a hopeless token and repair one fault after another."""
    stale = trust_list(trusted(ISSUER, issuers=frozenset({"other"})), expires_at_s=1)
    kind_refused = trust_list(trusted(ISSUER, kinds=frozenset()), expires_at_s=1)
    repaired = trust_list(trusted(ISSUER), expires_at_s=1)
    text = token(
        status_index=1, not_before_s=NOW_S - 9 * DAY_S, expires_at_s=NOW_S - DAY_S, dynamic_mode=1
    )
    elsewhere = frozenset({"elsewhere"})
    seen = [
        reason(text + b"0" * 600, trust=kind_refused, audiences=elsewhere),
        reason(b"?" + text, trust=kind_refused, audiences=elsewhere),
        reason(text[:-2] + b"~~", trust=kind_refused, audiences=elsewhere),
        reason(text[:-3], trust=kind_refused, audiences=elsewhere),
        reason(text, trust=trust_list(trusted(STATUS)), audiences=elsewhere),
        reason(text, trust=trust_list(trusted(ISSUER, expires_at_s=2)), audiences=elsewhere),
        reason(
            wrap(base45.decode(text[4:])[:-1] + b"\x00"), trust=kind_refused, audiences=elsewhere
        ),
        reason(text, trust=kind_refused, audiences=elsewhere),
        reason(text, trust=stale, audiences=elsewhere),
        reason(text, trust=repaired, audiences=elsewhere),
        reason(text, trust=repaired),
        reason(text, trust=repaired, now=at(NOW_S - 2 * DAY_S)),
        reason(text, trust=trust_list(trusted(ISSUER)), now=at(NOW_S - 2 * DAY_S)),
        reason(
            text,
            trust=trust_list(trusted(ISSUER)),
            now=at(NOW_S - 2 * DAY_S),
            policy=VerifyPolicy(status_required=False),
        ),
    ]
    assert seen == [
        "too_long",
        "prefix_unknown",
        "base45_invalid",
        "cbor_truncated",
        "key_unknown",
        "key_window",
        "signature_invalid",
        "key_scope",
        "issuer",
        "audience",
        "expired",
        "trust_list_stale",
        "status_stale",
        "dynamic_missing",
    ]


REASON_CODES = """
    too_long prefix_unknown base45_invalid cbor_truncated cbor_trailing cbor_not_shortest
    cbor_indefinite cbor_key_order_or_duplicate cbor_type cbor_depth cbor_utf8 cose_structure
    unprotected_not_empty header_set key_unknown key_window key_scope alg_mismatch
    signature_invalid claim_missing claim_type claim_range issuer
    audience not_yet_valid expired time_untrusted trust_list_stale status_stale revoked
    dynamic_missing
    dynamic_stale dynamic_invalid holder_proof
"""


def test_the_reason_codes_are_those_that_the_documentation_lists():
    assert [reason.value for reason in Rejection] == REASON_CODES.split()


def test_the_same_scan_always_gives_the_same_verdict():
    assert scan(token()) == scan(token())
    assert scan(token(), now=NOW) == scan(token(), now=NOW)
