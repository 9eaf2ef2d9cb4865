"""The app's own triggers: a choice is asked for; guarded they fire for the app alone, and both ends are
equal; nothing of their text, settings and order is lost on the way there and back."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence

import pymysql
import pytest

from lab import Node, Pair
from lab.server import find_program
from lab.waiting import until

pytestmark = pytest.mark.slow

Created = dict[str, tuple[object, ...]]

SHOP = """
CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL, amount INT NOT NULL, stamped DATETIME(6));
CREATE TABLE totals (customer INT PRIMARY KEY, amount INT NOT NULL, orders INT NOT NULL);
CREATE TABLE audit (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(60), at DATETIME(6));
CREATE TABLE plain (id INT PRIMARY KEY, v INT);
DELIMITER //
CREATE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW SET NEW.stamped = NOW(6)//
CREATE TRIGGER derive AFTER INSERT ON orders FOR EACH ROW
BEGIN
  INSERT INTO totals VALUES (NEW.customer, NEW.amount, 1) ON DUPLICATE KEY UPDATE amount = amount + NEW.amount, orders = orders + 1;
END//
CREATE TRIGGER write_down AFTER INSERT ON orders FOR EACH ROW INSERT INTO audit (what, at) VALUES (CONCAT('new ', NEW.id), NOW(6))//
CREATE TRIGGER derive_u AFTER UPDATE ON orders FOR EACH ROW
BEGIN
  UPDATE totals SET amount = amount - OLD.amount, orders = orders - 1 WHERE customer = OLD.customer;
  INSERT INTO totals VALUES (NEW.customer, NEW.amount, 1) ON DUPLICATE KEY UPDATE amount = amount + NEW.amount, orders = orders + 1;
END//
CREATE TRIGGER write_down_u AFTER UPDATE ON orders FOR EACH ROW INSERT INTO audit (what, at) VALUES (CONCAT('was ', OLD.id, ' is ', NEW.id), NOW(6))//
CREATE TRIGGER derive_d AFTER DELETE ON orders FOR EACH ROW
  UPDATE totals SET amount = amount - OLD.amount, orders = orders - 1 WHERE customer = OLD.customer//
"""
GUARD = {"table orders": {"app_triggers": "guard"}}
RUN = {"table orders": {"app_triggers": "run"}}


def may_name_definers(node: Node) -> None:
    """The app's triggers belong to root here: the agent's account may make such ones too."""
    node.server.sql("GRANT SET USER ON *.* TO 'tandem'@'localhost'")


def shop(pair: Pair, conf: dict[str, dict[str, str | None]]) -> None:
    """Both laptops with the shop, its triggers, and the choice."""
    for node in pair.nodes:
        node.server.script(SHOP, node.database)
        may_name_definers(node)
        node.change_conf(conf)


def created(node: Node) -> Created:
    """Every trigger but the agent's: its settings, its text in bytes, its place."""
    connection = node.server.connect(node.database)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, DEFINER, ACTION_ORDER"
                           " FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=%s AND TRIGGER_NAME NOT LIKE 'tandem\\_%%'"
                           " ORDER BY 2,3,4,6", [node.database])
            rows = list(cursor.fetchall())
            cursor.execute("SET character_set_results=binary")
        return {str(name): (*rest, place, *_shown(node, str(name)))
                for place, (name, *rest, _order) in enumerate(rows)}
    finally:
        connection.close()


def _shown(node: Node, name: str) -> tuple[bytes, ...]:
    command = [*node.server.client(node.database), "--raw", "--skip-column-names", "-e",
               f"SET character_set_results=binary; SHOW CREATE TRIGGER `{name.replace('`', '``')}`"]
    shown = subprocess.run(command, capture_output=True, check=True).stdout
    return tuple(shown.rsplit(b"\t", 1)[:1])  # all but the time of its making


