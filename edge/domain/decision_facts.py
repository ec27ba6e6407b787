"""The facts of a verdict as text, so that a journalled scan can be decided again anywhere."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import Any, NamedTuple

from edge.config import Policy
from edge.domain.authorisation import AuthorisationResult
from edge.domain.entitlement import Entitlement, OrderStatus
from edge.domain.redemption_state import (
    CompartmentState,
    DevicePlace,
    LocalRedemption,
    OfflineExposure,
    OnlineAuthorisation,
    RedemptionState,
    RequestedUse,
    RestoredRedemption,
)
from edge.domain.roles import Operator, Role
from edge.token.claims import Claims, Kind
from edge.values.instant import ClockTrust, Instant

# The order is the format of the text. Add a field at the end; never remove or move one.
_CLAIMS = (
    "cti",
    "kid",
    "issuer",
    "audience",
    "not_before_s",
    "expires_at_s",
    "issued_at_s",
    "order_id",
    "kind",
    "quantity",
    "amount_minor",
    "currency",
    "flags",
    "status_index",
    "dynamic_mode",
    "holder_key",
)
_ENTITLEMENT = (
    "cti",
    "order_id",
    "kind",
    "home_site",
    "home_device",
    "status",
    "quantity",
    "amount_minor",
    "currency",
    "not_before_s",
    "expires_at_s",
    "review",
    "compartments",
    "subject",
    "campaign",
    "rules",
    "revision",
)
_STATE = ("next_use_no", "revoked", "campaign_withdrawn", "blocked", "last_contact_s", "lost_s")

_USE = ("ledger_id", "use_no", "units", "amount_minor", "at_s", "review")

_RESTORED = ("device", "units", "amount_minor", "at_s")

_REST = ("id", "used", "used_minor", "authority", "used_s", "used_by")  # of an authorisation reply

_claims_values = attrgetter(*_CLAIMS)
_entitlement_values = attrgetter(*_ENTITLEMENT)
_state_values = attrgetter(*_STATE)
_authorisation_values = attrgetter("result", *_REST)
_use_values = attrgetter(*_USE)
_restored_values = attrgetter(*_RESTORED)
_door_values = attrgetter("compartment", "live", "emptied", "ended_s")
_write = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, check_circular=False, default=bytes.hex
).encode


class DecisionTerms(NamedTuple):
    """The part of the configuration that a verdict depends on. Few scans change it."""

    place: DevicePlace
    policy: Policy
    grace_s: float = 0  # how long a pickup's door may be reopened


class DecisionFacts(NamedTuple):
    """The facts of one scan that a verdict depends on, beside the terms."""

    claims: Claims
    state: RedemptionState
    now: Instant
    requested: RequestedUse = RequestedUse()
    operator: Operator | None = None  # who is signed in
    utc_offset_s: int | None = 0  # of the site's clocks; None: not known


def dump_facts(facts: DecisionFacts) -> str:
    """Write ``facts`` as compact JSON: values in the order above, bytes as hexadecimal digits."""
    state, order = facts.state, facts.state.entitlement
    return _write(
        [
            _claims_values(facts.claims),
            None if order is None else _entitlement_values(order),
            _state_values(state),
            state.uses and [_use_values(use) for use in state.uses],
            state.doors and [_door_values(door) for door in state.doors],
            (state.exposure.uses_today, state.exposure.amount_minor),
            (facts.now.unix_s, facts.now.trust),
            (facts.requested.units, facts.requested.amount_minor),
            facts.operator,
            facts.utc_offset_s,
            state.authorisation and _authorisation_values(state.authorisation),
            state.restored and [_restored_values(each) for each in state.restored],
        ]
    )


def load_facts(text: str) -> DecisionFacts:
    """Read what ``dump_facts`` wrote."""
    claims, order, known, uses, doors, exposure, now, requested, operator, *rest = json.loads(text)
    utc_offset_s, reply, restored = rest
    (now_s, trust), (units, amount_minor) = now, requested
    state = RedemptionState(
        entitlement=None
        if order is None
        else _entitlement(dict(zip(_ENTITLEMENT, order, strict=True))),
        uses=tuple(LocalRedemption(**dict(zip(_USE, use, strict=True))) for use in uses),
        doors=tuple(
            CompartmentState(compartment=name, live=live, emptied=emptied, ended_s=ended_s)
            for name, live, emptied, ended_s in doors
        ),
        exposure=OfflineExposure(uses_today=exposure[0], amount_minor=exposure[1]),
        authorisation=reply
        and OnlineAuthorisation(
            result=AuthorisationResult(reply[0]),
            **dict(zip(_REST, reply[1:], strict=True)),
        ),
        restored=tuple(
            RestoredRedemption(**dict(zip(_RESTORED, each, strict=True))) for each in restored
        ),
        **dict(zip(_STATE, known, strict=True)),
    )
    return DecisionFacts(
        claims=_claims(dict(zip(_CLAIMS, claims, strict=True))),
        state=state,
        now=Instant(unix_s=now_s, trust=ClockTrust(trust)),
        requested=RequestedUse(units=units, amount_minor=amount_minor),
        operator=None if operator is None else Operator(operator[0], Role(operator[1])),
        utc_offset_s=utc_offset_s,
    )


def dump_terms(terms: DecisionTerms) -> str:
    """Write ``terms`` as canonical JSON: equal terms give equal text."""
    place = terms.place
    where = {
        "device_id": place.device_id,
        "site_id": place.site_id,
        "groups": sorted(place.groups),
        "kinds": sorted(place.kinds),
        "compartments": sorted(place.compartments),
    }
    document = {
        "place": where,
        "policy": terms.policy.model_dump(mode="json"),
        "grace_s": terms.grace_s,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def load_terms(text: str) -> DecisionTerms:
    """Read what ``dump_terms`` wrote."""
    document = json.loads(text)
    where = document["place"]
    place = DevicePlace(
        device_id=where["device_id"],
        site_id=where["site_id"],
        groups=frozenset(where["groups"]),
        kinds=frozenset(Kind(kind) for kind in where["kinds"]),
        compartments=frozenset(where["compartments"]),
    )
    return DecisionTerms(place, Policy.model_validate(document["policy"]), document["grace_s"])


def _claims(document: dict[str, Any]) -> Claims:
    octets = {name: bytes.fromhex(document[name]) for name in ("cti", "kid")}
    holder = document["holder_key"]
    rest = {
        "kind": Kind(document["kind"]),
        "holder_key": None if holder is None else bytes.fromhex(holder),
    }
    return Claims(**{**document, **octets, **rest})


def _entitlement(document: dict[str, Any]) -> Entitlement:
    rest = {
        "cti": bytes.fromhex(document["cti"]),
        "kind": Kind(document["kind"]),
        "status": OrderStatus(document["status"]),
        "compartments": tuple(document["compartments"]),
    }
    return Entitlement(**{**document, **rest})
