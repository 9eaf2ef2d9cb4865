"""Tables and backlogs: the same SQL for Tandem and for MariaDB's own replication."""

from __future__ import annotations

from lab import Server

DATABASE = "app"
TABLES = 20

# 11 columns, about 180 bytes a row, a key, and one secondary index as nearly every table has one.
_COLUMNS = """(
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(60) NOT NULL, email VARCHAR(80) NOT NULL, town VARCHAR(40) NOT NULL,
  note VARCHAR(120) NULL, amount DECIMAL(12,2) NOT NULL, stock INT NOT NULL,
  ratio DOUBLE NOT NULL, born DATE NULL, flags TINYINT NOT NULL, seen DATETIME(6) NOT NULL,
  KEY (town)) ENGINE=InnoDB"""

_VALUES = """CONCAT('Name of number ', {n}), CONCAT('person', {n}, '@example.org'),
  CONCAT('Town ', {n} % 997), CONCAT('note ', {n}, ' ', REPEAT('lorem ipsum ', 5)),
  {n} / 7, {n} % 1000, {n} / 3, '1990-01-01' + INTERVAL {n} % 10000 DAY, {n} % 2,
  '2026-01-01 12:00:00.000001' + INTERVAL {n} SECOND"""

_NAMES = "name, email, town, note, amount, stock, ratio, born, flags, seen"


def make_tables(server: Server, prefix: str = "t", count: int = TABLES, database: str = DATABASE) -> None:
    """The empty tables t1, t2, ..."""
    for i in range(1, count + 1):
        server.sql(f"CREATE OR REPLACE TABLE {prefix}{i} {_COLUMNS}", db=database)


class Tables:
    """Hands out the tables one after the other, so that every run begins with an empty one."""

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> str:
        """The next unused table."""
        self._next += 1
        assert self._next <= TABLES, "too few tables: raise work.TABLES"
        return f"t{self._next}"


def bulk_insert(table: str, rows: int) -> str:
    """So many rows in one statement and one transaction."""
    return (f"INSERT INTO {table} (id, {_NAMES}) SELECT seq, {_VALUES.format(n='seq')}"
            f" FROM seq_1_to_{rows}")


def one_insert(table: str, key: int) -> str:
    """One row."""
    return f"INSERT INTO {table} (id, {_NAMES}) VALUES ({key}, {_VALUES.format(n=key)})"


def single_inserts(table: str, count: int) -> str:
    """So many transactions of one row each."""
    return (f"BEGIN NOT ATOMIC FOR i IN 1..{count} DO"
            f" INSERT INTO {table} (id, {_NAMES}) VALUES (i, {_VALUES.format(n='i')});"
            f" END FOR; END")


def updates(table: str, rows: int, count: int, a_transaction: int) -> str:
    """So many updates of one row each, spread over the first rows, some to a transaction."""
    return (f"BEGIN NOT ATOMIC FOR k IN 1..{count // a_transaction} DO START TRANSACTION;"
            f" FOR i IN 1..{a_transaction} DO UPDATE {table} SET stock=stock+1, seen=NOW(6)"
            f" WHERE id=(((k-1)*{a_transaction}+i)*7919) % {rows} + 1; END FOR; COMMIT;"
            f" END FOR; END")


def write(server: Server, text: str) -> None:
    """Write a backlog, not at the durability that is measured: it is only preparation."""
    careful = server.sql("SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.sync_binlog")[0]
    server.sql("SET GLOBAL innodb_flush_log_at_trx_commit=0")
    server.sql("SET GLOBAL sync_binlog=0")
    try:
        server.sql(text, db=DATABASE)
    finally:
        server.sql(f"SET GLOBAL innodb_flush_log_at_trx_commit={careful[0]}")
        server.sql(f"SET GLOBAL sync_binlog={careful[1]}")
    server.sql("FLUSH ENGINE LOGS")


def state(server: Server, table: str) -> tuple[int, int]:
    """Number of rows and checksum of a table."""
    count = int(server.sql(f"SELECT COUNT(*) FROM {table}", db=DATABASE)[0][0])
    return count, int(server.sql(f"CHECKSUM TABLE {table} EXTENDED", db=DATABASE)[0][1])


def assert_equal(a: Server, b: Server, table: str) -> int:
    """Both hold the same rows; how many."""
    left, right = state(a, table), state(b, table)
    assert left == right, f"{table}: {left} on {a.name}, {right} on {b.name}"
    return left[0]
