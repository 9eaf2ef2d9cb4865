"""--drain --dry-run: what would be sent, and what the peer would make of it; nothing changes on either side."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab import Pair, hand
from lab.node import Node
from lab.waiting import until

DONE, UNREACHED, PERSON = 0, 4, 5
T = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))"


def _everything(node: Node) -> dict[str, Any]:
    """Every table of both schemas: its rows, its definition with the next automatic number, its sequences."""
    found: dict[str, Any] = {}
    for schema, name, kind in node.sql("SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES"
                                       " WHERE TABLE_SCHEMA IN (%s, %s)", [node.database, node.sync_database]):
        found[schema, name] = (node.sql(f"SELECT * FROM `{schema}`.`{name}`"), node.sql(f"SHOW CREATE TABLE `{schema}`.`{name}`")
                               if kind != "VIEW" else None)
    return found


def _asked(node: Node, *args: str, check: int = DONE) -> dict[str, Any]:
    """What the dry run says of the one peer; the databases of both sides are compared by the caller."""
    peers = json.loads(node.drain("--dry-run", "--json", *args, check=check).stdout)["peers"]
    assert len(peers) == 1
    assert peers[0]["exit_code"] == check
    peer: dict[str, Any] = peers[0]
    return peer


def _start(pair: Pair, *ddl: str) -> tuple[Node, Node]:
    """In step, both receiving, and nothing is drained but by the test."""
    hand.everywhere(pair, *ddl)
    pair.install()
    pair.settle()
    for node in pair.nodes:
        node.change_conf({"sync": {"interval": "10s"}})
    pair.start_serve()
    until(lambda: pair.pending() == 0, 30, "nothing waits")
    pair.stop_serve()
    return pair.anna, pair.bert


def _frozen(pair: Pair) -> list[dict[str, Any]]:
    return [_everything(node) for node in pair.nodes]


def _rehearse(pair: Pair, check: int = DONE, *args: str) -> dict[str, Any]:
    """Ask bert, whose agent receives only, and see that nothing has changed on either side."""
    bert = pair.bert
    url = bert.conf["peer anna"]["url"]
    bert.change_conf({"peer anna": {"url": "http://127.0.0.1:1"}})  # bert sends nothing meanwhile
    bert.start_serve()
    until(lambda: "refused" in bert.agent_log.read_text() or bert.pending() == 0, 30, "bert's own drain is over")
    said: dict[str, Any] = {}

    def unchanged() -> bool:
        """Bert's failing drains note the error: a moment without one is needed."""
        before = _frozen(pair)
        said.update(_asked(pair.anna, *args, check=check))
        after = _frozen(pair)
        for one in (before, after):
            del one[1][bert.sync_database, "sync_peer"]  # its own failures
        return before == after
    try:
        until(unchanged, 30, "nothing changed while anna asked")
    finally:
        bert.stop_serve()
        bert.change_conf({"peer anna": {"url": url}})
    return said


def test_what_would_be_sent_is_counted_and_listed_by_table(fresh_pair: Pair) -> None:
    anna, _ = _start(fresh_pair, T, "CREATE TABLE u (id INT PRIMARY KEY AUTO_INCREMENT)", "INSERT INTO t VALUES (1,'a'),(2,'b')")
    hand.transaction(anna, "INSERT INTO t VALUES (3,'c')", "UPDATE t SET v='x' WHERE id=1", "DELETE FROM t WHERE id=2", "INSERT INTO u VALUES (7)")
    said = _rehearse(fresh_pair)
    assert said["asked"] and said["judged_all"] and (said["judged"], said["conflicts"], said["refused"]) == (4, 0, 0)
    counted = {one["table"]: (one["inserts"], one["updates"], one["deletes"]) for one in said["tables"]}
    assert counted == {"t": (1, 1, 1), "u": (1, 0, 0)}
    assert said["bytes"] > 0 and all(one["bytes"] > 0 for one in said["tables"])
    assert sorted((one["operation"], one["table"], one["record_id"]) for one in said["list"]) == [
        ("delete", "t", "2"), ("insert", "t", "3"), ("insert", "u", "7"), ("update", "t", "1")]
    fresh_pair.bert.start_serve()
    told = anna.drain("--dry-run", "-v", check=DONE).stdout
    assert "t: 3 records: 1 inserts, 1 updates, 1 deletes" in told and "delete t 2" in told
    assert "delete t 2" not in anna.drain("--dry-run", check=DONE).stdout
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert "to peer bert: nothing" in anna.drain("--dry-run", check=DONE).stdout


