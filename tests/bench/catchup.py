"""A backlog through Tandem and through MariaDB's own replication, in one run, alternating."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import work
from bench.figures import Part, Table, median, number
from bench.laptops import Carried, Laptops
from bench.native import Native

Backlog = Callable[[str], str]


@dataclass(frozen=True)
class Case:
    """One kind of backlog. before: what the table holds already, on both sides."""
    name: str
    title: str
    backlog: Backlog
    at_least: float | None
    before: Backlog | None = None


def cases(quick: bool) -> list[Case]:
    """The backlogs."""
    ones, changes, rows = (4000, 40000, 50000) if quick else (20000, 200000, 200000)
    return [
        Case("singles", f"{ones:,} one-row transactions",
             lambda t: work.single_inserts(t, ones), 5),
        Case("updates", f"{changes:,} updates of 1,000 rows, each committed",
             lambda t: work.updates(t, 1000, changes, 1), 5,
             before=lambda t: work.bulk_insert(t, 1000)),
        Case("batches", f"{changes:,} updates of 1,000 rows, 100 to a transaction",
             lambda t: work.updates(t, 1000, changes, 100), None,
             before=lambda t: work.bulk_insert(t, 1000)),
        Case("bulk", f"one insert of {rows:,} rows of 11 columns",
             lambda t: work.bulk_insert(t, rows), 0.4),
    ]


def prepare(where: Laptops | Native, case: Case) -> str:
    """An empty table, or one with the same rows on both sides; then the backlog."""
    table = where.tables.take()
    if case.before:
        where.write(case.before(table))
        where.carry(table)
    where.write(case.backlog(table))
    return table


def measure(options: list[str], buffer_pool: str, rounds: int, quick: bool) -> Part:
    """All cases, so many times each, Tandem and native in turn."""
    part = Part("catchup", "Catching up with a backlog")
    breakdown = Table("Seconds of one drain, median; CPU seconds of the four processes, of native"
                      " replication of the two servers",
                      ["", "wall", "mark, read, spool", "send, apply, settle", "of that apply",
                       "CPU agent A", "CPU agent B", "CPU server A", "CPU server B"])
    part.tables.append(breakdown)
    with Laptops(options, buffer_pool) as laptops, Native(options, buffer_pool) as native:
        for case in cases(quick):
            ours: list[Carried] = []
            theirs: list[tuple[float, dict[str, float]]] = []
            for _ in range(rounds):
                table = prepare(laptops, case)
                ours.append(laptops.carry(table))
                table = prepare(native, case)
                theirs.append(native.carry(table))
            _report(part, breakdown, case, ours, theirs)
    return part


def _report(part: Part, breakdown: Table, case: Case, ours: list[Carried],
            theirs: list[tuple[float, dict[str, float]]]) -> None:
    part.add(f"{case.title}: Tandem", [c.seconds for c in ours], "s")
    part.add(f"{case.title}: native", [seconds for seconds, _ in theirs], "s")
    part.add(f"{case.title}: times as fast", [t[0] / o.seconds for o, t in zip(ours, theirs)],
             at_least=case.at_least)

    def middle(pick: Callable[[Carried], float]) -> str:
        return number(median([pick(c) for c in ours]))

    breakdown.rows.append(
        [f"{case.name}, Tandem", middle(lambda c: c.seconds), middle(lambda c: c.build),
         middle(lambda c: c.send), middle(lambda c: c.apply),
         *(middle(lambda c, n=name: c.use[n].cpu)  # type: ignore[misc]
           for name in ("agent A", "agent B", "server A", "server B"))])
    breakdown.rows.append(
        [f"{case.name}, native", number(median([t[0] for t in theirs])), "", "", "", "", "",
         number(median([t[1]["server A"] for t in theirs])),
         number(median([t[1]["server B"] for t in theirs]))])
