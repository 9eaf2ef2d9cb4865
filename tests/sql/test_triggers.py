"""The capture triggers: their texts against tests/sql/expected, and what a real server makes of
them: which statement of an app leaves which rows in the queue.

The texts come from tests/unit/print_triggers (TANDEM_PRINT_TRIGGERS names another one).
TANDEM_REGOLD=1 writes the expected files anew: read the difference before you commit it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest

from lab import Node, Server, places
from lab.server import find_program

pytestmark = pytest.mark.slow

APP, SYNC, STAGE = "golden", "golden_sync", "golden_stage"
TOKEN = "0123456789abcdef"
SKIP = f"@tandem_skip_{TOKEN}"
EXPECTED = Path(__file__).resolve().parent / "expected"
SQL = places.REPOSITORY / "sql"
# As the agent's session has it when it creates the sync schema, and when it creates triggers.
SCHEMA_MODE = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION"
TRIGGER_MODE = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO"

Change = tuple[str, str, "bytes | None", bool]  # table, operation, key, linked to the row before


@dataclass(frozen=True)
class Key:
    """One column of a primary key: its kind in the agent's words, name, type."""
    kind: str
    name: str
    type: str


@dataclass(frozen=True)
class Shape:
    """A table of one shape, two keys as SQL values, and the texts they must have."""
    slug: str
    keys: tuple[Key, ...]
    first: str
    first_text: bytes
    second: str
    second_text: bytes
    table: str = ""
    columns: tuple[str, ...] = ("column plain v",)  # outside the key, as print_triggers reads them

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table or self.slug


def single(slug: str, kind: str, column_type: str, first: str, first_text: bytes, second: str,
           second_text: bytes) -> Shape:
    """A table with one key column."""
    return Shape(slug, (Key(kind, "id", column_type),), first, first_text, second, second_text)


LONG = "table_of_sixty_four_characters_" + "x" * 33
WIDE = "ü" * 64
WEIRD = "we`ir'd\";DROP TABLE x;-- \\ %s?@{}"
WEIRD_COLUMN = "co`l'umn\";-- \\n,?%d"

SHAPES = [
    single("int", "plain", "INT", "1", b"1", "-2147483648", b"-2147483648"),
    single("bigint", "plain", "BIGINT UNSIGNED", "9007199254740993", b"9007199254740993",
           "18446744073709551615", b"18446744073709551615"),
    single("zerofill", "plain", "INT(6) ZEROFILL", "7", b"000007", "12345678", b"12345678"),
    single("decimal", "plain", "DECIMAL(65,30)", "-12345678901234567890123456789012345.5",
           b"-12345678901234567890123456789012345.500000000000000000000000000000", "0",
           b"0.000000000000000000000000000000"),
    single("double", "plain", "DOUBLE", "0.1", b"0.1", "-1.7976931348623157e308",
           b"-1.7976931348623157e308"),
    single("zerofill_decimal", "plain", "DECIMAL(7,2) ZEROFILL", "7.5", b"00007.50", "0", b"00000.00"),
    single("double_digits", "plain", "DOUBLE(9,3)", "1", b"1.000", "-1.5", b"-1.500"),
    single("float_digits", "float", "FLOAT(9,3)", "1", b"1", "-1.5", b"-1.5"),
    single("float", "float", "FLOAT", "0.1", b"0.10000000149011612", "16777216", b"16777216"),
    single("bit", "bit", "BIT(10)", "b'1010101010'", b"682", "b'0000000000'", b"0"),
    single("bit64", "bit", "BIT(64)", "18446744073709551615", b"18446744073709551615", "1", b"1"),
    single("date", "plain", "DATE", "'2024-02-29'", b"2024-02-29", "'1000-01-01'", b"1000-01-01"),
    single("datetime", "plain", "DATETIME(6)", "'2024-02-29 23:59:59.000001'",
           b"2024-02-29 23:59:59.000001", "'9999-12-31 00:00:00'", b"9999-12-31 00:00:00.000000"),
    single("time", "plain", "TIME(3)", "'-838:59:59'", b"-838:59:59.000", "'00:00:00.001'",
           b"00:00:00.001"),
    single("year", "plain", "YEAR", "1999", b"1999", "2155", b"2155"),
    single("timestamp", "timestamp", "TIMESTAMP", "'2026-11-21 02:03:04'", b"1795226584",
           "'1970-01-01 00:00:01'", b"1"),
    single("timestamp6", "timestamp", "TIMESTAMP(6)", "'2026-11-21 02:03:04.5'",
           b"1795226584.500000", "'1970-01-01 00:00:01'", b"1.000000"),
    single("timestamp_zero", "timestamp", "TIMESTAMP", "0", b"0", "'2038-01-19 03:14:07'", b"2147483647"),
    single("timestamp6_zero", "timestamp", "TIMESTAMP(6)", "0", b"0.000000", "'2038-01-19 03:14:07.999999'",
           b"2147483647.999999"),
    single("enum", "choice", "ENUM('a,b','c''d','')", "'a,b'", b"1", "''", b"3"),
    single("set", "choice", "SET('a','b','c')", "'c,a'", b"5", "''", b"0"),
    single("uuid", "typed", "UUID", "'123e4567-e89b-12d3-a456-426655440000'",
           b"123e4567-e89b-12d3-a456-426655440000", "'00000000-0000-0000-0000-00000000002c'",
           b"00000000-0000-0000-0000-00000000002c"),
    single("inet6", "typed", "INET6", "'2001:db8::ff'", b"2001:db8::ff", "'::'", b"::"),
    single("inet4", "typed", "INET4", "'192.0.2.1'", b"192.0.2.1", "'44.44.92.92'", b"44.44.92.92"),
    single("varbinary", "bytes", "VARBINARY(20)", "x'00FF275C2C'", b"00FF275C2C", "x''", b""),
    single("binary", "bytes", "BINARY(4)", "x'0AFF'", b"0AFF0000", "x'20202020'", b"20202020"),
    single("latin1", "chars", "VARCHAR(20) CHARACTER SET latin1", "'é\\\\,'", b"E95C2C", "'Ÿ'",
           b"9F"),
    single("utf16", "chars", "VARCHAR(20) CHARACTER SET utf16", "'a😀'", b"0061D83DDE00", "''",
           b""),
    single("ascii", "ascii", "VARCHAR(20) CHARACTER SET ascii", "'a,b\\\\'", b"a,b\\", "x'80e92c'", b"\x80\xe9,"),
    Shape("composite_ascii", (Key("ascii", "a", "VARCHAR(9) CHARACTER SET ascii"), Key("plain", "b", "INT")),
          "'a,b', 1", b"a\\,b,1", "x'80e92c5c', 2", b"\x80\xe9\\,\\\\,2"),
    single("utf8mb3", "text", "VARCHAR(20) CHARACTER SET utf8mb3", "'aü€'", "aü€".encode(), "'a '",
           b"a "),
    single("utf8mb4", "text", "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
           "'😀\\0\\n\\'\"'", "😀\0\n'\"".encode(), "'\\\\'", b"\\"),
    # One key for the collation, two for us.
    single("case", "text", "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "'müller'",
           "müller".encode(), "'MULLER '", b"MULLER "),
    single("case_latin1", "chars", "VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci",
           "'abc'", b"616263", "'ABC'", b"414243"),
    single("char", "text", "CHAR(8) CHARACTER SET utf8mb4", "'ab  '", b"ab", "''", b""),
    Shape("composite_text", (Key("text", "a", "VARCHAR(40)"), Key("text", "b", "VARCHAR(40)")),
          "'x,y\\\\z', ''", b"x\\,y\\\\z,", "',', '\\\\'", b"\\,,\\\\"),
    Shape("composite_mixed", (Key("plain", "a", "INT"), Key("bytes", "b", "VARBINARY(8)"),
                              Key("choice", "c", "ENUM('x','y')"), Key("text", "d", "VARCHAR(9)"),
                              Key("timestamp", "e", "TIMESTAMP(3)"), Key("float", "f", "FLOAT"),
                              Key("typed", "g", "INET6"), Key("bit", "h", "BIT(3)"),
                              Key("chars", "i", "VARCHAR(9) CHARACTER SET latin1")),
          "7, x'2C00', 'y', 'a,', '2026-11-21 02:03:04.25', 0.5, '::1', 5, 'é,'",
          b"7,2C00,2,a\\,,1795226584.250,0.5,::1,5,E92C",
          "-7, x'', 'x', '', '1970-01-01 00:00:01', -0.1, '::2', 0, ''",
          b"-7,,1,,1.000,-0.10000000149011612,::2,0,"),
    Shape("composite_order", (Key("plain", "z", "INT"), Key("plain", "a", "INT")), "1, 2", b"1,2",
          "2, 1", b"2,1"),
    Shape("weird", (Key("text", WEIRD_COLUMN, "VARCHAR(40)"), Key("plain", "select", "INT")),
          "'a', 1", b"a,1", "'b', 1", b"b,1", table=WEIRD),
    Shape("long", (Key("plain", "column_" + "y" * 57, "INT"),), "1", b"1", "2", b"2", table=LONG),
    Shape("wide", (Key("plain", WIDE, "INT"),), "1", b"1", "2", b"2", table=WIDE),
    Shape("borderline", (Key("plain", "id", "INT"),), "1", b"1", "2", b"2", table="b" * 54),
]
PLAIN_TABLES = {
    "p": "id INT AUTO_INCREMENT PRIMARY KEY, u INT UNIQUE, v VARCHAR(40), w INT",
    "q": "id INT PRIMARY KEY, v VARCHAR(40)",
    "made": "id INT PRIMARY KEY, a INT, g INT AS (a + 1) STORED, h INT AS (a + 2) VIRTUAL,"
            " i INT INVISIBLE DEFAULT 5, ts TIMESTAMP(6) NOT NULL DEFAULT NOW(6) ON UPDATE NOW(6)",
    "by_default": "id CHAR(36) CHARACTER SET ascii DEFAULT (UUID()) PRIMARY KEY, v INT",
}
PLAIN_COLUMNS = {
    "p": ("column plain u", "column text v", "column plain w"),
    "q": ("column text v",),
    "made": ("column plain a", "column plain i", "stamped ts"),
    "by_default": ("column plain v",),
}
PLAIN = [Shape(name, (Key("ascii" if name == "by_default" else "plain", "id", ""),), "", b"", "", b"",
               columns=PLAIN_COLUMNS[name]) for name in PLAIN_TABLES]


