"""``edge-scanner demo``: the whole system on this machine, and a comparison of both ledgers."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from edge.capture import picture_files
from edge.domain.verdict import Verdict
from edge.feedback.result_messages import message_for
from edge.feedback.signals import Reason
from edge.ports import Signal
from edge.token.rejection import Rejection
from hardware_sim.demo import script
from hardware_sim.demo.script import DemoStep
from hardware_sim.run.process_stack import ProcessStack, ProcessStackError, start_stack
from hardware_sim.world import sample_platform
from hardware_sim.world.ledger_comparison import Difference, compare

_LAMPS: Final = {
    Signal.GO: ("green", "● GO   "),
    Signal.WAIT: ("yellow", "● WAIT "),
    Signal.STOP: ("red", "● STOP "),
    Signal.FAULT: ("magenta", "● FAULT"),
}
_READ_TIMEOUT_S: Final = 8.0
_PAUSE_S: Final = 0.9  # longer than the profile's hold-off: the same code is scanned again
_TITLE_COLUMNS: Final = 55
_PICTURE_TIMEOUT_S: Final = 2.0
_CAMERA_DURATION_S: Final = 60.0


@click.command()
@click.option("--fast", is_flag=True, help="Do not pause between the steps.")
@click.option(
    "--images",
    type=click.Path(exists=True, path_type=Path),
    metavar="DIR",
    help="Show the pictures in DIR, too.",
)
@click.option(
    "--camera",
    type=click.IntRange(0, 31),
    metavar="N",
    help="Scan with V4L2 camera N for a minute.",
)
def demo(fast: bool, images: Path | None, camera: int | None) -> None:
    """Run the whole system here: simulated hardware, and a real broker, hub and sync.

    At the end it compares the device's ledger with the hub's, row by row. Exit code 0 only if they
    agree.

    Example: edge-scanner demo --fast
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the child processes, too
    try:
        with _work_folder() as folder:
            sys.exit(0 if _Demo(folder, fast=fast, camera=camera).run(images) else 1)
    except ProcessStackError as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def _work_folder() -> Iterator[Path]:
    """Make a folder that is removed after a successful run, and named after a failed one."""
    folder = Path(tempfile.mkdtemp(prefix="edge-scanner-demo-"))
    try:
        yield folder
    except SystemExit as end:
        if end.code == 0:
            _remove(folder)
        else:
            click.echo(f"logs and stores are kept in {folder}", err=True)
        raise
    except BaseException:
        click.echo(f"logs and stores are kept in {folder}", err=True)
        raise


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


