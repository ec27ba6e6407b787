"""What was redeemed at a site comes with its lease in pages, however much of one code it is."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.token.keys import signer
from sync.hub.arbitration import site_leases
from sync.hub.arbitration.site_leases import grant_lease, lease_reply
from sync.hub.orders import order_lines
from sync.hub.store import redemption_table
from sync.hub.store.redemption_table import RedemptionRow
from sync.wire import codec
from sync.wire.limits import MOST_MESSAGE_BYTES, PageBounds
from sync.wire.messages import MAX_SEQ
from sync.wire.site_lease import Lease, LeaseRequest

KEY = signer(Ed25519PrivateKey.generate())
NOW_S = 1_800_000_000
DEV, EPOCH = "k" * 40, "e" * 40


def redeem(connection, number: int, uses: int) -> list[tuple[bytes, int]]:
    cti = number.to_bytes(16, "big")
    line = order_lines.OrderLine(
        cti=cti.hex(), order_id="A", kind="write_off", home_site="shop-1", quantity=2**31 - 1
    )
    order_lines.put_lines(connection, [line], NOW_S * 1_000_000)
    for use in range(MAX_SEQ - uses, MAX_SEQ):
        row = RedemptionRow(cti, DEV, use, EPOCH, use, 2**31, 2**40, NOW_S, f"{use:040}")
        redemption_table.insert_redemption(connection, row)
    return [(cti, use) for use in range(MAX_SEQ - uses, MAX_SEQ)]


def read(connection) -> tuple[list[tuple[bytes, int]], int]:
    """Return every redemption as the pages bring it, and how many pages there were."""
    found, after, pages = [], "", 0
    while pages == 0 or after:
        request = LeaseRequest(id="r", site="shop-1", term=1, catch_up=True, after=after)
        lease = grant_lease(connection, request, holder="hub-1", lease_s=600, now_s=NOW_S)
        assert isinstance(lease, Lease)
        reply = lease_reply(request, lease, KEY)
        assert not reply.refused
        assert len(codec.encode(reply)) < MOST_MESSAGE_BYTES // 4
        found += [(use.cti, use.seq) for use in lease.uses]
        after, pages = lease.next, pages + 1
    return found, pages


def test_every_redemption_comes_once_and_each_page_is_a_message(opened):
    with opened().transaction() as connection:
        redeemed = redeem(connection, 1, 3) + redeem(connection, 2, 2_500)
        for number in range(3, 500):
            redeemed += redeem(connection, number, 1)
        found, pages = read(connection)
    assert found == redeemed
    assert pages > 3


def test_a_page_may_end_at_any_redemption(opened, monkeypatch):
    with opened().transaction() as connection:
        redeemed = [row for number in range(1, 6) for row in redeem(connection, number, number)]
        for most in range(1, 8):
            monkeypatch.setattr(site_leases, "USES", PageBounds(most))
            assert read(connection)[0] == redeemed


def test_more_streams_than_a_message_holds_refuse_the_lease_by_name():
    request = LeaseRequest(id="r", site="shop-1")
    streams = tuple((DEV, f"{number:040}", MAX_SEQ) for number in range(10_000))
    lease = Lease(site="shop-1", holder="hub-1", term=1, until_s=NOW_S, streams=streams)
    assert "at most" in lease_reply(request, lease, KEY).refused
