"""Each message of the protocol at its largest legal content, and how its reader takes it.

JSON is filled from its schema (tests/support/largest_json.py). A field of any content is filled up
to the bytes that the reader takes, and signed documents up to what their makers sign.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from edge.documents.operator_list import (
    MOST_ENTRIES,
    OperatorEntry,
    OperatorList,
    open_operator_list,
    sign_operator_list,
)
from edge.documents.settings import (
    LARGEST_CONTENT,
    MOST_GROUPS,
    SettingsDocument,
    SettingsLayer,
    read_settings,
    sign_settings,
)
from edge.domain.entitlement import Entitlement, OrderStatus
from edge.domain.order_row import row_of
from edge.domain.roles import Role
from edge.token import cbor
from edge.token.claims import Kind
from edge.token.purpose import Purpose
from edge.token.signed_document import DocumentRefusal, SignedDocument, open_document, sign_document
from edge.token.status_list import StatusList, open_status_list, sign_status_list
from edge.token.trust_list import TrustList, open_trust_list, sign_trust_list
from edge.values.instant import Instant
from sync.agent.downlink import split_documents
from sync.hub.ledger.reviews import PAGE as DECISIONS
from sync.protocol.channels import Form, messages, schemas
from sync.protocol.example_keys import (
    DEV,
    INCARNATION,
    NOW_S,
    PIN_HASH,
    REVISION,
    SITE,
    key,
    roots,
    trust,
)
from sync.wire import codec
from sync.wire.fleet_requests import LARGEST, FleetRequest, FleetResponse
from sync.wire.limits import MOST_DOCUMENT_BYTES, MOST_MESSAGE_BYTES
from sync.wire.messages import Ack, Batch, Command, MessageRefusal, Status
from sync.wire.order_feed import PAGE, Confirmation, Delta, Snapshot, page_payload, read_page
from sync.wire.order_feed_cbor import decode_page
from sync.wire.review_page import LONGEST_ROW, ReviewPage, read_review_page, review_payload
from sync.wire.settings_report import SettingsReport
from sync.wire.site_lease import LeaseReply, LeaseRequest
from tests.support.largest_json import largest

NOW = Instant(unix_s=NOW_S)
# Fields of any content, and the bytes of the whole message up to which its reader takes it.
FILLED: dict[str, tuple[str, int]] = {
    "SettingsReport": ("shipped", codec.MAX_MESSAGE_BYTES),
    "FleetRequest": ("args", LARGEST),
    "FleetResponse": ("result", LARGEST),
}


@dataclass(frozen=True, slots=True)
class LargestMessage:
    """One message: its name in the protocol, and its bytes."""

    name: str
    payload: bytes

    def is_accepted(self) -> bool:
        """Return whether its reader takes all of it."""
        read = READERS[self.name](self.payload)
        parts = read if isinstance(read, list) else [read]
        if isinstance(read, Batch) and read.bad:
            return False
        return bool(parts) and not any(
            isinstance(part, MessageRefusal | DocumentRefusal) or hasattr(part, "fault")
            for part in parts
        )


def largest_messages() -> Iterator[LargestMessage]:
    """Yield the largest of each message of the protocol. Raises KeyError for one without."""
    for message in messages():
        if message.form is Form.JSON:
            payload = _batch() if message.name == "EventBatch" else _json(message.name)
            yield LargestMessage(message.name, payload)
        else:
            for payload in DOCUMENTS[message.name]():
                yield LargestMessage(message.name, payload)


def _dumped(item: Any) -> bytes:
    return json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()


def _json(name: str) -> bytes:
    """Return the largest message of a schema."""
    known = dict(schemas())
    field, most_bytes = FILLED.get(name, ("", 0))
    schema = dict(known[name])
    schema["properties"] = {
        at: of for at, of in schema["properties"].items() if at not in (field, "dev", "signed")
    }
    message = largest(schema, known, name)
    if "dev" in known[name]["properties"]:
        message["dev"] = DEV
    if "signed" in known[name]["properties"]:
        message["signed"] = "A" * known[name]["properties"]["signed"]["maxLength"]
    if name == "LeaseReply":  # its text has room for more than any signed document takes
        message |= {"refused": "", "signed": "A" * (MOST_DOCUMENT_BYTES * 4 // 3)}
    if field:
        size = len(_dumped({**message, field: {"x": ""}}))
        message[field] = {"x": "x" * (most_bytes - size)}
    return _dumped(message)


def _batch() -> bytes:
    """Return a batch of as many of the largest events as a hub takes in a message."""
    event = largest(
        {**(of := schemas()["Event"]), "properties": _without(of["properties"], "body")}, schemas()
    )
    size = codec.MAX_EVENT_BYTES - len(_dumped({**event, "body": {"x": ""}}))
    event["body"] = {"x": "x" * size}
    header = codec.encode_batch(DEV, "e" * 40, 2**53 - 1, 2**53 - 1, [], tag="f" * 16)
    count = (codec.MAX_MESSAGE_BYTES - len(header)) // (codec.MAX_EVENT_BYTES + 1)
    events = [_dumped({**event, "seq": 2**53 - 1 - number}) for number in range(count)]
    return codec.encode_batch(DEV, "e" * 40, 2**53 - 1, 2**53 - 1, events, tag="f" * 16)


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {at: of for at, of in fields.items() if at != name}


def _filled(make: Callable[[int], bytes]) -> bytes:
    """Return what ``make`` makes of the largest number that it does not refuse."""
    least, most = 0, MOST_DOCUMENT_BYTES
    while least < most:
        middle = (least + most + 1) // 2
        try:
            make(middle)
        except ValueError:
            most = middle - 1
        else:
            least = middle
    return make(least)


def _order_pages() -> list[bytes]:
    row = row_of(
        Entitlement(
            cti=b"\xff" * 16,
            order_id="店" * 100,
            kind=Kind.WRITE_OFF,
            home_site=SITE,
            home_device="k" * 40,
            status=OrderStatus.AWAITING_PAYMENT,
            quantity=2**31 - 1,
            amount_minor=2**53 - 1,
            currency="CNY",
            not_before_s=2**33 - 2,
            expires_at_s=2**33 - 1,
            review=True,
            compartments=("柜" * 100,) * 64,
            subject="人" * 100,
            campaign="双" * 100,
            rules="满" * 1000,
            revision=REVISION,
        )
    )

    def snapshot(size: int) -> bytes:
        """One whose rows have grown since its bounds were fixed."""
        rows = (row,) * (size // len(cbor.encode(row)))
        page = Snapshot(
            site=SITE,
            issued_at_s=NOW_S,
            incarnation=INCARNATION,
            confirmed=Confirmation(2**53 - 1, 2**53 - 1),
            revision=REVISION,
            page=2**31 - 1,
            last=False,
            rows=rows,
        )
        return sign_document(page_payload(page), Purpose.ORDER_FEED, key(Purpose.ORDER_FEED))

    delta = Delta(
        site=SITE,
        issued_at_s=NOW_S,
        incarnation=INCARNATION,
        confirmed=Confirmation(2**53 - 1, 2**53 - 1),
        from_revision=REVISION - 1,
        to_revision=REVISION,
        head=REVISION,
        rows=(row,) * (PAGE.most_bytes // len(cbor.encode(row))),
        removed=(b"\xff" * 16,) * PAGE.most_items,
        digest=b"\xff" * 32,
    )
    reviews = ReviewPage(site=SITE, issued_at_s=NOW_S, rows=())
    fits = min(DECISIONS, PAGE.most_bytes // LONGEST_ROW)
    reviews = replace(reviews, rows=(bytes(LONGEST_ROW),) * fits)
    payloads = (page_payload(delta), review_payload(reviews))
    return [
        _filled(snapshot),
        *(sign_document(each, Purpose.ORDER_FEED, key(Purpose.ORDER_FEED)) for each in payloads),
    ]


def _read_orders(raw: bytes) -> object:
    document = open_document(raw, Purpose.ORDER_FEED, trust(), now=NOW, decode=decode_page)
    if not isinstance(document, SignedDocument):
        return document
    item = document.payload.item
    if item[1] == 3:
        return read_review_page(item, site=SITE)
    return read_page(document.payload, site=SITE)


@cache
def _trust_list() -> bytes:
    whole = trust()
    first, *rest = whole.keys

    def make(size: int) -> bytes:
        keys = (replace(first, audiences=frozenset({"x" * (size + 1)})), *rest)
        made = TrustList(
            version=whole.version,
            issued_at_s=whole.issued_at_s,
            expires_at_s=whole.expires_at_s,
            keys=keys,
        )
        return sign_trust_list(made, key(Purpose.ROOT), roots())

    return _filled(make)


def _status_lists() -> bytes:
    """Return the largest list, of tokens that are revoked at random, and what fits beside it."""

    def make(size: int) -> bytes:
        status = StatusList(
            kid=key(Purpose.TOKEN).public.kid,
            version=2**53 - 1,
            issued_at_s=NOW_S,
            expires_at_s=2**33 - 1,
            bits=random.Random(1).randbytes(size),
        )
        return sign_status_list(status, key(Purpose.STATUS_LIST))

    largest_list = _filled(make)
    return cbor.encode([largest_list, make(MOST_MESSAGE_BYTES - len(largest_list) - 500)])


def _operator_list() -> bytes:
    def make(count: int) -> bytes:
        entries = tuple(
            OperatorEntry(
                id=f"{number:040}",
                role=Role.SUPERVISOR,
                pin_hash=PIN_HASH,
                not_before_s=2**33 - 2,
                expires_at_s=2**33 - 1,
            )
            for number in range(min(count, MOST_ENTRIES))
        )
        made = OperatorList(
            audience=SITE,
            version=2**53 - 1,
            issued_at_s=NOW_S,
            expires_at_s=2**33 - 1,
            entries=entries,
        )
        return sign_operator_list(made, key(Purpose.OPERATORS))

    return _filled(make)


def _settings() -> bytes:
    layer = SettingsDocument(
        tenant="t" * 40,
        layer=SettingsLayer.DEVICE,
        name="k" * 40,
        rev=2**53 - 1,
        content={"x": "x" * (LARGEST_CONTENT - len('{"x":""}'))},
    )
    raw = sign_settings(layer, key(Purpose.CONFIGURATION))
    return cbor.encode([raw] * (MOST_GROUPS + 3))


def _read_settings(raw: bytes) -> object:
    documents = split_documents(raw)
    if not isinstance(documents, list):
        return documents
    return [read_settings(each, trust(), now=NOW) for each in documents]


DOCUMENTS: dict[str, Callable[[], list[bytes]]] = {
    "OrdersPage": _order_pages,
    "TrustList": lambda: [_trust_list()],
    "StatusLists": lambda: [_status_lists()],
    "OperatorList": lambda: [_operator_list()],
    "SettingsList": lambda: [_settings()],
}
READERS: dict[str, Callable[[bytes], object]] = {
    "EventBatch": lambda raw: codec.decode_batch(raw, dev=DEV),
    "OrdersRequest": lambda raw: codec.decode_request(raw, dev=DEV),
    "GrantRequest": lambda raw: codec.decode_request(raw, dev=DEV),
    "RestoreRequest": lambda raw: codec.decode_request(raw, dev=DEV),
    "LeaseRequest": lambda raw: codec.decode(LeaseRequest, raw),
    "Status": lambda raw: codec.decode_addressed(Status, raw, dev=DEV),
    "SettingsReport": lambda raw: codec.decode_addressed(SettingsReport, raw, dev=DEV),
    "Ack": lambda raw: codec.decode_addressed(Ack, raw, dev=DEV),
    "Response": lambda raw: codec.decode_reply(raw, dev=DEV),
    "RestoreReply": lambda raw: codec.decode_reply(raw, dev=DEV),
    "LeaseReply": lambda raw: codec.decode(LeaseReply, raw, largest=MOST_MESSAGE_BYTES),
    "Command": lambda raw: codec.decode_addressed(Command, raw, dev=DEV),
    "FleetRequest": lambda raw: codec.decode(FleetRequest, raw, largest=LARGEST),
    "FleetResponse": lambda raw: codec.decode(FleetResponse, raw, largest=LARGEST),
    "OrdersPage": _read_orders,
    "TrustList": lambda raw: open_trust_list(raw, roots=roots(), now=NOW),
    "StatusLists": lambda raw: [
        open_status_list(item, keys=trust(), now=NOW)
        for item in cbor.decode(raw, cbor.DOCUMENT_LIMITS)
    ],
    "OperatorList": lambda raw: open_operator_list(raw, keys=trust(), now=NOW),
    "SettingsList": _read_settings,
}
