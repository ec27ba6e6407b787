"""Settings and revocations for devices, and replies to operations.

This service touches neither the network nor the broker's files. Each change of a device is a
document that operations signed. It is verified here, so that a mistake is reported at once, and
again on the device, which trusts neither this service nor the broker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from structlog.typing import FilteringBoundLogger

from edge.documents.enrolment_code import EnrolmentCode, message_of, open_enrolment_code
from edge.documents.revocation_order import RevocationOrder, open_revocation_order
from edge.documents.settings import SettingsRefusal, read_settings
from edge.token.signed_document import Keyring
from edge.values.instant import Instant
from edge.values.node_name import OPS
from sync.hub.config import HubConfig
from sync.hub.fleet import queries, settings_offers
from sync.hub.fleet.device_directory import DeviceDirectory
from sync.hub.fleet.people_requests import PeopleRequests
from sync.hub.fleet.request_args import count, octets, text_or_none
from sync.hub.fleet.request_error import RequestError
from sync.hub.fleet.settings_delivery import SettingsDelivery
from sync.hub.store.fleet import (
    certificate_table,
    enrolment_table,
    revocation_table,
    settings_table,
)
from sync.hub.store.fleet.fleet_store import FleetConnection, FleetStore
from sync.hub.store.fleet.revocation_table import Revocation
from sync.hub.store.interface import HubConnection, UnfitValueError
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.fleet_requests import (
    CONFIRMED,
    LARGEST,
    ORDERED,
    FleetAction,
    FleetRequest,
    FleetResponse,
)
from sync.wire.messages import MessageFault, MessageRefusal
from sync.wire.reply_page import reply_page
from sync.wire.settings_report import SettingsReport
from sync.wire.storable import unstorable
from sync.wire.topics import Down, Topic

PAGE: Final = 50  # devices in one reply
LISTED: Final = 200  # codes and refusals in one reply


class FleetService:
    """The fleet service of one hub.

    ``now_s`` returns Unix time; ``keys`` returns the trust list that the hub publishes.
    """

    def __init__(
        self,
        config: HubConfig,
        store: FleetStore,
        *,
        keys: Callable[[], Keyring],
        now_s: Callable[[], int],
        log: FilteringBoundLogger,
    ) -> None:
        self._config = config
        self._store = store
        self._keys = keys
        self._now_s = now_s
        self._log = log
        self._people = PeopleRequests(config, keys=keys, now_s=now_s, log=log)
        self._directory = DeviceDirectory(config.device, store)
        self._delivery = SettingsDelivery(store, self._directory, tenant=config.tenant)
        self._replies: list[FleetResponse] = []

    def record_report(self, dev: str, payload: bytes) -> None:
        """Store what a device reports of its settings. Raises HubStoreError."""
        report = codec.decode_addressed(SettingsReport, payload, dev=dev)
        if isinstance(report, MessageRefusal):
            self._log_refused(report, dev)
            return
        stored = report.model_dump_json()
        if (size := len(stored.encode())) > codec.MAX_MESSAGE_BYTES:  # of numbers written out
            detail = f"{size} bytes, at most {codec.MAX_MESSAGE_BYTES}"
            self._log_refused(MessageRefusal(MessageFault.TOO_LARGE, detail), dev)
            return
        with self._store.transaction() as connection:
            settings_table.put_report(connection, dev, stored, received_s=self._now_s())
            if report.blocked and revocation_table.confirm_revocation(connection, dev):
                self._log.info("revocation_confirmed", dev=dev)
        self._delivery.mark_due([dev])  # its groups may have changed

    def handle_request(self, hub: HubConnection, payload: bytes) -> None:
        """Prepare the reply to a request. Raises HubStoreError.

        ``hub`` is the hub's store, in a transaction.
        """
        request = codec.decode(FleetRequest, payload, largest=LARGEST)
        if isinstance(request, MessageRefusal):
            self._log_refused(request, OPS)
            return
        try:
            if fault := unstorable(request.args):
                raise RequestError(f"the request holds what no store can: {fault}")
            with hub.part():
                result = self._result(hub, request)
            reply = FleetResponse(id=request.id, ok=True, result=result)
            if len(reply.model_dump_json().encode()) > LARGEST:
                raise RequestError("the reply is larger than a message may be: ask for less")
        except (RequestError, UnfitValueError) as error:
            reply = FleetResponse(id=request.id, ok=False, error=str(error))
        except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
            reply = FleetResponse(
                id=request.id, ok=False, error=f"the request is not complete: {error!r}"
            )
        self._replies.append(reply)

    def site_of(self, dev: str) -> str | None:
        """Return the site of a device that is enrolled or configured; None for a revoked one."""
        return self._directory.site_of(dev)

    def start_over(self) -> None:
        """Publish everything again: a broker may have come back empty."""
        self._delivery.start_over()

    def publish(self, session: MqttSession) -> None:
        """Publish replies and settings that are due, as far as the session has room.

        Raises HubStoreError.
        """
        topic = str(Topic(self._config.tenant, OPS, Down.RESPONSE))
        while self._replies and session.publish(topic, self._replies[0].model_dump_json().encode()):
            del self._replies[0]
        self._delivery.publish(session)

    def _log_refused(self, refusal: MessageRefusal, dev: str) -> None:
        self._log.warning(
            "message_refused", reason=str(refusal.fault), dev=dev, detail=refusal.detail
        )

    # Requests

    def _result(self, hub: HubConnection, request: FleetRequest) -> dict[str, Any]:
        args = request.args
        match request.action:
            case FleetAction.DEVICES:
                return self._devices(hub, text_or_none(args, "after") or "")
            case FleetAction.DOCUMENTS:
                return self._documents(args.get("wanted", []))
            case FleetAction.OFFER:
                return self._offer(octets(args, "document"), args.get("devices"))
            case FleetAction.WITHDRAW:
                return self._withdraw(str(args["key"]), count(args, "rev"))
            case FleetAction.HUB | FleetAction.ORDERS | FleetAction.EXCEPTIONS:
                return _query(hub, request)
            case (
                FleetAction.REVIEWS
                | FleetAction.REVIEW
                | FleetAction.OPERATORS
                | FleetAction.STATUS_LIST
            ):
                return self._people.result(hub, request)
            case FleetAction.ENROL:
                return self._open_enrolment(str(args["code"]))
            case FleetAction.ENROLMENTS:
                return self._enrolments()
            case FleetAction.CANCEL:
                return self._cancel(str(args["id"]))
            case FleetAction.ENROLMENT_SERVICE:
                return self._enrolment_address()
            case FleetAction.REVOKE:
                return self._revoke(octets(args, "order"), at_once=bool(args.get("now")))

    def _devices(self, hub: HubConnection, after: str) -> dict[str, Any]:
        names = [dev for dev in self._directory.devices() if dev > after]
        with self._store.read() as connection:
            devices, last = reply_page(
                names, lambda dev: self._device(connection, hub, dev), str, most_items=PAGE
            )
        return {"devices": devices, "next": last}

    def _device(self, connection: FleetConnection, hub: HubConnection, dev: str) -> dict[str, Any]:
        placement = self._directory.placement_of(connection, dev)
        report = settings_table.report_of(connection, dev)
        revocation = revocation_table.revocation_of(connection, dev)
        enrolled = enrolment_table.device_of(connection, dev)
        return {
            "dev": dev,
            "site": placement.site,
            "groups": list(placement.groups),
            "report": json.loads(report[0]) if report else None,
            "report_s": report[1] if report else None,
            "revoked": revocation._asdict() if revocation else None,
            "serial": enrolled.serial if enrolled else None,
            "enrolled_s": enrolled.enrolled_s if enrolled else None,
            "code_reused": enrolment_table.count_reused_codes(connection, dev),
            "certificate_expires_s": certificate_table.last_expiry_s(connection, dev),
            **queries.device_state(hub, dev),
        }

    def _documents(self, wanted: Iterable[tuple[str, int]]) -> dict[str, Any]:
        pairs = [(str(key), int(rev)) for key, rev in wanted]
        with self._store.read() as connection:
            documents, last = reply_page(
                pairs,
                lambda pair: settings_offers.document_named(connection, *pair),
                lambda pair: pair,
                most_items=LISTED,
            )
            highest = settings_table.highest_rev(connection)
        return {"highest_rev": highest, "documents": documents, "next": last}

    def _offer(self, raw: bytes, devices: Iterable[str] | None) -> dict[str, Any]:
        document = read_settings(raw, self._keys(), now=self._now())
        if isinstance(document, SettingsRefusal):
            raise RequestError(f"the hub cannot verify this document: {document}")
        self._check_tenant("document", document.tenant)
        named = None if devices is None else [str(dev) for dev in devices]
        with self._store.transaction() as connection:
            settings_offers.offer(connection, document, raw, named, now_s=self._now_s())
        concerned = self._directory.devices() if named is None else named
        self._delivery.mark_due(concerned)
        log_count = None if named is None else len(named)
        self._log.info("settings_offered", layer=document.key, rev=document.rev, devices=log_count)
        return {"devices": len(concerned)}

    def _withdraw(self, key: str, rev: int) -> dict[str, Any]:
        with self._store.transaction() as connection:
            devices = settings_offers.withdraw(connection, key, rev)
        self._delivery.mark_due(devices)
        return {"devices": len(devices)}

    def _open_enrolment(self, text: str) -> dict[str, Any]:
        message = message_of(text)
        code = open_enrolment_code(message, self._keys(), now=self._now()) if message else None
        if not isinstance(code, EnrolmentCode):
            raise RequestError(f"the hub cannot verify this code: {code}")
        self._check_tenant("code", code.tenant)
        identity = code.id.hex()
        with self._store.transaction() as connection:
            enrolment_table.cancel_codes_of(connection, code.device, but=identity)
            enrolment_table.insert_code(
                connection,
                identity,
                dev=code.device,
                site=code.site,
                expires_at_s=code.expires_at_s,
                created_s=self._now_s(),
            )
        self._log.info("enrolment_opened", dev=code.device, code=identity)
        return {"id": identity}

    def _enrolments(self) -> dict[str, Any]:
        with self._store.read() as connection:
            return {
                "enrolments": enrolment_table.newest_codes(connection, LISTED),
                "alarms": enrolment_table.newest_alarms(connection, LISTED),
                "refusals": enrolment_table.newest_refusals(connection, LISTED),
            }

    def _cancel(self, identity: str) -> dict[str, Any]:
        with self._store.transaction() as connection:
            cancelled = enrolment_table.cancel_code(connection, identity)
        if not cancelled:
            raise RequestError(f"there is no open code {identity}: see edge-fleet enrol --list")
        return {}

    def _enrolment_address(self) -> dict[str, Any]:
        section = self._config.enrolment
        if section is None:
            raise RequestError(
                "the hub has no [enrolment] section: add one, and run edge-hub enrolment"
            )
        certificate = Path(section.cert_file).read_text(encoding="ascii")
        return {"host": section.host, "port": section.port, "certificate": certificate}

    def _revoke(self, raw: bytes, *, at_once: bool) -> dict[str, Any]:
        order = open_revocation_order(raw, self._keys(), now=self._now())
        if not isinstance(order, RevocationOrder):
            raise RequestError(f"the hub cannot verify this order: {order}")
        if order.tenant != self._config.tenant or order.device not in self._directory.devices():
            raise RequestError(f"there is no device {order.device} here")
        revocation = Revocation(order.reason, self._now_s(), CONFIRMED if at_once else ORDERED)
        with self._store.transaction() as connection:
            revocation_table.put_revocation(connection, order.device, revocation, raw=raw)
            enrolment_table.cancel_codes_of(connection, order.device)
        self._delivery.mark_due([order.device])
        self._log.warning("device_revoked", dev=order.device, reason=order.reason, at_once=at_once)
        return {"stage": revocation.stage}

    def _check_tenant(self, document: str, tenant: str) -> None:
        if tenant != self._config.tenant:
            raise RequestError(
                f"the {document} is for tenant {tenant}, this hub's is {self._config.tenant}"
            )

    def _now(self) -> Instant:
        return Instant(unix_s=self._now_s())


def _query(hub: HubConnection, request: FleetRequest) -> dict[str, Any]:
    """Return the result of a request that only reads the hub's store."""
    args = request.args
    match request.action:
        case FleetAction.HUB:
            return queries.hub_state(hub)
        case FleetAction.ORDERS:
            site, order = text_or_none(args, "site"), text_or_none(args, "order")
            after = text_or_none(args, "after") or ""
            return queries.order_page(hub, site=site, order=order, after=after)
        case _:
            return queries.exception_list(hub, dev=text_or_none(args, "dev"))
