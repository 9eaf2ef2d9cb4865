"""Values of every type travel byte for byte, both ways, whatever session wrote them; records are
found by keys of every kind; tables and columns may have any name."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from itertools import permutations
from typing import Any

import pytest

from lab import Pair, compare, hand, places, until
from lab.node import Node
from lab.type_matrix import ALL_BYTES, KEY_GROUPS, KEYS, REFUSED, VALUES, WAITING, WIDENINGS, Columns, x

pytestmark = pytest.mark.slow

# What the app's sessions are like that write here; none is strict, so that zero dates may be written.
SESSIONS: tuple[Mapping[str, Any], ...] = (
    {"charset": "utf8mb4", "init_command": "SET time_zone='+13:00', sql_mode='ALLOW_INVALID_DATES'"},
    {"charset": "latin1", "init_command": "SET time_zone='-12:00', sql_mode='NO_BACKSLASH_ESCAPES,"
     "ANSI_QUOTES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH,ALLOW_INVALID_DATES'"},
    {"charset": "sjis", "init_command": "SET time_zone='+05:45', sql_mode='NO_UNSIGNED_SUBTRACTION,"
     "REAL_AS_FLOAT,IGNORE_SPACE,HIGH_NOT_PRECEDENCE,ALLOW_INVALID_DATES',"
     " character_set_results=NULL"},
)

def _ready(pair: Pair, *ddl: str) -> tuple[Node, Node]:
    hand.everywhere(pair, *ddl)
    for node in pair.nodes:
        assert "not replicated" not in node.install().stdout
    pair.start_serve()
    return pair.anna, pair.bert


def _in_step(pair: Pair, checksum: bool = True) -> None:
    """Everything has arrived, nothing was refused, and both hold the same bytes. checksum=False for
    tables with VIRTUAL columns: there CHECKSUM TABLE differs even between a table and its copy."""
    pair.settle(20, codes=(0, 5))
    assert [hand.owed(node) for node in pair.nodes] == [[], []]
    found = compare.differences(pair.anna.side(), pair.bert.side(), checksum=checksum)
    assert not found, "the databases differ:\n" + "\n".join(found)


def _write(node: Node, session: int, *statements: str) -> None:
    connection = node.connect(autocommit=False, **SESSIONS[session % len(SESSIONS)])
    try:
        hand.run(connection, *statements)
        connection.commit()
    finally:
        connection.close()


# values ------------------------------------------------------------------------------------------

def _table(columns: Columns) -> str:
    """Columns as they come, nullable, behind a key that is not the first one."""
    lines = [f"c{i} {definition}" for i, definition in enumerate(columns)]
    return f"CREATE TABLE t ({', '.join(lines)}, id INT PRIMARY KEY)"


def _row(columns: Columns, row: int) -> list[str]:
    """Each column's row-th literal, from the start again behind the last."""
    return [values[row % len(values)] for values in columns.values()]


def _inserts(columns: Columns, rows: range) -> list[str]:
    return [f"INSERT INTO t VALUES ({', '.join(_row(columns, row))}, {row})" for row in rows]


def _updates(columns: Columns, rows: range, step: int) -> list[str]:
    return [f"UPDATE t SET {', '.join(f'c{i}={value}' for i, value in enumerate(_row(columns, row + step)))}"
            f" WHERE id={row}" for row in rows]


@pytest.mark.parametrize("columns", VALUES.values(), ids=VALUES.keys())
def test_values_of_every_type_travel_byte_for_byte_after_insert_update_and_delete(
        fresh_pair: Pair, columns: Columns) -> None:
    anna, bert = _ready(fresh_pair, _table(columns))
    n = max(len(values) for values in columns.values())
    nulls = ", ".join(f"c{i}=NULL" for i in range(len(columns)))
    for session in range(len(SESSIONS)):
        first = session * n
        _write(anna, session, *_inserts(columns, range(first, first + n)), f"INSERT INTO t (id) VALUES ({-1 - session})")
    _in_step(fresh_pair)
    for session in range(len(SESSIONS)):  # every value takes another one's place, on both laptops
        rows = range(session * n, session * n + n)
        _write(bert, session + 1, *_updates(columns, rows[::2], 1), *_updates(columns, range(-1 - session, -session), 2))
        _write(anna, session + 2, *_updates(columns, rows[1::2], 1))
    _in_step(fresh_pair)
    _write(bert, 1, "UPDATE t SET id=id+100000 WHERE id=1")
    _write(anna, 1, f"UPDATE t SET {nulls} WHERE id%3=0")
    _write(bert, 2, "DELETE FROM t WHERE id%3=1 OR id%3=-1")
    _in_step(fresh_pair)
    _write(bert, 0, *_updates(columns, range(0, n, 3), 3), "DELETE FROM t WHERE id<0")
    _in_step(fresh_pair)
    _write(anna, 2, "DELETE FROM t")
    _in_step(fresh_pair)
    assert bert.sql("SELECT COUNT(*) FROM t") == [(0,)]


