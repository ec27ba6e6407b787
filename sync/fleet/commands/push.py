"""``edge-fleet push``: show what settings would change, ask, and roll them out."""

from __future__ import annotations

import base64
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from edge.documents.settings import SettingsDocument, SettingsLayer, reread_settings, sign_settings
from edge.system.durable_file import digest_of
from edge.token.purpose import Purpose
from sync.fleet.fleet_file import fleet_option, load_fleet_file
from sync.fleet.hub_client import HubClient, every_device, hub_client
from sync.fleet.key_folder import KeyFolder, KeyFolderError
from sync.fleet.options import keys_option
from sync.fleet.rollout.preview import Preview, preview
from sync.fleet.rollout.progress import RolloutReporter
from sync.fleet.rollout.settings_file import read_settings_file
from sync.fleet.rollout.waves import DeviceOutcome, Wave, deadline_s, outcome, stops, waves
from sync.wire import codec
from sync.wire.fleet_requests import FleetAction
from sync.wire.settings_report import SettingsReport
from sync.wire.topics import Up

_DOCUMENTS_A_PAGE = 10


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@fleet_option
@keys_option(required=False)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--dry-run", is_flag=True, help="Show the difference, and stop there.")
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="After this long, a device without a report counts as silent.  "
    "[default: from the probation time]",
)
@click.option(
    "--canary",
    "canaries",
    multiple=True,
    metavar="ID",
    help="A device that goes first.  [default: one that is online]",
)
def push(
    *,
    file: Path,
    fleet_file: Path,
    as_json: bool,
    keys_dir: Path | None,
    yes: bool,
    dry_run: bool,
    patience_s: float | None,
    canaries: tuple[str, ...],
) -> None:
    """Show what FILE would change on each device, ask, and roll it out in waves.

    The waves are one device, a tenth, then all. The rollout stops by itself when devices fail or
    fall silent, and withdraws the offer from those that have not begun. Devices that are offline
    get the settings when they are online again.

    Example: edge-fleet push faster-decode.toml --fleet site/fleet.toml
    """
    settings = read_settings_file(file)
    fleet = load_fleet_file(fleet_file)
    keys = fleet.open_keys(keys_dir)
    with hub_client(fleet, subscribe=(Up.CONFIG, Up.STATUS)) as client:
        rev = max(int(time.time()), client.request(FleetAction.DOCUMENTS)["highest_rev"] + 1)
        document = settings.document(fleet.tenant, rev)
        rollout = _Rollout(
            client,
            document,
            _sign(document, keys),
            patience_s=patience_s or deadline_s(document.probation_s),
            reporter=RolloutReporter(as_json=as_json),
        )
        rollout.find_devices()
        rollout.show()
        if dry_run:
            return
        _confirm(rollout, yes=yes)
        if not rollout.run(canaries):
            sys.exit(1)


