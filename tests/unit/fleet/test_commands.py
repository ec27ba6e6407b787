"""The commands edge-fleet keys, trust-list and issue, and edge-scanner verify."""

import json
import stat
import subprocess
import sys
import time

import cv2
import pytest
import zxingcpp

from edge.cli import cli as edge_scanner
from edge.token.dynamic_code import append_hmac
from edge.token.purpose import Purpose
from edge.token.roots import read_roots
from edge.token.status_list import sign_status_list, status_list
from edge.token.trust_list import open_trust_list
from edge.values.instant import Instant
from sync.fleet import qr_picture
from sync.fleet.cli import cli as edge_fleet
from sync.fleet.key_folder import KeyFolder
from sync.fleet.qr_picture import read_back, render
from tests.support.fleet_command import run

PICKUP = ("--kind", "pickup", "--site", "shop-1", "--order", "A-1001")


@pytest.fixture
def fleet(tmp_path):
    """Make a folder with keys and a trust list."""
    run(edge_fleet, "keys", "init", tmp_path / "keys")
    run(
        edge_fleet,
        "trust-list",
        "build",
        "--keys",
        tmp_path / "keys",
        "-o",
        tmp_path / "trust.cbor",
    )
    return tmp_path


def issue(fleet, *options, exit_code=0):
    result = run(edge_fleet, "issue", "--keys", fleet / "keys", *options, exit_code=exit_code)
    return [json.loads(line) for line in result.stdout.splitlines()]


def verify(fleet, *arguments, exit_code=0, **options):
    result = run(
        edge_scanner,
        "verify",
        "--trust-list",
        fleet / "trust.cbor",
        *arguments,
        exit_code=exit_code,
        **options,
    )
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_private_keys_are_readable_by_their_owner_alone(fleet):
    keys = fleet / "keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    secret = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in keys.iterdir()
        if path.suffix in (".pem", ".key")
    }
    assert secret == dict.fromkeys(
        (
            "root.pem",
            "token.pem",
            "status_list.pem",
            "order_feed.pem",
            "configuration.pem",
            "enrolment.pem",
            "grant.pem",
            "operators.pem",
            "group.key",
        ),
        0o600,
    )


def test_each_purpose_has_its_own_key_in_the_list(fleet):
    roots = read_roots((fleet / "trust.cbor.roots").read_bytes())
    trust = open_trust_list(
        (fleet / "trust.cbor").read_bytes(), roots=roots, now=Instant(unix_s=int(time.time()))
    )
    assert {purpose for key in trust.keys for purpose in key.purposes} == set(Purpose) - {
        Purpose.ROOT,
        Purpose.TRUST_LIST,
        Purpose.REVIEW,  # each reviewer has one, made on demand
    }
    assert len({key.key.cose_key for key in trust.keys} | {key.cose_key for key in roots.keys}) == 8


def test_keys_are_never_overwritten(fleet):
    before = (fleet / "keys" / "root.pem").read_bytes()
    result = run(edge_fleet, "keys", "init", fleet / "keys", exit_code=1)
    assert "never overwritten" in result.stderr
    assert (fleet / "keys" / "root.pem").read_bytes() == before


def test_each_trust_list_has_a_higher_version(fleet):
    run(edge_fleet, "trust-list", "build", "--keys", fleet / "keys", "-o", fleet / "trust.cbor")
    assert KeyFolder(fleet / "keys").record().trust_list_version == 2
    trust = open_trust_list(
        (fleet / "trust.cbor").read_bytes(),
        roots=KeyFolder(fleet / "keys").roots(),
        now=Instant(unix_s=int(time.time())),
        highest_version=2,
    )
    assert trust.version == 2


