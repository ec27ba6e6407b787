"""A real Mosquitto on a free loopback port, with TLS 1.3 and the shipped configuration."""

import getpass
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from hardware_sim.world.free_ports import free_port

from edge.system.durable_file import write_secret
from sync.hub.pki.certificate_authority import (
    issue_client,
    load_certificate_authority,
)
from sync.hub.provisioning.platform import provision
from sync.hub.provisioning.platform_files import PlatformFiles
from sync.hub.provisioning.platform_spec import PlatformDocuments, PlatformSpec
from sync.mqtt.endpoint import Endpoint

SPY = "_spy"
CEILING_S = 90.0  # a guard against hanging, and no more: what is waited for is a state
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def until(condition, timeout_s: float = CEILING_S, what="condition"):
    """Wait until ``condition()`` is true and return it; ``what`` describes the failure."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.03)
    raise AssertionError(f"not within {timeout_s} s: {what() if callable(what) else what}")


class Process:
    """A child that is started, killed and started again, its output in a file."""

    def __init__(self, command: list[str], output: Path):
        self.command = command
        self.output = output
        self.child: subprocess.Popen | None = None

    def start(self) -> "Process":
        with self.output.open("ab") as output:
            self.child = subprocess.Popen(self.command, stdout=output, stderr=subprocess.STDOUT)
        return self

    def kill(self) -> None:
        """As a power cut: no handler runs."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        if self.child is None:
            return 0
        self.child.send_signal(number)
        code = self.child.wait(CEILING_S)
        self.child = None
        return code

    @property
    def text(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()


class Broker(Process):
    """``Broker(folder, {"kiosk-1": "shop-1"})``; its files are in ``files``."""

    def __init__(
        self,
        folder: Path,
        devices: dict[str, str],
        documents: PlatformDocuments | None = None,
        **site,
    ):
        if MOSQUITTO is None:
            pytest.skip("mosquitto is not installed: apt-get install mosquitto")
        self.site = PlatformSpec(port=free_port(), devices=devices, user=getpass.getuser(), **site)
        self.files: PlatformFiles = provision(folder, self.site, documents, now_s=int(time.time()))
        self._admit_spy()
        super().__init__([MOSQUITTO, "-c", str(self.files.broker_config)], folder / "mosquitto.log")

    def _admit_spy(self) -> None:
        """Return a client that receives every message (tests/support/protocol_schemas.py)."""
        authority = load_certificate_authority(
            self.files.ca.read_bytes(), self.files.key("ca").read_bytes()
        )
        spy = issue_client(authority, SPY, now_s=int(time.time()))
        self.files.certificate(SPY).write_bytes(spy.certificate_pem)
        write_secret(self.files.key(SPY), spy.key_pem)
        for name in ("acl", "acl.base"):
            acl = self.files.folder / name
            write_secret(acl, acl.read_bytes() + f"\nuser {SPY}\ntopic read v1/#\n".encode())

    def endpoint(self, name: str) -> Endpoint:
        """Where a client connects, as whom."""
        return Endpoint(
            host="127.0.0.1",
            port=self.site.port,
            client_id=name,
            ca_file=str(self.files.ca),
            cert_file=str(self.files.certificate(name)),
            key_file=str(self.files.key(name)),
        )

    def start(self) -> "Broker":
        super().start()
        until(self._answers, what=f"the broker answers; its log: {self.output}")
        return self

    def _answers(self) -> bool:
        assert self.child is not None and self.child.poll() is None, self.text
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.site.port)) == 0
