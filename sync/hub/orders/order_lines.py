"""The order feed: imported as JSON lines, stored by revision, served to devices in pages.

A revision is the time in microseconds, or one more than the last. Revisions are compared only
within one incarnation of the hub's store (``sync.hub.orders.hold``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, ValidationError

from edge.config import Name, Section
from edge.domain.entitlement import Entitlement, OrderStatus
from edge.domain.order_row import EMPTY_DIGEST, Row, row_digest, row_of, xor
from edge.token.claims import Kind
from sync.hub.store import confirmation_table, feed_table, incarnation_table
from sync.hub.store.confirmation_table import OrderConfirmation
from sync.hub.store.feed_table import Feed
from sync.hub.store.interface import HubConnection
from sync.wire.limits import MOST_DOCUMENT_BYTES, PageBounds, fitting, pages
from sync.wire.messages import MAX_SEQ, Cti, OrdersRequest, Seconds
from sync.wire.order_feed import PAGE, REMOVED_BYTES, Confirmation, Delta, Snapshot
from sync.wire.order_feed_columns import rows_size
from sync.wire.storable import unstorable

_PAST_ALL: Final = b"\xff" * 17  # greater than any cti
_ROOM_FOR_ROWS: Final = MOST_DOCUMENT_BYTES - 4096  # of a page; the rest is its other fields
Text = Annotated[str, Field(min_length=1, max_length=100)]


class OrderLine(Section):
    """An order line of ``edge-hub orders import``. It replaces the line with the same ``cti``."""

    model_config = ConfigDict(strict=True)

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
    compartments: list[Text] = Field(default_factory=list, max_length=64)
    subject: Text | None = None
    campaign: Text | None = None
    rules: Annotated[str, Field(max_length=1000)] | None = None

    def entitlement(self) -> Entitlement:
        """Return the line as a device caches it."""
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


@dataclass(frozen=True, slots=True)
class LineRefusal:
    """A line that is no order line. ``where`` names the field, ``detail`` the fault."""

    where: str
    detail: str

    def __str__(self) -> str:
        """Return both for a person."""
        return f"{self.where}: {self.detail}"


def parse_line(text: str) -> OrderLine | LineRefusal:
    """Read one line of JSON."""
    try:
        line = OrderLine.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return LineRefusal(".".join(str(part) for part in first["loc"]) or "line", first["msg"])
    fault = unstorable(line.model_dump())
    return line if fault is None else LineRefusal("line", fault)


def put_lines(connection: HubConnection, lines: Iterable[OrderLine], now_us: int) -> int:
    """Write ``lines`` in the caller's transaction and return how many changed something."""
    changed = 0
    for line in lines:
        changed += _put_line(connection, line, now_us)
    return changed


def confirm_orders(
    connection: HubConnection, site: str, *, by: str, reason: str, now_s: int
) -> OrderConfirmation | None:
    """Record that a person confirms the orders of ``site`` as they are; None: it has no feed.

    Devices then accept that they are fewer than before.
    """
    feed = feed_table.feed_of(connection, site)
    if feed is None:
        return None
    entries = feed_table.count_entitlements(connection, site)
    confirmation = OrderConfirmation(site, feed.head, entries, by, reason, now_s)
    confirmation_table.put_confirmation(connection, confirmation)
    return confirmation


def page_for(
    connection: HubConnection,
    site: str,
    request: OrdersRequest,
    *,
    now_s: int,
    now_us: int,
    bounds: PageBounds = PAGE,
) -> Snapshot | Delta:
    """Return the page that ``request`` asks for, in the caller's transaction.

    The caller has checked that the hub has what the request names (``hold.check_request``).
    """
    feed_table.add_feed(connection, site, Feed(now_us, EMPTY_DIGEST))
    feed = _feed(connection, site)
    if request.incarnation not in ("", incarnation_table.present_incarnation(connection).hex()):
        return _first_page(connection, site, feed.head, now_s, bounds)
    if request.snapshot and feed_table.has_snapshot(connection, site, request.snapshot):
        page = snapshot_page(connection, site, request.snapshot, request.page, now_s)
        if page is not None:
            return page
    if request.have == 0:
        return _first_page(connection, site, feed.head, now_s, bounds)
    return delta_page(connection, site, request.have, now_s, bounds=bounds)


def pages_for(
    connection: HubConnection,
    site: str,
    request: OrdersRequest,
    *,
    now_s: int,
    now_us: int,
    bounds: PageBounds = PAGE,
) -> Iterator[Snapshot | Delta]:
    """Yield the pages that ``request`` asks for, as far as they exist."""
    page: Snapshot | Delta | None = page_for(
        connection, site, request, now_s=now_s, now_us=now_us, bounds=bounds
    )
    for _ in range(request.pages):
        if page is None:
            return  # the device asks again, and gets a snapshot with other bounds
        yield page
        match page:
            case Snapshot(last=False):
                page = snapshot_page(connection, site, page.revision, page.page + 1, now_s)
            case Delta() if page.to_revision < page.head:
                page = delta_page(connection, site, page.to_revision, now_s, bounds=bounds)
            case _:
                return


