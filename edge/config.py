"""The one model for configuration, shipped as a profile or pushed by ops.

Pure: text or a mapping in, a ``Profile`` or a list of errors with their paths out.
Unknown keys are refused, so that a misspelt setting is an error and not a default.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from edge.rules.evaluate import Dialect
from edge.rules.fault import Fault
from edge.rules.rule import LONGEST_TEXT, MOST_RULES, parse_logic
from edge.rules.validate import validate

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
Pin = Annotated[int, Field(ge=0, le=27)]  # BCM numbering, the 40-pin header
Node = Annotated[str, Field(pattern=r"^/\S+$")]  # a device node: /dev/...
Baud = Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)  # built whole, once, by Profile


_DEEPEST = 16  # tables and arrays in one another; a profile needs four
_FAULTS = "faults"  # marks what spans settings; its context holds (path below the section, message) pairs


def _refuse(faults: list[tuple[str, str]]) -> None:
    """Refuse a section for what spans its settings, each fault with its path below the section."""
    if faults:
        text = "; ".join(f"{path}: {message}" for path, message in faults)
        raise PydanticCustomError(_FAULTS, "{text}", {"text": text, "faults": faults})


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
    """One door: its lock and its contact, on pins or on a lock board."""

    lock_pin: Pin | None = None
    door_pin: Pin | None = None
    door_open_high: bool = True  # the contact reads high when the door is open
    lock_number: int | None = Field(None, ge=1, le=16)  # the connector on the lock board, as printed on it
    board_address: int | None = Field(None, ge=0, le=9)  # of several boards on one bus; None: locker.board.address

    @property
    def has_contact(self) -> bool:
        """Whether the door's state can be read. A lock board reads it off the lock itself."""
        return self.door_pin is not None or self.lock_number is not None


class LockBoard(_Section):
    """Lock boards on an RS-485 line (the KR-CU16 protocol, docs/adr/0050). They time the pulse themselves."""

    port: Node
    baud: Baud = 19200
    address: int = Field(0, ge=0, le=9)  # the board's switch
    closed_is_one: bool = True  # a status bit of 1 means closed; some firmware has it the other way round


class Locker(_Section):
    """Locks by compartment name. ``board``: pulse_ms is the unlock time that the boards are set to."""

    driver: Literal["gpio", "board"] = "gpio"
    board: LockBoard | None = None
    compartments: dict[Name, Compartment] = {}
    active_high: bool = True
    pulse_ms: int = Field(400, ge=20, le=5000)
    door_open_timeout_s: float = Field(10.0, ge=1, le=120)
    door_close_timeout_s: float = Field(90.0, ge=5, le=3600)
    grace_s: float = Field(120.0, ge=0, le=3600)  # the same code may reopen its door

    @model_validator(mode="after")
    def _wired_as_driven(self) -> Locker:
        """Every door is wired to what drives it, and to nothing else."""
        own, other = (("lock_pin",), ("lock_number", "board_address"))
        if self.driver == "board":
            own, other = (("lock_number",), ("lock_pin", "door_pin"))
        faults = [
            (f"compartments.{name}.{key}", f'driver "{self.driver}" {has}')
            for name, door in self.compartments.items()
            for keys, wanted, has in ((own, True, "needs it"), (other, False, "does not use it: remove it"))
            for key in keys
            if (getattr(door, key) is not None) is not wanted
        ]
        if self.driver == "board" and self.board is None:
            faults.append(("board", 'driver "board" needs this section, with port'))
        if self.driver == "gpio" and self.board is not None:
            faults.append(("board", 'driver "gpio" does not use it: set driver = "board" or remove it'))
        _refuse(faults + self._twice())
        return self

    def _twice(self) -> list[tuple[str, str]]:
        taken: dict[tuple[int, int], str] = {}
        faults = []
        for name, place in self.board_places().items():
            if place in taken:
                said = f"lock {place[1]} of board {place[0]} is that of compartment {taken[place]}"
                faults.append((f"compartments.{name}.lock_number", said))
            taken.setdefault(place, name)
        return faults

    def board_places(self) -> dict[str, tuple[int, int]]:
        """Where each compartment hangs on the bus: the board's address, and the lock's number on it from 1."""
        own = self.board.address if self.board is not None else 0
        return {
            name: (own if door.board_address is None else door.board_address, door.lock_number)
            for name, door in self.compartments.items()
            if door.lock_number is not None
        }


class HidEngine(_Section):
    """A scan engine that types like a keyboard and ends each code with Enter."""

    device: Node  # an input event node; /dev/input/by-id/...-event-kbd stays the same over restarts
    layout: Literal["us", "gb", "de", "fr"] = "us"  # the keyboard country that the engine is set to


class SerialEngine(_Section):
    """A scan engine on a serial line (USB CDC or UART) that ends each code with CR, LF or both."""

    port: Node
    baud: Baud = 9600


class Engines(_Section):
    """Scan engines: further sources of codes beside the camera."""

    hid: HidEngine | None = None
    serial: SerialEngine | None = None


class Trigger(_Section):
    """A button between a pin and ground. With one, the camera's frames are decoded only while and after it is held."""

    pin: Pin
    scan_s: float = Field(4.0, ge=0.2, le=60)  # how long scanning goes on after the button is released


