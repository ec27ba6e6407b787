"""How long the sync process waits for what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sync.mqtt.backoff import Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTimings:
    """Seconds. The defaults are the product's; a test composes the process with shorter ones."""

    reconnect: Backoff = field(default_factory=Backoff)  # after a connection was lost
    slow_s: float = 3.0  # a reply that takes this long: the line or the hub is slow
    slow_probe_s: float = 30.0  # while replies are slow, an idle device asks this often
    silent_s: float = 30.0  # connected without an acknowledgement for this long: the hub is silent
    deaf_s: float = 300.0  # and for this long: the connection is made anew
    missed_s: float = 3.0  # after this much silence, messages to this device may have been lost
    resend_s: float = 5.0  # without an acknowledgement for this long, send again; doubled up to
    longest_resend_s: float = 60.0
    probe_s: float = 900.0  # an idle device asks this often where the platform is
    status_every_s: float = 3600.0  # the counts of a status are at most this old
    health_status_every_s: float = 5.0  # a change of the health is published this often at most
    scanner_silent_s: float = 20.0  # a scanner whose health file does not change for this long
    health_every_s: float = 2.0  # the health file and the metrics
    restore_patience_s: float = 60.0  # a restore that takes longer is a problem with a name
    store_retry_s: float = 15.0  # a store that cannot be used is tried again


AGENT_TIMINGS: Final = AgentTimings()
