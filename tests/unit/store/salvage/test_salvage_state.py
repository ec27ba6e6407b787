"""What a device knew, table by table, is what it knows after its store was replaced."""

import os
import random
import sqlite3
from contextlib import closing

import pytest

from edge.domain.verdict import Verdict
from edge.pickup.pickups import DoorTimings, Pickups
from edge.store import (
    documents,
    exception_cases,
    ledger,
    lock_intents,
    outbox,
    pin_attempts,
)
from edge.store.database import migration
from edge.store.database.store import FILE, SUSPECT
from edge.store.opening import StoreState, open_store
from edge.store.salvage.carried_tables import CARRIED
from edge.token.claims import Kind
from edge.values.uuid7 import uuid7
from tests.support.broken_stores import destroy
from tests.support.sample_shop import (
    DEVICE,
    NOON,
    at,
    code,
    deliver,
    give_back_nothing,
    open_at,
    order,
    redeemer,
)
from tests.support.used_device import UsedDevice, pages_of, rows_of

LATER = at(100)
COPIED = [table.name for table in CARRIED if table.name not in ("device", "authorisation_request")]


@pytest.fixture
def device(tmp_path):
    return UsedDevice(tmp_path)


def newer(device):
    """Let a newer program have written the store: what `edge-scanner-install back` finds."""
    with closing(sqlite3.connect(device.folder / FILE)) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name) VALUES (?, '9999_future')",
            (migration.SET,),
        )
        connection.execute("ALTER TABLE ledger ADD COLUMN later INTEGER NOT NULL DEFAULT 7")
        connection.execute("CREATE TABLE later (x INTEGER)")
        connection.commit()


def block(device):
    """Let the platform have blocked the device."""
    with closing(sqlite3.connect(device.folder / FILE)) as connection:
        connection.execute("UPDATE device SET blocked = 'stolen'")
        connection.commit()


def lose(*trees, kind="noise"):
    """Return a step that destroys every page of these tables and indexes."""

    def step(device):
        pages = pages_of(device.folder, *trees)
        assert pages
        destroy(device.folder / FILE, pages, kind, random.Random(1))

    return step


def replace(device, *steps):
    """Do ``steps`` to the store and start the device; return the store that took over."""
    for step in steps:
        step(device)
    (device.folder / SUSPECT).touch()
    opened = open_store(
        device.folder, device_id=DEVICE, now_s=LATER.unix_s, random_bytes=os.urandom
    )
    assert opened.state is StoreState.QUARANTINED, opened.detail
    give_back_nothing(opened.store)
    return opened.store


def redeem(store, claims, *, now=LATER, **said):
    """Have the order delivered again, and scan its code."""
    deliver(store, order(claims, **said))
    return redeemer(store).redeem(claims, now)


ELSEWHERE = lose("authorisation_request_of")


@pytest.mark.parametrize(
    "step", [newer, ELSEWHERE], ids=["written by a newer program", "damaged elsewhere"]
)
@pytest.mark.parametrize("table", COPIED)
def test_every_row_of_a_table_that_can_be_read_is_carried_as_it_is(device, table, step):
    before = rows_of(device.folder, table)
    replace(device, step)
    after = rows_of(device.folder, table)
    assert before
    for row in before:
        row.pop("later", None)
        assert row in after, row


@pytest.mark.parametrize("step", [newer, ELSEWHERE])
def test_what_the_store_knew_of_the_device_goes_on(device, step):
    replace(device, block, step)
    (row,) = rows_of(device.folder, "device")
    assert row["blocked"] == "stolen"
    assert row["time_floor_s"] == row["floor_order_s"] == NOON.unix_s + 11
    assert row["requests"] == 1


def test_a_grant_that_was_not_used_before_the_damage_is_not_used_after_it(device):
    replace(device, ELSEWHERE)
    (request,) = rows_of(device.folder, "authorisation_request")
    assert request["consumed"] == 1
    assert request["id"] == device.request.id


