"""How the tables of a hub's store come to be, and that they are the same in both databases."""

import sqlite3

import pytest

from sync.hub.store import migration
from sync.hub.store.fleet import fleet_store
from sync.hub.store.fleet.fleet_store import open_fleet_store
from sync.hub.store.interface import HubStoreError
from sync.hub.store.migration import FLEET_NAMES, NAMES, Step, migrate, steps
from sync.hub.store.opening import open_hub_store
from sync.hub.store.sqlite import FILE

LATER = Step(
    "9999_later",
    "ALTER TABLE stream ADD COLUMN later INTEGER NOT NULL DEFAULT 7;  -- made up\n"
    "CREATE TABLE later (one INTEGER PRIMARY KEY);\n",
)
FLEET_LATER = Step("9999_later", "CREATE TABLE later (one INTEGER PRIMARY KEY);\n")
BROKEN = Step(
    "9999_broken", "CREATE TABLE begun (one INTEGER);\nCREATE TABLE begun (one INTEGER);\n"
)


def todo(store):
    return steps("sqlite" if "Sqlite" in type(store).__name__ else "postgres")


def names(store):
    with store.read() as connection:
        return [name for (name,) in connection.execute("SELECT name FROM migration ORDER BY name")]


def test_a_store_has_every_step_once_however_often_it_is_opened(opened):
    assert names(opened()) == list(NAMES)
    assert names(opened()) == list(NAMES)


def test_a_later_step_changes_the_tables_and_keeps_the_rows(opened):
    store = opened()
    with store.transaction() as connection:
        connection.execute("INSERT INTO stream VALUES ('kiosk-1', 'e1', 3)")
    for _ in range(2):
        with store.transaction() as connection:
            migrate(connection, (*todo(store), LATER))
    assert names(store) == [*NAMES, LATER.name]
    with store.read() as connection:
        assert connection.execute("SELECT * FROM stream").fetchall() == [("kiosk-1", "e1", 3, 7)]


def test_a_step_that_fails_leaves_the_store_as_it_was(opened):
    store = opened()
    with pytest.raises(Exception, match="begun"), store.transaction() as connection:
        migrate(connection, (*todo(store), BROKEN))
    assert names(store) == list(NAMES)
    with store.transaction() as connection:
        connection.execute("CREATE TABLE begun (one INTEGER)")


def test_a_store_of_a_newer_program_is_refused_and_left_alone(opened):
    store = opened()
    with store.transaction() as connection:
        migrate(connection, (*todo(store), LATER))
    with pytest.raises(HubStoreError, match="newer program \\(9999_later\\)"):
        opened()
    assert names(store) == [*NAMES, LATER.name]


def test_every_step_is_a_file_for_each_database():
    """A file that no step names would never run."""
    folder = migration.files("sync.hub.store") / "migrations"
    found = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    of_the_hub = [f"{name}.{database}.sql" for name in NAMES for database in ("sqlite", "postgres")]
    assert found == sorted(of_the_hub + [f"{name}.fleet.sql" for name in FLEET_NAMES])


def test_the_fleets_store_is_migrated_by_the_same_steps(tmp_path, monkeypatch):
    open_fleet_store(tmp_path).close()
    with monkeypatch.context() as later, pytest.raises(HubStoreError, match="newer program"):
        later.setattr(fleet_store, "steps", lambda _: ())
        open_fleet_store(tmp_path)
    monkeypatch.setattr(fleet_store, "steps", lambda name: (*steps(name), FLEET_LATER))
    store = open_fleet_store(tmp_path)
    with store.read() as connection:
        assert connection.execute("SELECT name FROM migration ORDER BY name").fetchall() == [
            *((name,) for name in FLEET_NAMES),
            (FLEET_LATER.name,),
        ]


def test_both_databases_have_the_same_tables_columns_and_keys(tmp_path, postgres):
    """Rows are inserted by place, so the order of the columns counts, too."""
    url = postgres.database()
    for store in (open_hub_store(tmp_path), open_hub_store(tmp_path, url)):
        store.close()
    with sqlite3.connect(tmp_path / FILE) as file:
        in_file = sqlite_tables(file)
    psycopg = pytest.importorskip(
        "psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'"
    )
    with psycopg.connect(url) as server:
        on_server = postgres_tables(server)
    assert sorted(on_server) == sorted(in_file)
    assert len(in_file) > 10
    for table, description in in_file.items():
        assert on_server[table] == description, table


TYPES = {"bigint": "INTEGER", "text": "TEXT", "bytea": "BLOB"}


def sqlite_tables(file):
    """Return columns and indexes by table.

    Columns are (name, type, not null, default, generated); indexes (unique, columns, condition).
    """
    tables = {}
    of_all = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    for table, ddl in file.execute(of_all).fetchall():
        found = file.execute(f"PRAGMA table_info({table})").fetchall()
        key = [name for place, name in sorted((row[5], row[1]) for row in found) if place]
        columns = [
            (name, type, bool(null) or bool(place), default, bool(place) and "AUTOINCREMENT" in ddl)
            for _, name, type, null, default, place in found
        ]
        indexes = {(True, tuple(key), "")}
        for _, index, unique, _, _ in file.execute(f"PRAGMA index_list({table})").fetchall():
            of = tuple(row[2] for row in file.execute(f"PRAGMA index_info({index})"))
            (sql,) = file.execute(
                "SELECT sql FROM sqlite_master WHERE name = ?", (index,)
            ).fetchone() or ("",)
            indexes.add((bool(unique), of, condition(sql)))
        tables[table] = (columns, indexes)
    return tables


def postgres_tables(server):
    tables = {}
    columns = server.execute(
        "SELECT table_name, column_name, data_type, is_nullable = 'NO', column_default,"
        " is_identity = 'YES',"
        " collation_name FROM information_schema.columns WHERE table_schema = current_schema()"
        " ORDER BY table_name, ordinal_position"
    ).fetchall()
    for table, name, type, not_null, default, generated, collation in columns:
        plain = default and default.removesuffix("::text")
        tables.setdefault(table, ([], set()))[0].append(
            (name, TYPES[type], not_null, plain, generated)
        )
        assert type != "text" or collation == "C" or table == "migration", (
            f"{table}.{name} compares by language"
        )
    indexes = server.execute(
        "SELECT i.indrelid::regclass::text, i.indisunique, pg_get_indexdef(i.indexrelid),"
        " array(SELECT pg_get_indexdef(i.indexrelid, n, true)"
        " FROM generate_series(1, i.indnatts) n)"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
        " WHERE c.relnamespace = current_schema()::regnamespace"
    ).fetchall()
    for table, unique, sql, of in indexes:
        tables[table][1].add((unique, tuple(of), condition(sql)))
    return tables


def condition(sql):
    """Return what a partial index is partial by; PostgreSQL adds brackets."""
    _, _, text = (sql or "").partition(" WHERE ")
    return text.replace("(", "").replace(")", "")
