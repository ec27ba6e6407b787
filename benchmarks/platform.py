"""A platform on loopback for the benchmarks: broker, hubs, certificates, shipped configuration."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hardware_sim.world.free_ports import free_port

from edge.token.trust_list import TrustList, sign_trust_list
from sync.fleet.key_folder import ROOT, FleetRecord, KeyFolder, create_key_folder
from sync.hub.provisioning.platform import provision
from sync.hub.provisioning.platform_spec import PlatformDocuments, PlatformSpec
from sync.mqtt.endpoint import Endpoint

BIN = Path(sys.executable).parent
YEAR_S = 365 * 86_400


class Program:
    """A child process whose output goes to a file."""

    def __init__(self, command: list[str], output: Path) -> None:
        self._command = command
        self._output = output
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process."""
        with self._output.open("ab") as output:
            self._child = subprocess.Popen(self._command, stdout=output, stderr=subprocess.STDOUT)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the process, if it was started."""
        if self._child is not None:
            self._child.send_signal(number)
            self._child.wait(30)
            self._child = None

    def memory_mb(self, name: str) -> float:
        """Return ``VmRSS``, the resident memory, or ``VmHWM``, its maximum (proc(5))."""
        assert self._child is not None
        status = Path(f"/proc/{self._child.pid}/status").read_text(encoding="ascii")
        (kb,) = (
            int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:")
        )
        return kb / 1024

    @property
    def output_text(self) -> str:
        """The output so far."""
        return (
            self._output.read_text(encoding="utf-8", errors="replace")
            if self._output.exists()
            else ""
        )


class Platform:
    """A platform in ``folder``; nothing runs until it is started."""

    def __init__(
        self, folder: Path, devices: dict[str, str], *, hubs: int = 1, database: str | None = None
    ) -> None:
        mosquitto = shutil.which("mosquitto") or shutil.which(
            "mosquitto", path="/usr/sbin:/usr/local/sbin"
        )
        if mosquitto is None:
            raise SystemExit("this benchmark needs mosquitto: apt-get install mosquitto")
        self.folder = folder
        now_s = int(time.time())
        record = FleetRecord(
            issuer="shop.example", not_before_s=now_s - 86_400, expires_at_s=now_s + YEAR_S
        )
        self.keys = create_key_folder(
            folder / "keys", record, issuer_alg="Ed25519", group_key=bytes(32)
        )
        trust_list = folder / "trust-list.cose"
        trust_list.write_bytes(trust_list_of(self.keys, now_s))
        (folder / "roots.cbor").write_bytes(self.keys.roots().to_bytes())
        documents = PlatformDocuments(
            order_feed_key=folder / "keys" / "order_feed.pem", trust_list=trust_list
        )
        self.site = PlatformSpec(
            port=free_port(), devices=devices, user=getpass.getuser(), hubs=hubs, database=database
        )
        self.files = provision(folder / "site", self.site, documents, now_s=now_s)
        self.broker = Program(
            [mosquitto, "-c", str(self.files.broker_config)], folder / "mosquitto.log"
        )
        self.hubs = [
            Program(
                [str(BIN / "edge-hub"), "run", "--config", str(config)],
                folder / f"{config.stem}.log",
            )
            for config in map(self.files.hub_config_of, self.site.hub_names)
        ]

    def start_broker(self) -> None:
        """Start the broker, and wait until it accepts connections."""
        self.broker.start()
        until(self._accepts)

    def start_hub(self, number: int = 0) -> None:
        """Start a hub, and wait until it is connected."""
        hub = self.hubs[number]
        before = hub.output_text.count('"connected"')
        hub.start()
        until(lambda: hub.output_text.count('"connected"') > before)

    def import_orders(self, *lines: dict[str, object]) -> None:
        """Load order lines into the hub's store."""
        command = [str(BIN / "edge-hub"), "orders", "import", "--config"]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        subprocess.run(
            [*command, str(self.files.hub_config), "-"],
            input=text,
            text=True,
            check=True,
            capture_output=True,
        )

    def close(self) -> None:
        """End every process."""
        for program in (*self.hubs, self.broker):
            program.stop(signal.SIGKILL)

    def endpoint(self, name: str) -> Endpoint:
        """Return how ``name`` connects to the broker."""
        return Endpoint(
            host="127.0.0.1",
            port=self.site.port,
            client_id=name,
            ca_file=str(self.files.ca),
            cert_file=str(self.files.certificate(name)),
            key_file=str(self.files.key(name)),
        )

    def profile(self, device: str, *, port: int | None = None) -> Path:
        """Write a profile of ``device``, whose broker is at ``port``, and return its path."""
        path = self.folder / f"{device}.toml"
        section = self.files.mqtt_section(device, self.site).replace(
            f"port = {self.site.port}\n", f"port = {port or self.site.port}\n"
        )
        path.write_text(
            f'[device]\nid = "{device}"\nsite = "{self.site.devices[device]}"\nkind = "kiosk"\n\n'
            f'[trust]\nroots_file = "{self.folder / "roots.cbor"}"\n\n{section}'
        )
        return path

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.site.port)) == 0


def trust_list_of(keys: KeyFolder, now_s: int) -> bytes:
    """Return a signed trust list with every key of ``keys``."""
    trust = TrustList(
        version=1, issued_at_s=now_s, expires_at_s=now_s + YEAR_S, keys=keys.trusted_keys()
    )
    return sign_trust_list(trust, keys.signer(ROOT), keys.roots())


def until(
    condition: Callable[[], object], timeout_s: float = 60.0, *, every_s: float = 0.002
) -> None:
    """Wait for ``condition``. Ends the program after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {timeout_s:.0f} s: {condition}")
        time.sleep(every_s)


def scratch() -> Path:
    """Return a folder on a disk: the ratios would mean nothing with a file system in memory."""
    return Path(os.environ.get("TMPDIR", "/var/tmp"))
