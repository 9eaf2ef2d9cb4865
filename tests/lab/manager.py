"""What systemd is to a daemon: the socket to which it says that it is ready, lives, stops (sd_notify(3))."""

from __future__ import annotations

import socket
import time
from pathlib import Path


class Manager:
    """Listens under that name: a path, or @ and a name that is in no file system."""

    def __init__(self, name: str) -> None:
        self.heard: list[tuple[float, str]] = []
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self._socket.setblocking(False)

    def listen(self) -> list[str]:
        """Everything that was said up to now."""
        while True:
            try:
                self.heard.append((time.monotonic(), self._socket.recv(4096).decode()))
            except BlockingIOError:
                return [text for _, text in self.heard]

    def close(self) -> None:
        """Nobody listens any more."""
        self._socket.close()
        if not self.name.startswith("@"):
            Path(self.name).unlink(missing_ok=True)
