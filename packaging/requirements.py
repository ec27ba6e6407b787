"""Requirements of the Debian package. Standard library only.

``requirements.py pyproject.toml`` prints the libraries that the package contains, one a line.
``requirements.py --pinned CONSTRAINTS REPORT`` compares what pip resolved (its JSON report) with
what is pinned, prints each library that is on one side only, and exits with 1 if there is one.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

SYSTEMS = {"evdev", "pyserial"}  # python3-evdev, python3-serial: docs/adr/0030
# Only `sqlite-utils install` needs them, and a device never runs it.
NOT_SHIPPED = {"pip", "setuptools"}


def name_of(requirement: str) -> str:
    """Return the name of the distribution, normalised as in PEP 503."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def wanted(pyproject: Path) -> list[str]:
    """Return the requirements of pyproject.toml that the system does not provide."""
    required = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["dependencies"]
    return [requirement for requirement in required if name_of(requirement) not in SYSTEMS]


def pinned(constraints: Path) -> dict[str, str]:
    """Return the exact versions of a constraints file, by name."""
    lines = [
        line.partition("#")[0].strip()
        for line in constraints.read_text(encoding="utf-8").splitlines()
    ]
    return {name_of(line): line.partition("==")[2] for line in lines if line}


def differences(constraints: Path, report: Path) -> list[str]:
    """Return what is resolved but not pinned, and what is pinned but not resolved."""
    installed = (
        item["metadata"] for item in json.loads(report.read_text(encoding="utf-8"))["install"]
    )
    resolved = {name_of(item["name"]): item["version"] for item in installed}
    pins = pinned(constraints)
    unpinned = [
        f"not pinned: {name}=={resolved[name]}"
        for name in sorted(resolved.keys() - pins.keys() - NOT_SHIPPED)
    ]
    return unpinned + [
        f"pinned and not used: {name}" for name in sorted(pins.keys() - resolved.keys())
    ]


if __name__ == "__main__":
    if sys.argv[1] == "--pinned":
        found = differences(Path(sys.argv[2]), Path(sys.argv[3]))
        sys.stdout.writelines(f"{line}\n" for line in found)
        sys.exit(bool(found))
    sys.stdout.writelines(f"{requirement}\n" for requirement in wanted(Path(sys.argv[1])))
