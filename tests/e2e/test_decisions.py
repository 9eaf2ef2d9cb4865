"""What only a person can decide: listed on both sides, and one decision on either side ends it on both."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lab import Pair, compare, hand
from lab.node import Node
from lab.type_matrix import VALUES, Columns
from lab.waiting import until

DONE, PERSON = 0, 5
NOTES = "CREATE TABLE notes (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40), b BLOB)"
PEOPLE = "CREATE TABLE people (id INT PRIMARY KEY, mail VARCHAR(40) UNIQUE, v VARCHAR(40))"
CHILDREN = "CREATE TABLE calls (id INT PRIMARY KEY, person INT, FOREIGN KEY (person) REFERENCES people (id) ON DELETE CASCADE)"


def _open(node: Node) -> list[dict[str, Any]]:
    """What is not decided on the node."""
    kept = json.loads(node.agent("--conflicts", "--json", check={DONE, PERSON}).stdout)["conflicts"]
    return [one for one in kept if one["undecided"]]


def _status(node: Node) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(node.agent("--status", "--json", check={DONE, PERSON}).stdout)
    return status


def _drain_both(pair: Pair) -> None:
    for node in pair.nodes:
        node.drain(check=(DONE, PERSON))


def _disagree(pair: Pair, n: int = 1) -> None:
    """Drain until both sides know of n records that a person has to decide."""
    pair.start_serve()

    def known() -> bool:
        _drain_both(pair)
        return all(len(_open(node)) == n for node in pair.nodes)
    until(known, 60, "both sides list it")


def _agree(pair: Pair) -> None:
    """In step again, equal, and nothing is left over of what was not decided."""
    pair.settle()
    pair.assert_equal()
    for node in pair.nodes:
        assert _open(node) == []
        assert hand.owed(node) == []
        assert hand.sync(node, "SELECT * FROM sync_unsettled") == []
        assert hand.sync(node, "SELECT * FROM sync_undecided WHERE decision IS NULL") == []
        assert all(peer["in_step"] for peer in _status(node)["peers"])


def _start(pair: Pair, *ddl: str) -> tuple[Node, Node]:
    hand.everywhere(pair, *ddl)
    pair.install()
    pair.start_serve()
    pair.stop_serve()
    for node in pair.nodes:
        node.change_conf({"sync": {"interval": "10s"}})
    return pair.anna, pair.bert


def _collide(pair: Pair) -> tuple[Node, Node]:
    """Both have a note 1 of their own, and know of the other's."""
    anna, bert = _start(pair, NOTES)
    for node in pair.nodes:
        node.sql("INSERT INTO notes VALUES (1, %s, x'00ff')", [f"of {node.name}"])
    _disagree(pair)
    return anna, bert


# one number, two rows ------------------------------------------------------------------------------

def test_two_rows_with_one_number_are_listed_as_undecided_on_both_sides(fresh_pair: Pair) -> None:
    for node in _collide(fresh_pair):
        kept = _open(node)[0]
        assert (kept["rule"], kept["kept"], kept["record_id"]) == ("collision", "none", "1")
        assert kept["local"]["row"]["v"] == f"of {node.name}" and kept["local"]["node"] == node.name
        assert kept["remote"]["row"]["v"] != kept["local"]["row"]["v"] and kept["differs"] == ["v"]
        status = _status(node)
        assert status["undecided"] == 1 and status["peers"][0]["undecided"] == 1
        assert not status["peers"][0]["in_step"]
        assert "NOT DECIDED" in node.agent("--conflicts", check=PERSON).stdout
        assert "NOT DECIDED" in node.agent("--status", check=PERSON).stdout
        assert "NOT DECIDED" in node.agent("--explain", "notes", "1", check=DONE).stdout
        assert node.agent("--wait", "30", check=PERSON).returncode == PERSON


def test_trying_again_lists_a_record_once_with_its_newest_version(fresh_pair: Pair) -> None:
    anna, bert = _collide(fresh_pair)
    before = _open(bert)[0]
    anna.sql("UPDATE notes SET v='anna again'")
    anna.agent("--retry", "all", check=DONE)
    for _ in range(3):
        _drain_both(fresh_pair)
    now = _open(bert)
    assert [one["id"] for one in now] == [before["id"]]
    assert now[0]["remote"]["row"]["v"] == "anna again" and now[0]["local"]["row"]["v"] == "of bert"