@pytest.mark.parametrize("table", ["ledger", "outbox", "journal", "policy", "epoch"])
def test_a_table_whose_pages_are_lost_is_rebuilt_from_the_others(device, table):
    before = rows_of(device.folder, table)
    trees = (table,) if table != "policy" else ("policy", "sqlite_autoindex_policy_1")
    if table in ("journal", "policy"):  # nothing else has these; they carry no redemption
        store = replace(device, lose(*trees))
        assert f"parts of {table}" in loss(store)
        return
    store = replace(device, lose(*trees))
    after = {tuple(row.values())[:2]: row for row in rows_of(device.folder, table)}
    if table == "ledger":
        rebuilt = {row["event_id"]: row for row in after.values()}
        for row in before:
            found = rebuilt[row["event_id"]]
            if row["reverses"] is not None:  # nothing refers to a reversal: its id may change
                found = {**found, "id": row["id"]}
            assert found == row
    if table == "outbox":
        for row in before:
            if row["type"] in ("redeemed", "reversed"):
                assert after[row["epoch_no"], row["seq"]] == row
            elif row["seq"] < 16:
                assert after[row["epoch_no"], row["seq"]]["rejected"] == "lost"
        assert "events 7, 9, 11-13, 15 of" in loss(store)
        assert "perhaps events after 16" in loss(store)
    if table == "epoch":
        (row,) = before
        found = after[row["no"], row["epoch"]]
        assert found["acknowledged_through"] == 0
        assert max(number for number, _ in after) > row["no"]


def loss(store):
    """Return what the case about the old store says that is lost."""
    (cause,) = [
        case.cause
        for case in exception_cases.cases(store)
        if case.cause.startswith("not everything in the old store")
    ]
    return cause


def test_a_redemption_that_only_its_scan_names_is_rebuilt_from_it(device):
    store = replace(device, lose("ledger", "outbox", "sqlite_autoindex_ledger_1"))
    rows = {row.cti: row for row in ledger.rows(store) if row.use_no}
    assert rows[device.parts.cti].amount_minor == 900
    assert rows[device.voucher.cti].units == 1
    assert redeem(store, device.parts).reason is Verdict.ALREADY_REDEEMED


def test_of_a_redemption_that_only_an_index_names_all_of_the_code_counts_as_redeemed(device):
    store = replace(device, lose("ledger", "outbox", "journal"))
    for claims in (device.voucher, device.parts):
        assert redeem(store, claims).reason is Verdict.ALREADY_REDEEMED
    named = {
        case.cti for case in exception_cases.cases(store) if "redeemed could not" in case.cause
    }
    assert {device.voucher.cti, device.parts.cti} <= named


def test_a_redemption_that_only_its_doors_name_is_redeemed(device):
    store = replace(device, lose("ledger", "outbox", "journal", "sqlite_autoindex_ledger_1"))
    outcome = redeem(store, device.collected, compartments=("A",), review=True)
    assert not outcome.is_accepted


def test_a_number_of_an_epoch_is_never_begun_again(device):
    (before,) = rows_of(device.folder, "epoch")
    store = replace(device, lose("epoch", "sqlite_autoindex_epoch_1"))
    numbers = {row["no"]: row["epoch"] for row in rows_of(device.folder, "epoch")}
    assert len(numbers) == 2
    assert numbers[before["no"]] != before["epoch"]
    assert outbox.current_epoch(store)[0] == numbers[max(numbers)]
    assert {row["epoch_no"] for row in rows_of(device.folder, "ledger")} == {before["no"]}
    assert any("name of epoch 1" in case.cause for case in exception_cases.cases(store))


# Doors (law 5)


@pytest.mark.parametrize(
    "step",
    [newer, lose("intent"), lose("intent", "outbox"), lose("review"), lose("ledger", "intent")],
)
def test_a_parcel_that_was_collected_opens_no_door_again(device, step):
    store = replace(device, step)
    assert not redeem(store, device.collected, compartments=("A",), review=True).intents


@pytest.mark.parametrize("step", [newer, ELSEWHERE, lose("outbox"), lose("ledger")])
def test_the_doors_that_a_courier_did_not_reach_stay_available(device, step):
    store = replace(device, step)
    outcome = redeem(store, device.courier, compartments=("A", "B", "C"))
    assert outcome.decision.doors == ("B", "C")


def test_a_door_that_a_courier_may_have_reached_waits_for_a_person(device):
    store = replace(device, lose("intent"))
    assert not redeem(store, device.courier, compartments=("A", "B", "C")).is_accepted
    cases = exception_cases.cases(store, only_open=True)
    assert [case.compartment for case in cases if case.cti == device.courier.cti] == ["B", "C"]


