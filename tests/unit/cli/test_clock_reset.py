"""A time floor far in the future is lowered by a signed order, and by nothing else."""

import json
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from edge.cli import cli as edge_scanner
from edge.documents.clock_reset_order import (
    ClockResetOrder,
    open_clock_reset_order,
    sign_clock_reset_order,
)
from edge.store import documents, outbox
from edge.store.database.store import FILE, StoreUnavailableError
from edge.store.opening import StoreState, open_store
from edge.store.order_history import order_history
from edge.store.time_floor import raise_time_floor, time_floor_s
from edge.system.wall_clock import WallClock
from edge.token.purpose import Purpose
from edge.token.roots import Roots
from edge.token.trust_list import TrustList, open_trust_list
from edge.values.instant import Instant
from sync.fleet.cli import cli as edge_fleet
from tests.support.platform_processes import Keys
from tests.support.sample_shop import DEVICE, SITE, code, deliver, open_at, order, redeemer

IN_2100 = 4_102_444_800


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def device(tmp_path, keys):
    """Make a device whose floor is in the year 2100, with one redemption."""
    now = Instant(unix_s=int(time.time()))
    store = open_at(tmp_path, now_s=now.unix_s)
    (tmp_path / "roots.cbor").write_bytes(keys.roots().to_bytes())
    documents.put(
        store,
        name=documents.TRUST_LIST,
        version=1,
        issued_at_s=now.unix_s,
        raw=keys.trust_list(1),
        now=now,
    )
    claims = code(not_before_s=now.unix_s - 60, expires_at_s=now.unix_s + 3600)
    deliver(store, order(claims), now=now)
    assert redeemer(store).redeem(claims, now).is_accepted
    raise_time_floor(store, IN_2100)
    profile = tmp_path / "profile.toml"
    profile.write_text(
        f'[device]\nid = "{DEVICE}"\nsite = "{SITE}"\nkind = "kiosk"\n\n'
        f'[trust]\nroots_file = "{tmp_path}/roots.cbor"\n'
    )
    yield SimpleNamespace(store=store, folder=tmp_path, profile=profile)
    store.close()


def run(command, *words, exit_code=0):
    done = CliRunner().invoke(command, [str(word) for word in words])
    assert done.exit_code == exit_code, done.output
    return done


def ordered(device, keys, *more, name=DEVICE, floor=IN_2100):
    file = device.folder / "reset.clock"
    run(
        edge_fleet,
        "clock-reset",
        name,
        "--floor",
        floor,
        "--reason",
        "set by hand",
        "--keys",
        keys.path,
        "-o",
        file,
        *more,
    )
    return file


def reset(device, file, exit_code=0):
    words = ("clock", "--data", device.folder, "reset", file, "--profile", device.profile)
    return run(edge_scanner, *words, exit_code=exit_code)


def tear_a_page_of_the_ledger(file):
    with closing(sqlite3.connect(file)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'ledger'"
        ).fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as raw:
        raw.seek((page - 1) * 4096)
        raw.write(b"\xff" * 4096)


def floor(device):
    return json.loads(run(edge_scanner, "clock", "--data", device.folder, "--json").output)[
        "floor_s"
    ]


def test_the_device_uses_the_time_of_the_order_and_reports_it_to_the_platform(device, keys):
    before = int(time.time())
    assert floor(device) == IN_2100
    reset(device, ordered(device, keys))
    assert before <= floor(device) <= time.time()
    again = open_at(device.folder, now_s=before)
    assert WallClock(time_floor_s(again)).now().unix_s <= time.time()
    event = outbox.pending(again)[-1]
    assert (event.type, event.body["previous_floor"], event.body["reason"]) == (
        "clock_reset",
        IN_2100,
        "set by hand",
    )
    assert event.body["new_floor"] == floor(device)
    assert event.at.unix_s < IN_2100
    lines = [line for line in order_history(again, "A-1").lines if line.record == "clock"]
    assert [(line.fields["previous_floor_s"], line.fields["reason"]) for line in lines] == [
        (IN_2100, "set by hand")
    ]
    again.close()


def test_a_process_with_the_wrong_time_cannot_restore_it_and_must_restart(device, keys):
    reset(device, ordered(device, keys))
    with pytest.raises(StoreUnavailableError) as stopped:
        raise_time_floor(device.store, IN_2100 + 60)
    assert stopped.value.needs_restart
    assert floor(device) < IN_2100


@pytest.mark.parametrize("wrong", ["far", "near"])
def test_an_order_that_is_replayed_does_nothing(device, keys, wrong):
    tomorrow = int(time.time()) + 86_400
    if wrong == "near":
        with device.store.transaction() as connection:
            connection.execute("UPDATE device SET time_floor_s = ?", (tomorrow,))
    file = ordered(device, keys, floor=IN_2100 if wrong == "far" else tomorrow)
    reset(device, file)
    in_three_months = int(time.time()) + 90 * 86_400
    again = open_at(device.folder, now_s=int(time.time()))
    raise_time_floor(again, in_three_months)
    again.close()
    assert "was applied before" in reset(device, file, exit_code=1).output
    assert floor(device) == in_three_months


