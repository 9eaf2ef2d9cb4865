"""The clock of a server set wrong, while it runs: lab/clock.c in front of the C library's clock."""

from __future__ import annotations

import mmap
import os
import struct

from lab.compiled import compiled
from lab.server import Server


class Clock:
    """The wall clock of one server; give it to the server before it starts."""

    def __init__(self, server: Server) -> None:
        self._file = server.folder / "clock"
        self._file.write_bytes(struct.pack("l", 0))
        server.environment = {"LD_PRELOAD": str(compiled("clock.c", "-shared", "-fPIC", "-ldl")), "LAB_CLOCK": str(self._file)}

    def wrong_by(self, seconds: int) -> None:
        """From now on; 0: right again."""
        handle = os.open(self._file, os.O_RDWR)
        try:
            with mmap.mmap(handle, 8) as shared:
                shared[:8] = struct.pack("l", seconds)
        finally:
            os.close(handle)
