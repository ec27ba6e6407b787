"""Verification of a code and of the service's reply: pinned roots, the list they signed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from edge.documents.enrolment_code import EnrolmentCode, open_enrolment_code, pin_of
from edge.identity.damage import IDENTITY, ROOTS
from edge.token.roots import Roots, read_roots
from edge.token.signed_document import DocumentRefusal, Keyring
from edge.token.trust_list import TrustList, open_trust_list
from edge.trust.anchors import NO_TRUST
from edge.values.instant import Instant
from sync.agent.enrolment.enrolment_error import EnrolmentError
from sync.agent.enrolment.service_client import EnrolmentReply


def check_fleet(
    data: Path, code: EnrolmentCode, message: bytes, keys: Keyring, now: Instant
) -> None:
    """Raise EnrolmentError unless the code is of the fleet that this device belongs to.

    A device that has lost its trust list goes by its roots: the service must show the list that
    they signed, as it did at first.
    """
    refusal = open_enrolment_code(message, keys, now=now)
    if not isinstance(refusal, DocumentRefusal):
        return
    with suppress(OSError):
        roots = (data / IDENTITY).with_name(ROOTS).read_bytes()
        if keys == NO_TRUST and pin_of(roots) == code.roots_pin:
            return
    raise EnrolmentError("code_not_verified", f"this device belongs to another fleet, or {refusal}")


def verify_reply(
    reply: EnrolmentReply, code: EnrolmentCode, message: bytes, now: Instant
) -> tuple[Roots, TrustList]:
    """Return the roots that the code pins and the list that they signed. Raises EnrolmentError.

    With that list the code's own signature is verified at last. The later of the two clocks counts:
    a board without a clock battery starts in the past.
    """
    roots = read_roots(reply.roots)
    if pin_of(reply.roots) != code.roots_pin or not isinstance(roots, Roots):
        raise EnrolmentError("wrong_roots", "the service has other roots than the code names")
    late = replace(now, unix_s=max(now.unix_s, reply.now_s))
    trust = open_trust_list(reply.trust_list, roots=roots, now=late)
    if not isinstance(trust, TrustList):
        raise EnrolmentError("trust_list_not_verified", str(trust))
    # Whether the code has expired was for the service to decide.
    in_time = replace(late, unix_s=min(late.unix_s, code.expires_at_s - 1))
    refusal = open_enrolment_code(message, trust, now=in_time)
    if isinstance(refusal, DocumentRefusal):
        raise EnrolmentError("code_not_verified", str(refusal))
    return roots, trust
