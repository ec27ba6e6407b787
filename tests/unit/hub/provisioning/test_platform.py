"""A platform's folder: made once, and then only extended."""

from dataclasses import replace

import pytest

from sync.hub.config import load_hub_config
from sync.hub.pki.broker_access import acl_lines
from sync.hub.provisioning.platform import provision
from sync.hub.provisioning.platform_files import ProvisioningError
from sync.hub.provisioning.platform_record import recorded_spec
from sync.hub.provisioning.platform_spec import PlatformDocuments, PlatformSpec

NOW_S = 1_800_000_000
SPEC = PlatformSpec(
    tenant="shops",
    host="broker.example",
    port=18_883,
    hubs=2,
    database="postgresql://hub:secret@db/hub",
    devices={"kiosk-1": "shop-1"},
)


@pytest.fixture
def documents(tmp_path):
    return PlatformDocuments(
        order_feed_key=tmp_path / "keys" / "order_feed.pem", trust_list=tmp_path / "trust.cose"
    )


def contents(folder) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_second_run_changes_no_byte(tmp_path, documents):
    folder = tmp_path / "site"
    provision(folder, SPEC, documents, now_s=NOW_S)
    before = contents(folder)
    provision(folder, recorded_spec(folder), documents, now_s=NOW_S + 86_400)
    assert contents(folder) == before


def test_a_second_run_adds_its_devices_and_leaves_what_people_and_services_wrote(
    tmp_path, documents
):
    folder = tmp_path / "site"
    files = provision(folder, SPEC, documents, now_s=NOW_S)
    authority = '\n[[authority]]\nid = "hub-shop-1"\nsite = "shop-1"\n'
    files.hub_config.write_text(files.hub_config.read_text() + authority)
    acl = folder / "acl"
    acl.write_text(acl.read_text() + acl_lines("shops", {"till-9": "shop-9"}, {"till-8": "cut"}))
    before = contents(folder)
    provision(folder, replace(SPEC, devices={"kiosk-2": "shop-2"}), None, now_s=NOW_S)
    provision(folder, replace(SPEC, devices={"till-8": "shop-1"}), documents, now_s=NOW_S)
    after = contents(folder)
    assert all(after[name][0].startswith(text) for name, (text, _) in before.items())
    assert all(after[name][1] == mode for name, (_, mode) in before.items())
    config = load_hub_config(files.hub_config)
    assert {device.id: device.site for device in config.device} == {
        "kiosk-1": "shop-1",
        "kiosk-2": "shop-2",
        "till-8": "shop-1",
    }
    assert [item.id for item in config.authority] == ["hub-shop-1"]
    added = acl.read_text().removeprefix(before["acl"][0].decode())
    assert added == acl_lines("shops", {"kiosk-2": "shop-2"}, {}), "a revoked one gets no rights"


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "other"},
        {"port": 9_999},
        {"host": "other.example"},
        {"database": None},
        {"hubs": 3},
        {"devices": {"kiosk-1": "shop-2"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_second_run_that_contradicts_the_first_is_refused_and_changes_nothing(
    tmp_path, documents, change
):
    folder = tmp_path / "site"
    provision(folder, SPEC, documents, now_s=NOW_S)
    before = contents(folder)
    with pytest.raises(ProvisioningError, match="was asked for"):
        provision(folder, replace(SPEC, **change), documents, now_s=NOW_S)
    assert contents(folder) == before


def test_only_its_owner_reads_what_holds_a_secret(tmp_path, documents):
    folder = tmp_path / "site"
    files = provision(folder, SPEC, documents, now_s=NOW_S)
    shown = [
        name
        for name, (text, mode) in contents(folder).items()
        if b"secret" in text and mode & 0o077
    ]
    assert not shown
    assert files.hub_config.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["_hub", "_fleet", "_all", "site-1", "hub-1", "ca", "a b", ""])
def test_a_name_that_no_device_may_have_is_refused(tmp_path, name):
    with pytest.raises(ProvisioningError):
        provision(tmp_path / "s", replace(SPEC, devices={name: "shop-1"}), None, now_s=NOW_S)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("change", [{"tenant": "a/b"}, {"devices": {"kiosk-1": "#"}}])
def test_a_tenant_or_site_that_is_no_name_is_refused(tmp_path, change):
    with pytest.raises(ProvisioningError, match="a name has"):
        provision(tmp_path / "s", replace(SPEC, **change), None, now_s=NOW_S)
