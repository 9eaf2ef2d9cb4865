"""Two laptops changed one record without having seen each other's change: the newest wins on both,
and the version that lost is kept whole."""

from __future__ import annotations

import pytest

from lab import Pair, hand
from lab.node import Node
from lab.proxy import Fault
from lab.waiting import until

TABLE = "CREATE TABLE t (id INT PRIMARY KEY, v INT)"


def _ready(pair: Pair, *ddl: str) -> tuple[Node, Node]:
    """Installed; both receive, and nothing is drained but by the test."""
    hand.everywhere(pair, *ddl)
    pair.install()
    return pair.anna, pair.bert


def _settle(pair: Pair, first: str) -> None:
    """Both drain, the named one first, until all is in step; settle() alone would let anna be first."""
    one, other = (pair.anna, pair.bert) if first == "anna" else (pair.bert, pair.anna)
    other.start_serve()
    one.drain(check=0)
    other.stop_serve()
    pair.settle()
    pair.assert_equal()


def _kept(pair: Pair) -> list[tuple[str, str]]:
    """Conflicts kept on either side: both versions whole."""
    return [(local.decode(), remote.decode()) for node in pair.nodes
            for local, remote in hand.sync(node, "SELECT IFNULL(local_row, ''), IFNULL(remote_row, '')"
                                                 " FROM sync_conflict ORDER BY id")]


@pytest.mark.parametrize("first", ["anna", "bert"])
@pytest.mark.parametrize("newest", ["anna", "bert"])
def test_the_newest_of_two_updates_wins_whoever_drains_first(
        fresh_pair: Pair, first: str, newest: str) -> None:
    anna, bert = _ready(fresh_pair, TABLE, "INSERT INTO t VALUES (1,0)")
    older, newer = (bert, anna) if newest == "anna" else (anna, bert)
    older.sql("UPDATE t SET v=1")
    newer.sql("UPDATE t SET v=2")
    _settle(fresh_pair, first)
    assert anna.sql("SELECT v FROM t") == [(2,)]
    assert any('"v":"1"' in row for versions in _kept(fresh_pair) for row in versions)


@pytest.mark.parametrize("first", ["anna", "bert"])
@pytest.mark.parametrize("newest", ["delete", "update"])
def test_the_newest_of_an_update_and_a_delete_wins_whoever_drains_first(
        fresh_pair: Pair, first: str, newest: str) -> None:
    anna, bert = _ready(fresh_pair, TABLE, "INSERT INTO t VALUES (1,0)")
    work = [(anna, "UPDATE t SET v=1"), (bert, "DELETE FROM t")]
    for node, statement in work if newest == "delete" else work[::-1]:
        node.sql(statement)
    _settle(fresh_pair, first)
    assert bert.sql("SELECT v FROM t") == ([] if newest == "delete" else [(1,)])
    assert _kept(fresh_pair) != []


@pytest.mark.parametrize("first", ["anna", "bert"])
def test_a_record_that_both_deleted_is_no_conflict(fresh_pair: Pair, first: str) -> None:
    anna, bert = _ready(fresh_pair, TABLE, "INSERT INTO t VALUES (1,0), (2,0)")
    anna.sql("DELETE FROM t WHERE id=1")
    bert.sql("DELETE FROM t WHERE id=1")
    _settle(fresh_pair, first)
    assert anna.sql("SELECT id FROM t") == [(2,)]
    assert _kept(fresh_pair) == []
    anna.sql("INSERT INTO t VALUES (1,5)")
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert bert.sql("SELECT v FROM t WHERE id=1") == [(5,)] and _kept(fresh_pair) == []


@pytest.mark.parametrize("first", ["anna", "bert"])
def test_the_same_row_made_on_both_sides_is_no_conflict(fresh_pair: Pair, first: str) -> None:
    anna, bert = _ready(fresh_pair, TABLE, "CREATE TABLE w (k VARCHAR(9) PRIMARY KEY, u INT UNIQUE, b BLOB, f FLOAT)")
    for node in (anna, bert):
        hand.transaction(node, "INSERT INTO t VALUES (1,5), (2,NULL)", "INSERT INTO w VALUES ('a', 1, x'00ff', 0.1), ('B', NULL, '', 1e9)")
    _settle(fresh_pair, first)
    assert _kept(fresh_pair) == []
    assert all(hand.owed(node) == [] for node in fresh_pair.nodes)


def test_the_same_edit_on_both_sides_is_no_conflict(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, TABLE, "INSERT INTO t VALUES (1,0), (2,0)")
    for node in (anna, bert):
        hand.transaction(node, "UPDATE t SET v=3 WHERE id=1", "UPDATE t SET v=9 WHERE id=2", "UPDATE t SET v=0 WHERE id=2")
    _settle(fresh_pair, "anna")
    assert _kept(fresh_pair) == []


def test_a_key_that_came_back_to_where_it_was_and_ended_is_followed_no_further(fresh_pair: Pair) -> None:
    """Bert's record went round in a circle before it was deleted: anna's edit of it finds no row, and no end."""
    anna, bert = _ready(fresh_pair, TABLE, "INSERT INTO t VALUES (1,0)")
    fresh_pair.settle()
    anna.sql("UPDATE t SET v=1")
    for does in ("UPDATE t SET id=2", "UPDATE t SET id=1", "UPDATE t SET id=2", "UPDATE t SET id=1", "DELETE FROM t"):
        bert.sql(does)
    _settle(fresh_pair, "anna")
    assert anna.sql("SELECT id FROM t") == []


@pytest.mark.parametrize("first", ["bert", "anna"])
@pytest.mark.parametrize("policy", ["newer", "prefer bert"])
def test_a_number_that_both_gave_and_both_deleted_is_gone_on_both(fresh_pair: Pair, policy: str, first: str) -> None:
    """Bert's delete is of his own row; on its way it is overtaken by anna's row, which anna deletes meanwhile, and maybe
    by that delete, too: then it finds anna's row at bert's, where the number was given to another row before."""
    for node in fresh_pair.nodes:
        node.change_conf({"table t": {"conflict": policy}})
    anna, bert = _ready(fresh_pair, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
    anna.sql("INSERT INTO t VALUES (1,1)")
    bert.sql("INSERT INTO t VALUES (1,2)")
    bert.sql("DELETE FROM t")
    held = fresh_pair.wire["bert", "anna"].plan(Fault("hold_request", "/api/sync/receive"))
    fresh_pair.start_serve()
    until(lambda: held.hits == 1, 60, "the delete is on its way")
    until(lambda: bert.sql("SELECT v FROM t") == [(1,)], 60, "anna's row is there")
    if first == "bert":  # anna sends nothing before she has heard of bert's
        fresh_pair.wire["anna", "bert"].set_mode("refuse")
    anna.sql("DELETE FROM t")
    if first == "anna":
        until(lambda: anna.pending() == 0, 60, "bert has heard of anna's")
    held.release()
    until(lambda: bert.pending() == 0, 60, "anna has heard of bert's")
    fresh_pair.wire["anna", "bert"].set_mode("pass")
    fresh_pair.stop_serve()
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert bert.sql("SELECT v FROM t") == []
