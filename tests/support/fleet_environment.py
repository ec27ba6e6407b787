"""A platform and a device in the field, as real processes, with the simulated scanner."""

import json
import subprocess
import sys
import time
from pathlib import Path

from hardware_sim.run.process_stack import program
from hardware_sim.world import sample_platform
from hardware_sim.world.free_ports import free_port

from edge.settings.folder import SettingsFolder
from tests.support.broker import MOSQUITTO, Process, until
from tests.support.settings_environment import Unit

# A device of no fleet: the rest of its profile is as shipped.
FRESH = "[trust]\nroots_file = 'none.cbor'\n"


class Scan:
    """One device's two processes over a data folder."""

    def __init__(self, folder: Path, profile: Path, name: str):
        self.data = folder / name
        run = ["--profile", str(profile), "--data", str(self.data)]
        self.scanner = Unit(
            [sys.executable, "-m", "hardware_sim.run.simulated_scanner", *run],
            folder / f"{name}-scanner.log",
        )
        self._sync = ([program("edge-sync"), "run", *run], folder / f"{name}-sync.log")
        self.sync = Unit(*self._sync)
        self.settings = SettingsFolder(self.data)

    def __enter__(self):
        self.scanner.start()
        self.sync.start()
        return self

    def __exit__(self, *_):
        self.scanner.stop()
        self.sync.stop()

    def connect(self) -> None:
        """Its network is back."""
        self.sync = Unit(*self._sync).start()

    def show(self, code: str, event: str, timeout_s: float = 20.0) -> dict:
        """Hold a code before the camera until a line of ``event`` is logged; return it."""
        before = len(self.scanner.logged(event))
        self.scanner.tell(show=code, condition="clean")
        lines = until(
            lambda: self.scanner.logged(event)[before:],
            timeout_s,
            lambda: f"{event}: {self.scanner.lines[-3:]}",
        )
        self.scanner.tell(clear=True)
        time.sleep(0.8)
        return lines[0]

    def health(self) -> dict:
        return json.loads((self.data / "health.json").read_text())


class Platform:
    def __init__(self, folder: Path):
        self.folder = folder
        self.sample = sample_platform.provision_sample(folder, now_s=int(time.time()))
        files = self.sample.files
        text = files.hub_config.read_text()
        head, _, rest = text.partition("[enrolment]")
        old = next(line for line in rest.splitlines() if line.startswith("port = "))
        files.hub_config.write_text(
            f"{head}[enrolment]{rest.replace(old, f'port = {free_port()}', 1)}"
        )
        self.fresh = folder / "fresh.toml"
        shipped = self.sample.profile.read_text().partition("[trust]")[0]
        self.fresh.write_text(shipped.replace('id = "locker-1"', 'id = "kiosk-0001"') + FRESH)
        hub = ["--config", str(files.hub_config)]
        subprocess.run(
            [program("edge-hub"), "orders", "import", *hub, str(self.sample.orders)], check=True
        )
        self.broker = Process([MOSQUITTO, "-c", str(files.broker_config)], folder / "broker.log")
        self.hub = Process([program("edge-hub"), "run", *hub], folder / "hub.log")
        self.enrolment = Process([program("edge-hub"), "enrolment", *hub], folder / "enrolment.log")

    def __enter__(self):
        for process in (self.broker, self.hub, self.enrolment):
            process.start()
        until(
            lambda: '"connected"' in self.hub.text,
            what=lambda: f"{self.hub.text[-999:]} {self.broker.text[-999:]}",
        )
        until(lambda: '"started"' in self.enrolment.text, what="the enrolment service is open")
        return self

    def __exit__(self, *_):
        for process in (self.hub, self.enrolment, self.broker):
            process.kill()

    def fleet(self, *command: str, code: int | None = 0) -> subprocess.CompletedProcess:
        """Run edge-fleet; its exit code must be ``code``."""
        where = [] if command[0] == "recover" else ["--fleet", str(self.sample.files.fleet_config)]
        done = subprocess.run(
            [program("edge-fleet"), *command, *where], check=False, capture_output=True, text=True
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert code is None or done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *command: str, code: int | None = 0) -> list[dict]:
        return [
            json.loads(line)
            for line in self.fleet(*command, "--json", code=code).stdout.splitlines()
        ]

    def settings_file(self, text: str) -> str:
        path = self.folder / "push.toml"
        path.write_text(text)
        return str(path)

    def device(self, name: str = "locker-1") -> dict:
        (found,) = [item for item in self.json("status", code=None) if item["dev"] == name]
        return found
