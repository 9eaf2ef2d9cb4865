"""What a peer refuses holds back nothing but itself: it is named with the reason, tried again,
parked for a person at last, and never counted as arrived."""

from __future__ import annotations

import json

from lab import Pair, hand
from lab.node import Node

TWO_TABLES = ("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "CREATE TABLE u (id INT PRIMARY KEY, v INT)")


def _ready(pair: Pair, *ddl: str) -> tuple[Node, Node]:
    """Installed; bert receives."""
    hand.everywhere(pair, *ddl)
    pair.install()
    pair.bert.start_serve()
    return pair.anna, pair.bert


def _states(node: Node) -> list[tuple[str, str, str, int]]:
    return [row[:4] for row in hand.owed(node)]


# one record among many ---------------------------------------------------------------------------

def test_one_refused_record_among_thousands_holds_back_itself_alone(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    bert.sql("ALTER TABLE t ADD CHECK (v<>2500)")
    hand.transaction(anna, "INSERT INTO t SELECT seq, seq FROM seq_1_to_5000",
                     "INSERT INTO u SELECT seq, seq FROM seq_1_to_10")
    assert "5009 records sent" in anna.drain(check=0).stdout
    assert _states(anna) == [("t", "2500", "retry", 2)]
    assert "CONSTRAINT" in hand.owed(anna)[0][4]
    assert fresh_pair.differences() == ["t id='2500': on anna, missing on bert"]


def test_a_refusal_names_its_own_table_when_other_tables_follow_in_the_group(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    bert.sql("ALTER TABLE t ADD CHECK (v<>7)")
    bert.sql("ALTER TABLE u ADD CHECK (v<>7)")
    hand.transaction(anna, "INSERT INTO t VALUES (1,7), (2,0)", "INSERT INTO u VALUES (1,7), (2,0)")
    anna.drain(check=0)
    assert _states(anna) == [("t", "1", "retry", 2), ("u", "1", "retry", 2)]
    bert.sql("ALTER TABLE t DROP CONSTRAINT CONSTRAINT_1")
    anna.drain(check=5)
    assert _states(anna) == [("u", "1", "parked", 3)]
    assert fresh_pair.differences() == ["u id='1': on anna, missing on bert"]


# parked ------------------------------------------------------------------------------------------

def test_a_parked_record_is_shown_and_every_drain_says_so_until_it_is_settled(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    bert.sql("ALTER TABLE t ADD CHECK (v<>7)")
    anna.sql("INSERT INTO t VALUES (1,7)")
    anna.drain(check=0)
    anna.drain(check=5)
    assert _states(anna) == [("t", "1", "parked", 3)]
    assert anna.queue() == {"failed": 1}
    anna.drain(check=5)
    anna.sql("INSERT INTO u VALUES (1,1)")
    anna.drain(check=5)
    assert "CONSTRAINT" in anna.agent("--parked", check=5).stdout
    (parked,) = json.loads(anna.agent("--parked", "--json", check=5).stdout)["parked"]
    assert (parked["table"], parked["record_id"], parked["attempts"]) == ("t", "1", 3)
    bert.sql("ALTER TABLE t DROP CONSTRAINT CONSTRAINT_1")
    anna.agent("--retry", str(parked["id"]), check=0)
    anna.drain(check=0)
    assert hand.owed(anna) == [] and fresh_pair.differences() == []
    assert anna.queue() == {"synced": 2}


def test_neither_side_says_in_step_while_one_refuses_a_record_of_the_other(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    bert.sql("ALTER TABLE t ADD CHECK (v<>7)")
    anna.sql("INSERT INTO t VALUES (1,7)")
    anna.drain(check=0)
    assert not anna.status()["peers"][0]["in_step"]
    assert not bert.status()["peers"][0]["in_step"]


# what cannot be sent -----------------------------------------------------------------------------

def test_changes_of_a_table_that_is_left_out_for_a_while_wait_and_arrive(fresh_pair: Pair) -> None:
    anna, _ = _ready(fresh_pair, *TWO_TABLES)
    hand.transaction(anna, "INSERT INTO t VALUES (1,1), (2,2)", "UPDATE t SET v=9 WHERE id=2",
                     "INSERT INTO u VALUES (1,1)")
    anna.change_conf({"sync": {"exclude": "t"}})
    for _ in range(4):
        anna.drain(check=0)
        assert _states(anna) == [("t", "1", "waiting", 0), ("t", "2", "waiting", 0)]
    assert anna.status()["peers"][0]["waiting"] == 2
    anna.change_conf({"sync": {"exclude": None}})
    anna.drain(check=0)
    assert hand.owed(anna) == [] and fresh_pair.differences() == []