@pytest.mark.parametrize("keep", ["local", "remote"])
@pytest.mark.parametrize("where", ["anna", "bert"])
def test_a_decision_on_either_side_ends_it_on_both(fresh_pair: Pair, where: str, keep: str) -> None:
    _collide(fresh_pair)
    node = fresh_pair[where]
    other = fresh_pair["bert" if where == "anna" else "anna"]
    stays = where if keep == "local" else other.name
    lost = {one.name: _open(one)[0] for one in fresh_pair.nodes}
    node.agent("--resolve", str(lost[where]["id"]), "--keep", keep, check=DONE)
    _agree(fresh_pair)
    assert node.sql("SELECT v, HEX(b) FROM notes") == [(f"of {stays}", "00FF")]
    # The other side lists it as decided, with the same outcome where it can tell.
    kept = json.loads(other.agent("--conflicts", "--json", check=DONE).stdout)["conflicts"]
    assert kept[-1]["id"] == lost[other.name]["id"]
    assert kept[-1]["resolved_at"] is not None
    if kept[-1]["kept"] != "none":
        assert kept[-1][kept[-1]["kept"]]["row"]["v"] == f"of {stays}"


def test_two_people_who_decide_differently_at_once_end_with_one_of_the_two(fresh_pair: Pair) -> None:
    anna, bert = _collide(fresh_pair)
    fresh_pair.stop_serve()
    for node in (bert, anna):
        node.agent("--resolve", str(_open(node)[0]["id"]), "--keep", "local", check=DONE)
    _agree(fresh_pair)
    assert anna.sql("SELECT v FROM notes") == [("of anna",)]  # decided last
    anna.sql("UPDATE notes SET v='later'")
    _agree(fresh_pair)


def test_two_people_who_decide_and_edit_on_before_they_meet_end_with_the_last_edit(fresh_pair: Pair) -> None:
    anna, bert = _collide(fresh_pair)
    fresh_pair.stop_serve()
    for node in (bert, anna):
        node.agent("--resolve", str(_open(node)[0]["id"]), "--keep", "local", check=DONE)
    bert.sql("UPDATE notes SET v='bert edits on'")
    _agree(fresh_pair)
    assert anna.sql("SELECT v FROM notes") == [("bert edits on",)]


def test_a_decision_made_while_the_other_side_edits_on_is_an_ordinary_conflict(fresh_pair: Pair) -> None:
    anna, bert = _collide(fresh_pair)
    anna.agent("--resolve", str(_open(anna)[0]["id"]), "--keep", "local", check=DONE)
    bert.sql("UPDATE notes SET v='bert edits on'")
    _agree(fresh_pair)
    assert anna.sql("SELECT v FROM notes") == [("bert edits on",)]


def test_what_waited_for_an_undecided_row_goes_on(fresh_pair: Pair) -> None:
    anna, bert = _start(fresh_pair, NOTES, "CREATE TABLE words (id INT PRIMARY KEY, note INT, FOREIGN KEY (note) REFERENCES notes (id))")
    for i, node in enumerate(fresh_pair.nodes):
        hand.transaction(node, ("INSERT INTO notes VALUES (1, %s, NULL)", [node.name]),
                         ("INSERT INTO words VALUES (%s, 1)", [10 + i]))
    _disagree(fresh_pair)
    assert all(attempts == 0 for node in fresh_pair.nodes for table, _, _, attempts, _ in hand.owed(node) if table == "words")
    bert.agent("--resolve", str(_open(bert)[0]["id"]), "--keep", "local", check=DONE)
    _agree(fresh_pair)
    assert anna.sql("SELECT id, note FROM words ORDER BY id") == [(10, 1), (11, 1)]


@pytest.mark.parametrize("first", ["anna", "bert"])
def test_an_undecided_record_that_is_deleted_is_decided(fresh_pair: Pair, first: str) -> None:
    anna, bert = _collide(fresh_pair)
    bert.sql("DELETE FROM notes")
    for node in fresh_pair.nodes:
        node.agent("--retry", "all", check=DONE)
    fresh_pair[first].drain(check=(DONE, PERSON))
    _agree(fresh_pair)
    assert bert.sql("SELECT v FROM notes") == [("of anna",)]


# one unique value, two rows ------------------------------------------------------------------------

def _two_mails(pair: Pair, *more: str) -> tuple[Node, Node]:
    anna, bert = _start(pair, PEOPLE, *more)
    anna.sql("INSERT INTO people VALUES (10, 'm@example.org', 'of anna')")
    bert.sql("INSERT INTO people VALUES (20, 'M@example.org', 'of bert')")
    _disagree(pair)
    return anna, bert


