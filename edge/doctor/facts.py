"""Facts of a device. ``collection.collect`` reads them, ``checks.check_device`` assesses them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge.config import ConfigError, Profile


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that could not be read, and why."""

    why: str
    denied: bool = False  # this user has no permission to read it


@dataclass(frozen=True, slots=True)
class NotEnrolled:
    """Certificate files that do not exist."""

    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonFact:
    """The scanner's last report, in its health file."""

    age_s: float  # since the file was written
    state: str
    problems: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFact:
    """The profile's source of frames. It is not opened: the scanner may be using it."""

    present: bool
    readable: bool
    name: str  # the sensor, the device node or the path
    library: bool = True  # picamera2 can be imported, where the profile asks for it


@dataclass(frozen=True, slots=True, kw_only=True)
class PinsFact:
    """The machine's GPIO."""

    chips: tuple[str, ...]  # /dev/gpiochip*
    usable: bool  # at least one may be opened
    library: bool  # lgpio can be imported
    factory: str | None  # GPIOZERO_PIN_FACTORY


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFact:
    """A device node that the profile names: of a lock board or a scan engine."""

    part: str
    node: str
    present: bool
    usable: bool
    group: str  # whose members may open such a node


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFact:
    """The store, read and not changed."""

    exists: bool
    device_id: str | None = None
    damage: str | None = None  # what SQLite's check found
    quarantined: tuple[str, ...] = ()  # files of earlier, damaged stores
    pending: int = 0
    rejected: int = 0
    oldest_pending_s: int | None = None  # Unix seconds
    time_floor_s: int = 0
    blocked: str | None = None  # why the platform blocked this device


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFact:
    """The wall clock."""

    now_s: int  # Unix seconds
    synchronised: bool  # set from the network since this boot
    has_rtc: bool  # a battery-backed clock


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysFact:
    """The roots, and the trust list that they sign. ``problems``: as the anchors report them."""

    roots: int
    keys: int = 0  # of the trust list
    version: int | None = None  # None: no trust list yet
    issued_at_s: int = 0
    expires_at_s: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFact:
    """The certificate by which the broker knows this device."""

    subject: str
    not_before_s: int
    not_after_s: int
    key_fits: bool
    key_mode: int  # permission bits of the key's file


class LastContact(StrEnum):
    """How far a connection to the broker got."""

    NOT_TRIED = "not_tried"  # the device has no certificate
    REACHED = "reached"  # TLS was agreed with the certificate
    NAME_NOT_FOUND = "name_not_found"  # the host's name cannot be found
    NO_ROUTE = "no_route"  # no network, refused or no answer
    NOT_TRUSTED = "not_trusted"  # the broker's certificate is not one of ours
    NOT_ACCEPTED = "not_accepted"  # the broker does not take our certificate, or TLS failed


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFact:
    """One attempt to reach the broker."""

    address: str  # host:port
    contact: LastContact
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFact:
    """The file system of the data folder."""

    folder: str
    free_bytes: int
    total_bytes: int
    free_inodes_share: float  # 0 to 1; 1 where the file system has no limit
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFact:
    """Temperature and power. None: this machine does not report it."""

    model: str
    temperature_c: float | None
    throttled: int | None  # the bits of `vcgencmd get_throttled`


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """All facts. ``profile`` is the list of its errors where it cannot be used."""

    profile: Profile | list[ConfigError]
    damage: str = ""  # what is wrong with the identity's file
    settings: str = ""  # why the chosen settings cannot be used
    daemon: DaemonFact | Unknown | None = None  # None: the scanner has not run here
    camera: CameraFact | Unknown | None = None  # these: None when the profile does not ask for it
    pins: PinsFact | Unknown | None = None
    nodes: tuple[NodeFact, ...] | Unknown = ()
    zone_problem: str | None = None  # of the time zone that rules are evaluated in
    store: StoreFact | Unknown
    clock: ClockFact | Unknown
    keys: KeysFact | Unknown | None = None
    certificate: CertificateFact | NotEnrolled | Unknown | None = None
    broker: BrokerFact | Unknown | None = None
    disk: DiskFact | Unknown
    board: BoardFact | Unknown
