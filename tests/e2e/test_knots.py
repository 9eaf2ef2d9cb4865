"""Records that can only go together: unique values that were swapped, circles of rows that point at
each other. They arrive as one, or none of them does, and no row ever loses its parent."""

from __future__ import annotations

import random
import threading

import pytest

from lab import Cluster, Pair, hand, until
from lab.node import Node
from lab.server import Row

SEAT = "CREATE TABLE seat (id INT PRIMARY KEY, place INT UNIQUE, v INT)"
BOSS = ("CREATE TABLE boss (id INT PRIMARY KEY, above INT,"
        " FOREIGN KEY (above) REFERENCES boss (id))")
EGG_AND_HEN = (
    "CREATE TABLE egg (id INT PRIMARY KEY, hen INT)",
    "CREATE TABLE hen (id INT PRIMARY KEY, egg INT, FOREIGN KEY (egg) REFERENCES egg (id))",
    "ALTER TABLE egg ADD FOREIGN KEY (hen) REFERENCES hen (id)",
)
NEST = (
    *EGG_AND_HEN, "CREATE TABLE nest (id INT PRIMARY KEY)", "INSERT INTO nest VALUES (1), (2)",
    "ALTER TABLE egg ADD nest INT, ADD FOREIGN KEY (nest) REFERENCES nest (id)",
)
CHECKED = ("CREATE TABLE checked_parent (id INT PRIMARY KEY)",
           "CREATE TABLE checked_child (id INT PRIMARY KEY, parent INT,"
           " FOREIGN KEY (parent) REFERENCES checked_parent (id))")
WAITING = ("SELECT trx_mysql_thread_id, trx_query, trx_started FROM information_schema.INNODB_TRX"
           " WHERE trx_state='LOCK WAIT'")
RANDOM_GROUPS = 25


def _ready(many: Cluster, *ddl: str) -> list[Node]:
    """Installed; everybody but the first receives; refused records are tried again for long."""
    hand.everywhere(many, *ddl)
    for node in many.nodes:
        node.change_conf({"sync": {"max_attempts": "99"}})
    many.install()
    for node in many.nodes[1:]:
        node.start_serve()
    return many.nodes


def _states(node: Node) -> list[tuple[str, str, str]]:
    return [row[:3] for row in hand.owed(node)]


def _rotate(node: Node, *further: str) -> None:
    hand.transaction(node, "UPDATE seat SET place=NULL WHERE id=3",
                     "UPDATE seat SET place=3 WHERE id=2", "UPDATE seat SET place=2 WHERE id=1",
                     "UPDATE seat SET place=1 WHERE id=3", *further)


def _assert_checked(anna: Node, bert: Node) -> None:
    """Bert's agent refuses a row without a parent: its foreign key checks are on."""
    hand.transaction(anna, "SET foreign_key_checks=0",
                     "INSERT INTO checked_child VALUES (1, 4711)")
    anna.drain(check=0)
    assert ("checked_child", "1", "retry") in _states(anna)
    assert bert.sql("SELECT * FROM checked_child") == []


def _waiting(node: Node) -> Row:
    """The transaction that waits for a lock there: its connection and statement."""
    until(lambda: len(node.sql(WAITING)) == 1, what="the agent waits")
    return node.sql(WAITING)[0]


# unique values -----------------------------------------------------------------------------------

def test_three_unique_values_rotate_beside_records_that_are_refused(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, SEAT, *CHECKED, "CREATE TABLE u (id INT PRIMARY KEY, v INT)",
                        "INSERT INTO seat VALUES (1,1,0), (2,2,0), (3,3,0)")
    bert.sql("ALTER TABLE u ADD CHECK (v<>7)")
    hand.unseen(bert, "INSERT INTO seat VALUES (90,9,0)")  # place 9 is taken there
    _rotate(anna, "INSERT INTO seat VALUES (4,9,0), (5,5,0)", "INSERT INTO u VALUES (1,7), (2,8)")
    anna.drain(check=0)
    assert _states(anna) == [("seat", "4", "retry"), ("u", "1", "retry")]
    assert bert.sql("SELECT id, place FROM seat ORDER BY id") == [
        (1, 2), (2, 3), (3, 1), (5, 5), (90, 9)]
    assert bert.queue() == {}, "the agent's own writes are not captured"
    _assert_checked(anna, bert)


