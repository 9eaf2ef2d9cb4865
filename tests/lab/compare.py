"""Are two databases equal? The tests' own reading of them; no agent code takes part.

Rows are read in key order from one snapshot on each side, every value as the hex of its exact
bytes (FLOAT as DOUBLE, TIMESTAMP in UTC, long values as SHA-256), streamed, so that a table of a
million rows needs no memory. CHECKSUM TABLE is asked as a second opinion. Of system-versioned tables
the current rows are compared; their history is each side's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import pymysql
from pymysql.cursors import SSCursor

Connection = pymysql.connections.Connection

DIFFERENCES_MAX = 20  # of one table; the reader wants to see what kind it is, not all of them
_LONG = 256  # bytes of a value that is compared as itself; also keeps a row far below a packet
_FETCH = 1000

_BYTES = {"char", "varchar", "binary", "varbinary", "tinytext", "text", "mediumtext", "longtext",
          "tinyblob", "blob", "mediumblob", "longblob", "geometry", "point", "linestring",
          "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection"}


@dataclass(frozen=True)
class Side:
    """One of the two databases: a name for messages, and how to connect to it."""
    name: str
    connect: Callable[[], Connection]


@dataclass(frozen=True)
class _Table:
    """What we have to know to read a table: its columns with their types, and its key."""
    name: str
    columns: tuple[tuple[str, str, str, str], ...]  # name, data type, column type, collation
    key: tuple[str, ...]
    versioned: bool


def differences(a: Side, b: Side, tables: Sequence[str] | None = None,
                checksum: bool = True) -> list[str]:
    """What differs, one readable line each; an empty list means equal."""
    left, right = _open(a), _open(b)
    try:
        ours, theirs = _tables(left), _tables(right)
        names = sorted(ours.keys() | theirs.keys()) if tables is None else list(tables)
        found: list[str] = []
        for name in names:
            if name not in ours or name not in theirs:
                found += [f"{name}: missing on {side.name}"
                          for side, there in ((a, ours), (b, theirs)) if name not in there]
            else:
                found += _Comparison((a, left, ours[name]), (b, right, theirs[name])).run(checksum)
        return found
    finally:
        left.close()
        right.close()


def fingerprint(side: Side) -> dict[str, tuple[int, int]]:
    """Of each table: the number of rows and the server's checksum of them."""
    connection = _open(side)
    try:
        return {name: (int(_one(connection, f"SELECT COUNT(*) FROM {_quote(name)}")[0]),
                       _checksum(connection, name)) for name in _tables(connection)}
    finally:
        connection.close()


# reading the catalogue ---------------------------------------------------------------------------

