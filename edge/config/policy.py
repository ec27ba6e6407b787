"""The section for what a device may do without the platform."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from edge.config.section import Name, Section, refuse
from edge.rules.fault import RuleFault
from edge.rules.rule import LONGEST_TEXT, MOST_RULES, parse_logic
from edge.rules.validation import validate


class FloorLimits(Section):
    """How much risk this device may take offline (the term is EMV's)."""

    amount_minor: int = Field(0, ge=0)  # largest single redemption without a grant
    uses_a_day: int = Field(0, ge=0)
    exposure_minor: int = Field(0, ge=0)  # total not yet acknowledged
    longest_offline_s: int = Field(86_400, ge=0)


class SiteRule(Section):
    """A condition on every code of these kinds, beside those of its order.

    docs/reference/rules.md has the language and the data.
    """

    id: Name
    kinds: tuple[Literal["write_off", "pickup"], ...] = ("write_off", "pickup")
    logic: str = Field(max_length=LONGEST_TEXT)  # an expression, as JSON text

    @model_validator(mode="after")
    def _can_be_evaluated(self) -> SiteRule:
        logic = parse_logic(self.logic)
        if isinstance(logic, RuleFault):
            refuse([("logic", logic.detail)])
        refuse([("logic", issue.message) for issue in validate(logic)])
        return self


class Policy(Section):
    """What the device may do without the platform, and how old its lists may be."""

    offline_unknown: Literal["refuse", "floor_limit"] = "refuse"  # good signature, not in the cache
    # For a code that is homed on the site, not on this device.
    offline_site_home: Literal["refuse", "floor_limit"] = "floor_limit"
    # For a code that this device may have redeemed in a store that it has lost.
    offline_recovering: Literal["refuse", "floor_limit"] = "refuse"
    floor: FloorLimits = FloorLimits()
    # Kinds that may be redeemed with an untrusted clock.
    floor_only_kinds: tuple[Literal["write_off", "pickup"], ...] = ("pickup",)
    trust_list_max_age_s: int = Field(30 * 86_400, ge=3600)
    status_list_max_age_s: int = Field(7 * 86_400, ge=60)
    orders_max_age_s: int = Field(7 * 86_400, ge=60)
    review_above_minor: int | None = Field(None, ge=0)
    reversal_window_s: int = Field(86_400, ge=0)  # how long a supervisor may reverse a redemption
    # IANA name, for rules about local time.
    timezone: str = Field("UTC", pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{0,39}$")
    products: tuple[Name, ...] = ()  # what is handed out here: for rules about products
    rules: tuple[SiteRule, ...] = Field((), max_length=MOST_RULES)
    # Kinds that need a signed-in operator.
    operator_required_kinds: tuple[Literal["write_off", "pickup"], ...] = ()
    operator_session_s: int = Field(8 * 3600, ge=60, le=86_400)  # a session ends after this long,
    operator_idle_s: int = Field(900, ge=30, le=86_400)  # or this long after the last act
