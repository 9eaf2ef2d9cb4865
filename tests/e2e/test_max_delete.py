"""The brake on mass deletion: a table that loses too much within an hour waits for a person's yes, on
the laptop that sends and on the one that receives, and neither speaks for the other."""

from __future__ import annotations

import pytest

from lab import Cluster, Fault, Pair, hand, until
from lab.node import Node

pytestmark = pytest.mark.slow

TABLE = "CREATE TABLE t (id INT PRIMARY KEY, v INT NOT NULL)"
ALLOW = "--allow-deletes"
RECEIVE = "/api/sync/receive"
OFF = {"sync": {"max_delete": "off"}}


def _fill(rows: int, table: str = "t") -> str:
    return f"INSERT INTO {table} SELECT seq, 0 FROM seq_1_to_{rows}"


def _ready(pair: Pair, rows: int, *more: str) -> tuple[Node, Node]:
    hand.everywhere(pair, TABLE, _fill(rows), *more)
    pair.install()
    pair.bert.start_serve()
    return pair.anna, pair.bert


def _count(node: Node, table: str = "t") -> int:
    return int(node.sql(f"SELECT COUNT(*) FROM {table}")[0][0])


def _peer(node: Node) -> dict[str, object]:
    return node.status()["peers"][0]


def test_a_mass_deletion_waits_for_a_yes_on_both_sides(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 100, "CREATE TABLE other (id INT PRIMARY KEY)")
    anna.sql("DELETE FROM t WHERE id <= 60")
    anna.sql("INSERT INTO other VALUES (1)")
    said = anna.drain(check=5).stderr
    assert "table t would lose 60 of its 100 records" in said and "agent --drain --allow-deletes --peer bert here" in said
    assert "table t would lose 60" in str(_peer(anna)["held"]) and anna.agent("--status").returncode == 5
    assert _count(bert) == 100 and _count(bert, "other") == 0
    said = anna.drain(ALLOW, check=5).stderr  # anna may; bert has not been asked yet
    assert "run agent --drain --allow-deletes --peer anna on bert" in said
    assert _count(bert) == 100
    assert "table t would lose 60" in str(_peer(bert)["held_back"]) and bert.agent("--status").returncode == 5
    assert "may delete here" in bert.drain(ALLOW).stdout
    anna.drain(check=0)  # anna's own yes still stands for what was pending then
    assert _count(bert) == 40 and _count(bert, "other") == 1
    assert _peer(bert)["held_back"] is None and _peer(anna)["held"] is None
    fresh_pair.settle()
    fresh_pair.assert_equal()


def test_the_receivers_yes_may_come_first_and_is_used_up(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 200)
    anna.sql("DELETE FROM t WHERE id <= 120")
    anna.drain(ALLOW, check=5)
    bert.drain(ALLOW)
    anna.drain(check=0)
    assert _count(bert) == 80
    anna.sql("DELETE FROM t WHERE id <= 190")  # counting has begun anew, and this is too much again
    anna.drain(check=5)
    anna.drain(ALLOW, check=5)
    assert _count(bert) == 80
    bert.drain(ALLOW)
    anna.drain(check=0)
    assert _count(bert) == 10


def test_many_small_deletions_add_up_within_the_hour_and_age(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 100)
    for low in (0, 20, 40):
        anna.sql(f"DELETE FROM t WHERE id > {low} AND id <= {low + 20}")
        anna.drain(check=0 if low < 40 else 5)
    assert _count(bert) == 60
    hand.sync(anna, "UPDATE sync_deletion SET happened_at = happened_at - INTERVAL 2 HOUR")
    hand.sync(bert, "UPDATE sync_deletion SET happened_at = happened_at - INTERVAL 2 HOUR")
    anna.drain(check=0)
    assert _count(bert) == 40


def test_more_than_a_thousand_records_wait_however_large_the_table_is(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 10_000)
    anna.sql("DELETE FROM t WHERE id <= 1000")
    anna.drain(check=0)
    anna.sql("DELETE FROM t WHERE id = 1001")
    assert "would lose 1001 of its" in anna.drain(check=5).stderr
    assert _count(bert) == 9000


@pytest.mark.parametrize("rows, code", [(50, 0), (51, 5)])
def test_a_small_table_may_lose_everything(fresh_pair: Pair, rows: int, code: int) -> None:
    anna, bert = _ready(fresh_pair, rows)
    anna.sql("DELETE FROM t")
    anna.drain(check=code)
    assert _count(bert) == (0 if code == 0 else rows)


def test_a_small_table_in_which_rows_come_and_go_never_waits(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 20)
    for turn in range(1, 8):
        anna.sql("DELETE FROM t")
        anna.sql(f"INSERT INTO t SELECT seq + {turn * 100}, 0 FROM seq_1_to_20")
        anna.drain(check=0)
    assert _count(bert) == 20


