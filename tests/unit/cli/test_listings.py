"""The commands that list the store: what they print, and their errors without one."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from click.testing import CliRunner

from edge.cli import exceptions as exceptions_cli
from edge.cli import listings
from edge.cli.history import history
from edge.domain.exception_case import ExceptionCase, ExceptionKind
from edge.store import exception_cases
from edge.store.outbox import Backlog
from tests.support.sample_shop import NOON, code, deliver, open_at, order, redeemer


@pytest.fixture
def device(tmp_path):
    """Make a device that redeemed a code, refused it once, and has an open and a settled case."""
    store, claims = open_at(tmp_path), code(order_id="A-7")
    deliver(store, order(claims), order(code(order_id="A-8")))
    for _ in range(2):
        redeemer(store).redeem(claims, NOON)
    with store.transaction() as connection:
        for cause in ("open", "settled"):
            exception_cases.raise_case(
                connection,
                ExceptionCase(
                    kind=ExceptionKind.DISPUTE, cause=cause, tried="nothing", raised_s=NOON.unix_s
                ),
            )
        connection.execute("UPDATE exception SET settled_s = 1 WHERE cause = 'settled'")
    yield tmp_path
    store.close()


def run(command, *arguments):
    result = CliRunner().invoke(command, [str(part) for part in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def lines(command, folder, *arguments):
    result = run(command, "--json", "--data", folder, *arguments)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_ledger_lists_each_redemption_and_whether_it_is_acknowledged(device):
    (row,) = lines(listings.ledger, device)
    shown = {"order": "A-7", "kind": "write_off", "use": 1, "verdict": "accepted"}
    assert row.items() >= (shown | {"acknowledged": False}).items()


def test_orders_can_be_listed_by_name(device):
    assert [row["order"] for row in lines(listings.orders, device)] == ["A-7", "A-8"]
    assert [row["order"] for row in lines(listings.orders, device, "--order", "A-8")] == ["A-8"]


def test_the_outbox_lists_its_events_and_reports_their_number_and_age(device):
    rows = lines(listings.outbox, device)
    row = rows[0]
    assert (row["seq"], row["type"], row["body"]["order"]) == (1, "redeemed", "A-7")
    shown = run(listings.outbox, "--data", device)
    assert shown.stdout.split()[1:4] == ["1", str(NOON.unix_s), "redeemed"]
    assert shown.stderr.startswith(f"{len(rows)} events wait for the platform, the oldest for ")


@pytest.mark.parametrize(
    ("pending", "rejected", "oldest_s", "sentence"),
    [
        pytest.param(
            0, 0, None, "No event waits: the platform has acknowledged everything.", id="nothing"
        ),
        pytest.param(
            3, 0, 940, "3 events wait for the platform, the oldest for 1 min.", id="just now"
        ),
        pytest.param(
            3, 0, 2000, "3 events wait for the platform, the oldest for 0 min.", id="clock set back"
        ),
        pytest.param(
            1,
            2,
            -17_600,
            "1 event waits for the platform, the oldest for 5 h 10 min."
            " 2 were refused: edge-scanner exceptions.",
            id="some were refused",
        ),
        pytest.param(
            9,
            0,
            1000 - 30 * 86_400,
            "9 events wait for the platform, the oldest for 30 d 0 h.",
            id="long",
        ),
    ],
)
def test_the_backlog_is_one_sentence(pending, rejected, oldest_s, sentence):
    backlog = Backlog(pending=pending, rejected=rejected, oldest_s=oldest_s)
    assert listings.backlog_sentence(backlog, 1000) == sentence


def test_exceptions_can_be_limited_to_open_ones(device):
    assert [row["cause"] for row in lines(exceptions_cli.exceptions, device)] == ["open", "settled"]
    assert [row["cause"] for row in lines(exceptions_cli.exceptions, device, "--open")] == ["open"]


def test_the_outbox_lists_its_events(device):
    assert [(row["seq"], row["type"]) for row in lines(listings.outbox, device)] == [
        (1, "redeemed"),
        (2, "refused"),
    ]
    assert len(lines(listings.outbox, device, "--limit", 1)) == 1


COMMANDS = [listings.ledger, listings.orders, exceptions_cli.exceptions, listings.outbox]


@pytest.mark.parametrize("command", COMMANDS)
def test_without_json_there_is_one_line_a_row(device, command):
    assert run(command, "--data", device).exit_code == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    assert "Example: edge-scanner" in run(command, "--help").output


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("folder", ["absent", "empty file", "nonsense"])
def test_the_error_without_a_readable_store_says_what_to_do(tmp_path, command, folder):
    if folder != "absent":
        (tmp_path / "store.db").write_bytes(b"" if folder == "empty file" else b"nonsense" * 1000)
    result = run(command, "--data", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith("edge-scanner: ")
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("tables", "message"),
    [
        pytest.param("CREATE TABLE device (x)", "is not a scanner's store", id="another program's"),
        pytest.param(
            "CREATE TABLE device (x); CREATE TABLE _sqlite_migrations (x)",
            "is not a scanner's store",
            id="a likeness",
        ),
        pytest.param(
            "CREATE TABLE device (device_id);"
            " CREATE TABLE _sqlite_migrations (id INTEGER, migration_set, name);",
            "an older version",
            id="an older program's",
        ),
    ],
)
def test_the_error_of_a_foreign_database_says_what_it_is(tmp_path, command, tables, message):
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.executescript(tables)
    result = run(command, "--data", tmp_path)
    assert result.exit_code == 1
    assert message in result.stderr


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        pytest.param(
            listings.outbox, ("--limit", "99999999999999999999"), id="a number beyond all measure"
        ),
        pytest.param(listings.orders, ("--order", "\udcff"), id="a byte that is no text"),
        pytest.param(history, ("\udcff",), id="a history of what is no text"),
        pytest.param(
            exceptions_cli.exceptions,
            ("dispute", "1", "--cause", "\udcff"),
            id="a note of what is no text",
        ),
    ],
)
def test_an_argument_that_a_store_cannot_hold_is_refused(device, command, arguments):
    where = () if command is exceptions_cli.exceptions else ("--data", device)
    result = run(command, *where, *arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_listing_changes_nothing(device):
    def content():
        return {
            path.name: path.read_bytes()
            for path in device.iterdir()
            if not path.name.endswith("-shm")
        }

    before = content()
    for command in COMMANDS:
        lines(command, device)
    assert content() == before


def test_the_data_folder_comes_from_the_environment(device):
    environment = {**os.environ, "EDGE_SCANNER_DATA": str(device)}
    command = [sys.executable, "-c", "from edge.cli import main; main()", "ledger", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