def _open(side: Side) -> Connection:
    connection = side.connect()
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION time_zone='+00:00', sql_mode='', max_statement_time=0,"
                       " net_write_timeout=600")
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    return connection


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _all(connection: Connection, text: str, *args: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(text, args or None)
        return list(cursor.fetchall())


def _one(connection: Connection, text: str) -> tuple:
    return _all(connection, text)[0]


def _checksum(connection: Connection, table: str) -> int:
    return int(_one(connection, f"CHECKSUM TABLE {_quote(table)} EXTENDED")[1])


def _tables(connection: Connection) -> dict[str, _Table]:
    columns: dict[str, list[tuple[str, str, str, str]]] = {}
    versioned: set[str] = set()
    keys: dict[str, list[str]] = {}
    for table, kind, *column in _all(
            connection, "SELECT TABLE_NAME, TABLE_TYPE, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE,"
            " IFNULL(COLLATION_NAME, '') FROM information_schema.COLUMNS"
            " JOIN information_schema.TABLES USING (TABLE_SCHEMA, TABLE_NAME)"
            " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')"
            " AND IFNULL(GENERATION_EXPRESSION, '') NOT IN ('ROW START', 'ROW END')"
            " ORDER BY TABLE_NAME, ORDINAL_POSITION"):
        columns.setdefault(table, []).append(tuple(column))
        if kind == "SYSTEM VERSIONED":
            versioned.add(table)
    for table, column in _all(
            connection, "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS"
            " WHERE TABLE_SCHEMA = DATABASE() AND INDEX_NAME = 'PRIMARY'"
            " ORDER BY TABLE_NAME, SEQ_IN_INDEX"):
        if any(column == there for there, *_ in columns.get(table, [])):  # not the end of a row
            keys.setdefault(table, []).append(column)
    return {name: _Table(name, tuple(those), tuple(keys.get(name, ())), name in versioned)
            for name, those in columns.items()}


# values as text ----------------------------------------------------------------------------------

def _value(name: str, data_type: str) -> str:
    """SQL for a value's exact content as hex, '-' for NULL."""
    column = _quote(name)
    if data_type in _BYTES:
        content = column
    elif data_type == "float":  # the text of a FLOAT is rounded
        content = f"CAST(CAST({column} AS DOUBLE) AS CHAR)"
    elif data_type == "bit":
        content = f"CAST({column}+0 AS CHAR)"
    elif data_type in ("enum", "set"):  # '' may be a member, or the number 0
        content = f"CONCAT({column}+0, ':', {column})"
    else:
        content = f"CAST({column} AS CHAR)"
    return (f"IF({column} IS NULL, '-', IF(LENGTH({content}) > {_LONG},"
            f" CONCAT('sha256:', SHA2({content}, 256)), HEX({content})))")


def _joined(table: _Table, names: Sequence[str]) -> str:
    types = {name: data_type for name, data_type, _, _ in table.columns}
    return "CONCAT_WS(',', " + ", ".join(_value(name, types[name]) for name in names) + ")"


def _readable(value: str) -> str:
    if value == "-":
        return "NULL"
    if value.startswith("sha256:"):
        return value
    content = bytes.fromhex(value)
    try:
        return repr(content.decode("utf-8"))
    except UnicodeDecodeError:
        return "0x" + value


# one table ---------------------------------------------------------------------------------------

class _Comparison:
    """One table on both sides."""

    def __init__(self, a: tuple[Side, Connection, _Table], b: tuple[Side, Connection, _Table]):
        self.a, self.left, self.table = a
        self.b, self.right, self.other = b
        self.names = [column[0] for column in self.table.columns]
        self.key = list(self.table.key) or self.names  # without a key the whole row is the key

    def run(self, checksum: bool) -> list[str]:
        """The quick way in key order; only when something differs the way that says what."""
        name = self.table.name
        if self.table != self.other:
            return [f"{name}: other columns: {self.table.columns} on {self.a.name},"
                    f" {self.other.columns} on {self.b.name}"]
        if not self._same_in_order():
            return self._explain() or [f"{name}: the rows are equal, their order is not"]
        if checksum and not self.table.versioned and _checksum(self.left, name) != _checksum(self.right, name):
            return [f"{name}: the rows are equal, CHECKSUM TABLE is not"]
        return []

    def _same_in_order(self) -> bool:
        rows = _joined(self.table, self.names)
        # A table without a key has no order but that of its content.
        order = ", ".join(_quote(column) for column in self.table.key) or "1"
        text = f"SELECT {rows} FROM {_quote(self.table.name)} ORDER BY {order}"
        pairs = zip_longest(_stream(self.left, text), _stream(self.right, text))
        same = True
        for left, right in pairs:  # to the end: a half-read result blocks its connection
            same = same and left == right
        return same

    def _explain(self) -> list[str]:
        """Merge both sides, ordered by the bytes of their keys."""
        text = (f"SELECT CONVERT({_joined(self.table, self.key)} USING utf8mb4) COLLATE utf8mb4_bin, {_joined(self.table, self.names)}"
                f" FROM {_quote(self.table.name)} ORDER BY 1, 2")
        found: list[str] = []
        total = 0
        for line in self._merge(_stream(self.left, text), _stream(self.right, text)):
            total += 1
            if len(found) < DIFFERENCES_MAX:
                found.append(line)
        if total > len(found):
            found.append(f"{self.table.name}: and {total - len(found)} further differences")
        return found

    def _merge(self, ours: Iterator[tuple], theirs: Iterator[tuple]) -> Iterator[str]:
        left, right = next(ours, None), next(theirs, None)
        while left or right:
            if right is None or (left is not None and left[0] < right[0]):
                yield self._lonely(left, self.a, self.b)
                left = next(ours, None)
            elif left is None or right[0] < left[0]:
                yield self._lonely(right, self.b, self.a)
                right = next(theirs, None)
            else:
                if left != right:
                    yield self._changed(left, right)
                left, right = next(ours, None), next(theirs, None)

    def _where(self, row: tuple) -> str:
        values = [_readable(value) for value in row[0].split(",")]
        return f"{self.table.name} " + ", ".join(
            f"{name}={value}" for name, value in zip(self.key, values))

    def _lonely(self, row: tuple, there: Side, missing: Side) -> str:
        return f"{self._where(row)}: on {there.name}, missing on {missing.name}"

    def _changed(self, left: tuple, right: tuple) -> str:
        parts = [f"{name} is {_readable(ours)} on {self.a.name}, {_readable(theirs)}"
                 f" on {self.b.name}"
                 for name, ours, theirs in zip(self.names, left[1].split(","), right[1].split(","))
                 if ours != theirs]
        return f"{self._where(left)}: " + "; ".join(parts)


def _stream(connection: Connection, text: str) -> Iterator[tuple]:
    """The rows of a result, a few at a time. A NULL would be a value we failed to read."""
    with connection.cursor(SSCursor) as cursor:
        cursor.execute(text)
        while rows := cursor.fetchmany(_FETCH):
            for row in rows:
                if None in row:
                    raise RuntimeError(f"unreadable row: {text}")
                yield row
