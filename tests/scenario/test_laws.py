"""The laws that the store, the decision and the redemption keep (docs/architecture.md).

Threads and processes race, the disk fills, the clock jumps, and the process is killed at every
statement.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.exception_case import ExceptionKind
from edge.domain.verdict import Verdict
from edge.feedback.result_messages import MESSAGES
from edge.operators.sign_in_result import SignInResult
from edge.pickup.pickups import DoorTimings, Pickups
from edge.store import ledger, outbox, scan_journal
from edge.store.database.store import FILE, connect
from edge.token.claims import Kind, TokenRefusal
from edge.token.rejection import Rejection
from edge.values.instant import ClockTrust
from tests.support.door_intents import intents_of
from tests.support.ledger_checks import assert_ledger_and_outbox_agree
from tests.support.paths import ROOT
from tests.support.sample_shop import NOON, at, code, deliver, open_at, order, redeemer

TIMES = DoorTimings(open_s=10, close_s=90)


def redeemed_units(store, claims):
    """Return how many redemptions of a code were not reversed."""
    rows = ledger.rows(store, cti=claims.cti)
    return len([row for row in rows if row.use_no]) - len([row for row in rows if row.reverses])


# Law 1: durable before visible


class Witness:
    """A lock, a door and a lamp that read what is on disk, by a connection of their own."""

    def __init__(self, folder):
        self.folder, self.seen = folder, []

    def compartments(self):
        return frozenset({"A"})

    def look(self):
        other = connect(self.folder / FILE, read_only=True)
        try:
            rows = other.execute(
                "SELECT l.cti, i.state FROM ledger l LEFT JOIN intent i ON i.ledger_id = l.id"
            )
            self.seen.append(rows.fetchall())
        finally:
            other.close()

    def pulse(self, compartment):
        self.look()

    def is_open(self, compartment):
        return False

    def close(self):
        pass


def test_a_lock_is_pulsed_only_for_an_intent_that_another_process_can_read(tmp_path):
    store, claims, witness = open_at(tmp_path), code(kind=Kind.PICKUP), Witness(tmp_path)
    deliver(store, order(claims))
    pickups = Pickups(store, witness, witness, times=TIMES, random_bytes=os.urandom)
    outcome = redeemer(store).redeem(claims, NOON)
    pickups.begin(outcome.intents, 0.0, NOON)
    assert witness.seen == [[(claims.cti, "pulsing")]]


def test_an_accepted_verdict_is_returned_only_when_another_process_can_read_it(tmp_path):
    store, witness = open_at(tmp_path), Witness(tmp_path)
    codes = [code() for _ in range(5)]
    deliver(store, *(order(claims) for claims in codes))
    for number, claims in enumerate(codes, start=1):
        assert redeemer(store).redeem(claims, NOON).is_accepted
        witness.look()
        assert (len(witness.seen[-1]), witness.seen[-1][-1][0]) == (number, claims.cti)


# Law 2: nothing lost, nothing twice


class Failing:
    """A connection that fails at its ``n``-th statement as a disk does."""

    def __init__(self, connection, at_statement):
        self._connection, self._left = connection, at_statement

    def execute(self, *statement):
        self._left -= 1
        if self._left == 0:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR_WRITE"
            raise error
        return self._connection.execute(*statement)

    def __getattr__(self, name):
        return getattr(self._connection, name)


@pytest.mark.parametrize("kind", [Kind.WRITE_OFF, Kind.PICKUP])
def test_a_disk_that_fails_at_any_statement_redeems_nothing_and_writes_no_half(tmp_path, kind):
    store, claims = open_at(tmp_path), code(kind=kind)
    deliver(store, order(claims))
    real = store.connection()
    for statement in range(1, 30):
        store._own.connection = Failing(real, statement)
        outcome = redeemer(store).redeem(claims, NOON)
        store._own.connection = real
        if outcome.is_accepted:
            break
        assert outcome.reason is Verdict.STORE_UNAVAILABLE
        assert (ledger.count(store), outbox.backlog(store).pending, scan_journal.rows(store)) == (
            0,
            0,
            [],
        )
    assert statement > 6, "it was tried at every statement"
    assert_ledger_and_outbox_agree(store)


def test_a_full_disk_redeems_nothing_and_gives_store_unavailable(tmp_path):
    store = open_at(tmp_path)
    codes = [code(order_id="A" * 40) for _ in range(400)]
    deliver(store, *(order(claims) for claims in codes))
    (pages,) = store.connection().execute("PRAGMA page_count").fetchone()
    store.connection().execute(f"PRAGMA max_page_count = {pages + 8}")
    outcomes = [redeemer(store).redeem(claims, NOON) for claims in codes]
    refused = [outcome for outcome in outcomes if not outcome.is_accepted]
    assert {outcome.reason for outcome in refused} == {Verdict.STORE_UNAVAILABLE}
    assert "full" in refused[0].detail
    assert ledger.count(store) == len(codes) - len(refused)
    assert_ledger_and_outbox_agree(store)
    store.connection().execute("PRAGMA max_page_count = 100000")
    assert redeemer(store).redeem(codes[-1], NOON).is_accepted, "and it goes on when there is room"


@pytest.mark.parametrize("cut_at", range(0, 100, 7))
def test_a_log_that_was_cut_anywhere_by_a_power_cut_shows_whole_redemptions_only(tmp_path, cut_at):
    store = open_at(tmp_path / "a")
    codes = [code() for _ in range(4)]
    deliver(store, *(order(claims) for claims in codes))
    store.checkpoint()
    for claims in codes:
        redeemer(store).redeem(claims, NOON)
    (tmp_path / "b").mkdir()
    log = (tmp_path / "a" / f"{FILE}-wal").read_bytes()
    (tmp_path / "b" / FILE).write_bytes((tmp_path / "a" / FILE).read_bytes())
    (tmp_path / "b" / f"{FILE}-wal").write_bytes(log[: len(log) * cut_at // 100])
    after = open_at(tmp_path / "b")
    assert_ledger_and_outbox_agree(after)
    for claims in codes:
        deliver(after, order(claims))
        redeemer(after).redeem(claims, NOON)
        assert redeemed_units(after, claims) == 1


# Law 3: once is once


@settings(max_examples=15, deadline=None)
@given(quantity=st.integers(1, 4), scanners=st.integers(2, 6), each=st.integers(1, 3))
def test_threads_racing_on_one_code_redeem_at_most_its_quantity(
    tmp_path_factory, quantity, scanners, each
):
    store, claims = (
        open_at(tmp_path_factory.mktemp("race"), busy_timeout_s=30),
        code(quantity=quantity),
    )
    deliver(store, order(claims))
    shared, start, outcomes = redeemer(store), threading.Barrier(scanners), []

    def scan():
        start.wait()
        outcomes.extend(shared.redeem(claims, NOON) for _ in range(each))

    threads = [threading.Thread(target=scan) for _ in range(scanners)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    green = [outcome for outcome in outcomes if outcome.is_accepted]
    assert len(green) == min(quantity, scanners * each) == redeemed_units(store, claims)
    assert {outcome.reason for outcome in outcomes} <= {Verdict.ACCEPTED, Verdict.ALREADY_REDEEMED}
    assert_ledger_and_outbox_agree(store)
    store.close()


RACER = """
import json, os, sys, time
from pathlib import Path
from tests.support.sample_shop import NOON, code, open_at, redeemer
folder, me, go = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
store = open_at(folder, busy_timeout_s=30)
numbers = list(range(1, 31))
numbers = numbers[me * 7 :] + numbers[: me * 7]
time.sleep(max(0.0, go - time.time()))
codes = {n: code(cti=n.to_bytes(16, "big"), quantity=1 + n % 2) for n in numbers}
print(json.dumps([n for n in numbers if redeemer(store).redeem(codes[n], NOON).is_accepted]))
"""


def test_processes_racing_on_the_same_codes_redeem_each_at_most_its_quantity(tmp_path):
    import time

    store = open_at(tmp_path)
    codes = {n: code(cti=n.to_bytes(16, "big"), quantity=1 + n % 2) for n in range(1, 31)}
    deliver(store, *(order(claims) for claims in codes.values()))
    go = str(time.time() + 2.0)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, tmp_path, str(me), go],
            stdout=subprocess.PIPE,
            env=environment,
        )
        for me in range(4)
    ]
    green = [n for racer in racers for n in json.loads(racer.communicate()[0])]
    for n, claims in codes.items():
        assert green.count(n) == claims.quantity == redeemed_units(store, claims)
    assert_ledger_and_outbox_agree(store)


jumps = st.lists(
    st.tuples(st.integers(-(10**9), 10**9), st.sampled_from(ClockTrust), st.booleans()),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(quantity=st.integers(1, 3), jumps=jumps, kind=st.sampled_from([Kind.WRITE_OFF, Kind.PICKUP]))
def test_a_clock_that_jumps_both_ways_redeems_no_code_more_often(
    tmp_path_factory, quantity, jumps, kind
):
    folder = tmp_path_factory.mktemp("jumps")
    store, claims = (
        open_at(folder),
        code(quantity=quantity, kind=kind, not_before_s=0, expires_at_s=2**33 - 1),
    )
    deliver(store, order(claims))
    for seconds, trust, restart in jumps:
        redeemer(store).redeem(claims, at(seconds, trust))
        if restart:
            store.close()
            store = open_at(folder, now_s=at(seconds).unix_s)
        assert redeemed_units(store, claims) <= quantity
    assert_ledger_and_outbox_agree(store)
    store.close()


def test_the_database_itself_refuses_a_second_row_for_the_same_use(tmp_path):
    store, claims = open_at(tmp_path), code()
    deliver(store, order(claims))
    redeemer(store).redeem(claims, NOON)
    columns = "cti, use_no, order_id, kind, units, verdict, at_s, trust, epoch_no, seq, event_id"
    with pytest.raises(sqlite3.IntegrityError), store.transaction() as connection:
        connection.execute(f"INSERT INTO ledger ({columns}) SELECT {columns} FROM ledger")


def test_a_redemption_is_reversed_once(tmp_path):
    store, claims = open_at(tmp_path), code()
    deliver(store, order(claims))
    use = redeemer(store).redeem(claims, NOON).ledger_id
    with store.transaction() as connection:
        facts = {"reason": "test", "now": NOON, "operator": None}
        assert ledger.write_reversal(connection, use, event_id="1", **facts) is not None
        assert ledger.write_reversal(connection, use, event_id="2", **facts) is None
    assert redeemer(store).redeem(claims, NOON).is_accepted
    assert redeemed_units(store, claims) == 1


# Laws 2, 3 and 5 together: killed at every statement


class LoudLocker:
    """A lock that writes each pulse to a file, so that it is known after the process is dead."""

    def __init__(self, path):
        self.path = path
        self.is_really_open = False

    def compartments(self):
        return frozenset({"A"})

    def pulse(self, compartment):
        with self.path.open("a") as file:
            file.write(compartment)
        self.is_really_open = True

    def is_open(self, compartment):
        return self.is_really_open

    def close(self):
        pass

    @property
    def pulses(self):
        return len(self.path.read_text()) if self.path.exists() else 0


def pick_up(folder, claims, kill_at):
    """Scan, open, take, shut, in a child that is killed before the ``kill_at``-th statement."""
    store, locker = open_at(folder), LoudLocker(folder / "pulses")
    left = kill_at

    def count(_):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    store.connection().set_trace_callback(count)
    pickups = Pickups(store, locker, locker, times=TIMES, random_bytes=os.urandom)
    outcome = redeemer(store).redeem(claims, NOON)
    (folder / "green").write_text(str(outcome.is_accepted))
    pickups.begin(outcome.intents, 0.0, NOON)
    pickups.tick(1.0, at(1))
    locker.is_really_open = False
    pickups.tick(2.0, at(2))


def in_a_child(work):
    """Run ``work`` in a forked process; return whether it lived to the end."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, "the child failed by itself"
    return os.WIFEXITED(status)


