"""Tables that travel one way, and the order of tables inside a group."""

from __future__ import annotations

import json

from lab import Cluster, Node, Pair, hand, until
from lab.impostor import frames

_TABLES = ("CREATE TABLE price (id INT PRIMARY KEY, v VARCHAR(60) NOT NULL)",
           "CREATE TABLE note (id INT PRIMARY KEY, v VARCHAR(60) NOT NULL)")


def _peer(node: Node) -> dict[str, object]:
    return node.status()["peers"][0]


def _prices(node: Node) -> dict[int, str]:
    return dict(node.sql("SELECT id, v FROM price"))


def _one_way(two: Pair, rule: str | None = None) -> tuple[Node, Node]:
    """Prices go from anna to bert only."""
    hand.everywhere(two, *_TABLES)
    two.anna.change_conf({"table price": {"direction": "send", "conflict": rule}})
    two.bert.change_conf({"table price": {"direction": "receive", "conflict": rule}})
    two.install()
    two.start_serve()
    two.anna.sql("INSERT INTO price VALUES (1, 'one'), (2, 'two')")
    until(lambda: _prices(two.bert) == {1: "one", 2: "two"}, 20, "prices arrive")
    return two.anna, two.bert


def test_what_is_written_on_the_wrong_side_is_named_and_stays(fresh_pair: Pair) -> None:
    anna, bert = _one_way(fresh_pair)
    bert.sql("UPDATE price SET v = 'bert''s own' WHERE id = 1")
    bert.sql("INSERT INTO price VALUES (3, 'only bert''s')")
    bert.sql("INSERT INTO note VALUES (1, 'both ways')")
    until(lambda: anna.sql("SELECT v FROM note") == [("both ways",)], 20, "other tables go on")
    until(lambda: _peer(bert)["waiting"] == 2, 20, "bert names two records")
    said = bert.agent("--status").stdout
    assert "what is written here is not sent" in said and "direction = receive" in said
    assert _prices(anna) == {1: "one", 2: "two"} and not _peer(bert)["in_step"]
    # Later than anything anna does: by the rule "newer" it stays; what he has not touched goes on.
    anna.sql("UPDATE price SET v = 'TWO' WHERE id = 2")
    until(lambda: _prices(bert).get(2) == "TWO", 20, "anna's next change arrives")
    assert _prices(bert)[1] == "bert's own"
    # Taking hers ends it.
    bert.agent("--verify", "--table", "price", "--repair", "--from", "anna", check={0, 5})
    until(lambda: _prices(bert) == {1: "one", 2: "TWO"}, 30, "hers is taken")
    until(lambda: bool(_peer(bert)["in_step"]), 30, "nothing is left to name")
    assert _prices(anna) == {1: "one", 2: "TWO"}


def test_where_the_rule_says_so_it_is_overwritten(fresh_pair: Pair) -> None:
    anna, bert = _one_way(fresh_pair, "prefer anna")
    bert.sql("UPDATE price SET v = 'bert''s own' WHERE id = 1")
    until(lambda: _peer(bert)["waiting"] == 1, 20, "bert names it")
    anna.sql("UPDATE price SET v = 'ONE' WHERE id = 1")
    until(lambda: _prices(bert)[1] == "ONE", 20, "anna's wins, as configured")
    until(lambda: bool(_peer(bert)["in_step"]), 30, "and nothing is left to name")
    assert bert.status()["conflicts"] == 1  # what it replaced is kept


def test_a_table_that_only_sends_takes_nothing(fresh_pair: Pair) -> None:
    hand.everywhere(fresh_pair, *_TABLES)
    anna, bert = fresh_pair.nodes
    anna.change_conf({"table price": {"direction": "send"}})  # bert was not told
    fresh_pair.install()
    fresh_pair.start_serve()
    bert.sql("INSERT INTO price VALUES (1, 'from the wrong side')")
    bert.sql("INSERT INTO note VALUES (1, 'both ways')")
    until(lambda: anna.sql("SELECT v FROM note") == [("both ways",)], 20, "other tables go on")
    until(lambda: _peer(bert)["waiting"] == 1, 20, "it waits")
    assert "takes nothing of it" in bert.agent("--status").stdout and _prices(anna) == {}
    assert _peer(bert)["parked"] == 0  # no attempt is counted


