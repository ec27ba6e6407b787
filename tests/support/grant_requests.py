"""A device's request for a grant, and what came of it."""

import os
import time

from edge.redemption.authorisation_client import REPLY_DEADLINE_S, AuthorisationClient
from edge.store.authorisations import AuthorisationRequest
from edge.values.instant import Instant
from edge.values.uuid7 import uuid7
from tests.support.platform_processes import Device


def request_grant(device: Device, cti: bytes, *, deadline_s: float = REPLY_DEADLINE_S):
    """Request a grant as the scanner does; return the reply and the seconds that it took."""
    request = AuthorisationRequest(
        id=uuid7(time.time_ns() // 1_000_000, os.urandom(10)),
        cti=cti,
        order_quantity=1,
        due_ns=time.monotonic_ns() + int(deadline_s * 1e9),
    )
    started_s = time.monotonic()
    client = AuthorisationClient(device.store)
    answer = client.request(request, Instant(unix_s=int(time.time())))
    return answer, time.monotonic() - started_s
