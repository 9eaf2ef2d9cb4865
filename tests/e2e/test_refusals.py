"""What a peer refuses holds back nothing but itself: it is named with the reason, tried again,
parked for a person at last, and never counted as arrived."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import Cluster, Fault, Pair, hand, process, until
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


def test_a_refusal_whose_answer_was_overtaken_by_the_next_try_is_settled(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES, "INSERT INTO t VALUES (1,1)")
    anna.change_conf({"sync": {"max_attempts": "9"}})
    bert.sql("ALTER TABLE t ADD CHECK (v<>7)")
    anna.sql("UPDATE t SET v=7")
    anna.drain(check=0)
    epoch = hand.sync(anna, "SELECT sent_epoch FROM sync_owed")[0][0]
    app = bert.connect(autocommit=False)
    hand.run(app, "SELECT * FROM t WHERE id=1 FOR UPDATE")
    anna.change_conf({"sync": {"timeout": "500ms"}})
    anna.drain(check=4)  # bert is at it still, and anna does not know
    anna.change_conf({"sync": {"timeout": "30s"}})
    lost = hand.sync(anna, "SELECT sent_epoch FROM sync_owed")[0][0]
    assert lost > epoch
    with ThreadPoolExecutor(1) as pool:
        next_try = pool.submit(anna.drain)
        until(lambda: hand.sync(anna, "SELECT sent_epoch FROM sync_owed")[0][0] > lost, what="anna tries again")
        app.close()
        assert next_try.result().returncode == 0, next_try.result().stderr
    anna.sql("UPDATE t SET v=2")
    anna.drain(check=0)
    assert hand.owed(anna) == [] and fresh_pair.differences() == []


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


# what a person decides ---------------------------------------------------------------------------

RECEIVE = "/api/sync/receive"
FAMILY = ("CREATE TABLE parent (id INT PRIMARY KEY, v INT)",
          "CREATE TABLE child (id INT PRIMARY KEY, parent INT NOT NULL,"
          " FOREIGN KEY (parent) REFERENCES parent (id))")


def _forbid(node: Node, table: str = "t") -> None:
    node.sql(f"ALTER TABLE {table} ADD CONSTRAINT no_seven CHECK (v<>7)")


def _allow(node: Node, table: str = "t") -> None:
    node.sql(f"ALTER TABLE {table} DROP CONSTRAINT no_seven")


def _park(anna: Node, bert: Node, *statements: str) -> None:
    """Changes that bert refuses until they are parked."""
    _forbid(bert)
    hand.transaction(anna, *statements)
    anna.drain(check=0)
    anna.drain(check=5)
    assert {row[2] for row in hand.owed(anna)} == {"parked"}


def _in_step(node: Node) -> bool:
    return bool(node.status()["peers"][0]["in_step"])


def _assert_settled(pair: Pair) -> None:
    assert hand.owed(pair.anna) == []
    pair.assert_equal()
    pair.anna.start_serve()  # bert, whose table was altered, compares it with anna
    until(lambda: _in_step(pair.bert), 90, "bert has compared its table")
    pair.anna.stop_serve()
    assert _in_step(pair.anna)
    assert pair.anna.drain(check=0).stdout == ""


def test_retry_all_sends_every_parked_record_again(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    _park(anna, bert, "INSERT INTO t VALUES (1,7), (2,7), (3,7)", "INSERT INTO u VALUES (1,7)")
    _allow(bert)
    assert "3 records" in anna.agent("--retry", "all", check=0).stdout
    assert anna.queue() == {"pending": 3, "synced": 1}
    anna.drain(check=0)
    assert anna.queue() == {"synced": 4}
    _assert_settled(fresh_pair)


def test_a_retried_record_that_is_refused_again_is_parked_again_after_as_many_attempts(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    _park(anna, bert, "INSERT INTO t VALUES (1,7)")
    anna.agent("--retry", "all", check=0)
    anna.drain(check=0)
    assert _states(anna) == [("t", "1", "retry", 1)]
    anna.drain(check=0)
    anna.drain(check=5)
    assert _states(anna) == [("t", "1", "parked", 3)]


def test_a_discarded_record_is_not_in_step_until_its_next_change_which_arrives(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES, "INSERT INTO t VALUES (1,0), (2,0)")
    _park(anna, bert, "UPDATE t SET v=7 WHERE id=1")
    (parked,) = json.loads(anna.agent("--parked", "--json", check=5).stdout)["parked"]
    anna.agent("--discard", str(parked["id"]), check=0)
    for _ in range(2):
        anna.drain(check=0)
        assert bert.sql("SELECT v FROM t WHERE id=1") == [(0,)], "the peer keeps its own"
        assert _states(anna) == [("t", "1", "discarded", 0)]
        assert not _in_step(anna)
    anna.sql("UPDATE t SET v=8 WHERE id=1")
    anna.drain(check=0)
    assert bert.sql("SELECT v FROM t WHERE id=1") == [(8,)]
    _assert_settled(fresh_pair)


def test_a_change_of_the_peer_ends_a_discarded_record_too(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES, "INSERT INTO t VALUES (1,0)")
    _park(anna, bert, "UPDATE t SET v=7 WHERE id=1")
    (parked,) = json.loads(anna.agent("--parked", "--json", check=5).stdout)["parked"]
    anna.agent("--discard", str(parked["id"]), check=0)
    bert.sql("UPDATE t SET v=9 WHERE id=1")
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert anna.sql("SELECT v FROM t") == [(9,)]


def test_an_unknown_id_and_a_word_that_is_none_are_refused(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    _park(anna, bert, "INSERT INTO t VALUES (1,7)")
    for args in (("--retry", "99"), ("--discard", "99"), ("--discard", "all"), ("--retry", "-1"), ("--retry",)):
        anna.agent(*args, check=2)
    assert _states(anna) == [("t", "1", "parked", 3)]


def test_a_later_change_takes_the_place_of_a_parked_one(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    _park(anna, bert, "INSERT INTO t VALUES (1,7), (2,7)")
    anna.sql("UPDATE t SET v=8 WHERE id=1")
    anna.drain(check=5)
    assert _states(anna) == [("t", "2", "parked", 3)]
    assert bert.sql("SELECT * FROM t") == [(1, 8)]
    hand.transaction(anna, "UPDATE t SET v=6 WHERE id=2", "UPDATE t SET v=7 WHERE id=2")
    anna.drain(check=0)
    assert _states(anna) == [("t", "2", "retry", 2)], "its attempts begin anew"
    anna.sql("DELETE FROM t WHERE id=2")
    anna.drain(check=0)
    assert anna.queue() == {"synced": 6}
    _assert_settled(fresh_pair)


# what is no attempt ------------------------------------------------------------------------------

def test_a_peer_that_cannot_be_reached_is_never_an_attempt(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    _forbid(bert)
    anna.sql("INSERT INTO t VALUES (1,7)")
    anna.drain(check=0)
    assert _states(anna) == [("t", "1", "retry", 2)]
    hand.transaction(anna, "INSERT INTO u VALUES (1,1)", "UPDATE u SET v=2")
    fresh_pair.wire["anna", "bert"].set_mode("refuse")
    for _ in range(10):
        said = anna.drain(check=4)
        assert "refused the connection" in said.stderr
    assert _states(anna) == [("t", "1", "retry", 2)]
    assert hand.sync(anna, "SELECT MAX(attempt_count) FROM sync_queue WHERE table_name='u'") == [(0,)]
    assert anna.queue() == {"pending": 3}
    fresh_pair.wire["anna", "bert"].set_mode("pass")
    _allow(bert)
    anna.drain(check=0)
    _assert_settled(fresh_pair)


def test_a_lost_answer_is_no_second_attempt(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    _forbid(bert)
    anna.sql("INSERT INTO t VALUES (1,7)")
    lost = fresh_pair.wire["anna", "bert"].drop_response(RECEIVE, times=2)
    drained = anna.drain(check=(0, 4))
    assert lost.hits > 0
    if drained.returncode == 4:  # else the client has asked again by itself
        anna.drain(check=0)
    assert _states(anna)[0][2:] in (("retry", 1), ("retry", 2)), "one in the lost answer, at most one more"


def test_changes_made_while_a_record_is_tried_again_and_the_peer_restarts_are_not_lost(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    anna.change_conf({"sync": {"group_rows": "50"}})
    _forbid(bert)
    anna.sql("INSERT INTO t VALUES (1,7)")
    held = fresh_pair.wire["anna", "bert"].plan(Fault("hold_request", RECEIVE, skip=1))
    drain = process.start(anna.command("--drain"), anna.folder / "drain.log", cwd=anna.folder)
    until(lambda: held.hits == 1, 10, "the record is on its way a second time")
    hand.transaction(anna, "INSERT INTO u SELECT seq, 1 FROM seq_1_to_200")
    bert.kill_serve()
    bert.start_serve()
    held.release()
    drain.wait(20)
    _allow(bert)
    anna.agent("--retry", "all", check=0)
    fresh_pair.settle(10)
    _assert_settled(fresh_pair)


# parents and children ----------------------------------------------------------------------------

def test_a_child_whose_parent_is_missing_on_the_peer_is_refused_by_name(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *FAMILY, *TWO_TABLES, "INSERT INTO parent VALUES (1,0), (2,0)")
    hand.unseen(bert, "DELETE FROM parent WHERE id=1")
    hand.transaction(anna, "INSERT INTO child VALUES (1,1), (2,2)", "INSERT INTO u VALUES (1,1)")
    anna.drain(check=0)
    assert _states(anna) == [("child", "1", "retry", 2)]
    assert "foreign key constraint fails" in hand.owed(anna)[0][4]
    assert bert.sql("SELECT id FROM child") == [(2,)] and bert.sql("SELECT id FROM u") == [(1,)]
    anna.drain(check=5)
    hand.unseen(bert, "INSERT INTO parent VALUES (1,0)")
    anna.agent("--retry", "all", check=0)
    anna.drain(check=0)
    _assert_settled(fresh_pair)


def test_a_child_of_a_parked_parent_waits_without_attempts_and_arrives_after_it(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *FAMILY)
    _forbid(bert, "parent")
    anna.sql("INSERT INTO parent VALUES (1,7)")
    anna.drain(check=0)
    anna.drain(check=5)
    hand.transaction(anna, "INSERT INTO child VALUES (1,1)", "INSERT INTO parent VALUES (2,0)", "INSERT INTO child VALUES (2,2)")
    for _ in range(4):
        anna.drain(check=5)
        assert _states(anna) == [("child", "1", "waiting", 0), ("parent", "1", "parked", 3)]
    assert bert.sql("SELECT id FROM child") == [(2,)]
    _allow(bert, "parent")
    anna.agent("--retry", "all", check=0)
    anna.drain(check=0)
    _assert_settled(fresh_pair)


def test_a_child_and_its_refused_parent_in_one_group_count_attempts_of_the_parent_alone(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *FAMILY)
    _forbid(bert, "parent")
    hand.transaction(anna, "INSERT INTO parent VALUES (1,7)", "INSERT INTO child VALUES (1,1)")
    anna.drain(check=0)
    assert _states(anna) == [("child", "1", "waiting", 0), ("parent", "1", "retry", 2)]
    anna.sql("UPDATE parent SET v=1")
    anna.drain(check=0)
    _assert_settled(fresh_pair)


# tables that differ ------------------------------------------------------------------------------

def _assert_waits(pair: Pair, *words: str) -> None:
    """Changes of t wait without attempts, whatever the number of drains; u goes on."""
    anna, bert = pair.anna, pair.bert
    for key in range(1, 5):
        anna.sql(f"INSERT INTO u VALUES ({key},1)")
        anna.drain(check=0)
        assert _states(anna) == [("t", "1", "waiting", 0)]
        assert bert.sql("SELECT COUNT(*) FROM u") == [(key,)], "other tables go on"
    for text in (hand.owed(anna)[0][4], anna.agent_log.read_text()):
        assert all(word in text for word in words), text
    assert anna.status()["peers"][0]["waiting"] == 1
    assert not _in_step(anna)


def _assert_mended(pair: Pair) -> None:
    # The peer trusts what it knows of its tables for a second.
    until(lambda: pair.anna.drain(check=0) and not hand.owed(pair.anna), 20, "what waited has arrived")
    pair.anna.drain(check=0)
    assert "failed" not in pair.anna.queue() and pair.anna.pending() == 0
    _assert_settled(pair)


def test_changes_of_a_table_that_is_missing_on_the_peer_wait_and_arrive_when_it_is_there(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    bert.sql("DROP TABLE t")
    anna.sql("INSERT INTO t VALUES (1,1)")
    _assert_waits(fresh_pair, "table t")
    bert.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    bert.install()
    _assert_mended(fresh_pair)


def test_changes_wait_for_a_column_that_the_peer_lacks(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    anna.sql("ALTER TABLE t ADD extra VARCHAR(11)")
    anna.sql("INSERT INTO t VALUES (1,1,'x')")
    _assert_waits(fresh_pair, "table t", "column extra", "varchar(11)", "missing")
    bert.sql("ALTER TABLE t ADD extra VARCHAR(11)")
    _assert_mended(fresh_pair)


def test_changes_wait_for_a_column_that_only_the_peer_has(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    bert.sql("ALTER TABLE t ADD extra VARCHAR(11) NOT NULL DEFAULT 'b'")
    anna.sql("INSERT INTO t VALUES (1,1)")
    _assert_waits(fresh_pair, "table t", "column extra", "varchar(11)", "missing")
    anna.sql("ALTER TABLE t ADD extra VARCHAR(11) NOT NULL DEFAULT 'b'")
    _assert_mended(fresh_pair)


@pytest.mark.parametrize("wider", ["bert", "anna"])
def test_changes_wait_for_a_column_that_is_of_another_type(fresh_pair: Pair, wider: str) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    fresh_pair[wider].sql("ALTER TABLE t MODIFY v BIGINT UNSIGNED")
    anna.sql("INSERT INTO t VALUES (1,1)")
    _assert_waits(fresh_pair, "table t", "column v", "bigint(20) unsigned", "int(11)")
    other = anna if wider == "bert" else bert
    other.sql("ALTER TABLE t MODIFY v BIGINT UNSIGNED")
    _assert_mended(fresh_pair)


def test_status_names_the_table_and_both_definitions_while_changes_wait(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    bert.sql("ALTER TABLE t MODIFY v BIGINT UNSIGNED")
    anna.sql("INSERT INTO t VALUES (1,1)")
    anna.drain(check=0)
    for said in (anna.agent("--status").stdout, anna.agent("--status", "--json").stdout):
        for word in ("table t", "column v", "bigint(20) unsigned", "int(11)"):
            assert word in said, said


# size --------------------------------------------------------------------------------------------

MIB = 1024 * 1024


def test_a_record_larger_than_the_peers_max_allowed_packet_is_refused_with_the_way_out(
        fresh_pair: Pair) -> None:
    hand.everywhere(fresh_pair, "CREATE TABLE blobs (id INT PRIMARY KEY, b LONGBLOB)", *TWO_TABLES)
    fresh_pair.install()
    anna, bert = fresh_pair.anna, fresh_pair.bert
    with hand.setting(bert.server, "max_allowed_packet", 4 * MIB):
        bert.start_serve()
        hand.transaction(anna, "INSERT INTO blobs VALUES (1, REPEAT('x', 5*1024*1024)), (2, REPEAT('y', 1024*1024))",
                         "INSERT INTO u VALUES (1,1)")
        anna.drain(check=0)
        assert _states(anna) == [("blobs", "1", "retry", 2)]
        assert "raise max_allowed_packet (now 4194304)" in hand.owed(anna)[0][4]
        assert bert.sql("SELECT id FROM blobs") == [(2,)]
        bert.stop_serve()
    bert.start_serve()
    anna.drain(check=0)
    _assert_settled(fresh_pair)


@pytest.fixture
def roomy_pair() -> Iterator[Pair]:
    """Servers that take large values."""
    with Pair(schemas=(), server_options=["--max-allowed-packet=256M", "--innodb-log-file-size=192M"],
              buffer_pool="128M") as two:
        yield two


@pytest.mark.slow
def test_a_value_of_sixty_mebibytes_arrives(roomy_pair: Pair) -> None:
    anna, bert = _ready(roomy_pair, "CREATE TABLE blobs (id INT PRIMARY KEY, b LONGBLOB)")
    anna.sql("INSERT INTO blobs VALUES (1, REPEAT(UNHEX('00FF275C0A80'), 10*1024*1024)), (2, 'small')")
    anna.drain(check=0)
    digest = "SELECT LENGTH(b), SHA2(b, 256) FROM blobs ORDER BY id"
    assert bert.sql(digest) == anna.sql(digest)
    assert bert.sql("SELECT MAX(LENGTH(b)) FROM blobs") == [(60 * MIB,)]


@pytest.mark.parametrize("order", ["ASC", "DESC"])
def test_one_refused_record_in_the_middle_of_ten_thousand_holds_back_itself_alone(
        fresh_pair: Pair, order: str) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    _forbid(bert)
    anna.sql(f"INSERT INTO t SELECT seq, IF(seq=5000, 7, seq+10) FROM seq_1_to_10000 ORDER BY seq {order}")
    assert "9999 records sent" in anna.drain(check=0).stdout
    assert _states(anna) == [("t", "5000", "retry", 2)]
    assert fresh_pair.differences() == ["t id='5000': on anna, missing on bert"]
    anna.sql("UPDATE t SET v=1 WHERE id=5000")
    anna.drain(check=0)
    _assert_settled(fresh_pair)


# more than one peer ------------------------------------------------------------------------------

@pytest.fixture
def star() -> Iterator[Cluster]:
    """anna in the middle of bert and cleo; cleo is away."""
    with Cluster(3, "star", schemas=()) as three:
        hand.everywhere(three, *TWO_TABLES)
        three.install()
        three["bert"].start_serve()
        yield three


def _parked_at_bert(star: Cluster) -> tuple[Node, Node, Node]:
    anna, bert, cleo = star.nodes
    _forbid(bert)
    anna.sql("INSERT INTO t VALUES (1,7)")
    for _ in range(2):
        anna.drain(check=(0, 4, 5))
    assert _states(anna) == [("t", "1", "parked", 3)]
    return anna, bert, cleo


def _step_with(node: Node, name: str) -> bool:
    return bool(next(peer for peer in node.status()["peers"] if peer["name"] == name)["in_step"])


def test_a_record_that_one_peer_refuses_is_not_in_step_with_another_that_was_away(
        star: Cluster) -> None:
    anna, _, cleo = _parked_at_bert(star)
    assert not _step_with(anna, "cleo")
    cleo.start_serve()
    anna.drain(check=5)
    assert cleo.sql("SELECT * FROM t") == [(1, 7)]
    assert _step_with(anna, "cleo") and not _step_with(anna, "bert")


def test_a_record_that_is_discarded_for_one_peer_still_goes_to_the_others(star: Cluster) -> None:
    anna, bert, cleo = _parked_at_bert(star)
    (parked,) = json.loads(anna.agent("--parked", "--json", check=5).stdout)["parked"]
    anna.agent("--discard", str(parked["id"]), "--peer", "bert", check=0)
    cleo.start_serve()
    anna.drain(check=0)
    assert cleo.sql("SELECT * FROM t") == [(1, 7)]
    assert bert.sql("SELECT * FROM t") == []


def test_a_record_that_one_peer_took_at_last_is_still_owed_to_one_that_was_away(
        star: Cluster) -> None:
    anna, bert, cleo = _parked_at_bert(star)
    _allow(bert)
    anna.agent("--retry", "all", check=0)
    anna.drain(check=4)
    assert bert.sql("SELECT * FROM t") == [(1, 7)]
    assert not _step_with(anna, "cleo")
    anna.agent("--wait", "0", check=4)
    cleo.start_serve()
    anna.drain(check=0)
    assert cleo.sql("SELECT * FROM t") == [(1, 7)]
    assert _step_with(anna, "cleo") and _step_with(anna, "bert")
