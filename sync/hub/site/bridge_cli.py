"""``edge-hub authority bridge``: the line between a site's broker and the platform's, on the command line."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import click
import structlog
from pydantic import BaseModel, ConfigDict

from edge.config import Name
from edge.system import log
from edge.system.systemd import notify
from sync.hub.config import HubMqtt, read_config_or_exit
from sync.hub.site.bridge import Bridge, down_filters, up_filters
from sync.mqtt.session import MqttSession


class BridgeConfig(BaseModel):
    """``bridge.toml``; file names are relative to its folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: Name = "main"
    site: Name
    here: HubMqtt  # the site's broker
    platform: HubMqtt


@click.command()
@click.option(
    "--config", "config_file", required=True, type=click.Path(path_type=Path), help="TOML."
)
def bridge(config_file: Path) -> None:
    """Carry messages between a site's broker and the platform's until SIGTERM.

    Example: edge-hub authority bridge --config /etc/edge-hub/bridge.toml
    """
    config = read_config_or_exit(config_file, BridgeConfig)
    folder = config_file.resolve().parent
    log.configure()
    logger = structlog.get_logger().bind(process="edge-hub-bridge", site=config.site)
    here = MqttSession(
        config.here.endpoint(folder), up_filters(config.tenant), uniform=random.uniform
    )
    platform = MqttSession(
        config.platform.endpoint(folder), down_filters(config.tenant), uniform=random.uniform
    )
    joined = Bridge(here, platform, tenant=config.tenant, site=config.site, log=logger)
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stopping.append(received))
    logger.info("started")
    notify("READY=1")
    while not stopping:
        joined.step()
        notify("WATCHDOG=1")
    for session in (here, platform):
        session.close()
    logger.info("stopped")