def delta_page(
    connection: HubConnection, site: str, after: int, now_s: int, *, bounds: PageBounds = PAGE
) -> Delta:
    """Return what changed after revision ``after``, as far as it fits into a page."""
    feed = _feed(connection, site)
    changes = feed_table.change_sizes(
        connection, site, after=after, limit=bounds.most_items + 1, of_removal=REMOVED_BYTES
    )
    count = fitting((size for _, size in changes), bounds)
    through = feed.head if count == len(changes) else changes[count - 1][0]
    lines = feed_table.changed_lines(connection, site, after=after, through=through)
    removed = feed_table.removed_ctis(connection, site, after=after, through=through)
    return Delta(
        site=site,
        issued_at_s=now_s,
        incarnation=incarnation_table.present_incarnation(connection),
        confirmed=_confirmed(connection, site),
        from_revision=after,
        to_revision=through,
        head=feed.head,
        rows=tuple(_row(line) for line in lines),
        removed=tuple(removed),
        digest=feed.digest,
    )


def snapshot_page(
    connection: HubConnection, site: str, revision: int, page: int, now_s: int
) -> Snapshot | None:
    """Return page ``page`` of a snapshot that has its bounds.

    Rows that came later are in the delta after the snapshot. None where rows have grown so much
    since the bounds were fixed that the page is no message: the snapshot is then forgotten.
    """
    bounds = feed_table.page_bounds(connection, site, revision, page)
    first = bounds[0] if bounds else _PAST_ALL
    last = len(bounds) < 2
    end = _PAST_ALL if last else bounds[1]
    size = feed_table.bytes_between(connection, site, revision=revision, first=first, end=end)
    if size > _ROOM_FOR_ROWS:
        feed_table.delete_snapshot(connection, site, revision)
        return None
    lines = feed_table.lines_between(connection, site, revision=revision, first=first, end=end)
    return Snapshot(
        site=site,
        issued_at_s=now_s,
        incarnation=incarnation_table.present_incarnation(connection),
        confirmed=_confirmed(connection, site),
        revision=revision,
        page=page,
        last=last,
        rows=tuple(_row(line) for line in lines),
    )


def _put_line(connection: HubConnection, line: OrderLine, now_us: int) -> bool:
    """Write one line. Return False if it is stored already."""
    cti, text = bytes.fromhex(line.cti), line.model_dump_json()
    before = feed_table.entitlement_of(connection, cti)
    if before == (line.home_site, text):
        return False
    if before is not None:
        _take_out(connection, cti, *before, now_us=now_us, moved=before[0] != line.home_site)
    row = row_of(line.entitlement())
    revision = _next_revision(connection, line.home_site, now_us, row_digest(row))
    feed_table.put_entitlement(
        connection, cti, line.home_site, revision, line=text, size=rows_size([row])
    )
    return True


def _take_out(
    connection: HubConnection, cti: bytes, site: str, text: str, *, now_us: int, moved: bool
) -> None:
    """Take the old form of a row out of its feed.

    A row that moves to another site is removed from the old site.
    """
    old = row_digest(_row(text))
    if moved:
        revision = _next_revision(connection, site, now_us, old)
        feed_table.insert_removal(connection, site, cti, revision)
    else:
        feed = _feed(connection, site)
        feed_table.set_feed(connection, site, Feed(feed.head, xor(feed.digest, old)))


def _next_revision(connection: HubConnection, site: str, now_us: int, digest: bytes) -> int:
    """Begin a revision of the site's feed and return it.

    ``digest`` is that of the row that is added or removed.
    """
    feed = feed_table.feed_of(connection, site)
    if feed is None:
        feed = Feed(0, EMPTY_DIGEST)
        feed_table.add_feed(connection, site, feed)
    revision = max(now_us, feed_table.highest_head(connection) + 1)
    feed_table.set_feed(connection, site, Feed(revision, xor(feed.digest, digest)))
    return revision


def _confirmed(connection: HubConnection, site: str) -> Confirmation | None:
    found = confirmation_table.newest_confirmation(connection, site)
    return None if found is None else Confirmation(*found)


def _feed(connection: HubConnection, site: str) -> Feed:
    feed = feed_table.feed_of(connection, site)
    assert feed is not None, f"{site} has a feed"
    return feed


def _row(line: str) -> Row:
    """Return a stored line as a row of the feed."""
    return row_of(OrderLine.model_validate_json(line).entitlement())


def _first_page(
    connection: HubConnection, site: str, revision: int, now_s: int, bounds: PageBounds
) -> Snapshot:
    """Return the first page of a snapshot; fix the bounds of its pages if it has none."""
    if not feed_table.has_snapshot(connection, site, revision):
        rows = feed_table.sizes_of_rows(connection, site)
        firsts = [cut[0][0] for cut in pages(rows, lambda row: row[1], bounds)] or [b""]
        feed_table.insert_snapshot(connection, site, revision, firsts)
    page = snapshot_page(connection, site, revision, 0, now_s)
    assert page is not None, "no row has changed since the bounds of the newest revision were fixed"
    return page
