"""Checks of the device itself: configuration, scanner, camera, pins and store. Pure."""

from __future__ import annotations

from typing import Final

from edge.config import CameraSection, ConfigError, DeviceSection, Profile
from edge.doctor.facts import CameraFact, DaemonFact, NodeFact, PinsFact, StoreFact, Unknown
from edge.doctor.finding import Finding, failure, ok, unknown_fact, warning

_HEALTH_STALE_S: Final = 30.0  # the scanner writes its health about once a second
_DAY_S: Final = 86_400
_BACKLOG_OLD_S: Final = 7 * _DAY_S


def check_profile(profile: Profile | list[ConfigError]) -> Finding:
    """Check that the profile can be used."""
    if isinstance(profile, Profile):
        device = profile.device
        return ok(
            "profile",
            f"{device.kind} {device.id}，站点 {device.site}",
            f"{device.kind} {device.id} at {device.site}",
        )
    errors = "; ".join(str(error) for error in profile)
    return failure(
        "profile",
        (f"配置不可用：{errors}", f"not usable: {errors}"),
        (
            "修正后用 edge-scanner config check 检查；样例在 /usr/share/edge-scanner/profiles",
            "correct it and run edge-scanner config check;"
            " examples are in /usr/share/edge-scanner/profiles",
        ),
    )


def check_identity(damage: str) -> list[Finding]:
    """Check the identity file: with a damaged one the device redeems nothing and has no broker."""
    todo = (
        "用本机队的新注册码重新注册（edge-fleet enrol），或恢复该文件",
        "enrol it again with a new code of its fleet (edge-fleet enrol), or restore the file",
    )
    return (
        [failure("identity", (f"身份文件损坏：{damage}", f"damaged: {damage}"), todo)]
        if damage
        else []
    )


def check_settings(problem: str) -> list[Finding]:
    """Check the pushed settings: with unusable ones the device runs on the shipped profile."""
    todo = ("由运维再次下发（edge-fleet push）", "push them again (edge-fleet push)")
    found = (
        f"下发的配置不可用，按出厂配置运行：{problem}",
        f"cannot be used, the device runs on the shipped profile: {problem}",
    )
    return [warning("settings", found, todo)] if problem else []


def check_daemon(daemon: DaemonFact | Unknown | None) -> Finding:
    """Check the scanner by its health file."""
    if isinstance(daemon, Unknown):
        return unknown_fact("scanner", daemon)
    if daemon is None or daemon.age_s > _HEALTH_STALE_S:
        return failure(
            "scanner",
            ("扫码程序没有运行", "is not running"),
            (
                "sudo systemctl restart edge-scanner；原因见 journalctl -u edge-scanner",
                "sudo systemctl restart edge-scanner; the reason is in journalctl -u edge-scanner",
            ),
        )
    if daemon.problems:
        named = "; ".join(f"{name}: {detail}" for name, detail in sorted(daemon.problems.items()))
        return warning(
            "scanner",
            (f"降级运行：{named}", f"is running, degraded: {named}"),
            (
                "按下面各项处理；问题消除后会自行恢复",
                "repair the parts below; the scanner then recovers by itself",
            ),
        )
    return ok("scanner", "运行正常", f"is running: {daemon.state}")


def check_camera(camera: CameraFact | Unknown | None, section: CameraSection) -> Finding:
    """Check the source of frames."""
    if not isinstance(camera, CameraFact):
        return unknown_fact("camera", camera)
    if not camera.library:
        return failure(
            "camera",
            ("缺少 picamera2", "picamera2 is not installed"),
            (
                "sudo apt install --no-install-recommends python3-picamera2",
                "sudo apt install --no-install-recommends python3-picamera2",
            ),
        )
    if not camera.present:
        return failure(
            "camera",
            (f"未找到：{camera.name}", f"not found: {camera.name}"),
            (
                "检查排线或 USB 插头后重启；"
                "用 rpicam-hello --list-cameras 或 v4l2-ctl --list-devices 查看",
                "check the ribbon or the plug and restart;"
                " rpicam-hello --list-cameras or v4l2-ctl --list-devices lists cameras",
            ),
        )
    if not camera.readable:
        return failure(
            "camera",
            (f"无权打开：{camera.name}", f"this user may not open it: {camera.name}"),
            (
                "把运行用户加入 video 组，或以 root 检查",
                "add the scanner's user to the group video, or run the doctor as root",
            ),
        )
    return ok("camera", f"{camera.name}（{section.source}）", f"{camera.name} ({section.source})")


