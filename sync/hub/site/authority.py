"""A site's authority: answers the claims of one shop's devices, also while the line to the platform is cut.

It listens at the site's broker to what the devices there tell the platform, so that it knows what was honoured,
and rules on claims by the platform's lease and within it. It acknowledges nothing: only the platform does.

It answers while (1) it holds a lease, and (2) it has heard everything. After a start it cannot know that: each
device of the site has to say how far it is, or the platform what it has. Where a device has settled more than was
heard here (this process was down), only the platform can tell, and until then nobody is answered.
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
    """Joins the authority's store to one session with the site's broker. ``step`` is the whole of it."""

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
        self._term, self._until_s = self._kept()
        self._missing = self._term == 0  # something that devices told is not known here
        self._unheard = self._known_devices()  # since the start
        self._answers_from_s = 0.0  # monotonic
        self._after = b""
        self._catching_up = False  # the last request asked for what was missed
        self._ask_due_s = 0.0
        self._state = ""
        self._link: LinkState | None = None
        self.counts: Counter[str] = Counter()

    @property
    def answers(self) -> bool:
        """Whether claims are ruled on now."""
        leased = (
            self._term > 0
            and self._now().unix_s < self._until_s
            and self._monotonic() >= self._answers_from_s
        )
        return leased and not self._missing and not self._unheard

    def step(self, timeout_s: float = 0.1) -> None:
        """One turn. Raises HubStoreError."""
        arrivals = self._session.step(timeout_s)
        if arrivals:
            with self._store.transaction() as connection:
                for arrival in arrivals:
                    self._take(connection, arrival)
            for arrival in arrivals:
                self._session.acknowledge(arrival)
        if self._session.connected:
            if self._connection != self._session.connections:
                self._connection = self._session.connections
                self._command("resend")  # what devices wrote meanwhile, and how far they are
                self._ask_due_s = 0.0
            self._ask()
        self._watch()

    def _take(self, connection: HubConnection, arrival: Arrival) -> None:
        topic = parse_topic(arrival.topic)
        if topic is None or topic.tenant != self._tenant:
            return
        match topic.channel:
            case Down.TRUST:
                self._trusted(arrival.payload)
            case Down.RESPONSE if topic.node == self._name:
                self._leased(connection, arrival.payload)
            case Up.EVENTS:
                self._heard(connection, codec.decode_batch(arrival.payload, dev=topic.node))
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

    def _heard(self, connection: HubConnection, batch: Batch | MessageRefusal) -> None:
        if isinstance(batch, MessageRefusal):
            return
        taken = ingest.ingest_batch(connection, batch, self._now().unix_s)
        if batch.settled_through > taken.ack.acked_through:
            if not self._missing:
                self._missing, self._after, self._ask_due_s = True, b"", 0.0
            return
        grants.release_finished(connection, batch, acked_through=taken.ack.acked_through)
        if batch.dev in self._unheard:
            self._unheard.discard(batch.dev)
            if self.answers:
                self._command("authority_online")

    def _claim(self, connection: HubConnection, request: GrantRequest) -> None:
        if not self.answers or not request.order_quantity:
            return  # nobody answers: the device's offline policy holds
        now_s = self._now().unix_s
        ruling = grants.decide_grant(
            connection, request, SoldQuantity(request.order_quantity, request.order_amount_minor)
        )
        answer = grants.grant_response(
            request, ruling, site=self._site, authority=self._name, signer=self._signer, now_s=now_s
        )
        self._publish(request.dev, Down.RESPONSE, codec.encode(answer))
        self.counts[ruling.result] += 1

    def _trusted(self, raw: bytes) -> None:
        known = 0 if self._trust is None else self._trust.version
        trust = open_trust_list(raw, roots=self._roots, now=self._now(), highest_version=known)
        if isinstance(trust, DocumentRefusal):
            self._log.warning("message_refused", reason=trust.fault, detail=trust.detail)
        else:
            self._trust = trust

    def _leased(self, connection: HubConnection, payload: bytes) -> None:
        answer = codec.decode(LeaseReply, payload)
        if isinstance(answer, MessageRefusal) or self._trust is None:
            return
        if answer.refused:
            self._tell("lease_refused", answer.refused)
            return
        try:
            raw = b64decode(answer.signed, validate=True)
        except (binascii.Error, ValueError):
            return
        opened = LEASE.open_with_key(raw, self._trust, now=self._now())
        if isinstance(opened, DocumentRefusal):
            self._log.warning("message_refused", reason=opened.fault, detail=opened.detail)
            return
        lease, key = opened
        if key.audiences is not None:  # a site's own key, which is for its audience alone
            self._log.warning(
                "message_refused",
                reason=MessageFault.WRONG_SITE,
                detail="a site's key gives no lease",
            )
        elif (lease.site, lease.holder) == (
            self._site,
            self._name,
        ) and lease.until_s >= self._until_s:
            self._adopt(connection, lease)

    def _adopt(self, connection: HubConnection, lease: Lease) -> None:
        if lease.term != self._term and not self._catching_up:
            self._missing, self._after = True, b""
        if (
            lease.term != self._term or self._now().unix_s >= self._until_s
        ):  # until now the platform has answered
            self._answers_from_s = self._monotonic() + self._timings.hand_over_s
        for use in lease.uses:
            redemption_table.insert_redemption(connection, RedemptionRow(*astuple(use)))
        event_table.raise_acked_through(connection, lease.streams)
        lease_table.put_lease(
            connection, lease.site, LeaseRow(lease.holder, lease.term, lease.until_s)
        )
        caught_up = self._catching_up and not lease.next
        self._term, self._until_s, self._after = lease.term, lease.until_s, lease.next
        self._ask_due_s = self._monotonic() + (0.0 if lease.next else RENEW_S)
        if caught_up:
            self._missing, self._catching_up = False, False
            self._unheard.clear()
        elif self._missing and not lease.next:
            self._ask_due_s = 0.0
        if self.answers:
            self._command("authority_online")

    def _ask(self) -> None:
        if self._monotonic() < self._ask_due_s or self._trust is None:
            return
        self._ask_due_s = self._monotonic() + self._timings.lease_retry_s
        self._catching_up = self._missing or bool(self._unheard)
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

    def _kept(self) -> tuple[int, int]:
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
            self._tell("answers", f"term {self._term}")
        elif self._term == 0:
            self._tell("no_lease", "") if not self._state.startswith("lease_refused") else None
        elif self._now().unix_s >= self._until_s:
            self._tell("lease_over", f"term {self._term}")
        else:
            self._tell(
                "catching_up" if self._missing or self._unheard else "taking_over",
                f"term {self._term}",
            )

    def _tell(self, state: str, detail: str) -> None:
        """A line for each change of state."""
        if state != self._state:
            self._state = state
            self._log.info("authority", state=state, detail=detail)


def authority_filters(tenant: str, name: str) -> list[str]:
    """What an authority listens to at its site's broker."""
    up = [f"v1/{tenant}/+/up/{channel.value}" for channel in (Up.EVENTS, Up.REQUEST, Up.STATUS)]
    return [*up, f"v1/{tenant}/{name}/dn/res", f"v1/{tenant}/{FLEET}/dn/trust"]
