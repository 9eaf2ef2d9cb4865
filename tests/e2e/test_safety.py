"""What an app notices of the agent: nothing. Every way of writing is tried in a database with our triggers
and in one without, on one server: the same results, warnings and errors, no wait that was not there; and
what was written is captured and arrives. And when the sync schema is broken, the app is told so."""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pymysql
import pytest

from lab import Node, Pair, Server, hand
from lab.waiting import until

pytestmark = pytest.mark.slow  # the server at work more than the agent

BARE = "bare"  # as the app's database, without triggers
DONE, FAILED, DATABASE = 0, 1, 3
WAIT_S = 3  # of the servers here: a wait that was not there before is an error here

SCHEMA = (
    "CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, u INT UNIQUE, v VARCHAR(40), w INT NOT NULL DEFAULT 0)",
    "CREATE TABLE q (id INT PRIMARY KEY, p INT, v VARCHAR(40), FOREIGN KEY (p) REFERENCES p (id))",
    "CREATE TABLE times (id TIMESTAMP(6) PRIMARY KEY, d DATETIME, v VARCHAR(40) CHARACTER SET sjis)",
    "CREATE VIEW pv AS SELECT id, v, w FROM p",
    "CREATE VIEW pc AS SELECT id, v, w FROM p WHERE w < 100 WITH CHECK OPTION",
    "CREATE PROCEDURE add_p(n INT) BEGIN DECLARE i INT DEFAULT 0; WHILE i < n DO INSERT INTO p (v, w) VALUES"
    " (CONCAT('made ', i), i); SET i = i + 1; END WHILE; SELECT COUNT(*) FROM p; END",
    "CREATE PROCEDURE down(n INT) BEGIN INSERT INTO p (v) VALUES (n); IF n > 0 THEN CALL down(n - 1); END IF; END",
    "CREATE PROCEDURE careful() BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION SET @caught = 1;"
    " INSERT INTO p (id, u) VALUES (70, 10); INSERT INTO p (id, u) VALUES (71, 71); END",
    "CREATE PROCEDURE walk() BEGIN DECLARE d INT DEFAULT 0; DECLARE k INT; DECLARE c CURSOR FOR SELECT id FROM p ORDER BY id;"
    " DECLARE CONTINUE HANDLER FOR NOT FOUND SET d = 1; OPEN c; l: LOOP FETCH c INTO k; IF d THEN LEAVE l; END IF;"
    " UPDATE p SET w = k WHERE id = k; END LOOP; CLOSE c; END",
    "CREATE FUNCTION take(n INT) RETURNS INT MODIFIES SQL DATA BEGIN UPDATE p SET w = w + n WHERE id = 1; RETURN n; END",
)
FIRST = ("INSERT INTO p VALUES (1, 10, 'a', 0), (2, 20, 'b', 0), (3, 30, 'c', 0)",
         "INSERT INTO q VALUES (1, 1, 'x'), (2, 2, 'y'), (3, NULL, 'z')")


@pytest.fixture(scope="module")
def laptops() -> Iterator[Pair]:
    """anna's server has the app's database with triggers and the bare one without."""
    with Pair(schemas=(), server_options=["--local-infile=1", "--event-scheduler=ON", "--skip-log-bin",
                                          f"--innodb-lock-wait-timeout={WAIT_S}", f"--lock-wait-timeout={WAIT_S}"],
              conf={"sync": {"max_delete": "off"}}) as two:
        anna = two.anna
        anna.server.sql(f"CREATE DATABASE {BARE}")
        hand.everywhere(two, *SCHEMA)
        hand.run(anna.server.connect(BARE), *SCHEMA)
        two.install()
        two.bert.start_serve()
        yield two


def _empty(anna: Node) -> None:
    for database in (anna.database, BARE):
        connection = anna.server.connect(database)
        hand.run(connection, "DELETE FROM q", "DELETE FROM p", "DELETE FROM times", "ALTER TABLE p AUTO_INCREMENT=1", *FIRST)
        connection.close()
    anna.drain(check=DONE)


