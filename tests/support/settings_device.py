"""Settings applier and scanner life cycle over one folder, without a camera or a broker."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.capture.capture_status import CaptureState
from edge.decode.hold_off import HoldOff
from edge.devices.null_devices import NoIndicator, NoLocker
from edge.documents.settings import DeviceScope, SettingsDocument, SettingsLayer, sign_settings
from edge.scanner.hardware import Hardware
from edge.scanner.lifecycle import ScannerLifecycle
from edge.settings import state_machine as states
from edge.settings.active_profile import ActiveProfile, load_active_profile
from edge.settings.folder import SettingsFolder
from edge.settings.state_machine import SettingsPhase
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.token.signed_document import Keyring
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant
from sync.agent.settings.applier import SettingsApplier, SettingsReportFacts
from sync.agent.settings.intake import SettingsIntake
from sync.agent.settings.refused_documents import RefusedDocuments

OPS = signer(Ed25519PrivateKey.generate())
KEY = TrustedKey(
    key=OPS.public,
    purposes=frozenset({Purpose.CONFIGURATION}),
    not_before_s=0,
    expires_at_s=2**33 - 1,
)
TRUST = TrustList(version=1, issued_at_s=0, expires_at_s=2**33 - 1, keys=(KEY,))
NOW = Instant(unix_s=1_000)
SCOPE = DeviceScope(tenant="main", device="kiosk-1", site="shop-1", agent_version="1")
PROFILE = """
[device]
id = "kiosk-1"
site = "shop-1"
kind = "kiosk"

[decode]
budget_ms = 60.0

[trust]
roots_file = "roots.cbor"
"""
LOG = structlog.wrap_logger(
    structlog.testing.CapturingLogger(), processors=[structlog.testing.LogCapture()]
)


def applier_of(
    data: Path,
    running: ActiveProfile,
    keys: Callable[[], Keyring],
    *,
    scope: DeviceScope = SCOPE,
    refused: RefusedDocuments | None = None,
    log=LOG,
) -> SettingsApplier:
    """Return the applier of a device that runs on ``running``. Its trials of a link succeed."""
    folder = SettingsFolder(data)
    return SettingsApplier(
        folder,
        running,
        SettingsIntake(
            folder, scope=scope, keys=keys, refused=refused or RefusedDocuments(), log=log
        ),
        scope=scope,
        facts=SettingsReportFacts(kind="kiosk", software=scope.agent_version),
        try_link=lambda mqtt: None,
        log=log,
    )


class Device:
    """Sync's applier and the scanner's life cycle over one folder, without a camera or a broker."""

    def __init__(self, folder: Path):
        self.data, self.file = folder, folder / "profile.toml"
        self.file.write_text(PROFILE)
        self.settings = SettingsFolder(folder)
        self.trust = TRUST
        self.broken_budget_ms: float | None = None  # the scanner fails on this value

    def applier(self) -> SettingsApplier:
        self.settings.change(lambda state: states.start(state, "sync"))
        return applier_of(self.data, load_active_profile(self.file, self.data), lambda: self.trust)

    def live(self, *documents: bytes) -> None:
        """Receive ``documents`` and work until both processes have nothing left to do."""
        applier = self.applier()
        for raw in documents:
            applier.receive(raw, NOW)
        clock = {"s": 0.0}
        stop = threading.Event()

        def run(daemon, profile) -> None:
            while not daemon.supervisor.finished:
                clock["s"] += 0.5
                daemon.capture.frames += 1
                applier.step(connected=True, now=NOW, monotonic_s=clock["s"])
                assert not applier.wants_restart
                daemon.after_step(daemon)
                state = self.settings.state()
                done = state.phase in (
                    SettingsPhase.COMMITTED,
                    SettingsPhase.REFUSED,
                    SettingsPhase.ROLLED_BACK,
                    SettingsPhase.SHIPPED,
                )
                if done and clock["s"] > 3 and not daemon.supervisor.finished:
                    stop.set()
                    return
                assert clock["s"] < 100, state

        @contextmanager
        def open_daemon(profile, parts, hold_off) -> Iterator[SimpleNamespace]:
            if profile.decode.budget_ms == self.broken_budget_ms:
                raise RuntimeError("this value breaks the scanner")
            daemon = SimpleNamespace(
                after_step=None,
                hold_off=hold_off or HoldOff(1.0),
                serving=False,
                clock=SimpleNamespace(monotonic_s=lambda: clock["s"]),
                supervisor=SimpleNamespace(
                    finished="",
                    wants_restart=False,
                    wants_reopening=False,
                    problems={},
                    note_problem=lambda name, detail: None,
                ),
                handler=None,
                offer_enrolment_code=None,
                capture=parts.capture._owner,
            )
            daemon.run = lambda _stop: run(daemon, profile)
            yield daemon

        ScannerLifecycle(
            file=self.file,
            data=self.data,
            equip=lambda profile: _parts(),
            open=open_daemon,
            log=LOG,
        ).run(stop)

    def budget_ms(self) -> float:
        return load_active_profile(self.file, self.data).profile.decode.budget_ms


class _Capture:
    def __init__(self):
        self.frames = 0

    def start(self): ...
    def close(self): ...

    def status(self):
        return SimpleNamespace(state=CaptureState.STREAMING, frames=self.frames, detail="")

    def next_frame(self, timeout_s):
        return SimpleNamespace(grey=SimpleNamespace(shape=(720, 1280)))


def _parts() -> Hardware:
    return Hardware(capture=_Capture(), indicator=NoIndicator(), lock=NoLocker(), doors=NoLocker())


def document(
    rev: int,
    budget_ms: float,
    *,
    layer: SettingsLayer = SettingsLayer.FLEET,
    name: str = "",
    **more,
) -> bytes:
    content = more or {"decode": {"budget_ms": budget_ms}}
    fields = {
        "tenant": "main",
        "layer": layer,
        "name": name,
        "rev": rev,
        "content": content,
        "probation_s": 1,
    }
    return sign_settings(SettingsDocument(**fields), OPS)