def test_directions_that_do_not_fit_together_are_named_on_both_sides(fresh_pair: Pair) -> None:
    hand.everywhere(fresh_pair, *_TABLES)
    anna, bert = fresh_pair.nodes
    for node in fresh_pair.nodes:
        node.change_conf({"table price": {"direction": "send"}, "table note": {"direction": "receive"}})
    fresh_pair.install()
    fresh_pair.start_serve()
    anna.sql("INSERT INTO price VALUES (1, 'one')")  # something to say hello for
    until(lambda: all(len(node.status()["directions"]) == 2 for node in fresh_pair.nodes), 20, "both have told each other")
    for node in fresh_pair.nodes:
        named = {one["table"]: one for one in node.status()["directions"]}
        assert "direction = send on both nodes" in named["price"]["finding"] and "neither takes" in named["price"]["finding"]
        assert "nobody sends it" in named["note"]["finding"] and "direction = send into [table note]" in named["note"]["remedy"]
        for verb in ("--status", "--check"):
            said = node.agent(verb).stdout
            assert "table price has direction = send on both nodes" in said and "table note has direction = receive on both nodes" in said
    assert "table price has direction = send" in bert.agent_log.read_text()
    # The remedy on one side ends it on both, without a restart there.
    anna.change_conf({"table price": {"direction": "receive"}, "table note": {"direction": None}})
    anna.stop_serve()
    anna.start_serve()
    anna.sql("UPDATE price SET v = 'two'")
    until(lambda: anna.status()["directions"] == [] == bert.status()["directions"], 20, "both know")
    assert "direction" not in anna.agent("--check").stdout


def test_what_came_one_way_is_passed_on() -> None:
    with Cluster(3, "chain", schemas=()) as three:
        hand.everywhere(three, *_TABLES)
        anna, bert, cleo = three.nodes
        anna.change_conf({"table price": {"direction": "send"}})
        for node in (bert, cleo):
            node.change_conf({"table price": {"direction": "receive"}})
        three.install()
        three.start_serve()
        anna.sql("INSERT INTO price VALUES (1, 'one')")
        until(lambda: _prices(cleo) == {1: "one"}, 20, "it comes through bert")
        cleo.sql("INSERT INTO price VALUES (2, 'cleo''s')")
        anna.sql("UPDATE price SET v = 'ONE'")
        until(lambda: _prices(cleo).get(1) == "ONE", 20, "and goes on")
        assert _prices(bert) == {1: "ONE"} == _prices(anna)


def test_priority_orders_the_tables_of_a_group_and_parents_stay_before_children(fresh_pair: Pair) -> None:
    tables = ["a_log", "b_child", "c_parent", "d_stock", "e_other"]
    hand.everywhere(fresh_pair, "CREATE TABLE c_parent (id INT PRIMARY KEY)",
                    "CREATE TABLE b_child (id INT PRIMARY KEY, parent INT REFERENCES c_parent (id))",
                    *(f"CREATE TABLE {name} (id INT PRIMARY KEY)" for name in ("a_log", "d_stock", "e_other")))
    anna, bert = fresh_pair.nodes
    anna.change_conf({"table a_log": {"priority": "low"}, "table b_child": {"priority": "high"},
                      "table d_stock": {"priority": "high"}})
    fresh_pair.install()
    bert.start_serve()

    def sent() -> list[tuple[str, str]]:
        """Operation and table of each record of the last group, in order."""
        body = [x for x in fresh_pair.wire["anna", "bert"].exchanges if x.path.endswith("receive")][-1].request
        lines = frames(body.split(b"\r\n\r\n", 1)[1].split(b"\n", 1)[1]).splitlines()
        found, table = [], ""
        for line in lines[1:]:
            if line.startswith(b"{"):
                table = json.loads(line)["table"]
            else:
                found.append((json.loads(line)[0], table))
        return found

    for name in tables:
        if name != "b_child":
            anna.sql(f"INSERT INTO {name} (id) VALUES (1)")
    anna.sql("INSERT INTO b_child VALUES (1, 1)")
    anna.drain(check=0)
    assert [table for _, table in sent()] == ["c_parent", "d_stock", "b_child", "e_other", "a_log"]
    for name in tables:
        anna.sql(f"DELETE FROM {name}")
    anna.drain(check=0)
    order = [table for _, table in sent()]
    assert sorted(order) == tables and order.index("b_child") < order.index("c_parent")
    fresh_pair.assert_equal()
