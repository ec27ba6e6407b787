"""edge-fleet signs only what a device accepts.

Anything else is refused before a version number is used or a file is written.
"""

import json
import time

import pytest
from click.testing import CliRunner

from edge.token.trust_list import TrustList, open_trust_list
from edge.values.instant import Instant
from sync.fleet.cli import cli
from sync.fleet.key_folder import KeyFolder


@pytest.fixture
def keys(tmp_path):
    assert CliRunner().invoke(cli, ["keys", "init", str(tmp_path / "keys")]).exit_code == 0
    return tmp_path / "keys"


def build(keys, *options):
    command = [
        "trust-list",
        "build",
        "--keys",
        str(keys),
        "-o",
        str(keys.parent / "trust.cbor"),
        *options,
    ]
    return CliRunner().invoke(cli, command)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--audience", ""), id="an empty audience"),
        pytest.param(("--audience", "a" * 500), id="an audience that does not fit into a token"),
        pytest.param(("--audience", "\udcff"), id="an audience that is not UTF-8"),
        pytest.param(("--largest-amount-minor", "9" * 23), id="an amount too large for a token"),
    ],
)
def test_an_option_that_no_device_would_accept_is_wrong_usage(keys, options):
    outcome = build(keys, *options)
    assert outcome.exit_code == 2, outcome.output
    assert not (keys.parent / "trust.cbor").exists()
    assert KeyFolder(keys).record().trust_list_version == 0, "no version was used"


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": 5},
        {"issuer": ""},
        {"not_before_s": "0"},
        {"expires_at_s": 10**30},
        {"trust_list_version": None},
    ],
    ids=str,
)
def test_a_damaged_fleet_file_is_named_and_nothing_is_written(keys, change):
    file = keys / "fleet.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    before = file.read_bytes()
    outcome = build(keys)
    assert (outcome.exit_code, "Traceback" in outcome.output) == (1, False), outcome.output
    assert outcome.output.startswith("Error: ")
    assert not (keys.parent / "trust.cbor").exists()
    assert file.read_bytes() == before


def test_a_device_opens_a_list_with_a_limited_scope(keys):
    assert (
        build(keys, "--audience", "shop-1", "--largest-amount-minor", str(2**53 - 1)).exit_code == 0
    )
    raw = (keys.parent / "trust.cbor").read_bytes()
    opened = open_trust_list(
        raw, roots=KeyFolder(keys).roots(), now=Instant(unix_s=int(time.time()))
    )
    assert isinstance(opened, TrustList)


@pytest.mark.parametrize("currency", ["cny", "CN", "CNYY", "C1Y", ""])
def test_a_text_that_is_no_currency_code_is_wrong_usage(keys, currency):
    options = [
        "--kind",
        "pickup",
        "--site",
        "s",
        "--order",
        "o",
        "--amount-minor",
        "1",
        "--currency",
        currency,
    ]
    outcome = CliRunner().invoke(cli, ["issue", "--keys", str(keys), *options])
    assert outcome.exit_code == 2, outcome.output
    assert "ISO 4217" in outcome.output
