"""The figures of the pages that are drawn from the code: ``python -m tests.support.figures`` writes them anew."""

from __future__ import annotations

import re
from collections import defaultdict
from html import escape
from pathlib import Path

from edge.saga import TABLE, DoorState

DOCS = Path(__file__).parents[2] / "docs"
PICKUP = DOCS / "explanation" / "pickup.md"
ARCHITECTURE = DOCS / "architecture.md"
FLOORS = DOCS / "figures" / "floors.svg"
DOOR_STATES = re.compile(r"(?<=<!-- door states:)([^\n]*-->\n).*?(?=<!-- end -->)", re.DOTALL)
AFTER_A_CUT = "cut_"


def door_states() -> str:
    """Return the state diagram of a door in Mermaid. What a power cut leaves is a table of its own, and not drawn."""
    ways = defaultdict(list)
    for (state, event), step in TABLE.items():
        if not event.startswith(AFTER_A_CUT):
            raised = f" ({step.raises})" if step.raises else ""
            ways[state, step.state].append(f"{event}{raised}")
    lines = ["stateDiagram-v2", f"    [*] --> {DoorState.RESERVED}: committed"]
    lines += [f"    {state} --> {there}: {', '.join(events)}" for (state, there), events in ways.items()]
    lines += [f"    {state} --> [*]" for state in DoorState if state.ended]
    return "\n".join(lines)


def page_with_door_states(page: str) -> str:
    """Return the pickup's page with its diagram as the table has it."""
    return DOOR_STATES.sub(lambda mark: f"{mark[1]}\n```mermaid\n{door_states()}\n```\n\n", page)


def arrows(page: str) -> dict[str, set[str]]:
    """Return what each room may import, as the tables of the architecture page say."""
    rows = re.findall(r"^\| ((?:edge|sync)/\S+) \| (nothing|(?:(?:edge|sync)/\S+)(?:, \S+)*) \|$", page, re.MULTILINE)
    return {room: set() if targets == "nothing" else set(targets.split(", ")) for room, targets in rows}


def floors(rooms: dict[str, set[str]], package: str) -> list[list[str]]:
    """Return the rooms of a package by floor, the lowest first: each above all that it imports within the package."""
    inside = {room: {to for to in targets if to in rooms and _in(to, package)} for room, targets in rooms.items()}
    inside = {room: targets for room, targets in inside.items() if _in(room, package)}
    storeys: list[list[str]] = []
    placed: set[str] = set()
    while len(placed) < len(inside):
        storey = sorted(room for room, targets in inside.items() if room not in placed and targets <= placed)
        assert storey, f"a circle: {sorted(set(inside) - placed)}"
        storeys.append(storey)
        placed.update(storey)
    return storeys


def _in(room: str, package: str) -> bool:
    return room.startswith(f"{package}/") and "/" not in room[len(package) + 1 :]


def floors_svg(page: str) -> str:
    """Return the picture of the floors of ``edge``, ``sync`` and ``sync/hub``."""
    rooms = arrows(page)
    parts: list[str] = []
    top, width = 20, 740
    for package in ("edge", "sync", "sync/hub"):
        storeys = floors(rooms, package)
        parts.append(f'<text x="20" y="{top + 14}" class="package">{package}</text>')
        top += 26
        for number in range(len(storeys), 0, -1):
            parts.append(f'<line x1="20" y1="{top + 40}" x2="{width - 20}" y2="{top + 40}" class="floor"/>')
            parts.append(f'<text x="28" y="{top + 25}" class="number">{number}</text>')
            storey = storeys[number - 1]
            for place, room in enumerate(storey):
                left, name = 60 + place * 130, escape(room[len(package) + 1 :])
                parts.append(f'<rect x="{left}" y="{top + 4}" width="120" height="32" rx="5"/>')
                parts.append(f'<text x="{left + 60}" y="{top + 25}" class="room">{name}</text>')
            top += 40
        top += 24
    style = (
        "text{font:14px sans-serif;fill:#1b2733}.package{font-weight:bold}.number{fill:#6b7a89}"
        ".room{text-anchor:middle;font-size:13px}rect{fill:#e8f0fa;stroke:#4a7ab5}.floor{stroke:#c4ced8}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" role="img">'
    title = "<title>The rooms by floor: a room imports only rooms below it</title>"
    paper = f'<path d="M0 0h{width}v{top}H0z" fill="#fff"/>'
    return "\n".join([head, title, f"<style>{style}</style>", paper, *parts, "</svg>", ""])


def main() -> None:
    """Write every figure."""
    PICKUP.write_text(page_with_door_states(PICKUP.read_text(encoding="utf-8")), encoding="utf-8")
    FLOORS.write_text(floors_svg(ARCHITECTURE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