def test_an_order_for_a_later_floor_than_the_devices_does_nothing(device, keys):
    assert (
        "does not apply"
        in reset(device, ordered(device, keys, floor=IN_2100 + 60), exit_code=1).output
    )
    assert floor(device) == IN_2100


def test_a_new_store_still_knows_that_an_order_was_applied(device, keys):
    file = ordered(device, keys)
    reset(device, file)
    device.store.close()
    tear_a_page_of_the_ledger(device.folder / FILE)
    now = Instant(unix_s=int(time.time()))
    opened = open_store(device.folder, device_id=DEVICE, now_s=now.unix_s, random_bytes=os.urandom)
    assert opened.state is StoreState.QUARANTINED
    documents.put(
        opened.store,
        name=documents.TRUST_LIST,
        version=1,
        issued_at_s=now.unix_s,
        raw=keys.trust_list(1),
        now=now,
    )
    raise_time_floor(opened.store, IN_2100)
    opened.store.close()
    assert "was applied before" in reset(device, file, exit_code=1).output


def test_a_reset_removes_what_was_written_with_the_wrong_time(device, keys):
    with device.store.transaction() as connection:
        connection.execute("UPDATE feed SET last_contact_s = ?", (IN_2100,))
        connection.execute("INSERT INTO pin_attempt VALUES ('ann', 5, ?)", (IN_2100 + 60,))
        connection.execute(
            "INSERT INTO shown_badge VALUES (1, 'ann', x'00', ?, ?)", (IN_2100 + 99, IN_2100)
        )
    reset(device, ordered(device, keys))
    again = open_at(device.folder, now_s=int(time.time()))
    with again.read() as connection:
        assert connection.execute("SELECT last_contact_s FROM feed").fetchone()[0] <= time.time()
        failures, locked_until_s = connection.execute(
            "SELECT failures, locked_until_s FROM pin_attempt"
        ).fetchone()
        assert failures == 5
        assert locked_until_s <= time.time() + 86_400
        assert connection.execute("SELECT count(*) FROM shown_badge").fetchone() == (0,)
    again.close()


def test_an_order_for_another_device_is_refused(device, keys):
    assert (
        "is for kiosk-9" in reset(device, ordered(device, keys, name="kiosk-9"), exit_code=1).output
    )
    assert floor(device) == IN_2100


def test_an_order_for_the_same_device_name_of_another_tenant_is_refused(device, keys):
    file = ordered(device, keys, "--tenant", "other")
    assert (
        f"is for {DEVICE} of other, this is {DEVICE} of main"
        in reset(device, file, exit_code=1).output
    )
    assert floor(device) == IN_2100
    device.profile.write_text(
        device.profile.read_text().replace("[device]", '[device]\ntenant = "other"')
    )
    reset(device, file)
    assert floor(device) < IN_2100


def test_an_altered_order_and_one_of_another_key_are_refused(device, keys):
    file = ordered(device, keys)
    raw = file.read_bytes()
    now_s = int(time.time())
    order_content = ClockResetOrder(
        tenant="main", device=DEVICE, wrong_s=IN_2100, reason="x", issued_at_s=now_s
    )
    for forged in (
        raw[:-1] + bytes([raw[-1] ^ 1]),
        sign_clock_reset_order(order_content, keys.signer(Purpose.CONFIGURATION)),
        b"",
        b"not cbor",
    ):
        file.write_bytes(forged)
        assert "is refused" in reset(device, file, exit_code=1).output
    assert floor(device) == IN_2100


def test_a_key_is_checked_at_the_time_of_signing_and_not_at_the_devices_time(keys):
    now_s = int(time.time())
    trust = open_trust_list(keys.trust_list(1), roots=keys.roots(), now=Instant(unix_s=now_s))
    order_content = ClockResetOrder(
        tenant="main", device=DEVICE, wrong_s=IN_2100, reason="x", issued_at_s=now_s
    )
    signer = keys.signer(Purpose.ENROLMENT)
    signed = sign_clock_reset_order(order_content, signer)
    assert open_clock_reset_order(signed, trust) == order_content
    late = replace(order_content, issued_at_s=keys.record.expires_at_s)
    assert "document_key_window" in str(
        open_clock_reset_order(sign_clock_reset_order(late, signer), trust)
    )
    backwards = replace(order_content, wrong_s=now_s)
    assert "document_content" in str(
        open_clock_reset_order(sign_clock_reset_order(backwards, signer), trust)
    )
    no_keys = TrustList(version=1, issued_at_s=0, expires_at_s=1, keys=())
    assert "document_key_unknown" in str(open_clock_reset_order(signed, no_keys))


def test_the_errors_of_wrong_usage_say_what_is_needed(device, keys, tmp_path):
    arguments = (
        "clock-reset",
        DEVICE,
        "--keys",
        keys.path,
        "-o",
        tmp_path / "x",
        "--reason",
        "x",
        "--floor",
    )
    assert "is in the past" in run(edge_fleet, *arguments, 1000, exit_code=2).output
    (tmp_path / "roots.cbor").write_bytes(Roots(version=1, keys=()).to_bytes())
    assert "is refused" in reset(device, ordered(device, keys), exit_code=1).output
    missing = run(edge_scanner, "clock", "--data", tmp_path / "none", exit_code=1)
    assert "no store in" in missing.output
