"""The tables of docs/explanation/pickup.md are those of the program, also after a kill."""

import os
import re
import signal

import pytest

from edge.domain.verdict import Verdict
from edge.pickup.door_states import TABLE, DoorEvent, DoorState
from edge.pickup.pickups import DoorTimings, Pickups
from edge.store import exception_cases, ledger, lock_intents
from edge.token.claims import Kind
from tests.support.door_intents import intents_of
from tests.support.paths import DOCS
from tests.support.sample_shop import NOON, at, code, deliver, open_at, order, redeemer

PAGE = (DOCS / "explanation" / "pickup.md").read_text(encoding="utf-8")
TIMES = DoorTimings(open_s=10, close_s=90)
CONTACTS = (False, True, None)  # the columns of the second table
CUTS = (DoorEvent.CUT_CLOSED, DoorEvent.CUT_OPEN, DoorEvent.CUT_BLIND)


def table(heading):
    """Return the rows of the table under this heading, as the code words in each cell."""
    lines = PAGE[PAGE.index(f"\n| {heading} |") + 1 :].split("\n\n")[0].splitlines()[2:]
    return [[re.findall(r"`(\w+)`", cell) for cell in line.strip("|").split("|")] for line in lines]


STEPS = [
    (state[0], event[0], there[0], raised) for state, event, there, raised, _ in table("in state")
]
AFTER = [
    (state[0], contact, found, raised)
    for state, *cells in table("cut in state")
    for contact, (found, *raised) in zip(CONTACTS, cells, strict=True)
]


def test_every_step_of_the_page_is_the_programs_and_every_step_of_the_program_is_on_the_page():
    table = {(state, event): (there, raised) for state, event, there, raised in STEPS}
    table |= {
        (state, CUTS[CONTACTS.index(contact)]): (found, raised)
        for state, contact, found, raised in AFTER
    }
    assert table == {
        pair: (there.state, [there.raises] if there.raises else []) for pair, there in TABLE.items()
    }  # enums compare as their words


class Locker:
    """A lock and a contact whose door is a file, which outlives the process that it may kill."""

    def __init__(self, folder):
        self.folder, self.kill_in_pulse = folder, False

    def compartments(self):
        return frozenset("A")

    def pulse(self, compartment):
        with (self.folder / "pulses").open("a") as file:
            file.write(compartment)
        if self.kill_in_pulse:
            die()

    def is_open(self, compartment):
        return {"": False, "open": True, "blind": None}[
            self.door.read_text() if self.door.exists() else ""
        ]

    def close(self):
        pass

    @property
    def door(self):
        return self.folder / "door"

    @property
    def pulses(self):
        path = self.folder / "pulses"
        return path.read_text() if path.exists() else ""


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def walk_until(folder, state, claims):
    """In a child: scan, and be killed when the door's intent is on disk in ``state``."""
    locker = Locker(folder)
    locker.kill_in_pulse = state == "pulsing"
    store = open_at(folder)
    outcome = redeemer(store).redeem(claims, NOON)
    if state == "reserved":
        die()
    pickups = Pickups(store, locker, locker, times=TIMES, random_bytes=os.urandom)
    pickups.begin(outcome.intents, 0.0, NOON)
    if state == "opened":
        locker.door.write_text("open")
        pickups.tick(1.0, at(1))
    die()


@pytest.mark.parametrize(("state", "contact", "found", "raised"), AFTER)
def test_killed_in_each_state_and_started_again_a_door_is_as_the_page_says(
    tmp_path, state, contact, found, raised
):
    claims = code(kind=Kind.PICKUP)
    store = open_at(tmp_path)
    deliver(store, order(claims))
    store.close()
    child = os.fork()
    if child == 0:
        walk_until(tmp_path, state, claims)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL

    locker = Locker(tmp_path)
    locker.door.write_text({False: "", True: "open", None: "blind"}[contact])
    before, store = locker.pulses, open_at(tmp_path)
    assert [intent.state for intent in lock_intents.unfinished(store)] == [state], (
        "it was killed where the test says"
    )
    pickups = Pickups(store, locker, locker, times=TIMES, random_bytes=os.urandom)
    pickups.recover(0.0, at(5))
    (use,) = [row for row in ledger.rows(store) if row.use_no]
    assert [intent.state for intent in intents_of(store, use.id)] == [found]
    assert [case.kind for case in exception_cases.cases(store)] == raised
    assert locker.pulses == before, "a start pulses no lock"
    again = redeemer(store).redeem(claims, at(6))
    if found == DoorState.RELEASED:
        assert (again.reason, again.ledger_id != use.id) == (Verdict.ACCEPTED, True), (
            "the code can be redeemed again"
        )
    elif found == DoorState.OPENED:
        assert (again.reason, again.intents) == (Verdict.ACCEPTED, ()), (
            "in progress: nothing is pulsed"
        )
    else:
        assert (again.reason, again.decision.reopening) == (Verdict.ACCEPTED, True), (
            "within the grace it opens again"
        )
    store.close()