def test_two_rows_with_one_unique_value_both_stay_and_are_named_on_both_sides(fresh_pair: Pair) -> None:
    anna, bert = _two_mails(fresh_pair)
    assert anna.sql("SELECT id FROM people") == [(10,)] and bert.sql("SELECT id FROM people") == [(20,)]
    kept = _open(anna)[0]
    assert (kept["rule"], kept["record_id"]) == ("unique", "20")
    assert kept["local"]["row"]["v"] == "of anna" and kept["remote"]["row"]["v"] == "of bert"
    assert kept["local"]["node"] == "anna"
    assert _open(bert)[0]["record_id"] == "10"
    for node in fresh_pair.nodes:
        assert _status(node)["undecided"] == 1
        assert "unique value" in node.agent("--conflicts", check=PERSON).stdout


@pytest.mark.parametrize("keep", ["local", "remote"])
@pytest.mark.parametrize("where", ["anna", "bert"])
def test_either_decision_about_a_unique_value_ends_it_equal(fresh_pair: Pair, where: str, keep: str) -> None:
    anna, bert = _two_mails(fresh_pair)
    node = fresh_pair[where]
    annas = (where == "anna") == (keep == "local")
    node.agent("--resolve", str(_open(node)[0]["id"]), "--keep", keep, check=DONE)
    _agree(fresh_pair)
    assert bert.sql("SELECT id, v FROM people") == [(10, "of anna") if annas else (20, "of bert")]
    rows = [one[side]["row"]["v"] for n in fresh_pair.nodes
            for one in json.loads(n.agent("--conflicts", "--json", check=DONE).stdout)["conflicts"]
            for side in ("local", "remote") if one[side]["row"]]
    assert "of bert" in rows and "of anna" in rows  # the one that went is kept whole


@pytest.mark.parametrize("keep", ["local", "remote"])
@pytest.mark.parametrize("numbered", ["", "AUTO_INCREMENT"], ids=["chosen keys", "numbered"])
def test_a_decision_stands_when_the_other_side_tries_again_before_it_hears_of_it(fresh_pair: Pair, numbered: str, keep: str) -> None:
    anna, bert = _start(fresh_pair, f"CREATE TABLE people (id INT PRIMARY KEY {numbered}, mail VARCHAR(40) UNIQUE, v VARCHAR(40))")
    anna.sql("INSERT INTO people VALUES (10, 'm@example.org', 'of anna')")
    bert.sql("INSERT INTO people VALUES (20, 'M@example.org', 'of bert')")
    _disagree(fresh_pair)
    bert.change_conf({"peer anna": {"paused": "yes"}})
    bert.agent("--resolve", "all", "--keep", keep, check=DONE)
    bert.change_conf({"peer anna": {"paused": None}})
    anna.agent("--retry", "all", check=DONE)
    anna.drain(check=(DONE, PERSON))
    assert _open(bert) == []
    _agree(fresh_pair)
    assert anna.sql("SELECT id FROM people") == [(20 if keep == "local" else 10,)]


@pytest.mark.parametrize("keep", ["local", "remote"])
def test_opposite_decisions_about_a_unique_value_end_equal(fresh_pair: Pair, keep: str) -> None:
    anna, bert = _two_mails(fresh_pair)
    fresh_pair.stop_serve()
    for node in (bert, anna):
        node.agent("--resolve", str(_open(node)[0]["id"]), "--keep", keep, check=DONE)
    _agree(fresh_pair)
    assert anna.sql("SELECT id FROM people") == [(10 if keep == "local" else 20,)]


def test_rows_that_hang_on_the_missing_row_wait_and_go_on(fresh_pair: Pair) -> None:
    anna, bert = _two_mails(fresh_pair, CHILDREN)
    anna.sql("INSERT INTO calls VALUES (1, 10)")

    def waits() -> bool:
        _drain_both(fresh_pair)
        return [(state, attempts) for table, _, state, attempts, _ in hand.owed(anna) if table == "calls"] == [("waiting", 0)]
    until(waits, 60, "the call waits")
    bert.agent("--resolve", str(_open(bert)[0]["id"]), "--keep", "remote", check=DONE)
    _agree(fresh_pair)
    assert bert.sql("SELECT id, person FROM calls") == [(1, 10)]


@pytest.mark.parametrize("how", ["UPDATE people SET mail='other@example.org'", "DELETE FROM people"], ids=["changed", "deleted"])
@pytest.mark.parametrize("first", ["anna", "bert"])
def test_a_unique_value_that_is_given_up_ends_it_without_a_decision(fresh_pair: Pair, first: str, how: str) -> None:
    anna, bert = _two_mails(fresh_pair)
    bert.sql(how)
    for node in fresh_pair.nodes:
        node.agent("--retry", "all", check=DONE)
    fresh_pair[first].drain(check=(DONE, PERSON))
    _agree(fresh_pair)
    assert anna.sql("SELECT id FROM people ORDER BY id") == ([(10,), (20,)] if "UPDATE" in how else [(10,)])