class Shut:
    """A locker whose doors are shut; it counts pulses."""

    def __init__(self):
        self.pulses = []

    def compartments(self):
        return frozenset("ABC")

    def pulse(self, compartment):
        self.pulses.append(compartment)

    def is_open(self, compartment):
        return False


@pytest.mark.parametrize("step", [newer, ELSEWHERE, lose("intent"), lose("outbox")])
def test_a_lock_whose_outcome_is_not_known_has_a_case_and_is_not_pulsed_again(device, step):
    store, locker = replace(device, step), Shut()
    pickups = Pickups(
        store, locker, locker, times=DoorTimings(open_s=5, close_s=60), random_bytes=os.urandom
    )
    pickups.recover(0.0, LATER)
    outcome = redeem(store, device.unseen, compartments=("B",), now=at(1000))
    assert not outcome.is_accepted
    assert not locker.pulses
    cases = exception_cases.cases(store, only_open=True)
    assert any(case.cti == device.unseen.cti and case.compartment == "B" for case in cases)


def test_a_door_whose_row_is_of_an_older_copy_is_not_taken_for_untouched(tmp_path):
    store = open_at(tmp_path)
    claims = code(kind=Kind.PICKUP)
    deliver(store, order(claims, compartments=("A",)))
    done = redeemer(store).redeem(claims, NOON)
    store.checkpoint()  # the file has the door as reserved
    with store.transaction() as connection:
        connection.execute("UPDATE intent SET state = 'collected', ended_s = 9")
    for _ in range(3):
        redeemer(store).redeem(code(cti=os.urandom(16)), NOON)
    (root,) = (
        store.connection()
        .execute("SELECT rootpage FROM sqlite_master WHERE name = 'intent'")
        .fetchone()
    )
    log = tmp_path / f"{FILE}-wal"
    content = bytearray(log.read_bytes())
    for frame in range(32, len(content), 4096 + 24):
        if int.from_bytes(content[frame : frame + 4], "big") == root:
            content[frame : frame + 24 + 4096] = os.urandom(24 + 4096)
    log.write_bytes(content)
    opened = open_store(tmp_path, device_id=DEVICE, now_s=LATER.unix_s, random_bytes=os.urandom)
    assert opened.state is StoreState.QUARANTINED, opened.detail
    assert [row["state"] for row in rows_of(tmp_path, "intent")] == ["unknown"]
    assert done.ledger_id == rows_of(tmp_path, "intent")[0]["ledger_id"]
    store.close()


def forget_door(device, where):
    """Take the rows of some doors out of the store, as a lost page would."""
    with closing(sqlite3.connect(device.folder / FILE)) as connection:
        connection.execute(f"DELETE FROM intent WHERE {where}")
        connection.commit()
    lose("operator_log")(device)


@pytest.fixture
def returned(device):
    """Let the courier come again: the second door is opened, and what became of it is known."""
    with closing(open_at(device.folder)) as store:
        again = redeemer(store).redeem(device.courier, at(20))
        assert again.decision.doors == ("B", "C")
        with store.transaction() as connection:
            lock_intents.record_state(
                connection, again.intents[0], state="collected", detail="", now=at(21), ended=True
            )
            body = {
                "cti": device.courier.cti.hex(), "order": "courier", "use": 1,
                "compartment": "B", "state": "collected", "detail": "", "exception": None,
            }  # fmt: skip
            outbox.append(connection, type="pickup", body=body, now=at(21), id=uuid7(21, bytes(10)))
    return device


def test_a_door_that_was_opened_at_the_second_visit_is_not_opened_at_a_third(returned):
    store = replace(returned, lambda device: forget_door(device, "id > 5"))
    states = [
        (row["compartment"], row["state"])
        for row in rows_of(returned.folder, "intent")
        if row["cti"] == returned.courier.cti
    ]
    # Of two commands to a door one outcome was reported: no one can say whose it was.
    assert states[3:] == [("B", "unknown"), ("C", "unknown")]
    assert not redeem(store, returned.courier, compartments=("A", "B", "C")).intents


