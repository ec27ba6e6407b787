"""Every fault of the sync page, with real processes: it has a name, and the ledgers end equal."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hardware_sim.faults.mqtt_proxy import CLEAR, CUT, HALF_OPEN, NetworkFault

from edge.store import exception_cases, order_cache, outbox
from edge.system.durable_file import write_secret
from edge.values.instant import Instant
from edge.values.uuid7 import uuid7
from sync.hub.pki.certificate_authority import (
    issue_client,
    load_certificate_authority,
)
from tests.support.broker import CEILING_S, Process, until
from tests.support.faulty_network import proxied
from tests.support.paths import ROOT
from tests.support.platform_processes import Device, Platform

CRASHING_HUB = ROOT / "tests" / "support" / "crashing_hub.py"
SMALL_DISK = "kiosk-7"
DEVICES = {f"kiosk-{number}": "shop-1" for number in range(1, 10)}


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    folder = tmp_path_factory.mktemp("platform")
    disks = [folder / "site" / "hub-data", folder / SMALL_DISK]
    mounted = [disk for disk in disks if small_disk(disk)]
    try:
        with Platform(folder, DEVICES) as running:
            yield running
    finally:
        for disk in mounted:
            subprocess.run(["umount", "--lazy", str(disk)], check=False)


def small_disk(folder: Path) -> bool:
    """Mount a file system that can be filled; return False where mounting is not permitted."""
    folder.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", "size=128M", "tmpfs", str(folder)]
    return subprocess.run(["mount", *options], check=False, capture_output=True).returncode == 0


@pytest.fixture(autouse=True)
def the_hub_is_there(platform):
    if platform.hub.child is None or platform.hub.child.poll() is not None:
        platform.hub.start()


def link(device: Device) -> str:
    return device.health().get("link", "")


def named(device: Device, *states: str) -> None:
    """Return the device once its link is in ``state``, in the health file and the metrics."""
    until(
        lambda: link(device) in states,
        what=lambda: f"{states}; {device.health()} {device.sync.text[-1500:]}",
    )
    until(
        lambda: any(device.metric("edge_sync_link", state) == 1 for state in states),
        what=lambda: str(states),
    )


def assert_equal(platform: Platform, device: Device) -> None:
    """Nothing lost, nothing twice."""
    device.wait_acknowledged()
    mine = [(epoch, seq, identity) for epoch, seq, identity, *_ in device.ledger()]
    theirs = [(epoch, seq, identity) for epoch, seq, identity, *_ in platform.ledger(device.name)]
    assert theirs == mine
    assert mine


def test_a_line_that_is_cut_is_named_and_what_was_written_meanwhile_arrives(platform):
    device = platform.devices["kiosk-1"]
    with proxied(platform, device) as proxy:
        named(device, "connected")
        for _ in range(2):
            device.redeem()
            proxy.fault = CUT
            named(device, "connection_lost", "broker_unreachable")
            device.redeem()
            proxy.fault = CLEAR
        named(device, "connected")
        assert_equal(platform, device)
    assert "Traceback" not in device.sync.text


@pytest.mark.slow
def test_a_half_open_line_is_found_by_its_silence(platform):
    """No FIN and no RST reports the loss. The keep-alive finds it; handshakes time out."""
    device = platform.devices["kiosk-2"]
    with proxied(platform, device) as proxy:
        device.redeem()
        device.wait_acknowledged()
        proxy.fault = HALF_OPEN
        device.redeem()
        named(device, "connection_lost", "broker_unreachable", "hub_not_replying")
        proxy.fault = CLEAR
        assert_equal(platform, device)


def test_a_slow_line_is_named_and_loses_and_doubles_nothing(platform):
    """A long delay first, then low bandwidth. A reply is late after half a second here."""
    device = platform.devices["kiosk-3"]
    with proxied(platform, device) as proxy:
        named(device, "connected")
        for fault in (NetworkFault(delay_s=0.3), NetworkFault(bytes_per_s=6000)):
            proxy.fault = fault
            for _ in range(40):
                device.redeem()
            named(device, "replies_slow")
            assert_equal(platform, device)
        proxy.fault = CLEAR
        device.redeem()
        named(device, "connected")
    assert device.sync.text.count('"replies_slow"') <= 2


def test_messages_that_are_doubled_and_reordered_on_their_way_have_one_effect(platform):
    device = platform.devices["kiosk-4"]
    ctis = [os.urandom(16) for _ in range(700)]
    lines = [
        {"cti": cti.hex(), "order_id": "A", "kind": "pickup", "home_site": "shop-1"} for cti in ctis
    ]
    with proxied(platform, device, mqtt=True) as proxy:
        proxy.fault = NetworkFault(duplicate=0.4, reorder=0.4)
        platform.import_orders(*lines)
        for number in range(150):
            device.redeem()
            if number % 30 == 0:
                platform.import_orders(dict(lines[number], status="cancelled"))
        until(
            lambda: device.redeem() and platform.metric("edge_hub_events_total", "repeated"),
            what="one came again",
        )
        device.wait_acknowledged()
        want = {cti: number % 30 == 0 and number < 150 for number, cti in enumerate(ctis)}
        until(lambda: feed(device) == want, what=lambda: f"the feed is whole; {device.health()}")
        proxy.fault = CLEAR
        assert_equal(platform, device)
        assert not order_cache.feed_state(device.store).must_reload
        until(
            lambda: device.metric("edge_sync_documents_total", "already_stored"),
            what="the device counts it",
        )


def feed(device: Device) -> dict[bytes, bool]:
    """Return whether each cached order was cancelled, by its cti."""
    return {row.cti: row.status == "cancelled" for row in order_cache.entitlements(device.store)}


@pytest.mark.parametrize(
    "step",
    [
        "after the broker got it, before the transaction",
        "within the transaction",
        "between two transactions of a batch",
        "after the commit",
        "before an acknowledgement is sent",
        "after an acknowledgement was sent",
    ],
)
def test_a_hub_that_dies_at_any_step_takes_each_event_once(platform, step, tmp_path):
    device = platform.devices["kiosk-5"]
    platform.hub.kill()
    command = [sys.executable, str(CRASHING_HUB), step, "3", "run", "--config", platform.config]
    crashing = Process(command, tmp_path / "hub.log").start()
    with device.sync:
        until(
            lambda: device.redeem() and crashing.child.poll() is not None,
            what=lambda: f"it died; {crashing.text}",
        )
        assert crashing.child.returncode == 9, crashing.text
        device.redeem()
        named(device, "hub_not_replying")
        platform.hub.start()
        named(device, "connected")
        assert_equal(platform, device)


@pytest.fixture
def shop(tmp_path):
    """Start a platform of one device: no other device outvotes what it reports."""
    with Platform(tmp_path, {"kiosk-1": "shop-1"}) as running:
        yield running


def test_a_hub_restored_from_an_older_backup_gets_again_what_it_lost(shop):
    platform, device = shop, shop.devices["kiosk-1"]
    hub_db = platform.broker.files.folder / "hub-data" / "hub.db"
    with device.sync:
        for _ in range(5):
            device.redeem()
        device.wait_acknowledged()
        with (
            sqlite3.connect(hub_db) as live,
            sqlite3.connect(hub_db.with_suffix(".backup")) as copy,
        ):
            live.backup(copy)
        for _ in range(7):
            device.redeem()
        device.wait_acknowledged()
        platform.hub.kill()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{hub_db}{suffix}").unlink(missing_ok=True)
        hub_db.with_suffix(".backup").rename(hub_db)
        platform.hub.start()
        until(
            lambda: len(platform.ledger(device.name)) == 12, what=lambda: device.sync.text[-1500:]
        )
        assert_equal(platform, device)
    assert "platform_lost_events" in device.sync.text


@contextmanager
def full(folder: Path):
    """Fill the disk of ``folder``."""
    if not os.path.ismount(folder):
        pytest.skip("a full disk needs the right to mount one: run as root")
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


def the_unit_starts_it_again(process: Process) -> None:
    """Wait until the process has ended by itself. Its unit has Restart=always."""
    assert process.child.wait(CEILING_S) == 1
    process.start()


def test_a_full_disk_at_the_hub_is_named_and_takes_nothing_with_it(platform):
    device = platform.devices["kiosk-7"]
    with device.sync:
        device.redeem()
        device.wait_acknowledged()
        with full(platform.broker.files.folder / "hub-data"):
            until(
                lambda: device.redeem() and "store_unavailable" in platform.hub.text,
                what=lambda: platform.hub.text[-1500:],
            )
            assert device.pending(), "nothing is acknowledged that is not on disk"
        the_unit_starts_it_again(platform.hub)
        assert_equal(platform, device)
    assert "Traceback" not in platform.hub.text


def test_a_full_disk_at_the_device_is_named_and_takes_nothing_with_it(platform):
    device = platform.devices["kiosk-7"]
    device.sync.start()
    named(device, "connected")
    device.wait_acknowledged()
    with full(device.data):
        platform.publish(
            platform.trust_file, platform.keys.trust_list(int(time.time()))
        )  # and that is to be kept
        until(
            lambda: "store_unavailable" in device.sync.text, what=lambda: device.sync.text[-1500:]
        )
    the_unit_starts_it_again(device.sync)
    device.redeem()
    assert_equal(platform, device)
    device.sync.kill()
    assert "Traceback" not in device.sync.text


def test_an_expired_certificate_is_named_and_a_new_one_is_used_without_a_restart(platform):
    device, files = platform.devices["kiosk-8"], platform.broker.files
    good = files.certificate(device.name).read_bytes(), files.key(device.name).read_bytes()
    authority = load_certificate_authority(files.ca.read_bytes(), files.key("ca").read_bytes())
    old = issue_client(authority, device.name, now_s=int(time.time()) - 40 * 86_400, days=30)
    files.certificate(device.name).write_bytes(old.certificate_pem)
    write_secret(files.key(device.name), old.key_pem)
    device.redeem()
    with device.sync:
        named(device, "certificate_refused")
        assert "expired" in device.health()["detail"]
        for path, content in zip(
            (files.key(device.name), files.certificate(device.name)), good[::-1], strict=True
        ):
            path.with_suffix(".new").write_bytes(content)
            path.with_suffix(".new").replace(path)
        named(device, "connected")
        assert_equal(platform, device)


@pytest.fixture(scope="module")
def shifted_clock(tmp_path_factory):
    """Return the library that shifts the system's time of a process, TLS included."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to make a wrong clock with: apt-get install gcc")
    folder = tmp_path_factory.mktemp("clock")
    source = folder / "shift.c"
    source.write_text(_SHIFT_C)
    library = folder / "shift.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True
    )
    return library


