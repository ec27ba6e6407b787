"""``edge-hub run``: the platform's end of the protocol. One loop, no threads.

Senders take turns (``FairQueue``). Each turn is a transaction of its own, and a message is
acknowledged to its sender after the last of its transactions has committed. What the hub signs is
the order feed, grants and leases; trust and status lists it passes on as files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, assert_never

from structlog.typing import FilteringBoundLogger

from edge.token.keys import Signer
from edge.values.node_name import FLEET, OPS, SITE_PREFIX
from sync.hub.config import HubConfig
from sync.hub.fleet.fleet_service import FleetService
from sync.hub.ledger.ingest import BatchIngest, record_status
from sync.hub.orders import hold, order_lines
from sync.hub.orders.hold import HoldRule
from sync.hub.server.batch_handler import BatchHandler
from sync.hub.server.fair_queue import TURN_S, FairQueue
from sync.hub.server.inbound import (
    InboundMessage,
    concerned_names,
    lease_name,
    read_message,
)
from sync.hub.server.list_publisher import ListPublisher
from sync.hub.server.order_publisher import OrderPublisher
from sync.hub.server.outgoing import OutgoingMessages
from sync.hub.server.platform_authority import PlatformAuthority
from sync.hub.server.refusal_counter import RefusalCounter
from sync.hub.server.review_publisher import ReviewPublisher
from sync.hub.store import incarnation_table
from sync.hub.store.interface import HubConnection, HubStore, UnfitValueError
from sync.mqtt.endpoint import LinkState
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.messages import (
    COMMAND_EXPIRES_S,
    Command,
    GrantRequest,
    MessageFault,
    MessageRefusal,
    OrdersRequest,
    RestoreRequest,
    Status,
)
from sync.wire.topics import Down, Topic, Up

FILES_EVERY_S: Final = 1.0
HOLD_EVERY_S: Final = 0.5  # how often a hub looks whether it is held
ORDERS_AHEAD: Final = "orders_ahead"  # a device has orders that this hub does not have
TURNS_S: Final = 0.05  # of turns, before what is due is published
LEAD_EVERY_S: Final = 1.0  # how often a hub that is not the leader tries to become it

_OF_THE_LEADER: Final = (Up.STATUS, Up.CONFIG)  # every hub receives these, in their order
_OVER_ITS_SHARE: Final = "it sends more than the hub has turns for, and sends it again"


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
        self._waiting = FairQueue()
        self._outgoing = OutgoingMessages(
            parts.session, tenant=config.tenant, monotonic=parts.monotonic
        )
        self._batches = BatchHandler(
            self._outgoing, now_s=self._now_s, monotonic=parts.monotonic, log=parts.log
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
        self._published_s: dict[str, int] = {}  # when each feed was last published, Unix seconds

    def step(self, timeout_s: float = 0.1) -> None:
        """Handle what arrives and publish what is due.

        Raises HubStoreError, and nothing for what arrives.
        """
        self._receive(0.0 if self._outgoing or self._waiting.messages else timeout_s)
        self._take_turns()
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
            "events": dict(self._batches.events),
            "refused_messages": dict(self._refusals.counts),
            "waiting": (self._waiting.messages, self._waiting.bytes),
            "oldest_unanswered_s": self._outgoing.oldest_age_s,
            "feeds": dict(self._published_s),
        }

    # Receive

    def _receive(self, timeout_s: float) -> None:
        """Queue what has arrived.

        It is acknowledged to the broker at once, so that one sender does not fill the broker's
        window. What is lost here is sent again: only the hub's own acknowledgement counts.
        """
        for arrival in self._session.step(timeout_s):
            message = read_message(arrival, tenant=self._tenant)
            if message is None:
                self._refusals.add(MessageFault.TOPIC_UNKNOWN, "", "")
            elif message.topic.channel not in _OF_THE_LEADER or self._lead():
                for dropped in self._waiting.add(message):
                    self._refusals.add("over_its_share", dropped.topic.node, _OVER_ITS_SHARE)
            self._session.acknowledge(arrival)

    def _take_turns(self) -> None:
        """Handle what waits, for a while. Raises HubStoreError."""
        end_s = self._monotonic() + TURNS_S
        while (message := self._waiting.next()) is not None:
            began_s = self._monotonic()
            done = self._handle_alone(message, until_s=began_s + TURN_S)
            ended_s = self._monotonic()
            self._waiting.spend(message, ended_s - began_s, done=done)
            self._outgoing.flush()
            if ended_s >= end_s:
                break
            self._receive(0.0)
        self._batches.notify_due(self._store)

    def _handle_alone(self, message: InboundMessage, *, until_s: float) -> bool:
        """Handle a message in a transaction of its own. Return whether it is done."""
        if not message.decode(lambda: self._monotonic() < until_s):
            return False
        before = self._outgoing.mark()
        try:
            with self._store.transaction(self._concerned_names(message)) as connection:
                return self._handle(connection, message, until_s)
        except UnfitValueError as error:
            self._outgoing.cut(before)
            self._refusals.add(MessageFault.VALUE_UNFIT, message.topic.node, str(error))
            return True

    def _concerned_names(self, message: InboundMessage) -> frozenset[str]:
        site = self._authority.site_of_authority(message.topic.node)
        if site is not None and message.topic.channel is Up.REQUEST:
            return frozenset({lease_name(site)})
        return concerned_names(message, self._site_of)

    def _handle(self, connection: HubConnection, message: InboundMessage, until_s: float) -> bool:
        """Handle a message until ``until_s`` (monotonic). Return whether it is done."""
        topic = message.topic
        match topic.channel:
            case Up.REQUEST if self._fleet is not None and topic.node == OPS:
                self._fleet.handle_request(connection, message.payload)
            case Up.REQUEST if self._authority.site_of_authority(topic.node) is not None:
                reply = self._authority.handle_lease_request(
                    connection, topic.node, message.payload
                )
                self._respond(topic.node, reply)
            case Up.CONFIG if self._fleet is not None:
                self._fleet.record_report(topic.node, message.payload)
            case Up.EVENTS if isinstance(message.content, BatchIngest):
                return self._batches.handle(connection, message.content, until_s=until_s)
            case _:
                self._handle_message(connection, message)
        return True

    def _handle_message(self, connection: HubConnection, message: InboundMessage) -> None:
        topic = message.topic
        match message.content:
            case OrdersRequest() as request:
                self._send_orders(connection, topic.node, request)
            case GrantRequest() as request:
                self._respond(topic.node, self._authority.handle_grant_request(connection, request))
            case RestoreRequest() as request:
                self._respond(
                    topic.node, self._authority.handle_restore_request(connection, request)
                )
            case Status() as status:
                self._record_status(connection, topic.node, status)
            case MessageRefusal() as refusal:
                self._refusals.add(refusal.fault, topic.node, refusal.detail)
            case BatchIngest() | None:
                self._refusals.add(MessageFault.TOPIC_UNKNOWN, topic.node, topic.channel)
            case _:
                assert_never(message.content)

    def _send_orders(self, connection: HubConnection, dev: str, request: OrdersRequest) -> None:
        site = self._site_of(dev)
        if site is None:
            detail = "name the device and its site in the hub's configuration, or enrol it"
            self._refusals.add("device_without_site", dev, detail)
            return
        if self._outgoing.has_pages(dev):
            self._refusals.add("orders_on_their_way", dev, "it asked before it had the last pages")
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
        if record_status(connection, status, now_s):
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
