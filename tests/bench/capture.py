"""What capture costs the app: the same writes on one server, in turn, to a table without triggers, to
one with the least that a trigger could do (note the key in a table), and to one with ours."""

from __future__ import annotations

import time

from bench import work
from bench.figures import Part, Table, median, number
from bench.laptops import Laptops

KINDS = ("without", "least", "ours")

_LEAST = ("CREATE TABLE noted (n BIGINT AUTO_INCREMENT PRIMARY KEY, id BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB",)


def _single(table: str, count: int, what: str) -> str:
    return f"BEGIN NOT ATOMIC FOR i IN 1..{count} DO {what.format(table=table)} WHERE id=i; END FOR; END"


def _steps(table: str, rows: int, ones: int) -> list[tuple[str, int, str]]:
    """Title, number of rows, statement: the table is empty before the first and after each delete."""
    update, delete = "UPDATE {table} SET stock=stock+1, note='changed'", "DELETE FROM {table}"
    return [
        ("insert, one statement", rows, work.bulk_insert(table, rows)),
        ("update, one statement", rows, update.format(table=table)),
        ("delete, one statement", rows, delete.format(table=table)),
        ("insert, a transaction each", ones, work.single_inserts(table, ones)),
        ("update, a transaction each", ones, _single(table, ones, update)),
        ("delete, a transaction each", ones, _single(table, ones, delete)),
    ]


def _make_least(laptops: Laptops, table: str) -> None:
    for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        laptops.anna.sql(f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table} FOR EACH ROW"
                         f" INSERT INTO noted (id) VALUES ({row}.id)")


def _run(laptops: Laptops, table: str, rows: int, ones: int) -> dict[str, float]:
    """Microseconds a row of each step."""
    found: dict[str, float] = {}
    connection = laptops.anna.connect()
    with connection.cursor() as cursor:
        for title, count, text in _steps(table, rows, ones):
            started = time.monotonic()
            cursor.execute(text)
            found[title] = (time.monotonic() - started) / count * 1e6
    connection.close()
    return found


def measure(options: list[str], buffer_pool: str, rounds: int, quick: bool) -> Part:
    """All kinds in turn in each round, full durability."""
    rows, ones = (50000, 1000) if quick else (200000, 5000)
    part = Part("capture", "What capture costs the app")
    found: dict[str, dict[str, list[float]]] = {}
    with Laptops(options, buffer_pool) as laptops:
        work.make_tables(laptops.anna.server, "plain", 1)
        work.make_tables(laptops.anna.server, "least", 1)
        for statement in _LEAST:
            laptops.anna.sql(statement)
        _make_least(laptops, "least1")
        tables = {"without": "plain1", "least": "least1", "ours": laptops.tables.take()}
        for _ in range(rounds):
            for kind in KINDS:
                for title, cost in _run(laptops, tables[kind], rows, ones).items():
                    found.setdefault(title, {name: [] for name in KINDS})[kind].append(cost)
    table = Table(f"Microseconds a row ({rows:,} rows a statement, {ones:,} transactions)",
                  ["", "without triggers", "least trigger", "Tandem", "Tandem adds", "times without", "times least"])
    for title, kinds in found.items():
        without, least, ours = (median(kinds[kind]) for kind in KINDS)
        table.rows.append([title, number(without), number(least), number(ours), number(ours - without),
                           number(ours / without), number(ours / least)])
        part.put(f"{title}: what Tandem adds", ours - without, "us a row")
    part.tables.append(table)
    return part
