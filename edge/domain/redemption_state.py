"""What a verdict rests on: the device's place, the request, and the store's state of a code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from edge.config import Profile
from edge.domain.authorisation import AuthorisationResult
from edge.domain.entitlement import Entitlement
from edge.token.claims import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePlace:
    """This device, as far as a verdict depends on it."""

    device_id: str
    site_id: str
    groups: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset({Kind.WRITE_OFF, Kind.PICKUP})
    compartments: frozenset[str] = frozenset()  # empty: parcels are handed over by hand


def place_of(profile: Profile) -> DevicePlace:
    """Return the place that a profile gives its device.

    A locker serves pickups and a handheld both kinds. A kiosk serves write-offs and, if it has
    compartments, pickups.
    """
    kinds = set() if profile.device.kind == "locker" else {Kind.WRITE_OFF}
    if profile.locker.compartments or profile.device.kind == "handheld":
        kinds.add(Kind.PICKUP)
    return DevicePlace(
        device_id=profile.device.id,
        site_id=profile.device.site,
        groups=frozenset(profile.device.groups),
        kinds=frozenset(kinds),
        compartments=frozenset(profile.locker.compartments),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedUse:
    """How much of the code to redeem.

    ``amount_minor`` is for a voucher that is redeemed in parts; None: all that is left.
    """

    units: int = 1
    amount_minor: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRedemption:
    """A redemption on this device that no reversal took back."""

    ledger_id: int
    use_no: int
    units: int
    amount_minor: int | None
    at_s: int
    review: str | None = None  # a second person's: pending | approved; None: not needed


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredRedemption:
    """A redemption of an earlier store of this device, or of its site, as the platform knows it."""

    device: str
    units: int
    amount_minor: int | None
    at_s: int


Use: TypeAlias = LocalRedemption | RestoredRedemption


@dataclass(frozen=True, slots=True, kw_only=True)
class CompartmentState:
    """The latest state of one compartment of a pickup."""

    compartment: str
    live: bool  # its door states have not ended yet
    emptied: bool | None  # True collected, False not opened, None unknown
    ended_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineExposure:
    """The risk that this device has already taken offline."""

    uses_today: int = 0  # in the last 24 hours
    amount_minor: int = 0  # not yet acknowledged by the platform


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineAuthorisation:
    """The home authority's reply to this device's request. It rests on a signature (law 4)."""

    result: AuthorisationResult
    id: str  # of the grant; the event names it
    used: int = 0  # by other devices
    used_minor: int = 0
    authority: str = ""
    used_s: int = 0  # when another device last redeemed it, Unix seconds; 0: not known
    used_by: str = ""  # which device


@dataclass(frozen=True, slots=True, kw_only=True)
class RedemptionState:
    """What the store knows of a code, read in the transaction that decides on it."""

    entitlement: Entitlement | None = None
    uses: tuple[LocalRedemption, ...] = ()
    doors: tuple[CompartmentState, ...] = ()  # of the last use, in walking order
    next_use_no: int = 1
    revoked: bool = False
    campaign_withdrawn: bool = False
    blocked: str | None = None
    last_contact_s: int | None = None  # when data of the platform last arrived
    exposure: OfflineExposure = OfflineExposure()
    authorisation: OnlineAuthorisation | None = None  # None: no request, or no reply in time
    # Redemptions of codes issued before this moment may be missing here; None: none is missing.
    lost_s: int | None = None
    restored: tuple[RestoredRedemption, ...] = ()  # oldest first
