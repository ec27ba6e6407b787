"""What a device redeems that has lost its ledger and does not have all of it back yet."""

import pytest

from edge.config import FloorLimits, Policy
from edge.domain.authorisation import AuthorisationResult
from edge.domain.decision import decide
from edge.domain.decision_facts import (
    DecisionFacts,
    DecisionTerms,
    dump_facts,
    dump_terms,
    load_facts,
)
from edge.domain.decision_input import Risk
from edge.domain.redemption_state import (
    LocalRedemption,
    OnlineAuthorisation,
    RedemptionState,
    RequestedUse,
    RestoredRedemption,
)
from edge.domain.replay import replay
from edge.domain.verdict import Verdict
from edge.token.claims import Kind
from tests.support.sample_shop import DEVICE, NOON, PLACE, code, order

LOST_S = NOON.unix_s - 600
BEFORE, AFTER = LOST_S - 1, LOST_S
FLOOR = FloorLimits(amount_minor=1000, uses_a_day=3, exposure_minor=2000)
ONE, STRICT = RequestedUse(), Policy()
RISK = Policy(offline_recovering="floor_limit", floor=FLOOR)


def facts_of(claims, *, home=DEVICE, requested=ONE, **known):
    entitlement = order(claims, home_device=home)
    state = {"entitlement": entitlement, "last_contact_s": NOON.unix_s, "lost_s": LOST_S, **known}
    return DecisionFacts(claims, RedemptionState(**state), now=NOON, requested=requested)


def decided(claims, *, policy=STRICT, **said):
    return decide(facts_of(claims, **said), DecisionTerms(PLACE, policy))


def reply(result=AuthorisationResult.GRANTED, **said):
    return OnlineAuthorisation(result=result, id="r1", authority="_hub", **said)


def restored(device=DEVICE, units=1, amount_minor=None, at_s=BEFORE):
    return RestoredRedemption(device=device, units=units, amount_minor=amount_minor, at_s=at_s)


@pytest.mark.parametrize(("issued_at_s", "lost_s", "policy", "expected"), [
    pytest.param(BEFORE, LOST_S, STRICT, Verdict.NEEDS_ONLINE, id="issued before the loss"),
    pytest.param(None, LOST_S, STRICT, Verdict.NEEDS_ONLINE, id="no moment of its issue"),
    pytest.param(AFTER, LOST_S, STRICT, Verdict.ACCEPTED, id="issued after the loss"),
    pytest.param(BEFORE, None, STRICT, Verdict.ACCEPTED, id="all is given back"),
    pytest.param(BEFORE, LOST_S, RISK, Verdict.ACCEPTED, id="policy takes the risk"),
    pytest.param(
        BEFORE, LOST_S, Policy(offline_recovering="floor_limit"), Verdict.OVER_FLOOR_LIMIT,
        id="policy takes it up to limits that nobody has set",
    ),
])  # fmt: skip
def test_a_code_from_before_the_loss_needs_the_network(issued_at_s, lost_s, policy, expected):
    """Even where its order line is fresh and homed here: that line does not say what was used."""
    claims = code(issued_at_s=issued_at_s)
    outcome = decided(claims, lost_s=lost_s, policy=policy)
    assert outcome.verdict is expected
    in_doubt = lost_s is not None and (issued_at_s is None or issued_at_s < lost_s)
    assert outcome.request_grant is in_doubt


def test_the_risk_of_a_lost_ledger_is_in_the_event():
    assert decided(code(issued_at_s=BEFORE), policy=RISK).risks == (Risk.LEDGER_LOST,)
    assert decided(code(issued_at_s=AFTER), policy=RISK).risks == ()


def test_a_grant_lifts_the_doubt():
    outcome = decided(code(issued_at_s=BEFORE), authorisation=reply())
    assert (outcome.verdict, outcome.risks, outcome.claim) == (Verdict.ACCEPTED, (), "r1")


def test_the_authority_may_know_that_it_was_redeemed():
    spent = reply(AuthorisationResult.SPENT)
    assert decided(code(issued_at_s=BEFORE), authorisation=spent).verdict is (
        Verdict.ALREADY_REDEEMED
    )


