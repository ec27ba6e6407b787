"""From a scanned code to an identity, and from a certificate to the next one.

The code pins the service's certificate and the fleet's roots. The fleet's trust list verifies the
code itself in the end. Nothing counts before ``identity.json`` is replaced.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from edge.documents.enrolment_code import (
    EnrolmentCode,
    message_of,
    name_fault_of,
    read_unverified,
)
from edge.identity.damage import IDENTITY, ROOTS
from edge.identity.identity import BLOCKED, Identity, read_identity, write_identity
from edge.token.signed_document import Keyring
from edge.values.instant import Instant
from sync.agent.enrolment.device_key import certificate_files, key_for_code, new_key
from sync.agent.enrolment.enrolment_error import EnrolmentError
from sync.agent.enrolment.reply_verification import check_fleet, verify_reply
from sync.agent.enrolment.service_client import EnrolmentReply, request_enrolment, request_renewal
from sync.agent.enrolment.store_handover import check_owner, seed_store

_CA: Final = "ca.pem"


def enrol(text: str, data: Path, *, keys: Keyring | None, now: Instant) -> Identity:
    """Become what the code ``text`` says; on disk when this returns.

    ``keys``: what this device trusts already; None for one that belongs to no fleet. Raises
    EnrolmentError, OSError.
    """
    message = message_of(text)
    code = read_unverified(message) if message else None
    if message is None or code is None:
        raise EnrolmentError("code_malformed", "this is not a whole enrolment code: show it again")
    if fault := name_fault_of(code):
        raise EnrolmentError("name_not_allowed", fault)
    if keys is not None:
        check_fleet(data, code, message, keys, now)
    check_owner(data, code)
    present = read_identity(data)
    if present is not None and present.code == code.id.hex():
        # A power cut came before the code was put away. To the service it would look like a theft.
        return present
    key = key_for_code(data, code)
    reply = request_enrolment(text, code, key)
    roots, trust = verify_reply(reply, code, message, now)
    name, files = certificate_files(reply.certificate, key, code.device)
    files |= {ROOTS: roots.to_bytes(), _CA: reply.ca.encode()}
    identity = _identity(reply, code, (data / IDENTITY).parent, name)
    seed_store(data, code.device, trust, reply.trust_list, now)
    write_identity(data, identity, files)
    (data / BLOCKED).unlink(missing_ok=True)
    return identity


def renew(data: Path, identity: Identity) -> Identity:
    """Exchange the certificate for one of a new key; on disk when this returns.

    Raises EnrolmentError, OSError.
    """
    key = new_key()
    name, files = certificate_files(request_renewal(identity, key), key, identity.device)
    mqtt = {**identity.profile["mqtt"], **_credentials((data / IDENTITY).parent, name)}
    renewed = replace(identity, profile={**identity.profile, "mqtt": mqtt})
    write_identity(data, renewed, files)
    return renewed


def _identity(reply: EnrolmentReply, code: EnrolmentCode, folder: Path, name: str) -> Identity:
    """Return the identity: the device is as the code says, the broker as the service says."""
    return Identity(
        profile={
            "device": {
                "id": code.device,
                "tenant": code.tenant,
                "site": code.site,
                "groups": list(code.groups),
            },
            "trust": {"roots_file": str(folder / ROOTS)},
            "mqtt": {
                "host": reply.broker_host,
                "port": reply.broker_port,
                "ca_file": str(folder / _CA),
                **_credentials(folder, name),
            },
        },
        service={"host": code.host, "port": code.port},
        enrolled_s=reply.now_s,
        code=code.id.hex(),
    )


def _credentials(folder: Path, name: str) -> dict[str, str]:
    return {"cert_file": str(folder / f"{name}.pem"), "key_file": str(folder / f"{name}.key")}
