"""The installer reports what it needs, sets the boot partition once, and changes nothing else."""

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGING = ROOT / "packaging"
RELEASES = {"bookworm": "1.24.2", "trixie": "2.2.4"}  # and the NumPy of each, python3-numpy
FRAGMENTS = ROOT / "firmware-config" / "boot"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the installer needs root")


def install(*arguments: str, boot: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"EDGE_BOOT": str(boot)} if boot else {})
    return subprocess.run(
        ["bash", ROOT / "install", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=30,
    )


@pytest.fixture
def boot(tmp_path):
    """Make a boot partition like that of Raspberry Pi OS: cmdline.txt is one line."""
    (tmp_path / "config.txt").write_text("dtparam=audio=on\n[all]\n")
    (tmp_path / "cmdline.txt").write_text(
        "console=tty1 root=PARTUUID=1-02 rootfstype=ext4 fsck.repair=yes rootwait\n"
    )
    return tmp_path


def test_the_one_command_of_a_checkout_is_the_installer():
    assert (ROOT / "install").resolve() == ROOT / "packaging" / "edge-scanner-install"


def test_help_shows_every_command_and_an_example():
    outcome = install("--help")
    assert outcome.returncode == 0
    for word in ("--profile", "back", "boot", "remove", "Example:"):
        assert word in outcome.stdout


@pytest.mark.parametrize("arguments", [("--wrong",), ("nowhere.deb",), ("hello",)])
def test_a_wrong_argument_is_a_usage_error_and_changes_nothing(arguments):
    outcome = install(*arguments)
    assert outcome.returncode == 2
    assert outcome.stderr


@needs_root
def test_the_boot_partition_is_set_and_its_original_files_are_kept(boot):
    before = (boot / "cmdline.txt").read_text()
    outcome = install("boot", "--locker", boot=boot)
    assert outcome.returncode == 0
    assert "reboot" in outcome.stderr
    config = (boot / "config.txt").read_text().splitlines()
    assert config[-2:] == ["include edge-common.txt", "include edge-locker.txt"]
    assert (boot / "edge-common.txt").read_text() == (FRAGMENTS / "config-common.txt").read_text()
    line = (boot / "cmdline.txt").read_text()
    assert line.count("\n") == 1
    assert line.startswith(before.strip())
    assert line.split().count("fsck.repair=yes") == 1, "a present argument is not added again"
    assert set((FRAGMENTS / "cmdline.txt").read_text().split()) <= set(line.split())
    assert (boot / "cmdline.txt.before-edge").read_text() == before


@needs_root
def test_a_second_time_changes_nothing_on_the_boot_partition(boot):
    install("boot", boot=boot)
    first = {path.name: path.read_bytes() for path in boot.iterdir()}
    outcome = install("boot", boot=boot)
    assert "already" in outcome.stderr
    assert {path.name: path.read_bytes() for path in boot.iterdir()} == first


@needs_root
def test_a_machine_without_a_boot_partition_is_left_alone(tmp_path):
    outcome = install("boot", boot=tmp_path)
    assert outcome.returncode == 1
    assert "nothing was changed" in outcome.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_script_of_the_package_is_valid_shell():
    for path in PACKAGING.iterdir():
        if path.is_file() and path.read_text(encoding="utf-8").startswith(
            ("#!/usr/bin/env bash", "#!/bin/bash")
        ):
            subprocess.run(["bash", "-n", path], check=True)
    for name in ("postinst", "prerm", "postrm"):
        subprocess.run(["sh", "-n", ROOT / "packaging" / name], check=True)


def test_removing_never_names_the_data_in_a_deletion():
    for name in ("prerm", "postrm", "edge-scanner-install"):
        for line in (ROOT / "packaging" / name).read_text().splitlines():
            if line.strip().startswith(("rm ", "find ")):
                assert "/var/lib/edge" not in line
                assert "/etc/edge" not in line


def requirements():
    """Import packaging/requirements.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("requirements", PACKAGING / "requirements.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("release", RELEASES)
def test_every_library_of_the_package_is_pinned_for_the_release(release):
    tool = requirements()
    pins = tool.pinned(PACKAGING / f"constraints-{release}.txt")
    required = {tool.name_of(requirement) for requirement in tool.wanted(ROOT / "pyproject.toml")}
    assert not required - pins.keys(), "add the version; `make wheels` lists those that are missing"
    assert all(pins.values()), "each line names one version: name==version"


def test_both_releases_have_the_same_libraries():
    names = [
        requirements().pinned(PACKAGING / f"constraints-{release}.txt").keys()
        for release in RELEASES
    ]
    assert names[0] == names[1]


@pytest.mark.parametrize(("release", "numpy"), RELEASES.items())
def test_the_libraries_are_pinned_for_the_numpy_of_the_release_and_its_camera_library(
    release, numpy
):
    assert requirements().pinned(PACKAGING / f"constraints-{release}.txt")["numpy"] == numpy
    assert numpy in (ROOT / "docs" / "adr" / "0030-numpy-from-the-system.md").read_text(
        encoding="utf-8"
    )


@pytest.mark.slow
def test_every_library_has_a_wheel_for_a_pi_with_either_release():
    run = subprocess.run(
        [PACKAGING / "check-wheels", "--arch", "arm64"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout + run.stderr
