from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.token.claims import Claims, Kind
from edge.token.issuing import IssueError, TokenRequest, issue_token
from tests.support.token_factory import (
    DAY_S,
    GRANT,
    ISSUER,
    ISSUER_P256,
    NOW_S,
    ed25519,
    p256,
    scan,
    trust_list,
    trusted,
)

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=10
)
GRANTS = st.builds(
    TokenRequest,
    cti=st.binary(min_size=16, max_size=16),
    issuer=st.just("platform"),
    audience=st.just("shop-1"),
    not_before_s=st.integers(NOW_S - 30 * DAY_S, NOW_S),
    expires_at_s=st.integers(NOW_S + 1, NOW_S + 30 * DAY_S),
    order_id=NAMES,
    kind=st.sampled_from(Kind),
    quantity=st.integers(1, 2**16 - 1),
    amount_minor=st.just(None),
    flags=st.integers(0, 2**16 - 1),
    issued_at_s=st.none() | st.integers(0, NOW_S),
)
AMOUNTS = st.just({}) | st.fixed_dictionaries(
    {
        "amount_minor": st.integers(0, 2**53 - 1),
        "currency": st.from_regex(r"[A-Z]{3}", fullmatch=True),
    }
)


@given(GRANTS, AMOUNTS, st.sampled_from([ISSUER, ISSUER_P256]))
def test_what_is_issued_is_believed_and_says_what_was_granted(grant, amount, key):
    grant = replace(grant, **amount)
    claims = scan(issue_token(grant, key).encode())
    assert isinstance(claims, Claims)
    for name in TokenRequest.__slots__:
        if name != "holder":
            assert getattr(claims, name) == getattr(grant, name)
    assert claims.kid == key.public.kid


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cti": bytes(15)}, "cti is not 16 bytes"),
        ({"expires_at_s": GRANT.not_before_s}, "exp is not after nbf"),
        ({"expires_at_s": GRANT.not_before_s + 400 * DAY_S}, "lives at most 366 days"),
        ({"expires_at_s": 2**33}, "exp is outside"),
        ({"quantity": 0}, "quantity is outside"),
        ({"amount_minor": 100}, "currency"),
        ({"amount_minor": 100, "currency": "euro"}, "ISO 4217"),
        ({"order_id": ""}, "order is empty"),
        ({"order_id": "a" * 41}, "longer than 40 bytes"),
        ({"audience": "two\nlines"}, "aud is empty or not printable"),
        ({"dynamic_mode": 2}, "cnf is missing"),
        ({"status_index": 2**27}, "status index is outside"),
        (
            {
                "order_id": "a" * 40,
                "audience": "b" * 40,
                "issuer": "c" * 40,
                "holder": p256("holder").public,
            },
            "shorten",
        ),
        (  # fits by itself, but not with its tail
            {
                "order_id": "a" * 40,
                "audience": "b" * 40,
                "dynamic_mode": 2,
                "holder": p256("holder").public,
            },
            "shorten",
        ),
        ({"order_id": 1.5}, "no place in our CBOR"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_token_that_no_device_would_believe_is_not_issued(changes, message):
    with pytest.raises(IssueError, match=message):
        issue_token(replace(GRANT, **changes), ISSUER)


def test_issuing_needs_no_clock_and_no_randomness():
    assert issue_token(GRANT, ISSUER) == issue_token(GRANT, ISSUER)
    assert issue_token(GRANT, ISSUER_P256) == issue_token(GRANT, ISSUER_P256)


def test_keys_are_published_before_use_and_retired_after_the_last_token():
    """A rotation of issuer keys: both are on the list while tokens of both live."""
    old, new = ed25519("issuer of last year"), ed25519("issuer of this year")
    both = trust_list(trusted(old, expires_at_s=NOW_S + DAY_S), trusted(new))
    for key in (old, new):
        assert isinstance(scan(issue_token(GRANT, key).encode(), trust=both), Claims)
