"""A hub's store of each kind, for every test of the hub."""

import threading

import pytest

from sync.hub.store.opening import open_hub_store
from tests.support.postgres import running_postgres


@pytest.fixture(scope="session")
def postgres():
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["file", "postgres"])
def opened(request, tmp_path):
    """Open the same store as often as one likes, as several hub processes do."""
    database = (
        request.getfixturevalue("postgres").database() if request.param == "postgres" else None
    )
    stores = []

    def again():
        store = open_hub_store(tmp_path, database)
        if threading.current_thread() is threading.main_thread():
            stores.append(store)
        return store

    yield again
    for store in stores:
        store.close()
