"""Settings pushed to a device of real processes, by operations and by an attacker at the broker."""

import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.documents.settings import SettingsLayer
from edge.system.durable_file import digest_of
from edge.token.keys import signer
from tests.support.broker import MOSQUITTO, until
from tests.support.settings_environment import Field

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None, reason="mosquitto is not installed: apt-get install mosquitto"
)


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Return one device for all of these tests: each continues where the one before it ended."""
    with Field(tmp_path_factory.mktemp("field")) as field:
        field.rev = 10
        field.first = field.document({"decode": {"budget_ms": 50.0}})
        field.publish(field.first)
        field.becomes("committed", rev=field.rev)
        yield field


def unchanged(field, before, wait_s: float = 0.5) -> None:
    """Wait a while and check that the device still runs on what was good."""
    time.sleep(wait_s)
    assert field.state.good == before.good
    assert field.state.denied == before.denied


def refusals(field) -> list[tuple[str, str]]:
    return [(item["hash"], item["code"]) for item in field.report()["refused"]]


def test_settings_are_committed_after_their_probation_and_reported(field):
    report = until(
        lambda: (report := field.report())["state"] == "committed" and report,
        what="the report says so",
    )
    assert report["desired_rev"] == report["applied_rev"] == 11
    assert report["applied"] == {"fleet": 11}
    assert report["hash"] == field.state.good
    assert field.runs_on(field.state.good)


def test_no_scan_is_lost_and_none_is_doubled_while_settings_change(field):
    """The codes come before, during and after the change from one daemon to the next."""
    frames = until(
        lambda: field.health()["camera"]["frames"] > 60 and field.health()["camera"]["frames"]
    )
    for number, delay_s in enumerate((0.0, 0.2, 0.4, 0.6)):
        scans, changes = len(field.scanner.logged("scan")), len(field.scanner.logged("settings"))
        field.publish(field.document({"decode": {"budget_ms": 51.0 + number}}))
        time.sleep(delay_s)
        field.scanner.tell(
            show=field.sample.codes["voucher" if number % 2 else "glare"], condition="clean"
        )
        time.sleep(1.5)
        field.scanner.tell(clear=True)
        field.becomes("committed", rev=field.rev)
        assert len(field.scanner.logged("settings")) == changes + 1, "it has changed"
        assert len(field.scanner.logged("scan")) == scans + 1, "one verdict for one showing"
    reasons = [scan["reason"] for scan in field.scanner.logged("scan")]
    assert reasons == ["accepted", "accepted", "already_redeemed", "already_redeemed"]
    assert field.health()["camera"]["frames"] > frames + 60, (
        "the camera ran all the time: its count did not begin anew"
    )


def damaged(raw: bytes) -> bytes:
    """Return ``raw`` with another last bit in its signature."""
    return raw[:-1] + bytes([raw[-1] ^ 1])


@pytest.mark.parametrize(
    ("forged", "code"),
    [
        pytest.param(
            lambda field: damaged(field.document({"decode": {}}, rev=field.rev + 1)),
            "document_signature_invalid",
            id="bad signature",
        ),
        pytest.param(
            lambda field: field.document(
                {"decode": {}}, signer=signer(Ed25519PrivateKey.generate())
            ),
            None,  # a key that may come with the next trust list: it waits, and is not reported
            id="signed by a stranger",
        ),
        pytest.param(lambda field: field.first, "settings_rollback", id="replayed"),
        pytest.param(
            lambda field: field.document({"decode": {}}, rev=1), "settings_rollback", id="older"
        ),
        pytest.param(
            lambda field: field.document({"decode": {"budget_ms": 9.0}}, rev=field.rev),
            "settings_equivocation",
            id="this revision with other content",
        ),
        pytest.param(
            lambda field: field.document({}, layer=SettingsLayer.DEVICE, name="locker-2"),
            "settings_wrong_audience",
            id="wrong audience",
        ),
        pytest.param(
            lambda field: field.document({}, smallest_agent="99"),
            "settings_agent_too_old",
            id="later software",
        ),
        pytest.param(
            lambda field: field.document({}, expires_at_s=1),
            "settings_expired",
            id="after its window",
        ),
    ],
)
def test_a_document_that_is_not_to_be_believed_changes_nothing(field, forged, code):
    before, rev = field.state, field.rev
    raw = forged(field)
    field.publish(raw)
    if code is not None:
        until(
            lambda: (digest_of(raw), code) in refusals(field),
            what=lambda: f"{code}; it is {refusals(field)}",
        )
    unchanged(field, before)
    field.rev = rev


@pytest.mark.parametrize(
    ("content", "path"),
    [
        pytest.param({"decode": {"budget": 1}}, "decode.budget", id="unknown key"),
        pytest.param({"indicators": {"amber_pin": 17}}, "", id="pins that clash"),
        pytest.param({"device": {"site": "shop-2"}}, "device", id="another identity"),
        pytest.param(
            {"camera": {"width_px": 4096, "height_px": 2160}},
            "camera",
            id="a mode the camera does not have",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_by_the_path_and_what_was_good_stays(
    field, content, path
):
    good = field.state.good
    field.publish(field.document(content))
    field.becomes("refused", rev=field.rev)
    assert field.state.good == good
    report = until(
        lambda: (report := field.report())["state"] == "refused" and report,
        what="the report says so",
    )
    assert path in [error["path"] for error in report["errors"]]
    assert (report["desired_rev"], report["hash"]) == (field.rev, good)
    until(lambda: field.runs_on(good), what="the scanner runs on what was good")


def test_a_camera_mode_that_kills_the_process_is_rolled_back_by_itself_and_never_loops(field):
    good, before = field.state.good, field.scanner.starts
    field.publish(field.document({"camera": {"width_px": 666, "height_px": 666}}))
    field.becomes("rolled_back", rev=field.rev)
    until(lambda: field.runs_on(good), what="the scanner runs on what was good")
    died = field.scanner.starts
    assert died - before == 2, "one death may be a power cut; the second start is the proof"
    field.sync.kill()  # and gets the retained document again
    until(lambda: field.sync.starts >= 2, what="edge-sync is back")
    time.sleep(2.0)
    assert field.state.good == good
    assert field.scanner.starts == died


def test_the_next_good_settings_are_applied_after_bad_ones(field):
    field.publish(field.document({"decode": {"budget_ms": 44.0}}))
    field.becomes("committed", rev=field.rev)
    until(lambda: field.report()["applied_rev"] == field.rev, what="it is reported")


def test_chosen_settings_whose_file_is_damaged_come_back_from_their_documents_and_nothing_loops(
    field,
):
    good = field.state.good
    (field.sample.data / "settings" / f"{good}.json").write_bytes(b"zeros")
    changes, syncs = len(field.scanner.logged("settings")), len(field.sync.logged("started"))
    field.scanner.kill()
    field.sync.kill()
    until(lambda: len(field.scanner.logged("settings")) > changes, what="the scanner is back")
    until(lambda: field.runs_on(good), what="the scanner runs on what was good")
    time.sleep(2.0)
    hashes = [line["hash"] for line in field.scanner.logged("settings")[changes:]]
    assert hashes in ([None, good], [good]), (
        "as shipped, unless edge-sync was quicker, and then on what was good"
    )
    assert len(field.sync.logged("started")) == syncs + 1


def test_a_broker_that_cannot_be_reached_is_tried_first_and_never_adopted(field):
    good = field.state.good
    field.publish(field.document({"mqtt": {"port": 1}}))
    field.becomes("refused", rev=field.rev, timeout_s=40)
    assert field.state.wrong[0].path == "mqtt.host"
    assert field.state.good == good
    until(
        lambda: field.report()["state"] == "refused", 40, "it is back at the old broker and says so"
    )


@pytest.mark.slow
def test_kills_of_both_processes_at_any_moment_end_in_the_new_settings(field):
    for number in range(6):
        field.publish(field.document({"decode": {"budget_ms": 30.0 + number}}))
        time.sleep(0.15 * number)
        field.sync.kill()
        time.sleep(0.2)
        field.scanner.kill()
        field.becomes("committed", rev=field.rev, timeout_s=60)
