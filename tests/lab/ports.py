"""Free TCP ports. A port is reserved for the life of this process by an abstract socket name, so
that two test processes never choose the same one; the range lies below the kernel's own
(ip_local_port_range), so that no outgoing connection takes it meanwhile."""

from __future__ import annotations

import random
import socket

_FIRST, _LAST = 18000, 31999
_TRIES = 500
_reserved: dict[int, socket.socket] = {}
_random = random.SystemRandom()  # not the tests' seed: a replay must not collide with its twin


def take() -> int:
    """A port on 127.0.0.1 that nobody listens on and no other lab takes."""
    for _ in range(_TRIES):
        port = _random.randint(_FIRST, _LAST)
        if port not in _reserved and _reserve(port):
            return port
    raise RuntimeError(f"no free TCP port between {_FIRST} and {_LAST}")


def give_back(port: int) -> None:
    """Others may take the port again."""
    holder = _reserved.pop(port, None)
    if holder:
        holder.close()


def _reserve(port: int) -> bool:
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        holder.bind(f"\0tandem-lab-port-{port}")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        return False
    _reserved[port] = holder
    return True
