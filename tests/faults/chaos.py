"""Faults at random moments: the line, the agents, the servers, the locks. Each is counted when it
has really happened (for the line: when a message was hit), since a fault that never fired is not a
test."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pymysql

from lab import Node, clocks, process
from lab.pair import Cluster
from lab.proxy import Fault, Proxy

LINE: tuple[str, ...] = ("drop_request", "drop_response", "cut_request", "cut_response", "corrupt_request",
                         "corrupt_response", "duplicate", "hold_request", "hold_response")
_CLOCKS = (-19, 12, 86400)  # seconds: two that nobody minds, and a day
_HEADERS = ("", "X-Tandem-Mac", "X-Tandem-Counter", "X-Tandem-Session")


class Chaos:
    """Faults for a cluster; act() makes one happen, heal() ends them all."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self.cluster = cluster
        self.rng = rng
        self.happened: Counter[str] = Counter()
        self._planned: list[Fault] = []
        self._held: list[Fault] = []
        self._open: list[pymysql.connections.Connection] = []
        self._paused: Node | None = None
        self._misled: set[str] = set()  # whose clock was wrong
        self.kinds: dict[str, Callable[[], None]] = {
            **{kind: (lambda kind=kind: self._plan(kind)) for kind in LINE},
            "refuse": lambda: self._mode("refuse"), "stall": lambda: self._mode("stall"),
            "kill_agent": self._kill_agent, "stop_agent": self._stop_agent,
            "kill_drain": self._kill_drain, "kill_server": self._kill_server,
            "end_connections": self._end_connections, "lock": self._lock, "late": self._late_commit,
            "clock": self._wrong_clock,
        }

    def act(self, kind: str) -> None:
        """One fault of the kind, somewhere; what an earlier one still holds is let go first."""
        self._let_go()
        self.kinds[kind]()

    def heal(self) -> None:
        """No more faults; everybody runs again."""
        self._let_go()
        for proxy in self.cluster.wire.values():
            proxy.heal()
        self._right_clocks()
        for node in self.cluster.nodes:
            if not node.server.running():
                node.server.start()
            if node.name in self._misled:  # what the wrong clock has dated gets the present time
                node.agent("--install", check=(0, 5))
            if not node.serving():
                node.start_serve(wait=False)
        self._count_hits()

    # the line ------------------------------------------------------------------------------------

    def _wire(self) -> Proxy:
        return self.rng.choice(list(self.cluster.wire.values()))

    def _plan(self, kind: str) -> None:
        fault = Fault(kind, skip=self.rng.randrange(3))  # type: ignore[arg-type]
        if kind.startswith("cut"):
            fault.at = self.rng.randrange(600)
        if kind.startswith("corrupt"):
            fault.part = self.rng.choice(["head", "body"])
            fault.at = self.rng.randrange(400)
            if kind == "corrupt_request":
                fault.header = self.rng.choice(_HEADERS[:2])
        self._planned.append(self._wire().plan(fault))
        if kind.startswith("hold"):
            self._held.append(fault)

    def _mode(self, mode: str) -> None:
        self._wire().set_mode(mode)  # type: ignore[arg-type]
        self.happened[mode] += 1

    def _count_hits(self) -> None:
        for fault in self._planned:
            self.happened[fault.kind] += fault.hits
        self._planned.clear()

    # agents and servers --------------------------------------------------------------------------

    def _node(self) -> Node:
        return self.rng.choice(self.cluster.nodes)

    def _kill_agent(self) -> None:
        node = self._node()
        node.kill_serve()
        node.start_serve(wait=False)
        self.happened["kill_agent"] += 1

    def _stop_agent(self) -> None:
        node = self._node()
        if node.serving():
            node.pause_serve()
            self._paused = node
            self.happened["stop_agent"] += 1

    def _kill_drain(self) -> None:
        """A drain by hand beside the daemon that gets at most a moment to live."""
        node = self._node()
        for _ in range(20):
            child = subprocess.Popen(node.command("--drain"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     cwd=node.folder, preexec_fn=process.dies_with_parent())
            try:
                child.wait(self.rng.uniform(0.0, 0.03))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                self.happened["kill_drain"] += 1
                return

    def _kill_server(self) -> None:
        node = self._node()
        node.server.kill9()
        node.server.start()
        self.happened["kill_server"] += 1

    def _end_connections(self) -> None:
        self._node().server.end_connections()
        self.happened["end_connections"] += 1

    def _wrong_clock(self) -> None:
        """A laptop wakes up with a clock that is wrong, its server and its agent with it; the next one that
        is chosen may be the same, and is right again. Who is a day ahead is held until then."""
        node = self._node()
        node.kill_serve()
        node.server.kill9()
        node.server.environment = None if node.server.environment else clocks.wrong_by(self.rng.choice(_CLOCKS))
        node.server.start()
        node.start_serve(wait=False, env=clocks.agent_too(node.server.environment) if node.server.environment else None)
        self._misled.add(node.name)
        self.happened["clock"] += 1

    def _right_clocks(self) -> None:
        for node in self.cluster.nodes:
            if node.server.environment:
                node.server.environment = None
                node.kill_serve()
                node.server.kill9()

    # locks and late commits ------------------------------------------------------------------------

    def _session(self) -> pymysql.connections.Connection:
        connection = self._node().connect(autocommit=False)
        self._open.append(connection)
        return connection

    def _lock(self) -> None:
        """Somebody has records open in an editor, and looks at them for a while."""
        with suppress(pymysql.err.OperationalError), self._session().cursor() as cursor:
            cursor.execute("SET innodb_lock_wait_timeout=1")
            cursor.execute("SELECT COUNT(*) FROM (SELECT id FROM notes WHERE id<'k5' FOR UPDATE) AS open")
            self.happened["lock"] += 1

    def _late_commit(self) -> None:
        """A transaction that took its ids long ago."""
        with suppress(pymysql.err.OperationalError, pymysql.err.IntegrityError), self._session().cursor() as cursor:
            cursor.execute("INSERT INTO late (what) VALUES ('late')")
            self.happened["late"] += 1

    def _let_go(self) -> None:
        for fault in self._held:
            fault.release()
        self._held.clear()
        for proxy in self.cluster.wire.values():
            proxy.set_mode("pass")
        if self._paused is not None:
            self._paused.resume_serve()
            self._paused = None
        for connection in self._open:
            with suppress(pymysql.err.Error, OSError):
                connection.commit()
            with suppress(pymysql.err.Error, OSError):
                connection.close()
        self._open.clear()
