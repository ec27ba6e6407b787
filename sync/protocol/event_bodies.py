"""What the bodies of a device's events hold. The hub reads only a little of it; the platform may want the rest."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sync.wire.messages import Count, Cti, Ident, Seq, Word

Text = Annotated[str, Field(max_length=400)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    retry_of: Annotated[str, Field(max_length=40)] | None = (
        None  # id of a refused event: this one takes its place
    )


class RedeemedBody(_Body):
    """A code was honoured: so many units of it, for good. ``use`` numbers the uses of a code on this device.

    ``grant_request`` is the id of the GrantRequest whose grant it rests on, where it rests on one.
    """

    cti: Cti
    order: Text
    kind: Literal["write_off", "pickup"]
    use: Seq
    units: Seq
    amount_minor: Count | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    verdict: Word
    risks: list[Word] = []
    operator: Text | None = None
    doors: list[Text] = []
    kid: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
    grant_request: Ident | None = None
    redemption_event: Ident | None = (
        None  # id of the event that first told it, where it was sent again more than once
    )


class ReversedBody(_Body):
    """The use ``use`` of a code was taken back: it counts no more.

    ``redemption_event`` says which: a device whose store was lost numbers its uses from 1 again.
    """

    cti: Cti
    order: Text
    use: Seq
    redemption_event: Ident  # id of the event that first told the redemption
    reason: Text
    operator: Text | None = None


class PickupBody(_Body):
    """What became of a compartment that was to open for a use."""

    cti: Cti
    order: Text
    use: Seq
    compartment: Text
    state: Literal["reserved", "pulsing", "pulsed", "opened", "collected", "released", "unknown"]
    detail: Text
    exception: Word | None = None


class OperatorBody(_Body):
    """Somebody signed in or out, tried to, was locked out or unlocked."""

    operator: Text
    result: Literal[
        "signed_in", "signed_out", "pin_wrong", "operator_locked_out", "operator_unknown", "operator_list_missing",
        "operator_list_stale", "unlocked",
    ]  # fmt: skip
    detail: Text = ""


class ReviewBody(_Body):
    """A redemption that waited for a second person does so no more. ``void``: it was taken back before.

    ``redemption_event`` says which, as in ``reversed``.
    """

    cti: Cti
    order: Text
    use: Seq
    redemption_event: Ident  # id of the event that first told the redemption
    state: Literal["approved", "rejected", "void"]
    reason: Text
    operator: Text | None = None  # who decided; ``platform:NAME`` for a person at the platform


class ReviewRefusedBody(_Body):
    """A decision of a person at the platform has no effect on this device, which says so once.

    ``not_found``: nothing in its store waits under that, as after the loss of a store. ``same_person``: it knows that
    who decided scanned it. ``not_verified``: the signature of the decision does not hold by its trust list.
    """

    decision: Annotated[
        str, Field(pattern=r"^[0-9a-f]{32}$")
    ]  # the first half of the SHA-256 of the signed decision
    reason: Literal["not_found", "same_person", "not_verified"]


class ExceptionBody(_Body):
    """A case was raised by a person, or settled by one."""

    case: Seq
    kind: Literal[
        "system_fault", "data_error", "business_rule", "dispute", "door_not_opened", "door_left_open", "sensor_fault",
        "platform_conflict", "upload_refused",
    ]  # fmt: skip
    cti: Cti | None = None
    order: Text | None = None
    state: Literal["raised", "settled"]
    cause: str
    settlement: (
        Literal["fixed", "accepted", "collected", "not_collected", "reversed", "retried"] | None
    ) = None
    note: str | None = None
    operator: Text


class ClockResetBody(_Body):
    """A time floor that was wrong was given up, by an order that ops signed. Unix seconds."""

    previous_floor: Count
    new_floor: Count
    reason: Text


class WithheldBody(_Body):
    """The number of an event that cannot be sent, or that was refused before. It has no effect."""

    reason: Word
    type: str = ""


BODIES: dict[str, type[_Body]] = {
    "redeemed": RedeemedBody,
    "reversed": ReversedBody,
    "pickup": PickupBody,
    "operator": OperatorBody,
    "review": ReviewBody,
    "review_refused": ReviewRefusedBody,
    "clock_reset": ClockResetBody,
    "exception": ExceptionBody,
    "withheld": WithheldBody,
}
