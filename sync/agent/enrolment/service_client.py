"""The device's requests to the enrolment service: an identity, a renewed certificate."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from edge.documents.enrolment_code import EnrolmentCode, pin_of
from edge.identity.identity import Identity
from sync.agent.enrolment.device_key import board_serial, certificate_request
from sync.agent.enrolment.enrolment_error import EnrolmentError
from sync.mqtt.https_client import HttpsError, HttpsReply, pinned_context, post_json
from sync.mqtt.tls import client_context

_REASONS: Final = {  # of an HttpsError: the reason, and whether trying again may help
    "unreachable": ("service_unreachable", True),
    "unreadable": ("service_reply_unreadable", True),
    "not_pinned": ("wrong_service", False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentReply:
    """What the service issues for a code. Nothing of it is verified yet."""

    certificate: str  # PEM
    ca: str  # PEM
    roots: bytes
    trust_list: bytes
    broker_host: str
    broker_port: int
    now_s: int  # Unix seconds at the service


def request_enrolment(
    text: str, code: EnrolmentCode, key: ec.EllipticCurvePrivateKey
) -> EnrolmentReply:
    """Ask the service that ``code`` pins for an identity. Raises EnrolmentError."""
    body = {"code": text, "csr": certificate_request(key), "serial": board_serial()}
    try:
        reply = post_json(
            code.host,
            code.port,
            "/v1/enrol",
            body,
            pinned_context(),
            is_pinned=lambda certificate: pin_of(certificate) == code.service_pin,
        )
    except HttpsError as error:
        raise _failed(error) from None
    found = _accepted(reply)
    try:
        return EnrolmentReply(
            certificate=str(found["certificate"]),
            ca=str(found["ca"]),
            roots=base64.b64decode(found["roots"]),
            trust_list=base64.b64decode(found["trust_list"]),
            broker_host=str(found["broker"]["host"]),
            broker_port=int(found["broker"]["port"]),
            now_s=int(found["now_s"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        # The service has accepted the code: to ask again would bring the same reply.
        raise EnrolmentError("service_reply_incomplete", repr(error)) from None


def request_renewal(identity: Identity, key: ec.EllipticCurvePrivateKey) -> str:
    """Show the present certificate and return one of ``key``, PEM.

    Raises EnrolmentError, OSError.
    """
    mqtt = identity.profile["mqtt"]
    context = client_context(mqtt["ca_file"], mqtt["cert_file"], mqtt["key_file"])
    host, port = identity.service["host"], identity.service["port"]
    try:
        reply = post_json(host, port, "/v1/renew", {"csr": certificate_request(key)}, context)
    except HttpsError as error:
        raise _failed(error) from None
    certificate = _accepted(reply).get("certificate")
    if not isinstance(certificate, str):
        raise EnrolmentError("service_reply_incomplete", "no certificate in it")
    return certificate


def _accepted(reply: HttpsReply) -> dict[str, Any]:
    if not reply.accepted:
        reason, detail = reply.body.get("error", "refused"), reply.body.get("detail", "")
        raise EnrolmentError(str(reason), str(detail))
    return reply.body


def _failed(error: HttpsError) -> EnrolmentError:
    reason, again = _REASONS[error.code]
    return EnrolmentError(reason, str(error), again=again)
