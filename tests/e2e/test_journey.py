"""Changes of every ordinary kind travel both ways, once, and come to rest: after a drained pair is
equal nothing is pending, nothing that was applied is captured again, and nothing moves any more."""

from __future__ import annotations

import random
import time

from lab import Pair, hand, until
from lab.node import Node

IDLE_SECONDS = 1.0  # fifty intervals of agent --serve


def _ready(pair: Pair, *ddl: str) -> tuple[Node, Node]:
    hand.everywhere(pair, *ddl)
    pair.install()
    return pair.anna, pair.bert


def _in_step(pair: Pair) -> None:
    """Drained, equal, nothing pending; what came from the peer is not in the queue."""
    pair.settle(codes=(0, 5))
    assert [hand.owed(node) for node in pair.nodes] == [[], []]
    pair.assert_equal()


# ordinary changes --------------------------------------------------------------------------------

def test_inserts_updates_and_deletes_travel_both_ways_and_are_not_captured_again(
        fresh_pair: Pair) -> None:
    fresh_pair.renew(["campus", "chinook"])
    fresh_pair.install()
    anna, bert = fresh_pair.anna, fresh_pair.bert
    hand.transaction(
        anna, "UPDATE riders SET wallet_balance=wallet_balance+1 WHERE id<=40",
        "INSERT INTO riders (full_name, email, created_at) VALUES ('Ana', 'ana@x', NOW()),"
        " ('Ben', 'ben@x', NOW()), ('Čeněk', 'cenek@x', NOW())",
        "UPDATE Artist SET Name=CONCAT(Name, ' ☂') WHERE ArtistId%7=0",
        "DELETE FROM PlaylistTrack WHERE PlaylistId=8 AND TrackId<600")
    hand.transaction(
        bert, "UPDATE drivers SET earnings=earnings*1.1",
        "DELETE FROM notifications WHERE id%3=0",
        "INSERT INTO Playlist (PlaylistId, Name) VALUES (100, 'Bert''s'), (101, NULL)",
        "INSERT INTO PlaylistTrack SELECT 100, TrackId FROM Track WHERE TrackId<50")
    own = [hand.captured(node) for node in fresh_pair.nodes]
    assert all(own)
    _in_step(fresh_pair)
    assert [hand.captured(node) for node in fresh_pair.nodes] == own, "applied changes were queued"
    assert anna.sql("SELECT COUNT(*) FROM Playlist WHERE PlaylistId IN (100,101)") == [(2,)]
    assert bert.sql("SELECT COUNT(*) FROM riders WHERE email LIKE '%@x'") == [(3,)]


def test_replace_and_on_duplicate_key_update_arrive(fresh_pair: Pair) -> None:
    anna, bert = _ready(
        fresh_pair, "CREATE TABLE stock (id INT PRIMARY KEY, sku VARCHAR(9) UNIQUE, n INT)",
        "INSERT INTO stock VALUES (1,'a',1), (2,'b',2), (3,'c',3), (4,'d',4)")
    hand.transaction(
        anna, "REPLACE INTO stock VALUES (1,'a',10), (9,'b',20)",  # the second one moves b to key 9
        "INSERT INTO stock VALUES (3,'c',0), (5,'e',5) ON DUPLICATE KEY UPDATE n=n+100",
        "INSERT IGNORE INTO stock VALUES (4,'x',0), (6,'f',6)")
    _in_step(fresh_pair)
    assert bert.sql("SELECT * FROM stock ORDER BY id") == [
        (1, "a", 10), (3, "c", 103), (4, "d", 4), (5, "e", 5), (6, "f", 6), (9, "b", 20)]


def test_unique_values_swapped_in_one_transaction_arrive(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, "CREATE TABLE seat (id INT PRIMARY KEY, place INT UNIQUE)",
                        "INSERT INTO seat VALUES (1,1), (2,2), (3,3), (4,4)")
    hand.transaction(anna, "UPDATE seat SET place=NULL WHERE id=1",
                     "UPDATE seat SET place=1 WHERE id=2", "UPDATE seat SET place=2 WHERE id=1",
                     "DELETE FROM seat WHERE id=3", "UPDATE seat SET place=3 WHERE id=4",
                     "INSERT INTO seat VALUES (3,4)")
    _in_step(fresh_pair)
    assert bert.sql("SELECT place FROM seat ORDER BY id") == [(2,), (1,), (4,), (3,)]


