"""--check: what is not replicated and may surprise, what bites later, each with its remedy."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from lab import Node, Pair, hand
from lab.node import ACCOUNT

pytestmark = pytest.mark.slow

DONE, FAILED, PEER = 0, 1, 4


def _findings(node: Node) -> list[dict[str, str]]:
    return json.loads(node.agent("--check", "--json").stdout)["findings"]


def _one(node: Node, words: str) -> dict[str, str]:
    (found,) = [one for one in _findings(node) if words in one["finding"]]
    return found


@pytest.fixture
def anna(fresh_pair: Pair) -> Node:
    """Installed, with one table."""
    hand.everywhere(fresh_pair, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
    fresh_pair.install()
    return fresh_pair.anna


def test_events_are_named_while_they_are_enabled(anna: Node) -> None:
    anna.sql("CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY DO DELETE FROM t WHERE v IS NULL")
    found = _one(anna, "event tidy")
    assert found["severity"] == "note" and "DISABLE" in found["remedy"] and "scheduler is off" in found["finding"]
    anna.server.sql("SET GLOBAL event_scheduler=ON")
    try:
        assert _one(anna, "event tidy")["severity"] == "warning"
    finally:
        anna.server.sql("SET GLOBAL event_scheduler=OFF")
    anna.sql("ALTER EVENT tidy DISABLE")
    assert not [one for one in _findings(anna) if "event tidy" in one["finding"]]


def test_sections_that_fit_no_table_are_named_with_the_right_spelling(anna: Node) -> None:
    anna.change_conf({"table t": {"conflict": "newer"}, "table T": {"conflict": "manual"}, "table bicycles": {"conflict": "manual"}})
    found = [one["finding"] for one in _findings(anna) if "section [table" in one["finding"] and one["severity"] == "warning"]
    assert len(found) == 2
    assert any("[table T]" in one and "called t here" in one for one in found)


def test_what_stays_at_home_is_said_once(anna: Node) -> None:
    anna.sql("CREATE SEQUENCE numbers")
    anna.sql("CREATE VIEW seen AS SELECT v FROM t")
    anna.sql("CREATE FUNCTION two() RETURNS INT RETURN 2")
    anna.sql("CREATE TABLE keyless (v INT)")
    anna.sql("CREATE TABLE aria (id INT PRIMARY KEY) ENGINE=Aria")
    found = _one(anna, "definitions of tables")
    assert found["severity"] == "note" and "views (1 here)" in found["finding"] and "routines (1)" in found["finding"]
    assert not [one for one in _findings(anna) if "table seen " in one["finding"]], "views ask nothing of anybody"
    assert "seen" not in anna.agent("--install").stdout
    for table, words in {"numbers": "sequence", "keyless": "no primary key", "aria": "Aria"}.items():
        one = _one(anna, f"table {table} ")
        assert words in one["finding"] and one["remedy"] and one["severity"] == "warning"


def test_a_server_that_takes_no_writes_is_a_problem(anna: Node) -> None:
    with hand.setting(anna.server, "read_only", 1):
        found = _one(anna, "read_only")
    assert found["severity"] == "problem" and "SET GLOBAL read_only=0" in found["remedy"]


@pytest.mark.parametrize("allowed", [True, False])
def test_a_replica_of_another_server_is_a_problem(anna: Node, allowed: bool) -> None:
    """Asked for with the privilege to see it, and noticed without while it runs."""
    grant = f"REPLICA MONITOR ON *.* {{}} '{ACCOUNT}'@'localhost'"
    anna.server.sql("CHANGE MASTER TO master_host='127.0.0.1', master_port=1, master_user='x', master_connect_retry=60")
    try:
        if allowed:
            anna.server.sql("GRANT " + grant.format("TO"))
        else:
            anna.server.sql("START SLAVE")
        found = [one for one in _findings(anna) if "replica of another" in one["finding"]]
        # Without the privilege a replica whose threads do not run cannot be seen.
        assert bool(found) or not allowed
        assert all(one["severity"] == "problem" and "RESET SLAVE ALL" in one["remedy"] for one in found)
    finally:
        anna.server.sql("STOP SLAVE")
        anna.server.sql("RESET SLAVE ALL")
        anna.server.sql("REVOKE " + grant.format("FROM"))


def test_the_privilege_to_notice_a_truncate_is_asked_for(anna: Node) -> None:
    anna.server.sql(f"REVOKE PROCESS ON *.* FROM '{ACCOUNT}'@'localhost'")
    try:
        assert "GRANT PROCESS" in _one(anna, "PROCESS")["remedy"]
    finally:
        anna.server.sql(f"GRANT PROCESS ON *.* TO '{ACCOUNT}'@'localhost'")
    assert not [one for one in _findings(anna) if "PROCESS" in one["finding"]]


def test_an_upload_folder_that_is_not_as_it_should_be_is_named(anna: Node, tmp_path: Path) -> None:
    root = tmp_path / "uploads"
    root.mkdir()
    anna.change_conf({"tree uploads": {"path": str(root), "mode": "two-way"}})
    assert "agent --install" in _one(anna, "folder of tree uploads")["remedy"]
    anna.install()
    assert _one(anna, "folder of tree uploads: ")["severity"] == "ok"
    root.rename(tmp_path / "away")
    found = _one(anna, "folder of tree uploads")
    assert found["severity"] == "problem" and "is not there" in found["finding"] and "mount" in found["remedy"]
    root.write_text("a file")
    assert "Not a directory" in _one(anna, "folder of tree uploads")["finding"]
    root.unlink()
    root.mkdir()  # an empty one, as where a disk is not mounted
    found = _one(anna, "folder of tree uploads")
    assert found["severity"] == "problem" and "no mark" in found["finding"] and "agent --install" in found["remedy"]
    root.rmdir()
    (tmp_path / "away").rename(root)
    anna.change_conf({"tree uploads": {"after": "/nowhere/thumbnails --quiet"}})
    found = _one(anna, "command of tree uploads")
    assert found["severity"] == "warning" and "/nowhere/thumbnails" in found["finding"]
    assert _one(anna, "folder of tree uploads: ")["severity"] == "ok"


def test_a_file_column_that_the_table_does_not_have_is_a_problem(anna: Node, tmp_path: Path) -> None:
    anna.change_conf({"tree uploads": {"path": str(tmp_path), "mode": "two-way"}})
    for column in ("w", "V"):  # as the server writes it
        anna.change_conf({"table t": {"file": f"{column} in uploads"}})
        assert _one(anna, "[table t] file is heeded for no row")["severity"] == "problem"
    anna.change_conf({"table t": {"file": "v in uploads"}})
    assert not [one for one in _findings(anna) if "file is heeded" in one["finding"]]


def test_the_worst_comes_first(anna: Node) -> None:
    anna.sql("CREATE TABLE keyless (v INT)")
    anna.sql("DROP TRIGGER tandem_ai_t")
    order = {"problem": 0, "warning": 1, "note": 2, "ok": 3}
    found = [order[one["severity"]] for one in _findings(anna)]
    assert found == sorted(found) and set(found) == {0, 1, 2, 3}
    said = anna.agent("--check", check=FAILED).stdout.splitlines()
    assert said[0].startswith("problem ") and [order[line.split()[0]] for line in said] == found
    quiet = anna.agent("--check", "-q").stdout.splitlines()
    assert quiet and all(line.startswith(("problem ", "warning ")) for line in quiet)


def test_three_hundred_tables_are_checked_within_a_second() -> None:
    with Node("anna") as many:
        columns = ", ".join(f"c{i} VARCHAR(40)" for i in range(19))
        hand.run(many.connect(), *(f"CREATE TABLE t{i} (id INT PRIMARY KEY, {columns})" for i in range(300)))
        many.install()
        many.agent("--check")
        started = time.monotonic()
        many.agent("--check", check=DONE)
        assert time.monotonic() - started < 1


def test_table_names_that_the_peer_writes_otherwise_are_a_warning() -> None:
    with Pair(schemas=()) as two:
        two.bert.server.stop()
        two.bert.server.options.append("--lower-case-table-names=1")
        two.bert.server.start()
        hand.everywhere(two, "CREATE TABLE Riders (id INT PRIMARY KEY)")
        two.install()
        two.start_serve()
        found = _one(two.anna, "lower_case_table_names")
        assert found["severity"] == "warning" and "small letters" in found["remedy"]
        two.anna.change_conf({"sync": {"exclude": "Riders"}})
        assert not [one for one in _findings(two.anna) if "lower_case" in one["finding"]]
