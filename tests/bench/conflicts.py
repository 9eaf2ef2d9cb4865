"""What conflicts cost: looking for them where there are none, and judging and keeping many."""

from __future__ import annotations

from bench import work
from bench.catchup import Backlog
from bench.figures import Part
from bench.laptops import Laptops

_CONFLICTS = 10_000
_LOOK_SHARE = 10  # percent of a drain that looking for conflicts may cost
_JUDGE_S = 5


def _carried(laptops: Laptops, rows: int, unseen: Backlog | None) -> tuple[float, float]:
    """Seconds of a drain of as many updates, and of applying them; bert may have changed other records."""
    table, other = laptops.tables.take(), laptops.tables.take()
    for one in (table, other):
        laptops.write(work.bulk_insert(one, rows))
    laptops.pair.settle()
    laptops.bert.start_serve()
    laptops.write(f"UPDATE {table} SET stock=stock+1, seen=NOW(6)")
    if unseen:
        work.write(laptops.bert.server, unseen(other))
    carried = laptops.carry(table)
    laptops.bert.stop_serve()
    return carried.seconds, carried.apply


def _fight(laptops: Laptops) -> tuple[float, float]:
    """Seconds of a drain, and of applying, when every record of the group was changed on bert, too."""
    table = laptops.tables.take()
    laptops.write(work.bulk_insert(table, _CONFLICTS))
    laptops.pair.settle()
    laptops.bert.start_serve()
    work.write(laptops.bert.server, f"UPDATE {table} SET note='bert was here'")
    laptops.write(f"UPDATE {table} SET stock=stock+1, seen=NOW(6)")
    kept = f"SELECT COUNT(*) FROM `{laptops.bert.sync_database}`.sync_conflict"
    before = laptops.bert.sql(kept)[0][0]
    carried = laptops.carry(table)
    assert laptops.bert.sql(kept)[0][0] - before == _CONFLICTS, "not every conflict was kept"
    laptops.bert.stop_serve()
    return carried.seconds, carried.apply


def measure(options: list[str], buffer_pool: str, rounds: int, quick: bool) -> Part:
    """Drains with nothing to look through, with many concurrent changes of other records, and of conflicts."""
    rows = 20_000 if quick else 100_000
    part = Part("conflicts", "Conflicts")
    quiet: list[float] = []
    apart: list[float] = []
    fights: list[tuple[float, float]] = []
    with Laptops(options, buffer_pool) as laptops:
        laptops.bert.stop_serve()
        for _ in range(rounds):
            quiet.append(_carried(laptops, rows, None)[0])
            apart.append(_carried(laptops, rows, lambda t: f"UPDATE {t} SET stock=stock+1 WHERE id<=10000")[0])
            fights.append(_fight(laptops))
    part.add(f"{rows:,} updated records, nothing changed at the peer", quiet, "s")
    part.add("the same, 10,000 other records changed at the peer meanwhile", apart, "s")
    part.add("looking for conflicts where there are none adds", [(a / q - 1) * 100 for a, q in zip(apart, quiet)], "%",
             at_most=_LOOK_SHARE)
    part.add(f"{_CONFLICTS:,} conflicts in one group, start of the drain to its exit", [f[0] for f in fights], "s")
    part.add(f"{_CONFLICTS:,} conflicts in one group: judged, kept and applied", [f[1] for f in fights], "s", at_most=_JUDGE_S)
    return part
