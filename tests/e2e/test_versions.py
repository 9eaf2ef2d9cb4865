"""Agents and sync schemas of other versions: what an older one made is migrated with changes pending, and two
agents that do not understand each other say so and lose nothing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from lab import Node, Pair, hand, until

_ROOT = Path(__file__).resolve().parents[2]
_OLD = sorted((_ROOT / "tests/data").glob("sync-schema-*.sql"), key=lambda path: int(path.stem.rsplit("-", 1)[1]))
_TABLE = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20) UNIQUE)"


def _columns(node: Node, database: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table, column in node.server.sql("SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s", [database]):
        found.setdefault(table, []).append(column)
    return found


def _make_old(node: Node, script: Path) -> None:
    """The node's sync schema as that version would have made and filled it; the triggers and their routine stay."""
    version = int(script.stem.rsplit("-", 1)[1])
    now, aside = node.sync_database, f"{node.sync_database}_aside"
    definition = node.server.sql(f"SHOW CREATE PROCEDURE {now}.enqueue")[0][2]
    last = int(node.server.sql(f"SELECT NEXTVAL({now}.sync_sequence)")[0][0])
    node.server.sql(f"CREATE DATABASE {aside}")
    for table in _columns(node, now):
        node.server.sql(f"RENAME TABLE {now}.{table} TO {aside}.{table}")
    node.server.sql(f"DROP DATABASE {now}")
    node.server.sql(f"CREATE DATABASE {now} CHARACTER SET utf8mb4")
    for statement in re.sub(r"^--.*\n", "", script.read_text(encoding="utf-8"), flags=re.M).split("\n;\n"):
        if statement.strip():
            node.server.sql(statement, db=now)
    there = _columns(node, aside)
    for table, columns in _columns(node, now).items():
        if table != "sync_sequence":
            names = ", ".join(columns)
            assert set(columns) <= set(there[table]), f"{table} has lost columns: a migration cannot bring them over"
            node.server.sql(f"INSERT INTO {now}.{table} ({names}) SELECT {names} FROM {aside}.{table}")
    node.server.sql(f"DO SETVAL({now}.sync_sequence, {last})")
    node.server.sql(definition, db=now)
    node.server.sql(f"UPDATE {now}.sync_node SET schema_version = {version}")
    node.server.sql(f"DROP DATABASE {aside}")


@pytest.mark.parametrize("script", _OLD, ids=lambda path: path.stem)
def test_what_an_older_version_made_is_migrated_with_changes_pending(fresh_pair: Pair, script: Path) -> None:
    hand.everywhere(fresh_pair, _TABLE)
    anna, bert = fresh_pair.nodes
    bert.sql("ALTER TABLE t ADD CHECK (v <> 'odd')")
    anna.change_conf({"sync": {"max_attempts": "1"}})
    fresh_pair.install()
    bert.start_serve()
    anna.sql("INSERT INTO t VALUES (1, 'sent'), (2, 'sent too')")
    anna.drain(check=0)
    anna.sql("INSERT INTO t VALUES (3, 'odd')")
    anna.drain(check=5)
    bert.stop_serve()
    hand.sync(anna, "INSERT INTO sync_conflict (peer, table_name, record_id, policy, verdict, local_changed_at, local_origin, remote_changed_at, remote_origin)"
              " VALUES ('bert', 't', '1', 'newer', 'keep', '', 'anna', '', 'bert')")
    anna.sql("UPDATE t SET v = 'pending' WHERE id = 1")
    _make_old(anna, script)
    anna.sql("DELETE FROM t WHERE id = 2")  # the triggers go on
    before = anna.queue()
    for verb in ("--drain", "--status"):
        assert "run agent --install" in anna.agent(verb, check=2).stderr
    assert anna.queue() == before
    anna.install()
    assert anna.queue() == before and hand.owed(anna)[0][:3] == ("t", "3", "parked")
    assert hand.sync(anna, "SELECT COUNT(*) FROM sync_conflict WHERE resolved_at IS NULL") == [(1,)]
    anna.install()  # nothing is left to migrate
    bert.start_serve()
    until(lambda: anna.drain().returncode in (0, 5) and bert.sql("SELECT id, v FROM t ORDER BY id") == [(1, "pending")], 60,
          "what was pending arrives")
    bert.sql("INSERT INTO t VALUES (5, 'other')")
    anna.start_serve()
    until(lambda: anna.sql("SELECT v FROM t WHERE id = 5") == [("other",)], 60, "and bert's")
    anna.sql("UPDATE t SET v = 'even' WHERE id = 3")
    until(lambda: bert.sql("SELECT v FROM t WHERE id = 3") == [("even",)], 60, "what takes the place of the parked one, too")
    fresh_pair.settle()
    fresh_pair.assert_equal()


@pytest.fixture(scope="module")
def next_agent(long_run: bool) -> Path:
    """An agent that speaks the protocol's next version."""
    if not long_run:
        pytest.skip("the long form's: it builds an agent")
    subprocess.run([_ROOT / "scripts/build", "build-next", "CPPFLAGS=-DTANDEM_MESSAGE_VERSION=2"], cwd=_ROOT, check=True, stdout=subprocess.DEVNULL)
    return _ROOT / "build-next/agent/agent"


@pytest.mark.parametrize("newer", ["sender", "receiver", "who is fetched from", "who fetches"])
def test_agents_that_do_not_speak_one_version_say_so_and_lose_nothing(fresh_pair: Pair, next_agent: Path, newer: str) -> None:
    hand.everywhere(fresh_pair, _TABLE)
    anna, bert = fresh_pair.nodes
    if "fetch" in newer:
        anna.change_conf({"peer bert": {"pull": "yes"}})
        bert.change_conf({"peer anna": {"url": None}})
    fresh_pair.install()
    bert.start_serve()
    anna.sql("INSERT INTO t VALUES (1, 'one')")
    anna.drain(check=0)
    bert.stop_serve()
    other = anna if newer in ("sender", "who fetches") else bert
    other.prefix = ["/bin/sh", "-c", f'shift; exec "{next_agent}" "$@"', "sh"]
    for node in fresh_pair.nodes:
        node.sql("INSERT INTO t VALUES (%s, %s)", [len(node.name) + (10 if node is anna else 20), node.name])
        node.sql("UPDATE t SET v = %s WHERE id = 1", [f"of {node.name}"])
    waiting = [node.pending() for node in fresh_pair.nodes]
    bert.start_serve()
    said = anna.drain(check=(1, 4, 5)).stderr
    assert "bring both to the same version" in said, said
    assert "bring both to the same version" in anna.agent("--status").stdout
    assert "same version" in anna.agent("--check").stdout
    assert [node.pending() for node in fresh_pair.nodes] == waiting
    bert.stop_serve()
    other.prefix = []
    bert.start_serve()
    if "fetch" not in newer:
        anna.start_serve()
        fresh_pair.settle()
    else:
        until(lambda: anna.drain().returncode == 0 and not fresh_pair.pending(), 60, "both have everything")
    fresh_pair.assert_equal()
