"""More than two laptops: a chain and a star. Changes come to everybody once, never back, and
concurrent edits of the same rows end alike everywhere."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pymysql
import pytest

from lab import Cluster, Node, until

KEYS = 8           # few, so that nodes meet on the same rows
SHORT_ROUNDS, LONG_ROUNDS = 4, 40
_TABLES = (
    "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(60) NOT NULL, n INT NOT NULL DEFAULT 0)",
    "CREATE TABLE pairs (a INT, b VARCHAR(10), v VARCHAR(60) NOT NULL, PRIMARY KEY (a, b))",
)


def _cluster(shape: str) -> Cluster:
    n, links = {"chain": (3, "chain"), "star": (4, "star"), "long chain": (4, "chain")}[shape]
    many = Cluster(n, links, schemas=())  # type: ignore[arg-type]
    try:
        for node in many.nodes:
            for table in _TABLES:
                node.sql(table)
        many.install()
    except BaseException:
        many.close()
        raise
    return many


@pytest.fixture
def chain() -> Iterator[Cluster]:
    """anna - bert - cleo."""
    with _cluster("chain") as three:
        yield three


@pytest.fixture
def star() -> Iterator[Cluster]:
    """anna in the middle of bert, cleo and dora."""
    with _cluster("star") as four:
        yield four


def _activity(node: Node, direction: str, peer: str | None = None) -> int:
    """Records that went that way, by the node's own book."""
    where = "" if peer is None else f" AND peer = '{peer}'"
    return int(node.sql(f"SELECT IFNULL(SUM(records), 0) FROM {node.sync_database}.sync_activity"
                        f" WHERE direction = '{direction}'{where}")[0][0])


def _assert_in_step(many: Cluster) -> None:
    many.assert_equal()
    for node in many.nodes:
        queue = node.queue()
        assert queue.get("pending", 0) == 0 and queue.get("failed", 0) == 0, (node.name, queue)
        for peer in node.status()["peers"]:
            assert peer["in_step"], (node.name, peer)


def _assert_silent(many: Cluster) -> None:
    """Another drain of everybody moves nothing."""
    many.start_serve()
    before = [_activity(node, "sent") for node in many.nodes]
    for node in many.nodes:  # the daemon may be draining just then: then the verb says so
        until(lambda node=node: node.drain(check=0).stdout == "", 60, f"a drain of {node.name} that says nothing")
    assert [_activity(node, "sent") for node in many.nodes] == before


def test_in_a_chain_a_change_goes_through_the_middle_and_never_back(chain: Cluster) -> None:
    anna, bert, cleo = chain.nodes
    chain.start_serve()
    anna.sql("INSERT INTO t (id, v) VALUES (1, 'from anna'), (2, 'from anna')")
    until(lambda: cleo.sql("SELECT COUNT(*) FROM t") == [(2,)], 20, "they come to cleo")
    cleo.sql("UPDATE t SET v = 'cleo was here' WHERE id = 1")
    until(lambda: anna.sql("SELECT v FROM t WHERE id = 1") == [("cleo was here",)], 20, "and back")
    bert.sql("DELETE FROM t WHERE id = 2")
    for node in (anna, cleo):
        until(lambda: node.sql("SELECT COUNT(*) FROM t") == [(1,)], 20, "the delete comes to both")
    chain.wait_quiet()
    _assert_in_step(chain)
    # 2 inserts and 1 update of all nodes, 1 delete: each link carried each of them once.
    assert _activity(anna, "sent", "bert") == 2 and _activity(bert, "sent", "cleo") == 3
    assert _activity(cleo, "sent", "bert") == 1 and _activity(bert, "sent", "anna") == 2
    assert _activity(anna, "applied") == 2 and _activity(cleo, "applied") == 3
    assert _activity(bert, "applied") == 3
    _assert_silent(chain)


def test_in_a_star_each_change_comes_to_every_other_node_once(star: Cluster) -> None:
    star.start_serve()
    for number, node in enumerate(star.nodes):
        node.sql("INSERT INTO t (id, v) VALUES (%s, %s)", [number, node.name])
    for node in star.nodes:
        until(lambda: node.sql("SELECT COUNT(*) FROM t") == [(4,)], 30, f"all come to {node.name}")
    star.wait_quiet()
    _assert_in_step(star)
    anna, *outer = star.nodes
    for node in outer:
        assert _activity(node, "sent") == 1 and _activity(node, "applied") == 3
        assert _activity(anna, "applied", node.name) == 1
        assert _activity(anna, "sent", node.name) == 3
    _assert_silent(star)


