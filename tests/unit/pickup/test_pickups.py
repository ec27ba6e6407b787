"""The pickup over a simulated door: one pulse for each intent, faults and power cuts (law 5)."""

import os

import pytest

from edge.domain.entitlement import OrderStatus
from edge.domain.verdict import Verdict
from edge.pickup.door_states import TABLE, DoorEvent, DoorState, next_step
from edge.pickup.pickups import DoorTimings, Pickups
from edge.store import exception_cases, ledger, lock_intents, outbox
from edge.token.claims import Kind
from tests.support.hand_operated_locker import Locker
from tests.support.sample_shop import at, code, deliver, open_at, order, redeemer

TIMES = DoorTimings(open_s=10, close_s=90)


class Bay:
    """A locker at work: a store, its doors, and a clock that the test moves."""

    def __init__(self, folder):
        self.folder, self.locker, self.seconds, self.news = folder, Locker(), 0.0, []
        self.start()

    def start(self):
        self.store = open_at(self.folder)
        self.pickups = Pickups(
            self.store, self.locker, self.locker, times=TIMES, random_bytes=os.urandom
        )
        self.news += self.pickups.recover(self.seconds, self.now)

    def cut_power(self):
        self.store.close()
        self.start()

    @property
    def now(self):
        return at(int(self.seconds))

    def scan(self, claims):
        outcome = redeemer(self.store).redeem(claims, self.now)
        if outcome.intents:
            self.news += self.pickups.begin(outcome.intents, self.seconds, self.now)
        return outcome.reason

    def wait(self, seconds=1.0):
        self.seconds += seconds
        self.news += self.pickups.tick(self.seconds, self.now)

    def shut(self, compartment):
        self.locker.open[compartment] = False
        self.wait()

    def take(self, compartment):
        """Take the parcel and shut the door, as a person does."""
        self.wait()
        self.wait()
        self.shut(compartment)

    def states(self):
        return [(row.compartment, row.state) for row in every_intent(self.store)]

    def cases(self):
        return [case.kind.value for case in exception_cases.cases(self.store)]


def every_intent(store):
    with store.read() as connection:
        ids = tuple(number for (number,) in connection.execute("SELECT id FROM intent"))
    return lock_intents.find_intents(store, ids)


@pytest.fixture
def bay(tmp_path):
    bay = Bay(tmp_path)
    yield bay
    bay.store.close()


def parcel(bay, *compartments):
    claims = code(kind=Kind.PICKUP)
    deliver(bay.store, order(claims, compartments=compartments or ("A",)))
    return claims


def test_a_parcel_is_collected_when_its_door_has_opened_and_closed(bay):
    claims = parcel(bay)
    assert bay.scan(claims) is Verdict.ACCEPTED
    bay.wait()
    assert bay.states() == [("A", "opened")]
    bay.shut("A")
    assert bay.states() == [("A", "collected")]
    assert bay.locker.pulses == ["A"]
    assert bay.cases() == []
    assert outbox.pending(bay.store)[-1].body["state"] == "collected"


def test_a_door_that_does_not_open_is_raised_and_the_code_stays_good(bay):
    claims = parcel(bay)
    bay.locker.opens_by_itself = False
    bay.scan(claims)
    bay.wait(9)
    assert bay.states() == [("A", "pulsed")]
    bay.wait(2)
    assert bay.states() == [("A", "released")]
    assert bay.cases() == ["door_not_opened"]
    assert [row.verdict for row in ledger.rows(bay.store)] == ["accepted", "reversed"]
    bay.locker.opens_by_itself = True
    assert bay.scan(claims) is Verdict.ACCEPTED
    assert bay.locker.pulses == ["A", "A"]


def test_a_lock_that_fails_is_named_and_the_code_stays_good(bay):
    claims = parcel(bay)
    bay.locker.fails, bay.locker.opens_by_itself = True, False
    bay.scan(claims)
    bay.wait(11)
    (case,) = exception_cases.cases(bay.store)
    assert "relay board does not answer" in case.cause
    bay.locker.fails, bay.locker.opens_by_itself = False, True
    assert bay.scan(claims) is Verdict.ACCEPTED


