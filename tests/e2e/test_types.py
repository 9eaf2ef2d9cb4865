"""Values of every type travel byte for byte, both ways, whatever session wrote them; records are
found by keys of every kind; tables and columns may have any name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from lab import Pair, compare, hand
from lab.node import Node

ALL_BYTES = bytes(range(256))
NAUGHTY = "\0'\"\\\\n%_\x1a;`--\t\r\n, \U0001F600 e\u0301 \u00e9 \u202e \ufeff\uffff"
SET_MEMBERS = ",".join(f"'m{i}'" for i in range(64))

# What the app's sessions are like that write here; none is strict, so that zero dates may be written.
SESSIONS: tuple[Mapping[str, Any], ...] = (
    {"charset": "utf8mb4", "init_command": "SET time_zone='+13:00', sql_mode='ALLOW_INVALID_DATES'"},
    {"charset": "latin1", "init_command": "SET time_zone='-12:00', sql_mode='NO_BACKSLASH_ESCAPES,"
     "ANSI_QUOTES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH,ALLOW_INVALID_DATES'"},
    {"charset": "sjis", "init_command": "SET time_zone='+05:45', sql_mode='NO_UNSIGNED_SUBTRACTION,"
     "REAL_AS_FLOAT,IGNORE_SPACE,HIGH_NOT_PRECEDENCE,ALLOW_INVALID_DATES',"
     " character_set_results=NULL"},
)

Columns = Mapping[str, Sequence[str]]  # a definition, and the literals to write


def x(content: str | bytes, charset: str = "utf-8") -> str:
    """A literal that means these bytes in every session, whatever its charset and sql_mode."""
    return f"x'{(content.encode(charset) if isinstance(content, str) else content).hex()}'"


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

def _integers() -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {"BOOL": ["TRUE", "FALSE"], "INT ZEROFILL": ["0", "42", "4294967295"],
                                   "BIGINT(20) ZEROFILL": ["7", "18446744073709551615"]}
    for name, bits in (("TINYINT", 8), ("SMALLINT", 16), ("MEDIUMINT", 24), ("INT", 32), ("BIGINT", 64)):
        half = 1 << bits - 1
        kinds[name] = [str(n) for n in (-half, -1, 0, 1, half - 1)]
        kinds[f"{name} UNSIGNED"] = [str(n) for n in (0, half - 1, half, 2 * half - 1)]
    return kinds


NUMBERS: Columns = {
    **_integers(),
    "DECIMAL(65,30)": ["0", "-0.000000000000000000000000000001", "9" * 35 + "." + "9" * 30,
                       "-" + "9" * 35 + "." + "9" * 30, "0.1"],
    "DECIMAL(65,0)": ["9" * 65, "-" + "9" * 65], "DECIMAL(10,2) UNSIGNED ZEROFILL": ["1.5", "99999999.99"],
    "FLOAT": ["16777216", "16777217", "1e-38", "0.1", "-3.402823466e38", "1.17549435e-38", "1.4e-45",
              "33554434", "0", "3.14159265"],
    "FLOAT(10,3)": ["0.001", "1234567.891"], "FLOAT UNSIGNED": ["0.3", "123456789"],
    "DOUBLE": ["1.7976931348623157e308", "-1.7976931348623157e308", "5e-324", "2.2250738585072014e-308",
               "0.1", "9007199254740993", "1e22", "0.30000000000000004"],
    "DOUBLE(20,5)": ["0.00001", "123456789012345.12345"],
    "BIT(1)": ["b'0'", "b'1'"], "BIT(8)": ["0", "10", "39", "92", "255"], "BIT(33)": ["0", "8589934591"],
    "BIT(64)": ["0", "1", "18446744073709551615", "9223372036854775808"],
}

MOMENTS: Columns = {
    "DATE": ["'0000-00-00'", "'1000-01-01'", "'9999-12-31'", "'2024-02-29'", "'2024-02-31'",
             "'2024-00-10'", "'0001-01-01'"],
    "DATETIME": ["'0000-00-00 00:00:00'", "'9999-12-31 23:59:59'", "'2024-03-31 02:30:00'"],
    "DATETIME(6)": ["'0000-00-00 00:00:00'", "'9999-12-31 23:59:59.999999'",
                    "'2024-10-27 02:30:00.000001'", "'1000-01-01 00:00:00.100000'"],
    "TIMESTAMP(6) NULL": ["0", "FROM_UNIXTIME(1)", "FROM_UNIXTIME(1.000001)", "FROM_UNIXTIME(0.000001)",
                          "FROM_UNIXTIME(2147483647.999999)", "FROM_UNIXTIME(1729989000.5)"],
    "TIMESTAMP NULL": ["0", "FROM_UNIXTIME(1)", "FROM_UNIXTIME(2147483647)"],
    "TIME": ["'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'"],
    "TIME(6)": ["'-838:59:59.999999'", "'838:59:59.999999'", "'-00:00:00.000001'", "'0:0:0'"],
    "YEAR": ["0", "1901", "2155", "2024"],
}

_LATIN = "".join(chr(n) for n in range(128)) + "ÿþæß"
_SJIS = bytes(range(128)) + bytes(range(0xA1, 0xE0)) + bytes.fromhex("815c835c8d5c955c815f8140889feaa4ed40fa54fbfcf040")
TEXTS: Columns = {
    "CHAR(20)": ["''", x("padded  "), x("  left"), x("\U0001F600é'\"\\")],
    "VARCHAR(200)": ["''", x(NAUGHTY), x("blank  "), x(" "), x("a\0b\0"), x("\0"), x("NULL"), x("\U0001F600" * 50)],
    "VARCHAR(200) COLLATE utf8mb4_nopad_bin": [x("blank "), x("blank"), x("Ä"), x("A\u0308")],
    "VARCHAR(100) CHARACTER SET utf8mb3": ["''", x("é\u20ac\0'\"\\ "), x("\uffff")],
    "TINYTEXT": ["''", x("t" * 255)], "TEXT": ["''", x(NAUGHTY), x("x\r\n" * 9000)],
    "MEDIUMTEXT": [x("é" * 40000)], "LONGTEXT": [x(NAUGHTY * 900), x("\U0001F600" * 20000)],
    "TEXT CHARACTER SET ascii": [x(bytes(range(128)))],
    "VARCHAR(300) CHARACTER SET latin1": [x(ALL_BYTES), x(ALL_BYTES[::-1]), "''", x(b"\xe9 ")],
    "CHAR(255) CHARACTER SET latin1": [x(ALL_BYTES[1:]), x(b"\xa0\x20\x20")],
    "TEXT CHARACTER SET cp1251": [x(ALL_BYTES), x(b"\x98"), "''"],
    "TEXT CHARACTER SET koi8r": [x(ALL_BYTES)],
    "VARCHAR(300) CHARACTER SET sjis": [x(_SJIS), x(b"\x5c\x7e"), x(b"\x83\x5c\x5c\x27"), "''"],
    "VARCHAR(300) CHARACTER SET cp932": [x(b"\xed\x40\xfa\x5c\x87\x90\x81\xe0\x5c")],
    "TEXT CHARACTER SET gbk": [x(b"\xbf\x5c\xbf\x27\x81\x40"[:2] + b"'")], "TEXT CHARACTER SET big5": [x(b"\xa5\x5c\xa4\x40")],
    "TEXT CHARACTER SET ujis": [x("日本語\\", "euc-jp")],
    "VARCHAR(600) CHARACTER SET ucs2": [x("".join(chr(n) for n in range(512)), "utf-16-be"), x("\0", "utf-16-be"),
                                         x("\uffff\u5c27 ", "utf-16-be"), "''"],
    "VARCHAR(600) CHARACTER SET utf16": [x(NAUGHTY, "utf-16-be"), x("\U0001F600 ", "utf-16-be"), "''"],
    "VARCHAR(600) CHARACTER SET utf16le": [x(NAUGHTY, "utf-16-le")],
    "VARCHAR(600) CHARACTER SET utf32": [x(NAUGHTY, "utf-32-be"), x("\U0010FFFF\0", "utf-32-be"), "''"],
    "JSON": ["'{}'", "'null'", x('{"a": [1, 2.50, "\\u00e9\\n"], "a": "\U0001F600"}'), "'  [1 ,2]  '"],
}

BYTES: Columns = {
    "BINARY(4)": [x(b""), x(b"\0\0\0\0"), x(b"ab"), x(b"ab  "), x(b"\xff\x27\x5c\x22")],
    "BINARY(255)": [x(ALL_BYTES[:255]), x(ALL_BYTES[1:])], "VARBINARY(600)": [x(ALL_BYTES * 2), x(b""), x(b"\0"), x(b" ")],
    "TINYBLOB": [x(ALL_BYTES[1:]), x(b"")], "BLOB": [x(ALL_BYTES * 200), x(b""), x(b"\n"), x(b"null")],
    "MEDIUMBLOB": [x(ALL_BYTES[::-1] * 400)], "LONGBLOB": [x(ALL_BYTES * 1000), x(b"\0" * 70000)],
    "BLOB COMPRESSED": [x(b"a" * 5000), x(ALL_BYTES), x(b"")],
    "VARCHAR(2000) COMPRESSED": [x("é" * 1000), "''", x(NAUGHTY)], "TEXT COMPRESSED": [x(NAUGHTY * 50)],
}

CHOICES: Columns = {
    "ENUM('0','1','2','','a,b','10','é','''','x\\\\y')": ["1", "2", "3", "4", "5", "6", "7", "8", "9"],
    "ENUM('b','a') CHARACTER SET latin1": ["1", "2"],
    f"ENUM({','.join(str(n).join(chr(39) * 2) for n in range(300))})": ["1", "256", "300"],
    f"SET({SET_MEMBERS})": ["0", "1", "18446744073709551615", "9223372036854775808", "6148914691236517205"],
    "SET('','1','2')": ["0", "1", "2", "3", "7"],
}

SPECIALS: Columns = {
    "UUID": ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
             "'123e4567-e89b-12d3-a456-426655440000'"],
    "INET4": ["'0.0.0.0'", "'255.255.255.255'", "'39.92.34.0'"],
    "INET6": ["'::'", "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'", "'::ffff:192.0.2.1'", "'fe80::1'"],
    "POINT": ["ST_GeomFromText('POINT(1 2)', 4326)", "POINT(-0.1, 1e300)", "ST_GeomFromText('POINT(0 0)')"],
    "GEOMETRY": ["ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 3857)", "ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')",
                 "ST_GeomFromText('MULTIPOINT(1 1,2 2)', 4326)"],
    "POINT REF_SYSTEM_ID=4326": ["ST_GeomFromText('POINT(13.4 52.5)', 4326)"],
    "LINESTRING": ["ST_GeomFromText('LINESTRING(0 0,1e-9 5,7 7)', 1)"],
}


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


@pytest.mark.parametrize("columns", [NUMBERS, MOMENTS, TEXTS, BYTES, CHOICES, SPECIALS],
                         ids=["numbers", "moments", "texts", "bytes", "choices", "specials"])
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
    _write(anna, 1, f"UPDATE t SET {nulls} WHERE id%3=0")
    _write(bert, 2, "DELETE FROM t WHERE id%3=1 OR id%3=-1")
    _in_step(fresh_pair)
    _write(bert, 0, *_updates(columns, range(0, n, 3), 3), "DELETE FROM t WHERE id<0")
    _in_step(fresh_pair)
    _write(anna, 2, "DELETE FROM t")
    _in_step(fresh_pair)
    assert bert.sql("SELECT COUNT(*) FROM t") == [(0,)]


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

# The key's columns; the keys that rows get; what one row's key then becomes.
KEYS: dict[str, tuple[str, Sequence[str], Sequence[str]]] = {
    "int_": ("k INT", ["-2147483648", "-1", "0", "2147483647"], ["5", "-7"]),
    "tinyint_zerofill": ("k TINYINT ZEROFILL", ["0", "7", "255"], ["42", "8"]),
    "bigint_unsigned": ("k BIGINT UNSIGNED", ["0", "9223372036854775807", "9223372036854775808",
                                              "18446744073709551615"], ["18446744073709551614", "1"]),
    "decimal_": ("k DECIMAL(65,30)", ["-1.5", "0", "0." + "0" * 29 + "1", "9" * 35 + "." + "9" * 30], ["1.50", "-0.1"]),
    "varchar_ci": ("k VARCHAR(50)", [x("abc's?"), x("ä'\"\\,"), x("\U0001F600"), "''", x("nul\0")], [x("ABC'S?"), x("Ä'\"\\,")]),
    "varchar_padded": ("k VARCHAR(50)", [x("abc"), x("x "), x(" y")], [x("abc  "), x("x")]),
    "char_padded": ("k CHAR(10)", [x("abc  "), x("A"), "''", x(" b")], [x("ABC"), x("a")]),
    "varchar_bin": ("k VARCHAR(50) COLLATE utf8mb4_nopad_bin", [x("a"), x("A"), x("a "), x("%_"), x("\\")], [x("a  "), x("A ")]),
    "utf8mb3_text": ("k VARCHAR(50) CHARACTER SET utf8mb3", [x("é€"), x("\\,"), x("\0")], [x("É€"), x("z")]),
    "varbinary_": ("k VARBINARY(300)", [x(ALL_BYTES), x(b""), x(b"\0"), x(b"a"), x(b"A"), x(b"a ")], [x(ALL_BYTES[::-1]), x(b"\xff")]),
    "binary_": ("k BINARY(4)", [x(b"\0"), x(b"\xff\xfe"), x(b"ab  "), x(b"ab")], [x(b"AB"), x(b"\x27\x5c")]),
    "timestamp_6": ("k TIMESTAMP(6)", ["FROM_UNIXTIME(1)", "FROM_UNIXTIME(1.000001)", "FROM_UNIXTIME(2147483647.999999)",
                                     "FROM_UNIXTIME(1729989000.5)"], ["FROM_UNIXTIME(1729992600.5)", "FROM_UNIXTIME(2)"]),
    "datetime_6": ("k DATETIME(6)", ["'0000-00-00'", "'1000-01-01'", "'9999-12-31 23:59:59.999999'", "'2024-02-31 10:00:00.5'"],
                 ["'2024-03-31 02:30:00.000001'", "'2024-01-01'"]),
    "date_": ("k DATE", ["'0000-00-00'", "'9999-12-31'", "'2024-02-29'", "'2024-00-01'"], ["'2024-02-31'", "'1000-01-01'"]),
    "time_6": ("k TIME(6)", ["'-838:59:59.999999'", "'0:0:0'", "'838:59:59.999999'", "'-0:0:0.000001'"], ["'12:00:00.5'", "'1:0:0'"]),
    "timestamp_0": ("k TIMESTAMP", ["FROM_UNIXTIME(1)", "FROM_UNIXTIME(2147483647)"], ["FROM_UNIXTIME(1729992600)", "FROM_UNIXTIME(2)"]),
    "decimal_zerofill": ("k DECIMAL(9,2) ZEROFILL", ["0", "1.5", "9999999.99"], ["2.25", "3"]),
    "double_zerofill": ("k DOUBLE ZEROFILL", ["0", "0.1", "1e300"], ["2.25", "3"]),
    "zerofill_year_moment_and_set": ("k INT ZEROFILL, y YEAR DEFAULT 0, m TIMESTAMP(6) NOT NULL DEFAULT '2020-01-01', s SET('a','b') DEFAULT 'b'",
                              ["0", "1", "4294967295"], ["2", "3"]),
    "year_": ("k YEAR", ["0", "1901", "2155"], ["2024", "2001"]),
    "float_": ("k FLOAT", ["0.1", "16777216", "1e-38", "-3.402823466e38", "0"], ["3.14159265", "0.2"]),
    "double_": ("k DOUBLE", ["0.1", "5e-324", "1.7976931348623157e308", "-1e22", "0.30000000000000004"], ["0.2", "1e-7"]),
    "bit_8": ("k BIT(8)", ["b'0'", "b'11111111'", "39", "92"], ["44", "10"]),
    "bit_64": ("k BIT(64)", ["0", "18446744073709551615", "9223372036854775808"], ["1", "44"]),
    "enum_": ("k ENUM('1','0','','a,b','é','A')", ["1", "2", "3", "4"], ["5", "6"]),
    "set_of_64": (f"k SET({SET_MEMBERS})", ["0", "1", "18446744073709551615", "9223372036854775808"], ["6", "2"]),
    "uuid_": ("k UUID", ["'00000000-0000-0000-0000-000000000000'", "'123e4567-e89b-12d3-a456-426655440000'",
                        "'ffffffff-ffff-ffff-ffff-ffffffffffff'"], ["UUID()", "'123E4567-E89B-12D3-A456-426655440001'"]),
    "inet4_": ("k INET4", ["'0.0.0.0'", "'255.255.255.255'", "'10.0.0.1'"], ["'10.0.0.2'", "'1.2.3.4'"]),
    "inet6_": ("k INET6", ["'::'", "'::ffff:192.0.2.1'", "'FE80::1'"], ["'fe80::2'", "'::1'"]),
    "latin1_text": ("k VARCHAR(255) CHARACTER SET latin1", [x(b"\xe4"), x(ALL_BYTES[1:]), x(b"\x80"), "''"], [x(b"\xc4"), x(b"\xff\\")]),
    "cp1251_text": ("k VARCHAR(255) CHARACTER SET cp1251", [x(b"\xe0,"), x(ALL_BYTES[1:]), x(b"\x98"), "''"], [x(b"\xc0,"), x(b"\xff")]),
    "sjis_text": ("k VARCHAR(90) CHARACTER SET sjis", [x(b"\x83\x5c"), x(b"\x5c\x27"), x(b"\xb1")], [x(b"\x83\x5c\x2c"), x(b"a")]),
    "ucs2_text": ("k VARCHAR(90) CHARACTER SET ucs2", [x("a\\,'", "utf-16-be"), x("\u5c27", "utf-16-be"), "''"],
             [x("A\\,'", "utf-16-be"), x("é", "utf-16-be")]),
    "utf16_text": ("k VARCHAR(90) CHARACTER SET utf16", [x("a\U0001F600", "utf-16-be"), x("\0", "utf-16-be")],
              [x("A\U0001F600", "utf-16-be"), x("é", "utf-16-be")]),
}

KEY_GROUPS: dict[str, list[str]] = {
    "numbers": ["int_", "bigint_unsigned", "decimal_", "float_", "double_", "bit_8", "bit_64"],
    "padded numbers": ["tinyint_zerofill", "decimal_zerofill", "double_zerofill", "year_", "zerofill_year_moment_and_set"],
    "moments": ["timestamp_6", "timestamp_0", "datetime_6", "date_", "time_6"],
    "texts": ["varchar_ci", "varchar_padded", "char_padded", "varchar_bin", "utf8mb3_text"],
    "other charsets": ["latin1_text", "cp1251_text", "sjis_text", "ucs2_text", "utf16_text"],
    "bytes and others": ["varbinary_", "binary_", "enum_", "set_of_64", "uuid_", "inet4_", "inet6_"],
}
assert sorted(KEYS) == sorted(kind for kinds in KEY_GROUPS.values() for kind in kinds)


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