@pytest.mark.parametrize("later", ["anna", "bert"])
def test_a_conflict_is_foretold_with_the_version_that_would_stay(fresh_pair: Pair, later: str) -> None:
    anna, bert = _start(fresh_pair, T, "INSERT INTO t VALUES (1,'a'),(2,'b'),(3,'c')")
    for node in (bert, anna) if later == "anna" else (anna, bert):
        node.sql("UPDATE t SET v=%s WHERE id=1", [node.name])
    anna.sql("UPDATE t SET v='same' WHERE id=2")
    bert.sql("UPDATE t SET v='same' WHERE id=2")
    bert.sql("UPDATE t SET v='bert alone' WHERE id=3")
    said = _rehearse(fresh_pair)
    assert (said["conflicts"], said["refused"]) == (1, 0)
    found = said["findings"][0]
    assert (found["kind"], found["table"], found["record_id"], found["rule"]) == ("conflict", "t", "1", "newer")
    assert found["verdict"] == ("apply" if later == "anna" else "keep")
    assert (found["here_node"], found["there_node"]) == ("anna", "bert")
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert anna.sql("SELECT v FROM t WHERE id=1") == [(later,)]


def test_two_rows_with_one_number_are_foretold_as_a_persons_business(fresh_pair: Pair) -> None:
    anna, bert = _start(fresh_pair, "CREATE TABLE notes (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40))")
    for node in (anna, bert):
        node.sql("INSERT INTO notes VALUES (1, %s)", [node.name])
    said = _rehearse(fresh_pair, PERSON)
    assert [(one["verdict"], one["rule"]) for one in said["findings"]] == [("ask", "collision")]


def test_what_would_be_refused_is_foretold_with_its_reason(fresh_pair: Pair) -> None:
    anna, bert = _start(fresh_pair, "CREATE TABLE p (id INT PRIMARY KEY, mail VARCHAR(40) UNIQUE)",
                        "CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id))",
                        "INSERT INTO p VALUES (1,'one'),(2,'two'),(5,'five')", "CREATE TABLE other (id INT PRIMARY KEY)")
    bert.sql("INSERT INTO p VALUES (20, 'M')")
    bert.sql("ALTER TABLE other ADD extra INT")
    hand.unseen(bert, "DELETE FROM p WHERE id=5")
    hand.unseen(bert, "INSERT INTO c VALUES (90, 2)")
    hand.transaction(anna, "UPDATE p SET mail='x' WHERE id=1", "INSERT INTO p VALUES (10, 'm')", "INSERT INTO other VALUES (1)")
    said = _rehearse(fresh_pair)
    found = {(one["kind"], one["table"], one["record_id"]): one["reason"] for one in said["findings"]}
    assert found.keys() == {("refused", "p", "10"), ("waiting", "other", "1")}
    assert "record 20 has its value" in found["refused", "p", "10"] and "other" in found["waiting", "other", "1"]
    anna.sql("DELETE FROM p WHERE id IN (1, 10)")
    anna.sql("INSERT INTO c VALUES (91, 5)")
    said = _rehearse(fresh_pair)
    assert ("refused", "c", "91") in {(one["kind"], one["table"], one["record_id"]) for one in said["findings"]}


