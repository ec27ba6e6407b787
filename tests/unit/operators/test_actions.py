"""The actions of a signed-in person: who may, what each writes, and whom it names."""

import json
import os

import pytest
from click.testing import CliRunner

from edge.cli import cli
from edge.config import Policy
from edge.domain.exception_case import ExceptionCase, ExceptionKind, Settlement
from edge.domain.redemption_state import RequestedUse
from edge.domain.roles import Role
from edge.domain.verdict import Verdict
from edge.operators.operator_action import ActionResult
from edge.pickup.pickups import DoorTimings, Pickups
from edge.store import exception_cases, ledger, outbox, reviews
from edge.token.claims import Kind
from tests.support.door_intents import intents_of
from tests.support.hand_operated_locker import Locker
from tests.support.operator_sessions import actions, sign_in
from tests.support.sample_shop import NOON, at, code, deliver, open_at, order, redeemer


@pytest.fixture
def store(tmp_path):
    store = open_at(tmp_path)
    yield store
    store.close()


def redeemed(store, claims=None, now=NOON, policy=None, **given):
    claims = claims or code()
    deliver(store, order(claims, **given), now=now)
    outcome = redeemer(store, policy=policy).redeem(claims, now)
    assert outcome.is_accepted, outcome
    return claims, outcome.ledger_id


def reported(store, kind):
    return [event.body for event in outbox.pending(store, limit=1000) if event.type == kind]


# Reversal


def test_a_supervisor_reverses_a_redemption_as_a_new_row_and_the_code_is_valid_again(store):
    claims, use = redeemed(store)
    sign_in(store)
    assert actions(store).reverse(use, "wrong person", at(60)).result is ActionResult.DONE
    rows = ledger.rows(store)
    assert [(row.verdict, row.reverses, row.operator) for row in rows] == [
        ("accepted", None, None),
        ("reversed", use, "ann"),
    ]
    assert (
        reported(store, "reversed")[0].items()
        >= {"reason": "wrong person", "operator": "ann"}.items()
    )
    assert redeemer(store).redeem(claims, at(61)).reason is Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (None, ActionResult.OPERATOR_REQUIRED),
        (Role.OPERATOR, ActionResult.OPERATOR_FORBIDDEN),
        (Role.REVIEWER, ActionResult.OPERATOR_FORBIDDEN),
        (Role.TECHNICIAN, ActionResult.OPERATOR_FORBIDDEN),
        (Role.SUPERVISOR, ActionResult.DONE),
    ],
)
def test_only_a_supervisor_reverses_a_redemption(store, role, expected):
    _, use = redeemed(store)
    if role is not None:
        sign_in(store, role=role)
    assert actions(store).reverse(use, "why", at(1)).result is expected
    assert ledger.count(store) == (2 if expected is ActionResult.DONE else 1)


@pytest.mark.parametrize(
    ("after_s", "expected"), [(100, ActionResult.DONE), (101, ActionResult.TOO_LATE)]
)
def test_a_redemption_is_reversed_only_within_the_window_of_its_own_policy(
    store, after_s, expected
):
    _, use = redeemed(store, policy=Policy(reversal_window_s=100))
    sign_in(store)
    assert actions(store).reverse(use, "why", at(after_s)).result is expected


def test_nothing_is_reversed_twice_and_a_reversal_is_not_reversed(store):
    _, use = redeemed(store)
    sign_in(store)
    assert actions(store).reverse(use, "why", NOON).result is ActionResult.DONE
    assert actions(store).reverse(use, "why", NOON).result is ActionResult.ALREADY
    assert actions(store).reverse(use + 1, "why", NOON).result is ActionResult.NOT_FOUND
    assert ledger.count(store) == 2


def test_a_pickup_whose_door_is_open_is_not_reversed(store):
    _, use = redeemed(store, code(kind=Kind.PICKUP))
    sign_in(store)
    assert actions(store).reverse(use, "why", NOON).result is ActionResult.PICKUP_IN_PROGRESS
    assert ledger.count(store) == 1


# Review


def flagged(store, who="ann", **given):
    sign_in(store, who, Role.REVIEWER)
    return redeemed(store, review=True, **given)


def test_a_second_person_approves_and_it_is_final(store):
    _, use = flagged(store)
    sign_in(store, "bob", Role.REVIEWER)
    assert (
        actions(store).review(use, approve=True, reason="seen", now=at(5)).result
        is ActionResult.DONE
    )
    (review,) = reviews.reviews(store, only_pending=False)
    assert (review.operator, review.state, review.decided_by) == ("ann", "approved", "bob")
    assert ledger.count(store) == 1
    assert (
        reported(store, "review")[0].items()
        >= {"state": "approved", "operator": "bob", "use": 1}.items()
    )


