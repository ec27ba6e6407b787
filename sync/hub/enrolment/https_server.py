"""Carries words to the enrolment desk and back: HTTPS, TLS 1.3, JSON."""

from __future__ import annotations

import json
import socket
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore
from typing import Any, Final

from cryptography import x509

from sync.hub.enrolment.enrolment_service import EnrolmentRefusal, EnrolmentService

LARGEST_BODY: Final = 16 * 1024  # bytes
PATIENCE_S: Final = 10.0  # with a client that does not go on
MOST_CLIENTS: Final = 32
REFUSED: Final = 403


class EnrolmentServer(ThreadingHTTPServer):
    """Carries the words, TLS 1.3. A client that does nothing holds up nobody else."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, desk: EnrolmentService, ca_file: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_cert_chain(desk.section.cert_file, desk.section.key_file)
        context.load_verify_locations(ca_file)
        context.verify_mode = ssl.CERT_OPTIONAL  # who enrols has none; who renews shows it
        self.desk = desk
        self._files = desk.section.cert_file, desk.section.key_file
        self._context = context
        self._places = BoundedSemaphore(MOST_CLIENTS)
        super().__init__((desk.section.address, desk.section.port), _Handler)

    def read_certificate(self) -> None:
        """Show the certificate that is in the file now. Raises OSError."""
        self._context.load_cert_chain(*self._files)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; the handshake happens in the client's own thread."""
        plain, address = super().get_request()
        plain.settimeout(PATIENCE_S)
        return self._context.wrap_socket(
            plain, server_side=True, do_handshake_on_connect=False
        ), address

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
    server: EnrolmentServer
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
            answer = self.server.desk.answer(
                self.path, body, peer=self._peer(), address=self.client_address[0]
            )
        except EnrolmentRefusal as refusal:
            self._say(REFUSED, {"error": refusal.reason, "detail": refusal.detail})
        else:
            self._say(200, answer)

    def _peer(self) -> x509.Certificate | None:
        der = (
            self.connection.getpeercert(binary_form=True)
            if isinstance(self.connection, ssl.SSLSocket)
            else None
        )
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
