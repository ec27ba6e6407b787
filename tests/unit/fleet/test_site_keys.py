"""The key of a site's own authority: made by command, listed for claims of that site alone, and believed so."""

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
from tests.unit.fleet.test_commands import run

NOW = Instant(unix_s=int(time.time()))
CTI = bytes(range(16))


@pytest.fixture
def keys(tmp_path):
    """Keys of a fleet whose shop-1 has an authority of its own."""
    run(edge_fleet, "keys", "init", tmp_path / "keys")
    run(edge_fleet, "keys", "site", tmp_path / "keys", "shop-1")
    return tmp_path / "keys"


def build(keys):
    run(edge_fleet, "trust-list", "build", "--keys", keys, "-o", keys.parent / "trust.cbor")


class Kiosk:
    """A device of ``site`` that has the list of ``keys``, and asks."""

    def __init__(self, keys, site="shop-1"):
        folder = Path(tempfile.mkdtemp(dir=keys.parent))
        self.store = open_store(
            folder, device_id="kiosk-1", now_s=NOW.unix_s, random_bytes=bytes
        ).store
        raw = (keys.parent / "trust.cbor").read_bytes()
        version = KeyFolder(keys).fleet().trust_list_version
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
        self.site, self.desk = (
            site,
            AuthorisationRelay(self.store, anchors, device="kiosk-1", site=site),
        )

    def hears(self, signer):
        """What it makes of an answer that ``signer`` signed."""
        self.desk.heard()
        authorisations.write_request(
            self.store, AuthorisationRequest(id="r1", cti=CTI, order_quantity=1, due_ns=10**9), NOW
        )
        self.desk.due(0)
        answer = GrantReply(
            device="kiosk-1", id="r1", cti=CTI, result=AuthorisationResult.GRANTED, quantity=1, site=self.site,
            authority=f"hub-{self.site}", issued_at_s=NOW.unix_s,
        )  # fmt: skip
        signed = b64encode(GRANT_REPLY.sign(answer, signer)).decode()
        return self.desk.take(
            Response(dev="kiosk-1", id="r1", result=answer.result, signed=signed), NOW, 1
        )


def test_a_device_believes_an_answer_that_its_sites_own_key_signed(keys):
    build(keys)
    assert isinstance(Kiosk(keys).hears(KeyFolder(keys).signer("sites/shop-1")), AuthorisationReply)


def test_it_believes_none_by_a_key_that_is_not_in_the_list(keys):
    build(keys)
    (keys / "sites/shop-1.pem").unlink()
    (keys / "sites/shop-1.pub").unlink()
    run(edge_fleet, "keys", "site", keys, "shop-1")  # made anew, and no list names it yet
    refused = Kiosk(keys).hears(KeyFolder(keys).signer("sites/shop-1"))
    assert isinstance(refused, DownlinkRefusal)
    assert refused.reason == "document_key_unknown"
    build(keys)
    assert isinstance(Kiosk(keys).hears(KeyFolder(keys).signer("sites/shop-1")), AuthorisationReply)


def test_the_key_of_one_site_answers_nowhere_else(keys):
    build(keys)
    assert (
        Kiosk(keys, "shop-2").hears(KeyFolder(keys).signer("sites/shop-1")).reason == "wrong_site"
    )


def test_every_later_list_names_it_until_its_public_half_is_taken_away(keys):
    signer = KeyFolder(keys).signer("sites/shop-1")
    (keys / "sites/shop-1.pem").unlink()  # moved to the site
    build(keys)
    build(keys)
    assert isinstance(Kiosk(keys).hears(signer), AuthorisationReply)
    (keys / "sites/shop-1.pub").unlink()
    build(keys)
    assert Kiosk(keys).hears(signer).reason == "document_key_unknown"


def test_its_private_half_is_for_the_owner_alone_and_never_overwritten(keys):
    path = keys / "sites/shop-1.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert (
        "shop-1 has a key already"
        in run(edge_fleet, "keys", "site", keys, "shop-1", exit_code=1).output
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["../shop", "", "-x", "a" * 41, "s hop"])
def test_what_is_no_name_of_a_site_is_refused(keys, name):
    assert (
        "letters, digits" in run(edge_fleet, "keys", "site", keys, "--", name, exit_code=2).output
    )


def test_a_public_key_that_is_none_is_named(keys):
    (keys / "sites/shop-1.pub").write_text("junk")
    out = ("-o", keys.parent / "trust.cbor")
    said = run(edge_fleet, "trust-list", "build", "--keys", keys, *out, exit_code=1).output
    assert "shop-1.pub is not a usable public key" in said


@pytest.mark.parametrize("name", ["token", "grant", "operators"])
def test_a_key_that_was_lost_comes_from_a_backup(keys, name):
    (keys / f"{name}.pem").unlink()
    out = ("-o", keys.parent / "trust.cbor")
    said = run(edge_fleet, "trust-list", "build", "--keys", keys, *out, exit_code=1).output
    assert f"{name}.pem" in said
    assert "from your backup" in said
