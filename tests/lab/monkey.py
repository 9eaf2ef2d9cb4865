"""An app that nobody wrote: random statements on whatever schema is there. It reads the schema from
the server and inserts, updates, deletes and re-keys rows of any table, one or many at once, with
values that the columns take and parents that exist. What the schema forbids is refused by the
server and counts for nothing.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pymysql

from lab.node import Node

# What an app must expect of a server: duplicate, no parent, has children, check, out of range, too
# long, wrong value, lock wait, deadlock, no default, a view's or a procedure's own SIGNAL, recursion.
REFUSALS = {1048, 1062, 1205, 1213, 1264, 1265, 1292, 1364, 1366, 1406, 1416, 1442, 1451, 1452, 1644, 1690, 1761, 1762, 3819, 4025,
            4161, 1020}
NEVER = {1442, 1467, 1054, 1146, 1305}  # what only a trigger of ours could bring into a sane schema

_INTEGERS = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8}
_GEOMETRY = {"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
             "geometrycollection"}


@dataclass
class _Column:
    name: str
    kind: str
    type: str
    length: int
    nullable: bool
    auto: bool
    collation: str


@dataclass
class _Table:
    name: str
    columns: dict[str, _Column] = field(default_factory=dict)
    key: list[str] = field(default_factory=list)
    parents: dict[str, tuple[str, str]] = field(default_factory=dict)  # column: parent's table, column


def _q(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


class Monkey:
    """Works on one node. done counts what the server took, by kind of statement; refused counts its errors."""

    def __init__(self, node: Node, rng: random.Random, exclude: tuple[str, ...] = (),
                 without: tuple[str, ...] = ()) -> None:
        self.rng = rng
        self.without = without  # kinds of statements that it leaves alone
        self.connection = node.connect(autocommit=True)
        self.tables = {name: table for name, table in self._schema().items() if table.key and name not in exclude}
        self.done: Counter[str] = Counter()
        self.refused: Counter[int] = Counter()

    def close(self) -> None:
        """Give the connection back."""
        self.connection.close()

    def work(self, statements: int) -> None:
        """So many statements, in transactions of one to five; now and then one is rolled back."""
        left = statements
        while left > 0:
            n = min(left, self.rng.randint(1, 5))
            left -= n
            self._try("BEGIN")
            for _ in range(n):
                self._one()
            self._try("ROLLBACK" if self.rng.random() < 0.1 else "COMMIT")

    # the schema ------------------------------------------------------------------------------------

    def _rows(self, text: str, *args: Any) -> list[tuple]:
        with self.connection.cursor() as cursor:
            cursor.execute(text, args or None)
            return list(cursor.fetchall())

    def _schema(self) -> dict[str, _Table]:
        tables = {name: _Table(name) for (name,) in self._rows(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE()"
            " AND TABLE_TYPE='BASE TABLE' AND ENGINE='InnoDB'")}
        for name, column, kind, full, length, nullable, extra, generated, collation in self._rows(
                "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IFNULL(CHARACTER_MAXIMUM_LENGTH, 0), IS_NULLABLE,"
                " EXTRA, IFNULL(GENERATION_EXPRESSION, ''), IFNULL(COLLATION_NAME, '') FROM information_schema.COLUMNS"
                " WHERE TABLE_SCHEMA=DATABASE() ORDER BY TABLE_NAME, ORDINAL_POSITION"):
            if name in tables and not generated:
                tables[name].columns[column] = _Column(column, kind, full, int(length), nullable == "YES",
                                                       "auto_increment" in extra, collation)
        for name, column in self._rows(
                "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA=DATABASE()"
                " AND INDEX_NAME='PRIMARY' ORDER BY TABLE_NAME, SEQ_IN_INDEX"):
            if name in tables:
                tables[name].key.append(column)
        for name, column, parent, referenced in self._rows(
                "SELECT TABLE_NAME, COLUMN_NAME, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME"
                " FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA=DATABASE() AND REFERENCED_TABLE_NAME IS NOT NULL"):
            if name in tables:
                tables[name].parents[column] = (parent, referenced)
        return tables

    # statements --------------------------------------------------------------------------------------

    def _try(self, text: str, kind: str = "") -> None:
        try:
            with self.connection.cursor() as cursor:
                n = cursor.execute(text)
            if kind and n:
                self.done[kind] += 1
        except pymysql.err.MySQLError as wrong:
            code = wrong.args[0]
            if code in NEVER or code not in REFUSALS:
                raise AssertionError(f"{text} {args}: {wrong}") from wrong
            self.refused[code] += 1

    def _one(self) -> None:
        table = self.tables[self.rng.choice(sorted(self.tables))]
        kind = self.rng.choices(("insert", "update", "delete", "key", "many", "replace"), (5, 8, 2, 1, 2, 1))[0]
        if kind not in self.without:
            getattr(self, "_" + kind)(table)

    def _where(self, table: _Table) -> str | None:
        """A row that is there, by its key, whose values are written out: other values may hold a '%'."""
        keys = ", ".join(_q(name) for name in table.key)
        count = self._rows(f"SELECT COUNT(*) FROM {_q(table.name)}")[0][0]
        if not count:
            return None
        row = self._rows(f"SELECT {keys} FROM {_q(table.name)} LIMIT {self.rng.randrange(count)}, 1")
        if not row:
            return None
        return " AND ".join(f"{_q(name)}={self.connection.literal(value)}" for name, value in zip(table.key, row[0]))

    def _insert(self, table: _Table, word: str = "INSERT") -> None:
        names = [c for c in table.columns.values() if not c.auto]
        values = [self._value(table, column) for column in names]
        self._try(f"{word} INTO {_q(table.name)} ({', '.join(_q(c.name) for c in names)}) VALUES"
                  f" ({', '.join(values)})", word.lower())

    def _replace(self, table: _Table) -> None:
        self._insert(table, "REPLACE")

    def _assignments(self, table: _Table, names: list[str]) -> str:
        return ", ".join(f"{_q(name)}={self._value(table, table.columns[name])}" for name in names)

    def _update(self, table: _Table) -> None:
        names = [name for name in table.columns if name not in table.key]
        where = self._where(table)
        if names and where:
            chosen = self.rng.sample(names, min(len(names), self.rng.randint(1, 3)))
            self._try(f"UPDATE {_q(table.name)} SET {self._assignments(table, chosen)} WHERE {where}", "update")

    def _delete(self, table: _Table) -> None:
        where = self._where(table)
        if where:
            self._try(f"DELETE FROM {_q(table.name)} WHERE {where}", "delete")

    def _key(self, table: _Table) -> None:
        where = self._where(table)
        if where:
            self._try(f"UPDATE {_q(table.name)} SET {self._assignments(table, [self.rng.choice(table.key)])}"
                      f" WHERE {where}", "key")

    def _many(self, table: _Table) -> None:
        keys = ", ".join(_q(name) for name in table.key)
        names = [name for name in table.columns if name not in table.key]
        if not names or self.rng.random() < 0.3:
            self._try(f"DELETE FROM {_q(table.name)} ORDER BY {keys} LIMIT {self.rng.randint(1, 4)}", "delete many")
        else:
            self._try(f"UPDATE {_q(table.name)} SET {self._assignments(table, [self.rng.choice(names)])}"
                      f" ORDER BY {keys} LIMIT {self.rng.randint(2, 30)}", "update many")

    # values --------------------------------------------------------------------------------------------

    def _value(self, table: _Table, column: _Column) -> str:
        """SQL text of a value for the column: a parent's, NULL, or something new."""
        if column.nullable and self.rng.random() < 0.1:
            return "NULL"
        if column.name in table.parents:
            parent, referenced = table.parents[column.name]
            rows = self._rows(f"SELECT COUNT(*) FROM {_q(parent)}")
            if rows[0][0]:
                # Its value, read before: an app's trigger may write to a table only if the statement reads none of it.
                found = self._rows(f"SELECT {_q(referenced)} FROM {_q(parent)} LIMIT {self.rng.randrange(rows[0][0])}, 1")
                return str(self.connection.escape(found[0][0]))
        return self._fresh(column)

    def _fresh(self, column: _Column) -> str:
        kind, rng = column.kind, self.rng
        if kind in _INTEGERS:
            bits = 8 * _INTEGERS[kind] - 1
            if column.type == "tinyint(1)":
                return str(rng.randint(0, 1))
            return str(rng.randrange(min(1 << bits, 100000)))
        if kind in ("char", "varchar", "tinytext", "text", "mediumtext", "longtext"):
            if column.type == "longtext" and column.collation == "utf8mb4_bin":
                return f"'{{\"n\": {rng.randrange(1000)}}}'"
            text = "".join(rng.choice("abcdefghij klmnop XYZ 0123456789 äöü") for _ in range(rng.randrange(1, 20)))
            return "'" + text[:column.length or 5] + "'"
        if kind in ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"):
            return "x'" + rng.randbytes(min(column.length, rng.randrange(0, 24))).hex() + "'"
        if kind == "enum":
            return str(rng.randint(1, column.type.count("','") + 1))
        if kind == "set":
            return str(rng.randrange(1, 1 << (column.type.count("','") + 1)))
        if kind in _GEOMETRY:
            return f"ST_GeomFromText('POINT({rng.randrange(90)} {rng.randrange(90)})')"
        return {
            "decimal": lambda: f"{rng.randrange(100)}.{rng.randrange(10)}",
            "float": lambda: repr(rng.random()), "double": lambda: repr(rng.random()),
            "date": lambda: f"'20{rng.randrange(10, 30)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}'",
            "datetime": lambda: f"'20{rng.randrange(10, 30)}-01-{rng.randrange(1, 29):02} 10:11:12'",
            "timestamp": lambda: f"'20{rng.randrange(10, 30)}-01-{rng.randrange(1, 29):02} 10:11:12'",
            "time": lambda: f"'{rng.randrange(24):02}:10:11'", "year": lambda: str(rng.randrange(1990, 2030)),
            "bit": lambda: str(rng.randrange(2)), "uuid": lambda: "UUID()",
            "inet4": lambda: f"'10.0.0.{rng.randrange(255)}'", "inet6": lambda: f"'::{rng.randrange(9999)}'",
        }[kind]()
