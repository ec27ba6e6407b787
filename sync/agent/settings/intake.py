"""Pushed settings as they arrive: verified, compared with what was seen, written layer by layer.

Nothing is written before the signature of a document holds. From then on every step is on disk
before it is taken. A document that may be accepted later waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from structlog.typing import FilteringBoundLogger

from edge.documents.settings import (
    DeviceScope,
    SettingsDocument,
    SettingsFault,
    SettingsRefusal,
    open_settings,
    reread_settings,
)
from edge.documents.waiting_documents import WaitingDocuments
from edge.settings import state_machine as states
from edge.settings.folder import SettingsFolder
from edge.settings.state_machine import (
    MOST_TRIALS,
    SettingsPhase,
    SettingsProblem,
    SettingsState,
    before_interruption,
    resting,
)
from edge.system.durable_file import digest_of
from edge.token.purpose import Purpose
from edge.token.signed_document import (
    DocumentFault,
    DocumentRefusal,
    Keyring,
    signature_refusal,
)
from edge.values.instant import Instant
from sync.agent.settings.refused_documents import RefusedDocuments

_ACCEPTABLE_LATER: Final = {
    DocumentFault.KEY_UNKNOWN,
    DocumentFault.KEY_WINDOW,
    SettingsFault.TOO_EARLY,
}


class SettingsIntake:
    """The settings documents that arrive at one device."""

    def __init__(
        self,
        folder: SettingsFolder,
        *,
        scope: DeviceScope,
        keys: Callable[[], Keyring],
        refused: RefusedDocuments,
        log: FilteringBoundLogger,
    ) -> None:
        self._folder = folder
        self._scope = scope
        self._keys = keys
        self._log = log
        self._waiting = WaitingDocuments()
        self.refused = refused
        self.has_news = False  # a document was written that the applier has not handled

    def receive(self, raw: bytes, now: Instant) -> None:
        """Verify one document and write it. Raises OSError for the disk.

        Nothing is written before its signature holds.
        """
        digest, state = digest_of(raw), self._folder.state()
        if state.has_denied(digest) or digest in self.refused or _is_seen(state, digest):
            return
        unsigned = signature_refusal(raw, Purpose.CONFIGURATION, self._keys(), now=now)
        if unsigned is not None:
            self._note_unverified(unsigned, digest, raw)
            return
        with self._folder.locked() as state:
            if state.phase.on_trial:
                self._waiting.add(digest, raw)  # one at a time
                return
            document = self._accept(raw, digest, state, now)
        if document is not None:
            self._log.info("settings_received", layer=document.key, rev=document.rev, hash=digest)

    def retry(self, now: Instant, monotonic_s: float) -> None:
        """Receive again what waits, when that is due. Raises OSError for the disk."""
        for raw in self._waiting.take_due(monotonic_s):
            self.receive(raw, now)

    def _accept(
        self, raw: bytes, digest: str, state: SettingsState, now: Instant
    ) -> SettingsDocument | None:
        """Verify ``raw`` and write it; None where it is refused. The caller holds the lock."""
        before = before_interruption(state)
        begun = states.begin(state, SettingsPhase.RECEIVED, working=digest)
        if begun.trials > MOST_TRIALS:
            detail = f"{SettingsFault.POISON}: reading it ended the process {MOST_TRIALS} times"
            refused = states.refuse(before, [SettingsProblem("", detail)], denied=[digest])
            self._folder.write_state(refused)
            return None
        self._folder.write_state(begun)
        outcome = self._read(raw, digest, now)
        if isinstance(outcome, SettingsRefusal):
            self._folder.write_state(before)
            self._note_refusal(outcome, digest, raw)
            return None
        self._folder.write_state(replace(begun, phase=SettingsPhase.VERIFIED))
        self._folder.write_document(outcome.key, raw)
        seen = {**(state.seen or {}), outcome.key: (outcome.rev, digest)}
        phase = before.phase if before.phase is SettingsPhase.STAGED else resting(before)
        self._folder.write_state(replace(before, phase=phase, wrong=(), seen=seen))
        self.has_news = True
        return outcome

    def _read(self, raw: bytes, digest: str, now: Instant) -> SettingsDocument | SettingsRefusal:
        document = open_settings(raw, self._keys(), now=now, me=self._scope)
        if isinstance(document, SettingsRefusal):
            return document
        rev, seen_digest = self._highest(document.key)
        if document.rev < rev:
            detail = f"{document.key} rev {document.rev}, {rev} was seen"
            return SettingsRefusal(SettingsFault.ROLLBACK, detail)
        if document.rev == rev and seen_digest != digest:
            detail = f"{document.key} rev {rev} was seen with other content"
            return SettingsRefusal(SettingsFault.EQUIVOCATION, detail)
        return document

    def _highest(self, key: str) -> tuple[int, str]:
        """Return the highest rev seen of a layer and its document's hash.

        The document itself counts as well as the state, which may be lost.
        """
        seen = (self._folder.state().seen or {}).get(key, (0, ""))
        raw = self._folder.documents().get(key)
        document = reread_settings(raw) if raw is not None else None
        if raw is None or document is None:
            return seen
        return max(seen, (document.rev, digest_of(raw)))

    def _note_unverified(self, refusal: DocumentRefusal, digest: str, raw: bytes) -> None:
        if refusal.fault in _ACCEPTABLE_LATER:
            self._waiting.add(digest, raw)
            return
        code = str(refusal.fault)
        if count := self.refused.add_unverified(digest, code, refusal.detail):
            self._log.warning("settings_refused", reason=code, detail=refusal.detail, count=count)

    def _note_refusal(self, refusal: SettingsRefusal, digest: str, raw: bytes) -> None:
        if refusal.fault in _ACCEPTABLE_LATER:
            self._waiting.add(digest, raw)
            return
        code, detail = str(refusal.fault), refusal.detail
        self.refused.add(digest, code, detail)
        if refusal.fault is SettingsFault.EQUIVOCATION:
            self._log.error("security_alarm", reason=code, detail=detail)
        else:
            self._log.warning("settings_refused", reason=code, detail=detail)


def _is_seen(state: SettingsState, digest: str) -> bool:
    return any(seen_digest == digest for _, seen_digest in (state.seen or {}).values())
