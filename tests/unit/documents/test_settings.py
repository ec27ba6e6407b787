"""A settings document is verified before its content is read; layers merge in order."""

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.config import Profile
from edge.config.merge_patch import merge
from edge.documents.settings import (
    DeviceScope,
    SettingsDocument,
    SettingsFault,
    SettingsLayer,
    SettingsRefusal,
    open_settings,
    sign_settings,
)
from edge.settings.effective import effective, forbidden
from edge.settings.plan import layer_of, make_plan, read_plan
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.token.signed_document import DocumentFault, sign_document
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant

OPS, UNKNOWN = (signer(Ed25519PrivateKey.generate()) for _ in range(2))
TRUST = TrustList(
    version=1,
    issued_at_s=0,
    expires_at_s=2**33 - 1,
    keys=(
        TrustedKey(
            key=OPS.public,
            purposes=frozenset({Purpose.CONFIGURATION}),
            not_before_s=0,
            expires_at_s=2**33 - 1,
        ),
    ),
)
ME = DeviceScope(
    tenant="main", device="kiosk-1", site="shop-1", groups=("kiosks",), agent_version="0.9.2"
)
NOW = Instant(unix_s=1_000)
DOCUMENT = SettingsDocument(
    tenant="main",
    layer=SettingsLayer.FLEET,
    name="",
    rev=3,
    content={"decode": {"budget_ms": 40.5}},
)
SHIPPED = {
    "device": {"id": "kiosk-1", "site": "shop-1", "kind": "kiosk"},
    "indicators": {"green_pin": 17},
    "trust": {"roots_file": "roots.cbor"},
    "mqtt": {"host": "broker", "ca_file": "ca", "cert_file": "cert", "key_file": "key"},
}


def opened(raw: bytes, *, now: Instant = NOW):
    return open_settings(raw, TRUST, now=now, me=ME)


def test_a_signed_document_for_this_device_is_read_whole():
    assert opened(sign_settings(DOCUMENT, OPS)) == DOCUMENT


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        pytest.param({"tenant": "other"}, SettingsFault.WRONG_AUDIENCE, id="another tenant's"),
        pytest.param(
            {"layer": SettingsLayer.SITE, "name": "shop-2"},
            SettingsFault.WRONG_AUDIENCE,
            id="another site's",
        ),
        pytest.param(
            {"layer": SettingsLayer.DEVICE, "name": "kiosk-2"},
            SettingsFault.WRONG_AUDIENCE,
            id="another device's",
        ),
        pytest.param(
            {"layer": SettingsLayer.GROUP, "name": "lockers"},
            SettingsFault.WRONG_AUDIENCE,
            id="another group's",
        ),
        pytest.param({"schema_version": 2}, SettingsFault.SCHEMA_UNKNOWN, id="a schema to come"),
        pytest.param(
            {"smallest_agent": "0.10"}, SettingsFault.AGENT_TOO_OLD, id="0.10 is newer than 0.9.2"
        ),
        pytest.param(
            {"not_before_s": 1_001}, SettingsFault.TOO_EARLY, id="a second before its window"
        ),
        pytest.param(
            {"expires_at_s": 1_000}, SettingsFault.EXPIRED, id="the second its window closes"
        ),
        pytest.param({"rev": 0}, DocumentFault.CONTENT, id="no revision"),
        pytest.param({"name": "all"}, DocumentFault.CONTENT, id="a fleet with a name"),
        pytest.param({"smallest_agent": "new"}, DocumentFault.CONTENT, id="not a version"),
    ],
)
def test_a_document_for_another_device_software_or_time_is_refused_with_its_fault(change, fault):
    refusal = opened(sign_settings(dataclasses.replace(DOCUMENT, **change), OPS))
    assert isinstance(refusal, SettingsRefusal)
    assert refusal.fault is fault


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"layer": SettingsLayer.SITE, "name": "shop-1"}, id="its site's"),
        pytest.param({"layer": SettingsLayer.GROUP, "name": "kiosks"}, id="its group's"),
        pytest.param({"layer": SettingsLayer.DEVICE, "name": "kiosk-1"}, id="its own"),
        pytest.param({"smallest_agent": "0.9.2"}, id="just new enough"),
        pytest.param(
            {"not_before_s": 1_000, "expires_at_s": 1_001}, id="the one second of its window"
        ),
    ],
)
def test_a_document_for_this_device_software_and_time_is_read(change):
    assert opened(
        sign_settings(dataclasses.replace(DOCUMENT, **change), OPS)
    ) == dataclasses.replace(DOCUMENT, **change)


