"""A node is brought up to a peer's state: empty, older, newer, with rows of its own, wiped; while both
sides write; cut anywhere; and what is not equal afterwards is on its way."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab import Node, Pair, until
from lab.hand import drain, everywhere, sync, unseen
from lab.pair import Cluster
from lab.proxy import Fault

TABLE = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40), n INT)"


def numbers(count: int, first: int = 1) -> str:
    """A table of so many rows."""
    return f"INSERT INTO t SELECT seq, CONCAT('value ', seq), seq * 7 FROM seq_{first}_to_{count}"


@contextmanager
def begun(two: Pair, *tables: str, there: tuple[str, ...] = (), here: tuple[str, ...] = ()) -> Iterator[Pair]:
    """The same tables on both sides, other rows; bert serves, anna is to be filled."""
    everywhere(two, *tables)
    for node, statements in ((two.bert, there), (two.anna, here)):
        for statement in statements:
            node.sql(statement)
    two.install()
    two.bert.start_serve()
    yield two


def startup(node: Node, *args: str, check: int = 0) -> dict[str, Any]:
    """One --startup: what it says."""
    ran = node.agent("--startup", "--json", *args, check=check)
    said = json.loads(ran.stdout)
    assert said["exit_code"] == ran.returncode
    return said


def rows(node: Node, table: str = "t") -> list[Any]:
    """All rows, in order."""
    return list(node.sql(f"SELECT * FROM {table} ORDER BY 1"))


def test_an_empty_node_is_filled(fresh_pair: Pair) -> None:
    parents = "CREATE TABLE p (id INT PRIMARY KEY, boss INT, FOREIGN KEY (boss) REFERENCES p (id))"
    child = ("CREATE TABLE c (id INT PRIMARY KEY, p INT NOT NULL, twice INT AS (p * 2) STORED,"
             " FOREIGN KEY (p) REFERENCES p (id))")
    with begun(fresh_pair, TABLE, parents, child, "CREATE TABLE empty (id INT PRIMARY KEY)",
               there=(numbers(30000), "INSERT INTO p VALUES (1, NULL), (3, 1)", "INSERT INTO p VALUES (2, 3)",
                      "UPDATE p SET boss = 2 WHERE id = 1",
                      "INSERT INTO c (id, p) SELECT seq, 1 + seq MOD 3 FROM seq_1_to_500")) as two:
        said = startup(two.anna)
        assert said["copied"] == 30503 and said["tables"] == 4 and said["sent"] == said["coming"] == 0
        for table in ("t", "p", "c"):
            assert rows(two.anna, table) == rows(two.bert, table)
        # Nothing of it is captured, and nothing is sent again.
        assert sync(two.anna, "SELECT COUNT(*) FROM sync_queue") == [(0,)]
        two.anna.start_serve()
        two.bert.sql("UPDATE t SET v = 'later' WHERE id = 7")
        two.anna.sql("UPDATE t SET v = 'here' WHERE id = 8")
        until(lambda: rows(two.anna) == rows(two.bert) and two.bert.sql("SELECT v FROM t WHERE id = 8") == [("here",)], what="both are in step")
        assert "30000 records, equal" in two.anna.agent("--verify", check=0).stdout


def test_rows_that_are_older_newer_or_only_here(fresh_pair: Pair) -> None:
    """What only this node has is kept and sent; of two versions the later known one stays."""
    with begun(fresh_pair, TABLE, there=(numbers(5000),),
               here=(numbers(100), "INSERT INTO t VALUES (-1, 'only here', 0), (200000, 'only here', 0)",
                     "UPDATE t SET v = 'old' WHERE id IN (5, 50)")) as two:
        two.anna.sql("UPDATE t SET v = 'edited here' WHERE id = 60")
        said = startup(two.anna)
        assert (said["copied"], said["sent"], said["coming"]) == (4902, 3, 0)
        assert two.anna.sql("SELECT v FROM t WHERE id IN (5, 50, 60) ORDER BY id") == [("value 5",), ("value 50",), ("edited here",)]
        assert sync(two.anna, "SELECT COUNT(*) FROM sync_conflict WHERE policy = 'repair'") == [(2,)]
        two.anna.drain(check=0)
        assert rows(two.anna) == rows(two.bert) and len(rows(two.bert)) == 5002


def test_rows_that_are_missing_between_others_come_in_few_questions(fresh_pair: Pair) -> None:
    """Every seventh row is here, an older version of it; as with keys that are random."""
    with begun(fresh_pair, TABLE, there=(numbers(21000), "DELETE FROM t WHERE id BETWEEN 7001 AND 14000", "INSERT INTO t SELECT seq, 'far', 1 FROM seq_50001_to_60000"),
               here=("INSERT INTO t SELECT seq * 7, 'older', 1 FROM seq_1_to_3000",)) as two:
        two.anna.sql("DELETE FROM t WHERE id BETWEEN 7001 AND 14000")
        wire = two.wire["anna", "bert"]
        before = len(wire.exchanges)
        said = startup(two.anna)
        assert said["copied"] == 24000 and said["failed"] == 0
        assert len(wire.exchanges) - before < 150
        assert rows(two.anna) == rows(two.bert)


@pytest.mark.slow
def test_many_changes_that_were_not_sent_do_not_stop_a_startup(fresh_pair: Pair) -> None:
    """More than a look for versions goes back to: they are sent first, over a link that has been used."""
    with begun(fresh_pair, TABLE, there=(numbers(1000),), here=(numbers(1000),)) as two:
        two.anna.sql("UPDATE t SET v = 'first' WHERE id = 1")
        two.anna.drain(check=0)
        two.bert.stop_serve()
        for node, first, last in ((two.anna, 2001, 207000), (two.bert, 300001, 330000)):
            node.sql("UPDATE t SET v = %s WHERE id BETWEEN 10 AND 20", [f"of {node.name}"])
            node.sql(f"INSERT INTO t SELECT seq, 'not sent', 1 FROM seq_{first}_to_{last}")
        two.bert.start_serve()
        said = startup(two.anna)
        assert said["failed"] == 0 and said["copied"] >= 30000
        two.settle(120)
        two.assert_equal()
        assert len(rows(two.anna)) == 236000


def test_force_makes_a_copy_and_keeps_what_it_removes(fresh_pair: Pair) -> None:
    child = "CREATE TABLE c (id INT PRIMARY KEY, t INT, FOREIGN KEY (t) REFERENCES t (id) ON DELETE CASCADE)"
    with begun(fresh_pair, TABLE, child, there=(numbers(3000),),
               here=(numbers(3000), "INSERT INTO t SELECT seq, 'only here', 1 FROM seq_10001_to_12500",
                     "UPDATE t SET v = 'other' WHERE id MOD 1000 = 0", "INSERT INTO c VALUES (1, 1), (2, 10001)")) as two:
        two.anna.sql("UPDATE t SET v = 'edited here' WHERE id = 60")
        said = startup(two.anna, "--force")
        assert (said["copied"], said["removed"], said["sent"]) == (4, 2502, 0)
        two.anna.drain(check=0)
        assert rows(two.anna) == rows(two.bert) and len(rows(two.anna)) == 3000
        assert two.anna.sql("SELECT COUNT(*) FROM c") == [(0,)]
        kept = json.loads(two.anna.agent("--conflicts", "--json", "--table", "t").stdout)
        assert sync(two.anna, "SELECT COUNT(*) FROM sync_conflict") == [(2506,)] and kept


def test_a_node_that_was_wiped_is_filled_again(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE, there=(numbers(2000),), here=(numbers(2000),)) as two:
        two.anna.start_serve()
        two.bert.sql("UPDATE t SET v = 'b' WHERE id = 1")
        two.anna.sql("UPDATE t SET v = 'a' WHERE id = 2")
        until(lambda: rows(two.anna) == rows(two.bert), what="both are in step")
        two.anna.kill_serve()
        two.anna.sql(f"DROP DATABASE {two.anna.sync_database}")
        two.anna.sql("DROP TABLE t")
        two.anna.sql(TABLE)
        two.bert.sql("UPDATE t SET v = 'meanwhile' WHERE id = 3")
        two.anna.install()
        two.anna.change_conf({"sync": {"startup": None}})
        two.anna.start_serve()  # by itself: it has never been filled
        until(lambda: rows(two.anna) == rows(two.bert) and len(rows(two.anna)) == 2000, what="anna is filled")
        two.anna.sql("UPDATE t SET v = 'again' WHERE id = 4")
        until(lambda: two.bert.sql("SELECT v FROM t WHERE id = 4") == [("again",)], what="anna is heard again")
        two.bert.sql("UPDATE t SET v = 'again' WHERE id = 5")
        until(lambda: two.anna.sql("SELECT v FROM t WHERE id = 5") == [("again",)], what="bert is heard again")
        assert two.anna.agent("--status").returncode == 0


def test_nothing_fills_itself_where_it_is_not_wanted(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE, there=(numbers(10),)) as two:
        two.anna.start_serve()
        two.bert.sql("INSERT INTO t VALUES (11, 'new', 1)")
        until(lambda: rows(two.anna) == [(11, "new", 1)], what="the new row is there")


def test_two_new_nodes_need_no_filling(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE) as two:
        two.bert.stop_serve()
        for node in two.nodes:
            node.change_conf({"sync": {"startup": "auto"}})
        two.start_serve()
        two.bert.sql("INSERT INTO t VALUES (1, 'bert', 1)")
        two.anna.sql("INSERT INTO t VALUES (2, 'anna', 1)")
        until(lambda: rows(two.anna) == rows(two.bert) and len(rows(two.anna)) == 2, what="both are in step")
        assert [sync(node, "SELECT * FROM sync_startup WHERE peer=''") for node in two.nodes] == [[], []]  # nobody is put off
        assert [node.agent("--status").returncode for node in two.nodes] == [0, 0]


def test_a_blank_node_whose_database_was_away_when_it_began_takes_no_change_before_it_has_asked(fresh_pair: Pair) -> None:
    """A change that came first would make it a node with rows, which is never filled."""
    with begun(fresh_pair, TABLE, there=(numbers(10),)) as two:
        anna, bert = two.nodes
        anna.change_conf({"sync": {"startup": "auto"}})
        two.wire["bert", "anna"].set_mode("refuse")
        question = two.wire["anna", "bert"].plan(Fault("hold_request", "/api/sync/"))
        bert.sql("INSERT INTO t VALUES (11, 'new', 1)")
        anna.server.stop()
        try:
            anna.start_serve()
            until(lambda: "waiting for it" in anna.agent_log.read_text(), 30, "anna has looked")
        finally:
            anna.server.start()
        until(lambda: question.hits == 1, 60, "anna asks, and bert does not hear it yet")
        two.wire["bert", "anna"].set_mode("pass")
        refused = drain(bert, check=(0, 4))
        assert rows(anna) == [], refused.stdout + refused.stderr
        question.release()
        until(lambda: len(rows(anna)) == 11, 60, "anna is filled")
        until(lambda: drain(bert, check=(0, 4)).returncode == 0, 60, "bert's change is taken")


def test_a_startup_that_is_cut_goes_on_where_it_was(fresh_pair: Pair) -> None:
    """Killed again and again, itself and the peer's agent, with apps at work on both sides."""
    wide = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(400), n INT)"  # so that there are many pages
    with begun(fresh_pair, wide, there=("INSERT INTO t SELECT seq, REPEAT(MD5(seq), 12), seq FROM seq_1_to_150000",)) as two:
        seen: list[int] = []
        for _ in range(4):
            run = subprocess.Popen(two.anna.command("--startup", "-q"), stdin=subprocess.DEVNULL)
            count = int(two.anna.sql("SELECT COUNT(*) FROM t")[0][0])
            until(lambda: run.poll() is not None or int(two.anna.sql("SELECT COUNT(*) FROM t")[0][0]) > count, what="some rows have come")
            if len(seen) % 2 == 0:
                run.kill()
                run.wait()
            else:
                two.bert.kill_serve()
                assert run.wait() in (0, 4)
                two.bert.start_serve()
            seen.append(int(two.anna.sql("SELECT COUNT(*) FROM t")[0][0]))
            edited = len(seen)
            two.anna.sql("UPDATE t SET v = 'anna' WHERE id = %s", [edited])
            two.anna.sql("DELETE FROM t WHERE id = %s", [100 + edited])
            two.bert.sql("UPDATE t SET v = 'bert' WHERE id IN (%s, %s)", [1000 + edited, 150000 - edited])
            two.bert.sql("DELETE FROM t WHERE id IN (%s, %s)", [2000 + edited, 149000 - edited])
            two.bert.sql("INSERT INTO t VALUES (%s, 'new', 1)", [300000 + edited])
        assert seen == sorted(seen) and seen[-1] > seen[0]
        # A group of bert's waits meanwhile.
        assert two.anna.status()["startup"]["peer"] == "bert"
        said = startup(two.anna)
        assert said["failed"] == 0
        two.anna.start_serve()
        until(lambda: rows(two.anna) == rows(two.bert), what="both are in step")
        ids = {row[0]: row[1] for row in rows(two.anna)}
        assert [ids[i] for i in range(1, 5)] == ["anna"] * 4 and not any(100 + i in ids for i in range(1, 5))
        assert [ids[1000 + i] for i in range(1, 5)] == ["bert"] * 4 and not any(2000 + i in ids or 149000 - i in ids for i in range(1, 5))
        assert sync(two.anna, "SELECT COUNT(*) FROM sync_owed") == sync(two.bert, "SELECT COUNT(*) FROM sync_owed") == [(0,)]


