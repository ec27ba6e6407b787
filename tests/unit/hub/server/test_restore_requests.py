"""The platform gives a device its ledger back, unless it cannot, or might not have all of it."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import CapturingLogger

from edge.token.keys import signer
from sync.hub.server.platform_authority import PlatformAuthority
from sync.hub.server.refusal_counter import RefusalCounter
from sync.hub.store import incarnation_table
from sync.wire import codec
from sync.wire.messages import RestoreReply, RestoreRequest

NOW_S = 1_800_000_000
KEY = signer(Ed25519PrivateKey.generate())
REQUEST = RestoreRequest(dev="kiosk-1", id="r")


@pytest.fixture
def store(opened):
    return opened()


def reply(store, *, key=KEY, site="shop-1"):
    """Return the reply to a request, and the reasons of what was refused."""
    refusals = RefusalCounter(CapturingLogger())
    authority = PlatformAuthority(
        key, (), site_of=lambda _: site, now_s=lambda: NOW_S, refusals=refusals
    )
    with store.transaction() as connection:
        return authority.handle_restore_request(connection, REQUEST), list(refusals.counts)


def test_a_request_gets_a_signed_page(store):
    raw, refused = reply(store)
    assert isinstance(codec.decode_reply(raw, dev="kiosk-1"), RestoreReply)
    assert refused == []


@pytest.mark.parametrize(
    ("hub", "reason"),
    [({"key": None}, "grant_key_missing"), ({"site": None}, "device_without_site")],
)
def test_a_hub_that_cannot_reply_names_why(store, hub, reason):
    assert reply(store, **hub) == (None, [reason])


def test_a_hub_that_is_held_gives_nothing_back(store):
    """It has less than devices report: a last page of it would end the doubt too early."""
    with store.transaction() as connection:
        incarnation_table.put_hold(connection, since_s=NOW_S, detail="a store that was made anew")
    assert reply(store) == (None, ["hub_held"])
