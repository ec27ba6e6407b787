"""A worked example of each message: one voucher sold, honoured, acknowledged. Checked against code and schema.

The keys are made of known bytes and are for these pages only.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Any, Final, assert_never

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel

from edge.documents.operator_list import OperatorEntry, OperatorList, sign_operator_list
from edge.documents.settings import SettingsDocument, SettingsLayer, sign_settings
from edge.domain.authorisation import AuthorisationResult
from edge.domain.entitlement import Entitlement, OrderStatus
from edge.domain.order_row import EMPTY_DIGEST, row_digest, row_of
from edge.domain.roles import Role
from edge.token import cbor
from edge.token.claims import Kind
from edge.token.keys import Signer, signer
from edge.token.purpose import Purpose
from edge.token.roots import Roots
from edge.token.signed_document import sign_document
from edge.token.status_list import sign_status_list, status_list
from edge.token.trust_list import TrustList, sign_trust_list
from edge.token.trusted_key import TrustedKey
from sync.protocol import document_schemas
from sync.protocol.channels import Form
from sync.protocol.event_bodies import (
    ClockResetBody,
    ExceptionBody,
    PickupBody,
    RedeemedBody,
    ReversedBody,
    ReviewBody,
    ReviewRefusedBody,
    WithheldBody,
)
from sync.wire import codec
from sync.wire.fleet_requests import FleetAction, FleetRequest, FleetResponse
from sync.wire.grant_reply import GRANT_REPLY, GrantReply
from sync.wire.messages import (
    Ack,
    Command,
    Conflict,
    Event,
    GrantRequest,
    OrdersRequest,
    RefusedItem,
    Response,
    RungReport,
    Status,
)
from sync.wire.order_feed import Delta, Snapshot, page_payload
from sync.wire.review_decision import ReviewDecision, decision_name, sign_review_decision
from sync.wire.review_page import ReviewPage, review_payload
from sync.wire.settings_report import ReportedError, SettingsReport
from sync.wire.site_lease import LEASE, Lease, LeasedRedemption, LeaseReply, LeaseRequest

DEV, SITE, EPOCH = "kiosk-1", "shop-1", "0190c8f0-5f5e-7a1b-8c3d-2b1a09f8e7d6"
NOW_S: Final = 1_800_000_000
REVISION: Final = 1_800_000_000_000_000
CTI: Final = "00112233445566778899aabbccddeeff"
_ID: Final = "018e8f3a-1c2d-7e4f-9a0b-{:012x}"
_KEYS: Final = (
    Purpose.ORDER_FEED, Purpose.STATUS_LIST, Purpose.CONFIGURATION, Purpose.GRANT, Purpose.TOKEN, Purpose.OPERATORS,
    Purpose.REVIEW,
)  # fmt: skip
_PIN_HASH: Final = "$argon2id$v=19$m=19456,t=2,p=1$ZXhhbXBsZSBzYWx0IDE2Qg$bm90IGEgcmVhbCBoYXNoLCBhbiBleGFtcGxlIG9ubHk"


@dataclass(frozen=True, slots=True)
class Example:
    """A payload as it goes over the wire, and what it says."""

    title: str
    payload: bytes


def key(purpose: Purpose) -> Signer:
    """The example key of ``purpose``."""
    return signer(Ed25519PrivateKey.from_private_bytes(str(purpose).encode().ljust(32, b".")))


def roots() -> Roots:
    """The root that signs the example trust list."""
    return Roots(version=1, keys=(key(Purpose.ROOT).public,))


def trust() -> TrustList:
    """The example trust list."""
    return TrustList(
        version=7,
        issued_at_s=NOW_S,
        expires_at_s=NOW_S + 31_536_000,
        keys=tuple(_trusted(p) for p in _KEYS),
    )


def examples() -> dict[str, list[Example]]:
    """By the name of the message."""
    return {**_up(), **_down(), **_signed(), **_ops()}


def _trusted(purpose: Purpose) -> TrustedKey:
    said = {
        Purpose.TOKEN: {
            "issuers": frozenset({"shop.example"}),
            "kinds": frozenset({Kind.WRITE_OFF, Kind.PICKUP}),
        },
        Purpose.REVIEW: {"issuers": frozenset({"zoe"})},
    }
    return TrustedKey(
        key=key(purpose).public, purposes=frozenset({purpose}), not_before_s=0, expires_at_s=2**33 - 1,
        **said.get(purpose, {}),  # type: ignore[arg-type]  # a mixed dict of keywords
    )  # fmt: skip


def _said(title: str, message: BaseModel) -> Example:
    return Example(title, codec.encode(message))


def _event(seq: int, kind: str, body: BaseModel) -> bytes:
    event = Event(
        seq=seq,
        id=_ID.format(seq),
        ts=NOW_S + seq,
        ts_trust="trusted",
        type=kind,
        body=body.model_dump(mode="json"),
    )
    encoded = codec.encode_event(event)
    assert isinstance(encoded, bytes)
    return encoded


def _batch(
    title: str, settled_through: int, *events: bytes, grants_released_through: int = 0
) -> Example:
    payload = codec.encode_batch(
        DEV,
        EPOCH,
        settled_through,
        0,
        list(events),
        grants_released_through=grants_released_through,
    )
    return Example(title, payload)


def _up() -> dict[str, list[Example]]:
    honoured = RedeemedBody(
        cti=CTI, order="A-1042", kind="write_off", use=1, units=1, amount_minor=1250, currency="EUR",
        verdict="accepted", kid="6b657931",
    )  # fmt: skip
    back = ReversedBody(
        cti=CTI,
        order="A-1042",
        use=1,
        redemption_event=_ID.format(42),
        reason="cashier_error",
        operator="17",
    )
    door = PickupBody(
        cti=CTI, order="A-1043", use=1, compartment="A1", state="collected", detail=""
    )
    withheld = WithheldBody(reason=codec.ALREADY_REFUSED)
    waits = honoured.model_copy(
        update={"use": 2, "verdict": "accepted_pending_review", "operator": "ann"}
    )
    review = ReviewBody(
        cti=CTI, order="A-1042", use=2, redemption_event=_ID.format(46), state="rejected", reason="stolen card",
        operator="platform:zoe",
    )  # fmt: skip
    back_again = ReversedBody.model_validate(review.model_dump(exclude={"state"}))
    gone = ReviewRefusedBody(decision=decision_name(_decision()), reason="not_found")
    case = ExceptionBody(
        case=7, kind="dispute", cti=CTI, order="A-1042", state="settled", cause="the compartment was empty",
        settlement="accepted", note="refunded in cash", operator="sue",
    )  # fmt: skip
    return {
        "EventBatch": [
            _batch("Where are you? (after connecting, and when idle for long)", 41),
            _batch("One redemption", 41, _event(42, "redeemed", honoured)),
            _batch("Nothing more to tell, and nothing comes of claim 7 and those before it", 42, grants_released_through=7),
            _batch(
                "One taken back, one compartment emptied, and a number without its event",
                42,
                _event(43, "reversed", back),
                _event(44, "pickup", door),
                _event(45, "withheld", withheld),
            ),
            _batch(
                "One that waits for a second person, what the platform decided on it, and a case that was settled",
                45,
                _event(46, "redeemed", waits),
                _event(47, "review", review),
                _event(48, "reversed", back_again),
                _event(49, "exception", case),
            ),
            _batch(
                "A decision that a new store in this device cannot take",
                49,
                _event(50, "review_refused", gone),
            ),
            _batch(
                "A time floor that was wrong is given up",
                50,
                _event(51, "clock_reset", ClockResetBody(previous_floor=4_102_444_800, new_floor=NOW_S, reason="a wrong year")),
            ),
        ],
        "OrdersRequest": [
            _said("Everything", OrdersRequest(dev=DEV, id=_ID.format(1), have=0)),
            _said("What is new", OrdersRequest(dev=DEV, id=_ID.format(2), have=REVISION)),
            _said(
                "The next page of a snapshot",
                OrdersRequest(dev=DEV, id=_ID.format(3), have=0, snapshot=REVISION, page=1),
            ),
        ],
        "GrantRequest": [
            _said(
                "Leave to honour it here",
                GrantRequest(dev=DEV, id=_ID.format(4), cti=CTI, quantity=1, epoch=EPOCH, number=7),
            )
        ],
        "LeaseRequest": [
            _said(
                "A site's authority that has just been set up",
                LeaseRequest(id=_ID.format(5), site=SITE, catch_up=True),
            )
        ],
        "Status": [
            _said(
                "Here",
                Status(
                    dev=DEV, state="online", epoch=EPOCH, last_seq=42, settled_through=41, orders_revision=REVISION,
                    rungs=(RungReport(rung="zxing", tries=81240, reads=512, faults=0, busy_ms=242610),),
                ),
            ),
            _said("Gone (the will)", Status(dev=DEV, state="offline", epoch=EPOCH)),
        ],
        "SettingsReport": [
            _said(
                "Running on revision 12; 13 was refused",
                SettingsReport(
                    dev=DEV, state="refused", desired_rev=13, applied_rev=12, hash="9f2c", site=SITE, kind="kiosk",
                    errors=[ReportedError(path="camera.width", message="Input should be a multiple of 2")],
                ),
            )
        ],
    }  # fmt: skip


def _down() -> dict[str, list[Example]]:
    ack = Ack(dev=DEV, epoch=EPOCH, acked_through=42, first=42, last=42, settled_through=41)
    conflict = Conflict(number=9, cti=CTI, epoch=EPOCH, seq=42, other_dev="kiosk-2", other_ts=NOW_S)
    answer = GrantReply(
        device=DEV, id=_ID.format(4), cti=bytes.fromhex(CTI), result=AuthorisationResult.GRANTED, quantity=1, site=SITE,
        authority="_hub", issued_at_s=NOW_S,
    )  # fmt: skip
    signed = GRANT_REPLY.sign(answer, key(Purpose.GRANT))
    return {
        "Ack": [
            _said("All of the batch is durable", ack),
            _said(
                "44 is refused, and 42 was honoured elsewhere too",
                Ack(
                    dev=DEV, epoch=EPOCH, acked_through=45, first=43, last=45, settled_through=42,
                    rejected=[RefusedItem(seq=44, reason="body_invalid")], conflicts=[conflict],
                ),
            ),
            _said(
                "The platform was restored and has only 30: send again from 31",
                Ack(dev=DEV, epoch=EPOCH, acked_through=30, settled_through=41),
            ),
        ],
        "Response": [
            _said(
                "Granted",
                Response(
                    dev=DEV, id=_ID.format(4), result=AuthorisationResult.GRANTED, signed=b64encode(signed).decode()
                ),
            )
        ],
        "LeaseReply": [
            _said("For three days", LeaseReply(id=_ID.format(5), signed=b64encode(_lease()).decode())),
            _said("Not now", LeaseReply(id=_ID.format(6), refused="hub-shop-1 holds term 1")),
        ],
        "Command": [
            _said("Send what is not acknowledged", Command(dev="_all")),
            _said("I answer claims", Command(dev=DEV, type="authority_online")),
        ],
    }  # fmt: skip


def _lease() -> bytes:
    use = LeasedRedemption(
        bytes.fromhex(CTI), DEV, 1, EPOCH, 42, 1, 1250, NOW_S + 42, _ID.format(42)
    )
    lease = Lease(
        site=SITE,
        holder="hub-shop-1",
        term=1,
        until_s=NOW_S + 259_200,
        uses=(use,),
        streams=((DEV, EPOCH, 42),),
    )
    return LEASE.sign(lease, key(Purpose.GRANT))


def entitlement() -> Entitlement:
    """The one that is sold."""
    return Entitlement(
        cti=bytes.fromhex(CTI), order_id="A-1042", kind=Kind.WRITE_OFF, home_site=SITE, home_device=None,
        status=OrderStatus.READY, quantity=1, amount_minor=1250, currency="EUR", not_before_s=0,
        expires_at_s=NOW_S + 86_400, review=False, compartments=(), subject=None, campaign=None, rules=None,
        revision=REVISION,
    )  # fmt: skip


def _signed() -> dict[str, list[Example]]:
    row = row_of(entitlement())
    snapshot = Snapshot(
        site=SITE, issued_at_s=NOW_S, revision=REVISION, page=0, last=True, rows=(row,)
    )
    delta = Delta(
        site=SITE, issued_at_s=NOW_S, from_revision=REVISION - 1, to_revision=REVISION, head=REVISION, rows=(row,),
        removed=(), digest=row_digest(row),
    )  # fmt: skip
    calm = Delta(
        site="shop-2", issued_at_s=NOW_S, from_revision=REVISION, to_revision=REVISION, head=REVISION, rows=(),
        removed=(), digest=EMPTY_DIGEST,
    )  # fmt: skip
    status = status_list(
        kid=key(Purpose.TOKEN).public.kid, version=3, issued_at_s=NOW_S, expires_at_s=NOW_S + 86_400, size=16,
        revoked=[5],
    )  # fmt: skip
    anna = OperatorEntry(
        id="anna",
        role=Role.OPERATOR,
        pin_hash=_PIN_HASH,
        not_before_s=NOW_S,
        expires_at_s=NOW_S + 31_536_000,
    )
    staff = OperatorList(
        audience=SITE,
        version=NOW_S,
        issued_at_s=NOW_S,
        expires_at_s=NOW_S + 3_024_000,
        entries=(anna,),
    )
    settings = SettingsDocument(
        tenant="main", layer=SettingsLayer.SITE, name=SITE, rev=12, content={"camera": {"fps": 15}}
    )
    return {
        "OrdersPage": [
            Example(
                title,
                sign_document(page_payload(page), Purpose.ORDER_FEED, key(Purpose.ORDER_FEED)),
            )
            for title, page in (
                ("A snapshot of one page", snapshot),
                ("A delta", delta),
                ("A delta that says: nothing is new, as of now", calm),
            )
        ]
        + [_decided()],
        "TrustList": [Example("Seven keys", sign_trust_list(trust(), key(Purpose.ROOT), roots()))],
        "OperatorList": [Example("One person", sign_operator_list(staff, key(Purpose.OPERATORS)))],
        "StatusLists": [
            Example(
                "One issuer key, token 5 revoked",
                cbor.encode([sign_status_list(status, key(Purpose.STATUS_LIST))]),
            )
        ],
        "SettingsList": [
            Example(
                "A site's layer", cbor.encode([sign_settings(settings, key(Purpose.CONFIGURATION))])
            )
        ],
    }


def _decided() -> Example:
    page = ReviewPage(site=SITE, issued_at_s=NOW_S, rows=(_decision(),))
    signed = sign_document(review_payload(page), Purpose.ORDER_FEED, key(Purpose.ORDER_FEED))
    return Example("What a person at the platform decided", signed)


def _decision() -> bytes:
    decision = ReviewDecision(
        tenant="main", device=DEV, epoch=EPOCH, seq=46, cti=bytes.fromhex(CTI), approve=False, reason="stolen card",
        issued_at_s=NOW_S,
    )  # fmt: skip
    return sign_review_decision(decision, key(Purpose.REVIEW))


def _ops() -> dict[str, list[Example]]:
    signed = b64encode(_decision()).decode()
    return {
        "FleetRequest": [
            _said(
                "How are the devices?", FleetRequest(id=_ID.format(5), action=FleetAction.DEVICES)
            ),
            _said(
                "Zoe rejects",
                FleetRequest(
                    id=_ID.format(7), action=FleetAction.REVIEW, args={"decision": signed}
                ),
            ),
        ],
        "FleetResponse": [
            _said(
                "So", FleetResponse(id=_ID.format(5), ok=True, result={"devices": [], "next": None})
            ),
            _said("No", FleetResponse(id=_ID.format(6), ok=False, error="no such device")),
        ],
    }


def shown(payload: bytes, form: Form) -> Any:
    """A payload in JSON's form; of signed documents what is under their signatures."""
    match form:
        case Form.JSON:
            return json.loads(payload)
        case Form.SIGNED:
            return document_schemas.payload_of(payload)
        case Form.SIGNED_LIST:
            items = cbor.decode(payload, cbor.DOCUMENT_LIMITS)
            if not isinstance(items, list) or not all(isinstance(item, bytes) for item in items):
                raise ValueError("not an array of byte strings")
            return [document_schemas.payload_of(item) for item in items if isinstance(item, bytes)]
        case _:
            assert_never(form)
