"""What a device must answer, small enough to be read as the specification.

The model knows what was sold, redeemed and reversed, and what the platform and people decided
since. It predicts the verdict of every scan. Of a door it knows only its record: how it ended, and
when.
"""

from dataclasses import dataclass, field

from edge.domain.entitlement import OrderStatus
from edge.domain.verdict import Verdict
from edge.token.claims import Kind

GRACE_S = 60
CLOSED_TO = {
    OrderStatus.AWAITING_PAYMENT: Verdict.NOT_PAID,
    OrderStatus.PAID: Verdict.NOT_READY,
    OrderStatus.CANCELLED: Verdict.ORDER_CANCELLED,
    OrderStatus.REFUNDED: Verdict.ORDER_REFUNDED,
}


@dataclass
class Door:
    """What is on record of one compartment of a use: every time it was to be opened."""

    states: list[str] = field(default_factory=list)  # of each intent, in order
    ends_s: list[int | None] = field(default_factory=list)

    @property
    def live(self):
        return None in self.ends_s

    @property
    def left(self):
        """True when it never opened and nothing is in progress."""
        return not self.live and set(self.states) == {"released"}

    def opens_again(self, now_s):
        """Return whether the grace since the end of its first possible opening is not over."""
        ends = [
            end
            for state, end in zip(self.states, self.ends_s, strict=True)
            if state != "released" and end
        ]
        return bool(ends) and 0 <= now_s - ends[0] < GRACE_S


@dataclass
class Use:
    """One redemption."""

    ledger_id: int
    by: str | None
    review: str | None = None  # pending | approved
    reversed: bool = False


@dataclass
class Code:
    """One order's code, and all that became of it."""

    claims: object
    flagged: bool
    doors: tuple[str, ...]
    status: OrderStatus = OrderStatus.READY
    uses: list[Use] = field(default_factory=list)

    @property
    def standing(self):
        return [use for use in self.uses if not use.reversed]

    def verdict(self, now_s, doors_of):
        """Return the verdict of a scan at ``now_s``; ``doors_of(use)`` gives its doors by name."""
        if self.status in CLOSED_TO:
            return CLOSED_TO[self.status]
        if now_s < self.claims.not_before_s:
            return Verdict.TOO_EARLY
        if now_s >= self.claims.expires_at_s:
            return Verdict.EXPIRED
        going_on = self._going_on(now_s, doors_of)
        if going_on is not None:
            return going_on
        if len(self.standing) >= self.claims.quantity:
            return Verdict.ALREADY_REDEEMED
        return Verdict.ACCEPTED_PENDING_REVIEW if self.flagged else Verdict.ACCEPTED

    def _going_on(self, now_s, doors_of):
        """Return the verdict on a parcel whose use is written: its doors continue."""
        if self.claims.kind is not Kind.PICKUP or not self.standing:
            return None
        use = self.standing[-1]
        if use.review == "pending":
            return Verdict.ACCEPTED_PENDING_REVIEW
        doors = doors_of(use).values()
        more = not doors or any(door.left or door.live or door.opens_again(now_s) for door in doors)
        return Verdict.ACCEPTED if more else None