def test_a_swap_keeps_the_children_of_its_rows(fresh_pair: Pair) -> None:
    anna, bert = _ready(
        fresh_pair, SEAT, "CREATE TABLE guest (id INT PRIMARY KEY, seat INT, name VARCHAR(9),"
        " FOREIGN KEY (seat) REFERENCES seat (id) ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE pet (id INT PRIMARY KEY, place INT,"
        " FOREIGN KEY (place) REFERENCES seat (place) ON DELETE SET NULL)",
        "INSERT INTO seat VALUES (1,1,0), (2,2,0), (3,3,0)",
        "INSERT INTO guest VALUES (1,1,'a'), (2,2,'b'), (3,3,'c')", "INSERT INTO pet VALUES (1,1)")
    hand.transaction(anna, "DELETE FROM pet WHERE id=1", "UPDATE seat SET place=NULL WHERE id=1",
                     "UPDATE seat SET place=1 WHERE id=2", "UPDATE seat SET place=2 WHERE id=1",
                     "INSERT INTO pet VALUES (1,1), (2,2)", "INSERT INTO guest VALUES (4,1,'d')")
    anna.drain(check=0)
    fresh_pair.assert_equal()
    assert bert.sql("SELECT COUNT(*) FROM guest") == [(4,)]
    assert hand.owed(anna) == []


def test_a_swap_is_relayed_to_a_third_laptop() -> None:
    with Cluster(3, "chain", schemas=()) as many:
        anna, bert, cleo = _ready(many, SEAT, "INSERT INTO seat VALUES (1,1,0), (2,2,0), (3,3,0)")
        _rotate(anna)
        anna.drain(check=0)
        until(lambda: cleo.sql("SELECT place FROM seat ORDER BY id") == [(2,), (3,), (1,)],
              what="the rotation arrives at cleo")
        many.settle()
        many.assert_equal()
        assert hand.sync(bert, "SELECT record_id, operation, origin, via FROM sync_queue"
                         " ORDER BY record_id") == [
            (key, "update", "anna", "anna") for key in (b"1", b"2", b"3")]


@pytest.mark.parametrize("later", ["anna", "bert"])
def test_a_record_changed_on_both_sides_stays_out_of_a_swap(fresh_pair: Pair, later: str) -> None:
    anna, bert = _ready(fresh_pair, SEAT, *CHECKED,
                        "INSERT INTO seat VALUES (1,1,0), (2,2,0), (3,3,0), (4,4,0), (5,5,0)")
    bert.stop_serve()
    if later == "anna":
        bert.sql("UPDATE seat SET v=9 WHERE id=1")
    _rotate(anna, "UPDATE seat SET place=NULL WHERE id=4", "UPDATE seat SET place=4 WHERE id=5",
            "UPDATE seat SET place=5 WHERE id=4")
    if later == "bert":
        bert.sql("UPDATE seat SET v=9 WHERE id=1")
    bert.start_serve()
    anna.drain(check=0)
    assert bert.sql("SELECT * FROM seat ORDER BY id") == [
        (1, 1, 9), (2, 2, 0), (3, 3, 0), (4, 5, 0), (5, 4, 0)]
    refused = [key for _, key, _ in _states(anna)]
    assert refused == (["1", "2", "3"] if later == "anna" else ["2", "3"])
    _assert_checked(anna, bert)


# circles -----------------------------------------------------------------------------------------

def test_a_circle_of_deletes_arrives(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, BOSS, *EGG_AND_HEN,
                        "INSERT INTO boss VALUES (1,NULL), (2,1), (3,2), (9,NULL)",
                        "UPDATE boss SET above=3 WHERE id=1", "INSERT INTO egg VALUES (1,NULL)",
                        "INSERT INTO hen VALUES (1,1)", "UPDATE egg SET hen=1")
    hand.transaction(anna, "UPDATE boss SET above=9", "DELETE FROM boss WHERE id<9",
                     "UPDATE egg SET hen=NULL", "DELETE FROM hen", "DELETE FROM egg")
    assert "6 records sent, 0 refused" in anna.drain(check=0).stdout
    fresh_pair.assert_equal()
    assert bert.sql("SELECT * FROM boss") == [(9, 9)]


