"""A reply counts if it is signed, for this device, for its request, and within its deadline."""

from base64 import b64encode
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.domain.authorisation import AuthorisationResult
from edge.store import authorisations
from edge.store.authorisations import AuthorisationReply, AuthorisationRequest
from edge.store.opening import open_store
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.token.signed_document import sign_document
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant
from sync.agent.authorisation_relay import AUTHORITY_REQUEST_S, AuthorisationRelay
from sync.agent.outcomes import DownlinkRefusal
from sync.wire.grant_reply import GRANT_REPLY, GrantReply
from sync.wire.messages import Response

NOW = Instant(unix_s=1_800_000_000)
CTI = bytes(range(16))
KEY = signer(Ed25519PrivateKey.generate())
FEED_KEY = signer(Ed25519PrivateKey.generate())
S = 1_000_000_000


def trusted(key, purpose, audiences=None):
    return TrustedKey(
        key=key.public,
        purposes=frozenset({purpose}),
        not_before_s=0,
        expires_at_s=2**33 - 1,
        audiences=audiences,
    )


class Trusting:
    """Anchors with a list of the test's own."""

    def __init__(self, audiences=None):
        keys = (trusted(KEY, Purpose.GRANT, audiences), trusted(FEED_KEY, Purpose.ORDER_FEED))
        self.trust = TrustList(version=1, issued_at_s=0, expires_at_s=2**33 - 1, keys=keys)


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path, device_id="kiosk-1", now_s=NOW.unix_s, random_bytes=bytes).store
    yield store
    store.close()


@pytest.fixture
def relay(store):
    relay = AuthorisationRelay(store, Trusting(), device="kiosk-1", site="shop-1")
    relay.note_authority()
    return relay


def write_request(store, identity="r1", due_s=50.0):
    authorisations.write_request(
        store,
        AuthorisationRequest(id=identity, cti=CTI, order_quantity=1, due_ns=int(due_s * S)),
        NOW,
    )
    return identity


GIVEN = GrantReply(
    device="kiosk-1",
    id="r1",
    cti=CTI,
    result=AuthorisationResult.GRANTED,
    quantity=1,
    site="shop-1",
    authority="_hub",
    issued_at_s=NOW.unix_s,
)


def response(answer=GIVEN, *, key=KEY, purpose=Purpose.GRANT, spoil=False):
    raw = bytearray(sign_document(GRANT_REPLY.write(answer), purpose, key))
    raw[-1] ^= spoil
    return Response(
        dev="kiosk-1", id=answer.id, result=answer.result, signed=b64encode(raw).decode()
    )


def test_a_request_is_sent_once_and_its_reply_is_stored(store, relay):
    write_request(store)
    (request,) = relay.next_requests(S)
    assert (request.id, request.cti, request.order_quantity, request.wait_ms) == (
        "r1",
        CTI.hex(),
        1,
        49_000,
    )
    assert relay.next_requests(S) == []
    assert isinstance(relay.receive(response(), NOW, 2 * S), AuthorisationReply)
    assert authorisations.find_reply(store, "r1").result is AuthorisationResult.GRANTED
    with store.read() as connection:
        assert authorisations.find_grant(connection, CTI, 3 * S).id == "r1"


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"key": signer(Ed25519PrivateKey.generate())}, "document_key_unknown"),
        ({"spoil": True}, "document_signature_invalid"),
        ({"key": FEED_KEY}, "document_key_purpose"),
        ({"key": FEED_KEY, "purpose": Purpose.ORDER_FEED}, "document_key_purpose"),
        ({"answer": replace(GIVEN, device="kiosk-2")}, "wrong_device"),
        ({"answer": replace(GIVEN, site="shop-2")}, "wrong_device"),
        ({"answer": replace(GIVEN, id="r0")}, "grant_not_requested"),
        ({"answer": replace(GIVEN, cti=bytes(16))}, "grant_not_requested"),
        ({"answer": replace(GIVEN, quantity=0)}, "grant_not_requested"),
    ],
)
def test_a_reply_to_anything_but_this_request_changes_nothing(store, relay, what, reason):
    write_request(store)
    relay.next_requests(S)
    taken = relay.receive(response(**what), NOW, 2 * S)
    assert isinstance(taken, DownlinkRefusal)
    assert taken.reason == reason
    assert authorisations.find_reply(store, "r1") is None


def test_an_unsigned_reply_changes_nothing(store, relay):
    """The plain fields are for a reader of the log."""
    write_request(store)
    relay.next_requests(S)
    plain = Response(dev="kiosk-1", id="r1", result=AuthorisationResult.GRANTED, until=2**32)
    for signed in ("", "not base64!"):
        assert isinstance(
            relay.receive(plain.model_copy(update={"signed": signed}), NOW, 2 * S), DownlinkRefusal
        )
    assert authorisations.find_reply(store, "r1") is None


def test_a_reply_cannot_be_replayed(store, relay):
    write_request(store)
    relay.next_requests(S)
    relay.receive(response(), NOW, 2 * S)
    write_request(store, "r2")
    relay.next_requests(S)
    assert relay.receive(response(), NOW, 2 * S).reason == "grant_not_requested"
    assert authorisations.find_reply(store, "r2") is None


def test_a_key_of_another_sites_authority_grants_nothing_here(store):
    relay = AuthorisationRelay(
        store, Trusting(audiences=frozenset({"shop-2"})), device="kiosk-1", site="shop-1"
    )
    relay.note_authority()
    write_request(store)
    relay.next_requests(S)
    assert relay.receive(response(), NOW, 2 * S).reason == "wrong_site"


def test_a_grant_that_comes_after_the_deadline_is_none(store, relay):
    write_request(store, due_s=10)
    relay.next_requests(S)
    relay.receive(response(), NOW, 11 * S)
    with store.read() as connection:
        assert authorisations.find_grant(connection, CTI, 11 * S) is None


def test_a_grant_that_was_not_used_at_once_is_none_later(store, relay):
    write_request(store, due_s=10)
    relay.next_requests(S)
    relay.receive(response(), NOW, 2 * S)
    with store.read() as connection:
        assert (
            authorisations.find_grant(connection, CTI, 10 * S + authorisations.USE_WITHIN_NS - 1)
            is not None
        )
        assert (
            authorisations.find_grant(connection, CTI, 10 * S + authorisations.USE_WITHIN_NS)
            is None
        )


def test_nothing_is_requested_before_an_authority_reports_on_this_connection(store, relay):
    relay.start_over(0.0)
    write_request(store)
    assert relay.next_requests(S) == []
    relay.note_authority()
    assert len(relay.next_requests(S)) == 1


def test_after_an_expired_request_no_authority_counts_as_here_until_it_reports(store, relay):
    write_request(store, due_s=10)
    relay.next_requests(S)
    assert relay.has_authority
    relay.next_requests(10 * S)
    assert not relay.has_authority
    assert relay.wants_authority(100.0)
    assert not relay.wants_authority(100.0 + AUTHORITY_REQUEST_S - 1)
    assert relay.wants_authority(100.0 + AUTHORITY_REQUEST_S)
    relay.note_authority()
    assert not relay.wants_authority(1000.0)
