"""The verdicts of the decision (docs/reference/verdicts.md)."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What the device does about a verified code. One reason code each (law 8).

    After the two accepted ones, in the order in which ``edge.domain.decision`` tests them. Its
    rules for pickups in progress and for authorisation replies may give one of these earlier.
    STORE_UNAVAILABLE is given where no decision can be made.
    """

    ACCEPTED = "accepted"
    ACCEPTED_PENDING_REVIEW = "accepted_pending_review"
    WRONG_SITE = "wrong_site"
    WRONG_KIND = "wrong_kind"
    DATA_ERROR = "data_error"
    REVOKED = "revoked"
    CAMPAIGN_WITHDRAWN = "campaign_withdrawn"
    ORDER_CANCELLED = "order_cancelled"
    ORDER_REFUNDED = "order_refunded"
    NOT_PAID = "not_paid"
    NOT_READY = "not_ready"
    TOO_EARLY = "too_early"
    EXPIRED = "expired"
    RULE_FAILED = "rule_failed"
    ALREADY_REDEEMED = "already_redeemed"
    QUANTITY_EXCEEDED = "quantity_exceeded"
    NEEDS_ONLINE = "needs_online"
    OVER_FLOOR_LIMIT = "over_floor_limit"
    OPERATOR_REQUIRED = "operator_required"
    OPERATOR_FORBIDDEN = "operator_forbidden"
    BLOCKED_DEVICE = "blocked_device"
    STORE_UNAVAILABLE = "store_unavailable"

    @property
    def is_accepted(self) -> bool:
        """True when a redemption is written."""
        return self in (Verdict.ACCEPTED, Verdict.ACCEPTED_PENDING_REVIEW)
