"""What an agent is made of: its address, its parts, and where it reads times and facts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge.store.database.store import Store
from edge.store.online_flag import OnlineFlag
from edge.values.instant import Instant
from edge.values.node_name import FLEET
from sync.agent.authorisation_relay import AuthorisationRelay
from sync.agent.downlink import Downlink
from sync.agent.enrolment.revocation import RevocationHandler
from sync.agent.restore_requester import RestoreRequester
from sync.agent.settings.applier import SettingsApplier
from sync.agent.uplink import Uplink
from sync.mqtt.session import MqttSession
from sync.wire.messages import HealthReport, RungReport
from sync.wire.topics import Topic, Up, site_group


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAddress:
    """The device as topics name it."""

    tenant: str
    device: str
    site: str

    @property
    def nodes(self) -> frozenset[str]:
        """Return the nodes whose messages are for this device."""
        return frozenset({self.device, site_group(self.site), FLEET})

    def topic(self, channel: Up) -> str:
        """Return the device's topic of ``channel``."""
        return str(Topic(self.tenant, self.device, channel))


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentParts:
    """What an agent joins. Messages for a part that is None are counted as unknown."""

    store: Store
    session: MqttSession
    uplink: Uplink
    downlink: Downlink
    settings: SettingsApplier | None = None
    revocations: RevocationHandler | None = None
    relay: AuthorisationRelay | None = None
    restores: RestoreRequester | None = None
    online_flag: OnlineFlag | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSources:
    """Where an agent reads times, ids and facts of its surroundings."""

    now: Callable[[], Instant]
    monotonic_s: Callable[[], float]
    new_id: Callable[[], str]  # of a request
    monotonic_ns: Callable[[], int] = time.monotonic_ns  # the scanner's clock too
    problems: Callable[[Instant], dict[str, str]] = lambda _now: {}  # name to detail
    rungs: Callable[[], tuple[RungReport, ...]] = tuple  # what the decoder has counted
    # The device's health, given the names of this process's own problems; None: not known.
    health: Callable[[Iterable[str]], HealthReport | None] = lambda _problems: None
