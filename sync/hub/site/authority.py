"""A site's authority: rules on the claims of one shop's devices, also without the platform.

At the site's broker it receives what the devices there report to the platform, so that it knows
what was redeemed. It rules on claims under the platform's lease and within its limits. It
acknowledges nothing: only the platform does.

It rules while (1) it holds a lease, and (2) its history is complete. After a start it cannot know
that: each device of the site must report its position, or the platform must send what it has. A
device may have settled more than was received here, because this process was down. Then only the
platform knows the difference, and until it has sent it no claim gets a reply.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from dataclasses import astuple
from typing import Any, Final

from edge.token.keys import Signer
from edge.token.roots import Roots
from edge.token.signed_document import DocumentRefusal
from edge.token.trust_list import TrustList, open_trust_list
from edge.values.instant import Instant
from sync.hub.arbitration import grants
from sync.hub.arbitration.grants import SoldQuantity
from sync.hub.config import HUB_TIMINGS, HubTimings
from sync.hub.ledger import ingest
from sync.hub.store import event_table, lease_table, redemption_table
from sync.hub.store.interface import HubConnection, HubStore
from sync.hub.store.lease_table import LeaseRow
from sync.hub.store.redemption_table import RedemptionRow
from sync.mqtt.endpoint import Arrival, LinkState
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.messages import Batch, Command, GrantRequest, MessageFault, MessageRefusal, Status
from sync.wire.site_lease import LEASE, Lease, LeaseReply, LeaseRequest
from sync.wire.topics import FLEET, Down, Topic, Up, parse_topic, site_group

RENEW_S: Final = 60.0
EXPIRES_S: Final = 60


class SiteAuthority:
    """Connects the authority's store to the site broker's session. Call ``step`` in a loop."""

    def __init__(
        self,
        store: HubStore,
        session: MqttSession,
        roots: Roots,
        *,
        tenant: str,
        site: str,
        name: str,
        grant_signer: Signer,
        now: Callable[[], Instant],
        monotonic: Callable[[], float],
        ident: Callable[[], str],
        log: Any,  # a structlog logger
        timings: HubTimings = HUB_TIMINGS,
    ) -> None:
        self._timings = timings
        self._store = store
        self._session = session
        self._roots = roots
        self._tenant = tenant
        self._site = site
        self._name = name
        self._signer = grant_signer
        self._now = now
        self._monotonic = monotonic
        self._ident = ident
        self._log = log
        self._connection = 0
        self._trust: TrustList | None = None
        self._term, self._until_s = self._stored_lease()
        self._missing = self._term == 0  # some reports of devices are not known here
        self._unreported = self._known_devices()  # devices without a batch since the start
        self._answers_from_s = 0.0  # monotonic
        self._after = b""
        self._catching_up = False  # the last request asked for the missing history
        self._request_due_s = 0.0
        self._state = ""
        self._link: LinkState | None = None
        self.counts: Counter[str] = Counter()

    @property
    def answers(self) -> bool:
        """Whether this authority rules on claims now."""
        leased = (
            self._term > 0
            and self._now().unix_s < self._until_s
            and self._monotonic() >= self._answers_from_s
        )
        return leased and not self._missing and not self._unreported

    def step(self, timeout_s: float = 0.1) -> None:
        """Run one turn. Raises HubStoreError."""
        arrivals = self._session.step(timeout_s)
        if arrivals:
            with self._store.transaction() as connection:
                for arrival in arrivals:
                    self._receive(connection, arrival)
            for arrival in arrivals:
                self._session.acknowledge(arrival)
        if self._session.connected:
            if self._connection != self._session.connections:
                self._connection = self._session.connections
                self._command("resend")  # what devices wrote meanwhile, and their positions
                self._request_due_s = 0.0
            self._request_lease()
        self._watch()

    def _receive(self, connection: HubConnection, arrival: Arrival) -> None:
        topic = parse_topic(arrival.topic)
        if topic is None or topic.tenant != self._tenant:
            return
        match topic.channel:
            case Down.TRUST:
                self._receive_trust(arrival.payload)
            case Down.RESPONSE if topic.node == self._name:
                self._receive_lease(connection, arrival.payload)
            case Up.EVENTS:
                self._receive_batch(connection, codec.decode_batch(arrival.payload, dev=topic.node))
            case Up.STATUS:
                status = codec.decode_addressed(Status, arrival.payload, dev=topic.node)
                if isinstance(status, Status) and status.state == "online" and self.answers:
                    self._command("authority_online")
            case Up.REQUEST:
                request = codec.decode_request(arrival.payload, dev=topic.node)
                if isinstance(request, GrantRequest):
                    self._claim(connection, request)
            case _:
                pass

    def _receive_batch(self, connection: HubConnection, batch: Batch | MessageRefusal) -> None:
        if isinstance(batch, MessageRefusal):
            return
        taken = ingest.ingest_batch(connection, batch, self._now().unix_s)
        if batch.settled_through > taken.ack.acked_through:
            if not self._missing:
                self._missing, self._after, self._request_due_s = True, b"", 0.0
            return
        grants.release_finished(connection, batch, acked_through=taken.ack.acked_through)
        if batch.dev in self._unreported:
            self._unreported.discard(batch.dev)
            if self.answers:
                self._command("authority_online")

    def _claim(self, connection: HubConnection, request: GrantRequest) -> None:
        if not self.answers or not request.order_quantity:
            return  # without a reply the device's offline policy applies
        now_s = self._now().unix_s
        ruling = grants.decide_grant(
            connection, request, SoldQuantity(request.order_quantity, request.order_amount_minor)
        )
        response = grants.grant_response(
            request, ruling, site=self._site, authority=self._name, signer=self._signer, now_s=now_s
        )
        self._publish(request.dev, Down.RESPONSE, codec.encode(response))
        self.counts[ruling.result] += 1

    def _receive_trust(self, raw: bytes) -> None:
        known = 0 if self._trust is None else self._trust.version
        trust = open_trust_list(raw, roots=self._roots, now=self._now(), highest_version=known)
        if isinstance(trust, DocumentRefusal):
            self._log.warning("message_refused", reason=trust.fault, detail=trust.detail)
        else:
            self._trust = trust

    def _receive_lease(self, connection: HubConnection, payload: bytes) -> None:
        reply = codec.decode(LeaseReply, payload)
        if isinstance(reply, MessageRefusal) or self._trust is None:
            return
        if reply.refused:
            self._log_state("lease_refused", reply.refused)
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
        if key.audiences is not None:  # a site's own key, valid for its audience alone
            self._log.warning(
                "message_refused",
                reason=MessageFault.WRONG_SITE,
                detail="a site's key cannot sign a lease",
            )
        elif (lease.site, lease.holder) == (
            self._site,
            self._name,
        ) and lease.until_s >= self._until_s:
            self._adopt(connection, lease)

    def _adopt(self, connection: HubConnection, lease: Lease) -> None:
        if lease.term != self._term and not self._catching_up:
            self._missing, self._after = True, b""
        if lease.term != self._term or self._now().unix_s >= self._until_s:
            # Until now the platform ruled: wait until its last grants are used or have expired.
            self._answers_from_s = self._monotonic() + self._timings.hand_over_s
        for use in lease.uses:
            redemption_table.insert_redemption(connection, RedemptionRow(*astuple(use)))
        event_table.raise_acked_through(connection, lease.streams)
        lease_table.put_lease(
            connection, lease.site, LeaseRow(lease.holder, lease.term, lease.until_s)
        )
        caught_up = self._catching_up and not lease.next
        self._term, self._until_s, self._after = lease.term, lease.until_s, lease.next
        self._request_due_s = self._monotonic() + (0.0 if lease.next else RENEW_S)
        if caught_up:
            self._missing, self._catching_up = False, False
            self._unreported.clear()
        elif self._missing and not lease.next:
            self._request_due_s = 0.0
        if self.answers:
            self._command("authority_online")

    def _request_lease(self) -> None:
        if self._monotonic() < self._request_due_s or self._trust is None:
            return
        self._request_due_s = self._monotonic() + self._timings.lease_retry_s
        self._catching_up = self._missing or bool(self._unreported)
        request = LeaseRequest(
            id=self._ident(),
            site=self._site,
            term=self._term,
            catch_up=self._catching_up,
            after=self._after.hex(),
        )
        self._session.publish(
            str(Topic(self._tenant, self._name, Up.REQUEST)), codec.encode(request), expires_s=5
        )

    def _stored_lease(self) -> tuple[int, int]:
        with self._store.read() as connection:
            lease = lease_table.lease_of(connection, self._site)
        return (
            (0, 0) if lease is None or lease.holder != self._name else (lease.term, lease.until_s)
        )

    def _known_devices(self) -> set[str]:
        with self._store.read() as connection:
            return {dev for dev, _, _ in event_table.all_streams(connection)}

    def _command(self, kind: str) -> None:
        node = site_group(self._site)
        command = Command(
            dev=node, type="authority_online" if kind == "authority_online" else "resend"
        )
        self._session.publish(
            str(Topic(self._tenant, node, Down.COMMAND)), codec.encode(command), expires_s=EXPIRES_S
        )

    def _publish(self, node: str, channel: Down, payload: bytes) -> None:
        self._session.publish(str(Topic(self._tenant, node, channel)), payload, expires_s=5)

    def _watch(self) -> None:
        if self._session.link is not self._link:
            self._link = self._session.link
            self._log.info("link", state=self._link, detail=self._session.detail)
        if self.answers:
            if self._state != "answers":
                self._command("authority_online")
            self._log_state("answers", f"term {self._term}")
        elif self._term == 0:
            self._log_state("no_lease", "") if not self._state.startswith("lease_refused") else None
        elif self._now().unix_s >= self._until_s:
            self._log_state("lease_over", f"term {self._term}")
        else:
            self._log_state(
                "catching_up" if self._missing or self._unreported else "taking_over",
                f"term {self._term}",
            )

    def _log_state(self, state: str, detail: str) -> None:
        """Log each change of state."""
        if state != self._state:
            self._state = state
            self._log.info("authority", state=state, detail=detail)


def authority_filters(tenant: str, name: str) -> list[str]:
    """Return an authority's subscriptions at its site's broker."""
    up = [f"v1/{tenant}/+/up/{channel.value}" for channel in (Up.EVENTS, Up.REQUEST, Up.STATUS)]
    return [*up, f"v1/{tenant}/{name}/dn/res", f"v1/{tenant}/{FLEET}/dn/trust"]
