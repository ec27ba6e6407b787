"""Assembly of a settings applier: its facts, the trial of a link, the count of starts."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

from cryptography import x509
from structlog.typing import FilteringBoundLogger

from edge.config import MqttSection, Profile
from edge.documents.settings import DeviceScope
from edge.identity.identity import why_blocked
from edge.settings import state_machine as states
from edge.settings.active_profile import ActiveProfile
from edge.settings.folder import SettingsFolder
from edge.token.signed_document import Keyring
from sync.agent.settings.applier import WHO, SettingsApplier, SettingsReportFacts
from sync.agent.settings.intake import SettingsIntake
from sync.agent.settings.refused_documents import RefusedDocuments
from sync.mqtt.endpoint import Endpoint
from sync.mqtt.session import MqttSession
from sync.wire.topics import device_filters

TRIAL_S: Final = 10.0  # for a broker to accept a connection with other settings


def endpoint_of(mqtt: MqttSection, device: str) -> Endpoint:
    """Return where ``mqtt`` says to connect, as ``device``."""
    return Endpoint(
        host=mqtt.host,
        port=mqtt.port,
        client_id=device,
        ca_file=mqtt.ca_file,
        cert_file=mqtt.cert_file,
        key_file=mqtt.key_file,
        keepalive_s=mqtt.keepalive_s,
    )


def scope_of(profile: Profile) -> DeviceScope:
    """Return the device of ``profile``, with the version of this software."""
    device = profile.device
    return DeviceScope(
        tenant=device.tenant,
        device=device.id,
        site=device.site,
        groups=device.groups,
        agent_version=version("edge-scanner"),
    )


def build_applier(
    data: Path,
    running: ActiveProfile,
    *,
    keys: Callable[[], Keyring],
    session: MqttSession,
    refused: RefusedDocuments,
    monotonic: Callable[[], float],
    log: FilteringBoundLogger,
) -> SettingsApplier:
    """Return the applier of the device that ``running`` names.

    ``session`` makes way for trials of other links: the broker accepts one connection of a device.
    ``refused`` is for what is refused of the settings topic.
    """
    profile, folder = running.profile, SettingsFolder(data)
    device = profile.device

    def try_link(mqtt: MqttSection) -> str | None:
        session.close()
        filters = device_filters(device.tenant, device.id, device.site)
        return try_broker(endpoint_of(mqtt, device.id), filters, monotonic=monotonic)

    scope = scope_of(profile)
    return SettingsApplier(
        folder,
        running,
        SettingsIntake(folder, scope=scope, keys=keys, refused=refused, log=log),
        scope=scope,
        facts=SettingsReportFacts(
            kind=device.kind,
            software=scope.agent_version,
            certificate_expires_s=_expiry_s(Path(profile.mqtt.cert_file)) if profile.mqtt else None,
        ),
        try_link=try_link,
        log=log,
        blocked=lambda: why_blocked(data),
    )


def try_broker(
    endpoint: Endpoint, filters: list[str], *, monotonic: Callable[[], float]
) -> str | None:
    """Connect and subscribe once, within ``TRIAL_S`` of ``monotonic``.

    Return None when the broker accepted both, else why not.
    """
    session = MqttSession(endpoint, filters, uniform=random.uniform)
    deadline_s = monotonic() + TRIAL_S
    while monotonic() < deadline_s and not session.connected:
        session.step(0.2)
        if session.link.is_permanent:
            break
    connected, why = session.connected, f"{session.link}: {session.detail}"
    session.close()
    return None if connected else why


def count_start(data: Path) -> None:
    """Count a start while settings are on trial: too many of them, and they are rolled back."""
    with suppress(OSError):
        folder = SettingsFolder(data)
        blamed = folder.blamed()
        folder.change(lambda state: states.start(state, WHO, blamed))


def count_stop(data: Path) -> None:
    """Take back the start of a process that ends in good order."""
    with suppress(OSError):
        SettingsFolder(data).change(lambda state: states.stop(state, WHO))


def _expiry_s(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        return int(certificate.not_valid_after_utc.timestamp())
    return None
