"""A refused write-off is retried from its case: the claims verified then, the lists of now."""

import time
from types import SimpleNamespace

import pytest

from edge.config import Profile, load_profile
from edge.domain.entitlement import OrderStatus
from edge.domain.exception_case import ExceptionCase, ExceptionKind
from edge.domain.roles import Role
from edge.domain.verdict import Verdict
from edge.operators.operator_action import ActionResult
from edge.redemption.retry import RetryService
from edge.store import documents, exception_cases, ledger, outbox
from edge.store.exception_cases import raise_case
from edge.store.order_history import order_history
from edge.token.claims import Kind
from edge.token.purpose import Purpose
from edge.values.instant import Instant
from tests.support.operator_sessions import actions, sign_in
from tests.support.platform_processes import Keys
from tests.support.refusals import set_aside
from tests.support.sample_shop import DEVICE, SITE, code, deliver, open_at, order, redeemer


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def field(tmp_path, keys):
    """Return a device that refused a voucher whose order was not ready, with an open case."""
    now = Instant(unix_s=int(time.time()))
    store = open_at(tmp_path, now_s=now.unix_s)
    (tmp_path / "roots.cbor").write_bytes(keys.roots().to_bytes())
    profile = load_profile(
        {
            "device": {"id": DEVICE, "site": SITE, "kind": "kiosk"},
            "trust": {"roots_file": str(tmp_path / "roots.cbor")},
        }
    )
    assert isinstance(profile, Profile), profile
    trust = documents.TRUST_LIST
    documents.put(
        store, name=trust, version=1, issued_at_s=now.unix_s, raw=keys.trust_list(1), now=now
    )
    kid = keys.signer(Purpose.TOKEN).public.kid
    status = {"name": documents.status_list_name(kid), "issued_at_s": now.unix_s, "now": now}
    documents.put(store, version=1, raw=keys.status_list(1), **status)

    def refused(kind=Kind.WRITE_OFF):
        claims = code(
            kid=kid,
            kind=kind,
            status_index=7,
            issuer=keys.record.issuer,
            not_before_s=now.unix_s - 60,
            expires_at_s=now.unix_s + 3600,
        )
        deliver(store, order(claims, status=OrderStatus.PAID), now=now)
        assert redeemer(store).redeem(claims, now).reason is Verdict.NOT_READY
        with store.transaction() as connection:
            case = raise_case(
                connection,
                ExceptionCase(
                    kind=ExceptionKind.DATA_ERROR,
                    cause="x",
                    tried="y",
                    raised_s=now.unix_s,
                    cti=claims.cti,
                ),
            )
        return claims, case

    def revoke():
        documents.put(store, version=2, raw=keys.status_list(2, revoked=[7]), **status)

    sign_in(store, now=now)
    retry = RetryService(actions(store), lambda: profile)
    yield SimpleNamespace(store=store, now=now, retry=retry, refused=refused, revoke=revoke)
    store.close()


def test_a_write_off_that_is_ready_now_is_redeemed_and_its_case_settled_as_retried(field):
    claims, case = field.refused()
    assert field.retry.retry_write_off(case, field.now).result is ActionResult.STILL_REFUSED
    deliver(field.store, order(claims), now=field.now)
    assert field.retry.retry_write_off(case, field.now).result is ActionResult.DONE
    (row,) = ledger.rows(field.store)
    (settled,) = exception_cases.cases(field.store)
    assert (row.cti, row.operator, settled.settlement, settled.settled_by) == (
        claims.cti,
        "ann",
        "retried",
        "ann",
    )
    assert field.retry.retry_write_off(case, field.now).result is ActionResult.ALREADY


def test_a_write_off_that_was_revoked_or_has_expired_is_not_redeemed(field):
    claims, case = field.refused()
    deliver(field.store, order(claims), now=field.now)
    late = Instant(unix_s=field.now.unix_s + 3600)
    assert field.retry.retry_write_off(case, late).detail.startswith("expired")
    field.revoke()
    assert field.retry.retry_write_off(case, field.now).detail.startswith("revoked")
    assert ledger.count(field.store) == 0


def test_a_parcel_is_retried_at_its_door_and_a_case_without_a_scan_not_at_all(field):
    _, case = field.refused(Kind.PICKUP)
    assert field.retry.retry_write_off(case, field.now).result is ActionResult.NOT_THIS_KIND
    with field.store.transaction() as connection:
        bare = raise_case(
            connection,
            ExceptionCase(
                kind=ExceptionKind.SYSTEM_FAULT,
                cause="x",
                tried="y",
                raised_s=field.now.unix_s,
                cti=bytes(16),
            ),
        )
    assert field.retry.retry_write_off(bare, field.now).result is ActionResult.NOT_FOUND


def test_only_a_supervisor_retries(field):
    _, case = field.refused()
    sign_in(field.store, role=Role.OPERATOR, now=field.now)
    assert field.retry.retry_write_off(case, field.now).result is ActionResult.OPERATOR_FORBIDDEN