@pytest.mark.parametrize("columns", VALUES.values(), ids=VALUES.keys())
def test_every_value_becomes_every_other_one_and_the_same_on_both_sides_is_no_conflict(fresh_pair: Pair, columns: Columns) -> None:
    """One column of one row at a time: were that change not seen, nothing else would carry it."""
    hand.everywhere(fresh_pair, _table(columns))
    _serve_by_hand(fresh_pair)
    anna, bert = fresh_pair.nodes
    steps = [(i, *step) for i, values in enumerate(columns.values()) for step in permutations(["NULL", *values], 2)]
    _write(anna, 0, *[f"INSERT INTO t (id, c{i}) VALUES ({row}, {before})" for row, (i, before, _) in enumerate(steps)])
    _in_step(fresh_pair)
    updates = [f"UPDATE t SET c{i}={after} WHERE id={row}" for row, (i, _, after) in enumerate(steps)]
    _write(bert, 1, *updates[::2])
    _write(anna, 2, *updates[1::2])
    _in_step(fresh_pair)
    _write(anna, 0, *updates)  # to what is there already, unseen by the other
    _write(bert, 1, *updates)
    _in_step(fresh_pair)
    assert [hand.sync(node, "SELECT COUNT(*) FROM sync_conflict") for node in fresh_pair.nodes] == [[(0,)]] * 2


def test_columns_that_the_server_fills_keep_the_values_of_where_they_were_written(fresh_pair: Pair) -> None:
    anna, bert = _ready(
        fresh_pair,
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, n INT, hidden VARCHAR(30) INVISIBLE DEFAULT 'unseen',"
        " made TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),"
        " touched TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),"
        " at DATETIME NULL DEFAULT NULL ON UPDATE CURRENT_TIMESTAMP,"
        " who VARCHAR(60) DEFAULT (CONCAT(UUID(), RAND())), chance DOUBLE DEFAULT (RAND()),"
        " twice BIGINT AS (n * 2) VIRTUAL, label VARCHAR(60) AS (CONCAT(n, '/', hidden)) STORED, last INT DEFAULT 5,"
        " UNIQUE (who), KEY (twice), KEY (label))")
    _write(anna, 0, "INSERT INTO t (n) VALUES (1), (2), (3)", "INSERT INTO t (n, hidden) VALUES (4, NULL), (5, 'é')")
    _write(bert, 1, "INSERT INTO t (n, last) VALUES (6, NULL), (7, 0)")
    _in_step(fresh_pair, checksum=False)
    _write(bert, 2, "UPDATE t SET n=n+10 WHERE n<4")
    _write(anna, 1, "UPDATE t SET hidden='seen' WHERE n IN (4,6)", "UPDATE t SET touched='2001-01-01' WHERE n=7")
    _in_step(fresh_pair, checksum=False)
    _write(anna, 0, "DELETE FROM t WHERE n>10")
    _in_step(fresh_pair, checksum=False)
    assert bert.sql("SELECT n, twice, label FROM t ORDER BY n") == [
        (4, 8, "4/seen"), (5, 10, "5/é"), (6, 12, "6/seen"), (7, 14, "7/unseen")]


# keys --------------------------------------------------------------------------------------------

def _key_columns(kind: str) -> str:
    return "k, y, m, s" if ", y YEAR" in KEYS[kind][0] else "k"


def _everywhere(node: Node, session: int, statements: Callable[[Sequence[str], Sequence[str]], list[str]],
                kinds: Sequence[str]) -> None:
    """For the tables of all kinds, in one transaction: what statements makes of their keys, T being
    the table."""
    _write(node, session, *[one.replace("T", kind, 1) for kind in kinds for one in statements(*KEYS[kind][1:])])


@pytest.mark.parametrize("kinds", KEY_GROUPS.values(), ids=KEY_GROUPS.keys())
def test_records_are_found_by_keys_of_every_kind(fresh_pair: Pair, kinds: Sequence[str]) -> None:
    anna, bert = _ready(fresh_pair, *[
        f"CREATE TABLE {kind} (v INT NOT NULL, w INT, {KEYS[kind][0]}, PRIMARY KEY ({_key_columns(kind)}))"
        for kind in kinds])

    def inserts(keys: Sequence[str], _: Sequence[str]) -> list[str]:
        return [f"insert into T (v, k) VALUES ({v}, {key})" for v, key in enumerate(keys)]

    _everywhere(anna, 1, lambda keys, others: inserts(keys, others)[::2], kinds)
    _everywhere(bert, 2, lambda keys, others: inserts(keys, others)[1::2], kinds)
    _in_step(fresh_pair)
    _everywhere(bert, 1, lambda keys, others: ["update T set w=1"], kinds)
    _in_step(fresh_pair)
    _everywhere(anna, 2, lambda keys, others: [f"update T set k={others[0]} WHERE v=0"], kinds)
    _in_step(fresh_pair)
    _everywhere(bert, 0, lambda keys, others: [f"update T set k={others[1]}, w=2 WHERE v=1",
                                               f"update T set k={keys[0]} WHERE v=0"], kinds)
    _in_step(fresh_pair)
    _everywhere(anna, 1, lambda keys, others: ["delete from T where v%2=0"], kinds)
    _in_step(fresh_pair)
    _everywhere(bert, 2, lambda keys, others: [inserts(keys, others)[0], "update T set w=3 where v=0",
                                               "delete from T where v=1"], kinds)
    _in_step(fresh_pair)
    for kind in kinds:
        count = len(KEYS[kind][1]) // 2
        assert anna.sql(f"SELECT COUNT(*), SUM(w=3) FROM {kind}") == [(count, 1)], kind


