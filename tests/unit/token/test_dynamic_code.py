import pytest

from edge.token import base45
from edge.token.dynamic_code import TAIL_CHARACTERS, append_hmac, append_proof, derive_key, split
from edge.token.verification import LONGEST_TEXT, VerifyPolicy
from edge.values.instant import Instant
from tests.support.token_factory import FLOOR, GRANT, ISSUER, NOW_S, ed25519, p256, reason, token

GROUP_KEY = bytes(range(32))
POLICY = VerifyPolicy(group_keys={ISSUER.public.kid: GROUP_KEY})
KEY = derive_key(GROUP_KEY, GRANT.cti)
STEP_START_S = NOW_S // 15 * 15
HOLDERS = pytest.mark.parametrize(
    "holder", [ed25519("holder"), p256("holder")], ids=["Ed25519", "P-256"]
)


def code(key=KEY, unix_s=STEP_START_S) -> bytes:
    return append_hmac(token(dynamic_mode=1).decode(), key, unix_s).encode()


def at(unix_s):
    return Instant(unix_s=unix_s)


def shown(text, now_s=STEP_START_S, **changes) -> str:
    return reason(text, **{"now": at(now_s), "policy": POLICY, **changes})


@pytest.mark.parametrize("offset_s", [-30, -1, 0, 14, 15, 44])
def test_a_live_code_is_believed_two_steps_either_way(offset_s):
    assert shown(code(), STEP_START_S + offset_s) == "accepted"


@pytest.mark.parametrize("offset_s", [-31, 45])
def test_a_screenshot_is_refused_after_half_a_minute(offset_s):
    assert shown(code(), STEP_START_S + offset_s) == "dynamic_stale"


def test_a_dynamic_token_without_its_tail_is_refused():
    assert shown(token(dynamic_mode=1)) == "dynamic_missing"
    assert shown(b"ES2:" + token(dynamic_mode=1)[4:]) != "accepted"
    assert shown(b"ES2:") == "dynamic_missing"
    assert shown(b"ES3:" + b"0" * 102) == "dynamic_missing"


@pytest.mark.parametrize(("prefix", "mode"), [(b"ES2:", 1), (b"ES3:", 2)])
def test_a_code_is_split_before_its_tail_however_short_the_token(prefix, mode):
    tail = b"9" * TAIL_CHARACTERS[mode]
    assert split(prefix + b"0" + tail) == (mode, b"0", tail)
    assert reason(prefix + tail) == "dynamic_missing"


def test_a_static_token_takes_no_tail():
    assert shown(append_hmac(token().decode(), KEY, NOW_S).encode()) == "dynamic_invalid"


def test_a_tail_of_another_token_or_another_key_is_refused():
    assert shown(code(derive_key(GROUP_KEY, bytes(16)))) == "dynamic_invalid"
    assert shown(code(derive_key(bytes(32), GRANT.cti))) == "dynamic_invalid"


def test_a_tail_cannot_be_moved_to_another_time():
    old, new = code(unix_s=STEP_START_S - 900), code()
    steps, tags = base45.decode(new[-15:])[:4], base45.decode(old[-15:])[4:]
    assert shown(new[:-15] + base45.encode(steps + tags)) == "dynamic_invalid"


def test_every_flipped_bit_of_a_tail_is_refused():
    good = code()
    for position in range(80):
        tail = bytearray(base45.decode(good[-15:]))
        tail[position // 8] ^= 1 << position % 8
        assert shown(good[:-15] + base45.encode(bytes(tail))) in {
            "dynamic_stale",
            "dynamic_invalid",
        }


def test_a_tail_that_is_not_base45_is_refused():
    assert shown(code()[:-3] + b"abc") == "dynamic_invalid"
    assert shown(code()[:-3] + b"GGW") == "dynamic_invalid"


def test_a_device_without_the_group_key_believes_no_tail():
    assert shown(code(), policy=VerifyPolicy()) == "dynamic_invalid"


def test_a_dynamic_code_needs_a_trusted_clock():
    assert reason(code(unix_s=NOW_S), now=FLOOR, policy=POLICY) == "time_untrusted"


def test_the_group_key_does_not_show_in_the_policys_text():
    assert GROUP_KEY.hex() not in repr(POLICY)
    assert repr(GROUP_KEY) not in repr(POLICY)


@HOLDERS
def test_a_holders_proof_is_believed_while_it_is_fresh(holder):
    text = append_proof(
        token(dynamic_mode=2, holder=holder.public).decode(), GRANT.cti, holder, STEP_START_S
    ).encode()
    assert len(text) <= LONGEST_TEXT
    assert shown(text) == "accepted"
    assert shown(text, STEP_START_S + 45) == "dynamic_stale"
    assert reason(text, now=FLOOR) == "time_untrusted"


@HOLDERS
def test_somebody_elses_proof_or_one_for_another_token_is_refused(holder):
    bare = token(dynamic_mode=2, holder=holder.public).decode()
    for proof in (
        append_proof(bare, GRANT.cti, ed25519("thief"), STEP_START_S),
        append_proof(bare, GRANT.cti, p256("thief"), STEP_START_S),
        append_proof(bare, bytes(16), holder, STEP_START_S),
    ):
        assert shown(proof.encode()) == "holder_proof"


def test_one_modes_tail_does_not_serve_the_other():
    holder = ed25519("holder")
    two = token(dynamic_mode=2, holder=holder.public).decode()
    assert shown(two.encode()) == "dynamic_missing"
    assert shown(append_hmac(two, KEY, STEP_START_S).encode()) == "dynamic_missing"
    one = token(dynamic_mode=1).decode()
    assert shown(append_proof(one, GRANT.cti, holder, STEP_START_S).encode()) == "dynamic_missing"


def test_a_tail_goes_on_a_plain_token_only():
    with pytest.raises(ValueError, match="ES1"):
        append_hmac(code().decode(), KEY, NOW_S)
