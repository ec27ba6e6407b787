"""The store is opened while each of its system calls fails, and while the process is killed there.

Opened again without the fault it has every redemption and every waiting event, and no code can be
redeemed again. A store that is not broken is never put aside for it.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.support.faulty_openings import CASES
from tests.support.paths import ROOT
from tests.support.system_call_faults import COMPILER, build

ERRORS = ("EIO", "EMFILE", "ENFILE", "ENOMEM", "ENOSPC", "EROFS", "EACCES", "KILL")

pytestmark = pytest.mark.skipif(
    COMPILER is None, reason="a C compiler is not installed (Debian: gcc)"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build(tmp_path_factory.mktemp("library"))


@pytest.fixture
def try_openings(library, tmp_path):
    def try_openings(cases, errors, step, *control):
        command = [
            *(sys.executable, "-m", "tests.support.faulty_openings", tmp_path),
            *(",".join(cases), ",".join(errors), str(step), *control),
        ]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "LD_PRELOAD": str(library)},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == 0
        return json.loads(done.stdout)

    return try_openings


@pytest.mark.timeout(300)
def test_a_sample_of_the_calls_of_an_opening_fails_and_nothing_is_lost(try_openings, scoreboard):
    done = try_openings(CASES, ("EIO", "EMFILE", "ENOSPC", "EROFS", "KILL"), 401)
    scoreboard.count("failed system calls", done["openings"], len(done["wrong"]))
    assert done["wrong"] == []
    assert done["openings"] > 80
    assert {"open", "pread", "pwrite"} <= done["calls"].keys()


def test_an_opening_that_takes_a_failed_read_for_an_empty_store_is_seen(try_openings):
    assert try_openings(("newer",), ("EIO",), 61, "BLIND")["wrong"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("case", CASES)
def test_any_call_of_an_opening_fails_and_nothing_is_lost(try_openings, case, error, scoreboard):
    done = try_openings((case,), (error,), max(1, round(1 / scoreboard.times)))
    kind = "kills" if error == "KILL" else "failed system calls"
    scoreboard.count(kind, done["openings"], len(done["wrong"]))
    assert done["wrong"] == []
    assert done["openings"] > 0
