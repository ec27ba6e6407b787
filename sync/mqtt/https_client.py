"""One JSON request over HTTPS: TLS 1.3, a bounded reply, one error type."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from edge.values.errors import EdgeError

TIMEOUT_S: Final = 10.0
LARGEST_REPLY: Final = 4 * 2**20  # bytes


class HttpsError(EdgeError):
    """No usable reply came: ``code`` is ``unreachable``, ``unreadable`` or ``not_pinned``."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class HttpsReply:
    """A JSON object that a server replied with. ``accepted``: with the status 200."""

    accepted: bool
    body: dict[str, Any]


def pinned_context() -> ssl.SSLContext:
    """Return a context for a server that is recognised by its certificate, not its name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def post_json(
    host: str,
    port: int,
    path: str,
    body: dict[str, Any],
    context: ssl.SSLContext,
    *,
    is_pinned: Callable[[bytes], bool] | None = None,
) -> HttpsReply:
    """Send ``body`` to ``path`` and return the reply. Raises HttpsError.

    ``is_pinned`` is given the server's certificate (DER) before anything is sent; False ends it.
    """
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    where = f"{host}:{port}"
    try:
        connection.connect()
        if is_pinned is not None and not is_pinned(_certificate(connection)):
            raise HttpsError("not_pinned", f"{where} has another certificate than expected")
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        reply = json.loads(response.read(LARGEST_REPLY))
    except (OSError, http.client.HTTPException) as error:  # ssl.SSLError is an OSError
        raise HttpsError("unreachable", f"{where}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise HttpsError("unreadable", f"{where}: {error}") from None
    finally:
        connection.close()
    if not isinstance(reply, dict):
        raise HttpsError("unreadable", f"{where}: the reply is not a JSON object")
    return HttpsReply(response.status == http.client.OK, reply)


def _certificate(connection: http.client.HTTPSConnection) -> bytes:
    assert isinstance(connection.sock, ssl.SSLSocket)
    return connection.sock.getpeercert(binary_form=True) or b""
