"""The real programs with short timings: ``python fast_timings.py edge-sync run ...``.

A lost connection is tried again within a fraction of a second, health and metrics are written as
often, and a site's authority takes over within a second. Nothing else differs from ``edge-sync``
and ``edge-hub``, which tests/scenario/fleet/test_fleet.py and test_demo.py run as they are.
"""

import sys
from pathlib import Path

from sync.agent.timings import AgentTimings
from sync.hub.config import HubTimings
from sync.mqtt.backoff import Backoff

QUICK = Backoff(floor_s=0.05, cap_s=0.3)
REPORT_EVERY_S = 0.3
AGENT = AgentTimings(
    reconnect=QUICK,
    slow_s=0.5,
    slow_probe_s=1.0,
    silent_s=1.5,
    resend_s=1.0,
    restore_patience_s=1.0,
    health_every_s=REPORT_EVERY_S,
    health_status_every_s=REPORT_EVERY_S,
    scanner_silent_s=2.0,
)
HUB = HubTimings(
    reconnect=QUICK, metrics_every_s=REPORT_EVERY_S, lease_retry_s=0.5, hand_over_s=1.0
)


def program(name: str) -> list[str]:
    """Return the command line that ``name`` begins with."""
    return [sys.executable, str(Path(__file__)), name]


def main(name: str) -> None:
    """Run the program ``name``."""
    if name == "edge-sync":
        from sync.agent import cli

        cli.main(AGENT)
    else:
        from sync.hub import cli

        cli.main(HUB)


if __name__ == "__main__":
    main(sys.argv.pop(1))
