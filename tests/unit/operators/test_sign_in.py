"""Badge and PIN: what opens a session and what ends it; a badge alone opens nothing."""

import dataclasses
import os
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.documents.operator_list import OperatorEntry, OperatorList
from edge.documents.pin_hash import hash_fault, hash_pin, pin_fault, pin_matches
from edge.domain.roles import PERMISSIONS, Role, StaffAction, is_permitted
from edge.domain.verdict import Verdict
from edge.operators.actions import OperatorActions
from edge.operators.known_lists import OperatorDirectory
from edge.operators.operator_action import ActionResult
from edge.operators.sign_in import SHOWN_S, SignInService, badge_of
from edge.operators.sign_in_result import SignInResult
from edge.redemption.scan_handler import show_badge as scan_badge
from edge.store import ledger, order_cache, outbox, pin_attempts, scan_journal
from edge.store.database.migration import SET, TABLE
from edge.store.database.store import FILE, SUSPECT, Store, StoreUnavailableError
from edge.store.opening import StoreState, open_store
from edge.store.sessions import current_session, find_session
from edge.token.claims import Kind
from tests.support.sample_shop import DEVICE, NOON, at, code, deliver, open_at, order, redeemer

PIN, OTHER_PIN = "602214", "299792"
HASHES = {PIN: hash_pin(PIN), OTHER_PIN: hash_pin(OTHER_PIN)}
DAY_S = 86_400


def entry(name, role=Role.OPERATOR, pin=PIN, **given):
    window = {"not_before_s": NOON.unix_s - DAY_S, "expires_at_s": NOON.unix_s + DAY_S}
    return OperatorEntry(id=name, role=role, pin_hash=HASHES[pin], **{**window, **given})


def directory(*entries, expires_at_s=NOON.unix_s + 7 * DAY_S):
    listed = OperatorList(
        audience="site-1",
        version=1,
        issued_at_s=NOON.unix_s - DAY_S,
        expires_at_s=expires_at_s,
        entries=entries or (entry("anna"), entry("sven", Role.SUPERVISOR, OTHER_PIN)),
    )
    return OperatorDirectory((listed,))


def badge_code(name="anna", **given):
    return code(kind=Kind.OPERATOR, order_id=name, expires_at_s=NOON.unix_s + 30 * DAY_S, **given)


@pytest.fixture
def store(tmp_path):
    store = open_at(tmp_path)
    yield store
    store.close()


@pytest.fixture
def service(store):
    return SignInService(store=store, session_s=4 * 3600, idle_s=900, random_bytes=os.urandom)


def show(service, claims, now=NOON):
    with service.store.transaction() as connection:
        return service.show_badge(connection, badge_of(claims), now).reason


def sign_in(service, name="anna", pin=PIN, now=NOON, lists=None):
    badge = badge_of(badge_code(name))
    return service.sign_in(pin, lists or directory(), now, badge=badge)


def signed_in(service, now=NOON):
    session = current_session(service.store, now)
    return session and session.operator_id


def test_a_badge_alone_opens_nothing(service):
    assert show(service, badge_code()) is SignInResult.PIN_NEEDED
    assert signed_in(service) is None


def test_a_badge_and_its_pin_open_a_session_with_the_role_of_the_list(service):
    show(service, badge_code("sven"))
    outcome = service.sign_in(OTHER_PIN, directory(), at(SHOWN_S - 1))
    assert (outcome.reason, outcome.session.role) == (SignInResult.SIGNED_IN, Role.SUPERVISOR)
    assert signed_in(service, at(SHOWN_S)) == "sven"


@pytest.mark.parametrize("after_s", [SHOWN_S, -1])
def test_a_badge_waits_only_so_long_for_its_pin(service, after_s):
    show(service, badge_code())
    assert service.sign_in(PIN, directory(), at(after_s)).reason is SignInResult.BADGE_NOT_SHOWN


def test_each_sign_in_needs_the_badge_shown_again(service):
    show(service, badge_code())
    assert service.sign_in(PIN, directory(), NOON).reason is SignInResult.SIGNED_IN
    assert service.sign_in(PIN, directory(), NOON).reason is SignInResult.BADGE_NOT_SHOWN, (
        "a badge shown serves for one session"
    )
    service.sign_out(NOON)
    assert service.sign_in(PIN, directory(), NOON).reason is SignInResult.BADGE_NOT_SHOWN


