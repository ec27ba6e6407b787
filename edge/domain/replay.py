"""Repeat a journalled decision from its facts."""

from __future__ import annotations

from edge.domain.decision import decide
from edge.domain.decision_facts import load_facts, load_terms
from edge.domain.decision_input import Decision


def replay(facts: str, terms: str) -> Decision:
    """Decide a journalled scan again, from the two texts that its row names."""
    return decide(load_facts(facts), load_terms(terms))
