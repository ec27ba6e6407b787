"""Read the rooms and arrows of the house off the syntax trees, and judge them by the page's tables.

A *room* is a folder of ``edge``, ``sync``, ``sync/hub`` or ``hardware_sim``, or a module that lies
loose in one of these. An *arrow* goes from a room to one that it imports, at the top of a module or
inside a function. The tables of the section "Arrows" in docs/architecture.md say which arrows may
be. What breaks a rule is returned as sentences.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path

from tests.support.paths import ROOT

SIMULATOR = "hardware_sim"
PACKAGES = {
    "edge": ROOT / "edge",
    "sync": ROOT / "sync",
    SIMULATOR: ROOT / "hardware-sim" / SIMULATOR,
}
HOUSES = ("edge", "sync", "sync/hub", SIMULATOR)  # where folders and loose modules are rooms
INNER = ("sync/hub",)  # rooms that are houses themselves
EFFECTS = frozenset(
    {
        "asyncio",
        "click",
        "fcntl",
        "http",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "paho",
        "pathlib",
        "queue",
        "random",
        "secrets",
        "select",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "sqlite_utils",
        "ssl",
        "structlog",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "uuid",
        "cv2",
    }
)
EFFECTFUL_BUILTINS = frozenset({"open", "print", "input"})
EFFECTFUL_METHODS = frozenset(
    {"now", "utcnow", "today", "generate"}
)  # of datetime, date, private keys
_EFFECTFUL_TYPES = re.compile(r"^(datetime|date|\w+PrivateKey)$")
_SQL = re.compile(
    r"\s*(SELECT\s|INSERT (OR \w+ )?INTO\s|UPDATE\s+\S+\s+SET\s|DELETE FROM\s"
    r"|CREATE (TABLE|INDEX|UNIQUE)\s"
    r"|ALTER TABLE\s|DROP TABLE\s|PRAGMA\s|BEGIN( IMMEDIATE)?$|COMMIT$|ROLLBACK$)"
)
_ROOM = re.compile(r"(?:edge|sync|hardware_sim)(?:/\w+)+")


@dataclass(frozen=True)
class Import:
    """``target``: the module that is imported, of this house or another's."""

    target: str
    line: int
    lazy: bool


@dataclass(frozen=True)
class Module:
    """One source file. ``name`` is dotted; a package's is that of its ``__init__``."""

    name: str
    path: Path
    tree: ast.Module
    imports: tuple[Import, ...]

    @property
    def is_package(self) -> bool:
        """Return whether it is the ``__init__`` of a folder."""
        return self.path.name == "__init__.py"


Arrow = tuple[str, str]
Graph = Mapping[str, Collection[str]]
Table = Mapping[str, frozenset[str]]


