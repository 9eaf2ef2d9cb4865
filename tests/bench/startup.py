"""Filling a new node, beside mariadb-dump | mariadb on the same servers and rows; and --verify of what
is equal then, alone and with a hundred records that differ."""

from __future__ import annotations

import subprocess
import time

from lab import Node, Pair, until
from lab.hand import unseen

from bench.figures import Part
from bench.watch import Watch

_LIMIT = 1800  # seconds
_TABLES = (
    "CREATE TABLE customer (id INT PRIMARY KEY, name VARCHAR(60) NOT NULL, city VARCHAR(40), born DATE, note VARCHAR(200), KEY (city))",
    "CREATE TABLE article (id VARCHAR(20) PRIMARY KEY, name VARCHAR(60), price DECIMAL(9,2), stock INT)",
    "CREATE TABLE sale (id BIGINT PRIMARY KEY, customer INT NOT NULL, at DATETIME, sum DECIMAL(12,2), text VARCHAR(200), KEY (customer),"
    " FOREIGN KEY (customer) REFERENCES customer (id))",
)


def _fill(node: Node, rows: int) -> None:
    """Three tables of so many rows in all, about 200 bytes each."""
    third = rows // 3
    node.sql(f"INSERT INTO customer SELECT seq, CONCAT('name ', MD5(seq)), CONCAT('city ', seq MOD 997), '1970-01-01' + INTERVAL seq MOD 9000 DAY,"
             f" REPEAT(MD5(seq), 4) FROM seq_1_to_{third}")
    node.sql(f"INSERT INTO article SELECT CONCAT('A', LPAD(seq, 9, '0')), REPEAT(MD5(seq), 1), seq / 7, seq MOD 100 FROM seq_1_to_{third}")
    node.sql(f"INSERT INTO sale SELECT seq, 1 + seq MOD {third}, '2026-01-01' + INTERVAL seq SECOND, seq / 3, REPEAT(MD5(seq), 5) FROM seq_1_to_{third}")
    node.sql("ANALYZE TABLE customer, article, sale")


def _dump(two: Pair) -> float:
    """mariadb-dump | mariadb into a database of its own; the seconds."""
    two.anna.server.sql("CREATE DATABASE plain")
    started = time.monotonic()
    with subprocess.Popen(["mariadb-dump", "--no-defaults", "--single-transaction", "-S", str(two.bert.server.socket), "-u", "root", two.bert.database],
                          stdout=subprocess.PIPE) as dump:
        subprocess.run(["mariadb", "--no-defaults", "-S", str(two.anna.server.socket), "-u", "root", "plain"], stdin=dump.stdout, check=True, timeout=_LIMIT)
    seconds = time.monotonic() - started
    two.anna.server.sql("DROP DATABASE plain")
    return seconds


def _startup(two: Pair) -> tuple[float, dict[str, float]]:
    """--startup; its seconds, and the peak memory of both agents."""
    started = time.monotonic()
    with subprocess.Popen(two.anna.command("--startup", "-q")) as run:
        with Watch({"here": run.pid, "there": two.bert.serve_pid}, memory=("here", "there")) as watch:
            assert run.wait(_LIMIT) == 0
    return time.monotonic() - started, {name: use.pss for name, use in watch.use.items()}


def _timed(node: Node, *args: str, check: int = 0) -> float:
    started = time.monotonic()
    node.agent(*args, check=check, timeout=_LIMIT)
    return time.monotonic() - started


def measure(options: list[str], buffer_pool: str, quick: bool) -> Part:
    """One fill of a database of a million rows (quick: 150,000)."""
    rows = 150000 if quick else 1000000
    part = Part("startup", f"A new node: {rows:,} rows in three tables")
    with Pair(schemas=(), server_options=options, buffer_pool=buffer_pool) as two:
        for node in two.nodes:
            for table in _TABLES:
                node.sql(table)
        _fill(two.bert, rows)
        dumped = _dump(two)
        two.install()
        two.bert.start_serve()
        seconds, memory = _startup(two)
        part.put("mariadb-dump | mariadb", dumped, "s")
        part.put("agent --startup", seconds, "s", at_most=dumped)
        part.put("rows a second", rows / seconds)
        for name, text in (("here", "of the node that is filled"), ("there", "of the other one")):
            part.put(f"peak PSS {text}", memory[name], "MiB", at_most=64)
        _verify(two, part)
    return part


def _verify(two: Pair, part: Part) -> None:
    equal = _timed(two.anna, "--verify", "-q")
    part.put("agent --verify, equal", equal, "s")
    two.anna.start_serve()
    unseen(two.anna, "UPDATE sale SET text = 'other' WHERE id MOD 3000 = 1 LIMIT 100")
    started = time.monotonic()
    two.anna.agent("--verify", "--repair", "--from", "bert", "-q", check=0, timeout=_LIMIT)
    until(lambda: two.anna.sql("SELECT 1 FROM sale WHERE text = 'other' LIMIT 1") == [], _LIMIT, "repaired")
    part.put("100 records found and repaired", time.monotonic() - started, "s")
