"""Everything at once: people write and edit on all laptops, the line, the agents and the servers
fail at random moments, and in the end nothing is lost, nothing is there twice, all laptops are
equal, and what the status said was true. TANDEM_FAULT_MINUTES=N makes it long."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import Pair, hand, until
from lab.pair import Cluster

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "e2e")]

import editors  # noqa: E402  (needs the path above)
import history  # noqa: E402
from chaos import Chaos  # noqa: E402
from restored import Disks  # noqa: E402
from watchers import Watcher  # noqa: E402

pytestmark = pytest.mark.slow  # a storm is of time: with the program as it is built for users

_SHORT_S = 40        # of one test, faults only
_SKEWS = (0.0, -7.0, 11.0)  # seconds that the laptops' clocks are wrong; below max_clock_skew
_LATE = "CREATE TABLE late (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20)) ENGINE=InnoDB"


def _is_long() -> bool:
    return bool(os.environ.get("TANDEM_FAULT_MINUTES"))


def _seconds(short: float) -> float:
    return float(os.environ["TANDEM_FAULT_MINUTES"]) * 60 if _is_long() else short


class Crowd:
    """Writers, editors and watchers on every laptop of a cluster."""

    def __init__(self, cluster: Cluster, rng: random.Random, watched: bool = True) -> None:
        self.writers = [history.Writer(node, 0, 0.02) for node in cluster.nodes]
        self.editors = [editors.Editor(node, 0, rng.randrange(1 << 30), skew, 0.02)
                        for node, skew in zip(cluster.nodes, _SKEWS)]
        self.watchers = [Watcher(node) for node in cluster.nodes] if watched else []

    def start(self) -> None:
        for thread in (*self.writers, *self.editors, *self.watchers):
            thread.start()

    def stop(self) -> None:
        for thread in (*self.writers, *self.editors, *self.watchers):
            if thread.is_alive():
                thread.stop()

    def done(self) -> int:
        return sum(one.acknowledged for one in (*self.writers, *self.editors))

    def raise_errors(self) -> None:
        for one in (*self.writers, *self.editors):
            one.stop()


@contextmanager
def _at_work(cluster: Cluster, rng: random.Random, watched: bool = True) -> Iterator[Crowd]:
    history.make_tables(cluster.nodes)
    hand.everywhere(cluster, editors.SCHEMA, _LATE)
    cluster.install()
    crowd = Crowd(cluster, rng, watched)
    cluster.start_serve()
    cluster.settle()  # the writers' counters are the same everywhere before anybody begins
    crowd.start()
    try:
        yield crowd
    finally:
        crowd.stop()


def _storm(chaos: Chaos, crowd: Crowd, rng: random.Random, short: float = _SHORT_S) -> None:
    """Each kind of fault in random order, again and again, until the time is over; every kind once
    at least. Between two faults the apps get something done."""
    end = time.monotonic() + _seconds(short)
    rounds = 0
    while rounds == 0 or time.monotonic() < end:
        for kind in rng.sample(sorted(chaos.kinds), len(chaos.kinds)):
            goal = crowd.done() + rng.randint(1, 25)
            chaos.act(kind)
            until(lambda goal=goal: crowd.done() >= goal, 60, f"the apps go on after {kind}", longest=0.01)
            if rounds > 0 and time.monotonic() >= end:
                break
        rounds += 1


def _judge(cluster: Cluster, crowd: Crowd) -> list[str]:
    found = [line for node in cluster.nodes for line in history.wrong_rows(node, crowd.writers)]
    found += editors.wrong_notes(cluster.nodes, crowd.editors)
    found += [line for watcher in crowd.watchers for line in watcher.found[:5]]
    found += [f"{watcher.name} never saw anything" for watcher in crowd.watchers if watcher.looks == 0]
    for node in cluster.nodes:
        for peer in node.status()["peers"]:
            if not peer["in_step"]:
                found.append(f"{node.name} says it is not in step with {peer['name']}: {peer}")
    return found


def _assert_quiet(cluster: Cluster) -> None:
    """No echo: with nothing left to say, nobody says anything."""
    before = [node.sql(f"SELECT MAX(id) FROM {node.sync_database}.sync_queue") for node in cluster.nodes]
    for node in cluster.nodes:
        assert node.drain(check=0).stdout == ""
    assert before == [node.sql(f"SELECT MAX(id) FROM {node.sync_database}.sync_queue") for node in cluster.nodes]


def _fetching(cluster: Cluster) -> Cluster:
    """Nobody can call cleo: she fetches what bert has for her."""
    cluster["bert"].change_conf({"peer cleo": {"url": None}}, write=False)
    cluster["cleo"].change_conf({"peer bert": {"pull": "yes"}}, write=False)
    cluster.wire.pop(("bert", "cleo")).close()
    for node in cluster.nodes:
        node.write_conf()
    return cluster


def _long_only(laptops: str) -> object:
    return pytest.param(laptops, marks=pytest.mark.skipif(not _is_long(), reason="the long form's"))


@pytest.mark.parametrize("laptops", ["pair", _long_only("chain of three, the last of which fetches")])
def test_a_storm_of_faults_loses_nothing(laptops: str, rng: random.Random) -> None:
    options = ["--innodb-flush-log-at-trx-commit=1"]
    cluster = (Pair(schemas=(), proxied=True, server_options=options) if laptops == "pair" else
               _fetching(Cluster(3, "chain", schemas=(), proxied=True, server_options=options)))
    with cluster, _at_work(cluster, rng) as crowd:
        chaos = Chaos(cluster, rng)
        _storm(chaos, crowd, rng)
        chaos.heal()
        crowd.raise_errors()
        crowd.stop()
        for node in cluster.nodes:
            node.wait_serve_ready()
        cluster.settle(120)
        found = _judge(cluster, crowd)
        assert not found, "\n".join(found)
        cluster.assert_equal()
        _assert_quiet(cluster)
        print(f"faults: {dict(sorted(chaos.happened.items()))}; {crowd.done()} transactions")
        missed = [kind for kind in chaos.kinds if not chaos.happened[kind] and not kind.startswith(("hold", "late"))]
        assert not missed, f"faults that never fired: {missed}"


# What happens around it: the clocks are right, since a copy of yesterday is dated by yesterday's clock anyway.
_AROUND = ("drop_request", "drop_response", "cut_request", "hold_response", "duplicate", "refuse", "kill_agent",
           "kill_drain", "kill_server", "end_connections")


@pytest.mark.parametrize("laptops", ["pair", _long_only("chain of three")])
def test_disks_that_are_put_back_lose_nothing_that_was_anywhere_else(laptops: str, rng: random.Random) -> None:
    """One command each time. Watchers would see time go back, and the sums of writers who live on after it begin anew."""
    cluster = Pair(schemas=(), proxied=True) if laptops == "pair" else Cluster(3, "chain", schemas=(), proxied=True)
    with cluster, _at_work(cluster, rng, watched=False) as crowd:
        chaos = Chaos(cluster, rng)
        disks = Disks(cluster, chaos, crowd.writers, crowd.editors, rng)
        chaos.kinds = {kind: act for kind, act in chaos.kinds.items() if kind in (*_AROUND, "copy", "put_back")}
        chaos.act("copy")
        for node in cluster.nodes:  # what is said after the copy makes it one of another day
            node.drain(check=(0, 4))
            before = node.sql("SELECT COUNT(*) FROM ledger")
            until(lambda node=node, before=before: node.sql("SELECT COUNT(*) FROM ledger") > before, 60, "the apps go on")
            node.drain(check=(0, 4))
        chaos.act("put_back")
        _storm(chaos, crowd, rng, short=4.0)  # each kind once: every copy costs two starts of a server
        chaos.heal()
        crowd.raise_errors()
        crowd.stop()
        for node in cluster.nodes:
            node.wait_serve_ready()
        disks.decide()
        cluster.settle(120)
        found = disks.wrong()
        assert not found, "\n".join(found)
        cluster.assert_equal()
        # What a person has decided elsewhere leaves the books of who had refused it with the next group.
        for node in cluster.nodes:
            node.sql("INSERT INTO late (what) VALUES ('last')")
        cluster.settle(120)
        cluster.assert_equal()
        apart = [(node.name, peer["name"], hand.owed(node), hand.sync(node, "SELECT record_id, kind, reason FROM sync_unsettled"))
                 for node in cluster.nodes for peer in node.status()["peers"] if not peer["in_step"]]
        assert not apart, apart
        print(f"faults: {dict(sorted(chaos.happened.items()))}; {crowd.done()} transactions; {len(disks.gone)} gone with a disk")
        assert chaos.happened["put_back"] and chaos.happened["mended"]
