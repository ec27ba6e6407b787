"""Layers over the shipped profile: what may be pushed, and what the whole must satisfy. Pure.

Who a device is, which keys it trusts and how it proves itself to the broker come with its enrolment
and are never pushed: a document that names them is refused, whatever key signed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from edge.config import ConfigError, Profile, load_profile
from edge.config.merge_patch import Tree, merge_all

ALL: Final = frozenset({"*"})
PUSHABLE: Final[Mapping[str, frozenset[str]]] = {
    "camera": frozenset(
        {
            "source",
            "index",
            "width_px",
            "height_px",
            "frame_rate_hz",
            "exposure_us",
            "analogue_gain",
            "autofocus",
            "lens_position_dioptre",
            "stall_s",
        }
    ),
    "decode": ALL,
    "indicators": ALL,
    "locker": ALL,
    "policy": ALL,
    "mqtt": frozenset({"host", "port", "keepalive_s", "window"}),  # not the credentials
}
LINK: Final = ("host", "port", "keepalive_s")  # of mqtt: what can cut the device off
# GPIO 0 to 8 are pulled up from power-on, 9 to 27 down (BCM2835 ARM Peripherals, table 6-31).
_PULLED_UP_END: Final = 9


def pushable_part(tree: Tree) -> Tree:
    """Return the part of a profile, as a mapping, that documents may change."""
    return {
        section: {key: value for key, value in keys.items() if _may(section, key)}
        for section, keys in tree.items()
        if section in PUSHABLE and isinstance(keys, dict)
    }


def forbidden(patch: Tree) -> list[ConfigError]:
    """Return what a document names although it may not."""
    found = []
    for section, keys in patch.items():
        if section not in PUSHABLE:
            found.append(
                ConfigError(section, "may not be pushed: it comes with enrolment or software")
            )
        elif not isinstance(keys, dict):
            found.append(ConfigError(section, "a section is a table of settings"))
        else:
            names = [key for key in keys if not _may(section, key)]
            found += [ConfigError(f"{section}.{name}", "may not be pushed") for name in names]
    return found


def effective(baseline: Tree, patches: Iterable[Tree]) -> Profile | list[ConfigError]:
    """Return the profile that ``patches`` make of ``baseline``, or all that is wrong with it.

    The whole is validated once. ``baseline`` is the shipped profile under the device's identity.
    """
    listed = list(patches)
    if errors := [error for patch in listed for error in forbidden(patch)]:
        return errors
    profile = load_profile(merge_all(baseline, listed))
    if isinstance(profile, list):
        return profile
    return _unsafe(profile, baseline) or profile


def _may(section: str, key: str) -> bool:
    allowed = PUSHABLE[section]
    return allowed is ALL or key in allowed


def _unsafe(profile: Profile, baseline: Tree) -> list[ConfigError]:
    """Return the settings that a profile may make, but a push to an unattended locker must not."""
    known = set(_lock_pins(baseline))
    found = []
    for name, door in profile.locker.compartments.items():
        pin = getattr(door, "lock_pin", None)
        opens = pin is not None and (pin < _PULLED_UP_END) == profile.locker.active_high
        if opens and pin not in known:
            message = f"pin {pin} is pulled to the level that opens the lock while the board starts"
            found.append(ConfigError(f"locker.compartments.{name}.lock_pin", message))
    if profile.mqtt is None and baseline.get("mqtt") is not None:
        found.append(ConfigError("mqtt", "may not be removed"))
    return found


def _lock_pins(baseline: Tree) -> Iterator[Any]:
    """Yield the lock pins of the baseline, which need not be valid as a whole."""
    locker = baseline.get("locker")
    compartments = locker.get("compartments") if isinstance(locker, dict) else None
    for door in compartments.values() if isinstance(compartments, dict) else ():
        pin = door.get("lock_pin") if isinstance(door, dict) else None
        if isinstance(pin, int):
            yield pin
