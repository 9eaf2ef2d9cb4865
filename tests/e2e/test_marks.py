"""What a mark contains and what it leaves out: late commits arrive, rolled-back ones block nothing,
no transaction is seen half, large groups are cut and lose nothing, and what nobody needs any more
goes while everything else stays."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pymysql.connections import Connection

from lab import Fault, Pair, hand, process, until
from lab.node import Node

TWO_TABLES = ("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "CREATE TABLE u (id INT PRIMARY KEY, v INT)")
RECEIVE = "/api/sync/receive"
GROUP_ROWS = 50
MINUTE_MS = 61_000  # more than the probes of a dead hole lie apart


def _ready(pair: Pair, *ddl: str) -> tuple[Node, Node]:
    """Installed; bert receives."""
    hand.everywhere(pair, *ddl)
    pair.install()
    pair.bert.start_serve()
    return pair.anna, pair.bert


@contextmanager
def _open_transaction(node: Node, *statements: str) -> Iterator[Connection]:
    """An app's transaction that has written and not ended yet."""
    connection = node.connect(autocommit=False)
    try:
        hand.run(connection, *statements)
        yield connection
    finally:
        connection.close()


def _roll_back(node: Node, *statements: str) -> None:
    with _open_transaction(node, *statements) as connection:
        connection.rollback()


def _holes(node: Node) -> str:
    """Of the newest mark: "4-5,9"."""
    return str(hand.sync(node, "SELECT holes FROM sync_epoch ORDER BY epoch DESC LIMIT 1")[0][0])


def _sent(node: Node) -> int:
    """Records that went out, by the node's own book."""
    return int(hand.sync(node, "SELECT IFNULL(SUM(records), 0) FROM sync_activity"
                               " WHERE direction='sent'")[0][0])


def _assert_at_rest(pair: Pair) -> None:
    """Equal, in step, and another drain of anna's has nothing to say."""
    pair.assert_equal()
    assert pair.anna.drain(check=0).stdout == ""
    assert pair.anna.status()["peers"][0]["in_step"]
    assert pair.anna.pending() == 0


# late commits and rolled-back ones ---------------------------------------------------------------

