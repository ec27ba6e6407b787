"""The processes of the decoder share the pages of the one that asks, and none outlives it."""

import gc
import os
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path

import pytest

from edge.decode.isolation.decoder import IsolatedDecoder
from edge.decode.isolation.fork_server import ForkServer
from tests.support.drawn_codes import drawn
from tests.support.paths import ROOT
from tests.unit.decode.isolation.test_worker import CRASH, HANG, Touchy, poisoned, reads_again


@pytest.fixture
def fork_server():
    with ForkServer() as made:
        yield made


@pytest.fixture
def decoder(fork_server):
    made = IsolatedDecoder(front=Touchy, hang_ms=700, fork_server=fork_server)
    yield made
    made.close()


def children(pid):
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid:
            found.append((int(status.parent.name), state))
    return found


def state_of(pid):
    """Z is gone: whoever adopts orphans here may take its time to bury them."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def comes_true(so, within_s=10.0):
    until = time.monotonic() + within_s
    while not so() and time.monotonic() < until:
        time.sleep(0.01)
    return so()


def tell_what_is_loaded(pipe):
    pipe.send(("tabnanny" in sys.modules, gc.isenabled()))


def test_what_the_nursery_is_told_to_load_is_there_before_its_first_child_and_garbage_is_collected():
    assert "tabnanny" not in sys.modules
    gc.disable()
    ours, theirs = Pipe()
    try:
        with ForkServer(["tabnanny"]) as made:
            made.start(tell_what_is_loaded, theirs)
            assert ours.poll(10)
            assert ours.recv() == (True, True)
    finally:
        gc.enable()
    assert "tabnanny" not in sys.modules


def test_a_loop_does_not_wait_for_a_nursery_that_still_loads(tmp_path, monkeypatch):
    (tmp_path / "slow_card.py").write_text(
        f"import os\nwhile not os.path.exists({str(tmp_path / 'loaded')!r}): pass"
    )
    monkeypatch.syspath_prepend(tmp_path)
    grey, _ = drawn("HELLO")
    with ForkServer(["slow_card"]) as made:
        decoder = IsolatedDecoder(front=Touchy, fork_server=made)
        assert decoder.decode(grey) == ()
        assert not made.is_ready()
        (tmp_path / "loaded").touch()
        assert reads_again(decoder, grey) == ["HELLO"]
        assert children(made.pid), "forked by it, and not by Python's own server"
        decoder.close()


def test_a_frame_that_comes_once_waits_for_the_process_that_starts(fork_server):
    decoder = IsolatedDecoder(front=Touchy, fork_server=fork_server, patience_s=60)
    assert [symbol.text for symbol in decoder.decode(drawn("HELLO")[0])] == ["HELLO"]
    decoder.close()


def test_a_nursery_that_ends_while_it_loads_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "broken_card.py").write_text("import os; os._exit(1)")
    monkeypatch.syspath_prepend(tmp_path)
    with ForkServer(["broken_card"]) as made:
        decoder = IsolatedDecoder(front=Touchy, fork_server=made)
        assert reads_again(decoder, drawn("HELLO")[0]) == ["HELLO"]
        decoder.close()


@pytest.mark.parametrize("by", [CRASH, HANG])
def test_a_frame_that_crashes_or_hangs_is_lost_counted_and_recovered_from(fork_server, decoder, by):
    grey, _ = drawn("HELLO")
    assert reads_again(decoder, grey) == ["HELLO"]
    ((worker, _),) = children(fork_server.pid)
    assert decoder.decode(poisoned(grey, by)) == ()
    assert (decoder.counts["lost"].tries, decoder.counts["lost"].faults) == (1, 1)
    assert not Path(f"/proc/{worker}").exists(), "it is gone, and no zombie"
    assert reads_again(decoder, grey) == ["HELLO"]
    assert len(children(fork_server.pid)) == 1


def test_two_processes_end_when_the_decoder_is_closed(fork_server):
    decoder = IsolatedDecoder(cores=2, fork_server=fork_server)
    assert reads_again(decoder, drawn("HELLO")[0]) == ["HELLO"]
    assert comes_true(lambda: len(children(fork_server.pid)) == 2)
    decoder.close()
    assert children(fork_server.pid) == []


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSTOP])
def test_a_nursery_that_dies_or_stands_still_is_counted_and_done_without(fork_server, decoder, by):
    grey, _ = drawn("HELLO")
    assert reads_again(decoder, grey) == ["HELLO"]
    ((worker, _),) = children(fork_server.pid)
    os.kill(fork_server.pid, by)
    if by is signal.SIGSTOP:
        os.kill(worker, signal.SIGKILL)
    assert comes_true(lambda: decoder.decode(grey) == ())
    assert decoder.counts["lost"].faults == 1
    assert reads_again(decoder, grey) == ["HELLO"], "without a fork server"
    assert decoder.counts["lost"].faults == 1
    assert not Path(f"/proc/{fork_server.pid}").exists()
    assert state_of(worker) == "Z"


def test_a_nursery_that_was_closed_is_done_without():
    with ForkServer() as fork_server:
        fork_server.close()
        decoder = IsolatedDecoder(fork_server=fork_server)
        assert reads_again(decoder, drawn("HELLO")[0]) == ["HELLO"]
        decoder.close()


def test_who_asks_a_service_to_stop_asks_its_first_process_and_not_those_below(
    fork_server, decoder
):
    grey, _ = drawn("HELLO")
    assert reads_again(decoder, grey) == ["HELLO"]
    for pid in (fork_server.pid, *(pid for pid, _ in children(fork_server.pid))):
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
    assert reads_again(decoder, grey) == ["HELLO"]
    assert decoder.counts["lost"].faults == 0


def told(pipe):
    links = [Path(f"/proc/self/fd/{fd}") for fd in range(200) if fd != 2]
    pipe.send([str(link.readlink()) for link in links if link.is_symlink()])


def handlers(pipe):
    pipe.send(
        [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM)]
    )


def answer_to(work, fork_server):
    ours, theirs = Pipe()
    process = fork_server.start(work, theirs)
    theirs.close()
    assert ours.poll(5)
    answer = ours.recv()
    process.end()
    process.end()
    return answer


def test_what_is_forked_holds_no_file_but_its_pipe(tmp_path):
    with (tmp_path / "store.db").open("w"), ForkServer(), ForkServer() as fork_server:
        held = answer_to(told, fork_server)
    assert held[:2] == ["/dev/null"] * 2
    assert len(held) == 3 and held[2].startswith("socket:")


def test_what_is_forked_runs_no_handler_of_the_parent():
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with ForkServer() as fork_server:
            assert answer_to(handlers, fork_server) == [
                signal.SIG_DFL,
                signal.SIG_IGN,
                signal.SIG_IGN,
            ]
    finally:
        signal.signal(signal.SIGUSR1, before)


PARENT = """
import sys, threading, time
from edge.decode.isolation.decoder import IsolatedDecoder
from edge.decode.isolation.fork_server import ForkServer
from tests.support.drawn_codes import drawn
from tests.unit.decode.isolation.test_worker import HANG, Touchy, poisoned, reads_again

fork_server = ForkServer()
decoder = IsolatedDecoder(front=Touchy, hang_ms=60_000, fork_server=fork_server)
grey, _ = drawn("HELLO")
assert reads_again(decoder, grey) == ["HELLO"]
print(fork_server.pid, flush=True)
decoder.decode(poisoned(grey, HANG) if sys.argv[1] == "hanging" else grey)
time.sleep(60)
"""


@pytest.mark.parametrize("worker_is", ["idle", "hanging"])
def test_nothing_outlives_a_process_that_is_killed(worker_is):
    root = ROOT
    command = [sys.executable, "-c", PARENT, worker_is]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as parent:
        fork_server = int(parent.stdout.readline())
        time.sleep(0.3)  # the frame is behind the wall
        ((worker, _),) = children(fork_server)
        parent.kill()
    for pid in (fork_server, worker):
        assert comes_true(lambda pid=pid: state_of(pid) == "Z")