# Reviews, cases, people, lists


BUT_EVENTS = ("ledger", "sqlite_autoindex_ledger_1", "journal", "intent", "intent_of")


@pytest.mark.parametrize(
    "steps", [[lose("review")], [lose("review"), lose("ledger")], [lose(*BUT_EVENTS)]]
)
def test_a_lost_review_waits_again_or_has_the_outcome_that_was_reported(device, steps):
    before = {row["ledger_id"]: row["state"] for row in rows_of(device.folder, "review")}
    replace(device, *steps)
    after = {row["ledger_id"]: row["state"] for row in rows_of(device.folder, "review")}
    assert after == before
    assert sorted(after.values()) == ["approved", "pending", "rejected"]


def test_an_approval_of_which_even_the_event_is_lost_waits_again(device):
    replace(device, lose("review", "outbox"))
    states = sorted(row["state"] for row in rows_of(device.folder, "review"))
    assert states == ["pending", "pending", "void"]


def test_a_refused_event_whose_case_was_lost_has_one_again(device):
    store = replace(device, lose("exception"))
    causes = [case.cause for case in exception_cases.cases(store)]
    assert sum(cause.endswith(": body_invalid") for cause in causes) == 1
    assert "perhaps cases after 0" in loss(store)


def test_an_older_trust_list_is_not_taken_after_the_newer_one_was_lost(device):
    overflow = pages_of(device.folder, "document")[1:]
    destroy(device.folder / FILE, overflow, "noise", random.Random(1))
    store = replace(device)
    assert documents.find_document(store, documents.TRUST_LIST) is None
    offered = {"name": documents.TRUST_LIST, "issued_at_s": NOON.unix_s, "now": LATER}
    assert documents.put(store, version=3, raw=b"3", **offered) is documents.StoreResult.ROLLBACK
    assert documents.put(store, version=7, raw=b"7", **offered) is documents.StoreResult.STORED


def test_breaking_the_store_elsewhere_gives_no_new_tries_at_a_pin(device):
    store = replace(device, ELSEWHERE)
    with store.read() as connection:
        assert pin_attempts.lockout_left_s(connection, "17", at(11)) > 0


def test_a_lost_row_of_the_device_leaves_its_time_floor_and_its_numbers(device):
    replace(device, lose("device"))
    (row,) = rows_of(device.folder, "device")
    assert row["time_floor_s"] == row["floor_order_s"] == NOON.unix_s + 11
    assert row["requests"] == 1


@pytest.mark.parametrize("table", COPIED)
@pytest.mark.parametrize("schema", [True, False], ids=["its tree is known", "the schema is lost"])
def test_a_page_whose_first_byte_is_wrong_is_read_all_the_same(device, table, schema):
    before = rows_of(device.folder, table)
    pages, first = pages_of(device.folder, table), pages_of(device.folder, "sqlite_schema")
    destroy(device.folder / FILE, pages[:1], "wrong type", random.Random(1))
    destroy(device.folder / FILE, [] if schema else first, "noise", random.Random(1))
    replace(device)
    after = rows_of(device.folder, table)
    assert all(row in after for row in before)


def test_the_case_says_of_each_table_what_is_lost(device):
    store = replace(device, lose("ledger", "outbox", "journal", *INDEXES, "intent", "exception"))
    said = loss(store)
    assert "perhaps ledger rows after 0" in said
    assert "perhaps cases after 0" in said
    assert "parts of journal" in said


INDEXES = (
    "sqlite_autoindex_ledger_1",
    "ledger_reversed_once",
    "intent_of",
    "intent_by_redemption",
    "exception_of",
)


# Stores that were put aside before


def test_what_a_store_has_lost_may_be_in_the_one_before_it(device):
    before = rows_of(device.folder, "ledger")
    replace(device, ELSEWHERE).close()
    everything = pages_of(device.folder, *(name for (name,) in trees(device.folder)))
    destroy(device.folder / FILE, everything, "zeros", random.Random(1))
    replace(device)
    after = rows_of(device.folder, "ledger")
    assert all(row in after for row in before)


def trees(folder):
    with closing(sqlite3.connect(folder / FILE)) as connection:
        return connection.execute("SELECT DISTINCT name FROM dbstat").fetchall()