class Twin:
    """The same done in both databases of anna's server."""

    def __init__(self, laptops: Pair) -> None:
        self.pair = laptops
        self.anna = laptops.anna
        self.open: list[pymysql.connections.Connection] = []

    def session(self, **kw: Any) -> list[pymysql.connections.Connection]:
        """A session in each."""
        both = [self.anna.server.connect(database, **kw) for database in (self.anna.database, BARE)]
        self.open += both
        return both

    def run(self, *statements: str, **kw: Any) -> list[Any]:
        """Run them in both; what the app saw, which must be the same."""
        seen = [[_outcome(connection, text) for text in statements] for connection in self.session(**kw)]
        for text, ours, theirs in zip(statements, *seen):
            assert ours == theirs, f"{text}: with triggers {ours}, without {theirs}"
        return seen[0]

    def check(self) -> None:
        """Both databases are equal, and what is in the app's arrives at the other laptop."""
        for connection in self.open:
            connection.close()
        self.open.clear()
        for table in ("p", "q", "times"):
            order = f"SELECT * FROM {{}}.{table} ORDER BY id"
            assert self.anna.sql(order.format(self.anna.database)) == self.anna.sql(order.format(BARE)), table
        self.anna.drain(check=DONE)
        self.pair.assert_equal()


def _outcome(connection: pymysql.connections.Connection, text: str) -> Any:
    """What an app can see of a statement."""
    with connection.cursor() as cursor:
        try:
            affected = cursor.execute(text)
            rows = [cursor.fetchall()]
            while cursor.nextset():
                rows.append(cursor.fetchall())
            last = cursor.lastrowid
        except pymysql.err.MySQLError as refused:
            return refused.args[0]
        warnings = connection.show_warnings() if "sql_select_limit" not in text else ()
        return affected, last, rows, [warning[1] for warning in warnings or ()]


@pytest.fixture
def twin(laptops: Pair) -> Iterator[Twin]:
    """Both databases hold the first rows, bert too."""
    _empty(laptops.anna)
    both = Twin(laptops)
    yield both
    for connection in both.open:
        connection.close()


# statements --------------------------------------------------------------------------------------

