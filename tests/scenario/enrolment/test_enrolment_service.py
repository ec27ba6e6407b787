"""The enrolment service over real TLS on a loopback port: what it issues, refuses and records."""

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hardware_sim.world.free_ports import free_port

from edge.config import Profile
from edge.documents import enrolment_code
from edge.documents.enrolment_code import open_enrolment_code
from edge.enrolment.handover import EnrolmentMailbox
from edge.identity.identity import read_identity
from edge.settings.active_profile import load_active_profile
from edge.store import documents, outbox
from edge.store.opening import open_for_reading, open_for_work
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.trust.anchors import load_roots
from edge.values.instant import ClockTrust, Instant
from sync.agent.enrolment.enrolment import enrol, renew
from sync.agent.enrolment.enrolment_error import EnrolmentError
from sync.agent.enrolment.runner import trusted_keys
from sync.hub.enrolment.https_server import DEADLINE_S
from sync.hub.fleet.request_error import RequestError
from sync.hub.pki.broker_access import acl_lines
from sync.hub.pki.certificate_authority import Credential, load_certificate_authority
from sync.hub.store.fleet.fleet_store import open_fleet_store
from sync.mqtt.tls import renewal_due
from sync.wire.topics import Down, Up
from tests.support.broker import Process, until
from tests.support.certificates import without_authority_key_identifier
from tests.support.enrolment_platform import NOW, PROFILE, Platform
from tests.support.paths import ROOT
from tests.support.platform_processes import BIN


@pytest.mark.parametrize(
    ("folder_mode", "file_mode"), [(0o2770, 0o660), (0o700, 0o600), (0o755, 0o600)]
)
def test_the_fleets_store_is_shared_with_a_group_only_where_its_folder_is(
    tmp_path, folder_mode, file_mode
):
    folder = tmp_path / "hub"
    folder.mkdir()
    folder.chmod(folder_mode)
    former = os.umask(0o077)
    try:
        store = open_fleet_store(folder)
    finally:
        os.umask(former)
    with store.transaction() as connection:
        connection.execute("DELETE FROM enrolment_refusal")
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {file_mode}
        assert (folder / "fleet.db-wal").exists()


@pytest.fixture
def platform(tmp_path):
    platform = Platform(tmp_path)
    yield platform
    platform.server.shutdown()
    platform.server.server_close()


@pytest.fixture
def device(tmp_path):
    """Make the data folder of a factory-fresh device."""
    (tmp_path / "profile.toml").write_text(PROFILE)
    (tmp_path / "device").mkdir()
    return tmp_path / "device"


def refused(text: str, device: Path, **more) -> str:
    with pytest.raises(EnrolmentError) as raised:
        enrol(text, device, keys=None, now=NOW, **more)
    assert read_identity(device) is None, "nothing of an identity is there"
    return raised.value.reason


def redeem_a_code(device: Path) -> None:
    """From here on the store owes the platform an event."""
    store = open_for_work(device)
    with store.transaction() as connection:
        outbox.append(connection, type="redemption", body={}, now=NOW, id="1")
    store.close()


