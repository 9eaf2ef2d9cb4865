"""Many laptops on one: a star of five that were all offline, one that stays away for too long, twenty
peers on one node, peers that come, go and pause while it runs."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Cluster, Node, hand, load, places, ports, until
from lab.node import ACCOUNT, PASSWORD

pytestmark = pytest.mark.slow

KEYS, EDITS = 8, 12  # few keys: everybody edits the same rows
SPOKES = 20
_TABLE = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(60) NOT NULL, n INT NOT NULL DEFAULT 0)"


@pytest.fixture(scope="module")
def servers() -> Iterator[Cluster]:
    with Cluster(6, "star", schemas=()) as six:
        yield six


@pytest.fixture
def star(servers: Cluster) -> Iterator[Cluster]:
    """anna in the middle of five laptops, installed, with an empty table; n counts."""
    servers.renew()
    hand.everywhere(servers, _TABLE)
    for node in servers.nodes:
        node.change_conf({"table t": {"add": "n"}})
    servers.install()
    yield servers
    servers.stop_serve()


def _peer(node: Node, name: str) -> dict[str, object]:
    return next(peer for peer in node.status()["peers"] if peer["name"] == name)


def test_conflicts_of_five_offline_laptops_converge(star: Cluster, rng: random.Random) -> None:
    hub, *laptops = star.nodes
    hub.sql("INSERT INTO t SELECT seq, 'first', 0 FROM seq_1_to_8")
    star.settle()
    counted = {key: 0 for key in range(1, KEYS + 1)}
    for node in star.nodes:  # nobody reaches anybody
        for _ in range(EDITS):
            key, more = rng.randrange(1, KEYS + 1), rng.randrange(1, 50)
            node.sql("UPDATE t SET v = %s, n = n + %s WHERE id = %s", [f"{node.name} {more}", more, key])
            counted[key] += more
        node.sql("INSERT INTO t VALUES (%s, 'same key', 0)", [100])  # a conflict of its own
    # They come home one after the other, in any order, and some of them twice.
    hub.start_serve()
    for node in rng.sample(laptops, 5) + rng.sample(laptops, 2):
        if not node.serving():
            node.start_serve()
        until(lambda: node.pending() == 0, 60, f"{node.name} has brought its changes")  # pylint: disable=cell-var-from-loop
        if rng.random() < 0.5:
            node.stop_serve()
    star.start_serve()
    star.wait_quiet()
    until(lambda: all(peer["in_step"] for node in star.nodes for peer in node.status()["peers"]), 60,
          "everybody is in step")
    star.assert_equal()
    assert {key: n for key, n in hub.sql("SELECT id, n FROM t WHERE id <= 8")} == counted


def test_one_that_is_away_for_too_long_blocks_nobody_and_begins_anew(star: Cluster) -> None:
    hub, bert, cleo = star.nodes[:3]
    hub.change_conf({"sync": {"retention_days": "1"}})
    star.settle()
    for node in (hub, bert):
        node.start_serve()
    cleo.sql("INSERT INTO t VALUES (1, 'cleo''s own', 0)")
    hub.sql("INSERT INTO t VALUES (2, 'while cleo is away', 0)")
    until(lambda: bert.sql("SELECT COUNT(*) FROM t") == [(1,)], 20, "bert has it")
    hub.stop_serve()
    # Two days pass.
    sync = hub.sync_database
    hub.sql(f"UPDATE {sync}.sync_epoch SET marked_at = marked_at - INTERVAL 2 DAY")
    hub.drain("--peer", "bert")
    assert "has taken nothing for 1 days" in str(_peer(hub, "cleo")["held"])
    assert _peer(hub, "bert")["held"] is None and _peer(hub, "bert")["in_step"]
    assert "has taken nothing" in hub.agent("--status").stdout
    # What waited for her keeps nothing back: it goes when its own time is over.
    hub.sql(f"UPDATE {sync}.sync_queue SET changed_at = changed_at - INTERVAL 2 DAY, synced_at = synced_at - INTERVAL 2 DAY")
    for name in ("dora", "emil", "fynn"):  # nor do these, who had nothing either
        assert _peer(hub, name)["held"] is not None
    hub.drain("--peer", "bert")
    assert hub.sql(f"SELECT COUNT(*) FROM {sync}.sync_queue") == [(0,)]
    # She comes back. Neither side takes the other for what it was, and both say what to do.
    hub.start_serve()
    assert "away from here for so long" in cleo.drain(check=5).stderr
    assert "--install --peer anna" in str(_peer(cleo, "anna")["held"])
    assert hub.sql("SELECT COUNT(*) FROM t") == [(1,)]
    assert "--startup" in str(_peer(hub, "cleo")["held"])
    cleo.agent("--startup", "--peer", "anna", check=0)
    cleo.start_serve()
    for node in (hub, bert, cleo):
        until(lambda: node.sql("SELECT id FROM t ORDER BY id") == [(1,), (2,)], 60, f"{node.name} has all")  # pylint: disable=cell-var-from-loop
    until(lambda: _peer(hub, "cleo")["in_step"] and _peer(hub, "cleo")["held"] is None, 30, "and hub says so")


def test_the_only_peer_that_is_away_for_too_long_lapses_too(star: Cluster) -> None:
    """Nobody is sent anything, so nothing is marked: a mark a day is made all the same."""
    bert = star["bert"]
    bert.change_conf({"sync": {"retention_days": "1"}})
    star.settle()
    sync = bert.sync_database
    bert.sql("INSERT INTO t VALUES (1, 'x', 0)")
    bert.drain(check=4)
    assert bert.sql(f"SELECT COUNT(*) FROM {sync}.sync_queue WHERE status = 'pending'") == [(1,)]
    for _ in range(2):
        bert.sql(f"UPDATE {sync}.sync_epoch SET marked_at = marked_at - INTERVAL 2 DAY")
        bert.drain(check={4, 5})
    assert "has taken nothing for 1 days" in str(_peer(bert, "anna")["held"])


def test_peers_are_added_paused_and_removed_while_it_runs(star: Cluster) -> None:
    hub, bert, cleo = star.nodes[:3]
    sections = {name: hub.conf.pop(f"peer {name}") for name in ("cleo", "dora", "emil", "fynn")}
    hub.write_conf()
    star.start_serve()
    hub.sql("INSERT INTO t VALUES (1, 'x', 0)")
    until(lambda: bert.sql("SELECT COUNT(*) FROM t") == [(1,)], 20, "bert has it")
    pid = hub.serve_pid

    def reload() -> None:
        hub.write_conf()
        hub.agent("--reload", check=0)
        until(lambda: {peer["name"] for peer in hub.status()["peers"]} ==
              {section[5:] for section in hub.conf if section.startswith("peer ")}, 20, "it is read")

    hub.conf["peer cleo"] = sections["cleo"]
    reload()
    hub.sql("INSERT INTO t VALUES (2, 'y', 0)")
    until(lambda: len(cleo.sql("SELECT id FROM t WHERE id = 2")) == 1, 20, "cleo gets what is written from then on")
    until(lambda: _peer(hub, "bert")["pending"] == 0, 60, "bert has what there is before he is paused")
    hub.conf["peer bert"]["paused"] = "yes"
    reload()
    bert.sql("INSERT INTO t VALUES (3, 'bert''s', 0)")
    hub.sql("INSERT INTO t VALUES (4, 'z', 0)")
    until(lambda: len(cleo.sql("SELECT id FROM t WHERE id = 4")) == 1, 20, "cleo goes on")
    until(lambda: "paused" in str(_peer(bert, "anna")["last_error"]), 20, "bert is told")
    assert len(hub.sql("SELECT id FROM t WHERE id = 3")) == 0 and _peer(hub, "bert")["pending"] == 1
    del hub.conf["peer bert"]["paused"]
    reload()
    until(lambda: len(hub.sql("SELECT id FROM t WHERE id = 3")) == 1 and len(bert.sql("SELECT id FROM t WHERE id = 4")) == 1,
          70, "both directions go on")
    assert hub.serve_pid == pid and hub.serving()
    hub.stop_serve()
    assert "no agent --serve runs" in hub.agent("--reload", check=1).stderr


def test_an_agent_that_is_newer_than_its_schema_says_what_to_do_and_nothing_pending_is_lost(star: Cluster) -> None:
    hub, bert = star.nodes[:2]
    bert.sql("INSERT INTO t VALUES (1, 'pending', 0)")
    for table in ("sync_link", "sync_order"):  # as the version before it had made
        bert.sql(f"DROP TABLE {bert.sync_database}.{table}")
    assert "made by an older agent: run agent --install" in bert.drain(check=2).stderr
    assert "run agent --install" in bert.agent("--status", check=2).stderr
    bert.install()
    hub.start_serve()
    bert.drain(check=0)
    assert hub.sql("SELECT v FROM t") == [("pending",)]
    # Newer than the agent: nothing is touched.
    bert.sql(f"UPDATE {bert.sync_database}.sync_node SET schema_version = 99")
    bert.sql("INSERT INTO t VALUES (2, 'later', 0)")
    bert.drain(check=2)
    assert "made by a newer agent" in bert.agent("--install", check=2).stderr
    bert.sql(f"UPDATE {bert.sync_database}.sync_node SET schema_version = 2")
    bert.drain(check=0)
    assert hub.sql("SELECT COUNT(*) FROM t") == [(2,)]


class _Spoke:
    """A small laptop: a database of its own on a server of others, an agent.conf, no daemon."""

    def __init__(self, home: Node, hub: Node, number: int) -> None:
        self.name, self.home = f"spoke{number}", home
        self.database = f"spoke{number}"
        self.folder: Path = home.folder / self.name
        self.key = os.urandom(32).hex()
        (self.folder / "state").mkdir(mode=0o700, parents=True, exist_ok=True)
        self.conf = self.folder / "agent.conf"
        load.create_database(home.server, self.database)
        for database in (self.database, f"{self.database}_sync"):
            pattern = database.replace("_", r"\_")
            home.server.sql(f"GRANT ALL ON `{pattern}`.* TO '{ACCOUNT}'@'localhost'")
        self.sql(_TABLE)
        self.conf.touch(mode=0o600)
        self.conf.write_text(f"""[node]
