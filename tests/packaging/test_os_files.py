"""The tools of the operating system accept its files, and each file names its boards."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import FIRMWARE

OS = FIRMWARE / "os"
FILES = sorted(path for path in FIRMWARE.rglob("*") if path.is_file())


def tool(name: str, package: str) -> str:
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None or os.geteuid() != 0:
        pytest.skip(f"needs root and {name} (Debian package {package})")
    return path


def run(*command: str | Path) -> str:
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout + outcome.stderr


@pytest.fixture
def root_with_users(tmp_path):
    """Make an empty root in which the users of sysusers.conf exist."""
    (tmp_path / "etc").mkdir()
    run(tool("systemd-sysusers", "systemd"), f"--root={tmp_path}", OS / "sysusers.conf")
    return tmp_path


def head_of(path: Path) -> str:
    """Return a file's description: its first comment, or its line in the folder's README."""
    if path.name != "README.md" and (path.suffix == ".json" or path.name == "cmdline.txt"):
        readme = (path.parent / "README.md").read_text(encoding="utf-8")
        (line,) = re.findall(rf"^\| `{re.escape(path.name)}` \|.*$", readme, flags=re.MULTILINE)
        return line + readme.partition("\n\n")[2]
    text = path.read_text(encoding="utf-8").lstrip()
    return text if path.suffix == ".md" else "".join(re.findall(r"\A(?:#.*\n)+", text))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FIRMWARE)))
def test_a_file_describes_itself_and_its_boards_and_releases(path):
    head = head_of(path)
    assert len(head.splitlines()) >= 2, "its purpose"
    assert re.search(r"\bserves?\b", head, flags=re.IGNORECASE)
    assert re.search(r"\bPi\b", head)
    assert re.search(r"Bookworm.*Trixie", head, flags=re.DOTALL)
    assert re.search(r"every Raspberry Pi|\bPi (?:\d|Zero)|every device|every broker", head), (
        "its models"
    )


def test_the_kernel_arguments_are_one_line_without_a_comment():
    text = (FIRMWARE / "boot" / "cmdline.txt").read_text(encoding="utf-8")
    assert text.count("\n") == 1
    assert "#" not in text
    explained = (FIRMWARE / "boot" / "README.md").read_text(encoding="utf-8")
    assert all(f"`{word}`" in explained for word in text.split())


def test_the_scanners_user_is_created_and_may_use_its_devices(root_with_users):
    groups = dict(
        line.split(":x:") for line in (root_with_users / "etc" / "group").read_text().splitlines()
    )
    assert {
        name for name, rest in groups.items() if "edge-scanner" in rest.split(":")[1].split(",")
    } == {
        "gpio",
        "video",
        "dialout",
        "input",
    }
    assert "edge-scanner:x:" in (root_with_users / "etc" / "passwd").read_text()


def test_only_the_services_may_read_the_store_and_the_keys(root_with_users):
    run(
        tool("systemd-tmpfiles", "systemd"),
        f"--root={root_with_users}",
        "--create",
        OS / "tmpfiles.conf",
    )
    modes = {
        folder: (root_with_users / folder).stat().st_mode & 0o7777
        for folder in (
            "var/lib/edge-scanner",
            "etc/edge-scanner/tls",
            "etc/edge-scanner",
            "var/lib/edge-hub",
        )
    }
    assert modes.pop("etc/edge-scanner/tls") == modes.pop("etc/edge-scanner") == 0o750
    # Hub and enrolment service share the fleet's store through the hub's group.
    assert modes.pop("var/lib/edge-hub") == 0o2770
    assert set(modes.values()) == {0o700}


def test_the_firewall_loads(tmp_path):
    known = (OS / "nftables.conf").read_text(encoding="utf-8").replace('"edge-scanner"', '"nobody"')
    (tmp_path / "nftables.conf").write_text(known, encoding="utf-8")
    run(
        tool("unshare", "util-linux"),
        "-n",
        tool("nft", "nftables"),
        "-f",
        tmp_path / "nftables.conf",
    )


def test_chrony_accepts_its_sources():
    run(tool("chronyd", "chrony"), "-p", "-f", OS / "chrony.conf")
