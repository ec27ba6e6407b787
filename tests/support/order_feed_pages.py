"""Strategies of pages of the order feed."""

from hypothesis import strategies as st

from edge.domain.entitlement import Entitlement, OrderStatus
from edge.domain.order_row import row_of
from edge.token.claims import Kind
from sync.wire.order_feed import Confirmation, Delta, Snapshot

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
entitlements = st.builds(
    Entitlement,
    cti=st.binary(min_size=16, max_size=16),
    order_id=texts,
    kind=st.sampled_from(list(Kind)),
    home_site=st.just("shop-1"),
    home_device=st.none() | texts,
    status=st.sampled_from(list(OrderStatus)),
    quantity=st.integers(1, 2**31 - 1),
    amount_minor=st.none() | st.integers(0, 2**53 - 1),
    currency=st.none() | st.just("EUR"),
    not_before_s=st.integers(0, 2**33 - 1),
    expires_at_s=st.integers(0, 2**33 - 1),
    review=st.booleans(),
    compartments=st.lists(texts, max_size=3).map(tuple),
    subject=st.none() | texts,
    campaign=st.none() | texts,
    rules=st.none() | texts,
    revision=st.just(9),
)
rows = entitlements.map(row_of)
confirmations = st.none() | st.builds(
    Confirmation, revision=st.integers(1, 9), rows=st.integers(0, 2**53 - 1)
)
snapshots = st.builds(
    Snapshot,
    site=st.just("shop-1"),
    issued_at_s=st.integers(0, 2**33 - 1),
    incarnation=st.binary(min_size=16, max_size=16),
    confirmed=confirmations,
    revision=st.just(9),
    page=st.integers(0, 2000),
    last=st.booleans(),
    rows=st.lists(rows, max_size=3).map(tuple),
)
deltas = st.builds(
    Delta,
    site=st.just("shop-1"),
    issued_at_s=st.integers(0, 2**33 - 1),
    incarnation=st.binary(min_size=16, max_size=16),
    confirmed=confirmations,
    from_revision=st.integers(0, 9),
    to_revision=st.just(9),
    head=st.integers(9, 2**53 - 1),
    rows=st.lists(rows, max_size=3).map(tuple),
    removed=st.lists(st.binary(min_size=16, max_size=16), max_size=2).map(tuple),
    digest=st.binary(min_size=32, max_size=32),
)
