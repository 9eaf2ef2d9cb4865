"""The queue and the store of conflicts do not grow without end, say so well before, and lose nothing in silence; and
whatever is removed keeps no app waiting."""

from __future__ import annotations

import threading
import time

import pytest

from lab import Node, Pair, hand, until

_TABLE = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))"


def _begin(two: Pair, **sync: str) -> tuple[Node, Node]:
    hand.everywhere(two, _TABLE)
    two.anna.change_conf({"sync": sync})
    two.install()
    return two.anna, two.bert


def _changes(node: Node) -> int:
    return sum(node.queue().values())


def _hours_pass(node: Node) -> None:
    hand.sync(node, "UPDATE sync_peer SET last_success = last_success - INTERVAL 2 HOUR")


def test_a_full_queue_first_loses_what_everybody_has(fresh_pair: Pair) -> None:
    anna, bert = _begin(fresh_pair, max_queue="1000")
    bert.start_serve()
    anna.sql("INSERT INTO t SELECT seq, 'x' FROM seq_1_to_700")
    anna.drain(check=0)
    assert "WARNING" not in anna.agent("--status").stdout
    anna.sql("INSERT INTO t SELECT seq, 'x' FROM seq_701_to_900")
    anna.drain(check=0)
    assert "the queue holds 900 changes, max_queue allows 1000" in anna.agent("--status").stdout
    assert "900 changes are kept, and [sync] max_queue allows 1000" in anna.agent_log.read_text()
    assert _changes(anna) == 900  # near is not full
    anna.sql("INSERT INTO t SELECT seq, 'x' FROM seq_901_to_1100")
    anna.drain(check=0)
    assert _changes(anna) == 0 and "1100 that every peer has are removed before retention_days" in anna.agent_log.read_text()
    said = anna.status()
    assert said["max_queue"] == 1000 and said["peers"][0]["in_step"] and said["peers"][0]["held"] is None
    anna.sql("UPDATE t SET v = 'y' WHERE id = 1100")
    bert.sql("UPDATE t SET v = 'z' WHERE id = 1099")
    fresh_pair.settle()
    fresh_pair.assert_equal()


def test_a_full_queue_then_gives_the_peer_up_that_has_waited_longest(fresh_pair: Pair) -> None:
    anna, bert = _begin(fresh_pair, max_queue="1000")
    anna.sql("INSERT INTO t VALUES (1, 'both have it'), (2, 'both have it')")
    bert.start_serve()
    anna.drain(check=0)
    bert.stop_serve()
    anna.sql("INSERT INTO t SELECT seq, 'x' FROM seq_10_to_1600")
    anna.drain(check=4)
    assert anna.status()["peers"][0]["held"] is None  # it has taken something a moment ago
    _hours_pass(anna)
    anna.drain(check={4, 5})
    held = str(anna.status()["peers"][0]["held"])
    assert "the queue holds 1591 changes (max_queue = 1000) and peer bert takes none" in held and "--startup" in held, held
    assert "given up" in anna.agent_log.read_text()
    until(lambda: anna.drain(check={4, 5}) and _changes(anna) == 0, 30, "what waited goes")
    # Nothing is believed until it begins anew, and then nothing is lost on either side.
    bert.sql("INSERT INTO t VALUES (3, 'written there meanwhile')")
    bert.sql("UPDATE t SET v = 'edited there' WHERE id = 1")
    anna.start_serve()
    bert.drain(check=5)
    assert anna.sql("SELECT COUNT(*) FROM t WHERE id = 3") == [(0,)]
    bert.agent("--startup", check=0)
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert bert.sql("SELECT COUNT(*) FROM t") == [(1594,)]
    kept = [str(row) for pair in (anna, bert) for row in hand.sync(pair, "SELECT local_row, remote_row FROM sync_conflict")]
    assert anna.sql("SELECT v FROM t WHERE id = 1") == [("edited there",)] or any("edited there" in row for row in kept)