def test_another_persons_pin_is_a_wrong_pin(service):
    assert sign_in(service, "anna", OTHER_PIN).reason is SignInResult.PIN_WRONG
    assert signed_in(service) is None


@pytest.mark.parametrize(
    ("lists", "reason"),
    [
        (OperatorDirectory(()), SignInResult.OPERATOR_LIST_MISSING),
        (directory(expires_at_s=NOON.unix_s), SignInResult.OPERATOR_LIST_STALE),
        (directory(entry("bert")), SignInResult.OPERATOR_UNKNOWN),
        (directory(entry("anna", expires_at_s=NOON.unix_s)), SignInResult.OPERATOR_UNKNOWN),
        (directory(entry("anna", not_before_s=NOON.unix_s + 1)), SignInResult.OPERATOR_UNKNOWN),
    ],
)
def test_only_a_person_in_a_valid_list_may_sign_in(service, lists, reason):
    assert sign_in(service, lists=lists).reason is reason
    assert signed_in(service) is None


def test_a_revoked_badge_does_not_sign_in(service, store):
    claims = badge_code()
    order_cache.withdraw(store, scope="token", name=claims.cti.hex(), now=NOON)
    assert show(service, claims) is SignInResult.OPERATOR_UNKNOWN
    assert (
        service.sign_in(PIN, directory(), NOON, badge=badge_of(claims)).reason
        is SignInResult.OPERATOR_UNKNOWN
    )


# Wrong PINs


def test_five_wrong_pins_lock_out_and_the_right_one_no_longer_helps(service):
    reasons = [sign_in(service, pin="111112").reason for _ in range(5)]
    assert reasons == [SignInResult.PIN_WRONG] * 4 + [SignInResult.OPERATOR_LOCKED_OUT]
    assert sign_in(service).reason is SignInResult.OPERATOR_LOCKED_OUT
    assert sign_in(service, now=at(15 * 60 - 1)).reason is SignInResult.OPERATOR_LOCKED_OUT
    assert show(service, badge_code(), at(15 * 60 - 1)) is SignInResult.OPERATOR_LOCKED_OUT
    assert sign_in(service, "sven", OTHER_PIN).reason is SignInResult.SIGNED_IN, (
        "no one else is locked out"
    )
    assert sign_in(service, now=at(15 * 60)).reason is SignInResult.SIGNED_IN


def test_the_right_pin_clears_the_wrong_ones(service):
    for _ in range(3):
        assert [sign_in(service, pin="111112").reason for _ in range(4)] == [
            SignInResult.PIN_WRONG
        ] * 4
        assert sign_in(service).reason is SignInResult.SIGNED_IN