def test_a_code_makes_a_device_of_the_fleet(platform, device, tmp_path):
    enrol(platform.code(), device, keys=None, now=NOW)
    running = load_active_profile(tmp_path / "profile.toml", device)
    assert isinstance(running.profile, Profile)
    who = running.profile.device
    assert (who.id, who.site, who.groups, who.kind) == ("kiosk-7", "shop-1", ("kiosks",), "kiosk")
    store = open_for_reading(device)
    assert documents.find_document(store, documents.TRUST_LIST) is not None, (
        "it can verify codes before it meets a broker"
    )
    store.close()
    certificate = x509.load_pem_x509_certificate(Path(running.profile.mqtt.cert_file).read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=kiosk-7"
    assert oct(Path(running.profile.mqtt.key_file).stat().st_mode)[-3:] == "600"
    assert (
        "user kiosk-7\ntopic read v1/main/site-shop-1/dn/#"
        in (platform.files.folder / "acl").read_text()
    )


def test_a_board_without_a_clock_enrols_too(platform, device):
    assert enrol(
        platform.code(), device, keys=None, now=Instant(unix_s=0, trust=ClockTrust.FLOOR_ONLY)
    )


def test_a_code_is_used_once_and_a_second_device_is_refused_and_recorded(
    platform, device, tmp_path
):
    code = platform.code()
    enrol(code, device, keys=None, now=NOW)
    assert refused(code, tmp_path / "thief") == "code_reused"
    assert platform.refusals() == ["code_reused"]


def test_a_code_that_was_used_twice_shows_in_the_state_of_the_fleet(platform, device, tmp_path):
    code = platform.code()
    enrol(code, tmp_path / "thief", keys=None, now=NOW)
    assert refused(code, device) == "code_reused"
    (alarm,) = platform.fleet._enrolments()["alarms"]
    assert (alarm["dev"], alarm["times"]) == ("kiosk-7", 1)


def slow_client(platform: Platform, address: str, begun: bytes) -> socket.socket:
    """Connect from ``address`` and send ``begun``, which is no whole request."""
    plain = socket.create_connection(
        ("127.0.0.1", platform.config.enrolment.port), source_address=(address, 0)
    )
    if not begun:
        return plain  # not even a handshake
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    secured = context.wrap_socket(plain)
    secured.sendall(begun)
    return secured


def test_slow_connections_shut_no_other_address_out_and_end_by_their_deadline(platform, device):
    """Each sends a byte now and then, so that no single read takes long."""
    begun = (
        b"",
        b"POST /v1/enrol HTTP/1.1\r\nX: ",
        b"POST /v1/enrol HTTP/1.1\r\nContent-Length: 99\r\n\r\n{",
    )
    began_s = time.monotonic()
    slow = []
    for number in range(40):
        with suppress(OSError):  # beyond its share
            slow.append(slow_client(platform, "127.0.0.2", begun[number % 3]))
    enrol(platform.code(), device, keys=None, now=NOW)
    assert time.monotonic() - began_s < DEADLINE_S

    def all_have_ended() -> bool:
        for client in list(slow):
            with suppress(BlockingIOError, ssl.SSLWantReadError):
                client.setblocking(False)
                try:
                    client.send(b"x")
                    ended = client.recv(100) == b""
                except (BlockingIOError, ssl.SSLWantReadError):
                    ended = False
                except OSError:
                    ended = True
                if ended:
                    client.close()
                    slow.remove(client)
        return not slow

    until(all_have_ended, what=lambda: f"{len(slow)} slow clients are still served")
    assert time.monotonic() - began_s < 2 * DEADLINE_S


@pytest.mark.parametrize("name", ["_hub", "_fleet", "_all", "site-shop-1", "hub-shop-1", "ca"])
def test_a_code_for_a_reserved_name_is_refused_by_every_party(platform, device, name, monkeypatch):
    with pytest.raises(ValueError, match="reserved"):
        platform.code(device=name, given_out=False)
    with monkeypatch.context() as unchecked:  # as if operations had signed it with another program
        unchecked.setattr(enrolment_code, "name_fault_of", lambda _: None)
        text = platform.code(device=name, given_out=False)
    with pytest.raises(RequestError, match="reserved"):
        platform.fleet._open_enrolment(text)
    assert refused(text, device) == "name_not_allowed"
    monkeypatch.setattr("sync.agent.enrolment.enrolment.name_fault_of", lambda _: None)
    assert refused(text, device) == "name_not_allowed"
    assert platform.refusals() == ["name_not_allowed"]


def test_a_reply_that_was_lost_is_repeated_for_the_same_device(platform, device):
    code = platform.code()
    first = enrol(code, device, keys=None, now=NOW)
    key = next((device / "identity").glob("device-*.key")).read_bytes()
    (device / "identity" / f"new-{first.code}.key").write_bytes(key)
    (device / "identity" / "identity.json").unlink()
    assert enrol(code, device, keys=None, now=NOW).profile == first.profile
    assert platform.refusals() == []


def test_a_code_that_was_not_put_away_in_time_does_not_look_like_a_theft(platform, device):
    code = platform.code()
    first = enrol(code, device, keys=None, now=NOW)
    assert enrol(code, device, keys=platform.service.keys(), now=NOW) == first
    assert platform.refusals() == []


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda p: p.code(given_out=False), "code_unknown", id="never given out"),
        pytest.param(
            lambda p: p.code(given_out=False, expires_at_s=NOW.unix_s - 1),
            "code_expired",
            id="expired a second ago",
        ),
        pytest.param(
            lambda p: p.code(
                given_out=False, signed_by=signer(ec.generate_private_key(ec.SECP256R1()))
            ),
            "code_not_verified",
            id="signed by a stranger",
        ),
        pytest.param(
            lambda p: p.code(given_out=False, signed_by=p.keys.signer(Purpose.CONFIGURATION)),
            "code_not_verified",
            id="signed with a key for something else",
        ),
        pytest.param(
            lambda p: p.code(given_out=False, tenant="other"),
            "code_of_another_tenant",
            id="another tenant's",
        ),
        pytest.param(
            lambda p: p.code(serial="1000abcd"), "code_for_another_board", id="for another board"
        ),
    ],
)
def test_an_invalid_code_is_refused_and_recorded(platform, device, make, reason):
    assert refused(make(platform), device) == reason
    assert platform.refusals() == [reason]


