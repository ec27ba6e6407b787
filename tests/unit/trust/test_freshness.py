"""What a device knows may grow old; each limit that is passed has its name."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.config import Policy
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.token.status_list import StatusList
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey
from edge.trust.freshness import staleness
from edge.values.instant import Instant

DAY_S = 86_400
KEY = signer(Ed25519PrivateKey.generate())
ISSUED_S = 1_800_000_000
POLICY = Policy(
    trust_list_max_age_s=10 * DAY_S, status_list_max_age_s=DAY_S, orders_max_age_s=2 * DAY_S
)
TRUST = TrustList(
    version=1,
    issued_at_s=ISSUED_S,
    expires_at_s=ISSUED_S + 100 * DAY_S,
    keys=(
        TrustedKey(
            key=KEY.public,
            purposes=frozenset({Purpose.TOKEN}),
            not_before_s=0,
            expires_at_s=2**33 - 1,
        ),
    ),
)
STATUS = StatusList(
    kid=b"kid1", version=1, issued_at_s=ISSUED_S, expires_at_s=ISSUED_S + 100 * DAY_S, bits=b""
)


@pytest.mark.parametrize(
    ("days", "names"),
    [
        pytest.param(1, set(), id="fresh, to the last second of the day"),
        pytest.param(1.5, {"status_stale"}, id="the status list first"),
        pytest.param(3, {"status_stale", "orders_stale"}, id="then orders"),
        pytest.param(11, {"status_stale", "orders_stale", "trust_list_stale"}, id="then the list"),
    ],
)
def test_each_limit_that_is_passed_is_named(days, names):
    now = Instant(unix_s=ISSUED_S + int(days * DAY_S))
    assert set(staleness(TRUST, {b"kid1": STATUS}, ISSUED_S, policy=POLICY, now=now)) == names


def test_a_list_that_expired_is_stale_however_young():
    status = StatusList(
        kid=b"kid1", version=1, issued_at_s=ISSUED_S, expires_at_s=ISSUED_S + 60, bits=b""
    )
    now = Instant(unix_s=ISSUED_S + 60)
    assert set(staleness(TRUST, {b"kid1": status}, None, policy=POLICY, now=now)) == {
        "status_stale"
    }


def test_what_never_came_is_missing_and_not_stale():
    nothing = TrustList(version=0, issued_at_s=0, expires_at_s=2**33, keys=())
    assert staleness(nothing, {}, None, policy=POLICY, now=Instant(unix_s=ISSUED_S)) == {}
