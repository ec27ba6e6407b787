"""Enrolment in the sync process: carries codes from the scanner to the service, and renews."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from edge.enrolment.handover import EnrolmentMailbox
from edge.store.database.store import StoreUnavailableError
from edge.store.opening import open_for_reading
from edge.store.time_floor import time_floor_s
from edge.system.program import Stop, run_until_signal
from edge.system.wall_clock import WallClock
from edge.token.roots import Roots
from edge.token.signed_document import Keyring
from edge.token.trust_list import TrustList
from edge.trust.anchors import NO_TRUST, Anchors
from edge.values.instant import Instant
from sync.agent.enrolment.enrolment import enrol
from sync.agent.enrolment.enrolment_error import EnrolmentError
from sync.agent.enrolment.renewal import Renewal

LOOK_EVERY_S: Final = 0.5
RETRY_S: Final = 15.0  # after the service could not be reached


class EnrolmentRunner:
    """Enrols and renews. ``keys`` is what the device trusts; None without a fleet."""

    def __init__(
        self,
        data: Path,
        *,
        keys: Callable[[], Keyring] | None,
        now: Callable[[], Instant],
        log: FilteringBoundLogger,
    ) -> None:
        self._data = data
        self._mailbox = EnrolmentMailbox(data)
        self._keys = keys
        self._now = now
        self._log = log
        self._renewal = Renewal(data, now_s=lambda: now().unix_s, log=log)
        self._due_s = 0.0

    def step(self, monotonic_s: float) -> bool:
        """Do what is due. True when this device has another identity or certificate than before."""
        if monotonic_s < self._due_s:
            return False
        self._due_s = monotonic_s + LOOK_EVERY_S
        text = self._mailbox.read_code()
        if text is None:
            return self._keys is not None and self._renewal.step(monotonic_s)
        return self._enrol(text, monotonic_s)

    def _enrol(self, text: str, monotonic_s: float) -> bool:
        keys = None if self._keys is None else self._keys()
        try:
            identity = enrol(text, self._data, keys=keys, now=self._now())
        except EnrolmentError as error:
            self._log.warning("not_enrolled", reason=error.reason, detail=error.detail)
            if error.again:
                # The code waits. The service decides when it has expired.
                self._due_s = monotonic_s + RETRY_S
            else:
                self._reply(text, enrolled=False, reason=error.reason, detail=error.detail)
            return False
        except (OSError, ValueError, KeyError) as error:
            detail = f"{type(error).__name__}: {error}"
            self._log.error("not_enrolled", reason="failed", detail=detail)
            self._reply(text, enrolled=False, reason="failed", detail=str(error))
            return False
        self._log.info("enrolled", dev=identity.device)
        self._reply(text, enrolled=True, reason="enrolled", detail=identity.device)
        return True

    def _reply(self, text: str, *, enrolled: bool, reason: str, detail: str) -> None:
        self._mailbox.write_outcome(text, enrolled=enrolled, reason=reason, detail=detail)


def wait_for_identity(
    data: Path,
    stop: Stop,
    log: FilteringBoundLogger,
    *,
    keys: Keyring | None = None,
    repaired: Callable[[], bool] = lambda: False,
) -> bool:
    """Wait for the scanner to see an enrolment code, and enrol. False when asked to stop instead.

    ``keys``: what a device trusts that was enrolled once; ``repaired``: it needs no code any
    more.
    """
    clock = WallClock(0)
    runner = EnrolmentRunner(
        data, keys=None if keys is None else lambda: keys, now=clock.now, log=log
    )

    def step() -> bool:
        if runner.step(time.monotonic()) or repaired():
            return True
        time.sleep(LOOK_EVERY_S)
        return False

    return not run_until_signal(step, stop)


def trusted_keys(data: Path, roots: Roots | None) -> TrustList:
    """Return the trust list of a device whose identity is damaged: no other fleet may enrol it."""
    if roots is None:
        return NO_TRUST
    try:
        with closing(open_for_reading(data)) as store:
            anchors = Anchors(store, roots)
            anchors.refresh(WallClock(time_floor_s(store)).now())
            return anchors.trust
    except StoreUnavailableError:
        return NO_TRUST
