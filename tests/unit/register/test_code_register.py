"""The register: one record a code, before its token; one live code a line; no index twice."""

import dataclasses
import threading
from contextlib import closing

import pytest

from sync.register.code_record import CodeRecord, IssuedCodeState
from sync.register.code_register import Act, CodeRegister, RegisterError

KID = b"\x01" * 8
ACT = Act("zoe", 1_800_000_100, "stolen phone")


def record(number, **changes):
    fields = {
        "cti": bytes([number]) * 16,
        "kid": KID,
        "status_index": number,
        "order_id": "A-1",
        "line": None,
        "kind": "write_off",
        "site": "shop-1",
        "quantity": 1,
        "amount_minor": None,
        "currency": None,
        "not_before_s": 0,
        "expires_at_s": 2_000_000_000,
        "issued_s": 1_800_000_000 + number,
        "issued_by": "li",
    }
    return CodeRecord(**fields | changes)


@pytest.fixture
def register(tmp_path):
    with closing(CodeRegister(tmp_path / "register.db")) as opened:
        yield opened


def test_what_is_recorded_is_there_after_the_file_is_opened_again(register, tmp_path):
    register.add([record(1), record(2, order_id="A-2")])
    with closing(CodeRegister(tmp_path / "register.db")) as again:
        assert again.records(order_id="A-1") == [record(1)]
        assert again.records(cti=record(2).cti) == [record(2, order_id="A-2")]
    assert (tmp_path / "register.db").stat().st_mode & 0o077 == 0


def test_an_index_is_never_used_twice_and_the_next_is_above_all(register):
    assert register.next_status_index(KID) == 0
    register.add([record(1), record(7)])
    assert register.next_status_index(KID) == 8
    assert register.next_status_index(b"another kid") == 0
    with pytest.raises(RegisterError, match="status index 7 belongs to another code"):
        register.add([record(3), dataclasses.replace(record(9), status_index=7)])
    assert register.records(cti=record(3).cti) == []  # all or none


def test_an_index_that_was_free_stays_free_beside_another_process(register, tmp_path):
    taken = []

    def issue_beside():
        with closing(CodeRegister(tmp_path / "register.db")) as other, other.alone():
            taken.append(other.next_status_index(KID))
            other.add([record(9, status_index=taken[0])])

    beside = threading.Thread(target=issue_beside)
    with register.alone():
        index = register.next_status_index(KID)
        beside.start()
        beside.join(0.1)
        register.add([record(1, status_index=index)])
    beside.join()
    assert [index, *taken] == [0, 1]


def test_a_second_code_of_a_line_supersedes_the_first(register):
    register.add([record(1, line="L1"), record(2, line="L2")])
    assert register.add([record(3, line="L1")]) == [record(1).cti]
    states = [found.state for found in register.records(order_id="A-1")]
    assert states == [IssuedCodeState.SUPERSEDED, IssuedCodeState.LIVE, IssuedCodeState.LIVE]
    assert register.withdrawn_indexes(KID) == [1]
    ((state, act),) = register.changes(record(1).cti)
    assert (state, act.person) == (IssuedCodeState.SUPERSEDED, "li")
    with pytest.raises(RegisterError, match="another live code"):
        register.set_state([record(1).cti], IssuedCodeState.LIVE, ACT)


def test_a_revocation_and_a_restoration_are_kept_with_who_when_and_why(register):
    register.add([record(1), record(2)])
    assert register.set_state([record(1).cti], IssuedCodeState.REVOKED, ACT) == 1
    assert register.set_state([record(1).cti], IssuedCodeState.REVOKED, ACT) == 0
    assert register.withdrawn_indexes(KID) == [1]
    found = dataclasses.replace(ACT, reason="found")
    assert register.set_state([record(1).cti], IssuedCodeState.LIVE, found) == 1
    assert register.withdrawn_indexes(KID) == []
    assert register.changes(record(1).cti) == [
        (IssuedCodeState.REVOKED, ACT),
        (IssuedCodeState.LIVE, found),
    ]


def test_a_code_that_no_list_can_name_is_refused_and_nothing_changes(register):
    register.add([record(1), record(2, status_index=None)])
    for wrong, words in ((record(2).cti, "without a status index"), (b"?" * 16, "no code")):
        with pytest.raises(RegisterError, match=words):
            register.set_state([record(1).cti, wrong], IssuedCodeState.REVOKED, ACT)
        assert register.withdrawn_indexes(KID) == []


def test_the_version_of_the_list_grows_even_if_the_clock_goes_back(register):
    assert register.next_version(KID, 100) == 100
    assert register.next_version(KID, 100) == 101
    assert register.next_version(KID, 50) == 102
    assert register.next_version(KID, 500) == 500


def test_a_file_that_is_no_register_is_named(tmp_path):
    (tmp_path / "register.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(RegisterError, match="cannot be used"):
        CodeRegister(tmp_path / "register.db")