@pytest.mark.parametrize("door_after", ["open", "shut"])
def test_killed_before_any_statement_of_a_pickup_nothing_is_lost_doubled_or_pulsed_by_itself(
    tmp_path, door_after
):
    kill_at, lived = 0, False
    while not lived:
        kill_at += 1
        folder, claims = tmp_path / str(kill_at), code(kind=Kind.PICKUP)
        store = open_at(folder)
        deliver(store, order(claims))
        store.close()
        lived = in_a_child(
            lambda folder=folder, claims=claims, n=kill_at: pick_up(folder, claims, n)
        )
        assert_sound_after_a_start(folder, claims, door_is_open=door_after == "open")
    assert kill_at > 20, "there were statements to be killed at"


def assert_sound_after_a_start(folder, claims, *, door_is_open):
    store, locker = open_at(folder), LoudLocker(folder / "pulses")
    was_green, pulses = (folder / "green").exists(), locker.pulses
    locker.is_really_open = door_is_open and pulses > 0
    assert_ledger_and_outbox_agree(store)
    if was_green:
        assert len([row for row in ledger.rows(store) if row.use_no]) == 1, (
            "what was green is on disk"
        )
    pulsed = [row for row in live_and_ended(store) if row.pulsed_s is not None]
    assert pulses <= len(pulsed), "no pulse without its intent on disk"
    pickups = Pickups(store, locker, locker, times=TIMES, random_bytes=os.urandom)
    pickups.recover(0.0, at(10))
    pickups.tick(1.0, at(11))
    pickups.tick(20.0, at(30))
    assert locker.pulses == pulses, "a start pulses nothing"
    assert_ledger_and_outbox_agree(store)
    outcome = redeemer(store).redeem(claims, at(40))
    assert redeemed_units(store, claims) == 1
    assert outcome.reason in (Verdict.ACCEPTED, Verdict.ALREADY_REDEEMED)
    store.close()


