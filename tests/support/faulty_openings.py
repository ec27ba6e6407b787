"""Open a store again and again, each time with another system call that fails.

    LD_PRELOAD=... python -m tests.support.faulty_openings FOLDER CASES ERRORS STEP [BLIND]

``CASES`` are how the store was left, ``ERRORS`` the errors or ``KILL``, both separated by
commas. Of the calls that can give such an error each ``STEP``th fails: once, for a while, and with
all that follow it. ``BLIND`` takes a failed read for an empty store: the control that shows
that a loss is seen. Prints what happened as a JSON object.
"""

import errno
import json
import os
import shutil
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

from edge.domain.verdict import Verdict
from edge.store import ledger, outbox
from edge.store.database.store import FILE, SUSPECT, StoreUnavailableError
from edge.store.opening import StoreState, open_store
from edge.store.salvage.remains import SalvagedRows, read_remains
from tests.support.sample_shop import DEVICE, NOON, code, deliver, open_at, order, redeemer
from tests.support.system_call_faults import Faults

VOUCHERS, WAITING, IN_LOG = 300, 50, 10
NEXT_STEP = (
    "INSERT INTO _sqlite_migrations (migration_set, name) VALUES ('edge-scanner', '9999_future')"
)
LATER_S = NOON.unix_s + 60
LASTING = (1, 20, 0)  # how many calls a fault lasts: one, those of a try, all
# The calls that may give an error; EIO and KILL may strike anywhere.
OPENS = {"open", "opendir"}
CHANGES = {"open", "mkdir", "unlink", "rename", "ftruncate", "posix_fallocate", "write", "pwrite"}
SYNCS = {"fsync", "fdatasync", "close"}
GIVING = {
    "EMFILE": OPENS,
    "ENFILE": OPENS,
    "ENOMEM": OPENS | {"mmap"},
    "ENOSPC": CHANGES | SYNCS,
    "EROFS": CHANGES,
    "EACCES": CHANGES | OPENS | {"stat", "lstat", "access"},
}


def opened(folder):
    return open_store(
        folder,
        device_id=DEVICE,
        now_s=LATER_S,
        random_bytes=os.urandom,
        busy_timeout_s=0.05,
    )


def sold(folder):
    """Make a store with ``VOUCHERS`` redemptions, the last in its log; return the codes."""
    store, codes = open_at(folder), [code() for _ in range(VOUCHERS)]
    deliver(store, *map(order, codes))
    redeem(store, codes[:-IN_LOG])
    epoch, _ = outbox.current_epoch(store)
    outbox.acknowledge(store, epoch=epoch, through_seq=VOUCHERS - WAITING)
    store.close()
    store = open_at(folder)
    redeem(store, codes[-IN_LOG:])
    shutil.copytree(folder, folder.with_name("cut"))
    store.close()
    shutil.rmtree(folder)
    folder.with_name("cut").rename(folder)
    assert Path(f"{folder / FILE}-wal").stat().st_size > 4096
    return codes


def redeem(store, codes):
    scan = redeemer(store)
    for claims in codes:
        assert scan.redeem(claims, NOON).is_accepted


# How the store was left: what an opening without a fault finds.


def sound(_):
    """Leave it as a power cut does, with a log."""
    return {StoreState.READY}


def suspect(folder):
    (folder / SUSPECT).write_text("met corruption")
    return {StoreState.READY}


def newer(folder):
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute(NEXT_STEP)
    return {StoreState.QUARANTINED}


def damaged(folder):
    """Destroy a page that holds nothing, and that every start checks."""
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'exception'"
        ).fetchone()
    with (folder / FILE).open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    return {StoreState.QUARANTINED}


def bare_log(folder):
    """Lose the main file; the log holds every page."""
    store = folder / FILE
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("VACUUM")
        shutil.copy(f"{store}-wal", folder / "log")
    (folder / "log").rename(f"{store}-wal")
    store.unlink()
    return {StoreState.READY}


def missing(folder):
    """Lose the store; one that was put aside is still there."""
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (folder / FILE).rename(folder / f"{FILE}.{NOON.unix_s}.newer")
    return {StoreState.QUARANTINED}


def cut(folder):
    """Leave what a power cut between putting aside and putting in place leaves."""
    shutil.copytree(folder, folder / "other")
    newer(folder / "other")
    opened(folder / "other").store.close()
    (folder / "other" / FILE).rename(folder / f"{FILE}.new")
    shutil.rmtree(folder / "other")
    (folder / FILE).rename(folder / f"{FILE}.{LATER_S}.newer")
    return {StoreState.READY}