def test_a_lock_out_survives_a_restart_and_a_clock_that_goes_back(service, tmp_path):
    for _ in range(5):
        sign_in(service, pin="111112")
    service.store.close()
    again = dataclasses.replace(service, store=open_at(tmp_path))
    assert sign_in(again).reason is SignInResult.OPERATOR_LOCKED_OUT
    assert sign_in(again, now=at(-DAY_S // 2)).reason is SignInResult.OPERATOR_LOCKED_OUT
    again.store.close()


def break_the_page_of_wrong_pins(folder):
    with closing(sqlite3.connect(folder / FILE)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'pin_attempt'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (folder / FILE).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def test_with_unreadable_wrong_pins_no_one_signs_in_and_the_next_start_quarantines_the_store(
    service, tmp_path
):
    sign_in(service, pin="111112")
    service.store.close()
    running = dataclasses.replace(service, store=Store(tmp_path / FILE))
    break_the_page_of_wrong_pins(tmp_path)
    for pin in ["111112"] * 6 + [PIN]:
        with pytest.raises(StoreUnavailableError, match="the store is corrupt"):
            sign_in(running, pin=pin)
    assert scan_badge(running, badge_code(), NOON, None).reason is Verdict.STORE_UNAVAILABLE
    assert (tmp_path / SUSPECT).exists()
    running.store.close()
    opened = open_store(tmp_path, device_id=DEVICE, now_s=NOON.unix_s, random_bytes=os.urandom)
    assert opened.state is StoreState.QUARANTINED
    opened.store.close()


def test_the_wrong_pins_are_checked_at_every_start(service, tmp_path):
    sign_in(service, pin="111112")
    service.store.close()
    break_the_page_of_wrong_pins(tmp_path)
    assert not (tmp_path / SUSPECT).exists()
    opened = open_store(tmp_path, device_id=DEVICE, now_s=NOON.unix_s, random_bytes=os.urandom)
    assert opened.state is StoreState.QUARANTINED
    again = dataclasses.replace(service, store=opened.store)
    assert sign_in(again).reason is SignInResult.SIGNED_IN, "of the tries nothing is known"
    opened.store.close()


def test_a_quarantined_store_gives_no_new_tries_at_a_pin(service, tmp_path):
    for _ in range(5):
        sign_in(service, pin="111112")
    for _ in range(3):
        sign_in(service, "sven", "111112")
    put_aside = f"INSERT INTO {TABLE} (migration_set, name) VALUES ('{SET}', '9999_future')"
    service.store.connection().execute(put_aside)
    service.store.close()
    opened = open_store(tmp_path, device_id=DEVICE, now_s=NOON.unix_s, random_bytes=os.urandom)
    assert opened.state is StoreState.QUARANTINED
    again = dataclasses.replace(service, store=opened.store)
    assert sign_in(again).reason is SignInResult.OPERATOR_LOCKED_OUT
    reasons = [sign_in(again, "sven", "111112").reason for _ in range(2)]
    assert reasons == [SignInResult.PIN_WRONG, SignInResult.OPERATOR_LOCKED_OUT]
    opened.store.close()


def test_a_power_cut_while_the_pin_is_checked_gives_no_free_try(service, monkeypatch):
    def cut(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("edge.operators.sign_in.pin_matches", cut)
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            sign_in(service)
    monkeypatch.undo()
    assert sign_in(service).reason is SignInResult.OPERATOR_LOCKED_OUT


def test_each_further_wrong_pin_doubles_the_time(service):
    now = NOON
    for expected_s in (0, 0, 0, 0, 900, 1800, 3600):
        sign_in(service, pin="111112", now=now)
        with service.store.read() as connection:
            assert pin_attempts.lockout_left_s(connection, "anna", now) == expected_s
        now = dataclasses.replace(now, unix_s=now.unix_s + expected_s)


def test_a_supervisor_unlocks_others_and_never_themselves(service):
    for _ in range(5):
        sign_in(service, pin="111112")
    actions = OperatorActions(service.store, random_bytes=os.urandom)
    assert actions.unlock("anna", NOON).result is ActionResult.OPERATOR_REQUIRED
    sign_in(service, "bert", lists=directory(entry("bert")))
    assert actions.unlock("anna", NOON).result is ActionResult.OPERATOR_FORBIDDEN
    sign_in(service, "sven", OTHER_PIN)
    assert actions.unlock("sven", NOON).result is ActionResult.SAME_PERSON
    assert actions.unlock("unknown", NOON).result is ActionResult.NOT_FOUND
    assert actions.unlock("anna", NOON).result is ActionResult.DONE
    assert sign_in(service).reason is SignInResult.SIGNED_IN


# The session


@pytest.mark.parametrize(
    ("after_s", "open_still"), [(0, True), (899, True), (900, False), (-1, False)]
)
def test_a_session_ends_when_nothing_is_done_and_when_the_clock_goes_back(
    service, after_s, open_still
):
    sign_in(service)
    assert (signed_in(service, at(after_s)) == "anna") is open_still


def test_a_busy_session_ends_by_time(service, store):
    scanner = redeemer(store)
    sign_in(service)
    for after_s in range(0, 4 * 3600, 600):
        assert signed_in(service, at(after_s)) == "anna"
        scanner.redeem(code(), at(after_s))
    assert signed_in(service, at(4 * 3600)) is None


def test_a_session_ends_with_its_entry_in_the_list(service):
    sign_in(service, lists=directory(entry("anna", expires_at_s=NOON.unix_s + 60)))
    assert signed_in(service, at(59)) == "anna"
    assert signed_in(service, at(60)) is None


def test_a_session_ends_when_the_machine_restarts(service):
    sign_in(service)
    with service.store.read() as connection:
        assert find_session(connection, NOON) is not None
        assert find_session(connection, NOON, boot="another run") is None


def test_showing_the_badge_again_signs_out_and_another_badge_does_not(service):
    sign_in(service)
    assert show(service, badge_code("sven")) is SignInResult.PIN_NEEDED
    assert signed_in(service) == "anna"
    assert show(service, badge_code("anna")) is SignInResult.SIGNED_OUT
    assert signed_in(service) is None


def test_a_second_person_who_signs_in_replaces_the_first(service):
    sign_in(service)
    sign_in(service, "sven", OTHER_PIN)
    assert signed_in(service) == "sven"


# Every action names its operator


def test_a_scan_names_the_signed_in_person_everywhere(service, store):
    claims = code()
    deliver(store, order(claims))
    sign_in(service)
    scanner = redeemer(store)
    assert scanner.redeem(claims, NOON).reason is Verdict.ACCEPTED
    assert scanner.redeem(claims, NOON).reason is Verdict.ALREADY_REDEEMED
    assert [row.operator for row in ledger.rows(store)] == ["anna"]
    assert [row.operator for row in scan_journal.rows(store)] == ["anna", "anna"]
    bodies = [row.body for row in outbox.pending(store, limit=10)]
    assert [body["operator"] for body in bodies] == ["anna"] * 3


def test_each_sign_in_sign_out_and_wrong_pin_is_reported_and_logged(service, store):
    sign_in(service, pin="111112")
    sign_in(service)
    service.sign_out(at(5))
    events = [
        (row.type, row.body["operator"], row.body["result"])
        for row in outbox.pending(store, limit=10)
    ]
    assert events == [
        ("operator", "anna", what) for what in ("pin_wrong", "signed_in", "signed_out")
    ]
    with store.read() as connection:
        assert connection.execute("SELECT count(*) FROM operator_log").fetchone() == (3,)
    assert PIN not in str(events)


def test_a_scanned_badge_has_its_line_in_the_journal(service, store):
    shown = scan_badge(service, badge_code(), NOON, 1.5)
    assert (shown.reason, shown.is_accepted, shown.intents) == (SignInResult.PIN_NEEDED, False, ())
    (row,) = scan_journal.rows(store)
    assert (row.reason, row.operator, row.ledger_id) == ("pin_needed", "anna", None)


# Roles and PINs


def test_each_role_may_do_what_the_table_says_and_nothing_else():
    assert {role: {act for act in StaffAction if is_permitted(role, act)} for role in Role} == {
        Role.OPERATOR: {StaffAction.REDEEM},
        Role.REVIEWER: {StaffAction.REDEEM, StaffAction.REVIEW},
        Role.SUPERVISOR: {
            StaffAction.REDEEM,
            StaffAction.REVERSE,
            StaffAction.SETTLE,
            StaffAction.UNLOCK,
        },
        Role.TECHNICIAN: {StaffAction.DIAGNOSE},
    }
    assert set(PERMISSIONS) == set(Role)


@pytest.mark.parametrize(
    "pin", ["12345", "1" * 13, "123456", "987654", "000000", "121212", "12345a", "１２３４５７", ""]
)
def test_pins_that_are_too_short_or_too_easy_are_refused(pin):
    assert pin_fault(pin) is not None
    with pytest.raises(ValueError):
        hash_pin(pin)


@pytest.mark.parametrize(
    "pin_hash",
    [
        pytest.param("", id="nothing"),
        pytest.param("plain", id="no hash"),
        pytest.param(HASHES[PIN].replace("argon2id", "argon2i"), id="another kind"),
        pytest.param(HASHES[PIN].replace("m=19456", "m=8"), id="too little memory"),
        pytest.param(HASHES[PIN].replace("m=19456", "m=4194304"), id="too much memory"),
        pytest.param(HASHES[PIN].replace("t=2", "t=100"), id="too many rounds"),
        pytest.param(HASHES[PIN] + "A" * 200, id="too long"),
        pytest.param(HASHES[PIN].replace("p=1", "p=64"), id="too many lanes"),
    ],
)
def test_hashes_of_another_kind_too_weak_or_too_heavy_are_refused(pin_hash):
    assert hash_fault(pin_hash) is not None
    assert hash_fault(HASHES[PIN]) is None


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=20), st.text(max_size=40) | st.just(HASHES[PIN]))
def test_no_other_text_is_the_pin(pin, pin_hash):
    assert pin_matches(pin, pin_hash) is (pin == PIN and pin_hash == HASHES[PIN])
