"""Every command of edge-fleet has --json, and with it prints only JSON.

The commands are read from the command tree, so that a new one is tested too.
"""

import json
import os
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.documents.pin_hash import hash_pin
from edge.encryption.sealed_box import RANDOM_BYTES, seal
from sync.fleet.cli import cli as edge_fleet

Path = tuple[str, ...]


def leaves(command: click.Command, path: Path = ()) -> Iterator[tuple[Path, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        yield from leaves(command.get_command(context, name), (*path, name))


EVERY = dict(leaves(edge_fleet))
AT_THE_BROKER = {
    path
    for path, command in EVERY.items()
    if {"fleet_file", "host"} & {parameter.name for parameter in command.params}
}
OFFLINE = sorted(set(EVERY) - AT_THE_BROKER)
RUNS = {  # how each command that needs no broker is run, and how many objects it prints
    ("keys", "init"): (["new-keys"], 1),
    ("keys", "reviewer"): (["keys", "zoe"], 1),
    ("keys", "site"): (["keys", "shop-1"], 1),
    ("trust-list", "build"): (["--keys", "keys", "-o", "trust.cbor"], 1),
    ("issue",): (
        ["--keys", "keys", "--kind", "pickup", "--site", "s", "--order", "a", "--count", "3"],
        3,
    ),
    ("status-list", "build"): (["--keys", "keys", "-o", "status.cbor"], 1),
    ("status-list", "revoke"): (["--keys", "keys", "--order", "old", "--reason", "x"], 1),
    ("status-list", "restore"): (["--keys", "keys", "--order", "old", "--reason", "x"], 1),
    ("status-list", "show"): (["--keys", "keys", "--order", "old"], 1),
    ("operators", "hash-pin"): ([], 1),
    ("operators", "build"): (
        ["--keys", "keys", "--site", "s", "--people", "people.json", "-o", "list.cbor"],
        1,
    ),
    ("clock-reset",): (
        ["k", "--floor", "4102444800", "--reason", "x", "--keys", "keys", "-o", "k.clock"],
        1,
    ),
    ("recover",): (["events.sealed", "--keys", "keys"], 2),
}


def test_the_tree_of_commands_was_found():
    assert {("keys", "init"), ("push",), ("conformance", "hub")} <= set(EVERY)
    assert ("push",) in AT_THE_BROKER


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_command_has_the_json_option(path):
    options = [option for parameter in EVERY[path].params for option in parameter.opts]
    assert "--json" in options


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make a folder with the files that the commands read."""
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(edge_fleet, ["keys", "init", "keys"]).exit_code == 0
    person = {"id": "ann", "role": "operator", "pin_hash": hash_pin("7391462")}
    (tmp_path / "people.json").write_text(json.dumps([person]))
    old = "issue --keys keys --kind pickup --site s --order old --revocable"
    assert CliRunner().invoke(edge_fleet, old.split()).exit_code == 0
    recovery = X25519PrivateKey.generate()
    pem = recovery.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "keys" / "recovery.pem").write_bytes(pem)
    events = b'{"seq": 1}\n{"seq": 2}\n'
    sealed = seal(events, recovery.public_key().public_bytes_raw(), random=os.urandom(RANDOM_BYTES))
    (tmp_path / "events.sealed").write_bytes(sealed)
    return tmp_path


@pytest.mark.parametrize("path", OFFLINE, ids=" ".join)
def test_a_command_that_needs_no_broker_prints_json_and_nothing_else(folder, path):
    arguments, count = RUNS[path]
    result = CliRunner().invoke(
        edge_fleet, [*path, *arguments, "--json"], input="7391462\n7391462\n"
    )
    assert result.exit_code == 0, result.output
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(printed) == count
    assert all(isinstance(line, dict) for line in printed)


@pytest.mark.parametrize("path", OFFLINE, ids=" ".join)
def test_an_error_is_printed_on_standard_error_only(folder, path):
    for name in ("keys/fleet.json", "people.json", "events.sealed"):
        (folder / name).unlink()
    (folder / "new-keys").write_text("not a folder")
    result = CliRunner().invoke(edge_fleet, [*path, *RUNS[path][0], "--json"], input="1\n1\n")
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    assert result.stderr
