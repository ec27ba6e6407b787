"""``edge-scanner demo``: the whole system on this machine, ending with the two ledgers held against each other."""

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
from hardware_sim.run.process_stack import ProcessStack, ProcessStackError, set_up
from hardware_sim.world import sample_platform
from hardware_sim.world.ledger_comparison import Difference, compare

_LAMPS: Final = {
    Signal.GO: ("green", "● GO   "),
    Signal.WAIT: ("yellow", "● WAIT "),
    Signal.STOP: ("red", "● STOP "),
    Signal.FAULT: ("magenta", "● FAULT"),
}
_READ_S: Final = 8.0  # a code that is not read within this long is not read
_AWAY_S: Final = 0.9  # longer than the profile's hold-off: the same code counts again
_PICTURE_S: Final = 2.0
_CAMERA_S: Final = 60.0


@click.command()
@click.option("--fast", is_flag=True, help="No pauses for reading along.")
@click.option(
    "--images",
    type=click.Path(exists=True, path_type=Path),
    metavar="DIR",
    help="Show the pictures in DIR as well.",
)
@click.option(
    "--camera",
    type=click.IntRange(0, 31),
    metavar="N",
    help="Scan with V4L2 camera N for a minute.",
)
def demo(fast: bool, images: Path | None, camera: int | None) -> None:
    """Run the whole system here: simulated hardware, a real broker, hub and sync.

    Ends by holding the device's ledger against the hub's, row by row; exit 0 only if they agree.

    Example: edge-scanner demo --fast
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # its processes end with it
    try:
        with _folder() as folder:
            sys.exit(0 if _Demo(folder, fast=fast, camera=camera).play(images) else 1)
    except ProcessStackError as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that is gone after a good run, and stays, named, after a bad one."""
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
    def __init__(self, folder: Path, *, fast: bool, camera: int | None) -> None:
        self._town = sample_platform.provision_sample(
            folder, now_s=int(time.time()), camera_index=camera
        )
        self._pause_s = 0.0 if fast else 0.8
        self._camera = camera
        self._wrong: list[str] = []

    def play(self, images: Path | None) -> bool:
        """Run every act; True when all came as expected and the ledgers agree."""
        _say(
            "Mosquitto with TLS, the hub, edge-sync and the scanner start",
            "启动代理、中心、同步与扫描器",
        )
        with set_up(self._town, real_camera=self._camera is not None) as stage:
            stage.wait_until("the first sync", problem="no_trust_list")
            _say(
                f"{self._first_orders(stage)} orders and the signed lists have arrived",
                "订单与签名名单已到达",
            )
            if self._camera is not None:
                self._live(stage)
            else:
                self._acts(stage)
            if images is not None and self._camera is None:
                self._pictures(stage, images)
            _say("every event is acknowledged by the hub", "全部事件已获中心确认")
            stage.wait_until("the last acknowledgement")
            agree = self._settle(compare_stage(stage))
        for line in self._wrong:
            click.secho(f"not as expected: {line}", fg="red")
        return agree and not self._wrong

    def _first_orders(self, stage: ProcessStack) -> int:
        sold = len(self._town.orders.read_text(encoding="utf-8").splitlines())
        for _ in range(100):
            if (count := stage.orders()) == sold:
                return count
            time.sleep(0.1)
        raise ProcessStackError("the orders did not arrive; see sync.log and hub.log")

    def _acts(self, stage: ProcessStack) -> None:
        for showing in script.ONLINE:
            self._show(stage, showing)
        stage.wait_until("the acknowledgement of all this")
        _say("the broker is stopped: no network", "代理已停止：断网")
        stage.broker.stop()
        for showing in script.OFFLINE:
            self._show(stage, showing)
        waiting = (stage.health().get("outbox") or {}).get("pending")
        _say(
            f"{waiting} events wait in the outbox; the broker starts again",
            "事件在发件箱等待；代理恢复",
        )
        stage.broker.start()

    def _show(self, stage: ProcessStack, showing: DemoStep) -> None:
        stage.scanner.tell(show=self._town.codes[showing.code], condition=showing.condition)
        scan = stage.scanner.wait_for("scan", _READ_S)
        stage.scanner.tell(clear=True)
        title = f"{showing.zh} {showing.en} [{showing.condition}]"
        if scan is None:
            click.secho(f"  {_padded(title, 52)} not read", fg="red")
            self._wrong.append(f"{title}: not read")
            return
        _print_scan(title, scan)
        if scan["reason"] != showing.expected.value:
            self._wrong.append(f"{title}: {scan['reason']} instead of {showing.expected.value}")
        if scan["kind"] == "pickup" and scan["signal"] == Signal.GO.value:
            self._watch_door(stage)
        time.sleep(max(_AWAY_S, self._pause_s))

    def _watch_door(self, stage: ProcessStack) -> None:
        for state in ("opened", "collected"):
            news = stage.scanner.wait_for("door", _READ_S, state=state)
            if news is None:
                self._wrong.append(f"the door was not {state}")
                return
            click.echo(f"      door {news['compartment']}: {state}")

    def _pictures(self, stage: ProcessStack, folder: Path) -> None:
        paths = list(picture_files.find([folder]))
        _say(f"{len(paths)} pictures from {folder}", "真实照片")
        for path in paths:
            try:
                picture_files.load(path)
            except picture_files.UnreadablePictureError as error:
                click.echo(f"  {path.name}: {error}")
                continue
            stage.scanner.tell(picture=str(path))
            scan = stage.scanner.wait_for("scan", _PICTURE_S)
            stage.scanner.tell(clear=True)
            if scan is None:
                click.echo(f"  {_padded(path.name, 52)} no code read")
            else:
                _print_scan(path.name, scan)
            time.sleep(_AWAY_S)

    def _live(self, stage: ProcessStack) -> None:
        codes = self._town.data.parent / "codes"
        _write_codes(codes, self._town.codes)
        _say(f"show the codes in {codes} to camera {self._camera}; Ctrl-C ends", "请出示二维码")
        deadline = time.monotonic() + _CAMERA_S
        try:
            while time.monotonic() < deadline:
                if scan := stage.scanner.wait_for("scan", 1.0):
                    _print_scan("", scan)
                elif why := (stage.health().get("problems") or {}).get("camera"):
                    raise ProcessStackError(f"no pictures from camera {self._camera}: {why}")
        except KeyboardInterrupt:
            click.echo("")

    def _settle(self, differences: tuple[list[dict[str, Any]], list[Difference]]) -> bool:
        rows, wrong = differences
        _say("the device's ledger against the hub's", "设备账本与中心账本逐行核对")
        for row in rows:
            same = not any(difference.seq == row["seq"] for difference in wrong)
            mark = click.style("=", fg="green") if same else click.style("≠", fg="red")
            click.echo(
                f"  seq {row['seq']:>3} {mark} {row['order']:<8} {row['kind']:<10} {row['verdict']}"
            )
        for difference in wrong:
            click.secho(f"  {difference}", fg="red")
        verdict = "the ledgers agree 账本一致" if not wrong else "THE LEDGERS DIFFER 账本不一致"
        click.secho(
            f"{len(rows)} redemptions: {verdict}", bold=True, fg="red" if wrong else "green"
        )
        return not wrong


