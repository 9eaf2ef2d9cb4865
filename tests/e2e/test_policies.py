"""Rules for conflicts per table: prefer NODE, add (counters), and two sides whose agent.conf say different rules."""

from __future__ import annotations

import random
import subprocess

import pytest

from lab import Cluster, Pair, hand, process
from lab.node import Node
from lab.proxy import Fault
from lab.waiting import until

TABLE = "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20), price DECIMAL(9,2), stock INT UNSIGNED NOT NULL DEFAULT 0)"
ROW = "INSERT INTO t VALUES (1, 'tea', 1, 100)"
PREFER = {"table t": {"conflict": "prefer anna"}}
ADD = {"table t": {"add": "stock"}}
RECEIVE = "/api/sync/receive"


def _ready(pair: Pair, conf: dict[str, dict[str, str]], *ddl: str) -> tuple[Node, Node]:
    hand.everywhere(pair, *(ddl or (TABLE, ROW)))
    for node in pair.nodes:
        node.change_conf(conf)
    pair.install()
    return pair.anna, pair.bert


def _settle(pair: Pair, first: str) -> None:
    one, other = (pair.anna, pair.bert) if first == "anna" else (pair.bert, pair.anna)
    other.start_serve()
    one.drain(check=0)
    other.stop_serve()
    pair.settle()
    pair.assert_equal()


def _stock(node: Node) -> int:
    return node.sql("SELECT stock FROM t WHERE id=1")[0][0]


@pytest.mark.parametrize("first", ["anna", "bert"])
@pytest.mark.parametrize("anna_does, bert_does, stays", [
    ("UPDATE t SET name='anna'", "UPDATE t SET name='bert'", [(1, "anna")]),
    ("DELETE FROM t", "UPDATE t SET name='bert'", []),
    ("UPDATE t SET name='anna'", "DELETE FROM t", [(1, "anna")]),
    ("UPDATE t SET id=5", "UPDATE t SET id=7", [(5, "tea")]),
    ("INSERT INTO t VALUES (2, 'anna', 1, 1)", "INSERT INTO t VALUES (2, 'bert', 1, 1)", [(1, "tea"), (2, "anna")]),
])
def test_the_preferred_node_wins_though_it_was_earlier(
        fresh_pair: Pair, first: str, anna_does: str, bert_does: str, stays: list[tuple[int, str]]) -> None:
    anna, bert = _ready(fresh_pair, PREFER)
    anna.sql(anna_does)
    bert.sql(bert_does)
    _settle(fresh_pair, first)
    assert bert.sql("SELECT id, name FROM t ORDER BY id") == stays
    kept = [rule for node in fresh_pair.nodes for (rule,) in hand.sync(node, "SELECT policy FROM sync_conflict")]
    assert kept and set(kept) == {"prefer"}


def test_what_the_preferred_node_has_seen_may_be_changed_by_the_other(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, PREFER)
    anna.sql("UPDATE t SET name='anna'")
    _settle(fresh_pair, "anna")
    bert.sql("UPDATE t SET name='bert'")
    _settle(fresh_pair, "bert")
    assert anna.sql("SELECT name FROM t") == [("bert",)]


@pytest.mark.parametrize("first", ["anna", "bert"])
def test_two_rules_for_one_table_make_that_table_wait_and_no_other(fresh_pair: Pair, first: str) -> None:
    anna, bert = _ready(fresh_pair, PREFER, TABLE, ROW, "CREATE TABLE u (id INT PRIMARY KEY)")
    bert.change_conf({"table t": {"conflict": "newer"}})
    one, other = (anna, bert) if first == "anna" else (bert, anna)
    one.sql("UPDATE t SET name='edited'")
    one.sql("INSERT INTO u VALUES (1)")
    other.start_serve()
    one.drain(check=None)
    other.stop_serve()
    assert other.sql("SELECT id FROM u") == [(1,)]
    assert other.sql("SELECT name FROM t") == [("tea",)]
    state, attempts, why = hand.sync(one, "SELECT state, attempts, last_error FROM sync_owed")[0]
    assert state == "waiting" and attempts == 0
    assert "table t" in why and "prefer anna" in why and "newer" in why
    bert.change_conf(PREFER)
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert other.sql("SELECT name FROM t") == [("edited",)]


