"""Rows that break a CHECK: an app may write them under check_constraint_checks=0 (JSON columns carry one).
Where both tables have the same CHECKs they are taken as they are, else refused."""

from __future__ import annotations

import pytest

from lab import Pair, hand, until
from lab.node import Node

TABLE = ("CREATE TABLE t (id INT PRIMARY KEY, j JSON, n INT CHECK (n<>7), a INT, b INT, place INT UNIQUE,"
         " CONSTRAINT `it's \"a``b` CHECK (a<b OR a IS NULL))")
OFF = "SET check_constraint_checks=0"


def _ready(pair: Pair, *ddl: str) -> tuple[Node, Node]:
    hand.everywhere(pair, *ddl)
    for node in pair.nodes:
        assert "not replicated" not in node.install().stdout
    return pair.anna, pair.bert


def _send(sender: Node, pair: Pair, *statements: str) -> None:
    """What one session writes without CHECKs, sent by hand: the other side alone serves."""
    for node in pair.nodes:
        if node is sender and node.serving():
            node.stop_serve()
        if node is not sender and not node.serving():
            node.start_serve()
    hand.transaction(sender, OFF, *statements)
    sender.drain(check={0, 5})


def _arrive(sender: Node, pair: Pair, *statements: str) -> None:
    _send(sender, pair, *statements)
    assert hand.owed(sender) == []
    pair.assert_equal()


def _refused(sender: Node) -> list[tuple[str, str]]:
    """Which records wait for another try, and that each reason names the CHECK."""
    rows = hand.owed(sender)
    assert all("CONSTRAINT" in reason for *_, reason in rows), rows
    return [(table, key) for table, key, *_ in rows]


def test_rows_that_break_the_checks_of_both_sides_travel_in_both_directions(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, TABLE)
    _arrive(anna, fresh_pair, "INSERT INTO t (id, j, n, a, b) VALUES (1, 'no json', 7, 2, 1), (2, '{}', 1, 1, 2), (3, NULL, 7, NULL, NULL)")
    _arrive(bert, fresh_pair, "UPDATE t SET j='{', n=n+1 WHERE id=1", "UPDATE t SET j='[' WHERE id=2", "UPDATE t SET id=9 WHERE id=3")
    _arrive(anna, fresh_pair, "DELETE FROM t WHERE id=1", "INSERT INTO t (id, a, b) SELECT seq, 9, seq%9 FROM seq_100_to_3000")
    assert anna.sql("SELECT COUNT(*) FROM t") == [(2903,)]


def test_the_order_and_the_names_of_checks_do_not_matter(fresh_pair: Pair) -> None:
    columns = "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT"
    anna, bert = fresh_pair.nodes
    anna.sql(f"{columns}, CONSTRAINT one CHECK (a<b), CONSTRAINT two CHECK (a<>7))")
    bert.sql(f"{columns}, CONSTRAINT three CHECK (a<>7), CONSTRAINT four CHECK (a<b))")
    _ready(fresh_pair)
    _arrive(anna, fresh_pair, "INSERT INTO t VALUES (1, 7, 0)")


@pytest.mark.parametrize("there, here", [
    ("v<9", "v<8"), ("v<9", "v<9 AND v<>10"), ("v<9", "v<=9"), ("v<9 OR v=5", "v<9"),
])
def test_a_check_of_the_receivers_own_goes_on_refusing_by_name(fresh_pair: Pair, there: str, here: str) -> None:
    anna, bert = fresh_pair.nodes
    anna.sql(f"CREATE TABLE t (id INT PRIMARY KEY, v INT, CONSTRAINT small CHECK ({there}))")
    bert.sql(f"CREATE TABLE t (id INT PRIMARY KEY, v INT, CONSTRAINT small CHECK ({here}))")
    _ready(fresh_pair, "CREATE TABLE u (id INT PRIMARY KEY, j JSON)")
    _send(anna, fresh_pair, "INSERT INTO t VALUES (1, 10), (2, 1)", "INSERT INTO u VALUES (1, 'no json')")
    assert _refused(anna) == [("t", "1")] and "`small`" in hand.owed(anna)[0][4]
    assert (bert.sql("SELECT id FROM t"), bert.sql("SELECT j FROM u")) == ([(2,)], [("no json",)])


@pytest.mark.parametrize("where", ["anna", "bert"])
def test_running_agents_notice_that_a_check_has_come_or_gone(fresh_pair: Pair, where: str) -> None:
    anna, bert = _ready(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, v INT, CONSTRAINT small CHECK (v<9))")
    fresh_pair.start_serve()
    hand.transaction(anna, OFF, "INSERT INTO t VALUES (1, 10)")
    until(lambda: bert.sql("SELECT COUNT(*) FROM t") == [(1,)], 60, "the row has arrived")
    if where == "anna":
        anna.sql("ALTER TABLE t DROP CONSTRAINT small")
        # An agent looks at its tables when there is something to send.
        until(lambda: anna.sql("REPLACE INTO t VALUES (1, 8)") is not None and "table t was compared" in anna.logs(), 60, "anna has noticed")
    else:
        hand.transaction(bert, OFF, "ALTER TABLE t ADD CONSTRAINT more CHECK (v<>3)")
    hand.transaction(anna, OFF, "INSERT INTO t VALUES (2, 11)")
    until(lambda: _refused(anna) == [("t", "2")], 60, "the other row is refused")
    assert bert.sql("SELECT id FROM t") == [(1,)]