def _sign(document: SettingsDocument, keys: KeyFolder) -> bytes:
    try:
        return sign_settings(document, keys.signer(Purpose.CONFIGURATION))
    except (KeyFolderError, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _confirm(rollout: _Rollout, *, yes: bool) -> None:
    """End the command when a device would refuse the settings, or the person says no."""
    if rollout.would_be_refused:
        raise click.ClickException("some devices would refuse these settings; nothing was pushed")
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask at: add --yes")
    click.confirm("Roll it out?", abort=True, err=True)


@dataclass(slots=True)
class _Rollout:
    """One rollout of a signed settings document, from the preview to the last wave."""

    client: HubClient
    document: SettingsDocument
    raw: bytes  # the document, signed
    patience_s: float
    reporter: RolloutReporter
    reports: dict[str, SettingsReport] = field(default_factory=dict)
    previews: dict[str, Preview] = field(default_factory=dict)
    online: list[str] = field(default_factory=list)
    offline: list[str] = field(default_factory=list)
    _outcomes: dict[str, DeviceOutcome] = field(default_factory=dict)

    def find_devices(self) -> None:
        """Find the devices that the document is for, and what it would change on each."""
        for device in every_device(self.client):
            if device["revoked"] or not self._applies_to(device):
                continue
            (self.online if device["state"] == "online" else self.offline).append(device["dev"])
            if device["report"]:
                self.reports[device["dev"]] = SettingsReport.model_validate(device["report"])
        if not self.online and not self.offline:
            raise click.ClickException(f"there is no device for {self.document.key}")
        known = self._running_documents()
        self.previews = {
            dev: preview(report, self.document, known) for dev, report in self.reports.items()
        }

    def _running_documents(self) -> dict[tuple[str, int], SettingsDocument]:
        """Return every document that at least one of the devices runs."""
        wanted = sorted(
            {item for report in self.reports.values() for item in report.applied.items()}
        )
        known = {}
        while wanted:
            page = self.client.request(FleetAction.DOCUMENTS, wanted=wanted[:_DOCUMENTS_A_PAGE])
            last = page["next"]  # the last one that the hub looked at; null: all of them
            looked_at = _DOCUMENTS_A_PAGE if last is None else wanted.index(tuple(last)) + 1
            del wanted[:looked_at]
            for item in page["documents"]:
                if (document := reread_settings(base64.b64decode(item["raw"]))) is not None:
                    known[(document.key, document.rev)] = document
        return known

    def _applies_to(self, device: dict[str, Any]) -> bool:
        match self.document.layer:
            case SettingsLayer.FLEET:
                return True
            case SettingsLayer.GROUP:
                return self.document.name in device["groups"]
            case SettingsLayer.SITE:
                return bool(self.document.name == device["site"])
            case SettingsLayer.DEVICE:
                return bool(self.document.name == device["dev"])

    @property
    def would_be_refused(self) -> bool:
        """Whether a device would refuse the document."""
        return any(item.errors for item in self.previews.values())

    def show(self) -> None:
        """Print the difference."""
        self.reporter.difference(
            f"{self.document.key} rev {self.document.rev}", self.previews, self.offline
        )

    def run(self, canaries: tuple[str, ...]) -> bool:
        """Roll out wave after wave. Return False when the rollout stopped by itself."""
        if unusable := [name for name in canaries if name not in self.online]:
            raise click.ClickException(
                f"{', '.join(unusable)}: not online, or not a device that these settings are for"
            )
        for wave in waves(self.online, canaries):
            self.reporter.wave(wave)
            self.client.request(
                FleetAction.OFFER,
                document=base64.b64encode(self.raw).decode(),
                devices=list(wave.devices),
            )
            outcomes = self._follow(wave)
            if stops(wave, outcomes):
                self._stop(wave, outcomes)
                return False
        self.client.request(
            FleetAction.OFFER, document=base64.b64encode(self.raw).decode(), devices=None
        )
        done = sum(result is DeviceOutcome.COMMITTED for result in self._outcomes.values())
        self.reporter.done(self.document.rev, done, len(self.offline))
        return True

    def _follow(self, wave: Wave) -> dict[str, DeviceOutcome]:
        """Wait until each device of the wave is done, too many have failed, or time is over."""
        end_s = time.monotonic() + self.patience_s
        outcomes = dict.fromkeys(wave.devices, DeviceOutcome.WAITING)
        with self.reporter.progress(wave):
            while time.monotonic() < end_s and not stops(wave, outcomes):
                done = sum(result.is_final for result in outcomes.values())
                self.reporter.advance(done)
                if done == len(outcomes):
                    break
                self._receive()
                for dev in wave.devices:
                    outcomes[dev], why = self._outcome(dev)
                    self._record(dev, outcomes[dev], why)
        late = time.monotonic() >= end_s
        for dev, result in outcomes.items():
            if late and not result.is_final:
                outcomes[dev] = DeviceOutcome.SILENT
                self._record(dev, DeviceOutcome.SILENT, f"no report for {self.patience_s:.0f} s")
        return outcomes

    def _receive(self) -> None:
        for topic, arrival in self.client.receive(0.5):
            if topic.channel is Up.CONFIG:
                report = codec.decode_addressed(SettingsReport, arrival.payload, dev=topic.node)
                if isinstance(report, SettingsReport):
                    self.reports[topic.node] = report

    def _outcome(self, dev: str) -> tuple[DeviceOutcome, str]:
        return outcome(
            self.reports.get(dev), self.document.key, self.document.rev, digest_of(self.raw)
        )

    def _record(self, dev: str, result: DeviceOutcome, why: str) -> None:
        if self._outcomes.get(dev) is result:
            return
        self._outcomes[dev] = result
        if result is not DeviceOutcome.WAITING:
            self.reporter.device(dev, result, why)

    def _stop(self, wave: Wave, outcomes: dict[str, DeviceOutcome]) -> None:
        self.client.request(FleetAction.WITHDRAW, key=self.document.key, rev=self.document.rev)
        self.reporter.stopped(
            wave,
            [
                dev
                for dev in wave.devices
                if outcomes[dev] in (DeviceOutcome.FAILED, DeviceOutcome.SILENT)
            ],
        )