def compare_stage(stage: ProcessStack) -> tuple[list[dict[str, Any]], list[Difference]]:
    """The device's ledger rows, and how the hub's differ."""
    device = stage.ask("edge-scanner", "ledger", "--data", str(stage.town.data))
    hub = stage.ask("edge-hub", "ledger", "--config", str(stage.town.files.hub_config))
    return device, compare(device, hub)


def _write_codes(folder: Path, codes: Any) -> None:
    import segno

    folder.mkdir()
    for name, code in codes.items():
        segno.make(code, error="m", micro=False).save(str(folder / f"{name}.png"), scale=6)


def _print_scan(title: str, scan: dict[str, Any]) -> None:
    reason = _reason(scan["reason"])
    words = message_for(reason)
    colour, lamp = _LAMPS[Signal(scan["signal"])]
    latency = f"decode {scan['decode_ms']:6.1f} ms  frame to lamp {scan['total_ms']:6.1f} ms"
    click.echo(
        f"  {_padded(title, 52)} {click.style(lamp, fg=colour)} {_padded(scan['reason'], 24)} {latency}\n"
        f"      {words.zh} · {words.en}"
    )


def _reason(code: str) -> Reason:
    return Verdict(code) if code in set(Verdict) else Rejection(code)


def _padded(text: str, width: int) -> str:
    """``text`` filled up to ``width`` columns; a Chinese character takes two."""
    columns = sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
    return text + " " * max(0, width - columns)


def _say(en: str, zh: str) -> None:
    click.secho(f"— {zh} · {en}", fg="cyan")
