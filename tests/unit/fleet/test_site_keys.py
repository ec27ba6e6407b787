"""The key of a site authority: devices of that site trust it, and no others."""

import stat
import tempfile
import time
from base64 import b64encode
from pathlib import Path

import pytest

from edge.domain.authorisation import AuthorisationResult
from edge.store import authorisations, documents
from edge.store.authorisations import AuthorisationReply, AuthorisationRequest
from edge.store.opening import open_store
from edge.trust.anchors import Anchors, load_roots
from edge.values.instant import Instant
from sync.agent.authorisation_relay import AuthorisationRelay
from sync.agent.outcomes import DownlinkRefusal
from sync.fleet.cli import cli as edge_fleet
from sync.fleet.key_folder import KeyFolder
from sync.wire.grant_reply import GRANT_REPLY, GrantReply
from sync.wire.messages import Response
from tests.support.fleet_command import run

NOW = Instant(unix_s=int(time.time()))
CTI = bytes(range(16))


@pytest.fixture
def keys(tmp_path):
    """Make keys of a fleet whose shop-1 has a site authority."""
    run(edge_fleet, "keys", "init", tmp_path / "keys")
    run(edge_fleet, "keys", "site", tmp_path / "keys", "shop-1")
    return tmp_path / "keys"


def build(keys):
    run(edge_fleet, "trust-list", "build", "--keys", keys, "-o", keys.parent / "trust.cbor")


class Device:
    """A device of ``site`` that has the trust list of ``keys`` and requests a grant."""

    def __init__(self, keys, site="shop-1"):
        folder = Path(tempfile.mkdtemp(dir=keys.parent))
        self.store = open_store(
            folder, device_id="kiosk-1", now_s=NOW.unix_s, random_bytes=bytes
        ).store
        raw = (keys.parent / "trust.cbor").read_bytes()
        version = KeyFolder(keys).record().trust_list_version
        documents.put(
            self.store,
            name=documents.TRUST_LIST,
            version=version,
            issued_at_s=NOW.unix_s,
            raw=raw,
            now=NOW,
        )
        anchors = Anchors(self.store, load_roots(keys.parent / "trust.cbor.roots"))
        anchors.refresh(NOW)
        self.site = site
        self.relay = AuthorisationRelay(self.store, anchors, device="kiosk-1", site=site)

    def receive_reply(self, signer):
        """Return the result of a reply that ``signer`` signed."""
        self.relay.note_authority()
        authorisations.write_request(
            self.store, AuthorisationRequest(id="r1", cti=CTI, order_quantity=1, due_ns=10**9), NOW
        )
        self.relay.next_requests(0)
        reply = GrantReply(
            device="kiosk-1",
            id="r1",
            cti=CTI,
            result=AuthorisationResult.GRANTED,
            quantity=1,
            site=self.site,
            authority=f"hub-{self.site}",
            issued_at_s=NOW.unix_s,
        )
        signed = b64encode(GRANT_REPLY.sign(reply, signer)).decode()
        return self.relay.receive(
            Response(dev="kiosk-1", id="r1", result=reply.result, signed=signed), NOW, 1
        )


def test_a_device_trusts_a_reply_that_its_sites_key_signed(keys):
    build(keys)
    assert isinstance(
        Device(keys).receive_reply(KeyFolder(keys).signer("sites/shop-1")), AuthorisationReply
    )


def test_a_device_refuses_a_reply_signed_with_a_key_that_is_not_in_the_list(keys):
    build(keys)
    (keys / "sites/shop-1.pem").unlink()
    (keys / "sites/shop-1.pub").unlink()
    run(edge_fleet, "keys", "site", keys, "shop-1")  # a new key that no list names yet
    refused = Device(keys).receive_reply(KeyFolder(keys).signer("sites/shop-1"))
    assert isinstance(refused, DownlinkRefusal)
    assert refused.reason == "document_key_unknown"
    build(keys)
    assert isinstance(
        Device(keys).receive_reply(KeyFolder(keys).signer("sites/shop-1")), AuthorisationReply
    )


def test_the_key_of_one_site_is_refused_at_another(keys):
    build(keys)
    assert (
        Device(keys, "shop-2").receive_reply(KeyFolder(keys).signer("sites/shop-1")).reason
        == "wrong_site"
    )


def test_every_later_list_names_the_key_until_its_public_file_is_removed(keys):
    signer = KeyFolder(keys).signer("sites/shop-1")
    (keys / "sites/shop-1.pem").unlink()  # moved to the site
    build(keys)
    build(keys)
    assert isinstance(Device(keys).receive_reply(signer), AuthorisationReply)
    (keys / "sites/shop-1.pub").unlink()
    build(keys)
    assert Device(keys).receive_reply(signer).reason == "document_key_unknown"


def test_the_private_key_is_readable_by_its_owner_alone_and_never_overwritten(keys):
    path = keys / "sites/shop-1.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert (
        "shop-1 has a key already"
        in run(edge_fleet, "keys", "site", keys, "shop-1", exit_code=1).output
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["../shop", "", "-x", "a" * 41, "s hop"])
def test_a_text_that_is_no_site_name_is_refused(keys, name):
    assert (
        "letters, digits" in run(edge_fleet, "keys", "site", keys, "--", name, exit_code=2).output
    )


def test_an_unusable_public_key_is_named(keys):
    (keys / "sites/shop-1.pub").write_text("junk")
    out = ("-o", keys.parent / "trust.cbor")
    output = run(edge_fleet, "trust-list", "build", "--keys", keys, *out, exit_code=1).output
    assert "shop-1.pub is not a usable public key" in output


@pytest.mark.parametrize("name", ["token", "grant", "operators"])
def test_the_error_for_a_lost_key_names_the_backup(keys, name):
    (keys / f"{name}.pem").unlink()
    out = ("-o", keys.parent / "trust.cbor")
    output = run(edge_fleet, "trust-list", "build", "--keys", keys, *out, exit_code=1).output
    assert f"{name}.pem" in output
    assert "from your backup" in output
