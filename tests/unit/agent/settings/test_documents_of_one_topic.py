"""Settings and revocation orders come on one topic: each goes to the handler of its form."""

import json
import os
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import CapturingLogger

from edge.documents.revocation_order import RevocationOrder, sign_revocation_order
from edge.documents.waiting_documents import RETRY_S
from edge.identity.identity import why_blocked
from edge.settings.active_profile import load_active_profile
from edge.settings.state_machine import SettingsPhase
from edge.store.opening import open_store
from edge.token import cbor
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey
from sync.agent.agent import Agent
from sync.agent.agent_parts import AgentAddress, AgentParts, AgentSources
from sync.agent.downlink import MOST_DOCUMENTS
from sync.agent.enrolment.revocation import RevocationHandler
from sync.agent.response_timer import ResponseTimer
from sync.agent.settings.refused_documents import RefusedDocuments
from sync.mqtt.endpoint import Arrival, LinkState
from sync.mqtt.oversized import OversizedPublishes
from tests.support.settings_device import KEY, LOG, NOW, SCOPE, Device, applier_of, document

OPS = signer(Ed25519PrivateKey.generate())
REVOKING = TrustedKey(
    key=OPS.public,
    purposes=frozenset({Purpose.ENROLMENT}),
    not_before_s=0,
    expires_at_s=2**33 - 1,
)
STRANGER = signer(Ed25519PrivateKey.generate())


def trust(*keys: TrustedKey) -> TrustList:
    return TrustList(version=1, issued_at_s=0, expires_at_s=2**33 - 1, keys=keys)


def order(device: str = "kiosk-1", key=OPS) -> bytes:
    fields = RevocationOrder(
        tenant="main",
        device=device,
        reason="stolen",
        issued_at_s=NOW.unix_s,
        recovery_key=bytes(range(32)),
    )
    return sign_revocation_order(fields, key)


class World:
    """An agent with a store, whose broker is this test."""

    def __init__(self, folder):
        self.device = Device(folder)
        self.keys = trust(KEY, REVOKING)
        self.arrivals, self.now_s, self.log = [], 0.0, CapturingLogger()
        self.store = open_store(
            folder, device_id="kiosk-1", now_s=NOW.unix_s, random_bytes=os.urandom
        ).store
        running = load_active_profile(self.device.file, folder)
        refused = RefusedDocuments()
        self.applier = applier = applier_of(folder, running, lambda: self.keys, refused=refused)
        self.handed = []  # what the settings' handler was given
        receive = applier.receive
        applier.receive = lambda raw, now: (self.handed.append(raw), receive(raw, now))
        quiet = SimpleNamespace(
            start_over=lambda _: None,
            request_now=lambda _: None,
            note_commit=lambda: None,
            tick=lambda *_: None,
            request_probe=lambda: None,
            remove_stale_rows=lambda: None,
            next_request=lambda *_, **__: None,
            replies=ResponseTimer(),
        )
        session = SimpleNamespace(
            connected=True,
            oversized=OversizedPublishes(),
            connections=1,
            room=True,
            link=LinkState.CONNECTED,
            detail="",
            step=lambda _timeout_s: [self.arrivals.pop()] if self.arrivals else [],
            acknowledge=lambda _: None,
            publish=lambda *_, **__: True,
        )
        self.agent = Agent(
            AgentAddress(tenant="main", device="kiosk-1", site="shop-1"),
            AgentParts(
                store=self.store,
                session=session,
                uplink=quiet,
                downlink=quiet,
                settings=applier,
                revocations=RevocationHandler(
                    self.store,
                    folder,
                    scope=SCOPE,
                    keys=lambda: self.keys,
                    refused=refused,
                    log=self.log,
                ),
            ),
            AgentSources(now=lambda: NOW, monotonic_s=lambda: self.now_s, new_id=lambda: "a"),
            LOG,
        )

    def push(self, payload: bytes) -> None:
        self.arrivals.append(Arrival("v1/main/kiosk-1/dn/cfg", payload, 1, 1, False, 1))
        self.agent.step()

    def reported(self) -> list[str]:
        """Return the codes of the refusals in the report of settings."""
        self.applier.note_reported(None)
        return [refused["code"] for refused in json.loads(self.applier.report())["refused"]]

    @property
    def blocked(self) -> str | None:
        return why_blocked(self.device.data)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.store.close()


def test_each_document_of_a_message_goes_to_its_handler(world):
    settings = document(1, 40.0)
    world.push(cbor.encode([settings, order()]))
    assert world.handed == [settings]
    assert world.blocked == "stolen"
    assert world.device.settings.state().phase is SettingsPhase.STAGED


def test_an_order_that_a_stranger_signed_is_counted_reported_and_changes_nothing(world):
    world.keys = trust(
        KEY,
        REVOKING,
        TrustedKey(
            key=STRANGER.public,
            purposes=frozenset({Purpose.CONFIGURATION}),
            not_before_s=0,
            expires_at_s=2**33 - 1,
        ),
    )
    world.push(cbor.encode([order(key=STRANGER)]))
    assert world.agent.refused == {"document_key_purpose": 1}
    assert world.reported() == ["document_key_purpose"]
    assert (world.blocked, world.handed) == (None, [])


def test_an_order_for_another_device_changes_nothing(world):
    world.push(cbor.encode([order("kiosk-2")]))
    assert world.blocked is None


def test_an_order_whose_key_is_not_known_yet_waits_for_the_trust_list(world):
    world.keys = trust(KEY)
    world.push(cbor.encode([order()]))
    assert (world.blocked, world.agent.refused) == (None, {"document_key_unknown": 1})
    assert world.reported() == [], "it may be accepted yet"
    world.keys = trust(KEY, REVOKING)
    world.now_s += RETRY_S + 0.1
    world.agent.step()
    assert world.blocked == "stolen"


def test_an_order_that_waited_and_is_refused_then_is_logged_and_reported(world):
    world.keys = trust(KEY)
    world.push(cbor.encode([order()]))
    for_settings = TrustedKey(
        key=OPS.public,
        purposes=frozenset({Purpose.CONFIGURATION}),
        not_before_s=0,
        expires_at_s=2**33 - 1,
    )
    world.keys = trust(KEY, for_settings)
    world.now_s += RETRY_S + 0.1
    world.agent.step()
    (line,) = [call for call in world.log.calls if call.args == ("order_refused",)]
    assert line.kwargs["reason"] == "document_key_purpose"
    assert world.reported() == ["document_key_purpose"]
    assert world.blocked is None


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        pytest.param(b"", "not_cbor", id="nothing"),
        pytest.param(b"\xff" * 99, "not_cbor", id="no CBOR"),
        pytest.param(cbor.encode({}), "wrong_shape", id="a map"),
        pytest.param(cbor.encode([7]), "wrong_shape", id="a number"),
        pytest.param(cbor.encode([b"x"] * (MOST_DOCUMENTS + 1)), "wrong_shape", id="too many"),
    ],
)
def test_garbage_on_the_topic_is_counted_and_changes_nothing(world, garbage, reason):
    world.push(garbage)
    assert world.agent.refused == {reason: 1}
    assert world.device.settings.state().phase is SettingsPhase.SHIPPED
    assert world.handed == []
