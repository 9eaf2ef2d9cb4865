"""A hub with twenty spokes that come by themselves (pull = yes): what its app pays for capture with one peer and
with twenty, what everybody uses at rest, and what a change costs on its way to all of them.

The spokes are databases of one server of theirs, each with an agent that serves."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from lab import places, ports, process, until
from lab import load
from lab.node import ACCOUNT, PASSWORD, Node
from lab.proxy import Proxy

from bench import work
from bench.figures import Part, Table, median, number, percentile
from bench.watch import Watch

SPOKES = 20
_LIMIT = 120  # seconds
_TABLE = "t1"


class Spoke:
    """A small laptop: a database on a server of others, an agent.conf, an agent."""

    def __init__(self, home: Node, hub: Node, number_: int, url: str) -> None:
        self.name = self.database = f"spoke{number_}"
        self.home = home
        self.key = os.urandom(32).hex()
        self.folder: Path = home.folder / self.name
        (self.folder / "state").mkdir(mode=0o700, parents=True)
        self._ports = (ports.take(), ports.take())
        self._serve: subprocess.Popen[bytes] | None = None
        load.create_database(home.server, self.database)
        for database in (self.database, f"{self.database}_sync"):
            home.server.sql(f"GRANT ALL ON `{database.replace('_', chr(92) + '_')}`.* TO '{ACCOUNT}'@'localhost'")
        work.make_tables(home.server, count=1, database=self.database)
        conf = {"node": {"name": self.name, "state_dir": self.folder / "state", "listen": f"127.0.0.1:{self._ports[0]}", "tls": "off",
                         "monitor": f"127.0.0.1:{self._ports[1]}", "monitor_key": os.urandom(16).hex()},
                "database": {"socket": home.server.socket, "user": ACCOUNT, "password": PASSWORD, "name": self.database},
                f"peer {hub.name}": {"url": url, "key": self.key, "pull": "yes"},
                "sync": {"startup": "no"}, "log": {"target": f"file {self.folder / 'log'}"}}
        self._conf = self.folder / "agent.conf"
        self._conf.touch(mode=0o600)
        self._conf.write_text("".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())
                                      for name, options in conf.items()), encoding="utf-8")
        self.agent("--install")

    def _command(self, *args: str) -> list[str]:
        return [str(places.agent_binary()), "--config", str(self._conf), *args]

    def agent(self, *args: str) -> None:
        """A verb, which must succeed."""
        ran = subprocess.run(self._command(*args), text=True, capture_output=True, timeout=_LIMIT, check=False)
        assert ran.returncode == 0, (self.name, args, ran.stdout, ran.stderr)

    def serving(self) -> bool:
        """Does agent --serve run?"""
        return self._serve is not None and self._serve.poll() is None

    def start(self) -> None:
        """agent --serve, without waiting."""
        self._serve = process.start(self._command("--serve"), self.folder / "serve.log", cwd=self.folder)

    @property
    def pid(self) -> int:
        """Of agent --serve."""
        assert self._serve is not None
        return self._serve.pid

    def close(self) -> None:
        """End the agent."""
        if self._serve is not None:
            process.end(self._serve, signal.SIGTERM)
            self._serve = None
        for port in self._ports:
            ports.give_back(port)


class Star:
    """The hub, the spokes' server, and the spokes, which come over a proxy that counts bytes. Nobody serves yet."""

    def __init__(self, options: list[str], buffer_pool: str) -> None:
        self.hub = Node("hub", database=work.DATABASE, server_options=options, buffer_pool=buffer_pool)
        self.home = Node("home", server_options=options, buffer_pool=buffer_pool)
        self.wire = Proxy(self.hub.listen_port, raw=True)
        self.spokes: list[Spoke] = []

    def __enter__(self) -> Star:
        try:
            self.hub.setup()
            self.home.setup()
            work.make_tables(self.hub.server, count=1)
            self.spokes = [Spoke(self.home, self.hub, i, self.wire.url) for i in range(1, SPOKES + 1)]
            know(self.hub, {spoke.name: spoke.key for spoke in self.spokes})
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for spoke in self.spokes:
            spoke.close()
        self.wire.close()
        self.hub.close()
        self.home.close()

    def serve(self) -> None:
        """Everybody serves, and everybody has everything."""
        self.hub.start_serve()
        for spoke in self.spokes:
            spoke.start()
        self.hub.sql(work.one_insert(_TABLE, 1))
        until(lambda: self.wire.connections >= SPOKES and self.in_step(), _LIMIT, "all spokes are in step")
        assert all(spoke.serving() for spoke in self.spokes)

    def in_step(self) -> bool:
        """Does every spoke have what the hub has, and does the hub know it?"""
        return all(peer["in_step"] for peer in self.hub.status()["peers"])

    def watch(self) -> Watch:
        """All processes."""
        return Watch({"hub": self.hub.serve_pid, "hub's server": self.hub.server.pid, "home": self.home.server.pid}
                     | {spoke.name: spoke.pid for spoke in self.spokes})


def know(hub: Node, keys: dict[str, str]) -> None:
    """The hub has these peers, by their names, and no others."""
    hub.conf = {name: options for name, options in hub.conf.items() if not name.startswith("peer ")}
    hub.conf |= {f"peer {name}": {"key": key} for name, key in keys.items()}
    hub.write_conf()
    hub.install()


