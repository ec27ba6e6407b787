"""From the fleet's keys to a session at a device, by the commands of both programs."""

import json
import stat
import time
from dataclasses import replace

import pytest
from click.testing import CliRunner

from edge.cli import cli as edge_scanner
from edge.config import load_profile
from edge.documents.operator_list import open_operator_list, sign_operator_list
from edge.domain.decision_facts import DecisionTerms
from edge.domain.redemption_state import place_of
from edge.operators.sign_in import sign_in_service
from edge.operators.sign_in_result import SignInResult
from edge.redemption.redeemer import Redeemer
from edge.redemption.scan_handler import VerifyingHandler
from edge.redemption.verification_policy import audiences_of, verify_policy_of
from edge.store import documents
from edge.store.opening import open_store
from edge.token.purpose import Purpose
from edge.token.trust_list import open_trust_list
from edge.trust.anchors import Anchors, load_roots
from edge.values.instant import ClockTrust, Instant
from sync.agent.downlink import Downlink
from sync.agent.outcomes import DocumentOutcome
from sync.fleet.cli import cli as edge_fleet
from sync.fleet.key_folder import KeyFolder

ANNA, SVEN = "602214", "299792"


def run(command, *arguments, exit_code=0, **options):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], **options)
    assert result.exit_code == exit_code, result.output
    assert "Traceback" not in result.output
    return result


def hashed(pin):
    return run(edge_fleet, "operators", "hash-pin", input=f"{pin}\n{pin}\n").stdout.strip()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Make keys, a trust list, an operator list of two, and their badges."""
    folder = tmp_path_factory.mktemp("fleet")
    run(edge_fleet, "keys", "init", folder / "keys")
    run(edge_fleet, "trust-list", "build", "--keys", folder / "keys", "-o", folder / "trust.cbor")
    people = [
        {"id": "anna", "role": "operator", "pin_hash": hashed(ANNA)},
        {"id": "sven", "role": "supervisor", "pin_hash": hashed(SVEN)},
    ]
    (folder / "people.json").write_text(json.dumps(people))
    build(folder, "operators.cbor")
    for name in ("anna", "sven"):
        (folder / name).write_text(issued(folder, "operator", name))
    return folder


def build(folder, name, *options, people="people.json", site="site-1", exit_code=0):
    where = ("--people", folder / people, "-o", folder / name, "--site", site)
    return run(
        edge_fleet,
        "operators",
        "build",
        "--keys",
        folder / "keys",
        *where,
        *options,
        exit_code=exit_code,
    )


def next_list(folder, *, without):
    """Return the operator list of the fleet's next version, without one of its operators."""
    roots, now = load_roots(folder / "trust.cbor.roots"), Instant(unix_s=int(time.time()))
    trust = open_trust_list((folder / "trust.cbor").read_bytes(), roots=roots, now=now)
    listed = open_operator_list((folder / "operators.cbor").read_bytes(), keys=trust, now=now)
    entries = tuple(entry for entry in listed.entries if entry.id != without)
    shorter = replace(listed, version=listed.version + 1, entries=entries)
    return sign_operator_list(shorter, KeyFolder(folder / "keys").signer(Purpose.OPERATORS))


def issued(folder, kind, order, site="site-1"):
    what = ("--kind", kind, "--site", site, "--order", order)
    made = run(edge_fleet, "issue", "--keys", folder / "keys", *what)
    return json.loads(made.stdout)["token"]


@pytest.fixture
def device(tmp_path, fleet, monkeypatch):
    """Make a device of that fleet: a profile, and a store with the trust list.

    Commands find both.
    """
    profile = (
        '[device]\nid = "kiosk-1"\nsite = "site-1"\nkind = "kiosk"\n'
        f'[trust]\nroots_file = "{fleet}/trust.cbor.roots"\n'
        '[policy]\noperator_required_kinds = ["write_off"]\n'
    )
    (tmp_path / "profile.toml").write_text(profile)
    now_s = int(time.time())
    data = tmp_path / "data"
    store = open_store(data, device_id="kiosk-1", now_s=now_s, random_bytes=bytes).store
    raw, now = (fleet / "trust.cbor").read_bytes(), Instant(unix_s=now_s)
    documents.put(store, name=documents.TRUST_LIST, version=1, issued_at_s=now_s, raw=raw, now=now)
    store.close()
    monkeypatch.setenv("EDGE_SCANNER_CONFIG", str(tmp_path))
    monkeypatch.setenv("EDGE_SCANNER_DATA", str(data))
    return tmp_path


