"""The scanner as a process: start, stop, kill, and its notices to the service manager."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hardware_sim.run.in_process_scanner import provision_scanner
from hardware_sim.run.process_stack import program
from hardware_sim.vision.render import render
from hardware_sim.vision.view_condition import CLEAN

from edge.cli import cli
from edge.store import ledger, outbox
from edge.store.opening import open_for_reading

MOCK_PINS = {**os.environ, "GPIOZERO_PIN_FACTORY": "mock"}


@pytest.fixture
def sample(tmp_path):
    return provision_scanner(tmp_path, now_s=int(time.time()))


class Scanner:
    """The simulated scanner's process, given what to see over its standard input."""

    def __init__(self, sample, **environment):
        command = [
            sys.executable,
            "-m",
            "hardware_sim.run.simulated_scanner",
            "--profile",
            sample.profile,
            "--data",
            sample.data,
        ]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def line(self, event):
        for text in self.process.stdout:
            line = json.loads(text)
            if line["event"] == event:
                return line
        raise EOFError(event)

    def end(self, number):
        self.process.send_signal(number)
        return self.process.wait(10)


@pytest.fixture
def start():
    started = []

    def start(*arguments, **environment):
        started.append(Scanner(*arguments, **environment))
        return started[-1]

    yield start
    for scanner in started:
        scanner.process.kill()
        scanner.process.wait()


def test_a_folder_with_one_picture_is_scanned_and_it_ends(sample, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    cv2.imwrite(
        str(pictures / "0.png"),
        render(sample.codes["voucher"], CLEAN, rng=np.random.default_rng(1)),
    )
    sample.profile.write_text(
        sample.profile.read_text().replace('path = "."', f'path = "{pictures}"')
    )
    command = [program("edge-scanner"), "run", "--profile", sample.profile, "--data", sample.data]
    done = subprocess.run(
        command, check=False, env=MOCK_PINS, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert [
        line["signal"]
        for line in map(json.loads, done.stdout.splitlines())
        if line["event"] == "scan"
    ]


def test_it_stops_cleanly_when_asked_to(sample, start):
    scanner = start(sample)
    scanner.line("started")
    assert scanner.end(signal.SIGTERM) == 0


def test_it_notifies_the_service_manager_that_it_is_ready_alive_and_stopping(sample, tmp_path):
    address = str(tmp_path / "notify")
    profile = tmp_path / "folder.toml"
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    text = sample.profile.read_text().replace('path = "."', f'path = "{pictures}"')
    profile.write_text(text)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(10)
        environment = {**os.environ, "NOTIFY_SOCKET": address, "GPIOZERO_PIN_FACTORY": "mock"}
        command = [
            program("edge-scanner"),
            "run",
            "--profile",
            str(profile),
            "--data",
            str(sample.data),
        ]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        try:
            messages = [manager.recv(1000).decode() for _ in range(3)]
            process.terminate()
            while (last := manager.recv(1000).decode()) != "STOPPING=1":
                messages.append(last)
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.wait()
    assert messages[0] == "READY=1"
    assert "WATCHDOG=1" in messages
    assert any(line.startswith("STATUS=") for line in messages)


def test_a_voucher_written_off_before_a_power_cut_is_refused_after_it(sample, start):
    scanner = start(sample)
    scanner.tell(show=sample.codes["voucher"], condition="clean")
    assert scanner.line("scan")["reason"] == "accepted"
    scanner.end(signal.SIGKILL)
    scanner = start(sample)
    scanner.tell(show=sample.codes["voucher"], condition="clean")
    assert scanner.line("scan")["reason"] == "already_redeemed"


def test_power_cuts_at_any_moment_lose_nothing_and_redeem_nothing_twice(sample, start):
    for tenths in (3, 5, 6, 7, 9, 12):
        scanner = start(sample)
        for code in ("voucher", "glare", "offline 1"):
            scanner.tell(show=sample.codes[code], condition="clean")
        time.sleep(tenths / 10)
        scanner.end(signal.SIGKILL)
    store = open_for_reading(sample.data)
    try:
        uses = [(row.cti, row.use_no) for row in ledger.rows(store)]
        rows = [row.body for row in outbox.pending(store, limit=1000) if row.type == "redeemed"]
    finally:
        store.close()
    assert len(uses) == len({cti for cti, _ in uses})
    assert sorted((row["cti"], row["use"]) for row in map(_body, rows)) == sorted(
        (c.hex(), use) for c, use in uses
    )


def _body(body):
    return json.loads(body) if isinstance(body, str) else body


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("nonsense =", "not TOML"),
        (
            "[device]\nid = 'k'\nsite = 's'\nkind = 'toaster'\n[trust]\nroots_file = 'r'",
            "device.kind",
        ),
        ("[camera]\nwidth_px = 3", "camera.width_px"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_profile_is_named_with_its_path_and_no_traceback(tmp_path, content, complaint):
    file = tmp_path / "profile.toml"
    if content is not None:
        file.write_text(content)
    for arguments in (
        ["config", "check", str(file)],
        ["run", "--profile", str(file), "--data", str(tmp_path)],
    ):
        done = subprocess.run(
            [program("edge-scanner"), *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert complaint in done.stderr
        assert "Traceback" not in done.stderr


def test_a_profile_made_wrong_after_it_worked_is_a_named_problem_and_the_device_scans_on(
    sample, start
):
    start(sample).line("started")
    sample.profile.write_text("nonsense =")
    scanner = start(sample)
    assert "not TOML" in scanner.line("profile_invalid")["detail"]
    scanner.line("started")
    until_s = time.monotonic() + 20
    while "profile_invalid" not in (
        problems := json.loads((sample.data / "health.json").read_text())["problems"]
    ):
        assert time.monotonic() < until_s, problems
        time.sleep(0.1)


def test_a_good_profile_passes_the_check(sample):
    done = subprocess.run(
        [program("edge-scanner"), "config", "check", str(sample.profile)], check=False
    )
    assert done.returncode == 0


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "decode",
        "verify",
        "ledger",
        "orders",
        "exceptions",
        "outbox",
        "doctor",
        "config check",
        "demo",
    ],
)
def test_help_of_every_command_has_an_example(command):
    done = CliRunner().invoke(cli, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert re.search(f"Example: (sudo )?edge-scanner {command}", " ".join(done.output.split()))


def test_every_command_is_listed():
    listed = CliRunner().invoke(cli, ["--help"]).output
    assert all(
        f"  {command}" in listed
        for command in ["run", "decode", "verify", "ledger", "doctor", "demo"]
    )