@pytest.mark.parametrize("preferred", ["anna", "bert", "cleo"])
def test_of_two_rows_with_one_unique_value_the_one_that_the_rule_prefers_is_foretold(fresh_pair: Pair, preferred: str) -> None:
    for node in fresh_pair.nodes:
        node.change_conf({"table p": {"conflict": f"prefer {preferred}"}})
    anna, bert = _start(fresh_pair, "CREATE TABLE p (id INT PRIMARY KEY, mail VARCHAR(40) UNIQUE)")
    anna.sql("INSERT INTO p VALUES (10, 'm')")
    bert.sql("INSERT INTO p VALUES (20, 'M')")
    [found] = _rehearse(fresh_pair)["findings"]
    assert (found["table"], found["record_id"]) == ("p", "10")
    if preferred == "cleo":
        assert found["kind"] == "refused" and "record 20 has its value" in found["reason"] and "a person decides" in found["reason"]
        return
    assert (found["kind"], found["rule"], found["verdict"]) == ("conflict", "unique, prefer", "apply" if preferred == "anna" else "keep")
    assert (found["here_node"], found["there_node"]) == ("anna", "bert") and found["there_changed_at"]
    fresh_pair.start_serve()
    until(lambda: [node.drain() for node in fresh_pair.nodes] and anna.sql("SELECT * FROM p") == bert.sql("SELECT * FROM p"), 60, "it is decided")
    assert anna.sql("SELECT id FROM p") == [(10 if preferred == "anna" else 20,)]


def test_values_that_change_hands_within_the_group_are_no_refusal(fresh_pair: Pair) -> None:
    anna, _ = _start(fresh_pair, "CREATE TABLE p (id INT PRIMARY KEY, mail VARCHAR(40) UNIQUE)", "INSERT INTO p VALUES (1,'one'),(2,'two')")
    hand.transaction(anna, "UPDATE p SET mail='three' WHERE id=1", "UPDATE p SET mail='one' WHERE id=2", "INSERT INTO p VALUES (3, 'two')")
    assert _rehearse(fresh_pair)["findings"] == []


def test_a_deleted_family_is_foretold_as_it_goes(fresh_pair: Pair) -> None:
    anna, bert = _start(fresh_pair, "CREATE TABLE p (id INT PRIMARY KEY)",
                        "CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)",
                        "INSERT INTO p VALUES (1),(2)", "INSERT INTO c VALUES (1,1),(2,2)")
    bert.sql("INSERT INTO c VALUES (3, 2)")
    anna.sql("DELETE FROM p")
    said = _rehearse(fresh_pair)
    assert [(one["table"], one["record_id"], one["rule"], one["verdict"]) for one in said["findings"]] == [("p", "2", "child", "keep")]
    fresh_pair.settle()
    assert anna.sql("SELECT id FROM p") == [(2,)]


def test_a_peer_that_is_gone_is_named_and_the_rest_is_told(fresh_pair: Pair) -> None:
    anna, _ = _start(fresh_pair, T)
    anna.sql("INSERT INTO t VALUES (1,'a')")
    before = _frozen(fresh_pair)
    said = _asked(anna, check=UNREACHED)
    assert not said["asked"] and said["not_asked"] and said["records"] == {"t": 1}
    text = anna.drain("--dry-run", check=UNREACHED)
    assert "t: 1 records" in text.stdout and "was not asked" in text.stdout
    assert _frozen(fresh_pair) == before


@contextmanager
def _no_drain(node: Node, peer: str) -> Iterator[None]:
    """What waits for the peer goes on waiting: the lock of its drains is taken."""
    connection = node.connect()
    with connection.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, 60)", [f"tandem.{hand.token(node)[:16]}.{peer}"])
        assert cursor.fetchone() == (1,)
    yield
    connection.close()


