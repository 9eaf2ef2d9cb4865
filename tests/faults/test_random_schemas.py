"""Schemas that nobody thought of: random tables with keys, unique keys and foreign keys, random work on
both laptops while they are apart. In the end both are equal, or each difference has a name in what
the agents say. TANDEM_SEED=N makes the same schemas and the same work again; TANDEM_FAULT_MINUTES=N
tries more of them and makes those that fail smaller."""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

from lab import Pair, hand
from lab.monkey import Monkey
from lab.node import Node

_EXAMPLES = 5          # about 5 s each
_A_MINUTE = 10
_ROUNDS, _STATEMENTS = 2, 25
_KEYS = ("INT AUTO_INCREMENT", "BIGINT UNSIGNED", "VARCHAR(12)", "VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin", "BINARY(4)",
         "DATETIME", "DECIMAL(10,2)", "UUID", "SMALLINT")
_COLUMNS = ("INT", "BIGINT", "TINYINT(1)", "DECIMAL(8,2)", "FLOAT", "DOUBLE", "VARCHAR(30)", "CHAR(5) CHARACTER SET latin1", "TEXT", "BLOB",
            "VARBINARY(20)", "DATE", "DATETIME", "TIMESTAMP NULL", "TIME", "YEAR", "ENUM('a','b','c')", "SET('x','y')", "BIT(1)",
            "UUID", "INET6")
_UNIQUE = ("INT", "BIGINT", "VARCHAR(30)", "VARBINARY(20)", "DATE", "DOUBLE", "UUID")  # an index takes them whole
_ACTIONS = ("", "ON DELETE CASCADE", "ON DELETE SET NULL", "ON UPDATE CASCADE", "ON DELETE CASCADE ON UPDATE CASCADE")


@dataclass(frozen=True)
class _Table:
    name: str
    key: tuple[tuple[str, str], ...]  # name, type
    ddl: str


def _reference(draw: st.DrawFn, name: str, number: int, parent: _Table) -> tuple[list[str], str]:
    """Columns that hold a parent's key, and the constraint."""
    action = draw(st.sampled_from(_ACTIONS))
    null = "NULL" if "SET NULL" in action or draw(st.booleans()) else "NOT NULL"
    mine = [f"{name}_p{number}_{i}" for i in range(len(parent.key))]
    columns = [f"`{column}` {kind.replace(' AUTO_INCREMENT', '')} {null}" for column, (_, kind) in zip(mine, parent.key)]
    names, theirs = ", ".join(f"`{one}`" for one in mine), ", ".join(f"`{one}`" for one, _ in parent.key)
    return columns, f"FOREIGN KEY ({names}) REFERENCES `{parent.name}` ({theirs}) {action}"


@st.composite
def schemas(draw: st.DrawFn) -> tuple[str, ...]:
    """CREATE TABLE statements, parents first."""
    tables: list[_Table] = []
    for n in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(("t", "T able", "select", "x`y"))) + str(n)
        quoted = name.replace("`", "``")
        kinds = draw(st.lists(st.sampled_from(_KEYS), min_size=1, max_size=2))
        if len(kinds) > 1:
            kinds = [kind.replace(" AUTO_INCREMENT", "") for kind in kinds]
        key = tuple((f"k{i}", kind) for i, kind in enumerate(kinds))
        columns = [f"k{i} {kind} NOT NULL" for i, kind in enumerate(kinds)]
        constraints = [f"PRIMARY KEY ({', '.join(one for one, _ in key)})"]
        for i in range(draw(st.integers(1, 4))):
            unique = draw(st.integers(0, 5)) == 0
            kind = draw(st.sampled_from(_UNIQUE if unique else _COLUMNS))
            columns.append(f"c{i} {kind} {'' if 'NULL' in kind else draw(st.sampled_from(('NULL', 'NOT NULL')))}")
            constraints += [f"UNIQUE (c{i})"] if unique else []
        for number, parent in enumerate(draw(st.lists(st.sampled_from(tables), max_size=2, unique_by=lambda t: t.name)) if tables else []):
            more, constraint = _reference(draw, "f", number, _Table(parent.name.replace("`", "``"), parent.key, ""))
            columns += more
            constraints.append(constraint)
        tables.append(_Table(name, key, f"CREATE TABLE `{quoted}` ({', '.join(columns + constraints)}) ENGINE=InnoDB"))
    return tuple(table.ddl for table in tables)


