"""Inbound messages of a hub, decoded before the store is touched.

The transaction must know beforehand which names it will concern.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sync.mqtt.endpoint import Arrival
from sync.wire import codec
from sync.wire.messages import Batch, GrantRequest, MessageRefusal, OrdersRequest, Status
from sync.wire.topics import Topic, Up, parse_topic

Message = Batch | OrdersRequest | GrantRequest | Status | MessageRefusal


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """A message and its topic; both are None for another protocol or tenant.

    ``message`` is None too on channels that are not decoded here.
    """

    arrival: Arrival
    topic: Topic | None = None
    message: Message | None = None


def read_message(arrival: Arrival, *, tenant: str) -> InboundMessage:
    """Decode a message. Nothing in it is verified yet.

    Only its sender is certain, because the broker has authenticated it.
    """
    topic = parse_topic(arrival.topic)
    if topic is None or topic.tenant != tenant:
        return InboundMessage(arrival)
    return InboundMessage(arrival, topic, _message(topic, arrival.payload))


def concerned_names(
    incoming: Iterable[InboundMessage], site_of: Callable[[str], str | None]
) -> frozenset[str]:
    """Return the names of everything that these messages read or change in the store."""
    return frozenset(name for item in incoming for name in _names(item, site_of))


def _message(topic: Topic, payload: bytes) -> Message | None:
    match topic.channel:
        case Up.EVENTS:
            return codec.decode_batch(payload, dev=topic.node)
        case Up.REQUEST:
            return codec.decode_request(payload, dev=topic.node)
        case Up.STATUS:
            return codec.decode_addressed(Status, payload, dev=topic.node)
        case _:
            return None


def _names(incoming: InboundMessage, site_of: Callable[[str], str | None]) -> Iterable[str]:
    match incoming.message:
        case Batch() as batch:
            yield batch.dev
            yield from (
                cti for event in batch.events if isinstance(cti := event.body.get("cti"), str)
            )
        case GrantRequest() as request:
            yield from (request.dev, request.cti)
        case OrdersRequest() as request:
            yield f"site {site_of(request.dev)}"
        case Status() as status:
            yield status.dev
        case _:
            return
