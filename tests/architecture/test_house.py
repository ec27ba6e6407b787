"""Each rule of the house can fail: a small house with one violation, and what is said about it."""

from pathlib import Path

import pytest

from tests.architecture.house import (
    circles,
    impurities,
    judge_room,
    pure_rooms,
    read_house,
    read_table,
    sql_in,
)

TABLE = {
    "edge/values": frozenset(),
    "edge/store": frozenset({"edge/values"}),
    "edge/cli": frozenset({"edge/store"}),
}
IN_ORDER = {
    "edge/__init__.py": "",
    "edge/values/__init__.py": "",
    "edge/values/instant.py": "",
    "edge/store/__init__.py": "",
    "edge/store/ledger.py": "from edge.values.instant import Instant",
    "edge/cli/__init__.py": "",
    "edge/cli/run.py": "from edge.store import ledger",
}


@pytest.fixture
def house(tmp_path):
    """Return what reads a house in order, but for the files that it is given: path to text."""

    def build(files: dict[str, str]):
        for name, text in (IN_ORDER | files).items():
            path: Path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return read_house({name: tmp_path / name for name in ("edge", "sync", "hardware_sim")})

    return build


def judged(house, table=TABLE):
    rooms = sorted(set(house.rooms) | set(table))
    return [wrong for room in rooms for wrong in judge_room(house, table, room)]


def test_a_house_in_order_has_nothing_wrong(house):
    assert judged(house({})) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("import edge.cli.run", id="import"),
        pytest.param("from edge.cli import run", id="from a folder"),
        pytest.param("def late():\n    from edge.cli.run import run", id="inside a function"),
        pytest.param("if TYPE_CHECKING:\n    from edge.cli.run import Run", id="for types alone"),
    ],
)
def test_an_arrow_that_is_not_in_the_table_fails(house, text):
    line = text.count("\n") + 1
    assert judged(house({"edge/values/instant.py": text})) == [
        f"edge.values.instant:{line} imports edge.cli.run"
    ]


@pytest.mark.parametrize("stranger", ["sync/wire/codec.py", "hardware_sim/world/shop.py"])
def test_an_arrow_to_another_package_fails(house, stranger):
    name = stranger.removesuffix(".py").replace("/", ".")
    room = stranger.rsplit("/", 1)[0]
    built = house({stranger: "", "edge/store/ledger.py": f"import edge.values\nimport {name}"})
    assert judged(built, TABLE | {room: frozenset()}) == [f"edge.store.ledger:2 imports {name}"]


def test_the_simulator_may_import_what_it_stands_for(house):
    built = house({"hardware_sim/parts/lock.py": "import edge.store.ledger"})
    assert judged(built, TABLE | {"hardware_sim/parts": frozenset()}) == []


@pytest.mark.parametrize(
    ("file", "room"),
    [
        pytest.param("edge/attic/box.py", "edge/attic", id="a folder"),
        pytest.param("edge/stray.py", "edge/stray", id="a loose module"),
        pytest.param("sync/hub/attic/box.py", "sync/hub/attic", id="a folder of the hub"),
    ],
)
def test_a_room_without_a_row_fails(house, file, room):
    table = TABLE | ({"sync/hub": frozenset()} if room.startswith("sync") else {})
    assert judged(house({file: ""}), table) == [f"{room} has no row in the table"]


def test_a_row_without_a_room_fails(house):
    assert judged(house({}), TABLE | {"edge/gone": frozenset()}) == [
        "edge/gone has a row in the table and no module"
    ]


def test_an_arrow_that_no_import_draws_any_more_fails(house):
    assert judged(house({"edge/cli/run.py": ""})) == [
        "edge/cli no longer imports edge/store: take it out of its row"
    ]


