"""The one model for configuration, shipped as a profile or pushed by ops.

Pure: text or a mapping in, a ``Profile`` or a list of errors with their paths out.
Unknown keys are refused, so that a misspelt setting is an error and not a default.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
Pin = Annotated[int, Field(ge=0, le=27)]  # BCM numbering, the 40-pin header


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Device(_Section):
    """Who this device is. The platform assigns all of it."""

    id: Name
    tenant: Name = "main"
    site: Name
    groups: tuple[Name, ...] = ()  # device groups a token's audience may name
    kind: Literal["kiosk", "locker", "handheld"]


class Camera(_Section):
    """Where frames come from. Exposure and autofocus apply to picamera2."""

    source: Literal["picamera2", "v4l2", "video", "images"] = "picamera2"
    index: int = Field(0, ge=0, le=31)  # camera number (picamera2, v4l2)
    path: str | None = None  # file (video) or folder (images)
    width_px: int = Field(1280, ge=160, le=4608)
    height_px: int = Field(720, ge=120, le=3456)
    frame_rate_hz: float = Field(30.0, gt=0, le=240)
    exposure_us: int | None = Field(None, ge=10, le=1_000_000)  # None: automatic
    analogue_gain: float | None = Field(None, ge=1, le=64)
    autofocus: Literal["continuous", "manual", "none"] = "none"
    lens_position_dioptre: float | None = Field(None, ge=0, le=15)  # with autofocus = "manual"
    stall_s: float = Field(0.8, gt=0, le=10)  # no frame for this long: the camera is lost

    @model_validator(mode="after")
    def _consistent(self) -> Camera:
        if self.source in ("video", "images") and not self.path:
            raise ValueError(f'source "{self.source}" needs path')
        if self.autofocus == "manual" and self.lens_position_dioptre is None:
            raise ValueError('autofocus "manual" needs lens_position_dioptre')
        if self.exposure_us is not None and self.exposure_us * self.frame_rate_hz > 1_000_000:
            raise ValueError("exposure_us is longer than a frame at frame_rate_hz")
        return self


class Decode(_Section):
    """The decode loop's budget and when a code in view counts again."""

    budget_ms: float = Field(60.0, gt=0, le=2000)
    hold_off_s: float = Field(3.0, ge=0.2, le=60)  # a code counts again after this long out of view


class Indicators(_Section):
    """Lamps and buzzer on GPIO. A missing pin means there is no such part."""

    green_pin: Pin | None = None
    amber_pin: Pin | None = None
    red_pin: Pin | None = None
    buzzer_pin: Pin | None = None
    active_high: bool = True
    hold_s: float = Field(2.5, ge=0.2, le=30)  # how long a result stays before idle shows again

    @property
    def pins(self) -> dict[str, int]:
        """The pins that are wired, by name."""
        named = self.model_dump(include={"green_pin", "amber_pin", "red_pin", "buzzer_pin"})
        return {name: pin for name, pin in named.items() if pin is not None}


class Compartment(_Section):
    """One door: its lock relay and its contact."""

    lock_pin: Pin
    door_pin: Pin | None = None
    door_open_high: bool = True  # the contact reads high when the door is open


class Locker(_Section):
    """Lock relays by compartment name."""

    compartments: dict[Name, Compartment] = {}
    active_high: bool = True
    pulse_ms: int = Field(400, ge=20, le=5000)
    door_open_timeout_s: float = Field(10.0, ge=1, le=120)
    door_close_timeout_s: float = Field(90.0, ge=5, le=3600)
    grace_s: float = Field(120.0, ge=0, le=3600)  # the same code may reopen its door


class FloorLimits(_Section):
    """How much risk this device may take without asking (EMV's words)."""

    amount_minor: int = Field(0, ge=0)  # largest single redemption honoured unasked
    uses_a_day: int = Field(0, ge=0)
    exposure_minor: int = Field(0, ge=0)  # total not yet acknowledged
    longest_offline_s: int = Field(86_400, ge=0)


class Policy(_Section):
    """What may be done without asking, and with how much trust in time and lists."""

    offline_unknown: Literal["refuse", "floor_limit"] = "refuse"  # good signature, not in the cache
    offline_site_home: Literal["refuse", "floor_limit"] = "floor_limit"  # homed on the site, not on this device
    floor: FloorLimits = FloorLimits()
    floor_only_kinds: tuple[Literal["write_off", "pickup"], ...] = ("pickup",)  # with an untrusted clock
    trust_list_max_age_s: int = Field(30 * 86_400, ge=3600)
    status_list_max_age_s: int = Field(7 * 86_400, ge=60)
    orders_max_age_s: int = Field(7 * 86_400, ge=60)
    review_above_minor: int | None = Field(None, ge=0)


class Mqtt(_Section):
    """The broker. Always TLS 1.3 with a certificate a device."""

    host: str
    port: int = Field(8883, ge=1, le=65535)
    ca_file: str
    cert_file: str
    key_file: str
    keepalive_s: int = Field(30, ge=5, le=600)
    window: int = Field(64, ge=1, le=1000)  # events in flight without an acknowledgement


class Trust(_Section):
    """The anchors: root keys that sign trust lists."""

    roots_file: str
    issuers: tuple[Name, ...] = ()  # further restriction of iss; empty: as the trust list says


class Profile(_Section):
    """A device profile, whole."""

    schema_version: Literal[1] = 1
    device: Device
    camera: Camera = Camera()
    decode: Decode = Decode()
    indicators: Indicators = Indicators()
    locker: Locker = Locker()
    policy: Policy = Policy()
    trust: Trust
    mqtt: Mqtt | None = None

    @model_validator(mode="after")
    def _pins_are_distinct(self) -> Profile:
        taken: dict[int, str] = {}
        for path, pin in self._pins():
            if pin in taken:
                raise ValueError(f"pin {pin} is used by {taken[pin]} and by {path}")
            taken[pin] = path
        return self

    def _pins(self) -> list[tuple[str, int]]:
        pins = [(f"indicators.{name}", pin) for name, pin in self.indicators.pins.items()]
        for name, door in self.locker.compartments.items():
            pins.append((f"locker.compartments.{name}.lock_pin", door.lock_pin))
            if door.door_pin is not None:
                pins.append((f"locker.compartments.{name}.door_pin", door.door_pin))
        return pins


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One thing wrong with a profile: where, and what to do."""

    path: str  # "camera.width_px"; empty for the file as a whole
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'profile'}: {self.message}"


def parse_profile(text: str) -> Profile | list[ConfigError]:
    """Read a profile from TOML text. Every error is returned, each with its path.

    >>> parse_profile("nonsense =")[0].path
    ''
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return [ConfigError("", f"not TOML: {error}")]
    return load_profile(document)


def load_profile(document: dict[str, Any]) -> Profile | list[ConfigError]:
    """Build a profile from a mapping. Every error is returned, each with its path."""
    try:
        return Profile.model_validate(document)
    except ValidationError as error:
        return [
            ConfigError(".".join(str(part) for part in item["loc"]), item["msg"].removeprefix("Value error, "))
            for item in error.errors()
        ]
