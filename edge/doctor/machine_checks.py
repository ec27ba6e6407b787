"""Checks of the machine: disk, temperature and power. Pure."""

from __future__ import annotations

from typing import Final

from edge.doctor.facts import BoardFact, DiskFact, Unknown
from edge.doctor.finding import Finding, failure, ok, unknown_fact, warning

_MIB: Final = 1024 * 1024
_DISK_LOW: Final = 200 * _MIB
_DISK_FULL: Final = 20 * _MIB
_INODES_LOW: Final = 0.05
_HOT_C: Final = 75.0
_TOO_HOT_C: Final = 82.0  # the firmware slows the processor from 80 to 85
# `vcgencmd get_throttled`: bits 0-3 now, 16-19 since power-on
_UNDER_VOLTAGE: Final = 0x1
_SLOWED: Final = 0x2 | 0x4 | 0x8
_WAS_UNDER_VOLTAGE: Final = 0x1_0000
_WAS_SLOWED: Final = 0x2_0000 | 0x4_0000 | 0x8_0000


def check_disk(disk: DiskFact | Unknown) -> Finding:
    """Check that the store has room."""
    if isinstance(disk, Unknown):
        return unknown_fact("disk", disk)
    free = f"{disk.free_bytes // _MIB} MiB"
    if disk.read_only:
        return failure(
            "disk",
            (f"{disk.folder} 只读", f"{disk.folder} is read-only"),
            (
                "数据分区未挂载或存储卡将坏：查看 journalctl -k，必要时换卡",
                "the data partition is not mounted, or the card is failing:"
                " see journalctl -k, replace the card",
            ),
        )
    clear = (
        "sudo journalctl --vacuum-size=16M；移走隔离的旧库",
        "sudo journalctl --vacuum-size=16M; move quarantined stores away",
    )
    if disk.free_bytes < _DISK_FULL:
        return failure(
            "disk", (f"{disk.folder} 已满，剩 {free}", f"{disk.folder} is full: {free} free"), clear
        )
    if disk.free_bytes < _DISK_LOW or disk.free_inodes_share < _INODES_LOW:
        return warning(
            "disk", (f"{disk.folder} 剩 {free}", f"{disk.folder} has {free} free"), clear
        )
    return ok("disk", f"{disk.folder} 剩 {free}", f"{disk.folder} has {free} free")


def check_board(board: BoardFact | Unknown) -> list[Finding]:
    """Check temperature and power."""
    if isinstance(board, Unknown):
        return [unknown_fact("temperature", board), unknown_fact("power", board)]
    return [check_temperature(board.temperature_c), check_power(board.throttled)]


def check_temperature(temperature_c: float | None) -> Finding:
    """Check the temperature against that at which the firmware slows the processor."""
    if temperature_c is None:
        return ok("temperature", "本机没有传感器", "this machine has no sensor")
    shown = f"{temperature_c:.0f} °C"
    todo = ("加散热片或风扇，避免阳光直射", "fit a heat sink or a fan; keep it out of the sun")
    if temperature_c >= _TOO_HOT_C:
        return failure(
            "temperature", (f"{shown}，处理器已降速", f"{shown}: the processor is slowed"), todo
        )
    if temperature_c >= _HOT_C:
        return warning("temperature", (shown, shown), todo)
    return ok("temperature", shown, shown)


def check_power(throttled: int | None) -> Finding:
    """Check the firmware's flags of under-voltage and throttling."""
    if throttled is None:
        return ok("power", "本机不提供供电状态", "this machine does not report it")
    supply = (
        "换用原装电源与短线；从电源单独给锁和灯供电",
        "use the board's own supply and a short cable; supply locks and lamps separately",
    )
    if throttled & _UNDER_VOLTAGE:
        return failure(
            "power", ("电压不足", "under-voltage now: writes to the card may be lost"), supply
        )
    if throttled & _WAS_UNDER_VOLTAGE:
        return warning("power", ("开机后曾电压不足", "under-voltage since power-on"), supply)
    if throttled & (_SLOWED | _WAS_SLOWED):
        todo = ("看温度一项", "see the temperature above")
        return warning("power", ("处理器曾降速", "the processor was slowed since power-on"), todo)
    return ok("power", "供电正常", "no under-voltage, not slowed")
