"""Tables that come, or become fit, after --install, as an app's upgrade makes them: they are named until --install is
run again, and what was written to them before is compared with the peer and merged, not passed over."""

from __future__ import annotations

import pytest

from lab import Pair, hand
from lab.node import Node

pytestmark = pytest.mark.slow

TRIGGER = "CREATE TRIGGER stamp BEFORE INSERT ON late FOR EACH ROW SET NEW.v=CONCAT(NEW.v, '!')"
# How a table comes late: before the first --install, and what makes it fit afterwards.
LATE = {
    "is made": ((), ("CREATE TABLE late (id INT PRIMARY KEY, v VARCHAR(20))",)),
    "gets a key": (("CREATE TABLE late (id INT NOT NULL, v VARCHAR(20))",), ("ALTER TABLE late ADD PRIMARY KEY (id)",)),
    "gets a choice": (("CREATE TABLE late (id INT PRIMARY KEY, v VARCHAR(20))", TRIGGER), ()),
}
EXISTING = "CREATE TABLE t (id INT PRIMARY KEY, v INT)"


def _write(node: Node, number: int, *ddl: str) -> None:
    """A row that both have, and one of its own."""
    connection = node.connect()
    hand.run(connection, *ddl, "INSERT INTO late VALUES (1, 'both')", f"INSERT INTO late VALUES ({number}, '{node.name}')")
    connection.close()


def _rows(node: Node) -> list[tuple]:
    return [tuple(row) for row in node.sql("SELECT id, v FROM late ORDER BY id")]


def _check(node: Node) -> list[str]:
    return [line for line in node.agent("--check").stdout.splitlines() if " late " in line]


@pytest.mark.parametrize("way", LATE)
def test_rows_written_to_a_table_before_it_is_replicated_arrive(fresh_pair: Pair, way: str) -> None:
    before, after = LATE[way]
    anna, bert = fresh_pair.nodes
    for node in fresh_pair.nodes:
        node.server.sql("GRANT SET USER ON *.* TO 'tandem'@'localhost'")  # the app's trigger is root's
    hand.everywhere(fresh_pair, EXISTING, *before)
    for node in fresh_pair.nodes:
        node.agent("--install", check=(0, 5))
    anna.sql("INSERT INTO t VALUES (1, 1)")
    fresh_pair.settle(codes=(0, 5))

    _write(anna, 2, *after)
    if not after:
        _write(bert, 3)
    assert len(_check(anna)) == 1, "one line, not one for each trigger"
    ran = anna.agent("--status", check=5)
    assert "late is n" in ran.stdout, ran.stdout  # "is new", "is not replicated"
    for node in fresh_pair.nodes:
        node.change_conf({"table late": {"app_triggers": "guard"}})
    bert.start_serve()
    anna.install()
    anna.sql("INSERT INTO t VALUES (2, 1)")
    anna.drain(check=(0, 5))
    assert [tuple(row) for row in bert.sql("SELECT COUNT(*) FROM t")] == [(2,)], "other tables go on"
    if after:  # the peer does not have it
        (moved,) = anna.status()["peers"][0]["moved_tables"]
        assert moved["table"] == "late" and not anna.status()["peers"][0]["in_step"]

    if after:
        _write(bert, 3, *after)
    bert.install()
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert [row[0] for row in _rows(anna)] == [1, 2, 3]
    assert all(node.status()["peers"][0]["in_step"] and not node.status()["new_tables"] for node in fresh_pair.nodes)
    anna.sql("DELETE FROM late WHERE id=3")
    fresh_pair.settle()
    fresh_pair.assert_equal()


def test_of_two_versions_in_a_new_table_one_wins_and_the_other_is_kept(fresh_pair: Pair) -> None:
    hand.everywhere(fresh_pair, EXISTING)
    fresh_pair.install()
    hand.everywhere(fresh_pair, *LATE["is made"][1])
    for node in fresh_pair.nodes:
        node.sql("INSERT INTO late VALUES (1, %s)", [node.name])
    fresh_pair.install()
    fresh_pair.settle()
    fresh_pair.assert_equal()
    kept = [row for node in fresh_pair.nodes for row in hand.sync(node, "SELECT local_row FROM sync_conflict")]
    ((winner,),) = fresh_pair.anna.sql("SELECT v FROM late")
    loser = "bert" if winner == "anna" else "anna"
    assert any(loser in str(row) for row in kept), kept


def test_the_first_install_compares_nothing(fresh_pair: Pair) -> None:
    hand.everywhere(fresh_pair, EXISTING)
    fresh_pair.install()
    assert hand.sync(fresh_pair.anna, "SELECT * FROM sync_drift") == []
