"""What a process can do from where it stands. Run by units under test; prints JSON.

Standard library only, but for the words on its command line: parts of this project, to be tried
from there.
"""

import ctypes
import json
import mmap
import os
import signal
import socket
import sys
import time
from pathlib import Path

PORT = 47653
CLONE_NEWUSER = 0x10000000
libc = ctypes.CDLL(None, use_errno=True)


def attempt(act):
    """Return "yes", or the name of the error that stopped ``act``."""
    try:
        act()
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)
    return "yes"


def call(function, *arguments):
    def act():
        if function(*arguments) == -1:
            raise OSError(ctypes.get_errno(), "")

    return act


def make_socket(family, kind=socket.SOCK_STREAM):
    return lambda: socket.socket(family, kind).close()


def connect():
    socket.create_connection(("127.0.0.1", PORT), timeout=2).close()


def write(folder):
    def act():
        file = Path(folder) / f"probe-{os.getpid()}"
        file.write_text("x")
        file.unlink()

    return act


def interfaces():
    lines = Path("/proc/self/net/dev").read_text().splitlines()[2:]
    return [line.partition(":")[0].strip() for line in lines]


def in_child(act):
    """Run ``act`` in a child, for what would change this process."""

    def run():
        child = os.fork()
        if child == 0:
            try:
                act()
            except OSError as error:
                os._exit(error.errno)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            raise OSError(code, "")

    return run


def decode():
    """Return what the isolated decoder reads in a picture of the word PROBE."""
    import cv2
    import numpy as np

    from edge.decode.isolation.decoder import IsolatedDecoder
    from edge.decode.isolation.fork_server import ForkServer

    modules = cv2.QRCodeEncoder.create().encode("PROBE")
    grey = np.ascontiguousarray(
        np.kron(np.pad(modules, 8, constant_values=255), np.ones((8, 8), np.uint8))
    )
    with ForkServer() as fork_server:
        decoder = IsolatedDecoder(budget_ms=500.0, cores=2, hang_ms=5000.0, fork_server=fork_server)
        try:
            read_codes = read(decoder, grey)
            os.kill(fork_server.pid, 0)
            forked = (
                Path(f"/proc/{fork_server.pid}/task/{fork_server.pid}/children").read_text().split()
            )
            return read_codes if forked else "not by the fork_server's process"
        finally:
            decoder.close()


def read(decoder, grey):
    until_s = time.monotonic() + 40
    while time.monotonic() < until_s:
        if symbols := decoder.decode(grey):
            return [symbol.text for symbol in symbols]
        time.sleep(0.02)  # its process is starting
    return []


def boot():
    """Return the identity of this run of the machine, which names its claims and sessions."""
    from edge.store.boot import boot_id

    return boot_id()


PARTS = {"decode": decode, "boot": boot}


def trial(part):
    """Return what ``part`` gives, or what stopped it."""
    try:
        return PARTS[part]()
    except Exception as error:  # the report is the place for it
        return f"{type(error).__name__}: {error}"


def main():
    signal.alarm(60)
    wx = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    report = {
        "uid": os.getuid(),
        "groups": len(os.getgroups()),
        "interfaces": interfaces(),
        "inet socket": attempt(make_socket(socket.AF_INET)),
        "inet6 socket": attempt(make_socket(socket.AF_INET6)),
        "packet socket": attempt(make_socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "bluetooth socket": attempt(make_socket(socket.AF_BLUETOOTH, socket.SOCK_RAW)),
        "vsock socket": attempt(make_socket(socket.AF_VSOCK)),
        "unix socket": attempt(make_socket(socket.AF_UNIX)),
        "netlink socket": attempt(make_socket(socket.AF_NETLINK, socket.SOCK_RAW)),
        "connect to a server on this machine": attempt(connect),
        "write /usr": attempt(write("/usr")),
        "write /etc": attempt(write("/etc")),
        "write state": attempt(write(os.environ.get("STATE_DIRECTORY", "."))),
        "list tls": attempt(lambda: os.listdir("/etc/edge-scanner/tls")),  # noqa: PTH208
        "writable code": attempt(lambda: mmap.mmap(-1, 4096, prot=wx).close()),
        "new namespace": attempt(in_child(call(libc.unshare, CLONE_NEWUSER))),
        "become root": attempt(in_child(lambda: os.setuid(0))),
        "write site": attempt(write("/srv/edge-site")),
        "read the order feed's key": attempt(
            lambda: Path("/etc/edge-hub/order_feed.pem").read_bytes()
        ),
        "devices": sorted(os.listdir("/dev")),  # noqa: PTH208
    }
    report |= {part: trial(part) for part in sys.argv[1:]}
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
