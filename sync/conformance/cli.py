"""``edge-fleet conformance hub|device``: play one end of the protocol against any other.

It runs over a real broker.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import click

from edge.system.terminal import print_lines
from edge.token.roots import Roots
from edge.trust.anchors import RootsFileRefusal, load_roots
from edge.values.instant import Instant
from edge.values.node_name import HUB
from edge.values.printable import json_line
from edge.values.uuid7 import uuid7
from sync.conformance.against_device import DeviceCheck
from sync.conformance.against_hub import HubCheck
from sync.conformance.against_hub_grants import GrantCheck, Requester
from sync.conformance.peer import CheckResult, Peer, PeerError
from sync.mqtt.endpoint import Endpoint
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.topics import Up, device_filters

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option("--json", "as_json", is_flag=True, help="One JSON object a line."),
    click.option(
        "--reply",
        "reply_s",
        default=20.0,
        show_default=True,
        help="Seconds to wait for each reply.",
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
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Connection:
    """The options that both commands have."""

    host: str
    port: int
    tenant: str
    device: str
    ca_file: Path
    cert_file: Path
    key_file: Path
    reply_s: float
    as_json: bool

    def peer(
        self,
        client_id: str,
        filters: list[str],
        *,
        cert_file: Path | None = None,
        key_file: Path | None = None,
    ) -> Peer:
        """Return a peer that connects as ``client_id``, with a certificate of its own if given."""
        endpoint = Endpoint(
            host=self.host,
            port=self.port,
            client_id=client_id,
            ca_file=str(self.ca_file),
            cert_file=str(cert_file or self.cert_file),
            key_file=str(key_file or self.key_file),
        )
        return Peer(MqttSession(endpoint, filters, uniform=random.uniform))


def _connection_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in _OPTIONS:
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def conformance() -> None:
    """Check a hub, or a device, against the protocol (docs/protocol).

    Example: edge-fleet conformance hub --device probe-1 --site shop-1
    --ca ca.pem --cert probe-1.pem --key probe-1.key
    """


@conformance.command()
@_connection_options
@click.option("--site", required=True, metavar="ID", help="The device's site.")
@click.option(
    "--roots",
    "roots_file",
    type=_FILE,
    help="The roots of the fleet. Signatures are then verified.",
)
@click.option(
    "--cti",
    metavar="HEX",
    help="An entitlement of one unit that is free at the site. Grants are then checked.",
)
@click.option("--other", metavar="ID", help="With --cti: a second device of the site.")
@click.option("--other-cert", type=_FILE, help="Its certificate, PEM.")
@click.option("--other-key", type=_FILE, help="Its private key, PEM.")
def hub(
    *,
    site: str,
    roots_file: Path | None,
    cti: str | None,
    other: str | None,
    other_cert: Path | None,
    other_key: Path | None,
    **connection: str | int | float | bool | Path,
) -> None:
    """Play a device against a hub. Use a device of its own: the hub keeps its events for ever.

    Example: edge-fleet conformance hub --device probe-1 --site shop-1
    --ca ca.pem --cert probe-1.pem --key probe-1.key
    """
    options = _Connection(**connection)  # type: ignore[arg-type]  # click has checked them
    roots = _roots(roots_file)
    _check_grant_options(cti, other, other_cert, other_key)
    peer = options.peer(options.device, device_filters(options.tenant, options.device, site))
    check = HubCheck(
        peer,
        options.tenant,
        options.device,
        site,
        epoch=_new_id(),
        new_id=_new_id,
        now=_now,
        roots=roots,
        reply_s=options.reply_s,
    )
    results = check.results()
    if cti is not None and other is not None:
        filters = device_filters(options.tenant, other, site)
        second = options.peer(other, filters, cert_file=other_cert, key_file=other_key)
        first = _requester(peer, options, options.device)
        grants = GrantCheck(first, _requester(second, options, other), cti)
        results = chain(results, _grant_results(grants))
    results = chain(results, check.last_results())
    _print_and_exit(peer, results, as_json=options.as_json)


def _roots(file: Path | None) -> Roots | None:
    """Return the roots in ``file``. Raises ClickException."""
    roots = load_roots(file) if file else None
    if isinstance(roots, RootsFileRefusal):
        raise click.ClickException(str(roots))
    return roots


def _check_grant_options(cti: str | None, *others: str | Path | None) -> None:
    """Raise UsageError unless all of them are given, or none."""
    given = (cti, *others)
    if any(given) and not all(given):
        raise click.UsageError(
            "give --cti, --other, --other-cert and --other-key together, or none of them"
        )
    if cti is not None and not codec.is_cti(cti):
        raise click.UsageError("--cti is 32 lower-case hexadecimal digits")


def _grant_results(check: GrantCheck) -> Iterator[CheckResult]:
    check.second.peer.connect()
    try:
        yield from check.results()
    finally:
        check.second.peer.close()


def _requester(peer: Peer, options: _Connection, device: str) -> Requester:
    return Requester(peer, options.tenant, device, _new_id(), _new_id, options.reply_s)


@conformance.command("device")
@_connection_options
@click.option(
    "--first",
    "first_s",
    default=60.0,
    show_default=True,
    help="Seconds within which it must report something.",
)
def device_command(*, first_s: float, **connection: str | int | float | bool | Path) -> None:
    """Play a hub against a device. Stop the real hub first, and redeem something meanwhile.

    The command acknowledges what the device reports, so use a device whose events are not needed.

    Example: edge-fleet conformance device --device kiosk-1
    --ca ca.pem --cert _hub.pem --key _hub.key
    """
    options = _Connection(**connection)  # type: ignore[arg-type]  # click has checked them
    filters = [f"v1/{options.tenant}/{options.device}/up/{channel}" for channel in Up]
    peer = options.peer(HUB, filters)
    check = DeviceCheck(
        peer, options.tenant, options.device, first_s=first_s, reply_s=options.reply_s
    )
    _print_and_exit(peer, check.results(), as_json=options.as_json)


def _print_and_exit(peer: Peer, results: Iterator[CheckResult], *, as_json: bool) -> None:
    held = True
    try:
        peer.connect()
        for result in results:
            held = held and result.held
            print_lines(_line(result, as_json=as_json))
    except PeerError as error:
        raise click.ClickException(str(error)) from None
    finally:
        peer.close()
    sys.exit(0 if held else 1)


def _line(result: CheckResult, *, as_json: bool) -> str:
    if as_json:
        return json_line({"check": result.title, "ok": result.held, "fault": result.fault})
    return f"ok  {result.title}" if result.held else f"NO  {result.title}: {result.fault}"


def _new_id() -> str:
    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))


def _now() -> Instant:
    return Instant(unix_s=int(time.time()))


if __name__ == "__main__":
    conformance(prog_name="python -m sync.conformance.cli")
