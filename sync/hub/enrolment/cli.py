"""``edge-hub enrolment``: the enrolment service, on the command line."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Final

import click
import structlog
from structlog.typing import FilteringBoundLogger

from edge.system import log
from edge.system.program import StopSignal, run_until_signal
from sync.hub.config import HubConfig, load_hub_config_or_exit
from sync.hub.enrolment.enrolment_service import EnrolmentService
from sync.hub.enrolment.https_server import EnrolmentServer
from sync.hub.fleet.trusted_keys import ListedKeys
from sync.hub.pki.broker_access import BrokerAccess
from sync.hub.pki.certificate_authority import CertificateAuthority, load_certificate_authority
from sync.hub.store.fleet.fleet_store import FleetStore, open_fleet_store
from sync.hub.store.interface import HubStoreError

POLL_EVERY_S: Final = 0.5  # for what the hub has written
COMPARE_EVERY_S: Final = 30.0  # with what another program may have written into the broker's files


@click.command("enrolment")
@click.option(
    "--config",
    "config_file",
    required=True,
    type=click.Path(path_type=Path),
    help="The hub's configuration, TOML.",
)
def enrolment(config_file: Path) -> None:
    """Enrol devices, renew certificates, and keep the broker's access lists, until SIGTERM.

    Example: edge-hub enrolment --config /etc/edge-hub/hub.toml
    """
    config = load_hub_config_or_exit(config_file)
    if config.enrolment is None:
        raise click.ClickException(
            f"{config_file} has no [enrolment] section: edge-hub site writes one"
        )
    log.configure()
    logger = structlog.get_logger().bind(process="edge-hub-enrolment")
    service, watched = _open_service(config, logger)
    where = f"{config.enrolment.address}:{config.enrolment.port}"
    try:
        server = EnrolmentServer(service, config.mqtt.ca_file)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {where}: {error}; check [enrolment]"
        ) from None
    Thread(target=server.serve_forever, name="https", daemon=True).start()
    stop = StopSignal()
    logger.info("started", address=where)
    run_until_signal(_Maintenance(service, watched, server).step, stop)
    server.shutdown()
    logger.info("stopped")


@dataclass(slots=True)
class _Maintenance:
    """Keeps the broker's files current and renews the platform's own certificates."""

    service: EnrolmentService
    store: FleetStore  # a connection of its own: the service's is busy with requests
    server: EnrolmentServer
    _version: int = -1
    _compare_s: float = 0.0

    def step(self) -> None:
        """Look once, and sleep."""
        version = self.store.data_version()
        compare = time.monotonic() >= self._compare_s
        if version != self._version or compare:
            self._refresh_access()
        if compare:
            self._compare_s = time.monotonic() + COMPARE_EVERY_S
            self._renew()
        self._version = version
        time.sleep(POLL_EVERY_S)

    def _refresh_access(self) -> None:
        try:
            if self.service.refresh_access():
                self.service.log.info("access_written")
        except (OSError, HubStoreError) as error:
            self.service.log.error("access_not_written", detail=str(error))

    def _renew(self) -> None:
        try:
            if renewed := self.service.renew_own():
                self.server.read_certificate()
                self.service.log.info("certificates_renewed", names=renewed)
        except (OSError, ValueError, HubStoreError) as error:
            self.service.log.error("certificates_not_renewed", detail=str(error))


def _open_service(
    config: HubConfig, logger: FilteringBoundLogger
) -> tuple[EnrolmentService, FleetStore]:
    """Open the service, and the store once more to watch it.

    Raises HubStoreError and ClickException.
    """
    assert config.enrolment is not None
    authority = _authority(config, Path(config.enrolment.ca_key_file))
    store, watched = (open_fleet_store(Path(config.data_dir)) for _ in range(2))
    service = EnrolmentService(
        config,
        config.enrolment,
        store,
        authority,
        BrokerAccess(config, config.broker, authority, store) if config.broker else None,
        ListedKeys(Path(config.documents.trust_list_file)),
        lambda: int(time.time()),
        logger,
    )
    return service, watched


def _authority(config: HubConfig, key_file: Path) -> CertificateAuthority:
    try:
        certificate = Path(config.mqtt.ca_file).read_bytes()
        return load_certificate_authority(certificate, key_file.read_bytes())
    except OSError as error:
        raise click.ClickException(
            f"{error.filename}: {error.strerror}; set enrolment.ca_key_file"
        ) from None
    except ValueError as error:
        raise click.ClickException(f"{key_file}: {error}") from None
