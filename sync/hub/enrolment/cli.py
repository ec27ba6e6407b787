"""``edge-hub desk``: the enrolment desk, on the command line."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Thread

import click
import structlog

from edge.system import log
from edge.system.program import StopSignal, run_until_signal
from sync.hub.config import HubConfig, load_hub_config
from sync.hub.enrolment.enrolment_service import EnrolmentService
from sync.hub.enrolment.https_server import EnrolmentServer
from sync.hub.fleet.trusted_keys import ListedKeys
from sync.hub.pki.broker_access import BrokerAccess
from sync.hub.pki.certificate_authority import CertificateAuthority, load_certificate_authority
from sync.hub.store.fleet.fleet_store import FleetStore, open_fleet_store
from sync.hub.store.interface import HubStoreError

LOOK_EVERY_S = 0.5  # at what the hub has written
COMPARE_EVERY_S = 30.0  # with what somebody else may have written into the broker's files


@click.command("desk")
@click.option(
    "--config",
    "config_file",
    required=True,
    type=click.Path(path_type=Path),
    help="The hub's configuration, TOML.",
)
def desk(config_file: Path) -> None:
    """Enrol devices, renew their certificates, and keep the broker's lists of who may speak, until SIGTERM.

    Example: edge-hub desk --config /etc/edge-hub/hub.toml
    """
    config = load_hub_config(config_file)
    if not isinstance(config, HubConfig):
        raise click.ClickException("; ".join(f"{config_file}: {error}" for error in config))
    if config.enrolment is None:
        raise click.ClickException(
            f"{config_file} has no [enrolment] section: edge-hub site writes one"
        )
    log.configure()
    logger = structlog.get_logger().bind(process="edge-hub-desk")
    authority = _authority(config)
    try:
        store = open_fleet_store(Path(config.data_dir))
        mine = open_fleet_store(Path(config.data_dir))
    except HubStoreError as error:
        raise click.ClickException(str(error)) from None
    access = BrokerAccess(config, config.broker, authority, store) if config.broker else None
    keys = ListedKeys(Path(config.documents.trust_list_file))
    what = EnrolmentService(
        config, config.enrolment, store, authority, access, keys, lambda: int(time.time()), logger
    )
    try:
        server = EnrolmentServer(what, config.mqtt.ca_file)
    except OSError as error:
        where = f"{config.enrolment.address}:{config.enrolment.port}"
        raise click.ClickException(
            f"the desk cannot listen on {where}: {error}; check [enrolment]"
        ) from None
    Thread(target=server.serve_forever, name="desk", daemon=True).start()
    stop = StopSignal()
    logger.info("started", desk=f"{config.enrolment.address}:{config.enrolment.port}")
    _maintain(server, access, mine, stop)
    server.shutdown()
    logger.info("stopped")


def _maintain(
    server: EnrolmentServer, access: BrokerAccess | None, store: FleetStore, stop: StopSignal
) -> None:
    """Bring the broker's files up to what the fleet's store says whenever that has changed; renew what is to end."""
    what = server.service
    version, compare_s = -1, 0.0

    def step() -> None:
        nonlocal version, compare_s
        now_version = store.data_version()
        compare = time.monotonic() >= compare_s
        if access is not None and (now_version != version or compare):
            try:
                if what.refresh_access():
                    what.log.info("access_written")
            except (OSError, HubStoreError) as error:
                what.log.error("access_not_written", detail=str(error))
        if compare:
            compare_s = time.monotonic() + COMPARE_EVERY_S
            _renew(server)
        version = now_version
        time.sleep(LOOK_EVERY_S)

    run_until_signal(step, stop)


def _renew(server: EnrolmentServer) -> None:
    try:
        if renewed := server.service.renew_own():
            server.read_certificate()
            server.service.log.info("certificates_renewed", names=renewed)
    except (OSError, ValueError, HubStoreError) as error:
        server.service.log.error("certificates_not_renewed", detail=str(error))


def _authority(config: HubConfig) -> CertificateAuthority:
    assert config.enrolment is not None
    try:
        key = Path(config.enrolment.ca_key_file).read_bytes()
        return load_certificate_authority(Path(config.mqtt.ca_file).read_bytes(), key)
    except OSError as error:
        raise click.ClickException(
            f"{error.filename}: {error.strerror}; set enrolment.ca_key_file"
        ) from None
    except ValueError as error:
        raise click.ClickException(f"{config.enrolment.ca_key_file}: {error}") from None
