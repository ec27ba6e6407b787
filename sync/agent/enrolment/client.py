"""A device at the enrolment desk: from a scanned code to an identity, and from a certificate to its successor.

The desk is recognised by its certificate, which the code pins; the fleet by its roots, which the code pins too;
and in the end the code itself by the fleet's trust list. Nothing counts before ``identity.json`` is replaced.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import sqlite3
import ssl
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.documents.enrolment_code import (
    EnrolmentCode,
    message_of,
    open_enrolment_code,
    pin_of,
    read_unverified,
)
from edge.identity.damage import IDENTITY, ROOTS
from edge.identity.identity import BLOCKED, Identity, read_identity, write_identity
from edge.store import documents, ledger
from edge.store.database.store import FILE as STORE_FILE
from edge.store.database.store import StoreUnavailableError
from edge.store.opening import open_for_reading, open_store
from edge.store.outbox import backlog
from edge.system.durable_file import write_secret
from edge.token.keys import private_key_pem
from edge.token.roots import Roots, read_roots
from edge.token.signed_document import DocumentRefusal, Keyring
from edge.token.trust_list import TrustList, open_trust_list
from edge.trust.anchors import NO_TRUST
from edge.values.instant import Instant
from sync.mqtt.tls import client_context

PATIENCE_S: Final = 10.0  # with a desk that does not answer
LARGEST_ANSWER: Final = 4 * 2**20  # bytes
_SERIAL_FILE: Final = Path("/proc/device-tree/serial-number")  # of a Raspberry Pi


class EnrolmentError(Exception):
    """It did not come to an identity. ``reason`` is one word; ``again``: trying again may help."""

    def __init__(self, reason: str, detail: str, *, again: bool = False) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.again = reason, detail, again


def enrol(text: str, data: Path, *, keys: Keyring | None, now: Instant) -> Identity:
    """Become what the code ``text`` says; on disk when this returns. Raises EnrolmentError, OSError.

    ``keys``: what this device believes already; None for one that belongs to no fleet.
    """
    message = message_of(text)
    code = read_unverified(message) if message else None
    if message is None or code is None:
        raise EnrolmentError("code_malformed", "this is not a whole enrolment code: show it again")
    if keys is not None and (why := _not_of_my_fleet(data, code, message, keys, now)):
        raise EnrolmentError("code_not_verified", f"this device belongs to another fleet, or {why}")
    _keep_store_with_its_owner(data, code)
    present = read_identity(data)
    if present is not None and present.code == code.id.hex():
        return present  # a cut came before the code was put away: to the desk it would look like a theft
    key = _key(data, code)
    body = {"code": text, "csr": request_for(key), "serial": board_serial()}
    answer = _ask(code.host, code.port, "/v1/enrol", body, _pinned(code.service_pin))
    roots, trust = _believed(answer, code, message, now)
    files = _files(answer, code, key, roots)
    identity = _identity(answer, code, (data / IDENTITY).parent, files)
    _seed(data, code, trust, base64.b64decode(answer["trust_list"]), now)
    write_identity(data, identity, files)
    (data / BLOCKED).unlink(missing_ok=True)
    return identity


def renew(data: Path, identity: Identity) -> Identity:
    """Exchange the certificate for one with a new key; on disk when this returns. Raises EnrolmentError, OSError."""
    mqtt = identity.profile["mqtt"]
    context = client_context(mqtt["ca_file"], mqtt["cert_file"], mqtt["key_file"])
    key = ec.generate_private_key(ec.SECP256R1())
    answer = _ask(
        identity.desk["host"],
        identity.desk["port"],
        "/v1/renew",
        {"csr": request_for(key)},
        lambda: (context, None),
    )
    certificate = _certificate(answer, identity.device, key)
    folder = (data / IDENTITY).parent
    name = f"device-{certificate.serial_number:x}"[:40]
    files = {f"{name}.pem": answer["certificate"].encode(), f"{name}.key": private_key_pem(key)}
    profile = {
        **identity.profile,
        "mqtt": {
            **mqtt,
            "cert_file": str(folder / f"{name}.pem"),
            "key_file": str(folder / f"{name}.key"),
        },
    }
    renewed = replace(identity, profile=profile)
    write_identity(data, renewed, files)
    return renewed


def _not_of_my_fleet(
    data: Path, code: EnrolmentCode, message: bytes, keys: Keyring, now: Instant
) -> str:
    """Why the code is not one of this device's fleet; empty when it is.

    One that has lost its trust list goes by its roots: the desk must show the list that they signed, as at first.
    """
    refusal = open_enrolment_code(message, keys, now=now)
    if not isinstance(refusal, DocumentRefusal):
        return ""
    with suppress(OSError):
        if (
            keys == NO_TRUST
            and pin_of((data / IDENTITY).with_name(ROOTS).read_bytes()) == code.roots_pin
        ):
            return ""
    return str(refusal)


def _keep_store_with_its_owner(data: Path, code: EnrolmentCode) -> None:
    """Raises EnrolmentError, before the code is spent: what one device has honoured never becomes another's."""
    owner, used = "", False
    with suppress(StoreUnavailableError, sqlite3.Error), closing(open_for_reading(data)) as store:
        with store.read() as connection:
            (owner,) = connection.execute("SELECT device_id FROM device").fetchone() or ("",)
        used = bool(ledger.count(store) or backlog(store).pending)
    if used and owner != code.device:
        detail = (
            f"this device is {owner} and has honoured codes: print a code for {owner}, or move {data / STORE_FILE}*"
            " elsewhere, keep them, and show this code again"
        )
        raise EnrolmentError("code_for_another_device", detail)


