"""The rules shipped as examples, on the path of a scan: from the order's text to the verdict."""

import pytest

from edge.config import Policy, load_profile
from edge.domain.decision import decide
from edge.domain.decision_facts import DecisionFacts, DecisionTerms, dump_facts, dump_terms
from edge.domain.redemption_state import (
    CompartmentState,
    LocalRedemption,
    RedemptionState,
)
from edge.domain.replay import replay
from edge.domain.roles import Operator, Role
from edge.domain.verdict import Verdict
from edge.rules.rule import parse_rules
from edge.rules.validation import validate
from edge.token.claims import Kind
from edge.values.instant import Instant
from tests.support.paths import DOCS, FIRMWARE
from tests.support.sample_shop import PLACE, code, order

FOLDER = FIRMWARE / "rules"
MONDAY_S = 1_799_625_600  # 2027-01-11T00:00:00Z
HOUR_S = 3600
NAMES = ["opening-hours", "product", "uses-a-day", "minimum-gap", "campaign-days"]


def text(name):
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def judged(rules, *, at_s=MONDAY_S + 12 * HOUR_S, uses=(), kind=Kind.WRITE_OFF, doors=(), **given):
    """Return the decision on a code whose order carries ``rules``.

    Also check that it replays to the same decision from the journal.
    """
    now = Instant(unix_s=at_s)
    claims = code(quantity=9, not_before_s=0, expires_at_s=2**32, kind=kind)
    entitlement = order(claims, rules=rules)
    state = RedemptionState(
        entitlement=entitlement, uses=tuple(uses), doors=tuple(doors), last_contact_s=at_s
    )
    policy, offset_s = given.pop("policy", Policy()), given.pop("utc_offset_s", 0)
    facts = DecisionFacts(
        claims, state, now, operator=given.pop("operator", None), utc_offset_s=offset_s
    )
    terms = DecisionTerms(PLACE, policy, **given)
    found = decide(facts, terms)
    assert replay(dump_facts(facts), dump_terms(terms)) == found
    return found


def used(at_s):
    return LocalRedemption(ledger_id=1, use_no=1, units=1, amount_minor=None, at_s=at_s)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_each_example_is_well_formed_and_named_here(path):
    rules = parse_rules(path.read_text(encoding="utf-8"))
    assert isinstance(rules, tuple)
    assert [issue for rule in rules for issue in validate(rule.logic)] == []
    assert path.stem in NAMES


@pytest.mark.parametrize(
    ("at_s", "offset_s", "expected"),
    [
        pytest.param(8 * HOUR_S, 0, Verdict.ACCEPTED, id="Monday as it opens"),
        pytest.param(8 * HOUR_S - 1, 0, Verdict.RULE_FAILED, id="a second before"),
        pytest.param(20 * HOUR_S - 1, 0, Verdict.ACCEPTED, id="its last second"),
        pytest.param(20 * HOUR_S, 0, Verdict.RULE_FAILED, id="closed"),
        pytest.param(7 * HOUR_S, HOUR_S, Verdict.ACCEPTED, id="open already an hour ahead"),
        pytest.param(19 * HOUR_S, HOUR_S, Verdict.RULE_FAILED, id="and closed an hour earlier"),
        pytest.param(-20 * HOUR_S, -8 * HOUR_S, Verdict.RULE_FAILED, id="Saturday in the west"),
        pytest.param(5 * 86_400 + 10 * HOUR_S, 0, Verdict.ACCEPTED, id="Saturday morning"),
        pytest.param(5 * 86_400 + 15 * HOUR_S, 0, Verdict.RULE_FAILED, id="Saturday afternoon"),
        pytest.param(6 * 86_400 + 10 * HOUR_S, 0, Verdict.RULE_FAILED, id="Sunday"),
    ],
)
def test_opening_hours_are_the_sites_own(at_s, offset_s, expected):
    found = judged(text("opening-hours"), at_s=MONDAY_S + at_s, utc_offset_s=offset_s)
    assert found.verdict is expected
    assert found.detail == ("" if expected is Verdict.ACCEPTED else "rule opening-hours: not_met")


def test_a_voucher_for_a_product_is_redeemed_where_it_is_sold():
    assert judged(text("product")).verdict is Verdict.RULE_FAILED
    assert (
        judged(text("product"), policy=Policy(products=("tea", "espresso"))).verdict
        is Verdict.ACCEPTED
    )
    assert judged(text("product"), policy=Policy(products=("tea",))).verdict is Verdict.RULE_FAILED


@pytest.mark.parametrize(
    ("uses_at", "offset_s", "expected"),
    [
        pytest.param([9, 10], 0, Verdict.RULE_FAILED, id="twice today"),
        pytest.param([-1, 10], 0, Verdict.ACCEPTED, id="once today, once yesterday"),
        pytest.param(
            [-1, 10], HOUR_S, Verdict.RULE_FAILED, id="the same, where it was today already"
        ),
    ],
)
def test_uses_are_counted_by_the_sites_day(uses_at, offset_s, expected):
    uses = [used(MONDAY_S + hour * HOUR_S) for hour in uses_at]
    assert judged(text("uses-a-day"), uses=uses, utc_offset_s=offset_s).verdict is expected


@pytest.mark.parametrize(
    ("ago_s", "expected"),
    [
        (None, Verdict.ACCEPTED),
        (1799, Verdict.RULE_FAILED),
        (1800, Verdict.ACCEPTED),
        (-5, Verdict.RULE_FAILED),
    ],
)
def test_a_minimum_gap_lies_between_two_uses(ago_s, expected):
    uses = [] if ago_s is None else [used(MONDAY_S + 12 * HOUR_S - ago_s)]
    assert judged(text("minimum-gap"), uses=uses).verdict is expected