STATEMENTS: dict[str, Sequence[str]] = {
    "insert": ["INSERT INTO p (u, v) VALUES (5, 'n'), (6, 'm')", "SELECT LAST_INSERT_ID(), ROW_COUNT()"],
    "insert ignore": ["INSERT IGNORE INTO p VALUES (1, 99, 'x', 0), (4, 20, 'y', 0), (5, 50, 'z', 0)", "SELECT ROW_COUNT()",
                      "INSERT IGNORE INTO q VALUES (9, 12345, 'no parent')", "INSERT IGNORE INTO p (w) VALUES (NULL)"],
    "on duplicate key": ["INSERT INTO p VALUES (1, 10, 'x', 0), (7, 20, 'y', 1), (8, 80, 'z', 1) ON DUPLICATE KEY UPDATE v=VALUES(v), w=w+1",
                         "SELECT LAST_INSERT_ID(), ROW_COUNT()"],
    "replace": ["REPLACE INTO p VALUES (1, 10, 'x', 0)", "REPLACE INTO p VALUES (50, 20, 'x', 0)", "SELECT ROW_COUNT()"],
    "insert select": ["INSERT INTO p (u, v) SELECT u + 1, v FROM p", "INSERT INTO p (v) SELECT v FROM q WHERE id > 1"],
    "returning": ["INSERT INTO p (u, v) VALUES (5, 'n'), (6, 'm') RETURNING id, u, v", "DELETE FROM q WHERE id > 1 RETURNING id, v",
                  "REPLACE INTO p VALUES (3, 30, 'r', 0) RETURNING *"],
    "update and delete in order": ["UPDATE p SET id=id+1 ORDER BY id DESC LIMIT 1", "DELETE FROM q ORDER BY id DESC LIMIT 2"],
    "key changes": ["UPDATE p SET id=99 WHERE id=3", "UPDATE p SET u=u+1 ORDER BY u DESC", "UPDATE IGNORE p SET id=1 WHERE id=99"],
    "several tables": ["UPDATE p JOIN q ON q.p=p.id SET p.v=q.v, q.v='n'", "DELETE q FROM q JOIN p ON q.p=p.id WHERE p.id=1",
                       "DELETE FROM q WHERE p IN (SELECT id FROM p)"],
    "errors in the middle": ["INSERT INTO p VALUES (10, 100, 'x', 0), (11, 10, 'dup', 0)", "UPDATE p SET u=10", "INSERT INTO q VALUES (9, 555, '')",
                             "INSERT INTO p (v) VALUES (REPEAT('x', 50))", "SELECT COUNT(*) FROM p"],
    "prepared": ["PREPARE s FROM 'INSERT INTO p (u, v) VALUES (?, ?)'", "SET @a=41, @b='p'", "EXECUTE s USING @a, @b", "SET @a=42",
                 "EXECUTE s USING @a, @b", "DEALLOCATE PREPARE s", "EXECUTE IMMEDIATE 'DELETE FROM q WHERE id=?' USING 1"],
    "savepoints": ["BEGIN", "INSERT INTO p (v) VALUES ('kept')", "SAVEPOINT s", "DELETE FROM q", "UPDATE p SET v='lost'",
                   "ROLLBACK TO SAVEPOINT s", "INSERT INTO p (v) VALUES ('kept, too')", "RELEASE SAVEPOINT s", "COMMIT"],
    "rollback": ["BEGIN", "INSERT INTO p (v) VALUES ('lost')", "ROLLBACK", "INSERT INTO p (v) VALUES ('kept')"],
    "views": ["INSERT INTO pv (v, w) VALUES ('through', 1)", "UPDATE pv SET w=5", "UPDATE pc SET w=200 WHERE id=1", "UPDATE pc SET w=50 WHERE id=1",
              "INSERT INTO pc (v, w) VALUES ('no', 100)", "DELETE FROM pv WHERE w=1"],
    "procedures": ["CALL add_p(5)", "SELECT LAST_INSERT_ID()", "CALL careful()", "SELECT @caught", "CALL walk()"],
    "functions": ["SELECT take(3)", "SELECT take(id) FROM q", "INSERT INTO q VALUES (take(20), 1, 'f')"],
    "recursion": ["CALL down(3)", "SET max_sp_recursion_depth=10", "CALL down(3)", "SET max_sp_recursion_depth=0", "INSERT INTO p (v) VALUES ('z')"],
    "handler": ["HANDLER p OPEN", "HANDLER p READ FIRST", "INSERT INTO p (v) VALUES ('h')", "HANDLER p READ `PRIMARY` LAST", "HANDLER p CLOSE"],
    "read only": ["START TRANSACTION READ ONLY", "INSERT INTO p (v) VALUES ('no')", "SELECT COUNT(*) FROM p", "COMMIT",
                  "INSERT INTO p (v) VALUES ('yes')", "SET SESSION TRANSACTION READ ONLY", "INSERT INTO p (v) VALUES ('no')"],
    "temporary table": ["CREATE TEMPORARY TABLE p (id INT PRIMARY KEY, v INT)", "INSERT INTO p VALUES (1, 1)", "DROP TEMPORARY TABLE p",
                        "INSERT INTO p (v) VALUES ('real')"],
    "temporary names of ours": ["CREATE TEMPORARY TABLE sync_queue (id INT)", "INSERT INTO p (v) VALUES ('t')", "SELECT * FROM sync_queue"],
    "with and window": ["INSERT INTO p (v) WITH r AS (SELECT id FROM p) SELECT ROW_NUMBER() OVER (ORDER BY id) FROM r",
                        "WITH r AS (SELECT 1 AS one) SELECT one FROM r", "UPDATE p SET w=(SELECT COUNT(*) FROM q)"],
    "statement settings": ["SET STATEMENT max_statement_time=10 FOR INSERT INTO p (v) VALUES ('s')",
                           "SET STATEMENT sql_select_limit=1 FOR UPDATE p SET w=3"],
    "insert id": ["SET INSERT_ID=900", "INSERT INTO q VALUES (900, 1, 'no counter here')", "INSERT INTO p (v) VALUES ('here')", "SELECT LAST_INSERT_ID()",
                  "SET auto_increment_increment=10, auto_increment_offset=7", "INSERT INTO p (v) VALUES ('stepped'), ('again')", "SELECT LAST_INSERT_ID()"],
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_does_the_same_with_and_without_triggers(twin: Twin, name: str) -> None:
    twin.run(*STATEMENTS[name])
    twin.check()


def test_the_last_id_of_an_update_is_right_when_asked_by_sql_and_missing_in_the_packet(twin: Twin) -> None:
    """Known, and said in the README: a server forgets LAST_INSERT_ID(expression) for the answer's packet
    (insert_id of a driver) as soon as any trigger runs a statement. The function itself stays right."""
    for text in ("INSERT INTO p (u) VALUES (10) ON DUPLICATE KEY UPDATE id=LAST_INSERT_ID(id)", "UPDATE p SET w=LAST_INSERT_ID(w + 5) WHERE id=2"):
        ids = []
        for connection in twin.session():
            with connection.cursor() as cursor:
                cursor.execute(text)
                packet = cursor.lastrowid
                cursor.execute("SELECT LAST_INSERT_ID()")
                ids.append((packet, cursor.fetchall()))
        (ours, asked_here), (theirs, asked_there) = ids
        assert asked_here == asked_there == ((theirs,),) and ours in (0, theirs)
    twin.check()


SESSIONS = {
    "lax": "SET sql_mode=''", "strictest": "SET sql_mode='TRADITIONAL,STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY,NO_ZERO_DATE,NO_ZERO_IN_DATE'",
    "ansi": "SET sql_mode='ANSI,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,IGNORE_SPACE'", "oracle": "SET sql_mode='ORACLE'",
    "empty is null": "SET sql_mode='EMPTY_STRING_IS_NULL,HIGH_NOT_PRECEDENCE,NO_UNSIGNED_SUBTRACTION'",
    "padded": "SET sql_mode='PAD_CHAR_TO_FULL_LENGTH'", "select limit": "SET sql_select_limit=1", "group concat": "SET group_concat_max_len=4",
    "no recursion": "SET max_sp_recursion_depth=0", "little patience": "SET innodb_lock_wait_timeout=0", "no patience": "SET lock_wait_timeout=0",
    "serializable": "SET tx_isolation='SERIALIZABLE'", "dirty": "SET tx_isolation='READ-UNCOMMITTED'", "safe updates": "SET sql_safe_updates=1",
    "latin1": "SET NAMES latin1", "sjis": "SET NAMES sjis", "binary": "SET NAMES binary", "utf16 collation": "SET collation_connection='utf16_bin'",
    "time zone": "SET time_zone='-11:30'", "false clock": "SET timestamp=UNIX_TIMESTAMP(SYSDATE(6)) - 3000", "no checks": "SET foreign_key_checks=0, unique_checks=0",
    "small memory": "SET max_heap_table_size=16384, tmp_table_size=1024, sort_buffer_size=1024, max_sort_length=8, join_buffer_size=128",
    "small errors": "SET max_error_count=0, sql_notes=0", "old": "SET old_mode='ZERO_DATE_TIME_CAST'", "compressed": "SET big_tables=1",
    "no optimizer": "SET optimizer_switch='derived_merge=off,materialization=off,semijoin=off', optimizer_search_depth=1",
    "session track": "SET session_track_schema=1, session_track_state_change=1", "statement time": "SET max_statement_time=20",
    "shallow": "SET max_recursive_iterations=0, thread_pool_priority='low'", "profiling": "SET profiling=1",
}


@pytest.mark.parametrize("name", SESSIONS)
@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "transaction"])
def test_a_session_with_odd_settings_writes_as_before(twin: Twin, name: str, autocommit: bool) -> None:
    twin.run(SESSIONS[name], "INSERT INTO p (u, v) VALUES (5, 'n'), (6, 'm')", "INSERT INTO p VALUES (1, 10, 'x', 0) ON DUPLICATE KEY UPDATE w=w+1",
             "UPDATE p SET w=w+1 WHERE id IN (1, 2)", "UPDATE p SET id=77 WHERE id=3", "REPLACE INTO p VALUES (2, 20, 'r', 0)",
             "INSERT INTO times VALUES ('2026-11-21 02:03:04.5', '2026-11-21 02:03:04', 'x')", "UPDATE times SET v='y' WHERE id > '2000-01-01'",
             "DELETE FROM q WHERE id=1", "COMMIT", autocommit=autocommit)
    twin.check()