def test_rows_that_can_only_go_together_may_break_a_check(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, TABLE)
    _arrive(anna, fresh_pair, "INSERT INTO t (id, place) VALUES (1, 1), (2, 2), (3, 3)")
    _arrive(anna, fresh_pair, "UPDATE t SET place=NULL WHERE id=3", "UPDATE t SET place=3, j='{' WHERE id=2",
            "UPDATE t SET place=2, n=7 WHERE id=1", "UPDATE t SET place=1, a=1, b=0 WHERE id=3")
    _arrive(bert, fresh_pair, "INSERT INTO t (id, j, place) VALUES (5, '[', 5)", "DELETE FROM t WHERE id=2")


def test_checks_are_on_again_behind_rows_that_broke_them(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.nodes
    anna.sql("CREATE TABLE u (id INT PRIMARY KEY, v INT)")
    bert.sql("CREATE TABLE u (id INT PRIMARY KEY, v INT CHECK (v<>7))")
    _ready(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, j JSON, k INT UNIQUE)")
    bert.sql("INSERT INTO t VALUES (100, '1', 100)")
    _send(anna, fresh_pair, "INSERT INTO t VALUES (1, '{', 1), (2, '{', 100)", "INSERT INTO u VALUES (1, 7)")
    assert [(table, key) for table, key, *_ in hand.owed(anna)] == [("t", "2"), ("u", "1")]
    _send(anna, fresh_pair, "INSERT INTO t VALUES (3, '{', 3)")
    _send(anna, fresh_pair, "INSERT INTO u VALUES (2, 7)")
    assert sorted((table, key) for table, key, *_ in hand.owed(anna)) == [("t", "2"), ("u", "1"), ("u", "2")]
    assert bert.sql("SELECT id FROM t ORDER BY id") == [(1,), (3,), (100,)]


@pytest.mark.parametrize("choice, taken", [("guard", True), ("run", False)])
def test_checks_stay_on_where_triggers_of_the_app_run(fresh_pair: Pair, choice: str, taken: bool) -> None:
    for node in fresh_pair.nodes:
        node.change_conf({"table t": {"app_triggers": choice}, "sync": {"tables": "t"}})
        node.server.sql("GRANT SET USER ON *.* TO 'tandem'@'localhost'")
    anna, bert = _ready(
        fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, j JSON)", "CREATE TABLE stock (id INT PRIMARY KEY, n INT CHECK (n>=0))",
        "INSERT INTO stock VALUES (1, 0)", "CREATE TRIGGER sell AFTER INSERT ON t FOR EACH ROW UPDATE stock SET n=n-1")
    _send(anna, fresh_pair, "INSERT INTO t VALUES (1, 'no json')")
    assert _refused(anna) == ([] if taken else [("t", "1")])
    assert (bert.sql("SELECT COUNT(*) FROM t"), bert.sql("SELECT n FROM stock")) == ([(int(taken),)], [(0,)])


def _apart(pair: Pair) -> Node:
    """Bert's update of the record is the newer one, and he keeps the conflict."""
    anna, bert = _ready(pair, TABLE, "INSERT INTO t (id) VALUES (1)")
    hand.transaction(anna, OFF, "UPDATE t SET j='anna', n=7")
    hand.transaction(bert, OFF, "UPDATE t SET j='bert', n=7")
    _send(anna, pair)
    assert bert.sql("SELECT j FROM t") == [("bert",)]
    return bert


def test_a_person_can_choose_a_version_that_breaks_a_check(fresh_pair: Pair) -> None:
    bert = _apart(fresh_pair)
    (number,) = hand.sync(bert, "SELECT id FROM sync_conflict")[0]
    for keep, text in (("remote", "anna"), ("local", "bert"), ("remote", "anna")):
        bert.agent("--resolve", str(number), "--keep", keep, check=0)
        assert bert.sql("SELECT j FROM t") == [(text,)]
        fresh_pair.settle(codes=(0, 5))
        fresh_pair.assert_equal()


def test_a_version_of_a_table_with_other_checks_is_refused_when_it_is_chosen(fresh_pair: Pair) -> None:
    bert = _apart(fresh_pair)
    bert.sql("UPDATE t SET n=1, j='1'")
    bert.sql("ALTER TABLE t ADD CONSTRAINT late CHECK (n<>5)")
    (number,) = hand.sync(bert, "SELECT id FROM sync_conflict")[0]
    for keep in ("remote", "local"):
        assert "CONSTRAINT" in bert.agent("--resolve", str(number), "--keep", keep, check=5).stderr
    assert bert.sql("SELECT n, j FROM t") == [(1, "1")]