def test_a_changed_key_takes_its_row_along(fresh_pair: Pair) -> None:
    anna, bert = _ready(
        fresh_pair, "CREATE TABLE t (code VARCHAR(20) PRIMARY KEY, v INT)",
        "INSERT INTO t VALUES ('a',1), ('b',2), ('c',3), ('d',4)")
    hand.transaction(anna, "UPDATE t SET code='z' WHERE code='a'",
                     "UPDATE t SET code='B' WHERE code='b'",  # equal for the collation
                     "UPDATE t SET code='tmp' WHERE code='c'", "UPDATE t SET code='c' WHERE code='d'",
                     "UPDATE t SET code='d', v=33 WHERE code='tmp'")
    _in_step(fresh_pair)
    assert bert.sql("SELECT * FROM t ORDER BY v") == [("z", 1), ("B", 2), ("c", 4), ("d", 33)]


def test_a_thousand_updates_of_one_row_travel_as_one_record(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, n INT)",
                        "INSERT INTO t VALUES (1,0)")
    hand.transaction(anna, *["UPDATE t SET n=n+1"] * 1000)
    assert hand.captured(anna) == 1000
    bert.start_serve()
    said = anna.drain(check=0).stdout
    assert "1 records sent, 0 refused" in said
    _in_step(fresh_pair)
    assert bert.sql("SELECT n FROM t") == [(1000,)]
    assert anna.queue() == {"synced": 1000}


def test_a_row_that_is_made_and_removed_before_a_drain_leaves_nothing(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, n INT)",
                        "INSERT INTO t VALUES (1,1)")
    hand.transaction(anna, "INSERT INTO t VALUES (2,2)", "DELETE FROM t WHERE id=2",
                     "DELETE FROM t WHERE id=1", "INSERT INTO t VALUES (1,100)")
    _in_step(fresh_pair)
    assert bert.sql("SELECT * FROM t") == [(1, 100)]


# tables of every shape ---------------------------------------------------------------------------

def test_a_table_of_a_key_alone_travels(fresh_pair: Pair) -> None:
    anna, bert = _ready(
        fresh_pair, "CREATE TABLE member (a INT, b INT, PRIMARY KEY (a, b))",
        "CREATE TABLE word (w VARCHAR(30) PRIMARY KEY)",
        "INSERT INTO member VALUES (1,1), (1,2)", "INSERT INTO word VALUES ('x'), ('y')")
    hand.transaction(anna, "INSERT INTO member VALUES (2,1)", "DELETE FROM member WHERE b=2",
                     "UPDATE word SET w='Y' WHERE w='y'", "INSERT INTO word VALUES ('')")
    hand.transaction(bert, "INSERT INTO member VALUES (2,1), (3,3)")  # the same row on both sides
    _in_step(fresh_pair)
    assert anna.sql("SELECT * FROM member ORDER BY a, b") == [(1, 1), (2, 1), (3, 3)]
    assert [w for (w,) in bert.sql("SELECT w FROM word ORDER BY BINARY w")] == ["", "Y", "x"]


def test_a_table_of_a_thousand_columns_travels(fresh_pair: Pair) -> None:
    columns = ", ".join(f"c{i} INT" for i in range(1000))
    anna, bert = _ready(fresh_pair, f"CREATE TABLE wide (id INT PRIMARY KEY, {columns})")
    values = ", ".join(str(i) for i in range(1000))
    hand.transaction(anna, *[f"INSERT INTO wide VALUES ({n}, {values})" for n in range(20)])
    _in_step(fresh_pair)
    hand.transaction(bert, "UPDATE wide SET c999=NULL, c0=7", "DELETE FROM wide WHERE id=3")
    _in_step(fresh_pair)
    assert anna.sql("SELECT COUNT(*) FROM wide WHERE c999 IS NULL AND c0=7") == [(19,)]


def test_composite_keys_with_commas_and_backslashes_travel(fresh_pair: Pair) -> None:
    parts = ["", ",", "\\", "\\,", ",\\", "a,b", "a\\", "\\\\", ",,", "'", '"', "é,ü\\", " ", "a "]
    anna, bert = _ready(
        fresh_pair, "CREATE TABLE t (a VARCHAR(9) COLLATE utf8mb4_nopad_bin, n INT,"
        " b VARCHAR(9) COLLATE utf8mb4_nopad_bin, v INT, PRIMARY KEY (a, n, b))")
    hand.transaction(anna, *[("INSERT INTO t VALUES (%s, %s, %s, 0)", (a, i % 3, b))
                             for a in parts for i, b in enumerate(parts)])
    _in_step(fresh_pair)
    hand.transaction(bert, "UPDATE t SET v=1 WHERE n=1", "DELETE FROM t WHERE n=2",
                     "UPDATE t SET b=CONCAT(',', b, '\\\\') WHERE n=0")
    _in_step(fresh_pair)
    assert anna.sql("SELECT COUNT(*) FROM t WHERE v=1")[0][0] == len(parts) * 5