# files, XA, events, binary protocol --------------------------------------------------------------

@pytest.mark.parametrize("how", ["", "REPLACE", "IGNORE"])
@pytest.mark.parametrize("where", ["LOCAL", ""], ids=["local", "server"])
def test_load_data_is_captured(twin: Twin, tmp_path: Path, how: str, where: str) -> None:
    data = twin.anna.folder / "rows.txt"  # the server can read it there
    data.write_text("3\t30\tnew\t1\n" * bool(how) + "20\t200\ty\t0\n21\t210\tz\t0\n")
    twin.run(f"LOAD DATA {where} INFILE '{data}' {how} INTO TABLE p", "SELECT ROW_COUNT()", local_infile=True)
    twin.check()
    assert twin.anna.sql("SELECT COUNT(*) FROM p WHERE id > 19") == [(2,)]


def test_prepared_transactions_outlive_a_restart_with_their_changes(twin: Twin) -> None:
    twin.run("XA START 'one'", "INSERT INTO p (v) VALUES ('xa')", "XA END 'one'", "XA PREPARE 'one'", "XA COMMIT 'one'")
    twin.run("XA START 'two'", "UPDATE p SET v='gone'", "XA END 'two'", "XA ROLLBACK 'two'")
    for i, database in enumerate((twin.anna.database, BARE)):
        connection = twin.anna.server.connect(database)
        hand.run(connection, f"XA START 'late{i}'", "INSERT INTO p (id, v) VALUES (88, 'prepared')", f"XA END 'late{i}'", f"XA PREPARE 'late{i}'")
        connection.close()
    twin.anna.drain(check=DONE)
    assert twin.pair.bert.sql("SELECT 1 FROM p WHERE id=88") == []
    twin.anna.server.kill9()
    twin.anna.server.start()
    assert len(twin.anna.server.sql("XA RECOVER")) == 2
    for i in range(2):
        twin.anna.server.sql(f"XA COMMIT 'late{i}'")
    twin.open.clear()
    twin.check()
    assert twin.pair.bert.sql("SELECT v FROM p WHERE id=88") == [("prepared",)]