def test_a_code_is_refused_when_it_has_expired_by_the_clock_of_the_service(platform, device):
    code = platform.code()
    platform.now_s += 900
    assert refused(code, device) == "code_expired"


def test_a_cancelled_code_is_refused_and_a_new_code_cancels_the_one_before(platform, device):
    first = platform.code()
    platform.code()
    assert refused(first, device) == "code_cancelled"


def test_nothing_is_sent_to_a_service_that_the_code_does_not_name(platform, device):
    assert refused(platform.code(service_pin=bytes(16)), device) == "wrong_service"
    assert platform.refusals() == []


def test_a_service_with_other_roots_is_not_believed(platform, device):
    assert refused(platform.code(roots_pin=bytes(16)), device) == "wrong_roots"


def test_a_service_that_is_not_reached_can_be_tried_again(platform, device):
    with pytest.raises(EnrolmentError) as raised:
        enrol(platform.code(port=free_port()), device, keys=None, now=NOW)
    assert raised.value.again


@pytest.mark.parametrize("text", ["EN1:", "EN1:AAAA", "ES1:AAAA", "", "EN1:" + "A" * 2000])
def test_what_is_no_code_is_not_sent_to_the_service(device, text):
    assert refused(text, device) == "code_malformed"


def test_a_device_of_a_fleet_is_not_taken_over_by_another_one(platform, device, tmp_path):
    (tmp_path / "other").mkdir()
    other = Platform(tmp_path / "other")
    try:
        enrol(platform.code(), device, keys=None, now=NOW)
        with pytest.raises(EnrolmentError) as raised:
            enrol(other.code(), device, keys=platform.service.keys(), now=NOW)
        assert raised.value.reason == "code_not_verified"
        assert read_identity(device).device == "kiosk-7"
    finally:
        other.server.shutdown()
        other.server.server_close()


def test_only_its_own_fleet_enrols_a_device_again_that_lost_its_store_and_identity(
    platform, device, tmp_path
):
    enrol(platform.code(), device, keys=None, now=NOW)
    (device / "identity" / "identity.json").write_bytes(b"{")
    for path in device.glob("store.db*"):
        path.unlink()
    knows = trusted_keys(device, load_roots(device / "identity" / "roots.cbor"))
    (tmp_path / "other").mkdir()
    other = Platform(tmp_path / "other")
    try:
        with pytest.raises(EnrolmentError, match="another fleet"):
            enrol(other.code(), device, keys=knows, now=NOW)
    finally:
        other.server.shutdown()
        other.server.server_close()
    assert enrol(platform.code(), device, keys=knows, now=NOW).device == "kiosk-7"


def test_what_one_device_redeemed_never_becomes_anothers_and_the_code_is_not_used(platform, device):
    identity = enrol(platform.code(), device, keys=None, now=NOW)
    redeem_a_code(device)
    code = platform.code(device="kiosk-8")
    with pytest.raises(EnrolmentError) as raised:
        enrol(code, device, keys=platform.service.keys(), now=NOW)
    assert raised.value.reason == "code_for_another_device"
    assert "print a code for kiosk-7" in raised.value.detail
    assert read_identity(device) == identity
    for path in list(device.glob("store.db*")):
        path.rename(path.with_name(f"kept-{path.name}"))
    assert enrol(code, device, keys=platform.service.keys(), now=NOW).device == "kiosk-8", (
        "as the message says"
    )


def test_a_sync_process_with_anothers_store_says_so_and_waits_for_the_code_that_repairs_it(
    platform, device, tmp_path
):
    enrol(platform.code(), device, keys=None, now=NOW)
    redeem_a_code(device)
    identity = device / "identity" / "identity.json"
    identity.write_text(identity.read_text().replace('"id": "kiosk-7"', '"id": "kiosk-8"'))
    command = [
        "edge-sync",
        "run",
        "--profile",
        str(tmp_path / "profile.toml"),
        "--data",
        str(device),
    ]
    with Process([str(BIN / command[0]), *command[1:]], tmp_path / "sync.log") as sync:
        until(lambda: '"store_unavailable"' in sync.text, what=lambda: sync.text)
        assert "the store is of device kiosk-7, this is kiosk-8: start with" in sync.text
        EnrolmentMailbox(device).write_code(platform.code())
        until(lambda: '"started"' in sync.text, what=lambda: sync.text)
        assert read_identity(device).device == "kiosk-7"
        assert sync.stop() == 0
    assert "Traceback" not in sync.text


def test_enrolling_a_name_again_revokes_the_certificates_of_the_device_before(
    platform, device, tmp_path
):
    enrol(platform.code(), device, keys=None, now=NOW)
    enrol(platform.code(), tmp_path / "second", keys=None, now=NOW)
    crl = x509.load_pem_x509_crl((platform.files.folder / "crl.pem").read_bytes())
    assert len(list(crl)) == 1
    with pytest.raises(EnrolmentError):
        renew(device, read_identity(device))
    assert platform.refusals() == ["certificate_revoked"]


