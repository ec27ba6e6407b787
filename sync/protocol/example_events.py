"""Example batches: the life of one voucher and one parcel, as a device reports it."""

from __future__ import annotations

from typing import Final

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
from sync.protocol.example_documents import review_decision
from sync.protocol.example_keys import CTI, DAY_S, DEV, EPOCH, NOW_S, ident
from sync.wire import codec
from sync.wire.messages import Event, WireModel
from sync.wire.review_decision import decision_name

_REDEEMED: Final = RedeemedBody(
    cti=CTI,
    order="A-1042",
    kind="write_off",
    use=1,
    units=1,
    amount_minor=1250,
    currency="EUR",
    verdict="accepted",
    kid="6b657931",
    expires_s=NOW_S + DAY_S,
)
_REVERSED: Final = ReversedBody(
    cti=CTI,
    order="A-1042",
    use=1,
    redemption_event=ident(42),
    reason="cashier_error",
    operator="17",
)
_COLLECTED: Final = PickupBody(
    cti=CTI, order="A-1043", use=1, compartment="A1", state="collected", detail=""
)
_AWAITING_REVIEW: Final = RedeemedBody(
    cti=CTI,
    order="A-1042",
    kind="write_off",
    use=2,
    units=1,
    amount_minor=1250,
    currency="EUR",
    verdict="accepted_pending_review",
    operator="ann",
    kid="6b657931",
)
_REJECTED: Final = ReviewBody(
    cti=CTI,
    order="A-1042",
    use=2,
    redemption_event=ident(46),
    state="rejected",
    reason="stolen card",
    operator="platform:zoe",
)
_REVERSED_BY_REVIEW: Final = ReversedBody(
    cti=CTI,
    order="A-1042",
    use=2,
    redemption_event=ident(46),
    reason="stolen card",
    operator="platform:zoe",
)
_SETTLED: Final = ExceptionBody(
    case=7,
    kind="dispute",
    cti=CTI,
    order="A-1042",
    state="settled",
    cause="the compartment was empty",
    settlement="accepted",
    note="refunded in cash",
    operator="sue",
)
_CLOCK_RESET: Final = ClockResetBody(
    previous_floor=4_102_444_800, new_floor=NOW_S, reason="took 2100 as the year"
)


def batches() -> dict[str, bytes]:
    """Return batches of events as JSON, by what they report."""
    refused = ReviewRefusedBody(decision=decision_name(review_decision()), reason="not_found")
    return {
        "What do you have? (after connecting, and when idle for long)": _batch(41),
        "One redemption": _batch(41, _event(42, "redeemed", _REDEEMED)),
        "Nothing more to report; grant request 7 and those before it are over": _batch(
            42, grants_released_through=7
        ),
        "A reversal, a compartment that was emptied, and a number without its event": _batch(
            42,
            _event(43, "reversed", _REVERSED),
            _event(44, "pickup", _COLLECTED),
            _event(45, "withheld", WithheldBody(reason=codec.ALREADY_REFUSED)),
        ),
        "A redemption that waits for a second person, the platform's decision on it,"
        " and a case that was settled": _batch(
            45,
            _event(46, "redeemed", _AWAITING_REVIEW),
            _event(47, "review", _REJECTED),
            _event(48, "reversed", _REVERSED_BY_REVIEW),
            _event(49, "exception", _SETTLED),
        ),
        "A decision that a new store in this device cannot apply": _batch(
            49, _event(50, "review_refused", refused)
        ),
        "A wrong time floor was lowered": _batch(50, _event(51, "clock_reset", _CLOCK_RESET)),
    }


def _batch(acknowledged_through: int, *events: bytes, grants_released_through: int = 0) -> bytes:
    return codec.encode_batch(
        DEV,
        EPOCH,
        acknowledged_through,
        0,
        list(events),
        grants_released_through=grants_released_through,
    )


def _event(seq: int, kind: str, body: WireModel) -> bytes:
    event = Event(
        seq=seq,
        id=ident(seq),
        ts=NOW_S + seq,
        ts_trust="trusted",
        type=kind,
        body=body.model_dump(mode="json"),
    )
    encoded = codec.encode_event(event)
    assert isinstance(encoded, bytes)
    return encoded
