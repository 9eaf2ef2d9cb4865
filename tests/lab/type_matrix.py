"""Every type of MariaDB 10.11 as the tests use it: values at their extremes, keys, types that may be
widened, what is refused. tests/e2e/test_types.py writes them and lets them travel; scripts/types-doc
makes docs/types.md of them, so that what it says has been tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ALL_BYTES = bytes(range(256))
NAUGHTY = "\0'\"\\\\n%_\x1a;`--\t\r\n, \U0001F600 e\u0301 \u00e9 \u202e \ufeff\uffff"
SET_MEMBERS = ",".join(f"'m{i}'" for i in range(64))

Columns = Mapping[str, Sequence[str]]  # a definition, and the literals to write


def x(content: str | bytes, charset: str = "utf-8") -> str:
    """A literal that means these bytes in every session, whatever its charset and sql_mode."""
    return f"x'{(content.encode(charset) if isinstance(content, str) else content).hex()}'"


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
    "DOUBLE UNSIGNED": ["0", "1.7976931348623157e308"], "DOUBLE ZEROFILL": ["0", "0.1", "1e300"], "FLOAT ZEROFILL": ["0.1", "1e10"],
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
    "DATETIME(1)": ["'2024-01-01 00:00:00.9'"], "TIMESTAMP(3) NULL": ["FROM_UNIXTIME(2147483647.999)", "0"], "TIME(2)": ["'-0:0:0.01'"],
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
    "TEXT CHARACTER SET ascii": [x(bytes(range(128))), x(ALL_BYTES), x(b"\xc3\xa9"), "''"],
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

# One byte a character: all 256 of them.
_SINGLE = ["armscii8", "cp1250", "cp1256", "cp1257", "cp850", "cp852", "cp866", "dec8", "geostd8", "greek", "hebrew", "hp8",
           "keybcs2", "koi8u", "latin2", "latin5", "latin7", "macce", "macroman", "swe7", "tis620"]


def _all_of(codec: str, most: int = 5000) -> str:
    """Characters of a charset of several bytes each, the highest ones among them."""
    found = [chr(n) for n in range(0x20, 0xFFFF) if not 0xD800 <= n < 0xE000 and chr(n).encode(codec, "ignore")]
    return x("".join(found[:most // 2] + found[-most // 2:]), codec)


CHARSETS: Columns = {
    **{f"TEXT CHARACTER SET {charset}": [x(ALL_BYTES), "''", x(b"a  ")] for charset in _SINGLE},
    "MEDIUMTEXT CHARACTER SET gbk": [_all_of("gbk"), x(b"\xbf\x5c")], "MEDIUMTEXT CHARACTER SET gb2312": [_all_of("gb2312")],
    "MEDIUMTEXT CHARACTER SET big5": [_all_of("big5"), x(b"\xa5\x5c")], "MEDIUMTEXT CHARACTER SET euckr": [_all_of("euc-kr")],
    "MEDIUMTEXT CHARACTER SET ujis": [_all_of("euc-jp")], "MEDIUMTEXT CHARACTER SET eucjpms": [_all_of("euc-jp")],
    "MEDIUMTEXT CHARACTER SET sjis": [_all_of("shift-jis")], "MEDIUMTEXT CHARACTER SET cp932": [_all_of("cp932")],
    "MEDIUMTEXT CHARACTER SET ucs2": [x("".join(chr(n) for n in range(0xD800)), "utf-16-be")],
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
    "ENUM('0','1','2','','a,b','10','é','''','x\\\\y')": ["'no member'", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    "ENUM('b','a') CHARACTER SET latin1": ["1", "2", "''"], "ENUM('a')": ["''", "1"],
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
    "POLYGON": ["ST_GeomFromText('POLYGON((0 0,9 0,9 9,0 0),(1 1,2 1,2 2,1 1))', 4326)"],
    "MULTIPOINT": ["ST_GeomFromText('MULTIPOINT(1 1,2 2)')"],
    "MULTILINESTRING": ["ST_GeomFromText('MULTILINESTRING((0 0,1 1),(2 2,3 3))', 7)"],
    "MULTIPOLYGON": ["ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)))')"],
    "GEOMETRYCOLLECTION": ["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))', 5)"],
    "LINESTRING": ["ST_GeomFromText('LINESTRING(0 0,1e-9 5,7 7)', 1)"],
}


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
    "timestamp_zero": ("k TIMESTAMP NOT NULL DEFAULT 0", ["0", "FROM_UNIXTIME(1)", "FROM_UNIXTIME(2147483647)"],
                       ["FROM_UNIXTIME(2)", "FROM_UNIXTIME(3)"]),
    "timestamp_6_zero": ("k TIMESTAMP(6) NOT NULL DEFAULT 0", ["0", "FROM_UNIXTIME(0.000001)", "FROM_UNIXTIME(1)"],
                         ["FROM_UNIXTIME(2147483647.999999)", "FROM_UNIXTIME(0.1)"]),
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
    "enum_of_no_member": ("k ENUM('a','b','c','d')", ["'none'", "1", "2"], ["3", "4"]),
    "set_of_64": (f"k SET({SET_MEMBERS})", ["0", "1", "18446744073709551615", "9223372036854775808"], ["6", "2"]),
    "uuid_": ("k UUID", ["'00000000-0000-0000-0000-000000000000'", "'123e4567-e89b-12d3-a456-426655440000'",
                        "'ffffffff-ffff-ffff-ffff-ffffffffffff'"], ["UUID()", "'123E4567-E89B-12D3-A456-426655440001'"]),
    "inet4_": ("k INET4", ["'0.0.0.0'", "'255.255.255.255'", "'10.0.0.1'"], ["'10.0.0.2'", "'1.2.3.4'"]),
    "inet6_": ("k INET6", ["'::'", "'::ffff:192.0.2.1'", "'FE80::1'"], ["'fe80::2'", "'::1'"]),
    "latin1_german2_text": ("k VARCHAR(50) CHARACTER SET latin1 COLLATE latin1_german2_ci", [x(b"\xe4"), x(b"ss"), x(b"\xf6,")], [x(b"\xc4"), x(b"\xdf")]),
    "ascii_nopad_text": ("k VARCHAR(50) CHARACTER SET ascii COLLATE ascii_general_nopad_ci", [x(b"a"), x(b"a "), x(b"b,'")], [x(b"A"), x(b"c")]),
    "ucs2_unicode_text": ("k VARCHAR(50) CHARACTER SET ucs2 COLLATE ucs2_unicode_ci", [x("é".encode("utf-16-be")), "'a'"], [x("É".encode("utf-16-be")), "'c'"]),
    "latin1_text": ("k VARCHAR(255) CHARACTER SET latin1", [x(b"\xe4"), x(ALL_BYTES[1:]), x(b"\x80"), "''"], [x(b"\xc4"), x(b"\xff\\")]),
    "cp1251_text": ("k VARCHAR(255) CHARACTER SET cp1251", [x(b"\xe0,"), x(ALL_BYTES[1:]), x(b"\x98"), "''"], [x(b"\xc0,"), x(b"\xff")]),
    "sjis_text": ("k VARCHAR(90) CHARACTER SET sjis", [x(b"\x83\x5c"), x(b"\x5c\x27"), x(b"\xb1")], [x(b"\x83\x5c\x2c"), x(b"a")]),
    "ucs2_text": ("k VARCHAR(90) CHARACTER SET ucs2", [x("a\\,'", "utf-16-be"), x("\u5c27", "utf-16-be"), "''"],
             [x("A\\,'", "utf-16-be"), x("é", "utf-16-be")]),
    "ascii_text": ("k VARCHAR(90) CHARACTER SET ascii", [x(b"a"), x(b"\xe4,"), x(ALL_BYTES[140:220]), "''"], [x(b"A"), x(b"\xc3\xa9")]),
    "utf16_text": ("k VARCHAR(90) CHARACTER SET utf16", [x("a\U0001F600", "utf-16-be"), x("\0", "utf-16-be")],
              [x("A\U0001F600", "utf-16-be"), x("é", "utf-16-be")]),
}

KEY_GROUPS: dict[str, list[str]] = {
    "numbers": ["int_", "bigint_unsigned", "decimal_", "float_", "double_", "bit_8", "bit_64"],
    "padded numbers": ["tinyint_zerofill", "decimal_zerofill", "double_zerofill", "year_", "zerofill_year_moment_and_set"],
    "moments": ["timestamp_6", "timestamp_0", "timestamp_zero", "timestamp_6_zero", "datetime_6", "date_", "time_6"],
    "texts": ["varchar_ci", "varchar_padded", "char_padded", "varchar_bin", "utf8mb3_text"],
    "other charsets": ["latin1_text", "cp1251_text", "sjis_text", "ucs2_text", "utf16_text", "ascii_text"],
    "other collations": ["latin1_german2_text", "ascii_nopad_text", "ucs2_unicode_text"],
    "bytes and others": ["varbinary_", "binary_", "enum_", "enum_of_no_member", "set_of_64", "uuid_", "inet4_", "inet6_"],
}
assert sorted(KEYS) == sorted(kind for kinds in KEY_GROUPS.values() for kind in kinds)




# types that differ ---------------------------------------------------------------------------------

@dataclass(frozen=True)
class Widening:
    """A type whose every value the wide one holds; as_key: in a primary key too; both_ways: the
    other way round too."""
    narrow: str
    wide: str
    values: Sequence[str]
    as_key: bool = False
    both_ways: bool = False


WIDENINGS = [
    Widening("TINYINT", "SMALLINT", ["-128", "127", "0"], True),
    Widening("SMALLINT", "MEDIUMINT", ["-32768", "32767"], True),
    Widening("MEDIUMINT", "INT", ["-8388608", "8388607"], True),
    Widening("INT", "BIGINT", ["-2147483648", "2147483647"], True),
    Widening("TINYINT(1)", "TINYINT(4)", ["1", "127"], True, True),
    Widening("INT(11)", "INT(5)", ["1", "2147483647"], True, True),
    Widening("TINYINT UNSIGNED", "SMALLINT", ["0", "255"], True),
    Widening("SMALLINT UNSIGNED", "INT UNSIGNED", ["0", "65535"], True),
    Widening("INT UNSIGNED", "BIGINT", ["0", "4294967295"], True),
    Widening("DECIMAL(10,2)", "DECIMAL(12,2)", ["-99999999.99", "1.5", "0"], True),
    Widening("DECIMAL(10,2)", "DECIMAL(65,30)", ["-99999999.99", "1.5", "0"]),
    Widening("DECIMAL(5,2) UNSIGNED", "DECIMAL(7,4)", ["999.99", "0.01"]),
    Widening("INT", "DECIMAL(12,2)", ["-2147483648", "2147483647", "0", "100"]),
    Widening("BIGINT UNSIGNED", "DECIMAL(20,0)", ["18446744073709551615", "0"]),
    Widening("FLOAT", "DOUBLE", ["0.1", "-3.402823466e38", "1e-38", "16777216", "0"]),
    Widening("FLOAT(10,3)", "DOUBLE", ["0.001", "1234567.891"]),
    Widening("FLOAT(10,3)", "FLOAT", ["0.001", "1234567.891"], True),
    Widening("DOUBLE(20,5)", "DOUBLE", ["0.1", "123456789012345.12345", "0"]),
    Widening("CHAR(5)", "CHAR(9)", [x("é€\U0001F600ab"), x("a "), "''"], True),
    Widening("CHAR(5)", "VARCHAR(5)", [x("é€\U0001F600ab"), x("a "), "''"], True),
    Widening("VARCHAR(5)", "VARCHAR(200)", [x("é€\U0001F600a "), x(" b"), "''", x(",\\")], True),
    Widening("VARCHAR(200)", "TEXT", [x("\U0001F600" * 200), "''"]),
    Widening("VARCHAR(60)", "TINYTEXT", [x("\U0001F600" * 60), "''"]),
    Widening("TINYTEXT", "VARCHAR(255)", [x("t" * 255), x("\U0001F600" * 63)]),
    Widening("TINYTEXT", "TEXT", [x("t" * 255)]),
    Widening("TEXT", "MEDIUMTEXT", [x("t" * 65535)]),
    Widening("MEDIUMTEXT", "LONGTEXT", [x("é" * 70000)]),
    Widening("VARCHAR(50)", "VARCHAR(50) COMPRESSED", [x("é" * 50), "''"], False, True),
    Widening("VARCHAR(50) CHARACTER SET latin1", "VARCHAR(60) CHARACTER SET latin1", [x(ALL_BYTES[200:250]), "''"], True),
    Widening("VARCHAR(50) CHARACTER SET utf8mb3", "VARCHAR(50) CHARACTER SET utf8mb4", [x("é€" * 25), x("\uffff"), "''"], True),
    Widening("BINARY(4)", "VARBINARY(4)", [x(b"\xff\0\0\0"), x(b"a"), x(b"abcd")], True),
    Widening("VARBINARY(4)", "VARBINARY(600)", [x(b"\0\0"), x(b"\xff" * 4), x(b"")], True),
    Widening("VARBINARY(300)", "BLOB", [x(ALL_BYTES), x(b"")]),
    Widening("TINYBLOB", "MEDIUMBLOB", [x(ALL_BYTES[1:]), x(b"")]),
    Widening("BIT(5)", "BIT(64)", ["0", "31"], True),
    Widening("BIT(8)", "BIT(9)", ["0", "255"], True),
    Widening("ENUM('a','b')", "ENUM('a','b','','d')", ["1", "2", "'none'"], True),
    Widening("SET('a','b')", "SET('a','b','c')", ["0", "3"], True),
    Widening("DATE", "DATETIME", ["'1000-01-01'", "'9999-12-31'", "'0000-00-00'", "'2024-02-31'"]),
    Widening("DATE", "DATETIME(6)", ["'2024-02-29'"]),
    Widening("DATETIME", "DATETIME(6)", ["'9999-12-31 23:59:59'", "'0000-00-00'"]),
    Widening("DATETIME(2)", "DATETIME(3)", ["'2024-01-01 10:00:00.10'", "'2024-01-01 10:00:00'"]),
    Widening("TIMESTAMP NULL", "TIMESTAMP(3) NULL", ["FROM_UNIXTIME(1)", "FROM_UNIXTIME(2147483647)", "0"]),
    Widening("TIME", "TIME(6)", ["'-838:59:59'", "'838:59:59'", "'0:0:0'"]),
    Widening("POINT", "GEOMETRY", ["ST_GeomFromText('POINT(1 2)', 4326)"]),
]

# The sender has the first type, the receiver the second: the records wait.
WAITING = [
    ("BIGINT", "INT", "1"), ("INT UNSIGNED", "INT", "1"), ("INT", "INT UNSIGNED", "1"), ("INT ZEROFILL", "INT UNSIGNED", "1"),
    ("DECIMAL(10,2)", "DECIMAL(10,3)", "1"), ("DOUBLE", "FLOAT", "1"), ("INT", "DOUBLE", "1"), ("VARCHAR(9)", "CHAR(9)", "'a'"),
    ("VARCHAR(9)", "VARCHAR(8)", "'a'"), ("VARCHAR(9)", "VARCHAR(9) COLLATE utf8mb4_bin", "'a'"),
    ("VARCHAR(9) CHARACTER SET latin1", "VARCHAR(9)", "'a'"), ("VARCHAR(9)", "VARBINARY(99)", "'a'"), ("BINARY(4)", "BINARY(5)", "'a'"),
    ("ENUM('a','b')", "ENUM('b','a')", "1"), ("SET('a','b')", "SET('b','a','c')", "1"), ("DATETIME", "TIMESTAMP NULL", "'2024-01-01'"),
    ("TIMESTAMP NULL", "DATETIME", "'2024-01-01'"), ("DATETIME(6)", "DATETIME", "'2024-01-01'"), ("YEAR", "SMALLINT", "2024"),
    ("UUID", "CHAR(36)", "UUID()"), ("GEOMETRY", "POINT", "POINT(1,1)"),
]

# What --install leaves out: a table's definition, and the reason that it gives.
REFUSED = [
    ("a INT)", "has no primary key"),
    ("a VARCHAR(40), PRIMARY KEY (a(10)))", "has only a prefix of a column in its primary key"),
    ("a INT PRIMARY KEY) ENGINE=MyISAM", "uses the engine MyISAM, whose writes do not roll back"),
    (f"{', '.join(f'k{n} INT' for n in range(32))}, PRIMARY KEY ({', '.join(f'k{n}' for n in range(32))}))",
     "has 32 columns in its primary key, which crashes the server"),
    ("a VARBINARY(3000) PRIMARY KEY)", "has a primary key that is too wide"),
]

# what docs/types.md says beside --------------------------------------------------------------------

# Of a family: its words, how a value travels, how it stands in a key, what else there is to know.
FAMILIES: list[tuple[str, tuple[str, ...], str, str, str]] = [
    ("Integers", ("bool", "tinyint", "smallint", "mediumint", "int", "bigint"), "text", "the number", "ZEROFILL: with its zeros"),
    ("Decimals", ("decimal",), "text", "with all decimals of the column", ""),
    ("Reals", ("float", "double"), "text of the DOUBLE, so that no digit is lost", "the same text",
     "`-0` is stored as `0` by the server itself"),
    ("Bits", ("bit",), "raw bytes", "the number", ""),
    ("Dates and times", ("date", "datetime", "time", "year"), "text", "the same text", "zero and invalid dates too"),
    ("TIMESTAMP", ("timestamp",), "text in UTC", "seconds since 1970; `0` is the zero value", "whatever the session's time zone"),
    ("Texts", ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json"),
     "utf8mb4, utf8mb3, ascii: text; every other charset: raw bytes", "the text; of other charsets hexadecimal of its bytes",
     "all charsets of the server; both sides need the same one and the same collation. As TEXT they cannot be the whole key"),
    ("Bytes", ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), "raw bytes", "hexadecimal", ""),
    ("ENUM and SET", ("enum", "set"), "the number", "the number", "the error value 0 of an ENUM too"),
    ("Addresses", ("uuid", "inet4", "inet6"), "text", "the same text", ""),
    ("Geometry", ("point", "geometry", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection"),
     "raw bytes with the SRID", "not possible", ""),
]

VALUES: dict[str, Columns] = {"numbers": NUMBERS, "moments": MOMENTS, "texts": TEXTS, "charsets": CHARSETS, "bytes": BYTES,
                              "choices": CHOICES, "specials": SPECIALS}

SHAPES = [
    ("generated columns", "left out: each side computes its own"),
    ("INVISIBLE, DEFAULT (expression), ON UPDATE CURRENT_TIMESTAMP, AUTO_INCREMENT", "the value of where it was written"),
    ("COMPRESSED columns, every ROW_FORMAT, partitions", "as others; how a table is stored need not be the same on both sides"),
    ("system-versioned tables", "the current rows travel; history, ROW START and ROW END are each side's own, and so is DELETE HISTORY"),
    ("periods of the application, WITHOUT OVERLAPS", "as the rows that they become"),
    ("NULL for a column that is NOT NULL on the other side", "that record waits, the others go on"),
    ("columns that one side alone has", "the table waits until both have the same"),
    ("another order of the columns", "no matter"),
    ("a row that breaks a CHECK (JSON has one), written with check_constraint_checks=0",
     "taken as it is where both tables have the same CHECKs and no trigger of the app runs for the agent; else refused by the "
     "other side's CHECK, counted, parked in the end"),
    ("a key column given another type while changes are pending",
     "what was captured under the old type names the key in its old form: send everything before such a migration"),
]