def quote(name: str) -> str:
    """An SQL identifier."""
    return "`" + name.replace("`", "``") + "`"


def printer() -> Path:
    """The program that prints trigger texts; without it there is nothing to test."""
    named = os.environ.get("TANDEM_PRINT_TRIGGERS")
    path = Path(named) if named else places.agent_binary().parents[1] / "tests/unit/print_triggers"
    if not path.exists():
        pytest.skip(f"{path} is not built: make check_PROGRAMS, or set TANDEM_PRINT_TRIGGERS")
    return path


def trigger_texts(shape: Shape) -> list[str]:
    """The texts of the three triggers for a table."""
    lines = [f"database {APP}", f"sync {SYNC}", f"token {TOKEN}", f"table {shape.name}"]
    lines += [f"key {key.kind} {key.name}" for key in shape.keys] + list(shape.columns)
    ran = subprocess.run([printer()], input="\n".join(lines).encode() + b"\n", capture_output=True,
                         check=True)
    return ran.stdout.decode().splitlines()


class App:
    """One session of an app, and a look at what it left in the queue."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.connection = server.connect(APP)
        self.others: list[App] = []

    def another(self) -> App:
        """Another session, closed with this one."""
        self.others.append(App(self.server))
        return self.others[-1]

    def close(self) -> None:
        """End the sessions, with their transactions and locks."""
        for one in (self, *self.others):
            if one.connection.open:
                one.connection.close()

    def run(self, *statements: str) -> int:
        """Run statements; the affected rows of the last one."""
        affected = 0
        with self.connection.cursor() as cursor:
            for statement in statements:
                affected = cursor.execute(statement)
        return affected

    def fails(self, number: int, statement: str) -> None:
        """The statement fails with this error."""
        with pytest.raises(pymysql.err.MySQLError) as raised:
            self.run(statement)
        assert raised.value.args[0] == number, raised.value

    def ask(self, statement: str) -> object:
        """The first value of the first row."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
            assert row is not None
            return row[0]

    def queued(self) -> list[Change]:
        """What is visible in the queue, oldest first; the queue is empty afterwards."""
        rows = self.server.sql(
            "SELECT id, table_name, operation, record_id, link, status, whole, origin, via,"
            f" difference FROM {SYNC}.sync_queue ORDER BY id")
        changes: list[Change] = []
        before = None
        for (number, table, operation, key, link, *rest) in rows:
            assert rest == ["pending", 0, None, None, None]
            assert link in (None, before), f"link to {link} and not to the row before, {before}"
            changes.append((table, operation, key, link is not None))
            before = number
        self.server.sql(f"DELETE FROM {SYNC}.sync_queue")
        return changes


def change(table: str, operation: str, key: object, linked: bool = False) -> Change:
    """A row of the queue as App.queued() gives it."""
    text = key if key is None or isinstance(key, bytes) else str(key).encode()
    return (table, operation, text, linked)


def p(*operations: str) -> list[Change]:
    """Changes of table p: p("I 1", "D 2", "+I 3") is insert 1, delete 2, linked insert 3."""
    words = {"I": "insert", "U": "update", "D": "delete"}
    return [change("p", words[text.lstrip("+").split()[0]], text.split()[1], text.startswith("+"))
            for text in operations]


def add_triggers(server: Server, shape: Shape) -> None:
    """Put the triggers on a table as --install does."""
    connection = server.connect(APP)
    with connection.cursor() as cursor:
        cursor.execute(f"SET sql_mode='{TRIGGER_MODE}', time_zone='+00:00'")
        for text in trigger_texts(shape):
            cursor.execute(text)
    connection.close()


