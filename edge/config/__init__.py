"""Pure: the one model of configuration, shipped as a profile or pushed by ops."""

from edge.config.locker import LockerSection
from edge.config.peripherals import (
    CameraSection,
    EnginesSection,
    HidEngineSection,
    Indicators,
    Presence,
    SerialEngineSection,
    Trigger,
)
from edge.config.policy import FloorLimits, Policy
from edge.config.profile import (
    DeviceSection,
    MqttSection,
    Profile,
    identity_errors,
    load_profile,
    parse_profile,
)
from edge.config.section import DeviceName, Name, Section
from edge.config.toml import ConfigError, parse_toml

__all__ = [
    "CameraSection",
    "ConfigError",
    "DeviceName",
    "DeviceSection",
    "EnginesSection",
    "FloorLimits",
    "HidEngineSection",
    "Indicators",
    "LockerSection",
    "MqttSection",
    "Name",
    "Policy",
    "Presence",
    "Profile",
    "Section",
    "SerialEngineSection",
    "Trigger",
    "identity_errors",
    "load_profile",
    "parse_profile",
    "parse_toml",
]
