"""Signed documents are stored as they came, and an older one is refused (rollback attack)."""

import pytest

from edge.store import documents
from edge.store.documents import StoreResult
from edge.store.time_floor import raise_time_floor, time_floor_s
from tests.support.sample_shop import NOON, open_at


@pytest.fixture
def store(tmp_path):
    store = open_at(tmp_path)
    yield store
    store.close()


def put(store, version, raw=b"signed", name=documents.TRUST_LIST, issued_at_s=1000):
    return documents.put(
        store, name=name, version=version, issued_at_s=issued_at_s, raw=raw, now=NOON
    )


def test_a_newer_document_takes_the_place_of_an_older(store):
    assert put(store, 1, b"one") is StoreResult.STORED
    assert put(store, 2, b"two") is StoreResult.STORED
    assert documents.find_document(store, documents.TRUST_LIST).raw == b"two"


def test_a_rollback_is_refused_across_a_restart(store, tmp_path):
    put(store, 2, b"two")
    store.close()
    store = open_at(tmp_path)
    refused = put(store, 1, b"one")
    assert refused is StoreResult.ROLLBACK
    assert refused.refused
    assert documents.find_document(store, documents.TRUST_LIST).version == 2


def test_the_same_version_with_other_content_is_an_alarm(store):
    put(store, 2, b"two")
    assert put(store, 2, b"two") is StoreResult.SAME
    assert put(store, 2, b"TWO") is StoreResult.EQUIVOCATION
    assert documents.find_document(store, documents.TRUST_LIST).raw == b"two"


def test_documents_of_different_names_do_not_meet(store):
    put(store, 5)
    assert put(store, 1, name=documents.status_list_name(b"kid1")) is StoreResult.STORED
    assert [found.name for found in documents.documents_named(store, "status_list/")] == [
        "status_list/6b696431"
    ]


def test_a_documents_issue_time_raises_the_time_floor_and_never_lowers_it(store):
    put(store, 1, issued_at_s=5000)
    put(store, 2, issued_at_s=4000)
    assert time_floor_s(store) == 5000
    raise_time_floor(store, 4500)
    assert time_floor_s(store) == 5000
    raise_time_floor(store, 6000)
    assert time_floor_s(store) == 6000
