"""A table's definition changes on one laptop first: the app's writes never fail, what waits says why and is
not counted, the other tables go on, and when both sides agree again everything arrives."""

from __future__ import annotations

import re
import threading

import pymysql
import pytest

from lab import Cluster, Pair, hand, until
from lab.node import Node

pytestmark = pytest.mark.slow

TABLE = "CREATE TABLE t (id INT PRIMARY KEY, v INT, w INT NOT NULL DEFAULT 7)"
OTHER = "CREATE TABLE u (id INT PRIMARY KEY, v INT)"
AFTER_DDL_TRIES = 5


def _ready(pair: Pair) -> tuple[Node, Node]:
    """Ten rows on both sides, installed; both receive."""
    hand.everywhere(pair, TABLE, OTHER, "INSERT INTO t SELECT seq, seq, 7 FROM seq_1_to_10",
                    "INSERT INTO u SELECT seq, 0 FROM seq_1_to_5")
    pair.install()
    return pair.anna, pair.bert


# keys of an older form ------------------------------------------------------------------------------

@pytest.mark.parametrize("change", ["DROP PRIMARY KEY, ADD PRIMARY KEY (id, w)", "MODIFY id VARCHAR(20) NOT NULL"])
def test_changes_recorded_under_an_older_key_do_not_stop_the_drain(fresh_pair: Pair, change: str) -> None:
    anna, bert = _ready(fresh_pair)
    bert.start_serve()
    hand.transaction(anna, "UPDATE t SET v=1 WHERE id=5", "UPDATE u SET v=1 WHERE id=1")
    anna.sql(f"ALTER TABLE t {change}")
    ran = anna.drain()
    assert "malformed" not in ran.stderr and ran.returncode in (0, 5), ran.stderr
    assert bert.sql("SELECT v FROM u WHERE id=1")[0][0] == 1, "the other table goes on"


def test_a_key_of_text_that_became_a_number_touches_no_other_row(fresh_pair: Pair) -> None:
    hand.everywhere(fresh_pair, "CREATE TABLE k (id VARCHAR(20) PRIMARY KEY, v INT)",
                    "INSERT INTO k VALUES ('0',0), ('1',1)")
    fresh_pair.install()
    anna, bert = fresh_pair.anna, fresh_pair.bert
    bert.start_serve()
    hand.transaction(anna, "INSERT INTO k VALUES ('x',1)", "DELETE FROM k WHERE id='x'", "UPDATE k SET v=9 WHERE id='1'")
    hand.everywhere(fresh_pair, "ALTER TABLE k MODIFY id INT NOT NULL")
    until(lambda: anna.drain().returncode == 5, 30, "bert has noticed it too, and a person chooses")
    assert [tuple(row) for row in bert.sql("SELECT id, v FROM k ORDER BY id")] == [(0, 0), (1, 1)]


# one side first -------------------------------------------------------------------------------------

CHANGES = {
    "added": ("ADD COLUMN n INT NOT NULL DEFAULT 3", "n"),
    "dropped": ("DROP COLUMN w", "w"),
    "renamed": ("CHANGE w x INT NOT NULL DEFAULT 7", "w"),
    "retyped": ("MODIFY v VARCHAR(30)", "v"),
    "widened": ("MODIFY v BIGINT", "v"),
    "its key widened": ("MODIFY id BIGINT NOT NULL", "id"),
}
INSTALLS = ("never", "between", "at the end")


def _key_name(node: Node) -> str:
    return str(node.sql("SHOW COLUMNS FROM t")[0][0])


def _write(node: Node, key: int, value: int) -> None:
    """The app writes, whatever the table is like by now."""
    name = _key_name(node)
    hand.transaction(node, f"UPDATE t SET v={value} WHERE {name}='{key}'", f"INSERT INTO t ({name}, v) VALUES ('{key + 100}', {value})",
                     f"DELETE FROM t WHERE {name}='{key + 2}'", f"UPDATE u SET v=v+1 WHERE id={key % 5 + 1}")


def _drain_both(pair: Pair) -> None:
    for node in pair.nodes:
        ran = node.drain()
        assert ran.returncode in (0, 5), ran.stderr
        assert all(state == "waiting" and attempts == 0 for _, _, state, attempts, _ in hand.owed(node)), hand.owed(node)


def _says(node: Node, column: str) -> bool:
    said = node.agent("--status").stdout
    return "table t differs" in said and column in re.split(r"\W+", said.partition("table t differs")[2])


def _values(node: Node) -> dict[int, int]:
    return {int(key): int(v) for key, v in node.sql(f"SELECT {_key_name(node)}, v FROM t")}