def test_a_lock_that_says_it_failed_and_opened_all_the_same_counts_as_opened(bay):
    claims = parcel(bay)
    bay.locker.fails = True
    bay.scan(claims)
    bay.locker.open["A"] = True
    bay.wait()
    bay.shut("A")
    assert bay.states() == [("A", "collected")]


def test_a_door_left_open_is_raised_once_and_collected_when_it_is_shut(bay):
    bay.scan(parcel(bay))
    bay.wait()
    bay.wait(91)
    bay.wait(91)
    assert bay.cases() == ["door_left_open"]
    bay.shut("A")
    assert bay.states() == [("A", "collected")]


def test_a_contact_that_stops_answering_leaves_the_outcome_unknown(bay):
    bay.locker.open["A"] = None
    bay.locker.opens_by_itself = False
    bay.scan(parcel(bay))
    bay.wait(11)
    assert bay.states() == [("A", "unknown")]
    assert bay.cases() == ["sensor_fault"]


def test_a_compartment_without_a_contact_is_taken_as_collected(bay):
    bay.pickups = Pickups(
        bay.store,
        bay.locker,
        bay.locker,
        times=TIMES,
        random_bytes=os.urandom,
        with_contact=frozenset(),
    )
    bay.locker.open["A"], bay.locker.opens_by_itself = None, False
    bay.scan(parcel(bay))
    bay.wait(11)
    assert bay.states() == [("A", "collected")]
    assert bay.cases() == []


def test_within_the_grace_the_same_code_reopens_its_door_and_that_is_recorded(bay):
    claims = parcel(bay)
    bay.scan(claims)
    bay.wait()
    bay.shut("A")
    bay.wait(30)
    assert bay.scan(claims) is Verdict.ACCEPTED
    bay.wait()
    bay.shut("A")
    assert bay.locker.pulses == ["A", "A"]
    assert ledger.count(bay.store) == 1, "one redemption"
    (event,) = [row for row in outbox.pending(bay.store) if row.type == "reopened"]
    assert (event.body["use"], event.body["doors"]) == (1, ["A"])
    bay.wait(28)
    assert bay.scan(claims) is Verdict.ALREADY_REDEEMED, (
        "60 s after the end of the first opening, not of the last"
    )


def test_reopening_a_door_that_then_stays_shut_reverses_nothing(bay):
    claims = parcel(bay)
    bay.scan(claims)
    bay.wait()
    bay.shut("A")
    bay.locker.opens_by_itself = False
    bay.scan(claims)
    bay.wait(11)
    assert [row.verdict for row in ledger.rows(bay.store)] == ["accepted"]
    bay.wait(60)
    assert bay.scan(claims) is Verdict.ALREADY_REDEEMED


def test_a_couriers_doors_are_walked_one_by_one(bay):
    bay.scan(parcel(bay, "B", "A", "C"))
    bay.wait()
    assert bay.locker.pulses == ["B"]
    assert bay.news[-1].remaining == ("A", "C")
    for compartment in "BAC":
        bay.take(compartment)
    assert bay.locker.pulses == ["B", "A", "C"]
    assert bay.states() == [("B", "collected"), ("A", "collected"), ("C", "collected")]


def test_a_courier_goes_on_with_the_doors_that_are_left(bay):
    claims = parcel(bay, "A", "B", "C")
    bay.scan(claims)
    bay.wait()
    bay.locker.opens_by_itself = False
    bay.shut("A")
    bay.wait()
    bay.wait(11)
    assert bay.states() == [("A", "collected"), ("B", "released"), ("C", "released")]
    assert ledger.count(bay.store) == 1, "what was collected stays collected"
    bay.locker.opens_by_itself = True
    bay.wait(1000)
    assert bay.scan(claims) is Verdict.ACCEPTED
    bay.take("B")
    bay.take("C")
    assert bay.locker.pulses == ["A", "B", "B", "C"]
    bay.wait(1000)
    assert bay.scan(claims) is Verdict.ALREADY_REDEEMED