def request_for(key: ec.EllipticCurvePrivateKey) -> str:
    """A certificate request for ``key``, PEM. The desk names the device, not the request."""
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(key, hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM).decode()


def board_serial() -> str:
    """The serial number of this board; empty where it has none."""
    with suppress(OSError):
        return _SERIAL_FILE.read_bytes().rstrip(b"\0").decode(errors="replace")
    return ""


def _key(data: Path, code: EnrolmentCode) -> ec.EllipticCurvePrivateKey:
    """The key for this code: on disk before it is used, so that a lost answer can be asked for again."""
    path = (data / IDENTITY).parent / f"new-{code.id.hex()}.key"
    with suppress(OSError, ValueError):
        kept = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(kept, ec.EllipticCurvePrivateKey):
            return kept
    key = ec.generate_private_key(ec.SECP256R1())
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_secret(path, private_key_pem(key))
    return key


Contexts = Callable[
    [], tuple[ssl.SSLContext, bytes | None]
]  # and the pin that the certificate must have


def _pinned(pin: bytes) -> Contexts:
    def make() -> tuple[ssl.SSLContext, bytes | None]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # the pin says more than a name does
        context.verify_mode = ssl.CERT_NONE
        return context, pin

    return make


def _ask(
    host: str, port: int, path: str, body: dict[str, Any], contexts: Contexts
) -> dict[str, Any]:
    context, pin = contexts()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    connection = http.client.HTTPSConnection(host, port, timeout=PATIENCE_S, context=context)
    try:
        connection.connect()
        if pin is not None:
            assert isinstance(connection.sock, ssl.SSLSocket)
            der = connection.sock.getpeercert(binary_form=True)
            if der is None or pin_of(der) != pin:
                raise EnrolmentError(
                    "desk_not_the_one", f"{host}:{port} is not the desk that the code names"
                )
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read(LARGEST_ANSWER))
    except (OSError, http.client.HTTPException) as error:  # ssl.SSLError is an OSError
        raise EnrolmentError("desk_unreachable", f"{host}:{port}: {error}", again=True) from None
    except ValueError as error:
        raise EnrolmentError("desk_answer", f"{host}:{port}: {error}", again=True) from None
    finally:
        connection.close()
    if response.status != 200:
        raise EnrolmentError(str(answer.get("error", "refused")), str(answer.get("detail", "")))
    return dict(answer)


