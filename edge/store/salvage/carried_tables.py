"""Every table of the store: how it is carried into the store after it, or why it is not.

A test compares this with the schema: a table or a column that is not named here is a question that
was not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from edge.store.salvage.records import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedTable:
    """A table whose rows are carried. ``columns`` begin with those of its key."""

    name: str
    columns: tuple[str, ...]
    keys: int = 1  # how many of the columns are the key
    how: str  # for people: what carries it, beside the row itself
    grows: bool = True  # rows are never deleted: one in an older copy of a page is still true
    newest: str | None = None  # of two copies of a row, that with the greater value counts
    # What stands for a column that was lost. A row without any other column is not carried.
    substitutes: Mapping[str, Value] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that name a row."""
        return self.columns[: self.keys]


def _columns(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# In the order in which they are written. The device's own row is written by the caller.
CARRIED: Final = (
    CarriedTable(
        name="epoch",
        columns=_columns("no epoch began_s why acknowledged_through"),
        how="a number that only events or redemptions name gets a new name, so none is used again;"
        " what is settled counts as not settled where it was lost, and is sent again",
        substitutes={"began_s": 0, "why": "salvaged", "acknowledged_through": 0},
    ),
    CarriedTable(
        name="device",
        columns=_columns(
            "one device_id epoch_no time_floor_s blocked requests floor_order_s restore_after"
            " lost_s"
        ),
        how="all but its name, its epoch and the state of a restore, which are new; a lost time"
        " floor is that of the documents and orders to lower it, a lost count that of the requests;"
        " a lost block is in the data folder too",
    ),
    CarriedTable(
        name="outbox",
        columns=_columns("epoch_no seq id type body at_s trust rejected rejected_s"),
        keys=2,
        how="lost events of a redemption or a reversal are rebuilt from the ledger",
    ),
    CarriedTable(
        name="document",
        columns=_columns("name version issued_at_s received_s raw"),
        how="with its version, below which none is taken, also where the content was lost",
        newest="version",
        substitutes={"issued_at_s": 0, "received_s": 0, "raw": b""},
    ),
    CarriedTable(
        name="withdrawal",
        columns=_columns("scope name since_s"),
        keys=2,
        how="the platform sends one once, and no order line repeats it",
    ),
    CarriedTable(
        name="policy",
        columns=_columns("no document"),
        how="also from its index, which holds whole rows",
    ),
    CarriedTable(
        name="ledger",
        columns=_columns(
            "id cti use_no reverses order_id kind units amount_minor currency verdict reason at_s"
            " trust operator risk epoch_no seq event_id"
        ),
        how="lost rows are rebuilt from events, scans, door intents and indexes; of what none of"
        " these says how much it was, all counts as redeemed",
    ),
    CarriedTable(
        name="restored_redemption",
        columns=_columns("cti device event_id units amount_minor at_s"),
        keys=3,
        how="as it is; the platform gives back what is missing",
    ),
    CarriedTable(
        name="review",
        columns=_columns("ledger_id state opened_s decided_s decided_by reason"),
        how="a lost one is rebuilt from its event, or waits again",
    ),
    CarriedTable(
        name="intent",
        columns=_columns(
            "id ledger_id cti compartment position reopening state detail reserved_s pulsed_s"
            " opened_s ended_s"
        ),
        how="a lost one is rebuilt from events with its outcome; where that is lost too it is"
        " unknown, with a case, and its lock is not pulsed",
    ),
    CarriedTable(
        name="journal",
        columns=_columns(
            "id at_s trust reason detail cti order_id operator ledger_id decode_ms total_ms shown"
            " policy_no facts content"
        ),
        how="a scan names the policy and the facts of its redemption",
        grows=False,
    ),
    CarriedTable(
        name="exception",
        columns=_columns(
            "id kind cause tried cti order_id compartment ledger_id raised_s settled_s settled_by"
            " settlement note"
        ),
        how="open and settled; those of refused events are raised again",
    ),
    CarriedTable(
        name="pin_attempt",
        columns=_columns("operator_id failures locked_until_s"),
        how="breaking a store gives no new tries at a PIN",
    ),
    CarriedTable(
        name="operator_log",
        columns=_columns("id at_s trust operator_id result detail"),
        how="as it is",
    ),
    CarriedTable(
        name="authorisation_request",
        columns=_columns(
            "id cti units order_quantity order_amount_minor requested_s boot due_ns result"
            " used_units used_minor authority used_s used_by replied_ns consumed number counted"
        ),
        how="a grant that was not used yet counts as used: its scan is over, and the next one asks"
        " again",
        grows=False,
    ),
)

NOT_CARRIED: Final[Mapping[str, str]] = {
    "entitlement": "a cache of the platform's orders, which sends all of them to a new store; part"
    " of it would look like the whole, and what it lacks like an order that was never sold",
    "feed": "how far that cache has come: a new one has not begun",
    "session": "a person signs in again, which proves that they are still here",
    "shown_badge": "as long as it takes to enter a PIN",
    "pending_request": "one scan's amount, typed by a person who has to sign in again",
}


def table_named(name: str) -> CarriedTable | None:
    """Return the table of that name, if it is carried."""
    return _BY_NAME.get(name)


_BY_NAME: Final = {table.name: table for table in CARRIED}
