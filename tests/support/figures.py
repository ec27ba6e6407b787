"""Draw the figures of the pages from the code.

``python -m tests.support.figures`` writes them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from html import escape

from edge.decode.rungs import DEEP, RUNGS
from edge.pickup.door_states import TABLE, DoorState
from tests.support.paths import DOCS

PICKUP = DOCS / "explanation" / "pickup.md"
ARCHITECTURE = DOCS / "architecture.md"
FLOORS = DOCS / "figures" / "floors.svg"
LADDER = DOCS / "figures" / "ladder.svg"
DOOR_STATES = re.compile(r"(?<=<!-- door states:)([^\n]*-->\n).*?(?=<!-- end -->)", re.DOTALL)
AFTER_A_CUT = "cut_"


def door_states() -> str:
    """Return the state diagram of a door in Mermaid.

    Steps after a power cut have a table of their own, and are not drawn.
    """
    ways = defaultdict(list)
    for (state, event), step in TABLE.items():
        if not event.startswith(AFTER_A_CUT):
            raised = f" ({step.raises})" if step.raises else ""
            ways[state, step.state].append(f"{event}{raised}")
    lines = ["stateDiagram-v2", f"    [*] --> {DoorState.RESERVED}: committed"]
    lines += [
        f"    {state} --> {there}: {', '.join(events)}" for (state, there), events in ways.items()
    ]
    lines += [f"    {state} --> [*]" for state in DoorState if state.ended]
    return "\n".join(lines)


def page_with_door_states(page: str) -> str:
    """Return the pickup's page with its diagram as the table has it."""
    return DOOR_STATES.sub(lambda mark: f"{mark[1]}\n```mermaid\n{door_states()}\n```\n\n", page)


def arrows(page: str) -> dict[str, set[str]]:
    """Return what each room may import, as the tables of the architecture page say."""
    rows = re.findall(
        r"^\| ((?:edge|sync)/\S+) \| (nothing|(?:(?:edge|sync)/\S+)(?:, \S+)*) \|$",
        page,
        re.MULTILINE,
    )
    return {
        room: set() if targets == "nothing" else set(targets.split(", ")) for room, targets in rows
    }


def floors(rooms: dict[str, set[str]], package: str) -> list[list[str]]:
    """Return the rooms of a package by floor, the lowest first.

    Each room is above all that it imports within the package.
    """
    inside = {
        room: {to for to in targets if to in rooms and _in(to, package)}
        for room, targets in rooms.items()
    }
    inside = {room: targets for room, targets in inside.items() if _in(room, package)}
    storeys: list[list[str]] = []
    placed: set[str] = set()
    while len(placed) < len(inside):
        storey = sorted(
            room for room, targets in inside.items() if room not in placed and targets <= placed
        )
        assert storey, f"a circle: {sorted(set(inside) - placed)}"
        storeys.append(storey)
        placed.update(storey)
    return storeys


def _in(room: str, package: str) -> bool:
    return room.startswith(f"{package}/") and "/" not in room[len(package) + 1 :]


def floors_svg() -> str:
    """Return the picture of the floors of ``edge``, ``sync`` and ``sync/hub``."""
    rooms = arrows(ARCHITECTURE.read_text(encoding="utf-8"))
    parts: list[str] = []
    top, width = 20, 740
    for package in ("edge", "sync", "sync/hub"):
        storeys = floors(rooms, package)
        parts.append(f'<text x="20" y="{top + 14}" class="package">{package}</text>')
        top += 26
        for number in range(len(storeys), 0, -1):
            parts.append(
                f'<line x1="20" y1="{top + 40}" x2="{width - 20}" y2="{top + 40}" class="floor"/>'
            )
            parts.append(f'<text x="28" y="{top + 25}" class="number">{number}</text>')
            storey = storeys[number - 1]
            for place, room in enumerate(storey):
                left, name = 60 + place * 130, escape(room[len(package) + 1 :])
                parts.append(f'<rect x="{left}" y="{top + 4}" width="120" height="32" rx="5"/>')
                parts.append(f'<text x="{left + 60}" y="{top + 25}" class="room">{name}</text>')
            top += 40
        top += 24
    return _svg("The rooms by floor: a room imports only rooms below it", width, top, parts)


def ladder_svg() -> str:
    """Return the picture of the ladder: its rungs in order, and those of ``--deep`` beside them."""
    parts = ['<text x="20" y="28" class="package">one picture</text>']
    for place, rung in enumerate(RUNGS):
        left, top = 20 + place * 16, 44 + place * 36
        parts.append(f'<rect x="{left}" y="{top}" width="150" height="28" rx="5"/>')
        parts.append(
            f'<text x="{left + 75}" y="{top + 19}" class="room">{escape(rung.name)}</text>'
        )
        parts.append(f'<path d="M{left + 152} {top + 14}H436" class="read"/>')
    bottom = 44 + len(RUNGS) * 36
    parts.append(f'<rect x="440" y="44" width="90" height="{bottom - 52}" rx="5" class="stop"/>')
    parts.append(f'<text x="485" y="{bottom / 2 + 20:.0f}" class="room">a rung reads:</text>')
    parts.append(f'<text x="485" y="{bottom / 2 + 38:.0f}" class="room">stop</text>')
    parts.append(
        f'<text x="20" y="{bottom + 20}" class="number">'
        "None reads: the next rung, while the budget lasts.</text>"
    )
    parts.append('<text x="560" y="28" class="package">--deep goes on with</text>')
    for place, rung in enumerate(DEEP[len(RUNGS) :]):
        left, top = 560 + place // 10 * 172, 44 + place % 10 * 36
        parts.append(f'<rect x="{left}" y="{top}" width="164" height="28" rx="5" class="deep"/>')
        parts.append(
            f'<text x="{left + 82}" y="{top + 19}" class="room">{escape(rung.name)}</text>'
        )
    return _svg(
        "The ladder: rungs run until one reads or the budget is spent", 920, bottom + 36, parts
    )


def _svg(title: str, width: int, height: int, parts: list[str]) -> str:
    style = (
        "text{font:14px sans-serif;fill:#1b2733}.package{font-weight:bold}.number{fill:#6b7a89}"
        ".room{text-anchor:middle;font-size:13px}rect{fill:#e8f0fa;stroke:#4a7ab5}.floor{stroke:#c4ced8}"
        ".read{stroke:#2e9e5b}.stop{fill:#e6f5ec;stroke:#2e9e5b}"
        ".deep{fill:#fff;stroke-dasharray:5 4}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
    paper = f'<path d="M0 0h{width}v{height}H0z" fill="#fff"/>'
    lines = [head, f"<title>{title}</title>", f"<style>{style}</style>", paper, *parts, "</svg>"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write every figure."""
    PICKUP.write_text(page_with_door_states(PICKUP.read_text(encoding="utf-8")), encoding="utf-8")
    LADDER.write_text(ladder_svg(), encoding="utf-8")
    FLOORS.write_text(floors_svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
