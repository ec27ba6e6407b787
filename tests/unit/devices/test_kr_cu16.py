"""The lock board's frames, byte by byte."""

from hypothesis import assume, given
from hypothesis import strategies as st

from edge.devices import kr_cu16

BOARDS, LOCKS, BITS = st.integers(0, 9), st.integers(1, 16), st.integers(0, 0xFFFF)


def test_the_frames_are_those_that_programs_for_real_boards_send():
    """The sources are listed in edge.devices.kr_cu16."""
    assert kr_cu16.state_query(0).hex() == "0200300335"
    assert kr_cu16.open_command(0, 1).hex() == "0200310336"
    assert kr_cu16.open_command(0, 16).hex() == "020f310345"
    assert kr_cu16.open_command(1, 3).hex() == "0212310348"


@given(BOARDS, BITS, st.binary(max_size=20), st.binary(max_size=20))
def test_a_reply_is_found_in_noise(board, bits, before, after):
    reply = kr_cu16.state_reply(board, bits)
    assume(reply[:3] not in before + reply[:2])  # or else the noise looks like a reply
    assert kr_cu16.find_state(before + reply + after, board) == bits


@given(BOARDS, BITS, st.integers(0, 8), st.integers(1, 255))
def test_a_reply_with_one_wrong_byte_is_not_a_reply(board, bits, place, change):
    reply = bytearray(kr_cu16.state_reply(board, bits))
    reply[place] ^= change
    assert kr_cu16.find_state(bytes(reply), board) is None


@given(BOARDS, BOARDS, BITS, st.integers(0, 8))
def test_half_a_reply_and_another_boards_reply_are_not_replies(board, other, bits, length):
    assert kr_cu16.find_state(kr_cu16.state_reply(board, bits)[:length], board) is None
    assert (kr_cu16.find_state(kr_cu16.state_reply(other, bits), board) is None) == (other != board)


@given(BOARDS, LOCKS)
def test_a_command_addresses_exactly_one_board_and_lock(board, lock):
    address = kr_cu16.open_command(board, lock)[1]
    assert (address >> 4, (address & 15) + 1) == (board, lock)
