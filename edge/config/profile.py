"""A device profile, whole."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from edge.config.locker import LockerSection
from edge.config.peripherals import (
    CameraSection,
    DecodeSection,
    EnginesSection,
    Indicators,
    Presence,
    Trigger,
)
from edge.config.policy import Policy
from edge.config.section import FAULTS, DeviceName, Name, Section, refuse
from edge.config.toml import ConfigError, parse_toml

MOST_GROUPS: Final = 13  # of a device; the same in edge.documents.settings


class DeviceSection(Section):
    """Who this device is. The platform assigns all of it."""

    id: DeviceName
    tenant: Name = "main"
    site: Name
    # Device groups that a token's audience may name.
    groups: Annotated[tuple[Name, ...], Field(max_length=MOST_GROUPS)] = ()
    kind: Literal["kiosk", "locker", "handheld"]


class MqttSection(Section):
    """The broker. Always TLS 1.3 with a certificate a device."""

    host: str
    port: int = Field(8883, ge=1, le=65535)
    ca_file: str
    cert_file: str
    key_file: str
    keepalive_s: int = Field(30, ge=5, le=600)
    window: int = Field(256, ge=1, le=1000)  # events in flight without an acknowledgement


class OrdersSection(Section):
    """How many orders the platform may take away within a day before a person confirms it.

    More than this share and more than this number; of another store of the platform, the share.
    """

    shrink_percent: int = Field(20, ge=1, le=100)
    shrink_rows: int = Field(50, ge=0, le=1_000_000)


class TrustSection(Section):
    """The anchors: root keys that sign trust lists."""

    roots_file: str
    issuers: tuple[Name, ...] = ()  # further restriction of iss; empty: as the trust list says


class IdentityProfile(Section):
    """The sections of a profile that enrolment writes.

    The device's kind comes with the hardware.
    """

    device: DeviceSection
    trust: TrustSection
    mqtt: MqttSection | None = None


class Profile(Section):
    """A device profile, whole."""

    schema_version: Literal[1] = 1
    device: DeviceSection
    camera: CameraSection = CameraSection()
    decode: DecodeSection = DecodeSection()
    indicators: Indicators = Indicators()
    locker: LockerSection = LockerSection()
    engines: EnginesSection = EnginesSection()
    trigger: Trigger | None = None
    presence: Presence | None = None
    policy: Policy = Policy()
    orders: OrdersSection = OrdersSection()
    trust: TrustSection
    mqtt: MqttSection | None = None

    @model_validator(mode="after")
    def _pins_are_distinct(self) -> Profile:
        taken: dict[int, str] = {}
        for path, pin in self._pins():
            if pin in taken:
                raise ValueError(f"pin {pin} is used by {taken[pin]} and by {path}")
            taken[pin] = path
        return self

    @model_validator(mode="after")
    def _ports_are_distinct(self) -> Profile:
        board, engine = self.locker.board, self.engines.serial
        if board is not None and engine is not None and board.port == engine.port:
            refuse(
                [("engines.serial.port", f"{engine.port} is the lock board's (locker.board.port)")]
            )
        return self

    def _pins(self) -> list[tuple[str, int]]:
        pins = [(f"indicators.{name}", pin) for name, pin in self.indicators.pins.items()]
        for name, door in self.locker.compartments.items():
            wired = ((key, getattr(door, key)) for key in ("lock_pin", "door_pin"))
            pins += [
                (f"locker.compartments.{name}.{key}", pin) for key, pin in wired if pin is not None
            ]
        if self.trigger is not None:
            pins.append(("trigger.pin", self.trigger.pin))
        if self.presence is not None:
            pins.append(("presence.pin", self.presence.pin))
        return pins


def parse_profile(text: str) -> Profile | list[ConfigError]:
    """Read a profile from TOML text. Every error is returned, each with its path.

    >>> parse_profile("nonsense =")[0].path
    ''
    """
    document = parse_toml(text)
    return [document] if isinstance(document, ConfigError) else load_profile(document)


def load_profile(document: dict[str, Any]) -> Profile | list[ConfigError]:
    """Build a profile from a mapping. Every error is returned, each with its path."""
    try:
        return Profile.model_validate(document)
    except ValidationError as error:
        return [fault for item in error.errors() for fault in _faults(item)]


def identity_errors(document: dict[str, Any]) -> list[ConfigError]:
    """Return everything that is wrong with the sections that an enrolment writes."""
    device = document.get("device")
    whole = (
        {**document, "device": {"kind": "kiosk", **device}}
        if isinstance(device, dict)
        else document
    )
    try:
        IdentityProfile.model_validate(whole)
    except ValidationError as error:
        return [fault for item in error.errors() for fault in _faults(item)]
    return []


def _faults(item: ErrorDetails) -> list[ConfigError]:
    path = ".".join(str(part) for part in item["loc"])
    if item["type"] == FAULTS:
        return [
            ConfigError(f"{path}.{below}".lstrip("."), message)
            for below, message in item["ctx"]["faults"]
        ]
    return [ConfigError(path, item["msg"].removeprefix("Value error, "))]