CASES = {case.__name__: case for case in (sound, suspect, newer, damaged, bare_log, missing, cut)}


def loss(folder, codes, *, scan_all):
    """Return what the store in ``folder`` has forgotten, opened without a fault; empty if none."""
    found = opened(folder)
    if found.store is None:
        return f"not opened: {found.detail}"
    with closing(found.store) as store:
        redeemed = {row.cti for row in ledger.rows(store)}
        lost = sum(claims.cti not in redeemed for claims in codes)
        waiting = len(outbox.pending(store, limit=10 * WAITING))
        if lost or waiting < WAITING:
            return f"{lost} redemptions lost, {waiting} events waiting"
        scanned = codes if scan_all else codes[:: VOUCHERS // 2]
        deliver(store, *map(order, scanned))
        scan = redeemer(store)
        again = sum(
            scan.redeem(claims, NOON).reason is not Verdict.ALREADY_REDEEMED for claims in scanned
        )
        return f"{again} codes redeemed again" if again else ""


def blind(main, earlier=()):
    try:
        return read_remains(main, earlier)
    except (sqlite3.Error, StoreUnavailableError, OSError):
        return SalvagedRows()


def open_with(faults, folder, *, first, many, error):
    """Open the store with a fault; return its state and the names of the calls."""
    faults.arm(folder, first=first, many=many, error=error)
    found = opened(folder)
    calls = [name.removesuffix("64") for name in faults.disarm()]
    if found.store is not None:
        found.store.close()
    return found.state, calls


def kill_while_opening(faults, folder, *, first):
    """Open the store in a process that ends at a call."""
    child = os.fork()
    if child == 0:
        open_with(faults, folder, first=first, many=1, error=0)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the opening made fewer calls than before"


class Trial:
    """One case: how its store was left, opened with one fault after the other."""

    def __init__(self, folder, name, codes):
        self.template, self.work = folder / name, folder / "work"
        self.name, self.codes, self.faults = name, codes, Faults()
        shutil.copytree(folder / "sold", self.template)
        self.allowed = CASES[name](self.template) | {StoreState.UNAVAILABLE}
        self.states, self.wrong = Counter(), []

    def fresh(self):
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.template, self.work)
        return self.work

    def calls(self):
        """Return the names of the calls of an opening without a fault."""
        state, calls = open_with(self.faults, self.fresh(), first=0, many=-1, error=0)
        assert state in self.allowed - {StoreState.UNAVAILABLE}, state
        return calls

    def fail(self, error, number, call, many):
        if error == "KILL":
            state = None
            kill_while_opening(self.faults, self.fresh(), first=number)
        else:
            facts = {"first": number, "many": many, "error": getattr(errno, error)}
            state, _ = open_with(self.faults, self.fresh(), **facts)
        self.states[str(state and state.value)] += 1
        found = loss(self.work, self.codes, scan_all=self.states.total() % 50 == 1)
        if state is not None and state not in self.allowed:
            found = f"{state.value}; {found or 'nothing lost'}"
        if found:
            self.wrong.append(f"{self.name}: {error} at call {number} ({call}): {found}")


def run(folder, cases, errors, step):
    codes, calls, states, wrong = sold(folder / "sold"), Counter(), Counter(), []
    for name in cases:
        trial = Trial(folder, name, codes)
        for error in errors:
            giving = [
                (number, call)
                for number, call in enumerate(trial.calls(), 1)
                if call in GIVING.get(error, {call})
            ]
            for number, call in giving[::step]:
                calls[call] += 1
                for many in LASTING if error == "EIO" else (1,) if error == "KILL" else (1, 0):
                    trial.fail(error, number, call, many)
        states += trial.states
        wrong += trial.wrong
    return {"openings": states.total(), "calls": calls, "states": states, "wrong": wrong}


def main(folder, cases, errors, step, control=""):
    plan = Path(folder), cases.split(","), errors.split(","), int(step)
    if control == "BLIND":
        with (
            patch("edge.store.database.examination.explain", return_value=None),
            patch("edge.store.opening.read_remains", blind),
        ):
            print(json.dumps(run(*plan)))
    else:
        print(json.dumps(run(*plan)))


if __name__ == "__main__":
    main(*sys.argv[1:])