@pytest.mark.parametrize("alg", ["Ed25519", "ESP256"])
def test_an_issued_token_verifies(tmp_path, alg):
    run(edge_fleet, "keys", "init", tmp_path / "keys", "--issuer-alg", alg)
    run(
        edge_fleet,
        "trust-list",
        "build",
        "--keys",
        tmp_path / "keys",
        "-o",
        tmp_path / "trust.cbor",
    )
    content = ("--kind", "write_off", "--site", "shop-1", "--order", "A-1001", "--quantity", 3)
    lines = issue(
        tmp_path, *content, "--amount-minor", 2599, "--currency", "EUR", "--count", 2, "--json"
    )
    assert len({line["cti"] for line in lines}) == 2
    results = verify(tmp_path, "--site", "shop-1", "--json", *(line["token"] for line in lines))
    assert [result["result"] for result in results] == ["ok", "ok"]
    assert [result["claims"]["cti"] for result in results] == [line["cti"] for line in lines]
    claims = results[0]["claims"]
    assert (claims["kind"], claims["order_id"], claims["quantity"]) == ("write_off", "A-1001", 3)
    assert (claims["amount_minor"], claims["currency"]) == (2599, "EUR")


def test_verify_prints_why_a_token_is_refused_and_exits_with_1(fleet):
    (line,) = issue(fleet, *PICKUP, "--not-before", 1_800_000_000, "--expires", 1_800_000_060)
    text = line["token"]
    good = ("--at", 1_800_000_000)
    assert verify(fleet, *good, text)[0]["result"] == "ok"
    assert verify(fleet, "--at", 1_800_000_060, text, exit_code=1)[0]["result"] == "expired"
    assert verify(fleet, "--at", 1_799_999_999, text, exit_code=1)[0]["result"] == "not_yet_valid"
    assert verify(fleet, *good, "--site", "shop-2", text, exit_code=1)[0]["result"] == "audience"
    forged = text[:-1] + ("0" if text[-1] != "0" else "1")
    assert verify(fleet, *good, text, forged, exit_code=1) == [
        verify(fleet, *good, text)[0],
        {"result": "signature_invalid", "claims": None},
    ]
    assert verify(fleet, *good, "https://example.com", exit_code=1) == [
        {"result": "prefix_unknown", "claims": None}
    ]


def test_verify_reads_one_token_a_line_and_preserves_spaces(fleet):
    tokens = [line["token"] for line in issue(fleet, *PICKUP, "--count", 30)]
    assert any(" " in token for token in tokens)
    lines = "\n".join(tokens) + "\r\n"
    assert {result["result"] for result in verify(fleet, "-", input=lines)} == {"ok"}
    assert verify(fleet, "-", input=b"\xff\xfe\n", exit_code=1)[0]["result"] == "prefix_unknown"


def test_verify_checks_the_list_against_its_roots(fleet, tmp_path_factory):
    (line,) = issue(fleet, *PICKUP)
    other = tmp_path_factory.mktemp("other")
    run(edge_fleet, "keys", "init", other / "keys")
    with_other_roots = (
        "--trust-list",
        fleet / "trust.cbor",
        "--root",
        other / "keys/roots.cbor",
        line["token"],
    )
    result = run(edge_scanner, "verify", *with_other_roots, exit_code=2)
    assert "not a trust list of these roots" in result.stderr
    assert result.stdout == ""
    (fleet / "trust.cbor.roots").unlink()
    result = run(edge_scanner, "verify", "--trust-list", fleet / "trust.cbor", line["token"])
    assert "does not" not in result.stderr
    assert "not a forgery" in result.stderr
    assert json.loads(result.stdout)["result"] == "ok"


def test_verify_uses_the_status_list_that_is_given(fleet):
    (line,) = issue(fleet, *PICKUP, "--status-index", 7)
    folder, now_s = KeyFolder(fleet / "keys"), int(time.time())
    for revoked, expected in (((), "ok"), ((7,), "revoked")):
        listed = status_list(
            kid=folder.signer(Purpose.TOKEN).public.kid,
            version=1,
            issued_at_s=now_s,
            expires_at_s=now_s + 60,
            size=100,
            revoked=revoked,
        )
        (fleet / "status.cbor").write_bytes(
            sign_status_list(listed, folder.signer(Purpose.STATUS_LIST))
        )
        options = ("--status-list", fleet / "status.cbor", line["token"])
        assert verify(fleet, *options, exit_code=bool(revoked))[0]["result"] == expected
    assert verify(fleet, line["token"])[0]["result"] == "ok"


