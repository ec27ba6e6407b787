"""Homes, grants and floor limits, line by line of the table in docs/explanation/floor-limits.md."""

import threading
import time

import pytest

from edge.config import FloorLimits, Policy
from edge.domain.authorisation import AuthorisationResult
from edge.domain.replay import replay
from edge.domain.verdict import Verdict
from edge.store import authorisations, outbox, scan_journal
from edge.store.online_flag import OnlineFlag
from edge.token.claims import Kind
from tests.support.sample_shop import NOON, RISKY, at, code, deliver, open_at, order, redeemer

STRICT = Policy(offline_unknown="refuse", offline_site_home="refuse")
GENEROUS = Policy(
    offline_unknown="floor_limit",
    offline_site_home="floor_limit",
    floor=FloorLimits(amount_minor=1000, uses_a_day=100, exposure_minor=10**6),
)
HOMES = {
    "this device": {},
    "this site": {"home_device": None},
    "elsewhere": {"home_device": "kiosk-9"},
    "not in the cache": None,
}


class Authority:
    """The authority over this site's codes, behind edge-sync. Silent when ``result`` is None."""

    def __init__(self, store, result, delay_s=0.0, **given):
        self.store, self.result, self.delay_s, self.given, self.requests = (
            store,
            result,
            delay_s,
            given,
            [],
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self):
        while not self._stop.wait(0.002):
            for request in authorisations.open_requests(self.store, time.monotonic_ns()):
                if request.id in self.requests:
                    continue
                self.requests.append(request.id)
                if self.result is not None:
                    time.sleep(self.delay_s)
                    given = authorisations.AuthorisationReply(
                        id=request.id, result=self.result, authority="the hub", **self.given
                    )
                    authorisations.record_reply(self.store, given, time.monotonic_ns())

    def __enter__(self):
        self._flag = OnlineFlag(self.store.path.parent)
        self._flag.set(True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._flag.close()


@pytest.fixture
def store(tmp_path):
    store = open_at(tmp_path)
    yield store
    store.close()


def at_home(store, home, **given):
    claims = code(**given)
    deliver(store, *(() if HOMES[home] is None else (order(claims, **HOMES[home]),)))
    return claims


def scan(store, claims, policy=GENEROUS, now=NOON, within_s=0.3):
    return redeemer(store, policy=policy, reply_within_s=within_s).redeem(claims, now)


@pytest.mark.parametrize(
    ("home", "policy", "expected", "risks"),
    [
        ("this device", STRICT, Verdict.ACCEPTED, []),
        ("this site", STRICT, Verdict.NEEDS_ONLINE, None),
        ("this site", GENEROUS, Verdict.ACCEPTED, ["site_home"]),
        ("elsewhere", GENEROUS, Verdict.WRONG_SITE, None),
        ("not in the cache", STRICT, Verdict.NEEDS_ONLINE, None),
        ("not in the cache", GENEROUS, Verdict.ACCEPTED, ["not_in_cache"]),
    ],
)
def test_offline_the_verdict_is_that_of_the_table_and_the_event_names_the_risk(
    store, home, policy, expected, risks
):
    outcome = scan(store, at_home(store, home), policy)
    assert outcome.reason is expected
    (event,) = outbox.pending(store)
    assert event.body.get("risks") == risks


@pytest.mark.parametrize(
    ("home", "policy", "asked", "expected"),
    [
        ("this device", STRICT, False, Verdict.ACCEPTED),
        ("this site", STRICT, True, Verdict.ACCEPTED),
        ("this site", GENEROUS, True, Verdict.ACCEPTED),
        ("elsewhere", GENEROUS, False, Verdict.WRONG_SITE),
        ("not in the cache", STRICT, True, Verdict.ACCEPTED),
    ],
)
def test_online_a_grant_is_requested_where_another_device_may_redeem_and_removes_the_risk(
    store, home, policy, asked, expected
):
    claims = at_home(store, home, amount_minor=10**6)  # far above any floor limit
    with Authority(store, AuthorisationResult.GRANTED) as authority:
        outcome = scan(store, claims, policy)
    assert (outcome.reason, bool(authority.requests)) == (expected, asked)
    (event,) = outbox.pending(store)
    assert event.body.get("risks", []) == []
    assert event.body.get("grant_request") == (authority.requests[0] if asked else None)
    (row,) = scan_journal.rows(store)
    assert replay(row.facts, row.policy) == outcome.decision, "the reply is one of the facts"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (AuthorisationResult.SPENT, Verdict.ALREADY_REDEEMED),
        (AuthorisationResult.HELD, Verdict.NEEDS_ONLINE),
        (AuthorisationResult.NOT_READY, Verdict.NOT_READY),
        (AuthorisationResult.UNKNOWN, Verdict.WRONG_SITE),
    ],
)
@pytest.mark.parametrize("home", ["this site", "not in the cache"])
def test_a_refusal_of_the_authority_holds_whatever_the_policy_would_risk(
    store, home, answer, expected
):
    with Authority(store, answer):
        assert scan(store, at_home(store, home)).reason is expected


