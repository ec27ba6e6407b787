"""Facts of the machine: disk, temperature and power."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from edge.doctor.facts import BoardFact, DiskFact

_PROCESSOR = ("cpu-thermal", "cpu_thermal", "soc-thermal", "x86_pkg_temp", "acpitz")
_VCIO = "dev/vcio"  # the firmware's node for vcgencmd; open to root and the group video
_VOLTAGE = "rpi_volt"  # raspberrypi-hwmon (docs.kernel.org/hwmon/raspberrypi-hwmon.html)
# Of Raspberry Pi's kernels; hexadecimal.
_THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"


def read_disk(folder: Path) -> DiskFact:
    """Return the file system of ``folder``, or of the nearest existing folder above it."""
    existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    found = os.statvfs(existing)
    return DiskFact(
        folder=str(existing),
        free_bytes=found.f_bavail * found.f_frsize,
        total_bytes=found.f_blocks * found.f_frsize,
        free_inodes_share=found.f_favail / found.f_files if found.f_files else 1.0,
        read_only=bool(found.f_flag & os.ST_RDONLY),
    )


def read_board(root: Path) -> BoardFact:
    """Return the board's name, the processor's temperature, and the firmware's flags."""
    model = root / "proc/device-tree/model"
    return BoardFact(
        model=model.read_text(errors="replace").rstrip("\0\n") if model.exists() else "",
        temperature_c=_temperature_c(root),
        throttled=_throttled(root),
    )


def _temperature_c(root: Path) -> float | None:
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        if (zone / "type").read_text().strip() in _PROCESSOR:
            return int((zone / "temp").read_text()) / 1000
    return None


def _throttled(root: Path) -> int | None:
    """Return the firmware's flags from the best source that exists.

    vcgencmd reports all of them. hwmon reports under-voltage within two seconds, and nothing else.
    The kernel's file comes last: it is stale without hwmon, and reading it with hwmon puts a
    warning with a stack trace into the kernel's log ("deprecated, use hwmon sysfs instead").
    """
    if (root / _VCIO).exists() and (flags := _flags_of_firmware()) is not None:
        return flags
    for chip in sorted(root.glob("sys/class/hwmon/hwmon*")):
        if (chip / "name").read_text().strip() == _VOLTAGE:
            return int((chip / "in0_lcrit_alarm").read_text())  # 1: bit 0, under-voltage
    file = root / _THROTTLED
    return int(file.read_text().strip(), 16) if file.exists() else None


def _flags_of_firmware() -> int | None:
    try:
        run = subprocess.run(
            ["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=3, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_throttled(run.stdout)


def parse_throttled(text: str) -> int | None:
    """Return the bits in the output of ``vcgencmd get_throttled``; None when it has none.

    >>> parse_throttled("throttled=0x50005")
    327685
    """
    name, _, value = text.strip().partition("=")
    try:
        return int(value, 16) if name == "throttled" else None
    except ValueError:
        return None