def test_a_second_persons_rejection_reverses_with_its_reason(store):
    claims, use = flagged(store)
    sign_in(store, "bob", Role.REVIEWER)
    assert (
        actions(store).review(use, approve=False, reason="not the customer", now=at(5)).result
        is ActionResult.DONE
    )
    row = ledger.rows(store)[-1]
    assert (row.reverses, row.reason, row.operator) == (use, "not the customer", "bob")
    assert [body["state"] for body in reported(store, "review")] == ["rejected"]
    assert redeemer(store).redeem(claims, at(6)).reason is Verdict.ACCEPTED_PENDING_REVIEW


def test_who_scanned_never_decides(store):
    _, use = flagged(store)
    for approve in (True, False):
        assert (
            actions(store).review(use, approve=approve, reason="", now=at(5)).result
            is ActionResult.SAME_PERSON
        )
    assert [review.state for review in reviews.reviews(store)] == ["pending"]
    assert ledger.count(store) == 1


@pytest.mark.parametrize("form", ["JOS\u00c9", "Jose\u0301", "jos\u00e9 "])
def test_who_scanned_does_not_decide_under_another_form_of_the_name(store, form):
    _, use = flagged(store, "Jos\u00e9")
    sign_in(store, form, Role.REVIEWER)
    assert (
        actions(store).review(use, approve=True, reason="", now=at(5)).result
        is ActionResult.SAME_PERSON
    )


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.SUPERVISOR, Role.TECHNICIAN])
def test_only_a_reviewer_decides(store, role):
    _, use = flagged(store)
    sign_in(store, "bob", role)
    assert (
        actions(store).review(use, approve=True, reason="", now=at(5)).result
        is ActionResult.OPERATOR_FORBIDDEN
    )


def test_a_review_is_decided_once_and_not_after_a_reversal(store):
    _, use = flagged(store)
    sign_in(store, "sue", Role.SUPERVISOR)
    actions(store).reverse(use, "why", at(1))
    sign_in(store, "bob", Role.REVIEWER)
    assert (
        actions(store).review(use, approve=True, reason="", now=at(5)).result
        is ActionResult.ALREADY
    )
    assert [body["state"] for body in reported(store, "review")] == ["void"]


def test_a_redemption_above_the_limit_waits_for_a_second_person(store):
    claims = code(amount_minor=501, currency="EUR")
    _, use = redeemed(store, claims, policy=Policy(review_above_minor=500))
    assert [review.ledger_id for review in reviews.reviews(store)] == [use]


def test_a_flagged_parcels_door_opens_only_after_the_approval(store):
    sign_in(store, "ann", Role.REVIEWER)
    claims = code(kind=Kind.PICKUP)
    deliver(store, order(claims, review=True))
    first = redeemer(store).redeem(claims, at(0))
    assert (first.reason, first.intents) == (Verdict.ACCEPTED_PENDING_REVIEW, ())
    again = redeemer(store).redeem(claims, at(1))
    assert (again.reason, again.intents) == (Verdict.ACCEPTED_PENDING_REVIEW, ())
    sign_in(store, "bob", Role.REVIEWER)
    actions(store).review(first.ledger_id, approve=True, reason="", now=at(2))
    opened = redeemer(store).redeem(claims, at(3))
    assert (opened.reason, len(opened.intents), opened.ledger_id) == (
        Verdict.ACCEPTED,
        1,
        first.ledger_id,
    )
    assert ledger.count(store) == 1


def test_an_approved_parcel_whose_door_did_not_open_needs_no_second_approval(store):
    sign_in(store, "ann", Role.REVIEWER)
    claims, locker = code(kind=Kind.PICKUP), Locker()
    deliver(store, order(claims, review=True))
    use = redeemer(store).redeem(claims, at(0)).ledger_id
    sign_in(store, "bob", Role.REVIEWER)
    actions(store).review(use, approve=True, reason="", now=at(1))
    pickups = Pickups(
        store, locker, locker, times=DoorTimings(open_s=10, close_s=90), random_bytes=os.urandom
    )
    locker.opens_by_itself = False
    pickups.begin(redeemer(store).redeem(claims, at(2)).intents, 0.0, at(2))
    pickups.tick(11.0, at(13))
    assert [row.verdict for row in ledger.rows(store)] == ["accepted_pending_review"]
    outcome = redeemer(store).redeem(claims, at(20))
    assert (outcome.reason, len(outcome.intents)) == (Verdict.ACCEPTED, 1)


# How much