def test_rows_that_need_each_other_arrive_without_the_one_that_has_no_parent(
        fresh_pair: Pair) -> None:
    anna, bert = _ready(
        fresh_pair, "CREATE TABLE egg (a VARCHAR(9), b TIMESTAMP(3), c FLOAT, hen VARCHAR(9),"
        " PRIMARY KEY (a, b, c), KEY (b, a))",
        "CREATE TABLE hen (id VARCHAR(9) PRIMARY KEY, a VARCHAR(9), b TIMESTAMP(3),"
        " FOREIGN KEY (b, a) REFERENCES egg (b, a))",
        "ALTER TABLE egg ADD FOREIGN KEY (hen) REFERENCES hen (id)", *CHECKED)
    hand.transaction(anna, "SET foreign_key_checks=0",
                     "INSERT INTO egg VALUES ('a,\\\\', '2024-05-06 07:08:09.123', 0.1, 'é')",
                     "INSERT INTO hen VALUES ('é', 'a,\\\\', '2024-05-06 07:08:09.123')",
                     "INSERT INTO egg VALUES ('a,\\\\', '2024-05-06 07:08:09.123', 0.2, 'none')",
                     "INSERT INTO hen VALUES ('half', NULL, '2024-05-06 07:08:09.123')")
    anna.drain(check=0)
    ((table, key, state),) = _states(anna)
    assert (table, state) == ("egg", "retry") and ",0.2" in key
    assert bert.sql("SELECT COUNT(*) FROM hen") == [(2,)]
    assert bert.sql("SELECT hen FROM egg") == [("é",)]
    _assert_checked(anna, bert)


# what cannot be untied ---------------------------------------------------------------------------

@pytest.mark.parametrize("event", ["INSERT", "DELETE"])
def test_a_knot_that_fails_leaves_everything_as_it_was(event: str) -> None:
    with Cluster(3, "chain", schemas=(), conf={"table seat": {"app_triggers": "run"}}) as many:
        anna, bert, cleo = _ready(many, SEAT, BOSS, *CHECKED,
                                  "INSERT INTO seat VALUES (1,1,0), (2,2,0)",
                                  "INSERT INTO boss VALUES (1,1), (2,1)")
        hand.unseen(bert, "INSERT INTO boss VALUES (7,1)")  # a child that anna does not know
        bert.sql(f"CREATE TRIGGER no BEFORE {event} ON seat FOR EACH ROW"
                 " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='seats are for ever'")
        hand.transaction(anna, "UPDATE boss SET above=NULL", "DELETE FROM boss WHERE id=1",
                         "UPDATE seat SET place=NULL WHERE id=1",
                         "UPDATE seat SET place=1 WHERE id=2", "UPDATE seat SET place=2 WHERE id=1")
        assert anna.drain(check=0).stdout.startswith("peer bert: 1 records sent")
        assert _states(anna) == [("boss", "1", "retry"), ("seat", "1", "retry"),
                                 ("seat", "2", "retry")]
        reasons = [reason for *_, reason in hand.owed(anna)]
        assert "1451" in reasons[0] and "1062" in reasons[1] and "1062" in reasons[2]
        assert bert.sql("SELECT * FROM boss ORDER BY id") == [(1, 1), (2, None), (7, 1)]
        assert bert.sql("SELECT id, place FROM seat ORDER BY id") == [(1, 1), (2, 2)]
        _assert_checked(anna, bert)
        assert hand.sync(bert, "SELECT table_name, record_id FROM sync_queue") == [("boss", b"2")]
        bert.sql("DROP TRIGGER no")
        hand.unseen(bert, "DELETE FROM boss WHERE id=7")
        anna.drain(check=0)
        until(lambda: cleo.sql("SELECT place FROM seat ORDER BY id") == [(2,), (1,)],
              what="the swap arrives at cleo")
        assert _states(anna) == [("checked_child", "1", "retry")]


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "READ COMMITTED"])
def test_a_parent_that_the_app_is_about_to_remove_makes_no_orphan(
        fresh_pair: Pair, isolation: str) -> None:
    anna, bert = _ready(fresh_pair, *NEST)
    hand.transaction(anna, "INSERT INTO egg VALUES (1,NULL,1)", "INSERT INTO hen VALUES (1,1)",
                     "UPDATE egg SET hen=1")
    app = bert.connect(autocommit=False)
    hand.run(app, f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}",
             "DELETE FROM nest WHERE id=1")
    drain = threading.Thread(target=anna.drain)
    drain.start()
    _waiting(bert)
    app.commit()
    app.close()
    drain.join()
    assert bert.sql("SELECT (SELECT COUNT(*) FROM egg), (SELECT COUNT(*) FROM hen)") == [(0, 0)]
    assert _states(anna) != []