def check_pins(pins: PinsFact | Unknown | None) -> Finding:
    """Check that there is GPIO for lamps, locks and contacts, and that it may be used."""
    if pins is None:
        return ok("pins", "配置中没有使用引脚", "the profile uses no pins")
    if isinstance(pins, Unknown):
        return unknown_fact("pins", pins)
    if pins.factory == "mock":
        return warning(
            "pins",
            ("引脚是模拟的", "the pins are simulated"),
            (
                "真实设备上请去掉环境变量 GPIOZERO_PIN_FACTORY",
                "on a real device unset GPIOZERO_PIN_FACTORY",
            ),
        )
    if not pins.chips:
        return failure(
            "pins",
            ("本机没有 GPIO", "no GPIO on this machine"),
            (
                "在树莓派上运行；或设 GPIOZERO_PIN_FACTORY=mock 试用",
                "run on a Raspberry Pi, or try with GPIOZERO_PIN_FACTORY=mock",
            ),
        )
    if not pins.library:
        return failure(
            "pins",
            ("缺少 lgpio", "lgpio is not installed"),
            ("sudo apt install python3-lgpio", "sudo apt install python3-lgpio"),
        )
    if not pins.usable:
        return failure(
            "pins",
            ("无权使用 GPIO", "this user may not use GPIO"),
            (
                "把运行用户加入 gpio 组，或以 root 检查",
                "add the scanner's user to the group gpio, or run the doctor as root",
            ),
        )
    return ok("pins", "、".join(pins.chips), ", ".join(pins.chips))


def check_nodes(nodes: tuple[NodeFact, ...] | Unknown) -> list[Finding]:
    """Check that the lock boards and scan engines of the profile exist and may be used."""
    if isinstance(nodes, Unknown):
        return [unknown_fact("nodes", nodes)]
    return [_check_node(node) for node in nodes]


def _check_node(node: NodeFact) -> Finding:
    if not node.present:
        return failure(
            node.part,
            (f"{node.node} 不存在", f"{node.node} does not exist"),
            (
                "检查接线与供电；用 ls /dev/serial/by-id /dev/input/by-id 查看",
                "check cable and power; ls /dev/serial/by-id /dev/input/by-id lists the devices",
            ),
        )
    if not node.usable:
        return failure(
            node.part,
            (f"无权使用 {node.node}", f"this user may not use {node.node}"),
            (
                f"把运行用户加入 {node.group} 组，或以 root 检查",
                f"add the scanner's user to the group {node.group}, or run the doctor as root",
            ),
        )
    return ok(node.part, node.node, node.node)


def check_zone(problem: str | None, name: str) -> list[Finding]:
    """Check the time zone of rules: without it every code with a rule is refused."""
    if problem is None:
        return []
    return [
        failure(
            "timezone",
            (
                f"系统不认识时区 {name}，带规则的码一律被拒",
                f"this system does not know {name}: every code with a rule is refused",
            ),
            (
                "改正配置中的 policy.timezone（如 Asia/Shanghai），或 sudo apt install tzdata",
                "correct policy.timezone in the profile (for example Europe/Madrid),"
                " or sudo apt install tzdata",
            ),
        )
    ]


def check_store(store: StoreFact | Unknown, device: DeviceSection | None, now_s: int) -> Finding:
    """Check the store: first its integrity, then its contents."""
    if isinstance(store, Unknown):
        return unknown_fact("store", store)
    if not store.exists:
        return warning(
            "store",
            ("还没有数据", "there is no store yet"),
            ("扫码程序首次启动时会建立", "the scanner creates it at its first start"),
        )
    if store.damage:
        return failure(
            "store",
            (f"已损坏：{store.damage}", f"damaged: {store.damage}"),
            (
                "sudo systemctl restart edge-scanner："
                "损坏的文件会被隔离保存，已核销的记录会带入新库",
                "sudo systemctl restart edge-scanner: it keeps the damaged file"
                " and copies the redemptions to a new store",
            ),
        )
    if device is not None and store.device_id != device.id:
        return failure(
            "store",
            (f"属于另一台设备 {store.device_id}", f"belongs to another device, {store.device_id}"),
            (
                "改正配置中的 device.id，或换回原来的存储卡",
                "correct device.id in the profile, or put the right card back",
            ),
        )
    if store.blocked:
        return failure(
            "store",
            (
                f"平台已停用本设备：{store.blocked}",
                f"the platform has blocked this device: {store.blocked}",
            ),
            ("联系运维", "call operations"),
        )
    return _check_contents(store, now_s)


def _check_contents(store: StoreFact, now_s: int) -> Finding:
    if store.rejected:
        return warning(
            "store",
            (f"平台拒收 {store.rejected} 条", f"the platform refused {store.rejected} events"),
            ("用 edge-scanner exceptions 查看并处理", "settle them with edge-scanner exceptions"),
        )
    if store.quarantined:
        names = ", ".join(store.quarantined)
        return warning(
            "store",
            (f"曾隔离过旧库：{names}", f"an earlier store was quarantined: {names}"),
            ("交给运维取走后再删除", "give it to operations before you delete it"),
        )
    if store.oldest_pending_s is not None and now_s - store.oldest_pending_s > _BACKLOG_OLD_S:
        days = (now_s - store.oldest_pending_s) // _DAY_S
        return warning(
            "store",
            (
                f"{store.pending} 条待上传，最早的已等 {days} 天",
                f"{store.pending} events are pending, the oldest for {days} days",
            ),
            (
                "检查网络与 edge-sync；数据不会丢失",
                "check the network and edge-sync; no data is lost meanwhile",
            ),
        )
    return ok(
        "store",
        f"完好，{store.pending} 条待上传",
        f"intact, {store.pending} events are pending",
    )
