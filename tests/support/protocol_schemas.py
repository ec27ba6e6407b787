"""Compare the traffic at a broker with the published schemas (docs/protocol/asyncapi.json)."""

import json
import threading
from functools import lru_cache

from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from edge.values.node_name import FLEET, OPS
from sync.protocol.channels import CHANNELS, Channel, Form
from sync.protocol.examples import shown
from sync.wire.topics import VERSION, parse_topic
from tests.support.paths import DOCS

PUBLISHED = DOCS / "protocol" / "asyncapi.json"


@lru_cache
def document() -> dict:
    return json.loads(PUBLISHED.read_text(encoding="utf-8"))


@lru_cache
def validator(name: str) -> Draft7Validator:
    """Return the validator of one schema or message of the published document."""
    whole = Resource(contents=document(), specification=DRAFT7)
    registry = Registry().with_resource("urn:protocol", whole)
    return Draft7Validator({"$ref": f"urn:protocol#/components/{name}"}, registry=registry)


def channel_of(topic: str) -> Channel | None:
    """Return the channel that a topic belongs to; None for one that the protocol does not have."""
    parsed = parse_topic(topic)
    if parsed is None:
        return None
    levels = topic.split("/")
    node = levels[2]
    kind = (
        "fleet"
        if node == FLEET
        else "ops"
        if node == OPS
        else "site"
        if node.startswith("site-")
        else "device"
    )
    name = f"{kind}.{levels[3]}.{levels[4]}"
    return next((channel for channel in CHANNELS if channel.name == name), None)


def faults(topic: str, payload: bytes) -> list[str]:
    """Return what is wrong with a message on ``topic`` by the published document."""
    channel = channel_of(topic)
    if channel is None or channel.name not in document()["channels"]:
        return [f"{topic} is no channel of the protocol"]
    if not payload and channel.retained:
        return []  # an empty payload removes a retained message
    found = [
        _faults_as(name, channel, payload)
        for name in document()["channels"][channel.name]["messages"]
    ]
    return [] if not all(found) else [f"{topic}: {text}" for text in found[0]]


def _faults_as(name: str, channel: Channel, payload: bytes) -> list[str]:
    form = Form(document()["components"]["messages"][name]["contentType"])
    try:
        instance = shown(payload, form)
    except Exception as error:
        return [f"not {form}: {error}"]
    errors = validator(f"messages/{name}/payload").iter_errors(instance)
    return [
        f"{'/'.join(str(part) for part in error.path)}: {error.message[:200]}" for error in errors
    ]


class Spy:
    """Read all messages at a broker, in a thread, and collect what the document does not allow."""

    def __init__(self, session):
        self._session = session
        self.counts: dict[str, int] = {}
        self.faults: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    @staticmethod
    def filters(tenant: str = "main") -> list[str]:
        return [f"{VERSION}/{tenant}/#"]

    def forget_faults(self) -> None:
        """Forget the faults until now: a test sent wrong messages on purpose."""
        self.faults.clear()

    def _listen(self) -> None:
        while not self._stop.is_set():
            for arrival in self._session.step(0.05):
                self._session.acknowledge(arrival)
                channel = channel_of(arrival.topic)
                self.counts[channel.name if channel else arrival.topic] = (
                    self.counts.get(channel.name if channel else arrival.topic, 0) + 1
                )
                self.faults += faults(arrival.topic, arrival.payload)

    def __enter__(self) -> "Spy":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join(10)
        self._session.close()