def test_what_stands_in_the_way_of_a_row(fresh_pair: Pair) -> None:
    """A unique value that another row here has: the row comes as a change, and is judged like one."""
    table = "CREATE TABLE u (id VARCHAR(20) PRIMARY KEY, v VARCHAR(20) UNIQUE)"
    with begun(fresh_pair, table, there=("INSERT INTO u SELECT CONCAT('b', seq), CONCAT('v', seq) FROM seq_1_to_1000",),
               here=("INSERT INTO u VALUES ('zz', 'v77')",)) as two:
        said = startup(two.anna)
        assert (said["copied"], said["coming"], said["sent"]) == (999, 1, 1)


def test_a_table_that_differs_does_not_stop_the_others(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE, "CREATE TABLE d (id INT PRIMARY KEY, v VARCHAR(40))", there=(numbers(10), "INSERT INTO d VALUES (1, 'x')")) as two:
        two.bert.sql("ALTER TABLE d MODIFY v VARCHAR(80)")
        said = startup(two.anna, check=5)
        assert said["failed"] == 1 and "column v is varchar(80)" in said["error"] and rows(two.anna) == rows(two.bert)
        two.anna.sql("ALTER TABLE d MODIFY v VARCHAR(80)")
        two.anna.install()
        two.anna.start_serve()
        until(lambda: rows(two.anna, "d") == [(1, "x")], what="d is compared and merged")


