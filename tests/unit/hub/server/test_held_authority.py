"""While the hub is held, its authority signs nothing: no grant, no lease, no ledger to restore."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog import get_logger
from structlog.testing import capture_logs

from edge.token.keys import signer
from sync.hub.config import HubAuthority
from sync.hub.server.platform_authority import HUB_HELD, PlatformAuthority
from sync.hub.server.refusal_counter import RefusalCounter
from sync.hub.store import incarnation_table
from sync.hub.store.interface import HubConnection
from sync.wire import codec
from sync.wire.messages import GrantRequest, RestoreRequest
from sync.wire.site_lease import LeaseRequest

NOW_S = 1_800_000_000
KEY = signer(Ed25519PrivateKey.generate())
GRANT = GrantRequest(dev="kiosk-1", id="1", cti="0" * 32, quantity=1, epoch="e", number=1)
RESTORE = RestoreRequest(dev="kiosk-1", id="1")
LEASE = codec.encode(LeaseRequest(id="1", site="shop-1"))

Reply = Callable[[PlatformAuthority, HubConnection], bytes | None]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(lambda a, c: a.handle_grant_request(c, GRANT), id="grant"),
        pytest.param(lambda a, c: a.handle_restore_request(c, RESTORE), id="ledger to restore"),
        pytest.param(lambda a, c: a.handle_lease_request(c, "hub-shop-1", LEASE), id="lease"),
    ],
)
def test_a_hub_that_is_held_replies_to_nobody_and_counts_it(opened, reply: Reply):
    with capture_logs():
        refusals = RefusalCounter(get_logger())
        authority = PlatformAuthority(
            KEY,
            [HubAuthority(id="hub-shop-1", site="shop-1")],
            site_of=lambda _: "shop-1",
            now_s=lambda: NOW_S,
            refusals=refusals,
        )
        with opened().transaction() as connection:
            incarnation_table.put_hold(connection, since_s=NOW_S, detail="a test")
            assert not authority.decides_for(connection, "kiosk-1")
            assert reply(authority, connection) is None
            assert refusals.counts == {HUB_HELD: 1}
            incarnation_table.delete_hold(connection)
            assert authority.decides_for(connection, "kiosk-1")
            assert reply(authority, connection)