@pytest.mark.parametrize("first", ["anna", "bert"])
def test_two_sales_on_two_laptops_subtract_both(fresh_pair: Pair, first: str) -> None:
    anna, bert = _ready(fresh_pair, ADD)
    anna.sql("UPDATE t SET stock=stock-3")
    bert.sql("UPDATE t SET stock=stock-5, price=2")
    anna.sql("UPDATE t SET stock=stock-1")
    anna.sql("UPDATE t SET price=3")
    _settle(fresh_pair, first)
    assert bert.sql("SELECT stock, CAST(price AS CHAR) FROM t") == [(91, "3.00")]
    bert.sql("UPDATE t SET stock=stock+9")
    _settle(fresh_pair, first)
    assert _stock(anna) == 100


@pytest.mark.parametrize("first", ["anna", "bert"])
def test_a_later_delete_takes_the_counter_with_it(fresh_pair: Pair, first: str) -> None:
    anna, bert = _ready(fresh_pair, ADD)
    anna.sql("UPDATE t SET stock=stock-3")
    bert.sql("DELETE FROM t")
    _settle(fresh_pair, first)
    assert anna.sql("SELECT * FROM t") == []


def test_a_sum_that_does_not_fit_is_refused_and_its_difference_kept(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, ADD)
    anna.sql("UPDATE t SET stock=stock-60")
    bert.sql("UPDATE t SET stock=stock-70")
    bert.start_serve()
    anna.drain(check=None)
    bert.stop_serve()
    assert (_stock(anna), _stock(bert)) == (40, 30)
    assert hand.sync(anna, "SELECT COUNT(*) FROM sync_owed") == [(1,)]
    bert.sql("UPDATE t SET stock=stock+50")
    fresh_pair.settle(60)
    fresh_pair.assert_equal()
    assert _stock(anna) == 20


@pytest.mark.parametrize("seed", [1, 2])
def test_random_sales_on_both_laptops_all_count(fresh_pair: Pair, seed: int) -> None:
    anna, bert = _ready(fresh_pair, ADD)
    dice = random.Random(seed)
    total = 100
    for _ in range(4):
        for _ in range(dice.randrange(1, 6)):
            node, n = dice.choice(fresh_pair.nodes), dice.randrange(-2, 9)
            node.sql(f"UPDATE t SET stock=stock+({n}){dice.choice(['', ', price=price+1'])} WHERE id=1")
            total += n
        if dice.random() < 0.6:
            _settle(fresh_pair, dice.choice(["anna", "bert"]))
    _settle(fresh_pair, "anna")
    assert (_stock(anna), _stock(bert)) == (total, total)


# one unique value, two rows ------------------------------------------------------------------------

PEOPLE = "CREATE TABLE t (id INT PRIMARY KEY, mail VARCHAR(40) UNIQUE, v VARCHAR(40))"


def _drains(nodes: list[Node]) -> None:
    """Who serves already goes on; all drain until nobody has anything to say or to decide."""
    def quiet() -> bool:
        done = [node.drain().returncode for node in nodes]
        return done == [0] * len(nodes) and all(node.pending() == 0 and not hand.owed(node) for node in nodes)
    until(quiet, 60, "nothing is pending, owed or undecided")


def _assert_decided(nodes: list[Node], loser: str) -> None:
    """Nobody has to decide anything, and the row that went is kept whole somewhere."""
    kept = []
    for node in nodes:
        shown = node.status()
        assert shown["undecided"] == 0 and all(peer["in_step"] for peer in shown["peers"]), shown
        assert hand.sync(node, "SELECT * FROM sync_undecided WHERE decision IS NULL") == hand.sync(node, "SELECT * FROM sync_unsettled") == []
        kept += [str(row) for row in hand.sync(node, "SELECT CONCAT_WS(' ', local_row, remote_row) FROM sync_conflict")]
    assert any(loser in row for row in kept), kept


