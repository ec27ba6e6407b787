"""The process between the device's store and the broker: one loop, no threads.

Each step handles what the broker sent and only then acknowledges it; then it sends what is due. The
log has a line for each change of state and none for a retry.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, assert_never

from structlog.typing import FilteringBoundLogger

from edge.documents.revocation_order import has_order_form
from edge.store import documents, order_cache, outbox
from edge.store.database.store import Store, StoreUnavailableError
from edge.store.online_flag import OnlineFlag
from edge.values.instant import Instant
from edge.values.node_name import FLEET
from edge.values.tenfold import is_tenfold
from sync.agent.authorisation_relay import AuthorisationRelay
from sync.agent.downlink import Downlink, split_documents
from sync.agent.enrolment.revocation import RevocationHandler
from sync.agent.feed_schedule import LONGEST_REQUEST_S
from sync.agent.link_monitor import LinkMonitor
from sync.agent.outcomes import DocumentOutcome, DownlinkRefusal, Outcome
from sync.agent.restore_requester import RestoreRequester
from sync.agent.settings.applier import SettingsApplier
from sync.agent.timings import AGENT_TIMINGS, AgentTimings
from sync.agent.uplink import AckEffect, Uplink
from sync.mqtt.endpoint import Arrival, LinkState
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.messages import (
    Ack,
    Command,
    HealthReport,
    MessageFault,
    MessageRefusal,
    Response,
    RestoreReply,
    RungReport,
    Status,
)
from sync.wire.topics import Down, Topic, Up, parse_topic, site_group

ORDERS_NOT_REMOVED: Final = "orders_not_removed"  # a problem: the clean-up of the order cache fails
PLATFORM_HELD: Final = "platform_held"
HELD_S: Final = 60.0  # after its last word, a hub counts as held; a device requests more often


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


class Agent:
    """Joins one store to one session. ``step`` is the whole of its work."""

    def __init__(
        self,
        address: AgentAddress,
        parts: AgentParts,
        sources: AgentSources,
        log: FilteringBoundLogger,
        timings: AgentTimings = AGENT_TIMINGS,
    ) -> None:
        self._address = address
        self._parts = parts
        self._sources = sources
        self._log = log
        self._timings = timings
        self._session = parts.session
        self._link_monitor = LinkMonitor(parts.session, parts.uplink.replies, log, timings)
        self._status_due_s = 0.0
        self._health_due_s = 0.0
        self._health: HealthReport | None = None  # as last published
        self._problems: dict[str, str] = {}
        self._connection = 0
        self._held_until_s = 0.0  # the platform's hub waits for a person
        self._dropped: int | None = None  # orders, as last reported
        self._data_version = -1
        self.refused: Counter[str] = Counter()  # messages that changed nothing, by reason
        self._effects: Counter[AckEffect] = Counter()  # those that are not ordinary
        self._stale_rows = ""  # why the rows that a snapshot left behind stay; empty: they do not
        self.documents: Counter[str] = Counter()  # verified, by outcome
        self.last_ack_s: float | None = None  # monotonic; the age of it is the only liveness

    def step(self, timeout_s: float = 0.1) -> None:
        """Handle what came, then send what is due.

        Raises StoreUnavailableError. Nothing that comes over the network makes it raise.
        """
        arrivals = self._session.step(timeout_s)
        for arrival in arrivals:
            self._receive(arrival)
            self._session.acknowledge(arrival)
        if not arrivals:
            self._remove_stale_rows()
        monotonic_s = self._sources.monotonic_s()
        if self._session.connected:
            if self._connection != self._session.connections:
                self._begin_connection(monotonic_s)
            self._send(monotonic_s)
            if self._status_is_due(monotonic_s) and self._session.room:
                self._publish_status(monotonic_s)
        self._step_parts(monotonic_s)
        if self._link_monitor.check(monotonic_s):
            self._parts.uplink.start_over(monotonic_s)
        if self._link_monitor.wants_probe(monotonic_s):
            self._parts.uplink.request_probe()

    def _remove_stale_rows(self) -> None:
        """Remove some rows. What matters raises on its own: a clean-up must not end the process."""
        try:
            self._parts.downlink.remove_stale_rows()
        except StoreUnavailableError as error:
            if error.needs_restart:
                raise
            self._stale_rows = str(error)
        else:
            self._stale_rows = ""

    @property
    def link(self) -> LinkState | None:
        """Return the state of the connection, as last logged."""
        return self._link_monitor.link

    @property
    def status_topic(self) -> str:
        """Return where this device's status is retained."""
        return self._topic(Up.STATUS)

    def offline_status(self) -> bytes:
        """Return what the broker retains as this device's status when it is gone."""
        return codec.encode(self._status("offline"))

    def report(self) -> dict[str, Any]:
        """Return the state of this process, for the health file."""
        monotonic_s = self._sources.monotonic_s()
        store, relay = self._parts.store, self._parts.relay
        backlog, feed = outbox.backlog(store), order_cache.feed_state(store)
        self._watch_problems()
        ack_age_s = None if self.last_ack_s is None else round(monotonic_s - self.last_ack_s, 1)
        return {
            "problems": self._problems,
            "link": self.link,
            "clock": self._sources.now().trust,
            "grants": "available" if relay is not None and relay.has_authority else "unavailable",
            "detail": self._session.detail,
            "connections": self._session.connections,
            "last_ack_age_s": ack_age_s,
            "pending": backlog.pending,
            "oldest_pending_s": backlog.oldest_s,
            "rejected": backlog.rejected,
            "orders_revision": feed.revision,
            "orders_dropped": feed.dropped,
            "orders_received_s": feed.last_contact_s,
            "feeds": self._feeds(feed.last_contact_s),
            "ledger_restore": self._restore_report(),
            "documents": dict(self.documents),
            "refused_messages": dict(self.refused),
            "refused_publishes": self._session.refused_publishes,
            "oversized_publishes": self._session.oversized.count,
        }

    def _feeds(self, orders_contact_s: int | None) -> dict[str, int]:
        """Return the issue time (Unix seconds) of the newest data from each feed."""
        lists = {
            stored.name: stored.issued_at_s
            for stored in documents.documents_named(self._parts.store, "")
            if stored.name == documents.TRUST_LIST or stored.name.startswith("status_list/")
        }
        return lists if orders_contact_s is None else {"orders": orders_contact_s, **lists}

    def _restore_report(self) -> dict[str, int | bool]:
        if self._parts.restores is None:
            return {}
        return asdict(self._parts.restores.progress())

    def _watch_problems(self) -> None:
        """Name what is older than it may be, or wrong. A change is one line in the log."""
        found = self._sources.problems(self._sources.now())
        found |= self._parts.uplink.problems(self._sources.monotonic_s())
        if self._stale_rows:
            found[ORDERS_NOT_REMOVED] = f"orders that are no longer valid stay: {self._stale_rows}"
        if self._sources.monotonic_s() < self._held_until_s:
            found = found | {PLATFORM_HELD: "it sends no orders and no grants until it is resumed"}
        if self._parts.restores is not None:
            found |= self._parts.restores.problems(self._sources.monotonic_s())
        for name in found.keys() - self._problems.keys():
            self._log.warning("problem", problem=name, detail=found[name])
        for name in self._problems.keys() - found.keys():
            self._log.info("problem_gone", problem=name)
        self._problems = found

    # Sending

    def _begin_connection(self, monotonic_s: float) -> None:
        self._connection = self._session.connections
        self._parts.uplink.start_over(monotonic_s)
        self._parts.downlink.request_now(monotonic_s)
        if self._parts.restores is not None:
            self._parts.restores.request_now(monotonic_s)
        if self._parts.settings is not None:
            self._parts.settings.note_reported(None)
        self._publish_status(monotonic_s)

    def _status_is_due(self, monotonic_s: float) -> bool:
        """Return whether the counts are old, or the health is another than the platform has."""
        if monotonic_s >= self._status_due_s:
            return True
        return (
            monotonic_s >= self._health_due_s
            and self._sources.health(self._problems) != self._health
        )

    def _publish_status(self, monotonic_s: float) -> None:
        self._status_due_s = monotonic_s + self._timings.status_every_s
        self._health_due_s = monotonic_s + self._timings.health_status_every_s
        self._health = self._sources.health(self._problems)
        status = codec.encode(self._status("online"))
        self._session.publish(self._topic(Up.STATUS), status, retain=True)

    def _send(self, monotonic_s: float) -> None:
        uplink, session = self._parts.uplink, self._session
        version = self._parts.store.data_version()
        if version != self._data_version:
            self._data_version = version
            uplink.note_commit()
        uplink.tick(lambda payload: session.publish(self._topic(Up.EVENTS), payload), monotonic_s)
        if not session.room:
            return
        for part in (self._parts.restores, self._parts.downlink):
            if part is None:
                continue
            request = part.next_request(monotonic_s, new_id=self._sources.new_id)
            if request is not None:
                # One that waits at the broker for a hub is sent again before it arrives.
                session.publish(
                    self._topic(Up.REQUEST), codec.encode(request), expires_s=int(LONGEST_REQUEST_S)
                )

    def _step_parts(self, monotonic_s: float) -> None:
        if self._parts.relay is not None:
            self._step_relay(self._parts.relay, monotonic_s)
        if self._parts.revocations is not None:
            self._parts.revocations.retry(self._sources.now(), monotonic_s)
        if self._parts.settings is not None:
            self._step_settings(self._parts.settings, monotonic_s)

    def _step_relay(self, relay: AuthorisationRelay, monotonic_s: float) -> None:
        """Send the scanner's requests, and note whether an authority replies."""
        if not self._session.connected:
            relay.start_over(monotonic_s)
        for request in relay.next_requests(self._sources.monotonic_ns()):
            self._session.publish(
                self._topic(Up.REQUEST),
                codec.encode(request),
                expires_s=-(-request.wait_ms // 1000),
                correlation=request.id.encode(),
            )
        if self._session.connected and relay.wants_authority(monotonic_s):
            self._publish_status(monotonic_s)
        if relay.release_ended(self._sources.monotonic_ns()):
            self._parts.uplink.request_probe()
        if self._parts.online_flag is not None:
            self._parts.online_flag.set(self._session.connected and relay.has_authority)

    def _step_settings(self, settings: SettingsApplier, monotonic_s: float) -> None:
        connected = self._session.connected
        settings.step(connected=connected, now=self._sources.now(), monotonic_s=monotonic_s)
        report = settings.report() if self._session.room else None
        if report is not None and self._session.publish(
            self._topic(Up.CONFIG), report, retain=True
        ):
            settings.note_reported(report)

    # Receiving

    def _receive(self, arrival: Arrival) -> None:
        topic = parse_topic(arrival.topic)
        if (
            topic is None
            or topic.tenant != self._address.tenant
            or topic.node not in self._address.nodes
        ):
            self._count(MessageFault.TOPIC_UNKNOWN, "")
            return
        downlink, now = self._parts.downlink, self._sources.now()
        match topic.channel:
            case Down.ACK:
                self._receive_ack(arrival.payload)
            case Down.TRUST:
                self._note(downlink.receive_trust_list(arrival.payload, now))
            case Down.REVOKED:
                for outcome in downlink.receive_status_lists(arrival.payload, now):
                    self._note(outcome)
            case Down.OPERATORS:
                self._note(downlink.receive_operator_list(arrival.payload, now))
            case Down.ORDERS:
                self._receive_page(arrival.payload, now)
            case Down.COMMAND:
                self._receive_command(arrival.payload, topic.node)
            case Down.RESPONSE:
                self._receive_reply(arrival.payload, now)
            case Down.CONFIG if self._parts.settings is not None:
                self._receive_config(arrival.payload, self._parts.settings, now)
            case _:
                self._count(MessageFault.TOPIC_UNKNOWN, topic.channel)

    def _receive_page(self, payload: bytes, now: Instant) -> None:
        outcome = self._parts.downlink.receive_page(payload, now, self._sources.monotonic_s())
        if isinstance(outcome, DocumentOutcome):
            self._held_until_s = 0.0
        if self._dropped != order_cache.feed_state(self._parts.store).dropped:
            self._status_due_s = 0.0
        self._note(outcome)

    def _receive_ack(self, payload: bytes) -> None:
        ack = codec.decode_addressed(Ack, payload, dev=self._address.device)
        if isinstance(ack, MessageRefusal):
            self._count(ack.fault, ack.detail)
            return
        uplink = self._parts.uplink
        self.last_ack_s = self._sources.monotonic_s()
        if uplink.replies.silence_s(self.last_ack_s) > self._timings.missed_s:
            # The platform was silent on a connection that stood: what it sent meanwhile is lost.
            self._parts.downlink.request_now(self.last_ack_s)
        effect = uplink.receive_ack(ack, self._sources.now(), self.last_ack_s)
        self._link_monitor.note_reply()
        if uplink.refused_now:
            refused = [item.model_dump() for item in uplink.refused_now[:10]]
            self._log.warning("events_refused", refused=refused)
        if uplink.conflicts_now:
            self._log.warning("platform_conflict", conflicts=uplink.conflicts_now)
        if self._parts.restores is not None and (effect is AckEffect.AHEAD or uplink.refused_now):
            self._parts.restores.request_now(self.last_ack_s)  # this store may be an old copy
        if effect in (AckEffect.REWOUND, AckEffect.AHEAD, AckEffect.NOT_BELIEVED):
            self._note_effect(effect, ack)

    def _note_effect(self, effect: AckEffect, ack: Ack) -> None:
        """Log the first and then each tenfold: no sender can flood the log."""
        self._effects[effect] += 1
        count = self._effects[effect]
        if is_tenfold(count):
            self._log.error(
                effect, epoch=ack.epoch, committed_through=ack.committed_through, count=count
            )

    def _receive_command(self, payload: bytes, node: str) -> None:
        command = codec.decode_addressed(Command, payload, dev=node)
        relay = self._parts.relay
        if isinstance(command, MessageRefusal):
            self._count(command.fault, command.detail)
        elif command.type == "resend":  # messages of either direction may be lost
            self._parts.uplink.send_all_again()
            self._parts.downlink.request_now(self._sources.monotonic_s())
            if self._parts.restores is not None:
                self._parts.restores.request_now(self._sources.monotonic_s())
            if relay is not None:
                relay.request_authority_soon()
        elif command.type == "platform_held":
            self._held_until_s = self._sources.monotonic_s() + HELD_S
        elif relay is not None:
            relay.note_authority()

    def _receive_reply(self, payload: bytes, now: Instant) -> None:
        relay, restores = self._parts.relay, self._parts.restores
        reply = codec.decode_reply(payload, dev=self._address.device)
        match reply:
            case Response() if relay is not None:
                taken = relay.receive(reply, now, self._sources.monotonic_ns())
                if isinstance(taken, DownlinkRefusal):
                    self._count(taken.reason, taken.detail)
            case RestoreReply() if restores is not None:
                self._note(restores.receive(reply, now, self._sources.monotonic_s()))
            case MessageRefusal():
                self._count(reply.fault, reply.detail)
            case _:
                self._count(MessageFault.TOPIC_UNKNOWN, Down.RESPONSE)

    def _receive_config(self, payload: bytes, settings: SettingsApplier, now: Instant) -> None:
        """Hand each document of the message to the handler of its form."""
        found = split_documents(payload)
        if isinstance(found, DownlinkRefusal):
            self._count(found.reason, found.detail)
            return
        for raw in found:
            if self._parts.revocations is not None and has_order_form(raw):
                refused = self._parts.revocations.receive(raw, now)
                if refused is not None:
                    self._count(refused.fault, refused.detail)
            else:
                settings.receive(raw, now)

    def _note(self, outcome: Outcome) -> None:
        if isinstance(outcome, DocumentOutcome):
            self.documents[outcome.value] += 1
        match outcome:
            case DownlinkRefusal():
                self._count(outcome.reason, outcome.detail)
                # Of a page of reviews, some may have had an effect; replies to the others wait.
                self._parts.uplink.note_commit()
            case (
                DocumentOutcome.TRUST_LIST
                | DocumentOutcome.STATUS_LIST
                | DocumentOutcome.OPERATORS
                | DocumentOutcome.ORDERS_COMPLETE
                | DocumentOutcome.REVIEWS
                | DocumentOutcome.RESTORE_COMPLETE
            ):
                self._log.info(outcome)
                self._parts.uplink.note_commit()  # an applied review has written an event
            case (
                DocumentOutcome.ORDERS
                | DocumentOutcome.SAME
                | DocumentOutcome.ORDERS_GAP
                | DocumentOutcome.RESTORED
            ):
                pass
            case _:
                assert_never(outcome)

    def _count(self, reason: str, detail: str) -> None:
        """Count a message that changed nothing.

        The first and then each tenfold is logged, so that no sender can flood the log.
        """
        self.refused[str(reason)] += 1
        count = self.refused[str(reason)]
        if is_tenfold(count):
            self._log.warning("message_refused", reason=str(reason), detail=detail, count=count)

    def _status(self, state: Literal["online", "offline"]) -> Status:
        store = self._parts.store
        epoch, last_seq = outbox.current_epoch(store)
        feed = order_cache.feed_state(store)
        self._dropped = feed.dropped
        return Status(
            dev=self._address.device,
            state=state,
            epoch=epoch,
            last_seq=last_seq,
            acknowledged_through=outbox.acknowledged_through(store, epoch),
            incarnation=feed.incarnation.hex(),
            orders_revision=feed.revision,
            orders_dropped=feed.dropped,
            rungs=self._sources.rungs(),
            health=self._health if state == "online" else None,
        )

    def _topic(self, channel: Up) -> str:
        return str(Topic(self._address.tenant, self._address.device, channel))