def test_values_of_every_kind_are_copied_exactly(fresh_pair: Pair) -> None:
    table = ("CREATE TABLE k (a VARCHAR(20) CHARACTER SET latin1, b INT, x LONGBLOB, f FLOAT, d DECIMAL(20,6), j JSON, ts TIMESTAMP(6) NULL,"
             " e ENUM('x','y',''), bt BIT(9), tx TEXT CHARACTER SET utf8mb4, PRIMARY KEY (a, b))")
    with begun(fresh_pair, table) as two:
        unseen(two.bert, "INSERT INTO k SELECT CONCAT('\u00fc', seq MOD 7), seq, UNHEX(SHA2(seq, 512)), seq / 7, seq / 3, JSON_OBJECT('a', seq),"
               " '2026-01-01 00:00:00.123456', 'y', b'101', CONCAT('\u20ac', CHAR(0), seq) FROM seq_1_to_3000",
               "UPDATE k SET x = REPEAT('z', 5000000) WHERE b = 1000", "UPDATE k SET x = NULL, tx = '', e = '' WHERE b = 1001")
        startup(two.anna)
        two.bert.drain(check=4)  # anna does not serve: the large row waits
        two.anna.start_serve()
        until(lambda: "3000 records, equal" in two.anna.agent("--verify").stdout, what="all are there, the large one too")
        assert two.anna.sql("CHECKSUM TABLE k") == two.bert.sql("CHECKSUM TABLE k")


