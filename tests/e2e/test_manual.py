"""conflict = manual: each side keeps its own version until a person decides; one decision ends it on both."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lab import Cluster, Pair, hand
from lab.node import Node
from lab.waiting import until

DONE, PERSON = 0, 5
T = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40), n INT)"


def _open(node: Node) -> list[dict[str, Any]]:
    kept = json.loads(node.agent("--conflicts", "--json", check={DONE, PERSON}).stdout)["conflicts"]
    return [one for one in kept if one["undecided"]]


def _apart(pair: Pair, annas: str, berts: str, n: int = 1, more: tuple[str, ...] = ()) -> tuple[Node, Node]:
    """Both have changed the record, and both sides list it as undecided."""
    hand.everywhere(pair, T, "INSERT INTO t VALUES (1,'first',0),(2,'second',0)", *more)
    for node in pair.nodes:
        node.change_conf({"sync": {"interval": "10s", "conflict": "manual"}})
    asked = pair.anna.agent("--check")
    if "conflict" in asked.stderr and asked.returncode == 2:
        pytest.skip("this agent has no conflict = manual yet")
    pair.install()
    pair.settle()
    pair.anna.sql(annas)
    pair.bert.sql(berts)
    pair.start_serve()

    def known() -> bool:
        for node in pair.nodes:
            node.drain(check=(DONE, PERSON))
        return all(len(_open(node)) == n for node in pair.nodes)
    until(known, 60, "both sides list it")
    return pair.anna, pair.bert


def _agree(pair: Pair) -> None:
    pair.settle()
    pair.assert_equal()
    for node in pair.nodes:
        assert _open(node) == [] and hand.owed(node) == []
        assert hand.sync(node, "SELECT * FROM sync_unsettled") == []
        assert json.loads(node.agent("--status", "--json", check=DONE).stdout)["peers"][0]["in_step"]


CASES = {
    "update against update": ("UPDATE t SET v='anna' WHERE id=1", "UPDATE t SET v='bert' WHERE id=1", "1"),
    "update against delete": ("UPDATE t SET v='anna' WHERE id=1", "DELETE FROM t WHERE id=1", "1"),
    "delete against update": ("DELETE FROM t WHERE id=1", "UPDATE t SET v='bert' WHERE id=1", "1"),
    "insert against insert": ("INSERT INTO t VALUES (7,'anna',1)", "INSERT INTO t VALUES (7,'bert',2)", "7"),
}


def test_a_decision_made_while_a_group_is_applied_is_not_asked_for_again(fresh_pair: Pair) -> None:
    """The group has looked for decisions before it comes to the record, which lies behind one that an app has locked."""
    fresh_pair.bert.change_conf({"sync": {"max_attempts": "1000"}})  # each drain tries again
    anna, bert = _apart(fresh_pair, "UPDATE t SET v='anna'", "UPDATE t SET v='bert'", 2)
    fresh_pair.stop_serve()
    with anna.connect() as app, ThreadPoolExecutor(1) as beside:
        app.begin()
        with app.cursor() as cursor:
            cursor.execute("SELECT n FROM t WHERE id=1 FOR UPDATE")
        anna.start_serve()
        sent = beside.submit(bert.drain, check=(DONE, 4, PERSON))
        until(lambda: len(anna.sql("SELECT 1 FROM information_schema.INNODB_TRX WHERE trx_state='LOCK WAIT'")) == 1, what="the group waits for the app")
        [later] = [one["id"] for one in _open(anna) if one["record_id"] == "2"]
        anna.agent("--resolve", str(later), "--keep", "local", check=DONE)
        app.rollback()
        sent.result()
    assert [one["record_id"] for one in _open(anna)] == ["1"]
    bert.start_serve()
    anna.agent("--resolve", "all", "--keep", "local", check=DONE)
    _agree(fresh_pair)
    assert bert.sql("SELECT id, v FROM t") == [(1, "anna"), (2, "anna")]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("where", ["anna", "bert"])
@pytest.mark.parametrize("keep", ["local", "remote"])
def test_each_side_keeps_its_own_until_a_person_decides_on_either(
        fresh_pair: Pair, case: tuple[str, str, str], where: str, keep: str) -> None:
    anna, bert = _apart(fresh_pair, *case[:2])
    node = fresh_pair[where]
    stays = where if keep == "local" else "bert" if where == "anna" else "anna"
    want = fresh_pair[stays].sql("SELECT * FROM t")
    assert anna.sql("SELECT * FROM t") != bert.sql("SELECT * FROM t")
    kept = _open(node)[0]
    assert (kept["rule"], kept["record_id"]) == ("manual", case[2])
    assert kept["local"]["row"] != kept["remote"]["row"]
    node.agent("--resolve", str(kept["id"]), "--keep", keep, check=DONE)
    _agree(fresh_pair)
    assert bert.sql("SELECT * FROM t") == want


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_two_people_who_decide_differently_at_once_converge(fresh_pair: Pair, case: tuple[str, str, str]) -> None:
    anna, bert = _apart(fresh_pair, *case[:2])
    want = anna.sql("SELECT * FROM t")
    fresh_pair.stop_serve()
    for node in (bert, anna):
        node.agent("--resolve", str(_open(node)[0]["id"]), "--keep", "local", check=DONE)
    _agree(fresh_pair)
    assert bert.sql("SELECT * FROM t") == want  # decided last


@pytest.mark.parametrize("keep", ["local", "remote"])
def test_a_changed_key_that_waited_leaves_no_row_under_the_old_one(fresh_pair: Pair, keep: str) -> None:
    anna, bert = _apart(fresh_pair, "UPDATE t SET id=7 WHERE id=1", "INSERT INTO t VALUES (7,'bert',2)")
    bert.agent("--resolve", str(_open(bert)[0]["id"]), "--keep", keep, check=DONE)
    bert.drain(check=(DONE, PERSON))  # before anna tries hers again
    _agree(fresh_pair)
    assert anna.sql("SELECT id, v FROM t ORDER BY id") == [(2, "second"), (7, "bert" if keep == "local" else "first")]


def test_a_version_that_came_after_the_one_that_was_decided_about_is_not_overwritten(fresh_pair: Pair) -> None:
    parents = ("CREATE TABLE p (id INT PRIMARY KEY)", "ALTER TABLE t MODIFY id INT AUTO_INCREMENT, ADD p INT, ADD FOREIGN KEY (p) REFERENCES p (id)")
    anna, bert = _apart(fresh_pair, "INSERT INTO t (id, v) VALUES (7, 'anna')", "INSERT INTO t (id, v) VALUES (7, 'bert')", more=parents)
    fresh_pair.stop_serve()
    bert.sql("DELETE FROM t WHERE id=7")
    bert.start_serve()
    until(lambda: anna.agent("--retry", "all", check=None) and anna.drain(check=None) and bert.sql("SELECT v FROM t WHERE id=7") == [("anna",)], 60, "bert has anna's")
    bert.stop_serve()
    hand.unseen(bert, "INSERT INTO p VALUES (5)")
    bert.sql("UPDATE t SET v='bert goes on', p=5 WHERE id=7")
    anna.start_serve()
    bert.drain(check=None)  # refused: anna has no such parent
    anna.stop_serve()
    for one in _open(anna):
        anna.agent("--resolve", str(one["id"]), "--keep", "local", check=DONE)
    bert.start_serve()
    anna.drain(check=None)
    kept = [str(row) for node in fresh_pair.nodes for row in hand.sync(node, "SELECT CONCAT_WS(' ', local_row, remote_row) FROM sync_conflict")]
    assert bert.sql("SELECT v FROM t WHERE id=7") == [("bert goes on",)] or any("bert goes on" in row for row in kept), kept


@pytest.mark.parametrize("keep", ["local", "remote"])
def test_a_key_that_changed_twice_while_it_waited_leaves_no_row_under_the_first_one(fresh_pair: Pair, keep: str) -> None:
    anna, bert = _apart(fresh_pair, "UPDATE t SET id=7 WHERE id=1", "INSERT INTO t VALUES (7,'bert',2)")
    fresh_pair.stop_serve()
    bert.sql("INSERT INTO t VALUES (8,'bert',3)")
    anna.sql("UPDATE t SET id=8 WHERE id=7")
    bert.start_serve()
    anna.drain(check=(DONE, PERSON))
    assert "8" in [one["record_id"] for one in _open(bert)]  # the second key is refused as well
    anna.start_serve()

    def decided() -> bool:
        # What anna tells of the key that was left, while the decision is on its way, is asked about once more.
        for one in _open(bert):
            bert.agent("--resolve", str(one["id"]), "--keep", keep, check=DONE)
        return all(node.drain().returncode == DONE for node in fresh_pair.nodes)
    until(decided, 60, "both are of one mind")
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert anna.sql("SELECT id FROM t WHERE id=1") == []


@pytest.mark.parametrize("keep", ["local", "remote"])
def test_a_record_that_came_by_a_key_another_one_left_is_known_by_its_first_key(fresh_pair: Pair, keep: str) -> None:
    fresh_pair.anna.sql("CREATE PROCEDURE moves() BEGIN UPDATE t SET id=9 WHERE id=2; UPDATE t SET id=2 WHERE id=1; UPDATE t SET id=7 WHERE id=2; END")
    anna, bert = _apart(fresh_pair, "CALL moves()", "INSERT INTO t VALUES (7,'bert',2)")
    for _ in range(2):  # it is tried again as what it is
        anna.agent("--retry", "all", check=None)
        anna.drain(check=(DONE, PERSON))
    for one in _open(bert):
        bert.agent("--resolve", str(one["id"]), "--keep", keep, check=DONE)
    _agree(fresh_pair)
    assert [node.sql("SELECT COUNT(*) FROM t WHERE id IN (1, 2)") for node in (anna, bert)] == [[(0,)], [(0,)]]


def test_a_key_that_came_to_a_decided_one_leaves_the_same_rows_on_both(fresh_pair: Pair) -> None:
    anna, bert = _apart(fresh_pair, "DELETE FROM t WHERE id=1", "UPDATE t SET v='bert'")
    anna.sql("UPDATE t SET id=1 WHERE id=2")
    anna.drain(check=(DONE, PERSON))
    bert.agent("--resolve", str(_open(bert)[0]["id"]), "--keep", "local", check=DONE)
    anna.drain(check=(DONE, PERSON))  # the moved record once more, from who has not heard of the decision
    _agree(fresh_pair)


def test_an_edit_that_the_decision_had_not_seen_is_left_to_a_person_again(fresh_pair: Pair) -> None:
    anna, bert = _apart(fresh_pair, *CASES["update against update"][:2])
    fresh_pair.stop_serve()
    anna.agent("--resolve", str(_open(anna)[0]["id"]), "--keep", "local", check=DONE)
    bert.sql("UPDATE t SET v='bert edits on' WHERE id=1")
    fresh_pair.start_serve()

    def known() -> bool:
        for node in fresh_pair.nodes:
            node.drain(check=(DONE, PERSON))
        return all(len(_open(node)) == 1 for node in fresh_pair.nodes)
    until(known, 60, "both list it again")
    assert _open(bert)[0]["local"]["row"]["v"] == "bert edits on"
    bert.agent("--resolve", str(_open(bert)[0]["id"]), "--keep", "local", check=DONE)
    _agree(fresh_pair)
    assert anna.sql("SELECT v FROM t WHERE id=1") == [("bert edits on",)]


def test_further_edits_on_one_side_renew_what_is_listed_on_the_other(fresh_pair: Pair) -> None:
    anna, bert = _apart(fresh_pair, *CASES["update against update"][:2])
    first = _open(bert)[0]["id"]
    anna.sql("UPDATE t SET v='anna again', n=5 WHERE id=1")
    anna.sql("UPDATE t SET n=6 WHERE id=2")
    until(lambda: (anna.drain(check=(DONE, PERSON)), _open(bert)[0]["remote"]["row"]["v"])[1] == "anna again", 60, "bert lists it")
    assert [one["id"] for one in _open(bert)] == [first]
    assert bert.sql("SELECT n FROM t WHERE id=2") == [(6,)]  # the others go on
    bert.agent("--resolve", str(first), "--keep", "remote", check=DONE)
    _agree(fresh_pair)
    assert bert.sql("SELECT v, n FROM t WHERE id=1") == [("anna again", 5)]


def test_what_another_peer_sent_and_nobody_has_looked_at_is_not_seen_by_a_decision() -> None:
    """Bert decides about anna's version. Cleo's, which waits for its parent, no list at bert has shown yet."""
    with Cluster(3, "chain", schemas=(), conf={"sync": {"conflict": "manual"}}) as many:
        anna, bert, cleo = many.nodes
        hand.everywhere(many, "CREATE TABLE p (id INT PRIMARY KEY, mail VARCHAR(20) UNIQUE)",
                        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40), p INT, FOREIGN KEY (p) REFERENCES p (id))",
                        "INSERT INTO p VALUES (1, 'one')", "INSERT INTO t VALUES (1, 'first', 1)")
        many.install()
        many.settle()
        bert.sql("INSERT INTO p VALUES (2, 'two')")
        cleo.sql("INSERT INTO p VALUES (3, 'two')")
        cleo.sql("UPDATE t SET v='cleo', p=3")
        bert.start_serve()
        cleo.drain(check=(DONE, PERSON))
        assert hand.sync(bert, "SELECT COUNT(*) FROM sync_unsettled WHERE peer='cleo' AND table_name='t'") == [(1,)]
        bert.sql("UPDATE t SET v='bert'")
        anna.sql("UPDATE t SET v='anna'")
        anna.drain(check=(DONE, PERSON))
        kept = next(one for one in _open(bert) if one["table"] == "t")
        bert.agent("--resolve", str(kept["id"]), "--keep", "remote", check=DONE)
        bert.stop_serve()  # cleo tries nothing again before
        cleo.start_serve()
        bert.drain(check=None)
        assert cleo.sql("SELECT v, p FROM t") == [("cleo", 3)]  # as much a conflict as anna's
        kept = next(one for one in _open(cleo) if one["table"] == "t")
        assert (kept["local"]["row"]["v"], kept["remote"]["row"]["v"]) == ("cleo", "anna")


def test_a_refused_record_that_went_back_to_its_first_key_and_ended_is_told_once(fresh_pair: Pair) -> None:
    anna, bert = _apart(fresh_pair, "UPDATE t SET id=7 WHERE id=1", "INSERT INTO t VALUES (7,'bert',2)")
    fresh_pair.stop_serve()
    bert.sql("UPDATE t SET v='bert' WHERE id=1")
    bert.start_serve()
    anna.sql("UPDATE t SET id=1 WHERE id=7")
    anna.drain(check=None)
    anna.sql("DELETE FROM t WHERE id=1")
    for _ in range(4):
        anna.drain(check=None)
    before = hand.sync(anna, "SELECT COUNT(*) FROM sync_queue")
    anna.drain(check=None)
    assert hand.sync(anna, "SELECT COUNT(*) FROM sync_queue") == before


def test_an_edit_by_a_slow_clock_that_a_decision_had_not_seen_is_kept(fresh_pair: Pair) -> None:
    anna, bert = _apart(fresh_pair, *CASES["update against update"][:2])
    fresh_pair.stop_serve()
    kept = _open(bert)[0]
    bert.agent("--resolve", str(kept["id"]), "--keep", "local", check=DONE)
    age, = hand.sync(bert, "SELECT TIMESTAMPDIFF(MICROSECOND, remote_changed_at, UTC_TIMESTAMP(6)) / 1e6 FROM sync_conflict")[0]
    hand.transaction(anna, f"SET timestamp=UNIX_TIMESTAMP(NOW(6))-{age}-1", "UPDATE t SET v='edited' WHERE id=1")
    bert.start_serve()
    anna.drain(check=None)
    bert.stop_serve()
    _agree(fresh_pair)
    assert anna.sql("SELECT v FROM t WHERE id=1") == [("bert",)]
    rows = [one[0] for one in hand.sync(bert, "SELECT remote_row FROM sync_conflict")]
    assert any(b"edited" in row for row in rows)


# three nodes ---------------------------------------------------------------------------------------

def _drain_until(many: Cluster, what: str, count: int) -> list[list[dict[str, Any]]]:
    """Everybody drains until so many are listed in all, and nothing new comes."""
    def known() -> bool:
        for node in many.nodes:
            node.drain(check=(DONE, PERSON))
        return sum(len(_open(node)) for node in many.nodes) >= count
    until(known, 60, what)
    for node in many.nodes:
        node.drain(check=(DONE, PERSON))
    return [_open(node) for node in many.nodes]


@pytest.mark.parametrize(("links", "keep"), [("chain", "remote"), ("star", "local")])
def test_on_three_laptops_each_link_with_two_versions_is_named_and_decisions_end_it(links: str, keep: str) -> None:
    with Cluster(3, links, schemas=(), conf={"sync": {"conflict": "manual", "interval": "10s"}}) as many:
        hand.everywhere(many, T, "INSERT INTO t VALUES (1,'first',0),(2,'second',0),(3,'third',0)")
        many.install()
        many.settle()
        middle = many.nodes[1 if links == "chain" else 0]
        ends = [node for node in many.nodes if node is not middle]
        many.stop_serve()
        # Both ends, all three, and one end against the middle; and what nobody else has touched.
        for node in ends:
            node.sql("UPDATE t SET v=%s WHERE id=1", [node.name])
        for node in many.nodes:
            node.sql("UPDATE t SET v=%s WHERE id=2", [node.name])
        ends[0].sql("INSERT INTO t VALUES (9,'new',0)")
        ends[1].sql("DELETE FROM t WHERE id=3")
        middle.sql("UPDATE t SET n=3 WHERE id=3")
        many.start_serve()
        opened = _drain_until(many, "all of them are listed", 8)
        assert all(one["rule"] == "manual" for listed in opened for one in listed)
        assert [row[0] for row in ends[1].sql("SELECT id FROM t WHERE id=9")] == [9]
        assert all(node.agent("--status").returncode == PERSON for node in many.nodes)
        # Every record that differs is named at both ends of the link that it differs on.
        for node in ends:
            for key in ("1", "2", "3"):
                if node.sql("SELECT v, n FROM t WHERE id=%s", [key]) != middle.sql("SELECT v, n FROM t WHERE id=%s", [key]):
                    assert key in {one["record_id"] for one in _open(node)}, (node.name, key)
                    assert (node.name, key) in {(one["peer"], one["record_id"]) for one in _open(middle)}, (node.name, key)

        def decided() -> bool:
            """A person in the middle decides what is open, until nothing is: a decision may meet a third version."""
            for one in _open(middle):
                middle.agent("--resolve", str(one["id"]), "--keep", keep, check=DONE)
            for node in many.nodes:
                node.drain(check=(DONE, PERSON))
            return not any(_open(node) for node in many.nodes)
        until(decided, 60, "nothing is open")
        many.settle(60)
        many.assert_equal()
        for node in many.nodes:
            assert hand.owed(node) == [] and hand.sync(node, "SELECT * FROM sync_unsettled") == []
            assert all(peer["in_step"] for peer in node.status()["peers"])
        if keep == "local":
            assert middle.sql("SELECT v FROM t WHERE id=2") == [(middle.name,)]
        kept = " ".join(str(row) for node in many.nodes for row in hand.sync(node, "SELECT CONCAT_WS(' ', local_row, remote_row) FROM sync_conflict"))
        assert all(f'"v":"{node.name}"' in kept for node in many.nodes)
