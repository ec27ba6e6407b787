"""The sandbox of each unit, tested from inside a temporary systemd with this machine's /usr.

The shipped units run unchanged, except that they execute a probe that tries to leave the sandbox.
A control service without a sandbox runs the same probe. So "no" means that the unit forbids it, not
that the machine cannot do it.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import cv2
import pytest

from tests.support.paths import ROOT

NEEDS = ("systemd-nspawn", "systemctl", "python3")
PYTHON = "/usr/bin/python3"
LIBRARIES = Path(cv2.__file__).parents[1]
LISTENER = (
    f'{PYTHON} -c \'import socket; s = socket.create_server(("127.0.0.1", 47653)); '
    "[s.accept() for _ in range(99)]'"
)
REPORTS = {
    "control": "control.service",
    "scanner": "edge-scanner.service",
    # Without the filter of address families: what the empty network namespace alone forbids.
    "scanner, families allowed": "scanner-families.service",
    "sync": "edge-sync.service",
    "hub": "edge-hub.service",
    "enrolment": "edge-hub-enrolment.service",
    "authority": "edge-hub-authority.service",
    "bridge": "edge-hub-bridge.service",
}
PARTS = {
    "control": "decode boot",
    "scanner": "decode boot",
    "sync": "boot",
}  # parts of this project that the probe runs
HARMLESS = (
    "full null random tty urandom zero ptmx pts shm mqueue hugepages log "
    "stdin stdout stderr fd core char block initctl net"
)
# What a site has in addition to the package: the broker's user and the site's folder.
SITE = {
    "sysusers.d": "u mosquitto -\n",
    "tmpfiles.d": "d /srv/edge-site 0700 mosquitto mosquitto\n"
    "f /etc/edge-hub/order_feed.pem 0640 root edge-hub - key\n",
}


def lay_out_units(units: Path) -> None:
    """Write the shipped units with a drop-in each, and a target that runs them all and halts."""
    units.mkdir()
    for kind, unit in REPORTS.items():
        drop_in = units / f"{unit}.d"
        drop_in.mkdir()
        extra = ""
        if kind == "control":
            (units / unit).write_text("[Service]\n")
        elif kind == "scanner, families allowed":
            shutil.copy(ROOT / "systemd" / "edge-scanner.service", units / unit)
            extra = "RestrictAddressFamilies=\n"
        else:
            shutil.copy(ROOT / "systemd" / unit, units)
        (drop_in / "probe.conf").write_text(
            "[Unit]\nConditionPathExists=\nAfter=listener.service systemd-sysusers.service\n"
            "[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecStart=\nExecStopPost=\n"
            f"ExecStart={PYTHON} /probe.py {PARTS.get(kind, '')}\n"
            "Environment=PYTHONPATH=/checkout:/libraries\n"
            f"StandardOutput=file:/reports/{unit}.json\nStandardError=file:/reports/{unit}.err\n"
            f"{extra}"
        )
    (units / "listener.service").write_text(
        f"[Service]\nExecStart={LISTENER}\nExecStartPost=/bin/sleep 1\n"
    )
    (units / "halt-after.service").write_text(
        f"[Unit]\nAfter={' '.join(REPORTS.values())}\n"
        "[Service]\nType=oneshot\nExecStart=/bin/systemctl exit --force\n"
    )
    (units / "probe.target").write_text(
        f"[Unit]\nRequires=sysinit.target\nAfter=sysinit.target\n"
        f"Wants=listener.service halt-after.service {' '.join(REPORTS.values())}\n"
    )


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Boot once, and return what each service found, by kind."""
    missing = [name for name in NEEDS if not shutil.which(name)]
    if missing or os.geteuid() != 0 or not Path(PYTHON).exists():
        pytest.skip(
            f"needs root and {', '.join(NEEDS)} (Debian packages systemd-container, python3)"
        )
    folder = tmp_path_factory.mktemp("container")
    lay_out_units(folder / "units")
    (folder / "reports").mkdir(mode=0o777)
    (folder / "tls").mkdir(mode=0o755)
    for name, line in SITE.items():
        (folder / name).write_text(line)
    command = [
        "systemd-nspawn",
        "--quiet",
        "--directory=/",
        "--volatile=yes",
        "--boot",
        "--register=no",
        "--keep-unit",
        "--private-network",
        f"--machine=edge-units-{os.getpid()}",
        "--console=pipe",
        f"--bind-ro={folder}/units:/etc/systemd/system",
        f"--bind-ro={ROOT}/firmware-config/os/sysusers.conf:/etc/sysusers.d/edge-scanner.conf",
        f"--bind-ro={ROOT}/firmware-config/os/tmpfiles.conf:/etc/tmpfiles.d/edge-scanner.conf",
        *(f"--bind-ro={folder}/{name}:/etc/{name}/site.conf" for name in SITE),
        f"--bind-ro={ROOT}:/checkout",
        f"--bind-ro={LIBRARIES}:/libraries",
        f"--bind-ro={folder}/tls:/etc/edge-scanner/tls",
        f"--bind-ro={ROOT}/tests/support/sandbox_probe.py:/probe.py",
        f"--bind={folder}/reports:/reports",
        "systemd.unit=probe.target",
    ]
    try:
        run = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=200, check=False
        )
    except subprocess.TimeoutExpired as stuck:
        pytest.fail(
            f"the container did not halt:\n{(stuck.stdout or b'').decode(errors='replace')[-3000:]}"
        )
    texts = {kind: folder / "reports" / f"{unit}.json" for kind, unit in REPORTS.items()}
    if not texts["control"].exists() or not texts["control"].read_text():
        pytest.skip(f"no systemd boots here: {run.stderr.decode(errors='replace').strip()[-300:]}")
    errors = {kind: folder / "reports" / f"{unit}.err" for kind, unit in REPORTS.items()}
    for kind, file in texts.items():
        assert file.exists(), (
            f"{kind} did not start:\n{run.stdout.decode(errors='replace')[-3000:]}"
        )
        assert file.read_text(), f"{kind}: {errors[kind].read_text()}"
    return {kind: json.loads(file.read_text()) for kind, file in texts.items()}


