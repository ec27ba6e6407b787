"""Judge a device's vital signs: each part ok, warning or failure, and what to do.

Pure: ``DeviceFacts`` in, findings out; no vitals raise. A dead network is a warning at most (law 7).
"""

from __future__ import annotations

from edge.config import Profile
from edge.doctor.device_checks import (
    judge_camera,
    judge_daemon,
    judge_identity,
    judge_nodes,
    judge_pins,
    judge_profile,
    judge_settings,
    judge_store,
    judge_zone,
)
from edge.doctor.facts import ClockFact, DeviceFacts, StoreFact
from edge.doctor.finding import Finding, ok
from edge.doctor.machine_checks import judge_board, judge_disk
from edge.doctor.trust_checks import judge_broker, judge_certificate, judge_clock, judge_keys


def examine(vitals: DeviceFacts) -> list[Finding]:
    """Judge every part that this device has, in the order in which a person would look."""
    findings = [
        judge_profile(vitals.profile),
        *judge_identity(vitals.damage),
        *judge_settings(vitals.settings),
    ]
    findings.append(judge_daemon(vitals.daemon))
    if isinstance(vitals.profile, Profile):
        findings += _configured_parts(vitals, vitals.profile)
    else:
        findings.append(judge_store(vitals.store, None, _now_s(vitals)))
    floor_s = vitals.store.time_floor_s if isinstance(vitals.store, StoreFact) else 0
    return [
        *findings,
        judge_clock(vitals.clock, floor_s),
        judge_disk(vitals.disk),
        *judge_board(vitals.board),
    ]


def _configured_parts(vitals: DeviceFacts, profile: Profile) -> list[Finding]:
    now_s = _now_s(vitals)
    findings = [
        judge_camera(vitals.camera, profile.camera),
        judge_pins(vitals.pins),
        *judge_nodes(vitals.nodes),
        *judge_zone(vitals.zone_problem, profile.policy.timezone),
        judge_store(vitals.store, profile.device, now_s),
        judge_keys(vitals.keys, profile.policy, now_s),
    ]
    if profile.mqtt is None:
        return [
            *findings,
            ok(
                "broker",
                "未配置消息服务器，设备独立运行",
                "none configured: the device works by itself",
            ),
        ]
    return [*findings, judge_certificate(vitals.certificate, now_s), judge_broker(vitals.broker)]


def _now_s(vitals: DeviceFacts) -> int:
    return vitals.clock.now_s if isinstance(vitals.clock, ClockFact) else 0
