"""A kill at every write: the device returns on the old settings or the new, and continues.

The way of a document is walked in a child process that ends without warning (``os._exit``) just
before or just after the n-th thing that it puts on disk, for every n. Then another process finds
what is there, as after a restart.
"""

import os
import threading
from dataclasses import replace

import pytest
from click import ClickException

from edge.documents.settings import SettingsLayer
from edge.scanner.lifecycle import ConfigurationError, ScannerLifecycle
from edge.settings import folder as settings_folder
from edge.settings import state_machine as states
from edge.settings.active_profile import load_active_profile
from edge.settings.folder import SettingsFolder
from edge.settings.state_machine import SettingsPhase
from edge.token.trust_list import TrustList
from sync.agent.cli import _load
from sync.agent.settings.assembly import count_start
from tests.support.settings_device import LOG, NOW, PROFILE, TRUST, Device, document


def dies(device: Device, raw: bytes, *, at: int, before: bool) -> bool:
    """Live in a child that dies at its ``at``-th write. False when it came to the end without."""
    pid = os.fork()
    if pid == 0:
        count = 0
        write = settings_folder.write_durably

        def dying(path, content, **more):
            nonlocal count
            count += 1
            if count == at and before:
                os._exit(9)
            write(path, content, **more)
            if count == at:
                os._exit(9)

        settings_folder.write_durably = dying
        try:
            device.live(raw)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 9), "the child failed in another way"
    return code == 9


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(True, id="before it is on disk"),
        pytest.param(False, id="after it is on disk", marks=pytest.mark.slow),
    ],
)
def test_a_kill_at_any_step_leaves_old_or_new_settings_and_the_new_ones_are_applied_later(
    tmp_path, before
):
    at = 0
    died = True
    while died:
        at += 1
        folder = tmp_path / str(at)
        folder.mkdir()
        device = Device(folder)
        device.live(document(1, 50.0))
        assert device.budget_ms() == 50.0
        died = dies(device, document(2, 40.0), at=at, before=before)
        assert device.budget_ms() in (50.0, 40.0)
        device.live(document(2, 40.0))
        assert device.budget_ms() == 40.0
        assert device.settings.state().phase is SettingsPhase.COMMITTED
    assert at > 9, "every step is on disk before it is taken"


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(True, id="before it is on disk"),
        pytest.param(False, id="after it is on disk", marks=pytest.mark.slow),
    ],
)
def test_a_kill_at_any_step_of_going_back_still_goes_back(tmp_path, before):
    at = 0
    died = True
    while died:
        at += 1
        folder = tmp_path / str(at)
        folder.mkdir()
        device = Device(folder)
        device.live(document(1, 50.0))
        device.broken_budget_ms = 13.0
        died = dies(device, document(2, 13.0), at=at, before=before)
        device.live(document(2, 13.0))
        assert device.budget_ms() == 50.0
        state = device.settings.state()
        assert state.phase is SettingsPhase.ROLLED_BACK
        device.live(document(2, 13.0))
        assert device.settings.state() == state, (
            "the retained document comes again and changes nothing"
        )


def test_settings_that_kill_the_process_at_each_start_are_rolled_back_by_the_third(tmp_path):
    device = Device(tmp_path)
    device.live(document(1, 50.0))

    def crash() -> None:
        pid = os.fork()
        if pid == 0:
            ScannerLifecycle(
                file=device.file,
                data=device.data,
                equip=lambda profile: os._exit(6),
                open=None,
                log=LOG,
            ).run(threading.Event())
        os.waitpid(pid, 0)

    applier = device.applier()
    applier.receive(document(2, 40.0), NOW)
    applier.step(connected=True, now=NOW, monotonic_s=1.0)
    device.settings.change(
        lambda state: states.apply(state, ())
    )  # and there the first process died
    crash()
    assert device.settings.state().phase is SettingsPhase.APPLYING
    crash()
    assert device.settings.state().phase is SettingsPhase.ROLLED_BACK
    assert device.budget_ms() == 50.0


def test_a_start_that_ends_on_the_shipped_profile_does_not_count_against_new_settings(tmp_path):
    device = Device(tmp_path)
    applier = device.applier()
    applier.receive(document(1, 50.0), NOW)
    applier.step(connected=True, now=NOW, monotonic_s=1.0)
    device.settings.change(lambda state: states.apply(state, ()))
    before = device.settings.state()
    device.file.write_text(PROFILE.replace('"kiosk"', '"toaster"'))
    for _ in range(states.MOST_TRIALS + 1):
        with pytest.raises(ConfigurationError, match=r"device\.kind"):
            ScannerLifecycle(
                file=device.file, data=device.data, equip=None, open=None, log=LOG
            ).run(threading.Event())
        count_start(device.data)
        with pytest.raises(ClickException, match=r"device\.kind"):
            _load(device.file, device.data)
    assert device.settings.state() == before
    device.file.write_text(PROFILE)
    device.live()
    assert device.budget_ms() == 50.0


