"""Sample platform, site and device: keys, lists, certificates, orders, a profile and codes."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.store import documents as names
from edge.token import base45
from edge.token.claims import Kind
from edge.token.issuing import TokenRequest, issue_token
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.token.status_list import sign_status_list, status_list
from edge.token.trust_list import TrustList, sign_trust_list
from hardware_sim.world.free_ports import free_port
from sync.fleet.key_folder import ROOT, ROOTS_FILE, FleetRecord, KeyFolder, create_key_folder
from sync.hub.provisioning.platform import provision
from sync.hub.provisioning.platform_files import PlatformFiles
from sync.hub.provisioning.platform_spec import PlatformDocuments, PlatformSpec

DEVICE, SITE = "locker-1", "shop-1"
ISSUER = "platform"
FOREIGN = "HTTPS://EXAMPLE.ORG/MENU?TABLE=12"
_HOUR_S, _DAY_S = 3600, 86_400
_REVOKED_INDEX = 7

_PROFILE = """\
schema_version = 1

[device]
id = "{device}"
site = "{site}"
kind = "kiosk"

[camera]
source = "{source}"
index = {index}
frame_rate_hz = 20.0
path = "."

[decode]
hold_off_s = 0.6

[indicators]
green_pin = 17
amber_pin = 27
red_pin = 22
buzzer_pin = 18
hold_s = 0.6

[locker]
pulse_ms = 150
grace_s = 0

[locker.compartments.A1]
lock_pin = 5
door_pin = 6

[locker.compartments.A2]
lock_pin = 13
door_pin = 19

[trust]
roots_file = "{roots}"

{mqtt}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePlatform:
    """Files of the sample, and the codes that people will show, by name."""

    files: PlatformFiles
    profile: Path
    data: Path
    orders: Path  # for `edge-hub orders import`
    documents: Mapping[str, Path]  # signed lists, by their name in the device's store
    codes: Mapping[str, str]


SoldOrders = tuple[
    dict[str, str], list[dict[str, object]]
]  # codes by name, and the orders behind them


def provision_sample(
    folder: Path, *, now_s: int, camera_index: int | None = None
) -> SamplePlatform:
    """Make a sample in ``folder``, which must be empty.

    With ``camera_index``, the profile names that V4L2 camera.
    """
    return _provision(folder, _sell_sample_orders, now_s=now_s, camera_index=camera_index)


def provision_vouchers(folder: Path, count: int, *, now_s: int) -> SamplePlatform:
    """Make a sample with ``count`` vouchers and no other orders."""

    def sell(keys: KeyFolder, now_s: int) -> SoldOrders:
        shop = _Shop(keys, now_s)
        codes = {
            f"voucher {number}": shop.sell(f"V-{number}", Kind.WRITE_OFF) for number in range(count)
        }
        return codes, shop.orders

    return _provision(folder, sell, now_s=now_s)


def _provision(
    folder: Path,
    sell: Callable[[KeyFolder, int], SoldOrders],
    *,
    now_s: int,
    camera_index: int | None = None,
) -> SamplePlatform:
    keys = create_key_folder(
        folder / "keys",
        FleetRecord(issuer=ISSUER, not_before_s=0, expires_at_s=now_s + 365 * _DAY_S),
        issuer_alg="Ed25519",
        group_key=os.urandom(32),
    )
    documents = _signed_lists(folder, keys, now_s)
    site = PlatformSpec(port=free_port(), devices={DEVICE: SITE}, user=getpass.getuser())
    files = provision(folder / "site", site, documents, now_s=now_s)
    profile = folder / "profile.toml"
    text = _PROFILE.format(
        device=DEVICE,
        site=SITE,
        source="images" if camera_index is None else "v4l2",
        index=camera_index or 0,
        roots=folder / "keys" / ROOTS_FILE,
        mqtt=files.mqtt_section(DEVICE, site),
    )
    profile.write_text(text, encoding="utf-8")
    codes, orders = sell(keys, now_s)
    lines = "".join(json.dumps(order) + "\n" for order in orders)
    (folder / "orders.jsonl").write_text(lines, encoding="utf-8")
    status_name = names.status_list_name(keys.signer(Purpose.TOKEN).public.kid)
    return SamplePlatform(
        files=files,
        profile=profile,
        data=folder / "data",
        orders=folder / "orders.jsonl",
        documents={names.TRUST_LIST: documents.trust_list, status_name: documents.status_lists[0]},
        codes=codes,
    )


