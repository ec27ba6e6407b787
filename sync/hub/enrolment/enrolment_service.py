"""The enrolment service: certificates for devices that have none yet, or need a new one.

It is apart from the broker.

``POST /v1/enrol`` takes a code that operations signed, once, and a certificate request. ``POST
/v1/renew`` takes a request from a device that shows its certificate. ``POST /v1/site`` returns to a
site authority what its broker needs (``sync.hub.enrolment.site_updates``). Refused requests are
recorded. The service holds the certificate authority's key and writes the broker's access lists;
the hub does neither.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final, NewType

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.typing import FilteringBoundLogger

from edge.documents.enrolment_code import (
    EnrolmentCode,
    message_of,
    open_enrolment_code,
    read_unverified,
)
from edge.token.signed_document import DocumentFault
from edge.values.instant import Instant
from sync.hub.config import HubConfig, HubEnrolment
from sync.hub.enrolment.client_proof import (
    EnrolmentRefusal,
    key_digest_of,
    no_certificate,
    public_key_of,
)
from sync.hub.enrolment.refusal_record import RefusalRecord
from sync.hub.enrolment.site_updates import site_updates
from sync.hub.fleet.trusted_keys import ListedKeys
from sync.hub.pki.broker_access import BrokerAccess
from sync.hub.pki.certificate_authority import CertificateAuthority, issue_for
from sync.hub.pki.certificate_renewal import name_of, renew_folder
from sync.hub.store.fleet import certificate_table, enrolment_table, revocation_table
from sync.hub.store.fleet.enrolment_table import CODE_REUSED, EnrolledDevice
from sync.hub.store.fleet.fleet_store import FleetConnection, FleetStore

NAME_NOT_ALLOWED: Final = "name_not_allowed"
_REASONS: Final = {  # of a code that does not hold
    DocumentFault.EXPIRED: "code_expired",
    DocumentFault.CONTENT: NAME_NOT_ALLOWED,
}
Reply = dict[str, Any]
CertificatePem = NewType("CertificatePem", str)


@dataclass(slots=True)
class EnrolmentService:
    """Handles requests, whatever carries them. ``now_s`` is Unix time."""

    config: HubConfig
    section: HubEnrolment
    store: FleetStore
    authority: CertificateAuthority
    access: BrokerAccess | None
    keys: ListedKeys
    now_s: Callable[[], int]
    log: FilteringBoundLogger
    _alone: Lock = field(default_factory=Lock)
    _refusals: RefusalRecord = field(init=False)

    def __post_init__(self) -> None:
        self._refusals = RefusalRecord(self.store, now_s=self.now_s, log=self.log)

    def handle(
        self, path: str, body: dict[str, Any], *, peer: x509.Certificate | None, address: str
    ) -> Reply | EnrolmentRefusal:
        """Handle a request, and record it if it is refused."""
        with self._alone:
            match path:
                case "/v1/enrol":
                    reply = self._enrol(body, address)
                case "/v1/renew":
                    reply = self._renew(body, peer)
                case "/v1/site":
                    reply = self._site(body, peer)
                case _:
                    reply = EnrolmentRefusal(
                        reason="no_such_path", detail=f"there is nothing at {path}"
                    )
            if isinstance(reply, EnrolmentRefusal):
                self._refusals.add(reply, address)
            return reply

    def refresh_access(self) -> bool:
        """Bring the broker's files up to date. Raises OSError and HubStoreError."""
        with self._alone:
            return self.access is not None and self.access.refresh(self.now_s())

    def renew_own(self) -> list[str]:
        """Renew the platform's own certificates that are about to expire and return their names.

        Raises OSError, ValueError and HubStoreError.
        """
        with self._alone:
            folder = Path(self.section.ca_key_file).parent
            with self.store.transaction() as connection:
                renewed = renew_folder(folder, connection, self.authority, now_s=self.now_s())
            if renewed and self.access is not None:
                self.access.reload_broker()
            return renewed

    # Enrol

    def _enrol(self, body: dict[str, Any], address: str) -> Reply | EnrolmentRefusal:
        serial = str(body.get("serial", ""))
        code = self._open_code(str(body.get("code", "")), serial)
        if isinstance(code, EnrolmentRefusal):
            return code
        public = public_key_of(str(body.get("csr", "")), dev=code.device, code=code.id.hex())
        if isinstance(public, EnrolmentRefusal):
            return public
        with self.store.transaction() as connection:
            pem = self._use_code(connection, code, public, serial=serial, address=address)
        if isinstance(pem, EnrolmentRefusal):
            return pem
        if self.access is not None:
            self.access.refresh(self.now_s())  # before the device comes to the broker
        self.log.info("enrolled", dev=code.device, site=code.site, address=address)
        return self._welcome(pem)

    def _open_code(self, text: str, serial: str) -> EnrolmentCode | EnrolmentRefusal:
        """Return a code that is valid for the board with this serial number, used or not."""
        message = message_of(text)
        claimed = read_unverified(message) if message else None
        if message is None or claimed is None:
            return EnrolmentRefusal(reason="code_malformed", detail="this is not an enrolment code")
        names = {"dev": claimed.device, "code": claimed.id.hex()}
        code = open_enrolment_code(message, self.keys(), now=Instant(unix_s=self.now_s()))
        if not isinstance(code, EnrolmentCode):
            reason = _REASONS.get(code.fault, "code_not_verified")
            return EnrolmentRefusal(reason=reason, detail=str(code), **names)
        if code.device in {authority.id for authority in self.config.authority}:
            detail = f"{code.device} is an [[authority]] of the hub's configuration"
            return EnrolmentRefusal(reason=NAME_NOT_ALLOWED, detail=detail, **names)
        if code.tenant != self.config.tenant:
            return EnrolmentRefusal(reason="code_of_another_tenant", detail=code.tenant, **names)
        if code.serial and code.serial != serial:
            detail = "the code is for one board, and this is not it"
            return EnrolmentRefusal(reason="code_for_another_board", detail=detail, **names)
        return code

    def _use_code(
        self,
        connection: FleetConnection,
        code: EnrolmentCode,
        public: ec.EllipticCurvePublicKey,
        *,
        serial: str,
        address: str,
    ) -> CertificatePem | EnrolmentRefusal:
        """Use the code for this key, once, and return its certificate.

        The same key may ask again if a reply was lost.
        """
        identity, digest = code.id.hex(), key_digest_of(public)
        earlier = _earlier_use(connection, code, digest)
        if earlier is not None:
            return earlier
        self._revoke_predecessor(connection, code.device)
        pem = self._issue(connection, code.device, public)
        enrolment_table.use_code(
            connection,
            identity,
            used_s=self.now_s(),
            used_from=address,
            key_digest=digest,
            certificate=pem,
        )
        groups = json.dumps(list(code.groups))
        device = EnrolledDevice(code.site, groups, serial[:80], self.now_s())
        enrolment_table.put_device(connection, code.device, device)
        return pem

    def _revoke_predecessor(self, connection: FleetConnection, dev: str) -> None:
        """Revoke the certificates of the device that had this name."""
        revocation_table.delete_revocation(connection, dev)
        certificate_table.revoke_certificates_of(connection, dev, at_s=self.now_s())

    def _issue(
        self, connection: FleetConnection, dev: str, public: ec.EllipticCurvePublicKey
    ) -> CertificatePem:
        days = self.section.certificate_days
        certificate = issue_for(self.authority, dev, public, now_s=self.now_s(), days=days)
        certificate_table.insert_certificate(
            connection,
            f"{certificate.serial_number:x}",
            dev=dev,
            expires_at_s=int(certificate.not_valid_after_utc.timestamp()),
            issued_s=self.now_s(),
        )
        return CertificatePem(certificate.public_bytes(serialization.Encoding.PEM).decode())

    def _welcome(self, pem: CertificatePem) -> Reply | EnrolmentRefusal:
        roots = self.keys.roots
        if roots is None:
            detail = "the enrolment service has no trust list: set documents.trust_list_file"
            return EnrolmentRefusal(reason="no_trust_list", detail=detail)
        mqtt = self.config.mqtt
        trust_list = Path(self.config.documents.trust_list_file).read_bytes()
        return {
            "certificate": pem,
            "ca": self.authority.certificate.public_bytes(serialization.Encoding.PEM).decode(),
            "roots": base64.b64encode(roots.to_bytes()).decode(),
            "trust_list": base64.b64encode(trust_list).decode(),
            "broker": {"host": mqtt.host, "port": mqtt.port},
            "now_s": self.now_s(),
        }

    # Renew

    def _renew(
        self, body: dict[str, Any], peer: x509.Certificate | None
    ) -> Reply | EnrolmentRefusal:
        if peer is None:
            return no_certificate()
        dev, serial = name_of(peer), f"{peer.serial_number:x}"
        public = public_key_of(str(body.get("csr", "")), dev=dev)
        if isinstance(public, EnrolmentRefusal):
            return public
        with self.store.transaction() as connection:
            if _is_revoked(connection, dev, serial):
                detail = "this device was revoked"
                return EnrolmentRefusal(reason="certificate_revoked", detail=detail, dev=dev)
            if not certificate_table.was_issued(connection, serial):
                detail = "this certificate was not issued here: enrol"
                return EnrolmentRefusal(reason="certificate_unknown", detail=detail, dev=dev)
            pem = self._issue(connection, dev, public)
        self.log.info("renewed", dev=dev)
        return {"certificate": pem}

    # Site authorities

    def _site(
        self, body: dict[str, Any], peer: x509.Certificate | None
    ) -> Reply | EnrolmentRefusal:
        if peer is None:
            return no_certificate()
        name, serial = name_of(peer), f"{peer.serial_number:x}"
        if self.config.broker is None or name not in {item.id for item in self.config.authority}:
            detail = f"{name} is no [[authority]] of the hub's configuration"
            return EnrolmentRefusal(reason="not_an_authority", detail=detail, dev=name)
        with self.store.transaction() as connection:
            if _is_revoked(connection, name, serial):
                detail = "this authority was revoked"
                return EnrolmentRefusal(reason="certificate_revoked", detail=detail, dev=name)
            return site_updates(
                connection,
                body,
                self.authority,
                Path(self.config.broker.crl_file),
                devices=frozenset(device.id for device in self.config.device) - {name},
                now_s=self.now_s(),
            )


def _is_revoked(connection: FleetConnection, name: str, serial: str) -> bool:
    return (
        certificate_table.is_certificate_revoked(connection, serial)
        or revocation_table.revocation_of(connection, name) is not None
    )


def _earlier_use(
    connection: FleetConnection, code: EnrolmentCode, key_digest: str
) -> CertificatePem | EnrolmentRefusal | None:
    """Return None for a code that is open; the certificate, if the same key has used it."""
    names = {"dev": code.device, "code": code.id.hex()}
    known = enrolment_table.code_state(connection, code.id.hex())
    if known is None:
        detail = "no such code was issued here"
        return EnrolmentRefusal(reason="code_unknown", detail=detail, **names)
    if known.state == "cancelled":
        detail = "the code was cancelled: print a new one"
        return EnrolmentRefusal(reason="code_cancelled", detail=detail, **names)
    if known.state != "used":
        return None
    if known.key_digest == key_digest:
        return CertificatePem(str(known.certificate))
    detail = "the code was used already, by another device"
    return EnrolmentRefusal(reason=CODE_REUSED, detail=detail, **names)
