"""The real programs, that only wait less: ``python fast_timings.py edge-sync run ...``, or ``edge-hub``.

A lost connection is tried again within a fraction of a second, health and metrics are written so often, and a site's
authority takes over within a second. Nothing else differs from ``edge-sync`` and ``edge-hub``, which
tests/scenario/fleet/test_fleet.py and test_demo.py run as they are.
"""

import sys
from functools import partial
from pathlib import Path

from sync.mqtt.backoff import Backoff
from sync.mqtt.session import MqttSession

QUICK = Backoff(floor_s=0.05, cap_s=0.3)
TELL_EVERY_S = 0.3


def program(name: str) -> list[str]:
    """The command line that ``name`` begins with."""
    return [sys.executable, str(Path(__file__)), name]


def main(name: str) -> None:
    """Run it."""
    session = partial(MqttSession, backoff=QUICK)
    if name == "edge-sync":
        from sync.agent import cli, link_monitor, uplink

        link_monitor.SLOW_S, link_monitor.SILENT_S, uplink.RESEND_S = 0.5, 1.5, 1.0
        link_monitor.ASK_AGAIN_S = 1.0
        cli.MqttSession, cli.HEALTH_EVERY_S = session, TELL_EVERY_S
        cli.main()
    else:
        from sync.hub import cli
        from sync.hub.site import authority, bridge_cli
        from sync.hub.site import cli as site_cli

        cli.MqttSession = site_cli.MqttSession = bridge_cli.MqttSession = session
        cli.METRICS_EVERY_S, authority.ASK_AGAIN_S, authority.HAND_OVER_S = TELL_EVERY_S, 0.5, 1.0
        cli.main()


if __name__ == "__main__":
    main(sys.argv.pop(1))