def test_events_are_captured(twin: Twin) -> None:
    twin.run("CREATE EVENT now_and_never ON SCHEDULE AT NOW() DO INSERT INTO p (id, v) VALUES (66, 'by an event')")
    for database in (twin.anna.database, BARE):
        until(lambda d=database: twin.anna.sql(f"SELECT 1 FROM {d}.p WHERE id=66"), 30, "the event has run")
    twin.check()


def _binary(server: Server, database: str, statements: Sequence[str]) -> list[int]:
    """Each by the binary protocol, with a cursor where it has rows; affected rows or rows read."""
    lib = ctypes.CDLL("libmariadb.so.3")
    for name in ("mysql_init", "mysql_real_connect", "mysql_stmt_init"):
        getattr(lib, name).restype = ctypes.c_void_p
    lib.mysql_stmt_affected_rows.restype = ctypes.c_uint64
    handle = ctypes.c_void_p(lib.mysql_init(None))
    assert lib.mysql_real_connect(handle, None, b"root", None, database.encode(), 0, str(server.socket).encode(), ctypes.c_ulong(0))
    found = []
    for text in statements:
        stmt = ctypes.c_void_p(lib.mysql_stmt_init(handle))
        cursor = ctypes.c_ulong(1)  # CURSOR_TYPE_READ_ONLY
        lib.mysql_stmt_attr_set(stmt, 1, ctypes.byref(cursor))
        assert lib.mysql_stmt_prepare(stmt, text.encode(), ctypes.c_ulong(len(text.encode()))) == 0, text
        for _ in range(2):  # prepared once, run twice
            assert lib.mysql_stmt_execute(stmt) == 0, text
            rows = 0
            if lib.mysql_stmt_field_count(stmt):
                while lib.mysql_stmt_fetch(stmt) in (0, 101):
                    rows += 1
            found.append(rows or lib.mysql_stmt_affected_rows(stmt))
        lib.mysql_stmt_close(stmt)
    lib.mysql_close(handle)
    return found


def test_the_binary_protocol_with_cursors_is_captured(twin: Twin) -> None:
    statements = ["INSERT INTO p (v) VALUES ('binary'), ('b')", "SELECT * FROM p ORDER BY id", "UPDATE p SET w=w+1 WHERE id < 3",
                  "INSERT INTO p (v) SELECT v FROM q", "DELETE FROM q WHERE id=3", "SELECT id FROM q FOR UPDATE"]
    assert _binary(twin.anna.server, twin.anna.database, statements) == _binary(twin.anna.server, BARE, statements)
    twin.check()


def test_several_statements_in_one_packet_are_captured(twin: Twin) -> None:
    multi = pymysql.constants.CLIENT.MULTI_STATEMENTS
    twin.run("INSERT INTO p (v) VALUES ('one'); UPDATE p SET w=1; SELECT COUNT(*) FROM p; DELETE FROM q WHERE id=1", client_flag=multi)
    twin.run("INSERT INTO p (v) VALUES ('two'); INSERT INTO p VALUES (1, 1, 'dup', 0); DELETE FROM q", client_flag=multi)
    twin.check()


# LOCK TABLES -------------------------------------------------------------------------------------

