"""A device whose identity cannot be read: what is wrong with the file, and what is left to tell who it was.

Such a device is not a new one. It keeps the name that its store has, so that what it honoured stays its own, and
the anchors of its fleet, so that only that fleet can mend it by a new code; it honours nothing until then.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from edge.config import load_profile
from edge.config.merge_patch import Tree, merge
from edge.store.database.store import StoreUnavailableError
from edge.store.opening import open_for_reading

IDENTITY: Final = Path("identity") / "identity.json"  # in the data folder; written by enrolment
ROOTS: Final = "roots.cbor"  # beside it
_MEND: Final = "enrol this device again by a new code of its fleet, or restore the file"
_NAMELESS: Final = "neither its store nor its certificate tells who this device was: its store stays as it is meanwhile"


def identity_damage(data: Path) -> str:
    """What is wrong with the identity's file, and what to do; empty when it is sound, or was never there."""
    patch = read_patch(data)
    if not isinstance(patch, str):
        return ""
    return patch if name_from_remains(data) else f"{patch}; {_NAMELESS}"


def identity_is_unknown(data: Path) -> bool:
    """Whether this device has an identity, but nothing that tells its name."""
    return isinstance(read_patch(data), str) and name_from_remains(data) is None


def read_patch(data: Path) -> Tree | str:
    """What the identity lays over the shipped profile: nothing when not enrolled; or what is wrong with the file."""
    try:
        item: Any = json.loads((data / IDENTITY).read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        return f"{data / IDENTITY}: {error.strerror}: {_MEND}"
    except (ValueError, RecursionError) as error:
        return f"{data / IDENTITY} is not JSON ({error}): {_MEND}"
    patch = item.get("profile") if isinstance(item, dict) else None
    if not isinstance(patch, dict):
        return f"{data / IDENTITY} has no profile: {_MEND}"
    try:
        profile = load_profile(
            merge({"device": {"kind": "kiosk"}}, patch)
        )  # the kind comes with the hardware
    except RecursionError:
        return f"{data / IDENTITY} is nested without end: {_MEND}"
    if isinstance(profile, list):
        return f"{data / IDENTITY}: {'; '.join(str(error) for error in profile)}: {_MEND}"
    return patch


def profile_from_remains(tree: Tree, data: Path) -> Tree:
    """The shipped profile ``tree`` under the name and the anchors that the device had, and without a broker."""
    name = name_from_remains(data)
    device = {} if name is None else {"id": name}
    merged: Tree = merge(
        tree, {"device": device, "trust": {"roots_file": str((data / IDENTITY).with_name(ROOTS))}}
    )
    return {section: keys for section, keys in merged.items() if section != "mqtt"}


def name_from_remains(data: Path) -> str | None:
    """The name of a device whose identity cannot be read, by its store, or else by its certificate."""
    return _name_in_store(data) or _name_in_certificate(data)


def _name_in_store(data: Path) -> str | None:
    with (
        suppress(StoreUnavailableError, sqlite3.Error, OSError),
        closing(open_for_reading(data)) as store,
    ):
        row = store.connection().execute("SELECT device_id FROM device").fetchone()
        return None if row is None else str(row[0])
    return None


def _name_in_certificate(data: Path) -> str | None:
    """A store that is put aside must not come back as another device's: then nothing would be carried over."""
    from cryptography import x509  # slow to import, and a sound device needs it not here

    for path in sorted((data / IDENTITY).parent.glob("device-*.pem")):
        with suppress(OSError, ValueError):
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            for item in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME):
                return str(item.value)
    return None
