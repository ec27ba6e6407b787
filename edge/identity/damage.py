"""A device whose identity file cannot be read: what is wrong, and what still names the device.

Such a device is not a new one. It keeps the name that its store has, so that what it redeemed stays
its own. It keeps the anchors of its fleet, so that only that fleet can repair it by a new code.
Until then it refuses every code.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.config import identity_errors
from edge.config.merge_patch import Tree, merge
from edge.store.database.store import StoreUnavailableError
from edge.store.device_record import device_name
from edge.store.opening import open_for_reading

IDENTITY: Final = Path("identity") / "identity.json"  # in the data folder; written by enrolment
ROOTS: Final = "roots.cbor"  # beside it
_REPAIR: Final = "enrol this device again by a new code of its fleet, or restore the file"
_NAME_UNKNOWN: Final = (
    "neither its store nor its certificate names this device: its store stays as it is meanwhile"
)


@dataclass(frozen=True, slots=True)
class IdentityDamage:
    """An identity file that cannot be used. As text it says what to do."""

    code: str  # unreadable, not_json, no_profile, invalid
    detail: str
    where: Path

    def __str__(self) -> str:
        return f"{self.where}: {self.detail}: {_REPAIR}"


def identity_damage(data: Path) -> str:
    """Return what is wrong with the identity file and what to do; empty if it is sound."""
    return describe_damage(read_identity_profile(data), data)


def describe_damage(identity: Tree | IdentityDamage, data: Path) -> str:
    """Return what is wrong with an ``identity`` that was read and what to do; empty if nothing."""
    if not isinstance(identity, IdentityDamage):
        return ""
    return str(identity) if name_from_remains(data) else f"{identity}; {_NAME_UNKNOWN}"


def identity_is_unknown(data: Path) -> bool:
    """Return whether this device has an identity file, but nothing that gives its name."""
    damaged = isinstance(read_identity_profile(data), IdentityDamage)
    return damaged and name_from_remains(data) is None


def read_identity_profile(data: Path) -> Tree | IdentityDamage:
    """Return what the identity lays over the shipped profile: nothing for a device not enrolled."""
    file = data / IDENTITY
    try:
        item: Any = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        return IdentityDamage("unreadable", str(error.strerror), file)
    except (ValueError, RecursionError) as error:
        return IdentityDamage("not_json", f"not JSON ({error})", file)
    profile = item.get("profile") if isinstance(item, dict) else None
    if not isinstance(profile, dict):
        return IdentityDamage("no_profile", "no profile in it", file)
    try:
        errors = identity_errors(profile)
    except RecursionError:
        return IdentityDamage("invalid", "nested too deeply", file)
    if errors:
        return IdentityDamage("invalid", "; ".join(str(error) for error in errors), file)
    return profile


def lay_identity(tree: Tree, identity: Tree | IdentityDamage, data: Path) -> Tree:
    """Return the shipped profile ``tree`` under the device's identity.

    Under a damaged one: the device's name and anchors as far as they remain, and no broker.
    """
    if not isinstance(identity, IdentityDamage):
        laid: Tree = merge(tree, identity)
        return laid
    name = name_from_remains(data)
    device = {} if name is None else {"id": name}
    roots = (data / IDENTITY).with_name(ROOTS)
    merged: Tree = merge(tree, {"device": device, "trust": {"roots_file": str(roots)}})
    return {section: keys for section, keys in merged.items() if section != "mqtt"}


def name_from_remains(data: Path) -> str | None:
    """Return the device's name from its store, else from its certificate, else None."""
    return _name_in_store(data) or _name_in_certificate(data)


def _name_in_store(data: Path) -> str | None:
    with (
        suppress(StoreUnavailableError, sqlite3.Error, OSError),
        closing(open_for_reading(data)) as store,
    ):
        return device_name(store)
    return None


def _name_in_certificate(data: Path) -> str | None:
    """Name the device although its store was put aside.

    Under another name the store that comes back would not be its own, and nothing would be carried
    over.
    """
    from cryptography import x509  # slow to import, and a sound device does not need it here

    for path in sorted((data / IDENTITY).parent.glob("device-*.pem")):
        with suppress(OSError, ValueError):
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            for item in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME):
                return str(item.value)
    return None
