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
from sync.fleet.key_folder import KeyFolderError
from sync.fleet.rollout.preview import Preview, preview
from sync.fleet.rollout.progress import RolloutReporter
from sync.fleet.rollout.settings_file import read_settings_file
from sync.fleet.rollout.waves import DeviceOutcome, Wave, deadline_s, outcome, stops, waves
from sync.wire import codec
from sync.wire.fleet_requests import FleetAction
from sync.wire.settings_report import SettingsReport
from sync.wire.topics import Up

_DOCUMENTS = 10  # asked for at once


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@fleet_option
@click.option(
    "--keys", "keys_dir", metavar="DIR", type=click.Path(path_type=Path), help="The fleet's keys."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show the difference and stop.")
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="How long a wave may take before who has not answered is silent.  [default: by its probation]",
)
@click.option(
    "--canary",
    "canaries",
    multiple=True,
    metavar="ID",
    help="Who goes first.  [default: one that is there]",
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
    """Show what FILE would change on each device, ask, and roll it out: one, then a tenth, then all.

    Stops by itself when devices fail, or fall silent, and takes the offer back from those that have not
    begun. Devices that are away get it when they come back.

    Example: edge-fleet push faster-decode.toml --fleet site/fleet.toml
    """
    settings = read_settings_file(file)
    place = load_fleet_file(fleet_file)
    keys = place.keys(keys_dir)
    with hub_client(place, hear=(Up.CONFIG, Up.STATUS)) as talk:
        rev = max(int(time.time()), talk.ask(FleetAction.DOCUMENTS)["highest_rev"] + 1)
        document = settings.document(place.tenant, rev)
        try:
            raw = sign_settings(document, keys.signer(Purpose.CONFIGURATION))
        except (KeyFolderError, ValueError) as error:
            raise click.ClickException(str(error)) from None
        patience_s = patience_s or deadline_s(document.probation_s)
        rollout = _Rollout(
            talk, document, raw, patience_s=patience_s, told=RolloutReporter(as_json=as_json)
        )
        rollout.look()
        rollout.show()
        if dry_run:
            return
        if rollout.impossible:
            raise click.ClickException(
                "these settings are refused by devices that would get them; nothing was pushed"
            )
        if not yes:
            if not sys.stdin.isatty():
                raise click.UsageError("nobody is there to ask: add --yes")
            click.confirm("Roll it out?", abort=True, err=True)
        if not rollout.roll(canaries):
            sys.exit(1)


@dataclass(slots=True)
class _Rollout:
    talk: HubClient
    document: SettingsDocument
    raw: bytes
    patience_s: float
    told: RolloutReporter
    reports: dict[str, SettingsReport] = field(default_factory=dict)
    previews: dict[str, Preview] = field(default_factory=dict)
    online: list[str] = field(default_factory=list)
    away: list[str] = field(default_factory=list)
    _said: dict[str, DeviceOutcome] = field(default_factory=dict)

    def look(self) -> None:
        """Find the devices that the document is for, and what it would change on each."""
        for device in every_device(self.talk):
            if device["revoked"] or not self._is_meant(device):
                continue
            (self.online if device["state"] == "online" else self.away).append(device["dev"])
            if device["report"]:
                self.reports[device["dev"]] = SettingsReport.model_validate(device["report"])
        if not self.online and not self.away:
            raise click.ClickException(f"there is no device for {self.document.key}")
        known = self._running()
        self.previews = {
            dev: preview(report, self.document, known) for dev, report in self.reports.items()
        }

    def _running(self) -> dict[tuple[str, int], SettingsDocument]:
        """Every document that one of the devices runs."""
        wanted = sorted(
            {item for report in self.reports.values() for item in report.applied.items()}
        )
        known = {}
        for start in range(0, len(wanted), _DOCUMENTS):
            page = self.talk.ask(FleetAction.DOCUMENTS, wanted=wanted[start : start + _DOCUMENTS])
            for item in page["documents"]:
                if (document := reread_settings(base64.b64decode(item["raw"]))) is not None:
                    known[(document.key, document.rev)] = document
        return known

    def _is_meant(self, device: dict[str, Any]) -> bool:
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
    def impossible(self) -> bool:
        """Whether a device would refuse it."""
        return any(item.errors for item in self.previews.values())

    def show(self) -> None:
        """Print the difference."""
        self.told.difference(
            f"{self.document.key} rev {self.document.rev}", self.previews, self.away
        )

    def roll(self, canaries: tuple[str, ...]) -> bool:
        """Wave after wave. False when it stopped by itself."""
        if strangers := [name for name in canaries if name not in self.online]:
            raise click.ClickException(
                f"{', '.join(strangers)}: not online, or not a device that these are for"
            )
        for wave in waves(self.online, canaries):
            self.told.wave(wave)
            self.talk.ask(
                FleetAction.OFFER,
                document=base64.b64encode(self.raw).decode(),
                devices=list(wave.devices),
            )
            outcomes = self._follow(wave)
            if stops(wave, outcomes):
                self._stop(wave, outcomes)
                return False
        self.talk.ask(FleetAction.OFFER, document=base64.b64encode(self.raw).decode(), devices=None)
        done = sum(result is DeviceOutcome.COMMITTED for result in self._said.values())
        self.told.done(self.document.rev, done, len(self.away))
        return True

    def _follow(self, wave: Wave) -> dict[str, DeviceOutcome]:
        """Until every device of the wave has had its last word, too many have failed, or the time is up."""
        end_s = time.monotonic() + self.patience_s
        outcomes = dict.fromkeys(wave.devices, DeviceOutcome.WAITING)
        with self.told.progress(wave):
            while time.monotonic() < end_s and not stops(wave, outcomes):
                over = sum(result.over for result in outcomes.values())
                self.told.over(over)
                if over == len(outcomes):
                    break
                self._hear()
                for dev in wave.devices:
                    outcomes[dev], why = self._outcome(dev)
                    self._tell(dev, outcomes[dev], why)
        late = time.monotonic() >= end_s
        for dev, result in outcomes.items():
            if late and not result.over:
                outcomes[dev] = DeviceOutcome.SILENT
                self._tell(dev, DeviceOutcome.SILENT, f"nothing for {self.patience_s:.0f} s")
        return outcomes

    def _hear(self) -> None:
        for topic, arrival in self.talk.hear(0.5):
            if topic.channel is Up.CONFIG:
                report = codec.decode_addressed(SettingsReport, arrival.payload, dev=topic.node)
                if isinstance(report, SettingsReport):
                    self.reports[topic.node] = report

    def _outcome(self, dev: str) -> tuple[DeviceOutcome, str]:
        return outcome(
            self.reports.get(dev), self.document.key, self.document.rev, digest_of(self.raw)
        )

    def _tell(self, dev: str, result: DeviceOutcome, why: str) -> None:
        if self._said.get(dev) is result:
            return
        self._said[dev] = result
        if result is not DeviceOutcome.WAITING:
            self.told.device(dev, result, why)

    def _stop(self, wave: Wave, outcomes: dict[str, DeviceOutcome]) -> None:
        self.talk.ask(FleetAction.WITHDRAW, key=self.document.key, rev=self.document.rev)
        self.told.stopped(
            wave,
            [
                dev
                for dev in wave.devices
                if outcomes[dev] in (DeviceOutcome.FAILED, DeviceOutcome.SILENT)
            ],
        )