def test_records_are_found_by_composite_keys_of_odd_texts(fresh_pair: Pair) -> None:
    anna, bert = _ready(
        fresh_pair, "CREATE TABLE t (a VARCHAR(20), v INT, f FLOAT, b VARCHAR(20) CHARACTER SET latin1, w INT,"
        " PRIMARY KEY (b, f, a))")
    texts = ["", ",", "\\", "\\,", "a,b", "a\\,b", "'", '"', "é", "\\\\", "\0", "a'b\"c,d\\", "who's?"]
    _write(anna, 1, *[f"INSERT INTO t VALUES ({x(a)}, {i}, 0.1, {x(b, 'latin-1')}, 0)"
                      for i, a in enumerate(texts) for b in texts])
    _in_step(fresh_pair)
    _write(bert, 2, "UPDATE t SET w=1 WHERE v%2=0")
    _write(anna, 0, "UPDATE t SET w=2 WHERE v%2=1")
    _in_step(fresh_pair)
    _write(bert, 1, "UPDATE t SET f=0.2 WHERE v=1", "DELETE FROM t WHERE v=3", "UPDATE t SET a=UPPER(a) WHERE v IN (4,8,12)")
    _in_step(fresh_pair)
    _write(anna, 2, "UPDATE t SET b=CONCAT(b, x'2c5c') WHERE v=5", "DELETE FROM t WHERE v<4")
    _in_step(fresh_pair)
    assert bert.sql("SELECT COUNT(*) FROM t") == [(len(texts) * (len(texts) - 4),)]


# shapes and names --------------------------------------------------------------------------------

def test_a_table_of_a_thousand_columns_of_all_sorts_travels(fresh_pair: Pair) -> None:
    sorts = ["INT", "VARCHAR(3)", "FLOAT", "DATE", "BIT(9)", "BINARY(2)", "ENUM('a','b')", "TIMESTAMP NULL"]
    values = ["7", "'é'", "0.1", "'2024-01-01'", "300", "'ab'", "2", "FROM_UNIXTIME(9)"]
    columns = ", ".join(f"c{i} {sorts[i % len(sorts)]}" for i in range(999))
    anna, bert = _ready(fresh_pair, f"CREATE TABLE t (id INT PRIMARY KEY, {columns})")
    row = ", ".join(values[i % len(values)] for i in range(999))
    _write(anna, 1, *[f"INSERT INTO t VALUES ({n}, {row})" for n in range(5)])
    _in_step(fresh_pair)
    _write(bert, 2, "UPDATE t SET c2=0.2, c998=1, c0=NULL WHERE id=1", "UPDATE t SET id=9 WHERE id=2", "DELETE FROM t WHERE id=3")
    _in_step(fresh_pair)
    assert anna.sql("SELECT id FROM t ORDER BY id") == [(0,), (1,), (4,), (9,)]


def test_tables_of_nothing_but_a_key_travel(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, "CREATE TABLE f (k FLOAT PRIMARY KEY)", "CREATE TABLE s (k SET('a','b') PRIMARY KEY)",
                        "CREATE TABLE b (k VARBINARY(9), l TIMESTAMP, PRIMARY KEY (k, l))")
    _write(anna, 1, "INSERT INTO f VALUES (0.1), (16777216)", "INSERT INTO s VALUES (''), ('a,b')",
           f"INSERT INTO b VALUES ({x(ALL_BYTES[:9])}, FROM_UNIXTIME(1)), (x'', FROM_UNIXTIME(2))")
    _in_step(fresh_pair)
    _write(bert, 2, "UPDATE f SET k=0.2 WHERE k<1", "UPDATE s SET k='a' WHERE k=''", "UPDATE b SET k=x'ff' WHERE k=x''")
    _in_step(fresh_pair)
    _write(anna, 0, "DELETE FROM f WHERE k>1", "DELETE FROM s WHERE k='a,b'", "DELETE FROM b WHERE k=x'ff'")
    _in_step(fresh_pair)
    assert [bert.sql(f"SELECT COUNT(*) FROM {table}") for table in "fsb"] == [[(1,)]] * 3


NAMES = ["back`tick", "``", "a b", "it's", 'say "hi"', "a;b -- c", "\\", "ta%ble_", "x" * 64, "ü" * 64, "é\u4e2d\u6587",
         "1st", "select", "Mixed", "mixed", "a.b", "#x", "/*x*/", "${HOME}", "a,b", "(x)", "?", "@x", "{", "tandem_au_x"]


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def test_tables_and_columns_of_any_name_travel(fresh_pair: Pair) -> None:
    tables = [_quoted(name) for name in NAMES]
    columns = [_quoted(name) for name in NAMES if name != "mixed"]  # columns differ by more than capitals
    anna, bert = _ready(fresh_pair, *[
        f"CREATE TABLE {table} ({columns[i % len(columns)]} VARCHAR(30) PRIMARY KEY, "
        + ", ".join(f"{column} INT" for j, column in enumerate(columns) if j != i % len(columns)) + ")"
        for i, table in enumerate(tables)])
    key = [columns[i % len(columns)] for i in range(len(tables))]
    other = [columns[(i + 1) % len(columns)] for i in range(len(tables))]
    _write(anna, 0, *[f"INSERT INTO {t} ({k}, {o}) VALUES ('a', 1), ('b', 2), ('c', 3)" for t, k, o in zip(tables, key, other)])
    _in_step(fresh_pair)
    _write(bert, 0, *[f"UPDATE {t} SET {o}=5 WHERE {k}='a'" for t, k, o in zip(tables, key, other)],
           *[f"DELETE FROM {t} WHERE {k}='b'" for t, k in zip(tables, key)],
           *[f"UPDATE {t} SET {k}='d' WHERE {k}='c'" for t, k in zip(tables, key)])
    _in_step(fresh_pair)
    for table, k, o in zip(tables, key, other):
        assert anna.sql(f"SELECT {k}, {o} FROM {table} ORDER BY 1") == [("a", 5), ("d", 3)]


