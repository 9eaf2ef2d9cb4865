"""A laptop is filled, fetches, is compared and mended, a middle one is set up again, while people write on
all of them and the line, the agents and the servers fail at random moments. TANDEM_FAULT_MINUTES=N makes it long."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from lab import Node, Pair, hand, load, process, until
from lab.node import SANITIZER_EXIT
from lab.pair import Cluster
from lab.proxy import Proxy

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "e2e")]

import editors  # noqa: E402  (needs the path above)
import history  # noqa: E402
from chaos import LINE, Chaos  # noqa: E402

pytestmark = pytest.mark.slow

_ROWS, _OLD, _OWN = 20000, 2000, 300  # at the peer; of these older here; here alone
_PLANTED = 12                         # differences that no trigger sees, each time
_GOODS = "CREATE TABLE goods (id INT PRIMARY KEY, v VARCHAR(200) NOT NULL) ENGINE=InnoDB"
_LATE = "CREATE TABLE late (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20)) ENGINE=InnoDB"
_AROUND = (*LINE, "refuse", "stall", "kill_agent", "stop_agent", "kill_server", "end_connections", "lock", "late", "kill_verb")
_SHORT = 6       # kinds of fault in the short form
_PATIENCE = 2.0  # seconds, for a message to be spoilt


def _long_s() -> float:
    return float(os.environ.get("TANDEM_FAULT_MINUTES", "0")) * 60


class Person(threading.Thread):
    """Somebody who gives commands on one laptop, each again and again until it is done, then the next one; in a with
    statement, at whose end no further command is given and what went wrong is raised."""

    def __init__(self, node: Node, *commands: Sequence[str]) -> None:
        super().__init__(name=f"{node.name}-person", daemon=True)
        self.node = node
        self.commands = commands
        self.done: Counter[str] = Counter()
        self.failed: Counter[int] = Counter()
        self.wrong: list[str] = []
        self._ending = threading.Event()
        self._child: subprocess.Popen[str] | None = None

    def run(self) -> None:
        while not self._ending.is_set():
            for command in self.commands:
                while not self._ending.is_set() and not self._once(command):
                    self._ending.wait(0.1)

    def _once(self, command: Sequence[str]) -> bool:
        self._child = subprocess.Popen(self.node.command(*command, "-q"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True, cwd=self.node.folder,
                                       preexec_fn=process.dies_with_parent())
        said, _ = self._child.communicate()
        code = self._child.returncode
        self._child = None
        if code in (2, SANITIZER_EXIT) or code < 0 and code != -9:
            self.wrong.append(f"{' '.join(command)} ends with {code}: {said}")
        if code in (0, 5):
            self.done[command[0]] += 1
        else:
            self.failed[code] += 1
        return code in (0, 5)

    def kill(self) -> bool:
        """kill -9 of the command at hand; was there one?"""
        child = self._child
        if child is None or child.poll() is not None:
            return False
        child.kill()
        return True

    def __enter__(self) -> Person:
        self.start()
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        self._ending.set()
        if failure:
            self.kill()
        self.join(180)
        if not failure:
            assert not self.is_alive(), f"{self.name} hangs"
            assert not self.wrong, "\n".join(self.wrong)


class _Chaos(Chaos):
    """On the links named; kills the person's command as well."""

    def __init__(self, cluster: Cluster, rng: random.Random, wires: Collection[tuple[str, str]], person: Person) -> None:
        super().__init__(cluster, rng)
        self._wires = sorted(wires)
        self._person = person
        self.kinds["kill_verb"] = self._kill_verb

    def _wire(self) -> Proxy:
        return self.cluster.wire[self.rng.choice(self._wires)]

    def wait_for_the_line(self) -> None:
        """Until the last message that was to be spoilt has been, if one comes soon."""
        with suppress(AssertionError):
            until(lambda: self._planned[-1].hits > 0, _PATIENCE, longest=0.01)

    def _kill_verb(self) -> None:
        until(lambda: self._person.kill() or not self._person.is_alive(), 60, "a command runs")
        self.happened["kill_verb"] += 1


class _Crowd:
    """Writers and editors on some laptops."""

    def __init__(self, nodes: Sequence[Node], rng: random.Random) -> None:
        self.writers = [history.Writer(node, 0, 0.02) for node in nodes]
        self.editors = [editors.Editor(node, 0, rng.randrange(1 << 30), 0.0, 0.02) for node in nodes]

    def done(self) -> int:
        """Transactions so far."""
        return sum(one.acknowledged for one in (*self.writers, *self.editors))