def _believed(
    answer: dict[str, Any], code: EnrolmentCode, message: bytes, now: Instant
) -> tuple[Roots, TrustList]:
    """The roots that the code pins, the list that they signed, and with it at last the code's own signature."""
    raw = base64.b64decode(answer["roots"])
    roots = read_roots(raw)
    if pin_of(raw) != code.roots_pin or not isinstance(roots, Roots):
        raise EnrolmentError("roots_not_the_ones", "the desk has other roots than the code names")
    late = replace(
        now, unix_s=max(now.unix_s, int(answer["now_s"]))
    )  # a board without a clock battery
    trust = open_trust_list(base64.b64decode(answer["trust_list"]), roots=roots, now=late)
    if not isinstance(trust, TrustList):
        raise EnrolmentError("trust_list_not_verified", str(trust))
    late = replace(
        late, unix_s=min(late.unix_s, code.expires_at_s - 1)
    )  # the desk has judged its time
    if isinstance(refusal := open_enrolment_code(message, trust, now=late), DocumentRefusal):
        raise EnrolmentError("code_not_verified", str(refusal))
    return roots, trust


def _certificate(
    answer: dict[str, Any], device: str, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
    names = [item.value for item in certificate.subject if item.rfc4514_attribute_name == "CN"]
    if certificate.public_key() != key.public_key() or names != [device]:
        raise EnrolmentError(
            "certificate_not_ours", "the desk gave a certificate for somebody else"
        )
    return certificate


def _files(
    answer: dict[str, Any], code: EnrolmentCode, key: ec.EllipticCurvePrivateKey, roots: Roots
) -> dict[str, bytes]:
    certificate = _certificate(answer, code.device, key)
    name = f"device-{certificate.serial_number:x}"[:40]
    return {
        "roots.cbor": roots.to_bytes(),
        "ca.pem": str(answer["ca"]).encode(),
        f"{name}.key": private_key_pem(key),
        f"{name}.pem": str(answer["certificate"]).encode(),
    }


def _identity(
    answer: dict[str, Any], code: EnrolmentCode, folder: Path, files: dict[str, bytes]
) -> Identity:
    """Who it is comes from the code that ops signed; where the broker is, from the desk that the code pins."""
    (cert,) = [name for name in files if name.startswith("device-") and name.endswith(".pem")]
    broker = answer["broker"]
    return Identity(
        profile={
            "device": {
                "id": code.device,
                "tenant": code.tenant,
                "site": code.site,
                "groups": list(code.groups),
            },
            "trust": {"roots_file": str(folder / "roots.cbor")},
            "mqtt": {
                "host": str(broker["host"]),
                "port": int(broker["port"]),
                "ca_file": str(folder / "ca.pem"),
                "cert_file": str(folder / cert),
                "key_file": str(folder / cert.replace(".pem", ".key")),
            },
        },
        desk={"host": code.host, "port": code.port},
        enrolled_s=int(answer["now_s"]),
        code=code.id.hex(),
    )


def _seed(data: Path, code: EnrolmentCode, trust: TrustList, raw: bytes, now: Instant) -> None:
    """Put the trust list into the device's store, and lift a block: ops have taken the device back."""
    opened = open_store(
        data,
        device_id=code.device,
        now_s=max(now.unix_s, trust.issued_at_s),
        random_bytes=os.urandom,
    )
    if opened.store is None:
        return  # the list comes again over the broker, and the store says what is wrong
    documents.put(
        opened.store,
        name=documents.TRUST_LIST,
        version=trust.version,
        issued_at_s=trust.issued_at_s,
        raw=raw,
        now=now,
    )
    with opened.store.transaction() as connection:
        connection.execute("UPDATE device SET blocked = NULL")
    opened.store.close()
