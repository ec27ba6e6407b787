"""The hub's office: settings and revocations for devices, and answers for ops. No network, no broker's files.

Whatever changes a device is a document that ops signed; it is verified here, so that ops hear of a mistake at
once, and again on the device, which trusts neither this office nor the broker.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final

from edge.documents.enrolment_code import EnrolmentCode, message_of, open_enrolment_code
from edge.documents.revocation_order import RevocationOrder, open_revocation_order
from edge.documents.settings import SettingsLayer, SettingsRefusal, read_settings
from edge.system.durable_file import digest_of
from edge.token import cbor
from edge.token.signed_document import Keyring
from edge.values.instant import Instant
from sync.hub.config import HubConfig
from sync.hub.fleet import queries, settings_offers
from sync.hub.fleet.fleet_store import FleetStore
from sync.hub.fleet.people_requests import PeopleRequests
from sync.hub.fleet.request_error import RequestError
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.fleet_requests import (
    CONFIRMED,
    CUT,
    LARGEST,
    ORDERED,
    FleetAction,
    FleetRequest,
    FleetResponse,
)
from sync.wire.messages import MessageRefusal
from sync.wire.settings_report import SettingsReport
from sync.wire.topics import OPS, Down, Topic

PAGE: Final = 50  # devices in one answer


class FleetService:
    """One hub's. ``now_s`` is Unix time; ``keys`` the trust list that the hub passes on."""

    def __init__(
        self,
        config: HubConfig,
        store: FleetStore,
        *,
        keys: Callable[[], Keyring],
        now_s: Callable[[], int],
        log: Any,
    ) -> None:
        self._config = config
        self._store = store
        self._keys = keys
        self._now_s = now_s
        self._log = log
        self._people = PeopleRequests(config, keys=keys, now_s=now_s, log=log)
        self._sites = {device.id: device.site for device in config.device}
        self._due: dict[str, None] = {}  # devices whose documents are to be published, in order
        self._published: dict[str, str] = {}
        self._answers: list[FleetResponse] = []
        self._data_version = -1

    # What comes

    def report(self, dev: str, payload: bytes) -> None:
        """Keep what a device says of its settings. Raises FleetStoreError."""
        report = codec.decode_addressed(SettingsReport, payload, dev=dev)
        if isinstance(report, MessageRefusal):
            self._log.warning(
                "message_refused", reason=str(report.fault), dev=dev, detail=report.detail
            )
            return
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT INTO report VALUES (?1, ?2, ?3) ON CONFLICT (dev) DO UPDATE SET report = ?2, received_s = ?3",
                (dev, report.model_dump_json(), self._now_s()),
            )
            if report.blocked:
                confirmed = connection.execute(
                    "UPDATE revoked SET stage = ? WHERE dev = ? AND stage <> ?",
                    (CONFIRMED, dev, CUT),
                )
                if confirmed.rowcount:
                    self._log.info("revocation_confirmed", dev=dev)
        self._due[dev] = None  # its groups may have changed

    def request(self, hub: Any, payload: bytes) -> None:
        """Answer ops. ``hub`` is a view of the hub's own store. Raises FleetStoreError."""
        request = codec.decode(FleetRequest, payload, largest=LARGEST)
        if isinstance(request, MessageRefusal):
            self._log.warning(
                "message_refused", reason=str(request.fault), dev=OPS, detail=request.detail
            )
            return
        try:
            result = self._answer(hub, request)
            self._answers.append(FleetResponse(id=request.id, ok=True, result=result))
        except (RequestError, KeyError, TypeError, ValueError, sqlite3.Error, OSError) as error:
            words = (
                str(error)
                if isinstance(error, RequestError)
                else f"the request is not complete: {error!r}"
            )
            self._answers.append(FleetResponse(id=request.id, ok=False, error=words))

    def site_of(self, dev: str) -> str | None:
        """The site of a device that takes part: enrolled or configured, and not revoked."""
        with self._store.read() as connection:
            if connection.execute("SELECT 1 FROM revoked WHERE dev = ?", (dev,)).fetchone():
                return None
            row = connection.execute("SELECT site FROM device WHERE dev = ?", (dev,)).fetchone()
        return row[0] if row else self._sites.get(dev)

    # What goes

    def forget(self) -> None:
        """A new connection: the broker may have come back empty."""
        self._published.clear()
        self._due = dict.fromkeys(self._everybody())

    def serve(self, session: MqttSession) -> None:
        """Publish what is due, as far as there is room. Raises FleetStoreError."""
        version = self._store.data_version()
        if version != self._data_version:  # the desk has enrolled somebody
            self._data_version = version
            self._due = dict.fromkeys([*self._due, *self._everybody()])
        while self._answers and session.publish(
            self._topic(OPS, Down.RESPONSE), _encoded(self._answers[0])
        ):
            del self._answers[0]
        for dev in list(self._due):
            payload = self._bundle(dev)
            digest = digest_of(payload) if payload else ""
            if payload and digest != self._published.get(dev):
                if not session.publish(self._topic(dev, Down.CONFIG), payload, retain=True):
                    return
                self._published[dev] = digest
            del self._due[dev]

    def _topic(self, node: str, channel: Down) -> str:
        return str(Topic(self._config.tenant, node, channel))

    def _everybody(self) -> list[str]:
        with self._store.read() as connection:
            rows = connection.execute(
                "SELECT dev FROM device UNION SELECT dev FROM report UNION SELECT dev FROM revoked"
            )
            return sorted({*self._sites, *(dev for (dev,) in rows)})

    def _bundle(self, dev: str) -> bytes | None:
        """Every document that is for ``dev`` now, one a layer; a revocation stands alone."""
        with self._store.read() as connection:
            revoked = connection.execute("SELECT raw FROM revoked WHERE dev = ?", (dev,)).fetchone()
            if revoked is not None:
                return cbor.encode([revoked[0]])
            documents = [
                settings_offers.newest(connection, key, dev)
                for key in self._keys_of(connection, dev)
            ]
        raws = [raw for raw in documents if raw is not None]
        return cbor.encode(raws) if raws else None

    def _keys_of(self, connection: sqlite3.Connection, dev: str) -> list[str]:
        site, groups = self._place(connection, dev)
        keys = [str(SettingsLayer.FLEET), *(f"{SettingsLayer.GROUP}/{group}" for group in groups)]
        return [*keys, f"{SettingsLayer.SITE}/{site}", f"{SettingsLayer.DEVICE}/{dev}"]

    def _place(self, connection: sqlite3.Connection, dev: str) -> tuple[str, list[str]]:
        """Where a device is, as far as delivery goes; the device compares for itself."""
        row = connection.execute("SELECT report FROM report WHERE dev = ?", (dev,)).fetchone()
        if row is not None:
            report = SettingsReport.model_validate_json(row[0])
            return report.site, report.groups
        row = connection.execute("SELECT site, groups FROM device WHERE dev = ?", (dev,)).fetchone()
        return (row[0], json.loads(row[1])) if row else (self._sites.get(dev, ""), [])

    # Answers

    def _answer(self, hub: Any, request: FleetRequest) -> dict[str, Any]:
        args = request.args
        match request.action:
            case FleetAction.DEVICES:
                return self._devices(hub, str(args.get("after", "")))
            case FleetAction.DOCUMENTS:
                return self._documents(args.get("wanted", []))
            case FleetAction.OFFER:
                return self._offer(base64.b64decode(args["document"]), args.get("devices"))
            case FleetAction.WITHDRAW:
                return self._withdraw(str(args["key"]), int(args["rev"]))
            case FleetAction.ORDERS:
                return queries.orders(
                    hub, site=args.get("site"), order=args.get("order"), after=args.get("after", "")
                )
            case FleetAction.EXCEPTIONS:
                return queries.exceptions(hub, dev=args.get("dev"))
            case FleetAction.REVIEWS | FleetAction.REVIEW | FleetAction.OPERATORS:
                return self._people.answer(hub, request)
            case FleetAction.ENROL:
                return self._enrol(str(args["code"]))
            case FleetAction.ENROLMENTS:
                return self._enrolments()
            case FleetAction.CANCEL:
                return self._cancel(str(args["id"]))
            case FleetAction.ENROLMENT_SERVICE:
                return self._desk()
            case FleetAction.REVOKE:
                return self._revoke(base64.b64decode(args["order"]), at_once=bool(args.get("now")))

    def _now(self) -> Instant:
        return Instant(unix_s=self._now_s())

    def _devices(self, hub: Any, after: str) -> dict[str, Any]:
        names = [dev for dev in self._everybody() if dev > after]
        with self._store.read() as connection:
            devices = [self._device(connection, hub, dev) for dev in names[:PAGE]]
        return {"devices": devices, "next": names[PAGE - 1] if len(names) > PAGE else None}

    def _device(self, connection: sqlite3.Connection, hub: Any, dev: str) -> dict[str, Any]:
        site, groups = self._place(connection, dev)
        report = connection.execute(
            "SELECT report, received_s FROM report WHERE dev = ?", (dev,)
        ).fetchone()
        revoked = connection.execute(
            "SELECT reason, at_s, stage FROM revoked WHERE dev = ?", (dev,)
        ).fetchone()
        enrolled = connection.execute(
            "SELECT serial, enrolled_s FROM device WHERE dev = ?", (dev,)
        ).fetchone()
        theft = connection.execute(
            "SELECT count(*) FROM trace WHERE dev = ? AND what = 'code_reused'", (dev,)
        ).fetchone()
        expires = connection.execute(
            "SELECT max(expires_at_s) FROM certificate WHERE dev = ?", (dev,)
        ).fetchone()
        return {
            "dev": dev,
            "site": site,
            "groups": groups,
            "report": json.loads(report[0]) if report else None,
            "report_s": report[1] if report else None,
            "revoked": dict(zip(("reason", "at_s", "stage"), revoked, strict=True))
            if revoked
            else None,
            "serial": enrolled[0] if enrolled else None,
            "enrolled_s": enrolled[1] if enrolled else None,
            "code_reused": theft[0],
            "certificate_expires_s": expires[0],
            **queries.device(hub, dev),
        }

    def _documents(self, wanted: Iterable[tuple[str, int]]) -> dict[str, Any]:
        pairs = [(str(key), int(rev)) for key, rev in wanted]
        with self._store.read() as connection:
            return {
                "highest_rev": settings_offers.highest_rev(connection),
                "documents": settings_offers.named(connection, pairs),
            }

    def _offer(self, raw: bytes, devices: Iterable[str] | None) -> dict[str, Any]:
        document = read_settings(raw, self._keys(), now=self._now())
        if isinstance(document, SettingsRefusal):
            raise RequestError(f"the hub does not believe this document: {document}")
        if document.tenant != self._config.tenant:
            raise RequestError(
                f"the document is for tenant {document.tenant}, this hub's is {self._config.tenant}"
            )
        listed = None if devices is None else [str(dev) for dev in devices]
        with self._store.transaction() as connection:
            settings_offers.offer(connection, document, raw, listed, now_s=self._now_s())
        concerned = self._everybody() if listed is None else listed
        self._due = dict.fromkeys([*self._due, *concerned])
        count = None if listed is None else len(listed)
        self._log.info("settings_offered", layer=document.key, rev=document.rev, devices=count)
        return {"devices": len(concerned)}

    def _withdraw(self, key: str, rev: int) -> dict[str, Any]:
        with self._store.transaction() as connection:
            devices = settings_offers.withdraw(connection, key, rev)
        self._due = dict.fromkeys([*self._due, *devices])
        return {"devices": len(devices)}

    def _enrol(self, text: str) -> dict[str, Any]:
        message = message_of(text)
        code = open_enrolment_code(message, self._keys(), now=self._now()) if message else None
        if not isinstance(code, EnrolmentCode):
            raise RequestError(f"the hub does not believe this code: {code}")
        if code.tenant != self._config.tenant:
            raise RequestError(
                f"the code is for tenant {code.tenant}, this hub's is {self._config.tenant}"
            )
        with self._store.transaction() as connection:
            connection.execute(
                "UPDATE enrolment SET state = 'cancelled' WHERE dev = ? AND state = 'open' AND id <> ?",
                (code.device, code.id.hex()),
            )
            connection.execute(
                "INSERT OR IGNORE INTO enrolment (id, dev, site, expires_at_s, state, made_s)"
                " VALUES (?, ?, ?, ?, 'open', ?)",
                (code.id.hex(), code.device, code.site, code.expires_at_s, self._now_s()),
            )
        self._log.info("enrolment_opened", dev=code.device, code=code.id.hex())
        return {"id": code.id.hex()}

    def _enrolments(self) -> dict[str, Any]:
        columns = ("id", "dev", "site", "expires_at_s", "state", "made_s", "used_s", "used_from")
        traced = ("at_s", "what", "dev", "code", "address", "detail")
        with self._store.read() as connection:
            rows = connection.execute(
                f"SELECT {', '.join(columns)} FROM enrolment ORDER BY made_s DESC LIMIT 200"  # noqa: S608 - constants
            ).fetchall()
            traces = connection.execute(
                f"SELECT {', '.join(traced)} FROM trace ORDER BY no DESC LIMIT 200"  # noqa: S608 - constants
            ).fetchall()
        return {
            "enrolments": [dict(zip(columns, row, strict=True)) for row in rows],
            "refusals": [dict(zip(traced, row, strict=True)) for row in traces],
        }

    def _cancel(self, identity: str) -> dict[str, Any]:
        with self._store.transaction() as connection:
            done = connection.execute(
                "UPDATE enrolment SET state = 'cancelled' WHERE id = ? AND state = 'open'",
                (identity,),
            )
        if not done.rowcount:
            raise RequestError(f"there is no open code {identity}: see edge-fleet enrol --list")
        return {}

    def _desk(self) -> dict[str, Any]:
        section = self._config.enrolment
        if section is None:
            raise RequestError("the hub has no [enrolment] section: add one, and run edge-hub desk")
        with open(section.cert_file, encoding="ascii") as file:  # noqa: PTH123 - a path as text
            return {"host": section.host, "port": section.port, "certificate": file.read()}

    def _revoke(self, raw: bytes, *, at_once: bool) -> dict[str, Any]:
        order = open_revocation_order(raw, self._keys(), now=self._now())
        if not isinstance(order, RevocationOrder):
            raise RequestError(f"the hub does not believe this order: {order}")
        if order.tenant != self._config.tenant or order.device not in self._everybody():
            raise RequestError(f"there is no device {order.device} here")
        stage = CONFIRMED if at_once else ORDERED
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT INTO revoked VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (dev) DO UPDATE SET raw = ?2, reason = ?3,"
                " at_s = ?4, stage = CASE WHEN stage = 'cut' THEN stage ELSE ?5 END",
                (order.device, raw, order.reason, self._now_s(), stage),
            )
            connection.execute(
                "UPDATE enrolment SET state = 'cancelled' WHERE dev = ? AND state = 'open'",
                (order.device,),
            )
        self._due[order.device] = None
        self._log.warning("device_revoked", dev=order.device, reason=order.reason, at_once=at_once)
        return {"stage": stage}


def _encoded(answer: FleetResponse) -> bytes:
    return answer.model_dump_json().encode()
