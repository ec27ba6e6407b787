"""The parts, the identity and the states of a site's authority."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from structlog.typing import FilteringBoundLogger

from edge.token.keys import Signer
from edge.token.roots import Roots
from edge.values.instant import Instant
from sync.hub.config import HUB_TIMINGS, HubTimings
from sync.hub.store.interface import HubStore
from sync.mqtt.session import MqttSession


class AuthorityState(StrEnum):
    """Whether grant requests get a reply, and if not, why."""

    REPLYING = "replying"
    NO_LEASE = "no_lease"
    LEASE_REFUSED = "lease_refused"
    LEASE_EXPIRED = "lease_expired"
    CATCHING_UP = "catching_up"  # what devices reported is not all known here
    TAKING_OVER = "taking_over"  # grants that the platform gave before may still be in use


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityIdentity:
    """The site, and the name under which its authority holds a lease and is known to the broker."""

    tenant: str
    site: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityParts:
    """What a site authority is made of.

    ``monotonic`` is in seconds, ``new_id`` makes ids of requests.
    """

    store: HubStore
    session: MqttSession
    roots: Roots
    grant_signer: Signer
    now: Callable[[], Instant]
    monotonic: Callable[[], float]
    new_id: Callable[[], str]
    log: FilteringBoundLogger
    timings: HubTimings = HUB_TIMINGS
