"""``make house``: the rooms, floors, arrows and circles of the house, and its trips."""

from __future__ import annotations

import sys

from tests.architecture.house import PACKAGES, circles, floors, read_house
from tests.architecture.trips import run_trips

HOUSES = ("edge", "sync", "sync/hub")


def main() -> int:
    """Print both tables. Exit 0, or 1 with a circle."""
    house = read_house(PACKAGES)
    print(f"{'house':<32}{'rooms':>8}{'floors':>8}{'arrows':>8}{'circles':>9}")
    found = []
    for name in HOUSES:
        graph = house.graph(name)
        rings = circles(graph)
        height = str(max(floors(graph).values())) if not rings else "-"
        arrows = sum(len(targets) for targets in graph.values())
        print(f"{name:<32}{len(graph):>8}{height:>8}{arrows:>8}{len(rings):>9}")
        found += rings
    for ring in found:
        print(f"a circle: {', '.join(ring)}")
    print(f"\n{'trip':<32}{'files':>8}{'rooms':>8}{'moves':>8}")
    for name, trip in run_trips().items():
        print(f"{name:<32}{len(trip.files):>8}{len(trip.rooms):>8}{trip.total:>8}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
