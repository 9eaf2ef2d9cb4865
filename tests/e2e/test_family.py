"""A parent is deleted on one laptop while the other has a child that hangs on it: the child wins, with its
parent. Whatever else hangs there goes by name, is kept and told to everybody."""

from __future__ import annotations

import pytest

from lab import Pair, hand
from lab.node import Node

TABLES = (
    "CREATE TABLE a (id INT PRIMARY KEY, v INT)",
    "CREATE TABLE b (id INT PRIMARY KEY, a INT, v INT, FOREIGN KEY (a) REFERENCES a (id) ON DELETE {action})",
    "CREATE TABLE c (id INT PRIMARY KEY, b INT, v INT, FOREIGN KEY (b) REFERENCES b (id) ON DELETE {action})",
)
TREE = ("CREATE TABLE tree (id INT PRIMARY KEY, above INT, v INT, FOREIGN KEY (above)"
        " REFERENCES tree (id) ON DELETE CASCADE)")
ROWS = (
    "INSERT INTO a VALUES (1, 0), (2, 0)",
    "INSERT INTO b VALUES (10, 1, 0), (20, 2, 0)",
    "INSERT INTO c VALUES (100, 10, 0), (200, 20, 0)",
    "INSERT INTO tree VALUES (1, NULL, 0), (2, 1, 0), (3, 2, 0), (9, 9, 0)",
)
BOTH = pytest.mark.parametrize("first", ["anna", "bert"])


def _ready(pair: Pair, action: str = "CASCADE") -> tuple[Node, Node]:
    """Installed, with the same rows, which came through the link."""
    hand.everywhere(pair, *[table.format(action=action) for table in TABLES], TREE)
    pair.install()
    for rows in ROWS:
        pair.anna.sql(rows)
    pair.settle()
    pair.assert_equal()
    return pair.anna, pair.bert


def _settle(pair: Pair, first: str) -> None:
    """Both drain, the named one first, until all is in step; nothing was counted as an attempt."""
    one, other = (pair.anna, pair.bert) if first == "anna" else (pair.bert, pair.anna)
    other.start_serve()
    one.drain(check=0)
    assert [row for row in hand.owed(one) if row[3] > 0] == []
    other.stop_serve()
    pair.settle()
    pair.assert_equal()
    assert [row for node in pair.nodes for row in hand.owed(node)] == []


def _kept(node: Node, rule: str) -> list[tuple[str, str, bool, bool]]:
    """What is kept there under a rule: table, key, is there a local row, a remote one."""
    return [(table, bytes(key).decode(), bool(local), bool(remote)) for table, key, local, remote in hand.sync(
        node, "SELECT table_name, record_id, local_row IS NOT NULL, remote_row IS NOT NULL FROM sync_conflict"
        " WHERE policy = %s ORDER BY id", [rule])]


@BOTH
@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "RESTRICT"])
def test_a_new_child_keeps_its_parent_whoever_drains_first(fresh_pair: Pair, first: str, action: str) -> None:
    anna, bert = _ready(fresh_pair, action)
    hand.transaction(anna, "DELETE FROM c WHERE id = 100", "DELETE FROM b WHERE id = 10", "DELETE FROM a WHERE id = 1")
    bert.sql("INSERT INTO b VALUES (11, 1, 5)")
    _settle(fresh_pair, first)
    assert anna.sql("SELECT id FROM a") == [(1,), (2,)]
    assert anna.sql("SELECT id, a, v FROM b") == [(11, 1, 5), (20, 2, 0)]
    assert ("a", "1", True, False) in _kept(bert, "child")


@BOTH
def test_a_new_grandchild_keeps_child_and_parent(fresh_pair: Pair, first: str) -> None:
    anna, bert = _ready(fresh_pair)
    anna.sql("DELETE FROM a WHERE id = 1")
    bert.sql("INSERT INTO c VALUES (101, 10, 5)")
    _settle(fresh_pair, first)
    assert anna.sql("SELECT id FROM a") == [(1,), (2,)]
    assert anna.sql("SELECT id FROM b") == [(10,), (20,)]
    assert anna.sql("SELECT id FROM c") == [(101,), (200,)]
    assert _kept(bert, "child") == [("b", "10", True, False), ("a", "1", True, False)]


@BOTH
@pytest.mark.parametrize("newest", ["delete", "update"])
def test_a_child_that_wins_over_its_own_delete_keeps_its_parents(fresh_pair: Pair, first: str, newest: str) -> None:
    anna, bert = _ready(fresh_pair)
    work = [(bert, "UPDATE c SET v = 7 WHERE id = 100"), (anna, "DELETE FROM a WHERE id = 1")]
    for node, statement in work if newest == "delete" else work[::-1]:
        node.sql(statement)
    _settle(fresh_pair, first)
    wins = newest == "update"
    assert anna.sql("SELECT id FROM a") == ([(1,), (2,)] if wins else [(2,)])
    assert anna.sql("SELECT id FROM b") == ([(10,), (20,)] if wins else [(20,)])
    assert anna.sql("SELECT id, v FROM c") == ([(100, 7), (200, 0)] if wins else [(200, 0)])


