"""A second person at the platform decides, with ``edge-fleet reviews``: real broker, hub, edge-sync and store."""

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge.domain.roles import Role
from edge.domain.verdict import Verdict
from edge.operators.actions import ActionResult
from edge.store import ledger, reviews
from edge.store.order_history import order_history
from edge.values.instant import Instant
from sync.fleet.key_folder import REVIEWERS
from tests.support.broker import until
from tests.support.platform_processes import BIN, Platform
from tests.support.sample_shop import DEVICE, SITE, code, redeemer
from tests.unit.operators.test_actions import sign_in, staff


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """Ann scans; ann and zoe have keys to decide with."""
    running = Platform(tmp_path_factory.mktemp("platform"), {DEVICE: SITE})
    for name in ("ann", "zoe"):
        running.keys.folder.add_holder(REVIEWERS, name)
    running.publish(running.trust_file, running.keys.trust_list(2))
    with running:
        yield running


@pytest.fixture
def kiosk(platform):
    kiosk = platform.devices[DEVICE]
    yield kiosk
    kiosk.sync.kill()


def fleet(platform, *command, exit_code=0):
    where = ["--fleet", str(platform.broker.files.fleet_config)]
    done = subprocess.run(
        [str(BIN / "edge-fleet"), "reviews", *command, *where],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == exit_code, done.stderr
    return done


def listed(platform, *options):
    return [
        json.loads(line) for line in fleet(platform, "list", "--json", *options).stdout.splitlines()
    ]


def key(platform, name):
    return ["--key", str(platform.keys.path / "reviewers" / f"{name}.pem")]


def now():
    return Instant(unix_s=int(time.time()))


def honoured_by_ann(platform, kiosk, order):
    """A voucher that is flagged, sold to somebody and written off by ann; how it is listed."""
    claims = code(order_id=order, not_before_s=now().unix_s - 60, expires_at_s=now().unix_s + 3600)
    platform.import_orders(
        {"cti": claims.cti.hex(), "order_id": order, "kind": "write_off", "home_site": SITE, "home_device": DEVICE,
         "review": True}
    )  # fmt: skip
    until(lambda: order_history(kiosk.store, order).lines, what="the order has come")
    sign_in(kiosk.store, "ann", Role.OPERATOR, now=now())
    assert redeemer(kiosk.store).redeem(claims, now()).reason is Verdict.ACCEPTED_PENDING_REVIEW
    kiosk.settled()
    (found,) = [review for review in listed(platform) if review["order"] == order]
    return claims, found


def state_of(platform, order):
    return next(review["state"] for review in listed(platform, "--all") if review["order"] == order)


def review_of(kiosk, order):
    return next(
        review
        for review in reviews.reviews(kiosk.store, only_pending=False)
        if review.order_id == order
    )


def test_what_ann_scanned_zoe_approves_at_the_platform_and_the_device_makes_it_final(
    platform, kiosk
):
    kiosk.sync.start()
    _, waiting = honoured_by_ann(platform, kiosk, "R-1")
    assert (waiting["state"], waiting["scanned_by"], waiting["dev"]) == ("waiting", "ann", DEVICE)
    fleet(
        platform, "approve", waiting["id"], *key(platform, "zoe"), "--reason", "seen on the camera"
    )
    review = review_of(kiosk, "R-1")
    assert (review.state, review.decided_by, review.reason) == (
        "approved",
        "platform:zoe",
        "seen on the camera",
    )
    kiosk.settled()
    (done,) = [review for review in listed(platform, "--all") if review["order"] == "R-1"]
    assert (done["state"], done["decided_by"]) == ("approved", "platform:zoe")
    assert [review for review in listed(platform) if review["order"] == "R-1"] == []
    assert platform.ledger(DEVICE) == kiosk.ledger()


def test_an_offline_device_hears_of_a_rejection_when_it_is_back_and_takes_it_back(platform, kiosk):
    kiosk.sync.start()
    claims, waiting = honoured_by_ann(platform, kiosk, "R-2")
    kiosk.sync.kill()
    said = fleet(
        platform,
        "reject",
        waiting["id"],
        *key(platform, "zoe"),
        "--reason",
        "stolen card",
        "--wait",
        "0",
        "--json",
    )
    assert json.loads(said.stdout)["state"] == "on_its_way"
    platform.hub.kill()  # what was decided is on disk
    platform.hub.start()
    assert review_of(kiosk, "R-2").state == "pending"
    kiosk.sync.start()
    until(lambda: review_of(kiosk, "R-2").state == "rejected", what="the rejection has come")
    row = ledger.rows(kiosk.store)[-1]
    assert (row.verdict, row.reason, row.operator) == ("reversed", "stolen card", "platform:zoe")
    assert redeemer(kiosk.store).redeem(claims, now()).is_accepted, "the code is good again"
    kiosk.settled()
    until(
        lambda: (
            next(r for r in listed(platform, "--all") if r["order"] == "R-2")["state"] == "rejected"
        )
    )
    told = [
        (kind, body.get("reason"))
        for _, _, _, kind, body in platform.ledger(DEVICE)
        if body.get("order") == "R-2"
    ]
    assert ("reversed", "stolen card") in told
    assert ("review", "stolen card") in told


def test_an_orders_story_tells_what_the_platform_decided(platform, kiosk):
    kiosk.sync.start()
    _, waiting = honoured_by_ann(platform, kiosk, "R-3")
    fleet(platform, "reject", waiting["id"], *key(platform, "zoe"), "--reason", "wrong person")
    kiosk.settled()
    told = order_history(kiosk.store, "R-3")
    lines = [
        (line.what, line.fields.get("reason"), line.fields.get("decided_by")) for line in told.lines
    ]
    assert ("review", "wrong person", "platform:zoe") in lines
    assert [line.fields["type"] for line in told.lines if line.what == "event"] == [
        "redeemed",
        "review",
        "reversed",
    ]
    assert told.settled


def test_nobody_decides_on_their_own_scan_without_a_listed_key_without_a_reason_or_twice(
    platform, kiosk, tmp_path
):
    kiosk.sync.start()
    _, waiting = honoured_by_ann(platform, kiosk, "R-4")
    own = fleet(platform, "approve", waiting["id"], *key(platform, "ann"), exit_code=1)
    assert "ann scanned it: another person must decide" in own.stderr
    stranger = ["--key", str(platform.keys.path / "configuration.pem")]
    assert (
        "may not sign review"
        in fleet(platform, "approve", waiting["id"], *stranger, exit_code=1).stderr
    )
    fleet(platform, "reject", waiting["id"], *key(platform, "zoe"), exit_code=2)
    fleet(platform, "reject", waiting["id"], *key(platform, "zoe"), "--reason", " ", exit_code=2)
    assert (
        "edge-fleet reviews list"
        in fleet(platform, "approve", "none", *key(platform, "zoe"), exit_code=1).stderr
    )
    assert review_of(kiosk, "R-4").state == "pending"
    fleet(platform, "approve", waiting["id"], *key(platform, "zoe"))
    twice = fleet(
        platform, "reject", waiting["id"], *key(platform, "zoe"), "--reason", "no", exit_code=1
    )
    assert "decided already" in twice.stderr
    assert review_of(kiosk, "R-4").state == "approved"


def test_a_decision_that_the_device_had_taken_otherwise_is_not_called_what_was_asked_for(
    platform, kiosk
):
    """Bob approves at the device while zoe's rejection is on its way."""
    kiosk.sync.start()
    _, waiting = honoured_by_ann(platform, kiosk, "R-5")
    kiosk.sync.kill()
    sign_in(kiosk.store, "bob", Role.REVIEWER, now=now())
    use = review_of(kiosk, "R-5").ledger_id
    assert (
        staff(kiosk.store).review(use, approve=True, reason="seen", now=now()).result
        is ActionResult.DONE
    )
    with ThreadPoolExecutor() as pool:
        options = (*key(platform, "zoe"), "--reason", "stolen card", "--wait", "60", "--json")
        asked = pool.submit(fleet, platform, "reject", waiting["id"], *options, exit_code=1)
        until(lambda: state_of(platform, "R-5") == "on_its_way", what="zoe has decided")
        kiosk.sync.start()
        said = asked.result()
    assert "R-5 is not rejected: bob had approved it at" in said.stderr
    assert json.loads(said.stdout)["state"] == "approved"
    assert [row.reverses for row in ledger.rows(kiosk.store) if row.order_id == "R-5"] == [None]


def test_a_decision_about_what_the_device_has_no_more_ends_by_name(platform, kiosk):
    """As after the loss of a store: the event is at the hub, and in no ledger."""
    kiosk.sync.start()
    lost = {"cti": os.urandom(16).hex(), "order": "R-6", "kind": "write_off", "use": 1, "units": 1, "kid": "00000000",
            "verdict": "accepted_pending_review", "operator": "ann"}  # fmt: skip
    kiosk.redeem(body=lost)
    kiosk.settled()
    (waiting,) = [review for review in listed(platform) if review["order"] == "R-6"]
    said = fleet(
        platform, "approve", waiting["id"], *key(platform, "zoe"), "--wait", "60", exit_code=1
    )
    assert "R-6 is not approved" in said.stderr
    assert "has no such redemption any more" in said.stderr
    assert state_of(platform, "R-6") == "not_found"
