"""Check of a whole device: each part ok, warning or failure, and what to do.

Pure: ``DeviceFacts`` in, findings out; it never raises. A dead network is a warning (law 7).
"""

from __future__ import annotations

from edge.config import Profile
from edge.doctor.device_checks import (
    check_camera,
    check_daemon,
    check_identity,
    check_nodes,
    check_pins,
    check_profile,
    check_settings,
    check_store,
    check_zone,
)
from edge.doctor.facts import ClockFact, DeviceFacts, StoreFact
from edge.doctor.finding import Finding, ok
from edge.doctor.machine_checks import check_board, check_disk
from edge.doctor.trust_checks import check_broker, check_certificate, check_clock, check_keys


def check_device(facts: DeviceFacts) -> list[Finding]:
    """Return a finding for every part that this device has, in the order of their importance."""
    findings = [
        check_profile(facts.profile),
        *check_identity(facts.damage),
        *check_settings(facts.settings),
    ]
    findings.append(check_daemon(facts.daemon))
    if isinstance(facts.profile, Profile):
        findings += _configured_parts(facts, facts.profile)
    else:
        findings.append(check_store(facts.store, None, _now_s(facts)))
    floor_s = facts.store.time_floor_s if isinstance(facts.store, StoreFact) else 0
    return [
        *findings,
        check_clock(facts.clock, floor_s),
        check_disk(facts.disk),
        *check_board(facts.board),
    ]


def _configured_parts(facts: DeviceFacts, profile: Profile) -> list[Finding]:
    now_s = _now_s(facts)
    findings = [
        check_camera(facts.camera, profile.camera),
        check_pins(facts.pins),
        *check_nodes(facts.nodes),
        *check_zone(facts.zone_problem, profile.policy.timezone),
        check_store(facts.store, profile.device, now_s),
        check_keys(facts.keys, profile.policy, now_s),
    ]
    if profile.mqtt is None:
        return [
            *findings,
            ok(
                "broker",
                "未配置消息服务器，设备独立运行",
                "none configured: the device works alone",
            ),
        ]
    return [*findings, check_certificate(facts.certificate, now_s), check_broker(facts.broker)]


def _now_s(facts: DeviceFacts) -> int:
    return facts.clock.now_s if isinstance(facts.clock, ClockFact) else 0