def test_a_certificate_is_exchanged_for_one_with_another_key(platform, device):
    before = enrol(platform.code(), device, keys=None, now=NOW)
    after = renew(device, before)
    assert after.profile["mqtt"]["key_file"] != before.profile["mqtt"]["key_file"]
    assert read_identity(device) == after
    assert not Path(before.profile["mqtt"]["key_file"]).exists(), "the old key is gone"
    assert renew(device, after).profile != after.profile


def test_a_client_certificate_that_is_not_strictly_valid_is_refused_before_any_request(
    platform, device
):
    """By RFC 5280; on either release, whatever Python's default is there."""
    identity = enrol(platform.code(), device, keys=None, now=NOW)
    mqtt = identity.profile["mqtt"]
    authority = load_certificate_authority(
        platform.files.ca.read_bytes(), platform.files.key("ca").read_bytes()
    )
    valid = Credential(Path(mqtt["cert_file"]).read_bytes(), Path(mqtt["key_file"]).read_bytes())
    Path(mqtt["cert_file"]).write_bytes(
        without_authority_key_identifier(authority, valid).certificate_pem
    )
    with pytest.raises(EnrolmentError) as raised:
        renew(device, identity)
    assert raised.value.reason == "service_unreachable"
    Path(mqtt["cert_file"]).write_bytes(valid.certificate_pem)
    assert renew(device, identity)


def test_a_certificate_is_renewed_in_the_last_third_of_its_time(platform, device):
    identity = enrol(platform.code(), device, keys=None, now=NOW)
    certificate = x509.load_pem_x509_certificate(
        Path(identity.profile["mqtt"]["cert_file"]).read_bytes()
    )
    start_s, end_s = (
        int(at.timestamp())
        for at in (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    )
    third = (end_s - start_s) // 3
    assert not renewal_due(certificate, end_s - third - 1)
    assert renewal_due(certificate, end_s - third)


def test_a_revoked_device_may_only_receive_its_revocation_and_confirm_it():
    lines = acl_lines("main", {"kiosk-1": "shop-1"}, {"kiosk-1": "ordered"})
    denied = {
        line.removeprefix("topic deny v1/main/kiosk-1/")
        for line in lines.splitlines()
        if "deny" in line
    }
    assert {"up/evt", "up/req", "up/status", "dn/ord", "dn/ack", "dn/trust"} < denied
    everything = {f"up/{channel}" for channel in Up} | {f"dn/{channel}" for channel in Down}
    assert everything - denied == {"up/cfg", "dn/cfg"}, "a channel to come is denied too"
    assert "site-shop-1" not in lines


def test_a_device_that_confirmed_its_revocation_may_do_nothing_at_all():
    assert (
        acl_lines("main", {"kiosk-1": "shop-1"}, {"kiosk-1": "confirmed"})
        == "\nuser kiosk-1\ntopic deny #\n"
    )


def test_a_code_that_was_signed_for_enrolment_is_no_token_of_a_later_time(platform):
    from edge.documents.enrolment_code import message_of

    message = message_of(platform.code())
    refusal = open_enrolment_code(
        message, platform.service.keys(), now=Instant(unix_s=NOW.unix_s + 900)
    )
    assert refusal.fault == "document_expired"


@pytest.fixture(scope="module")
def dies():
    """Return whether enrolment dies at its ``at``-th write; False when it ran to its end."""
    command = [sys.executable, "-m", "tests.support.dying_enrolment"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:

        def enrolling(code: str, data: Path, *, at: int, before: bool) -> bool:
            task = {
                "code": code,
                "data": str(data),
                "now_s": NOW.unix_s,
                "at": at,
                "before": before,
            }
            print(json.dumps(task), file=process.stdin)
            exit_code = int(process.stdout.readline())
            assert exit_code in (0, 9)
            return exit_code == 9

        yield enrolling


@pytest.mark.parametrize(
    "before", [True, False], ids=["before it is on disk", "after it is on disk"]
)
def test_a_cut_at_any_step_of_enrolling_ends_in_the_same_identity(
    platform, device, dies, tmp_path, before
):
    at, died = 0, True
    while died:
        at += 1
        data, code = tmp_path / f"cut-{at}", platform.code()
        died = dies(code, data, at=at, before=before)
        identity = enrol(code, data, keys=None, now=NOW)
        assert read_identity(data) == identity
        assert Path(identity.profile["mqtt"]["key_file"]).exists()
    assert at > 4
    assert platform.refusals() == [], "the same device may ask again"
