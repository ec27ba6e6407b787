"""The platform's three cancellations, before, during and after a scan and its commit."""

import os
import random
import threading

import pytest

from edge.domain.entitlement import OrderStatus
from edge.domain.verdict import Verdict
from edge.pickup.pickups import DoorTimings, Pickups
from edge.store import exception_cases, ledger
from edge.token.claims import Kind
from tests.support.hand_operated_locker import Locker
from tests.support.ledger_checks import assert_ledger_and_outbox_agree
from tests.support.sample_shop import NOON, at, code, deliver, open_at, order, redeemer

# The order's state when it is cancelled, and what a scan just before the cancellation says.
CANCELLATIONS = [
    pytest.param(
        OrderStatus.AWAITING_PAYMENT, Verdict.NOT_PAID, id="before the customer's approval"
    ),
    pytest.param(OrderStatus.PAID, Verdict.NOT_READY, id="before the warehouse's approval"),
    pytest.param(OrderStatus.READY, Verdict.ACCEPTED, id="packed, and not shipped"),
]


@pytest.fixture
def store(tmp_path):
    store = open_at(tmp_path, busy_timeout_s=30)
    yield store
    store.close()


def standing_uses(store, claims):
    rows = ledger.rows(store, cti=claims.cti)
    taken_back = {row.reverses for row in rows}
    return [row for row in rows if row.use_no and row.id not in taken_back]


@pytest.mark.parametrize(("status", "before"), CANCELLATIONS)
@pytest.mark.parametrize("kind", [Kind.WRITE_OFF, Kind.PICKUP])
def test_after_a_cancellation_nothing_is_redeemed(store, status, before, kind):
    claims = code(kind=kind)
    deliver(store, order(claims, status=status))
    deliver(store, order(claims, status=OrderStatus.CANCELLED))
    assert redeemer(store).redeem(claims, NOON).reason is Verdict.ORDER_CANCELLED
    assert ledger.count(store) == 0


@pytest.mark.parametrize(("status", "before"), CANCELLATIONS)
def test_a_cancellation_after_a_redemption_raises_one_case(store, status, before):
    claims = code(quantity=2)
    deliver(store, order(claims, status=status))
    assert redeemer(store).redeem(claims, NOON).reason is before
    for _ in range(2):
        deliver(store, order(claims, status=OrderStatus.CANCELLED))
    assert redeemer(store).redeem(claims, at(1)).reason is Verdict.ORDER_CANCELLED
    raised = [(case.kind, case.cause) for case in exception_cases.cases(store)]
    redeemed = before is Verdict.ACCEPTED
    assert raised == ([("business_rule", "cancelled after it was redeemed")] if redeemed else [])
    assert len(standing_uses(store, claims)) == redeemed


@pytest.mark.parametrize("seed", range(12))
def test_a_cancellation_that_races_a_scan_comes_before_it_or_after_it_and_never_between(
    store, seed
):
    """Two threads and two connections: the code is refused, or it is redeemed and raises a case."""
    codes = [code() for _ in range(20)]
    deliver(store, *(order(claims) for claims in codes))
    scanner, start, outcomes = redeemer(store), threading.Barrier(2), {}
    pause = random.Random(seed)

    def scan():
        start.wait()
        for claims in codes:
            outcomes[claims.cti] = scanner.redeem(claims, NOON).reason

    def cancel():
        start.wait()
        for claims in sorted(codes, key=lambda _: pause.random()):
            deliver(store, order(claims, status=OrderStatus.CANCELLED))

    threads = [threading.Thread(target=work) for work in (scan, cancel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    raised = {case.cti for case in exception_cases.cases(store)}
    for claims in codes:
        assert outcomes[claims.cti] in (Verdict.ACCEPTED, Verdict.ORDER_CANCELLED)
        redeemed = outcomes[claims.cti] is Verdict.ACCEPTED
        assert (len(standing_uses(store, claims)) == 1) is redeemed
        assert (claims.cti in raised) is redeemed, (
            "a redemption that was then cancelled raises a case"
        )
    assert_ledger_and_outbox_agree(store)


@pytest.mark.parametrize("after_tick", range(6))
def test_a_cancellation_at_any_step_of_a_walk_opens_no_further_door(store, after_tick):
    claims, locker = code(kind=Kind.PICKUP), Locker()
    deliver(store, order(claims, compartments=("A", "B")))
    pickups = Pickups(
        store, locker, locker, times=DoorTimings(open_s=10, close_s=90), random_bytes=os.urandom
    )
    outcome = redeemer(store).redeem(claims, NOON)
    pulses_then = None
    for tick in range(8):
        if tick == after_tick:
            deliver(store, order(claims, compartments=("A", "B"), status=OrderStatus.CANCELLED))
            pulses_then = len(locker.pulses)
        if tick == 1:
            pickups.begin(outcome.intents, 1.0, at(1))
        pickups.tick(float(tick), at(tick))
        for compartment in ("A", "B"):  # a person shuts a door a tick after it opened
            if locker.open[compartment] and tick % 2:
                locker.open[compartment] = False
    assert len(locker.pulses) == pulses_then
    assert redeemer(store).redeem(claims, at(20)).reason is Verdict.ORDER_CANCELLED
    assert bool(standing_uses(store, claims)) is bool(pulses_then), (
        "only what was opened stays redeemed"
    )
