"""Filling a new node, beside mariadb-dump | mariadb over the same network, in turn."""

from __future__ import annotations

import subprocess
import time

from lab import Pair

from bench import shop
from bench.figures import Part
from bench.watch import Watch

_LIMIT = 1800  # seconds
_ACCOUNT = "copier"  # who the dump comes in as, over TCP as the agent does


def _dump(two: Pair) -> float:
    """mariadb-dump | mariadb into a database of its own; the seconds."""
    two.anna.server.sql("CREATE DATABASE plain")
    started = time.monotonic()
    with subprocess.Popen(["mariadb-dump", "--no-defaults", "--single-transaction", "-h", "127.0.0.1", "-P", str(two.bert.server.port), "-u", _ACCOUNT,
                           two.bert.database], stdout=subprocess.PIPE) as dump:
        subprocess.run(["mariadb", "--no-defaults", "-S", str(two.anna.server.socket), "-u", "root", "plain"], stdin=dump.stdout, check=True, timeout=_LIMIT)
        assert dump.wait(_LIMIT) == 0
    seconds = time.monotonic() - started
    two.anna.server.sql("DROP DATABASE plain")
    return seconds


def _startup(two: Pair) -> tuple[float, dict[str, float]]:
    """--startup of a node that was wiped; its seconds, and the peak memory of both agents."""
    two.anna.renew()
    shop.make_tables(two.anna.server)
    two.anna.install()
    started = time.monotonic()
    with subprocess.Popen(two.anna.command("--startup", "-q")) as run:
        with Watch({"here": run.pid, "there": two.bert.serve_pid}, memory=("here", "there")) as watch:
            assert run.wait(_LIMIT) == 0
    seconds = time.monotonic() - started
    shop.assert_equal(two.anna.server, two.bert.server)
    return seconds, {name: use.pss for name, use in watch.use.items()}


def measure(options: list[str], buffer_pool: str, rounds: int, quick: bool) -> Part:
    """Fills of a database of a million rows (quick: 150,000)."""
    rows = 150000 if quick else 1000000
    part = Part("startup", f"A new node: {rows:,} rows in three tables")
    dumped: list[float] = []
    filled: list[float] = []
    memory: dict[str, list[float]] = {"here": [], "there": []}
    with Pair(schemas=(), server_options=options, buffer_pool=buffer_pool) as two:
        two.bert.server.sql(f"CREATE USER {_ACCOUNT}@'127.0.0.1'")
        two.bert.server.sql(f"GRANT ALL ON {two.bert.database}.* TO {_ACCOUNT}@'127.0.0.1'")
        shop.make_tables(two.bert.server)
        shop.fill(two.bert.server, rows)
        two.bert.install()
        two.bert.start_serve()
        for _ in range(rounds):
            dumped.append(_dump(two))
            seconds, used = _startup(two)
            filled.append(seconds)
            for name, peak in used.items():
                memory[name].append(peak)
        part.notes.append(f"{shop.mebibytes(two.bert.server):.0f} MiB in the server, indexes included. The dump comes in over TCP as the agent does.")
    part.add("mariadb-dump | mariadb", dumped, "s")
    part.add("agent --startup", filled, "s")
    part.add("times as fast", [d / f for d, f in zip(dumped, filled)], at_least=1)
    part.add("rows a second", [rows / f for f in filled])
    part.add("peak PSS of the node that is filled", memory["here"], "MiB", at_most=64)
    part.add("peak PSS of the other one", memory["there"], "MiB", at_most=64)
    return part