def test_what_is_no_loss_is_not_counted(fresh_pair: Pair) -> None:
    """Records born and gone in between, changed keys, records that the other side does not have."""
    anna, bert = _ready(fresh_pair, 60)
    anna.sql("INSERT INTO t SELECT seq + 1000, 0 FROM seq_1_to_2000")
    anna.sql("DELETE FROM t WHERE id > 1000")
    anna.sql("UPDATE t SET id = id + 100 ORDER BY id DESC")
    anna.drain(check=0)
    assert bert.sql("SELECT MIN(id), COUNT(*) FROM t") == [(101, 60)]
    bert.sql("DELETE FROM t WHERE id <= 140")
    anna.sql("DELETE FROM t WHERE id <= 125")
    anna.drain(check=0)
    fresh_pair.bert.drain(ALLOW)
    fresh_pair.settle(codes=(0, 5))


def test_limits_of_a_table_and_off(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 100, "CREATE TABLE u (id INT PRIMARY KEY, v INT)", _fill(100, "u"),
                        "CREATE TABLE w (id INT PRIMARY KEY, v INT)", _fill(2000, "w"))
    conf = {"table u": {"max_delete": "10%, 1000"}, "table w": {"max_delete": "off"}}
    for node in fresh_pair.nodes:
        node.change_conf(conf)
    bert.stop_serve()
    bert.start_serve()
    anna.sql("DELETE FROM w")
    anna.sql("DELETE FROM t WHERE id <= 40")
    anna.drain(check=0)
    assert (_count(bert, "w"), _count(bert)) == (0, 60)
    anna.sql("DELETE FROM u WHERE id <= 11")
    assert "table u would lose 11 of its 100 records" in anna.drain(check=5).stderr
    anna.change_conf({"table u": {"max_delete": "off"}})
    assert "on bert" in anna.drain(check=5).stderr
    for node in (anna, bert):
        node.change_conf({"table u": {"max_delete": None}, "table w": {"max_delete": None}})


def test_a_yes_counts_although_the_peer_is_away_and_the_agent_dies(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 100)
    anna.sql("DELETE FROM t WHERE id <= 70")
    bert.stop_serve()
    anna.drain(ALLOW, check=4)
    bert.start_serve()
    assert "on bert" in anna.drain(check=5).stderr  # anna is not asked a second time
    bert.drain(ALLOW)
    bert.kill_serve()
    bert.start_serve()
    anna.drain(check=0)
    assert _count(bert) == 30


def test_a_daemon_goes_on_by_itself_after_the_yes(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 100)
    anna.start_serve()
    anna.sql("DELETE FROM t WHERE id <= 70")
    until(lambda: _peer(anna)["held"], 30, "anna's link is held")
    anna.drain(ALLOW)
    until(lambda: _peer(bert)["held_back"], 60, "bert holds the deletions back")
    bert.drain(ALLOW)
    until(lambda: _count(bert) == 30, 90, "the deletions arrive")
    until(lambda: _peer(anna)["in_step"], 30, "anna is in step")


def test_a_group_in_parts_needs_one_yes(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 3000)
    anna.change_conf({"sync": {"group_rows": "500"}})
    anna.sql("DELETE FROM t WHERE id <= 2500")
    anna.drain(check=5)
    anna.drain(ALLOW, check=5)
    bert.drain(ALLOW)
    anna.drain(check=0)
    assert _count(bert) == 500
    fresh_pair.settle()
    fresh_pair.assert_equal()


def _counted(node: Node) -> list[tuple[str, int]]:
    return [(str(table), int(n)) for table, n in
            hand.sync(node, "SELECT table_name, SUM(records) FROM sync_deletion GROUP BY table_name")]


def test_a_group_that_is_built_again_is_counted_once(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 5000)
    wire = fresh_pair.wire["anna", "bert"]
    anna.sql("DELETE FROM t WHERE id <= 900")
    for turn in range(3):
        wire.plan(Fault("cut_request", RECEIVE, times=2, at=40))  # made, and lost on the way
        anna.drain(check=4)
        anna.sql(f"UPDATE t SET v = {turn + 1} WHERE id = 5000")  # the next group has an epoch of its own
    wire.drop_response(RECEIVE, times=2)  # applied, and anna does not know
    anna.drain(check=4)
    assert _count(bert) == 4100
    anna.drain(check=0)
    fresh_pair.assert_equal()
    assert _counted(anna) == _counted(bert) == [("t", 900)]


