"""Kept conflicts: listed with both versions, decided by a person also later, and a record's life."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab import Pair, hand
from lab.node import Node

TABLE = ("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40), b BLOB, e ENUM('x','y'), f FLOAT,"
         " d DATETIME(3) NULL)")
ROW = "INSERT INTO t VALUES (1, 'first', x'00ff', 'x', 0.1, '2020-02-02 02:02:02.222')"


def _listed(node: Node, *args: str) -> list[dict[str, Any]]:
    kept = json.loads(node.agent("--conflicts", "--json", *args, check={0, 5}).stdout)["conflicts"]
    assert isinstance(kept, list)
    return kept


def _conflict(pair: Pair, older: str, newer: str, *more: str) -> tuple[Node, dict[str, Any]]:
    """Anna's statement is the older one and loses; the node that kept it, and what it kept."""
    hand.everywhere(pair, TABLE, ROW, *more)
    pair.install()
    pair.anna.sql(older)
    pair.bert.sql(newer)
    pair.settle()
    pair.assert_equal()
    for node in pair.nodes:
        kept = _listed(node)
        if kept:
            return node, kept[0]
    raise AssertionError("no conflict was kept")


def _loser(kept: dict[str, Any]) -> str:
    return "local" if kept["kept"] == "remote" else "remote"


def test_a_conflict_is_listed_with_both_versions_and_what_differs(fresh_pair: Pair) -> None:
    _, kept = _conflict(fresh_pair, "UPDATE t SET v='anna', b=x'01'", "UPDATE t SET v='bert'")
    assert kept["table"] == "t" and kept["record_id"] == "1" and kept["rule"] == "newer"
    assert sorted(kept["differs"]) == ["b", "v"]
    assert {kept["local"]["node"], kept["remote"]["node"]} == {"anna", "bert"}
    assert {kept["local"]["row"]["v"], kept["remote"]["row"]["v"]} == {"anna", "bert"}
    assert kept[kept["kept"]]["node"] == "bert"
    assert kept["resolved_at"] is None


def test_people_read_who_when_and_which_columns(fresh_pair: Pair) -> None:
    node, kept = _conflict(fresh_pair, "UPDATE t SET v='anna\n\x1b[31m'", "UPDATE t SET v='bert'")
    text = node.agent("--conflicts", check=0).stdout
    assert f"{kept['id']}: table t, record 1" in text and "(kept)" in text
    row, = [line for line in text.splitlines() if line.startswith("  v ")]
    assert '"bert"' in row and 'anna\\n\\x1b[31m' in row and "\x1b" not in text, "one line, whatever it holds"
    assert "local: " in text and "remote: " in text
    assert node.agent("--conflicts", "-q", check=0).stdout == ""
    assert _listed(node, "--table", "t") == [kept]
    assert _listed(node, "--table", "other") == []


@pytest.mark.parametrize("statements", [
    ("UPDATE t SET v='anna', b=REPEAT(x'ff00', 9), e='y', f=16777216.0, d=NULL", "UPDATE t SET v=NULL"),
    ("DELETE FROM t", "UPDATE t SET v='bert'"),
    ("UPDATE t SET b='', v=''", "DELETE FROM t"),
], ids=["update against update", "delete lost", "update lost to a delete"])
def test_the_version_that_lost_can_be_made_the_winner(
        fresh_pair: Pair, statements: tuple[str, str]) -> None:
    look = "SELECT id, HEX(v), HEX(b), e+0, f+0e0, d FROM t"
    hand.everywhere(fresh_pair, TABLE, ROW)
    fresh_pair.install()
    fresh_pair.anna.sql(statements[0])
    lost = fresh_pair.anna.sql(look)
    fresh_pair.bert.sql(statements[1])
    fresh_pair.settle()
    won = fresh_pair.anna.sql(look)
    node, kept = next((n, c[0]) for n in fresh_pair.nodes if (c := _listed(n)))
    node.agent("--resolve", str(kept["id"]), "--keep", _loser(kept), check=0)
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert fresh_pair.bert.sql(look) == lost
    node.agent("--resolve", str(kept["id"]), "--keep", kept["kept"], check=0)  # and back again
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert fresh_pair.bert.sql(look) == won
    assert _listed(node)[-1]["resolved_at"] is not None


def test_a_large_value_survives_the_conflict_and_comes_back(fresh_pair: Pair) -> None:
    hand.everywhere(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, b LONGBLOB)", "INSERT INTO t VALUES (1,'')")
    fresh_pair.install()
    # As large as a stock server takes one: kept, it is longer than a statement may be.
    fresh_pair.anna.sql("UPDATE t SET b=REPEAT(CONCAT(x'00ff', 'text', x'0a27'), 2060000)")
    want = fresh_pair.anna.sql("SELECT MD5(b) FROM t")
    fresh_pair.bert.sql("UPDATE t SET b='small'")
    fresh_pair.settle()
    node, kept = next((n, c[0]) for n in fresh_pair.nodes if (c := _listed(n)))
    node.agent("--resolve", str(kept["id"]), "--keep", _loser(kept), check=0)
    fresh_pair.settle()
    assert fresh_pair.bert.sql("SELECT MD5(b) FROM t") == want
    fresh_pair.assert_equal()


