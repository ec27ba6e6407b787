"""``edge-hub authority bridge``: the line between a site's broker and the platform's, on the command line."""

from __future__ import annotations

import random
import signal
import tomllib
from pathlib import Path

import click
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from edge import log
from edge.config import Name
from edge.notify import notify
from sync.hub.bridge import Bridge, down_filters, up_filters
from sync.hub.config import HubMqtt
from sync.session import Endpoint, Session


class BridgeConfig(BaseModel):
    """``bridge.toml``; file names are relative to its folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: Name = "main"
    site: Name
    here: HubMqtt  # the site's broker
    platform: HubMqtt


@click.command()
@click.option("--config", "config_file", required=True, type=click.Path(path_type=Path), help="TOML.")
def bridge(config_file: Path) -> None:
    """Carry messages between a site's broker and the platform's until SIGTERM.

    Example: edge-hub authority bridge --config /etc/edge-hub/bridge.toml
    """
    config = _config(config_file)
    folder = config_file.resolve().parent
    log.configure()
    logger = structlog.get_logger().bind(process="edge-hub-bridge", site=config.site)
    here = Session(_endpoint(config.here, folder), up_filters(config.tenant), uniform=random.uniform)
    platform = Session(_endpoint(config.platform, folder), down_filters(config.tenant), uniform=random.uniform)
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


def _config(path: Path) -> BridgeConfig:
    try:
        return BridgeConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise click.ClickException(f"{path}: {error}") from None


def _endpoint(mqtt: HubMqtt, folder: Path) -> Endpoint:
    return Endpoint(
        host=mqtt.host,
        port=mqtt.port,
        client_id=mqtt.identity,
        ca_file=str(folder / mqtt.ca_file),
        cert_file=str(folder / mqtt.cert_file),
        key_file=str(folder / mqtt.key_file),
        keepalive_s=mqtt.keepalive_s,
        window=mqtt.window,
    )
