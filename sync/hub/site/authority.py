"""A site's authority: decides the grants of one shop's devices, also without the platform.

At the site's broker it receives what the devices there report to the platform, so that it knows
what was redeemed. It decides under the platform's lease and within its limits. It acknowledges
nothing: only the platform does.

It decides while (1) it holds a lease, and (2) its history is complete. After a start it cannot know
that: each device of the site must report its position, or the platform must send what it has. A
device may hold more as acknowledged than was received here, because this process was down. Then
only the platform knows the difference, and until it has sent it no request gets a reply.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import astuple
from typing import Final, Literal

from edge.token.signed_document import DocumentRefusal
from edge.token.trust_list import TrustList, open_trust_list
from edge.values.node_name import FLEET
from sync.hub.arbitration import grants
from sync.hub.arbitration.grants import SoldQuantity
from sync.hub.ledger import ingest, restore_pages
from sync.hub.site.authority_parts import AuthorityIdentity, AuthorityParts, AuthorityState
from sync.hub.store import event_table, lease_table, redemption_table
from sync.hub.store.interface import HubConnection, UnfitValueError
from sync.hub.store.lease_table import LeaseRow
from sync.hub.store.redemption_table import RedemptionRow
from sync.mqtt.endpoint import Arrival, LinkState
from sync.wire import codec
from sync.wire.limits import MOST_MESSAGE_BYTES
from sync.wire.messages import (
    Batch,
    Command,
    GrantRequest,
    MessageFault,
    MessageRefusal,
    RestoreRequest,
    Status,
)
from sync.wire.site_lease import LEASE, Lease, LeaseReply, LeaseRequest
from sync.wire.topics import Down, Topic, Up, parse_topic, site_group

RENEW_S: Final = 60.0
COMMAND_EXPIRES_S: Final = 60
RESPONSE_EXPIRES_S: Final = 5  # a device waits for no longer


class SiteAuthority:
    """Connects the authority's store to the site broker's session. Call ``step`` in a loop."""

    def __init__(self, identity: AuthorityIdentity, parts: AuthorityParts) -> None:
        self._identity = identity
        self._parts = parts
        self._store = parts.store
        self._session = parts.session
        self._now = parts.now
        self._monotonic = parts.monotonic
        self._log = parts.log
        self._connection = 0
        self._trust: TrustList | None = None
        self._term, self._until_s = self._stored_lease()
        self._missing = self._term == 0  # some reports of devices are not known here
        self._unreported = self._known_devices()  # devices without a batch since the start
        self._replies_from_s = 0.0  # monotonic
        self._after = ""  # where the next page of the platform's redemptions begins
        self._whole = False  # on this connection the platform has sent all that it had
        self._catching_up = False  # the last request asked for the missing history
        self._request_due_s = 0.0
        self._state: AuthorityState | None = None
        self._link: LinkState | None = None

    @property
    def is_replying(self) -> bool:
        """Return whether grant requests get a reply now."""
        leased = (
            self._term > 0
            and self._now().unix_s < self._until_s
            and self._monotonic() >= self._replies_from_s
        )
        return leased and not self._missing and not self._unreported

    def step(self, timeout_s: float = 0.1) -> None:
        """Handle what arrives, and renew the lease when that is due. Raises HubStoreError."""
        for arrival in self._session.step(timeout_s):
            self._handle_alone(arrival)
            self._session.acknowledge(arrival)
        if self._session.connected:
            if self._connection != self._session.connections:
                self._connection = self._session.connections
                self._whole = False
                self._command("resend")  # what devices wrote meanwhile, and how far they are
                self._request_due_s = 0.0
            self._request_lease()
        self._log_changes()

    # Receive

    def _handle_alone(self, arrival: Arrival) -> None:
        """Handle one message in a transaction of its own, so that it fails alone."""
        try:
            with self._store.transaction() as connection:
                self._handle(connection, arrival)
        except UnfitValueError as error:
            self._log.warning("message_refused", reason=MessageFault.VALUE_UNFIT, detail=str(error))

    def _handle(self, connection: HubConnection, arrival: Arrival) -> None:
        topic = parse_topic(arrival.topic)
        if topic is None or topic.tenant != self._identity.tenant:
            return
        match topic.channel:
            case Down.TRUST:
                self._receive_trust_list(arrival.payload)
            case Down.RESPONSE if topic.node == self._identity.name:
                self._receive_lease(connection, arrival.payload)
            case Up.EVENTS:
                self._ingest(connection, codec.decode_batch(arrival.payload, dev=topic.node))
            case Up.STATUS:
                status = codec.decode_addressed(Status, arrival.payload, dev=topic.node)
                if isinstance(status, Status) and status.state == "online" and self.is_replying:
                    self._command("authority_online")
            case Up.REQUEST:
                request = codec.decode_request(arrival.payload, dev=topic.node)
                if isinstance(request, GrantRequest):
                    self._decide(connection, request)
                elif isinstance(request, RestoreRequest):
                    self._give_back(connection, request)
            case _:
                pass

    def _ingest(self, connection: HubConnection, batch: Batch | MessageRefusal) -> None:
        if isinstance(batch, MessageRefusal):
            return
        ack = ingest.ingest_batch(connection, batch, self._now().unix_s).ack
        if batch.acknowledged_through > ack.committed_through:
            if not self._missing:
                self._missing, self._after, self._request_due_s = True, "", 0.0
            return
        grants.release_finished(connection, batch, committed_through=ack.committed_through)
        if batch.dev in self._unreported:
            self._unreported.discard(batch.dev)
            if self.is_replying:
                self._command("authority_online")

    def _decide(self, connection: HubConnection, request: GrantRequest) -> None:
        if not self.is_replying or not request.order_quantity:
            return  # without a reply the device's offline policy holds
        sold = SoldQuantity(request.order_quantity, request.order_amount_minor)
        response = grants.grant_response(
            request,
            grants.decide_grant(connection, request, sold),
            site=self._identity.site,
            authority=self._identity.name,
            signer=self._parts.grant_signer,
            now_s=self._now().unix_s,
        )
        topic = str(Topic(self._identity.tenant, request.dev, Down.RESPONSE))
        self._session.publish(topic, codec.encode(response), expires_s=RESPONSE_EXPIRES_S)

    def _give_back(self, connection: HubConnection, request: RestoreRequest) -> None:
        """Send a device a page of what it has lost.

        A device that has lost its store cannot show that events of it are missing here. So the
        platform must have sent all that it had, on this connection.
        """
        if not self.is_replying or not self._whole:
            return
        page = restore_pages.restore_page(
            connection,
            request,
            site=self._identity.site,
            authority=self._identity.name,
            now_s=self._now().unix_s,
            only_site=True,
        )
        reply = restore_pages.restore_reply(page, self._parts.grant_signer)
        topic = str(Topic(self._identity.tenant, request.dev, Down.RESPONSE))
        self._session.publish(topic, codec.encode(reply), expires_s=RESPONSE_EXPIRES_S)

    def _receive_trust_list(self, raw: bytes) -> None:
        known = 0 if self._trust is None else self._trust.version
        trust = open_trust_list(
            raw, roots=self._parts.roots, now=self._now(), highest_version=known
        )
        if isinstance(trust, DocumentRefusal):
            self._log.warning("message_refused", reason=trust.fault, detail=trust.detail)
        else:
            self._trust = trust

    def _receive_lease(self, connection: HubConnection, payload: bytes) -> None:
        reply = codec.decode(LeaseReply, payload, largest=MOST_MESSAGE_BYTES)
        if isinstance(reply, MessageRefusal) or self._trust is None:
            return
        if reply.refused:
            self._log_state(AuthorityState.LEASE_REFUSED, reply.refused)
            return
        try:
            raw = b64decode(reply.signed, validate=True)
        except (binascii.Error, ValueError):
            return
        opened = LEASE.open_with_key(raw, self._trust, now=self._now())
        if isinstance(opened, DocumentRefusal):
            self._log.warning("message_refused", reason=opened.fault, detail=opened.detail)
            return
        lease, key = opened
        mine = (self._identity.site, self._identity.name)
        if key.audiences is not None:  # a site's own key, which is for its audience alone
            detail = "a site's key gives no lease"
            self._log.warning("message_refused", reason=MessageFault.WRONG_SITE, detail=detail)
        elif (lease.site, lease.holder) == mine and lease.until_s >= self._until_s:
            self._adopt(connection, lease)

    def _adopt(self, connection: HubConnection, lease: Lease) -> None:
        new_term = lease.term != self._term
        if new_term and not self._catching_up:
            self._missing, self._after = True, ""
        if new_term or self._now().unix_s >= self._until_s:  # until now the platform has replied
            self._replies_from_s = self._monotonic() + self._parts.timings.hand_over_s
        self._store_lease(connection, lease)
        caught_up = self._catching_up and not lease.next
        self._term, self._until_s, self._after = lease.term, lease.until_s, lease.next
        self._request_due_s = self._monotonic() + (0.0 if lease.next else RENEW_S)
        if caught_up:
            self._missing, self._catching_up, self._whole = False, False, True
            self._unreported.clear()
        elif self._missing and not lease.next:
            self._request_due_s = 0.0
        if self.is_replying:
            self._command("authority_online")

    # Store

    def _store_lease(self, connection: HubConnection, lease: Lease) -> None:
        """Store a lease, and what the platform had from the site's devices."""
        for use in lease.uses:
            redemption_table.insert_redemption(connection, RedemptionRow(*astuple(use)))
        event_table.raise_committed_through(connection, lease.streams)
        row = LeaseRow(lease.holder, lease.term, lease.until_s)
        lease_table.put_lease(connection, lease.site, row)

    def _stored_lease(self) -> tuple[int, int]:
        """Return term and end (Unix seconds) of the last lease; zeros for none."""
        with self._store.read() as connection:
            lease = lease_table.lease_of(connection, self._identity.site)
        if lease is None or lease.holder != self._identity.name:
            return 0, 0
        return lease.term, lease.until_s

    def _known_devices(self) -> set[str]:
        with self._store.read() as connection:
            return {dev for dev, _, _ in event_table.all_streams(connection)}

    # Publish

    def _request_lease(self) -> None:
        if self._monotonic() < self._request_due_s or self._trust is None:
            return
        self._request_due_s = self._monotonic() + self._parts.timings.lease_retry_s
        self._catching_up = self._missing or bool(self._unreported)
        request = LeaseRequest(
            id=self._parts.new_id(),
            site=self._identity.site,
            term=self._term,
            catch_up=self._catching_up,
            after=self._after,
        )
        topic = str(Topic(self._identity.tenant, self._identity.name, Up.REQUEST))
        self._session.publish(topic, codec.encode(request), expires_s=RESPONSE_EXPIRES_S)

    def _command(self, kind: Literal["resend", "authority_online"]) -> None:
        node = site_group(self._identity.site)
        topic = str(Topic(self._identity.tenant, node, Down.COMMAND))
        command = codec.encode(Command(dev=node, type=kind))
        self._session.publish(topic, command, expires_s=COMMAND_EXPIRES_S)

    def _log_changes(self) -> None:
        if self._session.link is not self._link:
            self._link = self._session.link
            self._log.info("link", state=self._link, detail=self._session.detail)
        self._session.oversized.log_news(self._log)
        state = self._current_state()
        if state is AuthorityState.REPLYING and self._state is not AuthorityState.REPLYING:
            self._command("authority_online")
        self._log_state(state, f"term {self._term}" if self._term else "")

    def _current_state(self) -> AuthorityState:
        if self.is_replying:
            return AuthorityState.REPLYING
        if self._term == 0:
            refused = self._state is AuthorityState.LEASE_REFUSED
            return AuthorityState.LEASE_REFUSED if refused else AuthorityState.NO_LEASE
        if self._now().unix_s >= self._until_s:
            return AuthorityState.LEASE_EXPIRED
        if self._missing or self._unreported:
            return AuthorityState.CATCHING_UP
        return AuthorityState.TAKING_OVER

    def _log_state(self, state: AuthorityState, detail: str) -> None:
        """Log each change of state."""
        if state is not self._state:
            self._state = state
            self._log.info("authority", state=state, detail=detail)


def authority_filters(tenant: str, name: str) -> list[str]:
    """Return what an authority subscribes to at its site's broker."""
    up = [f"v1/{tenant}/+/up/{channel.value}" for channel in (Up.EVENTS, Up.REQUEST, Up.STATUS)]
    return [*up, f"v1/{tenant}/{name}/dn/res", f"v1/{tenant}/{FLEET}/dn/trust"]
