"""What a device makes of the replies of the enrolment service."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edge.documents.enrolment_code import EnrolmentCode
from sync.agent.enrolment import service_client
from sync.agent.enrolment.enrolment_error import EnrolmentError
from sync.mqtt.https_client import HttpsReply

CODE = EnrolmentCode(
    id=bytes(16),
    tenant="main",
    device="kiosk-7",
    site="shop-1",
    host="127.0.0.1",
    port=8443,
    service_pin=bytes(16),
    roots_pin=bytes(16),
    expires_at_s=2**32,
)
WHOLE = {
    "certificate": "PEM",
    "ca": "PEM",
    "roots": base64.b64encode(b"roots").decode(),
    "trust_list": base64.b64encode(b"list").decode(),
    "broker": {"host": "broker.example", "port": 8883},
    "now_s": 1_800_000_000,
}
WITHOUT_PORT = WHOLE | {"broker": {"host": "broker.example"}}


def ask(monkeypatch, body):
    monkeypatch.setattr(service_client, "post_json", lambda *_, **__: HttpsReply(True, body))
    key = ec.generate_private_key(ec.SECP256R1())
    return service_client.request_enrolment("EN1:", CODE, key)


def test_a_whole_reply_is_read(monkeypatch):
    reply = ask(monkeypatch, WHOLE)
    assert (reply.roots, reply.broker_port) == (b"roots", 8883)


@pytest.mark.parametrize(
    "body",
    [
        *({name: value for name, value in WHOLE.items() if name != left} for left in WHOLE),
        WITHOUT_PORT,
        WHOLE | {"roots": "not base64!"},
        WHOLE | {"now_s": "soon"},
    ],
)
def test_a_reply_that_lacks_something_is_a_refusal_and_not_asked_for_again(monkeypatch, body):
    with pytest.raises(EnrolmentError) as raised:
        ask(monkeypatch, body)
    assert (raised.value.reason, raised.value.again) == ("service_reply_incomplete", False)