@BOTH
def test_a_new_leaf_keeps_the_tree_above_it(fresh_pair: Pair, first: str) -> None:
    anna, bert = _ready(fresh_pair)
    anna.sql("DELETE FROM tree WHERE id IN (1, 9)")
    bert.sql("INSERT INTO tree VALUES (4, 3, 5)")
    _settle(fresh_pair, first)
    assert anna.sql("SELECT id, above FROM tree") == [(1, None), (2, 1), (3, 2), (4, 3)]


def test_who_hangs_on_what_goes_along_goes_without_a_word(fresh_pair: Pair) -> None:
    """A circle: the address goes with its customer, whose default it is. Kept and queued as a change of bert's, the
    customer without a default would stand against its own delete, and come back."""
    hand.everywhere(
        fresh_pair, "CREATE TABLE customer (id INT PRIMARY KEY, home INT)",
        "CREATE TABLE address (id INT PRIMARY KEY, customer INT, FOREIGN KEY (customer) REFERENCES customer (id) ON DELETE CASCADE)",
        "ALTER TABLE customer ADD FOREIGN KEY (home) REFERENCES address (id) ON DELETE SET NULL",
        "CREATE TABLE sale (id INT PRIMARY KEY)",
        "CREATE TABLE payment (id INT PRIMARY KEY, sale INT, FOREIGN KEY (sale) REFERENCES sale (id) ON DELETE CASCADE)",
        "CREATE TABLE refund (id INT PRIMARY KEY, payment INT, FOREIGN KEY (payment) REFERENCES payment (id) ON DELETE SET NULL)",
        "INSERT INTO customer VALUES (1, NULL), (2, NULL)", "INSERT INTO address VALUES (1, 1), (2, 2)",
        "UPDATE customer SET home=id", "INSERT INTO sale VALUES (1), (2)", "INSERT INTO payment VALUES (1, 1), (2, 2)",
        "INSERT INTO refund VALUES (1, 1), (2, 2)")
    fresh_pair.install()
    hand.transaction(fresh_pair.anna, "DELETE FROM customer WHERE id=1", "DELETE FROM sale WHERE id=1")
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert fresh_pair.bert.sql("SELECT id, home FROM customer") == [(2, 2)]
    assert fresh_pair.bert.sql("SELECT id, payment FROM refund ORDER BY id") == [(1, None), (2, 2)]
    assert [row for node in fresh_pair.nodes for row in hand.sync(node, "SELECT table_name, record_id FROM sync_conflict")] == []


