"""Repeat a journalled decision from its facts."""

from __future__ import annotations

import json

from edge.config import Policy
from edge.domain.decision import decide
from edge.domain.decision_facts import load_facts
from edge.domain.decision_input import Decision
from edge.domain.redemption_state import DevicePlace
from edge.token.claims import Kind


def replay(facts: str, policy: str) -> Decision:
    """Decide a journalled scan again, from the two texts its row names."""
    under, given = json.loads(policy), load_facts(facts)
    where = under["place"]
    place = DevicePlace(
        device_id=where["device_id"],
        site_id=where["site_id"],
        groups=frozenset(where["groups"]),
        kinds=frozenset(Kind(kind) for kind in where["kinds"]),
        compartments=frozenset(where["compartments"]),
    )
    return decide(
        given.claims,
        given.standing,
        place=place,
        policy=Policy.model_validate(under["policy"]),
        now=given.now,
        asked=given.asked,
        grace_s=under["grace_s"],
        operator=given.operator,
        utc_offset_s=given.utc_offset_s,
    )
