"""The enrolment desk: HTTPS, apart from the broker, for those who have no certificate yet or need a new one.

``POST /v1/enrol`` takes a code that ops signed, once, and a certificate request; ``POST /v1/renew`` takes a
request from a device that shows its certificate; ``POST /v1/site`` tells a site's authority what its broker has
to know (``sync.hub.enrolment.site_updates``). What is refused leaves a trace. The desk holds the authority's key and looks
after who may speak at the broker; the hub does neither.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.documents.enrolment_code import (
    EnrolmentCode,
    message_of,
    open_enrolment_code,
    read_unverified,
)
from edge.values.instant import Instant
from sync.hub.config import HubConfig, HubEnrolment
from sync.hub.enrolment.site_updates import site_updates
from sync.hub.fleet.fleet_store import FleetStore, trace
from sync.hub.fleet.trusted_keys import ListedKeys
from sync.hub.pki.broker_access import BrokerAccess
from sync.hub.pki.certificate_authority import CertificateAuthority, issue_for
from sync.hub.pki.certificate_renewal import renew_folder


class EnrolmentRefusal(Exception):  # noqa: N818 - it is an answer
    """What a client is told, and what the trace keeps."""

    def __init__(self, reason: str, detail: str, *, dev: str = "", code: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.dev, self.code = reason, detail, dev, code


@dataclass(slots=True)
class EnrolmentService:
    """What the desk does, whoever carries the words. ``now_s`` is Unix time."""

    config: HubConfig
    section: HubEnrolment
    store: FleetStore
    authority: CertificateAuthority
    access: BrokerAccess | None
    keys: ListedKeys
    now_s: Callable[[], int]
    log: Any  # a structlog logger
    _alone: Lock = field(default_factory=Lock)

    def answer(
        self, path: str, body: dict[str, Any], *, peer: x509.Certificate | None, address: str
    ) -> dict[str, Any]:
        """Answer a request. Raises Refusal, after leaving a trace of it."""
        with self._alone:
            try:
                if path == "/v1/enrol":
                    return self._enrol(body, address)
                if path == "/v1/renew":
                    return self._renew(body, peer)
                if path == "/v1/site":
                    return self._site(body, peer)
                raise EnrolmentRefusal("no_such_path", f"there is nothing at {path}")
            except EnrolmentRefusal as refusal:
                with self.store.transaction() as connection:
                    trace(
                        connection, self.now_s(), refusal.reason, dev=refusal.dev, code=refusal.code, address=address,
                        detail=refusal.detail,
                    )  # fmt: skip
                self.log.warning(
                    "desk_refused", reason=refusal.reason, dev=refusal.dev, address=address
                )
                raise

    def refresh_access(self) -> bool:
        """Bring the broker's files up to date. Raises OSError, FleetStoreError."""
        with self._alone:
            return self.access is not None and self.access.refresh(self.now_s())

    def renew_own(self) -> list[str]:
        """Replace what of the site's own certificates is about to end; its names.

        Raises OSError, ValueError, FleetStoreError.
        """
        with self._alone:
            folder = Path(self.section.ca_key_file).parent
            with self.store.transaction() as connection:
                renewed = renew_folder(folder, connection, self.authority, now_s=self.now_s())
            if renewed and self.access is not None:
                self.access.tell_broker()
            return renewed

    def _enrol(self, body: dict[str, Any], address: str) -> dict[str, Any]:
        text = str(body.get("code", ""))
        message = message_of(text)
        said = read_unverified(message) if message else None
        if message is None or said is None:
            raise EnrolmentRefusal("code_malformed", "this is not an enrolment code")
        names = {"dev": said.device, "code": said.id.hex()}
        code = open_enrolment_code(message, self.keys(), now=Instant(unix_s=self.now_s()))
        if not isinstance(code, EnrolmentCode):
            reason = "code_expired" if code.fault == "document_expired" else "code_not_verified"
            raise EnrolmentRefusal(reason, str(code), **names)
        if code.tenant != self.config.tenant:
            raise EnrolmentRefusal("code_of_another_tenant", code.tenant, **names)
        if code.serial and code.serial != str(body.get("serial", "")):
            raise EnrolmentRefusal(
                "code_for_another_board", "the code is for one board, and this is not it", **names
            )
        public = _public_key(str(body.get("csr", "")), names)
        with self.store.transaction() as connection:
            pem = self._use(
                connection, code, public, serial=str(body.get("serial", "")), address=address
            )
        if self.access is not None:
            self.access.refresh(self.now_s())  # before it comes to the broker
        self.log.info("enrolled", dev=code.device, site=code.site, address=address)
        return self._welcome(pem)

    def _use(
        self,
        connection: sqlite3.Connection,
        code: EnrolmentCode,
        public: ec.EllipticCurvePublicKey,
        *,
        serial: str,
        address: str,
    ) -> str:
        """Take the code for this key: once. The same key may ask again, for an answer that was lost."""
        names = {"dev": code.device, "code": code.id.hex()}
        digest = _key_digest(public)
        row = connection.execute(
            "SELECT state, key_digest, certificate FROM enrolment WHERE id = ?", (code.id.hex(),)
        ).fetchone()
        if row is None:
            raise EnrolmentRefusal("code_unknown", "no such code was given out here", **names)
        state, used_for, kept = row
        if state == "cancelled":
            raise EnrolmentRefusal(
                "code_cancelled", "the code was cancelled: print a new one", **names
            )
        if state == "used":
            if used_for == digest:
                return str(kept)
            raise EnrolmentRefusal(
                "code_reused", "the code was used already, by another device", **names
            )
        self._bar_predecessors(connection, code.device)
        pem = self._issue(connection, code.device, public)
        connection.execute(
            "UPDATE enrolment SET state = 'used', used_s = ?, used_from = ?, key_digest = ?, certificate = ?"
            " WHERE id = ?",
            (self.now_s(), address, digest, pem, code.id.hex()),
        )
        connection.execute(
            "INSERT INTO device VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (dev)"
            " DO UPDATE SET site = ?2, groups = ?3, serial = ?4, enrolled_s = ?5",
            (code.device, code.site, json.dumps(list(code.groups)), serial[:80], self.now_s()),
        )
        return pem

    def _bar_predecessors(self, connection: sqlite3.Connection, dev: str) -> None:
        """Whoever had this name has it no longer."""
        connection.execute("DELETE FROM revoked WHERE dev = ?", (dev,))
        connection.execute(
            "INSERT OR IGNORE INTO barred SELECT serial, ? FROM certificate WHERE dev = ?",
            (self.now_s(), dev),
        )

    def _issue(
        self, connection: sqlite3.Connection, dev: str, public: ec.EllipticCurvePublicKey
    ) -> str:
        days = self.section.certificate_days
        certificate = issue_for(self.authority, dev, public, now_s=self.now_s(), days=days)
        connection.execute(
            "INSERT INTO certificate VALUES (?, ?, ?, ?)",
            (
                f"{certificate.serial_number:x}",
                dev,
                int(certificate.not_valid_after_utc.timestamp()),
                self.now_s(),
            ),
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode()

    def _welcome(self, pem: str) -> dict[str, Any]:
        roots = self.keys.roots
        if roots is None:
            raise EnrolmentRefusal(
                "no_trust_list", "the desk has no trust list: set documents.trust_list_file"
            )
        mqtt = self.config.mqtt
        return {
            "certificate": pem,
            "ca": self.authority.certificate.public_bytes(serialization.Encoding.PEM).decode(),
            "roots": base64.b64encode(roots.to_bytes()).decode(),
            "trust_list": base64.b64encode(
                Path(self.config.documents.trust_list_file).read_bytes()
            ).decode(),
            "broker": {"host": mqtt.host, "port": mqtt.port},
            "desk": {"host": self.section.host, "port": self.section.port},
            "now_s": self.now_s(),
        }

    def _renew(self, body: dict[str, Any], peer: x509.Certificate | None) -> dict[str, Any]:
        dev, serial = _who(peer)
        public = _public_key(str(body.get("csr", "")), {"dev": dev})
        with self.store.transaction() as connection:
            barred = connection.execute(
                "SELECT 1 FROM barred WHERE serial = ?", (serial,)
            ).fetchone()
            revoked = connection.execute("SELECT 1 FROM revoked WHERE dev = ?", (dev,)).fetchone()
            known = connection.execute(
                "SELECT 1 FROM certificate WHERE serial = ?", (serial,)
            ).fetchone()
            if barred or revoked:
                raise EnrolmentRefusal("certificate_revoked", "this device was revoked", dev=dev)
            if not known:
                raise EnrolmentRefusal(
                    "certificate_unknown", "this certificate was not given out here: enrol", dev=dev
                )
            pem = self._issue(connection, dev, public)
        self.log.info("renewed", dev=dev)
        return {"certificate": pem}

    def _site(self, body: dict[str, Any], peer: x509.Certificate | None) -> dict[str, Any]:
        name, serial = _who(peer)
        if self.config.broker is None or name not in {
            authority.id for authority in self.config.authority
        }:
            raise EnrolmentRefusal(
                "not_an_authority",
                f"{name} is no [[authority]] of the hub's configuration",
                dev=name,
            )
        with self.store.transaction() as connection:
            put_out = (
                "SELECT 1 FROM barred WHERE serial = ? UNION SELECT 1 FROM revoked WHERE dev = ?"
            )
            if connection.execute(put_out, (serial, name)).fetchone():
                raise EnrolmentRefusal(
                    "certificate_revoked", "this authority was revoked", dev=name
                )
            crl, devices = (
                Path(self.config.broker.crl_file),
                frozenset(device.id for device in self.config.device),
            )
            return site_updates(
                connection, body, self.authority, crl, devices=devices - {name}, now_s=self.now_s()
            )


def _who(peer: x509.Certificate | None) -> tuple[str, str]:
    """The name and the serial number of a certificate that was shown."""
    if peer is None:
        raise EnrolmentRefusal("no_certificate", "show your certificate, or enrol")
    (name,) = [
        attribute.value for attribute in peer.subject if attribute.rfc4514_attribute_name == "CN"
    ]
    return str(name), f"{peer.serial_number:x}"


def _public_key(csr_pem: str, names: dict[str, str]) -> ec.EllipticCurvePublicKey:
    """The key of a request that proves that its sender has it."""
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
    except ValueError:
        raise EnrolmentRefusal(
            "request_malformed", "csr is not a certificate request, PEM", **names
        ) from None
    public = request.public_key()
    if not request.is_signature_valid or not isinstance(public, ec.EllipticCurvePublicKey):
        raise EnrolmentRefusal(
            "request_not_proven", "the request is not signed by its own P-256 key", **names
        )
    if not isinstance(public.curve, ec.SECP256R1):
        raise EnrolmentRefusal("request_not_proven", "the key is not of P-256", **names)
    return public


def _key_digest(public: ec.EllipticCurvePublicKey) -> str:
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()
