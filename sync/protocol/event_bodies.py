"""The bodies of a device's events. The hub reads little of them; the platform may use the rest."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from sync.wire.messages import Count, Cti, Ident, Seconds, Seq, WireModel, Word

Text = Annotated[str, Field(max_length=400)]
Order = Annotated[Text, Field(description="the order")]
Use = Annotated[Seq, Field(description="number of the use of the code on this device")]
RedemptionEvent = Annotated[
    Ident, Field(description="id of the event that first reported the redemption")
]


class _Body(WireModel):
    retry_of: str | None = Field(
        None, max_length=40, description="id of a refused event, which this one replaces"
    )


class RedeemedBody(_Body):
    """A code was redeemed: so many units of it, for good."""

    cti: Cti
    order: Order
    kind: Literal["write_off", "pickup"] = Field(description="kind of the code")
    use: Use
    units: Seq = Field(description="how many units")
    amount_minor: Count | None = Field(
        None, description="the amount in minor units of money, where it has one"
    )
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="ISO 4217")
    verdict: Word = Field(description="the verdict (docs/reference/verdicts.md)")
    risks: list[Word] = Field(
        default_factory=list, description="what the device could not know when it redeemed offline"
    )
    operator: Text | None = Field(None, description="the operator who was signed in")
    doors: list[Text] = Field(default_factory=list, description="compartments to open, in order")
    kid: str = Field(pattern=r"^[0-9a-f]{8}$", description="the key that signed the code")
    expires_s: Seconds | None = Field(
        None,
        description="when the code expires, Unix seconds; after that no device is reminded of it",
    )
    grant_request: Ident | None = Field(
        None, description="id of the GrantRequest whose grant it rests on, if it rests on one"
    )
    redemption_event: Ident | None = Field(
        None,
        description="id of the event that first reported it, if it was sent again more than once",
    )


class ReversedBody(_Body):
    """A use of a code was reversed and no longer counts.

    ``redemption_event`` names it: a device whose store was lost numbers its uses from 1 again.
    """

    cti: Cti
    order: Order
    use: Use
    redemption_event: RedemptionEvent
    reason: Text = Field(description="why, in the operator's words")
    operator: Text | None = Field(None, description="the operator who reversed it")


class PickupBody(_Body):
    """The state of a compartment that was to open for a use."""

    cti: Cti
    order: Order
    use: Use
    compartment: Text = Field(description="the compartment")
    state: Literal[
        "reserved", "pulsing", "pulsed", "opened", "collected", "released", "unknown"
    ] = Field(description="state of the door (docs/explanation/pickup.md)")
    detail: Text = Field(description="in English")
    exception: Word | None = Field(None, description="kind of the exception that was raised")


class OperatorBody(_Body):
    """An operator signed in or out, tried to, was locked out or unlocked."""

    operator: Text = Field(description="the operator")
    result: Literal[
        "signed_in",
        "signed_out",
        "pin_wrong",
        "operator_locked_out",
        "operator_unknown",
        "operator_list_missing",
        "operator_list_stale",
        "unlocked",
    ] = Field(description="the result")
    detail: Text = Field("", description="in English")


class ReviewBody(_Body):
    """A redemption no longer waits for a second person. ``void``: it was reversed before."""

    cti: Cti
    order: Order
    use: Use
    redemption_event: RedemptionEvent
    state: Literal["approved", "rejected", "void"] = Field(description="the outcome")
    reason: Text = Field(description="why, in the reviewer's words")
    operator: Text | None = Field(
        None, description="the reviewer; `platform:NAME` for a person at the platform"
    )


class ReviewRefusedBody(_Body):
    """A decision of a person at the platform has no effect on this device, which reports it once.

    ``not_found``: no redemption in its store waits under that number, as after the loss of a
    store. ``same_person``: the person who decided also scanned it. ``not_verified``: the signature
    of the decision does not hold by the device's trust list.
    """

    decision: str = Field(
        pattern=r"^[0-9a-f]{32}$", description="first half of the SHA-256 of the signed decision"
    )
    reason: Literal["not_found", "same_person", "not_verified"] = Field(description="why")


class ExceptionBody(_Body):
    """An operator raised an exception case, or settled one."""

    case: Seq = Field(description="number of the case on this device")
    kind: Literal[
        "system_fault",
        "data_error",
        "business_rule",
        "dispute",
        "door_not_opened",
        "door_left_open",
        "sensor_fault",
        "platform_conflict",
        "upload_refused",
    ] = Field(description="kind of the case")
    cti: Cti | None = Field(None, description="identity of the code, if it is about one")
    order: Text | None = Field(None, description="the order, if it is about one")
    state: Literal["raised", "settled"] = Field(description="what happened to the case")
    cause: str = Field(description="the cause, in English")
    settlement: (
        Literal["fixed", "accepted", "collected", "not_collected", "reversed", "retried"] | None
    ) = Field(None, description="how it was settled")
    note: str | None = Field(None, description="the operator's note")
    operator: Text = Field(description="the operator")


class ClockResetBody(_Body):
    """A wrong time floor was lowered by an order that operations signed."""

    previous_floor: Count = Field(description="Unix seconds")
    new_floor: Count = Field(description="Unix seconds")
    reason: Text = Field(description="why, as in the order")


class WithheldBody(_Body):
    """The number of an event that cannot be sent, was refused before, or was lost.

    It has no effect.
    """

    reason: Word = Field(
        description="why: `already_refused`, `lost` with its store, or what is wrong with it"
    )
    type: str = Field("", description="type of the event, where it is known")


BODIES: Final[dict[str, type[WireModel]]] = {
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
