"""What no trigger sees is noticed at the next drain: TRUNCATE and ALTER travel by themselves, a table that
lost or changed its triggers is held until a person chooses, the other tables go on."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from lab import Pair, hand, until
from lab.node import ACCOUNT, PASSWORD, Node

pytestmark = pytest.mark.slow

TABLE = "CREATE TABLE t (id INT PRIMARY KEY, v INT, w INT NOT NULL DEFAULT 7)"
PARTED = TABLE + " PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (10)," \
    " PARTITION b VALUES LESS THAN (20), PARTITION c VALUES LESS THAN MAXVALUE)"
OTHER = "CREATE TABLE u (id INT PRIMARY KEY, v INT)"
ROWS = 30


def _ready(pair: Pair, table: str = TABLE) -> tuple[Node, Node]:
    """Both in step, with changes of t and u pending on both sides; bert receives."""
    hand.everywhere(pair, table, OTHER,
                    f"INSERT INTO t SELECT seq, seq, 7 FROM seq_1_to_{ROWS}",
                    "INSERT INTO u SELECT seq, 0 FROM seq_1_to_5")
    pair.install()
    pair.bert.start_serve()
    pair.anna.drain(check=0)
    return pair.anna, pair.bert


def _pending_on_both(anna: Node, bert: Node) -> None:
    hand.transaction(anna, "UPDATE t SET v=101 WHERE id=1", "UPDATE u SET v=1 WHERE id=1")
    # They stay pending: bert finds nobody who receives at anna's.
    hand.transaction(bert, "UPDATE t SET v=202 WHERE id=2", "UPDATE u SET v=2 WHERE id=2")


def _moved(node: Node) -> list[dict[str, Any]]:
    (peer,) = node.status()["peers"]
    return list(peer["moved_tables"])


def _log(node: Node) -> str:
    return node.agent_log.read_text(encoding="utf-8")


def _rows(node: Node) -> dict[int, tuple[int, int]]:
    return {key: (v, w) for key, v, w in node.sql("SELECT id, v, w FROM t ORDER BY id")}


# what travels by itself -----------------------------------------------------------------------------

TRAVELLING: dict[str, tuple[str, list[str], str]] = {
    "truncate": (TABLE, ["TRUNCATE t"], "TRUNCATE"),
    "truncate partition": (PARTED, ["ALTER TABLE t TRUNCATE PARTITION b"], "emptied"),
    "drop partition": (PARTED, ["ALTER TABLE t DROP PARTITION b"], "altered"),
    "exchange partition": (PARTED, ["CREATE TABLE x LIKE t", "ALTER TABLE x REMOVE PARTITIONING",
                                    "INSERT INTO x VALUES (12,1200,8), (13,1300,9)",
                                    "ALTER TABLE t EXCHANGE PARTITION b WITH TABLE x"], "exchanged"),
    "alter that rewrites a column": (TABLE, ["ALTER TABLE t DROP COLUMN w",
                                             "ALTER TABLE t ADD COLUMN w INT NOT NULL DEFAULT 9"], "altered"),
    "rebuild": (TABLE, ["ALTER TABLE t FORCE"], "altered"),
}


@pytest.mark.parametrize("way", TRAVELLING)
def test_what_the_owner_did_to_a_whole_table_arrives_without_a_person(fresh_pair: Pair, way: str) -> None:
    table, statements, word = TRAVELLING[way]
    anna, bert = _ready(fresh_pair, table)
    _pending_on_both(anna, bert)
    # CREATE_TIME counts seconds: within the one of CREATE TABLE not every ALTER shows.
    until(lambda: anna.sql("SELECT NOW() > CREATE_TIME + INTERVAL 1 SECOND FROM information_schema.TABLES"
                           " WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME='t'") == [(1,)], 10, "another second")
    hand.run(anna.connect(), *statements)
    kept = _rows(anna)
    anna.drain(check=0)
    fresh_pair.settle()
    assert fresh_pair.differences(["t", "u"]) == []
    assert _moved(anna) == [] and _moved(bert) == []
    assert "table t: it" in _log(anna) and word in _log(anna)
    # bert's edit, which anna had not seen, is not overwritten unseen.
    assert _rows(anna)[2][0] == 202
    kept.pop(2, None)
    assert {key: row for key, row in _rows(bert).items() if key != 2} == kept
    assert [row[0] for row in anna.sql("SELECT v FROM u ORDER BY id LIMIT 2")] == [1, 2]


def test_a_table_renamed_away_is_named_until_it_is_back_and_no_write_is_lost(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    _pending_on_both(anna, bert)
    anna.sql("RENAME TABLE t TO t_away")
    anna.sql("UPDATE t_away SET v=303 WHERE id=3")
    anna.drain(check=(0, 5))
    (moved,) = _moved(anna)
    assert (moved["table"], moved["state"]) == ("t", "gone")
    assert anna.status()["peers"][0]["in_step"] is False
    assert "dropped or renamed" in anna.agent("--status").stdout
    assert [row[0] for row in bert.sql("SELECT v FROM u WHERE id=1")] == [1], "the other table went on"
    anna.sql("RENAME TABLE t_away TO t")
    anna.drain(check=0)
    fresh_pair.settle()
    assert fresh_pair.differences(["t", "u"]) == [] and _moved(anna) == []
    assert [_rows(bert)[key][0] for key in (1, 2, 3)] == [101, 202, 303]


def test_what_a_peer_refused_of_a_table_that_was_dropped_is_owed_no_more(fresh_pair: Pair) -> None:
    hand.everywhere(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "CREATE TABLE u (id INT PRIMARY KEY)")
    fresh_pair.install()
    anna, bert = fresh_pair.anna, fresh_pair.bert
    bert.start_serve()
    bert.sql("ALTER TABLE t ADD CHECK (v<>7)")
    anna.sql("INSERT INTO t VALUES (1,7)")
    anna.drain(check=0)
    assert anna.queue().keys() & {"pending", "failed"}
    for node in (anna, bert):
        node.sql("DROP TABLE t")
    anna.agent("--install", check=0)
    assert hand.owed(anna) == [] and not anna.queue().keys() & {"pending", "failed"}


def test_install_forgets_a_table_that_was_dropped_for_good(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    _pending_on_both(anna, bert)
    anna.sql("DROP TABLE t")
    anna.drain(check=(0, 5))
    assert [moved["state"] for moved in _moved(anna)] == ["gone"]
    anna.install()
    anna.drain(check=0)
    assert _moved(anna) == [] and hand.owed(anna) == []


# what is held ---------------------------------------------------------------------------------------

def _dump(node: Node, *options: str) -> str:
    return subprocess.run(["mariadb-dump", f"--socket={node.server.socket}", "--user=root", *options, node.database],
                          check=True, capture_output=True, text=True).stdout


def _swap(anna: Node) -> None:
    hand.run(anna.connect(), "CREATE TABLE t_new LIKE t", "INSERT INTO t_new SELECT id, v, 8 FROM t WHERE id<>5",
             "RENAME TABLE t TO t_old, t_new TO t")


def _recreate(anna: Node) -> None:
    hand.run(anna.connect(), "DROP TABLE t", TABLE, "INSERT INTO t VALUES (1,1,1), (99,9,9)")


def _replace(anna: Node) -> None:
    hand.run(anna.connect(), TABLE.replace("CREATE TABLE", "CREATE OR REPLACE TABLE"), "INSERT INTO t VALUES (1,1,1)")


def _restore(*options: str) -> Callable[[Node], None]:
    def way(anna: Node) -> None:
        older = _dump(anna, *options)
        anna.sql("UPDATE t SET v=-v WHERE id>20")
        anna.drain(check=0)
        anna.server.script(older, anna.database)
    return way


def _drop_trigger(name: str, write: str) -> Callable[[Node], None]:
    def way(anna: Node) -> None:
        anna.sql(f"DROP TRIGGER {name}")
        anna.sql(write)
    return way


def _alter_trigger(anna: Node) -> None:
    anna.sql("CREATE OR REPLACE TRIGGER tandem_ai_t AFTER INSERT ON t FOR EACH ROW SET @seen=1")
    anna.sql("INSERT INTO t VALUES (70,7,7)")


def _foreign_definer(anna: Node) -> None:
    (body,) = anna.sql("SELECT ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_NAME='tandem_ai_t'"
                       " AND TRIGGER_SCHEMA=DATABASE()")[0]
    anna.sql("DROP TRIGGER tandem_ai_t")
    anna.sql("INSERT INTO t VALUES (70,7,7)")
    anna.server.sql("CREATE OR REPLACE USER gone@localhost")
    anna.sql("CREATE DEFINER=gone@localhost TRIGGER tandem_ai_t AFTER INSERT ON t FOR EACH ROW " + body)
    anna.server.sql("DROP USER gone@localhost")
    with pytest.raises(pymysql.err.OperationalError):
        anna.sql("INSERT INTO t VALUES (71,7,7)")


HOLDING: dict[str, tuple[Callable[[Node], None], str]] = {
    "swapped": (_swap, "recreated or swapped"),
    "dropped and created": (_recreate, "recreated or swapped"),
    "created or replaced": (_replace, "recreated or swapped"),
    "restored from a dump": (_restore(), "restored from a dump"),
    "restored from a dump with routines": (_restore("--routines"), "restored from a dump"),
    "insert trigger dropped": (_drop_trigger("tandem_ai_t", "INSERT INTO t VALUES (70,7,7)"), "triggers were dropped"),
    "update trigger dropped": (_drop_trigger("tandem_au_t", "UPDATE t SET v=7777 WHERE id=7"), "triggers were dropped"),
    "delete trigger dropped": (_drop_trigger("tandem_ad_t", "DELETE FROM t WHERE id=7"), "triggers were dropped"),
    "trigger altered": (_alter_trigger, "altered or created anew"),
    "trigger of a definer who is gone": (_foreign_definer, "altered or created anew"),
}
CHOICES = ("theirs to here", "mine to there", "compare and merge")


def _choose(node: Node, choice: str) -> None:
    """Run the command that --status names for the choice, word for word."""
    (moved,) = _moved(node)
    (command,) = [each["command"] for each in moved["choices"] if each["choice"] == choice]
    assert command in node.agent("--status", check=5).stdout
    ran = subprocess.run(["sh", "-c", command.replace("agent ", " ".join(node.command()) + " ", 1)],
                         capture_output=True, text=True, cwd=node.folder, check=False)
    assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"


@pytest.mark.parametrize("way", HOLDING)
def test_a_table_that_was_written_without_its_triggers_is_held(fresh_pair: Pair, way: str) -> None:
    done, word = HOLDING[way]
    anna, bert = _ready(fresh_pair)
    _pending_on_both(anna, bert)
    done(anna)
    before = _rows(bert)
    anna.drain(check=5)
    assert _rows(bert) == before, "nothing is sent from a table that is held"
    assert [row[0] for row in bert.sql("SELECT v FROM u WHERE id=1")] == [1], "the other table went on"
    (moved,) = _moved(anna)
    assert (moved["table"], moved["state"]) == ("t", "held") and moved["records"] > 0
    assert word in moved["what"] and word in _log(anna) and "table t is held" in _log(anna)
    status = anna.status()
    assert status["peers"][0]["in_step"] is False and status["peers"][0]["parked"] == 0
    anna.agent("--wait", "5", check=5)
    # Writes are captured again, and wait; what comes from the peer is applied.
    anna.sql("INSERT INTO t VALUES (80,8,8)")
    anna.drain(check=5)
    assert all(state == "waiting" and attempts == 0 for _, _, state, attempts, _ in hand.owed(anna))
    choice = CHOICES[list(HOLDING).index(way) % len(CHOICES)]
    _choose(anna, choice)
    assert _moved(anna) == []
    fresh_pair.settle()
    assert fresh_pair.differences(["t", "u"]) == []


@pytest.mark.parametrize("choice", CHOICES)
def test_each_choice_that_status_names_ends_with_both_sides_equal(fresh_pair: Pair, choice: str) -> None:
    anna, _bert = _ready(fresh_pair)
    _swap(anna)
    anna.drain(check=5)
    _choose(anna, choice)
    fresh_pair.settle()
    assert fresh_pair.differences(["t", "u"]) == []
    if choice == "theirs to here":
        assert len(_rows(anna)) == ROWS and _rows(anna)[5] == (5, 7)
    if choice == "mine to there":
        assert 5 not in _rows(anna) and _rows(anna)[6] == (6, 8)


FAMILY = ("CREATE TABLE par (id INT PRIMARY KEY)", "CREATE TABLE mid (id INT PRIMARY KEY, par INT, FOREIGN KEY (par) REFERENCES par (id) ON DELETE CASCADE)",
          "CREATE TABLE ch (id INT PRIMARY KEY, mid INT, FOREIGN KEY (mid) REFERENCES mid (id) ON DELETE SET NULL)",
          "INSERT INTO par VALUES (1), (2), (3)", "INSERT INTO mid VALUES (10,1), (20,2), (30,3)", "INSERT INTO ch VALUES (100,10), (200,20), (300,30)")


def _family(pair: Pair) -> tuple[Node, Node]:
    """Only the grandchildren are replicated; anna is in step."""
    for node in pair.nodes:
        node.change_conf({"sync": {"exclude": "par, mid"}})
    hand.everywhere(pair, *FAMILY)
    anna, bert = _ready(pair)
    assert {name for (name,) in anna.sql("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_TABLE='par'"
                                         " AND TRIGGER_SCHEMA=DATABASE()")} >= {"tandem_bd_par"}
    return anna, bert


@pytest.mark.parametrize("how", ["DROP TRIGGER tandem_bd_par", "CREATE OR REPLACE TRIGGER tandem_bd_par BEFORE DELETE ON par FOR EACH ROW SET @x=1"])
def test_triggers_of_a_parent_that_is_not_replicated_are_put_back_and_what_hangs_on_it_is_compared(fresh_pair: Pair, how: str) -> None:
    anna, bert = _family(fresh_pair)
    before = anna.sql("SHOW CREATE TRIGGER tandem_bd_par")[0][2]
    anna.sql(how)
    anna.drain(check=0)
    assert anna.sql("SHOW CREATE TRIGGER tandem_bd_par")[0][2] == before
    assert _moved(anna) == [], "equal: free by itself"
    assert "table ch: the triggers of table par, which is not replicated" in _log(anna)
    anna.sql("DELETE FROM par WHERE id=1")
    anna.drain(check=0)
    assert bert.sql("SELECT id, mid FROM ch ORDER BY id")[0] == (100, None)
    anna.sql(how)
    anna.sql("DELETE FROM par WHERE id=2")
    anna.drain(check=5)
    (moved,) = _moved(anna)
    assert (moved["table"], moved["state"], moved["records"]) == ("ch", "held", 1) and "par" in moved["what"]
    _choose(anna, "mine to there")
    anna.sql("DELETE FROM par WHERE id=3")
    anna.drain(check=0)
    assert bert.sql("SELECT id, mid FROM ch ORDER BY id") == [(100, None), (200, None), (300, None)]


def test_a_trigger_that_is_dropped_while_the_tables_are_looked_at_is_noticed_by_the_next_look(fresh_pair: Pair) -> None:
    anna, _bert = _ready(fresh_pair)
    anna.drain(check=0)
    reader = anna.connect(autocommit=False)
    hand.run(reader, "SELECT COUNT(*) FROM t")
    dropping = threading.Thread(target=anna.sql, args=("DROP TRIGGER tandem_ad_t",))
    dropping.start()
    until(lambda: anna.sql("SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata%'"), 30, "it waits")
    anna.drain(check=0)
    reader.commit()
    reader.close()
    dropping.join()
    anna.sql("DELETE FROM t WHERE id=4")
    anna.drain(check=5)
    (moved,) = _moved(anna)
    assert moved["state"] == "held" and moved["records"] == 1
    assert anna.sql("SHOW CREATE TRIGGER tandem_ad_t")


@pytest.mark.parametrize("chooser, choice", [("anna", "mine to there"), ("bert", "theirs to here"), ("bert", "compare and merge")])
def test_one_command_on_either_side_ends_the_hold_on_both(fresh_pair: Pair, chooser: str, choice: str) -> None:
    anna, bert = _ready(fresh_pair)
    anna.drain()
    _swap(anna)
    bert.sql("DROP TRIGGER tandem_au_t")
    bert.sql("UPDATE t SET v=1000 WHERE id=3")
    fresh_pair.start_serve()
    until(lambda: all(moved["state"] == "held" for node in (anna, bert) for moved in _moved(node) or [{"state": ""}]), 30, "held on both")
    _choose(fresh_pair[chooser], choice)
    until(lambda: _moved(anna) + _moved(bert) == [], 30, "free on both")
    fresh_pair.settle()
    assert fresh_pair.differences(["t", "u"]) == []


def test_a_table_whose_age_the_server_did_not_say_is_not_taken_for_an_altered_one(fresh_pair: Pair) -> None:
    """CREATE_TIME is NULL now and then: the server could not open the table just then."""
    anna, _ = _ready(fresh_pair)
    hand.sync(anna, "UPDATE sync_identity SET created='' WHERE table_name='t'")
    hand.sync(anna, "UPDATE sync_identity SET noted_at=created WHERE table_name='u'")  # young: noted again when it is not
    hand.transaction(anna, "UPDATE t SET v=101 WHERE id=1", "UPDATE u SET v=1 WHERE id=1")
    anna.drain(check=0)
    fresh_pair.settle()
    assert fresh_pair.differences(["t", "u"]) == []
    assert "was compared" not in _log(anna) and "looking at the tables" not in _log(anna)
    assert hand.sync(anna, "SELECT COUNT(*) FROM sync_identity WHERE created=''") == [(0,)]


@pytest.mark.parametrize("event", ["ai", "au", "ad"])
def test_a_table_whose_triggers_went_but_that_is_still_equal_is_released_by_itself(
        fresh_pair: Pair, event: str) -> None:
    anna, bert = _ready(fresh_pair)
    anna.sql(f"DROP TRIGGER tandem_{event}_t")
    anna.drain(check=0)
    assert _moved(anna) == []
    hand.transaction(anna, "INSERT INTO t VALUES (70,7,7)", "UPDATE t SET v=5 WHERE id=1", "DELETE FROM t WHERE id=2")
    anna.drain(check=0)
    assert fresh_pair.differences(["t", "u"]) == [] and len(_rows(bert)) == ROWS


def test_a_table_that_was_excluded_for_a_while_is_compared_when_it_is_included(fresh_pair: Pair) -> None:
    anna, _bert = _ready(fresh_pair)
    anna.change_conf({"sync": {"exclude": "t"}})
    anna.install()
    anna.sql("UPDATE t SET v=7777 WHERE id=7")
    anna.change_conf({"sync": {"exclude": None}})
    anna.install()
    anna.drain(check=5)
    (moved,) = _moved(anna)
    assert moved["state"] == "held" and "not replicated for a while" in moved["what"]
    _choose(anna, "mine to there")
    fresh_pair.settle()
    assert fresh_pair.differences(["t", "u"]) == [] and _rows(anna)[7][0] == 7777


def test_after_uninstall_and_install_tables_are_compared_and_merged_before_anything_is_sent(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    bert.stop_serve()
    anna.agent("--uninstall", check=0)
    anna.sql("UPDATE t SET v=7777 WHERE id=7")
    anna.install()
    bert.agent("--install", "--peer", "anna", check=0)
    anna.agent("--install", "--peer", "bert", check=0)
    bert.start_serve()
    anna.drain(check=0)
    fresh_pair.settle()
    assert _moved(anna) == [] and fresh_pair.differences(["t", "u"]) == []
    kept = [row for node in fresh_pair.nodes for row in hand.sync(node, "SELECT local_row, remote_row FROM sync_conflict")]
    assert _rows(anna)[7][0] == 7777 or any("7777" in str(row) for row in kept), "nobody can know which is later"


def test_while_a_daemon_serves_a_truncated_table_arrives_too(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    anna.start_serve()
    anna.sql("TRUNCATE t")
    until(lambda: not _rows(bert), 30, "the deletes arrive")
    fresh_pair.wait_quiet()
    assert fresh_pair.differences(["t", "u"]) == []


def test_a_dump_can_be_loaded_while_a_daemon_puts_triggers_back(fresh_pair: Pair) -> None:
    anna, _bert = _ready(fresh_pair)
    older = _dump(anna)
    anna.start_serve()
    for _ in range(5):
        anna.server.script(older, anna.database)
    until(lambda: not _moved(anna), 30, "the table, equal again, is free again")
    fresh_pair.wait_quiet()
    assert fresh_pair.differences(["t", "u"]) == []


# whose triggers they are ---------------------------------------------------------------------------

def _install_as_boss(node: Node) -> None:
    """By an account of its own; the agent goes on with its usual one."""
    node.server.sql("CREATE OR REPLACE USER boss@localhost IDENTIFIED BY %s", [PASSWORD])
    node.server.sql("GRANT ALL ON *.* TO boss@localhost WITH GRANT OPTION")
    node.change_conf({"database": {"user": "boss"}})
    node.install()
    node.change_conf({"database": {"user": ACCOUNT}})


@pytest.mark.parametrize("knows", [False, True], ids=["accounts hidden", "accounts readable"])
def test_triggers_of_an_account_that_was_dropped_are_made_anew(fresh_pair: Pair, knows: bool) -> None:
    anna, bert = _ready(fresh_pair)
    _install_as_boss(anna)
    anna.server.sql("DROP USER boss@localhost")
    if knows:
        anna.server.sql(f"GRANT SELECT ON mysql.global_priv TO '{ACCOUNT}'@'localhost'")
    with pytest.raises(pymysql.err.OperationalError) as refused:
        anna.sql("UPDATE t SET v=101 WHERE id=1")
    assert refused.value.args[0] == 1449
    check = anna.agent("--check").stdout
    assert "account that is gone" in check and "1449" in check
    assert anna.drain(check=0) is not None
    anna.sql("UPDATE t SET v=101 WHERE id=1")
    anna.drain(check=0)
    fresh_pair.settle()
    assert fresh_pair.differences(["t", "u"]) == [] and _rows(bert)[1][0] == 101
    assert "was dropped" in _log(anna) and "was compared" not in _log(anna)
    assert "is gone" not in anna.agent("--check").stdout
    if knows:
        anna.server.sql(f"REVOKE SELECT ON mysql.global_priv FROM '{ACCOUNT}'@'localhost'")


def test_whoever_installs_owns_every_trigger(fresh_pair: Pair) -> None:
    anna, _bert = _ready(fresh_pair)
    for account in ("boss", ACCOUNT):
        _install_as_boss(anna) if account == "boss" else anna.install()
        assert anna.sql("SELECT DISTINCT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=DATABASE()") == [(f"{account}@localhost",)]
    anna.server.sql("DROP USER boss@localhost")
    anna.sql("UPDATE t SET v=101 WHERE id=1")
    anna.drain(check=0)
    fresh_pair.settle()
    assert fresh_pair.differences(["t", "u"]) == [] and "was compared" not in _log(anna)


# who may see the ids --------------------------------------------------------------------------------

def test_without_process_install_and_check_say_that_truncate_cannot_be_noticed(fresh_pair: Pair) -> None:
    hand.everywhere(fresh_pair, TABLE)
    fresh_pair.anna.server.sql(f"REVOKE PROCESS ON *.* FROM '{ACCOUNT}'@'localhost'")
    assert "TRUNCATE cannot be noticed" in fresh_pair.anna.install().stdout
    assert "TRUNCATE" in fresh_pair.anna.agent("--check").stdout
    fresh_pair.anna.server.sql(f"GRANT PROCESS ON *.* TO '{ACCOUNT}'@'localhost'")
    assert "TRUNCATE" not in fresh_pair.anna.install().stdout
    assert "TRUNCATE" not in fresh_pair.anna.agent("--check").stdout


def test_an_agent_without_process_sees_through_the_account_that_installed(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    hand.everywhere(fresh_pair, TABLE, "INSERT INTO t VALUES (1,1,1)")
    anna.server.sql("CREATE OR REPLACE USER boss@localhost IDENTIFIED BY %s", [PASSWORD])
    anna.server.sql("GRANT ALL ON *.* TO boss@localhost WITH GRANT OPTION")
    anna.change_conf({"database": {"user": "boss"}})
    fresh_pair.install()
    anna.change_conf({"database": {"user": ACCOUNT}})
    anna.server.sql(f"REVOKE PROCESS ON *.* FROM '{ACCOUNT}'@'localhost'")
    fresh_pair.bert.start_serve()
    anna.drain(check=0)
    anna.sql("TRUNCATE t")
    anna.drain(check=0)
    assert fresh_pair.differences(["t"]) == []
