"""Layers over the shipped profile: what may be pushed, how it merges, and what the whole must satisfy. Pure.

Who a device is, what it believes and how it proves itself to the broker come with its enrolment and are
never pushed: a document that names them is refused, whoever signed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from edge.config import ConfigError, Profile, load_profile
from edge.config.merge_patch import Tree, merge_all

ALL: Final = frozenset({"*"})
PUSHABLE: Final[Mapping[str, frozenset[str]]] = {
    "camera": frozenset(
        {"source", "index", "width_px", "height_px", "frame_rate_hz", "exposure_us", "analogue_gain", "autofocus",
         "lens_position_dioptre", "stall_s"}
    ),
    "decode": ALL,
    "indicators": ALL,
    "locker": ALL,
    "policy": ALL,
    "mqtt": frozenset({"host", "port", "keepalive_s", "window"}),  # not the credentials
}  # fmt: skip
LINK: Final = ("host", "port", "keepalive_s")  # of mqtt: what can cut the device off
_PULLED_UP_END: Final = (
    9  # GPIO 0 to 8 are pulled up from power-on, 9 to 27 down (BCM2835 ARM Peripherals, table 6-31)
)


def pushable_part(tree: Tree) -> Tree:
    """The part of a profile, as a mapping, that documents may change."""
    return {
        section: {key: value for key, value in keys.items() if _may(section, key)}
        for section, keys in tree.items()
        if section in PUSHABLE and isinstance(keys, dict)
    }


def forbidden(patch: Tree) -> list[ConfigError]:
    """What a document names and may not."""
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


def effective(shipped: Tree, patches: Iterable[Tree]) -> Profile | list[ConfigError]:
    """The profile that ``patches`` make of ``shipped``, or everything that is wrong with them."""
    listed = list(patches)
    if errors := [error for patch in listed for error in forbidden(patch)]:
        return errors
    profile = load_profile(merge_all(shipped, listed))
    if isinstance(profile, list):
        return profile
    return _unsafe(profile, load_profile(shipped)) or profile


def _may(section: str, key: str) -> bool:
    allowed = PUSHABLE[section]
    return allowed is ALL or key in allowed


def _unsafe(profile: Profile, shipped: Profile | list[ConfigError]) -> list[ConfigError]:
    """What no profile check forbids, but no desk may do to a locker that it cannot see."""
    before = shipped.locker.compartments if isinstance(shipped, Profile) else {}
    found = []
    for name, door in profile.locker.compartments.items():
        pin = getattr(door, "lock_pin", None)
        known = {getattr(compartment, "lock_pin", None) for compartment in before.values()}
        if (
            pin is not None
            and pin not in known
            and (pin < _PULLED_UP_END) == profile.locker.active_high
        ):
            message = f"pin {pin} is pulled to the level that opens the lock while the board starts"
            found.append(ConfigError(f"locker.compartments.{name}.lock_pin", message))
    if isinstance(shipped, Profile) and profile.mqtt is None and shipped.mqtt is not None:
        found.append(ConfigError("mqtt", "may not be removed"))
    return found
