"""--uninstall leaves the app's database as it was, whatever has become of the sync schema."""

from __future__ import annotations

import re
from collections.abc import Callable

import pymysql
import pytest

from lab import Node, Pair

pytestmark = pytest.mark.slow

SCHEMA = """
CREATE TABLE parent (id INT PRIMARY KEY, v VARCHAR(20));
CREATE TABLE child (id INT AUTO_INCREMENT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE);
CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40));
CREATE VIEW seen AS SELECT * FROM parent;
CREATE PROCEDURE touch () UPDATE parent SET v = v;
CREATE TRIGGER first_one BEFORE INSERT ON parent FOR EACH ROW SET NEW.v = CONCAT(NEW.v, '!'); -- of the app
CREATE TRIGGER last_one AFTER INSERT ON parent FOR EACH ROW INSERT INTO log (what) VALUES (NEW.v);
CREATE TRIGGER before_that AFTER INSERT ON parent FOR EACH ROW PRECEDES last_one INSERT INTO log (what) VALUES ('soon');
"""


def installed(pair: Pair) -> Node:
    """A node with tables, triggers of the app that are guarded, and something pending."""
    node = pair.anna
    node.server.script(SCHEMA, node.database)
    node.server.sql("GRANT SET USER ON *.* TO 'tandem'@'localhost'")
    node.change_conf({"table parent": {"app_triggers": "guard"}})
    return node


def shown(node: Node) -> dict[str, list[str]]:
    """SHOW CREATE of everything in the app's database, and the order of its triggers."""
    found: dict[str, list[str]] = {}
    sql = node.server.sql
    for name, kind in sql("SELECT TABLE_NAME, IF(TABLE_TYPE='VIEW', 'VIEW', 'TABLE') FROM information_schema.TABLES"
                          " WHERE TABLE_SCHEMA='app'"):
        made = str(sql(f"SHOW CREATE {kind} `{name}`", db="app")[0][1])
        found[f"{kind} {name}"] = [re.sub(r" AUTO_INCREMENT=\d+", "", made)]  # rows were written
    for (name,) in sql("SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA='app'"):
        found[f"PROCEDURE {name}"] = [str(part) for part in sql(f"SHOW CREATE PROCEDURE `{name}`", db="app")[0]]
    for name, order in sql("SELECT TRIGGER_NAME, ACTION_ORDER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='app'"):
        row = sql(f"SHOW CREATE TRIGGER `{name}`", db="app")[0]
        found[f"TRIGGER {name}"] = [str(order), *(str(part) for part in row[:-1])]  # but for the time of its making
    return found


def writes_work(node: Node) -> None:
    """The app can write, and its triggers fire once."""
    before = int(node.server.sql("SELECT COUNT(*) FROM log", db="app")[0][0])
    node.server.sql("INSERT INTO parent VALUES (900, 'x')", db="app")
    node.server.sql("INSERT INTO child (parent) VALUES (900)", db="app")
    assert node.server.sql("SELECT v FROM parent WHERE id = 900", db="app") == [("x!",)]
    node.server.sql("DELETE FROM parent WHERE id = 900", db="app")
    assert int(node.server.sql("SELECT COUNT(*) FROM log", db="app")[0][0]) == before + 2


def gone(node: Node) -> None:
    """The sync database is not there."""
    assert not node.server.sql("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='app_sync'")


def test_uninstall_leaves_everything_as_it_was_and_a_second_one_changes_nothing(fresh_pair: Pair) -> None:
    node = installed(fresh_pair)
    before = shown(node)
    node.install()
    assert shown(node) != before
    node.server.sql("INSERT INTO parent VALUES (1, 'pending')", db="app")
    told = node.agent("--uninstall", "--dry-run", check=0).stdout
    assert "take the guard off 3 triggers" in told
    assert shown(node) != before
    said = node.agent("--uninstall", check=0).stdout
    assert "3 triggers of the app have their own text again" in said
    assert shown(node) == before
    gone(node)
    writes_work(node)
    assert "0 triggers" in node.agent("--uninstall", check=0).stdout
    assert shown(node) == before
    node.install()
    node.agent("--uninstall", "-q", check=0)
    assert shown(node) == before


def drop_schema(node: Node) -> None:
    """The sync database was dropped by hand."""
    node.server.sql("DROP DATABASE app_sync")


def drop_procedure(node: Node) -> None:
    """What the triggers call."""
    node.server.sql("DROP PROCEDURE app_sync.enqueue")


def empty_node(node: Node) -> None:
    """No identity, so no token."""
    node.server.sql("DELETE FROM app_sync.sync_node")


def other_version(node: Node) -> None:
    """Made by a newer agent."""
    node.server.sql("UPDATE app_sync.sync_node SET schema_version = 99, name = 'somebody'")


def old_queue(node: Node) -> None:
    """A queue that is not the agent's any more."""
    node.server.sql("ALTER TABLE app_sync.sync_queue DROP COLUMN record_id")


@pytest.mark.parametrize("damage", [drop_schema, drop_procedure, empty_node, other_version, old_queue])
def test_uninstall_works_with_a_sync_schema_that_is_broken_or_gone(
        fresh_pair: Pair, damage: Callable[[Node], None]) -> None:
    node = installed(fresh_pair)
    before = shown(node)
    node.install()
    damage(node)
    node.agent("--uninstall", check=0)
    assert shown(node) == before
    gone(node)
    writes_work(node)


def test_uninstall_works_whichever_table_of_the_sync_schema_is_missing(fresh_pair: Pair) -> None:
    node = installed(fresh_pair)
    before = shown(node)
    node.install()
    names = [(str(kind), str(name)) for name, kind in node.server.sql(
        "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA='app_sync' ORDER BY 1")]
    assert len(names) > 5
    for kind, name in names:
        node.server.sql(f"DROP {'SEQUENCE' if kind == 'SEQUENCE' else 'TABLE'} app_sync.`{name}`")
        node.agent("--uninstall", check=0)
        assert shown(node) == before, name
        gone(node)
        node.install()
    for kind, name in names:
        node.server.sql(f"DROP {'SEQUENCE' if kind == 'SEQUENCE' else 'TABLE'} app_sync.`{name}`")
    node.agent("--uninstall", check=0)
    assert shown(node) == before
    writes_work(node)


def test_uninstall_works_when_the_server_is_full() -> None:
    options = ["--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M:autoextend:max:24M"]
    with Pair(schemas=(), server_options=options) as pair:
        node = installed(pair)
        before = shown(node)
        node.install()
        connection = node.server.connect("app")
        with connection, connection.cursor() as cursor:
            cursor.execute("SET foreign_key_checks = 0")
            cursor.execute("INSERT INTO child (parent) VALUES (1), (2), (3), (4), (5), (6), (7), (8)")
            with pytest.raises(pymysql.err.Error) as refused:
                for _ in range(25):
                    cursor.execute("INSERT INTO child (parent) SELECT parent FROM child")
            assert refused.value.args[0] == 1114  # the queue or the table: nothing goes unrecorded
        node.agent("--uninstall", check=0)
        assert shown(node) == before
        gone(node)


def test_uninstall_without_the_apps_database_takes_the_sync_schema_away(fresh_pair: Pair) -> None:
    node = installed(fresh_pair)
    node.install()
    node.server.sql("DROP DATABASE app")
    node.agent("--uninstall", check=0)
    gone(node)
    node.server.sql("CREATE DATABASE app")
