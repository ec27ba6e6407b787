"""Closed, full and empty inputs and outputs give a message and an exit code, never a traceback.

The programs are run by a shell.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edge.store.opening import open_store
from sync.fleet.cli import cli as edge_fleet

PROGRAMS = Path(sys.executable).parent
full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Make a trust list, and the store of device "k"."""
    folder = tmp_path_factory.mktemp("fleet")
    keys = str(folder / "keys")
    for command in (
        ["keys", "init", keys],
        ["trust-list", "build", "--keys", keys, "-o", str(folder / "trust.cbor")],
    ):
        assert CliRunner().invoke(edge_fleet, command).exit_code == 0
    open_store(
        folder / "data", device_id="k", now_s=int(time.time()), random_bytes=os.urandom
    ).store.close()
    return folder


def shell(fleet: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run ``line`` in a shell; V stands for verify with the fleet's list."""
    line = line.replace("V ", f"edge-scanner verify --trust-list {fleet}/trust.cbor ").replace(
        "FLEET", str(fleet)
    )
    path = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", line],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | path,
        check=False,
    )
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr
    return done


@full
@pytest.mark.parametrize(
    "line",
    [
        "V x > /dev/full",
        "echo x | V - > /dev/full",
        "edge-scanner --help > /dev/full",
        "edge-fleet issue --keys FLEET/keys --kind pickup --site s --order o > /dev/full",
    ],
)
def test_a_full_output_is_a_failure(fleet, line):
    done = shell(fleet, line)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "None" not in done.stderr


def test_a_closed_output_is_reported_before_the_command_runs(fleet):
    done = shell(fleet, "V x >&-")
    assert (done.returncode, done.stderr) == (1, "edge-scanner: standard output is closed\n")


@pytest.mark.parametrize("line", ["V - <&-", "V - < /dev/null", "echo x | V x -", "V - -"])
def test_no_tokens_or_tokens_from_two_places_are_wrong_usage(fleet, line):
    done = shell(fleet, line)
    assert done.returncode == 2
    assert "standard input" in done.stderr
    assert done.stdout == ""


def test_a_blank_line_has_a_result_like_an_empty_argument(fleet):
    piped, given = shell(fleet, r"printf 'x\n\n\r\n' | V -"), shell(fleet, "V x '' ''")
    assert len(piped.stdout.splitlines()) == 3
    assert piped.stdout == given.stdout


def test_a_reader_that_closes_the_pipe_sees_no_error(fleet):
    done = shell(fleet, "yes x | head -20000 | V - | head -1")
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")


def test_the_error_of_a_hub_without_its_configuration_names_the_file(fleet):
    done = shell(fleet, "edge-hub run --config FLEET/absent.toml")
    assert done.returncode == 1
    assert (
        f"{fleet}/absent.toml: configuration: cannot be read: No such file or directory"
        in done.stderr
    )


def test_ctrl_c_ends_decode_with_a_message(tmp_path):
    noise = np.random.default_rng(1).integers(0, 255, (1500, 1500), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), noise)
    command = [PROGRAMS / "edge-scanner", "decode", "--deep", *([tmp_path / "a.png"] * 500)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline(), "it has begun"
        child.send_signal(signal.SIGINT)
        _, messages = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 1
    assert "Aborted!" in messages
    assert "Traceback" not in messages
