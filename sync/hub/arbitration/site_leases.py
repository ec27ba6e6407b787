"""The platform's side of site authorities: who holds a site's lease, in which term, until when.

While a lease is out, the platform decides no grant of that site: there is one authority, or none. A
lease ends when its time is over, or when a person releases it after switching its holder off.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from edge.token.keys import Signer
from sync.hub.store import event_table, lease_table, redemption_table
from sync.hub.store.interface import HubConnection
from sync.hub.store.lease_table import LeaseRow
from sync.wire.limits import fitting
from sync.wire.site_lease import (
    LEASE,
    USES,
    Lease,
    LeasedRedemption,
    LeaseReply,
    LeaseRequest,
    use_bytes,
)

MARGIN_S: Final = 120  # by which the holder's clock may be slow
_LONGEST_DETAIL: Final = 200  # characters, sync.wire.site_lease


@dataclass(frozen=True, slots=True)
class LeaseRefusal:
    """The reason why a site authority gets no lease, and what a person can do."""

    detail: str


def is_out(connection: HubConnection, site: str, now_s: int) -> bool:
    """Return whether a site authority decides the grants of ``site``."""
    lease = lease_table.lease_of(connection, site)
    return lease is not None and lease.until_s + MARGIN_S > now_s


def grant_lease(
    connection: HubConnection, request: LeaseRequest, *, holder: str, lease_s: int, now_s: int
) -> Lease | LeaseRefusal:
    """Grant or renew a lease, in the caller's transaction."""
    last = lease_table.lease_of(connection, request.site)
    term = 1
    if last is not None:
        renewed = last.holder == holder and last.term == request.term
        if not renewed and last.until_s + MARGIN_S > now_s:
            return LeaseRefusal(
                f"{last.holder} holds term {last.term} until {last.until_s};"
                " a person may release it: edge-hub authority release"
            )
        term = last.term if renewed else last.term + 1
    until_s = now_s + lease_s
    lease_table.put_lease(connection, request.site, LeaseRow(holder, term, until_s))
    lease = Lease(site=request.site, holder=holder, term=term, until_s=until_s)
    if not request.catch_up:
        return lease
    return _with_redemptions(connection, lease, request.after)


def release_lease(connection: HubConnection, site: str) -> bool:
    """End the lease of a site, on a person's request. Return False when none was out.

    The next lease begins a new term.
    """
    return lease_table.end_lease(connection, site)


def lease_reply(request: LeaseRequest, given: Lease | LeaseRefusal, signer: Signer) -> LeaseReply:
    """Return the message that carries a signed lease or its refusal."""
    if isinstance(given, LeaseRefusal):
        return LeaseReply(id=request.id, refused=given.detail[:_LONGEST_DETAIL])
    try:
        signed = LEASE.sign(given, signer)
    except ValueError as error:  # of more streams than any site has
        return LeaseReply(id=request.id, refused=str(error)[:_LONGEST_DETAIL])
    return LeaseReply(id=request.id, signed=b64encode(signed).decode())


def _with_redemptions(connection: HubConnection, lease: Lease, after: str) -> Lease:
    """Return the lease with a page of redemptions, from the cursor ``after`` on.

    The first page also has the acknowledged number of each stream. It is read before the
    redemptions: what another hub commits in between is then in these, and may be missing there.
    """
    streams = () if after else tuple(event_table.all_streams(connection))
    found = list(islice(_redemptions_after(connection, lease.site, after), USES.most_items + 1))
    count = fitting(map(use_bytes, found), USES)
    return replace(
        lease,
        uses=tuple(found[:count]),
        streams=streams,
        next=_cursor(found[count - 1]) if count < len(found) else "",
    )


def _redemptions_after(
    connection: HubConnection, site: str, after: str
) -> Iterator[LeasedRedemption]:
    """Yield the redemptions of the site's entitlements after a cursor, in the order of their key.

    Reads no more than a page and one.
    """
    limit = USES.most_items + 1
    cti, known = b"", ("", "", 0)
    if after:
        first, dev, epoch, seq = after.split("/")
        cti, known = bytes.fromhex(first), (dev, epoch, int(seq))
        for row in redemption_table.redemptions_of(connection, cti, after=known, limit=limit):
            yield LeasedRedemption(*row)
    for following in redemption_table.redeemed_ctis(connection, site, after=cti, limit=limit):
        for row in redemption_table.redemptions_of(connection, following, limit=limit):
            yield LeasedRedemption(*row)


def _cursor(use: LeasedRedemption) -> str:
    return f"{use.cti.hex()}/{use.dev}/{use.epoch}/{use.seq}"
