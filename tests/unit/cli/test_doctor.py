"""``edge-scanner doctor`` ends on any machine, in both languages, with an exit code."""

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.cli.doctor import doctor
from edge.store import documents
from edge.store.opening import open_store
from edge.system.health import write_health
from edge.token.keys import signer
from edge.token.roots import Roots
from edge.token.trust_list import TrustList, sign_trust_list
from edge.values.instant import Instant
from tests.support.paths import FIRMWARE

PROFILES = FIRMWARE / "profiles"


def run(*arguments: object, **environment: str):
    return CliRunner(env=environment).invoke(doctor, ["--timeout-s", "0.2", *map(str, arguments)])


@pytest.mark.parametrize(
    "profile", [*PROFILES.glob("*.toml"), Path("/nowhere"), Path("/dev/null"), Path("/")], ids=str
)
def test_it_never_shows_a_traceback(tmp_path, profile):
    for data in (tmp_path, tmp_path / "none", Path("/dev/null"), Path("/proc/1/fd")):
        outcome = run("--profile", profile, "--data", data)
        assert isinstance(outcome.exception, SystemExit | None), outcome.exception
        assert outcome.exit_code in (0, 1, 2)


def test_json_is_one_object_with_every_part_in_both_languages(tmp_path):
    outcome = run("--json", "--profile", PROFILES / "kiosk.toml", "--data", tmp_path)
    report = json.loads(outcome.stdout)
    assert report["state"] == "failure"
    assert {finding["part"] for finding in report["findings"]} == {
        "profile",
        "scanner",
        "camera",
        "pins",
        "store",
        "keys",
        "certificate",
        "broker",
        "clock",
        "disk",
        "temperature",
        "power",
    }
    for finding in report["findings"]:
        assert finding["found"]["zh"]
        assert finding["found"]["en"]
        assert (finding["todo"] is None) == (finding["state"] == "ok")


def test_an_unknown_time_zone_is_reported_with_what_to_do(tmp_path):
    profile = tmp_path / "profile.toml"
    text = (PROFILES / "kiosk.toml").read_text()
    profile.write_text(text.replace("[policy]\n", '[policy]\ntimezone = "Atlantis/Poseidonis"\n'))
    report = json.loads(run("--json", "--profile", profile, "--data", tmp_path).stdout)
    (finding,) = [finding for finding in report["findings"] if finding["part"] == "timezone"]
    assert finding["state"] == "failure"
    assert "Atlantis/Poseidonis" in finding["found"]["en"]
    assert "policy.timezone" in finding["todo"]["en"]


def test_a_failure_is_exit_1_and_a_device_without_one_is_exit_0(tmp_path):
    assert run("--profile", tmp_path / "none.toml", "--data", tmp_path).exit_code == 1


def test_a_healthy_device_is_exit_0(tmp_path, fleet_device):
    assert (
        run("--profile", fleet_device, "--data", tmp_path, GPIOZERO_PIN_FACTORY="mock").exit_code
        == 0
    )


@pytest.mark.parametrize(
    ("environment", "word"), [({"LANG": "zh_CN.UTF-8"}, "站点"), ({"LANG": "C.UTF-8"}, "at site-1")]
)
def test_it_uses_the_systems_language(tmp_path, environment, word):
    cleared = {"LC_ALL": "", "LC_MESSAGES": ""}
    assert (
        word
        in run(
            "--profile", PROFILES / "kiosk.toml", "--data", tmp_path, **cleared, **environment
        ).stdout
    )


@pytest.fixture
def fleet_device(tmp_path):
    """Make a profile whose parts all exist: pictures, roots, a trust list, a scanner's health."""
    now_s = int(time.time())
    root = signer(Ed25519PrivateKey.generate())
    roots = Roots(1, (root.public,))
    (tmp_path / "roots.cbor").write_bytes(roots.to_bytes())
    trust = TrustList(version=1, issued_at_s=now_s - 60, expires_at_s=now_s + 86_400, keys=())
    store = open_store(tmp_path, device_id="kiosk-1", now_s=now_s, random_bytes=os.urandom).store
    raw = sign_trust_list(trust, root, roots)
    documents.put(
        store,
        name=documents.TRUST_LIST,
        version=1,
        issued_at_s=now_s - 60,
        raw=raw,
        now=Instant(unix_s=now_s),
    )
    store.close()
    write_health(tmp_path / "health.json", {"state": "scanning", "problems": {}})
    profile = tmp_path / "profile.toml"
    profile.write_text(
        '[device]\nid = "kiosk-1"\nsite = "s1"\nkind = "kiosk"\n'
        f'[camera]\nsource = "images"\npath = "{tmp_path}"\n'
        f'[indicators]\ngreen_pin = 17\n[trust]\nroots_file = "{tmp_path}/roots.cbor"\n'
    )
    return profile