def test_of_too_many_conflicts_the_oldest_decided_ones_go_and_undecided_ones_stay(fresh_pair: Pair) -> None:
    anna, bert = _begin(fresh_pair, max_conflicts="100")
    bert.start_serve()
    keep = ("INSERT INTO sync_conflict (happened_at, peer, table_name, record_id, policy, verdict, local_changed_at, local_origin, remote_changed_at,"
            " remote_origin) SELECT NOW(6) - INTERVAL %s HOUR, 'bert', 't', seq, 'newer', %s, '', 'anna', '', 'bert' FROM seq_1_to_{}")
    hand.sync(anna, keep.format(60), [72, "keep"])
    hand.sync(anna, keep.format(15), [60, "ask"])
    anna.drain(check=(0, 5))
    assert "conflicts are kept, max_conflicts" not in anna.agent("--status").stdout
    hand.sync(anna, keep.format(45), [1, "apply"])
    anna.sql("INSERT INTO t VALUES (1, 'x')")
    anna.drain(check=(0, 5))
    left = dict(hand.sync(anna, "SELECT verdict, COUNT(*) FROM sync_conflict GROUP BY verdict"))
    assert left == {"keep": 40, "ask": 15, "apply": 45}
    assert hand.sync(anna, "SELECT MIN(record_id + 0) FROM sync_conflict WHERE verdict = 'keep'") == [(21,)]
    assert "the oldest 20 that were decided more than a day ago are removed" in anna.agent_log.read_text()
    assert "100 conflicts are kept, max_conflicts allows 100" in anna.agent("--status").stdout
    # What is young and what is undecided stays, however much it is.
    hand.sync(anna, keep.format(100), [1, "apply"])
    anna.drain(check=(0, 5))
    assert dict(hand.sync(anna, "SELECT verdict, COUNT(*) FROM sync_conflict GROUP BY verdict")) == {"ask": 15, "apply": 145}


@pytest.mark.slow
def test_a_purge_of_very_many_changes_keeps_no_app_waiting(fresh_pair: Pair, long_run: bool) -> None:
    anna, bert = _begin(fresh_pair, retention_days="1")
    bert.start_serve()
    many = 5_000_000 if long_run else 300_000
    hand.sync(anna, "INSERT INTO sync_queue (id, table_name, operation, record_id, changed_at, status, synced_at)"
              f" SELECT seq, 't', 'update', seq, NOW(6) - INTERVAL 9 DAY, 'superseded', NOW(6) - INTERVAL 9 DAY FROM seq_1_to_{many}")
    hand.sync(anna, f"SELECT SETVAL(sync_sequence, {many})")
    anna.sql("INSERT INTO t VALUES (0, 'first')")
    ending, took = threading.Event(), []

    def work() -> None:
        connection = anna.connect()
        with connection.cursor() as cursor:
            for key in range(1, 10_000_000):
                if ending.is_set():
                    break
                began = time.monotonic()
                cursor.execute("INSERT INTO t VALUES (%s, 'x')", [key])
                took.append(time.monotonic() - began)
                time.sleep(0.002)  # an app that does something else, too
        connection.close()

    app = threading.Thread(target=work)
    waits = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'"
    app.start()
    try:
        until(lambda: len(took) > 100, 30, "the app works")
        before = anna.server.sql(waits)
        passes: list[int] = []

        def purged() -> bool:
            passes.append(anna.drain(check=0).returncode)
            return hand.sync(anna, f"SELECT 1 FROM sync_queue WHERE id <= {many} LIMIT 1") == []

        until(purged, 300, "all of them are removed")
        after = anna.server.sql(waits)
    finally:
        ending.set()
        app.join()
    slow = sorted(took)[-1]
    print(f"{many} changes removed in {len(passes)} drains; {len(took)} writes, the slowest took {slow * 1000:.0f} ms")
    assert after == before  # no write, of the app or of the agent, ever waited for a row
    fresh_pair.settle()
    fresh_pair.assert_equal()
