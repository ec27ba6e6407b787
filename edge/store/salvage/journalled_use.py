"""A redemption as the journal has it: the facts of its scan, decided again."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from edge.domain.decision_facts import DecisionFacts, load_facts
from edge.domain.decision_input import Decision
from edge.domain.replay import replay
from edge.store.salvage.gathered_rows import GatheredRows


class JournalledUse(NamedTuple):
    """A scan that redeemed, and what it redeemed."""

    facts: DecisionFacts
    decision: Decision


def journalled_use(gathered: GatheredRows, ledger_id: int) -> JournalledUse | None:
    """Return the scan that wrote a ledger row; None where the journal has it no more."""
    gathered.connection.execute("CREATE INDEX IF NOT EXISTS journal_of ON journal (ledger_id)")
    rows = gathered.connection.execute(
        "SELECT j.facts, p.document FROM journal j JOIN policy p ON p.no = j.policy_no"
        " WHERE j.ledger_id = ? AND j.facts IS NOT NULL ORDER BY j.id",
        (ledger_id,),
    )
    for facts, policy in rows:
        with suppress(ValueError, TypeError, KeyError, AttributeError, IndexError):
            decision = replay(facts, policy)  # of a damaged or a newer store, it may say anything
            if decision.verdict.is_accepted and decision.continues is None:
                return JournalledUse(load_facts(facts), decision)
    return None