def test_a_whole_tree_goes_without_a_word(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    anna.sql("DELETE FROM tree")
    anna.sql("DELETE FROM a")
    _settle(fresh_pair, "anna")
    assert hand.sync(bert, "SELECT COUNT(*) FROM sync_conflict") == [(0,)]
    assert hand.captured(bert) == 0


@BOTH
def test_a_child_that_moved_to_another_parent_does_not_keep_the_old_one(fresh_pair: Pair, first: str) -> None:
    anna, bert = _ready(fresh_pair)
    bert.sql("UPDATE b SET v = 5 WHERE id = 10")
    hand.transaction(anna, "UPDATE b SET a = 2 WHERE id = 10", "DELETE FROM a WHERE id = 1")
    _settle(fresh_pair, first)
    assert anna.sql("SELECT id FROM a") == [(2,)]
    assert anna.sql("SELECT id, a FROM b") == [(10, 2), (20, 2)]
    assert anna.sql("SELECT id FROM c") == [(100,), (200,)]


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_what_no_queue_knew_of_goes_by_name_and_is_kept(fresh_pair: Pair, action: str) -> None:
    anna, bert = _ready(fresh_pair, action)
    hand.unseen(bert, "INSERT INTO b VALUES (11, 1, 5)", "INSERT INTO c VALUES (111, 11, 5)")
    anna.sql("DELETE FROM a WHERE id = 1")
    bert.start_serve()
    anna.drain(check=0)
    nulled = action == "SET NULL"
    assert bert.sql("SELECT a FROM b WHERE id = 11") == ([(None,)] if nulled else [])
    assert _kept(bert, "cascade") == (
        [("b", "11", True, True)] if nulled else [("c", "111", True, False), ("b", "11", True, False)])
    told = hand.sync(bert, "SELECT table_name, operation, record_id, via FROM sync_queue ORDER BY id")
    assert told == ([("b", "update", b"11", None)] if nulled
                    else [("c", "delete", b"111", None), ("b", "delete", b"11", None)])
    bert.stop_serve()
    if not nulled:
        fresh_pair.settle()
        fresh_pair.assert_equal()


def test_a_child_that_the_sender_had_refused_keeps_its_parent(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    anna.sql("DELETE FROM a WHERE id = 1")
    bert.sql("INSERT INTO b VALUES (11, 1, 5)")
    anna.start_serve()
    for _ in range(7):
        bert.drain(check=0)
    assert [(row[0], row[1], row[2], row[3]) for row in hand.owed(bert)] == [("b", "11", "waiting", 0)]
    anna.stop_serve()
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert anna.sql("SELECT id, a FROM b WHERE a = 1") == [(11, 1)]


def test_a_child_waits_as_long_as_the_delete_of_its_parent_is_refused(fresh_pair: Pair) -> None:
    """Bert has heard of the delete, and his laptop has not taken it: anna's must not count his new child's tries."""
    anna, bert = _ready(fresh_pair)
    bert.sql("ALTER TABLE b ADD CHECK (v < 9)")
    hand.transaction(anna, "UPDATE b SET a = 2, v = 10 WHERE id = 10", "DELETE FROM a WHERE id = 1")
    bert.start_serve()
    anna.drain(check=0)
    bert.stop_serve()
    assert [(row[0], row[1], row[2]) for row in hand.owed(anna)] == [("a", "1", "waiting"), ("b", "10", "retry")]
    bert.sql("INSERT INTO b VALUES (11, 1, 5)")
    anna.start_serve()
    for _ in range(5):
        bert.drain(check=0)
    assert [(row[0], row[1], row[2], row[3]) for row in hand.owed(bert)] == [("b", "11", "waiting", 0)]
    anna.stop_serve()
    bert.sql("ALTER TABLE b DROP CONSTRAINT CONSTRAINT_1")
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert anna.sql("SELECT id, a FROM b ORDER BY id") == [(10, 2), (11, 1), (20, 2)]
    assert anna.sql("SELECT id FROM a") == [(1,), (2,)]


# rows that hang on each other ------------------------------------------------------------------------

RINGS = (
    "CREATE TABLE leaf (id INT PRIMARY KEY, tree INT, FOREIGN KEY (tree) REFERENCES tree (id) ON DELETE SET NULL)",
    "CREATE TABLE customer (id INT PRIMARY KEY, home INT, v INT)",
    "CREATE TABLE address (id INT PRIMARY KEY, customer INT, v INT, FOREIGN KEY (customer) REFERENCES customer (id) ON DELETE CASCADE)",
    "ALTER TABLE customer ADD FOREIGN KEY (home) REFERENCES address (id) ON DELETE CASCADE",
    "INSERT INTO tree VALUES (1, NULL, 0), (2, NULL, 0), (3, 2, 0), (4, 3, 0), (5, 4, 0)",
    "UPDATE tree SET above = 4 WHERE id = 2",  # 2 on 4 on 3 on 2, and 5 on 4
    "INSERT INTO customer VALUES (1, NULL, 0), (2, NULL, 0)", "INSERT INTO address VALUES (1, 1, 0), (2, 2, 0)",
    "UPDATE customer SET home = id",
)
RING_ROWS = ["SELECT id, above, v FROM tree ORDER BY id", "SELECT id, home, v FROM customer", "SELECT id, customer, v FROM address"]


def _with_rings(pair: Pair) -> tuple[Node, Node]:
    hand.everywhere(pair, TREE, *RINGS)
    pair.install()
    return pair.anna, pair.bert


@BOTH
@pytest.mark.parametrize("holds", ["INSERT INTO leaf VALUES (1, 5)", "INSERT INTO tree VALUES (6, 3, 1)"])
def test_a_new_row_keeps_the_whole_ring_that_it_hangs_on(fresh_pair: Pair, first: str, holds: str) -> None:
    anna, bert = _with_rings(fresh_pair)
    bert.sql("UPDATE tree SET v = v")  # each of them changed here, by older versions that say nothing
    bert.sql("INSERT INTO address VALUES (3, 2, 1)")
    hand.transaction(anna, "DELETE FROM tree WHERE id = 2", "DELETE FROM customer")
    bert.sql(holds)
    before = [bert.sql(text) for text in RING_ROWS]
    _settle(fresh_pair, first)
    assert [anna.sql(text) for text in RING_ROWS] == [
        [row for row in before[0] if row[0] != 5 or "leaf" in holds], [(2, 2, 0)], [(2, 2, 0), (3, 2, 1)]]
    assert anna.sql("SELECT id, tree FROM leaf") == ([(1, 5)] if "leaf" in holds else [])


@BOTH
@pytest.mark.parametrize("edit", ["v = v", "v = 7"])
def test_a_ring_that_nothing_holds_goes_and_what_was_changed_in_it_is_kept(fresh_pair: Pair, first: str, edit: str) -> None:
    anna, bert = _with_rings(fresh_pair)
    bert.sql(f"UPDATE tree SET {edit} WHERE id IN (2, 3, 4)")
    hand.transaction(bert, f"UPDATE customer SET {edit} WHERE id = 1", f"UPDATE address SET {edit} WHERE id = 1")
    hand.transaction(anna, "DELETE FROM tree WHERE id = 2", "DELETE FROM customer WHERE id = 1")
    _settle(fresh_pair, first)
    assert [anna.sql(text) for text in RING_ROWS] == [[(1, None, 0)], [(2, 2, 0)], [(2, 2, 0)]]
    kept = {(table, key) for node in fresh_pair.nodes for table, key, _, _ in _kept(node, "newer")}
    assert kept == (set() if edit == "v = v" else {("tree", "2"), ("tree", "3"), ("tree", "4"), ("customer", "1"), ("address", "1")})


@BOTH
def test_a_later_change_of_one_row_keeps_the_whole_ring(fresh_pair: Pair, first: str) -> None:
    anna, bert = _with_rings(fresh_pair)
    bert.sql("UPDATE tree SET v = 7 WHERE id IN (2, 3)")
    bert.sql("UPDATE address SET v = 7")
    hand.transaction(anna, "DELETE FROM tree WHERE id = 2", "DELETE FROM customer WHERE id = 1")
    hand.transaction(bert, "UPDATE tree SET v = 8 WHERE id = 3", "UPDATE customer SET v = 8 WHERE id = 1")
    _settle(fresh_pair, first)
    assert [anna.sql(text) for text in RING_ROWS] == [
        [(1, None, 0), (2, 4, 7), (3, 2, 8), (4, 3, 0)], [(1, 1, 8), (2, 2, 0)], [(1, 1, 7), (2, 2, 7)]]


# tables in between that are not replicated ----------------------------------------------------------

def _with_excluded(pair: Pair, action: str) -> tuple[Node, Node]:
    """a <- m <- n <- c, of which m and n are each laptop's own."""
    for node in pair.nodes:
        node.change_conf({"sync": {"exclude": "m, n"}})
    hand.everywhere(
        pair, "CREATE TABLE a (id INT PRIMARY KEY, v INT)",
        "CREATE TABLE m (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE)",
        "CREATE TABLE n (id INT PRIMARY KEY, m INT, FOREIGN KEY (m) REFERENCES m (id) ON DELETE CASCADE)",
        f"CREATE TABLE c (id INT PRIMARY KEY, n INT, v INT, FOREIGN KEY (n) REFERENCES n (id) ON DELETE {action})",
        "INSERT INTO a VALUES (1, 1), (2, 1)", "INSERT INTO m VALUES (10, 1), (20, 2)", "INSERT INTO n VALUES (100, 10), (200, 20)",
        "INSERT INTO c VALUES (1000, 100, 1), (2000, 200, 1)")
    pair.install()
    return pair.anna, pair.bert


@BOTH
def test_a_new_row_behind_tables_of_each_laptops_own_keeps_its_ancestor(fresh_pair: Pair, first: str) -> None:
    anna, bert = _with_excluded(fresh_pair, "CASCADE")
    anna.sql("DELETE FROM a WHERE id = 1")
    bert.sql("UPDATE c SET v = 5 WHERE id = 1000")
    order = (anna, bert) if first == "anna" else (bert, anna)
    for node, other in (order, order[::-1], order):
        other.start_serve()
        node.drain()
        other.stop_serve()
    assert bert.sql("SELECT id, n, v FROM c") == [(1000, 100, 5), (2000, 200, 1)]
    assert anna.sql("SELECT id FROM a") == bert.sql("SELECT id FROM a") == [(1,), (2,)]


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_what_hangs_behind_tables_of_each_laptops_own_is_kept_and_told_of(fresh_pair: Pair, action: str) -> None:
    anna, bert = _with_excluded(fresh_pair, action)
    hand.unseen(bert, "INSERT INTO c VALUES (1001, 100, 5)")
    anna.sql("DELETE FROM a WHERE id = 1")
    bert.start_serve()
    anna.drain(check=0)
    nulled = action == "SET NULL"
    assert bert.sql("SELECT id, n FROM c") == ([(1000, None), (1001, None), (2000, 200)] if nulled else [(2000, 200)])
    assert bert.sql("SELECT id FROM m") == [(20,)]
    assert _kept(bert, "cascade") == [("c", "1001", True, nulled)]
    assert fresh_pair.differences(["a"]) == []
