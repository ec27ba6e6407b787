"""The device's store at enrolment: it stays with its owner and gets a trust list."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from edge.documents.enrolment_code import EnrolmentCode
from edge.store import documents, ledger
from edge.store.database.store import FILE as STORE_FILE
from edge.store.database.store import StoreUnavailableError
from edge.store.device_record import device_name, lift_block
from edge.store.opening import open_for_reading, open_store
from edge.store.outbox import backlog
from edge.token.trust_list import TrustList
from edge.values.instant import Instant
from sync.agent.enrolment.enrolment_error import EnrolmentError


def check_owner(data: Path, code: EnrolmentCode) -> None:
    """Raise EnrolmentError, before the code is used, for a store that another device has used.

    What one device has redeemed never becomes another's.
    """
    owner, used = None, False
    with suppress(StoreUnavailableError, sqlite3.Error), closing(open_for_reading(data)) as store:
        owner = device_name(store)
        used = bool(ledger.count(store) or backlog(store).pending)
    if used and owner != code.device:
        detail = (
            f"this device is {owner} and has redeemed codes: print a code for {owner}, or move"
            f" {data / STORE_FILE}* elsewhere, keep them, and show this code again"
        )
        raise EnrolmentError("code_for_another_device", detail)


def seed_store(data: Path, device: str, trust: TrustList, raw: bytes, now: Instant) -> None:
    """Store the trust list ``raw``, and lift a block: the fleet has taken the device back.

    A store that cannot be opened is left alone. The list comes again over the broker, and the
    scanner reports what is wrong with the store.
    """
    at_s = max(now.unix_s, trust.issued_at_s)
    opened = open_store(data, device_id=device, now_s=at_s, random_bytes=os.urandom)
    if opened.store is None:
        return
    documents.put(
        opened.store,
        name=documents.TRUST_LIST,
        version=trust.version,
        issued_at_s=trust.issued_at_s,
        raw=raw,
        now=now,
    )
    lift_block(opened.store)
    opened.store.close()
