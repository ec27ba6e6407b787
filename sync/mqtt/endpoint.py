"""A connection to the broker in plain data: endpoint, state, arrivals, will."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from edge.system.file_version import FileVersion, file_version


class LinkState(StrEnum):
    """The state of the connection. Logged when it changes, never on each retry."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    UNREACHABLE = "broker_unreachable"
    BROKER_UNTRUSTED = "broker_certificate_untrusted"
    CREDENTIALS_UNUSABLE = "credentials_unusable"  # our own files: missing, unreadable, not a pair
    CERTIFICATE_REFUSED = "certificate_refused"  # the broker refused our certificate
    NOT_AUTHORISED = "not_authorised"
    IDENTITY_TAKEN = "identity_taken"  # another client connected with our identity
    BROKER_BUSY = "broker_busy"
    LOST = "connection_lost"
    PROTOCOL_ERROR = "protocol_error"
    PACKET_TOO_LARGE = "packet_too_large"  # one side sent more than the other accepts in a packet
    SLOW = "replies_slow"  # connected, but replies take long: a slow line or a slow hub
    SILENT = "hub_not_replying"  # connected, but the platform does not reply

    @property
    def is_permanent(self) -> bool:
        """Return whether another attempt soon cannot help: a person must act."""
        return self in (
            LinkState.BROKER_UNTRUSTED,
            LinkState.CREDENTIALS_UNUSABLE,
            LinkState.CERTIFICATE_REFUSED,
            LinkState.NOT_AUTHORISED,
            LinkState.IDENTITY_TAKEN,
        )


CONNACK: Final = {  # MQTT 5 section 3.2.2.2
    134: LinkState.NOT_AUTHORISED,  # bad user name or password
    135: LinkState.NOT_AUTHORISED,
    136: LinkState.BROKER_BUSY,
    137: LinkState.BROKER_BUSY,
    138: LinkState.NOT_AUTHORISED,  # banned
    140: LinkState.NOT_AUTHORISED,  # bad authentication method
    142: LinkState.IDENTITY_TAKEN,  # session taken over (in a DISCONNECT)
    149: LinkState.PACKET_TOO_LARGE,
    151: LinkState.BROKER_BUSY,
    159: LinkState.BROKER_BUSY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to connect, and as which client. The three files are PEM."""

    host: str
    port: int
    client_id: str
    ca_file: str
    cert_file: str
    key_file: str
    keepalive_s: int = 30
    window: int = 64  # QoS 1 messages without a PUBACK


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that arrived. It is acknowledged to the broker once it has been handled."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    retained: bool
    connection: int  # which connection brought it: a later one cannot acknowledge it
    correlation: bytes | None = None
    expires_s: int | None = None  # what is left of its message expiry


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes, retained, when this client is lost without a DISCONNECT."""

    topic: str
    payload: bytes


def unusable_file(endpoint: Endpoint, error: Exception) -> str:
    """Return which of the endpoint's files cannot be used, and why, for people."""
    for name in (endpoint.ca_file, endpoint.cert_file, endpoint.key_file):
        try:
            with Path(name).open("rb"):
                pass
        except OSError as missing:
            return f"{name}: {missing.strerror}"
    files = f"{endpoint.ca_file}, {endpoint.cert_file} or {endpoint.key_file}"
    return f"{files} is not usable PEM: {error}"


def file_versions(endpoint: Endpoint) -> tuple[FileVersion | None, ...]:
    """Return the version of each of the endpoint's files; None for one that is missing."""
    files = (endpoint.ca_file, endpoint.cert_file, endpoint.key_file)
    return tuple(file_version(Path(name)) for name in files)
