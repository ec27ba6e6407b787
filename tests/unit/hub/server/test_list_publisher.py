"""What the hub passes on from files, and to whom."""

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.documents.operator_list import OperatorList, sign_operator_list
from edge.token import cbor
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant
from sync.hub.config import HubDocuments, HubOperators
from sync.hub.fleet.operator_lists import pushed_lists, save_pushed_list
from sync.hub.fleet.request_error import RequestError
from sync.hub.server.list_publisher import ListPublisher
from sync.wire.topics import Down

NOW = Instant(unix_s=1_800_000_000)
OPS = signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
OPS_KEY = TrustedKey(
    key=OPS.public, purposes=frozenset({Purpose.OPERATORS}), not_before_s=0, expires_at_s=2**33 - 1
)
KEYS = TrustList(version=1, issued_at_s=0, expires_at_s=2**33 - 1, keys=(OPS_KEY,))


def signed(site, version=1):
    listed = OperatorList(
        audience=site,
        version=version,
        issued_at_s=NOW.unix_s,
        expires_at_s=NOW.unix_s + 60,
        entries=(),
    )
    return sign_operator_list(listed, OPS)


def documents(folder):
    for name in ("trust", "status", "staff-1", "staff-2"):
        (folder / name).write_bytes(name.encode())
    return HubDocuments(
        order_feed_key_file="",
        trust_list_file=str(folder / "trust"),
        status_list_files=(str(folder / "status"),),
        operators=tuple(
            HubOperators(site=f"shop-{n}", file=str(folder / f"staff-{n}")) for n in (1, 2)
        ),
    )


def test_trust_goes_to_the_fleet_and_an_operator_list_to_its_site_alone(tmp_path):
    published = ListPublisher(documents(tmp_path))
    assert published.changed(structlog.get_logger()) == [
        ("_all", Down.TRUST, b"trust"),
        ("_all", Down.REVOKED, cbor.encode([b"status"])),
        ("site-shop-1", Down.OPERATORS, b"staff-1"),
        ("site-shop-2", Down.OPERATORS, b"staff-2"),
    ]
    assert published.changed(structlog.get_logger()) == []


def test_a_list_that_was_replaced_is_published_again_and_one_that_is_gone_stays_as_it_was(tmp_path):
    published = ListPublisher(documents(tmp_path))
    published.changed(structlog.get_logger())
    (tmp_path / "new").write_bytes(b"other people")
    (tmp_path / "new").replace(tmp_path / "staff-2")
    (tmp_path / "staff-1").unlink()
    assert published.changed(structlog.get_logger()) == [
        ("site-shop-2", Down.OPERATORS, b"other people")
    ]


def test_a_list_that_ops_pushed_goes_to_its_site_without_a_restart(tmp_path):
    published = ListPublisher(documents(tmp_path), tmp_path)
    published.changed(structlog.get_logger())
    save_pushed_list(tmp_path / "operators", signed("shop-3"), KEYS, named=(), now=NOW)
    assert published.changed(structlog.get_logger()) == [
        ("site-shop-3", Down.OPERATORS, signed("shop-3"))
    ]
    save_pushed_list(tmp_path / "operators", signed("shop-3", version=2), KEYS, named=(), now=NOW)
    assert published.changed(structlog.get_logger()) == [
        ("site-shop-3", Down.OPERATORS, signed("shop-3", version=2))
    ]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param(lambda: signed("shop-3", version=1), "a newer list", id="an older one"),
        pytest.param(
            lambda: signed("shop-1"), "hub.toml names a file", id="of a site whose file is named"
        ),
        pytest.param(lambda: signed("../shop"), "is no site", id="of what is no site"),
        pytest.param(lambda: signed("shop-3")[:-1] + b"?", "cannot verify", id="altered"),
        pytest.param(lambda: b"", "cannot verify", id="nothing"),
    ],
)
def test_a_list_that_is_refused_gives_the_reason_and_changes_nothing(tmp_path, raw, words):
    folder = tmp_path / "operators"
    save_pushed_list(folder, signed("shop-3", version=2), KEYS, named=("shop-1",), now=NOW)
    with pytest.raises(RequestError, match=words):
        save_pushed_list(folder, raw(), KEYS, named=("shop-1",), now=NOW)
    assert {site: file.read_bytes() for site, file in pushed_lists(folder).items()} == {
        "shop-3": signed("shop-3", version=2)
    }
    assert [path.name for path in tmp_path.iterdir()] == ["operators"]