def _named(node: Node) -> Counter[str]:
    """Records of each table that this node's --status and --conflicts name."""
    status = node.status()
    owed = Counter(table for table, *_ in hand.owed(node))
    refused = Counter(table for (table,) in hand.sync(node, "SELECT table_name FROM sync_unsettled"))
    asked = Counter(table for (table,) in hand.sync(node, "SELECT table_name FROM sync_conflict WHERE verdict='ask' AND resolved_at IS NULL"))
    said = owed | refused | asked
    assert not said or not all(peer["in_step"] for peer in status["peers"]), f"{node.name} is in step, and owes {said}"
    return said


def _unexplained(pair: Pair) -> list[str]:
    """Differences that nobody speaks of: in a table of which fewer records are named than differ."""
    named = _named(pair.anna) + _named(pair.bert)
    lines = pair.differences()
    for node in pair.nodes:
        for (name,) in node.sql("SHOW TABLES"):
            mine = [line for line in lines if line.startswith(name + " ") or line.startswith(name + ":")]
            if len([line for line in mine if line.startswith(name + " ")]) <= named[name] and named[name]:
                lines = [line for line in lines if line not in mine]
    return lines


def _orphans(node: Node) -> list[str]:
    """Children without parents: the agent never goes round the foreign keys."""
    found = []
    for table, columns, parent, theirs in node.sql(
            "SELECT TABLE_NAME, GROUP_CONCAT(COLUMN_NAME ORDER BY ORDINAL_POSITION), REFERENCED_TABLE_NAME,"
            " GROUP_CONCAT(REFERENCED_COLUMN_NAME ORDER BY ORDINAL_POSITION) FROM information_schema.KEY_COLUMN_USAGE"
            " WHERE TABLE_SCHEMA=DATABASE() AND REFERENCED_TABLE_NAME IS NOT NULL GROUP BY TABLE_NAME, CONSTRAINT_NAME, REFERENCED_TABLE_NAME"):
        child, there = (name.replace("`", "``") for name in (table, parent))
        pairs = list(zip(columns.split(","), theirs.split(",")))
        match = " AND ".join(f"p.`{one}`=c.`{other}`" for other, one in pairs)
        whole = " AND ".join(f"c.`{one}` IS NOT NULL" for one, _ in pairs)
        lost = node.sql(f"SELECT COUNT(*) FROM `{child}` c WHERE {whole} AND NOT EXISTS (SELECT 1 FROM `{there}` p WHERE {match})")[0][0]
        found += [f"{node.name}: {lost} rows of {table} without parents"] if lost else []
    return found


def _play(pair: Pair, ddl: tuple[str, ...], number: int) -> None:
    pair.renew()
    for node in pair.nodes:
        node.change_conf({"sync": {"max_delete": "off"}})
    hand.everywhere(pair, *ddl)
    pair.install()
    rng = random.Random(number)
    done = 0
    for _ in range(_ROUNDS):
        for node in pair.nodes:
            # A parent's key that changes while somebody apart gives it a child is a person's case.
            monkey = Monkey(node, rng, without=("key",))
            monkey.work(_STATEMENTS)
            done += sum(monkey.done.values())
            monkey.close()
        pair.settle(60, codes=(0, 5))
    found = _unexplained(pair) + [line for node in pair.nodes for line in _orphans(node)]
    assert not found, "\n".join([*found, *(f"{node.name}: {_named(node)}" for node in pair.nodes), pair.describe()])
    note(f"{done} statements done")


def test_random_work_on_random_schemas_ends_equal_or_named(lasting_pair: Pair, rng: random.Random) -> None:
    minutes = float(os.environ.get("TANDEM_FAULT_MINUTES", "0"))
    phases = [Phase.generate, Phase.shrink] if minutes else [Phase.generate]
    examples = int(minutes * _A_MINUTE) or _EXAMPLES

    @seed(rng.randrange(1 << 32))
    @settings(max_examples=examples, deadline=None, database=None, phases=phases, print_blob=True,
              suppress_health_check=list(HealthCheck))
    @given(schemas(), st.integers(0, 1 << 32))
    def play(ddl: tuple[str, ...], number: int) -> None:
        _play(lasting_pair, ddl, number)

    play()
