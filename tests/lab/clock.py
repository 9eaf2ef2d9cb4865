"""The clock of a server set wrong, while it runs: lab/clock.c in front of the C library's clock."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import subprocess
from pathlib import Path

from lab import places
from lab.server import Server, find_program

_SOURCE = Path(__file__).with_name("clock.c")


def _library() -> Path:
    """The shared library, compiled once."""
    path = places.lab_root() / f"clock-{_SOURCE.stat().st_mtime_ns}.so"
    with open(places.lab_root() / "clock.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            draft = path.with_suffix(".draft")
            subprocess.run([find_program("cc", "gcc", "clang"), "-shared", "-fPIC", "-O2", "-o", str(draft), str(_SOURCE), "-ldl"],
                           check=True)
            draft.rename(path)
    return path


class Clock:
    """The wall clock of one server; give it to the server before it starts."""

    def __init__(self, server: Server) -> None:
        self._file = server.folder / "clock"
        self._file.write_bytes(struct.pack("l", 0))
        server.environment = {"LD_PRELOAD": str(_library()), "LAB_CLOCK": str(self._file)}

    def wrong_by(self, seconds: int) -> None:
        """From now on; 0: right again."""
        handle = os.open(self._file, os.O_RDWR)
        try:
            with mmap.mmap(handle, 8) as shared:
                shared[:8] = struct.pack("l", seconds)
        finally:
            os.close(handle)
