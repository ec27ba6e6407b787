"""An enrolment service over TLS on a loopback port, the fleet service, and the keys of ops."""

import getpass
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hardware_sim.world.free_ports import free_port

from edge.documents.enrolment_code import (
    EnrolmentCode,
    pin_of,
    sign_enrolment_code,
)
from edge.token.purpose import Purpose
from edge.values.instant import ClockTrust, Instant
from sync.fleet.key_folder import KeyFolder
from sync.hub.config import load_hub_config
from sync.hub.enrolment.enrolment_service import EnrolmentService
from sync.hub.enrolment.https_server import EnrolmentServer
from sync.hub.fleet.fleet_service import FleetService
from sync.hub.fleet.trusted_keys import ListedKeys
from sync.hub.pki.broker_access import BrokerAccess
from sync.hub.pki.certificate_authority import load_certificate_authority
from sync.hub.provisioning.platform import provision
from sync.hub.provisioning.platform_spec import PlatformDocuments, PlatformSpec
from sync.hub.store.fleet.fleet_store import open_fleet_store
from tests.support.platform_processes import Keys

NOW = Instant(unix_s=int(time.time()), trust=ClockTrust.FLOOR_ONLY)
PROFILE = (
    '[device]\nid = "new"\nsite = "none"\nkind = "kiosk"\n\n[trust]\nroots_file = "none.cbor"\n'
)
LOG = structlog.wrap_logger(
    structlog.testing.CapturingLogger(), processors=[structlog.testing.LogCapture()]
)


class Platform:
    """A running enrolment service, the fleet service that takes codes, and the operations keys."""

    def __init__(self, folder: Path):
        self.keys: KeyFolder = Keys(folder / "keys").folder
        (folder / "trust.cose").write_bytes(Keys.trust_list(self._with(folder), 1))
        site = PlatformSpec(
            port=free_port(),
            enrolment_port=free_port(),
            devices={"kiosk-1": "shop-1"},
            user=getpass.getuser(),
        )
        listed = PlatformDocuments(
            order_feed_key=folder / "keys" / "order_feed.pem", trust_list=folder / "trust.cose"
        )
        self.files = provision(folder / "site", site, listed, now_s=NOW.unix_s)
        config = load_hub_config(self.files.hub_config)
        self.store = open_fleet_store(folder / "hub")
        self.now_s = NOW.unix_s
        self.config = config
        trusted = ListedKeys(folder / "trust.cose")
        authority = load_certificate_authority(
            self.files.ca.read_bytes(), self.files.key("ca").read_bytes()
        )
        self.access = BrokerAccess(config, config.broker, authority, self.store)
        self.service = EnrolmentService(
            config,
            config.enrolment,
            self.store,
            authority,
            self.access,
            trusted,
            lambda: self.now_s,
            LOG,
        )
        self.fleet = FleetService(
            config, self.store, keys=trusted, now_s=lambda: self.now_s, log=LOG
        )
        self.server = EnrolmentServer(self.service, config.mqtt.ca_file)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def _with(self, folder: Path) -> Keys:
        keys = object.__new__(Keys)
        keys.folder, keys.path, keys.record = self.keys, folder / "keys", self.keys.record()
        return keys

    def code(self, *, signed_by=None, given_out=True, **change) -> str:
        leaf = x509.load_pem_x509_certificate(self.files.certificate("enrolment").read_bytes())
        code = EnrolmentCode(
            id=os.urandom(16),
            tenant="main",
            device="kiosk-7",
            site="shop-1",
            groups=("kiosks",),
            host="127.0.0.1",
            port=self.config.enrolment.port,
            service_pin=pin_of(leaf.public_bytes(Encoding.DER)),
            roots_pin=pin_of(self.keys.roots().to_bytes()),
            expires_at_s=NOW.unix_s + 900,
        )
        text = sign_enrolment_code(
            replace(code, **change), signed_by or self.keys.signer(Purpose.ENROLMENT)
        )
        if given_out:
            self.fleet._open_enrolment(text)
        return text

    def refusals(self) -> list[str]:
        return [item["reason"] for item in self.fleet._enrolments()["refusals"]]
