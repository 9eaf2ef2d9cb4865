"""Comparing tables with a peer: every difference is found and nothing else, whatever the key and the
column, while both sides write, in few bytes; what --repair sets going makes both sides equal and
throws no edit away; and who asks nonsense gets a clear no."""

from __future__ import annotations

import json
import random
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab import Fault, Node, Pair, process, until
from lab.hand import everywhere, sync, unseen
from lab.impostor import Impostor

VERIFY = "/api/sync/verify"
KINDS = ("missing_there", "missing_here", "different", "busy", "pending")


def compare(node: Node, *args: str, check: int | None = None) -> dict[str, dict[str, Any]]:
    """One --verify: what it says of each table."""
    ran = node.agent("--verify", "--json", *args, check=check)
    said = json.loads(ran.stdout)
    assert len(said["peers"]) == 1
    tables = {table["table"]: table for table in said["peers"][0]["tables"]}
    assert said["peers"][0]["exit_code"] == ran.returncode
    assert tables or "--table" in args, (said, ran.stderr)
    return tables


def found(table: dict[str, Any]) -> dict[str, list[str]]:
    """The keys of each kind that is not empty; counts and keys must agree."""
    for kind in KINDS:
        assert len(table["keys"][kind]) == table[kind], table
    return {kind: sorted(table["keys"][kind]) for kind in KINDS if table[kind]}


@contextmanager
def begun(two: Pair, *statements: str) -> Iterator[Pair]:
    """The same tables on both sides; only bert serves, and he cannot reach anna."""
    everywhere(two, *statements)
    two.install()
    two.bert.start_serve()
    yield two


def numbers(count: int) -> str:
    """A table of so many rows."""
    return f"INSERT INTO t SELECT seq, CONCAT('value ', seq), seq * 7 FROM seq_1_to_{count}"


TABLE = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40), n INT)"


# finding -----------------------------------------------------------------------------------------

def test_equal_tables_are_equal(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE, numbers(5000), "CREATE TABLE empty (id INT PRIMARY KEY)") as two:
        for node, other in ((two.anna, "bert"), (two.bert, "anna")):
            if node is two.bert:
                two.anna.start_serve()
            ran = node.agent("--verify", check=0)
            assert f"with peer {other}" in ran.stdout
            assert "t: 5000 records, equal" in ran.stdout and "empty: 0 records, equal" in ran.stdout
            assert node.agent("--verify", "-q", check=0).stdout == ""


def test_rows_that_miss_or_differ_are_found_at_every_place(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE, numbers(20000)) as two:
        unseen(two.anna, "DELETE FROM t WHERE id IN (1, 10000, 20000)", "INSERT INTO t VALUES (-5, 'first', 0)",
               "UPDATE t SET v = 'other' WHERE id IN (2, 19999)")
        unseen(two.bert, "DELETE FROM t WHERE id IN (3, 10001, 19998)", "INSERT INTO t VALUES (20001, 'last', 0)",
               "UPDATE t SET v = NULL WHERE id = 9999")
        assert found(compare(two.anna, check=5)["t"]) == {
            "missing_there": sorted(["3", "10001", "19998", "-5"]),
            "missing_here": sorted(["1", "10000", "20000", "20001"]),
            "different": sorted(["2", "19999", "9999"])}
        two.anna.start_serve()
        assert found(compare(two.bert, check=5)["t"]) == {
            "missing_here": sorted(["3", "10001", "19998", "-5"]),
            "missing_there": sorted(["1", "10000", "20000", "20001"]),
            "different": sorted(["2", "19999", "9999"])}


@pytest.mark.parametrize("emptied", ["anna", "bert"])
def test_a_side_that_is_empty_misses_everything(fresh_pair: Pair, emptied: str) -> None:
    with begun(fresh_pair, TABLE, numbers(3000)) as two:
        unseen(two[emptied], "DELETE FROM t")
        table = compare(two.anna, check=5)["t"]
        kind = "missing_here" if emptied == "anna" else "missing_there"
        assert table[kind] == 3000 and len(table["keys"][kind]) == 3000
        assert sum(table[other] for other in KINDS) == 3000
        ran = two.anna.agent("--verify", check=5)
        assert "and 2980 more" in ran.stdout


COLUMNS = {  # a column of each kind: two values that differ, the first one everywhere
    "INT": ("7", "8"), "BIGINT UNSIGNED": ("18446744073709551615", "18446744073709551614"),
    "DECIMAL(40,20)": ("1.00000000000000000001", "1.00000000000000000002"),
    "FLOAT": ("16777216", "16777217.5"), "DOUBLE": ("5e-324", "1e-323"),
    "VARCHAR(20)": ("'abc'", "'ABC'"), "VARCHAR(21)": ("'x'", "'x '"), "TEXT": ("''", "NULL"),
    "VARCHAR(5) CHARACTER SET latin1": ("'é'", "'e'"), "CHAR(5) CHARACTER SET ucs2": ("'a'", "'b'"),
    "VARBINARY(9)": ("x'00'", "x'0000'"), "LONGBLOB": ("REPEAT('a', 300000)", "CONCAT(REPEAT('a', 299999), 'b')"),
    "BIT(10)": ("b'1000000001'", "b'1000000000'"), "ENUM('', 'a')": ("'a'", "''"), "SET('a','b')": ("'a,b'", "'b'"),
    "DATE": ("'2024-02-29'", "'2024-03-01'"), "TIME(6)": ("'-838:59:59'", "'-838:59:58.999999'"),
    "DATETIME(6)": ("'2024-01-01 00:00:00.000001'", "'2024-01-01'"),
    "TIMESTAMP(3) NULL": ("'2024-01-01 00:00:00.001'", "NULL"), "YEAR": ("2024", "2025"),
    "JSON": ("'{}'", "'[]'"), "POINT": ("POINT(1, 2)", "POINT(2, 1)"), "UUID": ("UUID()", "NULL"),
    "INET6": ("'::1'", "'::2'"), "VARCHAR(30) COMPRESSED": ("'compressed'", "'pressed'"),
}