def test_a_damaged_plan_starts_the_device_as_shipped_and_is_reported(tmp_path):
    device = Device(tmp_path)
    device.live(document(1, 50.0))
    (plan,) = [path for path in (tmp_path / "settings").glob("*.json") if path.name != "state.json"]
    plan.write_bytes(plan.read_bytes()[:-3])
    running = load_active_profile(device.file, device.data)
    assert running.profile.decode.budget_ms == 60.0
    assert "damaged" in running.problem


def test_a_damaged_plan_is_made_again_from_the_documents_and_what_was_good_comes_back(tmp_path):
    device = Device(tmp_path)
    device.live(
        document(1, 50.0),
        document(2, 0, layer=SettingsLayer.SITE, name="shop-1", decode={"hold_off_s": 1.5}),
    )
    before = device.settings.state()
    (tmp_path / "settings" / f"{before.good}.json").write_bytes(b"zeros")
    assert device.budget_ms() == 60.0
    device.live()
    assert device.budget_ms() == 50.0
    assert device.settings.state() == before


def test_a_plan_made_again_is_reported_as_sound(tmp_path):
    device = Device(tmp_path)
    device.live(document(1, 50.0))
    (tmp_path / "settings" / f"{device.settings.state().good}.json").write_bytes(b"zeros")
    applier = device.applier()
    assert b"gone or damaged" in applier.report()
    applier.step(connected=True, now=NOW, monotonic_s=1.0)
    assert b"gone or damaged" not in applier.report()


def test_a_damaged_state_does_not_let_an_older_document_back_in(tmp_path):
    device = Device(tmp_path)
    device.live(document(2, 50.0))
    (tmp_path / "settings" / "state.json").write_text("{")
    device.live(document(1, 13.0))
    assert device.budget_ms() == 50.0


def test_the_same_revision_with_other_content_is_an_alarm_and_changes_nothing(tmp_path):
    device = Device(tmp_path)
    device.live(document(2, 50.0))
    applier = device.applier()
    applier.receive(document(2, 40.0), NOW)
    applier.step(connected=True, now=NOW, monotonic_s=1.0)
    assert b"settings_equivocation" in applier.report()
    assert device.budget_ms() == 50.0


def test_a_rollback_is_a_new_revision_with_old_content(tmp_path):
    device = Device(tmp_path)
    for rev, budget_ms in ((1, 50.0), (2, 40.0), (3, 50.0)):
        device.live(document(rev, budget_ms))
    assert device.budget_ms() == 50.0
    assert device.settings.state().applied == 3


def test_the_same_content_is_tried_again_only_under_a_new_revision(tmp_path):
    device = Device(tmp_path)
    device.broken_budget_ms = 13.0
    device.live(document(1, 13.0))
    assert device.settings.state().phase is SettingsPhase.ROLLED_BACK
    device.broken_budget_ms = None
    device.live(document(1, 13.0))
    assert device.budget_ms() == 60.0
    device.live(document(2, 13.0))
    assert device.budget_ms() == 13.0


def test_settings_that_wait_for_their_key_are_staged_once_the_trust_list_is_here(tmp_path):
    device = Device(tmp_path)
    applier = device.applier()
    device.trust = TrustList(version=1, issued_at_s=0, expires_at_s=2**33 - 1, keys=())
    applier.receive(document(1, 40.0), NOW)
    applier.step(connected=True, now=NOW, monotonic_s=0.0)
    assert device.settings.state().phase is SettingsPhase.SHIPPED
    device.trust = TRUST
    applier.step(connected=True, now=NOW, monotonic_s=10.0)
    assert device.settings.state().phase is SettingsPhase.STAGED


def test_a_layer_that_failed_does_not_hold_up_the_others(tmp_path):
    device = Device(tmp_path)
    device.broken_budget_ms = 13.0
    device.live(document(1, 50.0))
    bad = document(2, 13.0)
    device.live(bad)
    device.live(
        bad, document(3, 0, layer=SettingsLayer.SITE, name="shop-1", decode={"hold_off_s": 1.5})
    )
    profile = load_active_profile(device.file, device.data).profile
    assert (profile.decode.budget_ms, profile.decode.hold_off_s) == (50.0, 1.5)