name = {self.name}
state_dir = {self.folder}/state
listen = 127.0.0.1:{ports.take()}
tls = off
monitor_key = {os.urandom(16).hex()}
[database]
socket = {home.server.socket}
user = {ACCOUNT}
password = {PASSWORD}
name = {self.database}
[peer {hub.name}]
url = http://127.0.0.1:{hub.listen_port}
pull = yes
key = {self.key}
[table t]
add = n
[log]
target = file {self.folder}/log
""", encoding="utf-8")

    def sql(self, text: str) -> list[tuple[object, ...]]:
        """A statement in its own database."""
        return self.home.server.sql(text, db=self.database)

    def agent(self, *args: str) -> str:
        """A verb, which must succeed."""
        ran = subprocess.run([str(places.agent_binary()), "--config", str(self.conf), *args], text=True,
                             capture_output=True, timeout=60, check=False)
        assert ran.returncode == 0, (self.name, args, ran.stdout, ran.stderr)
        return ran.stdout


def test_twenty_peers_on_a_node_that_all_come_themselves(star: Cluster) -> None:
    hub, home = star.nodes[:2]
    hub.conf = {section: options for section, options in hub.conf.items() if not section.startswith("peer ")}
    spokes = [_Spoke(home, hub, number) for number in range(SPOKES)]
    for spoke in spokes:
        hub.conf[f"peer {spoke.name}"] = {"key": spoke.key}
        spoke.agent("--install")
    hub.write_conf()
    hub.start_serve()
    for number, spoke in enumerate(spokes):
        spoke.sql(f"INSERT INTO t VALUES ({number}, '{spoke.name}', 0)")
        spoke.agent("--drain")
    hub.sql("UPDATE t SET v = CONCAT(v, ', seen')")
    everything = sorted((number, f"{spoke.name}, seen") for number, spoke in enumerate(spokes))
    for spoke in spokes[::6]:  # each is brought what the other nineteen had
        spoke.agent("--drain")
        assert sorted(spoke.sql("SELECT id, v FROM t")) == everything
    until(lambda: sum(peer["in_step"] for peer in hub.status()["peers"]) == len(spokes[::6]), 30, "the hub has the answers")
    assert len(hub.status()["peers"]) == SPOKES
    # Capture knows nothing of peers: a change is one row, however many there are.
    before = hub.sql(f"SELECT COUNT(*) FROM {hub.sync_database}.sync_queue")[0][0]
    hub.sql("UPDATE t SET v = 'once' WHERE id = 0")
    assert hub.sql(f"SELECT COUNT(*) FROM {hub.sync_database}.sync_queue") == [(before + 1,)]
