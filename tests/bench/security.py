"""What keeping strangers out costs: TLS and signatures as a share of a drain, sealed bodies as well, and the CPU
of a refused request."""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
import time
from collections.abc import Callable
from typing import Any

from lab.impostor import TYPE, head, read, status_of
from lab.node import Node

from bench import work
from bench.figures import Part, Table, median, number
from bench.laptops import Carried, Laptops
from bench.watch import cpu_seconds

_BYTES = re.compile(r"Sync queued: epoch \d+, \d+ records, (\d+) bytes")
_MODES = ("http", "tls", "sealed")


def measure(options: list[str], buffer_pool: str, rounds: int, quick: bool) -> Part:
    """The same backlogs over plain HTTP, over TLS, and sealed over plain HTTP, in turn; then refusals."""
    ones, rows, refusals = (4000, 50000, 3000) if quick else (20000, 200000, 20000)
    part = Part("security", "What keeping strangers out costs")
    shares = Table("One drain, median", ["", "wall", "CPU agent A", "CPU agent B", "bytes", "signing and checking them"])
    part.tables.append(shares)
    with Laptops(options, buffer_pool) as laptops:
        for node in laptops.pair.nodes:
            node.make_tls()
        for name, backlog in ((f"{ones:,} one-row transactions", lambda t: work.single_inserts(t, ones)),
                              (f"one insert of {rows:,} rows", lambda t: work.bulk_insert(t, rows))):
            found: dict[str, list[Carried]] = {mode: [] for mode in _MODES}
            sent = 0
            for _ in range(max(rounds, 3)):
                for mode in _MODES:
                    _switch(laptops, mode)
                    table = laptops.tables.take()
                    laptops.write(backlog(table))
                    log_from = laptops.anna.agent_log.stat().st_size
                    found[mode].append(laptops.carry(table))
                    sent = _sent(laptops.anna, log_from)
            _report(part, shares, name, found, sent)
        _switch(laptops, "http")
        _refuse(part, laptops.bert, refusals)
    part.notes.append("Authentication is always on: its share is the time that SHA-256 of all bytes takes here, twice (signing and"
                      " checking), as measured with the same library. Shares are of the CPU seconds of both agents and both servers.")
    return part


def _switch(laptops: Laptops, mode: str) -> None:
    """anna sends to bert that way from now on."""
    anna, bert = laptops.anna, laptops.bert
    bert.stop_serve()
    tls = mode == "tls"
    for node, other in ((anna, bert), (bert, anna)):
        peer: dict[str, str | None] = {
            "url": f"{'https' if tls else 'http'}://127.0.0.1:{other.listen_port}",
            "tls_pin": other.tls_pin() if tls else None, "seal": "yes" if mode == "sealed" else "no"}
        node.change_conf({"node": {"tls": "on" if tls else "off"}, f"peer {other.name}": peer})
    bert.start_serve()
    anna.drain(check=0)


def _sent(node: Node, offset: int) -> int:
    with open(node.agent_log, encoding="utf-8") as log:
        log.seek(offset)
        return sum(int(size) for size in _BYTES.findall(log.read()))


def _hashing(size: int) -> float:
    """Seconds that one SHA-256 of so many bytes takes, in pieces of 4 MiB at most."""
    piece = bytes(min(size, 4 * 1024 * 1024))
    times: list[float] = []
    for _ in range(5):
        started = time.perf_counter()
        left = size
        while left > 0:
            hashlib.sha256(piece[:left]).digest()
            left -= len(piece)
        for _ in range(4):  # two MACs of a request, two of its answer
            hmac.new(piece[:32], piece[:300], "sha256").digest()
        times.append(time.perf_counter() - started)
    return median(times)


def _report(part: Part, shares: Table, name: str, found: dict[str, list[Carried]], sent: int) -> None:
    wall = {mode: median([c.seconds for c in carried]) for mode, carried in found.items()}
    total = {mode: median([sum(use.cpu for use in c.use.values()) for c in carried]) for mode, carried in found.items()}
    agents = {mode: median([c.use["agent A"].cpu + c.use["agent B"].cpu for c in carried]) for mode, carried in found.items()}
    signing = 2 * _hashing(sent)
    for mode, carried in found.items():
        cpu = [median([c.use[who].cpu for c in carried]) for who in ("agent A", "agent B")]
        shares.rows.append([f"{name}, {mode}", number(wall[mode]), *map(number, cpu), f"{sent:,}", number(signing)])
    for mode, target in (("tls", 15.0), ("sealed", None)):
        cost = max(0.0, agents[mode] - agents["http"]) + signing
        extra: dict[str, Any] = {} if target is None else {"at_most": target}
        part.put(f"{name}: {'TLS' if mode == 'tls' else 'sealing'} and signatures, of the drain", cost / total[mode] * 100, "%", **extra)
        part.put(f"{name}: {mode} as long as plain HTTP", wall[mode] / wall["http"], "times")


def _spent(node: Node, idle: float, work_on: Callable[[], None]) -> float:
    """CPU seconds of the agent while that is done, without what it uses in that time anyway."""
    before, started = cpu_seconds(node.serve_pid), time.monotonic()
    work_on()
    return max(0.0, cpu_seconds(node.serve_pid) - before - idle * (time.monotonic() - started))


def _refuse(part: Part, node: Node, count: int) -> None:
    """Bad signatures, each on a connection of its own as a stranger has to, and the CPU that they take."""
    body = b"{}\n"

    def forge() -> None:
        for i in range(count):
            with socket.create_connection(("127.0.0.1", node.listen_port), timeout=10) as sock:
                sock.sendall(head(TYPE, "X-Tandem-From: anna", f"X-Tandem-To: {node.name}", "X-Tandem-Counter: 0",
                                  f"X-Tandem-Mac: {i:064x}", f"Content-Length: {len(body)}") + body)
                assert status_of(read(sock)) == 401

    def knock() -> None:
        for _ in range(count):
            socket.create_connection(("127.0.0.1", node.listen_port), timeout=10).close()

    idle = _spent(node, 0, lambda: time.sleep(3)) / 3
    forged = _spent(node, idle, forge) / count * 1e6
    knocked = _spent(node, idle, knock) / count * 1e6
    part.put("a refused request, its connection included: CPU", forged, "us")
    part.put("a connection that says nothing: CPU", knocked, "us")
    part.put("a refused request without that: CPU", forged - knocked, "us", at_most=50)