class _Demo:
    """One run of the demonstration."""

    def __init__(self, folder: Path, *, fast: bool, camera: int | None) -> None:
        self._sample = sample_platform.provision_sample(
            folder, now_s=int(time.time()), camera_index=camera
        )
        self._pause_s = 0.0 if fast else 0.8
        self._camera = camera
        self._failures: list[str] = []

    def run(self, images: Path | None) -> bool:
        """Run every step. Return True when all results are as expected and the ledgers agree."""
        _print_step(
            "starting the MQTT broker (TLS), the hub, edge-sync and the scanner",
            "正在启动 MQTT 代理（TLS）、中心、同步程序和扫描器",
        )
        with start_stack(self._sample, real_camera=self._camera is not None) as stack:
            stack.wait_until("the first sync", problem="no_trust_list")
            _print_step(
                f"{self._wait_for_orders(stack)} orders and the signed lists have arrived",
                "订单和签名名单已送达设备",
            )
            if self._camera is not None:
                self._scan_with_camera(stack)
            else:
                self._run_steps(stack)
            if images is not None and self._camera is None:
                self._show_pictures(stack, images)
            stack.wait_until("the last acknowledgement")
            _print_step("the hub has acknowledged every event", "中心已确认全部事件")
            agree = self._report_ledgers(*compare_ledgers(stack))
        for line in self._failures:
            click.secho(f"not as expected: {line}", fg="red")
        return agree and not self._failures

    def _wait_for_orders(self, stack: ProcessStack) -> int:
        sold = len(self._sample.orders.read_text(encoding="utf-8").splitlines())
        for _ in range(100):
            if (count := stack.orders()) == sold:
                return count
            time.sleep(0.1)
        raise ProcessStackError("the orders did not arrive within 10 s; see sync.log and hub.log")

    def _run_steps(self, stack: ProcessStack) -> None:
        for step in script.ONLINE:
            self._show(stack, step)
        stack.wait_until("the acknowledgement of these events")
        _print_step("the broker is stopped: the device is offline", "代理已停止：设备离线")
        stack.broker.stop()
        for step in script.OFFLINE:
            self._show(stack, step)
        waiting = (stack.health().get("outbox") or {}).get("pending")
        _print_step(
            f"{waiting} events wait in the outbox; the broker starts again",
            f"发件箱中有 {waiting} 个事件等待发送；代理重新启动",
        )
        stack.broker.start()

    def _show(self, stack: ProcessStack, step: DemoStep) -> None:
        stack.scanner.send(show=self._sample.codes[step.code], condition=step.condition)
        scan = stack.scanner.wait_for("scan", _READ_TIMEOUT_S)
        stack.scanner.send(clear=True)
        title = f"{step.zh} {step.en} [{step.condition}]"
        if scan is None:
            click.secho(f"  {_padded(title, _TITLE_COLUMNS)} not read", fg="red")
            self._failures.append(f"{title}: not read")
            return
        _print_scan(title, scan)
        if scan["reason"] != step.expected.value:
            self._failures.append(f"{title}: {scan['reason']} instead of {step.expected.value}")
        if scan["kind"] == "pickup" and scan["signal"] == Signal.GO.value:
            self._watch_door(stack)
        time.sleep(max(_PAUSE_S, self._pause_s))

    def _watch_door(self, stack: ProcessStack) -> None:
        for state in ("opened", "collected"):
            event = stack.scanner.wait_for("door", _READ_TIMEOUT_S, state=state)
            if event is None:
                self._failures.append(f"the door was not {state}")
                return
            click.echo(f"      door {event['compartment']}: {state}")

    def _show_pictures(self, stack: ProcessStack, folder: Path) -> None:
        paths = list(picture_files.find([folder]))
        _print_step(f"{len(paths)} pictures from {folder}", f"{len(paths)} 张图片")
        for path in paths:
            try:
                picture_files.load(path)
            except picture_files.UnreadablePictureError as error:
                click.echo(f"  {path.name}: {error}")
                continue
            stack.scanner.send(picture=str(path))
            scan = stack.scanner.wait_for("scan", _PICTURE_TIMEOUT_S)
            stack.scanner.send(clear=True)
            if scan is None:
                click.echo(f"  {_padded(path.name, _TITLE_COLUMNS)} no code read")
            else:
                _print_scan(path.name, scan)
            time.sleep(_PAUSE_S)

    def _scan_with_camera(self, stack: ProcessStack) -> None:
        codes = self._sample.data.parent / "codes"
        _write_codes(codes, self._sample.codes)
        _print_step(
            f"show the codes in {codes} to camera {self._camera}; Ctrl-C ends",
            "请将二维码对准摄像头；按 Ctrl-C 结束",
        )
        deadline = time.monotonic() + _CAMERA_DURATION_S
        try:
            while time.monotonic() < deadline:
                if scan := stack.scanner.wait_for("scan", 1.0):
                    _print_scan("", scan)
                elif why := (stack.health().get("problems") or {}).get("camera"):
                    raise ProcessStackError(f"no pictures from camera {self._camera}: {why}")
        except KeyboardInterrupt:
            click.echo("")

    def _report_ledgers(self, rows: list[dict[str, Any]], differences: list[Difference]) -> bool:
        """Print each ledger row and difference. Return whether the ledgers agree."""
        _print_step("comparing the device's ledger with the hub's", "逐行核对设备账本与中心账本")
        for row in rows:
            same = not any(difference.seq == row["seq"] for difference in differences)
            mark = click.style("=", fg="green") if same else click.style("≠", fg="red")
            click.echo(
                f"  seq {row['seq']:>3} {mark} {row['order']:<8} {row['kind']:<10} {row['verdict']}"
            )
        for difference in differences:
            click.secho(f"  {difference}", fg="red")
        verdict = (
            "the ledgers agree 账本一致" if not differences else "THE LEDGERS DIFFER 账本不一致"
        )
        click.secho(
            f"{len(rows)} redemptions: {verdict}", bold=True, fg="red" if differences else "green"
        )
        return not differences


def compare_ledgers(stack: ProcessStack) -> tuple[list[dict[str, Any]], list[Difference]]:
    """Return the device's ledger rows, and how the hub's differ."""
    device = stack.query("edge-scanner", "ledger", "--data", str(stack.sample.data))
    hub = stack.query("edge-hub", "ledger", "--config", str(stack.sample.files.hub_config))
    return device, compare(device, hub)


def _write_codes(folder: Path, codes: Any) -> None:
    import segno

    folder.mkdir()
    for name, code in codes.items():
        segno.make(code, error="m", micro=False).save(str(folder / f"{name}.png"), scale=6)


def _print_scan(title: str, scan: dict[str, Any]) -> None:
    reason = _reason(scan["reason"])
    message = message_for(reason)
    colour, lamp = _LAMPS[Signal(scan["signal"])]
    latency = f"decode {scan['decode_ms']:6.1f} ms  frame to lamp {scan['total_ms']:6.1f} ms"
    click.echo(
        f"  {_padded(title, _TITLE_COLUMNS)} {click.style(lamp, fg=colour)} "
        f"{_padded(scan['reason'], 24)} {latency}\n"
        f"      {message.zh} · {message.en}"
    )


def _reason(code: str) -> Reason:
    return Verdict(code) if code in set(Verdict) else Rejection(code)


def _padded(text: str, width: int) -> str:
    """Return ``text`` padded to ``width`` columns; a Chinese character takes two."""
    columns = sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
    return text + " " * max(0, width - columns)


def _print_step(en: str, zh: str) -> None:
    click.secho(f"— {zh} · {en}", fg="cyan")
