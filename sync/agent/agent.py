"""``edge-sync``: the process between the device's store and the broker. One loop, no threads.

Each turn: what came from the broker is dealt with and only then acknowledged to it; then what is due
is sent. The log has a line for each change of state and none for a retry.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal, assert_never

from edge.store import documents, order_cache, outbox
from edge.store.database.store import Store
from edge.store.online_flag import OnlineFlag
from edge.values.instant import Instant
from sync.agent.authorisation_relay import AuthorisationRelay
from sync.agent.downlink import Downlink
from sync.agent.link_monitor import LinkMonitor
from sync.agent.outcomes import DocumentOutcome, DownlinkRefusal, Outcome
from sync.agent.settings.applier import SettingsApplier
from sync.agent.timings import AGENT_TIMINGS, AgentTimings
from sync.agent.uplink import AckEffect, Uplink
from sync.mqtt.endpoint import Arrival, LinkState
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.messages import (
    Ack,
    Command,
    MessageFault,
    MessageRefusal,
    Response,
    RungReport,
    Status,
)
from sync.wire.topics import FLEET, Down, Topic, Up, parse_topic, site_group


class Agent:
    """Joins one store to one session. ``step`` is the whole of it."""

    def __init__(
        self,
        *,
        tenant: str,
        device: str,
        site: str,
        store: Store,
        session: MqttSession,
        uplink: Uplink,
        downlink: Downlink,
        now: Callable[[], Instant],
        monotonic: Callable[[], float],
        ident: Callable[[], str],
        log: Any,  # a structlog logger
        settings: SettingsApplier | None = None,
        claims: AuthorisationRelay | None = None,
        presence: OnlineFlag | None = None,
        stale: Callable[[Instant], dict[str, str]] = lambda _now: {},
        rungs: Callable[[], tuple[RungReport, ...]] = tuple,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        timings: AgentTimings = AGENT_TIMINGS,
    ) -> None:
        self._timings = timings
        self._tenant = tenant
        self._device = device
        self._store = store
        self._session = session
        self._uplink = uplink
        self._downlink = downlink
        self._now = now
        self._monotonic = monotonic
        self._ident = ident
        self._log = log
        self._settings = settings
        self._claims = claims
        self._presence = presence
        self._stale = stale
        self._rungs = rungs
        self._status_due_s = 0.0  # when the platform is to hear again how this device is
        self._problems: dict[str, str] = {}
        self._monotonic_ns = monotonic_ns
        self._nodes = {device, site_group(site), FLEET}
        self._connection = 0
        self._data_version = -1
        self._contact = LinkMonitor(session, uplink.answers, log, timings)
        self.refused: Counter[str] = Counter()  # messages that changed nothing, by reason
        self.documents: Counter[str] = Counter()  # believed, by what became of them
        self.last_ack_s: float | None = None  # monotonic; the age of it is the only liveness

    def step(self, timeout_s: float = 0.1) -> None:
        """One turn. Raises StoreUnavailableError; nothing that comes over the network makes it raise."""
        arrivals = self._session.step(timeout_s)
        for arrival in arrivals:
            self._take(arrival)
            self._session.acknowledge(arrival)
        if not arrivals:
            self._downlink.remove_stale_rows()
        monotonic_s = self._monotonic()
        if self._session.connected:
            if self._connection != self._session.connections:
                self._begin(monotonic_s)
            self._send(monotonic_s)
            if monotonic_s >= self._status_due_s and self._session.room:
                self._say_online(monotonic_s)
        if self._claims is not None:
            self._claim(self._claims, monotonic_s)
        if self._settings is not None:
            self._settle(self._settings, monotonic_s)
        if self._contact.watch(monotonic_s):
            self._uplink.connected(monotonic_s)
        if self._contact.wants_answer(monotonic_s):
            self._uplink.probe()

    @property
    def link(self) -> LinkState | None:
        """The state of the connection, as last logged."""
        return self._contact.link

    def report(self) -> dict[str, Any]:
        """The state of this process, for the health file."""
        monotonic_s = self._monotonic()
        backlog = outbox.backlog(self._store)
        feed = order_cache.feed_state(self._store)
        self._watch_freshness()
        return {
            "problems": self._problems,
            "link": self._contact.link,
            "clock": self._now().trust,
            "grants": "available"
            if self._claims is not None and self._claims.answered
            else "unavailable",
            "detail": self._session.detail,
            "connections": self._session.connections,
            "last_ack_age_s": None
            if self.last_ack_s is None
            else round(monotonic_s - self.last_ack_s, 1),
            "pending": backlog.pending,
            "oldest_pending_s": backlog.oldest_s,
            "rejected": backlog.rejected,
            "orders_revision": feed.revision,
            "orders_heard_s": feed.last_contact_s,
            "feeds": self._feeds(feed.last_contact_s),
            "documents": dict(self.documents),
            "refused_messages": dict(self.refused),
            "refused_publishes": self._session.refused_publishes,
        }

    def _feeds(self, orders_heard_s: int | None) -> dict[str, int]:
        """As of when, in Unix seconds, each feed is known."""
        lists = {
            kept.name: kept.issued_at_s
            for kept in documents.documents_named(self._store, "")
            if kept.name == documents.TRUST_LIST or kept.name.startswith("status_list/")
        }
        return lists if orders_heard_s is None else {"orders": orders_heard_s, **lists}

    def _watch_freshness(self) -> None:
        """Name what is older than it may be; a line in the log when that changes."""
        found = self._stale(self._now())
        for name in found.keys() - self._problems.keys():
            self._log.warning("problem", problem=name, detail=found[name])
        for name in self._problems.keys() - found.keys():
            self._log.info("problem_gone", problem=name)
        self._problems = found

    @property
    def status_topic(self) -> str:
        """Where this device's status is retained."""
        return self._topic(Up.STATUS)

    def farewell(self) -> bytes:
        """What the broker is to keep as this device's status when it is gone."""
        return codec.encode(self._status("offline"))

    def _begin(self, monotonic_s: float) -> None:
        self._connection = self._session.connections
        self._uplink.connected(monotonic_s)
        self._downlink.connected(monotonic_s)
        if self._settings is not None:
            self._settings.reported(None)
        self._say_online(monotonic_s)

    def _say_online(self, monotonic_s: float) -> None:
        self._status_due_s = monotonic_s + self._timings.status_every_s
        self._session.publish(
            self._topic(Up.STATUS), codec.encode(self._status("online")), retain=True
        )

    def _claim(self, desk: AuthorisationRelay, monotonic_s: float) -> None:
        """Send the scanner's claims, and say whether it is worth while to make any."""
        if not self._session.connected:
            desk.connected(monotonic_s)
        for request in desk.due(self._monotonic_ns()):
            payload, ident, wait_s = (
                codec.encode(request),
                request.id.encode(),
                -(-request.wait_ms // 1000),
            )
            self._session.publish(
                self._topic(Up.REQUEST), payload, expires_s=wait_s, correlation=ident
            )
        if self._session.connected and desk.asks_after(monotonic_s):
            self._say_online(monotonic_s)
        if desk.over(self._monotonic_ns()):
            self._uplink.probe()
        if self._presence is not None:
            self._presence.set(self._session.connected and desk.answered)

    def _settle(self, settings: SettingsApplier, monotonic_s: float) -> None:
        settings.step(connected=self._session.connected, now=self._now(), monotonic_s=monotonic_s)
        news = settings.report() if self._session.room else None
        if news is not None and self._session.publish(self._topic(Up.CONFIG), news, retain=True):
            settings.reported(news)

    def _send(self, monotonic_s: float) -> None:
        version = self._store.data_version()
        if version != self._data_version:
            self._data_version = version
            self._uplink.committed()
        self._uplink.tick(
            lambda payload: self._session.publish(self._topic(Up.EVENTS), payload), monotonic_s
        )
        if self._session.room and (request := self._downlink.due(monotonic_s, ident=self._ident())):
            self._session.publish(self._topic(Up.REQUEST), codec.encode(request))

    def _take(self, arrival: Arrival) -> None:
        topic = parse_topic(arrival.topic)
        if topic is None or topic.tenant != self._tenant or topic.node not in self._nodes:
            self._count(MessageFault.TOPIC_UNKNOWN, "")
            return
        match topic.channel:
            case Down.ACK:
                self._ack(arrival.payload)
            case Down.TRUST:
                self._note(self._downlink.trust_list(arrival.payload, self._now()))
            case Down.REVOKED:
                for outcome in self._downlink.status_lists(arrival.payload, self._now()):
                    self._note(outcome)
            case Down.OPERATORS:
                self._note(self._downlink.operator_list(arrival.payload, self._now()))
            case Down.ORDERS:
                self._note(
                    self._downlink.orders_page(arrival.payload, self._now(), self._monotonic())
                )
            case Down.COMMAND:
                self._command(arrival.payload, topic.node)
            case Down.RESPONSE if self._claims is not None:
                self._response(arrival.payload, self._claims)
            case Down.CONFIG if self._settings is not None:
                self._settings.take(arrival.payload, self._now())
            case _:
                self._count(MessageFault.TOPIC_UNKNOWN, topic.channel)

    def _ack(self, payload: bytes) -> None:
        ack = codec.decode_addressed(Ack, payload, dev=self._device)
        if isinstance(ack, MessageRefusal):
            self._count(ack.fault, ack.detail)
            return
        self.last_ack_s = self._monotonic()
        if self._uplink.answers.silent_s(self.last_ack_s) > self._timings.missed_s:
            self._downlink.connected(
                self.last_ack_s
            )  # heard again, over a broker that stood: what came down is lost
        heard = self._uplink.heard(ack, self._now(), self.last_ack_s)
        self._contact.heard()
        if self._uplink.refused_now:
            self._log.warning(
                "events_refused",
                refused=[item.model_dump() for item in self._uplink.refused_now[:10]],
            )
        if self._uplink.conflicts_now:
            self._log.warning("platform_conflict", conflicts=self._uplink.conflicts_now)
        if heard in (AckEffect.REWOUND, AckEffect.AHEAD):
            self._log.error(heard, epoch=ack.epoch, acked_through=ack.acked_through)

    def _command(self, payload: bytes, node: str) -> None:
        command = codec.decode_addressed(Command, payload, dev=node)
        if isinstance(command, MessageRefusal):
            self._count(command.fault, command.detail)
        elif command.type == "resend":  # what was said meanwhile may be lost, either way
            self._uplink.resend()
            self._downlink.connected(self._monotonic())
            if self._claims is not None:
                self._claims.started()
        elif self._claims is not None:
            self._claims.heard()

    def _response(self, payload: bytes, desk: AuthorisationRelay) -> None:
        response = codec.decode_addressed(Response, payload, dev=self._device)
        if isinstance(response, MessageRefusal):
            self._count(response.fault, response.detail)
            return
        taken = desk.take(response, self._now(), self._monotonic_ns())
        if isinstance(taken, DownlinkRefusal):
            self._count(taken.reason, taken.detail)

    def _note(self, outcome: Outcome) -> None:
        if isinstance(outcome, DocumentOutcome):
            self.documents[outcome.value] += 1
        match outcome:
            case DownlinkRefusal():
                self._count(outcome.reason, outcome.detail)
                self._uplink.committed()  # of a page of reviews, some may have had an effect; the rest are answered
            case (
                DocumentOutcome.TRUST_LIST
                | DocumentOutcome.STATUS_LIST
                | DocumentOutcome.OPERATORS
                | DocumentOutcome.ORDERS_COMPLETE
                | DocumentOutcome.REVIEWS
            ):
                self._log.info(outcome)
                self._uplink.committed()  # this process's own commit: what a review did is to be told
            case DocumentOutcome.ORDERS | DocumentOutcome.SAME | DocumentOutcome.ORDERS_GAP:
                pass
            case _:
                assert_never(outcome)

    def _count(self, reason: str, detail: str) -> None:
        """Count a message that changed nothing; log the first and then each tenfold: nobody can flood the log."""
        self.refused[str(reason)] += 1
        count = self.refused[str(reason)]
        if count == 10 ** (len(str(count)) - 1):
            self._log.warning("message_refused", reason=str(reason), detail=detail, count=count)

    def _status(self, state: Literal["online", "offline"]) -> Status:
        epoch, last_seq = outbox.current_epoch(self._store)
        return Status(
            dev=self._device,
            state=state,
            epoch=epoch,
            last_seq=last_seq,
            settled_through=outbox.settled_through(self._store, epoch),
            orders_revision=order_cache.feed_state(self._store).revision,
            rungs=self._rungs(),
        )

    def _topic(self, channel: Up) -> str:
        return str(Topic(self._tenant, self._device, channel))