@pytest.mark.parametrize("end", ["QUERY", "CONNECTION"])
def test_an_interrupted_knot_is_tried_again_with_checks_on(fresh_pair: Pair, end: str) -> None:
    anna, bert = _ready(fresh_pair, *NEST, *CHECKED)
    hand.transaction(anna, "INSERT INTO egg VALUES (1,NULL,1)", "INSERT INTO hen VALUES (1,1)",
                     "UPDATE egg SET hen=1", "SET foreign_key_checks=0",
                     "INSERT INTO checked_child VALUES (2, 4711)")
    app = bert.connect(autocommit=False)
    hand.run(app, "DELETE FROM nest WHERE id=1")  # met when references are not checked
    drain = threading.Thread(target=anna.drain)
    drain.start()
    first = _waiting(bert)
    assert str(first[1]).startswith("INSERT INTO"), first
    bert.server.sql(f"KILL {end} {first[0]}")
    until(lambda: bert.sql(WAITING) not in ([], [first]), what="the agent tries again")
    app.rollback()
    app.close()
    drain.join()
    assert bert.sql("SELECT * FROM egg") == [(1, 1, 1)]
    assert _states(anna) == [("checked_child", "2", "retry")]
    _assert_checked(anna, bert)


# anything ----------------------------------------------------------------------------------------

def test_random_knots_arrive(fresh_pair: Pair, rng: random.Random) -> None:
    anna, bert = _ready(
        fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, a INT UNIQUE, b INT UNIQUE, above INT,"
        " other INT, FOREIGN KEY (above) REFERENCES t (id))",
        "CREATE TABLE u (id INT PRIMARY KEY, a INT UNIQUE, t INT, FOREIGN KEY (t) REFERENCES t (id))",
        "ALTER TABLE t ADD FOREIGN KEY (other) REFERENCES u (id)")
    for _ in range(RANDOM_GROUPS):
        hand.transaction(anna, "SET foreign_key_checks=0", *_anew(rng))
        assert " 0 refused" in anna.drain(check=0).stdout
        fresh_pair.assert_equal()


def _anew(rng: random.Random) -> list[str]:
    """Both tables with other rows, values and references; rows of the same key stay half the time."""
    keys = {table: rng.sample(range(1, 9), rng.randint(1, 8)) for table in "tu"}
    work = ["UPDATE t SET a=NULL, b=NULL", "UPDATE u SET a=NULL"]
    for table in "tu":
        kept = ",".join(map(str, keys[table]))
        work.append(f"DELETE FROM {table} WHERE id NOT IN ({kept})")
    for table, other in (("t", "u"), ("u", "t")):
        for key, a, b in zip(keys[table], rng.sample(range(9), 8), rng.sample(range(9), 8)):
            point, far = (rng.choice([*keys[of], "NULL"]) for of in (table, other))
            values = f"{key},{a},{b},{point},{far}" if table == "t" else f"{key},{a},{far}"
            update = (f"a={a}, b={b}, above={point}, other={far}" if table == "t"
                      else f"a={a}, t={far}")
            work.append(f"INSERT INTO {table} VALUES ({values}) ON DUPLICATE KEY UPDATE {update}")
    return work