CACHE = {
    "fresh": ["FLUSH TABLES"],
    "used by another": ["INSERT INTO {db}.p (v) VALUES ('o')", "DELETE FROM app_sync.sync_queue WHERE id=0"],
    "read by another": ["SELECT COUNT(*) FROM app_sync.sync_queue", "SELECT COUNT(*) FROM {db}.p"],
}


@pytest.mark.parametrize("state", CACHE)
@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "transaction"])
@pytest.mark.parametrize("locks", ["p WRITE", "p WRITE, q WRITE", "q READ, p WRITE", "p WRITE CONCURRENT, q WRITE"])
def test_lock_tables_works_as_before(twin: Twin, state: str, autocommit: bool, locks: str) -> None:
    for text in CACHE[state]:
        for database in (twin.anna.database, BARE):
            twin.anna.server.sql(text.format(db=database))
    writes = ["INSERT INTO p (v) VALUES ('l')", "UPDATE p SET w=2", "INSERT INTO p (v) VALUES ('m')", "UPDATE p SET id=55 WHERE id=3"]
    if "q WRITE" in locks:
        writes += ["DELETE FROM p WHERE id=1", "UPDATE q SET v='n'", "DELETE FROM q"]
    twin.run(f"LOCK TABLES {locks}", *writes, "COMMIT", "UNLOCK TABLES", autocommit=autocommit)
    twin.check()


def test_a_dump_is_loaded_as_before(twin: Twin) -> None:
    """mariadb-dump's LOCK TABLES, DISABLE KEYS, several rows an INSERT."""
    dump = subprocess.run(["mariadb-dump", "--no-defaults", f"--socket={twin.anna.server.socket}", "--no-create-info", "--skip-triggers",
                           BARE, "p", "q"], capture_output=True, check=True, text=True).stdout
    for database in (twin.anna.database, BARE):
        twin.anna.server.script("DELETE FROM q; DELETE FROM p;" + dump, database)
    twin.check()
    assert twin.pair.bert.sql("SELECT COUNT(*) FROM p") == [(3,)]


# waits -------------------------------------------------------------------------------------------

OTHER_ROWS = ["INSERT INTO p (v) VALUES ('mine')", "UPDATE p SET v='mine' WHERE id=2", "DELETE FROM q WHERE id=2",
              "INSERT INTO p VALUES (2, 20, 'mine', 0) ON DUPLICATE KEY UPDATE v='odku'", "REPLACE INTO q VALUES (3, NULL, 'mine')"]
OPEN = {"insert": "INSERT INTO p (v) VALUES ('theirs')", "insert select": "INSERT INTO p (v) SELECT v FROM q WHERE id=1",
        "update": "UPDATE p SET v='theirs' WHERE id=1", "key": "UPDATE p SET id=500 WHERE id=1", "delete": "DELETE FROM p WHERE id=1",
        "procedure": "CALL add_p(3)"}


@pytest.mark.parametrize("isolation", ["READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE"])
@pytest.mark.parametrize("opened", OPEN)
def test_writers_of_different_rows_wait_no_more_than_before(twin: Twin, opened: str, isolation: str) -> None:
    """One session's transaction stays open, the other one writes elsewhere and gives up at once."""
    first, second = twin.session(autocommit=False), twin.session()
    for connection in first + second:
        hand.run(connection, f"SET tx_isolation='{isolation}', innodb_lock_wait_timeout=0")
    outcomes = []
    for one, other in zip(first, second):
        _outcome(one, OPEN[opened])
        outcomes.append([_outcome(other, text) for text in OTHER_ROWS])
        one.commit()
    assert outcomes[0] == outcomes[1]
    twin.check()


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_no_mode_of_automatic_numbers_makes_anybody_wait(mode: int) -> None:
    with Node("anna", server_options=[f"--innodb-autoinc-lock-mode={mode}", "--innodb-lock-wait-timeout=2"]) as anna:
        hand.run(anna.connect(), *SCHEMA, *FIRST, "INSERT INTO p (v) SELECT a.v FROM q a, q b, q c")
        anna.install()
        slow, quick = anna.connect(), anna.connect()
        hand.run(slow, "BEGIN", "INSERT INTO p (v) SELECT seq FROM seq_1_to_3")
        started = time.monotonic()
        hand.run(quick, "INSERT INTO q VALUES (50, NULL, 'at once')", "UPDATE q SET v='n' WHERE id=50")
        assert time.monotonic() - started < 1
        hand.run(slow, "COMMIT")
        assert anna.queue()["pending"] == 5