@pytest.mark.parametrize("first", ["anna", "bert"])
@pytest.mark.parametrize("before, anna_does, bert_does, stays", [
    ("", "INSERT INTO t VALUES (10, 'm@x', 'of anna')", "INSERT INTO t VALUES (20, 'M@x', 'of bert')", [(10, "m@x", "of anna")]),
    ("INSERT INTO t VALUES (10, 'a', 'ten'), (20, 'b', 'twenty')", "UPDATE t SET mail='m@x' WHERE id=10",
     "UPDATE t SET mail='m@x', v='of bert' WHERE id=20", [(10, "m@x", "ten"), (20, "b", "twenty")]),
    ("INSERT INTO t VALUES (10, 'a', 'ten')", "UPDATE t SET mail='m@x' WHERE id=10",
     "INSERT INTO t VALUES (20, 'm@x', 'of bert')", [(10, "m@x", "ten")]),
    ("INSERT INTO t VALUES (20, 'b', 'twenty')", "INSERT INTO t VALUES (10, 'm@x', 'of anna')",
     "UPDATE t SET mail='m@x', v='of bert' WHERE id=20", [(10, "m@x", "of anna"), (20, "b", "twenty")]),
], ids=["two new rows", "two old rows", "old and new", "new and old"])
def test_of_two_rows_with_one_unique_value_the_preferred_nodes_stays(
        fresh_pair: Pair, before: str, anna_does: str, bert_does: str, stays: list[tuple], first: str) -> None:
    anna, bert = _ready(fresh_pair, PREFER, PEOPLE, *([before] if before else []))
    anna.sql(anna_does)
    bert.sql(bert_does)
    one, other = (anna, bert) if first == "anna" else (bert, anna)
    other.start_serve()
    one.drain()
    one.start_serve()
    _drains(fresh_pair.nodes)
    fresh_pair.assert_equal()
    assert bert.sql("SELECT * FROM t ORDER BY id") == stays
    _assert_decided(fresh_pair.nodes, "of bert")
    bert.sql("UPDATE t SET mail='later' WHERE id=10")  # what he has seen he may change
    _drains(fresh_pair.nodes)
    fresh_pair.assert_equal()
    assert anna.sql("SELECT mail FROM t WHERE id=10") == [("later",)]
    # And the decision can be turned round by a person.
    ids = [one for (one,) in hand.sync(anna, "SELECT id FROM sync_conflict WHERE policy='unique, prefer'")]
    assert "rule unique, prefer" in anna.agent("--conflicts").stdout and "by a person" not in anna.agent("--conflicts").stdout
    bert.sql("UPDATE t SET mail='m@x' WHERE id=10")
    _drains(fresh_pair.nodes)
    anna.agent("--resolve", str(ids[-1]), "--keep", "remote", check=0)
    _drains(fresh_pair.nodes)
    fresh_pair.assert_equal()
    assert (20, "of bert") in [(key, v) for key, _, v in bert.sql("SELECT * FROM t")]


@pytest.mark.parametrize("does", ["UPDATE t SET v='edits on'", "UPDATE t SET mail='other'", "DELETE FROM t"])
def test_who_edits_on_before_he_hears_that_the_preferred_row_stays_ends_equal(fresh_pair: Pair, does: str) -> None:
    anna, bert = _ready(fresh_pair, PREFER, PEOPLE)
    anna.sql("INSERT INTO t VALUES (10, 'm@x', 'of anna')")
    bert.sql("INSERT INTO t VALUES (20, 'm@x', 'of bert')")
    anna.start_serve()
    bert.drain()
    anna.stop_serve()
    assert hand.sync(anna, "SELECT policy FROM sync_conflict") == [("unique, prefer",)]
    bert.sql(does)
    anna.sql("UPDATE t SET v='anna, too'")
    fresh_pair.start_serve()
    _drains(fresh_pair.nodes)
    fresh_pair.assert_equal()
    assert anna.sql("SELECT id, v FROM t WHERE mail='m@x'") == [(10, "anna, too")]
    _assert_decided(fresh_pair.nodes, "of bert")


@pytest.mark.parametrize("links, preferred", [("star", 0), ("star", 1), ("chain", 0), ("chain", 1)],
                         ids=["the hub", "a leaf", "the end", "the middle"])