def test_missing_tables_are_created(fresh_pair: Pair) -> None:
    """As they are there, with foreign keys in a circle; and nothing that is no plain table."""
    two = fresh_pair
    for statement in ("SET foreign_key_checks=0",
                      "CREATE TABLE a (id INT PRIMARY KEY AUTO_INCREMENT, b INT NULL, v VARCHAR(20) DEFAULT 'it''s' COMMENT 'x; y')",
                      "CREATE TABLE b (id INT PRIMARY KEY, a INT NULL, g INT AS (id * 2) STORED, j JSON, ts TIMESTAMP(6) DEFAULT NOW(6) ON UPDATE NOW(6),"
                      " CHECK (id > 0), KEY (a, g), FOREIGN KEY (a) REFERENCES a (id) ON DELETE SET NULL)",
                      "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b (id) ON DELETE CASCADE",
                      "CREATE TABLE secret (id INT PRIMARY KEY)", "INSERT INTO a (id) VALUES (1), (2)",
                      "INSERT INTO b (id, a) VALUES (5, 1), (6, 2)", "UPDATE a SET b = 5"):
        two.bert.sql(statement)
    two.anna.change_conf({"sync": {"exclude": "secret"}})
    two.install()
    two.bert.start_serve()
    said = startup(two.anna, "--create-tables")
    assert said["tables"] == 2 and said["copied"] == 4
    for table in ("a", "b"):
        assert rows(two.anna, table) == rows(two.bert, table)
        made = [node.sql(f"SHOW CREATE TABLE {table}")[0][1] for node in (two.anna, two.bert)]
        assert made[0].split(") ENGINE")[0] == made[1].split(") ENGINE")[0]
    assert two.anna.sql("SHOW TABLES LIKE 'secret'") == []
    # They are replicated.
    two.anna.start_serve()
    two.anna.sql("INSERT INTO a (id, b) VALUES (3, 5)")
    until(lambda: two.bert.sql("SELECT id FROM a WHERE id = 3") == [(3,)], what="anna's row is at bert's")
    two.anna.stop_serve()
    two.bert.sql("CREATE TABLE parts (id INT PRIMARY KEY) PARTITION BY HASH (id)")
    two.bert.install()
    two.bert.sql("INSERT INTO parts VALUES (1)")
    # The peer looks at its tables once a second.
    until(lambda: "create it here by hand" in two.anna.agent("--startup", "--create-tables", check=(0, 1)).stderr, what="it is refused")
    assert two.anna.sql("SHOW TABLES LIKE 'parts'") == []