def test_the_side_that_cannot_call_is_told_the_same_by_a_peer_that_comes(fresh_pair: Pair) -> None:
    anna, bert = _start(fresh_pair, T, "INSERT INTO t VALUES (1,'a')")
    anna.change_conf({"peer bert": {"pull": "yes"}, "sync": {"interval": "20ms"}})
    bert.change_conf({"peer anna": {"url": None}, "sync": {"timeout": "1s", "interval": "20ms"}})
    assert "to peer anna: nothing" in bert.drain("--dry-run", check=DONE).stdout  # and nobody is asked
    bert.sql("UPDATE t SET v='bert' WHERE id=1")
    anna.sql("UPDATE t SET v='anna' WHERE id=1")
    ran = bert.drain("--dry-run", check=UNREACHED)
    assert "t: 1 records: 0 inserts, 1 updates" in ran.stdout and "agent --serve, which does not run here. Start it" in ran.stdout
    assert "same command" not in ran.stdout
    with _no_drain(anna, "bert"), _no_drain(bert, "anna"):
        bert.start_serve()
        ran = bert.drain("--dry-run", check=UNREACHED)
        assert "waiting up to 3 s for peer anna" in ran.stdout and "has not come within 3 s" in ran.stdout and "same command" not in ran.stdout
        anna.start_serve()
        schemas = [[node.sql("SELECT * FROM t"), hand.sync(node, "SELECT * FROM sync_queue"), hand.sync(node, "SELECT * FROM sync_conflict")] for node in (anna, bert)]
        said = _asked(bert)
        assert said["asked"] and said["judged_all"] and (said["judged"], said["conflicts"], said["refused"]) == (1, 1, 0)
        found = said["findings"][0]
        assert (found["verdict"], found["rule"], found["here_node"], found["there_node"]) == ("keep", "newer", "bert", "anna")
        assert "anna would stay (newer)" in bert.drain("--dry-run", check=DONE).stdout
        assert schemas == [[node.sql("SELECT * FROM t"), hand.sync(node, "SELECT * FROM sync_queue"), hand.sync(node, "SELECT * FROM sync_conflict")] for node in (anna, bert)]
    until(lambda: anna.sql("SELECT v FROM t") == bert.sql("SELECT v FROM t") == [("anna",)], 60, "and so it is decided")
    until(lambda: bert.status()["peers"][0]["in_step"], 60, "all is told")
    assert "to peer anna: nothing" in bert.drain("--dry-run", check=DONE).stdout
    assert not fresh_pair.wire or not fresh_pair.wire["bert", "anna"].exchanges


def test_a_paused_peer_is_named_and_not_asked(fresh_pair: Pair) -> None:
    anna, _ = _start(fresh_pair, T)
    anna.sql("INSERT INTO t VALUES (1,'a')")
    anna.change_conf({"peer bert": {"paused": "yes"}})
    passed = fresh_pair.wire["anna", "bert"].requests if fresh_pair.wire else 0
    said = _asked(anna)
    assert said["paused"] and not said["asked"] and said["records"] == {"t": 1}
    assert "(paused)" in anna.drain("--dry-run", check=DONE).stdout
    assert not fresh_pair.wire or fresh_pair.wire["anna", "bert"].requests == passed


def test_what_is_owed_and_parked_is_named(fresh_pair: Pair) -> None:
    anna, bert = _start(fresh_pair, "CREATE TABLE p (id INT PRIMARY KEY, mail VARCHAR(40) UNIQUE)")
    bert.sql("INSERT INTO p VALUES (20, 'm')")
    anna.sql("INSERT INTO p VALUES (10, 'm')")
    fresh_pair.start_serve()

    def parked() -> bool:
        anna.drain(check=(DONE, PERSON))
        return [state for _, _, state, _, _ in hand.owed(anna)] == ["parked"]
    until(parked, 60, "it is parked")
    said = _asked(anna)
    assert [(one["table"], one["record_id"], one["state"]) for one in said["open"]] == [("p", "10", "parked")]
    assert "1062" in said["open"][0]["reason"] and said["count"] == 0
    assert "parked: table p record 10" in anna.drain("--dry-run", check=DONE).stdout


def test_deletions_that_would_be_held_are_told(fresh_pair: Pair) -> None:
    anna, _ = _start(fresh_pair, T, "INSERT INTO t SELECT seq, 'x' FROM seq_1_to_200")
    anna.sql("DELETE FROM t WHERE id<=150")
    said = _rehearse(fresh_pair, PERSON)
    assert "150" in said["deletions_held"] and said["tables"][0]["deletes"] == 150
    assert _rehearse(fresh_pair, DONE, "--allow-deletes")["deletions_held"] is None


