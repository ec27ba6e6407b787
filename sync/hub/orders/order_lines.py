"""The orders that the hub feeds to devices: imported as JSON lines, kept by revision, served in pages.

A revision is the time in microseconds, or one more than the last: it grows even when the hub's store
was restored from an older backup, so that a device never mistakes a new change for an old one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.config import Name
from edge.domain.entitlement import Entitlement, OrderStatus
from edge.domain.order_row import EMPTY_DIGEST, Row, row_digest, row_of, xor
from edge.token.claims import Kind
from sync.hub.store.interface import HubConnection
from sync.wire import order_feed
from sync.wire.messages import MAX_SEQ, Cti, OrdersRequest, Seconds
from sync.wire.order_feed import Delta, Snapshot

_PAST_ALL = b"\xff" * 17  # greater than any cti
Text = Annotated[str, Field(min_length=1, max_length=100)]


class OrderLine(BaseModel):
    """One line of ``edge-hub orders import``: an order's line, whole. A line with a known ``cti`` replaces it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    cti: Cti
    order_id: Text
    kind: Literal["write_off", "pickup"]
    home_site: Name
    home_device: Name | None = None
    status: Literal["awaiting_payment", "paid", "ready", "shipped", "cancelled", "refunded"] = (
        "ready"
    )
    quantity: Annotated[int, Field(ge=1, lt=2**31)] = 1
    amount_minor: Annotated[int, Field(ge=0, le=MAX_SEQ)] | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    not_before_s: Seconds = 0
    expires_at_s: Seconds = 2**33 - 1
    review: bool = False
    compartments: Annotated[list[Text], Field(max_length=64)] = []
    subject: Text | None = None
    campaign: Text | None = None
    rules: Annotated[str, Field(max_length=1000)] | None = None

    def entitlement(self) -> Entitlement:
        """As the device caches it."""
        return Entitlement(
            cti=bytes.fromhex(self.cti),
            order_id=self.order_id,
            kind=Kind[self.kind.upper()],
            home_site=self.home_site,
            home_device=self.home_device,
            status=OrderStatus(self.status),
            quantity=self.quantity,
            amount_minor=self.amount_minor,
            currency=self.currency,
            not_before_s=self.not_before_s,
            expires_at_s=self.expires_at_s,
            review=self.review,
            compartments=tuple(self.compartments),
            subject=self.subject,
            campaign=self.campaign,
            rules=self.rules,
        )


def parse_line(text: str) -> OrderLine | str:
    """Read one line; or what is wrong with it."""
    try:
        return OrderLine.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(str(part) for part in first['loc']) or 'line'}: {first['msg']}"


def put(connection: HubConnection, lines: Iterable[OrderLine], now_us: int) -> int:
    """Write ``lines`` in the caller's transaction and return how many changed something."""
    changed = 0
    for line in lines:
        changed += _put_one(connection, line, now_us)
    return changed


def _put_one(connection: HubConnection, line: OrderLine, now_us: int) -> bool:
    cti, text = bytes.fromhex(line.cti), line.model_dump_json()
    before = connection.execute(
        "SELECT site, line FROM entitlement WHERE cti = ?", (cti,)
    ).fetchone()
    if before is not None and before == (line.home_site, text):
        return False
    if before is not None:
        _leave(connection, cti, *before, now_us=now_us, moved=before[0] != line.home_site)
    revision = _next_revision(
        connection,
        line.home_site,
        now_us,
        row_digest(row_of(line.entitlement())),
    )
    connection.execute(
        "INSERT INTO entitlement (cti, site, revision, created, line) VALUES (?, ?, ?, ?, ?) ON CONFLICT (cti)"
        " DO UPDATE SET site = excluded.site, revision = excluded.revision, line = excluded.line, created ="
        " CASE WHEN entitlement.site = excluded.site THEN entitlement.created ELSE excluded.created END",
        (cti, line.home_site, revision, revision, text),
    )
    connection.execute("DELETE FROM departed WHERE cti = ? AND site = ?", (cti, line.home_site))
    return True


def _leave(
    connection: HubConnection, cti: bytes, site: str, text: str, *, now_us: int, moved: bool
) -> None:
    """Take a row's old form out of its feed; a row that moves to another site is removed from the old one's."""
    old = row_digest(_row(text))
    if not moved:
        connection.execute(
            "UPDATE feed SET digest = ? WHERE site = ?",
            (xor(_digest(connection, site), old), site),
        )
        return
    revision = _next_revision(connection, site, now_us, old)
    connection.execute(
        "INSERT INTO departed VALUES (?, ?, ?) ON CONFLICT (site, cti) DO UPDATE SET revision = excluded.revision",
        (site, cti, revision),
    )


def _next_revision(connection: HubConnection, site: str, now_us: int, digest: bytes) -> int:
    connection.execute(
        "INSERT INTO feed VALUES (?, 0, ?) ON CONFLICT DO NOTHING", (site, EMPTY_DIGEST)
    )
    (newest,) = connection.execute("SELECT max(head) FROM feed").fetchone()
    revision = max(now_us, int(newest) + 1)
    total = xor(_digest(connection, site), digest)
    connection.execute(
        "UPDATE feed SET head = ?, digest = ? WHERE site = ?", (revision, total, site)
    )
    return revision