def test_the_preferred_nodes_row_stays_on_three_laptops(links: str, preferred: int) -> None:
    with Cluster(3, links, schemas=()) as many:
        hand.everywhere(many, PEOPLE)
        for node in many.nodes:
            node.change_conf({"table t": {"conflict": f"prefer {many.nodes[preferred].name}"}})
        many.install()
        for turn in range(2):
            many.stop_serve()  # else the first one's row may be there before the next one is written
            for n, node in enumerate(many.nodes):
                node.sql("INSERT INTO t VALUES (%s, %s, %s)", [10 * turn + n, f"m{turn}@x", f"of {node.name}"])
            many.start_serve()
            two = [node for n, node in enumerate(many.nodes) if n != preferred]
            until(lambda: [node.drain() for node in many.nodes] and any(
                row == (f"m{turn}@x", f"of {many.nodes[preferred].name}") for row in two[0].sql("SELECT mail, v FROM t")), 60, "it arrives")
            # The other two laptops' rows may be left to a person where none of them met the preferred one.
            _drains(many.nodes)
            many.assert_equal()
            assert many.nodes[2].sql("SELECT v FROM t WHERE mail=%s", [f"m{turn}@x"]) == [(f"of {many.nodes[preferred].name}",)]
            _assert_decided(many.nodes, f"of {two[0].name}")
            _assert_decided(many.nodes, f"of {two[1].name}")


def test_two_rows_of_which_none_is_the_preferred_nodes_wait_for_a_person(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, {"table t": {"conflict": "prefer cleo"}}, PEOPLE)
    anna.sql("INSERT INTO t VALUES (10, 'm@x', 'of anna')")
    bert.sql("INSERT INTO t VALUES (20, 'm@x', 'of bert')")
    fresh_pair.start_serve()
    until(lambda: [node.drain() for node in fresh_pair.nodes] and all(node.status()["undecided"] == 1 for node in fresh_pair.nodes), 60, "both list it")
    assert anna.sql("SELECT id FROM t") == [(10,)] and bert.sql("SELECT id FROM t") == [(20,)]


# three nodes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_sales_on_three_laptops_all_count_everywhere(seed: int) -> None:
    """Each node's differences arrive once at every other, past a node in between. The prices: the latest one."""
    dice = random.Random(seed)
    with Cluster(3, "chain", schemas=(), conf={"table t": {"add": "stock"}}) as many:
        hand.everywhere(many, TABLE, "INSERT INTO t VALUES (1, 'tea', 1, 1000), (2, 'mate', 1, 1000)")
        many.install()
        total = {1: 1000, 2: 1000}
        for _ in range(3):
            for _ in range(12):
                row, n = dice.choice([1, 2]), dice.randrange(-9, 5)
                dice.choice(many.nodes).sql(f"UPDATE t SET stock=stock+({n}){dice.choice(['', ', price=price+1'])} WHERE id={row}")
                total[row] += n
            many.settle(120)
            many.assert_equal()
            for node in many.nodes:
                assert dict(node.sql("SELECT id, stock FROM t")) == total


def test_the_preferred_node_wins_on_three_laptops() -> None:
    with Cluster(3, "chain", schemas=(), conf={}) as many:
        hand.everywhere(many, TABLE, ROW)
        leaf, middle, other = many.nodes
        for node in many.nodes:
            node.change_conf({"table t": {"conflict": f"prefer {leaf.name}"}})
        many.install()
        leaf.sql("UPDATE t SET name='preferred'")
        middle.sql("UPDATE t SET name='middle'")
        other.sql("UPDATE t SET name='latest'")
        many.settle(120)
        many.assert_equal()
        assert other.sql("SELECT name FROM t") == [("preferred",)]


@pytest.mark.parametrize("rule", ["prefer anna", "manual"])
def test_counters_do_not_go_with_rules_that_choose_one_version(fresh_pair: Pair, rule: str) -> None:
    hand.everywhere(fresh_pair, TABLE)
    fresh_pair.anna.change_conf({"table t": {"add": "stock", "conflict": rule}})
    assert "add up columns" in fresh_pair.anna.agent("--check", check=None).stdout