class House:
    """Every module of the packages, by its name."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self.modules = modules

    @cached_property
    def rooms(self) -> dict[str, list[Module]]:
        """Return the modules of each room.

        A module of the hub counts for its inner room and for ``sync/hub``.
        """
        found: dict[str, list[Module]] = {}
        for module in self.modules.values():
            for room in rooms_of(module.name):
                found.setdefault(room, []).append(module)
        return found

    @cached_property
    def arrows(self) -> dict[Arrow, list[str]]:
        """Return where each arrow is drawn, as ``edge.cli.run:12 imports edge.config``."""
        found: dict[Arrow, list[str]] = {}
        for module in self.modules.values():
            for one in module.imports:
                if (arrow := arrow_of(module.name, one.target)) is not None:
                    place = f"{module.name}:{one.line} imports {one.target}"
                    found.setdefault(arrow, []).append(place)
        return found

    def graph(self, within: str) -> dict[str, set[str]]:
        """Return the arrows between the rooms of one house, as ``edge`` or ``sync/hub``."""
        depth = within.count("/") + 1
        rooms = {r for r in self.rooms if r.startswith(f"{within}/") and r.count("/") == depth}
        return {a: {b for b in rooms if (a, b) in self.arrows} for a in sorted(rooms)}

    def folders(self, within: str) -> dict[str, set[str]]:
        """Return the imports between all folders of ``within``, at any depth.

        A loose module counts as a folder of its own.
        """
        found: dict[str, set[str]] = {}
        for module in self.modules.values():
            if module.name.startswith(within.replace("/", ".") + ".") and not module.is_package:
                targets = {
                    _place(self.modules[one.target])
                    for one in module.imports
                    if one.target in self.modules
                }
                place = _place(module)
                found.setdefault(place, set()).update(targets - {place})
        return found


def read_house(packages: Mapping[str, Path]) -> House:
    """Parse every module of ``packages``, name to folder."""
    paths = {
        ".".join((package, *path.relative_to(folder).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for package, folder in packages.items()
        for path in sorted(folder.rglob("*.py"))
    }
    modules = {}
    for name, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules[name] = Module(name, path, tree, tuple(_imports(tree, paths)))
    return House(modules)


def read_table(page: str, heading: str = "## Arrows") -> dict[str, frozenset[str]]:
    """Return the rows ``| room | may import |`` of a section.

    Raises ValueError for a room with two rows.
    """
    section = page.split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]
    table: dict[str, frozenset[str]] = {}
    for line in section.splitlines():
        cells = [cell.strip(" `") for cell in line.strip().strip("|").split("|")]
        if len(cells) != 2 or not _ROOM.fullmatch(cells[0]):
            continue
        if cells[0] in table:
            raise ValueError(f"two rows for {cells[0]}")
        table[cells[0]] = frozenset(_ROOM.findall(cells[1]))
    return table


def pure_rooms(page: str) -> set[str]:
    """Return the rooms whose description in the section "Rooms" begins with "pure"."""
    section = page.split("\n## Rooms\n", 1)[1].split("\n## ", 1)[0]
    return {
        row[1] for row in re.finditer(r"^\| `([\w/]+)(?:\.py)?` \| pure\b", section, re.MULTILINE)
    }


def rooms_of(module: str) -> list[str]:
    """Return the room that ``module`` is in, and the room within that one.

    The packages themselves are in none.

    >>> rooms_of("edge.decode.qr.quad"), rooms_of("sync.hub.store.sqlite")
    (['edge/decode'], ['sync/hub', 'sync/hub/store'])
    >>> rooms_of("edge.ports"), rooms_of("edge")
    (['edge/ports'], [])
    """
    parts = module.split(".")
    outer = "/".join(parts[:2])
    if len(parts) < 2:
        return []
    return [outer, "/".join(parts[:3])] if outer in INNER and len(parts) > 2 else [outer]


def arrow_of(importer: str, target: str) -> Arrow | None:
    """Return the arrow that one import draws.

    None for an import within a room, of a library, and out of the simulator.
    """
    if target.split(".", maxsplit=1)[0] not in {"edge", "sync", SIMULATOR}:
        return None
    ours, theirs = rooms_of(importer), rooms_of(target)
    if importer.startswith(f"{SIMULATOR}.") and not target.startswith(f"{SIMULATOR}."):
        return None
    for a, b in zip(ours, theirs, strict=False):
        if a != b:
            return a, b
    return None


def circles(graph: Graph) -> list[list[str]]:
    """Return the rooms that import each other, in however many steps.

    >>> circles({"a": {"b"}, "b": {"c"}, "c": {"b"}})
    [['b', 'c']]
    """
    beyond = {room: _reached(room, graph) for room in graph}
    rings = {
        frozenset(b for b in beyond[a] if a in beyond.get(b, ())) for a in graph if a in beyond[a]
    }
    return sorted(sorted(ring) for ring in rings)


def floors(graph: Graph) -> dict[str, int]:
    """Return the floor of each room 1, or one above the highest that it imports. Raises CycleError.

    >>> floors({"cli": {"store"}, "store": set()})
    {'store': 1, 'cli': 2}
    """
    found: dict[str, int] = {}
    for room in TopologicalSorter(graph).static_order():
        found[room] = 1 + max((found[below] for below in graph[room]), default=0)
    return found


def judge_room(house: House, table: Table, room: str) -> list[str]:
    """Return what is wrong with ``room``.

    It is not in the table, not in the code, or has an arrow too many or too few.
    """
    if room not in table:
        return [f"{room} has no row in the table"]
    if room not in house.rooms:
        return [f"{room} has a row in the table and no module"]
    drawn = {b: places for (a, b), places in house.arrows.items() if a == room}
    extra = [place for b, places in drawn.items() if b not in table[room] for place in places]
    spare = [
        f"{room} no longer imports {b}: take it out of its row" for b in table[room] - set(drawn)
    ]
    return sorted(extra) + sorted(spare)


def impurities(house: House, room: str) -> list[str]:
    """Return each effect of the modules of ``room``, with the chain of imports that leads to it.

    An effect is a module's own, or comes from a module that it imports.
    """
    found = []
    for module in house.rooms.get(room, ()):
        for way in _ways(house, module):
            effects = _effects(house.modules[way[-1]])
            found += [f"{' -> '.join(way)}: {effect}" for effect in effects]
    return sorted(set(found))


def sql_in(module: Module) -> list[str]:
    """Return the lines of ``module`` with a text that begins as SQL does; docstrings apart."""
    documents = {
        id(node.body[0].value)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        f"{module.name}:{node.lineno}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documents
        and _SQL.match(node.value)
    ]


def _imports(tree: ast.Module, modules: Collection[str]) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, node.col_offset > 0)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield Import(
                    inner if inner in modules else node.module, node.lineno, node.col_offset > 0
                )


def _place(module: Module) -> str:
    """Return the folder of ``module``, as ``edge/decode/qr``.

    A module that lies loose in a house is its own place.
    """
    parts = module.name.split(".")
    folder = "/".join(parts if module.is_package else parts[:-1])
    return "/".join(parts) if folder in HOUSES else folder


def _reached(start: str, graph: Graph) -> set[str]:
    found: set[str] = set()
    ahead = list(graph.get(start, ()))
    while ahead:
        room = ahead.pop()
        if room not in found:
            found.add(room)
            ahead += graph.get(room, ())
    return found


def _ways(house: House, start: Module) -> Iterator[list[str]]:
    """Yield the shortest chain of imports to each module that is loaded with ``start``.

    A package is loaded with its modules.
    """
    seen, ahead = {start.name}, [[start.name]]
    while ahead:
        way = ahead.pop(0)
        yield way
        for one in house.modules[way[-1]].imports:
            parts = one.target.split(".")
            for name in (".".join(parts[: n + 1]) for n in range(len(parts))):
                if name in house.modules and name not in seen:
                    seen.add(name)
                    ahead.append([*way, name])


def _effects(module: Module) -> Iterable[str]:
    for one in module.imports:
        if one.target.split(".")[0] in EFFECTS:
            yield f"imports {one.target}, line {one.line}"
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in EFFECTFUL_BUILTINS:
            yield f"calls {node.func.id}(), line {node.lineno}"
        elif (
            isinstance(node.func, ast.Attribute)
            and node.func.attr in EFFECTFUL_METHODS
            and isinstance(node.func.value, ast.Name)
            and _EFFECTFUL_TYPES.match(node.func.value.id)
        ):
            yield f"calls {node.func.value.id}.{node.func.attr}(), line {node.lineno}"
