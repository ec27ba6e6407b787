"""Who this device is, in its sync process: takes codes from the scanner to the enrolment desk, and renews."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from edge.enrolment.handover import EnrolmentMailbox
from edge.store.database.store import StoreUnavailableError
from edge.store.opening import open_for_reading
from edge.store.time_floor import time_floor_s
from edge.system.program import StopSignal, run_until_signal
from edge.system.wall_clock import WallClock
from edge.token.roots import Roots
from edge.token.signed_document import Keyring
from edge.token.trust_list import TrustList
from edge.trust.anchors import NO_TRUST, Anchors
from edge.values.instant import Instant
from sync.agent.enrolment.client import EnrolmentError, enrol
from sync.agent.enrolment.renewal import Renewal

LOOK_EVERY_S: Final = 0.5
AGAIN_S: Final = 15.0  # after the desk could not be reached


class EnrolmentRunner:
    """``keys`` is what the device believes; None while it belongs to no fleet. Monotonic seconds."""

    def __init__(
        self,
        data: Path,
        *,
        keys: Callable[[], Keyring] | None,
        now: Callable[[], Instant],
        log: Any,
    ) -> None:
        self._data = data
        self._post = EnrolmentMailbox(data)
        self._keys = keys
        self._now = now
        self._log = log
        self._renewal = Renewal(data, now_s=lambda: now().unix_s, log=log)
        self._due_s = 0.0

    def step(self, monotonic_s: float) -> bool:
        """True when this device is somebody else than before, or has another certificate."""
        if monotonic_s < self._due_s:
            return False
        self._due_s = monotonic_s + LOOK_EVERY_S
        text = self._post.waiting()
        if text is None:
            return self._keys is not None and self._renewal.step(monotonic_s)
        return self._enrol(text, monotonic_s)

    def _enrol(self, text: str, monotonic_s: float) -> bool:
        try:
            identity = enrol(
                text, self._data, keys=None if self._keys is None else self._keys(), now=self._now()
            )
        except EnrolmentError as error:
            self._log.warning("not_enrolled", reason=error.reason, detail=error.detail)
            if error.again:
                self._due_s = (
                    monotonic_s + AGAIN_S
                )  # the code waits; it expires by itself, at the desk
            else:
                self._post.answer(text, enrolled=False, reason=error.reason, detail=error.detail)
            return False
        except (OSError, ValueError, KeyError) as error:
            self._log.error(
                "not_enrolled", reason="failed", detail=f"{type(error).__name__}: {error}"
            )
            self._post.answer(text, enrolled=False, reason="failed", detail=str(error))
            return False
        self._log.info("enrolled", dev=identity.device)
        self._post.answer(text, enrolled=True, reason="enrolled", detail=identity.device)
        return True


def wait_for_identity(
    data: Path,
    stop: StopSignal,
    log: Any,
    *,
    keys: Keyring | None = None,
    mended: Callable[[], bool] = lambda: False,
) -> bool:
    """Wait for the scanner to see an enrolment code, and enrol. False when asked to stop instead.

    ``keys``: what a device believes that was enrolled once; ``mended``: whether it can tell again who it is.
    """
    clock = WallClock(0)
    desk = EnrolmentRunner(
        data, keys=None if keys is None else lambda: keys, now=clock.now, log=log
    )

    def step() -> bool:
        if desk.step(time.monotonic()) or mended():
            return True
        time.sleep(LOOK_EVERY_S)
        return False

    return not run_until_signal(step, stop)


def believed(data: Path, roots: Roots | str) -> TrustList:
    """What a device that cannot tell who it is believes still: its fleet's list. Nobody else may take it over."""
    if isinstance(roots, str):
        return NO_TRUST
    try:
        with closing(open_for_reading(data)) as store:
            anchors = Anchors(store, roots)
            anchors.refresh(WallClock(time_floor_s(store)).now())
            return anchors.trust
    except StoreUnavailableError:
        return NO_TRUST
