"""Folder with a fleet's keys: one PEM file for each purpose, readable by the owner alone.

``root.pem``
    signs trust lists; keep it offline.
``PURPOSE.pem``
    one each for token, status_list, order_feed, configuration, enrolment and operators signs what
    its name says; ``grant.pem`` signs replies to authorisation requests.
``group.key``
    the secret behind dynamic codes.
``roots.cbor``
    public; goes onto the devices.
``reviewers/NAME.pem``
    the key of a person who decides on redemptions: hand it over, and leave ``NAME.pub`` here.
``sites/SITE.pem``
    the key of a site authority: move it to the site, and leave ``SITE.pub`` here.
``fleet.json``
    the issuer's name, the validity of the keys, and the version of the last trust list.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.system.durable_file import write_durably, write_secret
from edge.token.claims import Kind
from edge.token.fields import TIME_END
from edge.token.keys import (
    PublicKey,
    Signer,
    UnfitKeyError,
    private_key_pem,
    public_key,
)
from edge.token.purpose import Purpose
from edge.token.roots import Roots
from edge.token.trusted_key import TrustedKey
from edge.trust.signer_file import SignerFileError, load_signer
from edge.values.errors import EdgeError

RESTORE_KEY = "Restore the key from your backup."
ROOT = "root"
LISTED = (
    Purpose.TOKEN,
    Purpose.STATUS_LIST,
    Purpose.ORDER_FEED,
    Purpose.CONFIGURATION,
    Purpose.ENROLMENT,
    Purpose.GRANT,
    Purpose.OPERATORS,
)
ROOTS_FILE = "roots.cbor"
GROUP_KEY_FILE = "group.key"
REVIEWERS, SITES = "reviewers", "sites"
_FLEET_FILE = "fleet.json"


class KeyFolderError(EdgeError):
    """The folder cannot be made or used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRecord:
    """Content of ``fleet.json``: the public facts about a fleet's keys."""

    issuer: str  # the iss claim of its tokens
    not_before_s: int  # of the listed keys, Unix seconds, inclusive
    expires_at_s: int  # Unix seconds, exclusive
    trust_list_version: int = 0  # of the last list built


class KeyFolder:
    """An existing key folder. Every method raises KeyFolderError for a file it cannot use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / _FLEET_FILE).is_file():
            raise KeyFolderError(
                f"{folder} holds no fleet keys. Make them first: edge-fleet keys init {folder}"
            )

    def record(self) -> FleetRecord:
        """Return the content of ``fleet.json``."""
        try:
            return _parse_record(
                json.loads((self.folder / _FLEET_FILE).read_text(encoding="utf-8"))
            )
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise KeyFolderError(
                f"{self.folder / _FLEET_FILE} cannot be read ({error}). Restore it."
            ) from None

    def save(self, record: FleetRecord) -> None:
        """Replace ``fleet.json``, durably."""
        write_secret(self.folder / _FLEET_FILE, _record_bytes(record))

    def signer(self, name: Purpose | str) -> Signer:
        """Return the signer of ``name``, a listed purpose or ``ROOT``."""
        try:
            return load_signer(self.folder / f"{name}.pem", advice=RESTORE_KEY)
        except SignerFileError as error:
            raise KeyFolderError(str(error)) from None

    def roots(self) -> Roots:
        """Return the roots in the form that devices have them."""
        return Roots(1, (self.signer(ROOT).public,))

    def holder_keys(self, group: str) -> dict[str, PublicKey]:
        """Return the public keys of a group, REVIEWERS or SITES, by name.

        The members hold their private keys themselves.
        """
        found = {}
        for path in sorted((self.folder / group).glob("*.pub")):
            try:
                found[path.stem] = public_key(serialization.load_pem_public_key(path.read_bytes()))
            except (OSError, ValueError, TypeError, UnfitKeyError) as error:
                raise KeyFolderError(
                    f"{path} is not a usable public key ({error}): make a new one."
                ) from None
        return found

    def trusted_keys(
        self,
        *,
        audiences: frozenset[str] | None = None,
        kinds: frozenset[Kind] = frozenset(Kind),
        largest_amount_minor: int | None = None,
    ) -> tuple[TrustedKey, ...]:
        """Return every key for a trust list: one for each purpose, the sites' and the reviewers'.

        The arguments limit the tokens that the issuer's key may sign; None is no limit. A site's
        key is trusted for replies of that site alone, a reviewer's key under the reviewer's name.
        """
        record = self.record()
        trusted = partial(_trusted, record)
        of_tokens = {
            "issuers": frozenset({record.issuer}),
            "audiences": audiences,
            "kinds": kinds,
            "largest_amount_minor": largest_amount_minor,
        }
        listed = [
            trusted(self.signer(name).public, name, **of_tokens if name is Purpose.TOKEN else {})
            for name in LISTED
        ]
        sites = [
            trusted(key, Purpose.GRANT, audiences=frozenset({site}))
            for site, key in self.holder_keys(SITES).items()
        ]
        reviewers = [
            trusted(key, Purpose.REVIEW, issuers=frozenset({name}))
            for name, key in self.holder_keys(REVIEWERS).items()
        ]
        return (*listed, *sites, *reviewers)

    def add_holder(self, group: str, name: str) -> Path:
        """Make a key for ``name`` and return its file. Never overwrites a key."""
        path = self.folder / group / f"{name}.pem"
        if path.exists() or path.with_suffix(".pub").exists():
            raise KeyFolderError(
                f"{name} has a key already in {path.parent}. Remove it if it is no longer valid."
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
        path = self.folder / GROUP_KEY_FILE
        try:
            return bytes.fromhex(path.read_text(encoding="ascii").strip())
        except (OSError, ValueError) as error:
            raise KeyFolderError(
                f"cannot read {path} ({error}). Restore it from your backup."
            ) from None


def _trusted(record: FleetRecord, key: PublicKey, purpose: Purpose, **limits: Any) -> TrustedKey:
    return TrustedKey(
        key=key,
        purposes=frozenset({purpose}),
        not_before_s=record.not_before_s,
        expires_at_s=record.expires_at_s,
        **limits,
    )


def create_key_folder(
    folder: Path, record: FleetRecord, *, issuer_alg: str, group_key: bytes
) -> KeyFolder:
    """Make ``folder`` (mode 0700) and its keys (0600). Never overwrites a key.

    ``issuer_alg`` is "Ed25519" or "ESP256". Raises KeyFolderError.
    """
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
        write_secret(folder / _FLEET_FILE, _record_bytes(record))
        made = KeyFolder(folder)
        write_durably(folder / ROOTS_FILE, made.roots().to_bytes(), mode=0o644)
    except OSError as error:
        raise KeyFolderError(f"cannot make keys in {folder}: {error.strerror}.") from None
    return made


def _parse_record(item: Any) -> FleetRecord:
    """Parse what ``_record_bytes`` wrote. Raises TypeError or ValueError for anything else."""
    if not isinstance(item, dict):
        raise TypeError("it is not a JSON object")
    record = FleetRecord(**item)
    if not isinstance(record.issuer, str):
        raise TypeError("issuer is not a text")
    for name in ("not_before_s", "expires_at_s", "trust_list_version"):
        value = getattr(record, name)
        if type(value) is not int or not 0 <= value < TIME_END:
            raise TypeError(f"{name} is not a whole number from 0 to {TIME_END - 1}")
    return record


def _record_bytes(record: FleetRecord) -> bytes:
    return json.dumps(asdict(record), indent=2).encode() + b"\n"