def test_tables_that_a_killed_run_has_created_are_captured_by_the_next_one(fresh_pair: Pair) -> None:
    two = fresh_pair
    two.bert.sql("CREATE TABLE late (id INT PRIMARY KEY)")
    two.bert.sql("INSERT INTO late VALUES (1)")
    two.install()
    two.anna.sql("CREATE TABLE late (id INT PRIMARY KEY)")  # it was killed behind this
    two.start_serve()
    assert startup(two.anna, "--create-tables")["copied"] == 1
    assert two.anna.status()["new_tables"] == []
    two.anna.sql("INSERT INTO late VALUES (2)")
    until(lambda: two.bert.sql("SELECT COUNT(*) FROM late") == [(2,)], what="anna's row is at bert's")


def _foretold(node: Node, *args: str, check: int = 0) -> dict[str, Any]:
    """What --dry-run says of each table, and of all."""
    said = startup(node, "--dry-run", *args, check=check)
    assert said["dry_run"]
    return said | {"tables": {table["table"]: table for table in said["tables"]}}


def _state(two: Pair) -> list[Any]:
    """Everything that a startup changes, on both sides; a row is made for a peer that is met, whatever is asked."""
    return [[rows(node, name) for (name,) in node.sql("SHOW TABLES")] +
            [sync(node, f"SELECT * FROM {name}") for name in ("sync_queue", "sync_epoch", "sync_owed", "sync_drift", "sync_renewal", "sync_startup",
                                                              "sync_conflict", "sync_cursor")] +
            [sync(node, "SELECT peer, acked_epoch, acked_stamp, held FROM sync_peer")] for node in two.nodes]