def test_uses_on_other_devices_count(store):
    claims = code(quantity=3)
    deliver(store, order(claims, home_device=None))
    with Authority(store, AuthorisationResult.GRANTED, used_units=2):
        assert [scan(store, claims).reason for _ in range(2)] == [
            Verdict.ACCEPTED,
            Verdict.ALREADY_REDEEMED,
        ]


@pytest.mark.parametrize("late", ["no reply", "a late reply"])
def test_without_a_reply_in_time_the_scan_is_offline_and_its_risk_is_reported(store, late):
    claims, began = at_home(store, "this site"), time.monotonic()
    with Authority(store, None if late == "no reply" else AuthorisationResult.SPENT, delay_s=0.4):
        outcome = scan(store, claims, within_s=0.2)
        assert time.monotonic() - began < 0.39
    assert outcome.reason is Verdict.ACCEPTED
    assert outbox.pending(store)[0].body["risks"] == ["site_home"]


def test_with_the_network_down_no_request_is_written_and_nothing_waits(store):
    outcome = scan(store, at_home(store, "this site"), within_s=30)
    assert outcome.reason is Verdict.ACCEPTED
    assert authorisations.open_requests(store, 0) == []


def test_a_grant_is_for_one_redemption(store):
    claims = code(quantity=2)
    deliver(store, order(claims, home_device=None))
    with Authority(store, AuthorisationResult.GRANTED) as authority:
        assert [scan(store, claims, STRICT).reason for _ in range(2)] == [
            Verdict.ACCEPTED,
            Verdict.ACCEPTED,
        ]
    assert len(set(authority.requests)) == 2
    with store.read() as connection:
        assert connection.execute(
            "SELECT DISTINCT consumed FROM authorisation_request"
        ).fetchall() == [(1,)]
    assert scan(store, code(), STRICT).reason is Verdict.NEEDS_ONLINE


def test_no_grant_is_requested_for_a_parcel_whose_door_is_not_known(store):
    with Authority(store, AuthorisationResult.GRANTED) as authority:
        assert (
            scan(store, at_home(store, "not in the cache", kind=Kind.PICKUP)).reason
            is Verdict.NEEDS_ONLINE
        )
    assert authority.requests == []


# Floor limits


def test_each_floor_limit_stops_at_its_edge(store):
    """RISKY: 1000 a redemption, 3 uses a day, 2000 not yet acknowledged."""

    def spend(amount_minor, seconds=0):
        claims = code(amount_minor=amount_minor, currency="EUR", expires_at_s=NOON.unix_s + 10**6)
        return scan(store, claims, RISKY, now=at(seconds)).reason

    deliver(store)
    assert spend(1001) is Verdict.OVER_FLOOR_LIMIT
    assert spend(1000) is Verdict.ACCEPTED
    assert spend(1000) is Verdict.ACCEPTED
    assert spend(1) is Verdict.OVER_FLOOR_LIMIT, "2000 are not acknowledged"
    epoch, last = outbox.current_epoch(store)
    outbox.acknowledge(store, epoch=epoch, through_seq=last)
    assert spend(1) is Verdict.ACCEPTED
    assert spend(1) is Verdict.OVER_FLOOR_LIMIT, "the fourth of the day"
    assert spend(1, seconds=86_401) is Verdict.OVER_FLOOR_LIMIT, (
        "and too long since the last contact with the platform"
    )
    deliver(store, now=at(86_401))
    assert spend(1, seconds=86_401) is Verdict.ACCEPTED
