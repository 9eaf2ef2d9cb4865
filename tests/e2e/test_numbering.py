"""Laptops apart must not give one number to two rows: who notices, what is advised, what outlives a
restart of the server; and what happens to the rows when it did go wrong."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from lab import Cluster, Node, Pair, hand
from lab.node import ACCOUNT
from lab.server import find_program
from lab.waiting import until

pytestmark = pytest.mark.slow

ROWS = "CREATE TABLE notes (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(40))"
CHILDREN = ("CREATE TABLE `lines` (id INT PRIMARY KEY, note INT NOT NULL, v VARCHAR(40),"
            " FOREIGN KEY (note) REFERENCES notes (id))")
DONE, PERSON = 0, 5


def _number(node: Node, step: int, first: int) -> None:
    """As a person would set it now."""
    node.server.sql(f"SET GLOBAL auto_increment_increment={step}, GLOBAL auto_increment_offset={first}")


def _numbered(node: Node) -> tuple[int, int]:
    (values,) = node.server.sql("SELECT @@global.auto_increment_increment, @@global.auto_increment_offset")
    return int(values[0]), int(values[1])


def _warnings(node: Node) -> list[dict[str, str]]:
    found = json.loads(node.agent("--check", "--json").stdout)["findings"]
    return [one for one in found if one["severity"] in ("warning", "problem") and "number" in one["finding"]]


def _advised(one: dict[str, str]) -> tuple[str, int, int]:
    """Node, step and first number that a remedy names."""
    match = re.search(r"on (\w+) run SET GLOBAL auto_increment_increment=(\d+), GLOBAL auto_increment_offset=(\d+)", one["remedy"])
    assert match, one
    return match[1], int(match[2]), int(match[3])


@pytest.fixture
def numbered_pair(fresh_pair: Pair):
    """Installed, with numbers of their own; the servers are put back at the end."""
    hand.everywhere(fresh_pair, ROWS)
    yield fresh_pair
    for i, node in enumerate(fresh_pair.nodes):
        _number(node, 2, i + 1)


def test_both_laptops_give_the_same_advice_and_following_it_ends_it(numbered_pair: Pair) -> None:
    anna, bert = numbered_pair.nodes
    for node in (anna, bert):
        _number(node, 1, 1)
    numbered_pair.install()
    numbered_pair.start_serve()
    advice = {_advised(one) for one in _warnings(anna)}
    assert advice == {_advised(one) for one in _warnings(bert)} == {("anna", 2, 1), ("bert", 2, 2)}
    for name, step, first in advice:
        _number(numbered_pair[name], step, first)
    assert _warnings(anna) == _warnings(bert) == []
    assert "numbers of their own" in anna.agent("--check", check=DONE).stdout


def test_equal_offsets_are_noticed_without_asking_the_peer_again(numbered_pair: Pair) -> None:
    anna, bert = numbered_pair.nodes
    _number(bert, 2, 1)
    numbered_pair.install()
    anna.sql("INSERT INTO notes (v) VALUES ('makes the two speak')")
    numbered_pair.settle()  # hello and welcome have told them
    assert "on bert run SET GLOBAL auto_increment_increment=2, GLOBAL auto_increment_offset=2" in anna.install().stdout
    assert [_advised(one) for one in _warnings(anna)] == [("bert", 2, 2)]
    assert "auto_increment_offset=2" in anna.agent("--status").stdout
    assert len(anna.status()["numbering"]) == 1
    _number(bert, 2, 2)
    anna.sql("INSERT INTO notes (v) VALUES ('a')")
    numbered_pair.settle()
    assert "SET GLOBAL" not in anna.install().stdout and anna.status()["numbering"] == []


def test_a_database_without_automatic_numbers_is_not_told_about_them(numbered_pair: Pair) -> None:
    anna, bert = numbered_pair.nodes
    for node in (anna, bert):
        _number(node, 1, 1)
        node.sql("CREATE OR REPLACE TABLE notes (id CHAR(36) PRIMARY KEY)")
    numbered_pair.install()
    anna.sql("INSERT INTO notes VALUES (UUID())")
    numbered_pair.settle()
    assert _warnings(anna) == [] and "SET GLOBAL" not in anna.install().stdout
    assert anna.status()["numbering"] == []


def test_three_laptops_need_three_steps() -> None:
    with Cluster(3, "star", schemas=()) as three:
        hand.everywhere(three, ROWS)
        for i, node in enumerate(three.nodes):
            _number(node, 2, i % 2 + 1)
        three.install()
        three["anna"].sql("INSERT INTO notes (v) VALUES ('for both')")
        three.settle()
        advice = [_advised(one) for one in _warnings(three["anna"])]
        assert sorted(advice) == [("anna", 3, 1), ("bert", 3, 2), ("cleo", 3, 3)]
        for name, step, first in advice:
            _number(three[name], step, first)
        for node in three.nodes:
            for i in range(3):
                node.sql("INSERT INTO notes (v) VALUES (%s)", [f"{node.name} {i}"])
        three.settle()
        three.assert_equal()
        assert _warnings(three["anna"]) == [] and len(three["cleo"].sql("SELECT * FROM notes")) == 10


def test_what_the_remedy_says_to_write_is_what_a_server_reads(numbered_pair: Pair, tmp_path: Path) -> None:
    anna, _ = numbered_pair.nodes
    _number(anna, 1, 1)
    anna.install()
    remedy = _warnings(anna)[0]["remedy"]
    lines = re.search(r"the three lines (.*) into (\S+)", remedy)
    assert lines and lines[2] == "/etc/mysql/mariadb.conf.d/60-tandem.cnf"
    assert r"xampp\mysql\bin\my.ini" in remedy and "/opt/lampp/etc/my.cnf" in remedy
    # Behind what a stock XAMPP or Debian server has.
    file = tmp_path / "my.cnf"
    file.write_text("[mysqld]\nport=3306\nauto_increment_offset=1\n" + "\n".join(lines[1].split(" / ")) + "\n")
    shown = subprocess.run([find_program("mariadbd"), f"--defaults-file={file}", "--help", "--verbose", "--user=root"],
                           text=True, capture_output=True, check=True).stdout
    values = dict(line.split(None, 1) for line in shown.splitlines() if line.startswith("auto-increment-"))
    assert (values["auto-increment-increment"].strip(), values["auto-increment-offset"].strip()) == ("2", "1")


# over a restart ----------------------------------------------------------------------------------

@pytest.fixture
def forgetful_pair():
    """Servers whose configuration says nothing of numbering: what is set is lost in a restart."""
    with Pair(schemas=(), server_options=["--auto-increment-increment=1", "--auto-increment-offset=1"]) as two:
        hand.everywhere(two, ROWS)
        for i, node in enumerate(two.nodes):
            _number(node, 2, i + 1)
        two.install()
        yield two


def test_a_server_that_forgot_its_numbering_is_given_it_again(forgetful_pair: Pair) -> None:
    anna, bert = forgetful_pair.nodes
    bert.server.sql(f"GRANT SUPER ON *.* TO '{ACCOUNT}'@'localhost'")
    anna.start_serve()
    bert.server.restart()
    assert _numbered(bert) == (1, 1)
    bert.drain()
    assert _numbered(bert) == (2, 2) and "auto_increment_offset=2 are set again" in bert.agent_log.read_text()
    bert.start_serve()
    bert.server.restart()
    hand.run(anna.connect(), "INSERT INTO notes (v) VALUES ('wakes the link')")

    def told() -> bool:
        return _numbered(bert) == (2, 2)
    until(told, 60, "the agent that serves sets it again when it reconnects")
    bert.sql("INSERT INTO notes (v) VALUES ('even')")
    assert [row[0] % 2 for row in bert.sql("SELECT id FROM notes WHERE v='even'")] == [0]
    forgetful_pair.wait_quiet()
    forgetful_pair.assert_equal()


def test_an_account_that_may_not_set_it_says_so_instead(forgetful_pair: Pair) -> None:
    anna, bert = forgetful_pair.nodes
    anna.start_serve()
    bert.server.restart()
    bert.drain(check=DONE)
    assert _numbered(bert) == (1, 1) and "lost its numbering" in bert.agent_log.read_text()
    assert [_advised(one) for one in _warnings(bert)] == [("bert", 2, 2)]
    assert "auto_increment_offset=2" in bert.agent("--status").stdout
    _number(bert, 2, 2)
    bert.drain(check=DONE)
    assert _warnings(bert) == []


def test_a_person_who_sets_it_otherwise_is_not_overruled(forgetful_pair: Pair) -> None:
    anna, bert = forgetful_pair.nodes
    bert.server.sql(f"GRANT SUPER ON *.* TO '{ACCOUNT}'@'localhost'")
    anna.start_serve()
    _number(bert, 1, 1)
    bert.drain(check=DONE)
    assert _numbered(bert) == (1, 1)
    bert.server.restart()
    bert.drain(check=DONE)
    assert _numbered(bert) == (1, 1)


# one number, two rows ----------------------------------------------------------------------------

def _both_keep(pair: Pair, table: str = "notes") -> None:
    """Nothing was merged or overwritten, and a person is told on both sides."""
    for node in pair.nodes:
        rows = node.sql(f"SELECT id, v FROM {table} WHERE v LIKE '%%made here%%'")
        assert rows == [(1, f"{node.name} made here")], (node.name, rows)


def _collide(pair: Pair) -> None:
    """Drain until both have been told by the other."""
    def told() -> bool:
        for node in pair.nodes:
            node.drain(check=(DONE, PERSON))
        return all(any("auto_increment_offset" in reason for *_, reason in hand.owed(node)) for node in pair.nodes)
    until(told, 30, "both rows are refused on the other side")


def _apart(pair: Pair, *ddl: str) -> None:
    hand.everywhere(pair, ROWS, *ddl)
    for node in pair.nodes:
        _number(node, 1, 1)
    pair.install()
    pair.start_serve()
    pair.stop_serve()
    for node in pair.nodes:
        node.change_conf({"sync": {"interval": "10s"}})


@pytest.fixture
def apart(fresh_pair: Pair):
    """Numbered alike; what the test writes stays at home until it drains."""
    yield fresh_pair
    for i, node in enumerate(fresh_pair.nodes):
        _number(node, 2, i + 1)


@pytest.mark.parametrize("key", ["", "1"], ids=["automatic", "explicit"])
def test_two_rows_with_one_number_both_stay(apart: Pair, key: str) -> None:
    _apart(apart)
    for node in apart.nodes:
        node.sql(f"INSERT INTO notes VALUES ({key or 'NULL'}, %s)", [f"{node.name} made here"])
    apart.start_serve()
    _collide(apart)
    _both_keep(apart)


def test_two_rows_with_one_number_keep_their_own_children(apart: Pair) -> None:
    _apart(apart, CHILDREN)
    for i, node in enumerate(apart.nodes):
        hand.transaction(node, ("INSERT INTO notes VALUES (NULL, %s)", [f"{node.name} made here"]),
                         ("INSERT INTO `lines` VALUES (%s, 1, %s)", [10 + i, node.name]))
    apart.start_serve()
    _collide(apart)
    _both_keep(apart)
    # A line of anna's must not hang on bert's note of the same number.
    for i, node in enumerate(apart.nodes):
        assert node.sql("SELECT id, v FROM `lines` WHERE note=1") == [(10 + i, node.name)]


def test_a_line_written_later_does_not_hang_on_the_other_note_either(apart: Pair) -> None:
    """The collision is known from an earlier group; the child comes alone, inserted and then moved there."""
    _apart(apart, CHILDREN)
    for node in apart.nodes:
        node.sql("INSERT INTO notes VALUES (NULL, %s)", [f"{node.name} made here"])
    anna, bert = apart.nodes
    bert.sql("INSERT INTO notes VALUES (50, 'no namesake')")
    bert.sql("INSERT INTO `lines` VALUES (20, 50, 'bert')")
    apart.start_serve()
    _collide(apart)
    bert.sql("INSERT INTO `lines` VALUES (21, 1, 'bert')")
    bert.sql("UPDATE `lines` SET note=1 WHERE id=20")

    def wait() -> bool:
        bert.drain(check=(DONE, PERSON))
        return {key: state for table, key, state, _, _ in hand.owed(bert) if table == "lines"} == {"20": "waiting", "21": "waiting"}
    until(wait, 30, "both lines wait")
    assert anna.sql("SELECT id, note FROM `lines` ORDER BY id") == [(20, 50)]
    # bert gives his note another number, the way an app would.
    hand.transaction(bert, "INSERT INTO notes VALUES (60, 'bert made here')", "UPDATE `lines` SET note=60",
                     "DELETE FROM notes WHERE id=1")
    for node in apart.nodes:
        node.agent("--retry", "all", check=DONE)
    apart.settle()
    apart.assert_equal()
    assert anna.sql("SELECT id, v FROM notes ORDER BY id") == [(1, "anna made here"), (50, "no namesake"), (60, "bert made here")]
    assert anna.sql("SELECT id, note FROM `lines` ORDER BY id") == [(20, 60), (21, 60)]


@pytest.mark.parametrize("way", ["delete", "renumber", "update"])
def test_what_a_person_does_with_one_of_the_two_leaves_the_other_alone(apart: Pair, way: str) -> None:
    _apart(apart)
    anna, bert = apart.nodes
    for node in apart.nodes:
        node.sql("INSERT INTO notes VALUES (NULL, %s)", [f"{node.name} made here"])
    apart.start_serve()
    _collide(apart)
    bert.sql({"delete": "DELETE FROM notes", "renumber": "UPDATE notes SET id=9",
              "update": "UPDATE notes SET v=CONCAT(v, '!')"}[way])
    for node in (bert, anna, bert):
        node.drain(check=(DONE, PERSON))
    assert (1, "anna made here") in anna.sql("SELECT id, v FROM notes")
    if way == "update":
        assert bert.sql("SELECT id, v FROM notes") == [(1, "bert made here!")]
        return
    for node in apart.nodes:
        node.agent("--retry", "all", check=DONE)
    apart.settle()
    apart.assert_equal()
    assert anna.sql("SELECT id FROM notes ORDER BY id") == ([(1,)] if way == "delete" else [(1,), (9,)])


@pytest.mark.parametrize("later", ["UPDATE notes SET id=9", "DELETE FROM notes"], ids=["renumbered", "deleted"])
def test_a_row_that_came_and_went_at_home_takes_no_other_with_it(apart: Pair, later: str) -> None:
    """Before anything was drained: the other laptop has a row of that number, too."""
    _apart(apart)
    anna, bert = apart.nodes
    for node in apart.nodes:
        node.sql("INSERT INTO notes VALUES (NULL, %s)", [f"{node.name} made here"])
    bert.sql(later)
    apart.settle()
    apart.assert_equal()
    left = [(1, "anna made here")] + ([(9, "bert made here")] if "UPDATE" in later else [])
    assert anna.sql("SELECT id, v FROM notes ORDER BY id") == left


def test_a_node_between_two_that_gave_one_number_passes_neither_on_over_the_other() -> None:
    with Cluster(3, "chain", schemas=()) as three:  # anna - bert - cleo
        hand.everywhere(three, ROWS)
        anna, bert, cleo = three.nodes
        for node in three.nodes:
            _number(node, 1, 1)
        three.install()
        for node in (anna, cleo):
            node.sql("INSERT INTO notes VALUES (NULL, %s)", [f"{node.name} made here"])
        three.start_serve()

        def quiet() -> bool:
            for node in three.nodes:
                node.drain(check=(DONE, PERSON))
            return three.pending() == 0
        until(quiet, 30, "what can go has gone")
        assert anna.sql("SELECT v FROM notes") == [("anna made here",)]
        assert cleo.sql("SELECT v FROM notes") == [("cleo made here",)]
        assert bert.sql("SELECT COUNT(*) FROM notes") == [(1,)]


def test_a_number_used_again_after_a_delete_is_not_taken_for_the_old_row(apart: Pair) -> None:
    """anna deletes what both know and makes another row with its number; bert has changed the old one."""
    _apart(apart)
    anna, bert = apart.nodes
    anna.sql("INSERT INTO notes VALUES (7, 'both know it')")
    apart.settle()
    bert.sql("DELETE FROM notes")
    bert.sql("INSERT INTO notes VALUES (7, 'bert: another row')")
    anna.sql("DELETE FROM notes")
    anna.sql("INSERT INTO notes VALUES (7, 'anna: another row')")
    apart.settle(codes=(DONE, PERSON))
    kept = [row for node in apart.nodes for row in hand.sync(node, "SELECT local_row, remote_row FROM sync_conflict")]
    left = [node.sql("SELECT v FROM notes")[0][0] for node in apart.nodes]
    texts = " ".join(left) + str(kept)
    assert "bert: another row" in texts and "anna: another row" in texts, (left, kept)
