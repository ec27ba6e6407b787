"""A settings desk for a sync process: its facts, the trial of a broker link, and the count of its starts."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from edge.config import MqttSection, Profile
from edge.documents.settings import DeviceScope
from edge.settings import state_machine as states
from edge.settings.active_profile import load_active_profile, shipped
from edge.settings.folder import SettingsFolder
from edge.store.database.store import Store
from edge.token.signed_document import Keyring
from sync.agent.enrolment.revocation import RevocationHandler
from sync.agent.settings.applier import SettingsApplier, SettingsReportFacts
from sync.mqtt.endpoint import Endpoint
from sync.mqtt.session import MqttSession
from sync.wire.topics import device_filters

TRIAL_S: Final = 10.0  # for a broker to answer with other settings
WHO: Final = "sync"


def endpoint_of(mqtt: MqttSection, device: str) -> Endpoint:
    """Where ``mqtt`` says to connect, as ``device``."""
    return Endpoint(
        host=mqtt.host,
        port=mqtt.port,
        client_id=device,
        ca_file=mqtt.ca_file,
        cert_file=mqtt.cert_file,
        key_file=mqtt.key_file,
        keepalive_s=mqtt.keepalive_s,
    )


def build_applier(
    profile_file: Path,
    data: Path,
    profile: Profile,
    *,
    store: Store,
    keys: Callable[[], Keyring],
    session: MqttSession,
    monotonic: Callable[[], float],
    log: Any,
) -> SettingsApplier:
    """The desk of the device that ``profile`` names. ``session`` makes way for trials of other links."""
    base, running = shipped(profile_file, data), load_active_profile(profile_file, data)
    device = profile.device

    def try_link(mqtt: MqttSection) -> str | None:
        session.close()  # the broker knows one connection of a device: the other would push it off
        filters = device_filters(device.tenant, device.id, device.site)
        return try_broker(endpoint_of(mqtt, device.id), filters, monotonic=monotonic)

    me = DeviceScope(
        tenant=device.tenant,
        device=device.id,
        site=device.site,
        groups=device.groups,
        agent_version=version("edge-scanner"),
    )
    return SettingsApplier(
        SettingsFolder(data),
        base if isinstance(base, dict) else {},
        me=me,
        leaver=RevocationHandler(store, data, me=me, keys=keys, log=log),
        facts=SettingsReportFacts(
            kind=device.kind,
            software=version("edge-scanner"),
            certificate_expires_s=_expiry_s(Path(profile.mqtt.cert_file)) if profile.mqtt else None,
        ),
        running=running.digest if not isinstance(running, list) else None,
        keys=keys,
        try_link=try_link,
        log=log,
    )


def try_broker(
    endpoint: Endpoint, filters: list[str], *, monotonic: Callable[[], float]
) -> str | None:
    """Connect and subscribe once, within ``TRIAL_S`` of ``monotonic``. None when the broker took both; else why not."""
    session = MqttSession(endpoint, filters, uniform=random.uniform)
    deadline_s = monotonic() + TRIAL_S
    while monotonic() < deadline_s and not session.connected:
        session.step(0.2)
        if session.link.hopeless:
            break
    connected, why = session.connected, f"{session.link}: {session.detail}"
    session.close()
    return None if connected else why


def count_start(data: Path) -> None:
    """A start while settings are on trial: too many, and they are rolled back."""
    with suppress(OSError):
        folder = SettingsFolder(data)
        blamed = folder.blamed()
        folder.change(lambda state: states.start(state, WHO, blamed))


def count_stop(data: Path) -> None:
    """An end in good order: the start does not count."""
    with suppress(OSError):
        SettingsFolder(data).change(lambda state: states.stop(state, WHO))


def _expiry_s(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(
            x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()
        )
    return None
