"""A fleet's keys in a folder: one PEM file a purpose, readable by the owner alone.

``root.pem`` signs trust lists, ``token.pem`` tokens, ``status_list.pem``, ``order_feed.pem``,
``configuration.pem``, ``enrolment.pem``, ``grant.pem`` (answers to claims) and ``operators.pem`` what their names say;
``group.key`` is the secret behind dynamic codes; ``roots.cbor`` is public and goes onto the devices;
``reviewers/NAME.pem`` is the key of a person who decides on redemptions: hand it over, and leave ``NAME.pub`` here;
``sites/SITE.pem`` is that of a site's own authority: move it to the site, and leave ``SITE.pub`` here;
``fleet.json`` holds the issuer's name, the keys' window and the version of the last trust list.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.system.durable_file import write_durably, write_secret
from edge.token.fields import TIME_END
from edge.token.keys import (
    PublicKey,
    Signer,
    UnfitKeyError,
    private_key_pem,
    public_key,
    signer_from_pem,
)
from edge.token.purpose import Purpose
from edge.token.roots import Roots

ROOT = "root"
LISTED = (
    Purpose.TOKEN, Purpose.STATUS_LIST, Purpose.ORDER_FEED, Purpose.CONFIGURATION, Purpose.ENROLMENT, Purpose.GRANT,
    Purpose.OPERATORS,
)  # fmt: skip
ROOTS_FILE = "roots.cbor"
GROUP_KEY_FILE = "group.key"
REVIEWERS, SITES = "reviewers", "sites"
_FLEET_FILE = "fleet.json"


class KeyFolderError(Exception):
    """The folder cannot be made or used. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What is public about a fleet's keys."""

    issuer: str  # the iss of its tokens
    not_before_s: int  # window of the listed keys, Unix seconds
    expires_at_s: int
    trust_list_version: int = 0  # of the last list built


class KeyFolder:
    """An existing folder of keys."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not (folder / _FLEET_FILE).is_file():
            raise KeyFolderError(
                f"{folder} holds no fleet keys. Make them first: edge-fleet keys init {folder}"
            )

    def fleet(self) -> Fleet:
        """Return the fleet's settings."""
        try:
            return _fleet(json.loads((self._folder / _FLEET_FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise KeyFolderError(
                f"{self._folder / _FLEET_FILE} cannot be read ({error}). Restore it."
            ) from None

    def keep(self, fleet: Fleet) -> None:
        """Replace the fleet's settings, durably."""
        write_secret(self._folder / _FLEET_FILE, _settings(fleet))

    def signer(self, name: Purpose | str) -> Signer:
        """Return the signer of ``name``, a listed purpose or ``ROOT``."""
        return load_signer(self._folder / f"{name}.pem")

    def roots(self) -> Roots:
        """Return the roots, as devices know them."""
        return Roots(1, (self.signer(ROOT).public,))

    def holders(self, of: str) -> dict[str, PublicKey]:
        """Return the public keys of those who hold their private ones themselves, by name: REVIEWERS or SITES."""
        found = {}
        for path in sorted((self._folder / of).glob("*.pub")):
            try:
                found[path.stem] = public_key(serialization.load_pem_public_key(path.read_bytes()))
            except (OSError, ValueError, TypeError, UnfitKeyError) as error:
                raise KeyFolderError(
                    f"{path} is not a usable public key ({error}): make it anew."
                ) from None
        return found

    def add_holder(self, of: str, name: str) -> Path:
        """Make a key for ``name`` and return its file. Never overwrites one."""
        path = self._folder / of / f"{name}.pem"
        if path.exists() or path.with_suffix(".pub").exists():
            raise KeyFolderError(
                f"{name} has a key already in {path.parent}. Take it away first if it is to count no more."
            )
        private = Ed25519PrivateKey.generate()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_secret(path, private_key_pem(private))
            public = private.public_key().public_bytes(serialization.Encoding.PEM, form)
            write_durably(path.with_suffix(".pub"), public, mode=0o644)
        except OSError as error:
            raise KeyFolderError(f"cannot write {path}: {error.strerror}.") from None
        return path

    def group_key(self) -> bytes:
        """Return the secret behind dynamic codes."""
        path = self._folder / GROUP_KEY_FILE
        try:
            return bytes.fromhex(path.read_text(encoding="ascii").strip())
        except (OSError, ValueError) as error:
            raise KeyFolderError(
                f"cannot read {path} ({error}). Restore it from your backup."
            ) from None


def load_signer(path: Path) -> Signer:
    """Read a private key. Raises KeyFolderError."""
    try:
        return signer_from_pem(path.read_bytes())
    except OSError as error:
        raise KeyFolderError(
            f"cannot read {path}: {error.strerror}. Restore the key from your backup."
        ) from None
    except UnfitKeyError as error:
        raise KeyFolderError(f"{path} is not a usable private key ({error}).") from None


def create(folder: Path, fleet: Fleet, *, issuer_alg: str, group_key: bytes) -> KeyFolder:
    """Make ``folder`` (mode 0700) and its keys (0600). Raises KeyFolderError; never overwrites a key."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise KeyFolderError(
                f"{folder} is not empty: keys are never overwritten. Name a new folder."
            )
        folder.chmod(0o700)
        for name in (ROOT, *LISTED):
            on_p256 = name is Purpose.TOKEN and issuer_alg == "ESP256"
            private = (
                ec.generate_private_key(ec.SECP256R1()) if on_p256 else Ed25519PrivateKey.generate()
            )
            write_secret(folder / f"{name}.pem", private_key_pem(private))
        write_secret(folder / GROUP_KEY_FILE, group_key.hex().encode() + b"\n")
        write_secret(folder / _FLEET_FILE, _settings(fleet))
        made = KeyFolder(folder)
        write_durably(folder / ROOTS_FILE, made.roots().to_bytes(), mode=0o644)
    except OSError as error:
        raise KeyFolderError(f"cannot make keys in {folder}: {error.strerror}.") from None
    return made


def _fleet(item: Any) -> Fleet:
    """Read what ``_settings`` wrote. Raises TypeError or ValueError for anything else."""
    if not isinstance(item, dict):
        raise TypeError("it is not a JSON object")
    fleet = Fleet(**item)
    if not isinstance(fleet.issuer, str):
        raise TypeError("issuer is not a text")
    for name in ("not_before_s", "expires_at_s", "trust_list_version"):
        value = getattr(fleet, name)
        if type(value) is not int or not 0 <= value < TIME_END:
            raise TypeError(f"{name} is not a whole number from 0 to {TIME_END - 1}")
    return fleet


def _settings(fleet: Fleet) -> bytes:
    return json.dumps(asdict(fleet), indent=2).encode() + b"\n"
