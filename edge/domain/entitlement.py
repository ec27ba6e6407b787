"""An order line as the device caches it: what may be redeemed, where and when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge.token.claims import Kind


class OrderStatus(StrEnum):
    """The state of an order on the platform, as last received by this device."""

    AWAITING_PAYMENT = "awaiting_payment"
    PAID = "paid"  # paid in full, not yet prepared
    READY = "ready"  # may be redeemed
    SHIPPED = "shipped"  # in the compartment; may be redeemed
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """One row of the order cache. It comes only from a signed order feed (law 4)."""

    cti: bytes  # 16 bytes
    order_id: str
    kind: Kind
    home_site: str
    home_device: str | None = None  # None: any device of the site
    status: OrderStatus = OrderStatus.READY
    quantity: int = 1  # uses
    amount_minor: int | None = None  # total value, for a voucher redeemed in parts
    currency: str | None = None
    not_before_s: int = 0  # Unix seconds, inclusive
    expires_at_s: int = 2**33 - 1  # Unix seconds, exclusive
    review: bool = False  # a second person must approve
    compartments: tuple[str, ...] = ()  # pickup: where the parcels are
    subject: str | None = None  # the platform's pseudonym of the customer
    campaign: str | None = None
    rules: str | None = None  # JSON: [{"id": ..., "logic": ...}]
    revision: int = 0  # of the feed that wrote it
