"""Names of tenants, sites and devices, and the names that no device may have. Pure.

A device's name is the common name of its certificate, its user at the broker, a level of its topics
and the name of its files. A device that could take the name of another party would have its rights.
"""

from __future__ import annotations

import re
from typing import Final

NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}"
RULE: Final = "1 to 40 letters, digits, '.', '_' and '-', the first a letter or a digit"

HUB: Final = "_hub"  # the hub at the broker
OPS: Final = "_fleet"  # operations at the broker
FLEET: Final = "_all"  # the group of all devices
SITE_PREFIX: Final = "site-"  # of the group of a site's devices
AUTHORITY_PREFIX: Final = "hub-"  # of a site's authority
BRIDGE_PREFIX: Final = "_bridge-"  # of the bridge of a site's broker

_TAKEN: Final = frozenset({"ca", "broker", "enrolment"})  # certificates of the platform's folder
_PREFIXES: Final = {
    "_": "a party of the platform",
    SITE_PREFIX: "the group of a site",
    AUTHORITY_PREFIX: "the authority of a site",
}
_PATTERN: Final = re.compile(NAME)


def name_fault(name: str) -> str | None:
    """Return what is wrong with the name of a tenant, a site or a group; None for a good one.

    >>> name_fault("shop-1")
    >>> name_fault("shop 1")
    "a name has 1 to 40 letters, digits, '.', '_' and '-', the first a letter or a digit"
    """
    return None if _PATTERN.fullmatch(name) else f"a name has {RULE}"


def device_name_fault(name: str) -> str | None:
    """Return what is wrong with the name of a device; None for a good one.

    >>> device_name_fault("kiosk-1")
    >>> device_name_fault("site-1")
    "'site-1' is reserved: 'site-' begins the name of the group of a site"
    """
    if name in _TAKEN:
        return f"{name!r} is reserved: the platform has a certificate of this name"
    for prefix, party in _PREFIXES.items():
        if name.startswith(prefix):
            return f"{name!r} is reserved: {prefix!r} begins the name of {party}"
    return name_fault(name)
