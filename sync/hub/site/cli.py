"""``edge-hub authority``: run a site's own authority, and control it on the platform."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from threading import Thread
from typing import TypedDict, Unpack

import click
import structlog
from structlog.typing import FilteringBoundLogger

from edge.config import Name, Section
from edge.system import log
from edge.system.program import StopSignal, run_until_signal
from edge.system.terminal import print_lines
from edge.system.wall_clock import WallClock
from edge.trust.anchors import RootsFileRefusal, load_roots
from edge.trust.signer_file import load_signer
from edge.values.uuid7 import uuid7
from sync.hub.arbitration import grants, site_leases
from sync.hub.config import (
    HUB_TIMINGS,
    HubBroker,
    HubMqtt,
    HubTimings,
    PlatformService,
    load_hub_config_or_exit,
    read_config_or_exit,
)
from sync.hub.provisioning.platform_files import PlatformFiles
from sync.hub.provisioning.platform_record import recorded_spec
from sync.hub.site.authority import SiteAuthority, authority_filters
from sync.hub.site.authority_parts import AuthorityIdentity, AuthorityParts
from sync.hub.site.broker_lists import SiteLists
from sync.hub.site.broker_provisioning import SiteBroker, provision_site_broker
from sync.hub.store.interface import HubStore, HubStoreError
from sync.hub.store.opening import open_hub_store
from sync.mqtt.session import MqttSession

_CONFIG = click.option(
    "--config", "config_file", required=True, type=click.Path(path_type=Path), help="TOML."
)


class AuthorityConfig(Section):
    """``authority.toml``; file names are relative to its folder."""

    tenant: Name = "main"
    site: Name
    id: Name
    data_dir: str
    roots_file: str
    grant_key_file: str
    mqtt: HubMqtt
    devices: tuple[Name, ...] = ()  # the devices that may use the site's broker
    # With both of these, the broker's lists and certificates are updated from the platform.
    broker: HubBroker | None = None
    enrolment: PlatformService | None = None


class _SiteOptions(TypedDict):
    """Options of ``edge-hub authority site`` that are fields of ``SiteBroker``."""

    site: str
    devices: tuple[str, ...]
    host: str
    address: str
    port: int
    user: str
    enrolment_port: int | None
    grant_key: Path
    roots: Path


@click.group()
def authority() -> None:
    """Run a site's own authority, which decides grants while the line to the platform is cut.

    Example: edge-hub authority run --config authority.toml
    """


@authority.command()
@_CONFIG
@click.pass_obj
def run(timings: HubTimings | None, config_file: Path) -> None:
    """Decide the grants of a site until SIGTERM, under the platform's lease.

    Example: edge-hub authority run --config /etc/edge-hub/authority.toml
    """
    config = read_config_or_exit(config_file, AuthorityConfig)
    folder = config_file.resolve().parent
    log.configure()
    logger = structlog.get_logger().bind(process="edge-hub-authority", site=config.site)
    parts = _parts(config, folder, timings or HUB_TIMINGS, logger)
    identity = AuthorityIdentity(tenant=config.tenant, site=config.site, name=config.id)
    site_authority = SiteAuthority(identity, parts)
    stop = StopSignal()
    logger.info("started")
    _start_lists(config, folder, logger)
    try:
        run_until_signal(site_authority.step, stop)
    except HubStoreError as error:
        logger.error("store_unavailable", detail=str(error))
        sys.exit(1)
    parts.store.close()
    logger.info("stopped")


@authority.command()
@_CONFIG
@click.argument("site")
def release(config_file: Path, site: str) -> None:
    """End the lease of SITE, on the platform. First make sure that the site's own authority is off.

    Example: edge-hub authority release --config hub.toml shop-1
    """
    with _platform_store(config_file).transaction() as connection:
        released = site_leases.release_lease(connection, site)
    print_lines(
        f"The lease of {site} is over." if released else f"No lease of {site} is out.", err=True
    )


@authority.command("release-grant")
@_CONFIG
@click.argument("cti")
def release_grant(config_file: Path, cti: str) -> None:
    """Release the grants that devices hold for CTI (hexadecimal) and will not use.

    Example: edge-hub authority release-grant --config hub.toml 00112233445566778899aabbccddeeff
    """
    try:
        raw = bytes.fromhex(cti)
    except ValueError:
        raise click.UsageError("CTI is 32 hexadecimal digits") from None
    with _platform_store(config_file).transaction() as connection:
        released = grants.release_grants(connection, raw)
    print_lines(f"{released} grants were released.", err=True)


@authority.command("site")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--platform", required=True, type=click.Path(path_type=Path), help="The platform's folder."
)
@click.option("--platform-host", default="127.0.0.1", show_default=True)
@click.option("--platform-port", default=8883, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--enrolment-port",
    type=click.IntRange(1, 65535),
    help="Of the platform's enrolment service.  [default: its port + 1]",
)
@click.option("--site", required=True)
@click.option(
    "--device", "devices", multiple=True, required=True, metavar="ID", help="A device of the site."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Where devices reach the site's broker.",
)
@click.option("--address", default="127.0.0.1", show_default=True)
@click.option("--port", default=8883, show_default=True, type=click.IntRange(1, 65535))
@click.option("--user", default="mosquitto", show_default=True)
@click.option(
    "--grant-key",
    required=True,
    type=click.Path(path_type=Path),
    help="The site's key that the trust list names.",
)
@click.option("--roots", required=True, type=click.Path(path_type=Path))
def site_command(
    folder: Path,
    platform: Path,
    platform_host: str,
    platform_port: int,
    **options: Unpack[_SiteOptions],
) -> None:
    """Make a site's broker in FOLDER, and the configuration of its authority and its bridge.

    Example: edge-hub authority site ./s1 --platform ./site --site shop-1 --device kiosk-1
    --grant-key k.pem --roots r
    """
    recorded = recorded_spec(platform)
    if recorded is None:
        raise click.ClickException(f"{platform} is no platform's folder: edge-hub site makes one")
    at = SiteBroker(tenant=recorded.tenant, platform=(platform_host, platform_port), **options)
    try:
        files = provision_site_broker(
            folder, at, PlatformFiles(platform.absolute()), now_s=int(time.time())
        )
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    made = ", ".join(
        str(files.folder / name) for name in ("mosquitto.conf", "authority.toml", "bridge.toml")
    )
    print_lines(f"{made} are made. Add to the hub's configuration:")
    print_lines("[[authority]]", f'id = "{at.authority}"', f'site = "{at.site}"')


def _parts(
    config: AuthorityConfig, folder: Path, timings: HubTimings, logger: FilteringBoundLogger
) -> AuthorityParts:
    """Open what a site authority needs. Raises ClickException and HubStoreError."""
    roots = load_roots(folder / config.roots_file)
    if isinstance(roots, RootsFileRefusal):
        raise click.ClickException(str(roots))
    clock = WallClock(0)
    return AuthorityParts(
        store=open_hub_store(folder / config.data_dir),
        session=MqttSession(
            config.mqtt.endpoint(folder),
            authority_filters(config.tenant, config.id),
            uniform=random.uniform,
            now=clock.now,
            backoff=timings.reconnect,
        ),
        roots=roots,
        grant_signer=load_signer(folder / config.grant_key_file, advice="set grant_key_file"),
        now=clock.now,
        monotonic=time.monotonic,
        new_id=lambda: uuid7(time.time_ns() // 1_000_000, os.urandom(10)),
        log=logger,
        timings=timings,
    )


def _start_lists(config: AuthorityConfig, folder: Path, logger: FilteringBoundLogger) -> None:
    """Keep the lists of the site's broker current in a thread, where the configuration says how."""
    if config.broker is None or config.enrolment is None:
        return
    lists = SiteLists(
        tenant=config.tenant,
        site=config.site,
        devices=config.devices,
        broker=config.broker,
        service=config.enrolment,
        mqtt=config.mqtt,
        folder=folder,
        log=logger,
    )
    Thread(target=lists.run, name="lists", daemon=True).start()


def _platform_store(config_file: Path) -> HubStore:
    config = load_hub_config_or_exit(config_file)
    return open_hub_store(Path(config.data_dir), config.database)