def test_one_value_of_any_type_that_differs_is_seen(fresh_pair: Pair) -> None:
    columns = [f"c{i} {kind} DEFAULT {values[0]}" if kind != "LONGBLOB" else f"c{i} {kind}"
               for i, (kind, values) in enumerate(COLUMNS.items())]
    with begun(fresh_pair, f"CREATE TABLE t (id INT PRIMARY KEY, {', '.join(columns)}, g INT AS (id + 1) STORED)") as two:
        uuid = "'123e4567-e89b-12d3-a456-426655440000'"
        for node in two.nodes:
            unseen(node, "INSERT INTO t (id) SELECT seq FROM seq_1_to_40",
                   *(f"UPDATE t SET c{i} = {uuid if kind == 'UUID' else values[0]}" for i, (kind, values) in enumerate(COLUMNS.items())))
        assert found(compare(two.anna, check=0)["t"]) == {}
        for i, (kind, values) in enumerate(COLUMNS.items()):
            unseen(two.bert, f"UPDATE t SET c{i} = {values[1]} WHERE id = {i + 1}")
            table = compare(two.anna, check=5)["t"]
            assert found(table) == {"different": sorted(str(n + 1) for n in range(i + 1))}, kind


KEYS = {  # the key's columns, and the n-th key
    "whole numbers": ("k BIGINT", "PRIMARY KEY (k)", "CAST({n} AS SIGNED) * 1000003 - 900000000"),
    "composite": ("a TINYINT UNSIGNED, b VARCHAR(20), c INT", "PRIMARY KEY (a, b, c)", "{n} DIV 500, CONCAT('k,\\\\', {n} DIV 7), {n}"),
    "ascii": ("k VARCHAR(30) CHARACTER SET ascii", "PRIMARY KEY (k)", "CONVERT(CONCAT(CHAR(97 + {n} MOD 20), {n}) USING ascii)"),
    "text": ("k VARCHAR(30) COLLATE utf8mb4_general_ci", "PRIMARY KEY (k)", "CONCAT(CHAR(65 + {n} MOD 26), ' straße ', {n})"),
    "latin1": ("k VARCHAR(30) CHARACTER SET latin1", "PRIMARY KEY (k)", "CONCAT(CHAR(192 + {n} MOD 20 USING latin1), {n})"),
    "bytes": ("k VARBINARY(16)", "PRIMARY KEY (k)", "UNHEX(MD5({n}))"),
    "times": ("k TIMESTAMP(2)", "PRIMARY KEY (k)", "FROM_UNIXTIME(1600000000 + {n} + 0.25)"),
    "dates": ("k DATETIME", "PRIMARY KEY (k)", "'2001-01-01' + INTERVAL {n} HOUR"),
    "floats": ("k FLOAT", "PRIMARY KEY (k)", "{n} / 10 - 100"),
    "choices": ("k ENUM('zz','a','m'), n INT", "PRIMARY KEY (k, n)", "1 + {n} MOD 3, {n}"),
    "bits": ("k BIT(12)", "PRIMARY KEY (k)", "{n}"),
    "uuids": ("k UUID", "PRIMARY KEY (k)", "CONCAT(LPAD(HEX({n} * 7919), 8, '0'), '-e89b-12d3-a456-', LPAD(HEX({n}), 12, '0'))"),
    "fractions": ("k DECIMAL(10,3)", "PRIMARY KEY (k)", "{n} / 8"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_any_type_are_walked_in_their_order(fresh_pair: Pair, kind: str) -> None:
    columns, key, value = KEYS[kind]
    rows = 3000
    with begun(fresh_pair, f"CREATE TABLE t ({columns}, v INT NOT NULL, {key}) DEFAULT CHARSET=utf8mb4",
               f"INSERT INTO t SELECT {value.format(n='seq')}, seq FROM seq_1_to_{rows}") as two:
        assert compare(two.anna, check=0)["t"]["records"] == rows
        unseen(two.anna, "DELETE FROM t WHERE v IN (1, 1500, 3000)", "UPDATE t SET v = -v WHERE v IN (2, 77, 2999)")
        unseen(two.bert, "DELETE FROM t WHERE v IN (3, 1501, 2998)")
        table = compare(two.anna, check=5)["t"]
        assert [table[count] for count in KINDS] == [3, 3, 3, 0, 0]
        compare(two.anna, "--repair", "--from", "anna", check=0)
        two.anna.drain(check=0)
        assert compare(two.anna, check=0)["t"]["records"] == rows - 3
        two.assert_equal()


def test_two_spellings_of_one_key_are_one_record_that_differs(fresh_pair: Pair) -> None:
    with begun(fresh_pair, "CREATE TABLE t (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)",
               "INSERT INTO t VALUES ('abc', 1), ('straße', 2), ('z', 3)") as two:
        unseen(two.bert, "UPDATE t SET k = 'ABC' WHERE k = 'abc'", "UPDATE t SET k = 'z ' WHERE k = 'z'")
        assert found(compare(two.anna, check=5)["t"]) == {"different": ["abc", "z"]}
        compare(two.anna, "--repair", "--from", "anna", check=0)
        two.anna.drain(check=0)
        assert [row[0] for row in two.bert.sql("SELECT k FROM t ORDER BY k")] == ["abc", "straße", "z"]
        assert found(compare(two.anna, check=0)["t"]) == {}


def test_no_text_is_taken_for_two_and_no_row_for_its_neighbour(fresh_pair: Pair) -> None:
    fill = ("INSERT INTO t VALUES (1, 'ab', 'c', ''), (2, '', '', NULL), (3, '1:a,', '', ''), (4, '', '', REPEAT('x', 1024)), (5, '', '', REPEAT('x', 1025)),"
            " (6, '6', '', ''), (7, '7', '', ''), (8, '', '', SHA1(REPEAT('y', 1025))), (9, 'same', 'same', 'same')")
    with begun(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(300), b VARBINARY(300), c TEXT)", fill) as two:
        unseen(two.anna, "UPDATE t SET a = 'a', b = 'bc' WHERE id = 1", "UPDATE t SET b = NULL WHERE id = 2", "UPDATE t SET a = '1:a', b = ',' WHERE id = 3",
               "UPDATE t SET c = CONCAT(REPEAT('x', 1023), 'y') WHERE id = 4", "UPDATE t SET c = CONCAT('y', REPEAT('x', 1024)) WHERE id = 5",
               "UPDATE t SET a = 13 - id WHERE id IN (6, 7)", "UPDATE t SET c = REPEAT('y', 1025) WHERE id = 8")
        assert found(compare(two.anna, check=5)["t"]) == {"different": ["1", "2", "3", "4", "5", "6", "7", "8"]}


def test_rows_that_are_changed_alike_do_not_hide_each_other(fresh_pair: Pair) -> None:
    """The exclusive or of checksums by remainders is the same when two rows are changed in the same place in the same way."""
    with begun(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40) NOT NULL)", "INSERT INTO t SELECT seq, 'value' FROM seq_10000_to_19999") as two:
        unseen(two.anna, "UPDATE t SET v = 'valye' WHERE id IN (10001, 10002)", "UPDATE t SET v = 'velue' WHERE id BETWEEN 15000 AND 15003")
        assert compare(two.anna, check=5)["t"]["different"] == 6
        unseen(two.anna, "UPDATE t SET v = 'value'", "UPDATE t SET v = 'valye'")
        assert compare(two.anna, check=5)["t"]["different"] == 10000


ALONE = [  # columns besides the key, one row, the same row with one difference
    ("a VARCHAR(9), b VARCHAR(9), c VARCHAR(9)", "'', '', ',,'", "',,', '', ''"),
    ("a VARCHAR(9), b VARCHAR(9), c VARCHAR(9)", "NULL, '', ''", "'', '', NULL"),
    ("a VARCHAR(9), b VARCHAR(9), c VARCHAR(9)", "NULL, NULL, 'x'", "'x', NULL, NULL"),
    ("a VARCHAR(9), b VARCHAR(9), c VARCHAR(9)", "NULL, '-', ''", "'-', NULL, ''"),
    ("a VARCHAR(9), b VARCHAR(9)", "'x,', 'y'", "'x', ',y'"), ("a VARCHAR(9), b VARCHAR(9)", "'x', '1,y'", "'x,1', 'y'"),
    ("a VARCHAR(9)", "NULL", "''"), ("a VARCHAR(9)", "'a'", "'a '"), ("a VARCHAR(9)", "'a'", "'A'"), ("a VARCHAR(9)", "''", "','"),
    ("n INT, a VARCHAR(9)", "NULL, '7'", "7, NULL"), ("n INT, a VARCHAR(9)", "7, NULL", "7, ''"), ("m INT, n INT", "NULL, 1", "1, NULL"),
    ("a TEXT", "REPEAT('y', 1025)", "SHA1(REPEAT('y', 1025))"), ("a VARCHAR(9), b LONGBLOB", "'', NULL", "'', ''"),
    ("b LONGBLOB, z VARCHAR(9)", "CONCAT(REPEAT(x'00', 99999), x'00'), ''", "CONCAT(REPEAT(x'00', 99999), x'01'), ''"),
    ("a VARCHAR(9), g POINT", "'', POINT(1, 2)", "'', POINT(1, 3)"), ("d DECIMAL(9,2)", "1.10", "1.11"), ("f FLOAT", "0.1", "0.10000001"),
    ("b BIT(40)", "5", "4"), ("e ENUM('a', 'b')", "'a'", "'b'"), ("t TIMESTAMP(6) NULL", "'2024-01-01 00:00:00.000001'", "'2024-01-01 00:00:00.000002'"),
    (",".join(f"v{i} VARCHAR(3)" for i in range(90)), ",".join(["''"] * 90), ",".join(["''"] * 89 + ["'x'"])),
]
KEYS_ALONE = {"id INT PRIMARY KEY": "-5", "id BIGINT UNSIGNED PRIMARY KEY": "18446744073709551615", "id VARCHAR(20) PRIMARY KEY": "'k'",
              "id DECIMAL(20,2) PRIMARY KEY": "-1.50", "id DATE, no TINYINT, PRIMARY KEY (id, no)": "'2024-01-01', 3"}


def test_a_difference_that_stands_alone_in_its_table_is_seen(fresh_pair: Pair) -> None:
    """Nothing else tells the sums of the two sides apart."""
    kinds = list(KEYS_ALONE)
    names = {f"t{n}": (kinds[n % len(kinds)], *what) for n, what in enumerate(ALONE)}
    tables = [f"CREATE TABLE {name} ({key}, {columns}) DEFAULT CHARSET utf8mb4" for name, (key, columns, _, _) in names.items()]
    tables += [f"CREATE TABLE bare{n} ({key})" for n, key in enumerate(kinds)]
    rows = [f"INSERT INTO {name} VALUES ({KEYS_ALONE[key]}, {row})" for name, (key, _, row, _) in names.items()]
    rows += [f"INSERT INTO bare{n} VALUES ({KEYS_ALONE[key]})" for n, key in enumerate(kinds)]
    with begun(fresh_pair, *tables, *rows) as two:
        assert all(found(table) == {} for table in compare(two.anna, check=0).values())
        for name, (key, _, _, other) in names.items():
            unseen(two.anna, f"DELETE FROM {name}", f"INSERT INTO {name} VALUES ({KEYS_ALONE[key]}, {other})")
        said = compare(two.anna, check=5)
        assert [name for name in names if said[name]["different"] != 1] == []
        assert all(found(said[f"bare{n}"]) == {} for n in range(len(kinds)))


TEXTS = {  # tables by the charsets of their columns
    "one": "a VARCHAR(30), b TEXT, c CHAR(9)", "collations": "a VARCHAR(30) COLLATE utf8mb4_bin, b TEXT COLLATE utf8mb4_unicode_ci, c CHAR(9)",
    "latin1": "a VARCHAR(30) CHARACTER SET latin1, b TEXT CHARACTER SET latin1, c CHAR(9) CHARACTER SET latin1",
    "mixed": "a VARCHAR(30) CHARACTER SET latin1, b TEXT, c CHAR(9) CHARACTER SET ucs2", "bytes": "a VARCHAR(30), b BLOB, c BINARY(9)",
}


def test_a_bit_a_blank_and_a_null_are_seen_in_any_mixture_of_charsets(fresh_pair: Pair) -> None:
    tables = [f"CREATE TABLE {name} (id INT PRIMARY KEY, n INT, {columns}, d DATETIME) DEFAULT CHARSET utf8mb4" for name, columns in TEXTS.items()]
    rows = [f"INSERT INTO {name} SELECT seq, NULL, 'é,1', 'abc', '', '2024-01-01' FROM seq_1_to_20" for name in TEXTS]
    with begun(fresh_pair, *tables, *rows) as two:
        said = compare(two.anna, check=0)
        assert all(found(said[name]) == {} for name in TEXTS)
        for name in TEXTS:
            unseen(two.anna, f"UPDATE {name} SET a = 'é,1 ' WHERE id = 1", f"UPDATE {name} SET a = 'e,1' WHERE id = 2", f"UPDATE {name} SET b = 'abb' WHERE id = 3",
                   f"UPDATE {name} SET b = 'ABC' WHERE id = 4", f"UPDATE {name} SET c = NULL WHERE id = 5", f"UPDATE {name} SET b = '' WHERE id = 6",
                   f"UPDATE {name} SET n = 0 WHERE id = 7", f"UPDATE {name} SET d = NULL WHERE id = 8", f"UPDATE {name} SET a = 'é', b = '1,3,abc' WHERE id = 9")
        said = compare(two.anna, check=5)
        for name in TEXTS:
            assert found(said[name]) == {"different": [str(n) for n in range(1, 10)]}, name


def test_whole_numbers_are_compared_however_they_lie(fresh_pair: Pair) -> None:
    """Close ones' ranges are reckoned: rows in gaps, at both ends and in heaps behind gaps are not lost by that."""
    close, heap = "seq_1_to_20000", "seq_1_to_9000"
    with begun(fresh_pair, TABLE.replace("INT PRIMARY", "BIGINT PRIMARY"), f"INSERT INTO t SELECT CAST(seq AS SIGNED) - 5000, 'v', seq FROM {close} WHERE seq NOT BETWEEN 8000 AND 9000",
               f"INSERT INTO t SELECT 1000000 + seq * 1000, 'v', seq FROM {heap}", f"INSERT INTO t SELECT 900000000000 + seq, 'v', seq FROM {close}",
               "CREATE TABLE u (id BIGINT UNSIGNED PRIMARY KEY, v INT)", f"INSERT INTO u SELECT 18446744073709551615 - seq, seq FROM {close}",
               "CREATE TABLE z (id INT ZEROFILL PRIMARY KEY, v INT)", f"INSERT INTO z SELECT seq, seq FROM {close}") as two:
        equal = compare(two.anna, check=0)
        assert [equal[name]["records"] for name in "tuz"] == [47999, 20000, 20000]
        unseen(two.bert, *(f"INSERT INTO t VALUES ({key}, 'new', 1)" for key in (-5000, 3500, 500000, 1000001, 899999999999, 900000020001, 999999999999999)),
               "UPDATE t SET n = -1 WHERE id IN (-4999, 15000, 1001000, 900000000001, 900000020000)", "UPDATE u SET v = -1 WHERE v IN (1, 20000)",
               "DELETE FROM z WHERE id IN (1, 9999, 20000)")
        said = compare(two.anna, check=5)
        assert [[said[name][kind] for kind in KINDS] for name in "tuz"] == [[0, 7, 5, 0, 0], [0, 0, 2, 0, 0], [3, 0, 0, 0, 0]]


def test_a_server_that_takes_small_packets_only_cuts_no_checksums_off(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE, numbers(30000)) as two:
        for node in two.nodes:
            node.server.sql("SET GLOBAL max_allowed_packet = 65536")
        two.bert.stop_serve()
        two.bert.start_serve()
        unseen(two.anna, "UPDATE t SET v = 'other' WHERE id IN (900, 4990, 20000, 30000)")
        assert found(compare(two.anna, check=5)["t"]) == {"different": ["20000", "30000", "4990", "900"]}


def test_few_differences_among_many_records_cost_few_bytes(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE, numbers(100000)) as two:
        unseen(two.bert, "UPDATE t SET n = 0 WHERE id IN (7, 50000, 99999)")
        wire = two.wire["anna", "bert"]
        before = wire.bytes_up + wire.bytes_down
        assert found(compare(two.anna, check=5)["t"]) == {"different": ["50000", "7", "99999"]}
        assert wire.bytes_up + wire.bytes_down - before < 64 * 1024


def test_columns_in_another_order_and_wider_ones_are_no_difference(fresh_pair: Pair) -> None:
    narrow = ["v VARCHAR(40)", "n INT", "d DECIMAL(9,2)", "e DECIMAL(6,0)", "s DATETIME(1)", "u TIME", "b BIT(5)",
              "c ENUM('a','b')", "x BINARY(3)", "y TINYTEXT"]
    wide = ["y LONGTEXT", "x VARBINARY(9)", "c ENUM('a','b','c')", "b BIT(40)", "u TIME(6)", "s DATETIME(6)",
            "e DECIMAL(12,3)", "d DECIMAL(20,7)", "n BIGINT", "v VARCHAR(80)"]
    fresh_pair.anna.sql(f"CREATE TABLE t (id INT PRIMARY KEY, {', '.join(narrow)})")
    fresh_pair.bert.sql(f"CREATE TABLE t ({', '.join(wide)}, id BIGINT PRIMARY KEY)")
    for node in fresh_pair.nodes:
        node.sql("INSERT INTO t (id, v, n, d, e, s, u, b, c, x, y) SELECT seq, CONCAT('v', seq), -seq, seq / 4, seq * 100,"
                 " '2024-01-01 00:00:00' + INTERVAL seq * 100000 MICROSECOND, SEC_TO_TIME(seq * 10), seq MOD 32, 1 + seq MOD 2,"
                 " 'xyz', REPEAT('y', seq MOD 200) FROM seq_0_to_500")
    fresh_pair.install()
    fresh_pair.bert.start_serve()
    assert found(compare(fresh_pair.anna, check=0)["t"]) == {}
    unseen(fresh_pair.bert, "UPDATE t SET d = d + 0.0000001 WHERE id = 7", "UPDATE t SET e = e / 10 WHERE id = 9",
           "UPDATE t SET s = s + INTERVAL 1 MICROSECOND WHERE id = 11", "UPDATE t SET u = '00:00:00.1' WHERE id = 0")
    assert found(compare(fresh_pair.anna, check=5)["t"]) == {"different": ["0", "11", "7", "9"]}


@pytest.mark.parametrize("there, said", [
    ("CREATE TABLE t (id INT PRIMARY KEY, v DATE, n INT)", ("column v", "varchar(40)", "date")),
    ("CREATE TABLE t (id INT PRIMARY KEY, n INT)", ("column v", "missing")),
    ("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40), n INT, m INT)", ("column m", "missing")),
    ("CREATE TABLE t (id INT, v VARCHAR(40), n INT, PRIMARY KEY (id, n))", ("primary key", "(id, n)", "(id)")),
])
def test_tables_that_are_defined_otherwise_are_refused_by_name(fresh_pair: Pair, there: str, said: tuple[str, ...]) -> None:
    fresh_pair.anna.sql(TABLE)
    fresh_pair.bert.sql(there)
    everywhere(fresh_pair, "CREATE TABLE u (id INT PRIMARY KEY)")
    fresh_pair.install()
    fresh_pair.bert.start_serve()
    ran = fresh_pair.anna.agent("--verify", check=5)
    assert "u: 0 records, equal" in ran.stdout
    assert "table t" in ran.stderr and "anna" in ran.stderr and "bert" in ran.stderr
    assert all(word in ran.stderr for word in said), ran.stderr


def test_a_peer_that_is_away_is_not_reached(fresh_pair: Pair) -> None:
    everywhere(fresh_pair, TABLE)
    fresh_pair.install()
    fresh_pair.wire["anna", "bert"].set_mode("refuse")
    assert "refused the connection" in fresh_pair.anna.agent("--verify", check=4).stderr


def test_a_table_that_only_one_side_has_is_named_by_both(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE) as two:
        for node, name in ((two.anna, "`only anna's`"), (two.bert, "`of bert`"), (two.bert, "parts")):
            node.sql(f"CREATE TABLE {name} (id INT PRIMARY KEY)" + (" PARTITION BY HASH (id)" if name == "parts" else ""))
            node.install()
        two.bert.sql("INSERT INTO `of bert` VALUES (1)")
        said = compare(two.anna, check=5)
        assert found(said["t"]) == {} and said["t"]["error"] is None
        assert "is not replicated there" in said["only anna's"]["error"]
        assert all("is missing here and peer bert has it" in said[name]["error"] for name in ("of bert", "parts"))
        ran = two.anna.agent("--verify", check=5)
        assert "t: 0 records, equal" in ran.stdout and "table of bert is missing here" in ran.stderr
        two.anna.agent("--verify", "--table", "t", check=0)
        two.anna.change_conf({"sync": {"tables": "t"}})
        two.anna.install()
        assert set(compare(two.anna, check=0)) == {"t"}  # agent.conf does not want the others


def test_a_peer_that_was_not_compared_is_never_passed_over_in_silence(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE) as two:
        two.bert.stop_serve()
        peer = json.loads(two.anna.agent("--verify", "--json", check=4).stdout)["peers"][0]
        assert (peer["tables"], peer["exit_code"]) == ([], 4) and "127.0.0.1" in peer["error"]
        two.bert.start_serve()
        assert json.loads(two.anna.agent("--verify", "--json", check=0).stdout)["peers"][0]["error"] is None
        two.anna.change_conf({"peer bert": {"paused": "yes"}})
        assert "peer bert is paused ([peer bert] paused) and not compared" in two.anna.agent("--verify", check=0).stdout
        assert "is paused" in json.loads(two.anna.agent("--verify", "--json", check=0).stdout)["peers"][0]["error"]
        assert "t: 0 records, equal" in two.anna.agent("--verify", "--peer", "bert", check=0).stdout


def test_a_peer_whose_agent_cannot_compare_is_named_in_plain_words(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE) as two:
        # One bit of the path is turned: to the peer it is a call that it does not know.
        fault = two.wire["anna", "bert"].plan(Fault("corrupt_request", VERIFY, part="head", at=len("POST /api/sync/v") - 1))
        assert "older" in two.anna.agent("--verify", check=5).stderr
        assert fault.hits == 1


def test_a_restart_of_the_peer_in_the_middle_costs_one_new_hello(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE, numbers(3000)) as two:
        unseen(two.bert, "DELETE FROM t WHERE id = 2000")
        fault = two.wire["anna", "bert"].plan(Fault("hold_request", VERIFY, skip=1))
        done: list[dict[str, Any]] = []
        asking = threading.Thread(target=lambda: done.append(compare(two.anna, check=5)["t"]), daemon=True)
        asking.start()
        until(lambda: fault.hits, 20, "the second question is on its way")
        two.bert.stop_serve()
        two.bert.start_serve()
        fault.release()
        asking.join(60)
        assert done and found(done[0]) == {"missing_there": ["2000"]}


# while both sides write ----------------------------------------------------------------------------

def test_what_is_still_on_its_way_is_no_difference(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE, numbers(300)) as two:
        two.wire["bert", "anna"].set_mode("refuse")
        two.bert.sql("UPDATE t SET v = 'there' WHERE id = 5")
        two.bert.sql("DELETE FROM t WHERE id = 6")
        two.bert.sql("INSERT INTO t VALUES (1000, 'new there', 1)")
        two.anna.sql("UPDATE t SET v = 'here' WHERE id = 7")
        two.anna.sql("INSERT INTO t VALUES (1001, 'new here', 1)")
        unseen(two.anna, "UPDATE t SET v = 'silent' WHERE id = 8")
        assert found(compare(two.anna, check=5)["t"]) == {
            "busy": ["1000", "5", "6"], "pending": ["1001", "7"], "different": ["8"]}


def test_busy_tables_show_no_difference_that_is_not_there(fresh_pair: Pair, rng: random.Random) -> None:
    with begun(fresh_pair, TABLE, numbers(2000)) as two:
        two.anna.start_serve()
        stop = threading.Event()

        def write(node: Node, seed: int) -> None:
            chance, connection = random.Random(seed), node.connect(autocommit=True)
            first = 100000 if node is two.anna else 200000
            try:
                with connection.cursor() as cursor:
                    while not stop.wait(0.001):
                        cursor.execute("UPDATE t SET n = n + 1 WHERE id = %s", [chance.randrange(1, 2000)])
                        cursor.execute("INSERT IGNORE INTO t VALUES (%s, 'mine', 1)", [first + chance.randrange(500)])
                        cursor.execute("DELETE FROM t WHERE id = %s", [first + chance.randrange(500)])
            finally:
                connection.close()

        writers = [threading.Thread(target=write, args=(node, rng.randrange(10**9)), daemon=True) for node in two.nodes]
        for writer in writers:
            writer.start()
        try:
            tables = [compare(node)["t"] for _ in range(6) for node in two.nodes]
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        for table in tables:
            assert {kind: keys for kind, keys in found(table).items() if kind not in ("busy", "pending")} == {}, table
        two.wait_quiet()
        assert found(compare(two.anna, check=0)["t"]) == {}


def test_an_acknowledgement_that_overtakes_the_greeting_is_no_peer_that_went_back(fresh_pair: Pair) -> None:
    """--verify asks where the peer stands; before it looks at what was acknowledged, a drain gets on."""
    with begun(fresh_pair, TABLE, numbers(10)) as two:
        two.anna.sql("UPDATE t SET n = 1 WHERE id = 1")
        two.anna.drain(check=0)
        two.anna.sql("UPDATE t SET n = 2 WHERE id = 1")
        held = two.wire["anna", "bert"].plan(Fault("hold_response", "/api/sync/hello"))
        asked: list[dict[str, Any]] = []
        asking = threading.Thread(target=lambda: asked.append(compare(two.anna, check=0)), daemon=True)
        asking.start()
        until(lambda: held.hits, what="the greeting is on its way")
        two.anna.drain(check=0)
        held.release()
        asking.join(60)
        assert asked and found(asked[0]["t"]) == {}
        assert two.anna.status()["peers"][0]["in_step"]


@pytest.mark.parametrize("who", ["anna", "bert"])
def test_a_record_that_changes_and_arrives_while_questions_travel_is_no_difference(fresh_pair: Pair, who: str) -> None:
    """Each question waits on its way, the last one's answer: the closer look at single records."""
    with begun(fresh_pair, TABLE, numbers(3000)) as two:
        two.anna.start_serve()
        wire = two.wire["anna", "bert"]
        other = two.bert if who == "anna" else two.anna
        unseen(two.bert, "UPDATE t SET v = 'silent' WHERE id IN (8, 2998)")  # so that their neighbours are looked at closely
        compare(two.anna)
        last = sum(one.path.startswith(VERIFY) for one in wire.exchanges)
        held = wire.plan(Fault("hold_request", VERIFY))
        asking = subprocess.Popen(two.anna.command("--verify", "--json"), stdout=subprocess.PIPE, text=True,
                                  cwd=two.anna.folder, preexec_fn=process.dies_with_parent())
        asked = 0
        while until(lambda: held.hits > 0 or asking.poll() is not None, 60, "a question, or the end") and held.hits > 0:
            asked += 1
            two[who].sql("UPDATE t SET n = n + 1 WHERE id IN (9, 2999)")
            until(lambda: other.sql("SELECT n FROM t WHERE id=9") == two[who].sql("SELECT n FROM t WHERE id=9"), 60, "it has arrived")
            before = held
            held = wire.plan(Fault("hold_request" if asked + 1 < last else "hold_response", VERIFY))
            before.release()
        said = json.loads(asking.communicate(timeout=60)[0])
        assert asked >= 3
        assert found(said["peers"][0]["tables"][0])["different"] == ["2998", "8"], said


# making equal --------------------------------------------------------------------------------------

def _differ(two: Pair) -> None:
    unseen(two.anna, "DELETE FROM t WHERE id BETWEEN 10 AND 19", "UPDATE t SET v = 'anna' WHERE id IN (30, 31)",
           "INSERT INTO t VALUES (5001, 'only anna', 1)")
    unseen(two.bert, "DELETE FROM t WHERE id BETWEEN 20 AND 24", "UPDATE t SET v = 'bert' WHERE id IN (30, 40)",
           "INSERT INTO t VALUES (5002, 'only bert', 1)")


@pytest.mark.parametrize("asker", ["anna", "bert"])
@pytest.mark.parametrize("winner", ["anna", "bert"])
def test_the_records_of_the_chosen_side_win(fresh_pair: Pair, asker: str, winner: str) -> None:
    with begun(fresh_pair, TABLE, numbers(3000)) as two:
        two.anna.start_serve()
        _differ(two)
        wanted = two[winner].sql("SELECT * FROM t ORDER BY id")
        ran = two[asker].agent("--verify", "--repair", "--from", winner, check=0)
        assert "20 records queued" in ran.stdout
        assert (f"they arrive with its next drain" in ran.stdout) == (asker != winner)
        two.wait_quiet()
        assert two[winner].sql("SELECT * FROM t ORDER BY id") == wanted
        two.assert_equal()
        compare(two[asker], check=0)
        if asker != winner:  # what was overwritten here is kept whole
            kept = sync(two[asker], "SELECT record_id, local_row FROM sync_conflict WHERE policy='repair'")
            mine = {bytes(key).decode(): json.loads(row) for key, row in kept}
            refused = two[asker].agent("--resolve", str(sync(two[asker], "SELECT id FROM sync_conflict WHERE record_id='30'")[0][0]),
                                       "--keep", "remote", check=2)
            assert "only the version that was overwritten" in refused.stderr
            assert mine["30"]["v"] == asker and mine["5001" if asker == "anna" else "5002"]["v"] == f"only {asker}"


def test_a_merge_brings_both_sides_what_they_lack_and_deletes_nothing(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE, numbers(3000)) as two:
        two.anna.start_serve()
        _differ(two)
        two.anna.agent("--verify", "--repair", check=0)
        two.wait_quiet()
        two.assert_equal()
        rows = dict((key, value) for key, value, _ in two.anna.sql("SELECT * FROM t"))
        assert len(rows) == 3002 and rows[5001] == "only anna" and rows[5002] == "only bert"
        # Neither queue knows of these edits: the side that did not ask wins, the other version is kept.
        assert rows[30] == "bert" and rows[31] == "value 31" and rows[40] == "bert"
        kept = sync(two.anna, "SELECT local_row FROM sync_conflict WHERE policy='repair' AND record_id='31'")
        assert json.loads(kept[0][0])["v"] == "anna"


def test_a_merge_takes_the_later_version_that_a_queue_still_knows(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE, numbers(50)) as two:
        two.anna.start_serve()
        two.bert.sql("UPDATE t SET n = 1 WHERE id = 1")
        two.wait_quiet()
        two.anna.sql("UPDATE t SET n = 2 WHERE id = 2")
        two.wait_quiet()
        unseen(two.anna, "UPDATE t SET v = 'anna' WHERE id IN (1, 2)")
        compare(two.anna, "--repair", check=0)
        two.wait_quiet()
        two.assert_equal()
        assert [row[0] for row in two.anna.sql("SELECT v FROM t WHERE id IN (1, 2) ORDER BY id")] == ["value 1", "anna"]
        kept = sync(two.bert, "SELECT local_row FROM sync_conflict WHERE policy='repair' AND record_id='2'")
        assert json.loads(kept[0][0])["v"] == "value 2"


def test_an_edit_of_the_peer_that_was_not_seen_survives_a_repair(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE, numbers(300)) as two:
        two.wire["bert", "anna"].set_mode("refuse")
        unseen(two.anna, "UPDATE t SET v = 'anna' WHERE id IN (5, 6)", "DELETE FROM t WHERE id = 7")
        two.bert.sql("UPDATE t SET v = 'bert was here' WHERE id IN (5, 7)")
        table = compare(two.anna, "--repair", "--from", "anna", check=0)["t"]
        assert table["queued"] == 2 and found(table) == {"busy": ["5", "7"], "different": ["6"]}
        two.anna.drain(check=0)
        two.wire["bert", "anna"].heal()
        two.anna.start_serve()
        two.wait_quiet()
        two.assert_equal()
        assert [row[0] for row in two.bert.sql("SELECT v FROM t WHERE id IN (5, 6, 7) ORDER BY id")] == [
            "bert was here", "anna", "bert was here"]
        kept = sync(two.bert, "SELECT remote_row FROM sync_conflict WHERE record_id='5'")
        assert json.loads(kept[0][0])["v"] == "anna"


def test_a_dry_run_of_a_repair_only_looks(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE, numbers(100)) as two:
        unseen(two.bert, "DELETE FROM t WHERE id = 50")
        for args in (("--repair",), ("--repair", "--from", "anna"), ("--repair", "--from", "bert")):
            assert compare(two.anna, "--dry-run", *args, check=5)["t"]["queued"] == 0
        assert two.anna.queue() == {} and two.bert.queue() == {}


@pytest.mark.parametrize("args, said", [
    (("--from", "anna"), "--repair"), (("--repair", "--from", "nobody"), "nobody"), (("--peer", "nobody"), "nobody"),
    (("--table", "nothing"), "nothing"), (("--repair", "--peer", "bert", "--from", "carl"), "carl")])
def test_wrong_words_are_told_apart(fresh_pair: Pair, args: tuple[str, ...], said: str) -> None:
    everywhere(fresh_pair, TABLE)
    fresh_pair.install()
    assert said in fresh_pair.anna.agent("--verify", *args, check=2).stderr


# the answering side under attack ---------------------------------------------------------------------

def _line(*values: str | None) -> bytes:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


COLUMNS_OF_T = '[["id","int(11)"],["v","varchar(40) utf8mb4_general_ci"],["n","int(11)"]]'


def _question(ask: str, *items: bytes, table: str = "t", columns: str = COLUMNS_OF_T, key: tuple[str, ...] = ("id",),
              first: bytes | None = None) -> bytes:
    head = first or _line("compare", "1", ask, "", "0", "", None)
    return head + f'{{"table":{json.dumps(table)},"columns":{columns}}}\n'.encode() + _line(*key) + b"".join(items)


@pytest.fixture(scope="module")
def bert() -> Iterator[tuple[Node, Impostor]]:
    """bert serves; whatever is asked in anna's name, the tests write."""
    with Pair(schemas=()) as two:
        everywhere(two, TABLE.replace("VARCHAR(40)", "VARCHAR(40) COLLATE utf8mb4_general_ci"), numbers(5000),
                   "CREATE TABLE secret_sync (id INT)")
        two.install()
        two.bert.start_serve()
        forger = Impostor(two.bert, "anna", two.anna.conf["peer bert"]["key"])
        forger.hello()
        yield two.bert, forger


def test_a_question_in_good_form_is_answered(bert: tuple[Node, Impostor]) -> None:
    status, answer = bert[1].post(VERIFY, _question("sums", _line(None, "100"), _line("100", None)))
    lines = [json.loads(line) for line in answer.splitlines()]
    assert status == 200 and lines[0] == ["compared", "1", None] and [line[0] for line in lines[1:]] == ["100", "4900"]
    status, answer = bert[1].post(VERIFY, _question("fast", _line(None, "100"), _line("100", None)))
    sums = [json.loads(line) for line in answer.splitlines()][1:]
    assert status == 200 and [line[0] for line in sums] == ["100", "4900"] and sums[0][1] != sums[1][1]
    status, answer = bert[1].post(VERIFY, _question("fast", _line(None, None), columns=COLUMNS_OF_T.replace("int(11)", "bigint(20)")))
    assert status == 422 and json.loads(answer)["error"] == "sums"  # another type prints its values in another way
    status, answer = bert[1].post(VERIFY, _question("rows", _line(None, None)))
    lines = [json.loads(line) for line in answer.splitlines()]
    assert status == 200 and lines[0][2] == "more" and len(lines) == 1001  # a page, however much is asked for


@pytest.mark.parametrize("body, status, said", [
    (_question("sums", _line(None, None), table="nothing"), 422, "not replicated"),
    (_question("sums", _line(None, None), table="sync_queue"), 422, "not replicated"),
    (_question("sums", _line(None, None), table="t` UNION SELECT 1 -- "), 422, "not replicated"),
    (_question("sums", _line(None, None), table="secret_sync"), 422, "primary key"),
    (_question("sums", _line(None, None), columns='[["id","int(11)"]]'), 422, "column v"),
    (_question("sums", _line(None, None), columns='[["id`","int(11)"]]'), 422, "missing at bert"),
    (_question("sums", _line(None, None), columns="[" + ",".join(['["id","int(11)"]'] * 3) + "]"), 422, "column v"),
    (_question("sums", _line(None, None), key=("v",)), 422, "primary key"),
    (_question("sums", _line("x", None)), 422, "malformed key"),
    (_question("sums", _line("1 OR 1=1", None)), 422, "malformed key"),
    (_question("sums", _line("", None)), 422, "malformed key"),
    (_question("sums", _line("1" * 4000, None)), 422, "malformed"),
    (_question("sums", _line("7", "7")), 422, "ends before it begins"),
    (_question("sums", _line("7", "6")), 422, "ends before it begins"),
    (_question("sums", _line("6", "-7")), 422, "ends before it begins"),
    (_question("sums", _line("-6", "-7")), 422, "ends before it begins"),
    (_question("sums", _line("1", "2", "3")), 422, "malformed"),
    (_question("sums", *[_line(str(n), str(n + 1)) for n in range(100000)]), 422, "more than 1000 ranges"),
    (_question("rows"), 422, "without a range"),
    (_question("rows", _line(None, None), _line(None, None)), 422, "more than one range"),
    (_question("keys", *[_line(str(n)) for n in range(1001)]), 422, "more than 1000 keys"),
    (_question("keys", _line("nothing")), 422, "malformed key"),
    (_question("queue", _line("1", "x' OR 1")), 422, "malformed key"),
    (_question("drop", _line("1")), 422, "malformed"),
    (_question("", first=_line("compare", "2", "sums", "", "0", "", None)), 422, "malformed"),
    (_question("", first=_line("compare", "1", "keys", "", "-1", "", None)), 422, "malformed"),
    (_question("", first=_line("compare", "1", "keys", "", "99999999999999999999999", "", None)), 422, "malformed"),
    (_question("", _line("1"), first=_line("compare", "1", "keys", "f" * 32, "0", "", None)), 409, "another database"),
    (_question("", _line("1"), first=_line("compare", "1", "keys", "", "77", "f" * 16, None)), 409, "no longer kept"),
    (b'{"compare":"1"}\n', 422, "array"), (b"\n", 422, ""), (b"[]\n", 422, "malformed"), (b"[" * 100000 + b"\n", 422, ""),
    (_question("sums", _line(None, None))[:-1], 422, "malformed"),
    (b"\xff\xfe\n", 422, ""),
])
def test_a_hostile_question_gets_a_clear_no_and_changes_nothing(bert: tuple[Node, Impostor], body: bytes, status: int, said: str) -> None:
    node, forger = bert
    before = node.queue()
    got, answer = forger.post(VERIFY, body)
    assert got == status and said in json.loads(answer)["message"], answer
    assert node.queue() == before
    assert forger.post(VERIFY, _question("sums", _line(None, "1")))[0] == 200


def test_a_question_above_the_limit_is_refused(bert: tuple[Node, Impostor]) -> None:
    node, _ = bert
    loud = Impostor(node, "anna", node.conf["peer anna"]["key"])
    loud.hello()
    status, said = loud.post(VERIFY, b"[" + b" " * (4 * 1024 * 1024 + 1))
    assert status == 422 and b"longer than the limit of 4194304 bytes" in said
    assert node.serving()


def test_applying_and_hello_do_not_wait_for_a_comparison(bert: tuple[Node, Impostor]) -> None:
    node, forger = bert
    lock = node.connect(autocommit=True)
    try:
        with lock.cursor() as cursor:
            cursor.execute("LOCK TABLES t WRITE")
            asked = threading.Thread(target=lambda: forger.post(VERIFY, _question("sums", _line(None, None))), daemon=True)
            asked.start()
            until(lambda: node.sql("SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE LIKE '%%metadata lock%%'"), 20,
                  "the comparison waits for the table")
            other = Impostor(node, "anna", node.conf["peer anna"]["key"])
            assert other.hello()["node"] == "bert"
            cursor.execute("UNLOCK TABLES")
        asked.join(20)
        assert not asked.is_alive()
    finally:
        lock.close()


def test_the_columns_that_differ_are_named(fresh_pair: Pair) -> None:
    table = ("CREATE TABLE k (id INT PRIMARY KEY, b BLOB, v VARCHAR(20), w VARCHAR(20) CHARACTER SET latin1, d DECIMAL(8,3),"
             " `odd \"name` INT)")
    with begun(fresh_pair, table, "INSERT INTO k SELECT seq, REPEAT('x', 100), '', 'Stra\u00dfe', seq / 8, seq FROM seq_1_to_500") as two:
        unseen(two.anna, "UPDATE k SET b = CONCAT(REPEAT('x', 99), CHAR(121)) WHERE id = 1", "UPDATE k SET v = NULL WHERE id = 2",
               "UPDATE k SET v = ' ' WHERE id = 3", "UPDATE k SET w = 'stra\u00dfe', d = d + 0.001 WHERE id = 4",
               "UPDATE k SET `odd \"name` = 0 WHERE id = 500", "DELETE FROM k WHERE id = 5")
        said = compare(two.anna, check=5)["k"]
        assert said["columns"] == {"1": ["b"], "2": ["v"], "3": ["v"], "4": ["w", "d"], "500": ['odd "name']}
        assert found(said) == {"different": ["1", "2", "3", "4", "500"], "missing_here": ["5"]}
        text = two.anna.agent("--verify", check=5).stdout
        assert "    4: w, d\n" in text and '    500: odd "name\n' in text