_SHIFT_C = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long shift(void) { const char *s = getenv("CLOCK_SHIFT_S"); return s ? atol(s) : 0; }
int clock_gettime(clockid_t id, struct timespec *t) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int r = real(id, t);
  if (r == 0 && id == CLOCK_REALTIME) t->tv_sec += shift();
  return r;
}
time_t time(time_t *out) {
  struct timespec t; clock_gettime(CLOCK_REALTIME, &t);
  if (out) *out = t.tv_sec;
  return t.tv_sec;
}
int gettimeofday(struct timeval *tv, void *tz) {
  struct timespec t; (void) tz; clock_gettime(CLOCK_REALTIME, &t);
  tv->tv_sec = t.tv_sec; tv->tv_usec = t.tv_nsec / 1000; return 0;
}
"""


@pytest.mark.parametrize("years", [-40, 10])
def test_a_clock_that_is_years_off_is_named_and_the_device_still_syncs(
    platform, shifted_clock, years
):
    """By such a clock no certificate is valid: only a proved end counts against the broker."""
    device = platform.devices["kiosk-9"]
    device.redeem()
    shift = f"CLOCK_SHIFT_S={years * 365 * 86_400}"
    honest = device.sync.command
    device.sync.command = ["env", f"LD_PRELOAD={shifted_clock}", shift, *honest]
    try:
        with device.sync:
            named(device, "connected")
            assert_equal(platform, device)
            until(lambda: "clock_wrong" in device.health()["problems"], what=device.health)
            assert device.health()["clock"] == "floor_only"
            until(
                lambda: device.metric("edge_sync_problem", "clock_wrong"),
                what="the metrics name it",
            )
            assert device.sync.text.count('"clock_wrong"') == 1, "a line in the log"
    finally:
        device.sync.command = honest
        device.sync.output.unlink()


def test_two_devices_with_one_identity_are_named_and_both_keep_all_they_wrote(platform):
    """A card was copied: one certificate, one store, two devices that push each other off."""
    first = platform.devices["kiosk-6"]
    first.sync.start()
    first.redeem()
    first.wait_acknowledged()
    first.sync.kill()
    second = Device(platform, "kiosk-6", "shop-1")
    second.data = platform.folder / "kiosk-6-copy"
    second.data.mkdir()
    with first.store.read() as connection, sqlite3.connect(second.data / "store.db") as copy:
        connection.backup(copy)
    second.sync = Process(
        [*first.sync.command[:-1], str(second.data)], platform.folder / "kiosk-6-copy.log"
    )
    for device in (first, second):
        for _ in range(5):
            device.redeem()
    with first.sync, second.sync:
        until(
            lambda: not first.pending() and not second.pending(),
            what=lambda: second.sync.text[-2500:],
        )
        until(lambda: "two_devices_with_one_identity" in platform.hub.text, what="the hub names it")
        counted = "edge_hub_refused_messages_total", "two_devices_with_one_identity"
        until(lambda: platform.metric(*counted), what="the hub's metrics name it")
    held = [identity for _, _, identity, *_ in platform.ledger("kiosk-6")]
    assert len(held) == len(set(held))
    for device in (first, second):
        assert {identity for _, _, identity, *_ in device.ledger()} <= set(held)
    cases = [case for device in (first, second) for case in exception_cases.cases(device.store)]
    assert any("another device has its identity" in case.cause for case in cases)


def away_for_a_month(device: Device, events: int) -> None:
    """Write what a device wrote that had no network for a month."""
    start_s = int(time.time()) - 30 * 86_400
    with device.store.transaction() as connection:
        place = outbox.next_place(connection)
        for number in range(events - 1):
            now = Instant(unix_s=start_s + number * 30 * 86_400 // events)
            body = {
                "cti": os.urandom(16).hex(),
                "order": "A-1",
                "use": 1,
                "units": 1,
                "kind": "write_off",
            }
            outbox.append_at(
                connection,
                replace_seq(place, number),
                type="redeemed",
                body=body,
                now=now,
                id=uuid7(now.unix_s * 1000, os.urandom(10)),
            )
    device.redeem()


def replace_seq(place: outbox.OutboxPlace, number: int) -> outbox.OutboxPlace:
    return place._replace(seq=place.seq + number)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(2_000, id="2,000 events"),
        pytest.param(
            100_000, id="100,000 events", marks=[pytest.mark.slow, pytest.mark.timeout(600)]
        ),
    ],
)
def test_a_device_that_was_away_for_a_month_reports_all_of_it(platform, events):
    device = platform.devices["kiosk-8" if events > 10_000 else "kiosk-3"]
    with device.sync:  # nothing of the tests before waits any more
        device.wait_acknowledged()
    away_for_a_month(device, events)
    platform.hub.kill()
    with device.sync:
        age = "edge_sync_oldest_unacknowledged_seconds"
        until(lambda: device.metric(age) > 29 * 86_400, what=lambda: f"{age}: {device.metric(age)}")
        assert device.health()["pending"] >= events
        platform.hub.start()
        until(lambda: not device.pending(), 500, lambda: f"{device.pending()} left")
        assert_equal(platform, device)
        named(device, "connected")
        until(lambda: device.metric(age) == 0, what="nothing waits any more")
