"""``edge-hub authority bridge``: the bridge between a site's broker and the platform's."""

from __future__ import annotations

import random
from pathlib import Path

import click
import structlog

from edge.config import Name, Section
from edge.system import log
from edge.system.program import StopSignal, run_until_signal
from sync.hub.config import HUB_TIMINGS, HubMqtt, HubTimings, read_config_or_exit
from sync.hub.site.bridge import Bridge, down_filters, up_filters
from sync.mqtt.session import MqttSession


class BridgeConfig(Section):
    """``bridge.toml``; file names are relative to its folder."""

    tenant: Name = "main"
    site: Name
    here: HubMqtt  # the site's broker
    platform: HubMqtt


@click.command()
@click.option(
    "--config", "config_file", required=True, type=click.Path(path_type=Path), help="TOML."
)
@click.pass_obj
def bridge(timings: HubTimings | None, config_file: Path) -> None:
    """Forward messages between a site's broker and the platform's until SIGTERM.

    Example: edge-hub authority bridge --config /etc/edge-hub/bridge.toml
    """
    config = read_config_or_exit(config_file, BridgeConfig)
    folder = config_file.resolve().parent
    log.configure()
    logger = structlog.get_logger().bind(process="edge-hub-bridge", site=config.site)
    here, platform = (
        MqttSession(
            side.endpoint(folder),
            filters(config.tenant),
            uniform=random.uniform,
            backoff=(timings or HUB_TIMINGS).reconnect,
        )
        for side, filters in ((config.here, up_filters), (config.platform, down_filters))
    )
    joined = Bridge(here, platform, tenant=config.tenant, site=config.site, log=logger)
    stop = StopSignal()
    logger.info("started")
    run_until_signal(joined.step, stop)
    for session in (here, platform):
        session.close()
    logger.info("stopped")
