"""Filling a new node, beside mariadb-dump | mariadb over the same network, in turn."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field

from lab import Pair

from bench import shop
from bench.figures import Part, Table, median, number
from bench.watch import Watch, children_seconds

_LIMIT = 1800  # seconds
_ACCOUNT = "copier"  # who the dump comes in as, over TCP as the agent does


@dataclass
class _Took:
    """One fill: wall clock, CPU seconds, MiB."""
    seconds: float
    programs: float  # CPU of agents or clients
    here: float  # of the servers
    there: float
    memory: dict[str, float] = field(default_factory=dict)


def _servers(two: Pair) -> dict[str, int]:
    return {"server here": two.anna.server.pid, "server there": two.bert.server.pid}


def _dump(two: Pair) -> _Took:
    """mariadb-dump | mariadb into a database of its own."""
    two.anna.server.sql("CREATE DATABASE plain")
    with Watch(_servers(two)) as watch:
        before = children_seconds()
        _pipe(two)
    took = _Took(watch.seconds, children_seconds() - before, watch.use["server here"].cpu, watch.use["server there"].cpu)
    two.anna.server.sql("DROP DATABASE plain")
    return took


def _pipe(two: Pair) -> None:
    with subprocess.Popen(["mariadb-dump", "--no-defaults", "--single-transaction", "--skip-triggers", "-h", "127.0.0.1", "-P", str(two.bert.server.port), "-u", _ACCOUNT,
                           two.bert.database], stdout=subprocess.PIPE) as dump:
        subprocess.run(["mariadb", "--no-defaults", "-S", str(two.anna.server.socket), "-u", "root", "plain"], stdin=dump.stdout, check=True, timeout=_LIMIT)
        assert dump.wait(_LIMIT) == 0


def _startup(two: Pair) -> _Took:
    """--startup of a node that was wiped."""
    two.anna.renew()
    shop.make_tables(two.anna.server)
    two.anna.install()
    before = children_seconds()
    with subprocess.Popen(two.anna.command("--startup", "-q")) as run:
        with Watch({"here": run.pid, "there": two.bert.serve_pid} | _servers(two), memory=("here", "there")) as watch:
            assert run.wait(_LIMIT) == 0
    use = watch.use
    shop.assert_equal(two.anna.server, two.bert.server)
    return _Took(watch.seconds, children_seconds() - before + use["there"].cpu, use["server here"].cpu, use["server there"].cpu,
                 {"here": use["here"].pss, "there": use["there"].pss})


def measure(options: list[str], buffer_pool: str, rounds: int, quick: bool) -> Part:
    """Fills of a database of a million rows (quick: 150,000)."""
    rows = 150000 if quick else 1000000
    part = Part("startup", f"A new node: {rows:,} rows in three tables")
    dumped: list[_Took] = []
    filled: list[_Took] = []
    with Pair(schemas=(), server_options=options, buffer_pool=buffer_pool) as two:
        two.bert.server.sql(f"CREATE USER {_ACCOUNT}@'127.0.0.1'")
        two.bert.server.sql(f"GRANT ALL ON {two.bert.database}.* TO {_ACCOUNT}@'127.0.0.1'")
        shop.make_tables(two.bert.server)
        shop.fill(two.bert.server, rows)
        two.bert.install()
        two.bert.start_serve()
        for _ in range(rounds):
            dumped.append(_dump(two))
            filled.append(_startup(two))
        part.notes.append(f"{shop.mebibytes(two.bert.server):.0f} MiB in the server, indexes included. The dump comes in over TCP as the agent does.")
    table = Table("CPU seconds, median", ["", "wall", "agents or clients", "server here", "server there"])
    part.tables.append(table)
    for title, took in (("mariadb-dump | mariadb", dumped), ("agent --startup", filled)):
        part.add(title, [each.seconds for each in took], "s")
        table.rows.append([title, *(number(median([getattr(each, name) for each in took])) for name in ("seconds", "programs", "here", "there"))])
    part.add("times as fast", [d.seconds / f.seconds for d, f in zip(dumped, filled)], at_least=1)
    part.add("rows a second", [rows / each.seconds for each in filled])
    part.add("peak PSS of the node that is filled", [each.memory["here"] for each in filled], "MiB", at_most=64)
    part.add("peak PSS of the other one", [each.memory["there"] for each in filled], "MiB", at_most=64)
    return part
