"""A device whose card lost a page redeems nothing twice and reports all that it redeemed."""

import random
import time

import pytest
from hardware_sim.run.process_stack import Process, ScannerProcess, start_stack
from hardware_sim.world.sample_platform import provision_vouchers

from edge.domain.verdict import Verdict
from edge.store.database.store import FILE
from tests.support.broken_stores import destroy
from tests.support.broker import until
from tests.support.fast_timings import program
from tests.support.used_device import pages_of

VOUCHERS = 4


@pytest.fixture
def stack(tmp_path):
    sample = provision_vouchers(tmp_path / "shop", VOUCHERS, now_s=int(time.time()))
    with start_stack(sample, real_camera=False) as running:
        yield running


def scan(stack, number):
    """Show a voucher to the camera and return the reason of the verdict."""
    stack.scanner.send(show=stack.sample.codes[f"voucher {number}"], condition="clean")
    line = stack.scanner.wait_for("scan")
    stack.scanner.send(clear=True)
    assert line is not None, "it is read"
    time.sleep(0.9)  # the hold-off of the profile: the same code counts as shown again
    return line["reason"]


def lose_pages(stack, *trees):
    """Stop the device and destroy every page of some tables; start it again."""
    stack.scanner.stop()
    stack.sync.stop()
    data, profile = stack.sample.data, stack.sample.profile
    destroy(data / FILE, pages_of(data, *trees), "noise", random.Random(1))
    stack.scanner = ScannerProcess(stack.sample, real_camera=False)
    command = [*program("edge-sync"), "run", "--profile", str(profile), "--data", str(data)]
    stack.sync = Process("sync", command, data.parent)
    stack.sync.start()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("table", ["ledger", "outbox"])
def test_a_scanner_whose_store_lost_a_page_redeems_and_reports_each_voucher_once(stack, table):
    stack.wait_until("the first sync", problem="no_trust_list")
    until(lambda: stack.orders() == VOUCHERS, what="the orders")
    assert scan(stack, 0) == Verdict.ACCEPTED
    stack.wait_until("the acknowledgement")
    stack.hub.stop()
    assert [scan(stack, number) for number in (1, 2)] == [Verdict.ACCEPTED] * 2
    lose_pages(stack, table)
    until(lambda: list(stack.sample.data.glob(f"{FILE}.*.corrupt")), what="it is put aside")
    stack.hub.start()
    until(lambda: stack.orders() == VOUCHERS, what="the orders come again")
    assert [scan(stack, number) for number in range(3)] == [Verdict.ALREADY_REDEEMED] * 3
    assert scan(stack, 3) == Verdict.ACCEPTED
    stack.wait_until("all is acknowledged")
    rows = stack.query("edge-hub", "ledger", "--config", str(stack.sample.files.hub_config))
    redeemed = [row["body"]["cti"] for row in rows if row["type"] == "redeemed"]
    assert len(redeemed) == len(set(redeemed)) == VOUCHERS