def test_deletions_undone_before_they_left_do_not_count(fresh_pair: Pair) -> None:
    anna, _ = _ready(fresh_pair, 100)
    anna.sql("DELETE FROM t WHERE id <= 40")
    fresh_pair.wire["anna", "bert"].plan(Fault("cut_request", RECEIVE, times=2, at=40))
    anna.drain(check=4)
    anna.sql("INSERT INTO t SELECT seq, 7 FROM seq_1_to_40")
    anna.drain(check=0)
    anna.sql("DELETE FROM t WHERE id > 60")
    anna.drain(check=0)
    fresh_pair.assert_equal()
    assert _counted(anna) == [("t", 40)]


def test_what_waited_for_another_reason_counts_when_it_is_deleted(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 100)
    bert.sql("ALTER TABLE t ADD COLUMN extra INT")
    anna.sql("UPDATE t SET v = 1 WHERE id <= 60")
    anna.drain(check=0)
    assert _peer(anna)["waiting"] == 60
    anna.sql("DELETE FROM t WHERE id <= 60")
    assert "table t would lose 60 of its 100 records" in anna.drain(check=5).stderr
    for _ in range(3):
        anna.drain(ALLOW, check=0)  # they wait again, and trying them again is no loss
    assert _count(bert) == 100 and _counted(anna) == []
    anna.sql("DELETE FROM t WHERE id <= 70")
    for _ in range(3):
        anna.drain(check=0)
    assert _counted(anna) == [("t", 10)]


def test_deletions_that_can_only_go_together_count_where_they_arrive(fresh_pair: Pair) -> None:
    hand.everywhere(fresh_pair, "CREATE TABLE egg (id INT PRIMARY KEY, hen INT)",
                    "CREATE TABLE hen (id INT PRIMARY KEY, egg INT, FOREIGN KEY (egg) REFERENCES egg (id))",
                    "ALTER TABLE egg ADD FOREIGN KEY (hen) REFERENCES hen (id)",
                    "INSERT INTO egg SELECT seq, NULL FROM seq_1_to_100", "INSERT INTO hen SELECT seq, seq FROM seq_1_to_100",
                    "UPDATE egg SET hen = id")
    anna, bert = _ready(fresh_pair, 1)
    anna.change_conf(OFF)
    for first, last, code in ((1, 40, 0), (41, 60, 5)):
        hand.transaction(anna, f"UPDATE egg SET hen = NULL WHERE id BETWEEN {first} AND {last}",
                         f"DELETE FROM hen WHERE id BETWEEN {first} AND {last}", f"DELETE FROM egg WHERE id BETWEEN {first} AND {last}")
        ran = anna.drain(check=code)
    assert "would lose 60 of its 100 records" in ran.stderr and "on bert" in ran.stderr
    assert (_count(bert, "egg"), _count(bert, "hen")) == (60, 60)
    bert.drain(ALLOW)
    anna.drain(check=0)
    fresh_pair.assert_equal()


def test_the_receivers_yes_ends_with_the_last_part_whatever_is_in_it(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 3000, "CREATE TABLE other (id INT PRIMARY KEY)")
    anna.change_conf({"sync": {"group_rows": "500", "max_delete": "off"}})
    hand.transaction(anna, "DELETE FROM t WHERE id <= 1500", "INSERT INTO other SELECT seq FROM seq_1_to_10")
    anna.drain(check=5)
    bert.drain(ALLOW)
    anna.drain(check=0)
    assert (_count(bert), _count(bert, "other")) == (1500, 10)
    anna.sql("DELETE FROM t")
    assert "on bert" in anna.drain(check=5).stderr
    assert _count(bert) == 1000  # the first part is within the limit, and came


@pytest.mark.parametrize("restarted", [False, True])
def test_the_receivers_yes_ends_with_the_next_group_even_if_that_needs_none(fresh_pair: Pair, restarted: bool) -> None:
    anna, bert = _ready(fresh_pair, 5000)
    anna.change_conf(OFF)
    anna.sql("DELETE FROM t WHERE id <= 1000")
    anna.drain(check=0)
    anna.sql("DELETE FROM t WHERE id = 1001")
    anna.drain(check=5)
    bert.drain(ALLOW)
    if restarted:
        bert.stop_serve()
        bert.start_serve()
    anna.drain(check=0)  # one record: counting began anew with the yes
    anna.sql("DELETE FROM t")
    assert "on bert" in anna.drain(check=5).stderr
    bert.drain(ALLOW)
    anna.sql("INSERT INTO t SELECT seq, 0 FROM seq_1002_to_5000")
    anna.drain(check=0)  # all of it is taken back
    anna.sql("DELETE FROM t")
    assert "on bert" in anna.drain(check=5).stderr
    assert _count(bert) == 3999