def test_a_courier_who_left_a_door_open_goes_on_by_scanning_again_and_the_open_door_stays_watched(
    bay,
):
    claims = parcel(bay, "A", "B", "C")
    bay.scan(claims)
    bay.wait()
    bay.wait(91)
    assert bay.news[-1].remaining == ("B", "C")
    assert bay.pickups.in_progress == (), "no one is led to a door"
    assert bay.scan(claims) is Verdict.ACCEPTED
    bay.take("B")
    bay.take("C")
    assert bay.locker.pulses == ["A", "B", "C"]
    bay.shut("A")
    assert bay.states() == [
        ("A", "collected"),
        ("B", "released"),
        ("C", "released"),
        ("B", "collected"),
        ("C", "collected"),
    ]
    assert bay.cases() == ["door_left_open"]


def test_the_same_code_while_its_door_waits_says_so_and_pulses_nothing(bay):
    claims = parcel(bay)
    bay.locker.opens_by_itself = False
    bay.scan(claims)
    bay.wait()
    assert bay.scan(claims) is Verdict.ACCEPTED
    assert bay.locker.pulses == ["A"]
    assert ledger.count(bay.store) == 1


def test_a_contact_open_before_the_pulse_raises_a_case_at_once_and_a_stuck_one_ends_unknown(
    bay,
):
    bay.locker.open["A"] = True
    bay.scan(parcel(bay, "A", "B"))
    assert bay.cases() == ["sensor_fault"]
    assert bay.locker.pulses == ["A"], "the person gets the parcel all the same"
    bay.wait()
    bay.wait(91)
    assert bay.states() == [("A", "unknown"), ("B", "reserved")]
    bay.wait()
    assert bay.locker.pulses == ["A", "B"], "the walk goes on"
    assert bay.cases() == ["sensor_fault"]


def cancel(bay, claims, status):
    deliver(bay.store, order(claims, compartments=("A", "B"), status=status))


def test_an_order_cancelled_between_the_scan_and_the_pulse_keeps_its_door_shut(bay):
    claims = parcel(bay, "A", "B")
    outcome = redeemer(bay.store).redeem(claims, bay.now)
    cancel(bay, claims, OrderStatus.CANCELLED)
    bay.pickups.begin(outcome.intents, bay.seconds, bay.now)
    bay.wait()
    assert bay.locker.pulses == []
    assert bay.states() == [("A", "released"), ("B", "released")]
    assert [row.verdict for row in ledger.rows(bay.store)] == ["accepted", "reversed"]
    assert bay.scan(claims) is Verdict.ORDER_CANCELLED


def test_an_order_refunded_between_two_doors_keeps_the_second_shut(bay):
    claims = parcel(bay, "A", "B")
    bay.scan(claims)
    cancel(bay, claims, OrderStatus.REFUNDED)
    bay.take("A")
    bay.wait()
    assert bay.locker.pulses == ["A"]
    assert bay.states() == [("A", "collected"), ("B", "released")]
    assert ledger.count(bay.store) == 1, "what was taken stays taken"


def test_a_door_that_was_opened_and_shut_between_two_ticks_was_opened(bay):
    counted = {"A": 0}
    bay.locker.openings = counted.__getitem__
    bay.locker.opens_by_itself = False
    bay.scan(parcel(bay))
    counted["A"] = 1
    bay.wait()
    bay.wait()
    assert bay.states() == [("A", "collected")]


def test_a_contact_that_bounces_has_not_closed(bay):
    steady = DoorTimings(open_s=10, close_s=90, steady_s=0.25)
    bay.pickups = Pickups(bay.store, bay.locker, bay.locker, times=steady, random_bytes=os.urandom)
    bay.scan(parcel(bay, "A", "B"))
    bay.wait()
    for is_open in (False, True, False):
        bay.locker.open["A"] = is_open
        bay.wait(0.1)
    assert bay.states() == [("A", "opened"), ("B", "reserved")]
    bay.wait(0.3)
    assert bay.states()[0] == ("A", "collected")


