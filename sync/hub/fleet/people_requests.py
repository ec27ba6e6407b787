"""Requests that carry what people decided: reviews, operator lists, status lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from structlog.typing import FilteringBoundLogger

from edge.token.signed_document import DocumentRefusal, Keyring
from edge.values.instant import Instant
from sync.hub.config import HubConfig
from sync.hub.fleet.operator_lists import FOLDER, save_pushed_list
from sync.hub.fleet.request_args import count, octets, text_or_none
from sync.hub.fleet.request_error import RequestError
from sync.hub.fleet.status_lists import FOLDER as STATUS_LISTS
from sync.hub.fleet.status_lists import save_published_list
from sync.hub.ledger import reviews
from sync.hub.store.interface import HubConnection
from sync.wire.fleet_requests import FleetAction, FleetRequest
from sync.wire.review_decision import open_review_decision


class PeopleRequests:
    """Handles REVIEWS, REVIEW, OPERATORS and STATUS_LIST.

    A request that changes something carries a signed document, which is verified here.
    """

    def __init__(
        self,
        config: HubConfig,
        *,
        keys: Callable[[], Keyring],
        now_s: Callable[[], int],
        log: FilteringBoundLogger,
    ) -> None:
        self._config = config
        self._keys = keys
        self._now_s = now_s
        self._log = log

    def result(self, hub: HubConnection, request: FleetRequest) -> dict[str, Any]:
        """Return the result of a request. ``hub`` is the hub's store, in a transaction.

        Raises RequestError, KeyError, TypeError, ValueError and OSError.
        """
        args = request.args
        match request.action:
            case FleetAction.REVIEWS:
                return reviews.review_page(
                    hub,
                    dev=text_or_none(args, "dev"),
                    event_id=text_or_none(args, "id"),
                    decided=bool(args.get("all")),
                    after=count(args, "after"),
                )
            case FleetAction.REVIEW:
                return self._decide(hub, octets(args, "decision"))
            case FleetAction.STATUS_LIST:
                return self._status_list(octets(args, "document"))
            case _:
                return self._operators(octets(args, "document"))

    def _decide(self, hub: HubConnection, raw: bytes) -> dict[str, Any]:
        opened = open_review_decision(raw, self._keys(), now=self._now())
        if isinstance(opened, DocumentRefusal):
            raise RequestError(f"the hub cannot verify this decision: {opened}")
        decision, by = opened
        if decision.tenant != self._config.tenant:
            raise RequestError(
                f"the decision is for tenant {decision.tenant}, this hub's is {self._config.tenant}"
            )
        try:
            reviews.record_decision(hub, decision, by=by, raw=raw, now_s=self._now_s())
        except reviews.DecisionError as error:
            raise RequestError(str(error)) from None
        self._log.info(
            "reviewed", dev=decision.device, seq=decision.seq, approve=decision.approve, by=by
        )
        return {"by": by}

    def _operators(self, raw: bytes) -> dict[str, Any]:
        named = {item.site for item in self._config.documents.operators}
        listed = save_pushed_list(
            Path(self._config.data_dir) / FOLDER, raw, self._keys(), named=named, now=self._now()
        )
        self._log.info(
            "operators_pushed",
            site=listed.audience,
            version=listed.version,
            count=len(listed.entries),
        )
        return {"site": listed.audience, "version": listed.version, "count": len(listed.entries)}

    def _status_list(self, raw: bytes) -> dict[str, Any]:
        listed = save_published_list(
            Path(self._config.data_dir) / STATUS_LISTS,
            raw,
            self._keys(),
            named=[Path(name) for name in self._config.documents.status_list_files],
            now=self._now(),
        )
        revoked = sum(byte.bit_count() for byte in listed.bits)
        kid = listed.kid.hex()
        self._log.info("status_list_published", kid=kid, version=listed.version, revoked=revoked)
        return {"kid": kid, "version": listed.version, "revoked": revoked}

    def _now(self) -> Instant:
        return Instant(unix_s=self._now_s())