# the binary log, small packets -------------------------------------------------------------------

def test_a_binary_log_of_statements_is_named_with_its_remedy() -> None:
    with Node("anna", server_options=["--log-bin=on", "--binlog-format=STATEMENT", "--server-id=7"]) as anna:
        anna.sql("CREATE TABLE t (id INT PRIMARY KEY)")
        (found,) = [one for one in _problems(anna) if "STATEMENT" in one["finding"]]
        assert "SET GLOBAL binlog_format=MIXED" in found["remedy"]
        anna.server.sql("SET GLOBAL binlog_format=MIXED")
        anna.server.sql("SET GLOBAL log_bin_trust_function_creators=1")
        anna.install()
        connection = anna.connect()
        hand.run(connection, "INSERT INTO t VALUES (1), (2)", "SET SESSION binlog_format=STATEMENT")
        with pytest.raises(pymysql.err.MySQLError) as raised:  # ids from a sequence are for rows only
            hand.run(connection, "UPDATE t SET id=3 WHERE id=2")
        assert raised.value.args[0] == 1665 and anna.queue() == {"pending": 2}


@pytest.mark.parametrize("log_format", ["ROW", "MIXED"])
def test_the_binary_log_changes_nothing(log_format: str) -> None:
    options = ["--log-bin=on", f"--binlog-format={log_format}", "--log-bin-trust-function-creators=1", "--server-id=7"]
    with Pair(schemas=(), server_options=options) as two:
        hand.everywhere(two, *SCHEMA)
        two.install()
        hand.run(two.anna.connect(), *FIRST, "INSERT INTO p (v) SELECT v FROM q", "UPDATE p SET id=id+100 WHERE id > 2 ORDER BY id DESC", "CALL add_p(3)",
                 "DELETE FROM q WHERE id=2")
        two.settle()
        two.assert_equal()


def test_a_server_with_small_packets_captures_and_sends(rng: Any) -> None:
    with Pair(schemas=(), server_options=["--max-allowed-packet=16384"]) as two:
        hand.everywhere(two, "CREATE TABLE t (id INT PRIMARY KEY, v TEXT)")
        two.install()
        for i in range(40):
            two.anna.sql("INSERT INTO t VALUES (%s, %s)", [i, "x" * rng.randrange(6000)])
        two.settle()
        two.assert_equal()


# a broken sync schema ----------------------------------------------------------------------------

@pytest.fixture
def alone(fresh_pair: Pair) -> Node:
    """anna, installed, one row written."""
    hand.everywhere(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "CREATE TABLE other (id INT PRIMARY KEY)")
    fresh_pair.install()
    fresh_pair.anna.sql("INSERT INTO t VALUES (1, 1)")
    return fresh_pair.anna


def _refused(node: Node, names: str) -> None:
    """The app's writes fail with an error that names the sync schema; nothing is half written."""
    before = node.sql("SELECT * FROM t ORDER BY id")
    for text in ("INSERT INTO t VALUES (2, 2), (3, 3)", "UPDATE t SET v=9", "DELETE FROM t", "INSERT IGNORE INTO t VALUES (4, 4)"):
        with pytest.raises(pymysql.err.MySQLError) as raised:
            node.sql(text)
        assert names in str(raised.value), raised.value
    connection = node.connect(autocommit=False)
    hand.run(connection, "INSERT INTO nothing_of_ours VALUES (1)")
    with pytest.raises(pymysql.err.MySQLError):
        hand.run(connection, "INSERT INTO t VALUES (5, 5)")
    connection.commit()  # the transaction stays usable
    connection.close()
    assert node.sql("SELECT * FROM t ORDER BY id") == before and node.sql("SELECT COUNT(*) FROM nothing_of_ours") == [(1,)]


def _problems(node: Node) -> list[dict[str, str]]:
    return [one for one in json.loads(node.agent("--check", "--json").stdout)["findings"] if one["severity"] == "problem"]