def bodies(node: Node) -> dict[str, str]:
    """The body of each of the app's triggers."""
    return {str(name): str(body) for name, body in node.server.sql(
        "SELECT TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=%s"
        " AND TRIGGER_NAME NOT LIKE 'tandem\\_%%'", [node.database])}


def token(node: Node) -> str:
    """What this installation's guards carry."""
    return str(node.server.sql(f"SELECT token FROM `{node.sync_database}`.sync_node")[0][0])


def guarded(node: Node) -> set[str]:
    """The app's triggers that this installation guards."""
    return {name for name, body in bodies(node).items()
            if body.startswith(f"IF @tandem_skip_{token(node)} IS NULL THEN") and body.endswith("\n;END IF")}


def ours(node: Node, table: str) -> int:
    """How many triggers of the agent stand on the table."""
    return int(node.server.sql("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=%s AND EVENT_OBJECT_TABLE=%s"
                               " AND TRIGGER_NAME LIKE 'tandem\\_%%'", [node.database, table])[0][0])


def write(node: Node, *statements: str) -> None:
    """As the app does."""
    for statement in statements:
        node.server.sql(statement, db=node.database)


# the choice --------------------------------------------------------------------------------------

def test_without_a_choice_the_table_is_refused_with_both_choices_and_the_others_are_installed(
        fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    shop(fresh_pair, {})
    before = created(anna)
    for said in (anna.agent("--install", "--dry-run", check=5), anna.agent("--install", check=5)):
        assert "[table orders]" in said.stdout
        assert "app_triggers = guard" in said.stdout and "app_triggers = run" in said.stdout
        for name in ("stamp", "derive", "write_down", "derive_u", "write_down_u", "derive_d"):
            assert name in said.stdout
        assert "orders" in said.stderr
    assert ours(anna, "orders") == 0 and ours(anna, "plain") >= 3
    assert created(anna) == before
    assert "[table orders]" in anna.agent("--check", check=1).stdout
    assert "orders" in anna.agent("--status", check=5).stdout
    named = {(one["table"], one["trigger"]) for one in anna.status()["app_triggers"]}
    assert ("orders", "stamp") in named
    assert anna.agent("--install", "-q", check=5).stderr  # never a silent refusal
    anna.change_conf(GUARD)
    anna.install()
    assert guarded(anna) == set(before)
    assert ours(anna, "orders") >= 3
    anna.agent("--status", check=0)


def test_one_line_in_sync_is_a_choice_for_all_tables_and_a_tables_own_goes_before_it(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    shop(fresh_pair, {})
    all_of_them = created(anna)
    anna.change_conf({"sync": {"app_triggers": "guard"}})
    anna.install()
    assert guarded(anna) == set(all_of_them)
    anna.agent("--status", check=0)
    anna.change_conf(RUN)
    anna.install()
    assert guarded(anna) == set()


def test_a_table_in_use_that_gets_a_trigger_is_captured_on_and_waits_for_the_choice(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.nodes
    for node in fresh_pair.nodes:
        node.server.script("CREATE TABLE t (id INT PRIMARY KEY, v INT, n INT NOT NULL DEFAULT 0)", node.database)
        may_name_definers(node)
    fresh_pair.install()
    write(anna, "INSERT INTO t VALUES (1, 1, 0)")
    fresh_pair.settle()
    for node in fresh_pair.nodes:
        write(node, "CREATE TRIGGER count_up BEFORE UPDATE ON t FOR EACH ROW SET NEW.n = OLD.n + 1")
        node.agent("--install", check=5)
        assert ours(node, "t") >= 3
    write(anna, "UPDATE t SET v = 2")
    fresh_pair.start_serve()
    until(lambda: anna.drain().returncode == 0 and "count_up" in anna.agent("--status").stdout, 30,
          "the change waits, and the reason is told")
    assert bert.server.sql("SELECT v, n FROM t", db="app") == [(1, 0)]
    fresh_pair.stop_serve()
    for node in fresh_pair.nodes:
        node.change_conf({"table t": {"app_triggers": "guard"}})
        node.install()
    fresh_pair.settle()
    assert bert.server.sql("SELECT v, n FROM t", db="app") == [(2, 1)]
    fresh_pair.assert_equal()


# what arrives ------------------------------------------------------------------------------------

def test_guarded_triggers_leave_both_ends_equal_in_both_directions(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.nodes
    shop(fresh_pair, GUARD)
    fresh_pair.install()
    write(anna, "INSERT INTO orders (customer, amount) VALUES (1, 10), (2, 20), (1, 5)",
          "UPDATE orders SET amount = amount + 1 WHERE customer = 1")
    fresh_pair.settle()
    fresh_pair.assert_equal()
    write(bert, "INSERT INTO orders (customer, amount) VALUES (3, 7)", "UPDATE orders SET customer = 2 WHERE amount = 11",
          "UPDATE orders SET id = id + 1000 WHERE amount = 20", "DELETE FROM orders WHERE amount = 6")
    write(anna, "INSERT INTO orders (customer, amount) VALUES (9, 9)")
    fresh_pair.settle()
    fresh_pair.assert_equal()
    for node in fresh_pair.nodes:
        assert node.server.sql("SELECT customer, amount, orders FROM totals WHERE orders > 0 ORDER BY 1", db="app") == [
            (2, 31, 2), (3, 7, 1), (9, 9, 1)]
        assert node.server.sql("SELECT COUNT(*) FROM audit", db="app") == [(5 + 2 + 2,)]
        assert node.server.sql("SELECT COUNT(*) FROM orders WHERE stamped IS NULL", db="app") == [(0,)]


def test_run_lets_them_fire_again_where_a_change_arrives(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.nodes
    shop(fresh_pair, RUN)
    before = created(anna)
    fresh_pair.install()
    assert created(anna) == before
    write(anna, "INSERT INTO orders (customer, amount) VALUES (1, 10)")
    fresh_pair.settle(codes=(0, 5))
    assert bert.server.sql("SELECT COUNT(*) FROM orders", db="app") == [(1,)]
    # One audit row came, one was written by the trigger there: in the same place or beside it.
    assert bert.server.sql("SELECT COUNT(*) FROM audit", db="app") == [(2,)]


def test_guarded_triggers_on_tables_with_cascades_leave_both_ends_equal(fresh_pair: Pair) -> None:
    for node in fresh_pair.nodes:
        node.server.script("""
CREATE TABLE parent (id INT PRIMARY KEY, v INT, touched INT NOT NULL DEFAULT 0);
CREATE TABLE child (id INT AUTO_INCREMENT PRIMARY KEY, parent INT NOT NULL, v INT,
  FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40));
CREATE TRIGGER p1 BEFORE UPDATE ON parent FOR EACH ROW SET NEW.touched = OLD.touched + 1;
CREATE TRIGGER p2 AFTER DELETE ON parent FOR EACH ROW INSERT INTO log (what) VALUES (CONCAT('gone ', OLD.id));
CREATE TRIGGER c1 AFTER INSERT ON child FOR EACH ROW UPDATE parent SET v = v + NEW.v WHERE id = NEW.parent;
""", node.database)
        may_name_definers(node)
        node.change_conf({"table parent": {"app_triggers": "guard"}, "table child": {"app_triggers": "guard"}})
    anna, bert = fresh_pair.nodes
    fresh_pair.install()
    write(anna, "INSERT INTO parent (id, v) VALUES (1, 0), (2, 0), (3, 0)", "INSERT INTO child (parent, v) VALUES (1, 5), (2, 6), (3, 7), (1, 1)")
    fresh_pair.settle()
    write(bert, "UPDATE parent SET id = 10 WHERE id = 1", "INSERT INTO child (parent, v) VALUES (10, 100)")
    fresh_pair.settle()
    write(anna, "DELETE FROM parent WHERE id = 2", "UPDATE parent SET v = v + 1")
    fresh_pair.settle()
    fresh_pair.assert_equal()
    assert bert.server.sql("SELECT id, v, touched FROM parent ORDER BY id", db="app") == [(3, 8, 2), (10, 107, 5)]


# text, settings, order ---------------------------------------------------------------------------

MODE = "SET SESSION sql_mode = "
LONG = "BEGIN DECLARE x INT DEFAULT 0; " + "SET x = x + 1; " * 4500 + "SET NEW.n = x; END"
# Statements of one session each; every trigger adds its name to NEW.s or counts in NEW.n.
ODD: Sequence[tuple[str, ...]] = (
    ("CREATE TRIGGER one BEFORE INSERT ON t FOR EACH ROW SET NEW.s = CONCAT(NEW.s, '1') /* kept */ -- to the end",),
    ("CREATE TRIGGER /* c */ two /*c*/ before\n-- here\n insert on t for each row follows one /*x*/\nBEGIN SET NEW.s = CONCAT(NEW.s, '2'); END # end",),
    ("CREATE TRIGGER three BEFORE INSERT ON app.t FOR EACH ROW PRECEDES one lab: BEGIN SET NEW.s = CONCAT(NEW.s, '3'); LEAVE lab; SET NEW.s = 'no'; END lab",),
    (MODE + "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
     "CREATE TRIGGER \"q \"\"x`\" BEFORE INSERT ON \"t\" FOR EACH ROW SET NEW.\"s\" = CONCAT(NEW.s, '\\')"),
    (MODE + "ORACLE", "CREATE TRIGGER ora BEFORE INSERT ON t FOR EACH ROW DECLARE x VARCHAR(9) := 'o'; BEGIN :NEW.s := :NEW.s || x; END;"),
    (MODE + "ORACLE", "CREATE TRIGGER ora2 BEFORE INSERT ON t FOR EACH ROW PRECEDES ora :NEW.s := :NEW.s || 'p'"),
    (MODE + "ORACLE", "CREATE TRIGGER ora3 BEFORE INSERT ON t FOR EACH ROW/**/PRECEDES ora2/*c*/:NEW.s := :NEW.s || 'q'"),
    (MODE + "ORACLE", "CREATE TRIGGER ora4 BEFORE INSERT ON t FOR EACH ROW\n\n PRECEDES ora3 <<l>> BEGIN :NEW.s := :NEW.s || 'r'; END"),
    (MODE + "'IGNORE_SPACE'", "CREATE TRIGGER spaced BEFORE INSERT ON t FOR EACH ROW\n\n PRECEDES ora4\tSET NEW.s = CONCAT(NEW.s, 's')"),
    (MODE + "''", "CREATE DEFINER = nobody@'%' TRIGGER late AFTER DELETE ON t FOR EACH ROW SET @gone = OLD.id"),
    ("CREATE TRIGGER handled BEFORE INSERT ON t FOR EACH ROW BEGIN DECLARE c CURSOR FOR SELECT id FROM t; DECLARE CONTINUE HANDLER FOR NOT FOUND"
     " BEGIN END; IF NEW.id < 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'it''s \"no\"'; END IF; CASE WHEN 1 THEN BEGIN END; END CASE; END",),
    ("CREATE TRIGGER iffy BEFORE UPDATE ON t FOR EACH ROW IF NEW.id <> OLD.id THEN SET NEW.n = -1; ELSE SET NEW.n = OLD.n + 1; END IF",),
    ("CREATE TRIGGER `if` BEFORE UPDATE ON t FOR EACH ROW SET NEW.s = OLD.s",),
    ("SET NAMES latin1 COLLATE latin1_german2_ci", "CREATE TRIGGER r\xe9 BEFORE INSERT ON t FOR EACH ROW SET NEW.s = CONCAT(NEW.s, '\xe9')"),
    ("SET NAMES latin1", "CREATE TRIGGER plain_l1 BEFORE INSERT ON t FOR EACH ROW SET NEW.s = CONCAT(NEW.s, '\xfc\xe4')"),
    ("CREATE TRIGGER \u540d BEFORE INSERT ON t FOR EACH ROW PRECEDES handled SET NEW.s = CONCAT(NEW.s, '\u540d\U0001f600')",),
    ("CREATE TRIGGER long_one BEFORE INSERT ON t FOR EACH ROW " + LONG,),
    ("CREATE TRIGGER versioned BEFORE INSERT ON t FOR EACH ROW BEGIN /*!50000 SET NEW.s = CONCAT(NEW.s, 'v'); */ /*!99999 nonsense */ END",),
)


def odd_triggers(node: Node) -> None:
    """A table with a trigger of every kind; the order is not the order of making."""
    node.server.script("CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL DEFAULT '', n INT)",
                       node.database)
    for statements in ODD:
        charset = "latin1" if statements[0].startswith("SET NAMES latin1") else "utf-8"
        connection = node.server.connect(node.database)
        try:
            for statement in statements:
                connection._execute_command(3, statement.encode(charset))  # pylint: disable=protected-access
                connection._read_query_result()  # pylint: disable=protected-access
        finally:
            connection.close()
    may_name_definers(node)
    node.change_conf({"table t": {"app_triggers": "guard"}})


def effect(node: Node, key: int) -> tuple[object, ...]:
    """What the triggers make of a row of the app."""
    write(node, f"INSERT INTO t (id) VALUES ({key})", f"UPDATE t SET n = n WHERE id = {key}")
    return node.server.sql("SELECT s, n FROM t WHERE id = %s", [key], db=node.database)[0]


def test_text_settings_and_order_come_back_to_the_byte_and_work_meanwhile(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    odd_triggers(anna)
    before, does = created(anna), effect(anna, 1)
    assert len(before) == len(ODD)
    anna.install()
    assert guarded(anna) == set(before)
    settings = [(row[:5]) for row in before.values()]
    assert [(row[:5]) for row in created(anna).values()] == settings  # table, event, definer, place
    assert list(created(anna)) == list(before)
    assert effect(anna, 2) == does
    again = created(anna)
    assert "0 guarded now" in anna.install().stdout
    assert created(anna) == again  # nothing to do, nothing done
    connection = anna.server.connect("app")
    with connection, connection.cursor() as cursor:
        cursor.execute(f"SET @tandem_skip_{token(anna)} = 1")
        cursor.execute("INSERT INTO t (id) VALUES (3)")
        cursor.execute("SELECT s, n FROM t WHERE id = 3")
        assert cursor.fetchall() == (("", None),)  # not one of them fired
    anna.agent("--uninstall", check=0)
    assert created(anna) == before
    assert effect(anna, 4) == does


def test_a_trigger_made_with_if_not_exists_comes_back_without_these_words(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    write(anna, "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
          "CREATE TRIGGER IF NOT EXISTS a BEFORE INSERT ON t FOR EACH ROW SET NEW.v = 1")
    may_name_definers(anna)
    anna.change_conf({"table t": {"app_triggers": "guard"}})
    before = created(anna)
    anna.install()
    assert guarded(anna) == {"a"}
    anna.agent("--uninstall", check=0)
    assert created(anna)["a"][-1] == before["a"][-1].replace(b" IF NOT EXISTS", b"")


def test_the_choice_taken_back_or_turned_to_run_restores_the_text_and_a_dry_run_tells(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    shop(fresh_pair, GUARD)
    before = created(anna)
    told = anna.agent("--install", "--dry-run", check=0).stdout
    assert "would guard trigger stamp of the app on table orders" in told
    assert created(anna) == before
    anna.install()
    assert guarded(anna) == set(before)
    anna.change_conf(RUN)
    told = anna.agent("--install", "--dry-run", check=0).stdout
    assert "would take the guard off trigger stamp of the app on table orders" in told
    assert guarded(anna) == set(before)
    anna.install()
    assert created(anna) == before
    anna.change_conf(GUARD)
    anna.install()
    anna.change_conf({"table orders": {"app_triggers": None}})
    anna.agent("--install", check=5)
    assert created(anna) == before
    anna.change_conf({**GUARD, "sync": {"exclude": "orders"}})
    anna.install()
    assert created(anna) == before


def test_guarding_under_busy_writers_misses_none_of_their_writes(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    shop(fresh_pair, GUARD)
    anna.agent("--install", check=0)
    stop, failures = threading.Event(), []

    def writer(customer: int) -> None:
        connection = anna.server.connect("app")
        try:
            with connection.cursor() as cursor:
                while not stop.is_set():
                    cursor.execute("INSERT INTO orders (customer, amount) VALUES (%s, 1)", [customer])
        except pymysql.Error as failure:
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=writer, args=(customer,)) for customer in (1, 2)]
    for thread in threads:
        thread.start()
    try:
        for choice in (RUN, GUARD, RUN, GUARD):
            anna.change_conf(choice)
            anna.install()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    rows = int(anna.server.sql("SELECT COUNT(*) FROM orders", db="app")[0][0])
    assert rows > 20
    assert anna.server.sql("SELECT SUM(orders) FROM totals", db="app") == [(rows,)]
    assert anna.server.sql("SELECT COUNT(*) FROM audit", db="app") == [(rows,)]


# later edits -------------------------------------------------------------------------------------

def test_what_the_app_replaces_or_adds_is_noticed_and_guarded_before_a_change_arrives(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.nodes
    shop(fresh_pair, GUARD)
    fresh_pair.install()
    fresh_pair.start_serve()
    write(anna, "INSERT INTO orders (customer, amount) VALUES (1, 10)")
    fresh_pair.wait_quiet()
    write(bert, "CREATE OR REPLACE TRIGGER write_down AFTER INSERT ON orders FOR EACH ROW INSERT INTO audit (what) VALUES ('new text')",
          "DROP TRIGGER derive", "CREATE TRIGGER derive AFTER INSERT ON orders FOR EACH ROW INSERT INTO audit (what) VALUES ('once more')",
          "CREATE TRIGGER added AFTER INSERT ON orders FOR EACH ROW INSERT INTO audit (what) VALUES ('added')")
    wrong = bert.agent("--check", check=1).stdout
    for name in ("write_down", "derive", "added"):
        assert f"trigger {name} of the app on table orders is not guarded" in wrong
    assert "agent --install" in wrong

    def noticed() -> bool:
        write(anna, "INSERT INTO orders (customer, amount) VALUES (1, 1)")
        fresh_pair.wait_quiet()
        return guarded(bert) == set(bodies(bert))

    until(noticed, 30, "the agent guards them again")
    write(bert, "DELETE FROM audit WHERE what IN ('new text', 'once more', 'added')")
    write(anna, "INSERT INTO orders (customer, amount) VALUES (5, 5)")
    fresh_pair.wait_quiet()
    assert bert.server.sql("SELECT COUNT(*) FROM audit WHERE what NOT LIKE 'new %%'", db="app") == [(0,)]
    fresh_pair.stop_serve()
    assert "of the app" not in bert.agent("--check").stdout
    bert.agent("--uninstall", check=0)
    assert bodies(bert)["write_down"] == "INSERT INTO audit (what) VALUES ('new text')"


def test_install_guards_what_the_app_replaced_and_adds(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    shop(fresh_pair, GUARD)
    anna.install()
    write(anna, "CREATE OR REPLACE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW SET NEW.stamped = '2020-01-01'",
          "CREATE TRIGGER first BEFORE INSERT ON orders FOR EACH ROW PRECEDES stamp SET NEW.amount = NEW.amount + 1")
    order = list(created(anna))
    assert "2 guarded now, 5 were guarded" in anna.install().stdout
    assert guarded(anna) == set(order)
    assert list(created(anna)) == order


def test_a_dump_of_the_other_laptop_comes_with_its_guards_and_gets_this_ones(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.nodes
    shop(fresh_pair, GUARD)
    before, text = created(bert), bodies(bert)
    fresh_pair.install()
    dump = subprocess.run([find_program("mariadb-dump", "mysqldump"), "--no-defaults", f"--socket={anna.server.socket}", "--user=root", "app"],
                          capture_output=True, check=True).stdout
    bert.server.script(dump.decode(), "app")
    assert guarded(bert) == set() and guarded(anna) == set(before)
    assert all(token(anna) in body for body in bodies(bert).values())
    assert "not guarded" in bert.agent("--check", check=1).stdout
    bert.install()
    assert guarded(bert) == set(before)
    assert all(token(anna) not in body for body in bodies(bert).values())
    bert.agent("--uninstall", check=0)
    assert bodies(bert) == text


# what stands in the way --------------------------------------------------------------------------

def test_a_trigger_of_another_account_needs_a_privilege_and_the_remedy_is_named(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    anna.server.script(SHOP, anna.database)
    anna.change_conf(GUARD)
    before = created(anna)
    said = anna.agent("--install", check=5)
    assert "GRANT SET USER" in said.stdout and "orders" in said.stderr
    assert created(anna) == before
    assert ours(anna, "orders") == 0 and ours(anna, "plain") >= 3
    assert "orders" in anna.agent("--status", check=5).stdout
    may_name_definers(anna)
    anna.install()
    assert guarded(anna) == set(before)
    anna.server.sql("REVOKE SET USER ON *.* FROM 'tandem'@'localhost'")
    said = anna.agent("--uninstall", check=3)
    assert "GRANT SET USER" in said.stderr
    assert anna.server.sql("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='app_sync'")
    write(anna, "INSERT INTO orders (customer, amount) VALUES (1, 1)")  # the app goes on
    may_name_definers(anna)
    anna.agent("--uninstall", check=0)
    assert created(anna) == before


def test_a_trigger_that_the_agent_may_not_guard_makes_what_arrives_wait(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.nodes
    shop(fresh_pair, GUARD)
    fresh_pair.install()
    bert.server.sql("REVOKE SET USER ON *.* FROM 'tandem'@'localhost'")
    write(bert, "CREATE OR REPLACE TRIGGER derive AFTER INSERT ON orders FOR EACH ROW INSERT INTO audit (what) VALUES ('twice')")
    write(anna, "INSERT INTO orders (customer, amount) VALUES (1, 10)", "INSERT INTO plain VALUES (1, 1)")
    fresh_pair.start_serve()
    until(lambda: "cannot be guarded" in anna.agent("--status").stdout, 30, "the reason is told")
    assert bert.server.sql("SELECT COUNT(*) FROM orders", db="app") == [(0,)]
    assert bert.server.sql("SELECT COUNT(*) FROM plain", db="app") == [(1,)]
    assert bert.server.sql("SELECT COUNT(*) FROM audit WHERE what = 'twice'", db="app") == [(0,)]
    assert "trigger derive of the app is not guarded" in bert.agent("--status", check=5).stdout
    may_name_definers(bert)  # for new connections; no restart
    bert.install()
    bert.stop_serve()
    bert.start_serve()
    fresh_pair.settle()
    fresh_pair.assert_equal()
    fresh_pair.stop_serve()


def test_the_binary_log_without_the_privilege_names_the_remedy_and_changes_nothing() -> None:
    with Pair(schemas=(), server_options=["--log-bin=changes"]) as pair:
        anna = pair.anna
        shop(pair, GUARD)
        before = created(anna)
        for table in ("orders", "the others too"):
            said = anna.agent("--install", check=3)
            assert "log_bin_trust_function_creators=1" in said.stderr, table
            assert created(anna) == before
            anna.change_conf({"sync": {"exclude": "orders"}})
        anna.change_conf({"sync": {"exclude": None}})
        anna.server.sql("SET GLOBAL log_bin_trust_function_creators=1")
        anna.install()
        assert guarded(anna) == set(before)
        anna.server.sql("SET GLOBAL log_bin_trust_function_creators=0")
        assert "log_bin_trust_function_creators=1" in anna.agent("--uninstall", check=3).stderr
        write(anna, "INSERT INTO orders (customer, amount) VALUES (1, 1)")
        anna.server.sql("SET GLOBAL log_bin_trust_function_creators=1")
        anna.agent("--uninstall", check=0)
        assert created(anna) == before
        # an administrator needs neither this setting nor any privilege for the agent's account
        anna.server.sql("SET GLOBAL log_bin_trust_function_creators=0")
        anna.server.sql("REVOKE SET USER ON *.* FROM 'tandem'@'localhost'")
        anna.agent("--install", "--admin-user", "root", check=0)
        assert guarded(anna) == set(before)
        anna.agent("--uninstall", "--admin-user", "root", check=0)
        assert created(anna) == before
        assert anna.server.sql("SELECT @@global.log_bin_trust_function_creators") == [(0,)]


def test_a_decided_conflict_does_not_fire_a_trigger_that_the_app_has_made_since(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.nodes
    shop(fresh_pair, GUARD)
    fresh_pair.install()
    write(anna, "INSERT INTO orders (customer, amount) VALUES (1, 10)")
    fresh_pair.settle()
    for node, amount in ((anna, 20), (bert, 30)):
        write(node, f"UPDATE orders SET amount = {amount}")
    fresh_pair.settle()
    kept = "SELECT id FROM app_sync.sync_conflict WHERE table_name='orders'"
    node = next(node for node in fresh_pair.nodes if node.server.sql(kept))
    conflict = node.server.sql(kept)[0]
    write(node, "CREATE TRIGGER fresh AFTER UPDATE ON orders FOR EACH ROW INSERT INTO audit (what) VALUES ('fired')")
    for keep in ("local", "remote"):
        node.agent("--resolve", str(conflict[0]), "--keep", keep, check=0)
    assert node.server.sql("SELECT COUNT(*) FROM audit WHERE what = 'fired'", db="app") == [(0,)]
    assert "fresh" in guarded(node)


def test_a_damaged_guard_and_another_collation_of_the_database_are_told(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    shop(fresh_pair, GUARD)
    anna.install()
    write(anna, f"CREATE OR REPLACE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW IF @tandem_skip_{token(anna)} IS NULL THEN SET NEW.stamped = NOW(); END IF")
    assert "does not end as one" in anna.agent("--install", check=5).stdout
    write(anna, "CREATE OR REPLACE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW SET NEW.stamped = NOW()")
    write(anna, "ALTER DATABASE app COLLATE utf8mb4_bin")
    said = anna.agent("--install", check=5).stdout
    assert "utf8mb4_general_ci" in said and "make it anew" in said
    write(anna, "ALTER DATABASE app COLLATE utf8mb4_general_ci")
    anna.install()


@pytest.mark.parametrize("choice", ["guard", "run"])
def test_a_choice_for_tables_without_triggers_changes_nothing(fresh_pair: Pair, choice: str) -> None:
    anna = fresh_pair.anna
    write(anna, "CREATE TABLE t (id INT PRIMARY KEY)")
    anna.change_conf({"table t": {"app_triggers": choice}, "table nowhere": {"app_triggers": choice}})
    assert "of the app" not in anna.install().stdout
    assert "of the app" not in anna.agent("--check").stdout