@pytest.mark.parametrize(
    ("at_s", "expected"),
    [
        (1_796_079_599, Verdict.RULE_FAILED),  # 2026-11-30T23:59:59+01:00
        (1_796_079_600, Verdict.ACCEPTED),
        (1_798_153_199, Verdict.ACCEPTED),  # 2026-12-24T23:59:59+01:00
        (1_798_153_200, Verdict.RULE_FAILED),
    ],
)
def test_a_campaign_has_its_days(at_s, expected):
    assert judged(text("campaign-days"), at_s=at_s, utc_offset_s=HOUR_S).verdict is expected


def test_a_door_under_way_reopens_whatever_the_gap_because_it_is_no_new_use():
    doors = [
        CompartmentState(
            compartment="A", live=False, emptied=None, ended_s=MONDAY_S + 12 * HOUR_S - 10
        )
    ]
    claims = code(kind=Kind.PICKUP, not_before_s=0, expires_at_s=2**32)
    state = RedemptionState(
        entitlement=order(claims, rules=text("minimum-gap")),
        uses=(used(MONDAY_S + 12 * HOUR_S - 30),),
        doors=tuple(doors),
        last_contact_s=MONDAY_S,
    )
    now = Instant(unix_s=MONDAY_S + 12 * HOUR_S)
    found = decide(DecisionFacts(claims, state, now), DecisionTerms(PLACE, Policy(), grace_s=60))
    assert (found.verdict, found.reopening) == (Verdict.ACCEPTED, True)


def policy(**given):
    rule = {"id": "noon", "logic": '{"<": [{"var": "now.minute_of_day"}, 720]}', **given}
    return Policy.model_validate({"rules": [rule]})


def test_a_rule_of_the_site_holds_for_every_code_of_its_kinds_and_comes_first():
    broken = '[{"id": "never", "logic": false}]'
    assert judged(None, policy=policy()).detail == "rule noon: not_met"
    assert judged(broken, policy=policy()).detail == "rule noon: not_met"
    assert judged(broken, policy=policy(kinds=["pickup"])).detail == "rule never: not_met"
    assert judged(None, policy=policy(kinds=["pickup"])).verdict is Verdict.ACCEPTED
    assert judged(None, policy=policy(), at_s=MONDAY_S).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("rules", "detail"),
    [
        ("nonsense", "rules: malformed: not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("{}", "rules: malformed: not a list of at most 16 rules"),
        ('[{"id": "a", "logic": NaN}]', "rules: malformed: not JSON: NaN is not a number of JSON"),
        (
            '[{"id": "a", "logic": {"and": [], "and": []}}]',
            "rules: malformed: not JSON: an object has a key twice",
        ),
        ('[{"id": "a", "logic": {"launch": []}}]', "rule a: unknown_operator: launch"),
        ('[{"id": "a", "logic": "yes"}]', "rule a: not_boolean"),
        ('[{"id": "a", "logic": 1}]', "rule a: not_boolean"),
        (
            '[{"id": "", "logic": true}]',
            "rules: malformed: a rule's id is a text of 1 to 40 characters",
        ),
        ('[{"logic": true}]', "rules: malformed: a rule has an id and logic, and nothing else"),
        (
            '[{"id": "a", "logic": true, "dialect": "jsonlogic"}]',
            "rules: malformed: a rule has an id and logic, and nothing else",
        ),
        ("[" * 5000, "rules: malformed"),
        ("[" + "1," * 9000 + "1]", "rules: too_large: more than 16384 characters"),
    ],
)
def test_what_cannot_be_read_or_says_neither_yes_nor_no_is_not_met(rules, detail):
    found = judged(rules)
    assert found.verdict is Verdict.RULE_FAILED
    assert found.detail.startswith(detail)


def test_no_rules_are_met():
    assert judged("[]").verdict is Verdict.ACCEPTED


def test_where_the_sites_time_zone_is_not_known_no_rule_is_met():
    found = judged(
        text("uses-a-day"), utc_offset_s=None, policy=Policy(timezone="Atlantis/Poseidonis")
    )
    assert found.detail == "rule uses-a-day: no_local_time: Atlantis/Poseidonis"


@pytest.mark.parametrize(
    ("logic", "message"),
    [
        ('{"launch": []}', 'policy.rules.0.logic: unrecognised operator: "launch"'),
        ("{", "policy.rules.0.logic: not JSON: "),
    ],
)
def test_a_profile_with_a_rule_that_cannot_work_is_refused_with_its_path(logic, message):
    device = {"id": "kiosk-1", "site": "site-1", "kind": "kiosk"}
    profile = {
        "device": device,
        "trust": {"roots_file": "/r"},
        "policy": {"rules": [{"id": "a", "logic": logic}]},
    }
    (error,) = load_profile(profile)
    assert str(error).startswith(message)


def paths(data, above=""):
    for name, value in data.items():
        yield from (
            paths(value, f"{above}{name}.") if isinstance(value, dict) else [f"{above}{name}"]
        )


def test_the_documentation_has_a_row_for_everything_that_a_rule_sees():
    seen = []
    rule = '[{"id": "all", "logic": {"var": ""}}]'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge.domain.decision.first_failure", lambda rules, data: seen.append(data))
        judged(rule, operator=Operator("anna", Role.OPERATOR))
    documented = (DOCS / "reference" / "rules.md").read_text(encoding="utf-8")
    missing = [path for path in paths(seen[0]) if f"`{path}`" not in documented]
    assert missing == []
    assert seen[0]["now"]["iso"] == "2027-01-11T12:00:00+00:00"