def test_a_dry_run_says_table_by_table_what_a_startup_would_do_and_changes_nothing(fresh_pair: Pair) -> None:
    child = "CREATE TABLE c (id INT PRIMARY KEY, t INT, FOREIGN KEY (t) REFERENCES t (id))"
    with begun(fresh_pair, TABLE, child, "CREATE TABLE d (id INT PRIMARY KEY, v VARCHAR(40))", "CREATE TABLE e (id INT PRIMARY KEY)",
               there=(numbers(3000), "INSERT INTO c SELECT seq, seq FROM seq_1_to_12000 WHERE seq <= 3000", "INSERT INTO e VALUES (1)"),
               here=("INSERT INTO t SELECT seq, CONCAT('value ', seq), seq * 7 FROM seq_1_to_500", "INSERT INTO t VALUES (-1, 'only here', 0), (9000, 'only here', 0)",
                     "UPDATE t SET v = 'old' WHERE id IN (5, 50)", "INSERT INTO e VALUES (1)")) as two:
        two.bert.sql("ALTER TABLE d MODIFY v VARCHAR(80)")
        two.bert.sql("CREATE TABLE late (id INT PRIMARY KEY)")
        two.bert.install()
        before = _state(two)
        said = _foretold(two.anna, check=5)
        assert said["begins_anew"] and "nothing was exchanged" in said["why"] and not said["goes_on"]
        table = said["tables"]["t"]
        assert [table[kind] for kind in ("records", "missing_here", "missing_there", "different", "error")] == [502, 2500, 2, 2, None]
        assert said["tables"]["c"]["missing_here"] == 3000 and said["tables"]["e"]["missing_here"] == 0
        assert "column v is varchar(80)" in said["tables"]["d"]["error"] and said["tables"]["late"]["missing"]
        text = two.anna.agent("--startup", "--dry-run", check=5).stdout
        assert "2500 to be copied from bert" in text and "2 only here: they stay, and are sent to bert" in text and "e: 1 rows here, equal" in text
        assert "late: missing here: not filled without --create-tables" in text and "5500 rows would be copied" in text and "nothing was changed" in text
        forced = two.anna.agent("--startup", "--dry-run", "--force", "--create-tables", check=5).stdout
        assert "2 only here: removed, and kept" in forced and "late: missing here: created" in forced
        assert two.anna.sql("SHOW TABLES LIKE 'late'") == [] and _state(two) == before
        # And so it comes.
        done = startup(two.anna, "--create-tables", check=5)
        assert (done["copied"], done["sent"], done["failed"]) == (5502, 2, 1)


def test_a_dry_run_where_the_link_has_to_begin_anew_holds_nothing(fresh_pair: Pair) -> None:
    with begun(fresh_pair, TABLE, there=(numbers(2000),), here=(numbers(2000),)) as two:
        two.anna.sql("UPDATE t SET v = 'sent' WHERE id = 2")
        two.anna.drain(check=0)
        two.anna.sql(f"DROP DATABASE {two.anna.sync_database}")
        two.anna.install()
        two.anna.sql("UPDATE t SET v = 'mine' WHERE id IN (1, 2, 3)")
        two.bert.sql("DELETE FROM t WHERE id > 1990")
        before = _state(two)
        said = _foretold(two.anna)
        assert said["begins_anew"] and "another database" in said["why"]
        table = said["tables"]["t"]
        assert table["missing_there"] + table["busy"] == 10 and table["different"] + table["pending"] == 3
        assert _state(two) == before
        two.bert.stop_serve()
        two.anna.agent("--startup", "--dry-run", check=4)