def test_what_staff_types_holds_for_the_next_voucher_and_for_one_only(store):
    claims = code(amount_minor=1000, currency="EUR")
    deliver(store, order(claims))
    sign_in(store, role=Role.OPERATOR)
    assert (
        actions(store).request_amount(RequestedUse(amount_minor=300), NOON).result
        is ActionResult.DONE
    )
    part, rest = (redeemer(store).redeem(claims, at(second)) for second in (1, 2))
    assert (part.decision.amount_minor, rest.decision.amount_minor) == (300, 700)


def test_more_than_is_left_is_refused_and_must_be_typed_again(store):
    claims = code(quantity=3)
    deliver(store, order(claims))
    sign_in(store, role=Role.OPERATOR)
    actions(store).request_amount(RequestedUse(units=4), NOON)
    assert redeemer(store).redeem(claims, at(1)).reason is Verdict.QUANTITY_EXCEEDED
    assert redeemer(store).redeem(claims, at(2)).decision.units == 1


@pytest.mark.parametrize("gone", ["time", "person"])
def test_what_was_typed_is_forgotten_with_its_time_or_its_person(store, gone):
    claims = code(amount_minor=1000, currency="EUR")
    deliver(store, order(claims))
    sign_in(store, role=Role.OPERATOR)
    actions(store).request_amount(RequestedUse(amount_minor=300), NOON)
    if gone == "person":
        sign_in(store, "bob", Role.OPERATOR)
    outcome = redeemer(store).redeem(claims, at(120 if gone == "time" else 1))
    assert outcome.decision.amount_minor == 1000


# Exceptions


def door_not_opened(store, opens=False):
    """Return the claims and the case of a parcel whose contact failed: its door may have opened."""
    claims, locker = code(kind=Kind.PICKUP), Locker()
    deliver(store, order(claims))
    locker.opens_by_itself, locker.open["A"] = False, None
    pickups = Pickups(
        store, locker, locker, times=DoorTimings(open_s=10, close_s=90), random_bytes=os.urandom
    )
    pickups.begin(redeemer(store, grace_s=0).redeem(claims, NOON).intents, 0.0, NOON)
    pickups.tick(11.0, at(11))
    (case,) = exception_cases.cases(store)
    return claims, case


def test_a_parcel_that_was_found_inside_makes_its_code_good_again(store):
    claims, case = door_not_opened(store)
    assert redeemer(store, grace_s=0).redeem(claims, at(12)).reason is Verdict.ALREADY_REDEEMED
    sign_in(store)
    assert (
        actions(store).settle(case.id, Settlement.NOT_COLLECTED, "greased the bolt", at(13)).result
        is ActionResult.DONE
    )
    (settled,) = exception_cases.cases(store)
    shown = (settled.settled_by, settled.settlement, settled.note)
    assert shown == ("ann", "not_collected", "greased the bolt")
    assert (
        reported(store, "exception")[0].items()
        >= {"state": "settled", "operator": "ann", "case": case.id}.items()
    )
    assert redeemer(store, grace_s=0).redeem(claims, at(14)).reason is Verdict.ACCEPTED


def test_a_parcel_that_was_found_gone_stays_redeemed(store):
    claims, case = door_not_opened(store)
    sign_in(store)
    assert (
        actions(store).settle(case.id, Settlement.COLLECTED, "", at(13)).result is ActionResult.DONE
    )
    assert [row.state for row in intents_of(store, case.ledger_id)] == ["collected"]
    assert redeemer(store, grace_s=0).redeem(claims, at(14)).reason is Verdict.ALREADY_REDEEMED
    assert (
        actions(store).settle(case.id, Settlement.NOT_COLLECTED, "", at(15)).result
        is ActionResult.ALREADY
    )


def test_only_a_supervisor_settles_and_a_case_about_no_door_has_no_parcel(store):
    with store.transaction() as connection:
        case = exception_cases.raise_case(
            connection,
            ExceptionCase(
                kind=ExceptionKind.SYSTEM_FAULT, cause="x", tried="y", raised_s=NOON.unix_s
            ),
        )
    sign_in(store, role=Role.REVIEWER)
    assert (
        actions(store).settle(case, Settlement.FIXED, "", NOON).result
        is ActionResult.OPERATOR_FORBIDDEN
    )
    sign_in(store)
    assert (
        actions(store).settle(case, Settlement.COLLECTED, "", NOON).result
        is ActionResult.NOT_THIS_KIND
    )
    assert (
        actions(store).settle(case + 1, Settlement.FIXED, "", NOON).result is ActionResult.NOT_FOUND
    )
    assert actions(store).settle(case, Settlement.FIXED, "", NOON).result is ActionResult.DONE


