"""What holds for every test."""

import os
import platform
import signal
import time

import pytest

from tests.support import scoreboard as board

# As in the units under systemd/: NumPy's library starts a thread for each further core when it is
# loaded, and a process with threads must not fork, as the decoder's processes and the tests that
# kill a child do.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A shell starts a background job with SIGINT ignored, and every child would inherit that: a test
# that interrupts one would wait for ever. Children get the default again when Python has a handler.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_FOUND = pytest.StashKey[list]()


def pytest_addoption(parser):
    group = parser.getgroup("proofs")
    group.addoption(
        "--times", type=float, default=1.0, help="size of the proofs, a multiple of the usual one"
    )
    group.addoption(
        "--scoreboard", action="store_true", help="keep the table in docs/reference/proofs.md"
    )


def pytest_configure(config):
    config.stash[_FOUND] = []


@pytest.fixture
def scoreboard(request):
    """Give a proof its size, and take what it tried."""
    found = board.Scoreboard(request.config.getoption("--times"))
    yield found
    for kind, (tried, broken) in found.rows.items():
        request.node.user_properties.append((board.PROPERTY, (kind, tried, broken)))


class _Collector:
    """Takes what the proofs report, also from other processes."""

    def __init__(self, config):
        self._config = config

    def pytest_runtest_logreport(self, report):
        if report.when == "teardown":
            self._config.stash[_FOUND] += [
                tuple(value) for name, value in report.user_properties if name == board.PROPERTY
            ]


def pytest_sessionstart(session):
    session.config.pluginmanager.register(_Collector(session.config))


def pytest_terminal_summary(terminalreporter, config):
    rows = board.lines(config.stash[_FOUND])
    if not rows:
        return
    terminalreporter.section("scoreboard")
    terminalreporter.write_line(board.table(rows))
    if config.getoption("--scoreboard"):
        heading = (
            f"Run of {time.strftime('%Y-%m-%d')}, size {config.getoption('--times'):g},"
            f" Python {platform.python_version()}, {os.cpu_count()} cores."
        )
        board.write_page(board.PAGE, rows, heading)
