"""A file that a person wrote, or a disk damaged, gives a message and never a traceback."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from edge.cli import cli
from edge.config import Profile, parse_profile
from edge.settings.active_profile import load_active_profile
from edge.settings.folder import SettingsFolder
from edge.settings.state_machine import SettingsState
from edge.trust.anchors import load_roots
from sync.fleet.rollout.settings_file import read_settings_file

PROFILE = '[device]\nid = "k"\nsite = "s"\nkind = "kiosk"\n\n[trust]\nroots_file = "r.cbor"\n'
HOSTILE = {
    "brackets without end": "a = " + "[" * 5_000,
    "tables in tables": "a = " + "{a = " * 400 + "1" + "}" * 400,
    "a dotted key without end": ".".join("a" * 3_000) + " = 1",
    "a number of 5000 digits": "a = " + "1" * 5_000,
}
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())


@hostile
def test_a_profile_that_is_not_toml_is_one_error(text):
    (error,) = parse_profile(text)
    assert error.path == ""
    assert error.message.startswith("not TOML: ")


@hostile
def test_every_reader_of_a_profile_reports_it(tmp_path, text):
    file = tmp_path / "profile.toml"
    file.write_text(text)
    (error,) = load_active_profile(file, tmp_path)
    assert error.message.startswith("not TOML: ")
    outcome = CliRunner().invoke(cli, ["config", "check", str(file)])
    assert outcome.exit_code == 1
    assert "not TOML" in outcome.output


@hostile
def test_a_settings_file_that_is_not_toml_is_reported_too(tmp_path, text):
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(click.ClickException, match="is not TOML"):
        read_settings_file(tmp_path / "settings.toml")


def test_a_profile_saved_with_a_byte_order_mark_is_read_like_any_other(tmp_path):
    file = tmp_path / "profile.toml"
    file.write_text(PROFILE, encoding="utf-8-sig")
    assert isinstance(parse_profile(file.read_text(encoding="utf-8")), Profile)
    assert load_active_profile(file, tmp_path).profile.device.id == "k"
    assert CliRunner().invoke(cli, ["config", "check", str(file)]).exit_code == 0


def test_a_roots_file_with_an_impossible_name_is_a_problem_with_what_to_do():
    assert "cannot be a file's name" in str(load_roots(Path("/etc/roots\0.cbor")))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "7",
        "null",
        '{"phase": []}',
        '{"phase": "shipped", "seen": [1]}',
        '{"phase": "shipped", "seen": {"a": 1}}',
        '{"phase": "shipped", "wrong": 5}',
        "[" * 99_999,
        "1" * 5_000,
    ],
    ids=lambda content: content[:40],
)
def test_a_damaged_state_of_the_settings_counts_as_none(tmp_path, content):
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "state.json").write_text(content)
    assert SettingsFolder(tmp_path).state() == SettingsState()
