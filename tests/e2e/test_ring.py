"""Links form a tree. A link that closes a ring waits, is named, and goes on when the ring is gone."""

from __future__ import annotations

import os

from lab import Cluster, Node, hand, until


def _peer(node: Node, name: str) -> dict[str, object]:
    return next(peer for peer in node.status()["peers"] if peer["name"] == name)


def _has(node: Node, key: int) -> bool:
    return bool(node.sql("SELECT 1 FROM t WHERE id = %s", [key]))


def test_the_newest_link_of_a_ring_waits_until_there_is_none() -> None:
    with Cluster(4, "chain", schemas=()) as four:
        hand.everywhere(four, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40) NOT NULL)")
        four.install()
        four.start_serve()
        anna, bert, cleo, dora = four.nodes
        for key, node in enumerate(four.nodes, 1):  # with what travels goes who is linked to whom
            node.sql("INSERT INTO t VALUES (%s, 'x')", [key])
            for other in four.nodes:
                until(lambda: _has(other, key), 20, f"record {key} is everywhere")  # pylint: disable=cell-var-from-loop
        key = os.urandom(32).hex()
        anna.add_peer("dora", f"http://127.0.0.1:{dora.listen_port}", key)
        dora.add_peer("anna", f"http://127.0.0.1:{anna.listen_port}", key)
        for node in (anna, dora):
            node.write_conf()
            node.agent("--reload", check=0)
        dora.sql("INSERT INTO t VALUES (10, 'dora''s')")
        anna.sql("INSERT INTO t VALUES (11, 'anna''s')")
        for node, peer in ((anna, "dora"), (dora, "anna")):
            until(lambda: "form a ring" in str(_peer(node, peer)["held"]), 30, f"{node.name} names it")  # pylint: disable=cell-var-from-loop
            said = node.agent("--status", check=5).stdout
            assert all(name in said for name in ("anna", "bert", "cleo", "dora", "--unpair")), said
        # The other links go on, and nothing has come by the new one.
        for node in four.nodes:
            until(lambda: _has(node, 10) and _has(node, 11), 20, f"{node.name} has both")  # pylint: disable=cell-var-from-loop
        for node, peer in ((bert, "anna"), (bert, "cleo"), (cleo, "bert"), (anna, "bert"), (dora, "cleo")):
            assert _peer(node, peer)["held"] is None
        assert _peer(anna, "dora")["records_applied"] == 0 == _peer(dora, "anna")["records_applied"]
        # Another link of the ring is removed: then the new one is needed.
        for node, peer in ((bert, "cleo"), (cleo, "bert")):
            del node.conf[f"peer {peer}"]
            node.write_conf()
            node.agent("--reload", check=0)
        bert.sql("INSERT INTO t VALUES (20, 'bert''s')")
        cleo.sql("INSERT INTO t VALUES (21, 'cleo''s')")
        for node in four.nodes:
            until(lambda: _has(node, 20) and _has(node, 21), 130, f"{node.name} has both")  # pylint: disable=cell-var-from-loop
        until(lambda: not any(peer["held"] for node in four.nodes for peer in node.status()["peers"]), 30,
              "no link waits")
        four.assert_equal()