BROKEN = {
    "schema dropped": ("DROP DATABASE app_sync", "app_sync", "agent --uninstall"),
    "queue renamed": ("RENAME TABLE app_sync.sync_queue TO app_sync.aside", "app_sync.sync_queue", "bring it back"),
    "procedure dropped": ("DROP PROCEDURE app_sync.enqueue", "app_sync.enqueue", "run agent --install"),
    "sequence dropped": ("DROP SEQUENCE app_sync.sync_sequence", "app_sync.sync_sequence", "run agent --install"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_sync_schema_stops_the_app_with_its_name_and_uninstall_frees_it(alone: Node, how: str) -> None:
    statement, names, remedy = BROKEN[how]
    alone.sql("CREATE TABLE nothing_of_ours (id INT)")
    alone.server.sql(statement)
    _refused(alone, names)
    assert [one for one in _problems(alone) if "every write of the app" in one["finding"] and remedy in one["remedy"]], _problems(alone)
    alone.agent("--uninstall", check=DONE)
    alone.sql("INSERT INTO t VALUES (2, 2)")


@pytest.mark.parametrize("how", ["procedure dropped", "sequence dropped"])
def test_what_can_be_made_anew_is_mended_without_losing_a_change(fresh_pair: Pair, how: str) -> None:
    anna, bert = fresh_pair.nodes
    hand.everywhere(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    fresh_pair.install()
    anna.sql("INSERT INTO t VALUES (1, 1)")
    fresh_pair.settle()  # marks contain ids now
    anna.sql("INSERT INTO t VALUES (2, 2)")
    anna.server.sql(BROKEN[how][0])
    anna.install()
    assert _problems(anna) == [] or all("peer" in one["finding"] for one in _problems(anna))
    anna.sql("INSERT INTO t VALUES (3, 3)")
    anna.sql("UPDATE t SET v=5 WHERE id=1")
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert bert.sql("SELECT id FROM t ORDER BY id") == [(1,), (2,), (3,)]


def test_a_lost_queue_is_not_made_anew_without_a_word_and_goes_on_when_it_is_back(alone: Node, fresh_pair: Pair) -> None:
    alone.server.sql(BROKEN["queue renamed"][0])
    ran = alone.agent("--install")
    assert ran.returncode != DONE and "sync_queue is gone" in ran.stderr
    alone.server.sql("RENAME TABLE app_sync.aside TO app_sync.sync_queue")
    alone.install()
    alone.sql("INSERT INTO t VALUES (2, 2)")
    fresh_pair.settle()
    fresh_pair.assert_equal()


def test_a_queue_that_somebody_locks_lets_the_app_wait_and_check_says_so(alone: Node, fresh_pair: Pair) -> None:
    locker, app = alone.server.connect(alone.sync_database), alone.connect()
    hand.run(locker, "LOCK TABLES sync_queue READ")
    hand.run(app, "SET lock_wait_timeout=1")
    with pytest.raises(pymysql.err.OperationalError) as raised:
        hand.run(app, "INSERT INTO t VALUES (2, 2)")
    assert raised.value.args[0] == 1205 and alone.sql("SELECT COUNT(*) FROM t") == [(1,)]
    started = time.monotonic()
    assert [one for one in _problems(alone) if "keeps writers away" in one["finding"] and "KILL" in one["remedy"]]
    assert time.monotonic() - started < 3
    hand.run(locker, "UNLOCK TABLES")
    hand.run(app, "INSERT INTO t VALUES (2, 2)")
    for connection in (locker, app):
        connection.close()
    fresh_pair.settle()
    fresh_pair.assert_equal()


def test_a_full_tablespace_stops_the_app_whole_statement_by_whole_statement() -> None:
    """Everything in one small file; when there is room again the rest goes through, and all arrives."""
    full = ["--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:20M"]
    with Node("anna") as anna:
        anna.server.stop()
        shutil.rmtree(anna.server.datadir)
        subprocess.run(["mariadb-install-db", "--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db",
                        f"--datadir={anna.server.datadir}", "--innodb-log-file-size=32M", *full], check=True, capture_output=True)
        anna.server.options += full
        anna.setup()
        anna.sql("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
        anna.install()
        connection = anna.connect()
        with pytest.raises(pymysql.err.MySQLError) as raised:
            for _ in range(1000):
                hand.run(connection, "INSERT INTO t (v) SELECT seq FROM seq_1_to_5000")
        assert raised.value.args[0] == 1114 and "is full" in str(raised.value)
        rows = anna.sql("SELECT COUNT(*) FROM t")[0][0]
        assert rows % 5000 == 0 and anna.queue()["pending"] == rows
        assert anna.sql("SELECT COUNT(*) FROM t WHERE id=1") == [(1,)]  # reading goes on
        connection.close()
