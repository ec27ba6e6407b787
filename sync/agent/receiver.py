"""Each message that comes down, handed to its part; what changes nothing is counted by reason."""

from __future__ import annotations

from collections import Counter
from typing import Final, assert_never

from structlog.typing import FilteringBoundLogger

from edge.documents.revocation_order import has_order_form
from edge.values.instant import Instant
from edge.values.tenfold import is_tenfold
from sync.agent.agent_parts import AgentAddress, AgentParts, AgentSources
from sync.agent.downlink import split_documents
from sync.agent.link_monitor import LinkMonitor
from sync.agent.outcomes import DocumentOutcome, DownlinkRefusal, Outcome
from sync.agent.settings.applier import SettingsApplier
from sync.agent.status_publisher import StatusPublisher
from sync.agent.timings import AgentTimings
from sync.agent.uplink import AckEffect
from sync.mqtt.endpoint import Arrival
from sync.wire import codec
from sync.wire.messages import Ack, Command, MessageFault, MessageRefusal, Response, RestoreReply
from sync.wire.topics import Down, parse_topic

HELD_S: Final = 60.0  # after its last word, a hub counts as held; a device requests more often


class Receiver:
    """Receives for one device."""

    def __init__(
        self,
        address: AgentAddress,
        parts: AgentParts,
        sources: AgentSources,
        *,
        status: StatusPublisher,
        link_monitor: LinkMonitor,
        timings: AgentTimings,
        log: FilteringBoundLogger,
    ) -> None:
        self._address = address
        self._parts = parts
        self._sources = sources
        self._status = status
        self._link_monitor = link_monitor
        self._timings = timings
        self._log = log
        self.refused: Counter[str] = Counter()  # messages that changed nothing, by reason
        self.documents: Counter[str] = Counter()  # verified, by outcome
        self.last_ack_s: float | None = None  # monotonic; the age of it is the only liveness
        self.held_until_s = 0.0  # monotonic: the platform's hub waits for a person
        self._effects: Counter[AckEffect] = Counter()  # those that are not ordinary

    def receive(self, arrival: Arrival) -> None:
        """Handle one message. Nothing in it makes this raise; the store may."""
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
            self.held_until_s = 0.0
        self._status.note_orders()
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
            self.held_until_s = self._sources.monotonic_s() + HELD_S
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
