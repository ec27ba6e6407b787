"""The one model for configuration, shipped as a profile or pushed by ops: pure, a ``Profile`` or a list of errors out."""

from edge.config.locker import Locker
from edge.config.peripherals import (
    Camera,
    Engines,
    HidEngine,
    Indicators,
    Presence,
    SerialEngine,
    Trigger,
)
from edge.config.policy import FloorLimits, Policy
from edge.config.profile import Device, Mqtt, Profile, load_profile, parse_profile
from edge.config.section import Name
from edge.config.toml import ConfigError, parse_toml

__all__ = [
    "Camera",
    "ConfigError",
    "Device",
    "Engines",
    "FloorLimits",
    "HidEngine",
    "Indicators",
    "Locker",
    "Mqtt",
    "Name",
    "Policy",
    "Presence",
    "Profile",
    "SerialEngine",
    "Trigger",
    "load_profile",
    "parse_profile",
    "parse_toml",
]
