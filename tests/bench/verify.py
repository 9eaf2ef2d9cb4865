"""--verify of tables that are equal, and with a hundred records that differ, beside percona-toolkit on the same rows, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable

from lab import Pair, until
from lab.hand import token

from bench import shop
from bench.figures import Part, Table, median, number
from bench.percona import Percona, Took, missing
from bench.watch import Watch, children_seconds

_LIMIT = 1800  # seconds


class _Ours:
    """Two nodes that hold the shop; all that anna says to bert passes a proxy that counts."""

    def __init__(self, options: list[str], buffer_pool: str, rows: int) -> None:
        self.rows = rows
        self.two = Pair(schemas=(), server_options=options, buffer_pool=buffer_pool, proxied=True)
        self.wire = self.two.wire["anna", "bert"]

    def __enter__(self) -> _Ours:
        for node in self.two.nodes:
            shop.make_tables(node.server)
            shop.fill(node.server, self.rows)
        self.two.install()
        self.two.start_serve()
        self.two.wait_quiet()
        self.verify()  # the first hello, tables in memory
        return self

    def __exit__(self, *_: object) -> None:
        self.two.close()

    def _watch(self) -> Watch:
        anna, bert = self.two.nodes
        return Watch({"here": anna.server.pid, "there": bert.server.pid, "agent here": anna.serve_pid, "agent there": bert.serve_pid})

    def _run(self, *args: str, done: Callable[[], bool] | None = None) -> tuple[Took, int]:
        """agent --verify from its start to its exit, or until it is done, and the bytes over the wire."""
        passed = self.wire.bytes_passed
        with self._watch() as watch:
            before, started = children_seconds(), time.monotonic()
            self.two.anna.agent("--verify", "-q", *args, check=0, timeout=_LIMIT)
            if done:
                until(done, _LIMIT, "the records are repaired", longest=0.02)
            seconds = time.monotonic() - started
        use = watch.use
        agents = children_seconds() - before + use["agent here"].cpu + use["agent there"].cpu
        return Took(seconds, agents, use["here"].cpu, use["there"].cpu), self.wire.bytes_passed - passed

    def verify(self) -> tuple[Took, int]:
        """All tables, which are equal."""
        return self._run()

    def repair(self) -> tuple[Took, int]:
        """A hundred records of anna differ: until they are as bert has them."""
        anna = self.two.anna
        shop.spoil(anna.server, self.rows, f"SET @tandem_skip_{token(anna)}=1")
        return self._run("--repair", "--from", "bert", done=lambda: shop.spoilt(anna.server, self.rows) == 0)


def measure(options: list[str], buffer_pool: str, rounds: int, quick: bool) -> Part:
    """A million rows (quick: 150,000)."""
    rows = 150000 if quick else 1000000
    part = Part("verify", f"--verify: {rows:,} rows in three tables")
    with _Ours(options, buffer_pool, rows) as ours:
        part.notes.append(f"{shop.mebibytes(ours.two.anna.server):.0f} MiB in the server, indexes included.")
        if missing():
            part.notes.append(missing() + ".")
            _measure(part, ours, None, rounds)
        else:
            with Percona(options, buffer_pool, rows) as theirs:
                _measure(part, ours, theirs, rounds)
        ours.two.wait_quiet()
        shop.assert_equal(ours.two.anna.server, ours.two.bert.server)
    return part


def _measure(part: Part, ours: _Ours, theirs: Percona | None, rounds: int) -> None:
    equal: list[tuple[Took, int]] = []
    repaired: list[tuple[Took, int]] = []
    checksums: list[Took] = []
    syncs: list[Took] = []
    for _ in range(rounds):
        equal.append(ours.verify())
        if theirs:
            checksums.append(theirs.checksum())
    for _ in range(rounds):
        repaired.append(ours.repair())
        if theirs:
            theirs.spoil()
            syncs.append(theirs.sync())
    table = Table("CPU seconds, median", ["", "wall", "agents or perl", "server here", "server there"])
    part.tables.append(table)
    _put(part, table, "equal: agent --verify", [took for took, _ in equal], checksums, ("pt-table-checksum, the replica's sums looked at", 3))
    _put(part, table, "100 records that differ, found and repaired: agent --verify --repair", [took for took, _ in repaired], syncs,
         ("pt-table-sync --execute", 1))
    part.add("bytes over the wire when equal", [passed / 1e6 for _, passed in equal], "MB", at_most=1)
    part.add("bytes over the wire with 100 that differ", [passed / 1e6 for _, passed in repaired], "MB")


def _put(part: Part, table: Table, what: str, ours: list[Took], theirs: list[Took], other: tuple[str, float]) -> None:
    """Both, and how many times as fast ours is; other: what theirs is called, and the target."""
    for title, took in ((what, ours), (other[0], theirs)):
        if took:
            part.add(title, [each.seconds for each in took], "s")
            table.rows.append([title, *(number(median([getattr(each, name) for each in took])) for name in ("seconds", "program", "here", "there"))])
    if theirs:
        part.add("times as fast", [t.seconds / o.seconds for o, t in zip(ours, theirs)], at_least=other[1])
