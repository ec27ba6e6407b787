"""Reviews by a second person with ``edge-fleet reviews``: real broker, hub, edge-sync and store."""

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge.domain.roles import Role
from edge.domain.verdict import Verdict
from edge.operators.operator_action import ActionResult
from edge.store import ledger, reviews
from edge.store.order_history import order_history
from edge.values.instant import Instant
from sync.fleet.key_folder import REVIEWERS
from tests.support.broker import until
from tests.support.operator_sessions import actions, sign_in
from tests.support.platform_processes import BIN, Platform
from tests.support.sample_shop import DEVICE, SITE, code, redeemer


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """Run a platform where ann, who scans, and zoe have keys to review with."""
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


def redeemed_by_ann(platform, kiosk, order):
    """Let ann redeem a flagged voucher; return its claims and how the review is listed."""
    claims = code(order_id=order, not_before_s=now().unix_s - 60, expires_at_s=now().unix_s + 3600)
    platform.import_orders(
        {
            "cti": claims.cti.hex(),
            "order_id": order,
            "kind": "write_off",
            "home_site": SITE,
            "home_device": DEVICE,
            "review": True,
        }
    )
    until(lambda: order_history(kiosk.store, order).lines, what="the order arrived")
    sign_in(kiosk.store, "ann", Role.OPERATOR, now=now())
    assert redeemer(kiosk.store).redeem(claims, now()).reason is Verdict.ACCEPTED_PENDING_REVIEW
    kiosk.wait_acknowledged()
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


def test_an_approval_at_the_platform_makes_the_redemption_final_at_the_device(platform, kiosk):
    kiosk.sync.start()
    _, waiting = redeemed_by_ann(platform, kiosk, "R-1")
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
    kiosk.wait_acknowledged()
    (done,) = [review for review in listed(platform, "--all") if review["order"] == "R-1"]
    assert (done["state"], done["decided_by"]) == ("approved", "platform:zoe")
    assert [review for review in listed(platform) if review["order"] == "R-1"] == []
    assert platform.ledger(DEVICE) == kiosk.ledger()


def test_an_offline_device_reverses_the_redemption_when_it_is_online_again(platform, kiosk):
    kiosk.sync.start()
    claims, waiting = redeemed_by_ann(platform, kiosk, "R-2")
    kiosk.sync.kill()
    result = fleet(
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
    assert json.loads(result.stdout)["state"] == "on_its_way"
    platform.hub.kill()  # the decision is on disk
    platform.hub.start()
    assert review_of(kiosk, "R-2").state == "pending"
    kiosk.sync.start()
    until(lambda: review_of(kiosk, "R-2").state == "rejected", what="the rejection arrived")
    row = ledger.rows(kiosk.store)[-1]
    assert (row.verdict, row.reason, row.operator) == ("reversed", "stolen card", "platform:zoe")
    assert redeemer(kiosk.store).redeem(claims, now()).is_accepted, "the code is valid again"
    kiosk.wait_acknowledged()
    until(
        lambda: (
            next(r for r in listed(platform, "--all") if r["order"] == "R-2")["state"] == "rejected"
        )
    )
    reported = [
        (kind, body.get("reason"))
        for _, _, _, kind, body in platform.ledger(DEVICE)
        if body.get("order") == "R-2"
    ]
    assert ("reversed", "stolen card") in reported
    assert ("review", "stolen card") in reported


def test_the_orders_history_shows_the_platforms_decision(platform, kiosk):
    kiosk.sync.start()
    _, waiting = redeemed_by_ann(platform, kiosk, "R-3")
    fleet(platform, "reject", waiting["id"], *key(platform, "zoe"), "--reason", "wrong person")
    kiosk.wait_acknowledged()
    history = order_history(kiosk.store, "R-3")
    lines = [
        (line.record, line.fields.get("reason"), line.fields.get("decided_by"))
        for line in history.lines
    ]
    assert ("review", "wrong person", "platform:zoe") in lines
    assert [line.fields["type"] for line in history.lines if line.record == "event"] == [
        "redeemed",
        "review",
        "reversed",
    ]
    assert history.complete


def test_a_decision_on_ones_own_scan_with_an_unlisted_key_or_twice_is_refused(
    platform, kiosk, tmp_path
):
    kiosk.sync.start()
    _, waiting = redeemed_by_ann(platform, kiosk, "R-4")
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


def test_a_rejection_that_came_after_an_approval_at_the_device_is_reported_as_failed(
    platform, kiosk
):
    """Bob approves at the device while zoe's rejection is on its way."""
    kiosk.sync.start()
    _, waiting = redeemed_by_ann(platform, kiosk, "R-5")
    kiosk.sync.kill()
    sign_in(kiosk.store, "bob", Role.REVIEWER, now=now())
    use = review_of(kiosk, "R-5").ledger_id
    assert (
        actions(kiosk.store).review(use, approve=True, reason="seen", now=now()).result
        is ActionResult.DONE
    )
    with ThreadPoolExecutor() as pool:
        options = (*key(platform, "zoe"), "--reason", "stolen card", "--wait", "60", "--json")
        rejection = pool.submit(fleet, platform, "reject", waiting["id"], *options, exit_code=1)
        until(lambda: state_of(platform, "R-5") == "on_its_way", what="zoe has decided")
        kiosk.sync.start()
        result = rejection.result()
    assert "R-5 is not rejected: bob had approved it at" in result.stderr
    assert json.loads(result.stdout)["state"] == "approved"
    assert [row.reverses for row in ledger.rows(kiosk.store) if row.order_id == "R-5"] == [None]


def test_a_decision_about_a_redemption_that_the_device_lost_ends_as_not_found(platform, kiosk):
    """As after the loss of a store: the event is at the hub, and in no ledger of a device."""
    kiosk.sync.start()
    lost = {
        "cti": os.urandom(16).hex(),
        "order": "R-6",
        "kind": "write_off",
        "use": 1,
        "units": 1,
        "kid": "00000000",
        "verdict": "accepted_pending_review",
        "operator": "ann",
    }
    kiosk.redeem(body=lost)
    kiosk.wait_acknowledged()
    (waiting,) = [review for review in listed(platform) if review["order"] == "R-6"]
    result = fleet(
        platform, "approve", waiting["id"], *key(platform, "zoe"), "--wait", "60", exit_code=1
    )
    assert "R-6 is not approved" in result.stderr
    assert "no longer has this redemption" in result.stderr
    assert state_of(platform, "R-6") == "not_found"
