"""``edge-hub``: the platform's end of the protocol, on the command line."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack

import click
import structlog
from structlog.typing import FilteringBoundLogger

from edge.system import log
from edge.system.program import StopSignal, run_program, run_until_signal
from edge.system.terminal import print_lines
from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.trust.signer_file import load_signer
from edge.values.printable import json_line
from sync.hub.config import (
    HUB_TIMINGS,
    HubConfig,
    HubTimings,
    load_hub_config_or_exit,
)
from sync.hub.enrolment.cli import enrolment
from sync.hub.fleet.service_opening import open_fleet_service
from sync.hub.ledger import listing
from sync.hub.orders.cli import orders_group, resume_command
from sync.hub.provisioning.platform import provision
from sync.hub.provisioning.platform_record import recorded_spec
from sync.hub.provisioning.platform_spec import PlatformDocuments, PlatformSpec
from sync.hub.server.hub import Hub, HubParts
from sync.hub.server.hub_metrics import hub_metrics
from sync.hub.server.list_publisher import ListPublisher
from sync.hub.site.bridge_cli import bridge
from sync.hub.site.cli import authority
from sync.hub.store.interface import HubStore, HubStoreError
from sync.hub.store.opening import open_hub_store
from sync.metrics import write_metrics
from sync.mqtt.session import MqttSession
from sync.wire.topics import hub_filters

_SET_FEED_KEY: Final = "set documents.order_feed_key_file"
_CONFIG = click.option(
    "--config",
    "config_file",
    required=True,
    type=click.Path(path_type=Path),
    help="The hub's configuration, TOML.",
)


class _PlatformOptions(TypedDict):
    """Options of ``edge-hub site`` that are fields of ``PlatformSpec``."""

    tenant: str | None
    host: str | None
    address: str | None
    port: int | None
    user: str | None
    hubs: int | None
    database: str | None


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edge-scanner")
def cli() -> None:
    """Receive what devices redeemed, and feed them orders.

    Example: edge-hub run --config hub.toml
    """


@cli.command()
@_CONFIG
@click.pass_obj
def run(timings: HubTimings | None, config_file: Path) -> None:
    """Serve devices until SIGTERM.

    Example: edge-hub run --config /etc/edge-hub/hub.toml
    """
    config = load_hub_config_or_exit(config_file)
    log.configure()
    logger = structlog.get_logger().bind(process="edge-hub")
    timings = timings or HUB_TIMINGS
    parts = _parts(config, timings, logger)
    hub = Hub(config, parts)
    stop = StopSignal()
    logger.info("started", broker=f"{config.mqtt.host}:{config.mqtt.port}")
    metrics = Path(config.data_dir) / f"{config.mqtt.identity.strip('_')}.prom"
    metrics_due_s = 0.0

    def step() -> None:
        nonlocal metrics_due_s
        hub.step()
        if time.monotonic() >= metrics_due_s:
            write_metrics(metrics, hub_metrics(hub.report(), now_s=int(time.time())))
            metrics_due_s = time.monotonic() + timings.metrics_every_s

    try:
        run_until_signal(step, stop)
    except HubStoreError as error:
        logger.error("store_unavailable", detail=str(error))
        sys.exit(1)
    parts.session.close()
    parts.store.close()
    logger.info("stopped")


authority.add_command(bridge)
cli.add_command(authority)


cli.add_command(orders_group)
cli.add_command(resume_command)


@cli.command("ledger")
@_CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--dev", default=None, metavar="ID", help="Of this device only.")
def show_ledger(config_file: Path, as_json: bool, dev: str | None) -> None:
    """Print the events of each device, by device, epoch and number.

    Example: edge-hub ledger --config hub.toml --json
    """
    store = _open_store(load_hub_config_or_exit(config_file))
    for row in listing.list_events(store, dev=dev):
        if as_json:
            print_lines(json_line(row))
        else:
            effect = f"  refused: {row['refused']}" if row["refused"] else ""
            number = f"{row['dev']}  {row['epoch']}  {row['seq']:>6}"
            print_lines(f"{number}  {row['type']:<12}  {row['ts']}{effect}")


@cli.command("site")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--device",
    "devices",
    multiple=True,
    required=True,
    metavar="ID=SITE",
    help="A device and its site.",
)
@click.option("--tenant", help="[default: main]")
@click.option("--host", help="Where devices reach the broker.  [default: 127.0.0.1]")
@click.option("--address", help="On which the broker listens.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="[default: 8883]")
@click.option(
    "--user", help="The user that a broker started by root becomes.  [default: mosquitto]"
)
@click.option(
    "--hubs", type=click.IntRange(1, 64), help="Processes that share the work.  [default: 1]"
)
@click.option(
    "--database", metavar="URL", help="A postgresql:// URL for the hubs' store, instead of a file."
)
@click.option(
    "--keys",
    "keys_dir",
    type=click.Path(path_type=Path),
    help="Fleet keys: for the hub's configuration.",
)
@click.option(
    "--trust-list", "trust_list", type=click.Path(path_type=Path), help="The signed trust list."
)
@click.option("--status-list", "status_lists", multiple=True, type=click.Path(path_type=Path))
def site_command(
    folder: Path,
    devices: tuple[str, ...],
    keys_dir: Path | None,
    trust_list: Path | None,
    status_lists: tuple[Path, ...],
    **options: Unpack[_PlatformOptions],
) -> None:
    """Make a broker's, a hub's and devices' certificates and configuration in FOLDER.

    Called again, it adds the devices that are new, and drops and changes nothing. An option that is
    not given is as it was. Then: mosquitto -c FOLDER/mosquitto.conf

    Example: edge-hub site ./site --device kiosk-1=shop-1 --keys ./fleet-keys
    --trust-list trust-list.cbor
    """
    pairs = [device.partition("=") for device in devices]
    if any(not name or not site for name, _, site in pairs):
        raise click.UsageError("--device takes ID=SITE")
    documents = None
    if keys_dir is not None and trust_list is not None:
        documents = PlatformDocuments(
            order_feed_key=keys_dir / "order_feed.pem",
            trust_list=trust_list,
            status_lists=status_lists,
        )
    recorded = recorded_spec(folder)
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    spec = replace(
        recorded or PlatformSpec(devices={}),
        devices={name: site for name, _, site in pairs},
        **given,
    )
    files = provision(folder, spec, documents, now_s=int(time.time()))
    print_lines(f"The broker's configuration is {files.broker_config}.", err=True)
    if recorded is not None:
        print_lines(
            "Restart edge-hub and edge-hub enrolment, and reload the broker, for new devices.",
            err=True,
        )
    if not files.hub_config.exists():
        print_lines("No hub.toml was made: name --keys and --trust-list for one.", err=True)


cli.add_command(enrolment)


def main(timings: HubTimings = HUB_TIMINGS) -> None:
    """Run ``edge-hub``. Exit 0 success, 1 refused or failed, 2 wrong usage."""
    run_program(cli, "edge-hub", timings=timings)


def _parts(config: HubConfig, timings: HubTimings, logger: FilteringBoundLogger) -> HubParts:
    """Open what a hub needs. Raises ClickException and HubStoreError."""
    feed_key = Path(config.documents.order_feed_key_file)
    return HubParts(
        store=_open_store(config),
        session=MqttSession(
            config.mqtt.endpoint(Path()),
            hub_filters(config.tenant, config.mqtt.share),
            uniform=random.uniform,
            backoff=timings.reconnect,
        ),
        lists=ListPublisher(config.documents, Path(config.data_dir)),
        feed_signer=load_signer(feed_key, advice=_SET_FEED_KEY),
        grant_signer=_grant_signer(feed_key.with_name(f"{Purpose.GRANT}.pem")),
        fleet=open_fleet_service(config, logger),
        now_us=lambda: time.time_ns() // 1000,
        monotonic=time.monotonic,
        log=logger,
    )


def _grant_signer(path: Path) -> Signer | None:
    """Return the signer of grants, if its key lies beside that of the order feed."""
    return load_signer(path, advice=_SET_FEED_KEY) if path.exists() else None


def _open_store(config: HubConfig) -> HubStore:
    """Open the hub's store. Raises HubStoreError."""
    return open_hub_store(Path(config.data_dir), config.database)
