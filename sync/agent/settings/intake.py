"""Pushed settings as they come: read, held against what was seen, and kept on disk layer by layer.

Every step is on disk before it is taken. A document that cannot be taken now, but may be later, waits here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from edge.documents.settings import (
    DeviceScope,
    SettingsDocument,
    SettingsFault,
    SettingsRefusal,
    open_settings,
    reread_settings,
)
from edge.settings import state_machine as states
from edge.settings.folder import SettingsFolder
from edge.settings.state_machine import (
    MOST_TRIALS,
    SettingsPhase,
    SettingsProblem,
    SettingsState,
    resting,
    settled,
)
from edge.system.durable_file import digest_of
from edge.token import cbor
from edge.token.rejection import InputRefused
from edge.token.signed_document import DocumentFault, Keyring
from edge.values.instant import Instant
from sync.agent.enrolment.revocation import RevocationHandler
from sync.wire.messages import MessageFault

MOST_DOCUMENTS: Final = 16  # in one message
RETRY_S: Final = 5.0  # documents that wait for a key or for their time are looked at again
_MAY_COME_RIGHT: Final = {
    DocumentFault.KEY_UNKNOWN,
    DocumentFault.KEY_WINDOW,
    SettingsFault.TOO_EARLY,
}


class SettingsIntake:
    """One device's, in its sync process. ``leaver`` is asked first: an order to leave comes on the same topic."""

    def __init__(
        self,
        folder: SettingsFolder,
        *,
        me: DeviceScope,
        keys: Callable[[], Keyring],
        log: Any,
        leaver: RevocationHandler | None,
    ) -> None:
        self._folder = folder
        self._me = me
        self._keys = keys
        self._log = log
        self._leaver = leaver
        self._waiting: OrderedDict[str, bytes] = OrderedDict()
        self._retry_due_s = 0.0
        self.refused: OrderedDict[str, SettingsRefusal] = (
            OrderedDict()
        )  # the last ones, by their hash
        self.refusals = 0  # how many there ever were
        self.has_news = False  # a document was kept that nobody has looked at

    def take(self, payload: bytes, now: Instant) -> None:
        """Take what came on a ``dn/cfg`` topic: a CBOR array of signed documents. Raises OSError for the disk."""
        try:
            items = cbor.decode(payload, cbor.DOCUMENT_LIMITS)
        except InputRefused as refused:
            self._log.warning(
                "message_refused", reason=str(MessageFault.NOT_CBOR), detail=str(refused)
            )
            return
        if (
            not isinstance(items, list)
            or len(items) > MOST_DOCUMENTS
            or not all(type(item) is bytes for item in items)
        ):
            detail = f"settings come as an array of at most {MOST_DOCUMENTS} byte strings"
            self._log.warning(
                "message_refused", reason=str(MessageFault.WRONG_SHAPE), detail=detail
            )
            return
        for raw in items:
            self._offer(raw, now)

    def retry(self, now: Instant, monotonic_s: float) -> None:
        """Look again at what waits, when that is due. Raises OSError for the disk."""
        if self._waiting and monotonic_s >= self._retry_due_s:
            self._retry_due_s = monotonic_s + RETRY_S
            waiting, self._waiting = self._waiting, OrderedDict()
            for raw in waiting.values():
                self._offer(raw, now)

    def _offer(self, raw: bytes, now: Instant) -> None:
        if self._leaver is not None and self._leaver(raw, now):
            return
        digest = digest_of(raw)
        with self._folder.locked() as state:
            if state.has_denied(digest) or digest in self.refused or _is_seen(state, digest):
                return
            if state.phase.on_trial:
                self._wait(digest, raw)  # one at a time
                return
            document = self._kept(raw, digest, state, now)
        if document is not None:
            self._log.info("settings_received", layer=document.key, rev=document.rev, hash=digest)

    def _kept(
        self, raw: bytes, digest: str, state: SettingsState, now: Instant
    ) -> SettingsDocument | None:
        """Read ``raw`` and put it on disk; None when it is not taken. The caller holds the lock."""
        before = settled(state)
        begun = states.begin(state, SettingsPhase.RECEIVED, working=digest)
        if begun.trials > MOST_TRIALS:
            wrong = SettingsProblem(
                "", f"{SettingsFault.POISON}: reading it ended the process {MOST_TRIALS} times"
            )
            self._folder.keep(states.refuse(before, [wrong], denied=[digest]))
            return None
        self._folder.keep(begun)
        outcome = self._read(raw, digest, now)
        if isinstance(outcome, SettingsRefusal):
            self._folder.keep(before)
            self._note_refusal(outcome, digest, raw)
            return None
        self._folder.keep(replace(begun, phase=SettingsPhase.VERIFIED))
        self._folder.keep_document(outcome.key, raw)
        seen = {**(state.seen or {}), outcome.key: (outcome.rev, digest)}
        phase = before.phase if before.phase is SettingsPhase.STAGED else resting(before)
        self._folder.keep(replace(before, phase=phase, wrong=(), seen=seen))
        self.has_news = True
        return outcome

    def _read(self, raw: bytes, digest: str, now: Instant) -> SettingsDocument | SettingsRefusal:
        document = open_settings(raw, self._keys(), now=now, me=self._me)
        if isinstance(document, SettingsRefusal):
            return document
        rev, kept = self._highest(document.key)
        if document.rev < rev:
            return SettingsRefusal(
                SettingsFault.ROLLBACK, f"{document.key} rev {document.rev}, {rev} was seen"
            )
        if document.rev == rev and kept != digest:
            return SettingsRefusal(
                SettingsFault.EQUIVOCATION, f"{document.key} rev {rev} was seen with other content"
            )
        return document

    def _highest(self, key: str) -> tuple[int, str]:
        """The highest rev seen of a layer, by the state and, should that be lost, by the document itself."""
        seen = (self._folder.state().seen or {}).get(key, (0, ""))
        raw = self._folder.documents().get(key)
        document = reread_settings(raw) if raw is not None else None
        return (
            seen if raw is None or document is None else max(seen, (document.rev, digest_of(raw)))
        )

    def _wait(self, digest: str, raw: bytes) -> None:
        self._waiting[digest] = raw
        while len(self._waiting) > MOST_DOCUMENTS:
            self._waiting.popitem(last=False)

    def _note_refusal(self, refusal: SettingsRefusal, digest: str, raw: bytes) -> None:
        if refusal.fault in _MAY_COME_RIGHT:
            self._wait(digest, raw)
            return
        self.refused[digest] = refusal
        self.refusals += 1
        while len(self.refused) > MOST_DOCUMENTS:
            self.refused.popitem(last=False)
        alarm = refusal.fault is SettingsFault.EQUIVOCATION
        note = self._log.error if alarm else self._log.warning
        note(
            "security_alarm" if alarm else "settings_refused",
            reason=str(refusal.fault),
            detail=refusal.detail,
        )


def _is_seen(state: SettingsState, digest: str) -> bool:
    return any(kept == digest for _, kept in (state.seen or {}).values())