def create(server: Server, shape: Shape) -> None:
    """The table in the app's database, with triggers, and in the stage with both keys."""
    columns = "".join(f"{quote(key.name)} {key.type} NOT NULL, " for key in shape.keys)
    primary = ", ".join(quote(key.name) for key in shape.keys)
    server.sql(f"CREATE TABLE {APP}.{quote(shape.name)} ({columns}v INT, PRIMARY KEY ({primary}))")
    # Without a key in the stage: the two may be one key for the collation.
    server.sql(f"CREATE TABLE {STAGE}.{quote(shape.name)} ({columns}v INT)")
    connection = server.connect(STAGE)
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone='+00:00', sql_mode='STRICT_ALL_TABLES'")
        cursor.execute(f"INSERT INTO {quote(shape.name)} VALUES ({shape.first}, 1), ({shape.second}, 2)")
    connection.close()
    add_triggers(server, shape)


def create_schema(server: Server) -> None:
    """What of the sync schema capturing needs, and the databases."""
    for database in (APP, SYNC, STAGE):
        server.sql(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    connection = server.connect(SYNC)
    with connection.cursor() as cursor:
        cursor.execute(f"SET sql_mode='{SCHEMA_MODE}', time_zone='+00:00'")
        for name in ("sync_sequence", "sync_queue", "enqueue"):
            cursor.execute((SQL / f"{name}.sql").read_text())
    connection.close()


@pytest.fixture(scope="module")
def golden() -> Iterator[Server]:
    """A server with all tables and triggers."""
    printer()
    # Short waits: a test that blocks fails instead.
    with Server("golden", ["--lock-wait-timeout=10", "--innodb-lock-wait-timeout=5"]) as server:
        create_schema(server)
        load_berlin(server)
        for shape in SHAPES:
            create(server, shape)
        for shape in PLAIN:
            server.sql(f"CREATE TABLE {APP}.{shape.name} ({PLAIN_TABLES[shape.name]})")
            add_triggers(server, shape)
        yield server


@pytest.fixture
def app(golden: Server) -> Iterator[App]:
    """A session of an app; tables and queue are empty."""
    for name in PLAIN_TABLES:
        golden.sql(f"TRUNCATE TABLE {APP}.{name}")
    golden.sql(f"DELETE FROM {SYNC}.sync_queue")
    one = App(golden)
    yield one
    one.close()


@pytest.fixture
def filled(app: App) -> App:
    """Table p holds (1, 10, 'a', 0), (2, 20, 'b', 0), (3, 30, 'c', 0)."""
    app.run("INSERT INTO p VALUES (1, 10, 'a', 0), (2, 20, 'b', 0), (3, 30, 'c', 0)")
    app.queued()
    return app


# texts -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.slug)
def test_trigger_texts_are_the_expected_ones(shape: Shape) -> None:
    texts = "".join(text + "\n" for text in trigger_texts(shape))
    path = EXPECTED / f"{shape.slug}.sql"
    if os.environ.get("TANDEM_REGOLD") == "1":
        path.write_text(texts)
    assert texts == path.read_text()


def test_every_expected_file_has_its_test() -> None:
    assert {path.stem for path in EXPECTED.glob("*.sql")} == {shape.slug for shape in SHAPES}


def test_the_server_keeps_bodies_and_modes_as_they_were_sent(golden: Server) -> None:
    for shape in SHAPES:
        rows = golden.sql("SELECT ACTION_STATEMENT, SQL_MODE FROM information_schema.TRIGGERS WHERE"
                          " TRIGGER_SCHEMA=%s AND EVENT_OBJECT_TABLE=%s"
                          " ORDER BY FIELD(EVENT_MANIPULATION, 'INSERT', 'UPDATE', 'DELETE')",
                          (APP, shape.name))
        bodies = [text.split(" FOR EACH ROW ", 1)[1] for text in trigger_texts(shape)]
        assert [row[0] for row in rows] == bodies
        assert {row[1] for row in rows} == {",".join(sorted(TRIGGER_MODE.split(",")))}


def test_the_agent_installs_these_texts_and_leaves_right_ones_alone() -> None:
    """The kinds that the agent reads from the catalogue are the ones of the shapes above."""
    printer()
    if not places.agent_binary().exists():
        pytest.skip(f"{places.agent_binary()} is not built")
    seen = ("SELECT EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_STATEMENT, CREATED FROM"
            " information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=%s ORDER BY TRIGGER_NAME")
    with Node("golden") as node:
        for shape in SHAPES:
            columns = "".join(f"{quote(key.name)} {key.type} NOT NULL, " for key in shape.keys)
            primary = ", ".join(quote(key.name) for key in shape.keys)
            node.server.sql(f"CREATE TABLE {quote(shape.name)} ({columns}v INT, PRIMARY KEY ({primary}))",
                            db=node.database)
        node.install()
        [(token,)] = node.server.sql(f"SELECT token FROM {node.sync_database}.sync_node")
        first = node.server.sql(seen, (node.database,))
        bodies = {(table, event): body for table, event, body, _ in first}
        for shape in SHAPES:
            for event, text in zip(("INSERT", "UPDATE", "DELETE"), trigger_texts(shape)):
                want = text.split(" FOR EACH ROW ", 1)[1].replace(SYNC, node.sync_database)
                assert bodies[(shape.name, event)] == want.replace(TOKEN, token), shape.slug
        node.install()
        assert node.server.sql(seen, (node.database,)) == first


# keys --------------------------------------------------------------------------------------------

SESSIONS = {
    "default": [],
    "lax": ["SET sql_mode=''"],
    "ansi": ["SET sql_mode='ANSI,NO_BACKSLASH_ESCAPES'"],
    "oracle": ["SET sql_mode='ORACLE,EMPTY_STRING_IS_NULL'"],
    "padded": ["SET sql_mode='TRADITIONAL,PAD_CHAR_TO_FULL_LENGTH'"],
    "tokyo": ["SET time_zone='+09:00'"],
    "west": ["SET time_zone='-11:30'"],
    "latin1": ["SET NAMES latin1"],
    "utf16": ["SET collation_connection='utf16_general_ci'"],
    "ucs2": ["SET collation_connection='ucs2_bin', collation_database='latin1_bin'"],
    "binary": ["SET NAMES binary"],
    "small": ["SET sql_select_limit=1, group_concat_max_len=4, max_sort_length=64,"
              " div_precision_increment=0"],
    "odd": ["SET auto_increment_increment=10, auto_increment_offset=7, insert_id=900,"
            " timestamp=1000000000.5"],
    "old": ["SET old_mode='NO_DUP_KEY_WARNINGS_WITH_IGNORE,ZERO_DATE_TIME_CAST', lc_time_names='de_DE'"],
    "serializable": ["SET tx_isolation='SERIALIZABLE'", "SET autocommit=0"],
}


@pytest.mark.parametrize("session", SESSIONS)
def test_keys_do_not_depend_on_the_session(app: App, session: str) -> None:
    """Insert, update, key change and delete of every shape of table: the texts of the keys."""
    app.run(*SESSIONS[session])
    if session == "latin1":
        app.connection.encoding = "latin1"  # pymysql encodes statements itself
    if session == "small":
        app.run("SET sql_select_limit=DEFAULT")  # INSERT .. SELECT obeys it: set again below
    for shape in SHAPES:
        if session == "padded" and shape.slug.endswith("_zero"):
            continue  # NO_ZERO_DATE
        table, stage = f"{APP}.{quote(shape.name)}", f"{STAGE}.{quote(shape.name)}"
        keys = ", ".join(f"t.{quote(key.name)} = s.{quote(key.name)}" for key in shape.keys)
        app.run(f"INSERT INTO {table} SELECT * FROM {stage} WHERE v = 1",
                f"UPDATE {table} SET v = 3",
                f"UPDATE {table} t, {stage} s SET {keys} WHERE s.v = 2",
                f"DELETE FROM {table}", "COMMIT")
        assert app.queued() == [
            change(shape.name, "insert", shape.first_text),
            change(shape.name, "update", shape.first_text),
            change(shape.name, "delete", shape.first_text),
            change(shape.name, "insert", shape.second_text, linked=True),
            change(shape.name, "delete", shape.second_text)], shape.slug


def test_a_key_is_found_again_by_its_text(app: App) -> None:
    """The same expression read in the agent's session gives the text that the trigger wrote: else
    the agent would take the record for deleted."""
    different = []
    reader = app.server.connect(APP, conv={})
    for shape in SHAPES:
        name = quote(shape.name)
        insert = trigger_texts(shape)[0]
        expression = insert.split(",'insert',", 1)[1].rsplit(",NULL,NULL,0);", 1)[0].replace("NEW.", "")
        for row in (1, 2):
            app.run(f"INSERT INTO {name} SELECT * FROM {STAGE}.{name} WHERE v = {row}")
            [(_, _, text, _)] = app.queued()
            with reader.cursor() as cursor:
                cursor.execute(f"SET sql_mode='{SCHEMA_MODE}', time_zone='+00:00',"
                               " character_set_results=binary")
                cursor.execute(f"SELECT {expression} FROM {name}")
                [(read,)] = cursor.fetchall()
            if (read if isinstance(read, bytes) else str(read).encode()) != text:
                different.append((shape.slug, text, read))
            app.run(f"DELETE FROM {name}")
            app.queued()
    reader.close()
    assert different == []


def load_berlin(server: Server) -> None:
    """One time zone with summer time into the server."""
    zone = Path("/usr/share/zoneinfo/Europe/Berlin")
    if not zone.exists():
        pytest.skip("no time zones on this machine")
    made = subprocess.run([find_program("mariadb-tzinfo-to-sql", "mysql_tzinfo_to_sql"), str(zone),
                           "Europe/Berlin"], capture_output=True, check=True, text=True)
    server.script(made.stdout, "mysql")


def test_the_doubled_hour_of_autumn_has_two_keys_and_two_times(app: App) -> None:
    summer, winter = 1792886400, 1792890000  # 2026-10-25 02:00:00 in Berlin, twice
    app.run("SET time_zone='Europe/Berlin'", f"SET timestamp={summer}",
            "INSERT INTO timestamp VALUES (CURRENT_TIMESTAMP, 1)", f"SET timestamp={winter}",
            "UPDATE timestamp SET id = CURRENT_TIMESTAMP")
    times = app.server.sql(f"SELECT UNIX_TIMESTAMP(changed_at) FROM {SYNC}.sync_queue ORDER BY id")
    assert app.queued() == [
        change("timestamp", "insert", summer), change("timestamp", "delete", summer),
        change("timestamp", "insert", winter, linked=True)]
    assert [int(row[0]) for row in times] == [summer, winter, winter]
    app.run("DELETE FROM timestamp")


# statements (mariadb 1.1) ------------------------------------------------------------------------

def test_multi_row_insert_update_delete(app: App) -> None:
    assert app.run("INSERT INTO p (u, v) VALUES (1, 'a'), (2, 'b')") == 2
    assert app.run("UPDATE p SET w = 1") == 2
    assert app.run("DELETE FROM p ORDER BY id DESC") == 2
    assert app.queued() == p("I 1", "I 2", "U 1", "U 2", "D 2", "D 1")


def test_insert_ignore(filled: App) -> None:
    assert filled.run("INSERT IGNORE INTO p VALUES (1, 11, 'x', 0), (4, 40, 'd', 0)") == 1
    assert filled.queued() == p("I 4")


def test_insert_on_duplicate_key_update(filled: App) -> None:
    odku = " ON DUPLICATE KEY UPDATE v = VALUES(v)"
    assert filled.run(f"INSERT INTO p VALUES (1, 10, 'x', 0){odku}") == 2
    assert filled.run(f"INSERT INTO p VALUES (1, 10, 'x', 0){odku}") == 0
    assert filled.run(f"INSERT INTO p VALUES (9, 20, 'y', 0){odku}") == 2  # row 2 by its unique key
    assert filled.run(f"INSERT INTO p VALUES (9, 90, 'z', 0){odku}") == 1
    assert filled.queued() == p("U 1", "U 1", "U 2", "I 9")


def test_replace(filled: App) -> None:
    filled.run("REPLACE INTO p VALUES (1, 10, 'x', 0)")
    assert filled.queued() == p("D 1", "I 1")
    filled.run("REPLACE INTO p VALUES (50, 20, 'x', 0)")
    assert filled.queued() == p("D 2", "I 50")
    filled.run("REPLACE INTO p VALUES (50, 30, 'x', 0)")
    assert filled.queued() == p("D 50", "D 3", "I 50")
    filled.run("REPLACE INTO p VALUES (60, 60, 'x', 0)")
    assert filled.queued() == p("I 60")


def test_update_without_a_change(filled: App) -> None:
    assert filled.run("UPDATE p SET v = v WHERE id = 1") == 0
    assert filled.run("UPDATE p SET v = 'A' WHERE id = 1") == 1
    assert filled.run("UPDATE p SET id = id WHERE id = 1") == 0
    assert filled.queued() == p("U 1", "U 1", "U 1")


# which columns an update changed -------------------------------------------------------------------

# name, type, before, after: the same value for a collation or a comparison of numbers, not the same bytes.
OTHER_BYTES = [
    ("text", "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "'a'", "'A'"),
    ("text", "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "'a'", "'a '"),
    ("text", "LONGTEXT CHARACTER SET utf8mb4", "'e'", "'é'"),
    ("text", "JSON", "'{\"a\": 1}'", "'{\"a\":1}'"),
    ("chars", "VARCHAR(20) CHARACTER SET latin1", "'a'", "'A'"),
    ("bytes", "VARBINARY(20)", "'a'", "'a '"),
    ("bytes", "LONGBLOB", "REPEAT('x', 100000)", "CONCAT(REPEAT('x', 99999), 'y')"),
    ("bytes", "GEOMETRY", "ST_GeomFromText('POINT(1 1)')", "ST_GeomFromText('POINT(1 1)', 4326)"),
    ("choice", "ENUM('','x')", "0", "''"),
    ("choice", "SET('a','b')", "'a'", "'b,a'"),
    ("bit", "BIT(64)", "18446744073709551615", "18446744073709551614"),
    ("plain", "BIGINT UNSIGNED", "18446744073709551615", "18446744073709551614"),
    ("plain", "DECIMAL(65,30)", "1", "1.000000000000000000000000000001"),
    ("plain", "DOUBLE", "1", "1.0000000000000002"),
    ("float", "FLOAT", "16777216", "16777218"),
    ("plain", "DATE", "'0000-00-00'", "NULL"),
    ("plain", "DATETIME(6)", "'2024-01-00'", "'2024-01-01'"),
    ("plain", "TIME(6)", "'-00:00:00.000001'", "'00:00:00'"),
    ("plain", "YEAR", "0", "2000"),
    ("timestamp", "TIMESTAMP(6) NULL", "'2026-01-01 00:00:00'", "'2026-01-01 00:00:00.000001'"),
    ("timestamp", "TIMESTAMP NULL", "'0000-00-00'", "NULL"),
    ("typed", "UUID", "'123e4567-e89b-12d3-a456-426655440000'", "'123e4567-e89b-12d3-a456-426655440001'"),
    ("typed", "INET6", "'::1'", "'::2'"),
]


@pytest.mark.parametrize("kind, column, before, after", OTHER_BYTES)
def test_a_change_of_bytes_is_a_change_and_none_is_none(app: App, kind: str, column: str, before: str, after: str) -> None:
    shape = Shape("told", (Key("plain", "id", ""),), "", b"", "", b"", columns=(f"column {kind} c", "column plain d"))
    app.run("SET sql_mode='ALLOW_INVALID_DATES', time_zone='Europe/Berlin'", f"CREATE TABLE told (id INT PRIMARY KEY, c {column}, d INT)")
    try:
        add_triggers(app.server, shape)
        app.run(f"INSERT INTO told VALUES (1, {before}, 1)", "UPDATE told SET d = 2", "UPDATE told SET c = c, d = d",
                f"UPDATE told SET c = {before}", f"UPDATE told SET c = {after}", "UPDATE told SET c = c")
        weak = [row[0] is not None for row in app.server.sql(f"SELECT changed_columns FROM {SYNC}.sync_queue ORDER BY id")]
        assert weak == [False, False, True, True, False, True]
        assert len(app.queued()) == 6
    finally:
        app.run("DROP TABLE told")


def test_the_second_of_two_equal_hours_is_a_change(app: App) -> None:
    shape = Shape("hours", (Key("plain", "id", ""),), "", b"", "", b"", columns=("column timestamp c",))
    app.run("SET time_zone='Europe/Berlin'", "CREATE TABLE hours (id INT PRIMARY KEY, c TIMESTAMP NULL)")
    try:
        add_triggers(app.server, shape)
        app.run("SET timestamp=1792886400", "INSERT INTO hours VALUES (1, CURRENT_TIMESTAMP)", "UPDATE hours SET c=c",
                "SET timestamp=1792890000", "UPDATE hours SET c=CURRENT_TIMESTAMP")
        rows = app.server.sql(f"SELECT changed_columns IS NULL FROM {SYNC}.sync_queue ORDER BY id")
        assert [row[0] for row in rows] == [1, 0, 1]
        assert len(app.queued()) == 3
    finally:
        app.run("DROP TABLE hours")


def bits(server: Server, layout: int) -> list[str]:
    """changed_columns of what is queued, without its layout, and the differences; the queue is empty afterwards."""
    rows = server.sql(f"SELECT HEX(SUBSTR(changed_columns, {layout + 1})), difference FROM {SYNC}.sync_queue ORDER BY id")
    server.sql(f"DELETE FROM {SYNC}.sync_queue")
    return [f"{mask} {difference.decode()}" if difference else mask for mask, difference in rows]


def test_bits_tell_the_columns_and_differences_are_exact(app: App) -> None:
    shape = Shape("counted", (Key("plain", "id", ""),), "", b"", "", b"", columns=(
        "column text a", "counts 0 n", "column plain b", "counts 30 m", "stamped ts", "conflict merge"))
    app.run("CREATE TABLE counted (a VARCHAR(9), n BIGINT UNSIGNED, id INT PRIMARY KEY, b INT, m DECIMAL(65,30),"
            " ts TIMESTAMP(6) NOT NULL DEFAULT NOW(6) ON UPDATE NOW(6))")
    try:
        add_triggers(app.server, shape)
        app.run("INSERT INTO counted (id, a, n, b, m) VALUES (1, 'x', 0, 1, 0)")
        assert bits(app.server, 4) == [None]
        app.run("UPDATE counted SET a='X', ts=ts", "UPDATE counted SET b=2, ts=ts", "UPDATE counted SET a='y', b=3",
                "UPDATE counted SET b=b, ts=ts", "UPDATE counted SET ts='2020-01-01'")
        assert bits(app.server, 4) == ["80", "20", "A8", "00", "08"]
        app.run("UPDATE counted SET n=18446744073709551615, ts=ts", "UPDATE counted SET n=0, m=m-0.000000000000000000000000000001, ts=ts",
                "UPDATE counted SET n=NULL, ts=ts", "UPDATE counted SET m=m+1, ts=ts", "UPDATE counted SET n=5, ts=ts",
                "UPDATE counted SET m=-99999999999999999999999999999999999, ts=ts",
                "UPDATE counted SET m=99999999999999999999999999999999999, ts=ts")
        zeros = "0" * 30
        found = bits(app.server, 4)
        assert found[:5] == [f"00 18446744073709551615,0.{zeros}", f"00 -18446744073709551615,-0.{zeros[1:]}1", "00 ?", "00 ?", "00 ?"]
        # A difference of 66 digits: either exact or not told.
        assert found[6] == "00 ?" or found[6].startswith("00 0,199999999999999999999999999999999998.") or found[6] == ""
        app.run("ALTER TABLE counted DROP COLUMN b", "UPDATE counted SET n=n+1, a='z'")
        rows = app.server.sql(f"SELECT operation, record_id, changed_columns, difference FROM {SYNC}.sync_queue")
        assert rows == [("update", b"1", None, b"?")]
    finally:
        app.run("DROP TABLE counted")
        app.server.sql(f"DELETE FROM {SYNC}.sync_queue")


def test_as_many_columns_as_a_table_can_have(app: App) -> None:
    names = [f"c{i}" for i in range(1016)]
    shape = Shape("broad", (Key("plain", "id", ""),), "", b"", "", b"",
                  columns=tuple(f"column plain {name}" for name in names) + ("conflict merge",))
    app.run(f"CREATE TABLE broad (id INT PRIMARY KEY, {', '.join(f'{name} TINYINT NOT NULL DEFAULT 0' for name in names)})")
    try:
        add_triggers(app.server, shape)
        app.run("INSERT INTO broad (id) VALUES (1)", "UPDATE broad SET c0=1, c63=1, c64=1, c1015=1")
        assert bits(app.server, 1)[1] == f"{1 << 1015 | 1 << 952 | 1 << 951 | 1:0254X}"
    finally:
        app.run("DROP TABLE broad")


def test_key_changes_are_linked_pairs(filled: App) -> None:
    filled.run("UPDATE p SET id = 99 WHERE id = 1")
    assert filled.queued() == p("D 1", "+I 99")
    filled.run("UPDATE p SET id = id + 100 ORDER BY id DESC")
    assert filled.queued() == p("D 99", "+I 199", "D 3", "+I 103", "D 2", "+I 102")


def test_interleaved_sessions_do_not_mix_their_links(app: App) -> None:
    app.run("INSERT INTO q VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    app.queued()
    other = app.another()
    committed = "SET tx_isolation='READ-COMMITTED'"  # no gap locks: they would meet in table q
    app.run(committed, "BEGIN", "UPDATE q SET id = 101 WHERE id = 1")
    other.run(committed, "BEGIN", "UPDATE q SET id = 102 WHERE id = 2", "INSERT INTO q VALUES (7, 'n')")
    app.run("UPDATE q SET id = 103 WHERE id = 3", "COMMIT")
    other.run("COMMIT")
    rows = app.server.sql(f"SELECT id, record_id, link FROM {SYNC}.sync_queue ORDER BY id")
    number = {key: row_id for row_id, key, _ in rows}
    assert {key: link for _, key, link in rows if link is not None} == {
        b"101": number[b"1"], b"102": number[b"2"], b"103": number[b"3"]}


def test_update_ignore_leaves_at_most_a_phantom(filled: App) -> None:
    """Known: the server runs the trigger for a row that it then leaves as it was. Current rows are
    read when a group is made, so a phantom is harmless; a lost change would not be."""
    assert filled.run("UPDATE IGNORE p SET id = 2 WHERE id = 1") == 0
    assert filled.queued() in ([], p("D 1", "+I 2"))
    assert filled.run("UPDATE IGNORE p SET u = u + 5, v = 'n' WHERE id = 1") == 1
    assert filled.queued() == p("U 1")


def test_insert_select_and_load_data(filled: App, tmp_path: Path) -> None:
    assert filled.run("INSERT INTO p (u, v) SELECT u + 1, v FROM p ORDER BY id") == 3
    assert filled.queued() == p("I 4", "I 5", "I 6")
    data = tmp_path / "rows.txt"
    data.write_text("1\t10\tx\t0\n20\t200\ty\t0\n")
    loader = filled.server.connect(APP, local_infile=True)
    with loader.cursor() as cursor:
        cursor.execute(f"LOAD DATA LOCAL INFILE '{data}' REPLACE INTO TABLE p")
        assert filled.queued() == p("D 1", "I 1", "I 20")
        cursor.execute(f"LOAD DATA LOCAL INFILE '{data}' IGNORE INTO TABLE p")
        assert filled.queued() == []
    loader.close()


def test_multi_table_update_and_delete(filled: App) -> None:
    filled.run("INSERT INTO q VALUES (1, 'x'), (2, 'y')")
    filled.queued()
    filled.run("UPDATE p JOIN q ON q.id = p.id SET p.v = q.v, q.v = 'n'")
    assert sorted(filled.queued()) == sorted(
        p("U 1", "U 2") + [change("q", "update", 1), change("q", "update", 2)])
    filled.run("DELETE p, q FROM p JOIN q ON q.id = p.id")
    assert sorted(filled.queued()) == sorted(
        p("D 1", "D 2") + [change("q", "delete", 1), change("q", "delete", 2)])
    filled.run("DELETE FROM p WHERE id IN (SELECT id + 2 FROM q) OR id = 3")
    assert filled.queued() == p("D 3")


def test_views_procedures_and_functions(filled: App) -> None:
    filled.run("CREATE OR REPLACE VIEW pv AS SELECT id, v FROM p WHERE id < 3",
               "CREATE OR REPLACE PROCEDURE pp() UPDATE p SET v = 'pp' WHERE id = 2",
               "CREATE OR REPLACE FUNCTION pf() RETURNS INT MODIFIES SQL DATA"
               " BEGIN DELETE FROM p WHERE id = 3; RETURN 1; END")
    filled.run("UPDATE pv SET v = 'pv' WHERE id = 1", "CALL pp()", "SELECT pf()",
               "EXECUTE IMMEDIATE 'INSERT INTO p VALUES (7, 70, ?, 0)' USING 'x'")
    assert filled.queued() == p("U 1", "U 2", "D 3", "I 7")
    filled.run("DROP VIEW pv", "DROP PROCEDURE pp", "DROP FUNCTION pf")


def test_a_statement_prepared_before_the_triggers_is_captured(app: App) -> None:
    shape = Shape("late", (Key("plain", "id", "INT"),), "", b"", "", b"", columns=())
    app.run("CREATE TABLE late (id INT PRIMARY KEY)",
            "PREPARE s FROM 'INSERT INTO late VALUES (?)'", "EXECUTE s USING 1")
    assert app.queued() == []
    add_triggers(app.server, shape)
    app.run("EXECUTE s USING 2")
    assert app.queued() == [change("late", "insert", 2)]
    add_triggers(app.server, shape)  # a second time over the first
    app.run("EXECUTE s USING 3", "DROP TABLE late")
    assert app.queued() == [change("late", "insert", 3)]


# transactions ------------------------------------------------------------------------------------

def test_rollback_and_savepoints(filled: App) -> None:
    filled.run("BEGIN", "INSERT INTO p VALUES (4, 40, 'd', 0)")
    assert filled.server.sql(f"SELECT * FROM {SYNC}.sync_queue") == []
    filled.run("ROLLBACK")
    assert filled.queued() == []
    filled.run("BEGIN", "UPDATE p SET v = 'x' WHERE id = 1", "SAVEPOINT s",
               "UPDATE p SET id = 9 WHERE id = 2", "ROLLBACK TO SAVEPOINT s", "DELETE FROM p WHERE id = 3",
               "COMMIT")
    assert filled.queued() == p("U 1", "D 3")


def test_a_failed_statement_leaves_nothing(filled: App) -> None:
    filled.run("BEGIN", "UPDATE p SET v = 'x' WHERE id = 1")
    filled.fails(1062, "INSERT INTO p VALUES (4, 40, 'd', 0), (5, 10, 'e', 0)")
    filled.fails(1062, "UPDATE p SET u = 30 WHERE id < 3 ORDER BY id")
    filled.run("COMMIT")
    assert filled.queued() == p("U 1")


def test_xa_shows_all_rows_at_its_commit(filled: App) -> None:
    filled.run("XA START 'x'", "UPDATE p SET v = 'x' WHERE id = 1", "DELETE FROM p WHERE id = 2", "XA END 'x'",
               "XA PREPARE 'x'")
    assert filled.server.sql(f"SELECT COUNT(*) FROM {SYNC}.sync_queue") == [(0,)]
    filled.run("XA COMMIT 'x'")
    assert filled.queued() == p("U 1", "D 2")


# generated, invisible, defaults, the app's own triggers (1.7) ------------------------------------

def test_final_values_are_seen(app: App) -> None:
    app.run("INSERT INTO made (id, a) VALUES (1, 1)", "UPDATE made SET a = 2", "UPDATE made SET i = 6",
            "UPDATE made SET a = 2", "INSERT INTO by_default (v) VALUES (1)")
    key = app.ask("SELECT id FROM by_default")
    assert app.queued() == [change("made", "insert", 1)] + [change("made", "update", 1)] * 3 + [
        change("by_default", "insert", key)]


def test_the_apps_before_trigger_may_change_the_key(app: App) -> None:
    app.run("CREATE TRIGGER own_bi BEFORE INSERT ON q FOR EACH ROW SET NEW.id = 777",
            "CREATE TRIGGER own_bu BEFORE UPDATE ON q FOR EACH ROW SET NEW.id = 888")
    try:
        app.run("INSERT INTO q VALUES (1, 'x')", "UPDATE q SET v = 'y'")
        assert app.queued() == [change("q", "insert", 777), change("q", "delete", 777),
                                change("q", "insert", 888, linked=True)]
    finally:
        app.run("DROP TRIGGER own_bi", "DROP TRIGGER own_bu")


def test_the_apps_after_trigger_is_captured_too(app: App) -> None:
    app.run("CREATE TRIGGER own_ai AFTER INSERT ON q FOR EACH ROW"
            " INSERT INTO p (id, u) VALUES (NEW.id, NEW.id)")
    try:
        app.run("INSERT INTO q VALUES (5, 'x')")
        assert sorted(app.queued()) == sorted([change("q", "insert", 5), *p("I 5")])
    finally:
        app.run("DROP TRIGGER own_ai")


# LOCK TABLES (1.13) ------------------------------------------------------------------------------

@pytest.mark.parametrize("cache", ["fresh", "used by another session"])
def test_writes_under_lock_tables(filled: App, cache: str) -> None:
    filled.run("INSERT INTO q VALUES (1, 'x')")
    if cache == "fresh":
        filled.run("FLUSH TABLES")
    else:
        filled.server.sql(f"UPDATE {SYNC}.sync_queue SET status='pending'")
    filled.queued()
    for locks in ("p WRITE", "p WRITE, q WRITE", "p WRITE, q WRITE, made WRITE, p AS a READ"):
        filled.run(f"LOCK TABLES {locks}", "INSERT INTO p VALUES (4, 40, 'd', 0)", "UPDATE p SET id = 5 WHERE id = 4",
                   "UPDATE p SET v = 'x' WHERE id = 5", "DELETE FROM p WHERE id = 5", "UNLOCK TABLES")
        assert filled.queued() == p("I 4", "D 4", "+I 5", "U 5", "D 5"), locks
    filled.run("SET autocommit=0", "LOCK TABLES p WRITE, q WRITE", "INSERT INTO p VALUES (4, 40, 'd', 0)",
               "DELETE FROM q", "COMMIT", "UNLOCK TABLES")
    assert filled.queued() == p("I 4") + [change("q", "delete", 1)]


def test_a_dump_without_definitions_can_be_loaded(filled: App) -> None:
    client = filled.server.client()
    dump = [find_program("mariadb-dump", "mysqldump"), *client[1:], "--no-create-info", "--skip-triggers",
            APP, "p"]
    text = subprocess.run(dump, capture_output=True, check=True, text=True).stdout
    assert "LOCK TABLES" in text
    filled.run("DELETE FROM p")
    filled.queued()
    filled.server.script(text, APP)
    assert filled.queued() == p("I 1", "I 2", "I 3")


# columns that went away (1.14) -------------------------------------------------------------------

@pytest.fixture
def altered(app: App) -> Iterator[App]:
    """Table `al` with a key of one column and one of two, made anew for each test."""
    app.run("CREATE TABLE al (id INT PRIMARY KEY, v INT, w INT)")
    add_triggers(app.server, Shape("al", (Key("plain", "id", "INT"),), "", b"", "", b""))
    app.run("INSERT INTO al VALUES (1, 1, 1), (2, 2, 2)")
    app.queued()
    yield app
    app.run("ROLLBACK", "DROP TABLE al")


def test_other_columns_come_and_go(altered: App) -> None:
    altered.run("PREPARE s FROM 'UPDATE al SET v = v + 1 WHERE id = 1'", "EXECUTE s",
                "ALTER TABLE al DROP COLUMN w", "EXECUTE s", "ALTER TABLE al ADD COLUMN n INT DEFAULT 5",
                "EXECUTE s", "ALTER TABLE al CHANGE v vv BIGINT", "UPDATE al SET vv = 9 WHERE id = 1",
                "INSERT INTO al (id) VALUES (3)", "DELETE FROM al WHERE id = 3")
    assert altered.queued() == [change("al", "update", 1)] * 4 + [
        change("al", "insert", 3), change("al", "delete", 3)]


def test_a_renamed_key_marks_the_table_dirty(altered: App) -> None:
    dirty = change("al", "dirty", None)
    altered.run("ALTER TABLE al CHANGE id nr INT")
    assert altered.run("INSERT INTO al (nr) VALUES (3), (4)") == 2
    assert altered.queued() == [dirty] * 2
    assert altered.run("UPDATE al SET v = 7 WHERE nr = 3") == 1
    assert altered.run("UPDATE al SET nr = 5 WHERE nr = 3") == 1
    assert altered.run("INSERT IGNORE INTO al (nr) VALUES (5), (6)") == 1
    assert altered.run("DELETE FROM al WHERE nr = 6") == 1
    assert altered.queued() == [dirty] * 4
    altered.run("BEGIN", "UPDATE al SET v = 8", "ROLLBACK")
    assert altered.queued() == []
    other = altered.another()
    other.run("UPDATE al SET v = 9 WHERE nr = 1")
    assert altered.queued() == [dirty]
    altered.run("ALTER TABLE al CHANGE nr id INT", "UPDATE al SET v = 10 WHERE id = 1")
    assert altered.queued() == [change("al", "update", 1)]


# a queue that fails (5.1, 5.3) -------------------------------------------------------------------

def test_nothing_is_written_uncaptured(filled: App) -> None:
    """Without the queue a write fails loudly, with IGNORE and in a lax session as well."""
    server = filled.server
    for away, back, number in (
            ("RENAME TABLE {0}.sync_queue TO {0}.away", "RENAME TABLE {0}.away TO {0}.sync_queue", 1146),
            ("ALTER TABLE {0}.sync_queue RENAME COLUMN record_id TO away",
             "ALTER TABLE {0}.sync_queue RENAME COLUMN away TO record_id", 1054)):
        server.sql(away.format(SYNC))
        try:
            for mode in (TRIGGER_MODE, ""):
                filled.run(f"SET sql_mode='{mode}'")
                filled.fails(number, "INSERT INTO p VALUES (4, 40, 'd', 0)")
                filled.fails(number, "INSERT IGNORE INTO p VALUES (4, 40, 'd', 0)")
                filled.fails(number, "UPDATE p SET v = 'lost' WHERE id = 1")
                filled.fails(number, "UPDATE IGNORE p SET v = 'lost' WHERE id = 1")
                filled.fails(number, "DELETE FROM p WHERE id = 1")
                filled.run(f"SET {SKIP} = 1", "UPDATE p SET w = w + 1 WHERE id = 2", f"SET {SKIP} = NULL")
        finally:
            server.sql(back.format(SYNC))
    assert filled.queued() == []
    assert filled.ask("SELECT GROUP_CONCAT(id, v ORDER BY id) FROM p") == "1a,2b,3c"


def test_a_temporary_table_does_not_hide_the_queue(filled: App) -> None:
    filled.run(f"CREATE TEMPORARY TABLE sync_queue LIKE {SYNC}.sync_queue", "UPDATE p SET v = 'x' WHERE id = 1")
    assert filled.ask("SELECT COUNT(*) FROM sync_queue") == 0
    assert filled.queued() == p("U 1")
    filled.run("CREATE TEMPORARY TABLE p (id INT PRIMARY KEY)", "INSERT INTO p VALUES (5)")
    assert filled.queued() == []


def test_an_account_with_rights_on_the_app_alone(filled: App) -> None:
    filled.server.sql("CREATE USER plain@localhost IDENTIFIED BY 'x'")
    filled.server.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {APP}.* TO plain@localhost")
    try:
        session = filled.server.connect(APP, user="plain", password="x")
        with session.cursor() as cursor:
            cursor.execute("UPDATE p SET id = 9 WHERE id = 1")
            cursor.execute("DELETE FROM p WHERE id = 2")
            with pytest.raises(pymysql.err.MySQLError):
                cursor.execute(f"SELECT * FROM {SYNC}.sync_queue")
        session.close()
        assert filled.queued() == p("D 1", "+I 9", "D 2")
    finally:
        filled.server.sql("DROP USER plain@localhost")


# what the app sees (5.4) -------------------------------------------------------------------------

def test_insert_ids_and_row_counts_are_the_apps_own(app: App) -> None:
    with app.connection.cursor() as cursor:
        assert cursor.execute("INSERT INTO p (u) VALUES (1), (2), (3)") == 3
        assert cursor.lastrowid == 1
        assert app.ask("SELECT ROW_COUNT()") == 3
        cursor.execute("INSERT INTO p (u) VALUES (4)")
        assert (cursor.lastrowid, cursor.rowcount) == (4, 1)
        assert app.ask("SELECT LAST_INSERT_ID()") == 4
        assert cursor.execute("UPDATE p SET v = 'x' WHERE u < 3") == 2
        assert app.ask("SELECT ROW_COUNT()") == 2
        assert app.ask("SELECT LAST_INSERT_ID()") == 4
        assert cursor.execute("UPDATE p SET id = 70 WHERE u = 1") == 1
        assert cursor.execute("DELETE FROM p WHERE u < 3") == 2
        assert app.ask("SELECT ROW_COUNT()") == 2
        cursor.execute("INSERT INTO q VALUES (1, 'x')")  # no AUTO_INCREMENT there
        assert cursor.lastrowid == 0
        assert app.ask("SELECT LAST_INSERT_ID()") == 4
        cursor.execute("SELECT COUNT(*) FROM p")
        assert app.ask("SELECT FOUND_ROWS()") == 1
        assert app.ask("SELECT @@warning_count") == 0


def test_insert_id_and_increments_of_the_session_stay_there(app: App) -> None:
    app.run("SET auto_increment_increment=10, auto_increment_offset=3", "INSERT INTO p (u) VALUES (1), (2)",
            "SET insert_id=900", "INSERT INTO q VALUES (1, 'x')")
    numbers = [row[0] for row in app.server.sql(f"SELECT id FROM {SYNC}.sync_queue ORDER BY id")]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert app.queued() == p("I 3", "I 13") + [change("q", "insert", 1)]


def test_the_time_is_utc_whatever_the_session_says(app: App) -> None:
    for zone in ("+00:00", "+09:00", "-11:00"):
        app.run(f"SET time_zone='{zone}'", "INSERT INTO p (u) VALUES (NULL)")
    ages = app.server.sql(f"SELECT MAX(ABS(TIMESTAMPDIFF(SECOND, changed_at, NOW(6)))),"
                          f" MIN(MICROSECOND(changed_at)) FROM {SYNC}.sync_queue")
    assert ages[0][0] < 60
    assert len(app.queued()) == 3


# the skip variable (6) ---------------------------------------------------------------------------

def test_the_skip_variable(filled: App) -> None:
    filled.run(f"SET {SKIP} = 1", "INSERT INTO p VALUES (4, 40, 'd', 0)", "UPDATE p SET id = 5 WHERE id = 4",
               "UPDATE p SET v = 'x'", "DELETE FROM p WHERE id = 5")
    assert filled.queued() == []
    filled.run(f"SET {SKIP.upper()} = NULL", "UPDATE p SET v = 'y' WHERE id = 1")
    assert filled.queued() == p("U 1")
    filled.run("SET @tandem_skip = 1, @tandem_skip_ = 1, @tandem_skip_0123456789abcdee = 1",
               "UPDATE p SET v = 'z' WHERE id = 1")
    assert filled.queued() == p("U 1")
    filled.run(f"SET {SKIP} = 0", "UPDATE p SET v = 'a' WHERE id = 1")  # set is set
    assert filled.queued() == []
    other = filled.another()
    other.run("UPDATE p SET v = 'b' WHERE id = 1")  # a session of its own
    assert filled.queued() == p("U 1")


def test_the_skip_variable_holds_when_the_key_was_renamed(altered: App) -> None:
    altered.run("ALTER TABLE al CHANGE id nr INT", f"SET {SKIP} = 1", "UPDATE al SET v = 5",
                f"SET {SKIP} = NULL")
    assert altered.queued() == []


# two writers -------------------------------------------------------------------------------------

def test_two_sessions_never_wait_for_each_other_in_the_queue(filled: App) -> None:
    other = filled.another()
    filled.run("BEGIN", "UPDATE p SET v = 'x' WHERE id = 1")
    other.run("SET innodb_lock_wait_timeout=1", "BEGIN", "UPDATE p SET v = 'y' WHERE id = 2",
              "INSERT INTO q VALUES (1, 'x')", "COMMIT")
    assert filled.server.sql(f"SELECT record_id FROM {SYNC}.sync_queue ORDER BY id") == [(b"2",), (b"1",)]
    filled.run("COMMIT")
    assert filled.queued() == p("U 1", "U 2") + [change("q", "insert", 1)]