def test_of_several_new_layers_only_the_bad_one_is_left_out(tmp_path):
    device = Device(tmp_path)
    device.broken_budget_ms = 13.0
    device.live(
        document(1, 0, decode={"hold_off_s": 1.5}),
        document(2, 0, layer=SettingsLayer.SITE, name="shop-1", decode={"budget_ms": 13.0}),
        document(3, 0, layer=SettingsLayer.DEVICE, name="kiosk-1", indicators={"hold_s": 4.0}),
    )
    for _ in range(4):
        device.live()
    profile = load_active_profile(device.file, device.data).profile
    assert (profile.decode.budget_ms, profile.decode.hold_off_s, profile.indicators.hold_s) == (
        60.0,
        1.5,
        4.0,
    )


def test_another_broker_is_not_tried_while_the_present_one_is_away(tmp_path):
    device = Device(tmp_path)
    device.file.write_text(
        PROFILE + '[mqtt]\nhost = "a"\nca_file = "c"\ncert_file = "c"\nkey_file = "k"\n'
    )
    tried = []
    applier = device.applier()
    applier._try_link = lambda mqtt: tried.append(mqtt.host)
    applier.receive(document(1, 0, mqtt={"host": "b"}), NOW)
    applier.step(connected=False, now=NOW, monotonic_s=1.0)
    assert (tried, device.settings.state().phase) == ([], SettingsPhase.SHIPPED)
    applier.step(connected=True, now=NOW, monotonic_s=2.0)
    assert (tried, device.settings.state().phase) == (["b"], SettingsPhase.STAGED)


def test_settings_that_do_not_touch_the_broker_try_nothing(tmp_path):
    device = Device(tmp_path)
    device.file.write_text(
        PROFILE + '[mqtt]\nhost = "a"\nca_file = "c"\ncert_file = "c"\nkey_file = "k"\n'
    )
    applier = device.applier()
    applier._try_link = lambda mqtt: pytest.fail("nothing is to be tried")
    applier.receive(document(1, 40.0), NOW)
    applier.step(connected=False, now=NOW, monotonic_s=1.0)
    assert device.settings.state().phase is SettingsPhase.STAGED


# Plans that nothing comes back to

GONE = "0" * 64


def plans(device: Device) -> set[str]:
    folder = device.data / settings_folder.FOLDER
    return {path.stem for path in folder.glob("*.json")} - {"state"}


def test_plans_that_nothing_comes_back_to_are_removed(tmp_path):
    device = Device(tmp_path)
    for rev in range(1, 6):
        device.live(document(rev, 60.0 + rev))
        assert device.settings.state().good in plans(device)
        assert len(plans(device)) <= 2, "what is good now, and what was before"
    device.broken_budget_ms = 99.0
    device.live(document(6, 99.0))
    device.live(document(7, 70.0))
    assert device.budget_ms() == 70.0
    assert len(plans(device)) <= 3, "and one that failed, until the next is staged"


def test_a_kill_before_old_plans_are_removed_only_delays_it(tmp_path, monkeypatch):
    device = Device(tmp_path)
    for rev in range(1, 4):
        with monkeypatch.context() as patch:
            patch.setattr(SettingsFolder, "forget_plans", lambda *_: os._exit(9))
            pid = os.fork()
            if pid == 0:
                device.live(document(rev, 60.0 + rev))
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        assert device.settings.plan(device.settings.state().candidate) is not None
        device.live()
    assert device.budget_ms() == 63.0
    device.live(document(4, 64.0))
    assert len(plans(device)) <= 2


def test_a_plan_that_is_removed_while_the_scanner_reads_it_does_not_count_as_lost(
    tmp_path, monkeypatch
):
    """The scanner reads without the lock: first the state, then the plan that it names."""
    device = Device(tmp_path)
    device.live(document(1, 61.0))
    device.settings.change(lambda state: replace(state, good=GONE))
    before = device.settings.state()
    read = SettingsFolder.plan

    def plan(folder, digest):
        if digest == GONE:
            device.settings.change(lambda state: replace(state, good=kept))
        return read(folder, digest)

    (kept,) = plans(device)
    monkeypatch.setattr(SettingsFolder, "plan", plan)
    running = load_active_profile(device.file, device.data)
    assert before.choice == GONE
    assert (running.problem, running.digest) == ("", kept)
    assert running.profile.decode.budget_ms == 61.0
