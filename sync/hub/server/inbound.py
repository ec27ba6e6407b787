"""Messages of nodes that wait for the hub, decoded when it is their turn.

The transaction must know beforehand which names a message will concern.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sync.hub.ledger.ingest import BatchIngest
from sync.mqtt.endpoint import Arrival
from sync.wire import codec
from sync.wire.codec import BatchReader
from sync.wire.messages import (
    GrantRequest,
    MessageRefusal,
    OrdersRequest,
    RestoreRequest,
    Status,
)
from sync.wire.topics import Topic, Up, parse_topic

Content = BatchIngest | OrdersRequest | GrantRequest | RestoreRequest | Status | MessageRefusal


@dataclass(slots=True, eq=False)
class InboundMessage:
    """A message of this protocol and tenant. Nothing in it is verified yet.

    Only its sender is certain, because the broker has authenticated it.
    """

    topic: Topic
    payload: bytes
    # None before ``decode``, and after it on channels that are decoded elsewhere.
    content: Content | None = None
    _reader: BatchReader | None = None

    def decode(self, may_continue: Callable[[], bool]) -> bool:
        """Decode the payload. Return False when some of a batch is left for the next call."""
        match self.topic.channel:
            case _ if self.content is not None:
                return True
            case Up.EVENTS:
                return self._decode_batch(may_continue)
            case Up.REQUEST:
                self.content = codec.decode_request(self.payload, dev=self.topic.node)
            case Up.STATUS:
                self.content = codec.decode_addressed(Status, self.payload, dev=self.topic.node)
            case _:
                pass
        return True

    def _decode_batch(self, may_continue: Callable[[], bool]) -> bool:
        if self._reader is None:
            opened = codec.open_batch(self.payload, dev=self.topic.node)
            if isinstance(opened, MessageRefusal):
                self.content = opened
                return True
            self._reader = opened
        batch = self._reader.advance(may_continue)
        if batch is not None:
            self.content = batch if isinstance(batch, MessageRefusal) else BatchIngest(batch)
        return batch is not None


def read_message(arrival: Arrival, *, tenant: str) -> InboundMessage | None:
    """Return the message of an arrival; None for another protocol or tenant."""
    topic = parse_topic(arrival.topic)
    if topic is None or topic.tenant != tenant:
        return None
    return InboundMessage(topic, arrival.payload)


def concerned_names(
    message: InboundMessage, site_of: Callable[[str], str | None]
) -> frozenset[str]:
    """Return the names of everything in the store that the next transaction reads or changes."""
    return frozenset(_names(message, site_of))


def lease_name(site: str | None) -> str:
    """Return the name of a site's lease: a grant and a lease of one site exclude each other."""
    return f"lease {site}"


def _names(message: InboundMessage, site_of: Callable[[str], str | None]) -> Iterable[str]:
    match message.content:
        case BatchIngest(batch=batch, next_events=events):
            yield batch.dev
            yield from (cti for event in events if isinstance(cti := event.body.get("cti"), str))
        case GrantRequest() as request:
            yield from (request.dev, request.cti, lease_name(site_of(request.dev)))
        case OrdersRequest() as request:
            yield f"site {site_of(request.dev)}"
        case RestoreRequest() as restore:
            yield restore.dev
        case Status() as status:
            yield status.dev
        case _:
            return
