"""The real processes of a demonstration: broker, hub, sync, and scanner with simulated parts."""

from __future__ import annotations

import json
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from edge.values.errors import EdgeError
from hardware_sim.world.sample_platform import SamplePlatform

_TIMEOUT_S: Final = 30.0
_MOSQUITTO = ("mosquitto", "/usr/sbin/mosquitto")


class ProcessStackError(EdgeError):
    """A process did not start, or ended, or did not respond in time."""


class Process:
    """A child process whose output goes to a log file."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        self._name, self._command, self._log = name, command, folder / f"{name}.log"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, or start it again."""
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """Ask the process to end, and wait. Safe to call twice."""
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def check(self) -> None:
        """Raise ProcessStackError when the process has ended by itself."""
        if self._child is not None and self._child.poll() is not None:
            last = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
            raise ProcessStackError(
                f"{self._name} ended with code {self._child.returncode}: {' / '.join(last)}"
            )


class ScannerProcess:
    """The scanner process: commands in, log lines out."""

    def __init__(self, sample: SamplePlatform, *, real_camera: bool) -> None:
        command = [
            sys.executable,
            "-m",
            "hardware_sim.run.simulated_scanner",
            "--profile",
            str(sample.profile),
        ]
        command += ["--data", str(sample.data), *(["--real-camera"] if real_camera else [])]
        with (sample.data.parent / "scanner.log").open("ab") as log:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
            )
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read_log, name="scanner-log", daemon=True).start()

    def send(self, **command: Any) -> None:
        """Send a command for scene or doors (``hardware_sim.run.simulated_scanner``)."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(command) + "\n")
        self._child.stdin.flush()

    def wait_for(
        self, event: str, timeout_s: float = _TIMEOUT_S, **fields: Any
    ) -> dict[str, Any] | None:
        """Return the next log line of ``event`` with ``fields``, or None after the timeout."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            with suppress(queue.Empty):
                line = self._lines.get(timeout=left_s)
                if line is None:
                    raise ProcessStackError(
                        f"the scanner ended with code {self._child.wait()}; see scanner.log"
                    )
                if line.get("event") == event and fields.items() <= line.items():
                    return line
        return None

    def stop(self) -> None:
        """End the process as systemd does."""
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _read_log(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            with suppress(ValueError):
                self._lines.put(json.loads(line))
        self._lines.put(None)


class ProcessStack:
    """The running processes. Made by ``start_stack``."""

    def __init__(self, sample: SamplePlatform, *, real_camera: bool) -> None:
        self.sample = sample
        folder = sample.data.parent
        hub = [program("edge-hub"), "run", "--config", str(sample.files.hub_config)]
        sync = [
            program("edge-sync"),
            "run",
            "--profile",
            str(sample.profile),
            "--data",
            str(sample.data),
        ]
        self.broker = Process(
            "broker", [_mosquitto(), "-c", str(sample.files.broker_config)], folder
        )
        self.hub = Process("hub", hub, folder)
        self.sync = Process("sync", sync, folder)
        with ExitStack() as started:
            for process in (self.broker, self.hub, self.sync):
                started.callback(process.stop)
                process.start()
            self.scanner = ScannerProcess(sample, real_camera=real_camera)
            started.pop_all()

    def query(self, *command: str) -> list[dict[str, Any]]:
        """Run one of the project's commands with ``--json`` and return its lines."""
        done = subprocess.run(
            [program(command[0]), *command[1:], "--json"],
            check=False,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        if done.returncode != 0:
            raise ProcessStackError(f"{' '.join(command)}: {done.stderr.strip()}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def wait_until(self, what: str, *, problem: str = "", waiting: int = 0) -> None:
        """Wait until the scanner has its lists, no ``problem`` and ``waiting`` unsent events.

        ``what`` names the wait in the ProcessStackError that is raised after the timeout.
        """
        deadline = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline:
            health = self.health()
            outbox = health.get("outbox") or {}
            listed = bool(health) and health["lists"]["status_lists"] > 0
            if listed and problem not in health["problems"] and outbox.get("pending") == waiting:
                return
            for process in (self.broker, self.hub, self.sync):
                process.check()
            time.sleep(0.1)
        raise ProcessStackError(
            f"{what} did not happen within {_TIMEOUT_S:.0f} s; "
            f"see the logs in {self.sample.data.parent}"
        )

    def health(self) -> dict[str, Any]:
        """Return the scanner's health file; empty before there is one."""
        try:
            report: dict[str, Any] = json.loads(
                (self.sample.data / "health.json").read_text(encoding="utf-8")
            )
        except (OSError, ValueError):
            return {}
        return report

    def orders(self) -> int:
        """Return how many orders the device has."""
        return len(self.query("edge-scanner", "orders", "--data", str(self.sample.data)))

    def close(self) -> None:
        """End every process."""
        self.scanner.stop()
        for process in (self.sync, self.hub, self.broker):
            process.stop()


@contextmanager
def start_stack(sample: SamplePlatform, *, real_camera: bool) -> Iterator[ProcessStack]:
    """Start the processes; end them whatever happens. Raises ProcessStackError."""
    command = [
        program("edge-hub"),
        "orders",
        "import",
        "--config",
        str(sample.files.hub_config),
        str(sample.orders),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise ProcessStackError(f"the orders could not be loaded: {done.stderr.strip()}")
    stack = ProcessStack(sample, real_camera=real_camera)
    try:
        yield stack
    finally:
        stack.close()


def program(name: str) -> str:
    """Return the path of one of this project's commands, beside the running interpreter."""
    return str(Path(sys.executable).with_name(name))


def _mosquitto() -> str:
    for name in _MOSQUITTO:
        if found := shutil.which(name):
            return found
    raise ProcessStackError("mosquitto is not installed: sudo apt-get install mosquitto")
