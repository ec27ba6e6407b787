"""What is recorded of refused requests: little noise, and every alarm."""

import pytest
from structlog.testing import CapturingLogger

from sync.hub.enrolment.client_proof import EnrolmentRefusal
from sync.hub.enrolment.refusal_record import MOST_KINDS, RefusalRecord
from sync.hub.store.fleet import enrolment_table
from sync.hub.store.fleet.enrolment_table import CODE_REUSED
from sync.hub.store.fleet.fleet_store import open_fleet_store

NOW_S = 1_800_000_000
STOLEN = EnrolmentRefusal(reason=CODE_REUSED, detail="used", dev="kiosk-7", code="ab" * 16)
NOISE = EnrolmentRefusal(reason="code_malformed", detail="this is not an enrolment code")


@pytest.fixture
def store(memory_folder):
    store = open_fleet_store(memory_folder())
    yield store
    store.close()


class Clock:
    now_s = NOW_S

    def __call__(self):
        return self.now_s


def record(store):
    log, clock = CapturingLogger(), Clock()
    return RefusalRecord(store, now_s=clock, log=log), log, clock


def listed(store, rows_of):
    with store.read() as connection:
        return rows_of(connection, 10_000)


def test_noise_is_stored_and_logged_ever_more_rarely(store):
    refusals, log, _ = record(store)
    for _ in range(1000):
        refusals.add(NOISE, "192.0.2.1")
    stored = listed(store, enrolment_table.newest_refusals)
    assert [row["times"] for row in stored] == [1000, 100, 10, 1]
    assert len(log.calls) == 4


def test_another_device_or_address_is_another_kind(store):
    refusals, _, _ = record(store)
    refusals.add(NOISE, "192.0.2.1")
    refusals.add(NOISE, "192.0.2.2")
    refusals.add(EnrolmentRefusal(reason="code_expired", detail="", dev="a"), "192.0.2.1")
    refusals.add(EnrolmentRefusal(reason="code_expired", detail="", dev="b"), "192.0.2.1")
    assert len(listed(store, enrolment_table.newest_refusals)) == 4


def test_claims_without_end_are_told_apart_only_up_to_a_bound_and_the_next_day_again(store):
    refusals, _, clock = record(store)
    claims = [
        EnrolmentRefusal(reason="code_not_verified", detail="", dev=f"claim-{number}")
        for number in range(MOST_KINDS + 50)
    ]
    for claim in claims:
        refusals.add(claim, "192.0.2.1")
    assert len(listed(store, enrolment_table.newest_refusals)) == MOST_KINDS + 2  # the 1st, 10th
    clock.now_s += 86_400
    refusals.add(claims[-1], "192.0.2.1")
    assert listed(store, enrolment_table.newest_refusals)[0]["dev"] == claims[-1].dev


def test_no_noise_pushes_the_alarm_of_a_stolen_code_out(store, monkeypatch):
    monkeypatch.setattr(enrolment_table, "REFUSALS_KEPT", 20)
    refusals, log, clock = record(store)
    refusals.add(STOLEN, "192.0.2.66")
    for number in range(200):
        refusals.add(NOISE, f"198.51.100.{number}")
    clock.now_s += 60
    refusals.add(STOLEN, "192.0.2.67")
    (alarm,) = listed(store, enrolment_table.newest_alarms)
    assert alarm == {
        "code": STOLEN.code,
        "dev": "kiosk-7",
        "times": 2,
        "first_s": NOW_S,
        "last_s": NOW_S + 60,
        "first_address": "192.0.2.66",
        "last_address": "192.0.2.67",
    }
    with store.read() as connection:
        assert enrolment_table.count_reused_codes(connection, "kiosk-7") == 2
    errors = [call for call in log.calls if call.method_name == "error"]
    assert [call.kwargs["dev"] for call in errors] == ["kiosk-7"]


def test_an_alarm_is_logged_whatever_noise_came_before(store):
    refusals, log, _ = record(store)
    for number in range(MOST_KINDS + 10):
        refusals.add(NOISE, f"address-{number}")
    refusals.add(STOLEN, "192.0.2.66")
    assert log.calls[-2].method_name == "error" or log.calls[-1].method_name == "error"
