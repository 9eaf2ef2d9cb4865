"""conflict = merge: two people edit different columns of one record while apart, and both edits stay, on both
laptops. Of one column the later edit stays and the other is kept. An UPDATE that changes nothing wins over nothing."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator

import pytest

from lab import Cluster, Pair, hand
from lab.monkey import Monkey
from lab.node import Node

MERGE = {"table t": {"conflict": "merge"}}
TABLE = ("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20), price DECIMAL(9,2), note TEXT,"
         " saved TIMESTAMP(6) NOT NULL DEFAULT NOW(6) ON UPDATE NOW(6))")
ROW = "INSERT INTO t (id, name, price, note) VALUES (1, 'tea', 1, 'a')"


def _ready(pair: Pair, *ddl: str, conf: dict[str, dict[str, str]] | None = None) -> tuple[Node, Node]:
    hand.everywhere(pair, *ddl)
    for node in pair.nodes:
        node.change_conf(MERGE if conf is None else conf)
    pair.install()
    return pair.anna, pair.bert


def _settle(pair: Pair, first: str) -> None:
    """Both drain, the named one first, until all is in step."""
    one, other = (pair.anna, pair.bert) if first == "anna" else (pair.bert, pair.anna)
    other.start_serve()
    one.drain(check=0)
    other.stop_serve()
    pair.settle()
    pair.assert_equal()


def _kept(pair: Pair) -> list[tuple[str, str, dict, dict]]:
    """Conflicts kept on either side: rule, verdict, both rows."""
    return [(rule, verdict, json.loads(local), json.loads(remote)) for node in pair.nodes
            for rule, verdict, local, remote in hand.sync(
                node, "SELECT policy, verdict, local_row, remote_row FROM sync_conflict ORDER BY id")]


@pytest.mark.parametrize("first", ["anna", "bert"])
def test_edits_of_different_columns_both_stay_and_are_no_conflict(fresh_pair: Pair, first: str) -> None:
    anna, bert = _ready(fresh_pair, TABLE, ROW)
    anna.sql("UPDATE t SET name='green tea'")
    bert.sql("UPDATE t SET price=2")
    anna.sql("UPDATE t SET note='A'")
    _settle(fresh_pair, first)
    assert bert.sql("SELECT name, price, note FROM t") == anna.sql("SELECT 'green tea', CAST(2 AS DECIMAL(9,2)), 'A'")
    assert _kept(fresh_pair) == []


@pytest.mark.parametrize("first", ["anna", "bert"])
@pytest.mark.parametrize("later", ["anna", "bert"])
def test_of_one_column_the_later_edit_stays_and_the_other_is_kept(fresh_pair: Pair, first: str, later: str) -> None:
    anna, bert = _ready(fresh_pair, TABLE, ROW)
    older, newer = (bert, anna) if later == "anna" else (anna, bert)
    older.sql("UPDATE t SET price=2, note='older'")
    newer.sql("UPDATE t SET price=3, name='newer'")
    _settle(fresh_pair, first)
    assert older.sql("SELECT name, CAST(price AS CHAR), note FROM t") == [("newer", "3.00", "older")]
    kept = _kept(fresh_pair)
    assert kept
    for rule, verdict, local, remote in kept:
        assert rule == "merge" and verdict in ("apply", "keep")
        assert {local["price"], remote["price"]} == {"2.00", "3.00"}
        assert {name for name in local if local[name] != remote[name]} == {"price"}


def test_the_same_value_in_one_column_is_no_conflict(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, TABLE, ROW)
    anna.sql("UPDATE t SET price=2, note='anna'")
    bert.sql("UPDATE t SET price=2, name='bert'")
    _settle(fresh_pair, "anna")
    assert anna.sql("SELECT name, note FROM t") == [("bert", "anna")]
    assert _kept(fresh_pair) == []


def test_a_change_of_letter_case_and_of_blanks_is_an_edit(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, TABLE, ROW)
    anna.sql("UPDATE t SET name='TEA', note='a '")
    bert.sql("UPDATE t SET price=2")
    _settle(fresh_pair, "anna")
    assert bert.sql("SELECT HEX(name), HEX(note), CAST(price AS CHAR) FROM t") == [("544541", "6120", "2.00")]


@pytest.mark.parametrize("first", ["anna", "bert"])
@pytest.mark.parametrize("later", ["delete", "update"])
def test_a_delete_and_an_edit_are_judged_as_a_whole(fresh_pair: Pair, first: str, later: str) -> None:
    anna, bert = _ready(fresh_pair, TABLE, ROW)
    work = [(anna, "UPDATE t SET price=2"), (bert, "DELETE FROM t")]
    for node, statement in work if later == "delete" else work[::-1]:
        node.sql(statement)
    _settle(fresh_pair, first)
    assert bert.sql("SELECT CAST(price AS CHAR) FROM t") == ([] if later == "delete" else [("2.00",)])


@pytest.mark.parametrize("rule, first", [("newer", "anna"), ("newer", "bert"), ("merge", "anna")])
@pytest.mark.parametrize("nothing", ["UPDATE t SET name=name, price=price", "UPDATE t SET saved=NOW(6)",
                                     "INSERT INTO t (id, name, price, note) VALUES (1, 'tea', 1, 'a')"
                                     " ON DUPLICATE KEY UPDATE name=VALUES(name)"])
def test_an_update_that_changes_nothing_wins_over_no_edit(fresh_pair: Pair, rule: str, first: str, nothing: str) -> None:
    anna, bert = _ready(fresh_pair, TABLE, ROW, conf={"sync": {"conflict": rule}})
    anna.sql("UPDATE t SET price=2")
    bert.sql(nothing)
    _settle(fresh_pair, first)
    assert bert.sql("SELECT CAST(price AS CHAR) FROM t") == [("2.00",)]
    assert _kept(fresh_pair) == []


def test_a_column_that_came_a_moment_ago_is_not_lost(fresh_pair: Pair) -> None:
    """Before --install has run the triggers do not compare it."""
    anna, bert = _ready(fresh_pair, TABLE, ROW)
    hand.everywhere(fresh_pair, "ALTER TABLE t ADD COLUMN extra INT")
    anna.sql("UPDATE t SET extra=5")
    _settle(fresh_pair, "anna")
    assert bert.sql("SELECT extra FROM t") == [(5,)]


def test_a_refused_edit_keeps_its_columns(fresh_pair: Pair) -> None:
    """It waits for a unique value; meanwhile the other side edits another column."""
    anna, bert = _ready(fresh_pair, TABLE.replace("name VARCHAR(20)", "name VARCHAR(20) UNIQUE"), ROW)
    bert.sql("INSERT INTO t (id, name) VALUES (2, 'mate')")
    anna.sql("UPDATE t SET name='mate', note='b'")
    bert.start_serve()
    anna.drain(check=None)
    assert [row[2] for row in hand.owed(anna)] or hand.sync(anna, "SELECT state FROM sync_owed") == [("retry",)]
    bert.sql("UPDATE t SET price=7 WHERE id=1")
    bert.sql("UPDATE t SET name='cocoa' WHERE id=2")
    bert.stop_serve()
    fresh_pair.settle(60)
    fresh_pair.assert_equal()
    assert anna.sql("SELECT name, note, CAST(price AS CHAR) FROM t WHERE id=1") == [("mate", "b", "7.00")]


def test_columns_of_add_that_cannot_count_keep_the_table_out(fresh_pair: Pair) -> None:
    hand.everywhere(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, n INT, d DOUBLE, g INT AS (n + 1))", "CREATE TABLE u (id INT PRIMARY KEY)")
    anna = fresh_pair.anna
    for names, word in (("n, gone", "gone"), ("d", "exact numbers"), ("id", "primary key"), ("g", "generated")):
        anna.change_conf({"table t": {"add": names}})
        assert word in anna.agent("--install", check=None).stdout
        said = anna.agent("--check", check=None).stdout
        assert word in said and "take it out of [table] add" in said
    anna.change_conf({"table t": {"add": "n"}})
    assert "not replicated" not in anna.agent("--install", check=None).stdout


# three and more ----------------------------------------------------------------------------------

_SCHEMA = """
CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(30), c TEXT, d DECIMAL(8,2), e ENUM('x','y'));
CREATE TABLE u (k VARCHAR(10), n INT, v VARCHAR(30), w DATE, x BLOB, saved TIMESTAMP NOT NULL DEFAULT NOW() ON UPDATE NOW(), PRIMARY KEY (k, n));
INSERT INTO t SELECT seq, seq, CONCAT('b', seq), 'c', seq, 'x' FROM seq_1_to_12;
INSERT INTO u (k, n, v, w) SELECT CONCAT('k', seq), seq % 3, 'v', '2026-01-01' FROM seq_1_to_12;
"""


@pytest.fixture(params=["chain", "star"])
def many(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    n, links = {"chain": (3, "chain"), "star": (3, "star")}[request.param]
    with Cluster(n, links, schemas=(), conf={"sync": {"conflict": "merge", "max_delete": "off"}}) as some:
        for node in some.nodes:
            node.server.script(_SCHEMA, node.database)
        some.install()
        yield some


@pytest.mark.slow
def test_random_work_with_merge_ends_equal(many: Cluster) -> None:
    rng = random.Random(int(os.environ.get("TANDEM_SEED", "1")))
    rounds = 20 if os.environ.get("TANDEM_LONG") else 2
    done = 0
    for _ in range(rounds):
        for node in many.nodes:
            monkey = Monkey(node, rng)
            monkey.work(40)
            done += sum(monkey.done.values())
            monkey.close()
        many.settle(120)
        many.assert_equal()
    assert done > rounds * 40
