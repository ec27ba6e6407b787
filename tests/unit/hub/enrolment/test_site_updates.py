"""Renewed certificates, and what the enrolment service returns to a site authority."""

import getpass
import time

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sync.hub.config import HubAuthority, HubBroker, HubDevice, HubMqtt, PlatformService
from sync.hub.pki.certificate_authority import (
    issue_client,
    issue_server,
    load_certificate_authority,
    new_certificate_authority,
    reissue,
)
from sync.hub.site.broker_lists import SiteLists, SiteUpdatesError
from sync.hub.site.broker_provisioning import SiteBroker, provision_site_broker
from tests.support.enrolment_platform import Platform

NOW_S = int(time.time())
DAY_S = 86_400
AUTHORITY = "hub-shop-1"
SHORT = {"now_s": NOW_S, "days": 10 / DAY_S}


@pytest.fixture
def platform(tmp_path):
    made = Platform(tmp_path)
    authorities = (HubAuthority(id=AUTHORITY, site="shop-1"),)
    made.service.config = made.config.model_copy(update={"authority": authorities})
    yield made
    made.server.shutdown()
    made.server.server_close()


def loaded(credential):
    return x509.load_pem_x509_certificate(credential.certificate_pem)


def pem(certificate):
    return certificate.public_bytes(Encoding.PEM).decode()


def request(platform, peer, **certificates):
    body = {"certificates": {name: pem(certificate) for name, certificate in certificates.items()}}
    return platform.service.handle("/v1/site", body, peer=peer, address="127.0.0.1")


def test_a_renewed_certificate_has_the_same_name_purpose_hosts_and_key_and_a_later_end():
    authority = new_certificate_authority("ours", now_s=NOW_S)
    former = loaded(issue_server(authority, ["broker.shop", "127.0.0.1"], **SHORT))
    renewed = reissue(authority, former, now_s=NOW_S)
    assert renewed.subject == former.subject
    assert renewed.public_key() == former.public_key()
    assert list(renewed.extensions) == list(former.extensions)
    assert renewed.not_valid_after_utc > former.not_valid_after_utc
    assert renewed.serial_number != former.serial_number
    renewed.verify_directly_issued_by(authority.certificate)


def test_another_authoritys_certificate_is_not_renewed():
    ours, other = (new_certificate_authority("ours", now_s=NOW_S) for _ in range(2))
    with pytest.raises(ValueError, match="not issued by this authority"):
        reissue(ours, loaded(issue_client(other, "_hub", **SHORT)), now_s=NOW_S)


def test_a_devices_certificate_is_never_replaced_in_the_sites_folder(platform):
    authority = platform.service.authority
    for name in ("kiosk-1", "_hub"):
        platform.files.certificate(name).write_bytes(
            issue_client(authority, name, **SHORT).certificate_pem
        )
    before = platform.files.certificate("kiosk-1").read_bytes()
    platform.files.certificate("_late").write_bytes(
        issue_client(authority, "_late", now_s=NOW_S - 2 * DAY_S, days=1).certificate_pem
    )
    assert platform.service.renew_own() == ["_hub", "_late"], (
        "also one that expired while the service was down"
    )
    assert platform.files.certificate("kiosk-1").read_bytes() == before, (
        "its number is what would be revoked"
    )
    assert platform.service.renew_own() == []


def test_what_was_revoked_is_not_renewed_in_the_sites_folder(platform):
    authority = platform.service.authority
    revoked, gone = (loaded(issue_client(authority, name, **SHORT)) for name in ("_hub", "_ops"))
    for name, certificate in (("_hub", revoked), ("_ops", gone)):
        platform.files.certificate(name).write_text(pem(certificate))
    with platform.store.transaction() as connection:
        connection.execute(
            "INSERT INTO revoked_certificate VALUES (?, ?)", (f"{revoked.serial_number:x}", NOW_S)
        )
    revoke_device(platform, "_ops")
    assert platform.service.renew_own() == []