def test_an_old_row_that_both_have_never_goes_for_a_unique_value(fresh_pair: Pair) -> None:
    anna, bert = _start(fresh_pair, PEOPLE, "INSERT INTO people VALUES (10,'a','ten'),(20,'b','twenty')")
    anna.sql("UPDATE people SET mail='x' WHERE id=10")
    bert.sql("UPDATE people SET mail='x' WHERE id=20")
    _disagree(fresh_pair)
    ran = bert.agent("--resolve", str(_open(bert)[0]["id"]), "--keep", "remote", check=PERSON)
    assert "on anna" in ran.stderr and "--keep local" in ran.stderr
    anna.agent("--resolve", str(_open(anna)[0]["id"]), "--keep", "local", check=DONE)
    _agree(fresh_pair)
    assert bert.sql("SELECT id, mail FROM people ORDER BY id") == [(10, "x"), (20, "b")]


# deciding ------------------------------------------------------------------------------------------

def test_a_record_is_decided_twice_and_an_unknown_one_not_at_all(fresh_pair: Pair) -> None:
    anna, bert = _collide(fresh_pair)
    number = str(_open(anna)[0]["id"])
    anna.agent("--resolve", number, "--keep", "remote", check=DONE)
    _agree(fresh_pair)
    anna.agent("--resolve", number, "--keep", "local", check=DONE)
    _agree(fresh_pair)
    assert bert.sql("SELECT v FROM notes") == [("of anna",)]
    assert "there is no conflict 4711" in anna.agent("--resolve", "4711", "--keep", "local", check=2).stderr


def test_all_of_a_table_are_decided_in_one_go_and_no_other_ones(fresh_pair: Pair) -> None:
    anna, bert = _start(fresh_pair, NOTES, PEOPLE)
    for node in fresh_pair.nodes:
        node.sql("INSERT INTO notes VALUES (1,%s,NULL),(2,%s,NULL),(3,%s,NULL)", [node.name] * 3)
        node.sql("INSERT INTO people VALUES (%s,'m',%s)", [10 if node is anna else 20, node.name])
    _disagree(fresh_pair, 4)
    said = json.loads(bert.agent("--resolve", "all", "--table", "notes", "--keep", "remote", "--json", check=DONE).stdout)
    assert said == {"decided": 3, "keep": "remote"}
    assert [one["table"] for one in _open(bert)] == ["people"]
    assert bert.sql("SELECT DISTINCT v FROM notes") == [("anna",)]
    assert json.loads(bert.agent("--resolve", "all", "--keep", "local", "--json", check=DONE).stdout)["decided"] == 1
    _agree(fresh_pair)
    assert anna.sql("SELECT v FROM people") == [("bert",)] and anna.sql("SELECT DISTINCT v FROM notes") == [("anna",)]


def test_what_the_server_refuses_ends_with_5_and_the_others_are_decided(fresh_pair: Pair) -> None:
    anna, bert = _start(fresh_pair, NOTES)
    for node in fresh_pair.nodes:
        node.sql("INSERT INTO notes VALUES (1,%s,NULL),(2,'equally long',NULL)", [node.name])
        node.sql("UPDATE notes SET b=%s WHERE id=2", [node.name])
    _disagree(fresh_pair, 2)
    bert.sql("ALTER TABLE notes ADD CONSTRAINT not_of_anna CHECK (v<>'anna')")
    before = bert.sql("SELECT * FROM notes WHERE id=1")
    ran = bert.agent("--resolve", "all", "--keep", "remote", check=PERSON)
    assert "not_of_anna" in ran.stderr and "nothing was changed" in ran.stderr and "1 conflicts" in ran.stdout
    assert bert.sql("SELECT * FROM notes WHERE id=1") == before and len(_open(bert)) == 1
    bert.sql("ALTER TABLE notes DROP CONSTRAINT not_of_anna")
    bert.agent("--resolve", "all", "--keep", "remote", check=DONE)
    _agree(fresh_pair)
    assert bert.sql("SELECT id, v, b FROM notes ORDER BY id") == [(1, "anna", None), (2, "equally long", b"anna")]


