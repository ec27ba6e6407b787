"""Sessions with a real broker, and a relay between."""

from sync.mqtt.endpoint import Arrival, Endpoint
from sync.mqtt.session import MqttSession
from tests.support.broker import Broker, until


def endpoint(broker: Broker, name: str, **changes) -> Endpoint:
    files = broker.files
    facts = {
        "host": "127.0.0.1",
        "port": broker.site.port,
        "client_id": name,
        "ca_file": str(files.ca),
        "cert_file": str(files.certificate(name)),
        "key_file": str(files.key(name)),
    }
    return Endpoint(**{**facts, **changes})


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def connected(session: MqttSession) -> MqttSession:
    steps_until(lambda: session.connected, session)
    return session


def answered(*sessions: MqttSession) -> list[Arrival]:
    """Step until the broker has acknowledged or refused all messages of the sessions."""
    return steps_until(lambda: not any(session.unacknowledged for session in sessions), *sessions)


def received_through(topic: str, *sessions: MqttSession) -> list[Arrival]:
    """Return all arrivals up to one on ``topic``. A broker passes messages on in order."""
    received: list[Arrival] = []

    def turn() -> bool:
        for session in sessions:
            for arrival in session.step(0.01):
                session.acknowledge(arrival)
                received.append(arrival)
        return topic in topics(received)

    until(turn, what=lambda: f"{topic}; {received}")
    return received


def steps_until(condition, *sessions: MqttSession) -> list[Arrival]:
    """Turn the sessions until ``condition()``; return what came."""
    arrivals: list[Arrival] = []

    def turn() -> bool:
        for session in sessions:
            for arrival in session.step(0.01):
                session.acknowledge(arrival)
                arrivals.append(arrival)
        return condition()

    until(turn, what=lambda: [f"{session.link} {session.detail}" for session in sessions])
    return arrivals


def topics(arrivals) -> list[str]:
    return [arrival.topic for arrival in arrivals]


DEVICES = {"kiosk-1": "shop-1", "kiosk-2": "shop-2"}