def test_a_document_of_an_unknown_key_is_refused():
    refusal = opened(sign_settings(DOCUMENT, UNKNOWN))
    assert isinstance(refusal, SettingsRefusal)
    assert refusal.fault is DocumentFault.KEY_UNKNOWN


def test_a_changed_byte_breaks_the_signature():
    raw = bytearray(sign_settings(DOCUMENT, OPS))
    raw[raw.index(b"40.5")] ^= 1
    refusal = opened(bytes(raw))
    assert isinstance(refusal, SettingsRefusal)
    assert refusal.fault is DocumentFault.SIGNATURE_INVALID


def test_a_document_of_another_purpose_is_refused():
    refusal = opened(sign_document({1: "main"}, Purpose.ENROLMENT, OPS))
    assert isinstance(refusal, SettingsRefusal)
    assert refusal.fault is DocumentFault.SIGNATURE_INVALID


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {1: "main"},
        [],
        7,
        {**dict.fromkeys(range(1, 11), 1)},
        {**dict.fromkeys(range(1, 11), ""), 10: "[]"},
    ],
    ids=str,
)
def test_a_signed_document_of_any_other_shape_is_refused(payload):
    refusal = opened(sign_document(payload, Purpose.CONFIGURATION, OPS))
    assert isinstance(refusal, SettingsRefusal)
    assert refusal.fault is DocumentFault.CONTENT


# RFC 7386, appendix A
@pytest.mark.parametrize(
    ("base", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_layers_merge_as_json_merge_patches(base, patch, merged):
    assert merge(base, patch) == merged


def test_the_narrower_layer_overrides_and_a_whole_layer_replaces_the_one_before_it():
    fleet = dataclasses.replace(
        DOCUMENT, content={"decode": {"budget_ms": 40.0, "hold_off_s": 2.0}}
    )
    site = SettingsDocument(
        tenant="main",
        layer=SettingsLayer.SITE,
        name="shop-1",
        rev=9,
        content={"decode": {"budget_ms": 55.0}},
    )
    profile = effective(SHIPPED, make_plan([layer_of(site, "s"), layer_of(fleet, "f")]).patches)
    assert isinstance(profile, Profile)
    assert (profile.decode.budget_ms, profile.decode.hold_off_s) == (55.0, 2.0)


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"device": {"id": "kiosk-2"}}, "device"),
        ({"trust": {"roots_file": "/tmp/mine"}}, "trust"),
        ({"schema_version": 1}, "schema_version"),
        ({"mqtt": {"key_file": "/tmp/mine"}}, "mqtt.key_file"),
        ({"mqtt": {"ca_file": "/tmp/mine"}}, "mqtt.ca_file"),
        ({"camera": {"path": "/etc"}}, "camera.path"),
        ({"mqtt": 7}, "mqtt"),
    ],
)
def test_identity_anchors_and_credentials_cannot_be_pushed(content, path):
    assert [error.path for error in forbidden(content)] == [path]


@pytest.mark.parametrize(
    ("content", "path"),
    [
        pytest.param({"decode": {"budget": 40}}, "decode.budget", id="an unknown key"),
        pytest.param({"decode": {"budget_ms": -1}}, "decode.budget_ms", id="a value out of range"),
        pytest.param({"mqtt": None}, "mqtt", id="the broker removed"),
        pytest.param(
            {"locker": {"compartments": {"A1": {"lock_pin": 5}}}},
            "locker.compartments.A1.lock_pin",
            id="a lock on a pin that is high while the board starts",
        ),
    ],
)
def test_an_error_is_named_by_its_path(content, path):
    errors = effective(SHIPPED, [content])
    assert isinstance(errors, list)
    assert path in [error.path for error in errors]


def test_pins_that_clash_are_refused_across_sections():
    errors = effective(SHIPPED, [{"locker": {"compartments": {"A1": {"lock_pin": 17}}}}])
    assert isinstance(errors, list)
    assert "17" in errors[0].message


def test_a_plan_is_known_by_its_hash_and_the_same_content_pushed_again_is_another():
    plan = make_plan([layer_of(DOCUMENT, "")])
    again = make_plan([layer_of(dataclasses.replace(DOCUMENT, rev=4), "")])
    assert read_plan(plan.to_bytes(), plan.digest) == plan
    assert read_plan(plan.to_bytes() + b" ", plan.digest) is None
    assert again.digest != plan.digest
