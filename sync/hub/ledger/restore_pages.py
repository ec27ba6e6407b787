"""The pages by which a device gets back what it, and its site, redeemed before its present store.

A redemption whose code has expired is not sent, nor one that was reversed. The cursor is the place
of the last redemption that was looked at. What is reported later, at a place before the cursor, is
either of the device's own present store or of another device of its site.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Final

from edge.token.keys import Signer
from sync.hub.store import event_table, redemption_table
from sync.hub.store.interface import HubConnection
from sync.hub.store.redemption_table import RedemptionPlace, RedemptionRow
from sync.wire.limits import PageBounds, fitting
from sync.wire.messages import MAX_SEQ, RestoreReply, RestoreRequest
from sync.wire.restore_page import (
    RESTORE_BOUNDS,
    RESTORE_PAGE,
    PlatformRedemption,
    RestorePage,
    row_bytes,
)

RETIRED_S: Final = 7 * 86_400  # after its expiry; the clock of a device may be slow
LOOKED_AT: Final = 2000  # redemptions in one page, most of which may have expired


def restore_page(
    connection: HubConnection,
    request: RestoreRequest,
    *,
    site: str,
    authority: str,
    now_s: int,
    only_site: bool = False,
    bounds: PageBounds = RESTORE_BOUNDS,
) -> RestorePage:
    """Return the page that ``request`` asks for, in the caller's transaction.

    ``only_site``: the store has nothing but what the devices of ``site`` redeemed.
    """
    after = _place(request.after)
    found = redemption_table.redemptions_after(
        connection, after, dev=request.dev, site=None if only_site else site, limit=LOOKED_AT
    )
    valid = [row for row in found if row.expires_s is None or row.expires_s + RETIRED_S > now_s]
    rows = [_row(row) for row in valid]
    count = fitting((row_bytes(row) for row in rows), bounds)
    cut = count < len(rows)
    last = not cut and len(found) < LOOKED_AT
    end = valid[count - 1] if cut else (found[-1] if found else None)
    return RestorePage(
        device=request.dev,
        id=request.id,
        site=site,
        authority=authority,
        issued_at_s=now_s,
        after=request.after,
        next="" if last or end is None else _cursor(end),
        last=last,
        rows=tuple(rows[:count]),
        streams=tuple(
            (epoch, event_table.committed_through(connection, request.dev, epoch) or 0)
            for epoch in request.epochs
        ),
    )


def restore_reply(page: RestorePage, signer: Signer) -> RestoreReply:
    """Return the message that carries a page, signed."""
    signed = b64encode(RESTORE_PAGE.sign(page, signer)).decode()
    return RestoreReply(dev=page.device, id=page.id, signed=signed)


def _row(row: RedemptionRow) -> PlatformRedemption:
    return PlatformRedemption(row.cti, row.dev, row.units, row.amount_minor, row.ts, row.id)


def _cursor(row: RedemptionRow) -> str:
    return f"{row.cti.hex()}/{row.dev}/{row.epoch}/{row.seq}"


def _place(cursor: str) -> RedemptionPlace:
    """Return the place that a cursor names. One that is not ours begins from the first."""
    cti, _, rest = cursor.partition("/")
    dev, _, rest = rest.partition("/")
    epoch, _, seq = rest.partition("/")
    try:
        place = RedemptionPlace(bytes.fromhex(cti), dev, epoch, int(seq))
    except ValueError:
        return redemption_table.FIRST
    return place if 0 <= place.seq <= MAX_SEQ else redemption_table.FIRST
