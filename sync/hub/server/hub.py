"""``edge-hub run``: the platform's end of the protocol. One loop, no threads.

Everything that arrived in one step is stored in one transaction, and acknowledged only after it has
committed. What the hub signs is the order feed, grants and leases; trust and status lists it passes
on as files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, assert_never

from structlog.typing import FilteringBoundLogger

from edge.token.keys import Signer
from sync.hub.arbitration import grants
from sync.hub.config import HubConfig
from sync.hub.fleet.fleet_service import FleetService
from sync.hub.ledger import acknowledgements, ingest
from sync.hub.orders import hold, order_lines
from sync.hub.orders.hold import HoldRule
from sync.hub.server.inbound import InboundMessage, concerned_names, read_message
from sync.hub.server.list_publisher import ListPublisher
from sync.hub.server.order_publisher import OrderPublisher
from sync.hub.server.outgoing import OutgoingMessages
from sync.hub.server.platform_authority import PlatformAuthority
from sync.hub.server.refusal_counter import RefusalCounter
from sync.hub.server.review_publisher import ReviewPublisher
from sync.hub.store import incarnation_table
from sync.hub.store.interface import HubConnection, HubStore
from sync.mqtt.endpoint import LinkState
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.messages import (
    COMMAND_EXPIRES_S,
    Ack,
    Batch,
    Command,
    GrantRequest,
    MessageFault,
    MessageRefusal,
    OrdersRequest,
    Status,
)
from sync.wire.topics import FLEET, OPS, SITE_PREFIX, Down, Topic, Up

FILES_EVERY_S: Final = 1.0
HOLD_EVERY_S: Final = 0.5  # how often a hub looks whether it is held
ORDERS_AHEAD: Final = "orders_ahead"  # a device has orders that this hub does not have
LEAD_EVERY_S: Final = 1.0  # how often a hub that is not the leader tries to become it


@dataclass(frozen=True, slots=True, kw_only=True)
class HubParts:
    """What a hub is made of. ``now_us`` is Unix time in microseconds, ``monotonic`` seconds."""

    store: HubStore
    session: MqttSession
    lists: ListPublisher
    feed_signer: Signer
    grant_signer: Signer | None = None  # None: the platform decides no grants
    fleet: FleetService | None = None  # None: no settings, and no replies to operations
    now_us: Callable[[], int]
    monotonic: Callable[[], float]
    log: FilteringBoundLogger


class Hub:
    """Joins the hub's store to one session. ``step`` does all of its work."""

    def __init__(self, config: HubConfig, parts: HubParts) -> None:
        self._tenant = config.tenant
        self._store = parts.store
        self._session = parts.session
        self._lists = parts.lists
        self._fleet = parts.fleet
        self._now_us = parts.now_us
        self._monotonic = parts.monotonic
        self._log = parts.log
        self._configured_sites = {device.id: device.site for device in config.device}
        self._refusals = RefusalCounter(parts.log)
        self._outgoing = OutgoingMessages(
            parts.session, tenant=config.tenant, monotonic=parts.monotonic
        )
        self._authority = PlatformAuthority(
            parts.grant_signer,
            config.authority,
            site_of=self._site_of,
            now_s=self._now_s,
            refusals=self._refusals,
        )
        self._orders = OrderPublisher(
            parts.feed_signer, heartbeat_s=config.feed_heartbeat_s, now_s=self._now_s
        )
        self._reviews = ReviewPublisher(parts.feed_signer, site_of=self._site_of, now_s=self._now_s)
        self._hold_rule = HoldRule(config.hold_above_percent)
        self._held: tuple[int, str] | None = None  # as last logged
        self._hold_due_s = 0.0
        self._connection = 0
        self._link: LinkState | None = None
        self._files_due_s = 0.0
        self._lead_due_s = 0.0
        self._leads = False
        self._events: Counter[str] = Counter()
        self._published_s: dict[str, int] = {}  # when each feed was last published, Unix seconds

    def step(self, timeout_s: float = 0.1) -> None:
        """Handle what arrives and publish what is due.

        Raises HubStoreError, and nothing for what arrives.
        """
        self._receive(0.0 if self._outgoing else timeout_s)
        self._watch_hold()
        if self._session.connected:
            if self._connection != self._session.connections:
                self._start_over()
            if self._lead():
                self._publish_files()
                for source in self._publishers():
                    for node, page in source.due_pages(self._store, self._monotonic()):
                        self._queue_page(node, page)
            if self._fleet is not None:
                self._fleet.publish(self._session)
        else:
            self._outgoing.clear()  # devices ask again
        self._outgoing.flush()
        self._log_link()

    def report(self) -> dict[str, Any]:
        """Return the state of this hub for its metrics."""
        return {
            "link": self._link,
            "connections": self._session.connections,
            "oversized_publishes": self._session.oversized.count,
            "leader": self._leads,
            "held": self._held is not None,
            "events": {name: self._events[name] for name in ("new", "repeated", "refused")},
            "refused_messages": dict(self._refusals.counts),
            "oldest_unanswered_s": self._outgoing.oldest_age_s,
            "feeds": dict(self._published_s),
        }

    # Receive

    def _receive(self, timeout_s: float) -> None:
        """Store what arrived in one transaction, and acknowledge it to the broker."""
        arrivals = self._session.step(timeout_s)
        if not arrivals:
            return
        incoming = [read_message(arrival, tenant=self._tenant) for arrival in arrivals]
        with self._store.transaction(concerned_names(incoming, self._site_of)) as connection:
            for item in incoming:
                self._handle(connection, item)
        for arrival in arrivals:
            self._session.acknowledge(arrival)

    def _handle(self, connection: HubConnection, incoming: InboundMessage) -> None:
        topic, payload = incoming.topic, incoming.arrival.payload
        if topic is None:
            self._refusals.add(MessageFault.TOPIC_UNKNOWN, "", "")
            return
        match topic.channel:
            case Up.STATUS | Up.CONFIG if not self._lead():
                pass  # every hub receives these, in their order; the leader handles them
            case Up.REQUEST if self._fleet is not None and topic.node == OPS:
                self._fleet.handle_request(connection, payload)
            case Up.REQUEST if self._authority.is_site_authority(topic.node):
                reply = self._authority.handle_lease_request(connection, topic.node, payload)
                self._respond(topic.node, reply)
            case Up.CONFIG if self._fleet is not None:
                self._fleet.record_report(topic.node, payload)
            case _:
                self._handle_message(connection, topic, incoming)

    def _handle_message(
        self, connection: HubConnection, topic: Topic, incoming: InboundMessage
    ) -> None:
        match incoming.message:
            case Batch() as batch:
                self._ingest(connection, topic.node, batch)
            case OrdersRequest() as request:
                self._send_orders(connection, topic.node, request)
            case GrantRequest() as request:
                self._respond(topic.node, self._authority.handle_grant_request(connection, request))
            case Status() as status:
                self._record_status(connection, topic.node, status)
            case MessageRefusal() as refusal:
                self._refusals.add(refusal.fault, topic.node, refusal.detail)
            case None:
                self._refusals.add(MessageFault.TOPIC_UNKNOWN, topic.node, topic.channel)
            case _:
                assert_never(incoming.message)

    def _ingest(self, connection: HubConnection, dev: str, batch: Batch) -> None:
        result = ingest.ingest_batch(connection, batch, self._now_s())
        self._events.update(new=result.fresh, repeated=result.repeated, refused=result.refused)
        if result.refused:
            first = [item.model_dump() for item in result.ack.rejected[:10]]
            self._log.warning("events_refused", dev=dev, refused=first)
        self._acknowledge(dev, result.ack)
        grants.release_finished(connection, batch, committed_through=result.ack.committed_through)
        for other in sorted(result.also_notify):
            self._log.warning("double_redemption", dev=dev, other=other)
            self._notify(connection, other)

    def _notify(self, connection: HubConnection, dev: str) -> None:
        """Send a device its new conflicts in an acknowledgement that acknowledges nothing new."""
        stream = acknowledgements.latest_epoch(connection, dev)
        if stream is not None:
            epoch, through = stream
            ack = acknowledgements.acknowledgement(
                connection, dev, epoch, committed_through=through, acknowledged_through=through
            )
            self._acknowledge(dev, ack)

    def _send_orders(self, connection: HubConnection, dev: str, request: OrdersRequest) -> None:
        site = self._site_of(dev)
        if site is None:
            detail = "name the device and its site in the hub's configuration, or enrol it"
            self._refusals.add("device_without_site", dev, detail)
            return
        now_s, now_us = self._now_s(), self._now_us()
        rule = self._hold_rule
        if not hold.check_request(connection, request, site=site, rule=rule, now_s=now_s):
            self._hold_due_s = 0.0
            self._refusals.add(ORDERS_AHEAD, dev, "the hub may have lost what this device has")
            self._outgoing.add(
                dev, Down.COMMAND, codec.encode(Command(dev=dev, type="platform_held"))
            )
            return
        for page in order_lines.pages_for(connection, site, request, now_s=now_s, now_us=now_us):
            self._queue_page(dev, self._orders.sign_page(page))
        for node, decided in self._reviews.pages_for(connection, dev):
            self._queue_page(node, decided)

    def _record_status(self, connection: HubConnection, dev: str, status: Status) -> None:
        now_s = self._now_s()
        self._hold_due_s = 0.0
        hold.check_status(
            connection, status, site=self._site_of(dev), rule=self._hold_rule, now_s=now_s
        )
        if ingest.record_status(connection, status, now_s):
            self._refusals.add(
                "two_devices_with_one_identity", dev, "revoke the certificate and enrol both again"
            )
        if status.state == "online" and self._authority.decides_for(connection, dev):
            online = Command(dev=dev, type="authority_online")
            self._outgoing.add(dev, Down.COMMAND, codec.encode(online))

    # Publish

    def _publishers(self) -> list[OrderPublisher | ReviewPublisher]:
        """Return what publishes now: while the hub is held, no orders."""
        return [self._reviews] if self._held else [self._orders, self._reviews]

    def _watch_hold(self) -> None:
        """Log when the hub is held, and when a person has resumed it."""
        if self._monotonic() < self._hold_due_s:
            return
        self._hold_due_s = self._monotonic() + HOLD_EVERY_S
        with self._store.read() as connection:
            held = incarnation_table.hold_of(connection)
            resumed = incarnation_table.resumptions(connection)[:1] if not held else []
        if held == self._held:
            return
        self._held = held
        if held is not None:
            self._log.warning("hub_held", detail=held[1], remedy="edge-hub resume --help")
        else:
            for _, name, reason, _ in resumed:
                self._log.warning("hub_resumed", by=name, reason=reason)
            self._orders.announce()

    def _start_over(self) -> None:
        """Publish everything again: after a new connection the broker may be empty."""
        self._connection = self._session.connections
        self._lists.start_over()
        self._reviews.start_over()
        self._files_due_s = 0.0
        if self._fleet is not None:
            self._fleet.start_over()
        resend = codec.encode(Command(dev=FLEET))
        topic = str(Topic(self._tenant, FLEET, Down.COMMAND))
        self._session.publish(topic, resend, expires_s=COMMAND_EXPIRES_S)

    def _lead(self) -> bool:
        """Return whether this hub leads: only the leader publishes to groups and stores reports.

        A hub that does not lead tries to, every ``LEAD_EVERY_S``.
        """
        if not self._leads and self._monotonic() >= self._lead_due_s:
            self._lead_due_s = self._monotonic() + LEAD_EVERY_S
            self._leads = self._store.lead()
            if self._leads:
                self._log.info("became_leader")
                self._session.resubscribe()  # for the retained messages that it left to the leader
                self._lists.start_over()
                self._files_due_s = 0.0
                self._orders.announce()
        return self._leads

    def _publish_files(self) -> None:
        """Publish the signed lists that changed, retained."""
        if self._monotonic() < self._files_due_s:
            return
        self._files_due_s = self._monotonic() + FILES_EVERY_S
        for node, channel, payload in self._lists.changed(self._log):
            topic = str(Topic(self._tenant, node, channel))
            if self._session.publish(topic, payload, retain=True):
                self._published_s[f"{node}/{channel}"] = self._now_s()
            else:
                self._lists.start_over()

    def _acknowledge(self, dev: str, ack: Ack) -> None:
        self._outgoing.add(dev, Down.ACK, codec.encode(ack))

    def _respond(self, node: str, response: bytes | None) -> None:
        if response is not None:
            self._outgoing.add(node, Down.RESPONSE, response)

    def _queue_page(self, node: str, page: bytes) -> None:
        if node.startswith(SITE_PREFIX):
            self._published_s[f"{node}/{Down.ORDERS}"] = self._now_s()
        self._outgoing.add(node, Down.ORDERS, page)

    def _log_link(self) -> None:
        """Log each change of the link's state."""
        if self._session.link is not self._link:
            self._link = self._session.link
            write = self._log.warning if self._link.is_permanent else self._log.info
            write("link", state=self._link, detail=self._session.detail)
        self._session.oversized.log_news(self._log)

    def _site_of(self, dev: str) -> str | None:
        return self._configured_sites.get(dev) if self._fleet is None else self._fleet.site_of(dev)

    def _now_s(self) -> int:
        return self._now_us() // 1_000_000