@pytest.mark.parametrize("installs", INSTALLS)
@pytest.mark.parametrize("first", ["anna", "bert"])
@pytest.mark.parametrize("change", CHANGES)
def test_pending_changes_of_both_sides_arrive_when_both_definitions_agree_again(
        fresh_pair: Pair, change: str, first: str, installs: str) -> None:
    alter, column = CHANGES[change]
    _ready(fresh_pair)
    early = fresh_pair[first]
    late = fresh_pair.bert if first == "anna" else fresh_pair.anna
    _write(early, 1, 11)
    _write(late, 2, 22)
    early.sql(f"ALTER TABLE t {alter}")
    _write(early, 5, 55)
    _write(late, 6, 66)
    fresh_pair.start_serve()
    if installs == "between":
        early.install()
    _drain_both(fresh_pair)
    until(lambda: _says(early, column) or _says(late, column), 30, "--status names the table and the column")
    until(lambda: not fresh_pair.differences(["u"]), 30, "the other table goes on")
    assert fresh_pair.differences(["u"]) == []
    late.sql(f"ALTER TABLE t {alter}")
    _write(late, 9, 99)
    if installs != "never":
        fresh_pair.install()
    fresh_pair.settle(timeout=90)
    assert fresh_pair.differences(["t", "u"]) == []
    values = _values(fresh_pair.anna)
    assert {key: values.get(key) for key in (1, 2, 5, 6, 9)} == {1: 11, 2: 22, 5: 55, 6: 66, 9: 99}
    assert {key: values.get(key) for key in (101, 102, 105, 106, 109)} == {101: 11, 102: 22, 105: 55, 106: 66, 109: 99}
    assert not {3, 4, 7, 8, 11} & values.keys(), "deletes arrive"


# another key ----------------------------------------------------------------------------------------

KEYED = "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, v INT, w INT NOT NULL DEFAULT 7, b CHAR(36) NOT NULL DEFAULT (UUID()))"
OTHER_COLUMNS = "DROP PRIMARY KEY, ADD PRIMARY KEY (b)"
RENAMED = "CHANGE id nr INT NOT NULL"
KEYS = [OTHER_COLUMNS, "DROP PRIMARY KEY, ADD PRIMARY KEY (id, w)", "MODIFY id VARCHAR(20) NOT NULL", RENAMED]


def _ready_keyed(pair: Pair) -> tuple[Node, Node]:
    hand.everywhere(pair, KEYED, OTHER, "INSERT INTO t SELECT seq, seq, 7, CONCAT('b,\\\\', seq) FROM seq_1_to_12",
                    "INSERT INTO u SELECT seq, 0 FROM seq_1_to_5")
    pair.install()
    return pair.anna, pair.bert


def _free(pair: Pair) -> bool:
    return all(node.status()["peers"][0]["moved_tables"] == [] for node in pair.nodes)


@pytest.mark.parametrize("change", KEYS)
def test_another_key_goes_on_by_itself_when_nothing_was_pending(fresh_pair: Pair, change: str) -> None:
    _ready_keyed(fresh_pair)
    fresh_pair.settle()
    hand.everywhere(fresh_pair, f"ALTER TABLE t {change}")
    fresh_pair.settle()
    assert _free(fresh_pair)
    _write(fresh_pair.anna, 1, 11)
    _write(fresh_pair.bert, 2, 22)
    fresh_pair.settle()
    assert fresh_pair.differences(["t", "u"]) == []


@pytest.mark.parametrize("first", ["anna", "bert"])
@pytest.mark.parametrize("change", KEYS)
def test_pending_changes_of_both_sides_arrive_under_another_key(fresh_pair: Pair, change: str, first: str) -> None:
    _ready_keyed(fresh_pair)
    early = fresh_pair[first]
    late = fresh_pair.bert if first == "anna" else fresh_pair.anna
    _write(early, 1, 11)
    _write(late, 2, 22)
    # One record on both sides, the later write wins; a row whose new key changes while the old one is in force.
    hand.transaction(early, "UPDATE t SET v=100 WHERE id=10", "UPDATE t SET b='other', v=12 WHERE id=12")
    hand.transaction(late, "UPDATE t SET v=200 WHERE id=10")
    early.sql(f"ALTER TABLE t {change}")
    _write(early, 5, 55)
    _write(late, 6, 66)
    fresh_pair.start_serve()
    _drain_both(fresh_pair)
    until(lambda: not fresh_pair.differences(["u"]), 30, "the other table goes on")
    _write(late, 9, 99)
    late.sql(f"ALTER TABLE t {change}")
    if change != RENAMED:  # on both sides at once: what neither could name, neither side knows
        _write(late, 8, 88)
    fresh_pair.settle(timeout=90)
    assert _free(fresh_pair)
    assert fresh_pair.differences(["t", "u"]) == []
    values = _values(fresh_pair.anna)
    assert {key: values.get(key) for key in (1, 2, 5, 6, 9, 12)} == {1: 11, 2: 22, 5: 55, 6: 66, 9: 99, 12: 12}
    assert change != RENAMED or values[10] == 200
    assert {key: values.get(key) for key in (101, 102, 105, 106, 109)} == {101: 11, 102: 22, 105: 55, 106: 66, 109: 99}
    assert change == RENAMED or values[108] == 88
    assert not {3, 4, 7, 8, 10 if change != RENAMED else 11, 11} & values.keys(), "deletes arrive"
    assert fresh_pair.anna.sql("SELECT COUNT(*) FROM t WHERE b='other'")[0][0] == 1
    assert [hand.sync(node, "SELECT COUNT(*) FROM sync_rekeyed")[0][0] for node in fresh_pair.nodes] == [0, 0]