def test_without_a_sandbox_the_probe_reaches_what_the_units_forbid(reports):
    control = reports["control"]
    for act in (
        "inet socket",
        "netlink socket",
        "connect to a server on this machine",
        "writable code",
        "become root",
    ):
        assert control[act] == "yes", act


@pytest.mark.parametrize("family", ["inet", "inet6", "packet", "bluetooth", "vsock"])
def test_the_scanner_cannot_even_make_a_network_socket(reports, family):
    assert reports["scanner"][f"{family} socket"] == "Address family not supported by protocol"


def test_the_scanner_sees_only_an_empty_loopback_and_reaches_no_server(reports):
    assert reports["scanner"]["interfaces"] == ["lo"]
    assert reports["scanner"]["connect to a server on this machine"] != "yes"


def test_without_the_family_filter_the_scanner_still_reaches_no_server(reports):
    opened = reports["scanner, families allowed"]
    assert opened["inet socket"] == "yes"
    assert opened["connect to a server on this machine"] != "yes"


def test_the_scanner_has_the_two_address_families_that_it_needs(reports):
    assert reports["scanner"]["unix socket"] == "yes"  # sd_notify, the journal
    assert reports["scanner"]["netlink socket"] == "yes"  # libcamera's enumeration


@pytest.mark.parametrize("kind", ["sync", "hub", "authority", "bridge"])
def test_the_network_services_have_no_other_address_family(reports, kind):
    assert reports[kind]["connect to a server on this machine"] == "yes"
    for family in ("packet", "bluetooth", "vsock", "netlink"):
        assert reports[kind][f"{family} socket"] == "Address family not supported by protocol"


@pytest.mark.parametrize("kind", ["sync", "hub", "enrolment", "authority", "bridge"])
def test_the_network_services_have_harmless_devices_only(reports, kind):
    assert not set(reports[kind]["devices"]) - set(HARMLESS.split())


@pytest.mark.parametrize("kind", ["scanner", "sync", "hub", "enrolment", "authority", "bridge"])
@pytest.mark.parametrize("act", ["writable code", "new namespace", "become root"])
def test_no_unit_can_leave_its_sandbox(reports, kind, act):
    assert reports[kind][act] != "yes"


@pytest.mark.parametrize("kind", ["scanner", "sync", "hub", "enrolment", "authority", "bridge"])
def test_the_system_is_read_only_to_every_unit(reports, kind):
    assert reports["control"]["write /etc"] == "yes"
    assert reports[kind]["write /etc"] == "Read-only file system"
    assert reports[kind]["write /usr"] == "Read-only file system"


@pytest.mark.parametrize("kind", ["scanner", "sync", "hub", "enrolment", "authority"])
def test_every_unit_runs_as_its_own_user_and_can_write_its_state(reports, kind):
    assert reports[kind]["uid"] != 0
    assert reports[kind]["write state"] == "yes"


def _parts_can_be_tried() -> bool:
    done = subprocess.run(
        [PYTHON, "-c", "import sys; print(sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() == str(sys.version_info[:2])


needs_same_python = pytest.mark.skipif(
    not Path(PYTHON).exists() or not _parts_can_be_tried(),
    reason=f"{PYTHON} is of another version than the libraries",
)


@needs_same_python
@pytest.mark.parametrize("kind", ["control", "scanner"])
def test_the_scanners_decoder_starts_its_processes_in_the_sandbox_and_reads_a_code(reports, kind):
    assert reports[kind]["decode"] == ["PROBE"]


@needs_same_python
@pytest.mark.parametrize("kind", ["scanner", "sync"])
def test_scanner_and_sync_can_read_the_boot_id(reports, kind):
    assert str(UUID(reports[kind]["boot"])) == reports[kind]["boot"]


def test_only_enrolment_service_and_site_authority_write_the_sites_folder(reports):
    assert reports["enrolment"]["write site"] == "yes"
    assert reports["authority"]["write site"] == "yes"
    for kind in ("scanner", "sync", "hub", "bridge"):
        assert reports[kind]["write site"] != "yes"


def test_only_the_hub_can_read_the_key_that_signs_orders(reports):
    assert reports["hub"]["read the order feed's key"] == "yes"
    assert reports["enrolment"]["read the order feed's key"] != "yes"
    assert reports["authority"]["read the order feed's key"] != "yes"
    assert reports["bridge"]["read the order feed's key"] != "yes"


def test_the_enrolment_service_has_ip_sockets_only(reports):
    for family in ("packet", "bluetooth", "vsock", "netlink"):
        assert (
            reports["enrolment"][f"{family} socket"] == "Address family not supported by protocol"
        )


def test_the_scanner_cannot_read_the_key_for_the_broker(reports):
    assert reports["control"]["list tls"] == "yes"
    assert reports["scanner"]["list tls"] != "yes"
    assert reports["sync"]["list tls"] == "yes"