def test_the_parts_of_a_large_group_lose_a_share_of_what_the_table_had(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 1000)
    for node in (anna, bert):
        node.change_conf({"sync": {"group_rows": "100", "max_delete": "50%, 100000"}})
    bert.stop_serve()
    bert.start_serve()
    anna.sql("DELETE FROM t WHERE id <= 500")
    anna.drain(check=0)
    assert _count(bert) == 500
    anna.sql("DELETE FROM t WHERE id = 501")
    assert "would lose 501 of its 1000 records" in anna.drain(check=5).stderr


@pytest.mark.parametrize("limit", ["50%, 1000000000", "1%, 1000000000", "100%, 1000000000"])
def test_a_single_deletion_is_cheap_however_large_table_and_limit(fresh_pair: Pair, limit: str) -> None:
    anna, bert = _ready(fresh_pair, 20000)
    for node in (anna, bert):
        node.change_conf({"sync": {"max_delete": limit}})
    bert.stop_serve()
    bert.start_serve()
    anna.sql("DELETE FROM t WHERE id = 1")
    before = [_read(node) for node in (anna, bert)]
    anna.drain(check=0)
    looked_at = [_read(node) - rows for node, rows in zip((anna, bert), before)]
    assert max(looked_at) < 10000, looked_at
    assert _count(bert) == 19999


def _read(node: Node) -> int:
    """Rows that the server has looked at in the app's tables, one after the other."""
    return sum(int(n) for _, n in node.sql("SHOW GLOBAL STATUS LIKE 'Handler_read%'"))


@pytest.mark.parametrize("asked", [True, False])
def test_a_yes_covers_an_emptied_table_that_the_drain_itself_finds(fresh_pair: Pair, asked: bool) -> None:
    anna, bert = _ready(fresh_pair, 100)
    anna.drain(check=0)
    anna.sql("TRUNCATE t")
    if asked:
        assert "would lose 100 of its 100 records" in anna.drain(check=5).stderr
    assert "on bert" in anna.drain(ALLOW, check=5).stderr
    bert.stop_serve()
    bert.start_serve()
    assert "on bert" in anna.drain(check=5).stderr  # the yes has outlived its drain
    bert.drain(ALLOW)
    anna.drain(check=0)
    fresh_pair.assert_equal()
    assert _count(bert) == 0


def test_a_held_link_is_held_while_it_is_tried_again(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 100)
    anna.change_conf(OFF)
    anna.sql("DELETE FROM t")
    anna.drain(check=5)
    fault = fresh_pair.wire["anna", "bert"].plan(Fault("hold_request", RECEIVE))
    anna.start_serve()
    until(lambda: fault.hits, 20, "anna tries again")
    assert "on bert" in str(_peer(anna)["held"])
    fault.release()
    bert.drain(ALLOW)
    until(lambda: _count(bert) == 0, 90, "the deletions arrive")
    until(lambda: _peer(anna)["held"] is None, 20, "nothing holds the link any more")


def test_the_receivers_log_says_what_is_held_back(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, 100)
    anna.change_conf(OFF)
    anna.sql("DELETE FROM t")
    anna.drain(check=5)
    assert "table t would lose 100 of its 100 records" in bert.agent_log.read_text()
    hand.unseen(bert, "DELETE FROM t")
    anna.drain(check=0)  # nothing to lose there any more
    assert _peer(bert)["held_back"] is None and _peer(anna)["held"] is None


def test_large_tables_are_named_with_their_size(fresh_pair: Pair) -> None:
    anna, _ = _ready(fresh_pair, 20000)
    for low in range(0, 1000, 100):
        anna.sql(f"DELETE FROM t WHERE id > {low} AND id <= {low + 100}")
        anna.drain(check=0)
    anna.sql("DELETE FROM t WHERE id = 1001")
    assert "would lose 1001 of its 20000 records" in anna.drain(check=5).stderr


def test_a_relay_asks_at_every_laptop() -> None:
    with Cluster(3, "chain", schemas=()) as three:
        hand.everywhere(three, TABLE, _fill(100))
        three.install()
        three.start_serve()
        anna, bert, cleo = three.nodes
        anna.sql("DELETE FROM t WHERE id <= 60")
        for node, peer in ((anna, "bert"), (bert, "anna"), (bert, "cleo"), (cleo, "bert")):
            until(lambda node=node, peer=peer: any(
                p["name"] == peer and (p["held"] or p["held_back"]) for p in node.status()["peers"]), 60,
                f"{node.name} asks about {peer}")
            node.drain(ALLOW, "--peer", peer)
        until(lambda: _count(cleo) == 40, 90, "the deletions arrive everywhere")
        three.settle()
        three.assert_equal()
