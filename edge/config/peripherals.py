"""The sections for camera, decoder, indicators, scan engines, trigger and presence sensor."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from edge.config.section import Baud, Node, Pin, Section


class CameraSection(Section):
    """Where frames come from. Autofocus and gain apply to picamera2, exposure to it and to V4L2."""

    source: Literal["picamera2", "v4l2", "video", "images"] = "picamera2"
    index: int = Field(0, ge=0, le=31)  # camera number (picamera2, v4l2)
    path: str | None = None  # file (video) or folder (images)
    width_px: int = Field(1280, ge=160, le=4608)
    height_px: int = Field(720, ge=120, le=3456)
    frame_rate_hz: float = Field(30.0, gt=0, le=240)
    exposure_us: int | None = Field(None, ge=10, le=1_000_000)  # None: automatic
    analogue_gain: float | None = Field(None, ge=1, le=64)
    bracket: bool = True  # expose for a code that is seen and not read, for as long as it is
    autofocus: Literal["continuous", "manual", "none"] = "none"
    lens_position_dioptre: float | None = Field(None, ge=0, le=15)  # with autofocus = "manual"
    stall_s: float = Field(0.8, gt=0, le=10)  # no frame for this long: the camera is lost

    @model_validator(mode="after")
    def _consistent(self) -> CameraSection:
        if self.source in ("video", "images") and not self.path:
            raise ValueError(f'source "{self.source}" needs path')
        if self.autofocus == "manual" and self.lens_position_dioptre is None:
            raise ValueError('autofocus "manual" needs lens_position_dioptre')
        if self.exposure_us is not None and self.exposure_us * self.frame_rate_hz > 1_000_000:
            raise ValueError("exposure_us is longer than a frame at frame_rate_hz")
        return self


class DecodeSection(Section):
    """The decode loop's budget and when a code in view counts again."""

    budget_ms: float = Field(60.0, gt=0, le=2000)
    hold_off_s: float = Field(3.0, ge=0.2, le=60)  # a code counts again after this long out of view


class Indicators(Section):
    """Lamps and buzzer on GPIO. A missing pin means there is no such part."""

    green_pin: Pin | None = None
    amber_pin: Pin | None = None
    red_pin: Pin | None = None
    buzzer_pin: Pin | None = None
    active_high: bool = True
    hold_s: float = Field(2.5, ge=0.2, le=30)  # how long a result stays before idle shows again

    @property
    def pins(self) -> dict[str, int]:
        """Return the wired pins, by name."""
        named = self.model_dump(include={"green_pin", "amber_pin", "red_pin", "buzzer_pin"})
        return {name: pin for name, pin in named.items() if pin is not None}


class HidEngineSection(Section):
    """A scan engine that types like a keyboard and ends each code with Enter."""

    device: Node  # an input event node; /dev/input/by-id/...-event-kbd stays the same over restarts
    layout: Literal["us", "gb", "de", "fr"] = "us"  # the keyboard country that the engine is set to


class SerialEngineSection(Section):
    """A scan engine on a serial line (USB CDC or UART) that ends each code with CR, LF or both."""

    port: Node
    baud: Baud = 9600


class EnginesSection(Section):
    """Scan engines: further sources of codes beside the camera."""

    hid: HidEngineSection | None = None
    serial: SerialEngineSection | None = None


class Trigger(Section):
    """A button between a pin and ground.

    With one, frames are decoded only while it is held and for ``scan_s`` after.
    """

    pin: Pin
    scan_s: float = Field(4.0, ge=0.2, le=60)  # scanning continues this long after the release


class Presence(Section):
    """A presence sensor: infrared, radar or a light barrier.

    While it is on, an idle loop decodes every frame.
    """

    pin: Pin
    active_high: bool = True  # False: it pulls the pin to ground