def operator(*arguments, exit_code=0, **options):
    return run(edge_scanner, "operator", *arguments, exit_code=exit_code, **options)


def sign_in(fleet, name, pin, exit_code=0):
    return operator(
        "sign-in", "--badge", (fleet / name).read_text(), input=f"{pin}\n", exit_code=exit_code
    )


def test_operators_sign_in_and_out_with_badge_and_pin(fleet, device):
    assert "operator_list_missing" in sign_in(fleet, "anna", ANNA, exit_code=1).stderr
    assert "2 operators of site-1" in operator("load", fleet / "operators.cbor").stdout
    assert "already" in operator("load", fleet / "operators.cbor").stdout
    assert operator("who", "--json", exit_code=1).stdout == "null\n"
    for _ in range(4):
        assert "pin_wrong: Wrong PIN" in sign_in(fleet, "anna", "111112", exit_code=1).stderr
    assert "operator_locked_out" in sign_in(fleet, "anna", "111112", exit_code=1).stderr
    assert "operator_locked_out" in sign_in(fleet, "anna", ANNA, exit_code=1).stderr
    assert "no one is signed in" in operator("unlock", "anna", exit_code=1).stderr
    sign_in(fleet, "sven", SVEN)
    assert json.loads(operator("who", "--json").stdout)["role"] == "supervisor"
    operator("unlock", "anna")
    done = sign_in(fleet, "anna", ANNA)
    assert done.stdout.startswith("anna (operator) is signed in until ")
    assert ANNA not in done.output, "what is typed is not shown"
    assert operator("sign-out").stdout == "anna is signed out\n"
    assert operator("sign-out").stdout == "no operator was signed in\n"


def test_a_new_list_without_an_operator_ends_their_session(fleet, device):
    operator("load", fleet / "operators.cbor")
    sign_in(fleet, "anna", ANNA)
    (device / "fewer.cbor").write_bytes(next_list(fleet, without="anna"))
    operator("load", device / "fewer.cbor")
    operator("who", exit_code=1)
    assert "operator_unknown" in sign_in(fleet, "anna", ANNA, exit_code=1).stderr
    refused = operator("load", fleet / "operators.cbor", exit_code=1)
    assert "rollback" in refused.stderr, "an old list with anna in it cannot be replayed"


def test_only_a_signed_list_for_this_site_is_loaded(fleet, device):
    build(fleet, "elsewhere.cbor", site="site-9")
    assert "a list for site-9" in operator("load", fleet / "elsewhere.cbor", exit_code=1).stderr
    forged = bytearray((fleet / "operators.cbor").read_bytes())
    forged[-1] ^= 1
    (device / "forged.cbor").write_bytes(forged)
    assert (
        "document_signature_invalid" in operator("load", device / "forged.cbor", exit_code=1).stderr
    )
    assert "document_key_unknown" in operator("load", fleet / "trust.cbor", exit_code=1).stderr


def test_another_kind_of_code_and_a_badge_for_another_site_are_refused(fleet, device):
    operator("load", fleet / "operators.cbor")
    parcel, elsewhere = (
        issued(fleet, "pickup", "anna"),
        issued(fleet, "operator", "anna", site="site-9"),
    )
    assert "not a badge" in operator("sign-in", "--badge", parcel, exit_code=1).stderr
    assert "audience" in operator("sign-in", "--badge", elsewhere, exit_code=1).stderr
    assert "prefix_unknown" in operator("sign-in", "--badge", "anna", exit_code=1).stderr
    assert "badge_not_shown" in operator("sign-in", input=f"{ANNA}\n", exit_code=1).stderr