def test_only_what_is_about_to_end_and_is_not_revoked_is_renewed(platform):
    authority = platform.service.authority
    peer = loaded(issue_client(authority, AUTHORITY, now_s=NOW_S))
    due, revoked = (loaded(issue_client(authority, "_bridge-shop-1", **SHORT)) for _ in range(2))
    with platform.store.transaction() as connection:
        connection.execute(
            "INSERT INTO revoked_certificate VALUES (?, ?)", (f"{revoked.serial_number:x}", NOW_S)
        )
    foreign = loaded(
        issue_client(new_certificate_authority("other", now_s=NOW_S), AUTHORITY, **SHORT)
    )
    answer = request(platform, peer, due=due, revoked=revoked, foreign=foreign, fresh=peer)
    assert set(answer["certificates"]) == {"due"}
    assert answer["crl"] == platform.files.revocations.read_text()


def test_no_devices_certificate_is_renewed_by_way_of_a_shop(platform):
    """It renews its own, with a new key; and one that was put out has none at all."""
    authority = platform.service.authority
    enrolled, issued, configured, gone, host = (
        "kiosk-4",
        "kiosk-5",
        "kiosk-1",
        "kiosk-6",
        "kiosk-4",
    )
    with platform.store.transaction() as connection:
        connection.execute(
            "INSERT INTO enrolled_device VALUES (?, 'shop-1', '[]', '', 0)", (enrolled,)
        )
        connection.execute("INSERT INTO device_certificate VALUES ('1', ?, 0, 0)", (issued,))
    revoke_device(platform, gone)
    platform.service.config = platform.service.config.model_copy(
        update={"device": (HubDevice(id=configured, site="shop-1"),)}
    )
    peer = loaded(issue_client(authority, AUTHORITY, now_s=NOW_S))
    due = {
        name: loaded(issue_client(authority, name, **SHORT))
        for name in (enrolled, issued, configured, gone)
    }
    assert request(platform, peer, **due, host=loaded(issue_server(authority, [host], **SHORT)))[
        "certificates"
    ].keys() == {"host"}


def test_an_expired_certificate_and_the_authoritys_own_are_not_renewed(platform):
    authority = platform.service.authority
    peer = loaded(issue_client(authority, AUTHORITY, now_s=NOW_S))
    ended = loaded(issue_client(authority, "_bridge-shop-1", now_s=NOW_S - 2 * DAY_S, days=1))
    own = reissue(authority, authority.certificate, now_s=NOW_S, days=10 / DAY_S)
    assert request(platform, peer, ended=ended, own=own)["certificates"] == {}


def test_a_revoked_authority_is_refused_under_every_serial_number_that_it_had(platform):
    peer = loaded(issue_client(platform.service.authority, AUTHORITY, **SHORT))
    renewed = x509.load_pem_x509_certificate(
        request(platform, peer, own=peer)["certificates"]["own"].encode()
    )
    revoke_device(platform, AUTHORITY)
    listed = x509.load_pem_x509_crl(platform.files.revocations.read_bytes())
    assert {item.serial_number for item in listed} == {peer.serial_number, renewed.serial_number}
    again = loaded(issue_client(platform.service.authority, AUTHORITY, now_s=NOW_S))
    assert request(platform, again).reason == "certificate_revoked"


@pytest.mark.parametrize("name", ["kiosk-1", "_hub", "hub-shop-2"])
def test_a_client_that_is_no_site_authority_is_refused(platform, name):
    authority = load_certificate_authority(
        platform.files.ca.read_bytes(), platform.files.key("ca").read_bytes()
    )
    stranger = loaded(issue_client(authority, name, now_s=NOW_S))
    assert request(platform, stranger).reason == "not_an_authority"
    assert platform.refusals()[-1] == "not_an_authority"


def test_a_client_without_a_certificate_or_with_a_revoked_one_is_refused(platform):
    assert request(platform, None).reason == "no_certificate"
    peer = loaded(issue_client(platform.service.authority, AUTHORITY, now_s=NOW_S))
    with platform.store.transaction() as connection:
        connection.execute(
            "INSERT INTO revoked_certificate VALUES (?, ?)", (f"{peer.serial_number:x}", NOW_S)
        )
    assert request(platform, peer).reason == "certificate_revoked"


