"""The scanner's loop: the newest frame, its codes, their verdicts, the lamps and the doors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from structlog.typing import FilteringBoundLogger

from edge.capture.scan_engine import EngineScan
from edge.decode.hold_off import HoldOff
from edge.domain.exception_case import ExceptionKind
from edge.feedback.aiming_hint import AimingHint
from edge.feedback.result_display import ResultDisplay
from edge.feedback.signals import signal_for
from edge.pickup.pickups import DoorChange, Pickups
from edge.ports import NO_QUAD, Clock, Decoder, Frame, FrameSource, Hint, Signal, Symbol
from edge.redemption.redeemer import Redemption
from edge.scanner.code_socket import CodeSocket, HandedCode
from edge.scanner.supervisor import Supervisor
from edge.scanner.verdict_budget import VerdictBudget
from edge.store.database.store import StoreUnavailableError
from edge.system.program import Stop
from edge.token.dynamic_code import has_token_prefix
from edge.values.instant import Instant

ENROLMENT_CODE: Final[dict[str, Any]] = {  # what becomes of one is shown later
    "reason": "enrolment_code",
    "accepted": False,
    "ledger": None,
    "doors": [],
    "detail": "handed to edge-sync",
}
FRAME_WAIT_S = 0.05  # without a frame, the doors are looked at this often


class LiveDecoding(Decoder, Protocol):
    """A decoder of one camera's frames that can say why a code in view is not read."""

    @property
    def hint(self) -> Hint | None:
        """Return why a code in the last frame was not read; None where no such code was seen."""
        ...


class CodeFeed(Protocol):
    """A scan engine: a source of codes beside the camera."""

    def poll(self) -> list[EngineScan]:
        """Return the codes since the last call that are still fresh, oldest first."""
        ...


class ScanHandler(Protocol):
    """What decides on a code."""

    def handle(self, content: bytes, now: Instant, *, decode_ms: float | None = None) -> Redemption:
        """Return the outcome of the code ``content``, on disk."""
        ...


