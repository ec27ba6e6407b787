"""System calls that fail on demand: the library of system_call_faults.c, built and preloaded."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
COMPILER = shutil.which("cc") or shutil.which("gcc")


def build(folder):
    """Compile the library into ``folder``; return its path."""
    library = folder / "system_call_faults.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return library


class Faults:
    """The preloaded library, in a process that was started with it."""

    def __init__(self):
        self._library = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self._library.fault_arm.argtypes = [
            ctypes.c_char_p,
            ctypes.c_long,
            ctypes.c_long,
            ctypes.c_int,
        ]
        self._library.fault_disarm.restype = ctypes.c_long
        self._library.fault_call.argtypes = [ctypes.c_long]
        self._library.fault_call.restype = ctypes.c_char_p

    def arm(self, folder, *, first, many, error):
        """Fail calls on files of ``folder``, from the ``first`` on, ``many`` of them (0: all)."""
        self._library.fault_arm(str(folder.resolve()).encode(), first, many, error)

    def disarm(self):
        """Let every call pass; return the names of those that were made, failed ones too."""
        seen = self._library.fault_disarm()
        return [self._library.fault_call(number).decode() for number in range(1, seen + 1)]
