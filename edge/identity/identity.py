"""The identity of an enrolled device: ``identity/identity.json`` and the files that it names.

The files of a new identity, or of a renewed certificate, are written beside the old ones. Replacing
``identity.json`` is the one step that makes them count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from edge.identity.damage import IDENTITY
from edge.system.durable_file import write_durably

BLOCKED: Final = "blocked"  # in the data folder: why this device may do nothing
UNENROLLED: Final = "unenrolled"  # in the data folder: the store of a device not yet enrolled


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """``profile`` is laid over the shipped profile; ``service`` renews certificates."""

    profile: dict[str, Any]
    service: dict[str, Any]  # host, port
    enrolled_s: int  # Unix seconds
    code: str = ""  # id of the code that made it, hexadecimal: it is not used again

    @property
    def device(self) -> str:
        """Return the device's name."""
        return str(self.profile["device"]["id"])


def read_identity(data: Path) -> Identity | None:
    """Return the identity of an enrolled device; None where there is none that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        item = json.loads((data / IDENTITY).read_bytes())
        return Identity(
            profile=item["profile"],
            service=item["service"],
            enrolled_s=int(item["enrolled_s"]),
            code=item.get("code", ""),
        )
    return None


def write_identity(data: Path, identity: Identity, files: Mapping[str, bytes]) -> None:
    """Write ``files`` into the identity's folder, and then make them count. Raises OSError."""
    folder = (data / IDENTITY).parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in files.items():
        write_durably(folder / name, content)
    write_durably(data / IDENTITY, json.dumps(asdict(identity), indent=2).encode())
    _remove_all_but(folder, {str(value) for value in identity.profile["mqtt"].values()})


def why_blocked(data: Path) -> str | None:
    """Return why this device is blocked; None when it is not."""
    with suppress(OSError, UnicodeDecodeError):
        return (data / BLOCKED).read_text(encoding="utf-8").strip() or "no reason was given"
    return None


def _remove_all_but(folder: Path, named: set[str]) -> None:
    """Remove keys and certificates that no longer count."""
    for pattern in ("device-*.key", "device-*.pem", "new-*.key"):
        for path in folder.glob(pattern):
            if str(path) not in named:
                path.unlink(missing_ok=True)