def live_and_ended(store):
    return [row for use in ledger.rows(store) for row in intents_of(store, use.id)]


# Law 8: every refusal has one reason code


def test_no_two_reasons_share_a_code_and_each_has_its_message():
    for reasons in (Verdict, Rejection, SignInResult, ExceptionKind):
        assert (
            len({reason.value for reason in reasons})
            == len(list(reasons))
            == len(reasons.__members__)
        )
    shared = {reason.value for reason in Verdict} & {reason.value for reason in Rejection}
    assert shared == {"expired", "revoked"}, "one code each, whether the token or the order says so"
    assert not {reason.value for reason in SignInResult} & {
        reason.value for reason in (*Verdict, *Rejection)
    }
    assert {reason.value for reason in (*Verdict, *Rejection, *SignInResult)} == {
        reason.value for reason in MESSAGES
    }


def test_a_refusal_has_the_same_code_in_the_verdict_the_journal_and_the_event(tmp_path):
    store = open_at(tmp_path)
    early, foreign, unknown = code(not_before_s=NOON.unix_s + 1), code(audience="site-9"), code()
    deliver(store, order(early), order(foreign))
    reasons = [
        redeemer(store).redeem(claims, NOON).reason.value for claims in (early, foreign, unknown)
    ]
    known = TokenRefusal(reason=Rejection.STATUS_STALE, detail="", claims=early)
    reasons.append(redeemer(store).refuse(known, NOON).reason.value)
    assert reasons == ["too_early", "wrong_site", "needs_online", "status_stale"]
    assert [row.reason for row in scan_journal.rows(store)] == reasons
    assert [event.body["reason"] for event in outbox.pending(store)] == reasons


def test_a_code_that_fails_verification_is_journalled_and_not_reported(tmp_path):
    store = open_at(tmp_path)
    refusal = TokenRefusal(reason=Rejection.SIGNATURE_INVALID, detail="no key fits", claims=None)
    assert redeemer(store).refuse(refusal, NOON, decode_ms=3.5).journal_id
    (row,) = scan_journal.rows(store)
    assert (row.reason, row.detail, row.decode_ms) == ("signature_invalid", "no key fits", 3.5)
    assert outbox.pending(store) == []


def test_without_a_store_every_verified_code_is_refused_as_store_unavailable():
    outcome = redeemer(None).redeem(code(), NOON)
    assert (outcome.reason, outcome.is_accepted, outcome.journal_id) == (
        Verdict.STORE_UNAVAILABLE,
        False,
        None,
    )