def test_a_transaction_that_commits_late_arrives_though_later_rows_went_before(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    with _open_transaction(anna, "INSERT INTO t VALUES (1,1), (2,2)", "INSERT INTO u VALUES (1,1)") as late:
        for n in range(10, 13):
            anna.sql(f"INSERT INTO t VALUES ({n},{n})")
            anna.drain(check=0)
        assert bert.sql("SELECT id FROM t ORDER BY id") == [(10,), (11,), (12,)]
        hand.run(late, "INSERT INTO t VALUES (3,3)")
        anna.sql("INSERT INTO t VALUES (13,13)")
        anna.drain(check=0)
        assert bert.sql("SELECT COUNT(*) FROM t WHERE id<10") == [(0,)]
        late.commit()
    assert "4 records sent" in anna.drain(check=0).stdout
    _assert_at_rest(fresh_pair)


def test_a_transaction_that_commits_late_is_sent_by_a_serving_agent_without_another_change(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    anna.start_serve()
    with _open_transaction(anna, "INSERT INTO t VALUES (1,1)") as late:
        anna.sql("INSERT INTO t VALUES (2,2)")
        until(lambda: bert.sql("SELECT id FROM t") == [(2,)], 10, "the later row is there")
        late.commit()
    until(lambda: bert.sql("SELECT COUNT(*) FROM t") == [(2,)], 10, "the late one comes after it")


def test_a_rolled_back_transaction_blocks_nothing(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    _roll_back(anna, "INSERT INTO t SELECT seq, 0 FROM seq_1_to_30")
    anna.sql("INSERT INTO t VALUES (1,1)")
    anna.drain(check=0)
    _roll_back(anna, "UPDATE t SET v=99", "INSERT INTO u VALUES (1,1)")
    anna.sql("INSERT INTO t VALUES (2,2)")
    anna.drain(check=0)
    assert bert.sql("SELECT * FROM t ORDER BY id") == [(1, 1), (2, 2)]
    assert bert.sql("SELECT COUNT(*) FROM u") == [(0,)]
    _assert_at_rest(fresh_pair)


def test_holes_of_open_and_rolled_back_transactions_are_marked_and_late_rows_are_sent_once(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    anna.sql("INSERT INTO t VALUES (1,1)")
    _roll_back(anna, "INSERT INTO t VALUES (2,2), (3,3)")
    with _open_transaction(anna, "INSERT INTO t VALUES (4,4), (5,5)") as late:
        anna.sql("INSERT INTO t VALUES (6,6)")
        anna.drain(check=0)
        assert _holes(anna) == "2-5"
        assert _sent(anna) == 2
        late.commit()
    anna.drain(check=0)
    assert _holes(anna) == "2-3"
    assert _sent(anna) == 4
    anna.sql("INSERT INTO t VALUES (7,7)")
    anna.drain(check=0)
    assert (_holes(anna), _sent(anna)) == ("2-3", 5)
    assert bert.sql("SELECT id FROM t ORDER BY id") == [(1,), (4,), (5,), (6,), (7,)]
    _assert_at_rest(fresh_pair)


def test_a_late_change_of_a_row_that_was_sent_meanwhile_brings_its_last_state(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES, "INSERT INTO t VALUES (1,0), (2,0)")
    with _open_transaction(anna, "UPDATE t SET v=1 WHERE id=1") as late:
        anna.sql("UPDATE t SET v=1 WHERE id=2")
        anna.drain(check=0)
        hand.run(late, "UPDATE t SET v=2 WHERE id=1", "DELETE FROM t WHERE id=2")
        late.commit()
    anna.drain(check=0)
    assert bert.sql("SELECT * FROM t") == [(1, 2)]
    _assert_at_rest(fresh_pair)


# transactions stay whole -------------------------------------------------------------------------

TWINS = ("CREATE TABLE twin_a (id INT PRIMARY KEY, v BIGINT NOT NULL)",
         "CREATE TABLE twin_b (id INT PRIMARY KEY, v BIGINT NOT NULL)",
         "INSERT INTO twin_a SELECT seq, 0 FROM seq_1_to_4", "INSERT INTO twin_b SELECT seq, 0 FROM seq_1_to_4")
WRITERS = 3
TWIN_ROUNDS = 60


class _Thread(threading.Thread):
    """A thread whose failure the test sees."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.failure: BaseException | None = None
        self.over = threading.Event()

    def run(self) -> None:
        try:
            self.work()
        except BaseException as failure:  # shown by finish()
            self.failure = failure

    def work(self) -> None:
        """What the thread does; overridden."""
        raise NotImplementedError

    def finish(self) -> None:
        self.over.set()
        self.join(30)
        assert not self.is_alive()
        if self.failure:
            raise self.failure


class _TwinWriter(_Thread):
    """Keeps both rows of its own twin equal in every transaction, and rolls some back."""

    def __init__(self, node: Node, number: int) -> None:
        super().__init__()
        self.node, self.number, self.done = node, number, 0

    def work(self) -> None:
        connection = self.node.connect(autocommit=False)
        while not self.over.is_set():
            self.done += 1
            first, second = ("twin_a", "twin_b") if self.done % 2 else ("twin_b", "twin_a")
            hand.run(connection, f"UPDATE {first} SET v={self.done} WHERE id={self.number}",
                     "DO SLEEP(0.003)", f"UPDATE {second} SET v={self.done} WHERE id={self.number}")
            connection.rollback() if self.done % 7 == 0 else connection.commit()
        connection.close()


class _TwinReader(_Thread):
    """Looks at one snapshot after the other of the peer."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node, self.looks, self.torn = node, 0, []

    def work(self) -> None:
        connection = self.node.connect()
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            while not self.over.is_set():
                cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
                cursor.execute("SELECT id, v FROM twin_a ORDER BY id")
                ours = cursor.fetchall()
                cursor.execute("SELECT id, v FROM twin_b ORDER BY id")
                theirs = cursor.fetchall()
                cursor.execute("COMMIT")
                self.looks += 1
                if ours != theirs:
                    self.torn.append((ours, theirs))
        connection.close()


@contextmanager
def _twins(anna: Node, bert: Node) -> Iterator[tuple[list[_TwinWriter], _TwinReader]]:
    writers = [_TwinWriter(anna, n) for n in range(1, WRITERS + 1)]
    reader = _TwinReader(bert)
    for thread in [*writers, reader]:
        thread.start()
    try:
        yield writers, reader
    finally:
        for writer in writers:
            writer.finish()
        reader.finish()


def _rounds(writers: list[_TwinWriter]) -> int:
    return min(writer.done for writer in writers)


def test_a_reader_on_the_peer_never_sees_half_a_transaction_while_drains_follow_each_other(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWINS)
    with _twins(anna, bert) as (writers, reader):
        while _rounds(writers) < TWIN_ROUNDS:
            anna.drain(check=0, timeout=5)
    fresh_pair.settle()
    assert reader.looks > 20 and reader.torn == []
    _assert_at_rest(fresh_pair)


def test_a_reader_on_the_peer_never_sees_half_a_transaction_while_both_agents_serve(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWINS)
    anna.start_serve()
    with _twins(anna, bert) as (writers, reader):
        until(lambda: _rounds(writers) >= TWIN_ROUNDS, 30, "the apps have written enough")
    fresh_pair.wait_quiet()
    assert reader.looks > 20 and reader.torn == []
    fresh_pair.settle()
    _assert_at_rest(fresh_pair)


# large groups ------------------------------------------------------------------------------------

def _cutting(pair: Pair, *ddl: str) -> tuple[Node, Node]:
    anna, bert = _ready(pair, *ddl)
    anna.change_conf({"sync": {"group_rows": str(GROUP_ROWS), "max_delete": "off"}})
    bert.change_conf({"sync": {"max_delete": "off"}})
    return anna, bert


def _parts(node: Node) -> int:
    """Marks that end inside a snapshot."""
    return int(hand.sync(node, "SELECT COUNT(*) FROM sync_epoch WHERE cut=1")[0][0])


def _start_drain(node: Node) -> subprocess.Popen[bytes]:
    return process.start(node.command("--drain"), node.folder / "drain.log", cwd=node.folder)


def _settle(pair: Pair) -> None:
    """A killed drain's connection may hold its lock until the server has seen it close."""
    pair.settle()
    _assert_at_rest(pair)


def test_a_group_larger_than_group_rows_is_cut_and_arrives_whole(fresh_pair: Pair) -> None:
    anna, bert = _cutting(fresh_pair, *TWO_TABLES)
    hand.transaction(anna, "INSERT INTO t SELECT seq, seq FROM seq_1_to_230",
                     "INSERT INTO u SELECT seq, seq FROM seq_1_to_30")
    assert "260 records sent, 0 refused" in anna.drain(check=0).stdout
    assert _parts(anna) == 5
    _assert_at_rest(fresh_pair)
    hand.transaction(anna, "DELETE FROM t WHERE id%2=0", "UPDATE t SET v=-v", "DELETE FROM u")
    anna.drain(check=0)
    assert bert.sql("SELECT COUNT(*) FROM t WHERE v<0") == [(115,)]
    _assert_at_rest(fresh_pair)


def test_a_record_whose_key_changes_is_not_cut_from_the_end_of_its_old_one(fresh_pair: Pair) -> None:
    anna, bert = _cutting(fresh_pair, "CREATE TABLE shelf (id INT PRIMARY KEY, v INT)", "CREATE TABLE book (id INT PRIMARY KEY,"
                          " shelf INT, FOREIGN KEY (shelf) REFERENCES shelf (id) ON UPDATE CASCADE ON DELETE CASCADE)",
                          "INSERT INTO shelf VALUES (1,1)", "INSERT INTO book VALUES (1,1)")
    anna.change_conf({"sync": {"group_rows": "1"}})
    anna.sql("UPDATE shelf SET id=7 WHERE id=1")
    anna.drain(check=0)
    _assert_at_rest(fresh_pair)
    assert bert.sql("SELECT shelf FROM book") == [(7,)]
    assert hand.sync(bert, "SELECT record_id FROM sync_conflict") == []


def test_late_rows_that_are_more_than_a_group_holds_are_cut_too(fresh_pair: Pair) -> None:
    anna, _ = _cutting(fresh_pair, *TWO_TABLES)
    with _open_transaction(anna, "INSERT INTO t SELECT seq, seq FROM seq_1_to_130") as late:
        anna.sql("INSERT INTO u VALUES (1,1)")
        anna.drain(check=0)
        late.commit()
    hand.transaction(anna, "INSERT INTO u SELECT seq, seq FROM seq_2_to_100")
    anna.drain(check=0)
    _assert_at_rest(fresh_pair)


@pytest.mark.parametrize("passed", [0, 1, 3])
def test_a_drain_that_is_killed_between_two_parts_goes_on_where_it_was(
        fresh_pair: Pair, passed: int) -> None:
    anna, bert = _cutting(fresh_pair, *TWO_TABLES)
    hand.transaction(anna, "INSERT INTO t SELECT seq, seq FROM seq_1_to_260")
    held = fresh_pair.wire["anna", "bert"].plan(Fault("hold_request", RECEIVE, skip=passed))
    drain = _start_drain(anna)
    until(lambda: held.hits == 1, 10, "a part is on its way")
    process.end(drain, signal.SIGKILL)
    held.release()
    anna.sql("UPDATE t SET v=-1 WHERE id IN (1,130,260)")
    _settle(fresh_pair)
    assert bert.sql("SELECT COUNT(*) FROM t") == [(260,)]


def test_a_drain_that_is_killed_before_the_answer_to_a_part_goes_on_after_it(
        fresh_pair: Pair) -> None:
    anna, _ = _cutting(fresh_pair, *TWO_TABLES)
    hand.transaction(anna, "INSERT INTO t SELECT seq, seq FROM seq_1_to_160")
    held = fresh_pair.wire["anna", "bert"].plan(Fault("hold_response", RECEIVE, skip=1))
    drain = _start_drain(anna)
    until(lambda: held.hits == 1, 10, "a part is applied")
    process.end(drain, signal.SIGKILL)
    held.release()
    _settle(fresh_pair)
    assert _sent(anna) == 160


def test_records_that_change_while_parts_are_on_their_way_arrive_in_their_last_state(
        fresh_pair: Pair) -> None:
    anna, bert = _cutting(fresh_pair, *TWO_TABLES)
    hand.transaction(anna, "INSERT INTO t SELECT seq, seq FROM seq_1_to_200")
    held = fresh_pair.wire["anna", "bert"].plan(Fault("hold_request", RECEIVE, skip=1))
    drain = _start_drain(anna)
    until(lambda: held.hits == 1, 10, "the second part is on its way")
    hand.transaction(anna, "UPDATE t SET v=-1 WHERE id IN (1,2,60,199,200)", "DELETE FROM t WHERE id IN (3,70,198)",
                     "INSERT INTO t VALUES (201,201)")
    held.release()
    assert drain.wait(20) == 0
    anna.drain(check=0)
    assert bert.sql("SELECT COUNT(*), SUM(v=-1) FROM t") == [(198, 5)]
    _assert_at_rest(fresh_pair)


def test_a_large_group_whose_first_part_was_never_answered_is_not_mixed_up_with_new_changes(
        fresh_pair: Pair) -> None:
    anna, _ = _cutting(fresh_pair, *TWO_TABLES)
    hand.transaction(anna, "INSERT INTO t SELECT seq, seq FROM seq_1_to_160")
    lost = fresh_pair.wire["anna", "bert"].plan(Fault("drop_request", RECEIVE, times=9))
    anna.drain(check=4)
    assert lost.hits > 0
    hand.transaction(anna, "INSERT INTO u SELECT seq, seq FROM seq_1_to_160", "DELETE FROM t WHERE id<20")
    fresh_pair.wire["anna", "bert"].heal()
    _settle(fresh_pair)


# dead holes --------------------------------------------------------------------------------------

def _age_probes(node: Node) -> None:
    """As if the last probe had been more than a minute ago."""
    hand.sync(node, f"UPDATE sync_hole SET probed_ms=probed_ms-{MINUTE_MS}")


def _change(node: Node, key: int) -> None:
    node.sql(f"INSERT INTO t VALUES ({key},0)")
    node.drain(check=0)


def test_a_hole_probed_empty_twice_a_minute_apart_leaves_the_marks(fresh_pair: Pair) -> None:
    anna, _ = _ready(fresh_pair, *TWO_TABLES)
    _roll_back(anna, "INSERT INTO t VALUES (50,1), (51,1)")
    _change(anna, 1)
    assert _holes(anna) == "1-2"
    _change(anna, 2)
    assert _holes(anna) == "1-2", "one probe proves nothing"
    _age_probes(anna)
    _change(anna, 3)
    _change(anna, 4)
    assert _holes(anna) == ""
    _assert_at_rest(fresh_pair)


def test_a_hole_of_an_open_transaction_is_never_taken_for_dead(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    with _open_transaction(anna, "INSERT INTO t VALUES (50,1)") as late:
        for key in range(1, 5):
            _change(anna, key)
            _age_probes(anna)
            assert _holes(anna) == "1"
        assert hand.sync(anna, "SELECT COUNT(*) FROM sync_hole WHERE dead=1") == [(0,)]
        late.commit()
    anna.drain(check=0)
    assert bert.sql("SELECT COUNT(*) FROM t WHERE id=50") == [(1,)]
    _assert_at_rest(fresh_pair)


def test_a_row_that_appears_in_a_dead_hole_is_revived_and_sent(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    _roll_back(anna, "INSERT INTO t VALUES (50,1)")
    _change(anna, 1)
    _age_probes(anna)
    _change(anna, 2)
    # As a transaction that was taken for dead and commits all the same.
    hand.unseen(anna, "INSERT INTO t VALUES (50,1)")
    hand.sync(anna, "INSERT INTO sync_queue (id, table_name, operation, record_id, changed_at)"
                    " VALUES (1, 't', 'insert', '50', NOW(6))")
    for key in range(3, 6):
        _change(anna, key)
    anna.drain(check=0)
    assert bert.sql("SELECT COUNT(*) FROM t WHERE id=50") == [(1,)]
    _assert_at_rest(fresh_pair)


# purge -------------------------------------------------------------------------------------------

def _age(node: Node) -> None:
    """Everything was changed, sent and marked two days ago."""
    hand.sync(node, "UPDATE sync_queue SET changed_at=changed_at - INTERVAL 2 DAY,"
                    " synced_at=IF(status='synced', synced_at - INTERVAL 2 DAY, synced_at)")
    hand.sync(node, "UPDATE sync_epoch SET marked_at=marked_at - INTERVAL 2 DAY")


def _purging(pair: Pair) -> tuple[Node, Node]:
    anna, bert = _ready(pair, *TWO_TABLES)
    anna.change_conf({"sync": {"retention_days": "1"}})
    return anna, bert


def test_synced_rows_go_after_retention_days_and_marks_with_them(fresh_pair: Pair) -> None:
    anna, _ = _purging(fresh_pair)
    for key in range(1, 6):
        _change(anna, key)
    assert anna.queue() == {"synced": 5}
    epochs = int(hand.sync(anna, "SELECT COUNT(*) FROM sync_epoch")[0][0])
    _age(anna)
    anna.sql("INSERT INTO t VALUES (6,0)")
    anna.drain(check=0)
    assert anna.queue() == {"synced": 1}
    assert int(hand.sync(anna, "SELECT COUNT(*) FROM sync_epoch")[0][0]) < epochs - 2
    _assert_at_rest(fresh_pair)


def test_young_rows_stay_and_show_what_was_sent(fresh_pair: Pair) -> None:
    anna, _ = _purging(fresh_pair)
    _change(anna, 1)
    _change(anna, 2)
    assert anna.queue() == {"synced": 2}


def test_the_status_says_what_is_stored(fresh_pair: Pair) -> None:
    anna, _ = _purging(fresh_pair)
    said = anna.status()
    assert 0 < said["queue_bytes"] < 2**20 and 0 < said["conflict_bytes"] < 2**20 and said["free_bytes"] > 0
    text = anna.agent("--status").stdout
    assert re.search(r"stored: +queue \d+ KiB, conflicts \d+ KiB; free in state_dir: \d", text) and "WARNING: the queue" not in text


def test_ids_that_no_row_has_do_not_end_a_purge(fresh_pair: Pair) -> None:
    """An old row, and far behind it (in ids) what was sent."""
    anna, bert = _purging(fresh_pair)
    bert.sql("ALTER TABLE t ADD CHECK (v<>7)")
    anna.change_conf({"sync": {"max_attempts": "1"}})
    anna.sql("INSERT INTO t VALUES (100,7)")
    anna.drain(check=5)
    parked = anna.status()["parked"][0]["id"]
    anna.agent("--discard", str(parked), check=0)
    hand.sync(anna, "SELECT SETVAL(sync_sequence, 100000)")
    anna.sql("INSERT INTO u SELECT seq, seq FROM seq_1_to_3000")
    anna.drain(check=0)
    assert anna.queue() == {"superseded": 1, "synced": 3000}
    _age(anna)
    anna.sql("INSERT INTO u VALUES (5000,1)")
    anna.drain(check=0)
    assert anna.queue() == {"synced": 1}


def test_pending_and_failed_rows_stay_however_old_they_are(fresh_pair: Pair) -> None:
    anna, bert = _purging(fresh_pair)
    bert.sql("ALTER TABLE t ADD CHECK (v<>7)")
    anna.sql("INSERT INTO t VALUES (100,7)")
    anna.drain(check=0)
    anna.drain(check=5)
    assert anna.queue() == {"failed": 1}
    anna.sql("INSERT INTO t VALUES (101,7)")
    anna.drain(check=5)
    _age(anna)
    anna.sql("INSERT INTO u VALUES (1,1)")
    anna.drain(check=5)
    assert anna.queue() == {"failed": 2, "synced": 1}
    fresh_pair.wire["anna", "bert"].set_mode("refuse")
    anna.sql("INSERT INTO u VALUES (2,2)")
    _age(anna)
    anna.drain(check=4)
    assert anna.queue() == {"failed": 2, "synced": 1, "pending": 1}
    fresh_pair.wire["anna", "bert"].set_mode("pass")
    bert.sql("ALTER TABLE t DROP CONSTRAINT CONSTRAINT_1")
    anna.agent("--retry", "all", check=0)
    anna.drain(check=0)
    _assert_at_rest(fresh_pair)


def test_rows_that_a_peer_has_not_got_stay(fresh_pair: Pair) -> None:
    """The peer's own cursor says what it needs, not the status, which is for people."""
    anna, bert = _purging(fresh_pair)
    _change(anna, 1)
    fresh_pair.wire["anna", "bert"].set_mode("refuse")
    anna.sql("INSERT INTO t VALUES (2,0)")
    anna.drain(check=4)
    hand.sync(anna, "UPDATE sync_queue SET status='synced', synced_at=NOW(6)")
    _age(anna)
    anna.drain(check=4)
    fresh_pair.wire["anna", "bert"].set_mode("pass")
    anna.drain(check=0)
    assert bert.sql("SELECT COUNT(*) FROM t") == [(2,)]
    _assert_at_rest(fresh_pair)


def test_rows_that_a_conflict_may_still_have_to_be_judged_by_stay(fresh_pair: Pair) -> None:
    """bert has applied anna's change and made his own without having seen her second one."""
    anna, bert = _purging(fresh_pair)
    hand.unseen(anna, "INSERT INTO t VALUES (1,0)")
    hand.unseen(bert, "INSERT INTO t VALUES (1,0)")
    anna.start_serve()
    bert.stop_serve()
    bert.sql("UPDATE t SET v=5 WHERE id=1")
    held = fresh_pair.wire["bert", "anna"].plan(Fault("hold_request", RECEIVE))
    drain = _start_drain(bert)
    until(lambda: held.hits == 1, 10, "bert's change is on its way")
    bert.start_serve(wait=False)
    anna.stop_serve()
    bert.wait_serve_ready()
    anna.sql("UPDATE t SET v=6 WHERE id=1")
    anna.drain(check=0)
    _age(anna)
    anna.sql("INSERT INTO u VALUES (1,1)")
    anna.drain(check=0)
    held.release()
    drain.wait(20)
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert anna.sql("SELECT v FROM t") == [(6,)]


# the server's life -------------------------------------------------------------------------------

def test_a_server_that_is_killed_and_skips_ids_of_the_queue_loses_nothing(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *TWO_TABLES)
    _change(anna, 1)
    with _open_transaction(anna, "INSERT INTO t VALUES (90,1)"):
        anna.sql("INSERT INTO t VALUES (2,2)")
        anna.server.kill9()
    anna.server.start()
    anna.sql("INSERT INTO t VALUES (3,3)")
    anna.drain(check=0)
    highest = hand.sync(anna, "SELECT MAX(id) FROM sync_queue")[0][0]
    assert highest > 900, "the sequence's cache was not skipped: this test shows nothing"
    assert bert.sql("SELECT id FROM t ORDER BY id") == [(1,), (2,), (3,)]
    _change(anna, 4)
    _age_probes(anna)
    anna.server.kill9()
    anna.server.start()
    for key in range(5, 8):
        _change(anna, key)
    assert bert.sql("SELECT COUNT(*) FROM t") == [(7,)]
    _assert_at_rest(fresh_pair)