def test_an_offline_node_in_the_middle_delays_and_loses_nothing(chain: Cluster) -> None:
    anna, bert, cleo = chain.nodes
    cleo.start_serve()
    anna.start_serve()
    anna.sql("INSERT INTO t (id, v) VALUES (1, 'a')")
    cleo.sql("INSERT INTO t (id, v) VALUES (2, 'c')")
    until(lambda: anna.status()["peers"][0]["failures"] > 0, 20, "anna has tried")
    bert.start_serve()
    for node in chain.nodes:
        until(lambda: node.sql("SELECT COUNT(*) FROM t") == [(2,)], 30, f"both come to {node.name}")
    chain.wait_quiet()
    _assert_in_step(chain)


def test_a_transaction_stays_whole_over_two_links(chain: Cluster) -> None:
    anna, _, cleo = chain.nodes
    anna.sql("INSERT INTO t (id, v) VALUES (1, ''), (2, '')")
    chain.settle()
    chain.start_serve()
    with anna.connect() as connection, connection.cursor() as cursor:
        for value in range(1, 30):
            cursor.execute("BEGIN")
            cursor.execute("UPDATE t SET n = %s WHERE id = 1", [value])
            cursor.execute("UPDATE t SET n = %s WHERE id = 2", [value])
            cursor.execute("COMMIT")
            found = cleo.sql("SELECT COUNT(DISTINCT n) FROM t")
            assert found == [(1,)], f"cleo saw half of transaction {value} or older"
    until(lambda: cleo.sql("SELECT MIN(n) FROM t") == [(29,)], 20, "the last one arrives")


# random work -------------------------------------------------------------------------------------

def _statement(rng: random.Random, node: Node) -> tuple[str, list[object]]:
    key, other = rng.randrange(KEYS), rng.randrange(3)
    value = f"{node.name} {rng.randrange(10**6)}"
    return rng.choice((
        ("INSERT INTO t (id, v) VALUES (%s, %s)", [key, value]),
        ("INSERT INTO t (id, v) VALUES (%s, %s) ON DUPLICATE KEY UPDATE v = VALUES(v)", [key, value]),
        ("REPLACE INTO t (id, v) VALUES (%s, %s)", [key, value]),
        ("UPDATE t SET v = %s WHERE id = %s", [value, key]),
        ("UPDATE t SET n = n + 1 WHERE id = %s", [key]),
        ("UPDATE t SET v = CONCAT(v, '') WHERE id = %s", [key]),
        ("DELETE FROM t WHERE id = %s", [key]),
        ("INSERT IGNORE INTO pairs VALUES (%s, %s, %s)", [key, f"b{other}", value]),
        ("UPDATE pairs SET v = %s WHERE a = %s", [value, key]),
        ("DELETE FROM pairs WHERE a = %s AND b = %s", [key, f"b{other}"]),
    ))


def _work(rng: random.Random, node: Node) -> None:
    """A few transactions of the app, some of them rolled back."""
    with node.connect() as connection, connection.cursor() as cursor:
        for _ in range(rng.randint(1, 6)):
            cursor.execute("BEGIN")
            for _ in range(rng.randint(1, 3)):
                try:
                    cursor.execute(*_statement(rng, node))
                except pymysql.err.IntegrityError:
                    pass  # the app is told that the key exists
                except pymysql.err.OperationalError as busy:
                    # Transactions of several rows can meet in a deadlock, here as without an agent.
                    if busy.args[0] != 1213:
                        raise
                    cursor.execute("BEGIN")
            cursor.execute(rng.choice(("COMMIT", "COMMIT", "COMMIT", "ROLLBACK")))


def _drain_some(rng: random.Random, many: Cluster) -> None:
    """Drains in any order; some nodes are away and some links with them."""
    there = rng.sample(many.nodes, rng.randint(2, len(many.nodes)))
    for node in there:
        node.start_serve(wait=False)
    for node in there:
        node.wait_serve_ready()
    for node in rng.choices(there, k=rng.randint(1, 4)):
        node.drain(check=(0, 4))
    for node in there:
        node.stop_serve()


@pytest.mark.parametrize("shape", ["chain", "star", "long chain"])
def test_concurrent_edits_of_the_same_rows_end_alike_on_all_nodes(
        shape: str, rng: random.Random, long_run: bool) -> None:
    with _cluster(shape) as many:
        for _ in range(LONG_ROUNDS if long_run else SHORT_ROUNDS):
            for node in rng.sample(many.nodes, len(many.nodes)):
                _work(rng, node)
            if rng.random() < 0.6:
                _drain_some(rng, many)
            else:
                many.settle()
                _assert_in_step(many)
        many.settle()
        _assert_in_step(many)
        _assert_silent(many)


def test_edits_while_everybody_serves_end_alike_on_all_nodes(
        star: Cluster, rng: random.Random, long_run: bool) -> None:
    star.start_serve()
    for _ in range(200 if long_run else 25):
        _work(rng, rng.choice(star.nodes))
    star.settle(90)
    _assert_in_step(star)
    _assert_silent(star)
