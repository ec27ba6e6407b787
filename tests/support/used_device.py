"""A device that has something in every table of its store that is carried."""

import os
import sqlite3
from contextlib import closing

from edge.domain.authorisation import AuthorisationResult
from edge.domain.exception_case import ExceptionCase, ExceptionKind, Settlement
from edge.store import (
    authorisations,
    documents,
    exception_cases,
    ledger,
    lock_intents,
    operator_log,
    order_cache,
    outbox,
    pin_attempts,
    refused_events,
    reviews,
    time_floor,
)
from edge.store.database.store import FILE
from edge.store.ledger_restore import RestoredRow, apply_restore_page
from edge.token.claims import Kind
from edge.values.uuid7 import event_id, uuid7
from tests.support.sample_shop import DEVICE, NOON, at, code, deliver, open_at, order, redeemer


def parcel(store, *doors, review=False, name):
    """Sell a parcel in compartments and redeem its code; return the claims and the redemption."""
    claims = code(cti=os.urandom(16), kind=Kind.PICKUP, order_id=name)
    deliver(store, order(claims, compartments=doors, review=review))
    return claims, redeemer(store).redeem(claims, NOON)


def end_door(store, claims, redemption, number, state, *, pulsed=True):
    """Record the outcome of a door as ``edge.pickup.pickups`` does, with its event."""
    with store.transaction() as connection:
        lock_intents.record_state(
            connection, redemption.intents[number], state=state, detail="", now=at(5), ended=True
        )
        body = {
            "cti": claims.cti.hex(),
            "order": claims.order_id,
            "use": 1,
            "compartment": "ABC"[number],
            "state": state,
            "detail": "",
            "exception": None,
        }
        if pulsed:
            outbox.append(
                connection, type="pickup", body=body, now=at(5), id=event_id(at(5), os.urandom)
            )


class UsedDevice:
    """Fills the store in ``folder``; the codes of what was done are its attributes."""

    def __init__(self, folder):
        self.folder = folder
        store = open_at(folder, recovering=True)
        self.given_back = RestoredRow(os.urandom(16), DEVICE, "event", 1, 250, NOON.unix_s - 9)
        apply_restore_page(store, [self.given_back], after="", following=None)
        self._vouchers(store)
        self._parcels(store)
        self._lists(store)
        self._people(store)
        self._requests(store)
        store.close()

    def _vouchers(self, store):
        self.voucher = code(cti=os.urandom(16), order_id="voucher", quantity=3)
        self.parts = code(cti=os.urandom(16), order_id="parts", amount_minor=900, currency="CNY")
        self.reversed = code(cti=os.urandom(16), order_id="reversed")
        self.waiting = code(cti=os.urandom(16), order_id="waiting")
        self.rejected = code(cti=os.urandom(16), order_id="rejected")
        sold = [self.voucher, self.parts, self.reversed]
        deliver(store, *map(order, sold))
        deliver(store, order(self.waiting, review=True), order(self.rejected, review=True))
        shop = redeemer(store)
        done = [shop.redeem(each, NOON) for each in [*sold, self.waiting, self.rejected]]
        assert all(each.is_accepted for each in done), done
        with store.transaction() as connection:
            ledger.write_reversal(
                connection,
                done[2].ledger_id,
                reason="error",
                now=at(1),
                operator="17",
                event_id=event_id(at(1), os.urandom),
            )
            decide(connection, done[4].ledger_id, approve=False)
        shop.redeem(code(cti=os.urandom(16), audience="site-9"), at(1))
        epoch, newest = outbox.current_epoch(store)
        with store.transaction() as connection:
            refused_events.set_aside(
                connection, epoch=epoch, seq=newest, reason="body_invalid", now=at(1)
            )

    def _parcels(self, store):
        self.collected, first = parcel(store, "A", review=True, name="collected")
        with store.transaction() as connection:
            decide(connection, first.ledger_id, approve=True)
        opened = redeemer(store).redeem(self.collected, at(3))
        end_door(store, self.collected, opened, 0, "collected")
        self.courier, second = parcel(store, "A", "B", "C", name="courier")
        end_door(store, self.courier, second, 0, "collected")
        end_door(store, self.courier, second, 1, "released", pulsed=False)
        end_door(store, self.courier, second, 2, "released", pulsed=False)
        self.unseen, third = parcel(store, "B", name="unseen")
        with store.transaction() as connection:
            lock_intents.record_state(
                connection, third.intents[0], state="pulsing", detail="", now=at(6), ended=False
            )
        self.case_id = self._cases(store, third.ledger_id)

    def _cases(self, store, ledger_id):
        with store.transaction() as connection:
            case = ExceptionCase(
                kind=ExceptionKind.DISPUTE,
                cause="nothing inside",
                tried="asked",
                cti=self.unseen.cti,
                order_id="unseen",
                ledger_id=ledger_id,
                raised_s=NOON.unix_s,
            )
            first = exception_cases.raise_case(connection, case)
            exception_cases.settle_case(
                connection, first, Settlement.FIXED, by="17", note="found", now=at(9)
            )
            return exception_cases.raise_case(connection, case)

    def _lists(self, store):
        for version in (6, 7):
            documents.put(
                store,
                name=documents.TRUST_LIST,
                version=version,
                raw=os.urandom(3000),
                issued_at_s=NOON.unix_s + version,
                now=at(7),
            )
        order_cache.withdraw(store, scope="campaign", name="spring", now=at(8))

    def _people(self, store):
        with store.transaction() as connection:
            for _ in range(6):
                pin_attempts.count_attempt(connection, "17", at(10))
            operator_log.log_operator(connection, "17", "operator_locked_out", "", at(10))
        folder = self.folder
        time_floor.raise_time_floor(store, NOON.unix_s + 10**6)
        done = time_floor.lower_time_floor(
            folder,
            wrong_s=NOON.unix_s + 10**5,
            floor_s=NOON.unix_s + 11,
            reason="wrong clock",
            now=at(11),
            event_id=event_id(at(11), os.urandom),
        )
        assert done is time_floor.ResetResult.DONE

    def _requests(self, store):
        store.close()
        store = open_at(self.folder)
        self.request = authorisations.AuthorisationRequest(
            id=uuid7(1, os.urandom(10)), cti=os.urandom(16), due_ns=10**18
        )
        authorisations.write_request(store, self.request, at(12))
        reply = authorisations.AuthorisationReply(
            id=self.request.id, result=AuthorisationResult.GRANTED, authority="hub"
        )
        authorisations.record_reply(store, reply, 1)
        store.close()


def decide(connection, ledger_id, *, approve):
    """Decide a review as a second person."""
    done = reviews.decide_review(
        connection,
        ledger_id,
        approve=approve,
        by="99",
        reason="seen",
        now=at(2),
        random_bytes=os.urandom,
    )
    assert done is reviews.ReviewResult.DONE


def rows_of(folder, table):
    """Return every row of a table as dictionaries, by key."""
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]


def pages_of(folder, *trees):
    """Return the pages of tables and indexes."""
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return [
            page
            for page, name in connection.execute("SELECT pageno, name FROM dbstat")
            if name in trees
        ]