def _kept(node: Node) -> set[Any]:
    """Values of v in the versions that a node has kept."""
    return {json.loads(row)["v"] for (row,) in sync(node, "SELECT local_row FROM sync_conflict WHERE local_row IS NOT NULL")}


def test_what_an_edit_during_a_first_startup_replaces_unseen_is_kept(fresh_pair: Pair) -> None:
    """Both have written a record before they ever met, one of them writes it once more before it was compared: that one has
    not seen the other's version."""
    with begun(fresh_pair, TABLE, there=(numbers(3000),)) as two:
        anna, bert = two.nodes
        anna.sql("INSERT INTO t VALUES (1, 'anna, first', 0), (2, 'anna, changed by bert', 0), (3, 'anna, deleted by bert', 0), (4, 'anna', 0)")
        bert.sql("UPDATE t SET v = CONCAT('bert, ', id) WHERE id <= 5")
        wire = two.wire["anna", "bert"]
        cut = wire.plan(Fault("drop_request", path="/api/sync/verify", times=1000))
        startup(anna, check=4)
        assert cut.hits > 0
        wire.heal()
        anna.sql("UPDATE t SET v = 'anna, again' WHERE id = 1")
        anna.sql("INSERT INTO t VALUES (5, 'anna, new', 0), (2500, 'anna, in a page', 0)")
        bert.sql("UPDATE t SET v = 'bert, again' WHERE id = 2")
        bert.sql("DELETE FROM t WHERE id = 3")
        startup(anna)
        assert {"anna, changed by bert", "anna, deleted by bert"} <= _kept(anna)
        assert {"bert, 1", "bert, 5", "value 2500"} <= _kept(bert)
        anna.start_serve()
        until(lambda: rows(anna) == rows(bert), what="both are in step")
        assert [v for _, v, _ in rows(anna)[:4]] == ["anna, again", "bert, again", "bert, 4", "anna, new"]
        assert anna.sql("SELECT v FROM t WHERE id = 2500") == [("anna, in a page",)]
        # Later it is as always: who changes a record has seen what he changes.
        kept = [_kept(node) for node in two.nodes]
        anna.kill_serve()
        bert.sql("UPDATE t SET v = 'seen' WHERE id = 1")
        anna.sql("UPDATE t SET v = 'seen' WHERE id = 2")
        startup(anna)
        anna.start_serve()
        until(lambda: rows(anna) == rows(bert), what="both are in step")
        assert kept == [_kept(node) for node in two.nodes]


def test_what_a_startup_took_and_another_peer_changes_unseen_is_kept() -> None:
    """bert takes over anna's version of records; cleo, who has not heard of that, changes one of them."""
    with Cluster(3, "chain", schemas=()) as three:
        anna, bert, cleo = three.nodes
        everywhere(three, TABLE)
        for node in three.nodes:
            node.sql("INSERT INTO t VALUES (1, 'old', 0), (2, 'old', 0)")
        three.install()
        anna.sql("UPDATE t SET v = 'anna'")
        anna.start_serve()
        assert startup(bert, "--peer", "anna")["copied"] == 2
        bert.start_serve()  # not before: anna would bring it by herself
        cleo.sql("UPDATE t SET v = 'cleo' WHERE id = 1")
        cleo.start_serve()
        until(lambda: rows(anna) == rows(bert) == rows(cleo) == [(1, "cleo", 0), (2, "anna", 0)], what="all have the later ones")
        assert "anna" in _kept(bert)
        assert sync(bert, "SELECT record_id, origin FROM sync_queue WHERE via = 'anna' ORDER BY id") == [(b"1", "anna"), (b"2", "anna")]