@contextmanager
def _at_work(nodes: Sequence[Node], rng: random.Random) -> Iterator[_Crowd]:
    crowd = _Crowd(nodes, rng)
    threads = (*crowd.writers, *crowd.editors)
    for thread in threads:
        thread.start()
    try:
        yield crowd
    finally:
        for thread in threads:
            thread.stop()


class _Goods:
    """A table that nobody edits, and differences in it that no trigger sees; no row twice: a record whose change is on
    its way travels as the row is by then, so one that went unseen meanwhile would be a deletion."""

    def __init__(self, nodes: Sequence[Node], rng: random.Random) -> None:
        self.nodes = nodes
        self.rng = rng
        self.known: dict[int, set[str]] = defaultdict(set)
        self.planted = 0
        self._keys = rng.sample(range(1, _ROWS), _ROWS - 1)

    def note(self, node: Node) -> None:
        """What is there counts as written."""
        for key, value in node.sql("SELECT id, v FROM goods"):
            self.known[int(key)].add(value)

    def plant(self) -> None:
        """Some on a random laptop; a row that goes here is there on the other side."""
        node, other = self.rng.sample(list(self.nodes), 2)
        statements: list[hand.Statement] = []
        keys = [self._keys.pop() for _ in range(min(_PLANTED, len(self._keys)))]
        if not keys:
            return
        there = {key for (key,) in other.sql(f"SELECT id FROM goods WHERE id IN ({', '.join(map(str, keys))})")}
        for key in keys:
            self.planted += 1
            if key in there and self.rng.random() < 0.3:
                statements.append(("DELETE FROM goods WHERE id = %s", [key]))
                continue
            value = f"planted {self.planted}"
            self.known[key].add(value)
            statements.append(("UPDATE goods SET v = %s WHERE id = %s", [value, key]))
        hand.unseen(node, *statements)

    def wrong(self) -> list[str]:
        """Rows that nobody wrote."""
        rows = {int(key): value for key, value in self.nodes[0].sql("SELECT id, v FROM goods")}
        strange = [key for key, value in rows.items() if value not in self.known[key]]
        return [f"goods that nobody wrote: {strange[:10]}"] if strange else []


def _storm(chaos: _Chaos, crowd: _Crowd, goods: _Goods | None, kinds: Sequence[str]) -> None:
    """Some kinds of fault in random order; between two of them the apps get something done."""
    end = time.monotonic() + _long_s()
    first = True
    while first or time.monotonic() < end:
        for kind in chaos.rng.sample(list(kinds), len(kinds) if _long_s() else min(_SHORT, len(kinds))):
            goal = crowd.done() + chaos.rng.randint(1, 20)
            chaos.act(kind)
            if kind in LINE:
                chaos.wait_for_the_line()
            until(lambda goal=goal: crowd.done() >= goal, 60, f"the apps go on after {kind}", longest=0.01)
            if goods is not None:
                goods.plant()
        first = False


def _calm(cluster: Cluster, chaos: Chaos) -> None:
    chaos.heal()
    for node in cluster.nodes:
        node.wait_serve_ready()


def _again(node: Node, *args: str) -> None:
    """Until it is done: a daemon may be at it just now."""
    until(lambda: node.agent(*args, timeout=180).returncode == 0, 180, f"{node.name}: {' '.join(args)} is done")


def _in_step(cluster: Cluster) -> bool:
    return all(peer["in_step"] for node in cluster.nodes for peer in node.status()["peers"])


_BOTH = pytest.param("both can call", marks=pytest.mark.skipif(not _long_s(), reason="the long form's"))