def test_a_dynamic_code_verifies_with_the_group_key(fleet):
    (line,) = issue(fleet, *PICKUP, "--dynamic")
    now_s = int(time.time())
    code = append_hmac(line["token"], bytes.fromhex(line["dynamic_key"]), now_s)
    options = ("--at", now_s, "--group-key", fleet / "keys/group.key")
    assert verify(fleet, *options, code)[0]["result"] == "ok"
    assert verify(fleet, *options, line["token"], exit_code=1)[0]["result"] == "dynamic_missing"


def test_pictures_are_read_back_before_they_are_written(fleet):
    lines = issue(fleet, *PICKUP, "--count", 3, "--qr-dir", fleet / "codes")
    assert {path.name for path in (fleet / "codes").iterdir()} == {
        f"{line['cti']}.png" for line in lines
    }
    for line in lines:
        grey = cv2.imread(line["qr"], cv2.IMREAD_GRAYSCALE)
        # Limited to QR codes: noise contains apparent bar codes.
        (symbol,) = zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormat.QRCode)
        assert symbol.text == line["token"]
        assert symbol.ec_level == "M"
        assert grey.shape[0] <= 8 * (53 + 8)  # version 9 and its quiet zone
    assert read_back(render("ES1:A")) == b"ES1:A"
    assert read_back(b"not a picture") is None


def test_a_picture_that_reads_as_something_else_is_not_written(fleet, monkeypatch):
    monkeypatch.setattr(qr_picture, "render", lambda token: render(token[:-1]))
    options = ("--keys", fleet / "keys", *PICKUP, "--qr-dir", fleet / "codes")
    assert "did not read back" in run(edge_fleet, "issue", *options, exit_code=1).stderr
    assert list((fleet / "codes").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--kind", "pickup", "--site", "s", "--order", "a" * 41), "1 to 40 bytes"),
        (("--kind", "pickup", "--site", "", "--order", "a"), "1 to 40 bytes"),
        (("--kind", "lunch", "--site", "s", "--order", "a"), "'lunch' is not one of"),
        ((*PICKUP, "--amount-minor", "5"), "go together"),
        ((*PICKUP, "--not-before", "9", "--expires", "9"), "--expires must be after"),
        ((*PICKUP, "--quantity", "0"), "not in the range"),
        ((*PICKUP, "--expires", "-1"), "not in the range"),
        ((*PICKUP, "--amount-minor", "5", "--currency", "euro"), "ISO 4217"),
    ],
)
def test_wrong_usage_is_explained_and_exits_with_2(fleet, options, message):
    result = run(edge_fleet, "issue", "--keys", fleet / "keys", *options, exit_code=2)
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((*PICKUP, "--not-before", "0", "--expires", "4000000000"), "at most 366 days"),
        ((*PICKUP, "--status-index", str(2**27 - 1), "--count", "2"), "status index"),
    ],
)
def test_a_token_that_no_device_would_trust_is_explained_and_exits_with_1(fleet, options, message):
    assert (
        message in run(edge_fleet, "issue", "--keys", fleet / "keys", *options, exit_code=1).stderr
    )


def test_an_expiry_in_the_past_makes_an_expired_token(fleet):
    (line,) = issue(fleet, *PICKUP, "--expires", 1_700_000_000)
    assert verify(fleet, line["token"], exit_code=1)[0]["result"] == "expired"


