"""``python -m benchmarks [NAME...] [--json]``: run the named benchmarks, or all of them.

Each measurement is a module ``benchmarks.<name>`` with ``measure() -> Iterator[Measurement]``.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec

NAMES = ("token", "store", "latency", "decode", "sync", "fleet", "growth")


def main() -> int:
    """Print one line for each measurement. Exit 2 for an unknown name."""
    here = [name for name in NAMES if find_spec(f"benchmarks.{name}")]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(here)}")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(here):
        parser.error(
            f"no benchmark named {', '.join(sorted(unknown))}; there are: {', '.join(here)}"
        )
    for name in arguments.names or here:
        for measurement in import_module(f"benchmarks.{name}").measure():
            print(json.dumps(asdict(measurement)) if arguments.json else measurement, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
