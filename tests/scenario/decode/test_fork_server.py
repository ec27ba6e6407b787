"""The decoder's processes are forked by the fork server, and none outlives the parent."""

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
from tests.support.touchy_decoder import CRASH, HANG, TouchyDecoder, poisoned, reads_again


@pytest.fixture
def fork_server():
    with ForkServer() as made:
        yield made


@pytest.fixture
def decoder(fork_server):
    made = IsolatedDecoder(make_decoder=TouchyDecoder, hang_ms=700, fork_server=fork_server)
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
    """Return the process's state; Z once it ended, whether or not its zombie was reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def comes_true(holds, within_s=10.0):
    until = time.monotonic() + within_s
    while not (held := holds()) and time.monotonic() < until:
        time.sleep(0.01)
    return held


def send_state(pipe):
    pipe.send(("tabnanny" in sys.modules, gc.isenabled()))


def test_a_worker_has_the_preloaded_modules_and_collects_garbage():
    assert "tabnanny" not in sys.modules
    gc.disable()
    near, far = Pipe()
    try:
        with ForkServer(["tabnanny"]) as made:
            made.start(send_state, far)
            assert near.poll(10)
            assert near.recv() == (True, True)
    finally:
        gc.enable()
    assert "tabnanny" not in sys.modules


def test_a_frame_does_not_wait_for_a_fork_server_that_is_loading(tmp_path, monkeypatch):
    (tmp_path / "slow_card.py").write_text(
        f"import os\nwhile not os.path.exists({str(tmp_path / 'loaded')!r}): pass"
    )
    monkeypatch.syspath_prepend(tmp_path)
    grey, _ = drawn("HELLO")
    with ForkServer(["slow_card"]) as made:
        decoder = IsolatedDecoder(make_decoder=TouchyDecoder, fork_server=made)
        assert decoder.decode(grey) == ()
        assert not made.is_ready()
        (tmp_path / "loaded").touch()
        assert reads_again(decoder, grey) == ["HELLO"]
        assert children(made.pid), "forked by it, and not by Python's own fork server"
        decoder.close()


def test_a_frame_can_wait_for_the_process_that_starts(fork_server):
    decoder = IsolatedDecoder(make_decoder=TouchyDecoder, fork_server=fork_server, start_wait_s=60)
    assert [symbol.text for symbol in decoder.decode(drawn("HELLO")[0])] == ["HELLO"]
    decoder.close()


def test_decoding_goes_on_without_a_fork_server_that_ended_while_loading(tmp_path, monkeypatch):
    (tmp_path / "broken_card.py").write_text("import os; os._exit(1)")
    monkeypatch.syspath_prepend(tmp_path)
    with ForkServer(["broken_card"]) as made:
        decoder = IsolatedDecoder(make_decoder=TouchyDecoder, fork_server=made)
        assert reads_again(decoder, drawn("HELLO")[0]) == ["HELLO"]
        decoder.close()


@pytest.mark.parametrize("effect", [CRASH, HANG])
def test_a_frame_that_crashes_or_hangs_is_lost_and_counted_and_the_next_is_read(
    fork_server, decoder, effect
):
    grey, _ = drawn("HELLO")
    assert reads_again(decoder, grey) == ["HELLO"]
    ((worker, _),) = children(fork_server.pid)
    assert decoder.decode(poisoned(grey, effect)) == ()
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


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSTOP])
def test_decoding_goes_on_without_a_fork_server_that_died_or_stopped(fork_server, decoder, ending):
    grey, _ = drawn("HELLO")
    assert reads_again(decoder, grey) == ["HELLO"]
    ((worker, _),) = children(fork_server.pid)
    os.kill(fork_server.pid, ending)
    if ending is signal.SIGSTOP:
        os.kill(worker, signal.SIGKILL)
    assert comes_true(lambda: decoder.decode(grey) == ())
    assert decoder.counts["lost"].faults == 1
    assert reads_again(decoder, grey) == ["HELLO"], "without a fork server"
    assert decoder.counts["lost"].faults == 1
    assert not Path(f"/proc/{fork_server.pid}").exists()
    assert state_of(worker) == "Z"


def test_decoding_goes_on_without_a_closed_fork_server():
    with ForkServer() as fork_server:
        fork_server.close()
        decoder = IsolatedDecoder(fork_server=fork_server)
        assert reads_again(decoder, drawn("HELLO")[0]) == ["HELLO"]
        decoder.close()


def test_workers_ignore_the_signals_that_ask_a_service_to_stop(fork_server, decoder):
    grey, _ = drawn("HELLO")
    assert reads_again(decoder, grey) == ["HELLO"]
    for pid in (fork_server.pid, *(pid for pid, _ in children(fork_server.pid))):
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
    assert reads_again(decoder, grey) == ["HELLO"]
    assert decoder.counts["lost"].faults == 0


def send_open_files(pipe):
    links = [Path(f"/proc/self/fd/{fd}") for fd in range(200) if fd != 2]
    pipe.send([str(link.readlink()) for link in links if link.is_symlink()])


def send_handlers(pipe):
    pipe.send(
        [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM)]
    )


def result_of(work, fork_server):
    near, far = Pipe()
    process = fork_server.start(work, far)
    far.close()
    assert near.poll(5)
    result = near.recv()
    process.end()
    process.end()
    return result


def test_a_worker_has_no_open_file_but_its_pipe(tmp_path):
    with (tmp_path / "store.db").open("w"), ForkServer(), ForkServer() as fork_server:
        files = result_of(send_open_files, fork_server)
    assert files[:2] == ["/dev/null"] * 2
    assert len(files) == 3 and files[2].startswith("socket:")


def test_a_worker_has_no_signal_handler_of_the_parent():
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    expected = [signal.SIG_DFL, signal.SIG_IGN, signal.SIG_IGN]
    try:
        with ForkServer() as fork_server:
            assert result_of(send_handlers, fork_server) == expected
    finally:
        signal.signal(signal.SIGUSR1, before)


PARENT = """
import sys, threading, time
from edge.decode.isolation.decoder import IsolatedDecoder
from edge.decode.isolation.fork_server import ForkServer
from tests.support.drawn_codes import drawn
from tests.support.touchy_decoder import HANG, TouchyDecoder, poisoned, reads_again

fork_server = ForkServer()
decoder = IsolatedDecoder(make_decoder=TouchyDecoder, hang_ms=60_000, fork_server=fork_server)
grey, _ = drawn("HELLO")
assert reads_again(decoder, grey) == ["HELLO"]
print(fork_server.pid, flush=True)
decoder.decode(poisoned(grey, HANG) if sys.argv[1] == "hanging" else grey)
time.sleep(60)
"""


@pytest.mark.parametrize("worker_is", ["idle", "hanging"])
def test_no_worker_outlives_a_parent_that_is_killed(worker_is):
    command = [sys.executable, "-c", PARENT, worker_is]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        fork_server = int(parent.stdout.readline())
        time.sleep(0.3)  # the worker has the frame
        ((worker, _),) = children(fork_server)
        parent.kill()
    for pid in (fork_server, worker):
        assert comes_true(lambda pid=pid: state_of(pid) == "Z")