def test_a_scanned_badge_waits_for_its_pin_even_with_an_untrusted_clock(fleet, device):
    operator("load", fleet / "operators.cbor")
    import tomllib

    profile = load_profile(tomllib.loads((device / "profile.toml").read_text()))
    now = Instant(unix_s=int(time.time()), trust=ClockTrust.FLOOR_ONLY)
    store = open_store(
        device / "data", device_id="kiosk-1", now_s=now.unix_s, random_bytes=bytes
    ).store
    anchors = Anchors(store, load_roots(fleet / "trust.cbor.roots"))
    assert anchors.refresh(now) == {}
    redeemer = Redeemer(store, DecisionTerms(place_of(profile), profile.policy), random_bytes=bytes)
    handler = VerifyingHandler(
        redeemer,
        anchors,
        audiences=audiences_of(profile),
        policy=verify_policy_of(profile),
        sign_in=sign_in_service(profile, store, bytes),
    )
    badge = (fleet / "anna").read_bytes()
    first = handler.handle(badge, now)
    assert first.reason is SignInResult.PIN_NEEDED, first.detail
    operator("sign-in", input=f"{ANNA}\n")
    assert operator("who").stdout.startswith("anna")
    second = handler.handle(badge, Instant(unix_s=int(time.time())))
    assert second.reason is SignInResult.SIGNED_OUT
    operator("who", exit_code=1)
    store.close()


def test_a_list_from_the_network_is_accepted_by_its_signature_alone(fleet, device):
    now = Instant(unix_s=int(time.time()))
    store = open_store(
        device / "data", device_id="kiosk-1", now_s=now.unix_s, random_bytes=bytes
    ).store
    roots = load_roots(fleet / "trust.cbor.roots")
    anchors = Anchors(store, roots)
    anchors.refresh(now)
    downlink = Downlink(
        store, roots, anchors, device="kiosk-1", site="site-1", vouch=lambda unix_s: None
    )
    raw = (fleet / "operators.cbor").read_bytes()
    assert downlink.receive_operator_list(raw, now) is DocumentOutcome.OPERATORS
    assert downlink.receive_operator_list(raw, now) is DocumentOutcome.SAME
    assert (
        downlink.receive_operator_list(raw[:-1] + bytes([raw[-1] ^ 1]), now).reason
        == "document_signature_invalid"
    )
    sign_in(fleet, "anna", ANNA)
    store.close()


def test_the_list_is_readable_by_its_owner_alone_and_has_no_pin(fleet):
    assert stat.S_IMODE((fleet / "operators.cbor").stat().st_mode) == 0o600
    raw = (fleet / "operators.cbor").read_bytes()
    roots = load_roots(fleet / "trust.cbor.roots")
    now = Instant(unix_s=int(time.time()))
    trust = open_trust_list((fleet / "trust.cbor").read_bytes(), roots=roots, now=now)
    assert [item.id for item in open_operator_list(raw, keys=trust, now=now).entries] == [
        "anna",
        "sven",
    ]
    assert ANNA.encode() not in raw


def people_named(*names):
    return json.dumps([{"id": name, "role": "operator", "pin_hash": "x"} for name in names])


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ("nonsense", "is not JSON"),
        ('[{"id": "a", "role": "boss", "pin_hash": "x"}]', "0.role: "),
        ('[{"id": "a", "role": "operator", "pin_hash": "x"}]', "a: not an argon2 hash"),
        ('[{"id": "a", "role": "operator", "pin": "602214"}]', "0.pin_hash: "),
        ("{}", "Input should be a valid list"),
        (people_named("jose\u0301"), "written as several characters"),
        (people_named("ann "), "begins or ends with a blank"),
        (people_named("ann", "Ann"), "ann: listed twice"),
    ],
)
def test_the_error_of_an_invalid_people_file_says_what_is_wrong(fleet, tmp_path, people, message):
    (tmp_path / "people.json").write_text(people)
    assert message in build(fleet, "x.cbor", people=tmp_path / "people.json", exit_code=1).stderr
    assert not (fleet / "x.cbor").exists()


def test_a_pin_that_is_too_easy_is_not_hashed():
    assert (
        "choose another"
        in run(edge_fleet, "operators", "hash-pin", input="123456\n123456\n", exit_code=1).stderr
    )


def test_the_errors_without_a_store_or_roots_say_what_to_do(tmp_path, fleet):
    refused = operator("who", "--data", tmp_path, exit_code=1)
    assert "no store in" in refused.stderr
    refused = operator(
        "sign-out", "--data", tmp_path, "--profile", tmp_path / "none.toml", exit_code=1
    )
    assert "cannot be read" in refused.stderr