# A crash or a power cut in each state: the lines CUT_* of edge.pickup.door_states.TABLE.

CUTS = [
    ("reserved", False, "released", []),
    ("reserved", True, "unknown", ["sensor_fault"]),
    ("reserved", None, "released", []),
    ("pulsing", False, "unknown", ["system_fault"]),
    ("pulsing", True, "opened", []),
    ("pulsing", None, "unknown", ["system_fault"]),
    ("pulsed", False, "unknown", ["system_fault"]),
    ("pulsed", True, "opened", []),
    ("pulsed", None, "unknown", ["system_fault"]),
    ("opened", False, "collected", []),
    ("opened", True, "opened", []),
    ("opened", None, "unknown", ["sensor_fault"]),
]


@pytest.mark.parametrize(("state", "contact", "found", "raised"), CUTS)
def test_after_a_cut_the_contact_decides_and_no_lock_is_pulsed(bay, state, contact, found, raised):
    claims = parcel(bay)
    outcome = redeemer(bay.store).redeem(claims, bay.now)
    with bay.store.transaction() as connection:
        lock_intents.record_state(
            connection, outcome.intents[0], state=state, detail="", now=bay.now, ended=False
        )
    bay.locker.open["A"] = contact
    bay.cut_power()
    bay.wait()
    bay.wait(3)
    assert bay.states() == [("A", found)]
    assert bay.cases() == raised
    assert bay.locker.pulses == []
    bay.cut_power()
    assert bay.cases() == raised, "a second start raises nothing twice"


def test_after_a_cut_with_an_unknown_outcome_the_same_code_reopens_the_door(bay):
    claims = parcel(bay)
    bay.locker.opens_by_itself = False
    bay.scan(claims)
    bay.cut_power()
    assert bay.states() == [("A", "unknown")]
    assert bay.locker.pulses == ["A"]
    assert bay.scan(claims) is Verdict.ACCEPTED
    assert bay.locker.pulses == ["A", "A"]


def test_after_a_cut_before_the_pulse_the_code_is_valid_again(bay):
    claims = parcel(bay)
    redeemer(bay.store).redeem(claims, bay.now)
    bay.cut_power()
    assert bay.scan(claims) is Verdict.ACCEPTED
    assert bay.locker.pulses == ["A"]


def test_no_pulse_while_its_intent_cannot_be_put_on_disk(bay):
    claims = parcel(bay)
    outcome = redeemer(bay.store).redeem(claims, bay.now)
    bay.store.connection().execute("PRAGMA busy_timeout = 1")
    other = open_at(bay.folder)
    with other.transaction():
        bay.pickups.begin(outcome.intents, bay.seconds, bay.now)
        bay.wait()
        assert bay.locker.pulses == []
    bay.wait()
    assert bay.locker.pulses == ["A"]
    other.close()


def test_a_lock_that_could_not_be_pulsed_in_time_is_not_pulsed_later(bay):
    claims = parcel(bay)
    outcome = redeemer(bay.store).redeem(claims, bay.now)
    bay.store.connection().execute("PRAGMA busy_timeout = 1")
    other = open_at(bay.folder)
    with other.transaction():
        bay.pickups.begin(outcome.intents, bay.seconds, bay.now)
        bay.wait(11)
    bay.wait()
    other.close()
    assert bay.locker.pulses == []
    assert bay.states() == [("A", "released")]
    assert bay.scan(claims) is Verdict.ACCEPTED


def test_every_live_state_has_an_answer_to_every_way_a_cut_can_find_it():
    for state in DoorState:
        for cut in (DoorEvent.CUT_CLOSED, DoorEvent.CUT_OPEN, DoorEvent.CUT_BLIND):
            assert ((state, cut) in TABLE) is not state.ended


def test_nothing_happens_to_a_door_that_has_ended():
    for state in DoorState:
        if state.ended:
            assert all(next_step(state, event).state is state for event in DoorEvent)