def test_what_came_after_the_conflict_is_kept_when_a_person_overrules_it(fresh_pair: Pair) -> None:
    node, kept = _conflict(fresh_pair, "UPDATE t SET v='anna'", "UPDATE t SET v='bert'")
    fresh_pair.anna.sql("UPDATE t SET v='later'")
    fresh_pair.settle()
    node.agent("--resolve", str(kept["id"]), "--keep", "remote", check=0)
    assert [c["local"]["row"]["v"] for c in _listed(node) if c["rule"] == "resolve"] == ["later"]


@pytest.mark.parametrize("ddl", [(), ("CREATE TABLE c (id INT PRIMARY KEY, t INT, FOREIGN KEY (t) REFERENCES t (id) ON UPDATE CASCADE)", "INSERT INTO c VALUES (1,1)")],
                         ids=["alone", "with children"])
def test_a_key_that_lost_can_be_made_the_winner(fresh_pair: Pair, ddl: tuple[str, ...]) -> None:
    _conflict(fresh_pair, "UPDATE t SET id=5 WHERE id=1", "UPDATE t SET id=7 WHERE id=1", *ddl)
    assert fresh_pair.bert.sql("SELECT id FROM t") == [(7,)]
    node, kept = next((node, one) for node in fresh_pair.nodes for one in _listed(node) if one["local"]["row"] and one["remote"]["row"])
    for key in (5, 7, 7):
        node.agent("--resolve", str(kept["id"]), "--keep", "local" if kept["local"]["row"]["id"] == str(key) else "remote", check=0)
        fresh_pair.settle()
        fresh_pair.assert_equal()
        assert fresh_pair.bert.sql("SELECT id FROM t") == [(key,)]
        assert not ddl or fresh_pair.bert.sql("SELECT t FROM c") == [(key,)]


def test_wrong_decisions_are_refused_and_change_nothing(fresh_pair: Pair) -> None:
    node, kept = _conflict(fresh_pair, "UPDATE t SET v='anna'", "UPDATE t SET v='bert'")
    before = node.sql("SELECT * FROM t")
    number = str(kept["id"])
    for words in (["--resolve", number], ["--resolve", number, "--keep", "mine"],
                  ["--resolve", "999", "--keep", "local"], ["--resolve", "x", "--keep", "local"],
                  ["--resolve"], ["--status", "--keep", "local"]):
        assert "agent --" in node.agent(*words, check=2).stderr
    node.sql("ALTER TABLE t ADD UNIQUE (v)")
    node.sql("INSERT INTO t (id, v) VALUES (2, 'anna')")
    lost = "local" if kept["local"]["row"]["v"] == "anna" else "remote"
    assert "Duplicate entry" in node.agent("--resolve", number, "--keep", lost, check=5).stderr
    assert node.sql("SELECT * FROM t WHERE id=1") == before


def test_a_parent_brought_to_its_end_by_a_decision_takes_no_child_along_unseen(fresh_pair: Pair) -> None:
    hand.everywhere(
        fresh_pair, "CREATE TABLE p (id INT PRIMARY KEY, v INT)",
        "CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id))",
        "INSERT INTO p VALUES (1,0)")
    fresh_pair.install()
    fresh_pair.anna.sql("DELETE FROM p")
    fresh_pair.bert.sql("UPDATE p SET v=1")
    fresh_pair.settle()
    fresh_pair.bert.sql("INSERT INTO c VALUES (1,1)")
    fresh_pair.settle()
    node, kept = next((n, c[0]) for n in fresh_pair.nodes if (c := _listed(n)))
    gone = "local" if kept["local"]["row"] is None else "remote"
    assert "foreign key" in node.agent("--resolve", str(kept["id"]), "--keep", gone, check=5).stderr
    fresh_pair.assert_equal()


def test_explain_tells_a_records_life(fresh_pair: Pair) -> None:
    node, kept = _conflict(fresh_pair, "UPDATE t SET v='anna'", "UPDATE t SET v='bert'")
    node.sql("UPDATE t SET v='again'")
    life = json.loads(node.agent("--explain", "t", "1", "--json", check=0).stdout)
    assert life["here"] is True and life["conflicts"] == [kept["id"]]
    assert life["changes"][0]["status"] == "pending"
    assert [peer["has_newest"] for peer in life["peers"]] == [False]
    fresh_pair.settle()
    text = node.agent("--explain", "t", "1", check=0).stdout
    assert "is here" in text and "has the newest change" in text and "conflict" in text
    assert "is not here" in node.agent("--explain", "t", "-7", check=0).stdout
    for words in (["--explain", "t"], ["--explain", "nothing", "1"], ["--explain"]):
        assert node.agent(*words, check=2).stderr != ""
