"""What the package carries: `requirements.py pyproject.toml` prints it, one requirement a line.

`requirements.py --pinned CONSTRAINTS REPORT` compares what pip resolved (its report, JSON) with what is pinned there,
prints each library that is on one side only, and ends with 1 if there is any. Standard library only.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

SYSTEMS = {"evdev", "pyserial"}  # python3-evdev, python3-serial: docs/adr/0030
NOT_SHIPPED = {
    "pip",
    "setuptools",
}  # wanted by `sqlite-utils install` alone, which a device never runs


def name_of(requirement: str) -> str:
    """The distribution's name, as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def wanted(pyproject: Path) -> list[str]:
    """What pyproject.toml asks for and the system does not give."""
    asked = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["dependencies"]
    return [requirement for requirement in asked if name_of(requirement) not in SYSTEMS]


def pinned(constraints: Path) -> dict[str, str]:
    """The exact versions of a constraints file."""
    lines = [
        line.partition("#")[0].strip()
        for line in constraints.read_text(encoding="utf-8").splitlines()
    ]
    return {name_of(line): line.partition("==")[2] for line in lines if line}


def differences(constraints: Path, report: Path) -> list[str]:
    """What is resolved and not pinned, or pinned and not resolved."""
    installed = (
        item["metadata"] for item in json.loads(report.read_text(encoding="utf-8"))["install"]
    )
    resolved = {name_of(item["name"]): item["version"] for item in installed}
    pins = pinned(constraints)
    loose = [
        f"not pinned: {name}=={resolved[name]}"
        for name in sorted(resolved.keys() - pins.keys() - NOT_SHIPPED)
    ]
    return loose + [
        f"pinned and not used: {name}" for name in sorted(pins.keys() - resolved.keys())
    ]


if __name__ == "__main__":
    if sys.argv[1] == "--pinned":
        found = differences(Path(sys.argv[2]), Path(sys.argv[3]))
        sys.stdout.writelines(f"{line}\n" for line in found)
        sys.exit(bool(found))
    sys.stdout.writelines(f"{requirement}\n" for requirement in wanted(Path(sys.argv[1])))