@pytest.mark.parametrize("device", [DEVICE, "kiosk-2"])
@pytest.mark.parametrize("home", [DEVICE, None], ids=["homed here", "homed on the site"])
def test_what_was_given_back_counts_with_when_and_where(device, home):
    outcome = decided(code(), home=home, lost_s=None, restored=(restored(device),))
    assert outcome.verdict is Verdict.ALREADY_REDEEMED
    assert outcome.detail == f"redeemed at {BEFORE} on {device}"
    assert outcome.prior.at_s == BEFORE


@pytest.mark.parametrize(("quantity", "requested", "expected"), [
    (3, 1, Verdict.ACCEPTED),
    (3, 2, Verdict.QUANTITY_EXCEEDED),
    (2, 1, Verdict.ALREADY_REDEEMED),
])  # fmt: skip
def test_no_more_than_the_signed_quantity_is_redeemed_in_both_stores(quantity, requested, expected):
    claims = code(quantity=quantity)
    now_used = LocalRedemption(ledger_id=1, use_no=1, units=1, amount_minor=None, at_s=AFTER)
    outcome = decided(
        claims, lost_s=None, uses=(now_used,), restored=(restored(),),
        requested=RequestedUse(units=requested),
    )  # fmt: skip
    assert outcome.verdict is expected


def test_the_rest_of_a_value_is_what_both_stores_left():
    claims = code(amount_minor=1000, currency="EUR")
    outcome = decided(claims, lost_s=None, restored=(restored(amount_minor=400),))
    assert (outcome.verdict, outcome.amount_minor) == (Verdict.ACCEPTED, 600)


def test_the_newest_use_is_named_whichever_store_has_it():
    now_used = LocalRedemption(ledger_id=1, use_no=1, units=1, amount_minor=None, at_s=AFTER)
    outcome = decided(
        code(quantity=2), lost_s=None, uses=(now_used,), restored=(restored("kiosk-2"),)
    )
    assert outcome.detail == f"redeemed at {AFTER} on {DEVICE}"


def test_another_devices_use_that_was_reversed_meanwhile_does_not_count_online():
    """The authority's reply counts other devices as they are now, so each use counts once."""
    shared = {"home": None, "lost_s": None, "restored": (restored("kiosk-2"),)}
    offline = decided(code(), **shared)
    assert (offline.verdict, offline.request_grant) == (Verdict.ALREADY_REDEEMED, True)
    assert decided(code(), authorisation=reply(), **shared).verdict is Verdict.ACCEPTED
    still_there = reply(used=1)
    assert decided(code(), authorisation=still_there, **shared).verdict is Verdict.ALREADY_REDEEMED
    assert decided(code(quantity=2), authorisation=still_there, **shared).verdict is (
        Verdict.ACCEPTED
    )


def test_a_pickup_that_was_given_back_opens_no_door():
    """What became of its doors is not known any more: a person settles that."""
    claims = code(kind=Kind.PICKUP)
    outcome = decided(claims, lost_s=None, restored=(restored(),))
    assert (outcome.verdict, outcome.doors) == (Verdict.ALREADY_REDEEMED, ())


def test_a_rule_counts_this_devices_uses_in_both_stores():
    once = '[{"id": "once", "logic": {"==": [{"var": "uses.count"}, 0]}}]'
    claims = code(quantity=5)
    for device, expected in ((DEVICE, Verdict.RULE_FAILED), ("kiosk-2", Verdict.ACCEPTED)):
        state = RedemptionState(
            entitlement=order(claims, rules=once),
            last_contact_s=NOON.unix_s,
            restored=(restored(device),),
        )
        facts = DecisionFacts(claims, state, now=NOON)
        assert decide(facts, DecisionTerms(PLACE, Policy())).verdict is expected


def test_such_a_decision_replays():
    facts = facts_of(code(), restored=(restored("kiosk-2", 2, 300),))
    terms = DecisionTerms(PLACE, RISK)
    assert load_facts(dump_facts(facts)) == facts
    assert replay(dump_facts(facts), dump_terms(terms)) == decide(facts, terms)
