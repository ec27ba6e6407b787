"""A site's own broker: its lists and certificates follow the platform, with real processes."""

import getpass
import os
import socket
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hardware_sim.run.process_stack import program
from hardware_sim.world.free_ports import free_port

from sync.hub.config import load_hub_config
from sync.hub.pki.certificate_authority import load_certificate_authority, reissue
from sync.hub.provisioning.platform_files import PlatformFiles
from sync.hub.site.broker_provisioning import SiteBroker, provision_site_broker
from tests.support.broker import MOSQUITTO, Process, until
from tests.support.fleet_environment import Platform

DEVICE = "locker-1"
SHORT_S = 25  # what is left to a certificate that is about to end
DAY_S = 86_400


def shorten(files: PlatformFiles, platform: PlatformFiles, *names: str) -> None:
    """As if two years had gone by: the certificates end in SHORT_S."""
    authority = load_certificate_authority(
        platform.ca.read_bytes(), platform.key("ca").read_bytes()
    )
    for name in names:
        certificate = x509.load_pem_x509_certificate(files.certificate(name).read_bytes())
        ending = reissue(authority, certificate, now_s=int(time.time()), days=SHORT_S / DAY_S)
        files.certificate(name).write_bytes(ending.public_bytes(Encoding.PEM))


class Shop:
    """A shop's broker and authority beside a platform."""

    def __init__(self, folder: Path, platform: Platform):
        hub_file = platform.sample.files.hub_config
        hub_file.write_text(
            hub_file.read_text() + '\n[[authority]]\nid = "hub-shop-1"\nsite = "shop-1"\n'
        )
        hub = load_hub_config(hub_file)
        keys = platform.folder / "keys"
        self.at = SiteBroker(
            site="shop-1",
            devices=(DEVICE,),
            port=free_port(),
            platform=("127.0.0.1", hub.mqtt.port),
            enrolment_port=hub.enrolment.port,
            user=getpass.getuser(),
            grant_key=keys / "grant.pem",
            roots=platform.sample.files.folder.parent / "keys" / "roots.cbor",
        )
        self.files = provision_site_broker(
            folder, self.at, platform.sample.files, now_s=int(time.time())
        )
        config = folder / "authority.toml"
        config.write_text(config.read_text().replace("[enrolment]", "[enrolment]\nevery_s = 1.0"))
        self.broker = Process(
            [MOSQUITTO, "-c", str(self.files.broker_config)], folder / "mosquitto.log"
        )
        command = [program("edge-hub"), "authority", "run", "--config", str(config)]
        self.authority = Process(command, folder / "authority.log")


def says(port: int, files: PlatformFiles, name: str, ca: Path) -> str:
    """Return why a server refuses the certificate of ``name``; "" where it accepts it."""
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(files.certificate(name), files.key(name))
    try:
        with context.wrap_socket(
            socket.create_connection(("127.0.0.1", port), 5), server_hostname="localhost"
        ) as line:
            line.settimeout(0.7)
            line.recv(1)
    except TimeoutError:
        return ""
    except OSError as error:
        return str(error)
    return "closed"


def end_s(port: int) -> float:
    """When the certificate ends that is shown at ``port``."""
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=5)
    return x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc.timestamp()


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    (folder / "platform").mkdir()
    platform = Platform(folder / "platform")
    shop = Shop(folder / "shop", platform)
    files = platform.sample.files
    shorten(files, files, "broker", "enrolment", "_hub", "_fleet")
    shorten(shop.files, files, "broker", shop.at.bridge)
    issued_s = time.time()
    former = os.umask(0o077)  # as the units have it
    try:
        with shop.broker, platform, shop.authority:
            yield platform, shop, issued_s
    finally:
        os.umask(former)


def test_every_certificate_of_the_platform_and_of_a_site_is_replaced_before_it_ends(field):
    platform, shop, issued_s = field
    hub = load_hub_config(platform.sample.files.hub_config)
    for port in (hub.mqtt.port, hub.enrolment.port, shop.at.port):
        until(
            lambda port=port: end_s(port) > time.time() + 800 * DAY_S,
            15,
            f"a longer one is shown at {port}",
        )
    for files, names in (
        (platform.sample.files, ("_hub", "_fleet")),
        (shop.files, (shop.at.bridge,)),
    ):
        for name in names:
            certificate = x509.load_pem_x509_certificate(files.certificate(name).read_bytes())
            assert certificate.not_valid_after_utc.timestamp() > time.time() + 800 * DAY_S, name
    assert certificate_mode(platform.sample.files.certificate("_hub")) == 0o644, (
        "the hub is another user"
    )
    time.sleep(max(0.0, issued_s + SHORT_S + 1 - time.time()))
    for port in (hub.mqtt.port, shop.at.port):
        assert says(port, platform.sample.files, DEVICE, platform.sample.files.ca) == "", (
            "after the former one's end"
        )
    assert platform.json("status", code=None), "ops' own certificate was renewed as well"


def certificate_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_device_that_is_revoked_is_cut_off_at_its_sites_broker_as_well(field):
    platform, shop, _ = field
    here = (shop.at.port, platform.sample.files, DEVICE, platform.sample.files.ca)
    assert says(*here) == ""
    platform.fleet("revoke", DEVICE, "--reason", "stolen", "--now", "--yes", "--wait", "10")
    until(
        lambda: "revoked" in says(*here),
        20,
        lambda: f"the shop refuses it; {shop.authority.text[-1500:]}",
    )
    acl = (shop.files.folder / "acl").read_text()
    assert f"user {DEVICE}\ntopic deny #" in acl
    assert says(shop.at.port, shop.files, shop.at.authority, platform.sample.files.ca) == "", (
        "no other device is refused"
    )