@pytest.mark.parametrize("laptops", ["one of them fetches", _BOTH])
def test_a_laptop_is_filled_and_mended_while_everything_fails(fresh_pair: Pair, rng: random.Random, laptops: str) -> None:
    anna, bert = fresh_pair.nodes
    wires = [("anna", "bert"), ("bert", "anna")]
    if laptops != "both can call":
        anna.change_conf({"peer bert": {"pull": "yes"}}, write=False)
        bert.change_conf({"peer anna": {"url": None}}, write=False)
        wires.pop()
    for node in fresh_pair.nodes:
        node.change_conf({"sync": {"timeout": "1s"}})
        for notes in ("history-0", "edits-0"):  # of a test before this one, on the same laptops
            (node.folder / notes).unlink(missing_ok=True)
    history.make_tables(fresh_pair.nodes)
    hand.everywhere(fresh_pair, editors.SCHEMA, _LATE, _GOODS)
    bert.sql(f"INSERT INTO goods SELECT seq, CONCAT(REPEAT(MD5(seq), 4), seq) FROM seq_1_to_{_ROWS}")
    anna.sql(f"INSERT INTO goods SELECT seq * 7, CONCAT('older ', seq) FROM seq_1_to_{_OLD}")
    anna.sql(f"INSERT INTO goods SELECT {_ROWS} + seq, CONCAT('only here ', seq) FROM seq_1_to_{_OWN}")
    goods = _Goods(fresh_pair.nodes, rng)
    for node in fresh_pair.nodes:
        goods.note(node)
    fresh_pair.install()
    fresh_pair.start_serve()
    person = Person(anna, ["--startup"], ["--verify", "--repair"])
    chaos = _Chaos(fresh_pair, rng, wires, person)
    with person:
        with _at_work(fresh_pair.nodes, rng) as crowd:
            _storm(chaos, crowd, goods, _AROUND)
            _calm(fresh_pair, chaos)
        until(lambda: person.done["--startup"] > 0, 120, f"the startup is done at last (so far: {person.failed})")
    _again(anna, "--startup")
    fresh_pair.settle(120)
    _again(anna, "--verify", "--repair")
    fresh_pair.settle(120)
    anna.agent("--verify", check=0)
    fresh_pair.assert_equal()
    found = [line for node in fresh_pair.nodes for line in history.wrong_rows(node, crowd.writers)]
    found += editors.wrong_notes(fresh_pair.nodes, crowd.editors) + goods.wrong()
    assert not found, "\n".join(found)
    assert int(anna.sql("SELECT COUNT(*) FROM goods")[0][0]) == _ROWS + _OWN  # a row that one side lacks is no deletion
    until(lambda: _in_step(fresh_pair), 60, "both say that they are in step")
    print(f"faults: {dict(sorted(chaos.happened.items()))}; commands done {dict(person.done)}, failed {dict(person.failed)};"
          f" {goods.planted} differences; {crowd.done()} transactions")
    assert sum(chaos.happened.values()) >= _SHORT // 2, chaos.happened


def _lose_everything(node: Node) -> set[str]:
    """A new disk: no database, no sync schema. What it alone had kept of conflicts is gone with the old one."""
    node.kill_serve()
    gone = editors.kept([node])
    node.server.sql(f"DROP DATABASE {node.sync_database}")
    load.create_database(node.server, node.database)
    return gone


def test_a_laptop_in_the_middle_that_lost_everything_loses_nothing_of_the_others(rng: random.Random) -> None:
    """It relays between two others, which go on writing; whichever of its links comes back first."""
    with Cluster(3, "chain", schemas=(), proxied=True) as three:
        anna, bert, cleo = three.nodes
        history.make_tables(three.nodes)
        hand.everywhere(three, editors.SCHEMA, _LATE)
        for node in three.nodes:
            node.change_conf({"sync": {"timeout": "1s"}})
        three.install()
        three.start_serve()
        person = Person(bert, ["--startup", "--peer", "anna"])
        chaos = _Chaos(three, rng, three.wire, person)
        with _at_work((anna, cleo), rng) as crowd:
            until(lambda: len(cleo.sql("SELECT id FROM ledger")) > 30, 60, "what anna writes is at cleo's")
            gone = _lose_everything(bert)
            bert.install()
            if rng.random() < 0.5:  # tables first, so that the other link may come back before this one
                bert.agent("--startup", "--peer", "anna", "--create-tables", check=0)
            else:
                bert.agent("--startup", "--peer", "cleo", "--create-tables", check=0)
            bert.start_serve()
            for node in (anna, cleo):  # the one command that --status names
                until(lambda node=node: node.status()["peers"][0]["held"] is None or
                      node.agent("--install", "--peer", "bert").returncode == 0, 60, f"{node.name} begins anew")
            with person:
                _storm(chaos, crowd, None, [kind for kind in _AROUND if kind not in ("kill_server", "lock")])
                _calm(three, chaos)
                until(lambda: person.done["--startup"] > 0, 120, f"the startup is done at last (so far: {person.failed})")
        for node in (anna, cleo):
            if node.status()["peers"][0]["held"]:
                node.agent("--install", "--peer", "bert", check=0)
        three.settle(120)
        three.assert_equal()
        # A counter of before may win where no queue knows when it was written; rows do not get lost.
        found = [line for node in three.nodes for line in history.wrong_rows(node, crowd.writers) if ": counter of" not in line]
        found += editors.wrong_notes(three.nodes, crowd.editors, gone)
        assert not found, "\n".join(found)
        until(lambda: _in_step(three), 60, "all say that they are in step")
        print(f"faults: {dict(sorted(chaos.happened.items()))}; commands failed {dict(person.failed)}; {crowd.done()} transactions")
