"""What a refusal leaves behind: the event for the platform, the row of the journal."""

from hashlib import sha256

from edge.domain.entitlement import OrderStatus
from edge.domain.exception_case import Settlement
from edge.domain.verdict import Verdict
from edge.store import exception_cases, outbox
from edge.token.claims import TokenRefusal
from edge.token.rejection import Rejection
from tests.support.sample_shop import NOON, code, deliver, open_at, order, redeemer


def test_the_event_of_a_refusal_names_its_code_its_order_and_the_reason(tmp_path):
    store = open_at(tmp_path)
    voucher = code(order_id="A-7")
    deliver(store, order(voucher, status=OrderStatus.PAID))
    redeemer(store).redeem(voucher, NOON)
    (event,) = outbox.pending(store)
    shown = {name: event.body[name] for name in ("cti", "order", "reason", "operator")}
    assert event.type == "refused"
    assert shown == {
        "cti": voucher.cti.hex(),
        "order": "A-7",
        "reason": "not_ready",
        "operator": None,
    }


def test_the_journal_has_a_digest_of_what_failed_verification_and_nothing_without_it(tmp_path):
    store = open_at(tmp_path)
    refusal = TokenRefusal(reason=Rejection.SIGNATURE_INVALID, detail="no key fits", claims=None)
    redeemer(store).refuse(refusal, NOON, content=b"ES1:FORGED")
    redeemer(store).refuse(refusal, NOON)
    with store.read() as connection:
        kept = [row[0] for row in connection.execute("SELECT content FROM journal ORDER BY rowid")]
    assert kept == [sha256(b"ES1:FORGED").digest()[:16], None]


def test_a_code_that_its_order_line_contradicts_raises_one_case_until_it_is_settled(tmp_path):
    store = open_at(tmp_path)
    voucher = code(order_id="A-7", amount_minor=500, currency="CNY")
    deliver(store, order(voucher, amount_minor=900))
    for _ in range(3):
        redemption = redeemer(store).redeem(voucher, NOON)
        assert (redemption.reason, redemption.ledger_id) == (Verdict.DATA_ERROR, None)
    (case,) = exception_cases.cases(store, only_open=True)
    assert (case.kind, case.cti, case.order_id) == ("data_error", voucher.cti, "A-7")
    assert "500" in case.cause
    assert "900" in case.cause
    with store.transaction() as connection:
        exception_cases.settle_case(
            connection, case.id, Settlement.FIXED, by="L. Wang", note="line corrected", now=NOON
        )
    redeemer(store).redeem(voucher, NOON)
    assert len(exception_cases.cases(store)) == 2
