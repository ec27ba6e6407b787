"""Checks of what the device trusts and who trusts it: clock, keys, certificate, broker. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from edge.config import Policy
from edge.doctor.facts import (
    BrokerFact,
    CertificateFact,
    ClockFact,
    KeysFact,
    LastContact,
    NotEnrolled,
    Unknown,
)
from edge.doctor.finding import Finding, failure, ok, unknown_fact, warning

_RENEW: Final = ("由运维重新签发（edge-fleet enrol）", "issue a new one: edge-fleet enrol")
_CERTIFICATE_SOON_S: Final = 14 * 86_400


def check_clock(clock: ClockFact | Unknown, floor_s: int) -> Finding:
    """Check the wall clock against the time floor."""
    if isinstance(clock, Unknown):
        return unknown_fact("clock", clock)
    shown = _date(clock.now_s)
    if clock.now_s < floor_s:
        return warning(
            "clock",
            (
                f"{shown}，早于已证明的 {_date(floor_s)}",
                f"{shown}, before {_date(floor_s)}, which is proved to be past",
            ),
            (
                "连接网络对时，或用 sudo date -s 设置；"
                "若错的是该时限，见 edge-scanner clock reset --help",
                "connect the network, or set it: sudo date -s;"
                " if the floor is wrong: edge-scanner clock reset --help",
            ),
        )
    if not clock.synchronised:
        return warning(
            "clock",
            (f"{shown}，本次开机后未对时", f"{shown}, not set from the network since the boot"),
            (
                "连接网络即可；常年离线请装电池时钟（见 boot/config-common.txt）",
                "connect the network; for long times offline fit a battery-backed clock"
                " (boot/config-common.txt)",
            ),
        )
    battery = ("有", "with") if clock.has_rtc else ("无", "without")
    return ok(
        "clock",
        f"{shown}，已对时，{battery[0]}电池时钟",
        f"{shown}, synchronised, {battery[1]} a battery-backed clock",
    )


def check_keys(keys: KeysFact | Unknown | None, policy: Policy, now_s: int) -> Finding:
    """Check the roots and the trust list."""
    if not isinstance(keys, KeysFact):
        return unknown_fact("keys", keys)
    if keys.roots == 0:
        detail = "; ".join(keys.problems)
        return failure(
            "keys",
            (f"没有根密钥：{detail}", f"no root keys: {detail}"),
            (
                "重新注册本设备，或从平台复制根密钥文件",
                "enrol this device, or copy the fleet's roots file to it",
            ),
        )
    if keys.version is None or keys.problems:
        detail = "; ".join(keys.problems) or "no trust list yet"
        return failure(
            "keys",
            (f"没有可用的信任列表：{detail}", f"no usable trust list: {detail}"),
            ("连接网络，由 edge-sync 取回", "connect the network: edge-sync fetches it"),
        )
    if now_s >= keys.expires_at_s or now_s - keys.issued_at_s > policy.trust_list_max_age_s:
        return failure(
            "keys",
            (
                f"信任列表 {keys.version} 已过期",
                f"trust list {keys.version} of {_date(keys.issued_at_s)} is stale",
            ),
            (
                "连接网络，由 edge-sync 取回新列表",
                "connect the network: edge-sync fetches a newer one",
            ),
        )
    return ok(
        "keys",
        f"{keys.roots} 个根，信任列表 {keys.version}，{keys.keys} 个密钥",
        f"{keys.roots} roots, trust list {keys.version} with {keys.keys} keys",
    )


def check_certificate(
    certificate: CertificateFact | NotEnrolled | Unknown | None, now_s: int
) -> Finding:
    """Check the device's certificate. Without one, scans go on and events wait."""
    if isinstance(certificate, NotEnrolled):
        names = ", ".join(certificate.missing)
        return warning(
            "certificate",
            (f"尚未注册，缺少 {names}", f"not enrolled: {names} missing"),
            (
                "注册本设备（edge-fleet enrol）；在此之前记录只存本机",
                "enrol this device (edge-fleet enrol); until then events stay on it",
            ),
        )
    if not isinstance(certificate, CertificateFact):
        return unknown_fact("certificate", certificate)
    return _check_key(certificate) or _check_window(certificate, now_s)


def _check_key(certificate: CertificateFact) -> Finding | None:
    """Return what is wrong with the private key; None for nothing."""
    if not certificate.key_fits:
        text = ("与私钥不匹配", "does not belong to the private key")
        return failure("certificate", text, _RENEW)
    if certificate.key_mode & 0o007:
        return failure(
            "certificate",
            ("私钥可被任何用户读取", "every user may read the private key"),
            (
                "sudo chmod o-rwx 该文件，并请运维更换证书",
                "sudo chmod o-rwx the key's file, and issue a new certificate",
            ),
        )
    return None


def _check_window(certificate: CertificateFact, now_s: int) -> Finding:
    until = _date(certificate.not_after_s)
    if now_s >= certificate.not_after_s:
        return failure("certificate", (f"已于 {until} 过期", f"expired on {until}"), _RENEW)
    if now_s < certificate.not_before_s:
        begins = _date(certificate.not_before_s)
        return warning(
            "certificate",
            (f"{begins} 才生效，或本机时间有误", f"begins on {begins}, or this clock is wrong"),
            ("先看时钟一项", "correct the clock first"),
        )
    if now_s > certificate.not_after_s - _CERTIFICATE_SOON_S:
        return warning("certificate", (f"将于 {until} 过期", f"expires on {until}"), _RENEW)
    return ok(
        "certificate",
        f"{certificate.subject}，有效至 {until}",
        f"{certificate.subject}, valid until {until}",
    )


def check_broker(broker: BrokerFact | Unknown | None) -> Finding:
    """Check the attempt to reach the broker. Offline is not a failure: scans go on."""
    if not isinstance(broker, BrokerFact):
        return unknown_fact("broker", broker)
    found = (f"{broker.address}：{broker.detail}", f"{broker.address}: {broker.detail}")
    match broker.contact:
        case LastContact.REACHED:
            return ok(
                "broker", f"{broker.address}，{broker.detail}", f"{broker.address}, {broker.detail}"
            )
        case LastContact.NOT_TRIED:
            return warning("broker", found, ("先看证书一项", "repair the certificate first"))
        case LastContact.NAME_NOT_FOUND:
            todo = (
                "检查网络、DNS 与 mqtt.host；离线仍可核销",
                "check the network, DNS and mqtt.host; scans go on offline",
            )
            return warning("broker", found, todo)
        case LastContact.NO_ROUTE:
            todo = (
                "检查网络、防火墙与端口；离线仍可核销",
                "check the network, the firewall and the port; scans go on offline",
            )
            return warning("broker", found, todo)
        case LastContact.NOT_TRUSTED:
            todo = (
                "核对 mqtt.ca_file 与 mqtt.host；若无误，可能有人冒充服务器",
                "compare mqtt.ca_file and mqtt.host with the fleet's;"
                " if they are right, another server may pose as the broker",
            )
            return failure("broker", found, todo)
        case LastContact.NOT_ACCEPTED:
            todo = (
                "核对设备证书；本设备可能已被撤销，联系运维",
                "check this device's certificate; it may be revoked: contact operations",
            )
            return failure("broker", found, todo)


def _date(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M") + " UTC"
