"""The process between the device's store and the broker: one loop, no threads.

Each step handles what the broker sent and only then acknowledges it; then it sends what is due. The
log has a line for each change of state and none for a retry.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any, Final

from structlog.typing import FilteringBoundLogger

from edge.store import documents, order_cache, outbox
from edge.store.database.store import StoreUnavailableError
from sync.agent.agent_parts import AgentAddress, AgentParts, AgentSources
from sync.agent.authorisation_relay import AuthorisationRelay
from sync.agent.feed_schedule import LONGEST_REQUEST_S
from sync.agent.link_monitor import LinkMonitor
from sync.agent.receiver import Receiver
from sync.agent.settings.applier import SettingsApplier
from sync.agent.status_publisher import StatusPublisher
from sync.agent.timings import AGENT_TIMINGS, AgentTimings
from sync.mqtt.endpoint import LinkState
from sync.wire import codec
from sync.wire.topics import Up

ORDERS_NOT_REMOVED: Final = "orders_not_removed"  # a problem: the clean-up of the order cache fails
PLATFORM_HELD: Final = "platform_held"


class Agent:
    """Joins one store to one session. ``step`` is the whole of its work."""

    def __init__(
        self,
        address: AgentAddress,
        parts: AgentParts,
        sources: AgentSources,
        log: FilteringBoundLogger,
        timings: AgentTimings = AGENT_TIMINGS,
    ) -> None:
        self._address = address
        self._parts = parts
        self._sources = sources
        self._log = log
        self._session = parts.session
        self._link_monitor = LinkMonitor(parts.session, parts.uplink.replies, log, timings)
        self._status = StatusPublisher(address, parts, sources, timings)
        self._receiver = Receiver(
            address,
            parts,
            sources,
            status=self._status,
            link_monitor=self._link_monitor,
            timings=timings,
            log=log,
        )
        self._problems: dict[str, str] = {}
        self._connection = 0
        self._data_version = -1
        self._stale_rows = ""  # why the rows that a snapshot left behind stay; empty: they do not

    def step(self, timeout_s: float = 0.1) -> None:
        """Handle what came, then send what is due.

        Raises StoreUnavailableError. Nothing that comes over the network makes it raise.
        """
        arrivals = self._session.step(timeout_s)
        for arrival in arrivals:
            self._receiver.receive(arrival)
            self._session.acknowledge(arrival)
        if not arrivals:
            self._remove_stale_rows()
        monotonic_s = self._sources.monotonic_s()
        if self._session.connected:
            if self._connection != self._session.connections:
                self._begin_connection(monotonic_s)
            self._send(monotonic_s)
            if self._status.is_due(self._problems, monotonic_s) and self._session.room:
                self._status.publish(self._problems, monotonic_s)
        self._step_parts(monotonic_s)
        if self._link_monitor.check(monotonic_s):
            self._parts.uplink.start_over(monotonic_s)
        if self._link_monitor.wants_probe(monotonic_s):
            self._parts.uplink.request_probe()

    def _remove_stale_rows(self) -> None:
        """Remove some rows. What matters raises on its own: a clean-up must not end the process."""
        try:
            self._parts.downlink.remove_stale_rows()
        except StoreUnavailableError as error:
            if error.needs_restart:
                raise
            self._stale_rows = str(error)
        else:
            self._stale_rows = ""

    @property
    def refused(self) -> Counter[str]:
        """Return how many messages changed nothing, by reason."""
        return self._receiver.refused

    @property
    def link(self) -> LinkState | None:
        """Return the state of the connection, as last logged."""
        return self._link_monitor.link

    @property
    def status_topic(self) -> str:
        """Return where this device's status is retained."""
        return self._status.topic

    def offline_status(self) -> bytes:
        """Return what the broker retains as this device's status when it is gone."""
        return self._status.offline()

    def report(self) -> dict[str, Any]:
        """Return the state of this process, for the health file."""
        monotonic_s = self._sources.monotonic_s()
        store, relay = self._parts.store, self._parts.relay
        backlog, feed = outbox.backlog(store), order_cache.feed_state(store)
        self._watch_problems()
        last_ack_s = self._receiver.last_ack_s
        ack_age_s = None if last_ack_s is None else round(monotonic_s - last_ack_s, 1)
        return {
            "problems": self._problems,
            "link": self.link,
            "clock": self._sources.now().trust,
            "grants": "available" if relay is not None and relay.has_authority else "unavailable",
            "detail": self._session.detail,
            "connections": self._session.connections,
            "last_ack_age_s": ack_age_s,
            "pending": backlog.pending,
            "oldest_pending_s": backlog.oldest_s,
            "rejected": backlog.rejected,
            "orders_revision": feed.revision,
            "orders_dropped": feed.dropped,
            "orders_received_s": feed.last_contact_s,
            "feeds": self._feeds(feed.last_contact_s),
            "ledger_restore": self._restore_report(),
            "documents": dict(self._receiver.documents),
            "refused_messages": dict(self._receiver.refused),
            "refused_publishes": self._session.refused_publishes,
            "oversized_publishes": self._session.oversized.count,
        }

    def _feeds(self, orders_contact_s: int | None) -> dict[str, int]:
        """Return the issue time (Unix seconds) of the newest data from each feed."""
        lists = {
            stored.name: stored.issued_at_s
            for stored in documents.documents_named(self._parts.store, "")
            if stored.name == documents.TRUST_LIST or stored.name.startswith("status_list/")
        }
        return lists if orders_contact_s is None else {"orders": orders_contact_s, **lists}

    def _restore_report(self) -> dict[str, int | bool]:
        if self._parts.restores is None:
            return {}
        return asdict(self._parts.restores.progress())

    def _watch_problems(self) -> None:
        """Name what is older than it may be, or wrong. A change is one line in the log."""
        found = self._sources.problems(self._sources.now())
        found |= self._parts.uplink.problems(self._sources.monotonic_s())
        if self._stale_rows:
            found[ORDERS_NOT_REMOVED] = f"orders that are no longer valid stay: {self._stale_rows}"
        if self._sources.monotonic_s() < self._receiver.held_until_s:
            found = found | {PLATFORM_HELD: "it sends no orders and no grants until it is resumed"}
        if self._parts.restores is not None:
            found |= self._parts.restores.problems(self._sources.monotonic_s())
        for name in found.keys() - self._problems.keys():
            self._log.warning("problem", problem=name, detail=found[name])
        for name in self._problems.keys() - found.keys():
            self._log.info("problem_gone", problem=name)
        self._problems = found

    # Sending

    def _begin_connection(self, monotonic_s: float) -> None:
        self._connection = self._session.connections
        self._parts.uplink.start_over(monotonic_s)
        self._parts.downlink.request_now(monotonic_s)
        if self._parts.restores is not None:
            self._parts.restores.request_now(monotonic_s)
        if self._parts.settings is not None:
            self._parts.settings.note_reported(None)
        self._status.publish(self._problems, monotonic_s)

    def _send(self, monotonic_s: float) -> None:
        uplink, session = self._parts.uplink, self._session
        version = self._parts.store.data_version()
        if version != self._data_version:
            self._data_version = version
            uplink.note_commit()
        uplink.tick(
            lambda payload: session.publish(self._address.topic(Up.EVENTS), payload), monotonic_s
        )
        if not session.room:
            return
        for part in (self._parts.restores, self._parts.downlink):
            if part is None:
                continue
            request = part.next_request(monotonic_s, new_id=self._sources.new_id)
            if request is not None:
                # One that waits at the broker for a hub is sent again before it arrives.
                session.publish(
                    self._address.topic(Up.REQUEST),
                    codec.encode(request),
                    expires_s=int(LONGEST_REQUEST_S),
                )

    def _step_parts(self, monotonic_s: float) -> None:
        if self._parts.relay is not None:
            self._step_relay(self._parts.relay, monotonic_s)
        if self._parts.revocations is not None:
            self._parts.revocations.retry(self._sources.now(), monotonic_s)
        if self._parts.settings is not None:
            self._step_settings(self._parts.settings, monotonic_s)

    def _step_relay(self, relay: AuthorisationRelay, monotonic_s: float) -> None:
        """Send the scanner's requests, and note whether an authority replies."""
        if not self._session.connected:
            relay.start_over(monotonic_s)
        for request in relay.next_requests(self._sources.monotonic_ns()):
            self._session.publish(
                self._address.topic(Up.REQUEST),
                codec.encode(request),
                expires_s=-(-request.wait_ms // 1000),
                correlation=request.id.encode(),
            )
        if self._session.connected and relay.wants_authority(monotonic_s):
            self._status.publish(self._problems, monotonic_s)
        if relay.release_ended(self._sources.monotonic_ns()):
            self._parts.uplink.request_probe()
        if self._parts.online_flag is not None:
            self._parts.online_flag.set(self._session.connected and relay.has_authority)

    def _step_settings(self, settings: SettingsApplier, monotonic_s: float) -> None:
        connected = self._session.connected
        settings.step(connected=connected, now=self._sources.now(), monotonic_s=monotonic_s)
        report = settings.report() if self._session.room else None
        if report is not None and self._session.publish(
            self._address.topic(Up.CONFIG), report, retain=True
        ):
            settings.note_reported(report)
