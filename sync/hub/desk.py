"""The enrolment desk: HTTPS, apart from the broker, for those who have no certificate yet or need a new one.

``POST /v1/enrol`` takes a code that ops signed, once, and a certificate request; ``POST /v1/renew`` takes a
request from a device that shows its certificate. What is refused leaves a trace. The desk holds the
authority's key and looks after who may speak at the broker; the hub does neither.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import sqlite3
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.enrolment.code import EnrolmentCode, look_into, message_of, open_code
from edge.instant import Instant
from sync.hub.access import Access
from sync.hub.config import HubConfig, HubEnrolment
from sync.hub.fleet_store import FleetStore, trace
from sync.hub.office_start import ListedKeys
from sync.hub.pki import Authority, issue_for

LARGEST_BODY: Final = 16 * 1024  # bytes
PATIENCE_S: Final = 10.0  # with a client that does not go on
MOST_CLIENTS: Final = 32
REFUSED: Final = 403


class Refusal(Exception):  # noqa: N818 - it is an answer
    """What a client is told, and what the trace keeps."""

    def __init__(self, reason: str, detail: str, *, dev: str = "", code: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.dev, self.code = reason, detail, dev, code


@dataclass(slots=True)
class Desk:
    """What the desk does, whoever carries the words. ``now_s`` is Unix time."""

    config: HubConfig
    section: HubEnrolment
    store: FleetStore
    authority: Authority
    access: Access | None
    keys: ListedKeys
    now_s: Callable[[], int]
    log: Any  # a structlog logger
    _alone: Lock = field(default_factory=Lock)

    def answer(self, path: str, body: dict[str, Any], *, peer: x509.Certificate | None, address: str) -> dict[str, Any]:
        """Answer a request. Raises Refusal, after leaving a trace of it."""
        with self._alone:
            try:
                if path == "/v1/enrol":
                    return self._enrol(body, address)
                if path == "/v1/renew":
                    return self._renew(body, peer)
                raise Refusal("no_such_path", f"there is nothing at {path}")
            except Refusal as refusal:
                with self.store.transaction() as connection:
                    trace(
                        connection, self.now_s(), refusal.reason, dev=refusal.dev, code=refusal.code, address=address,
                        detail=refusal.detail,
                    )  # fmt: skip
                self.log.warning("desk_refused", reason=refusal.reason, dev=refusal.dev, address=address)
                raise

    def refresh_access(self) -> bool:
        """Bring the broker's files up to date. Raises OSError, FleetStoreError."""
        with self._alone:
            return self.access is not None and self.access.refresh(self.now_s())

    def _enrol(self, body: dict[str, Any], address: str) -> dict[str, Any]:
        text = str(body.get("code", ""))
        message = message_of(text)
        said = look_into(message) if message else None
        if message is None or said is None:
            raise Refusal("code_malformed", "this is not an enrolment code")
        names = {"dev": said.device, "code": said.id.hex()}
        code = open_code(message, self.keys(), now=Instant(unix_s=self.now_s()))
        if not isinstance(code, EnrolmentCode):
            reason = "code_expired" if code.fault == "document_expired" else "code_not_believed"
            raise Refusal(reason, str(code), **names)
        if code.tenant != self.config.tenant:
            raise Refusal("code_of_another_tenant", code.tenant, **names)
        if code.serial and code.serial != str(body.get("serial", "")):
            raise Refusal("code_for_another_board", "the code is for one board, and this is not it", **names)
        public = _public_key(str(body.get("csr", "")), names)
        with self.store.transaction() as connection:
            pem = self._use(connection, code, public, serial=str(body.get("serial", "")), address=address)
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
            raise Refusal("code_unknown", "no such code was given out here", **names)
        state, used_for, kept = row
        if state == "cancelled":
            raise Refusal("code_cancelled", "the code was cancelled: print a new one", **names)
        if state == "used":
            if used_for == digest:
                return str(kept)
            raise Refusal("code_reused", "the code was used already, by another device", **names)
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
            "INSERT OR IGNORE INTO barred SELECT serial, ? FROM certificate WHERE dev = ?", (self.now_s(), dev)
        )

    def _issue(self, connection: sqlite3.Connection, dev: str, public: ec.EllipticCurvePublicKey) -> str:
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
            raise Refusal("no_trust_list", "the desk has no trust list: set documents.trust_list_file")
        mqtt = self.config.mqtt
        return {
            "certificate": pem,
            "ca": self.authority.certificate.public_bytes(serialization.Encoding.PEM).decode(),
            "roots": base64.b64encode(roots.to_bytes()).decode(),
            "trust_list": base64.b64encode(Path(self.config.documents.trust_list_file).read_bytes()).decode(),
            "broker": {"host": mqtt.host, "port": mqtt.port},
            "desk": {"host": self.section.host, "port": self.section.port},
            "now_s": self.now_s(),
        }

    def _renew(self, body: dict[str, Any], peer: x509.Certificate | None) -> dict[str, Any]:
        if peer is None:
            raise Refusal("no_certificate", "show your certificate, or enrol")
        (name,) = [attribute.value for attribute in peer.subject if attribute.rfc4514_attribute_name == "CN"]
        dev, serial = str(name), f"{peer.serial_number:x}"
        public = _public_key(str(body.get("csr", "")), {"dev": dev})
        with self.store.transaction() as connection:
            barred = connection.execute("SELECT 1 FROM barred WHERE serial = ?", (serial,)).fetchone()
            revoked = connection.execute("SELECT 1 FROM revoked WHERE dev = ?", (dev,)).fetchone()
            known = connection.execute("SELECT 1 FROM certificate WHERE serial = ?", (serial,)).fetchone()
            if barred or revoked:
                raise Refusal("certificate_revoked", "this device was revoked", dev=dev)
            if not known:
                raise Refusal("certificate_unknown", "this certificate was not given out here: enrol", dev=dev)
            pem = self._issue(connection, dev, public)
        self.log.info("renewed", dev=dev)
        return {"certificate": pem}


