"""The models of docs/models, checked by spin over every interleaving.

Each control shows that the check can fail.
"""

import re
import shutil
import subprocess

import pytest

from tests.support.paths import DOCS

MODELS = DOCS / "models"
SPIN, CC = shutil.which("spin"), shutil.which("cc") or shutil.which("gcc")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (SPIN and CC), reason="spin or a C compiler is not installed (Debian: spin, gcc)"
    ),
]


def errors(model, folder, *defines):
    """Return how many violations a search of the whole state space finds; it stops at the first."""
    command = [SPIN, *defines, "-a", MODELS / f"{model}.pml"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    subprocess.run(
        [CC, "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"], cwd=folder, check=True
    )
    printed = subprocess.run(
        ["./pan", "-E", "-m1000000", "-w24"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "max search depth too small" not in printed
    return int(re.search(r"errors: (\d+)", printed).group(1))


@pytest.mark.parametrize("cut", ["-DCUTS=0", "-DCUTS=1"])
def test_a_lock_is_pulsed_once_for_its_intent_and_a_code_is_valid_again_only_with_its_parcels(
    tmp_path, cut
):
    assert errors("pickup", tmp_path, "-DSCANS=2", cut) == 0


def test_a_start_that_trusted_a_closed_door_would_lose_a_parcel(tmp_path):
    assert errors("pickup", tmp_path, "-DSCANS=2", "-DCUTS=1", "-DBELIEVE_A_CLOSED_DOOR") == 1


def test_a_granted_unit_is_redeemed_once_in_whatever_order_messages_come(tmp_path):
    assert errors("grant", tmp_path) == 0


def test_a_report_that_names_no_request_would_release_a_later_grant(tmp_path):
    assert errors("grant", tmp_path, "-DUNNUMBERED") == 1


def test_a_report_sent_while_a_grant_may_be_used_would_redeem_twice(tmp_path):
    assert errors("grant", tmp_path, "-DEARLY") == 1
