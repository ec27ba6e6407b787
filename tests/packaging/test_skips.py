"""Continuous integration lets a test be skipped only where a list names it with what it needs."""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT

CASE = '<testcase classname="tests.unit.test_x" name="{name}">{outcome}</testcase>'
REPORTS = {
    "run": CASE.format(name="test_a[1]", outcome=""),
    "skipped": CASE.format(
        name="test_a[1]", outcome='<skipped type="pytest.skip" message="no PostgreSQL"/>'
    ),
    "expected to fail": CASE.format(name="test_a", outcome='<skipped type="pytest.xfail"/>'),
    "module skipped": '<testcase classname="" name="tests.unit.test_x">'
    '<skipped type="pytest.skip" message="no evdev"/></testcase>',
}
TEST, MODULE = "tests/unit/test_x.py::test_a", "tests/unit/test_x.py"


@pytest.mark.parametrize(
    ("report", "listed", "output"),
    [
        pytest.param("run", "", "", id="nothing skipped"),
        pytest.param("expected to fail", "", "", id="an expected failure is no skip"),
        pytest.param("skipped", f"{TEST}  # a server", "not run here", id="listed"),
        pytest.param("module skipped", f"{MODULE}  # evdev", "not run here", id="module listed"),
        pytest.param("run", f"{TEST}  # a server", "listed as skipped, and ran", id="not needed"),
    ],
)
def test_a_run_with_listed_skips_passes(tmp_path, report, listed, output):
    assert check(tmp_path, report, listed, exit_code=0).startswith(output)


@pytest.mark.parametrize(
    ("report", "listed", "output"),
    [
        pytest.param("skipped", "", f"SKIPPED, and must not be: {TEST}: no PostgreSQL", id="new"),
        pytest.param("module skipped", "", f"SKIPPED, and must not be: {MODULE}", id="a module"),
        pytest.param("run", "tests/unit/test_y.py::test_b  # it", "no such test", id="gone"),
        pytest.param("skipped", TEST, "without what it needs", id="no reason"),
    ],
)
def test_a_run_with_an_unlisted_skip_or_a_wrong_list_fails(tmp_path, report, listed, output):
    assert output in check(tmp_path, report, listed, exit_code=1)


def check(folder, report, listed, *, exit_code):
    (folder / "report.xml").write_text(f"<testsuites>{REPORTS[report]}</testsuites>")
    (folder / "skips").write_text(f"# a comment\n{listed}\n")
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "check-skips", folder / "report.xml", folder / "skips"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done.stdout
