"""A device whose store is gone redeems nothing twice, and gets its ledger back."""

import json
import shutil
import time
from pathlib import Path

import pytest
from hardware_sim.run.process_stack import Process as StackProcess
from hardware_sim.run.process_stack import ProcessStack, ScannerProcess, start_stack
from hardware_sim.world.sample_platform import provision_vouchers

from edge.domain.verdict import Verdict
from edge.store.ledger_restore import restore_state, restored_count
from edge.token.purpose import Purpose
from sync.agent.restore_requester import PENDING
from sync.hub.store.redemption_table import RedemptionRow, insert_redemption
from tests.support.broker import until
from tests.support.fast_timings import program
from tests.support.platform_processes import Device, Platform
from tests.support.postgres import running_postgres

DEVICES = {"kiosk-1": "shop-1", "kiosk-2": "shop-1"}
VOUCHERS = 5
SIZES = [3_000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
MOST_GROWTH_MB = 24  # of a process, whatever is restored


# The whole of a device: scanner, sync and their store


@pytest.fixture
def stack(tmp_path):
    sample = provision_vouchers(tmp_path / "shop", VOUCHERS, now_s=int(time.time()))
    with start_stack(sample, real_camera=False) as running:
        yield running


def sync_health(stack: ProcessStack) -> dict:
    file = stack.sample.data / "sync-health.json"
    return json.loads(file.read_text()) if file.exists() else {}


def scan(stack: ProcessStack, number: int) -> str:
    """Show a voucher to the camera and return the reason of the verdict."""
    stack.scanner.send(show=stack.sample.codes[f"voucher {number}"], condition="clean")
    line = stack.scanner.wait_for("scan")
    stack.scanner.send(clear=True)
    assert line is not None, "it is read"
    time.sleep(0.9)  # the hold-off of the profile: the same code counts as shown again
    return line["reason"]


def lose_the_store(stack: ProcessStack) -> None:
    """As a new card does: every file of the device's data is gone."""
    stack.scanner.stop()
    stack.sync.stop()
    shutil.rmtree(stack.sample.data)


def start_again(stack: ProcessStack) -> None:
    data, profile = stack.sample.data, stack.sample.profile
    command = [*program("edge-sync"), "run", "--profile", str(profile), "--data", str(data)]
    stack.sync = StackProcess("sync", command, data.parent)
    stack.sync.start()
    stack.scanner = ScannerProcess(stack.sample, real_camera=False)
    stack.wait_until("the lists come again", problem="no_trust_list")
    until(lambda: stack.orders() == VOUCHERS, what="the orders come again")


def hide_the_key(stack: ProcessStack, *, hidden: bool) -> None:
    """Take away the key with which the hub signs what it gives back, or put it in its place."""
    key = stack.sample.data.parent / "keys" / f"{Purpose.GRANT}.pem"
    aside = key.with_suffix(".aside")
    stack.hub.stop()
    key.rename(aside) if hidden else aside.rename(key)
    stack.hub.start()


@pytest.mark.timeout(300)
def test_a_scanner_whose_store_is_destroyed_redeems_no_voucher_again(stack):
    """First the restore does not come, and has a name; scanning goes on. Then it comes."""
    stack.wait_until("the first sync", problem="no_trust_list")
    until(lambda: stack.orders() == VOUCHERS, what="the orders")
    used = range(VOUCHERS - 1)
    assert [scan(stack, number) for number in used] == [Verdict.ACCEPTED] * len(used)
    stack.wait_until("the acknowledgement")
    hide_the_key(stack, hidden=True)
    lose_the_store(stack)
    start_again(stack)
    assert {scan(stack, number) for number in range(VOUCHERS)} == {Verdict.NEEDS_ONLINE}
    until(lambda: PENDING in sync_health(stack).get("problems", {}), what="the problem is named")
    assert "grant_key_missing" in (stack.sample.data.parent / "hub.log").read_text()
    hide_the_key(stack, hidden=False)
    until(
        lambda: sync_health(stack)["ledger_restore"] == {"recovering": False, "restored": len(used)}
    )
    assert {scan(stack, number) for number in used} == {Verdict.ALREADY_REDEEMED}
    assert scan(stack, VOUCHERS - 1) == Verdict.ACCEPTED
    stack.wait_until("the last acknowledgement")
    rows = stack.query("edge-hub", "ledger", "--config", str(stack.sample.files.hub_config))
    redeemed = [row["body"]["cti"] for row in rows if row["type"] == "redeemed"]
    assert len(redeemed) == len(set(redeemed)) == VOUCHERS


# Sync and the hub, at the size that is asked


@pytest.fixture(scope="module", params=["file", "postgres"])
def platform(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("platform")
    if request.param == "file":
        with Platform(folder, DEVICES) as running:
            yield running
        return
    with running_postgres() as server, Platform(folder, DEVICES, database=server.database()) as it:
        yield it


def cti_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def report(platform: Platform, device: str, numbers: range) -> None:
    """Write to the hub what ``device`` redeemed with a store that it has no more."""
    with platform.hub_store() as store, store.transaction() as connection:
        for seq, number in enumerate(numbers, 1):
            row = RedemptionRow(
                cti_of(number), device, 1, "lost", seq, 1, None, 1_800_000_000, f"id-{number}",
                2**33 - 1,
            )  # fmt: skip
            insert_redemption(connection, row)


def with_a_new_card(device: Device) -> Device:
    """Return the device with an empty data folder."""
    if device._store is not None:
        device._store.close()
        device._store = None
    shutil.rmtree(device.data, ignore_errors=True)
    return device


def restored(device: Device) -> int:
    return restored_count(device.store)


def recovered(device: Device) -> bool:
    return restore_state(device.store).after is None


def peak_mb(process) -> float:
    status = Path(f"/proc/{process.child.pid}/status").read_text()
    return (
        int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
        / 1024
    )


def killed_after_a_page(device: Device) -> bool:
    """Let edge-sync get a page, and kill it. Return whether some pages are still missing."""
    seen = restored(device)
    with device.sync:
        until(lambda: restored(device) > seen or recovered(device), what="a page comes")
    return not recovered(device)


@pytest.mark.parametrize("size", SIZES)
def test_a_restore_goes_on_after_each_kill_and_takes_bounded_memory(platform, size):
    with platform.hub_store() as store, store.transaction() as connection:
        connection.execute("DELETE FROM redemption")
        connection.execute("DELETE FROM redeemed_total")
    device = with_a_new_card(platform.devices["kiosk-1"])
    with device.sync:
        until(lambda: recovered(device), what="a hub that knows nothing ends it at once")
        idle = peak_mb(device.sync), peak_mb(platform.hub)
    with_a_new_card(device)
    report(platform, "kiosk-1", range(size))
    kills = 0
    while kills < 3 and not recovered(device):
        kills += killed_after_a_page(device)
    started_s = time.monotonic()
    with device.sync:
        until(lambda: recovered(device), 600, lambda: f"{restored(device)} of {size}")
        grown = peak_mb(device.sync) - idle[0], peak_mb(platform.hub) - idle[1]
    print(
        f"{size} redemptions: {time.monotonic() - started_s:.1f} s after {kills} kills, {grown} MB"
    )
    assert restored(device) == size
    assert kills >= 2
    assert max(grown) < MOST_GROWTH_MB
    assert "Traceback" not in device.sync.text + platform.hub.text


def test_a_swapped_device_gets_what_the_old_one_and_its_site_redeemed(platform):
    neighbour, swapped = platform.devices["kiosk-2"], platform.devices["kiosk-1"]
    mine, others = (bytes([number]) * 16 for number in (0xEE, 0xEF))
    lines = [
        {"cti": cti.hex(), "order_id": "A-1", "kind": "write_off", "home_site": "shop-1"}
        for cti in (mine, others)
    ]
    platform.import_orders(*lines)
    with_a_new_card(swapped)
    with swapped.sync, neighbour.sync:
        swapped.redeem(mine)
        neighbour.redeem(others)
        swapped.wait_acknowledged()
        neighbour.wait_acknowledged()
    with_a_new_card(swapped)
    waiting = len(swapped.ledger())
    with swapped.sync:
        until(lambda: recovered(swapped), what=lambda: swapped.sync.text[-2000:])
    with swapped.store.read() as connection:
        rows = connection.execute(
            "SELECT cti, device FROM restored_redemption WHERE cti >= ? ORDER BY cti", (mine,)
        ).fetchall()
    assert rows == [(mine, "kiosk-1"), (others, "kiosk-2")]
    assert len(swapped.ledger()) == waiting, "nothing that is given back is an event"