def test_missing_and_broken_files_are_explained(fleet):
    assert (
        "Make them first" in run(edge_fleet, "issue", "--keys", fleet, *PICKUP, exit_code=1).stderr
    )
    (fleet / "keys/token.pem").write_text("not a key")
    assert (
        "not a usable private key"
        in run(edge_fleet, "issue", "--keys", fleet / "keys", *PICKUP, exit_code=1).stderr
    )
    (fleet / "keys/token.pem").unlink()
    assert (
        "Restore the key"
        in run(edge_fleet, "issue", "--keys", fleet / "keys", *PICKUP, exit_code=1).stderr
    )
    (fleet / "keys/fleet.json").write_text("{")
    assert (
        "Restore it"
        in run(edge_fleet, "issue", "--keys", fleet / "keys", *PICKUP, exit_code=1).stderr
    )
    (fleet / "trust.cbor").write_bytes(b"junk")
    assert (
        "not a trust list"
        in run(
            edge_scanner, "verify", "--trust-list", fleet / "trust.cbor", "x", exit_code=2
        ).stderr
    )
    run(edge_scanner, "verify", "--trust-list", fleet / "absent", "x", exit_code=2)
    run(edge_scanner, "verify", "--trust-list", fleet / "trust.cbor", exit_code=2)


def test_a_reader_that_closes_the_pipe_ends_the_command_quietly(fleet):
    command = (
        f"{sys.executable} -c 'from sync.fleet.cli import main; main()' issue --keys {fleet}/keys"
    )
    pipe = f"{command} {' '.join(PICKUP)} --count 2000 | head -1"
    done = subprocess.run(
        ["bash", "-c", pipe], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert json.loads(done.stdout)["token"].startswith("ES1:")


def test_a_folder_that_cannot_be_written_is_explained(fleet):
    options = ("--keys", fleet / "keys", "-o", fleet / "absent" / "trust.cbor")
    message = run(edge_fleet, "trust-list", "build", *options, exit_code=1).stderr
    assert f"cannot write {fleet}/absent/trust.cbor" in message
    (fleet / "file").write_text("")
    options = ("--keys", fleet / "keys", *PICKUP, "--qr-dir", fleet / "file" / "codes")
    assert "cannot write" in run(edge_fleet, "issue", *options, exit_code=1).stderr


@pytest.mark.parametrize(
    "command",
    [(), ("keys",), ("keys", "init"), ("trust-list",), ("trust-list", "build"), ("issue",)],
)
def test_every_command_shows_an_example(command):
    assert "Example: edge-fleet" in run(edge_fleet, *command, "--help").output


def test_verify_shows_an_example():
    assert "Example: edge-scanner verify" in run(edge_scanner, "verify", "--help").output


def test_a_reviewers_key_is_in_the_next_trust_list_under_the_reviewers_name(fleet):
    keys, out = fleet / "keys", fleet / "trust.cbor"
    run(edge_fleet, "keys", "reviewer", keys, "zoe")
    assert stat.S_IMODE((keys / "reviewers" / "zoe.pem").stat().st_mode) == 0o600
    again = run(edge_fleet, "keys", "reviewer", keys, "zoe", exit_code=1)
    assert "has a key already" in again.output
    for odd in ("../zoe", "zoe ", " zoe", "Jose\u0301"):
        run(edge_fleet, "keys", "reviewer", keys, odd, exit_code=2)
    (keys / "reviewers" / "zoe.pem").unlink()  # handed over
    run(edge_fleet, "trust-list", "build", "--keys", keys, "-o", out)
    roots = read_roots((fleet / "trust.cbor.roots").read_bytes())
    trust = open_trust_list(out.read_bytes(), roots=roots, now=Instant(unix_s=int(time.time())))
    assert [sorted(key.issuers) for key in trust.keys if Purpose.REVIEW in key.purposes] == [
        ["zoe"]
    ]
    (keys / "reviewers" / "zoe.pub").unlink()
    run(edge_fleet, "trust-list", "build", "--keys", keys, "-o", out)
    trust = open_trust_list(out.read_bytes(), roots=roots, now=Instant(unix_s=int(time.time())))
    assert [key for key in trust.keys if Purpose.REVIEW in key.purposes] == []
