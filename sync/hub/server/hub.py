"""``edge-hub run``: the platform's end of the protocol. One loop, no threads.

Everything that arrives in one turn is stored in one transaction, and acknowledged only after the
commit. The hub signs the order feed; trust and status lists are files that it publishes unchanged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, assert_never

from edge.token.keys import Signer
from sync.hub.arbitration import grants, site_leases
from sync.hub.config import HubAuthority, HubConfig
from sync.hub.fleet.fleet_service import FleetService
from sync.hub.ledger import ingest
from sync.hub.orders import order_lines
from sync.hub.server.inbound import InboundMessage, concerning, read
from sync.hub.server.list_publisher import ListPublisher
from sync.hub.server.order_publisher import OrderPublisher
from sync.hub.server.review_publisher import ReviewPublisher
from sync.hub.store.interface import HubStore
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
from sync.wire.site_lease import Lease, LeaseRequest
from sync.wire.topics import FLEET, HUB, OPS, SITE_PREFIX, Down, Topic, Up

FILES_EVERY_S: Final = 1.0
LEAD_EVERY_S: Final = 1.0  # how often a hub that is not the leader tries to become it

Outgoing = tuple[Topic, bytes]


class Hub:
    """Connects the hub's store to one MQTT session. Call ``step`` in a loop."""

    def __init__(
        self,
        config: HubConfig,
        store: HubStore,
        session: MqttSession,
        *,
        feed_signer: Signer,
        published: ListPublisher,
        now_us: Callable[[], int],
        monotonic: Callable[[], float],
        log: Any,  # a structlog logger
        office: FleetService | None = None,
        grant_signer: Signer | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._session = session
        self._orders = OrderPublisher(
            feed_signer, heartbeat_s=config.feed_heartbeat_s, now_s=self._now_s
        )
        self._published = published
        self._now_us = now_us
        self._monotonic = monotonic
        self._log = log
        self._office = office
        self._grant_signer = grant_signer
        self._authorities = {authority.id: authority for authority in config.authority}
        self._site_of = {device.id: device.site for device in config.device}
        self._reviews = ReviewPublisher(feed_signer, site_of=self._site, now_s=self._now_s)
        self._connection = 0
        self._link: LinkState | None = None
        self._outgoing: list[Outgoing] = []
        self._files_due_s = 0.0
        self._lead_due_s = 0.0
        self.leads = False
        self._unsent_since_s: float | None = (
            None  # monotonic; since when a message waits to be sent
        )
        self._published_s: dict[str, int] = {}  # last publication of each feed, Unix seconds
        self.counts: Counter[str] = Counter()

    def step(self, timeout_s: float = 0.1) -> None:
        """Run one turn. Raises HubStoreError; no message from the network makes it raise."""
        arrivals = self._session.step(0.0 if self._outgoing else timeout_s)
        if arrivals:
            incoming = [read(arrival, tenant=self._config.tenant) for arrival in arrivals]
            with self._store.transaction(concerning(incoming, self._site)) as connection:
                for item in incoming:
                    self._take(connection, item)
            for arrival in arrivals:
                self._session.acknowledge(arrival)
        if self._session.connected:
            if self._connection != self._session.connections:
                self._begin()
            if self._lead():
                self._publish_files()
                for source in (self._orders, self._reviews):
                    for node, page in source.due(self._store, self._monotonic()):
                        self._queue(node, Down.ORDERS, page)
            if self._office is not None:
                self._office.publish(self._session)
        else:
            self._outgoing.clear()  # devices ask again
        self._flush()
        self._watch()

    def report(self) -> dict[str, Any]:
        """Return the state of this hub, for its metrics."""
        events = {name: self.counts[name] for name in ("events", "repeated", "refused")}
        return {
            "link": self._link,
            "connections": self._session.connections,
            "leader": self.leads,
            "events": {
                "new": events["events"],
                "repeated": events["repeated"],
                "refused": events["refused"],
            },
            "refused_messages": {
                name: count for name, count in self.counts.items() if name not in events
            },
            "oldest_unanswered_s": 0.0
            if self._unsent_since_s is None
            else self._monotonic() - self._unsent_since_s,
            "feeds": dict(self._published_s),
        }

    def _begin(self) -> None:
        self._connection = self._session.connections
        self._published.forget()
        self._reviews.forget()
        self._files_due_s = 0.0
        if self._office is not None:
            self._office.start_over()
        command = codec.encode(Command(dev=FLEET))
        self._session.publish(
            self._topic(FLEET, Down.COMMAND), command, expires_s=COMMAND_EXPIRES_S
        )

    def _lead(self) -> bool:
        """Return whether this hub leads: only the leader publishes to groups and stores reports.

        A hub that does not lead tries to, every ``LEAD_EVERY_S``.
        """
        if not self.leads and self._monotonic() >= self._lead_due_s:
            self._lead_due_s = self._monotonic() + LEAD_EVERY_S
            self.leads = self._store.lead()
            if self.leads:
                self._log.info("became_leader")
                self._session.resubscribe()  # the retained reports that it skipped before
                self._published.forget()
                self._files_due_s = 0.0
                self._orders.begin()
        return self.leads

    def _take(self, connection: Any, incoming: InboundMessage) -> None:
        topic, payload = incoming.topic, incoming.arrival.payload
        if topic is None:
            self._count(MessageFault.TOPIC_UNKNOWN, "", "")
            return
        match topic.channel:
            case Up.STATUS | Up.CONFIG if not self._lead():
                pass  # every hub receives these in order; only the leader stores them
            case Up.REQUEST if self._office is not None and topic.node == OPS:
                self._office.handle_request(connection, payload)
            case Up.REQUEST if topic.node in self._authorities:
                self._lease(connection, self._authorities[topic.node], payload)
            case Up.CONFIG if self._office is not None:
                self._office.record_report(topic.node, payload)
            case _:
                self._message(connection, topic, incoming)

    def _message(self, connection: Any, topic: Topic, incoming: InboundMessage) -> None:
        match incoming.message:
            case Batch() as batch:
                self._events(connection, topic.node, batch)
            case OrdersRequest() | GrantRequest() as request:
                self._request(connection, topic.node, request)
            case Status() as status:
                self._status(connection, topic.node, status)
            case MessageRefusal() as malformed:
                self._count(malformed.fault, topic.node, malformed.detail)
            case None:
                self._count(MessageFault.TOPIC_UNKNOWN, topic.node, topic.channel)
            case _:
                assert_never(incoming.message)

    def _events(self, connection: Any, dev: str, batch: Batch) -> None:
        taken = ingest.ingest_batch(connection, batch, self._now_s())
        self.counts.update(events=taken.fresh, repeated=taken.repeated, refused=taken.refused)
        if taken.refused:
            self._log.warning(
                "events_refused",
                dev=dev,
                refused=[item.model_dump() for item in taken.ack.rejected[:10]],
            )
        self._acknowledge(dev, taken.ack)
        grants.release_finished(connection, batch, acked_through=taken.ack.acked_through)
        for other in sorted(taken.also_notify):
            self._log.warning("double_redemption", dev=dev, other=other)
            if (stream := ingest.latest_epoch(connection, other)) is not None:
                epoch, through = stream
                self._acknowledge(
                    other,
                    ingest.acknowledgement(
                        connection, other, epoch, acked_through=through, settled_through=through
                    ),
                )

    def _request(self, connection: Any, dev: str, request: OrdersRequest | GrantRequest) -> None:
        site = self._site(dev)
        match request:
            case OrdersRequest():
                if site is None:
                    self._count(
                        "device_without_site",
                        dev,
                        "name the device and its site in the hub's configuration",
                    )
                    return
                for page in order_lines.pages_for(
                    connection, site, request, now_s=self._now_s(), now_us=self._now_us()
                ):
                    self._queue(dev, Down.ORDERS, self._orders.signed(page))
                for node, decided in self._reviews.asked(connection, dev):
                    self._queue(node, Down.ORDERS, decided)
            case GrantRequest():
                self._claim(connection, request, site)
            case _:
                assert_never(request)

    def _claim(self, connection: Any, request: GrantRequest, site: str | None) -> None:
        if self._grant_signer is None or site is None:
            missing = "device_without_site" if site is None else "grant_key_missing"
            self._count(
                missing,
                request.dev,
                "name the device's site, "
                "and put grant.pem of the fleet's keys beside order_feed.pem",
            )
            return
        if site_leases.is_out(connection, site, self._now_s()):
            return  # only the site's authority may reply
        ruling = grants.arbitrate(connection, request, site=site, now_s=self._now_s())
        response = grants.grant_response(
            request,
            ruling,
            site=site,
            authority=HUB,
            signer=self._grant_signer,
            now_s=self._now_s(),
        )
        self._queue(request.dev, Down.RESPONSE, codec.encode(response))

    def _lease(self, connection: Any, authority: HubAuthority, payload: bytes) -> None:
        request = codec.decode(LeaseRequest, payload)
        if (
            isinstance(request, MessageRefusal)
            or request.site != authority.site
            or self._grant_signer is None
        ):
            self._count(
                "lease_request",
                authority.id,
                "not of its site, or there is no grant.pem to sign with",
            )
            return
        granted = site_leases.grant_lease(
            connection, request, holder=authority.id, lease_s=authority.lease_s, now_s=self._now_s()
        )
        if isinstance(granted, Lease):
            site, streams = granted.site, granted.streams
            granted = replace(
                granted, streams=tuple(item for item in streams if self._site(item[0]) == site)
            )
        self._queue(
            authority.id,
            Down.RESPONSE,
            codec.encode(site_leases.lease_reply(request, granted, self._grant_signer)),
        )

    def _site(self, dev: str) -> str | None:
        return self._site_of.get(dev) if self._office is None else self._office.site_of(dev)

    def _status(self, connection: Any, dev: str, status: Status) -> None:
        if ingest.record_status(connection, status, self._now_s()):
            self._count(
                "two_devices_with_one_identity", dev, "revoke the certificate and enrol both again"
            )
        if status.state == "online" and self._rules(connection, self._site(dev)):
            self._queue(dev, Down.COMMAND, codec.encode(Command(dev=dev, type="authority_online")))

    def _rules(self, connection: Any, site: str | None) -> bool:
        """Return whether the platform itself rules on claims of ``site`` now."""
        if site is None or self._grant_signer is None:
            return False
        return not site_leases.is_out(connection, site, self._now_s())

    def _publish_files(self) -> None:
        """Publish the signed lists, retained, when they have changed."""
        if self._monotonic() < self._files_due_s:
            return
        self._files_due_s = self._monotonic() + FILES_EVERY_S
        for node, channel, payload in self._published.changed(self._log):
            if self._session.publish(self._topic(node, channel), payload, retain=True):
                self._published_s[f"{node}/{channel}"] = self._now_s()
            else:
                self._published.forget()

    def _acknowledge(self, dev: str, ack: Ack) -> None:
        self._queue(dev, Down.ACK, codec.encode(ack))

    def _queue(self, node: str, channel: Down, payload: bytes) -> None:
        if channel is Down.ORDERS and node.startswith(SITE_PREFIX):
            self._published_s[f"{node}/{channel}"] = self._now_s()
        self._outgoing.append((Topic(self._config.tenant, node, channel), payload))

    def _flush(self) -> None:
        sent = 0
        for topic, payload in self._outgoing:
            if not self._session.publish(str(topic), payload):
                break
            sent += 1
        del self._outgoing[:sent]
        if not self._outgoing:
            self._unsent_since_s = None
        elif sent or self._unsent_since_s is None:
            self._unsent_since_s = self._monotonic()

    def _watch(self) -> None:
        if self._session.link is not self._link:
            self._link = self._session.link
            note = self._log.warning if self._link.is_permanent else self._log.info
            note("link", state=self._link, detail=self._session.detail)

    def _count(self, reason: str, dev: str, detail: str) -> None:
        self.counts[str(reason)] += 1
        count = self.counts[str(reason)]
        if count == 10 ** (len(str(count)) - 1):
            self._log.warning(
                "message_refused", reason=str(reason), dev=dev, detail=detail, count=count
            )

    def _topic(self, node: str, channel: Down) -> str:
        return str(Topic(self._config.tenant, node, channel))

    def _now_s(self) -> int:
        return self._now_us() // 1_000_000
