"""A peer is taken out of agent.conf: nothing waits for it any more. It comes back: the link begins anew, and
nothing is lost in either direction."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lab import Cluster, Node, hand
from lab.waiting import until

DONE, CONFIG = 0, 2


@pytest.fixture(scope="module")
def laptops() -> Iterator[Cluster]:
    """The servers of three()."""
    with Cluster(3, "star", schemas=()) as star:
        yield star


@pytest.fixture
def three(laptops: Cluster) -> Iterator[Cluster]:
    """Anna with two peers, bert and cleo; one table, installed, nobody serves."""
    laptops.renew()
    hand.everywhere(laptops, "CREATE TABLE t (id INT PRIMARY KEY, v TEXT)")
    laptops.install()
    yield laptops
    laptops.stop_serve()


def _sync(node: Node, text: str) -> list[tuple]:
    return node.sql(text.replace("@", f"`{node.sync_database}`."))


def _queued(node: Node) -> int:
    return int(_sync(node, "SELECT COUNT(*) FROM @sync_queue")[0][0])


def _rows(node: Node) -> list[tuple]:
    return node.sql("SELECT id, v FROM t ORDER BY id")


def _grow_old(node: Node) -> None:
    """Everything in the queue and the marks is a year old."""
    _sync(node, "UPDATE @sync_queue SET changed_at=changed_at - INTERVAL 365 DAY,"
                " synced_at=IF(synced_at='2000-01-01', synced_at, synced_at - INTERVAL 365 DAY)")
    _sync(node, "UPDATE @sync_epoch SET marked_at=marked_at - INTERVAL 365 DAY")


def _only_bert_lacks_it(three: Cluster) -> tuple[Node, Node, Node]:
    """Anna's two changes are at cleo, and wait for bert."""
    anna, bert, cleo = three.nodes
    cleo.start_serve()
    anna.sql("INSERT INTO t VALUES (1, 'a'), (2, 'a')")
    anna.drain("--peer", "cleo", check=DONE)
    assert _rows(cleo) == [(1, "a"), (2, "a")] and anna.pending() == 2
    return anna, bert, cleo


def test_what_waited_for_a_peer_that_was_unpaired_is_settled_and_purged(three: Cluster) -> None:
    anna, _, cleo = _only_bert_lacks_it(three)
    anna.agent("--unpair", "bert", check=DONE)
    anna.sql("INSERT INTO t VALUES (3, 'for cleo')")
    anna.drain(check=DONE)
    assert _rows(cleo) == _rows(anna)
    assert anna.pending() == 0
    shown = anna.status()
    assert [peer["name"] for peer in shown["peers"]] == ["cleo"] and shown["peers"][0]["in_step"]
    _grow_old(anna)
    anna.drain(check=DONE)
    until(lambda: anna.drain().returncode == DONE and _queued(anna) == 0, 60, "the queue is purged")


def test_a_peer_that_stays_gets_what_was_on_its_way_to_it(three: Cluster) -> None:
    anna, _, cleo = three.nodes
    anna.sql("INSERT INTO t VALUES (1, 'a'), (2, 'a')")
    anna.agent("--unpair", "bert", check=DONE)
    anna.drain()  # cleo is away
    assert anna.pending() == 2
    cleo.start_serve()
    anna.drain(check=DONE)
    assert _rows(cleo) == [(1, "a"), (2, "a")] and anna.pending() == 0


def test_what_the_peer_had_refused_is_settled_and_what_another_refused_is_not(three: Cluster) -> None:
    anna, bert, cleo = three.nodes
    bert.start_serve()
    cleo.start_serve()
    for node, ids in ((bert, "1, 2"), (cleo, "2")):
        node.sql(f"ALTER TABLE t ADD CONSTRAINT no CHECK (id NOT IN ({ids}))")
    anna.sql("INSERT INTO t VALUES (1, 'bert alone'), (2, 'both'), (3, 'nobody')")
    until(lambda: [anna.drain().returncode, anna.queue()][1].get("failed") == 2, 60, "both refuse it for good")
    anna.agent("--unpair", "bert", check=DONE)
    anna.drain()
    assert anna.queue() == {"failed": 1, "synced": 2}
    assert _sync(anna, "SELECT peer, state FROM @sync_owed") == [("cleo", "parked")]
    cleo.sql("ALTER TABLE t DROP CONSTRAINT no")
    anna.agent("--retry", "all", check=DONE)
    until(lambda: anna.drain().returncode == DONE and anna.queue() == {"synced": 3}, 60, "cleo has it")
    assert _rows(cleo) == _rows(anna)


