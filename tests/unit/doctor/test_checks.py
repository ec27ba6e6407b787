"""The doctor's checks, part by part: what is a failure, what a warning, and what to do."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import ConfigError, load_profile
from edge.doctor.checks import check_device
from edge.doctor.facts import (
    BoardFact,
    BrokerFact,
    CameraFact,
    CertificateFact,
    ClockFact,
    DaemonFact,
    DeviceFacts,
    DiskFact,
    KeysFact,
    LastContact,
    NodeFact,
    NotEnrolled,
    PinsFact,
    StoreFact,
    Unknown,
)
from edge.doctor.finding import FindingState, worst
from edge.doctor.machine_probe import parse_throttled

NOW_S = 1_800_000_000
DAY_S = 86_400
GIB = 1024**3

PROFILE = load_profile(
    {
        "device": {"id": "kiosk-1", "site": "s1", "kind": "kiosk"},
        "indicators": {"green_pin": 17},
        "trust": {"roots_file": "/roots"},
        "mqtt": {"host": "broker", "ca_file": "/ca", "cert_file": "/cert", "key_file": "/key"},
    }
)
HEALTHY = DeviceFacts(
    profile=PROFILE,
    daemon=DaemonFact(age_s=0.5, state="scanning", problems={}),
    camera=CameraFact(present=True, readable=True, name="imx708"),
    pins=PinsFact(chips=("gpiochip0",), usable=True, library=True, factory=None),
    store=StoreFact(exists=True, device_id="kiosk-1", time_floor_s=NOW_S - 60),
    clock=ClockFact(now_s=NOW_S, synchronised=True, has_rtc=True),
    keys=KeysFact(
        roots=1, keys=2, version=7, issued_at_s=NOW_S - DAY_S, expires_at_s=NOW_S + 30 * DAY_S
    ),
    certificate=CertificateFact(
        subject="kiosk-1",
        not_before_s=NOW_S - DAY_S,
        not_after_s=NOW_S + 90 * DAY_S,
        key_fits=True,
        key_mode=0o640,
    ),
    broker=BrokerFact(address="broker:8883", contact=LastContact.REACHED, detail="TLSv1.3"),
    disk=DiskFact(
        folder="/var",
        free_bytes=8 * GIB,
        total_bytes=16 * GIB,
        free_inodes_share=0.9,
        read_only=False,
    ),
    board=BoardFact(model="Raspberry Pi 5", temperature_c=51.0, throttled=0),
)


def state_of(facts: DeviceFacts, part: str) -> FindingState:
    (finding,) = [finding for finding in check_device(facts) if finding.part == part]
    return finding.state


def with_part(name: str, **changes: object) -> DeviceFacts:
    return replace(HEALTHY, **{name: replace(getattr(HEALTHY, name), **changes)})


def test_a_healthy_device_has_nothing_to_do():
    findings = check_device(HEALTHY)
    assert [finding for finding in findings if finding.todo] == []
    assert worst(findings) is FindingState.OK
    assert [finding.part for finding in findings] == [
        "profile",
        "scanner",
        "camera",
        "pins",
        "store",
        "keys",
        "certificate",
        "broker",
        "clock",
        "disk",
        "temperature",
        "power",
    ]


@pytest.mark.parametrize(
    ("part", "facts"),
    [
        pytest.param(
            "profile",
            replace(HEALTHY, profile=[ConfigError("camera.width_px", "too small")]),
            id="a profile with errors",
        ),
        pytest.param("identity", replace(HEALTHY, damage="not JSON"), id="a damaged identity"),
        pytest.param("scanner", replace(HEALTHY, daemon=None), id="the scanner never ran"),
        pytest.param("scanner", with_part("daemon", age_s=31.0), id="the scanner is silent"),
        pytest.param("camera", with_part("camera", present=False), id="no camera"),
        pytest.param("camera", with_part("camera", readable=False), id="a camera without access"),
        pytest.param("camera", with_part("camera", library=False), id="no picamera2"),
        pytest.param("pins", with_part("pins", chips=()), id="no GPIO"),
        pytest.param("pins", with_part("pins", usable=False), id="GPIO that may not be used"),
        pytest.param("pins", with_part("pins", library=False), id="no lgpio"),
        pytest.param("timezone", replace(HEALTHY, zone_problem="not known"), id="an unknown zone"),
        pytest.param("store", with_part("store", damage="malformed"), id="a damaged store"),
        pytest.param("store", with_part("store", device_id="kiosk-2"), id="another device's store"),
        pytest.param("store", with_part("store", blocked="stolen"), id="a blocked device"),
        pytest.param("keys", with_part("keys", roots=0), id="no roots"),
        pytest.param("keys", with_part("keys", version=None), id="no trust list"),
        pytest.param(
            "keys", with_part("keys", problems=("signature_invalid",)), id="a forged trust list"
        ),
        pytest.param(
            "keys",
            with_part("keys", expires_at_s=NOW_S),
            id="a trust list in the second it expires",
        ),
        pytest.param(
            "keys",
            with_part("keys", issued_at_s=NOW_S - 31 * DAY_S),
            id="a trust list beyond the policy",
        ),
        pytest.param(
            "certificate", with_part("certificate", not_after_s=NOW_S), id="an expired certificate"
        ),
        pytest.param(
            "certificate",
            with_part("certificate", key_fits=False),
            id="a key of another certificate",
        ),
        pytest.param(
            "certificate", with_part("certificate", key_mode=0o644), id="a key that all may read"
        ),
        pytest.param(
            "broker",
            with_part("broker", contact=LastContact.NOT_TRUSTED),
            id="a broker of another fleet",
        ),
        pytest.param(
            "broker",
            with_part("broker", contact=LastContact.NOT_ACCEPTED),
            id="a broker that refuses the device",
        ),
        pytest.param("disk", with_part("disk", read_only=True), id="a card gone read-only"),
        pytest.param("disk", with_part("disk", free_bytes=10 * 1024**2), id="a full card"),
        pytest.param(
            "temperature", with_part("board", temperature_c=82.0), id="a processor that is slowed"
        ),
        pytest.param("power", with_part("board", throttled=0x1), id="under-voltage now"),
    ],
)
def test_what_stops_a_device_is_a_failure(part, facts):
    assert state_of(facts, part) is FindingState.FAILURE


@pytest.mark.parametrize(
    ("part", "facts"),
    [
        pytest.param(
            "settings",
            replace(HEALTHY, settings="damaged"),
            id="pushed settings that cannot be used",
        ),
        pytest.param(
            "scanner", with_part("daemon", problems={"camera": "lost"}), id="a degraded scanner"
        ),
        pytest.param("pins", with_part("pins", factory="mock"), id="pins in memory"),
        pytest.param("store", with_part("store", exists=False), id="no store yet"),
        pytest.param("store", with_part("store", rejected=1), id="an event the platform refused"),
        pytest.param(
            "store",
            with_part("store", quarantined=("store.db.1.corrupt",)),
            id="a quarantined store",
        ),
        pytest.param(
            "store",
            with_part("store", oldest_pending_s=NOW_S - 8 * DAY_S),
            id="events that wait for a week",
        ),
        pytest.param("clock", with_part("clock", synchronised=False), id="an unsynchronised clock"),
        pytest.param(
            "clock", with_part("clock", now_s=NOW_S - DAY_S), id="a clock before the proved floor"
        ),
        pytest.param(
            "certificate",
            replace(HEALTHY, certificate=NotEnrolled(("/cert",))),
            id="a device not enrolled",
        ),
        pytest.param(
            "certificate",
            with_part("certificate", not_after_s=NOW_S + 13 * DAY_S),
            id="two weeks left",
        ),
        pytest.param(
            "certificate",
            with_part("certificate", not_before_s=NOW_S + 1),
            id="a certificate of tomorrow",
        ),
        pytest.param(
            "broker", with_part("broker", contact=LastContact.NOT_TRIED), id="a broker not tried"
        ),
        pytest.param(
            "broker", with_part("broker", contact=LastContact.NAME_NOT_FOUND), id="no DNS"
        ),
        pytest.param("broker", with_part("broker", contact=LastContact.NO_ROUTE), id="no network"),
        pytest.param("disk", with_part("disk", free_bytes=100 * 1024**2), id="a card nearly full"),
        pytest.param(
            "disk", with_part("disk", free_inodes_share=0.01), id="a card nearly out of inodes"
        ),
        pytest.param("temperature", with_part("board", temperature_c=78.0), id="a hot processor"),
        pytest.param(
            "power", with_part("board", throttled=0x1_0000), id="under-voltage since power-on"
        ),
        pytest.param("power", with_part("board", throttled=0x8_0000), id="slowed since power-on"),
    ],
)
def test_what_a_person_should_act_on_is_a_warning(part, facts):
    assert state_of(facts, part) is FindingState.WARNING


@pytest.mark.parametrize(
    ("present", "usable", "state"),
    [
        pytest.param(True, True, FindingState.OK, id="plugged in"),
        pytest.param(True, False, FindingState.FAILURE, id="no permission"),
        pytest.param(False, False, FindingState.FAILURE, id="missing"),
    ],
)
def test_a_lock_board_or_engine_that_cannot_be_used_is_a_failure(present, usable, state):
    node = NodeFact(
        part="lock board", node="/dev/ttyUSB0", present=present, usable=usable, group="dialout"
    )
    assert state_of(replace(HEALTHY, nodes=(node,)), "lock board") is state


def test_a_device_without_a_broker_or_pins_is_not_checked_for_them():
    alone = load_profile(PROFILE.model_dump() | {"mqtt": None})
    findings = check_device(
        replace(HEALTHY, profile=alone, pins=None, certificate=None, broker=None)
    )
    assert worst(findings) is FindingState.OK
    assert "certificate" not in {finding.part for finding in findings}


def test_a_broken_profile_does_not_hide_the_rest():
    broken = replace(HEALTHY, profile=[ConfigError("", "not TOML")])
    parts = {finding.part for finding in check_device(broken)}
    assert {"profile", "scanner", "store", "clock", "disk", "temperature", "power"} <= parts


FACTS = (
    "daemon",
    "camera",
    "pins",
    "nodes",
    "store",
    "clock",
    "keys",
    "certificate",
    "broker",
    "disk",
    "board",
)


@given(lost=st.sets(st.sampled_from(FACTS)), why=st.text(max_size=20), denied=st.booleans())
def test_every_part_has_a_finding_when_any_facts_are_unknown(lost, why, denied):
    findings = check_device(replace(HEALTHY, **dict.fromkeys(lost, Unknown(why, denied))))
    assert worst(findings) is (FindingState.WARNING if lost else FindingState.OK)
    assert {finding.part for finding in check_device(HEALTHY)} <= {
        finding.part for finding in findings
    }
    assert all(
        finding.todo is not None for finding in findings if finding.state is not FindingState.OK
    )


@given(st.integers(0, 2**20 - 1))
def test_every_value_of_the_power_flags_has_a_finding(bits):
    state = state_of(with_part("board", throttled=bits), "power")
    assert (state is FindingState.FAILURE) == bool(bits & 1)
    if state is FindingState.OK:
        assert bits & 0xF000F == 0


@pytest.mark.parametrize(
    ("output", "bits"),
    [
        ("throttled=0x0\n", 0),
        ("throttled=0x50005", 0x50005),
        ("", None),
        ('error=1 error_msg="Command unknown"', None),
    ],
)
def test_the_flags_of_the_firmware_are_read_or_missing(output, bits):
    assert parse_throttled(output) == bits