def test_another_key_goes_on_in_a_chain_of_three() -> None:
    with Cluster(3, schemas=()) as chain:
        hand.everywhere(chain, KEYED, OTHER, "INSERT INTO t SELECT seq, seq, 7, CONCAT('b', seq) FROM seq_1_to_30",
                        "INSERT INTO u SELECT seq, 0 FROM seq_1_to_5")
        chain.install()
        for i, node in enumerate(chain.nodes):
            _write(node, 10 * i + 1, 70 + i)
        for i, node in enumerate(chain.nodes):
            node.sql(f"ALTER TABLE t {OTHER_COLUMNS}")
            _write(node, 10 * i + 5, 80 + i)
        chain.start_serve()
        chain.settle(timeout=90)
        assert chain.differences(["t", "u"]) == []
        values = _values(chain.nodes[0])
        assert {key: values.get(key) for key in (1, 5, 11, 15, 21, 25)} == {1: 70, 5: 80, 11: 71, 15: 81, 21: 72, 25: 82}
        assert not {3, 7, 13, 17, 23, 27} & values.keys(), "deletes arrive"


def test_a_key_that_says_nothing_of_the_old_one_is_held_with_the_commands(fresh_pair: Pair) -> None:
    anna, bert = _ready_keyed(fresh_pair)
    _write(anna, 1, 11)
    hand.everywhere(fresh_pair, "ALTER TABLE t DROP COLUMN id, ADD PRIMARY KEY (b)")
    bert.start_serve()
    before = bert.sql("SELECT * FROM t ORDER BY b")
    until(lambda: anna.drain().returncode == 5, 30, "bert has noticed it too")
    (moved,) = anna.status()["peers"][0]["moved_tables"]
    assert moved["state"] == "held" and "primary key" in moved["what"]
    assert "agent --verify --table t --peer bert --repair --from anna" in anna.agent("--status").stdout
    assert bert.sql("SELECT * FROM t ORDER BY b") == before
    anna.start_serve()
    anna.agent("--verify", "--table", "t", "--peer", "bert", "--repair", "--from", "anna", check=0)
    fresh_pair.settle()
    assert fresh_pair.differences(["t", "u"]) == [] and _free(fresh_pair)
    assert bert.sql("SELECT v FROM t WHERE b LIKE 'b%1' AND v=11")[0][0] == 11


# busy writers ---------------------------------------------------------------------------------------

class _Writer(threading.Thread):
    """An app that goes on writing; an error other than a deadlock is kept."""

    def __init__(self, node: Node, first: int) -> None:
        super().__init__()
        self._node, self._next = node, first
        self._ending = threading.Event()
        self.written = 0
        self.failure: Exception | None = None

    def run(self) -> None:
        connection = self._node.connect()
        try:
            while not self._ending.is_set():
                self._write(connection)
        except pymysql.err.MySQLError as failure:
            self.failure = failure
        finally:
            connection.close()

    def _write(self, connection: pymysql.connections.Connection) -> None:
        try:
            hand.run(connection, f"INSERT INTO t (id, v) VALUES ({self._next}, 1)",
                     f"UPDATE t SET v=v+1 WHERE id={self._next}")
            if self._next % 6 == 0:
                hand.run(connection, f"DELETE FROM t WHERE id={self._next}")
            self.written += 1
        except pymysql.err.OperationalError as refused:
            if refused.args[0] != hand.DEADLOCK:
                raise
        self._next += 2

    def end(self) -> None:
        self._ending.set()
        self.join()


def test_nothing_is_lost_while_tables_are_altered_and_installed_under_busy_writers(fresh_pair: Pair) -> None:
    _ready(fresh_pair)
    fresh_pair.start_serve()
    writers = [_Writer(node, 1000 + i) for i, node in enumerate(fresh_pair.nodes)]
    for writer in writers:
        writer.start()
    try:
        for n in range(AFTER_DDL_TRIES):
            for node in fresh_pair.nodes:
                node.sql(f"ALTER TABLE t ADD COLUMN c{n} INT NOT NULL DEFAULT {n}")
                node.install()
            for node in reversed(fresh_pair.nodes):
                node.sql(f"ALTER TABLE t DROP COLUMN c{n}")
                node.install()
    finally:
        for writer in writers:
            writer.end()
    assert [writer.failure for writer in writers] == [None, None]
    assert all(writer.written > 50 for writer in writers)
    fresh_pair.settle(timeout=90)
    assert fresh_pair.differences(["t", "u"]) == []