@pytest.fixture
def shop(platform, tmp_path):
    """Make a shop's folder, and its updates from the enrolment service over real TLS."""
    at = SiteBroker(
        site="shop-1",
        devices=("kiosk-1",),
        platform=("127.0.0.1", 1),
        user=getpass.getuser(),
        grant_key=tmp_path / "grant.pem",
        roots=tmp_path / "roots.cbor",
    )
    files = provision_site_broker(tmp_path / "shop", at, platform.files, now_s=NOW_S)
    name = f"{AUTHORITY}.pem"
    lists = SiteLists(
        tenant="main",
        site="shop-1",
        devices=at.devices,
        folder=files.folder,
        log=structlog.get_logger(),
        broker=HubBroker(
            acl_file="acl", acl_base_file="acl.base", crl_file="crl.pem", pid_file="mosquitto.pid"
        ),
        service=PlatformService(host="127.0.0.1", port=platform.config.enrolment.port),
        mqtt=HubMqtt(
            host="localhost", ca_file="ca.pem", cert_file=name, key_file=f"{AUTHORITY}.key"
        ),
    )
    return files, lists


def revoke_device(platform, dev):
    with platform.store.transaction() as connection:
        connection.execute(
            "INSERT INTO revocation VALUES (?, ?, ?, ?, ?)", (dev, b"", "trial", NOW_S, "confirmed")
        )
    platform.access.refresh(NOW_S)


def test_a_shop_takes_over_revocations_and_changes_nothing_the_second_time(platform, shop):
    files, lists = shop
    assert lists.refresh() == []
    revoke_device(platform, "kiosk-1")
    assert sorted(lists.refresh()) == ["acl", "crl.pem"]
    assert files.revocations.read_bytes() == platform.files.revocations.read_bytes()
    assert "user kiosk-1\ntopic deny #" in (files.folder / "acl").read_text()
    assert lists.refresh() == []


def test_another_shops_devices_do_not_come_into_a_shops_list(platform, shop):
    files, lists = shop
    revoke_device(platform, "kiosk-9")
    lists.refresh()
    assert "kiosk-9" not in (files.folder / "acl").read_text()


def test_without_the_service_a_shops_files_stay_as_they_are_and_the_log_has_the_reason(
    platform, shop
):
    files, lists = shop
    before = {path.name: path.read_bytes() for path in files.folder.iterdir() if path.is_file()}
    platform.server.shutdown()
    platform.server.server_close()
    with pytest.raises(SiteUpdatesError, match=str(platform.config.enrolment.port)):
        lists.refresh()
    assert {
        path.name: path.read_bytes() for path in files.folder.iterdir() if path.is_file()
    } == before


@pytest.mark.parametrize(
    "change",
    [
        {"revoked": ["kiosk-1"]},
        {"revoked": None},
        {"certificates": []},
        {"certificates": "none"},
        {"crl": 1},
        {"certificates": {"no-such-file": "-"}},
    ],
)
def test_a_reply_of_another_shape_is_named_and_asked_for_again(platform, shop, monkeypatch, change):
    files, lists = shop
    answer = {"crl": files.revocations.read_text(), "revoked": {}, "certificates": {}}
    before = {path.name: path.read_bytes() for path in files.folder.iterdir() if path.is_file()}
    monkeypatch.setattr(
        "sync.hub.enrolment.enrolment_service.site_updates", lambda *_, **__: answer | change
    )
    with pytest.raises(SiteUpdatesError, match="the reply cannot be read"):
        lists.refresh()
    assert {
        path.name: path.read_bytes() for path in files.folder.iterdir() if path.is_file()
    } == before
    monkeypatch.undo()
    assert lists.refresh() == []


def test_a_renewed_certificate_with_another_key_is_not_written(platform, shop, monkeypatch):
    files, lists = shop
    other = issue_client(
        platform.service.authority, "_bridge-shop-1", now_s=NOW_S
    ).certificate_pem.decode()
    answer = {
        "crl": files.revocations.read_text(),
        "revoked": {},
        "certificates": {"_bridge-shop-1": other},
    }
    monkeypatch.setattr(
        "sync.hub.enrolment.enrolment_service.site_updates", lambda *_, **__: answer
    )
    before = files.certificate("_bridge-shop-1").read_bytes()
    with pytest.raises(SiteUpdatesError, match="another key"):
        lists.refresh()
    assert files.certificate("_bridge-shop-1").read_bytes() == before
