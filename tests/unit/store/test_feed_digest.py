"""Each page of the feed leaves the digest of the stored rows, in whatever order pages come."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.order_row import EMPTY_DIGEST, row_digest, row_of, xor
from edge.store import order_cache, order_pages
from tests.support.sample_shop import INCARNATION, NOON, SITE, code, open_at, order

NAMES = "abcdefgh"
CTIS = {name: code(order_id=name) for name in NAMES}

rows = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3), max_size=4)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), rows, st.just("")),
        st.tuples(st.just("page"), rows, st.just("")),
        st.tuples(st.just("end"), rows, st.just("")),
        st.tuples(st.just("delta"), rows, st.text(NAMES, max_size=2)),
        st.tuples(st.just("sweep"), st.just({}), st.just("")),
    ),
    max_size=25,
)


def digest_of(store):
    total = EMPTY_DIGEST
    for row in order_cache.entitlements(store):
        total = xor(total, row_digest(row_of(row)))
    return total


def kept(store):
    with store.read() as connection:
        return connection.execute("SELECT digest FROM feed").fetchone()[0]


@settings(max_examples=80, deadline=None)
@given(steps)
def test_the_stored_digest_is_that_of_the_valid_rows(tmp_path_factory, taken):
    store = open_at(tmp_path_factory.mktemp("store"))
    revision, page, loaded = 0, None, set()
    try:
        for what, content, removed in taken:
            fresh = {
                name: n for name, n in content.items() if name not in loaded or what == "delta"
            }
            sent = [row_of(order(CTIS[name], quantity=n)) for name, n in fresh.items()]
            state = order_cache.feed_state(store)
            if what == "begin" or (what in ("page", "end") and page is None):
                revision, page, loaded = revision + 1, 0, set()
                sent = [row_of(order(CTIS[name], quantity=n)) for name, n in content.items()]
            if what in ("begin", "page", "end"):
                applied = order_pages.apply_snapshot_page(
                    store,
                    sent,
                    site=SITE,
                    incarnation=INCARNATION,
                    revision=revision,
                    page=page,
                    last=what == "end",
                    now=NOON,
                )
                loaded |= {row[1] for row in sent}
                page = None if applied is not order_pages.PageResult.APPLIED else page + 1
            elif what == "delta":
                revision += 1
                ctis = [CTIS[name].cti for name in removed]
                order_pages.apply_delta(
                    store,
                    sent,
                    site=SITE,
                    incarnation=INCARNATION,
                    removed=ctis,
                    from_revision=state.revision,
                    to_revision=revision,
                    now=NOON,
                )
            else:
                order_cache.delete_stale(store)
            if order_cache.feed_state(store).revision:
                assert kept(store) == digest_of(store), (what, content)
    finally:
        store.close()


@pytest.mark.parametrize(
    ("sent", "removed"),
    [
        pytest.param("a", "a", id="sent and removed"),
        pytest.param("", "bb", id="removed twice"),
        pytest.param("b", "bb", id="changed, and removed twice"),
        pytest.param("aa", "", id="sent twice"),
    ],
)
def test_a_delta_that_names_a_code_twice_gives_the_digest_of_the_stored_rows(store, sent, removed):
    here = [row_of(order(CTIS[name])) for name in "bc"]
    order_pages.apply_snapshot_page(
        store, here, site=SITE, incarnation=INCARNATION, revision=1, page=0, last=True, now=NOON
    )
    content = [row_of(order(CTIS[name], quantity=n)) for n, name in enumerate(sent, 2)]
    gone = [CTIS[name].cti for name in removed]
    order_pages.apply_delta(
        store,
        content,
        site=SITE,
        incarnation=INCARNATION,
        removed=gone,
        from_revision=1,
        to_revision=2,
        now=NOON,
    )
    assert kept(store) == digest_of(store)


@pytest.fixture
def store(tmp_path):
    store = open_at(tmp_path)
    yield store
    store.close()


def test_a_must_reload_is_recorded_until_a_snapshot_has_repaired_it(store):
    row = row_of(order(code()))
    order_pages.apply_snapshot_page(
        store, [row], site=SITE, incarnation=INCARNATION, revision=1, page=0, last=True, now=NOON
    )
    assert order_cache.digest_matches(store, row_digest(row))
    with store.transaction() as connection:  # as a bug, or a disk, might
        connection.execute("UPDATE feed SET digest = ?", (EMPTY_DIGEST,))
    assert not order_cache.digest_matches(store, row_digest(row))
    assert order_cache.feed_state(store).must_reload
    order_pages.apply_snapshot_page(
        store, [row], site=SITE, incarnation=INCARNATION, revision=1, page=0, last=True, now=NOON
    )
    assert not order_cache.feed_state(store).must_reload
    assert order_cache.digest_matches(store, row_digest(row))
