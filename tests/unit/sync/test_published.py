"""What the hub passes on from files, and to whom."""

import structlog

from edge.token import cbor
from sync.hub.config import HubDocuments, HubOperators
from sync.hub.published import Published
from sync.topics import Down


def documents(folder):
    for name in ("trust", "status", "staff-1", "staff-2"):
        (folder / name).write_bytes(name.encode())
    return HubDocuments(
        order_feed_key_file="",
        trust_list_file=str(folder / "trust"),
        status_list_files=(str(folder / "status"),),
        operators=tuple(HubOperators(site=f"shop-{n}", file=str(folder / f"staff-{n}")) for n in (1, 2)),
    )


def test_trust_goes_to_the_fleet_and_an_operator_list_to_its_site_alone(tmp_path):
    published = Published(documents(tmp_path))
    assert published.changed(structlog.get_logger()) == [
        ("_all", Down.TRUST, b"trust"),
        ("_all", Down.REVOKED, cbor.encode([b"status"])),
        ("site-shop-1", Down.OPERATORS, b"staff-1"),
        ("site-shop-2", Down.OPERATORS, b"staff-2"),
    ]
    assert published.changed(structlog.get_logger()) == []


def test_a_list_that_was_replaced_is_published_again_and_one_that_is_gone_stays_as_it_was(tmp_path):
    published = Published(documents(tmp_path))
    published.changed(structlog.get_logger())
    (tmp_path / "new").write_bytes(b"other people")
    (tmp_path / "new").replace(tmp_path / "staff-2")
    (tmp_path / "staff-1").unlink()
    assert published.changed(structlog.get_logger()) == [("site-shop-2", Down.OPERATORS, b"other people")]