def test_odd_names_of_tables_and_columns_travel(fresh_pair: Pair) -> None:
    long = "x" * 64
    anna, bert = _ready(
        fresh_pair, "CREATE TABLE `or``der 'é\" \\ ?` (`se``lect 'ü?` INT PRIMARY KEY, `\"from\\` INT)",
        f"CREATE TABLE `{long}` (`{long}` INT PRIMARY KEY, v INT)",
        "CREATE TABLE `tandem_ai_x` (id INT PRIMARY KEY)")
    hand.transaction(anna, "INSERT INTO `or``der 'é\" \\ ?` VALUES (1,1),(2,2)",
                     f"INSERT INTO `{long}` VALUES (1,1),(2,2)", "INSERT INTO tandem_ai_x VALUES (3)")
    _in_step(fresh_pair)
    hand.transaction(bert, "UPDATE `or``der 'é\" \\ ?` SET `\"from\\`=9 WHERE `se``lect 'ü?`=2",
                     f"DELETE FROM `{long}` WHERE v=1")
    _in_step(fresh_pair)
    assert anna.sql(f"SELECT COUNT(*) FROM `{long}`") == [(1,)]


# foreign keys ------------------------------------------------------------------------------------

FAMILY = (
    "CREATE TABLE parent (id INT PRIMARY KEY, name VARCHAR(20))",
    "CREATE TABLE child (id INT PRIMARY KEY, parent INT, v INT,"
    " FOREIGN KEY (parent) REFERENCES parent (id))",
    # sorts before its parent by name
    "CREATE TABLE a_grandchild (id INT PRIMARY KEY, child INT NOT NULL,"
    " FOREIGN KEY (child) REFERENCES child (id))",
    "CREATE TABLE boss (id INT PRIMARY KEY, above INT, v INT,"
    " FOREIGN KEY (above) REFERENCES boss (id))",
)


def test_parents_and_children_arrive_in_whatever_order_they_were_written(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *FAMILY, "INSERT INTO parent VALUES (1,'one')",
                        "INSERT INTO child VALUES (1,1,0), (2,1,0)")
    hand.transaction(anna, "INSERT INTO parent VALUES (2,'two')", "INSERT INTO child VALUES (3,2,0)",
                     "INSERT INTO a_grandchild VALUES (1,3)")
    _in_step(fresh_pair)
    hand.transaction(bert, "UPDATE child SET v=5", "INSERT INTO parent VALUES (3,'three')",
                     "UPDATE child SET parent=3 WHERE id IN (1,2)", "DELETE FROM parent WHERE id=1",
                     "UPDATE parent SET name='zwei' WHERE id=2")
    _in_step(fresh_pair)
    hand.transaction(anna, "DELETE FROM a_grandchild", "DELETE FROM child", "DELETE FROM parent")
    _in_step(fresh_pair)
    assert bert.sql("SELECT COUNT(*) FROM parent") == [(0,)]


def test_a_child_written_without_checks_before_its_parent_arrives_with_it(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *FAMILY)
    hand.transaction(anna, "SET foreign_key_checks=0", "INSERT INTO a_grandchild VALUES (1,1)",
                     "INSERT INTO child VALUES (1,7,1)", "UPDATE child SET v=2",
                     "INSERT INTO parent VALUES (7,'late')")
    _in_step(fresh_pair)
    assert bert.sql("SELECT parent, v FROM child") == [(7, 2)]


def test_rows_that_point_at_rows_of_their_own_table_travel(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, *FAMILY, "INSERT INTO boss VALUES (50, NULL, 0), (60, 50, 0)")
    chain = ["INSERT INTO boss VALUES (10, 10, 1)"]  # its own boss, and stays
    chain += [f"INSERT INTO boss VALUES ({n}, {n + 1 if n % 2 else 10}, {n})" for n in range(48, 20, -1)]
    hand.transaction(anna, *chain, "UPDATE boss SET above=60 WHERE id=50")  # a circle
    _in_step(fresh_pair)
    hand.transaction(bert, "UPDATE boss SET above=NULL", "DELETE FROM boss WHERE id BETWEEN 20 AND 40",
                     "UPDATE boss SET above=60 WHERE id<>60")
    _in_step(fresh_pair)


