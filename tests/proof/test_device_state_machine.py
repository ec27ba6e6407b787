"""The device against its model: scans, crashes, cancellations, reviews, clock jumps, door faults.

After every step the laws of docs/architecture.md are checked on what is on disk and on what the
doors really did. A power cut comes before any statement, or in the middle of a pulse; it clears the
memory.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from edge.domain.entitlement import OrderStatus
from edge.domain.exception_case import Settlement
from edge.domain.redemption_state import RequestedUse
from edge.domain.replay import replay
from edge.domain.roles import Role
from edge.domain.verdict import Verdict
from edge.operators.actions import OperatorActions
from edge.operators.operator_action import ActionResult
from edge.pickup.pickups import DoorTimings, Pickups
from edge.ports import LockError
from edge.store import exception_cases, ledger, lock_intents, reviews, scan_journal
from edge.store.database.store import FILE, connect
from edge.token.claims import Kind
from tests.support.door_intents import intents_of
from tests.support.ledger_checks import assert_ledger_and_outbox_agree
from tests.support.operator_sessions import sign_in, sign_out
from tests.support.sample_shop import NOON, at, code, deliver, open_at, order, redeemer
from tests.support.shop_model import GRACE_S, Code, Door, Use

TIMES = DoorTimings(open_s=10, close_s=90)
MEMORY = Path("/dev/shm")
PEOPLE = st.sampled_from(["ann", "bob"])


class PowerCut(BaseException):
    """Everything in memory is gone."""


class Cutting:
    """A connection whose device loses power before its ``n``-th statement."""

    def __init__(self, connection, before):
        self._connection, self._left = connection, before

    def execute(self, *statement):
        self._left -= 1
        if self._left <= 0:
            raise PowerCut
        return self._connection.execute(*statement)

    def __getattr__(self, name):
        return getattr(self._connection, name)


class World:
    """The locker as a thing: doors, bolts, contacts; and a witness of every pulse."""

    def __init__(self, folder):
        self.folder = folder
        self.open = dict.fromkeys("ABC", False)
        self.dead, self.blind, self.cut = set(), set(), None
        self.pulses, self.may_pulse, self.unwitnessed = [], False, []

    def compartments(self):
        return frozenset(self.open)

    def pulse(self, compartment):
        self._witness(compartment)
        self.pulses.append(compartment)
        if self.cut == "before the bolt":
            raise PowerCut
        if compartment not in self.dead:
            self.open[compartment] = True
        if self.cut == "after the bolt":
            raise PowerCut
        if compartment in self.dead:
            raise LockError("dead coil")

    def is_open(self, compartment):
        return None if compartment in self.blind else self.open[compartment]

    def close(self):
        pass

    def _witness(self, compartment):
        """Check laws 1 and 5: another process can read the coming pulse, and the order holds."""
        other = connect(self.folder / FILE, read_only=True)
        (pulsing,) = other.execute(
            "SELECT count(*) FROM intent i JOIN ledger l ON l.id = i.ledger_id"
            " JOIN entitlement e ON e.cti = l.cti"
            " LEFT JOIN review r ON r.ledger_id = l.id"
            " WHERE i.compartment = ? AND i.state = 'pulsing' AND e.status = 'ready'"
            " AND (r.state IS NULL OR r.state = 'approved')",
            (compartment,),
        ).fetchone()
        other.close()
        if pulsing != 1 or not self.may_pulse:
            self.unwitnessed.append(compartment)


@pytest.fixture(scope="module", autouse=True)
def _fresh_store(tmp_path_factory):
    """Make a new store once: each example begins with a copy."""
    folder = tmp_path_factory.mktemp("fresh")
    open_at(folder).close()
    Device.fresh = folder / FILE
    yield


class Device(RuleBasedStateMachine):
    """One device, its platform, its people and its doors."""

    fresh: Path
    codes = Bundle("codes")

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        shutil.copy(self.fresh, self.folder / FILE)
        self.world, self.sold, self.scans = World(self.folder), [], 0
        self.monotonic_s, self.wall_s = 0.0, 0
        self.store = None
        self.start()
        deliver(self.store)

    def teardown(self):
        self.store.close()
        shutil.rmtree(self.folder)

    @property
    def now(self):
        return at(self.wall_s)

    def start(self):
        """Start: the contacts are read and no lock is pulsed (law 5)."""
        if self.store is not None:
            self.store.close()
        self.store = open_at(self.folder, now_s=NOON.unix_s)
        self.pickups = Pickups(
            self.store, self.world, self.world, times=TIMES, random_bytes=os.urandom
        )
        before = list(self.world.pulses)
        self.pickups.recover(self.monotonic_s, self.now)
        assert self.world.pulses == before
        self.hear_doors()

    def with_cut(self, work, cut):
        """Do ``work``; with ``cut``, lose the power in it and start again, which gives None."""
        store, real = self.store, self.store.connection()
        if isinstance(cut, int):
            store._own.connection = Cutting(real, cut)
        self.world.cut, self.world.may_pulse = cut if isinstance(cut, str) else None, True
        try:
            return work()
        except PowerCut:
            real.rollback()
            self.world.may_pulse = False
            self.start()
            return None
        finally:
            store._own.connection = real
            self.world.cut, self.world.may_pulse = None, False

    # What happens

    @initialize(target=codes)
    def sell_a_parcel(self):
        return self.sell(Kind.PICKUP, 1, False, 2, 10**6)

    @rule(
        target=codes,
        kind=st.sampled_from([Kind.WRITE_OFF, Kind.PICKUP]),
        quantity=st.integers(1, 2),
        flagged=st.booleans(),
        doors=st.integers(1, 2),
        lasts_s=st.sampled_from([3600, 10**6, 10**6]),
    )
    def sell_more(self, kind, quantity, flagged, doors, lasts_s):
        return self.sell(kind, quantity, flagged, doors, lasts_s)

    def sell(self, kind, quantity, flagged, doors, lasts_s):
        """Sell a voucher, or a parcel in compartments of its own."""
        free = [name for name in "ABC" if not any(name in other.doors for other in self.sold)]
        if kind is Kind.PICKUP and len(free) < doors:
            return multiple()
        mine = tuple(free[:doors]) if kind is Kind.PICKUP else ()
        claims = code(
            kind=kind,
            quantity=quantity if kind is Kind.WRITE_OFF else 1,
            order_id=f"A-{len(self.sold)}",
            not_before_s=NOON.unix_s - lasts_s,
            expires_at_s=NOON.unix_s + lasts_s,
        )
        sold = Code(claims, flagged, mine)
        self.sold.append(sold)
        deliver(self.store, order(claims, compartments=mine, review=flagged))
        return sold

    @rule(shown=codes, who=st.none() | PEOPLE, cut=st.none() | st.integers(1, 14))
    def scan(self, shown, who, cut):
        """Scan a code, perhaps with a person signed in; perhaps the power fails."""
        sign_in(self.store, who, Role.OPERATOR, now=self.now) if who else sign_out(self.store)
        expected = shown.verdict(self.now.unix_s, self.doors_of)
        outcome = self.with_cut(
            lambda: redeemer(self.store, grace_s=GRACE_S).redeem(shown.claims, self.now), cut
        )
        if outcome is None:
            self.remember(
                shown, who
            )  # a cut after the commit: it was redeemed, and no one saw a lamp
            return
        self.scans += 1
        assert outcome.reason is expected, outcome.detail
        self.remember(shown, who)
        if outcome.is_accepted:
            assert outcome.ledger_id in [use.ledger_id for use in shown.standing], (
                "green only for what is on disk"
            )
        self.with_cut(lambda: self.pickups.begin(outcome.intents, self.monotonic_s, self.now), None)

    @rule(shown=codes, cut=st.sampled_from(["before the bolt", "after the bolt", 1, 2, 3, 5, 8]))
    def scan_and_lose_power_at_the_door(self, shown, cut):
        """Accept a scan; the power fails during the pulse, or around it."""
        sign_out(self.store)
        outcome = redeemer(self.store, grace_s=GRACE_S).redeem(shown.claims, self.now)
        self.scans += 1
        self.remember(shown, None)
        self.with_cut(lambda: self.pickups.begin(outcome.intents, self.monotonic_s, self.now), cut)

    @rule(seconds=st.sampled_from([1, 11, 91]), cut=st.none() | st.integers(1, 8))
    def time_passes(self, seconds, cut):
        """Poll the doors; perhaps the power fails."""
        self.monotonic_s += seconds
        self.wall_s += seconds
        self.with_cut(lambda: self.pickups.tick(self.monotonic_s, self.now), cut)

    @rule(seconds=st.sampled_from([-4000, -30, -30, 30, 30, 30, 4000]))
    def the_clock_jumps(self, seconds):
        self.wall_s += seconds

    @rule()
    def restart(self):
        self.start()

    @rule(shown=codes, walks=st.integers(1, 2))
    def collect(self, shown, walks):
        """Open and shut each door, as a person does."""
        self.scan(shown, None, None)
        for _ in range(walks):
            self.time_passes(1, None)
            for compartment in shown.doors:
                self.shut(compartment)
            self.time_passes(1, None)

    @rule(compartment=st.sampled_from("ABC"))
    def shut(self, compartment):
        """Take what is there and shut the door."""
        self.world.open[compartment] = False

    @rule(compartment=st.sampled_from("ABC"), what=st.sampled_from(["dead", "blind", "repaired"]))
    def break_or_mend(self, compartment, what):
        for fault in (self.world.dead, self.world.blind):
            fault.discard(compartment)
        if what != "repaired":
            getattr(self.world, what).add(compartment)

    @rule(shown=codes, status=st.sampled_from([OrderStatus.READY] * 6 + list(OrderStatus)))
    def the_platform_says(self, shown, status):
        """Change the order's state at any moment: paid, ready, cancelled, refunded."""
        shown.status = OrderStatus.READY if status is OrderStatus.SHIPPED else status
        changed = order(
            shown.claims, compartments=shown.doors, review=shown.flagged, status=shown.status
        )
        deliver(self.store, changed)

    @precondition(lambda self: any(shown.uses for shown in self.sold))
    @rule(data=st.data(), role=st.sampled_from(Role))
    def reverse(self, data, role):
        """Reverse a redemption: only a supervisor, once, and not with a door in progress."""
        use = data.draw(st.sampled_from([use for shown in self.sold for use in shown.uses]))
        sign_in(self.store, "sue", role, now=self.now)
        moving = any(door.live for door in self.doors_of(use).values())
        done = self.actions().reverse(use.ledger_id, "a test", self.now).result
        (row,) = [row for row in ledger.rows(self.store) if row.id == use.ledger_id]
        if role is not Role.SUPERVISOR:
            assert done is ActionResult.OPERATOR_FORBIDDEN
        elif self.now.unix_s - row.at.unix_s > 86_400:
            assert done is ActionResult.TOO_LATE
        elif moving:
            assert done is ActionResult.PICKUP_IN_PROGRESS
        else:
            assert done is (ActionResult.ALREADY if use.reversed else ActionResult.DONE)
        use.reversed |= done is ActionResult.DONE

    @precondition(lambda self: any(use.review for shown in self.sold for use in shown.uses))
    @rule(data=st.data(), who=PEOPLE, approve=st.booleans())
    def review(self, data, who, approve):
        """Decide as a second person, once, and never as the one who scanned."""
        uses = [use for shown in self.sold for use in shown.uses if use.review]
        use = data.draw(st.sampled_from(uses))
        sign_in(self.store, who, Role.REVIEWER, now=self.now)
        done = (
            self.actions()
            .review(use.ledger_id, approve=approve, reason="a test", now=self.now)
            .result
        )
        if use.review != "pending" or use.reversed:
            assert done is ActionResult.ALREADY
        elif use.by == who:
            assert done is ActionResult.SAME_PERSON
        else:
            assert done is ActionResult.DONE
            use.review, use.reversed = ("approved", use.reversed) if approve else ("rejected", True)

    @precondition(lambda self: exception_cases.cases(self.store, only_open=True))
    @rule(
        data=st.data(),
        how=st.sampled_from([how for how in Settlement if how is not Settlement.RETRIED]),
    )
    def settle(self, data, how):
        """Settle a case: a supervisor looked and says what was found."""
        case = data.draw(st.sampled_from(exception_cases.cases(self.store, only_open=True)))
        sign_in(self.store, "sue", Role.SUPERVISOR, now=self.now)
        self.actions().settle(case.id, how, "a test", self.now)
        self.hear_doors()

    @rule(amount=st.integers(1, 3))
    def type_how_many(self, amount):
        """Forget a typed amount: the next scan is another person's, or no one's."""
        sign_in(self.store, "zed", Role.OPERATOR, now=self.now)
        assert (
            self.actions().request_amount(RequestedUse(units=amount), self.now).result
            is ActionResult.DONE
        )

    # What is known of it

    def actions(self):
        return OperatorActions(self.store, random_bytes=os.urandom)

    def doors_of(self, use):
        doors = {}
        for intent in intents_of(self.store, use.ledger_id):
            door = doors.setdefault(intent.compartment, Door())
            door.states.append(intent.state)
            door.ends_s.append(intent.ended_s)
        return doors

    def remember(self, shown, who):
        """Learn from the ledger what the scan wrote: at most one new use of this code."""
        known = {use.ledger_id for use in shown.uses}
        rows = ledger.rows(self.store, cti=shown.claims.cti)
        fresh = [row for row in rows if row.use_no and row.id not in known]
        assert len(fresh) <= 1, "one scan is one use"
        for row in fresh:
            assert row.operator == who, "every act names its person"
            pending = row.verdict == Verdict.ACCEPTED_PENDING_REVIEW
            assert pending is shown.flagged
            shown.uses.append(Use(row.id, who, "pending" if pending else None))
        self.hear_doors()

    def hear_doors(self):
        """Expect the reversal of a pickup of which nothing left the locker."""
        reversed_ids = {row.reverses for row in ledger.rows(self.store)}
        for use in (use for shown in self.sold for use in shown.uses):
            use.reversed |= use.ledger_id in reversed_ids

    # What must hold after every step

    @invariant()
    def law_2_ledger_and_outbox_agree_and_nothing_has_a_gap(self):
        assert_ledger_and_outbox_agree(self.store)

    @invariant()
    def law_3_no_code_is_redeemed_beyond_its_quantity(self):
        self.hear_doors()
        rows = ledger.rows(self.store)
        reversed_ids = {row.reverses for row in rows}
        for shown in self.sold:
            standing = [
                row
                for row in rows
                if row.cti == shown.claims.cti and row.use_no and row.id not in reversed_ids
            ]
            assert sum(row.units for row in standing) <= shown.claims.quantity
            assert [row.id for row in standing] == [use.ledger_id for use in shown.standing], (
                "nothing unexplained"
            )

    @invariant()
    def law_5_every_pulse_had_its_own_intent_a_good_order_and_a_persons_scan(self):
        assert self.world.unwitnessed == []
        rows = [
            intent for row in ledger.rows(self.store) for intent in intents_of(self.store, row.id)
        ]
        for name in "ABC":
            pulsed = [
                intent
                for intent in rows
                if intent.compartment == name and intent.pulsed_s is not None
            ]
            assert self.world.pulses.count(name) <= len(pulsed)

    @invariant()
    def a_live_door_is_one_that_the_daemon_watches(self):
        unfinished = {intent.id for intent in lock_intents.unfinished(self.store)}
        assert unfinished <= self.pickups.watched

    @invariant()
    def no_one_approved_what_they_scanned(self):
        assert all(
            item.operator != item.decided_by or item.decided_by is None
            for item in reviews.reviews(self.store, only_pending=False)
        )

    @invariant()
    def law_8_every_scan_is_in_the_journal_and_replays_to_its_verdict(self):
        rows = scan_journal.rows(self.store)
        assert len(rows) >= self.scans
        for row in rows[-2:]:
            assert replay(row.facts, row.policy).verdict.value == row.reason


_QUIETLY = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


def machine(name, examples, steps):
    case = type(name, (Device,), {}).TestCase
    case.settings = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=_QUIETLY,
    )
    return case


TestADeviceForAWhile = machine("Short", 25, 30)
TestADeviceForLong = pytest.mark.slow(pytest.mark.timeout(1500)(machine("Long", 1500, 80)))