def test_the_hub_is_judged_as_a_room_and_room_by_room(house):
    built = house(
        {
            "sync/hub/store/sqlite.py": "import sync.hub.server.hub",
            "sync/hub/server/hub.py": "import edge.store.ledger",
        }
    )
    rooms = ("sync/hub", "sync/hub/store", "sync/hub/server")
    assert judged(built, TABLE | dict.fromkeys(rooms, frozenset())) == [
        "sync.hub.server.hub:1 imports edge.store.ledger",
        "sync.hub.store.sqlite:1 imports sync.hub.server.hub",
    ]


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        pytest.param("import sqlite3", "imports sqlite3, line 1", id="a database"),
        pytest.param("import logging", "imports logging, line 1", id="a log"),
        pytest.param("def now():\n    import time", "imports time, line 2", id="a late import"),
        pytest.param("open('/etc/hostname')", "calls open(), line 1", id="a file"),
        pytest.param("datetime.now()", "calls datetime.now(), line 1", id="the clock"),
        pytest.param(
            "X25519PrivateKey.generate()",
            "calls X25519PrivateKey.generate(), line 1",
            id="randomness",
        ),
    ],
)
def test_a_pure_room_with_an_effect_fails(house, text, effect):
    built = house({"edge/values/instant.py": text})
    assert impurities(built, "edge/values") == [f"edge.values.instant: {effect}"]


def test_a_pure_room_that_imports_an_effect_in_several_steps_fails(house):
    built = house(
        {
            "edge/values/instant.py": "from edge.store.ledger import Ledger",
            "edge/store/ledger.py": "import edge.store.file",
            "edge/store/file.py": "import sqlite3",
        }
    )
    way = "edge.values.instant -> edge.store.ledger -> edge.store.file"
    assert impurities(built, "edge/values") == [f"{way}: imports sqlite3, line 1"]


def test_an_effect_at_the_door_of_a_folder_is_one_of_all_its_modules(house):
    files = {"edge/store/__init__.py": "import os", "edge/store/ledger.py": ""}
    assert impurities(house(files), "edge/values") == []
    built = house(files | {"edge/values/instant.py": "import edge.store.ledger"})
    assert impurities(built, "edge/values") == [
        "edge.values.instant -> edge.store: imports os, line 1"
    ]


def test_folders_that_import_each_other_in_a_circle_fail(house):
    built = house({"edge/values/instant.py": "import edge.cli.run"})
    assert circles(built.graph("edge")) == [["edge/cli", "edge/store", "edge/values"]]


def test_a_circle_within_a_room_fails(house):
    built = house(
        {
            "edge/store/database/file.py": "import edge.store.ledger",
            "edge/store/ledger.py": "import edge.store.database.file",
        }
    )
    assert circles(built.graph("edge")) == []
    assert circles(built.folders("edge")) == [["edge/store", "edge/store/database"]]


@pytest.mark.parametrize(
    "text",
    [
        "x = 'SELECT 1'",
        "x = f'UPDATE ledger SET units = {n}'",
        'x = """\n    INSERT OR IGNORE INTO ledger VALUES (1)"""',
        "x = 'PRAGMA data_version'",
    ],
)
def test_sql_is_found(house, text):
    built = house({"edge/cli/run.py": text})
    assert sql_in(built.modules["edge.cli.run"]) == ["edge.cli.run:1"]


@pytest.mark.parametrize(
    "text", ['"""SELECT in a docstring."""', "x = 'Select a device'", "x = 'UPDATE'"]
)
def test_words_are_no_sql(house, text):
    assert sql_in(house({"edge/cli/run.py": text}).modules["edge.cli.run"]) == []


PAGE = """
## Rooms

| room | what it is |
|---|---|
| `edge/values` | pure: a moment |
| `edge/store` | the tables |

## Arrows

| room | may import |
|---|---|
| edge/values | nothing |
| `edge/store` | `edge/values` |

Inside the hub:

| room | may import |
|---|---|
| sync/hub/store | nothing |

## Vocabulary

| term | meaning |
|---|---|
| edge/cli | edge/store |
"""


def test_the_tables_of_one_section_are_read():
    assert read_table(PAGE) == {
        "edge/values": frozenset(),
        "edge/store": frozenset({"edge/values"}),
        "sync/hub/store": frozenset(),
    }
    assert pure_rooms(PAGE) == {"edge/values"}


def test_two_rows_for_a_room_are_an_error():
    with pytest.raises(ValueError, match="two rows for edge/values"):
        read_table(PAGE.replace("| sync/hub/store |", "| edge/values |"))