def test_a_startup_from_a_peer_that_left_is_at_its_end(three: Cluster) -> None:
    anna, bert, cleo = three.nodes
    cleo.sql("INSERT INTO t VALUES (1, 'of cleo')")
    # As a startup leaves it that was cut: until it has ended, nothing is taken from anybody.
    _sync(anna, "INSERT INTO @sync_startup (peer, state) VALUES ('bert', 'filling')")
    _sync(anna, "INSERT INTO @sync_startup_table (peer, table_name, last_key) VALUES ('bert', 't', '[]')")
    cleo.start_serve()
    anna.start_serve()
    assert anna.status()["startup"]["peer"] == "bert"
    anna.agent("--unpair", "bert", check=DONE)
    until(lambda: anna.status()["startup"] is None, 60, "the startup is given up")
    until(lambda: _rows(anna) == _rows(cleo) == [(1, "of cleo")], 60, "what cleo has is taken")
    anna.agent("--startup", "--peer", "cleo", check=DONE)
    assert _sync(anna, "SELECT COUNT(*) FROM @sync_startup_table") == [(0,)]


def test_a_daemon_that_reads_the_file_again_waits_for_nobody_who_left(three: Cluster) -> None:
    anna, _, cleo = _only_bert_lacks_it(three)
    anna.start_serve()
    assert "has been told" in anna.agent("--unpair", "bert", check=DONE).stdout
    until(lambda: anna.pending() == 0, 60, "nothing is pending")
    anna.sql("INSERT INTO t VALUES (3, 'later')")
    until(lambda: _rows(cleo) == _rows(anna) and anna.pending() == 0, 60, "cleo gets what comes later")


def test_when_the_last_peer_left_nothing_waits(three: Cluster) -> None:
    _, bert, _ = three.nodes
    bert.sql("INSERT INTO t VALUES (1, 'b')")
    bert.agent("--unpair", "anna", check=DONE)
    assert "no peer is left" in bert.drain(check=DONE).stdout
    assert bert.pending() == 0
    assert json.loads(bert.drain("--json", check=DONE).stdout) == {"peers": []}
    bert.sql("INSERT INTO t VALUES (2, 'b')")
    bert.start_serve()
    assert bert.agent("--status").returncode == DONE


def test_a_file_that_never_named_a_peer_is_not_complete(three: Cluster) -> None:
    _, bert, _ = three.nodes
    bert.agent("--uninstall", check=DONE)
    bert.agent("--unpair", "anna", check=DONE)
    bert.agent("--install", check=DONE)
    assert "add a [peer NAME] section" in bert.drain(check=CONFIG).stderr


@pytest.mark.parametrize("first", ["bert", "anna"])
def test_whoever_says_hello_first_the_link_begins_anew_on_both(three: Cluster, first: str) -> None:
    anna, bert, _ = _only_bert_lacks_it(three)
    bert.start_serve()
    anna.drain(check=DONE)
    bert.stop_serve()
    bert.sql("INSERT INTO t VALUES (11, 'b')")
    anna.start_serve()
    bert.drain(check=DONE)  # both have positions of the other
    anna.agent("--unpair", "bert", check=DONE)
    until(lambda: not _sync(anna, "SELECT 1 FROM @sync_peer WHERE peer='bert'"), 60, "bert is forgotten")
    anna.stop_serve()
    anna.write_conf()
    one, other = (bert, anna) if first == "bert" else (anna, bert)
    one.sql("INSERT INTO t VALUES (12, 'later')")
    other.start_serve()
    one.drain("--peer", other.name, check=DONE)
    assert [_sync(node, f"SELECT held FROM @sync_peer WHERE peer='{peer.name}'") for node, peer in ((one, other), (other, one))] == [[(None,)]] * 2
    other.stop_serve()
    three.settle()
    three.assert_equal()


@pytest.mark.parametrize("both", [False, True], ids=["unpaired on one side", "unpaired on both"])
def test_a_peer_that_comes_back_begins_anew_and_nothing_is_lost(three: Cluster, both: bool) -> None:
    anna, bert, cleo = _only_bert_lacks_it(three)
    bert.sql("INSERT INTO t VALUES (11, 'b')")
    anna.agent("--unpair", "bert", check=DONE)
    if both:
        bert.agent("--unpair", "anna", check=DONE)
        bert.start_serve()
        until(lambda: bert.pending() == 0, 60, "bert waits for nobody")
        bert.stop_serve()
    anna.drain(check=DONE)
    assert anna.pending() == 0
    _grow_old(anna)
    until(lambda: anna.drain().returncode == DONE and _queued(anna) == 0, 60, "the queue is purged")
    anna.sql("INSERT INTO t VALUES (3, 'while apart')")
    bert.sql("INSERT INTO t VALUES (12, 'while apart')")
    for node in (anna, bert):
        node.write_conf()  # with the sections as they were
    three.settle()
    three.assert_equal()
    assert [row[0] for row in _rows(cleo)] == [1, 2, 3, 11, 12]
    bert.sql("UPDATE t SET v='and goes on' WHERE id=1")
    three.settle()
    three.assert_equal()
    assert (1, "and goes on") in _rows(cleo)
