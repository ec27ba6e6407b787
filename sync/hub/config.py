"""The hub's configuration: one TOML file, unknown keys refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

import click
from pydantic import Field, ValidationError

from edge.config import ConfigError, DeviceName, Name, Section, parse_toml
from sync.mqtt.backoff import Backoff
from sync.mqtt.endpoint import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class HubTimings:
    """Seconds. The defaults are the product's; a test composes the hub with shorter ones."""

    reconnect: Backoff = field(default_factory=Backoff)  # after a connection was lost
    metrics_every_s: float = 2.0
    lease_retry_s: float = 3.0  # a site's authority without a lease asks the platform this often
    hand_over_s: float = 10.0  # grants the platform gave before a lease are used up or over by then


HUB_TIMINGS: Final = HubTimings()


class HubMqtt(Section):
    """The broker, and the hub's certificate there."""

    host: str
    port: int = Field(8883, ge=1, le=65535)
    ca_file: str
    cert_file: str
    key_file: str
    identity: str = "_hub"  # the certificate's common name
    share: str | None = Field(
        None, pattern="^[a-z0-9-]{1,40}$"
    )  # hubs with one name here share the work
    keepalive_s: int = Field(30, ge=5, le=600)
    window: int = Field(500, ge=1, le=5000)

    def endpoint(self, folder: Path) -> Endpoint:
        """Return the broker's address and the identity there.

        File names are relative to ``folder``.
        """
        return Endpoint(
            host=self.host,
            port=self.port,
            client_id=self.identity,
            ca_file=str(folder / self.ca_file),
            cert_file=str(folder / self.cert_file),
            key_file=str(folder / self.key_file),
            keepalive_s=self.keepalive_s,
            window=self.window,
        )


class HubOperators(Section):
    """The operator list of a site, from ``edge-fleet operators build``."""

    site: Name
    file: str


class HubDocuments(Section):
    """The key that the hub signs with, and the signed lists that it publishes unchanged."""

    order_feed_key_file: str  # PEM, PKCS 8: the key that the trust list names for order_feed
    trust_list_file: str  # signed by the root, which the hub never holds
    status_list_files: tuple[str, ...] = ()  # signed, one for each issuer key
    operators: tuple[HubOperators, ...] = ()  # signed, one for each site


class HubBroker(Section):
    """The broker's files, which the enrolment service writes.

    The broker reads them again at SIGHUP.
    """

    acl_file: str
    acl_base_file: str  # what precedes the lines of the devices
    crl_file: str
    pid_file: str


class HubEnrolment(Section):
    """The enrolment service, which alone holds the certificate authority's key."""

    address: str = "0.0.0.0"  # it listens there  # noqa: S104 - devices come from anywhere
    host: str  # where devices reach it; each code pins its certificate
    port: int = Field(8443, ge=1, le=65535)
    cert_file: str
    key_file: str
    ca_key_file: str
    certificate_days: float = Field(90, gt=0, le=825)


class PlatformService(Section):
    """Where a site authority finds the platform's enrolment service."""

    host: str
    port: int = Field(8443, ge=1, le=65535)
    every_s: float = Field(10.0, gt=0, le=3600)


class HubDevice(Section):
    """A device that may ask for its site's orders."""

    id: DeviceName
    site: Name


class HubAuthority(Section):
    """A site's own authority, which decides grants there while it holds the lease.

    See docs/explanation/site-authority.md.
    """

    id: Name
    site: Name
    # How long a line may be cut before the site's grant requests get no reply.
    lease_s: int = Field(3 * 86_400, ge=30)


class HubConfig(Section):
    """``edge-hub run --config``."""

    tenant: Name = "main"
    data_dir: str
    database: str | None = Field(None, pattern="^postgres(ql)?://")  # instead of a file in data_dir
    mqtt: HubMqtt
    documents: HubDocuments
    device: tuple[HubDevice, ...] = ()
    authority: tuple[HubAuthority, ...] = ()
    broker: HubBroker | None = None
    enrolment: HubEnrolment | None = None
    # An empty page is published at least this often, and more often after a change.
    feed_heartbeat_s: int = Field(3600, ge=10)
    # The hub is held when more than this share of the devices report what its store does not have.
    hold_above_percent: int = Field(10, ge=0, le=100)


def load_hub_config(path: Path) -> HubConfig | list[ConfigError]:
    """Read the configuration. File names in it are relative to its folder."""
    config = read_config(path, HubConfig)
    return _anchored(config, path.resolve().parent) if isinstance(config, HubConfig) else config


def load_hub_config_or_exit(path: Path) -> HubConfig:
    """Read the configuration.

    Raises ClickException, which says everything that is wrong with it.
    """
    config = load_hub_config(path)
    if isinstance(config, HubConfig):
        return config
    raise click.ClickException("; ".join(f"{path}: {error}" for error in config))


C = TypeVar("C", bound=Section)


def read_config(path: Path, model: type[C]) -> C | list[ConfigError]:
    """Read a file that a person wrote, or say everything that is wrong with it."""
    try:
        document = parse_toml(path.read_bytes())
    except OSError as error:
        return [ConfigError("", f"cannot be read: {error.strerror}", whole="configuration")]
    if isinstance(document, ConfigError):
        return [replace(document, whole="configuration")]
    try:
        return model.model_validate(document)
    except ValidationError as error:
        return [
            ConfigError(".".join(str(part) for part in item["loc"]), item["msg"])
            for item in error.errors()
        ]


def _anchored(config: HubConfig, folder: Path) -> HubConfig:
    def at(name: str) -> str:
        return str(folder / name)

    mqtt = config.mqtt
    documents = config.documents

    def section(part: HubBroker | HubEnrolment | None) -> HubBroker | HubEnrolment | None:
        files = (
            {name: at(value) for name, value in part.model_dump().items() if name.endswith("_file")}
            if part
            else {}
        )
        return part.model_copy(update=files) if part else None

    return config.model_copy(
        update={
            "broker": section(config.broker),
            "enrolment": section(config.enrolment),
            "data_dir": at(config.data_dir),
            "mqtt": mqtt.model_copy(
                update={
                    "ca_file": at(mqtt.ca_file),
                    "cert_file": at(mqtt.cert_file),
                    "key_file": at(mqtt.key_file),
                }
            ),
            "documents": documents.model_copy(
                update={
                    "order_feed_key_file": at(documents.order_feed_key_file),
                    "trust_list_file": at(documents.trust_list_file),
                    "status_list_files": tuple(at(name) for name in documents.status_list_files),
                    "operators": tuple(
                        HubOperators(site=item.site, file=at(item.file))
                        for item in documents.operators
                    ),
                }
            ),
        }
    )


def read_config_or_exit(path: Path, model: type[C]) -> C:
    """Read a configuration. Raises ClickException, which says everything that is wrong with it."""
    config = read_config(path, model)
    if isinstance(config, list):
        raise click.ClickException("; ".join(f"{path}: {error}" for error in config))
    return config
