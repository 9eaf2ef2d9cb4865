"""Tables that come, or become fit, after --install, as an app's upgrade makes them: they are named until --install is
run again, and what was written to them before is compared with the peer, not passed over."""

from __future__ import annotations

import pytest

from lab import Pair, hand, until
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


CHOICES = {"merge": (), "mine": ("--from", "anna"), "theirs": ("--from", "bert")}
KEPT = {"merge": [1, 2, 3], "mine": [1, 2], "theirs": [1, 3]}


@pytest.mark.parametrize("way, choice", [("is made", "merge"), ("is made", "theirs"), ("gets a key", "mine"), ("gets a choice", "merge")])
def test_rows_written_to_a_table_before_it_is_replicated_are_a_persons_choice(fresh_pair: Pair, way: str, choice: str) -> None:
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
    # The same rows under other numbers must not become twice as many.
    until(lambda: anna.drain(check=(0, 5)) and [(one["state"], one["records"]) for one in anna.status()["peers"][0]["moved_tables"]] == [("held", 2)],
          60, "the new table is held")
    anna.agent("--verify", "--table", "late", "--peer", "bert", "--repair", *CHOICES[choice], check=0)
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert [row[0] for row in _rows(anna)] == KEPT[choice]
    assert all(node.status()["peers"][0]["in_step"] and not node.status()["new_tables"] for node in fresh_pair.nodes)
    anna.sql("DELETE FROM late WHERE id=1")
    fresh_pair.settle()
    fresh_pair.assert_equal()


@pytest.mark.parametrize("who", ["anna", "bert"])
def test_what_one_side_alone_has_in_a_new_table_arrives_without_a_person(fresh_pair: Pair, who: str) -> None:
    hand.everywhere(fresh_pair, EXISTING)
    fresh_pair.install()
    hand.everywhere(fresh_pair, *LATE["is made"][1], "INSERT INTO late VALUES (1, 'both')")
    fresh_pair[who].sql("INSERT INTO late SELECT seq, 'mine' FROM seq_2_to_50")
    fresh_pair.install()
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert len(_rows(fresh_pair.anna)) == 50
    fresh_pair.anna.sql("UPDATE late SET v='edited' WHERE id=7")
    fresh_pair.settle()
    fresh_pair.assert_equal()


def test_the_first_install_compares_nothing(fresh_pair: Pair) -> None:
    hand.everywhere(fresh_pair, EXISTING)
    fresh_pair.install()
    assert hand.sync(fresh_pair.anna, "SELECT * FROM sync_drift") == []
