"""The facts of a verdict as text, so that a journalled scan can be decided again, anywhere."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from edge.config import Policy
from edge.decision import Decision, decide
from edge.entitlement import Entitlement, OrderStatus
from edge.instant import ClockTrust, Instant
from edge.standing import Asked, Door, Exposure, Place, Standing, Use
from edge.token.claims import Claims, Kind

_CLAIMS = tuple(field.name for field in fields(Claims))
_ENTITLEMENT = tuple(field.name for field in fields(Entitlement))
_STANDING = ("next_use_no", "revoked", "campaign_withdrawn", "blocked", "heard_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything ``decide`` was given but the place and the policy, which few scans change."""

    claims: Claims
    standing: Standing
    now: Instant
    asked: Asked


def dump_facts(facts: Facts) -> str:
    """Write ``facts`` as compact JSON; bytes as hexadecimal digits."""
    standing = facts.standing
    document = {
        "claims": {name: _plain(getattr(facts.claims, name)) for name in _CLAIMS},
        "entitlement": standing.entitlement
        and {name: _plain(getattr(standing.entitlement, name)) for name in _ENTITLEMENT},
        "standing": {name: getattr(standing, name) for name in _STANDING},
        "uses": [[use.ledger_id, use.use_no, use.units, use.amount_minor, use.at_s] for use in standing.uses],
        "doors": [[door.compartment, door.live, door.emptied, door.ended_s] for door in standing.doors],
        "exposure": [standing.exposure.uses_today, standing.exposure.amount_minor],
        "now": [facts.now.unix_s, facts.now.trust.value],
        "asked": [facts.asked.units, facts.asked.amount_minor],
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def load_facts(text: str) -> Facts:
    """Read what ``dump_facts`` wrote."""
    document = json.loads(text)
    order = document["entitlement"]
    standing = Standing(
        entitlement=None if order is None else _entitlement(order),
        uses=tuple(
            Use(ledger_id=ledger, use_no=number, units=units, amount_minor=amount, at_s=at_s)
            for ledger, number, units, amount, at_s in document["uses"]
        ),
        doors=tuple(
            Door(compartment=name, live=live, emptied=emptied, ended_s=ended_s)
            for name, live, emptied, ended_s in document["doors"]
        ),
        exposure=Exposure(uses_today=document["exposure"][0], amount_minor=document["exposure"][1]),
        **document["standing"],
    )
    now_s, trust = document["now"]
    units, amount_minor = document["asked"]
    return Facts(
        claims=_claims(document["claims"]),
        standing=standing,
        now=Instant(unix_s=now_s, trust=ClockTrust(trust)),
        asked=Asked(units=units, amount_minor=amount_minor),
    )


def dump_policy(place: Place, policy: Policy, grace_s: float) -> str:
    """Write the place and the policy as canonical JSON: equal ones give equal text."""
    where = {
        "device_id": place.device_id,
        "site_id": place.site_id,
        "groups": sorted(place.groups),
        "kinds": sorted(place.kinds),
        "compartments": sorted(place.compartments),
    }
    document = {"place": where, "policy": policy.model_dump(mode="json"), "grace_s": grace_s}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def replay(facts: str, policy: str) -> Decision:
    """Decide a journalled scan again, from the two texts its row names."""
    under, given = json.loads(policy), load_facts(facts)
    where = under["place"]
    place = Place(
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
    )


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _claims(document: dict[str, Any]) -> Claims:
    octets = {name: bytes.fromhex(document[name]) for name in ("cti", "kid")}
    holder = document["holder_key"]
    rest = {"kind": Kind(document["kind"]), "holder_key": None if holder is None else bytes.fromhex(holder)}
    return Claims(**{**document, **octets, **rest})


def _entitlement(document: dict[str, Any]) -> Entitlement:
    rest = {
        "cti": bytes.fromhex(document["cti"]),
        "kind": Kind(document["kind"]),
        "status": OrderStatus(document["status"]),
        "compartments": tuple(document["compartments"]),
    }
    return Entitlement(**{**document, **rest})
