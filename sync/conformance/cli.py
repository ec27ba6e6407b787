"""``edge-fleet conformance hub|device``: play one end of the protocol against any other, over a real broker."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click

from edge.trust.anchors import load_roots
from edge.values.instant import Instant
from edge.values.uuid7 import uuid7
from sync.conformance.against_device import DeviceCheck
from sync.conformance.against_hub import HubCheck
from sync.conformance.against_hub_grants import Claimant, GrantCheck
from sync.conformance.peer import CheckResult, Peer, PeerError
from sync.mqtt.endpoint import Endpoint
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.topics import HUB, Up, device_filters

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _broker(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="One JSON object a line."),
        click.option(
            "--answer",
            "answer_s",
            default=20.0,
            show_default=True,
            help="Seconds to wait for each answer.",
        ),
        click.option("--key", "key_file", required=True, type=_FILE, help="Its private key, PEM."),
        click.option(
            "--cert",
            "cert_file",
            required=True,
            type=_FILE,
            help="The certificate to connect with, PEM.",
        ),
        click.option(
            "--ca", "ca_file", required=True, type=_FILE, help="The authority of the broker, PEM."
        ),
        click.option("--device", required=True, metavar="ID"),
        click.option("--tenant", default="main", show_default=True),
        click.option("--port", default=8883, show_default=True, type=click.IntRange(1, 65535)),
        click.option("--host", default="127.0.0.1", show_default=True, help="The broker."),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def conformance() -> None:
    """Check a hub, or a device, against the protocol (docs/protocol).

    Example: edge-fleet conformance hub --device probe-1 --site shop-1 --ca ca.pem --cert probe-1.pem --key probe-1.key
    """


@conformance.command()
@_broker
@click.option("--site", required=True, metavar="ID", help="The device's site.")
@click.option(
    "--roots", "roots_file", type=_FILE, help="The roots of the fleet: signatures are then checked."
)
@click.option(
    "--cti",
    metavar="HEX",
    help="Of one unit, free to claim at the site: how claims are held is then checked.",
)
@click.option("--other", metavar="ID", help="With --cti: a second device of the site.")
@click.option("--other-cert", "other_cert", type=_FILE, help="Its certificate, PEM.")
@click.option("--other-key", "other_key", type=_FILE, help="Its private key, PEM.")
def hub(
    *,
    site: str,
    roots_file: Path | None,
    cti: str | None,
    other: str | None,
    other_cert: Path | None,
    other_key: Path | None,
    **broker: Any,
) -> None:
    """Play a device against a hub. Use a device of its own: what it says is kept for ever.

    Example: edge-fleet conformance hub --device probe-1 --site shop-1 --ca ca.pem --cert probe-1.pem --key probe-1.key
    """
    roots = load_roots(roots_file) if roots_file else None
    if isinstance(roots, str):
        raise click.ClickException(roots)
    given = (cti, other, other_cert, other_key)
    if any(given) and not all(given):
        raise click.UsageError(
            "--cti, --other, --other-cert and --other-key are given together, or none of them"
        )
    if cti is not None and not codec.is_cti(cti):
        raise click.UsageError("--cti is 32 lower-case hexadecimal digits")
    line = _line(broker, broker["device"], device_filters(broker["tenant"], broker["device"], site))
    check = HubCheck(
        line,
        broker["tenant"],
        broker["device"],
        site,
        epoch=_ident(),
        ident=_ident,
        now=_now,
        roots=roots,
        answer_s=broker["answer_s"],
    )
    findings = check.findings()
    if cti is not None and other is not None:
        at = {**broker, "device": other, "cert_file": other_cert, "key_file": other_key}
        second = _line(at, other, device_filters(broker["tenant"], other, site))
        findings = chain(findings, _claims(_claimant(line, broker), _claimant(second, at), cti))
    _report(line, findings, as_json=broker["as_json"])


def _claims(first: Claimant, second: Claimant, cti: str) -> Iterator[CheckResult]:
    second.line.connect()
    try:
        yield from GrantCheck(first, second, cti).findings()
    finally:
        second.line.close()


def _claimant(line: Peer, broker: dict[str, Any]) -> Claimant:
    return Claimant(line, broker["tenant"], broker["device"], _ident(), _ident, broker["answer_s"])


@conformance.command("device")
@_broker
@click.option(
    "--first",
    "first_s",
    default=60.0,
    show_default=True,
    help="Seconds within which it must say something.",
)
def device_command(*, first_s: float, **broker: Any) -> None:
    """Play a hub against a device. Stop the real hub first, and have the device honour something meanwhile.

    It acknowledges what the device tells, so use a device whose events nobody needs.

    Example: edge-fleet conformance device --device kiosk-1 --ca ca.pem --cert _hub.pem --key _hub.key
    """
    filters = [f"v1/{broker['tenant']}/{broker['device']}/up/{channel}" for channel in Up]
    line = _line(broker, HUB, filters)
    check = DeviceCheck(
        line, broker["tenant"], broker["device"], first_s=first_s, answer_s=broker["answer_s"]
    )
    _report(line, check.findings(), as_json=broker["as_json"])


def _line(broker: dict[str, Any], client: str, filters: list[str]) -> Peer:
    endpoint = Endpoint(
        host=broker["host"], port=broker["port"], client_id=client, ca_file=str(broker["ca_file"]),
        cert_file=str(broker["cert_file"]), key_file=str(broker["key_file"]),
    )  # fmt: skip
    return Peer(MqttSession(endpoint, filters, uniform=random.uniform))


def _report(line: Peer, findings: Iterator[CheckResult], *, as_json: bool) -> None:
    held = True
    try:
        line.connect()
        for finding in findings:
            held = held and finding.held
            if as_json:
                click.echo(
                    json.dumps({"check": finding.title, "ok": finding.held, "fault": finding.fault})
                )
            else:
                click.echo(
                    f"{'ok' if finding.held else 'NO'}  {finding.title}"
                    + (f": {finding.fault}" * (not finding.held))
                )
    except PeerError as error:
        raise click.ClickException(str(error)) from None
    finally:
        line.close()
    sys.exit(0 if held else 1)


def _ident() -> str:
    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))


def _now() -> Instant:
    return Instant(unix_s=int(time.time()))


if __name__ == "__main__":
    conformance(prog_name="python -m sync.conformance.cli")