def test_all_that_is_pending_is_told_and_judged_group_after_group(fresh_pair: Pair) -> None:
    """One transaction that is cut, then epochs that are marked already, and what was refused before."""
    anna, bert = _start(fresh_pair, T, "CREATE TABLE p (id INT PRIMARY KEY)",
                        "CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id))",
                        "CREATE TABLE q (id INT PRIMARY KEY, mail VARCHAR(9) UNIQUE)",
                        "INSERT INTO t SELECT seq, 'x' FROM seq_1_to_300")
    for node in fresh_pair.nodes:
        node.change_conf({"sync": {"group_rows": "50", "max_delete": "100%, 100"}})
    bert.sql("INSERT INTO q VALUES (20, 'm')")
    anna.sql("INSERT INTO q VALUES (10, 'm')")
    url = anna.conf["peer bert"]["url"]
    bert.start_serve()
    anna.drain(check=(DONE, PERSON))
    bert.stop_serve()
    assert [state for _, _, state, _, _ in hand.owed(anna)] == ["retry"]
    hand.transaction(anna, "INSERT INTO p SELECT seq FROM seq_1_to_60", "UPDATE t SET v='anna' WHERE id BETWEEN 11 AND 40",
                     "INSERT INTO c SELECT seq, seq FROM seq_1_to_60", "UPDATE t SET v='anna' WHERE id BETWEEN 41 AND 130")
    anna.change_conf({"peer bert": {"url": "http://127.0.0.1:1"}})
    anna.drain(check=UNREACHED)  # marks what there is
    anna.change_conf({"peer bert": {"url": url}})
    anna.sql("DELETE FROM t WHERE id>180")
    bert.sql("UPDATE t SET v='bert' WHERE id IN (20, 120)")
    said = _rehearse(fresh_pair, PERSON)
    counted = {one["table"]: (one["inserts"], one["updates"], one["deletes"]) for one in said["tables"]}
    assert counted == {"p": (60, 0, 0), "c": (60, 0, 0), "t": (0, 120, 120), "q": (1, 0, 0)}
    assert said["count"] == len(said["list"]) == said["judged"] == 361 and said["judged_all"] and said["groups"] >= 8
    assert {(one["kind"], one["table"], one["record_id"]) for one in said["findings"]} == {
        ("conflict", "t", "20"), ("conflict", "t", "120"), ("refused", "q", "10")}
    assert (said["conflicts"], said["refused"]) == (2, 1)
    assert "t" in said["deletions_held"]  # each group alone would be within the limit
    bert.sql("DELETE FROM q")
    for node in fresh_pair.nodes:
        node.change_conf({"sync": {"max_delete": "off"}})
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert anna.sql("SELECT DISTINCT v FROM t WHERE id IN (20, 120)") == [("bert",)]


def test_asking_takes_no_lock_on_the_peer(fresh_pair: Pair) -> None:
    """An open transaction there has the row: the answer comes all the same, and tells of what is committed."""
    anna, bert = _start(fresh_pair, T, "INSERT INTO t VALUES (1,'a')")
    anna.sql("UPDATE t SET v='anna'")
    open_one = bert.connect(autocommit=False)
    hand.run(open_one, "UPDATE t SET v='bert'")
    try:
        said = _rehearse(fresh_pair)
        assert said["judged"] == 1 and said["conflicts"] == 0
    finally:
        open_one.rollback()
        open_one.close()


def test_a_peer_stopped_in_its_tracks_is_waited_for_no_longer_than_the_timeout(fresh_pair: Pair) -> None:
    anna, bert = _start(fresh_pair, T)
    anna.change_conf({"sync": {"timeout": "2s"}})
    anna.sql("INSERT INTO t VALUES (1,'a')")
    bert.start_serve()
    os.kill(bert.serve_pid, signal.SIGSTOP)
    try:
        assert not _asked(anna, check=UNREACHED)["asked"]
    finally:
        os.kill(bert.serve_pid, signal.SIGCONT)
        bert.stop_serve()