def _digest(connection: HubConnection, site: str) -> bytes:
    row = connection.execute("SELECT digest FROM feed WHERE site = ?", (site,)).fetchone()
    return bytes(row[0]) if row else EMPTY_DIGEST


def heads(connection: HubConnection) -> dict[str, int]:
    """The newest revision of each site's feed."""
    return dict(connection.execute("SELECT site, head FROM feed").fetchall())


def page_for(
    connection: HubConnection, site: str, request: OrdersRequest, *, now_s: int, now_us: int
) -> Snapshot | Delta:
    """The page that answers ``request``, in the caller's transaction."""
    connection.execute(
        "INSERT INTO feed VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (site, now_us, EMPTY_DIGEST),
    )
    (head,) = connection.execute("SELECT head FROM feed WHERE site = ?", (site,)).fetchone()
    if (
        request.have > head
    ):  # the hub was restored from a backup: begin again above what the device has
        head = max(now_us, head + 1)
        connection.execute("UPDATE feed SET head = ? WHERE site = ?", (head, site))
        return snapshot_page(connection, site, _begin_snapshot(connection, site, head), 0, now_s)
    if request.snapshot and _has_snapshot(connection, site, request.snapshot):
        return snapshot_page(connection, site, request.snapshot, request.page, now_s)
    if request.have == 0:
        return snapshot_page(connection, site, _begin_snapshot(connection, site, head), 0, now_s)
    return delta_page(connection, site, request.have, now_s)


def pages_for(
    connection: HubConnection, site: str, request: OrdersRequest, *, now_s: int, now_us: int
) -> Iterator[Snapshot | Delta]:
    """The page that answers ``request`` and those after it, as many as it wants and there are."""
    page = page_for(connection, site, request, now_s=now_s, now_us=now_us)
    yield page
    for _ in range(1, request.pages):
        match page:
            case Snapshot(last=False):
                page = snapshot_page(connection, site, page.revision, page.page + 1, now_s)
            case Delta() if page.to_revision < page.head:
                page = delta_page(connection, site, page.to_revision, now_s)
            case _:
                return
        yield page


def delta_page(connection: HubConnection, site: str, after: int, now_s: int) -> Delta:
    """What changed after ``after``, at most a page of it."""
    head, digest = connection.execute(
        "SELECT head, digest FROM feed WHERE site = ?", (site,)
    ).fetchone()
    rows = connection.execute(
        "SELECT revision, line FROM entitlement WHERE site = ? AND revision > ? ORDER BY revision LIMIT ?",
        (site, after, order_feed.PAGE_ROWS),
    ).fetchall()
    through = rows[-1][0] if len(rows) == order_feed.PAGE_ROWS else head
    removed = connection.execute(
        "SELECT cti FROM departed WHERE site = ? AND revision > ? AND revision <= ?",
        (site, after, through),
    ).fetchall()
    return Delta(
        site=site,
        issued_at_s=now_s,
        from_revision=after,
        to_revision=through,
        head=head,
        rows=tuple(_row(line) for _, line in rows),
        removed=tuple(cti for (cti,) in removed),
        digest=digest,
    )


def snapshot_page(
    connection: HubConnection, site: str, revision: int, page: int, now_s: int
) -> Snapshot:
    """Page ``page`` of a snapshot that was begun. Rows that came later are left to the delta after it."""
    bounds = connection.execute(
        "SELECT first_cti FROM snapshot_page WHERE site = ? AND revision = ? AND page IN (?, ?) ORDER BY page",
        (site, revision, page, page + 1),
    ).fetchall()
    first = bounds[0][0] if bounds else _PAST_ALL
    end = bounds[1][0] if len(bounds) > 1 else None
    rows = connection.execute(
        "SELECT line FROM entitlement WHERE site = ? AND created <= ? AND cti >= ? AND cti < ? ORDER BY cti",
        (site, revision, first, _PAST_ALL if end is None else end),
    )
    return Snapshot(
        site=site,
        issued_at_s=now_s,
        revision=revision,
        page=page,
        last=end is None,
        rows=tuple(_row(line) for (line,) in rows),
    )


def _row(line: str) -> Row:
    """A kept line as the feed carries it."""
    return row_of(OrderLine.model_validate_json(line).entitlement())


def _has_snapshot(connection: HubConnection, site: str, revision: int) -> bool:
    found = connection.execute(
        "SELECT 1 FROM snapshot_page WHERE site = ? AND revision = ?", (site, revision)
    )
    return found.fetchone() is not None


def _begin_snapshot(connection: HubConnection, site: str, head: int) -> int:
    """Fix the bounds of the pages of a snapshot at ``head``, unless it has them; forget all but the newest few."""
    if _has_snapshot(connection, site, head):
        return head
    ctis = connection.execute("SELECT cti FROM entitlement WHERE site = ? ORDER BY cti", (site,))
    firsts = [cti for number, (cti,) in enumerate(ctis) if number % order_feed.PAGE_ROWS == 0] or [
        b""
    ]
    connection.executemany(
        "INSERT INTO snapshot_page VALUES (?, ?, ?, ?)",
        [(site, head, page, cti) for page, cti in enumerate(firsts)],
    )
    connection.execute(
        "DELETE FROM snapshot_page WHERE site = ? AND revision NOT IN"
        " (SELECT DISTINCT revision FROM snapshot_page WHERE site = ? ORDER BY revision DESC LIMIT 8)",
        (site, site),
    )
    return head