def test_a_door_that_was_left_open_and_settled_by_hand_is_no_longer_watched(store):
    claims, locker = code(kind=Kind.PICKUP), Locker()
    deliver(store, order(claims))
    pickups = Pickups(
        store, locker, locker, times=DoorTimings(open_s=10, close_s=90), random_bytes=os.urandom
    )
    pickups.begin(redeemer(store).redeem(claims, NOON).intents, 0.0, NOON)
    pickups.tick(1.0, at(1))
    pickups.tick(100.0, at(100))
    (case,) = exception_cases.cases(store)
    sign_in(store)
    assert (
        actions(store)
        .settle(case.id, Settlement.COLLECTED, "shut by hand, contact broken", at(101))
        .result
        is ActionResult.DONE
    )
    locker.open["A"] = False
    assert pickups.tick(102.0, at(102)) == []
    assert [row.state for row in intents_of(store, case.ledger_id)] == ["collected"]


def test_a_dispute_names_the_redemption_and_who_raised_it(store):
    _, use = redeemed(store)
    sign_in(store, role=Role.OPERATOR)
    assert (
        actions(store).raise_dispute(use, "the compartment was empty", at(5)).result
        is ActionResult.DONE
    )
    (case,) = exception_cases.cases(store)
    assert (case.kind, case.ledger_id, case.tried) == ("dispute", use, "raised by ann")
    sign_in(store)
    assert (
        actions(store).settle(case.id, Settlement.REVERSED, "", at(10**5)).result
        is ActionResult.DONE
    ), "no window here"
    assert [row.verdict for row in ledger.rows(store)] == ["accepted", "reversed"]


# The command line


@pytest.fixture
def console(store, monkeypatch):
    monkeypatch.setattr("edge.cli.store_options.now_of", lambda _: at(60))

    def run(*words):
        return CliRunner().invoke(cli, [*words[:1], "--data", str(store.path.parent), *words[1:]])

    return run


def test_without_a_session_the_command_line_says_what_to_do(store, console):
    _, use = redeemed(store)
    result = console("reverse", str(use), "--reason", "x")
    assert result.exit_code == 1
    assert (
        result.stderr == "edge-scanner: operator_required:"
        " no one is signed in: scan a badge, then enter its PIN\n"
    )


def test_reverse_review_settle_and_request_work_from_the_command_line(store, console):
    _, use = flagged(store)
    sign_in(store, "bob", Role.REVIEWER)
    runner, data = CliRunner(), ["--data", str(store.path.parent)]
    listed = runner.invoke(cli, ["review", "list", *data, "--json"])
    assert (
        json.loads(listed.stdout).items()
        >= {"ledger_id": use, "scanned_by": "ann", "state": "pending"}.items()
    )
    assert runner.invoke(cli, ["review", "approve", *data, str(use)]).exit_code == 0
    sign_in(store, "sue")
    assert console("reverse", str(use), "--reason", "x").exit_code == 0
    assert (
        runner.invoke(cli, ["exceptions", *data, "raise", str(use), "--cause", "x"]).exit_code == 0
    )
    settled = runner.invoke(
        cli, ["exceptions", *data, "settle", "1", "--how", "fixed", "--note", "n"]
    )
    assert settled.exit_code == 0, settled.output
    assert runner.invoke(cli, ["exceptions", *data, "--open"]).stdout == ""
    assert console("request", "--amount", "12.50").exit_code == 0
    with store.read() as connection:
        assert connection.execute(
            "SELECT operator, amount_minor FROM pending_request"
        ).fetchall() == [("sue", 1250)]


@pytest.mark.parametrize("amount", ["12.505", "-1", "0", "nan", "much"])
def test_an_amount_that_is_none_is_a_usage_error(console, amount):
    result = console("request", "--amount", amount)
    assert result.exit_code == 2
    assert "write it as 12.50" in result.output


def test_the_story_of_an_order_has_its_scans_rows_doors_reviews_cases_and_events(store, console):
    claims, case = door_not_opened(store)
    redeemer(store).redeem(code(cti=claims.cti, audience="site-9", kind=Kind.PICKUP), at(20))
    result = console("history", claims.order_id, "--json")
    history = json.loads(result.stdout)
    assert (history["device"], history["complete"]) == ("kiosk-1", False)
    assert {line["record"] for line in history["history"]} == {
        "order",
        "scan",
        "ledger",
        "door",
        "exception",
        "event",
    }
    assert [line["reason"] for line in history["history"] if line["record"] == "scan"] == [
        "accepted",
        "wrong_site",
    ]
    sign_in(store)
    actions(store).settle(case.id, Settlement.COLLECTED, "", at(30))
    epoch, last = outbox.current_epoch(store)
    outbox.acknowledge(store, epoch=epoch, through_seq=last)
    assert json.loads(console("story", claims.order_id, "--json").stdout)["complete"] is True
    words = console("history", claims.order_id).stdout
    assert "exception" in words and words.endswith(
        "complete: the platform has acknowledged everything\n"
    )
    assert console("history", "nobody").exit_code == 1