def test_drains_that_are_killed_count_no_sale_twice(fresh_pair: Pair) -> None:
    """Killed at any moment, also between the peer's commit and its answer; sales go on at both sides."""
    anna, bert = _ready(fresh_pair, ADD)
    dice = random.Random(7)
    sold = 0
    bert.start_serve()
    for _ in range(12):
        anna.sql("UPDATE t SET stock=stock-1")
        bert.sql("UPDATE t SET stock=stock-2")
        sold += 3
        child = subprocess.Popen(anna.command("--drain"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 cwd=anna.folder, preexec_fn=process.dies_with_parent())
        try:
            child.wait(timeout=dice.uniform(0.01, 0.12))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    bert.stop_serve()
    fresh_pair.settle(60)
    fresh_pair.assert_equal()
    assert _stock(anna) == 100 - sold


def test_with_manual_both_keep_their_own_until_a_person_decides(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, {"table t": {"conflict": "manual"}})
    anna.sql("UPDATE t SET name='anna'")
    bert.sql("UPDATE t SET name='bert'")
    bert.start_serve()
    anna.drain(check=None)
    bert.stop_serve()
    assert (anna.sql("SELECT name FROM t"), bert.sql("SELECT name FROM t")) == ([("anna",)], [("bert",)])
    number = hand.sync(bert, "SELECT id FROM sync_conflict WHERE verdict='ask' AND policy='manual'")[0][0]
    bert.agent("--resolve", str(number), "--keep", "remote", check=0)
    fresh_pair.settle(60)
    fresh_pair.assert_equal()
    assert bert.sql("SELECT name FROM t") == [("anna",)]


# counters under fire ------------------------------------------------------------------------------

def _many(pair: Pair, rows: int = 260) -> tuple[Node, Node]:
    """Groups are cut after 50 rows."""
    return _ready(pair, {"sync": {"group_rows": "50", "max_delete": "off"}, **ADD}, TABLE,
                  f"INSERT INTO t SELECT seq, 'tea', 1, 100 FROM seq_1_to_{rows}")


def _sell_while_parts_travel(pair: Pair, fault: Fault, kill: bool) -> None:
    anna, bert = _many(pair)
    anna.sql("UPDATE t SET stock=stock-3")
    bert.sql("UPDATE t SET stock=stock-5")
    bert.start_serve()
    held = pair.wire["anna", "bert"].plan(fault)
    drain = subprocess.Popen(anna.command("--drain"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             cwd=anna.folder, preexec_fn=process.dies_with_parent())
    until(lambda: held.hits == 1, 60, "a part is on its way")
    anna.sql("UPDATE t SET stock=stock-1 WHERE id IN (1, 60, 130, 260)")
    bert.sql("UPDATE t SET stock=stock-2 WHERE id IN (1, 130, 200)")
    if kill:
        drain.kill()
        drain.wait()
    held.release()
    drain.wait(60)
    bert.stop_serve()
    pair.settle(60)
    pair.assert_equal()
    special = {1: 89, 60: 91, 130: 89, 200: 90, 260: 91}
    assert {n: stock for n, stock in anna.sql("SELECT id, stock FROM t") if stock != 92} == special


@pytest.mark.parametrize("kill", [False, True])
@pytest.mark.parametrize("how, skip", [("hold_request", 1), ("hold_response", 0), ("hold_response", 2)])
def test_sales_count_once_when_a_cut_group_stops_halfway(fresh_pair: Pair, how: str, skip: int, kill: bool) -> None:
    _sell_while_parts_travel(fresh_pair, Fault(how, RECEIVE, skip=skip), kill)


@pytest.mark.parametrize("times", [1, 2])
def test_a_sale_that_was_applied_and_never_answered_counts_once(fresh_pair: Pair, times: int) -> None:
    anna, bert = _ready(fresh_pair, ADD)
    anna.sql("UPDATE t SET stock=stock-3")
    bert.sql("UPDATE t SET stock=stock-5")
    bert.start_serve()
    lost = fresh_pair.wire["anna", "bert"].drop_response(RECEIVE, times=times)
    anna.drain(check=None)
    assert lost.hits > 0
    anna.sql("UPDATE t SET stock=stock-1")
    bert.sql("UPDATE t SET stock=stock-2")
    bert.stop_serve()
    _settle(fresh_pair, "bert")
    assert (_stock(anna), _stock(bert)) == (89, 89)


@pytest.mark.parametrize("first", ["anna", "bert"])
def test_of_two_inserts_of_one_key_the_later_stays_with_its_stock_and_later_sales_count(fresh_pair: Pair, first: str) -> None:
    anna, bert = _ready(fresh_pair, ADD)
    anna.sql("INSERT INTO t VALUES (2, 'anna', 1, 50)")
    bert.sql("INSERT INTO t VALUES (2, 'bert', 1, 70)")
    bert.sql("UPDATE t SET stock=stock-1 WHERE id=2")
    _settle(fresh_pair, first)
    assert anna.sql("SELECT name, stock FROM t WHERE id=2") == [("bert", 69)]
    anna.sql("UPDATE t SET stock=stock-4 WHERE id=2")
    bert.sql("UPDATE t SET stock=stock-5 WHERE id=2")
    _settle(fresh_pair, first)
    assert anna.sql("SELECT name, stock FROM t WHERE id=2") == [("bert", 60)]


@pytest.mark.parametrize("first", ["anna", "bert"])
@pytest.mark.parametrize("later", ["anna", "bert"])
def test_a_key_change_and_a_sale_end_equal_and_the_next_sales_count(fresh_pair: Pair, first: str, later: str) -> None:
    anna, bert = _ready(fresh_pair, ADD)
    does = {"anna": "UPDATE t SET id=7", "bert": "UPDATE t SET stock=stock-5"}
    for name in sorted(does, key=lambda name: name == later):
        fresh_pair[name].sql(does[name])
    _settle(fresh_pair, first)
    (number, stock), = anna.sql("SELECT id, stock FROM t")
    assert number == 7 and stock in (95, 100)
    anna.sql("UPDATE t SET stock=stock-1")
    bert.sql("UPDATE t SET stock=stock-2")
    _settle(fresh_pair, first)
    assert bert.sql("SELECT id, stock FROM t") == [(7, stock - 3)]


@pytest.mark.parametrize("links", ["star", "chain"])
def test_sales_count_everywhere_past_a_node_between_and_a_changed_key(links: str) -> None:
    with Cluster(3, links, schemas=(), conf=ADD) as many:
        hand.everywhere(many, TABLE, ROW, "INSERT INTO t VALUES (2, 'mate', 1, 100)")
        many.install()
        for n, node in enumerate(many.nodes, 1):
            node.sql(f"UPDATE t SET stock=stock-{n} WHERE id=1")
        many.settle(120)
        many.nodes[2].sql("UPDATE t SET id=7 WHERE id=1")
        for n, node in enumerate(many.nodes, 1):
            node.sql(f"UPDATE t SET stock=stock-{n} WHERE id=2")
        many.settle(120)
        many.nodes[0].sql("UPDATE t SET stock=stock-10 WHERE id=7")
        many.nodes[2].sql("UPDATE t SET stock=stock-20 WHERE id=7")
        many.settle(120)
        many.assert_equal()
        for node in many.nodes:
            assert dict(node.sql("SELECT id, stock FROM t")) == {2: 94, 7: 64}


@pytest.mark.parametrize("first", ["anna", "bert"])
@pytest.mark.parametrize("source", ["anna", "bert"])
def test_sales_that_are_pending_on_both_sides_count_though_the_table_is_repaired(fresh_pair: Pair, first: str, source: str) -> None:
    anna, bert = _ready(fresh_pair, ADD)
    anna.sql("UPDATE t SET stock=stock-3")
    bert.sql("UPDATE t SET stock=stock-5")
    bert.start_serve()
    anna.agent("--verify", "--table", "t", "--repair", "--from", source)
    bert.stop_serve()
    _settle(fresh_pair, first)
    assert _stock(anna) == 92


@pytest.mark.parametrize("first", ["anna", "bert"])
def test_a_sale_beside_a_repaired_record_that_has_not_left_counts(fresh_pair: Pair, first: str) -> None:
    anna, bert = _ready(fresh_pair, ADD)
    hand.unseen(bert, "UPDATE t SET stock=60")
    bert.start_serve()
    anna.agent("--verify", "--table", "t", "--repair", "--from", "anna")
    bert.stop_serve()
    anna.sql("UPDATE t SET stock=stock-5")
    _settle(fresh_pair, first)
    assert _stock(bert) == 95


@pytest.mark.parametrize("change", ["stock=stock-3", "price=5"])
def test_a_counter_that_had_drifted_takes_the_senders_value_and_is_logged(fresh_pair: Pair, change: str) -> None:
    anna, bert = _ready(fresh_pair, ADD, TABLE, ROW, "INSERT INTO t VALUES (2, 'mate', 1, 100)")
    hand.unseen(bert, "UPDATE t SET stock=60 WHERE id=1")
    anna.sql(f"UPDATE t SET {change}")
    _settle(fresh_pair, "anna")
    said = [line for line in bert.logs().splitlines() if "stock was 60 here" in line]
    assert said and all("table t, record 1:" in line for line in said)
    assert "stock was 100 here" not in bert.logs()


def test_what_was_counted_after_the_first_part_of_a_cut_group_counts_once(fresh_pair: Pair) -> None:
    """The first part has row 1 as it is now; its second sale is told of by the last part, past bert's own."""
    anna, bert = _many(fresh_pair)
    anna.sql("UPDATE t SET stock=stock-3")
    anna.sql("UPDATE t SET stock=stock-4 WHERE id=1")
    bert.start_serve()
    held = fresh_pair.wire["anna", "bert"].plan(Fault("hold_request", RECEIVE, skip=1))
    drain = subprocess.Popen(anna.command("--drain"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             cwd=anna.folder, preexec_fn=process.dies_with_parent())
    until(lambda: held.hits == 1, 60, "the second part is on its way")
    bert.sql("UPDATE t SET stock=stock-2 WHERE id=1")
    held.release()
    drain.wait(60)
    bert.stop_serve()
    fresh_pair.settle(60)
    fresh_pair.assert_equal()
    assert (_stock(anna), _stock(bert)) == (91, 91)


@pytest.mark.parametrize("first", ["anna", "bert"])
@pytest.mark.parametrize("keep", ["local", "remote"])
def test_a_decision_about_a_price_leaves_the_stock_to_the_sales(fresh_pair: Pair, first: str, keep: str) -> None:
    """Sold before the conflict, since, while the decision waits, and on the other laptop while it travels."""
    anna, bert = _ready(fresh_pair, ADD)
    anna.sql("UPDATE t SET price=2, stock=stock-1")
    bert.sql("UPDATE t SET price=3, stock=stock-2")
    _settle(fresh_pair, first)
    where = next(node for node in fresh_pair.nodes if hand.sync(node, "SELECT 1 FROM sync_conflict"))
    other = bert if where is anna else anna
    number, = hand.sync(where, "SELECT id FROM sync_conflict")[0]
    where.sql("UPDATE t SET stock=stock-4")
    other.sql("UPDATE t SET stock=stock-8")
    where.agent("--resolve", str(number), "--keep", keep, check=0)
    where.sql("UPDATE t SET stock=stock-16")
    _settle(fresh_pair, first)
    local = 2 if where is anna else 3
    assert anna.sql("SELECT stock, CAST(price AS SIGNED) FROM t") == [(69, local if keep == "local" else 5 - local)]


@pytest.mark.parametrize("first", ["anna", "bert"])
def test_a_refused_sale_counts_when_the_column_was_widened(fresh_pair: Pair, first: str) -> None:
    anna, bert = _ready(fresh_pair, ADD)
    anna.sql("UPDATE t SET stock=stock-60")
    bert.sql("UPDATE t SET stock=stock-70")
    bert.start_serve()
    anna.drain(check=None)
    bert.stop_serve()
    assert hand.sync(anna, "SELECT COUNT(*) FROM sync_owed") == [(1,)]
    for node in fresh_pair.nodes:
        node.sql("ALTER TABLE t MODIFY stock INT NOT NULL DEFAULT 0")
        node.install()
    _settle(fresh_pair, first)
    assert (_stock(anna), _stock(bert)) == (-30, -30)


@pytest.mark.parametrize("first", ["anna", "bert"])
def test_a_sale_beside_a_repaired_record_on_its_way_counts(fresh_pair: Pair, first: str) -> None:
    anna, bert = _ready(fresh_pair, ADD)
    hand.unseen(bert, "UPDATE t SET stock=60")
    bert.start_serve()
    anna.agent("--verify", "--table", "t", "--repair", "--from", "anna")
    bert.stop_serve()
    bert.sql("UPDATE t SET stock=stock-5")
    anna.sql("UPDATE t SET stock=stock-7, price=4")
    _settle(fresh_pair, first)
    assert (_stock(anna), _stock(bert)) == (88, 88)