@dataclass(slots=True)
class Daemon:
    """One scanner at work. ``pickups`` None: there is no store, so no lock is ever pulsed."""

    frames: FrameSource
    decoder: LiveDecoding
    hold_off: HoldOff
    handler: ScanHandler
    pickups: Pickups | None
    display: ResultDisplay
    clock: Clock
    supervisor: Supervisor
    log: FilteringBoundLogger
    engines: tuple[CodeFeed, ...] = ()
    handed: CodeSocket | None = None  # codes from programs
    # Called between steps; may set ``supervisor.finished``.
    after_step: Callable[[Daemon], None] | None = None
    # Returns the device that an enrolment code names; None for every other code.
    offer_enrolment_code: Callable[[bytes], str | None] | None = None
    # Called after each frame with whether it was read: how to expose the next.
    meter: Callable[[Frame, bool], None] | None = None
    budget: VerdictBudget = field(default_factory=VerdictBudget)
    # An engine reports a code once: what the camera sees must not cost it its verdict.
    engine_budget: VerdictBudget = field(default_factory=VerdictBudget)
    aiming: AimingHint = field(default_factory=AimingHint)
    recovered: bool = False  # the doors that a crash or power cut left open are accounted for

    def run(self, stop: Stop) -> None:
        """Scan until ``stop`` is set, the frames have ended or only a restart can help."""
        self.log.info("started", problems=self.supervisor.problems)
        while not stop.is_set() and not self.supervisor.finished:
            self.step()
        self.log.info("stopped", why=self.supervisor.finished or "asked to")

    def step(self) -> None:
        """Handle the doors, then a frame if there is one, the lamps and the supervision.

        Doors come first: a code of the first frame opens none before those that a crash left open
        are accounted for.
        """
        if self.pickups is not None:
            self._follow_doors(self.pickups)
        frame = self.frames.next_frame(FRAME_WAIT_S)
        if frame is not None:
            self._decode(frame)
        for engine in self.engines:
            for scanned in engine.poll():
                self._handle_engine_scan(scanned)
        for code in () if self.handed is None else self.handed.poll():
            self._handle_handed(code)
        self.supervisor.tick()
        self.display.show_idle(self.supervisor.resting_signal, self.clock.monotonic_s())
        if self.after_step is not None:
            self.after_step(self)

    @property
    def serving(self) -> bool:
        """Return whether a person is being served: a result is shown or a door is open."""
        doors = self.pickups is not None and bool(self.pickups.in_progress)
        return doors or self.display.is_showing_result(self.clock.monotonic_s())

    def _decode(self, frame: Frame) -> None:
        started_s = self.clock.monotonic_s()
        symbols = self.decoder.decode(frame.grey)
        decode_ms = (self.clock.monotonic_s() - started_s) * 1000
        now_s = self.clock.monotonic_s()
        if self.meter is not None:
            self.meter(frame, bool(symbols))
        self.supervisor.advise(self.aiming.update(None if symbols else self.decoder.hint, now_s))
        # One of ours first: its lamp waits for no other verdict.
        ours_first = sorted(symbols, key=lambda symbol: not has_token_prefix(symbol.content))
        for symbol in self._fresh(ours_first, now_s, self.budget):
            self._scan(symbol, frame.captured_ns, decode_ms)

    def _fresh(
        self, symbols: Sequence[Symbol], now_s: float, budget: VerdictBudget
    ) -> list[Symbol]:
        """Return the codes to judge now. The others of a crowded frame wait for the next one."""
        fresh = self.hold_off.fresh(symbols, now_s, most=budget.allowance(now_s))
        budget.spend(len(fresh))
        return fresh

    def _handle_engine_scan(self, scanned: EngineScan) -> None:
        now_s = self.clock.monotonic_s()
        fresh = self._fresh([scanned.symbol], now_s, self.engine_budget)
        self.hold_off.fresh((), now_s)  # an engine reports a code once: it is out of view again
        for symbol in fresh:
            self._scan(symbol, scanned.read_ns, None)

    def _handle_handed(self, code: HandedCode) -> None:
        """Judge a code that a program handed over. Each one counts: there is no hold-off."""
        symbol = Symbol(content=code.content, quad=NO_QUAD, decoder="handed")
        outcome = self._scan(symbol, int(self.clock.monotonic_s() * 1e9), None)
        code.reply(ENROLMENT_CODE if outcome is None else outcome.summary())

    def _scan(self, symbol: Symbol, seen_ns: int, decode_ms: float | None) -> Redemption | None:
        """Decide on a code. Show the outcome, and pulse a lock, only once it is on disk.

        These are laws 1 and 5 of docs/architecture.md. Return None for an enrolment code.
        """
        offer = self.offer_enrolment_code
        if offer is not None and (device := offer(symbol.content)) is not None:
            # Anyone can print one: nothing here has verified its signature.
            self.display.show_result(Signal.WAIT, self.clock.monotonic_s(), ours=False)
            self.log.info("enrolment_code", names=device)
            return None
        outcome = self.handler.handle(symbol.content, self.clock.now(), decode_ms=decode_ms)
        signal = signal_for(outcome.reason)
        self.display.show_result(
            signal, self.clock.monotonic_s(), ours=outcome.is_ours, seen_ns=seen_ns
        )
        total_ms = self.clock.monotonic_s() * 1000 - seen_ns / 1e6
        if outcome.intents and self.pickups is not None and self.recovered:
            self._report_doors(
                self.pickups.begin(outcome.intents, self.clock.monotonic_s(), self.clock.now())
            )
        self._log_scan(outcome, symbol, signal, decode_ms, total_ms)
        self.supervisor.scanned(outcome, total_ms, signal)
        return outcome

    def _follow_doors(self, pickups: Pickups) -> None:
        """Account once for what a crash left open, by the contacts; then advance the doors."""
        if not self.recovered:
            try:
                self._report_doors(pickups.recover(self.clock.monotonic_s(), self.clock.now()))
            except StoreUnavailableError:
                return  # the next step continues where this one stopped
            self.recovered = True
        self._report_doors(pickups.tick(self.clock.monotonic_s(), self.clock.now()))

    def _report_doors(self, changes: list[DoorChange]) -> None:
        for item in changes:
            if item.raised is not None:
                # Nothing is broken where the order was withdrawn.
                withdrawn = item.raised is ExceptionKind.BUSINESS_RULE
                self.display.show_result(
                    Signal.STOP if withdrawn else Signal.FAULT, self.clock.monotonic_s()
                )
            self.log.info(
                "door",
                compartment=item.compartment,
                state=item.state.value,
                detail=item.detail,
                exception=item.raised and item.raised.value,
                remaining=item.remaining,
            )

    def _log_scan(
        self,
        outcome: Redemption,
        symbol: Symbol,
        signal: Signal,
        decode_ms: float | None,
        total_ms: float,
    ) -> None:
        claims = outcome.claims
        self.log.info(
            "scan",
            reason=outcome.reason.value,
            detail=outcome.detail,
            signal=signal.value,
            cti=claims.cti.hex() if claims else None,
            order=claims.order_id if claims else None,
            kind=claims.kind.code if claims else None,
            ledger=outcome.ledger_id,
            decoder=symbol.decoder,
            decode_ms=None if decode_ms is None else round(decode_ms, 2),
            total_ms=round(total_ms, 2),
        )