def test_a_table_altered_since_is_decided_in_the_columns_that_are_left(fresh_pair: Pair) -> None:
    anna, bert = _collide(fresh_pair)
    for node in fresh_pair.nodes:
        node.sql("ALTER TABLE notes DROP b, ADD w VARCHAR(10) DEFAULT 'new'")
    bert.agent("--resolve", str(_open(bert)[0]["id"]), "--keep", "remote", check=DONE)
    _agree(fresh_pair)
    assert anna.sql("SELECT id, v, w FROM notes") == [(1, "of anna", "new")]


def test_columns_that_only_one_version_has_are_among_those_that_differ(fresh_pair: Pair) -> None:
    """The older of the two versions was kept before the table got the column."""
    anna, bert = _collide(fresh_pair)
    fresh_pair.stop_serve()  # bert's next try would bring the version of today
    kept = _open(anna)[0]
    hand.sync(anna, "UPDATE sync_conflict SET remote_row=%s WHERE id=%s", [b'{"id":"1","v":"of bert","extra":"x"}', kept["id"]])
    assert sorted(_open(anna)[0]["differs"]) == ["b", "extra", "v"]
    assert re.search(r'^  extra +\(no such column\) +"x"$', anna.agent("--conflicts", check=PERSON).stdout, re.MULTILINE)


# keeping -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("columns", VALUES.values(), ids=VALUES.keys())
def test_a_version_of_any_type_that_lost_comes_back_bit_for_bit(fresh_pair: Pair, columns: Columns) -> None:
    """Every value of every type loses against NULL, and is chosen after all."""
    names = ", ".join(f"c{i}" for i in range(len(columns)))
    table = ", ".join(f"c{i} {definition}" for i, definition in enumerate(columns))
    n = max(len(values) for values in columns.values())
    anna, bert = _start(fresh_pair, f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, {table})")
    connection = anna.connect(init_command="SET time_zone='+13:00', sql_mode='ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'")
    hand.run(connection, *[f"INSERT INTO t (id, {names}) VALUES ({row + 1}, "
                           + ", ".join(values[row % len(values)] for values in columns.values()) + ")" for row in range(n)])
    connection.close()
    bert.sql(f"INSERT INTO t (id) SELECT seq FROM seq_1_to_{n}")
    fresh_pair.start_serve()

    def known() -> bool:
        _drain_both(fresh_pair)
        return all(_status(node)["undecided"] == n for node in fresh_pair.nodes)
    until(known, 60, "both sides list all of them")
    mine = compare.fingerprint(anna.side())["t"]
    bert.agent("--resolve", "all", "--keep", "remote", check=DONE)
    assert compare.fingerprint(bert.side())["t"] == mine
    _agree(fresh_pair)
    assert compare.fingerprint(anna.side())["t"] == mine


def test_a_decided_conflict_is_kept_for_90_days_and_an_open_one_until_it_is_decided(fresh_pair: Pair) -> None:
    anna, bert = _start(fresh_pair, NOTES, "CREATE TABLE t (id INT PRIMARY KEY, v LONGBLOB)", "INSERT INTO t VALUES (1,''),(2,'')")
    for node in fresh_pair.nodes:
        node.sql("UPDATE t SET v=CONCAT(%s, REPEAT('x', 9000000)) WHERE id=1", [node.name])  # kept in pieces
        node.sql("UPDATE t SET v=%s WHERE id=2", [node.name])
        node.sql("INSERT INTO notes VALUES (1,%s,NULL)", [node.name])
    _disagree(fresh_pair)
    fresh_pair.stop_serve()
    node = next(one for one in fresh_pair.nodes if hand.sync(one, "SELECT 1 FROM sync_conflict WHERE table_name='t'"))

    def left(days: int) -> list[tuple[str, int]]:
        """What is left after the conflicts have become so many days older, and a drain."""
        hand.sync(node, "UPDATE sync_conflict SET happened_at=happened_at - INTERVAL %s DAY", [days])
        node.drain()
        return [tuple(row) for row in hand.sync(node, "SELECT table_name, COUNT(*) FROM sync_conflict GROUP BY 1 ORDER BY 1")]
    before = left(0)
    assert dict(before)["notes"] == 1 and dict(before)["t"] >= 1
    assert hand.sync(node, "SELECT COUNT(*) FROM sync_conflict_part WHERE part>0") != [(0,)]
    assert left(89) == before
    assert left(2) == [("notes", 1)]
    assert hand.sync(node, "SELECT COUNT(*) FROM sync_conflict_part WHERE part>0") == [(0,)]
    node.agent("--resolve", "all", "--keep", "local", check=DONE)
    assert left(0) == [("notes", 1)]  # kept 90 days from the decision
    hand.sync(node, "UPDATE sync_conflict SET resolved_at=resolved_at - INTERVAL 91 DAY")
    assert left(0) == []
