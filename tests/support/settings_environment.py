"""One device in the field, as real processes: broker, edge-sync and the simulated scanner.

Each process is started again when it dies, as systemd does. A client at the broker can publish
anything.
"""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from hardware_sim.run.in_process_scanner import fill_store
from hardware_sim.run.process_stack import program
from hardware_sim.world.sample_platform import DEVICE, SITE, provision_sample

from edge.documents.settings import SettingsDocument, SettingsLayer, sign_settings
from edge.settings.folder import SettingsFolder
from edge.system.durable_file import digest_of
from edge.token import cbor
from edge.token.purpose import Purpose
from edge.values.instant import Instant
from sync.fleet.key_folder import KeyFolder
from sync.mqtt.endpoint import Endpoint
from sync.mqtt.session import MqttSession
from tests.support.broker import MOSQUITTO, Process, until


class Unit:
    """A service that is started again when it dies."""

    def __init__(self, command: list[str], log: Path):
        self.command, self.log_file = command, log
        self.lines: list[dict] = []
        self.starts = 0
        self._ending = False
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self.child: subprocess.Popen | None = None

    def start(self) -> "Unit":
        self._thread.start()
        until(lambda: self.starts, what="the unit starts")
        return self

    def tell(self, **command) -> None:
        self.child.stdin.write(json.dumps(command) + "\n")
        self.child.stdin.flush()

    def logged(self, event: str, **like) -> list[dict]:
        return [
            line
            for line in self.lines
            if line.get("event") == event and like.items() <= line.items()
        ]

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)

    def stop(self) -> None:
        self._ending = True
        self.child.send_signal(signal.SIGTERM)
        self._thread.join(10)

    def _keep(self) -> None:
        while not self._ending:
            with self.log_file.open("ab") as log:
                self.child = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
            self.starts += 1
            for line in self.child.stdout:
                try:
                    self.lines.append(json.loads(line))
                except ValueError:
                    continue
            self.child.wait()
            time.sleep(0.1)


class Field:
    def __init__(self, folder: Path):
        self.sample = provision_sample(folder, now_s=int(time.time()))
        self.keys = KeyFolder(folder / "keys")
        fill_store(self.sample, now=Instant(unix_s=int(time.time())))
        files = self.sample.files
        self.broker = Process([MOSQUITTO, "-c", str(files.broker_config)], folder / "broker.log")
        run = ["--profile", str(self.sample.profile), "--data", str(self.sample.data)]
        self.sync = Unit([program("edge-sync"), "run", *run], folder / "sync.log")
        self.scanner = Unit(
            [sys.executable, "-m", "hardware_sim.run.simulated_scanner", *run],
            folder / "scanner.log",
        )
        self.settings = SettingsFolder(self.sample.data)
        self.rev = 0

    def __enter__(self):
        self.broker.start()
        self.scanner.start()
        self.sync.start()
        return self

    def __exit__(self, *_):
        self.scanner.stop()
        self.sync.stop()
        self.broker.kill()

    @property
    def port(self) -> int:
        text = self.sample.files.broker_config.read_text()
        return int(
            next(line.split()[1] for line in text.splitlines() if line.startswith("listener "))
        )

    def document(
        self, content: dict, *, layer=SettingsLayer.FLEET, name="", rev=None, signer=None, **more
    ) -> bytes:
        """Return a signed document, one rev up by default."""
        if rev is None:
            self.rev += 1
            rev = self.rev
        fields = {
            "tenant": "main",
            "layer": layer,
            "name": name,
            "rev": rev,
            "content": content,
            "probation_s": 1,
        }
        return sign_settings(
            SettingsDocument(**{**fields, **more}),
            signer or self.keys.signer(Purpose.CONFIGURATION),
        )

    def publish(self, *documents: bytes) -> None:
        """Whoever holds the broker publishes these, retained, to the device."""
        files = self.sample.files
        endpoint = Endpoint(
            host="127.0.0.1",
            port=self.port,
            client_id="_hub",
            ca_file=str(files.ca),
            cert_file=str(files.certificate("_hub")),
            key_file=str(files.key("_hub")),
        )
        session = MqttSession(endpoint, ["v1/main/+/up/cfg"], uniform=random.uniform)
        until(
            lambda: session.step(0.05) is not None and session.connected,
            what="the publisher connects",
        )
        topic = f"v1/main/{DEVICE}/dn/cfg"
        assert session.publish(topic, cbor.encode(list(documents)), retain=True)
        until(
            lambda: session.step(0.05) is not None and session.room == 64,
            what="the message is at the broker",
        )
        session.close()

    def report(self) -> dict:
        """Return the device's retained report of its settings."""
        files = self.sample.files
        endpoint = Endpoint(
            host="127.0.0.1",
            port=self.port,
            client_id="_hub",
            ca_file=str(files.ca),
            cert_file=str(files.certificate("_hub")),
            key_file=str(files.key("_hub")),
        )
        session = MqttSession(endpoint, ["v1/main/+/up/cfg"], uniform=random.uniform)
        arrivals: list = []
        until(lambda: arrivals.extend(session.step(0.05)) or arrivals, what="a report is retained")
        session.close()
        return json.loads(arrivals[-1].payload)

    def health(self) -> dict:
        return json.loads((self.sample.data / "health.json").read_text())

    @property
    def state(self):
        return self.settings.state()

    def becomes(self, phase: str, *, rev: int | None = None, timeout_s: float = 25.0) -> None:
        def so() -> bool:
            return self.state.phase == phase and (rev is None or self.state.desired == rev)

        until(
            so,
            timeout_s,
            f"{phase} of rev {rev}; it is {self.state.phase}, rev {self.state.desired},"
            f" {self.state.wrong}",
        )

    def runs_on(self, content_digest: str | None) -> bool:
        lines = self.scanner.logged("settings")
        return bool(lines) and lines[-1]["hash"] == content_digest

    def denied(self, raw: bytes) -> bool:
        return digest_of(raw) in self.state.denied


__all__ = ["DEVICE", "SITE", "Field", "Unit"]
