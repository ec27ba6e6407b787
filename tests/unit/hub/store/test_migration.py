"""A hub's store of an older version, opened by this one: nothing is lost, and what was confused is told apart."""

import pytest

from sync.hub.store.postgres import words
from tests.unit.hub.ledger.test_reviews import (
    CTI,
    event,
    honoured,
    honoured_anew,
    said,
    states,
    take,
    used,
)
from tests.unit.hub.store.test_stores import opened, postgres, sell  # noqa: F401 - fixtures

OLDER = (
    "ALTER TABLE redemption DROP COLUMN ident",
    "DROP TABLE reversal",
    "DROP TABLE reviewed",
    "CREATE TABLE reversal (cti BLOB NOT NULL, dev TEXT NOT NULL, use_no INTEGER NOT NULL, epoch TEXT NOT NULL,"
    " seq INTEGER NOT NULL, PRIMARY KEY (cti, dev, use_no))",
    "INSERT INTO reversal SELECT r.cti, e.dev, r.use_no, e.epoch, e.seq FROM event e JOIN redemption r ON r.dev = e.dev"
    " WHERE e.type = 'reversed' ON CONFLICT DO NOTHING",
)


def made_older(store, review="DROP TABLE review"):
    """As a version left it that knew no reviews, and a reversal only by device, code and number."""
    with store.transaction() as connection:
        for statement in (*OLDER, review):
            connection.execute(
                words(statement) if "sqlite3" not in type(connection).__module__ else statement
            )


@pytest.mark.parametrize("review", ["DROP TABLE review", "ALTER TABLE review DROP COLUMN refused"])
def test_what_an_older_hub_confused_is_told_apart_and_what_waited_is_listed(opened, review):  # noqa: F811
    store = opened()
    sell(store, CTI, quantity=3)
    take(store, honoured(), said(), event(3, "reversed"))
    take(store, event(4, "redeemed", units=1, verdict="accepted", use=2), honoured(5, use=3))
    take(
        store,
        event(6, "redeemed", units=0, use=4),
        event(7, "redeemed", units=1, use=4, retries="id-6"),
    )
    honoured_anew(store)
    before = (used(store), states(store))
    assert before == ((4, 0), [("approved", "rob"), ("waiting", None), ("waiting", None)])
    made_older(store, review)
    again = opened()
    assert (used(again), states(again)) == before
    assert (used(opened()), states(opened())) == before, "once"
    take(
        again,
        event(8, "reversed", use=4, redeemed="id-6"),
        event(9, "review", state="rejected", use=3),
    )
    assert used(again) == (3, 0)
    assert states(again)[1][0] == "rejected"


def test_an_older_hub_that_runs_beside_this_one_for_a_moment_loses_no_reversal(opened):  # noqa: F811
    store = opened()
    with store.transaction() as connection:
        connection.execute(
            "INSERT INTO redemption (cti, dev, use_no, epoch, seq, units, ts) VALUES (?, 'kiosk-1', 1, 'e1', 1, 1, 1)",
            (CTI,),
        )
    take(store, event(2, "reversed", redeemed="id-1"))
    assert used(store) == (0, 0)


def test_the_columns_are_the_same_whichever_way_a_store_came_to_be(opened):  # noqa: F811
    """Rows are inserted by place."""
    store = opened()

    def columns(of):
        with of.read() as connection:
            return {
                table: [
                    part[0] for part in connection.execute(f"SELECT * FROM {table}").description
                ]
                for table in ("redemption", "reversal", "review", "reviewed")
            }

    fresh = columns(store)
    made_older(store)
    assert columns(opened()) == fresh
