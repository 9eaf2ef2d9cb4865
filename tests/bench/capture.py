"""What capture costs the app: the same writes with and without triggers, on one server."""

from __future__ import annotations

import time

from bench import work
from bench.figures import Part, median
from bench.laptops import Laptops


def _timed(laptops: Laptops, text: str) -> float:
    connection = laptops.anna.connect()
    with connection.cursor() as cursor:
        started = time.monotonic()
        cursor.execute(text)
        seconds = time.monotonic() - started
    connection.close()
    return seconds


def measure(options: list[str], buffer_pool: str, rounds: int, quick: bool) -> Part:
    """Tables with triggers (t1, ...) and without (plain1, ...), in turn, full durability."""
    rows, ones = (50000, 1000) if quick else (200000, 5000)
    part = Part("capture", "What capture costs the app")
    with Laptops(options, buffer_pool) as laptops:
        work.make_tables(laptops.anna.server, "plain", rounds * 2)
        plain = iter(f"plain{i}" for i in range(1, rounds * 2 + 1))
        for title, make, count, unit in (
                (f"one insert of {rows:,} rows", work.bulk_insert, rows, "us a row"),
                (f"{ones:,} one-row transactions", work.single_inserts, ones,
                 "us a transaction")):
            without: list[float] = []
            captured: list[float] = []
            for _ in range(rounds):
                without.append(_timed(laptops, make(next(plain), count)))
                captured.append(_timed(laptops, make(laptops.tables.take(), count)))
            part.add(f"{title}: without triggers", without, "s")
            part.add(f"{title}: with triggers", captured, "s")
            part.put(f"{title}: more", (median(captured) - median(without)) / count * 1e6, unit)
    return part
