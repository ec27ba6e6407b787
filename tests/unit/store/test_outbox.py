"""Events: gapless, pending until acknowledged; a refused one blocks nothing (law 2)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain import exception_case
from edge.store import exception_cases, outbox
from edge.store.outbox import AcknowledgeResult
from tests.support.refusals import set_aside
from tests.support.sample_shop import NOON, at, code, deliver, open_at, order, redeemer


@pytest.fixture
def store(tmp_path):
    store = open_at(tmp_path)
    yield store
    store.close()


def write(store, *names):
    with store.transaction() as connection:
        return [
            outbox.append(connection, type="note", body={"name": name}, now=NOON, id=name)
            for name in names
        ]


def waiting(store, **options):
    return [row.seq for row in outbox.pending(store, **options)]


def test_events_are_numbered_from_one_without_gaps(store):
    assert write(store, "a", "b") + write(store, "c") == [1, 2, 3]


def test_a_transaction_that_fails_leaves_no_gap(store):
    write(store, "a")
    with pytest.raises(RuntimeError), store.transaction() as connection:
        outbox.append(connection, type="note", body={}, now=NOON, id="lost")
        raise RuntimeError
    assert write(store, "b") == [2]


def test_what_is_sent_is_what_was_written(store):
    write(store, "a")
    (row,) = outbox.pending(store)
    assert (row.seq, row.id, row.type, row.body, row.at) == (1, "a", "note", {"name": "a"}, NOON)


def test_events_are_sent_in_order_and_those_in_flight_are_skipped(store):
    write(store, *"abcde")
    assert waiting(store, limit=2) == [1, 2]
    assert waiting(store, after_seq=2, limit=2) == [3, 4]


def test_only_the_platforms_reply_acknowledges(store):
    write(store, *"abc")
    epoch, _ = outbox.current_epoch(store)
    assert outbox.acknowledge(store, epoch=epoch, through_seq=2) is AcknowledgeResult.ACKNOWLEDGED
    assert waiting(store) == [3]
    assert outbox.acknowledge(store, epoch=epoch, through_seq=1) is AcknowledgeResult.ALREADY


def test_an_acknowledgement_of_another_epoch_changes_nothing(store):
    write(store, "a")
    assert (
        outbox.acknowledge(store, epoch="0" * 16, through_seq=1) is AcknowledgeResult.UNKNOWN_EPOCH
    )
    assert waiting(store) == [1]


def test_a_platform_that_knows_more_than_we_wrote_shows_that_an_old_copy_was_restored(store):
    write(store, "a")
    epoch, _ = outbox.current_epoch(store)
    assert outbox.acknowledge(store, epoch=epoch, through_seq=7) is AcknowledgeResult.AHEAD
    assert waiting(store) == [1]


def test_a_refused_event_stays_raises_a_case_and_blocks_nothing(store):
    write(store, *"abc")
    epoch, _ = outbox.current_epoch(store)
    assert set_aside(store, epoch=epoch, seq=1, reason="unknown order", now=at(5))
    assert waiting(store) == [2, 3]
    assert outbox.backlog(store).rejected == 1
    (case,) = exception_cases.cases(store)
    assert case.kind is exception_case.ExceptionKind.UPLOAD_REFUSED
    assert "unknown order" in case.cause


def test_a_refusal_received_twice_raises_one_case(store):
    write(store, "a")
    epoch, _ = outbox.current_epoch(store)
    assert set_aside(store, epoch=epoch, seq=1, reason="no", now=NOON)
    assert not set_aside(store, epoch=epoch, seq=1, reason="no", now=NOON)
    assert len(exception_cases.cases(store)) == 1


@pytest.mark.parametrize("odd", [None, 5, "zz", [], {"a": 1}, 2**70, 1.5, True], ids=repr)
def test_an_event_that_is_refused_for_its_odd_body_becomes_a_case_all_the_same(store, odd):
    with store.transaction() as connection:
        body = {"cti": odd, "order": odd, "use": odd}
        outbox.append(connection, type="redeemed", body=body, now=NOON, id="odd")
    epoch, _ = outbox.current_epoch(store)
    assert set_aside(store, epoch=epoch, seq=1, reason="body_invalid", now=NOON)
    (case,) = exception_cases.cases(store)
    assert (case.kind, case.cti, case.ledger_id) == ("upload_refused", None, None)


def test_a_refused_redemption_names_its_order_in_the_case(store):
    claims = code(order_id="A-77")
    deliver(store, order(claims))
    redeemer(store).redeem(claims, NOON)
    (event,) = outbox.pending(store)
    set_aside(store, epoch=event.epoch, seq=event.seq, reason="no", now=NOON)
    (case,) = exception_cases.cases(store)
    assert (case.order_id, case.cti) == ("A-77", claims.cti)


def test_a_platform_restored_from_a_backup_is_sent_again_what_it_lost(store):
    write(store, *"abc")
    epoch, _ = outbox.current_epoch(store)
    outbox.acknowledge(store, epoch=epoch, through_seq=3)
    assert outbox.rewind(store, epoch=epoch, to_seq=1)
    assert waiting(store) == [2, 3]


def test_the_backlog_says_how_long_the_oldest_has_waited(store):
    with store.transaction() as connection:
        outbox.append(connection, type="note", body={}, now=at(-90), id="a")
        outbox.append(connection, type="note", body={}, now=at(0), id="b")
    assert outbox.backlog(store) == outbox.Backlog(pending=2, rejected=0, oldest_s=NOON.unix_s - 90)


@settings(max_examples=25, deadline=None)
@given(
    acts=st.lists(
        st.one_of(st.just("write"), st.just("fail"), st.integers(0, 8), st.just("reopen")),
        max_size=20,
    )
)
def test_whatever_happens_the_numbers_have_no_gap_and_nothing_unacknowledged_is_forgotten(
    tmp_path_factory, acts
):
    folder = tmp_path_factory.mktemp("outbox")
    store, written, acknowledged = open_at(folder), 0, 0
    for act in acts:
        match act:
            case "write":
                written += 1
                assert write(store, str(written)) == [written]
            case "fail":
                with pytest.raises(ZeroDivisionError), store.transaction() as connection:
                    outbox.append(connection, type="note", body={}, now=NOON, id="x")
                    raise ZeroDivisionError
            case "reopen":
                store.close()
                store = open_at(folder)
            case through:
                outbox.acknowledge(store, epoch=outbox.current_epoch(store)[0], through_seq=through)
                acknowledged = max(acknowledged, through) if through <= written else acknowledged
        assert waiting(store) == list(range(acknowledged + 1, written + 1))
    store.close()
