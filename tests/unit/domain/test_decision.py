"""What the decision says, rule by rule, and which rule comes first (docs/reference/verdicts.md)."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from edge.domain.decision_input import Decision, Risk
from edge.domain.entitlement import OrderStatus
from edge.domain.redemption_state import (
    CompartmentState,
    DevicePlace,
    LocalRedemption,
    OfflineExposure,
    OnlineAuthorisation,
    RedemptionState,
    RequestedUse,
)
from edge.domain.replay import replay
from edge.domain.roles import Operator, Role
from edge.domain.verdict import Verdict
from edge.token.claims import Claims, Kind
from edge.values.instant import ClockTrust, Instant
from tests.support.sample_shop import NOON, PLACE, RISKY, at, code, order

LAST_CONTACT_S = NOON.unix_s


def verdict(claims=None, state=None, **given):
    return decided(claims, state, **given).verdict


def decided(claims=None, state=None, **given):
    claims = claims or code()
    state = state or RedemptionState(entitlement=order(claims), last_contact_s=LAST_CONTACT_S)
    terms = {name: given.pop(name) for name in ("place", "policy", "grace_s") if name in given}
    facts = DecisionFacts(claims, state, **{"now": NOON, **given})
    return decide(facts, DecisionTerms(**{"place": PLACE, "policy": Policy(), **terms}))


def state_of(claims, *, order_given=None, **given):
    return RedemptionState(
        **{
            "entitlement": order(claims, **(order_given or {})),
            "last_contact_s": LAST_CONTACT_S,
            **given,
        }
    )


def used(units=1, amount_minor=None, at_s=NOON.unix_s - 60):
    return LocalRedemption(ledger_id=1, use_no=1, units=units, amount_minor=amount_minor, at_s=at_s)


def test_a_good_code_at_home_in_its_time_is_accepted():
    assert decided() == Decision(verdict=Verdict.ACCEPTED, units=1)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(99, Verdict.TOO_EARLY, id="a second before it opens"),
        pytest.param(100, Verdict.ACCEPTED, id="the second it opens"),
        pytest.param(199, Verdict.ACCEPTED, id="its last second"),
        pytest.param(200, Verdict.EXPIRED, id="the second it expires"),
    ],
)
@pytest.mark.parametrize("who_says", ["the code", "the order"])
def test_a_code_is_redeemed_only_in_its_window(now, expected, who_says):
    window = {"not_before_s": 100, "expires_at_s": 200}
    claims = code(
        **(window if who_says == "the code" else {"not_before_s": 0, "expires_at_s": 10**9})
    )
    state = state_of(
        claims, order_given=window if who_says == "the order" else {}, last_contact_s=100
    )
    assert verdict(claims, state, now=Instant(unix_s=now)) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (OrderStatus.AWAITING_PAYMENT, Verdict.NOT_PAID),
        (OrderStatus.PAID, Verdict.NOT_READY),
        (OrderStatus.READY, Verdict.ACCEPTED),
        (OrderStatus.SHIPPED, Verdict.ACCEPTED),
        (OrderStatus.CANCELLED, Verdict.ORDER_CANCELLED),
        (OrderStatus.REFUNDED, Verdict.ORDER_REFUNDED),
    ],
)
def test_the_orders_state_is_respected(status, expected):
    claims = code()
    assert verdict(claims, state_of(claims, order_given={"status": status})) is expected


def test_a_code_for_another_site_is_refused_and_one_for_our_group_is_not():
    assert verdict(code(audience="site-9")) is Verdict.WRONG_SITE
    assert verdict(code(audience="north")) is Verdict.ACCEPTED


@pytest.mark.parametrize(
    "home",
    [
        {"home_device": "kiosk-9"},
        {"home_device": None, "home_site": "site-9"},
    ],
)
def test_an_order_homed_elsewhere_is_refused(home):
    claims = code()
    assert verdict(claims, state_of(claims, order_given=home), policy=RISKY) is Verdict.WRONG_SITE


def test_a_parcel_in_another_locker_is_refused_here():
    claims = code(kind=Kind.PICKUP)
    assert (
        verdict(claims, state_of(claims, order_given={"compartments": ("Z",)}))
        is Verdict.WRONG_SITE
    )


def test_a_device_serves_only_its_kinds():
    kiosk = dataclasses.replace(PLACE, kinds=frozenset({Kind.WRITE_OFF}))
    assert verdict(code(kind=Kind.PICKUP), place=kiosk) is Verdict.WRONG_KIND
    assert verdict(code(kind=Kind.OPERATOR), place=kiosk) is Verdict.WRONG_KIND


@pytest.mark.parametrize(
    ("in_code", "in_line"),
    [
        ({"order_id": "A-1"}, {"order_id": "A-2"}),
        ({"currency": "EUR", "amount_minor": 5}, {"currency": "CNY", "amount_minor": 5}),
        ({"currency": "EUR", "amount_minor": 5}, {"currency": "EUR", "amount_minor": 4}),
        ({"currency": "EUR", "amount_minor": 5}, {"currency": "EUR", "amount_minor": 6}),
    ],
)
def test_a_code_that_its_order_line_contradicts_is_a_data_error(in_code, in_line):
    claims = code(**in_code)
    found = decided(claims, state_of(claims, order_given=in_line))
    assert found.verdict is Verdict.DATA_ERROR
    assert found.detail


@pytest.mark.parametrize("result", ["already_redeemed", "granted"])
@pytest.mark.parametrize("value", [{}, {"amount_minor": 500, "currency": "CNY"}])
def test_a_code_that_was_used_up_elsewhere_is_already_redeemed_with_when_and_where(result, value):
    claims = code(**value)
    reply = OnlineAuthorisation(
        result=AuthorisationResult(result),
        id="r",
        used=1,
        used_minor=500,
        authority="platform",
        used_s=1_700_000_000,
        used_by="kiosk-9",
    )
    found = decided(claims, state_of(claims, authorisation=reply))
    assert found.verdict is Verdict.ALREADY_REDEEMED
    assert "1700000000 on kiosk-9" in found.detail


@pytest.mark.parametrize("named_by", ["the code", "the order line"])
def test_an_amount_that_only_one_of_the_two_names_contradicts_nothing(named_by):
    amount = {"currency": "EUR", "amount_minor": 500}
    claims = code(**amount if named_by == "the code" else {})
    state = state_of(claims, order_given=amount if named_by == "the order line" else {})
    assert decided(claims, state).amount_minor == 500


def test_a_code_and_an_order_of_different_kinds_are_refused():
    claims = code()
    assert (
        verdict(claims, state_of(claims, order_given={"kind": Kind.PICKUP})) is Verdict.WRONG_KIND
    )


def test_what_the_platform_took_back_is_refused():
    claims = code()
    assert verdict(claims, state_of(claims, revoked=True)) is Verdict.REVOKED
    assert verdict(claims, state_of(claims, campaign_withdrawn=True)) is Verdict.CAMPAIGN_WITHDRAWN


def test_a_used_code_is_refused_with_when_and_where():
    claims = code()
    refused = decided(claims, state_of(claims, uses=(used(),)))
    assert refused.verdict is Verdict.ALREADY_REDEEMED
    assert refused.prior.at_s == NOON.unix_s - 60
    assert refused.detail == f"redeemed at {NOON.unix_s - 60} on kiosk-1"


@pytest.mark.parametrize(
    ("uses", "requested", "expected"),
    [
        ((), 3, Verdict.ACCEPTED),
        ((), 4, Verdict.QUANTITY_EXCEEDED),
        ((2,), 1, Verdict.ACCEPTED),
        ((2,), 2, Verdict.QUANTITY_EXCEEDED),
        ((2, 1), 1, Verdict.ALREADY_REDEEMED),
        ((), 0, Verdict.QUANTITY_EXCEEDED),
        ((), -1, Verdict.QUANTITY_EXCEEDED),
    ],
)
def test_a_voucher_of_three_uses_gives_three(uses, requested, expected):
    claims = code(quantity=3)
    state = state_of(claims, uses=tuple(used(units) for units in uses))
    assert verdict(claims, state, requested=RequestedUse(units=requested)) is expected


@pytest.mark.parametrize(
    ("spent", "requested", "expected", "amount"),
    [
        ((), None, Verdict.ACCEPTED, 1000),
        ((), 300, Verdict.ACCEPTED, 300),
        ((300,), 700, Verdict.ACCEPTED, 700),
        ((300,), None, Verdict.ACCEPTED, 700),
        ((300,), 701, Verdict.QUANTITY_EXCEEDED, None),
        ((300, 700), 1, Verdict.ALREADY_REDEEMED, None),
        ((), 0, Verdict.QUANTITY_EXCEEDED, None),
    ],
)
def test_a_voucher_with_a_value_can_be_spent_in_parts(spent, requested, expected, amount):
    claims = code(amount_minor=1000, currency="EUR")
    state = state_of(claims, uses=tuple(used(amount_minor=part) for part in spent))
    found = decided(claims, state, requested=RequestedUse(amount_minor=requested))
    assert (found.verdict, found.amount_minor) == (expected, amount)


@pytest.mark.parametrize(
    ("quantity", "units", "amount"),
    [
        pytest.param(3, 1, 333, id="one of three uses"),
        pytest.param(3, 2, 666, id="two of three"),
        pytest.param(3, 3, 1000, id="all of them"),
    ],
)
def test_the_value_of_some_uses_is_their_part_of_the_whole_rounded_down(quantity, units, amount):
    claims = code(quantity=quantity, amount_minor=1000)
    assert decided(claims, requested=RequestedUse(units=units)).amount_minor == amount


@pytest.mark.parametrize(
    ("limit", "expected"), [(299, Verdict.ACCEPTED_PENDING_REVIEW), (300, Verdict.ACCEPTED)]
)
def test_what_a_part_of_a_voucher_is_worth_is_what_is_requested_of_it(limit, expected):
    """The whole is worth 1,000, of which 300 are requested: a review concerns what is redeemed."""
    claims = code(amount_minor=1000)
    part = RequestedUse(amount_minor=300)
    found = decided(claims, requested=part, policy=Policy(review_above_minor=limit))
    assert (found.verdict, found.amount_minor) == (expected, 300)


def test_the_platform_can_lower_what_was_signed_and_never_raise_it():
    claims = code(quantity=2)
    lower, higher = (state_of(claims, order_given={"quantity": quantity}) for quantity in (1, 9))
    assert verdict(claims, lower, requested=RequestedUse(units=2)) is Verdict.QUANTITY_EXCEEDED
    assert verdict(claims, higher, requested=RequestedUse(units=3)) is Verdict.QUANTITY_EXCEEDED


UNKNOWN = RedemptionState(entitlement=None, last_contact_s=LAST_CONTACT_S)


@pytest.mark.parametrize(
    ("policy", "expected"), [(Policy(), Verdict.NEEDS_ONLINE), (RISKY, Verdict.ACCEPTED)]
)
def test_a_code_that_is_not_cached_is_a_matter_of_policy(policy, expected):
    assert verdict(code(), UNKNOWN, policy=policy) is expected


def test_an_order_homed_on_the_whole_site_is_a_matter_of_policy():
    claims = code()
    shared = state_of(claims, order_given={"home_device": None})
    assert (
        verdict(claims, shared, policy=Policy(offline_site_home="refuse")) is Verdict.NEEDS_ONLINE
    )
    assert decided(claims, shared, policy=RISKY).risks == (Risk.SITE_HOME,)


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param({"claims": {"amount_minor": 1001}}, id="one amount"),
        pytest.param({"state": {"exposure": OfflineExposure(uses_today=3)}}, id="uses a day"),
        pytest.param(
            {
                "claims": {"amount_minor": 600},
                "state": {"exposure": OfflineExposure(amount_minor=1401)},
            },
            id="exposure",
        ),
        pytest.param(
            {"state": {"last_contact_s": NOON.unix_s - 86_401}}, id="time since the last contact"
        ),
        pytest.param({"state": {"last_contact_s": None}}, id="no contact yet"),
    ],
)
def test_each_floor_limit_holds(limit):
    claims = code(**limit.get("claims", {}))
    state = dataclasses.replace(UNKNOWN, **limit.get("state", {}))
    assert verdict(claims, state, policy=RISKY) is Verdict.OVER_FLOOR_LIMIT


def test_an_unknown_pickup_needs_the_platform_because_nobody_knows_its_door():
    assert verdict(code(kind=Kind.PICKUP), UNKNOWN, policy=RISKY) is Verdict.NEEDS_ONLINE


@pytest.mark.parametrize("kind", [Kind.PICKUP, Kind.WRITE_OFF])
def test_with_a_clock_that_is_only_a_floor_what_verification_lets_through_is_flagged(kind):
    unsure = at(0, ClockTrust.FLOOR_ONLY)
    found = decided(code(kind=kind), now=unsure)
    assert (found.verdict, found.risks) == (Verdict.ACCEPTED, (Risk.CLOCK_FLOOR_ONLY,))


def test_orders_not_heard_of_for_long_are_flagged():
    claims = code()
    old = state_of(claims, last_contact_s=NOON.unix_s - 8 * 86_400)
    assert decided(claims, old).risks == (Risk.ORDERS_STALE,)


def test_a_flagged_or_large_order_waits_for_a_second_person():
    claims = code(amount_minor=500)
    assert (
        verdict(claims, state_of(claims, order_given={"review": True}))
        is Verdict.ACCEPTED_PENDING_REVIEW
    )
    assert verdict(claims, policy=Policy(review_above_minor=499)) is Verdict.ACCEPTED_PENDING_REVIEW
    assert verdict(claims, policy=Policy(review_above_minor=500)) is Verdict.ACCEPTED


def test_a_blocked_device_honours_nothing():
    claims = code()
    assert verdict(claims, state_of(claims, blocked="stolen")) is Verdict.BLOCKED_DEVICE


STAFFED = Policy(operator_required_kinds=("write_off", "pickup"))


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (None, Verdict.OPERATOR_REQUIRED),
        (Role.OPERATOR, Verdict.ACCEPTED),
        (Role.REVIEWER, Verdict.ACCEPTED),
        (Role.SUPERVISOR, Verdict.ACCEPTED),
        (Role.TECHNICIAN, Verdict.OPERATOR_FORBIDDEN),
    ],
)
def test_where_policy_says_so_somebody_with_the_right_must_be_signed_in(role, expected):
    operator = role and Operator("anna", role)
    assert verdict(policy=STAFFED, operator=operator) is expected
    reopened = decided(*picked_up(door()), grace_s=60, policy=STAFFED, operator=operator)
    assert reopened.verdict is expected


def test_while_a_technician_is_signed_in_nothing_is_redeemed():
    assert verdict(operator=Operator("tom", Role.TECHNICIAN)) is Verdict.OPERATOR_FORBIDDEN


# The pickup


def door(name="A", live=False, emptied=True, ended_s=NOON.unix_s - 10):
    return CompartmentState(compartment=name, live=live, emptied=emptied, ended_s=ended_s)


def picked_up(*doors):
    claims = code(kind=Kind.PICKUP)
    return claims, state_of(claims, uses=(used(),), doors=doors)


def test_a_pickup_names_its_doors_in_order():
    claims = code(kind=Kind.PICKUP)
    assert decided(claims, state_of(claims, order_given={"compartments": ("B", "A")})).doors == (
        "B",
        "A",
    )


def test_a_parcel_in_no_compartment_is_not_ready():
    claims = code(kind=Kind.PICKUP)
    assert verdict(claims, state_of(claims, order_given={"compartments": ()})) is Verdict.NOT_READY


@pytest.mark.parametrize("emptied", [True, None])
def test_within_the_grace_the_same_code_reopens_its_door(emptied):
    found = decided(*picked_up(door(emptied=emptied)), grace_s=60)
    assert (found.verdict, found.doors, found.reopening) == (Verdict.ACCEPTED, ("A",), True)


@pytest.mark.parametrize("ended_s", [NOON.unix_s - 60, NOON.unix_s + 1])
def test_after_the_grace_and_with_a_clock_that_went_back_it_stays_shut(ended_s):
    assert verdict(*picked_up(door(ended_s=ended_s)), grace_s=60) is Verdict.ALREADY_REDEEMED


def test_doors_that_were_not_opened_are_still_the_codes_own():
    found = decided(*picked_up(door("A"), door("B", emptied=False, ended_s=None)), grace_s=0)
    assert (found.verdict, found.doors, found.reopening) == (Verdict.ACCEPTED, ("B",), False)
    assert found.continues.ledger_id == 1


def test_while_a_door_is_under_way_the_same_code_says_so_and_promises_no_other():
    found = decided(*picked_up(door(live=True, emptied=False, ended_s=None)), grace_s=60)
    assert (found.verdict, found.detail, found.doors) == (Verdict.ACCEPTED, "in progress: A", ())
    assert found.continues.ledger_id == 1


def test_a_door_that_was_left_open_does_not_hold_up_the_doors_that_are_left():
    found = decided(
        *picked_up(door("A", live=True, emptied=False, ended_s=None), door("B", emptied=False)),
        grace_s=0,
    )
    assert (found.verdict, found.doors) == (Verdict.ACCEPTED, ("B",))


@pytest.mark.parametrize(
    ("review", "expected", "doors"),
    [
        ("pending", Verdict.ACCEPTED_PENDING_REVIEW, ()),
        ("approved", Verdict.ACCEPTED, ("A",)),
    ],
)
def test_a_flagged_parcel_stays_locked_until_a_second_person_has_approved(review, expected, doors):
    claims = code(kind=Kind.PICKUP)
    first = decided(claims, state_of(claims, order_given={"review": True}))
    assert (first.verdict, first.doors, first.units) == (Verdict.ACCEPTED_PENDING_REVIEW, (), 1)
    use = dataclasses.replace(used(), review=review)
    again = decided(claims, state_of(claims, order_given={"review": True}, uses=(use,)))
    assert (again.verdict, again.doors, again.continues) == (expected, doors, use)


@pytest.mark.parametrize(
    ("review", "doors"),
    [
        pytest.param(None, ("A",), id="never flagged"),
        pytest.param("rejected", ("A",), id="rejected"),
        pytest.param("approved", (), id="approved, without a door"),
    ],
)
def test_a_redeemed_parcel_without_doors_goes_on_only_with_an_approval_and_a_door(review, doors):
    claims = code(kind=Kind.PICKUP)
    use = dataclasses.replace(used(), review=review)
    place = dataclasses.replace(PLACE, compartments=frozenset(doors))
    found = decided(
        claims, state_of(claims, order_given={"compartments": doors}, uses=(use,)), place=place
    )
    assert (found.verdict, found.continues) == (Verdict.ALREADY_REDEEMED, None)


def test_an_approval_opens_every_door_of_the_order():
    claims = code(kind=Kind.PICKUP)
    use = dataclasses.replace(used(), review="approved")
    doors = {"compartments": ("A", "B")}
    found = decided(claims, state_of(claims, order_given=doors, uses=(use,)))
    assert (found.verdict, found.detail, found.doors) == (Verdict.ACCEPTED, "approved", ("A", "B"))


# The order of the rules: everything is wrong, and one thing after another is put right.

ORDER = [
    (Verdict.WRONG_SITE, lambda c: c.__setitem__("audience", "site-1")),
    (Verdict.WRONG_KIND, lambda c: c.__setitem__("kind", Kind.WRITE_OFF)),
    (Verdict.REVOKED, lambda c: c.__setitem__("revoked", False)),
    (Verdict.CAMPAIGN_WITHDRAWN, lambda c: c.__setitem__("campaign_withdrawn", False)),
    (Verdict.ORDER_CANCELLED, lambda c: c.__setitem__("status", OrderStatus.READY)),
    (Verdict.TOO_EARLY, lambda c: c.__setitem__("not_before_s", 0)),
    (Verdict.EXPIRED, lambda c: c.__setitem__("expires_at_s", 2**33 - 1)),
    (Verdict.RULE_FAILED, lambda c: c.__setitem__("rules", None)),
    (Verdict.ALREADY_REDEEMED, lambda c: c.__setitem__("uses", ())),
    (Verdict.QUANTITY_EXCEEDED, lambda c: c.__setitem__("requested", 1)),
    (Verdict.NEEDS_ONLINE, lambda c: c.__setitem__("policy", STAFFED)),
    (Verdict.OVER_FLOOR_LIMIT, lambda c: c.__setitem__("home_device", "kiosk-1")),
    (
        Verdict.OPERATOR_REQUIRED,
        lambda c: c.__setitem__("operator", Operator("tom", Role.TECHNICIAN)),
    ),
    (
        Verdict.OPERATOR_FORBIDDEN,
        lambda c: c.__setitem__("operator", Operator("anna", Role.OPERATOR)),
    ),
    (Verdict.BLOCKED_DEVICE, lambda c: c.__setitem__("blocked", None)),
]


def test_the_first_rule_that_fails_gives_the_verdict_most_fundamental_first():
    case = {
        "audience": "site-9",
        "kind": Kind.OPERATOR,
        "revoked": True,
        "campaign_withdrawn": True,
        "status": OrderStatus.CANCELLED,
        "not_before_s": NOON.unix_s + 1,
        "expires_at_s": NOON.unix_s,
        "uses": (used(),),
        "requested": 2,
        "home_device": None,
        "blocked": "stolen",
        "operator": None,
        "rules": '[{"id": "never", "logic": false}]',
        "policy": STAFFED.model_copy(update={"offline_site_home": "refuse"}),
    }
    for expected, put_right in ORDER:
        assert judged(case) is expected
        put_right(case)
    assert judged(case) is Verdict.ACCEPTED


def test_the_verdicts_are_declared_in_the_order_in_which_they_are_tested():
    tested = [verdict for verdict, _ in ORDER]
    assert tested == sorted(tested, key=list(Verdict).index)


def judged(case):
    claims = code(
        **{name: case[name] for name in ("audience", "kind", "not_before_s", "expires_at_s")}
    )
    given = {name: case[name] for name in ("status", "home_device", "rules")}
    entitlement = order(claims, quantity=1, **given)
    known = {name: case[name] for name in ("revoked", "campaign_withdrawn", "uses", "blocked")}
    state = RedemptionState(entitlement=entitlement, last_contact_s=LAST_CONTACT_S, **known)
    requested = RequestedUse(units=case["requested"])
    return verdict(
        claims, state, requested=requested, operator=case["operator"], policy=case["policy"]
    )


# Total, and the same again from the journal's text

whole = st.integers(-(2**40), 2**40)
maybe = st.none() | whole
names = st.sampled_from(["site-1", "north", "site-9", "", "kiosk-1", "柜"])
moments = st.builds(Instant, unix_s=whole, trust=st.sampled_from(ClockTrust))
doors_named = st.lists(st.sampled_from("ABZ"), max_size=3).map(tuple)
claims_of_any_sort = st.builds(
    Claims,
    cti=st.binary(min_size=16, max_size=16),
    kid=st.binary(min_size=4, max_size=4),
    issuer=names,
    audience=names,
    not_before_s=whole,
    expires_at_s=whole,
    issued_at_s=maybe,
    order_id=names,
    kind=st.sampled_from(Kind),
    quantity=whole,
    amount_minor=maybe,
    currency=st.none() | names,
    flags=whole,
    status_index=maybe,
    dynamic_mode=maybe,
    holder_key=st.none() | st.binary(max_size=4),
)
WITH_RULES = [
    '[{"id": "a", "logic": {"<": [{"var": "uses.today"}, 2]}}]',
    '[{"id": "a", "logic": {"var": "now"}}]',
]
entitlements = st.builds(
    order,
    st.builds(code, kind=st.sampled_from(Kind)),
    home_site=names,
    home_device=st.none() | names,
    status=st.sampled_from(OrderStatus),
    quantity=whole,
    amount_minor=maybe,
    not_before_s=whole,
    expires_at_s=whole,
    review=st.booleans(),
    compartments=doors_named,
    campaign=st.none() | names,
    rules=st.none() | st.text(max_size=5) | st.sampled_from(WITH_RULES),
)
uses_made = st.builds(
    LocalRedemption, ledger_id=whole, use_no=whole, units=whole, amount_minor=maybe, at_s=whole
)
doors_seen = st.builds(
    CompartmentState,
    compartment=names,
    live=st.booleans(),
    emptied=st.none() | st.booleans(),
    ended_s=maybe,
)
redemption_states = st.builds(
    RedemptionState,
    entitlement=st.none() | entitlements,
    uses=st.lists(uses_made, max_size=3).map(tuple),
    doors=st.lists(doors_seen, max_size=3).map(tuple),
    next_use_no=whole,
    revoked=st.booleans(),
    campaign_withdrawn=st.booleans(),
    blocked=st.none() | names,
    last_contact_s=maybe,
    exposure=st.builds(OfflineExposure, uses_today=whole, amount_minor=whole),
)
policies = st.sampled_from(
    [Policy(), RISKY, STAFFED, Policy(review_above_minor=0, floor=FloorLimits(uses_a_day=10**6))]
)
places = st.sampled_from(
    [
        PLACE,
        DevicePlace(device_id="kiosk-1", site_id="site-1"),
        DevicePlace(device_id="", site_id=""),
    ]
)
operators = st.none() | st.builds(Operator, names, st.sampled_from(Role))
requested_uses = st.builds(RequestedUse, units=whole, amount_minor=maybe)


@settings(max_examples=150, deadline=None)
@given(
    claims_of_any_sort,
    redemption_states,
    places,
    policies,
    moments,
    requested_uses,
    st.integers(0, 10**6),
    operators,
    maybe,
)
def test_it_never_raises_and_replays_to_the_same_verdict(
    claims, state, place, policy, now, requested, grace_s, operator, utc_offset_s
):
    given = {"now": now, "requested": requested, "operator": operator, "utc_offset_s": utc_offset_s}
    facts = DecisionFacts(claims=claims, state=state, **given)
    terms = DecisionTerms(place, policy, grace_s)
    first = decide(facts, terms)
    assert load_facts(dump_facts(facts)) == facts
    assert replay(dump_facts(facts), dump_terms(terms)) == first
    assert first.verdict.is_accepted == bool(first.units or first.continues)
