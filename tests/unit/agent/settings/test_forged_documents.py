"""Documents whose signature does not hold cost nothing durable and next to no line in the log."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import CapturingLogger

from edge.documents.settings import DeviceScope, SettingsDocument, SettingsLayer, sign_settings
from edge.settings.folder import SettingsFolder
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant
from sync.agent.settings.intake import SettingsIntake
from sync.agent.settings.refused_documents import RefusedDocuments

NOW = Instant(unix_s=1_800_000_000)
KEY, STRANGER = (signer(Ed25519PrivateKey.generate()) for _ in range(2))
TRUST = TrustList(
    version=1,
    issued_at_s=0,
    expires_at_s=2**33 - 1,
    keys=(
        TrustedKey(
            key=KEY.public,
            purposes=frozenset({Purpose.CONFIGURATION}),
            not_before_s=0,
            expires_at_s=2**33 - 1,
        ),
    ),
)


class World:
    def __init__(self, folder):
        self.data, self.log, self.refused = folder, CapturingLogger(), RefusedDocuments()
        self.writes = []
        settings = SettingsFolder(folder)
        write = settings._write
        settings._write = lambda name, content: (self.writes.append(name), write(name, content))
        self.intake = SettingsIntake(
            settings,
            scope=DeviceScope(tenant="main", device="kiosk-1", site="shop-1", agent_version="1.0"),
            keys=lambda: TRUST,
            refused=self.refused,
            log=self.log,
        )

    def logged(self, event):
        return [call.kwargs["count"] for call in self.log.calls if call.args == (event,)]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def layer(rev: int, key=KEY) -> bytes:
    document = SettingsDocument(
        tenant="main", layer=SettingsLayer.SITE, name="shop-1", rev=rev, content={}
    )
    return sign_settings(document, key)


def tampered(number: int) -> bytes:
    raw = layer(number + 1)
    return raw[:-8] + number.to_bytes(8, "big")


def test_a_flood_of_tampered_documents_writes_nothing_and_logs_each_tenfold(world):
    for number in range(1, 1201):
        world.intake.receive(tampered(number), NOW)
    assert world.logged("settings_refused") == [1, 10, 100, 1000]
    assert (world.writes, list(world.data.rglob("*"))) == ([], [])
    assert world.refused.count == 4, "each count is a report to the broker"


def test_documents_of_an_unknown_key_write_nothing_however_often_they_are_tried(world):
    for number in range(1, 200):
        world.intake.receive(layer(number, STRANGER), NOW)
        world.intake.retry(NOW, 10.0 * number)
    assert (world.log.calls, world.writes, world.refused.count) == ([], [], 0)


def test_a_signed_document_is_written_in_the_midst_of_them(world):
    for number in range(1, 30):
        world.intake.receive(tampered(number), NOW)
    world.intake.receive(layer(7), NOW)
    assert "state.json" in world.writes
    state = json.loads((world.data / "settings" / "state.json").read_bytes())
    assert state["seen"]["site/shop-1"][0] == 7
