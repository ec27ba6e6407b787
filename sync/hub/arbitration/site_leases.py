"""The platform's side of a site's authority: who holds it, in which term, until when.

While a lease is out the platform answers no claim of that site: there is one authority, or none. A lease ends
by its time or by a person's word (``release``), who has made sure that the holder is off.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Final

from edge.token.keys import Signer
from sync.hub.ledger.redemption_identity import STANDS
from sync.hub.store.interface import HubConnection
from sync.wire.site_lease import (
    LEASE,
    USES_CTIS,
    Lease,
    LeasedRedemption,
    LeaseReply,
    LeaseRequest,
)

MARGIN_S: Final = 120  # by which the holder's clock may be slow


def is_out(connection: HubConnection, site: str, now_s: int) -> bool:
    """Whether somebody else has authority over ``site``."""
    row = connection.execute("SELECT until_s FROM lease WHERE site = ?", (site,)).fetchone()
    return row is not None and row[0] + MARGIN_S > now_s


def grant(
    connection: HubConnection, request: LeaseRequest, *, holder: str, lease_s: int, now_s: int
) -> Lease | str:
    """Give or renew the lease in the caller's transaction; or say why not."""
    row = connection.execute(
        "SELECT holder, term, until_s FROM lease WHERE site = ?", (request.site,)
    ).fetchone()
    term = 1
    if row is not None:
        renewed = row[0] == holder and row[1] == request.term
        if not renewed and row[2] + MARGIN_S > now_s:
            return f"{row[0]} holds term {row[1]} until {row[2]}; a person may release it: edge-hub authority release"
        term = row[1] if renewed else row[1] + 1
    until_s = now_s + lease_s
    connection.execute(
        "INSERT INTO lease (site, holder, term, until_s) VALUES (?, ?, ?, ?) ON CONFLICT (site)"
        " DO UPDATE SET holder = excluded.holder, term = excluded.term, until_s = excluded.until_s",
        (request.site, holder, term, until_s),
    )
    lease = Lease(site=request.site, holder=holder, term=term, until_s=until_s)
    return (
        _with_uses(connection, lease, bytes.fromhex(request.after)) if request.catch_up else lease
    )


def release(connection: HubConnection, site: str) -> bool:
    """A person takes the authority back: the next lease is of a new term. False when none was out."""
    return (
        connection.execute(
            "UPDATE lease SET until_s = 0 WHERE site = ? AND until_s > 0", (site,)
        ).rowcount
        == 1
    )


def answer(request: LeaseRequest, given: Lease | str, signer: Signer) -> LeaseReply:
    """The message that carries it."""
    if isinstance(given, str):
        return LeaseReply(id=request.id, refused=given[:200])
    signed = LEASE.sign(given, signer)
    return LeaseReply(id=request.id, signed=b64encode(signed).decode())


def _with_uses(connection: HubConnection, lease: Lease, after: bytes) -> Lease:
    ctis = connection.execute(
        "SELECT DISTINCT r.cti FROM redemption r JOIN entitlement e ON e.cti = r.cti"
        " WHERE e.site = ? AND r.cti > ? ORDER BY r.cti LIMIT ?",
        (lease.site, after, USES_CTIS),
    ).fetchall()
    streams = (
        []
        if after
        else connection.execute("SELECT dev, epoch, acked_through FROM stream").fetchall()
    )
    return Lease(
        site=lease.site,
        holder=lease.holder,
        term=lease.term,
        until_s=lease.until_s,
        uses=tuple(use for (cti,) in ctis for use in _uses(connection, bytes(cti))),
        streams=tuple((dev, epoch, through) for dev, epoch, through in streams),
        next=bytes(ctis[-1][0]) if len(ctis) == USES_CTIS else b"",
    )


def _uses(connection: HubConnection, cti: bytes) -> list[LeasedRedemption]:
    rows = connection.execute(
        "SELECT cti, dev, use_no, epoch, seq, units, amount_minor, ts, id FROM redemption r"  # noqa: S608 - a constant
        f" WHERE cti = ? AND {STANDS}",
        (cti,),
    )
    return [LeasedRedemption(bytes(row[0]), *row[1:]) for row in rows.fetchall()]