def test_a_removed_row_that_pointed_at_itself_goes_on_the_peer_too(fresh_pair: Pair) -> None:
    anna, _ = _ready(fresh_pair, *FAMILY, "INSERT INTO boss VALUES (1,1,0), (2,1,0)")
    hand.transaction(anna, "UPDATE boss SET above=NULL", "DELETE FROM boss WHERE id=1")
    _in_step(fresh_pair)


def test_two_tables_that_point_at_each_other_travel(fresh_pair: Pair) -> None:
    anna, _ = _ready(fresh_pair, "CREATE TABLE egg (id INT PRIMARY KEY, hen INT)",
                     "CREATE TABLE hen (id INT PRIMARY KEY, egg INT, FOREIGN KEY (egg) REFERENCES egg(id))",
                     "ALTER TABLE egg ADD FOREIGN KEY (hen) REFERENCES hen(id)")
    hand.transaction(anna, "INSERT INTO egg VALUES (1,NULL)", "INSERT INTO hen VALUES (1,1)",
                     "INSERT INTO egg VALUES (2,1)", "INSERT INTO hen VALUES (2,2)")
    _in_step(fresh_pair)
    hand.transaction(anna, "UPDATE egg SET hen=2", "DELETE FROM hen WHERE id=1",
                     "INSERT INTO hen VALUES (3,1)", "UPDATE egg SET hen=3 WHERE id=2")
    _in_step(fresh_pair)


def test_new_rows_of_two_tables_that_need_each_other_arrive(fresh_pair: Pair) -> None:
    anna, _ = _ready(fresh_pair, "CREATE TABLE egg (id INT PRIMARY KEY, hen INT)",
                        "CREATE TABLE hen (id INT PRIMARY KEY, egg INT, FOREIGN KEY (egg) REFERENCES egg(id))",
                        "ALTER TABLE egg ADD FOREIGN KEY (hen) REFERENCES hen(id)")
    hand.transaction(anna, "INSERT INTO egg VALUES (1,NULL)", "INSERT INTO hen VALUES (1,1)",
                     "UPDATE egg SET hen=1")
    _in_step(fresh_pair)


# rest --------------------------------------------------------------------------------------------

def _passed(pair: Pair) -> int:
    return sum(proxy.bytes_passed for proxy in pair.wire.values())


def test_an_idle_pair_sends_nothing_when_drained_and_when_served(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, n INT)")
    anna.sql("INSERT INTO t VALUES (1,1)")
    bert.sql("INSERT INTO t VALUES (2,2)")
    _in_step(fresh_pair)
    before = _passed(fresh_pair)
    assert before > 0
    for node in fresh_pair.nodes:
        assert "sent" not in node.drain(check=0).stdout
    fresh_pair.start_serve()
    bert.sql("INSERT INTO t VALUES (3,3)")
    fresh_pair.wait_quiet()
    until(lambda: not fresh_pair.differences(), what="served pair is equal")
    before = _passed(fresh_pair)
    time.sleep(IDLE_SECONDS)  # that nothing happens shows only in time
    assert _passed(fresh_pair) == before


def test_random_work_on_both_sides_comes_to_the_same_end(fresh_pair: Pair,
                                                         rng: random.Random) -> None:
    anna, bert = _ready(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, n INT, s VARCHAR(40))",
                        "CREATE TABLE u (a VARCHAR(5), b INT, v INT, PRIMARY KEY (a, b))")
    fresh_pair.start_serve()
    for _ in range(12):
        for node in (anna, bert):
            work = [_statement(rng, node is anna) for _ in range(rng.randint(1, 15))]
            until(lambda: hand.tried(node, *work), 10, "the app's transaction is committed")
    fresh_pair.wait_quiet()
    _in_step(fresh_pair)


def _statement(rng: random.Random, odd: bool) -> str:
    """Each laptop inserts keys of its own; both change and remove all of them."""
    own = rng.randrange(60) * 2 + odd
    key = rng.randrange(120)
    return rng.choice([
        f"INSERT INTO t VALUES ({own}, {rng.randrange(99)}, 'é{key}') ON DUPLICATE KEY UPDATE n=n+1",
        f"UPDATE t SET n=n+1, s=CONCAT(LEFT(s,20), '{key}') WHERE id BETWEEN {key} AND {key + 5}",
        f"DELETE FROM t WHERE id={key}",
        f"REPLACE INTO u VALUES ('{'ab'[odd]}', {own}, {key})",
        f"UPDATE u SET v={key} WHERE b>{key}",
        f"DELETE FROM u WHERE b={key}",
    ])