# Uploads


def refused_upload(field, reason="body_invalid"):
    """Return the event and the case of a redemption whose event the platform refused."""
    claims = code(not_before_s=field.now.unix_s - 60, expires_at_s=field.now.unix_s + 3600)
    deliver(field.store, order(claims), now=field.now)
    assert redeemer(field.store).redeem(claims, field.now).is_accepted
    event = outbox.pending(field.store)[-1]
    assert set_aside(field.store, epoch=event.epoch, seq=event.seq, reason=reason, now=field.now)
    return event, exception_cases.cases(field.store)[-1]


def test_a_refused_upload_is_sent_again_as_a_new_event_that_names_it_and_the_ledger_is_not_touched(
    field,
):
    refused, case = refused_upload(field)
    before = ledger.rows(field.store)
    assert field.retry.retry(case.id, field.now).result is ActionResult.DONE
    again, settled = outbox.pending(field.store)
    assert (again.type, again.at, again.body) == (
        refused.type,
        refused.at,
        {**refused.body, "retry_of": refused.id},
    )
    assert again.seq > refused.seq
    assert again.id != refused.id
    assert (settled.type, settled.body["settlement"], settled.body["operator"]) == (
        "exception",
        "retried",
        "ann",
    )
    assert ledger.rows(field.store) == before
    assert outbox.backlog(field.store).rejected == 1, "the refused one is kept"
    assert field.retry.retry(case.id, field.now).result is ActionResult.ALREADY


def test_what_is_refused_again_is_a_new_case_about_the_same_redemption(field):
    first, case = refused_upload(field)
    field.retry.retry(case.id, field.now)
    again = outbox.pending(field.store)[0]
    assert set_aside(
        field.store, epoch=again.epoch, seq=again.seq, reason="body_invalid", now=field.now
    )
    (second,) = exception_cases.cases(field.store, only_open=True)
    assert (second.cti, second.order_id, second.ledger_id) == (
        case.cti,
        case.order_id,
        case.ledger_id,
    )
    assert field.retry.retry(second.id, field.now).result is ActionResult.DONE
    last = outbox.pending(field.store)[-2].body
    assert (last["retry_of"], last["redemption_event"]) == (again.id, first.id), (
        "whatever names the first is about this"
    )


def test_an_event_that_no_platform_could_take_is_not_sent_again(field):
    _, case = refused_upload(field, reason="message_too_large")
    answer = field.retry.retry(case.id, field.now)
    assert answer.result is ActionResult.NOT_THIS_KIND
    assert "settle the case as accepted" in answer.detail
    assert outbox.pending(field.store) == []


@pytest.mark.parametrize("kind", list(ExceptionKind), ids=lambda kind: kind.value)
def test_a_case_about_a_redemption_says_what_to_do_instead_and_redeems_nothing_twice(field, kind):
    claims = code(
        quantity=3, not_before_s=field.now.unix_s - 60, expires_at_s=field.now.unix_s + 3600
    )
    deliver(field.store, order(claims), now=field.now)
    use = redeemer(field.store).redeem(claims, field.now).ledger_id
    with field.store.transaction() as connection:
        case = raise_case(
            connection,
            ExceptionCase(
                kind=kind,
                cause="x",
                tried="y",
                raised_s=field.now.unix_s,
                cti=claims.cti,
                compartment="A",
                ledger_id=use,
            ),
        )
    answer = field.retry.retry(case, field.now)
    assert answer.result is (
        ActionResult.NOT_FOUND
        if kind is ExceptionKind.UPLOAD_REFUSED
        else ActionResult.NOT_THIS_KIND
    )
    assert "settle" in answer.detail
    assert ledger.count(field.store) == 1


def test_a_case_without_a_code_says_how_to_settle_it(field):
    with field.store.transaction() as connection:
        case = raise_case(
            connection,
            ExceptionCase(
                kind=ExceptionKind.SYSTEM_FAULT, cause="x", tried="y", raised_s=field.now.unix_s
            ),
        )
    assert "settle as fixed" in field.retry.retry(case, field.now).detail


def test_an_orders_history_is_complete_once_its_refused_event_was_sent_again(field):
    refused, case = refused_upload(field)
    assert not order_history(field.store, case.order_id).complete
    field.retry.retry(case.id, field.now)
    last = outbox.pending(field.store)[-1]
    outbox.acknowledge(field.store, epoch=last.epoch, through_seq=last.seq)
    history = order_history(field.store, case.order_id)
    events = [line.fields for line in history.lines if line.record == "event"]
    assert [(event["refused"], event["retry_of"]) for event in events[:2]] == [
        ("body_invalid", None),
        (None, refused.id),
    ]
    assert [line.fields["settlement"] for line in history.lines if line.record == "exception"] == [
        "retried"
    ]
    assert history.complete
