"""Topics of the protocol: ``v1/{tenant}/{node}/{up|dn}/{channel}``, always five levels deep.

The direction is a level of its own, so that two lines of ACL a device are enough:
it writes ``up/#`` of itself and reads ``dn/#`` of itself and of its groups.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from edge.values.node_name import FLEET, NAME, OPS, SITE_PREFIX

VERSION = "v1"
_NODE = re.compile(rf"{NAME}|{FLEET}|{OPS}|{SITE_PREFIX}{NAME}")
_NAME = re.compile(NAME)
_SENDER = re.compile(rf"(?!{SITE_PREFIX})(?:{NAME}|{OPS})")


class Up(StrEnum):
    """Channels from a device to the platform."""

    EVENTS = "evt"
    REQUEST = "req"
    CONFIG = "cfg"  # retained
    STATUS = "status"  # retained


class Down(StrEnum):
    """Channels from the platform to a device or a group."""

    ACK = "ack"
    RESPONSE = "res"
    ORDERS = "ord"
    TRUST = "trust"  # retained
    REVOKED = "revoked"  # retained
    OPERATORS = "operators"  # retained; on the topic of the list's site
    CONFIG = "cfg"  # retained
    COMMAND = "cmd"  # never retained, expires


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic in its parts."""

    tenant: str
    node: str  # a device, ``_all`` or ``site-...``
    channel: Up | Down

    def __str__(self) -> str:
        direction = "up" if isinstance(self.channel, Up) else "dn"
        return f"{VERSION}/{self.tenant}/{self.node}/{direction}/{self.channel}"


def site_group(site: str) -> str:
    """Return the node name of all devices of a site.

    >>> str(Topic("main", site_group("shop-1"), Down.ORDERS))
    'v1/main/site-shop-1/dn/ord'
    """
    return SITE_PREFIX + site


def parse_topic(topic: str) -> Topic | None:
    """Return the parts of a topic; None when it is not one of this protocol.

    >>> parse_topic("v1/main/kiosk-1/up/evt")
    Topic(tenant='main', node='kiosk-1', channel=<Up.EVENTS: 'evt'>)
    >>> parse_topic("v1/main/kiosk-1/up/ack") is None
    True
    """
    levels = topic.split("/")
    if len(levels) != 5 or levels[0] != VERSION:
        return None
    _, tenant, node, direction, name = levels
    if not _NAME.fullmatch(tenant) or not _NODE.fullmatch(node):
        return None
    if direction == "up" and not _SENDER.fullmatch(node):
        return None  # a group receives, and sends nothing
    channels: type[Up] | type[Down] | None = {"up": Up, "dn": Down}.get(direction)  # type: ignore[assignment]  # mypy joins the two classes to EnumMeta
    if channels is None or name not in {channel.value for channel in channels}:
        return None
    return Topic(tenant, node, channels(name))


def device_filters(tenant: str, device: str, site: str) -> list[str]:
    """Return a device's subscriptions: its own ``dn/#``, its site's and the fleet's."""
    return [f"{VERSION}/{tenant}/{node}/dn/#" for node in (device, site_group(site), FLEET)]


def hub_filters(tenant: str, share: str | None = None) -> list[str]:
    """Return a hub's subscriptions: all channels up.

    Hubs with the same ``share`` each receive a part of the events and requests. Status and settings
    reports go to every hub: their order matters, and a share would not receive what is retained.
    """
    prefix = f"$share/{share}/" if share else ""
    shared = [
        f"{prefix}{VERSION}/{tenant}/+/up/{channel.value}" for channel in (Up.EVENTS, Up.REQUEST)
    ]
    return shared + [
        f"{VERSION}/{tenant}/+/up/{channel.value}" for channel in (Up.STATUS, Up.CONFIG)
    ]
