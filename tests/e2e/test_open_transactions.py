"""Somebody works in a record while a group that changes it arrives: the group waits for him, nobody
waits for ever, nothing of it is seen before it is whole, and no conflict is missed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from subprocess import CompletedProcess

import pytest

from lab import Pair, hand, until
from lab.node import ACCOUNT, Node

pytestmark = pytest.mark.slow

TABLES = ("CREATE TABLE first (id INT PRIMARY KEY, v VARCHAR(20))",
          "CREATE TABLE second (id INT PRIMARY KEY, first INT, v VARCHAR(20), FOREIGN KEY (first) REFERENCES first (id))",
          "INSERT INTO first VALUES (1,'old')", "INSERT INTO second VALUES (1,1,'old')")


def _ready(pair: Pair) -> tuple[Node, Node]:
    """Installed; bert receives, and sends nothing by himself."""
    pair.bert.change_conf({"sync": {"interval": "1h"}})
    hand.everywhere(pair, *TABLES)
    pair.install()
    pair.bert.start_serve()
    return pair.anna, pair.bert


@contextmanager
def _draining(node: Node) -> Iterator[Future[CompletedProcess[str]]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(node.drain)


def _waits(node: Node) -> list[str]:
    """What the agent's session waits for in a lock just now."""
    return [str(query) for (query,) in node.server.sql(
        "SELECT IFNULL(trx_query, '') FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p"
        " ON p.ID=t.trx_mysql_thread_id WHERE trx_state='LOCK WAIT' AND p.USER=%s", [ACCOUNT])]


def _lock_waits(node: Node) -> int:
    return int(node.server.sql("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'")[0][1])


def _kept(pair: Pair) -> str:
    """All versions in kept conflicts of either side."""
    return "".join(str(row) for node in pair.nodes for row in hand.sync(node, "SELECT local_row, remote_row FROM sync_conflict"))


def test_a_group_that_meets_a_locked_record_waits_and_then_arrives_whole(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    app = bert.connect(autocommit=False)
    hand.run(app, "SELECT * FROM second WHERE id=1 FOR UPDATE")
    waits = _lock_waits(bert)
    hand.transaction(anna, "UPDATE first SET v='new'", "UPDATE second SET v='new'")
    with _draining(anna) as drain:
        # The second wait begins when the first has run out of patience.
        until(lambda: drain.done() or _lock_waits(bert) >= waits + 2, 60, "the agent has waited in vain once")
        assert bert.sql("SELECT v FROM first") == [("old",)]
        app.rollback()
        assert drain.result().returncode == 0
    app.close()
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert bert.sql("SELECT a.v, b.v FROM first a, second b") == [("new", "new")]


@pytest.mark.slow
def test_a_group_that_never_gets_the_record_comes_again_later(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    app = bert.connect(autocommit=False)
    hand.run(app, "SELECT * FROM second WHERE id=1 FOR UPDATE")
    hand.transaction(anna, "UPDATE first SET v='new'", "UPDATE second SET v='new'")
    ran = anna.drain(timeout=120)
    assert ran.returncode in (1, 4) and ran.stderr
    assert bert.sql("SELECT v FROM first") == [("old",)] and hand.owed(anna) == []
    app.close()
    anna.drain(check=0)
    fresh_pair.assert_equal()


@pytest.mark.parametrize("newest", ["anna", "bert"])
def test_a_change_that_is_committed_while_a_group_waits_for_its_record_is_a_conflict(fresh_pair: Pair, newest: str) -> None:
    anna, bert = _ready(fresh_pair)
    app = bert.connect(autocommit=False)
    of_app, of_anna = "UPDATE second SET v='of the app'", "UPDATE second SET v='of anna'"
    if newest == "anna":
        hand.run(app, of_app)
    # Both made it: this group is judged record by record from the beginning.
    bert.sql("INSERT INTO first VALUES (7,'bert')")
    hand.transaction(anna, "INSERT INTO first VALUES (7,'anna')", of_anna)
    if newest == "bert":
        hand.run(app, of_app)
    with _draining(anna) as drain:
        until(lambda: drain.done() or _waits(bert), 60, "the group waits for the record")
        app.commit()
        assert drain.result().returncode == 0, drain.result().stderr
    app.close()
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert anna.sql("SELECT v FROM second") == [("of anna" if newest == "anna" else "of the app",)]
    assert "of the app" in _kept(fresh_pair) and "of anna" in _kept(fresh_pair)


def test_a_record_that_is_deleted_while_a_group_waits_for_it_is_a_conflict(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    app = bert.connect(autocommit=False)
    hand.run(app, "DELETE FROM second")
    bert.sql("INSERT INTO first VALUES (7,'bert')")
    hand.transaction(anna, "INSERT INTO first VALUES (7,'anna')", "UPDATE second SET v='of anna'")
    with _draining(anna) as drain:
        until(lambda: drain.done() or _waits(bert), 60, "the group waits for the record")
        app.commit()
        assert drain.result().returncode == 0, drain.result().stderr
    app.close()
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert anna.sql("SELECT v FROM second") == [("of anna",)]
    assert "of anna" in _kept(fresh_pair)
