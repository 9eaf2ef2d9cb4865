"""Backlogs of growing size: time, records a second, memory; a drain that finds nothing; the look at
many tables in each drain."""

from __future__ import annotations

import re
import time

from bench import work
from bench.figures import Part, Table, number
from bench.laptops import Laptops, run_drain
from bench.watch import pss_mib

_REST = 1.5  # seconds after which serve is at rest


def measure_growth(options: list[str], buffer_pool: str, quick: bool) -> Part:
    """One bulk insert each of 1,000 to 1,000,000 rows."""
    sizes = (1000, 10000, 100000) if quick else (1000, 10000, 100000, 1000000)
    part = Part("growth", "Backlogs of growing size (one insert, 11 columns)")
    table = Table("One drain each", ["records", "seconds", "records/s", "groups",
                                     "mark, read, spool", "send, apply, settle", "of that apply",
                                     "peak PSS agent A, MiB", "peak PSS agent B, MiB"])
    part.tables.append(table)
    with Laptops(options, buffer_pool) as laptops:
        time.sleep(_REST)
        part.put("PSS of --serve at rest, just started", pss_mib(laptops.bert.serve_pid), "MiB",
                 at_most=16)
        for size in sizes:
            name = laptops.tables.take()
            laptops.write(work.bulk_insert(name, size))
            carried = laptops.carry(name)
            table.rows.append(
                [f"{size:,}", number(carried.seconds), number(size / carried.seconds),
                 str(carried.groups), number(carried.build), number(carried.send),
                 number(carried.apply), number(carried.use["agent A"].pss),
                 number(carried.use["agent B"].pss)])
        for agent in ("agent A", "agent B"):
            part.put(f"peak PSS of {agent} with {sizes[-1]:,} records waiting",
                     carried.use[agent].pss, "MiB", at_most=64)
        time.sleep(_REST)
        part.put("PSS of --serve at rest, after that", pss_mib(laptops.bert.serve_pid), "MiB",
                 at_most=16)
    return part


def measure_nothing(options: list[str], buffer_pool: str, quick: bool) -> Part:
    """agent --drain with 20 tables and nothing to do, as cron starts it every minute."""
    part = Part("nothing", f"agent --drain with nothing to do, {work.TABLES} tables")
    with Laptops(options, buffer_pool) as laptops:
        times = [run_drain(laptops.anna)[0] * 1000 for _ in range(10 if quick else 30)]
        part.add("start to exit", times, "ms", at_most=50)
    return part


def measure_drift(options: list[str], buffer_pool: str, quick: bool) -> Part:
    """What the look at all tables costs each drain: have ids, definitions or triggers changed?"""
    tables, columns = 300, 20
    part = Part("drift", f"The look at {tables} tables of {columns} columns in each drain")
    with Laptops(options, buffer_pool) as laptops:
        anna = laptops.anna
        more = ", ".join(f"c{i} VARCHAR(40) NOT NULL DEFAULT 'x'" for i in range(1, columns))
        for i in range(tables - len(anna.sql("SHOW TABLES"))):
            anna.sql(f"CREATE TABLE many_{i} (id INT PRIMARY KEY, {more})")
        anna.change_conf({"log": {"level": "debug"}})
        anna.install()
        anna.agent_log.write_text("", encoding="utf-8")
        for _ in range(10 if quick else 30):
            run_drain(anna)
        times = [float(each) for each in re.findall(r"looked at the tables in (\d+) ms",
                                                    anna.agent_log.read_text(encoding="utf-8"))]
        part.add("one look", times, "ms", at_most=30)
    return part