def _capture(hub: Node, rows: int, ones: int) -> tuple[float, float]:
    """Microseconds a row: one statement of many rows, and transactions of one row."""
    connection = hub.connect()
    with connection.cursor() as cursor:
        started = time.monotonic()
        cursor.execute(work.bulk_insert(_TABLE, rows))
        bulk = (time.monotonic() - started) / rows * 1e6
        started = time.monotonic()
        cursor.execute(f"BEGIN NOT ATOMIC FOR i IN 1..{ones} DO UPDATE {_TABLE} SET stock=stock+1 WHERE id=i; END FOR; END")
        single = (time.monotonic() - started) / ones * 1e6
        cursor.execute(f"DELETE FROM {_TABLE}")
    connection.close()
    return bulk, single


def _measure_capture(hub: Node, part: Part, rounds: int, quick: bool) -> None:
    """With one peer and with twenty, in turn; nobody fetches anything."""
    work.make_tables(hub.server, count=1)
    rows, ones = (20_000, 1_000) if quick else (100_000, 5_000)
    found: dict[int, list[tuple[float, float]]] = {1: [], SPOKES: []}
    for _ in range(rounds):
        for count, values in found.items():
            know(hub, {f"spoke{i}": os.urandom(32).hex() for i in range(1, count + 1)})
            values.append(_capture(hub, rows, ones))
    table = Table(f"Capture, microseconds a row, {rows:,} rows a statement, {ones:,} transactions", ["", "1 peer", f"{SPOKES} peers"])
    for i, name in enumerate(("insert, one statement", "update, a transaction each")):
        one, many = ([each[i] for each in found[count]] for count in (1, SPOKES))
        table.rows.append([name, number(median(one)), number(median(many))])
        part.add(f"{name}: {SPOKES} peers to 1", [m / o for o, m in zip(one, many)], "times", at_most=1.2)
    part.tables.append(table)


def _shares(star: Star, watch: Watch, per: float) -> list[str]:
    """CPU per unit: hub, its server, and of the spokes' agents and server what falls to one of them."""
    agents = sum(watch.use[spoke.name].cpu for spoke in star.spokes) / SPOKES
    values = (watch.use["hub"].cpu, watch.use["hub's server"].cpu, agents, watch.use["home"].cpu / SPOKES)
    return [number(value / per) for value in values]


def _measure_rest(star: Star, part: Part, seconds: float) -> None:
    time.sleep(3)  # statuses are settled
    before = star.wire.bytes_passed
    with star.watch() as watch:
        time.sleep(seconds)
    table = Table(f"{SPOKES} spokes at rest: CPU, % of a core", ["", "hub", "hub's server", "a spoke", "a spoke's part of their server"])
    table.rows.append(["at rest", *_shares(star, watch, watch.seconds / 100)])
    part.tables.append(table)
    part.put(f"the hub's agent at rest with {SPOKES} spokes", watch.use["hub"].cpu / watch.seconds * 100, "% of a core")
    part.put("bytes a spoke and minute at rest", (star.wire.bytes_passed - before) / SPOKES / watch.seconds * 60)


def _arrived(cursor, spokes: list[Spoke], mark: int) -> bool:  # type: ignore[no-untyped-def]
    """Has every spoke the row?"""
    cursor.execute(" UNION ALL ".join(f"SELECT stock FROM {spoke.database}.{_TABLE} WHERE id={mark}" for spoke in spokes))
    return len(cursor.fetchall()) == len(spokes)


def _measure_changes(star: Star, part: Part, count: int) -> None:
    """Single commits on the hub, each on its way to all spokes before the next."""
    times: list[float] = []
    until(star.in_step, _LIMIT, "all spokes are in step")
    before = star.wire.bytes_passed
    writer, reader = star.hub.connect(), star.home.server.connect()
    with writer.cursor() as write, reader.cursor() as read, star.watch() as watch:
        for i in range(1, count + 1):
            mark = 1_000_000 + i
            write.execute(work.one_insert(_TABLE, mark))
            started = time.monotonic()
            until(lambda: _arrived(read, star.spokes, mark), _LIMIT, "the change is everywhere", longest=0.01)
            times.append((time.monotonic() - started) * 1000)
            time.sleep(0.05)
    writer.close()
    reader.close()
    table = Table(f"A change goes to {SPOKES} spokes: CPU, ms a change", ["", "hub", "hub's server", "a spoke", "a spoke's part of their server"])
    table.rows.append([f"mean of {count}", *_shares(star, watch, count / 1000)])
    part.tables.append(table)
    part.put(f"from the commit until all {SPOKES} have it, median of {count}", percentile(times, 50), "ms")
    part.put("... 99th percentile", percentile(times, 99), "ms")
    part.put("bytes a spoke and change", (star.wire.bytes_passed - before) / SPOKES / count)


def measure(options: list[str], buffer_pool: str, rounds: int, quick: bool) -> Part:
    """Capture first, while nobody serves; then rest; then single changes."""
    part = Part("hub", f"A hub with {SPOKES} spokes")
    with Node("hub", database=work.DATABASE, server_options=options, buffer_pool=buffer_pool) as hub:
        _measure_capture(hub, part, rounds, quick)
    with Star(options, buffer_pool) as star:
        star.serve()
        _measure_rest(star, part, 10.0 if quick else 30.0)
        _measure_changes(star, part, 20 if quick else 100)
    return part