def test_databases_of_odd_names_are_replicated() -> None:
    with Pair(schemas=(), database="my app's ü") as two:
        anna, bert = _ready(two, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))")
        _write(anna, 0, "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
        _in_step(two)
        _write(bert, 1, "UPDATE t SET id=3 WHERE id=1", "DELETE FROM t WHERE id=2")
        _in_step(two)
        two.stop_serve()
        anna.agent("--check", check=4)  # nobody serves there
        anna.agent("--uninstall", check=0)
        assert anna.sql("SHOW TRIGGERS") == []


def test_keys_of_sixteen_columns_of_all_kinds_and_of_thirty_one_travel(fresh_pair: Pair) -> None:
    kinds = {"INT": ["1", "2"], "VARCHAR(9)": [x("a,\\"), x("A,")], "DECIMAL(5,2)": ["1.5", "-1"], "FLOAT": ["0.1", "0.2"],
             "DOUBLE": ["0.1", "1e22"], "BIT(9)": ["44", "92"], "BINARY(2)": [x(b",\\"), x(b"\0")], "VARBINARY(9)": [x(b"\xff,"), x(b"")],
             "DATE": ["'2024-01-01'", "'0000-00-00'"], "DATETIME(3)": ["'2024-01-01 10:00:00.5'", "'2024-01-01'"],
             "TIME(1)": ["'-1:00:00.5'", "'1:0:0'"], "TIMESTAMP(6) NOT NULL DEFAULT 0": ["0", "FROM_UNIXTIME(1.5)"],
             "YEAR": ["2024", "0"], "ENUM('x','y')": ["1", "'none'"], "SET('x','y')": ["0", "3"], "INET6": ["'::1'", "'::'"]}
    names = [f"k{i}" for i in range(31)]
    anna, bert = _ready(
        fresh_pair,
        f"CREATE TABLE sixteen ({', '.join(f'{name} {kind}' for name, kind in zip(names, kinds))}, v INT,"
        f" PRIMARY KEY ({', '.join(reversed(names[:16]))}))",
        f"CREATE TABLE most (v INT, {', '.join(f'{name} INT' for name in names)}, PRIMARY KEY ({', '.join(names)}))")
    rows = [[values[n >> i % 5 & 1] for i, values in enumerate(kinds.values())] for n in range(32)]
    _write(anna, 0, *[f"INSERT INTO sixteen VALUES ({', '.join(row)}, {n})" for n, row in enumerate(rows)],
           *[f"INSERT INTO most VALUES ({n}, {', '.join(str(n * i) for i in range(31))})" for n in range(9)])
    _in_step(fresh_pair)
    _write(bert, 1, "UPDATE sixteen SET v=v+100 WHERE v%3=0", "UPDATE sixteen SET k1='new', k11=FROM_UNIXTIME(7) WHERE v=7",
           "UPDATE most SET k30=-5 WHERE v=3", "DELETE FROM most WHERE v=4", "DELETE FROM sixteen WHERE v=8")
    _in_step(fresh_pair)
    _write(anna, 2, "DELETE FROM sixteen WHERE v<100", "UPDATE most SET v=v+1")
    _in_step(fresh_pair)
    assert bert.sql("SELECT COUNT(*) FROM sixteen") == [(11,)]


MODES = ["", "TRADITIONAL", "ORACLE", "ANSI", "MSSQL", "EMPTY_STRING_IS_NULL", "PAD_CHAR_TO_FULL_LENGTH,STRICT_ALL_TABLES",
         "NO_BACKSLASH_ESCAPES,ANSI_QUOTES", "NO_AUTO_VALUE_ON_ZERO,TIME_ROUND_FRACTIONAL"]


def test_it_does_not_matter_how_a_session_is_set_up(fresh_pair: Pair) -> None:
    anna, bert = _ready(
        fresh_pair, "CREATE TABLE t (k CHAR(20), n INT, c CHAR(9), v VARCHAR(40), f FLOAT, d DATETIME(2), b BLOB, e ENUM('','a'),"
        " at TIMESTAMP NULL, s INT AUTO_INCREMENT UNIQUE, PRIMARY KEY (k, n))")
    for turn, mode in enumerate(MODES):
        session = f"SET sql_mode='{mode}', time_zone='{turn - 4:+03d}:00'"
        for charset in ("utf8mb4", "latin1", "cp1251", "binary"):
            key, value = x(f"k {charset} é"), x("é\\'\"")
            hand.transaction(
                (anna, bert)[turn % 2], session, f"SET NAMES {charset}",
                f"INSERT INTO t (k, n, c, v, f, d, b, e, at) VALUES ({key}, {turn}, {x('ab ')}, '', 0.1, '2024-01-01 10:00:00.129',"
                f" {x(ALL_BYTES)}, 'a', '2024-03-31 02:30:00')",
                f"UPDATE t SET v={value} WHERE k={key} AND n={turn}", f"UPDATE t SET n=n+100 WHERE k={key} AND n={turn}")
        _in_step(fresh_pair)
    hand.transaction(anna, "SET sql_mode='TRADITIONAL,PAD_CHAR_TO_FULL_LENGTH'", "DELETE FROM t WHERE n%2=0")
    _in_step(fresh_pair)
    assert bert.sql("SELECT COUNT(*), COUNT(DISTINCT HEX(v)) FROM t") == [(16, 1)]


@pytest.mark.parametrize("mode", ["TRADITIONAL", "ORACLE", "EMPTY_STRING_IS_NULL,ORACLE,TRADITIONAL,PAD_CHAR_TO_FULL_LENGTH"])
def test_values_of_every_type_travel_under_any_sql_mode(fresh_pair: Pair, mode: str) -> None:
    """IGNORE: what the mode refuses is written as the server alters it."""
    anna, bert = _ready(fresh_pair, *[_table(columns).replace("TABLE t", f"TABLE {name}", 1) for name, columns in VALUES.items()])

    def write(node: Node, statements: Callable[[Columns], Sequence[str]]) -> None:
        hand.transaction(node, f"SET sql_mode='{mode}', time_zone='-3:30'", *[
            one.replace(" t ", f" {name} ", 1) for name, columns in VALUES.items() for one in statements(columns)])
        _in_step(fresh_pair)

    write(anna, lambda columns: [one.replace("INSERT", "INSERT IGNORE", 1) for one in _inserts(columns, range(10))])
    write(bert, lambda columns: [one.replace("UPDATE", "UPDATE IGNORE", 1) for one in _updates(columns, range(0, 10, 2), 1)])
    write(anna, lambda _: ["DELETE FROM t WHERE MOD(id, 3)=2", "UPDATE t SET id=id+100 WHERE MOD(id, 3)=1"])
    assert {tuple(bert.sql(f"SELECT COUNT(*), MAX(id) FROM {name}")) for name in VALUES} == {((7, 107),)}


def test_keys_that_a_collation_calls_equal_become_each_other(fresh_pair: Pair) -> None:
    collations = ["utf8mb4_general_ci", "utf8mb4_nopad_bin", "utf8mb4_general_nopad_ci", "utf8mb4_bin", "latin1_swedish_ci", "utf8mb4_unicode_520_ci"]
    anna, bert = _ready(fresh_pair, *[
        f"CREATE TABLE t{i} (k VARCHAR(20) CHARACTER SET {name.split('_')[0]} COLLATE {name} PRIMARY KEY, v INT)" for i, name in enumerate(collations)])
    everywhere = range(len(collations))
    _write(anna, 0, *[f"INSERT INTO t{i} VALUES ('straße', 1), ('abc', 2)" for i in everywhere])
    _in_step(fresh_pair)
    for turn, spelling in enumerate(["ABC", "ABC  ", "abc ", "abc", "Abc"]):
        _write((bert, anna)[turn % 2], 0, *[f"UPDATE t{i} SET k='{spelling}' WHERE v=2" for i in everywhere])
        _in_step(fresh_pair)
    _write(bert, 0, *[f"DELETE FROM t{i} WHERE v=2" for i in everywhere], *[f"INSERT INTO t{i} VALUES ('aBC', 3)" for i in everywhere],
           *[f"UPDATE t{i} SET k=CONCAT(k, ' '), v=4 WHERE v=3" for i in everywhere])
    _in_step(fresh_pair)
    assert anna.sql("SELECT HEX(k), v FROM t0 WHERE v>1") == [(b"aBC ".hex().upper(), 4)]


@pytest.mark.parametrize("options", ["ROW_FORMAT=COMPACT", "ROW_FORMAT=REDUNDANT", "ROW_FORMAT=DYNAMIC", "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8",
                                     "PAGE_COMPRESSED=1", "PARTITION BY HASH (id) PARTITIONS 3"])
def test_it_does_not_matter_how_a_table_is_stored(fresh_pair: Pair, options: str) -> None:
    anna, bert = _ready(fresh_pair, f"CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300), b LONGBLOB) {options}")
    _write(anna, 0, *[f"INSERT INTO t VALUES ({n}, {x('é' * n)}, {x(ALL_BYTES * n)})" for n in range(60)])
    _in_step(fresh_pair)
    _write(bert, 1, "UPDATE t SET b=REVERSE(b) WHERE id%3=0", "UPDATE t SET id=id+999 WHERE id%3=1", "DELETE FROM t WHERE id%3=2")
    _in_step(fresh_pair)
    assert anna.sql("SELECT COUNT(*) FROM t") == [(40,)]


# tables with a history or a period ------------------------------------------------------------------

VERSIONED = {
    "implicit": "id INT PRIMARY KEY, v VARCHAR(20)) WITH SYSTEM VERSIONING",
    "explicit": "id INT PRIMARY KEY, v VARCHAR(20), began TIMESTAMP(6) GENERATED ALWAYS AS ROW START,"
                " ended TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (began, ended)) WITH SYSTEM VERSIONING",
    "invisible": "began TIMESTAMP(6) GENERATED ALWAYS AS ROW START INVISIBLE, v VARCHAR(20),"
                 " ended TIMESTAMP(6) GENERATED ALWAYS AS ROW END INVISIBLE, id INT PRIMARY KEY,"
                 " PERIOD FOR SYSTEM_TIME (began, ended)) WITH SYSTEM VERSIONING",
    "by_transaction": "id INT PRIMARY KEY, v VARCHAR(20), began BIGINT UNSIGNED GENERATED ALWAYS AS ROW START,"
                      " ended BIGINT UNSIGNED GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (began, ended)) WITH SYSTEM VERSIONING",
    "in_parts": "id INT PRIMARY KEY, v VARCHAR(20), w INT WITHOUT SYSTEM VERSIONING) WITH SYSTEM VERSIONING",
}


def test_of_system_versioned_tables_the_current_rows_travel_and_each_side_keeps_its_own_history(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *[f"CREATE TABLE {name} ({rest}" for name, rest in VERSIONED.items()])

    def both(node: Node, session: int, *statements: str) -> None:
        _write(node, session, *[text.replace("T", name, 1) for name in VERSIONED for text in statements])
        _in_step(fresh_pair)

    both(anna, 0, "insert into T (id, v) values (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
    both(bert, 1, "update T set v='x' where id=1", "update T set id=9 where id=2", "delete from T where id=3")
    both(anna, 2, "update T set v=v", "insert into T (id, v) values (3, 'again')", "delete from T where id=9")
    for node in (anna, bert):
        for name in VERSIONED:
            assert node.sql(f"SELECT id, v FROM {name} ORDER BY id") == [(1, "x"), (3, "again"), (4, "d")], name
            assert node.sql(f"SELECT COUNT(*)>3 FROM {name} FOR SYSTEM_TIME ALL") == [(1,)], name
    bert.sql("DELETE HISTORY FROM implicit")
    both(bert, 0, "update T set v='last' where id=4")
    assert anna.sql("SELECT COUNT(*)>3 FROM implicit FOR SYSTEM_TIME ALL") == [(1,)]


def test_rows_with_periods_of_the_application_travel(fresh_pair: Pair) -> None:
    anna, bert = _ready(
        fresh_pair,
        "CREATE TABLE stay (room INT, begins DATE, ends DATE, guest VARCHAR(20), PERIOD FOR p (begins, ends),"
        " PRIMARY KEY (room, p WITHOUT OVERLAPS))",
        "CREATE TABLE price (id INT AUTO_INCREMENT PRIMARY KEY, begins DATE, ends DATE, n INT, PERIOD FOR p (begins, ends))",
        "CREATE TABLE both_kinds (id INT, begins DATE, ends DATE, v INT, PERIOD FOR p (begins, ends),"
        " PRIMARY KEY (id, p WITHOUT OVERLAPS)) WITH SYSTEM VERSIONING")
    for table in ("stay", "both_kinds"):
        _write(anna, 0, f"INSERT INTO {table} VALUES (1, '2024-01-01', '2025-01-01', '1'), (2, '2024-01-01', '2025-01-01', '2')")
    _write(anna, 0, "INSERT INTO price (begins, ends, n) VALUES ('2024-01-01', '2025-01-01', 1)")
    _in_step(fresh_pair)
    for table, column in (("stay", "guest"), ("both_kinds", "v"), ("price", "n")):
        _write(bert, 1, f"UPDATE {table} FOR PORTION OF p FROM '2024-03-01' TO '2024-06-01' SET {column}='7'")
        _in_step(fresh_pair)
        _write(anna, 2, f"DELETE FROM {table} FOR PORTION OF p FROM '2024-05-01' TO '2024-07-01'")
        _in_step(fresh_pair)
        assert bert.sql(f"SELECT COUNT(*) FROM {table}") == anna.sql(f"SELECT COUNT(*) FROM {table}")
    _write(bert, 0, "UPDATE stay SET begins='2023-12-01' WHERE begins='2024-01-01'", "UPDATE stay SET ends='2025-02-01' WHERE ends='2025-01-01'")
    _in_step(fresh_pair)
    assert anna.sql("SELECT begins, ends, guest FROM stay WHERE room=1 ORDER BY begins") == [
        (date(2023, 12, 1), date(2024, 3, 1), "1"), (date(2024, 3, 1), date(2024, 5, 1), "7"), (date(2024, 7, 1), date(2025, 2, 1), "1")]


# types that differ ----------------------------------------------------------------------------------

def _serve_by_hand(pair: Pair) -> None:
    """Install; both receive, and send when they are told to."""
    for node in pair.nodes:
        node.change_conf({"sync": {"interval": "1h"}})
        node.install()
    pair.start_serve()


def _apart(pair: Pair, tables: Sequence[tuple[str, str]], form: str) -> tuple[Node, Node]:
    """Tables t0, t1, ... whose column v has one type on anna's laptop and another on bert's."""
    for node, side in ((pair.anna, 0), (pair.bert, 1)):
        for i, types in enumerate(tables):
            node.sql(form.replace("TABLE T", f"TABLE t{i}").replace("TYPE", types[side]))
    _serve_by_hand(pair)
    return pair.anna, pair.bert


def _hold_apart(node: Node, count: int, but: Collection[int] = ()) -> None:
    """What the node sent waits: every table is named, with both definitions, and no attempt is counted."""
    owed = hand.owed(node)
    assert {(table, state, attempts) for table, _, state, attempts, _ in owed} == {
        (f"t{i}", "waiting", 0) for i in range(count) if i not in but}
    for table, _, _, _, reason in owed:
        assert reason.startswith(f"table {table} differs: column v is ") and " there and " in reason, reason


def test_a_wider_type_takes_every_value_exactly_and_the_narrower_one_waits_for_its_alter(fresh_pair: Pair) -> None:
    form = "CREATE TABLE T (id INT PRIMARY KEY, v TYPE, n INT)"
    anna, bert = _apart(fresh_pair, [(one.narrow, one.wide) for one in WIDENINGS], form)
    _write(anna, 0, *[f"INSERT INTO t{i} (id, v) VALUES ({n}, {value})" for i, one in enumerate(WIDENINGS)
                      for n, value in enumerate([*one.values, "NULL"])])
    hand.drain(anna, check=0)
    assert hand.owed(anna) == []
    everything = [f"UPDATE t{i} SET n=1" for i in range(len(WIDENINGS))]
    _write(anna, 1, *everything)  # both make the same of every row, neither has seen the other's
    _write(bert, 2, *everything)
    hand.drain(anna, check=0)
    assert hand.sync(bert, "SELECT COUNT(*) FROM sync_conflict") == [(0,)]
    _write(bert, 0, *[f"INSERT INTO t{i} (id, v) VALUES (100, {one.values[0]})" for i, one in enumerate(WIDENINGS)])
    hand.drain(bert, check=(0, 5))
    _hold_apart(bert, len(WIDENINGS), [i for i, one in enumerate(WIDENINGS) if one.both_ways])
    for i, one in enumerate(WIDENINGS):
        hand.unseen(anna, "SET sql_mode='ALLOW_INVALID_DATES'", f"ALTER TABLE t{i} MODIFY v {one.wide}")
    _in_step(fresh_pair)
    assert hand.sync(anna, "SELECT COUNT(*) FROM sync_conflict") == [(0,)]


def test_keys_may_be_wider_where_both_sides_write_them_alike(fresh_pair: Pair) -> None:
    wide = [one for one in WIDENINGS if one.as_key]
    form = "CREATE TABLE T (v TYPE NOT NULL, w INT, PRIMARY KEY (v))"
    anna, bert = _apart(fresh_pair, [(one.narrow, one.wide) for one in wide], form)
    _write(anna, 0, *[f"INSERT INTO t{i} VALUES ({value}, {n})" for i, one in enumerate(wide) for n, value in enumerate(one.values)])
    hand.drain(anna, check=0)
    _write(anna, 1, *[f"UPDATE t{i} SET w=w+10" for i in range(len(wide))], *[f"DELETE FROM t{i} WHERE w=10" for i in range(len(wide))])
    hand.drain(anna, check=0)
    assert hand.owed(anna) == []
    for i, one in enumerate(wide):
        assert bert.sql(f"SELECT w FROM t{i} ORDER BY w") == [(n + 10,) for n in range(1, len(one.values))], one
    _write(bert, 2, *[f"UPDATE t{i} SET w=w+10 WHERE w=11" for i in range(len(wide))])
    keys = [{(table, bytes(key)) for table, key in hand.sync(node, "SELECT table_name, record_id FROM sync_queue")}
            for node in (anna, bert)]
    assert keys[1] and keys[1] <= keys[0]  # the same text on both sides
    hand.drain(bert, check=(0, 5))
    _hold_apart(bert, len(wide), [i for i, one in enumerate(wide) if one.both_ways])
    for i, one in enumerate(wide):
        hand.unseen(anna, f"ALTER TABLE t{i} MODIFY v {one.wide} NOT NULL")
    _in_step(fresh_pair)


def test_keys_that_would_be_written_otherwise_wait_although_the_type_is_wider(fresh_pair: Pair) -> None:
    wide = [one for one in WIDENINGS if not one.as_key and not any(word in one.wide for word in ("TEXT", "BLOB", "GEOMETRY", "COMPRESSED"))]
    assert {one.wide for one in wide} >= {"DECIMAL(7,4)", "TIME(6)", "DATETIME(6)", "DOUBLE"}
    wide = [one for one in wide if "TEXT" not in one.narrow]
    form = "CREATE TABLE T (v TYPE, w INT, PRIMARY KEY (v))"
    plain = [(one.narrow.replace(" NULL", ""), one.wide.replace(" NULL", "")) for one in wide]
    anna, bert = _apart(fresh_pair, plain, form)
    _write(anna, 0, *[f"INSERT INTO t{i} VALUES ({one.values[0]}, 1)" for i, one in enumerate(wide)])
    hand.drain(anna, check=(0, 5))
    _hold_apart(anna, len(wide))
    for i, (here, _) in enumerate(plain):
        bert.sql(f"ALTER TABLE t{i} MODIFY v {here} NOT NULL")
    _in_step(fresh_pair)


def test_what_a_type_does_not_hold_exactly_waits_until_both_agree(fresh_pair: Pair) -> None:
    form = "CREATE TABLE T (id INT PRIMARY KEY, v TYPE, n INT)"
    anna, bert = _apart(fresh_pair, [(there, here) for there, here, _ in WAITING], form)
    for node in (anna, bert):
        node.sql("CREATE TABLE other (id INT PRIMARY KEY)")
        node.install()
    _write(anna, 0, *[f"INSERT INTO t{i} (id, v) VALUES (1, {value})" for i, (_, _, value) in enumerate(WAITING)],
           "INSERT INTO other VALUES (1)")
    for _ in range(4):
        hand.drain(anna, check=(0, 5))
    _hold_apart(anna, len(WAITING))
    assert bert.sql("SELECT * FROM other") == [(1,)]
    for i, (there, _, _) in enumerate(WAITING):
        bert.sql(f"ALTER TABLE t{i} MODIFY v {there}")
    _in_step(fresh_pair)


def test_columns_of_one_side_alone_make_the_table_wait_and_their_order_does_not(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.nodes
    anna.sql("CREATE TABLE more (id INT PRIMARY KEY, a INT, b INT)")
    bert.sql("CREATE TABLE more (id INT PRIMARY KEY, a INT)")
    anna.sql("CREATE TABLE less (id INT PRIMARY KEY, a INT)")
    bert.sql("CREATE TABLE less (id INT PRIMARY KEY, a INT, b INT DEFAULT 5)")
    anna.sql("CREATE TABLE turned (id INT PRIMARY KEY, a INT, b BIT(3), c BLOB)")
    bert.sql("CREATE TABLE turned (c BLOB, b BIT(3), a INT, id INT PRIMARY KEY)")
    _serve_by_hand(fresh_pair)
    _write(anna, 0, "INSERT INTO more VALUES (1, 2, 3)", "INSERT INTO less VALUES (1, 2)", "INSERT INTO turned VALUES (1, 2, 3, x'ff00')")
    # The daemon's first drain may be at work beside this one.
    until(lambda: (anna.drain(check=(0, 5)), bert.sql("SELECT c, b+0, a, id FROM turned"))[1] == [(b"\xff\0", 3, 2, 1)], 20,
          "the table with its columns turned around arrives")
    assert [(table, state, attempts, reason) for table, _, state, attempts, reason in hand.owed(anna)] == [
        ("less", "waiting", 0, "table less differs: column b is missing there and int(11) here"),
        ("more", "waiting", 0, "table more differs: column b is int(11) there and missing here")]
    bert.sql("ALTER TABLE more ADD b INT")
    bert.sql("ALTER TABLE less DROP b")
    until(lambda: (anna.drain(check=(0, 5)), hand.owed(anna))[1] == [], 20, "both tables arrive")
    assert bert.sql("SELECT id, a, b FROM more") == [(1, 2, 3)] and bert.sql("SELECT id, a FROM less") == [(1, 2)]


def test_a_null_waits_where_the_column_is_not_null_and_the_other_records_go_on(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.nodes
    for node, null in ((anna, "NULL"), (bert, "NOT NULL")):
        node.sql(f"CREATE TABLE t (id INT PRIMARY KEY, a INT {null}, at TIMESTAMP {null} DEFAULT CURRENT_TIMESTAMP)")
    _serve_by_hand(fresh_pair)
    _write(anna, 0, "INSERT INTO t VALUES (1, 1, FROM_UNIXTIME(1)), (2, NULL, FROM_UNIXTIME(1)), (3, 3, NULL)")
    for _ in range(4):
        hand.drain(anna, check=(0, 5))
    assert bert.sql("SELECT id FROM t") == [(1,)]
    assert [(key, state, attempts, reason) for _, key, state, attempts, reason in hand.owed(anna)] == [
        ("2", "waiting", 0, "table t differs: column a is NULL there and int(11) NOT NULL here"),
        ("3", "waiting", 0, "table t differs: column at is NULL there and timestamp NOT NULL here")]
    bert.sql("ALTER TABLE t MODIFY a INT NULL, MODIFY at TIMESTAMP NULL")
    _in_step(fresh_pair)


def test_a_person_can_choose_a_version_whose_values_need_care(fresh_pair: Pair) -> None:
    hand.everywhere(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, e ENUM('a','b'), c VARCHAR(9) CHARACTER SET ascii, l VARCHAR(9) CHARACTER SET latin1,"
                    " m BIT(9), at TIMESTAMP(3) NULL, f FLOAT)", "INSERT INTO t (id) VALUES (1)")
    anna, bert = fresh_pair.nodes
    for node in fresh_pair.nodes:
        node.install()
    _write(anna, 0, f"UPDATE t SET e='none', c={x(b'a' + ALL_BYTES[200:208])}, l={x(ALL_BYTES[128:137])}, m=300, at=0, f=0.1")
    _write(bert, 0, "UPDATE t SET e='b', c='b', l='b', m=1, at=FROM_UNIXTIME(7), f=2")
    lost = anna.sql("SELECT e+0, HEX(c), HEX(l), m+0, at+0, f+0e0 FROM t")
    bert.start_serve()
    hand.drain(anna)
    bert.stop_serve()
    _serve_by_hand(fresh_pair)
    _in_step(fresh_pair)
    assert bert.sql("SELECT e+0 FROM t") == [(2,)]
    (number,) = [row[0] for row in hand.sync(bert, "SELECT id FROM sync_conflict")]
    bert.agent("--resolve", str(number), "--keep", "remote", check=0)
    _in_step(fresh_pair)
    assert anna.sql("SELECT e+0, HEX(c), HEX(l), m+0, at+0, f+0e0 FROM t") == lost


def test_the_list_of_types_in_the_docs_is_what_is_tried_here() -> None:
    made = subprocess.run([places.REPOSITORY / "scripts" / "types-doc"], capture_output=True, text=True, check=True).stdout
    assert (places.REPOSITORY / "docs" / "types.md").read_text() == made, "run scripts/types-doc >docs/types.md"


@pytest.mark.parametrize("definition, reason", REFUSED)
def test_what_cannot_be_exact_is_left_out_with_its_reason(fresh_pair: Pair, definition: str, reason: str) -> None:
    fresh_pair.anna.sql("CREATE TABLE good (id INT PRIMARY KEY)")
    fresh_pair.anna.sql(f"CREATE TABLE bad ({definition}")
    said = fresh_pair.anna.install().stdout
    assert reason in said and "bad" in said
    assert {row[2] for row in fresh_pair.anna.sql("SHOW TRIGGERS")} == {"good"}
