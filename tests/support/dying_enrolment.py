"""Enrols in children that die at a given write, for tests that have threads and cannot fork.

    python -m tests.support.dying_enrolment

It reads a line of JSON for each child, and answers with the child's exit code: 9 when it died, 0
when it came to the end, and 1 when it failed.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from edge.identity import identity as identities
from edge.system import durable_file
from edge.values.instant import ClockTrust, Instant
from sync.agent.enrolment import device_key, enrolment


def main() -> None:
    """Fork a child for each line."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                enrol_and_die(**json.loads(line))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def enrol_and_die(*, code: str, data: str, now_s: int, at: int, before: bool) -> None:
    """Enrol, and die ``before`` or after the ``at``-th write of a file, as at a power cut."""
    count = 0
    write = durable_file.write_durably

    def dying(path: Path, content: bytes, **more: Any) -> None:
        nonlocal count
        count += 1
        if count == at and before:
            os._exit(9)
        write(path, content, **more)
        if count == at:
            os._exit(9)

    device_key.write_secret = identities.write_durably = dying
    now = Instant(unix_s=now_s, trust=ClockTrust.FLOOR_ONLY)
    enrolment.enrol(code, Path(data), keys=None, now=now)


if __name__ == "__main__":
    main()
