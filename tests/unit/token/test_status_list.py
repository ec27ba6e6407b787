import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.token.purpose import Purpose
from edge.token.signed_document import DocumentFault, DocumentRefusal, sign_document
from edge.token.status_list import open_status_list, sign_status_list, status_list
from edge.token.verification import VerifyPolicy
from tests.support.token_factory import (
    DAY_S,
    FLOOR,
    ISSUER,
    NOW,
    NOW_S,
    STATUS,
    TRUST,
    reason,
    scan,
    token,
)

KID = ISSUER.public.kid
FACTS = {"kid": KID, "issued_at_s": NOW_S - DAY_S, "expires_at_s": NOW_S + DAY_S}
INDICES = st.frozensets(st.integers(0, 999))


def statuses(revoked=(), version=3, size=1000, **changes):
    return status_list(**{**FACTS, "version": version, "size": size, "revoked": revoked, **changes})


def fault(outcome) -> DocumentFault:
    assert isinstance(outcome, DocumentRefusal), outcome
    return outcome.fault


def test_the_ietf_examples_bits_stand_where_the_draft_puts_them():
    # draft-ietf-oauth-status-list, section 4.1: bytes b9 a3 for the statuses 1,0,0,1,1,1,0,1,
    # 1,1,0,0,0,1,0,1
    bits = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
    listed = statuses([index for index, bit in enumerate(bits) if bit], size=16)
    assert listed.bits.hex() == "b9a3"
    assert zlib.decompress(bytes.fromhex("78dadbb918000217015d")) == listed.bits
    assert [listed.is_revoked(index) for index in range(17)] == [*map(bool, bits), None]


@given(INDICES)
def test_exactly_the_revoked_are_revoked(revoked):
    listed = open_status_list(sign_status_list(statuses(revoked), STATUS), keys=TRUST, now=NOW)
    assert {index for index in range(1000) if listed.is_revoked(index)} == revoked


def test_a_rolled_back_status_list_cannot_revive_a_token():
    data = sign_status_list(statuses(), STATUS)
    assert (
        fault(open_status_list(data, keys=TRUST, now=NOW, highest_version=4))
        is DocumentFault.ROLLBACK
    )


def test_only_the_status_key_revokes():
    assert (
        fault(open_status_list(sign_status_list(statuses(), ISSUER), keys=TRUST, now=NOW))
        is DocumentFault.KEY_PURPOSE
    )


def test_an_index_beyond_the_list_is_not_revoked_silently():
    with pytest.raises(ValueError, match="status index 1000 is beyond the list"):
        statuses([1000])


def test_a_list_without_its_bits_is_refused():
    payload = {4: NOW_S + 1, 6: NOW_S, -65538: KID, -65539: 1}
    signed = sign_document(payload, Purpose.STATUS_LIST, STATUS)
    assert fault(open_status_list(signed, keys=TRUST, now=NOW)) is DocumentFault.CONTENT


@pytest.mark.parametrize(
    "lst",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not zlib", id="not zlib"),
        pytest.param(zlib.compress(bytes(100))[:-1], id="cut short"),
        pytest.param(zlib.compress(bytes(100)) + b"\x00", id="followed by more"),
        pytest.param(zlib.compress(bytes(2**27)), id="a bomb"),
    ],
)
def test_a_list_that_does_not_inflate_to_its_end_is_refused(lst):
    payload = {4: NOW_S + 1, 6: NOW_S, 65533: {"bits": 1, "lst": lst}, -65538: KID, -65539: 1}
    assert fault(
        open_status_list(sign_document(payload, Purpose.STATUS_LIST, STATUS), keys=TRUST, now=NOW)
    ) is (DocumentFault.CONTENT)


def test_a_revoked_token_is_refused_and_its_neighbours_are_not():
    status = {KID: statuses([42])}
    assert reason(token(status_index=42), status=status) == "revoked"
    assert reason(token(status_index=41), status=status) == "accepted"
    assert reason(token(status_index=43), status=status) == "accepted"
    assert (
        scan(token(status_index=42), status=status).claims.order_id == "A-1001"
    )  # the journal can name it


def test_a_token_is_refused_when_its_status_cannot_be_known():
    indexed = token(status_index=42)
    assert reason(indexed, status={}) == "status_stale"
    assert reason(indexed, status={}, policy=VerifyPolicy(status_required=False)) == "accepted"
    assert (
        reason(indexed, status={KID: statuses(size=40)}) == "status_stale"
    )  # the list does not reach that far
    assert reason(indexed, status={b"else": statuses()}) == "status_stale"
    assert reason(token(), status={}) == "accepted"  # this one cannot be revoked by list


def test_a_frozen_status_list_ends_by_its_expiry_and_by_its_age():
    indexed = token(status_index=42)
    assert reason(indexed, status={KID: statuses(expires_at_s=NOW_S)}) == "status_stale"
    assert reason(indexed, status={KID: statuses(expires_at_s=NOW_S)}, now=FLOOR) == "status_stale"
    assert reason(indexed, status={KID: statuses(issued_at_s=NOW_S - 7 * DAY_S)}) == "accepted"
    assert (
        reason(indexed, status={KID: statuses(issued_at_s=NOW_S - 7 * DAY_S - 1)}) == "status_stale"
    )


def test_a_million_tokens_with_one_percent_revoked_fit_into_what_the_design_says():
    revoked = random.Random(1).sample(range(1_000_000), 10_000)
    data = sign_status_list(statuses(revoked, size=1_000_000), STATUS)
    assert 12_000 < len(data) < 15_000  # the design measured 13.9 kB