def _signed_lists(folder: Path, keys: KeyFolder, now_s: int) -> PlatformDocuments:
    trust = TrustList(
        version=1,
        issued_at_s=now_s - 60,
        expires_at_s=now_s + 30 * _DAY_S,
        keys=keys.trusted_keys(),
    )
    trust_file, status_file = folder / "trust-list.cbor", folder / "status-list.cbor"
    trust_file.write_bytes(sign_trust_list(trust, keys.signer(ROOT), keys.roots()))
    statuses = status_list(
        kid=keys.signer(Purpose.TOKEN).public.kid,
        version=1,
        issued_at_s=now_s - 60,
        expires_at_s=now_s + 7 * _DAY_S,
        size=1024,
        revoked={_REVOKED_INDEX},
    )
    status_file.write_bytes(sign_status_list(statuses, keys.signer(Purpose.STATUS_LIST)))
    return PlatformDocuments(
        order_feed_key=folder / "keys" / f"{Purpose.ORDER_FEED}.pem",
        trust_list=trust_file,
        status_lists=(status_file,),
    )


class _Shop:
    """A shop that sells orders: it records them and signs their codes."""

    def __init__(self, keys: KeyFolder, now_s: int) -> None:
        self.issuer = keys.signer(Purpose.TOKEN)
        self.orders: list[dict[str, object]] = []
        self._now_s = now_s

    def token_request(self, order: str, kind: Kind) -> TokenRequest:
        """Return the claims of a code for this order."""
        return TokenRequest(
            cti=os.urandom(16),
            issuer=ISSUER,
            audience=SITE,
            not_before_s=self._now_s - _HOUR_S,
            expires_at_s=self._now_s + _DAY_S,
            order_id=order,
            kind=kind,
            amount_minor=1990 if kind is Kind.WRITE_OFF else None,
            currency="CNY" if kind is Kind.WRITE_OFF else None,
            status_index=len(self.orders) + 16,
        )

    def sell(self, order: str, kind: Kind, **more: object) -> str:
        """Sell an order whose home is the device; return its code."""
        sold = self.token_request(order, kind)
        self.orders.append(
            {
                "cti": sold.cti.hex(),
                "order_id": order,
                "kind": kind.code,
                "home_site": SITE,
                "home_device": DEVICE,
            }
            | (
                {"compartments": ["A1"]}
                if kind is Kind.PICKUP
                else {"amount_minor": 1990, "currency": "CNY"}
            )
            | more
        )
        return issue_token(sold, self.issuer)


def _sell_sample_orders(keys: KeyFolder, now_s: int) -> SoldOrders:
    """Return codes of every kind, and the orders of those that the platform sold."""
    shop = _Shop(keys, now_s)
    issuer, sell = shop.issuer, shop.sell
    voucher = shop.token_request("X-2001", Kind.WRITE_OFF)
    expired = replace(voucher, not_before_s=now_s - 2 * _DAY_S, expires_at_s=now_s - _DAY_S)
    codes = {
        "pickup": sell("P-1001", Kind.PICKUP),
        "voucher": sell("V-1002", Kind.WRITE_OFF),
        "glare": sell("V-1003", Kind.WRITE_OFF),
        "risky": sell("V-1004", Kind.WRITE_OFF, review=True),
        "cancelled": sell("V-1005", Kind.WRITE_OFF, status="cancelled"),
        "not ready": sell("P-1006", Kind.PICKUP, status="paid"),
        "offline 1": sell("V-1007", Kind.WRITE_OFF),
        "offline 2": sell("P-1008", Kind.PICKUP, compartments=["A2"]),
        "offline 3": sell("V-1009", Kind.WRITE_OFF),
        "forged": forge(issue_token(voucher, issuer)),
        "expired": issue_token(expired, issuer),
        "wrong site": issue_token(replace(voucher, audience="shop-2"), issuer),
        "unknown key": issue_token(voucher, signer(Ed25519PrivateKey.generate())),
        "revoked": issue_token(replace(voucher, status_index=_REVOKED_INDEX), issuer),
        "foreign": FOREIGN,
    }
    return codes, shop.orders


def forge(token: str) -> str:
    """Return ``token`` with one bit of its signature changed, encoded as well as the original."""
    message = bytearray(base45.decode(token.removeprefix("ES1:").encode()))
    message[-1] ^= 1
    return "ES1:" + base45.encode(bytes(message)).decode()
