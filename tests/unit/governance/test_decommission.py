"""Decommissioning: personal data goes, unsent events are sealed, and it is safe to repeat."""

import json
import os
import shutil
import time
from contextlib import closing
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hardware_sim.run.in_process_scanner import fill_store, open_scanner
from hardware_sim.world.sample_platform import provision_sample

from edge.documents.revocation_order import RevocationOrder
from edge.encryption.sealed_box import RANDOM_BYTES, seal, unseal
from edge.governance.decommission import decommission
from edge.store import outbox
from edge.store.database.store import connect
from edge.store.erasure import ERASED, KEPT
from edge.store.opening import open_store
from edge.values.instant import Instant

KEY = X25519PrivateKey.generate()
ORDER = RevocationOrder(
    tenant="main",
    device="locker-1",
    reason="stolen",
    issued_at_s=1,
    recovery_key=KEY.public_key().public_bytes_raw(),
)


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """Return a device that has orders and has redeemed two of them without a network."""
    sample = provision_sample(tmp_path_factory.mktemp("sample"), now_s=int(time.time()))
    fill_store(sample, now=Instant(unix_s=int(time.time())))
    with open_scanner(sample) as kiosk:
        kiosk.scan("voucher")
        kiosk.scan("glare")
    return sample


@pytest.fixture
def sample(used, tmp_path):
    """Return the same device, for one test."""
    shutil.copytree(used.data, tmp_path / "data")
    return replace(used, data=tmp_path / "data")


def opened(sample):
    return open_store(
        sample.data, device_id="locker-1", now_s=int(time.time()), random_bytes=os.urandom
    ).store


def test_every_table_is_either_erased_or_kept_for_a_reason(sample):
    with closing(connect(sample.data / "store.db", read_only=True)) as connection:
        tables = {
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    assert tables - set(KEPT) - ERASED == set(), "a new table: name it in edge.store.erasure"


def test_no_order_stays_on_the_disk_and_unsent_events_are_in_the_sealed_file(sample):
    store = opened(sample)
    unsent = [row.id for row in outbox.pending(store)]
    sealed = decommission(store, sample.data, ORDER, order_digest="0" * 64)
    store.close()
    disk = {path: path.read_bytes() for path in sample.data.rglob("*") if path.is_file()}
    assert [
        path.name for path, content in disk.items() if b"V-100" in content or b"P-100" in content
    ] == []
    events = [json.loads(line) for line in unseal(sealed.read_bytes(), KEY).splitlines()]
    assert [event["id"] for event in events] == unsent
    assert {event["body"]["order"] for event in events if event["type"] == "redeemed"} == {
        "V-1002",
        "V-1003",
    }


def test_repeating_it_loses_nothing(sample):
    store = opened(sample)
    sealed = decommission(store, sample.data, ORDER, order_digest="0" * 64)
    before = sealed.read_bytes()
    assert decommission(store, sample.data, ORDER, order_digest="0" * 64).read_bytes() == before
    assert outbox.backlog(store).pending == 0


def test_a_cut_before_the_erasure_still_seals_everything(sample, monkeypatch):
    store = opened(sample)
    unsent = len(outbox.pending(store))
    monkeypatch.setattr(
        "edge.governance.decommission.seal",
        lambda *_, **__: (_ for _ in ()).throw(OSError("the card is full")),
    )
    with pytest.raises(OSError, match="full"):
        decommission(store, sample.data, ORDER, order_digest="0" * 64)
    assert len(outbox.pending(store)) == unsent, "nothing is erased before it is sealed"
    monkeypatch.undo()
    sealed = decommission(store, sample.data, ORDER, order_digest="0" * 64)
    assert len(unseal(sealed.read_bytes(), KEY).splitlines()) == unsent


def test_a_redeemed_code_stays_redeemed_when_the_device_is_enrolled_again(sample):
    store = opened(sample)
    decommission(store, sample.data, ORDER, order_digest="0" * 64)
    with store.transaction() as connection:
        connection.execute("UPDATE device SET blocked = NULL")
    store.close()
    (sample.data / "blocked").unlink()
    fill_store(sample, now=Instant(unix_s=int(time.time())))
    with open_scanner(sample) as kiosk:
        assert kiosk.scan("voucher")["reason"] == "already_redeemed"


def test_only_the_recovery_key_opens_what_was_sealed():
    sealed = seal(b"an event", ORDER.recovery_key, random=os.urandom(RANDOM_BYTES))
    assert unseal(sealed, KEY) == b"an event"
    for wrong in (sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1]), b"", b"ESR1"):
        with pytest.raises(ValueError, match="sealed"):
            unseal(wrong, KEY)
    with pytest.raises(ValueError, match="another"):
        unseal(sealed, X25519PrivateKey.generate())
