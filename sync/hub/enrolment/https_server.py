"""HTTPS transport (TLS 1.3, JSON) of the enrolment service."""

from __future__ import annotations

import json
import socket
import ssl
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from cryptography import x509

from sync.hub.enrolment.client_places import ClientPlaces
from sync.hub.enrolment.client_proof import EnrolmentRefusal
from sync.hub.enrolment.enrolment_service import EnrolmentService

LARGEST_BODY: Final = 16 * 1024  # bytes
DEADLINE_S: Final = 10.0  # from a client's connection to the end of its reply
LOOK_EVERY_S: Final = 0.5  # for clients whose time is over
REFUSED: Final = 403


class EnrolmentServer(ThreadingHTTPServer):
    """Serves each client in a thread. A client that does nothing delays no other."""

    daemon_threads = True
    request_queue_size = 64
    allow_reuse_address = True

    def __init__(self, service: EnrolmentService, ca_file: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_cert_chain(service.section.cert_file, service.section.key_file)
        context.load_verify_locations(ca_file)
        context.verify_mode = (
            ssl.CERT_OPTIONAL
        )  # a device that enrols has none; one that renews shows it
        self.service = service
        self._files = service.section.cert_file, service.section.key_file
        self._context = context
        self._places = ClientPlaces()
        self._open: dict[socket.socket, float] = {}  # connections: when their time is over
        super().__init__((service.section.address, service.section.port), _Handler)

    def read_certificate(self) -> None:
        """Use the certificate that is in the file now. Raises OSError."""
        self._context.load_cert_chain(*self._files)

    def serve_forever(self, poll_interval: float = LOOK_EVERY_S) -> None:
        """Serve until ``shutdown``."""
        super().serve_forever(poll_interval)

    def service_actions(self) -> None:
        """Cut off the clients whose time is over, however they have used it."""
        now_s = time.monotonic()
        for connection, end_s in list(self._open.items()):
            if now_s >= end_s:
                with suppress(OSError):  # it has ended by itself
                    # Not the TLS socket's own: its thread is using that.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection. The handshake happens in the client's own thread."""
        plain, address = super().get_request()
        plain.settimeout(DEADLINE_S)
        return self._context.wrap_socket(
            plain, server_side=True, do_handshake_on_connect=False
        ), address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a client in a thread, if its address has a place."""
        if self._places.take(client_address[0]):
            self._open[request] = time.monotonic() + DEADLINE_S
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a client, and free its place at the end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.pop(request, None)
            self._places.free(client_address[0])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a handshake that failed and a client that went away."""


class _Handler(BaseHTTPRequestHandler):
    server: EnrolmentServer
    protocol_version = "HTTP/1.1"
    timeout = DEADLINE_S

    def do_POST(self) -> None:
        self.close_connection = True
        try:
            length = int(self.headers.get("Content-Length", "0"))
            if not 0 < length <= LARGEST_BODY:
                self._reply(413, {"error": "too_large", "detail": f"1 to {LARGEST_BODY} bytes"})
                return
            body = json.loads(self.rfile.read(length))
            if not isinstance(body, dict):
                raise ValueError("not an object")
        except ValueError as error:
            self._reply(400, {"error": "not_json", "detail": str(error)})
            return
        reply = self.server.service.handle(
            self.path, body, peer=self._peer(), address=self.client_address[0]
        )
        if isinstance(reply, EnrolmentRefusal):
            self._reply(REFUSED, {"error": reply.reason, "detail": reply.detail})
        else:
            self._reply(200, reply)

    def _peer(self) -> x509.Certificate | None:
        der = (
            self.connection.getpeercert(binary_form=True)
            if isinstance(self.connection, ssl.SSLSocket)
            else None
        )
        return x509.load_der_x509_certificate(der) if der else None

    def _reply(self, status: int, content: dict[str, Any]) -> None:
        payload = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: Any) -> None:
        """Log nothing: the service logs what matters."""