def _public_key(csr_pem: str, names: dict[str, str]) -> ec.EllipticCurvePublicKey:
    """The key of a request that proves that its sender has it."""
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
    except ValueError:
        raise Refusal("request_malformed", "csr is not a certificate request, PEM", **names) from None
    public = request.public_key()
    if not request.is_signature_valid or not isinstance(public, ec.EllipticCurvePublicKey):
        raise Refusal("request_not_proven", "the request is not signed by its own P-256 key", **names)
    if not isinstance(public.curve, ec.SECP256R1):
        raise Refusal("request_not_proven", "the key is not of P-256", **names)
    return public


def _key_digest(public: ec.EllipticCurvePublicKey) -> str:
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


class DeskServer(ThreadingHTTPServer):
    """Carries the words, TLS 1.3. A client that does nothing holds up nobody else."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, desk: Desk, ca_file: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(desk.section.cert_file, desk.section.key_file)
        context.load_verify_locations(ca_file)
        context.verify_mode = ssl.CERT_OPTIONAL  # who enrols has none; who renews shows it
        self.desk = desk
        self._context = context
        self._places = BoundedSemaphore(MOST_CLIENTS)
        super().__init__((desk.section.address, desk.section.port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; the handshake happens in the client's own thread."""
        plain, address = super().get_request()
        plain.settimeout(PATIENCE_S)
        return self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve it in a thread, if there is a place."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Give the place back at the end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A handshake that failed, or a client that went away: nobody to answer."""


class _Handler(BaseHTTPRequestHandler):
    server: DeskServer
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE_S

    def do_POST(self) -> None:
        self.close_connection = True
        try:
            length = int(self.headers.get("Content-Length", "0"))
            if not 0 < length <= LARGEST_BODY:
                self._say(413, {"error": "too_large", "detail": f"1 to {LARGEST_BODY} bytes"})
                return
            body = json.loads(self.rfile.read(length))
            if not isinstance(body, dict):
                raise ValueError("not an object")
        except ValueError as error:
            self._say(400, {"error": "not_json", "detail": str(error)})
            return
        try:
            answer = self.server.desk.answer(self.path, body, peer=self._peer(), address=self.client_address[0])
        except Refusal as refusal:
            self._say(REFUSED, {"error": refusal.reason, "detail": refusal.detail})
        else:
            self._say(200, answer)

    def _peer(self) -> x509.Certificate | None:
        der = self.connection.getpeercert(binary_form=True) if isinstance(self.connection, ssl.SSLSocket) else None
        return x509.load_der_x509_certificate(der) if der else None

    def _say(self, status: int, answer: dict[str, Any]) -> None:
        payload = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: Any) -> None:
        """The desk logs what matters."""