class FloorLimits(_Section):
    """How much risk this device may take without asking (EMV's words)."""

    amount_minor: int = Field(0, ge=0)  # largest single redemption honoured unasked
    uses_a_day: int = Field(0, ge=0)
    exposure_minor: int = Field(0, ge=0)  # total not yet acknowledged
    longest_offline_s: int = Field(86_400, ge=0)


class SiteRule(_Section):
    """A condition on every code of these kinds, beside those that come with its order (docs/redemption.md, "Rules")."""

    id: Name
    kinds: tuple[Literal["write_off", "pickup"], ...] = ("write_off", "pickup")
    dialect: Literal["jsonlogic", "certlogic"] = "jsonlogic"
    logic: str = Field(max_length=LONGEST_TEXT)  # an expression, as JSON text

    @model_validator(mode="after")
    def _can_be_evaluated(self) -> SiteRule:
        logic = parse_logic(self.logic)
        if isinstance(logic, Fault):
            _refuse([("logic", logic.detail)])
        _refuse([("logic", issue.message) for issue in validate(logic, Dialect(self.dialect))])
        return self


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
    reversal_window_s: int = Field(86_400, ge=0)  # how long a supervisor may take a redemption back
    timezone: str = Field("UTC", pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{0,39}$")  # IANA name: for rules about local time
    products: tuple[Name, ...] = ()  # what is handed out here: for rules about products
    rules: tuple[SiteRule, ...] = Field((), max_length=MOST_RULES)
    operator_required_kinds: tuple[Literal["write_off", "pickup"], ...] = ()  # only with somebody signed in
    operator_session_s: int = Field(8 * 3600, ge=60, le=86_400)  # a session ends after this long,
    operator_idle_s: int = Field(900, ge=30, le=86_400)  # or this long after the last act


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
    engines: Engines = Engines()
    trigger: Trigger | None = None
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

    @model_validator(mode="after")
    def _ports_are_distinct(self) -> Profile:
        board, engine = self.locker.board, self.engines.serial
        if board is not None and engine is not None and board.port == engine.port:
            _refuse([("engines.serial.port", f"{engine.port} is the lock board's (locker.board.port)")])
        return self

    def _pins(self) -> list[tuple[str, int]]:
        pins = [(f"indicators.{name}", pin) for name, pin in self.indicators.pins.items()]
        for name, door in self.locker.compartments.items():
            wired = ((key, getattr(door, key)) for key in ("lock_pin", "door_pin"))
            pins += [(f"locker.compartments.{name}.{key}", pin) for key, pin in wired if pin is not None]
        if self.trigger is not None:
            pins.append(("trigger.pin", self.trigger.pin))
        return pins


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One thing wrong with a profile: where, and what to do."""

    path: str  # "camera.width_px"; empty for the file as a whole
    message: str
    whole: str = "profile"  # what the file is

    def __str__(self) -> str:
        return f"{self.path or self.whole}: {self.message}"


_TOO_DEEP = ConfigError("", f"not TOML: nested more than {_DEEPEST} deep")


def parse_profile(text: str) -> Profile | list[ConfigError]:
    """Read a profile from TOML text. Every error is returned, each with its path.

    >>> parse_profile("nonsense =")[0].path
    ''
    """
    document = parse_toml(text)
    return [document] if isinstance(document, ConfigError) else load_profile(document)


def parse_toml(content: str | bytes) -> dict[str, Any] | ConfigError:
    """Read TOML that a person wrote, with or without a byte order mark, or say what is wrong with it.

    >>> parse_toml("a = " + "[" * 9999).message
    'not TOML: nested more than 16 deep'
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        document = tomllib.loads(text.removeprefix("\ufeff"))
    except UnicodeDecodeError:
        return ConfigError("", "not UTF-8 text; save it as UTF-8")
    except RecursionError:
        return _TOO_DEEP
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits is another
        return ConfigError("", f"not TOML: {error}")
    return document if _depth_is_bounded(document) else _TOO_DEEP


def _depth_is_bounded(document: dict[str, Any]) -> bool:
    """Whether no table or array is nested beyond reason. Dotted keys nest without nesting in the text."""
    layer: list[Any] = [document]
    for _ in range(_DEEPEST):
        layer = [
            below
            for item in layer
            for below in (item.values() if isinstance(item, dict) else item)
            if isinstance(below, dict | list)
        ]
        if not layer:
            return True
    return False


def load_profile(document: dict[str, Any]) -> Profile | list[ConfigError]:
    """Build a profile from a mapping. Every error is returned, each with its path."""
    try:
        return Profile.model_validate(document)
    except ValidationError as error:
        return [fault for item in error.errors() for fault in _faults(item)]


def _faults(item: ErrorDetails) -> list[ConfigError]:
    path = ".".join(str(part) for part in item["loc"])
    if item["type"] == _FAULTS:
        return [ConfigError(f"{path}.{below}".lstrip("."), message) for below, message in item["ctx"]["faults"]]
    return [ConfigError(path, item["msg"].removeprefix("Value error, "))]
