"""Commit here, visible there, with --serve on both; and what it costs when nothing happens."""

from __future__ import annotations

import random
import time

from bench import work
from bench.figures import Part, Table, number, percentile
from bench.laptops import Laptops
from bench.watch import Watch

_LONGEST = 10.0  # seconds after which a change counts as lost
_PAUSE = 0.0002  # between two looks: the poller must not take a core of its own
_SEED = 20260727


def measure(options: list[str], buffer_pool: str, quick: bool) -> Part:
    """Single commits at random intervals, then silence."""
    commits, silence = (60, 5.0) if quick else (300, 20.0)
    part = Part("latency", "From commit on A to visible on B, and the cost of nothing")
    with Laptops(options, buffer_pool) as laptops:
        laptops.bert.stop_serve()
        table = laptops.tables.take()
        laptops.write(work.bulk_insert(table, 1000))  # waits, so that there is something to say hello for
        laptops.pair.start_serve()
        laptops.pair.wait_quiet()
        laptops.pair.stop_serve()
        laptops.pair.start_serve()
        times = _commits(laptops, table, commits)
        part.put("the first commit after both have started (hello included)", times[0], "ms")
        part.put("median", percentile(times, 50), "ms", at_most=50)
        part.put("99th percentile", percentile(times, 99), "ms", at_most=200)
        part.put("slowest", max(times), "ms")
        part.notes.append(f"{len(times)} commits, 20 to 250 ms apart, the first one included.")
        _idle(laptops, silence, part)
    return part


def _commits(laptops: Laptops, table: str, count: int) -> list[float]:
    """Milliseconds from the end of the commit on anna until a query on bert sees the row."""
    dice = random.Random(_SEED)
    times: list[float] = []
    writer, reader = laptops.anna.connect(), laptops.bert.connect()
    with writer.cursor() as write, reader.cursor() as read:
        for i in range(1, count + 1):
            mark = 1_000_000 + i
            write.execute(f"UPDATE {table} SET stock=%s WHERE id=%s", (mark, i))
            committed = time.monotonic()
            while True:
                read.execute(f"SELECT stock FROM {table} WHERE id=%s", (i,))
                row = read.fetchone()
                now = time.monotonic()
                if row is not None and row[0] == mark:
                    break
                assert now - committed < _LONGEST, f"commit {i} did not arrive"
                time.sleep(_PAUSE)
            times.append((now - committed) * 1000)
            time.sleep(dice.uniform(0.02, 0.25))
    writer.close()
    reader.close()
    return times


def _idle(laptops: Laptops, seconds: float, part: Part) -> None:
    """CPU of everybody while nothing happens."""
    time.sleep(1 if seconds < 10 else 3)  # statuses are settled, buffers flushed
    pids = {"agent A": laptops.anna.serve_pid, "agent B": laptops.bert.serve_pid,
            "server A": laptops.anna.server.pid, "server B": laptops.bert.server.pid}
    with Watch(pids) as watch:
        time.sleep(seconds)
    share = {name: use.cpu / watch.seconds * 100 for name, use in watch.use.items()}
    part.put(f"CPU of an agent while nothing happens for {seconds:g} s",
             max(share["agent A"], share["agent B"]), "% of a core", at_most=1)
    table = Table("CPU while nothing happens, % of a core", list(share))
    table.rows.append([number(value) for value in share.values()])
    part.tables.append(table)
