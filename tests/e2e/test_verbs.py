"""Every verb does what it says and nothing beside, ends with the exit code that scripts go by, and
says what is wrong in one line with the remedy. The page's server answers as it should."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import Fault, Node, Pair, hand, places, ports, process, until
from lab.node import ACCOUNT, PASSWORD

T = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))"
DONE, FAILED, USAGE, DATABASE, PEER, PERSON = range(6)

Ran = subprocess.CompletedProcess


def _ready(pair: Pair, *ddl: str) -> tuple[Node, Node]:
    """Installed, bert not serving."""
    hand.everywhere(pair, *(ddl or (T,)))
    pair.install()
    return pair.anna, pair.bert


def _refused(node: Node, *args: str, code: int, says: str, timeout: float = 30) -> str:
    """The verb ends with the code and one line that holds the words; the line."""
    ran = node.agent(*args, check=code, timeout=timeout)
    return _one_line(ran, says)


def _one_line(ran: Ran[str], says: str) -> str:
    lines = ran.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("agent: "), ran.stderr
    assert says.lower() in lines[0].lower(), lines[0]
    return lines[0]


def _bare(*args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Ran[str]:
    """The agent without a node."""
    return subprocess.run([str(places.agent_binary()), *args], text=True, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=30, cwd=cwd,
                          env={**{k: v for k, v in os.environ.items() if k != "AGENT_CONF"}, **(env or {})})


# the command line --------------------------------------------------------------------------------

@pytest.mark.parametrize(("words", "says"), [
    ([], "nothing to do"), (["--frobnicate"], "unknown word"), (["--drian"], "--drain"), (["drain"], "--drain"),
    (["--drain", "--status"], "one verb a call"), (["--drain", "--drain"], "twice"), (["-x", "--drain"], "unknown word"),
    (["--status", "--no-such-option"], "unknown word"), (["--status", "--dry-run"], "does not take --dry-run"),
    (["--install", "--allow-deletes"], "does not take"), (["--serve", "--peer", "bert"], "does not take"),
    (["--drain", "-q", "-v"], "contradict"), (["--retry"], "ID|all"), (["--discard"], "ID"), (["--retry="], "empty"),
    (["--drain=now"], "no argument"), (["--drain", "--config"], "--config"), (["--drain", "--config="], "--config"),
    (["--drain", "--json=yes"], "no argument"), (["--status", "-q", "-q"], "twice"), (["\x1b[31m\n"], "unknown word"),
    (["--"], "unknown word"), ([""], "unknown word"),
])
def test_wrong_usage_is_refused_in_one_line(words: list[str], says: str) -> None:
    ran = _bare(*words)
    assert (ran.returncode, ran.stdout) == (USAGE, "")
    assert "\x1b" not in _one_line(ran, says)


@pytest.mark.parametrize("word", ["--help", "-h", "--version"])
def test_help_and_version_need_no_file(word: str, tmp_path: Path) -> None:
    ran = _bare(word, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (DONE, "") and "agent" in ran.stdout
    if word != "--version":
        for code in range(6):
            assert f"\n  {code}  " in ran.stdout


def test_output_that_cannot_be_written_is_a_failure() -> None:
    with open("/dev/full", "w") as full:
        ran = subprocess.run([str(places.agent_binary()), "--help"], stdout=full, stderr=subprocess.PIPE,
                             text=True, check=False)
    assert ran.returncode == FAILED and "disk full" in ran.stderr and ran.stderr.count("\n") == 1


# agent.conf --------------------------------------------------------------------------------------

@pytest.mark.parametrize(("line", "says"), [
    ("[sync]\nintervall = 1s", "unknown option"), ("[synk]\n", "unknown section"), ("[sync]\ninterval = 5", "interval"),
    ("[sync]\ninterval = 1s\ninterval = 2s", "already"), ("[sync]\nretention_days = some", "retention_days"), ("[peer x]\nurl = ftp://h", "url"),
    ("[peer x]\nurl = http://h:1/path\n", "url"), ("[peer x y!]\n", "name"), ("[node]\n", "already"), ("no equals sign", ""),
    ("[sync]\nmax_attempts = 99999999999999999999", "max_attempts"), ("[sync]\nconflict = mine", "conflict"),
    ("[tree t]\npath = /x", "mode"), ("[sync]\nexclude = a\0b", ""), ("[peer x]\nurl = http://h:1\nkey = 12", "key"),
])
def test_a_broken_file_is_refused_with_the_number_of_the_line(fresh_pair: Pair, line: str, says: str) -> None:
    anna = fresh_pair.anna
    anna.change_conf({"sync": {"startup": None}})
    before = anna.conf_path.read_text().rstrip("\n") + "\n"
    with open(anna.conf_path, "a") as conf:
        conf.write("\n" + line + "\n")
    said = _refused(anna, "--status", code=USAGE, says=says)
    first = before.count("\n") + 1
    numbers = range(first + 1, first + 3 + line.count("\n"))
    assert any(f"agent.conf:{number}: " in said for number in numbers), said


def test_a_file_that_others_may_read_or_that_is_not_there_is_refused(fresh_pair: Pair, tmp_path: Path) -> None:
    anna = fresh_pair.anna
    for mode in (0o640, 0o604, 0o660):
        anna.conf_path.chmod(mode)
        _refused(anna, "--status", code=USAGE, says="chmod 600")
    anna.conf_path.unlink()
    _refused(anna, "--status", code=USAGE, says="--init")
    anna.conf_path.symlink_to(tmp_path / "elsewhere")
    _refused(anna, "--status", code=USAGE, says="symbolic link")
    anna.conf_path.unlink()
    anna.conf_path.mkdir()
    _refused(anna, "--status", code=USAGE, says="directory")
    anna.conf_path.rmdir()


def test_the_file_is_found_by_option_environment_or_folder(fresh_pair: Pair, tmp_path: Path) -> None:
    anna, _ = _ready(fresh_pair)
    assert _bare("--status", env={"AGENT_CONF": str(anna.conf_path)}, cwd=tmp_path).returncode == DONE
    assert _bare("--status", cwd=anna.folder).returncode == DONE
    ran = _bare("--status", "--config", "/nowhere/agent.conf", env={"AGENT_CONF": str(anna.conf_path)}, cwd=anna.folder)
    assert ran.returncode == USAGE and "/nowhere/agent.conf" in _one_line(ran, "--init")


def test_init_writes_a_private_file_once_that_passes_the_check_when_filled_in(fresh_pair: Pair, tmp_path: Path) -> None:
    anna, conf = fresh_pair.anna, tmp_path / "agent.conf"
    ran = _bare("--init", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (DONE, "") and "./agent.conf" in ran.stdout
    assert conf.stat().st_mode & 0o777 == 0o600
    text = conf.read_text()
    again = _bare("--init", cwd=tmp_path)
    assert again.returncode == USAGE and "never overwrites" in _one_line(again, "exists")
    assert conf.read_text() == text
    (tmp_path / "other").mkdir()
    assert _bare("--init", "-q", "--config", str(tmp_path / "other/a.conf")).stdout == ""
    secrets = [line for line in text.splitlines() if "key = " in line]
    others = (tmp_path / "other/a.conf").read_text()
    assert len(secrets) == 2 and not any(line in others for line in secrets), "keys must be fresh"
    for old, new in (("user = tandem\n", f"user = {ACCOUNT}\n"), ("; password =\n", f"password = {PASSWORD}\n"),
                     ("; socket =\n", f"socket = {anna.server.socket}\n"), ("; state_dir =\n", f"state_dir = {tmp_path}/state\n"),
                     ("; [peer other-laptop]", "[peer bert]"), ("; key = ", "key = "),
                     ("; url =", f"url = https://127.0.0.1:{fresh_pair.bert.listen_port}")):
        assert old in text, old
        text = text.replace(old, new)
    conf.write_text(text)
    anna.sql(T)
    assert _bare("--check", cwd=tmp_path).returncode == DONE  # a warning: not installed yet
    assert _bare("--install", cwd=tmp_path).returncode == DONE
    checked = _bare("--check", cwd=tmp_path)
    assert checked.returncode == PEER and "problem" not in checked.stdout and "1 tables" in checked.stdout


# the database is not usable ----------------------------------------------------------------------

DATABASE_VERBS = ["--check", "--install", "--uninstall", "--drain", "--serve", "--status", "--parked", "--wait"]


@pytest.mark.parametrize("verb", DATABASE_VERBS)
def test_a_wrong_password_or_a_missing_database_ends_every_verb_with_3(fresh_pair: Pair, verb: str) -> None:
    anna, _ = _ready(fresh_pair)
    anna.change_conf({"database": {"password": "wrong word"}})
    assert "wrong word" not in _refused(anna, verb, code=DATABASE, says="[database] user and password")
    anna.change_conf({"database": {"password": PASSWORD, "name": "nowhere", "sync_database": "nowhere_sync"}})
    if verb != "--uninstall":  # there is nothing to take away
        _refused(anna, verb, code=DATABASE, says="nowhere")


def test_a_server_that_is_down_ends_every_verb_with_3_and_names_the_option(fresh_pair: Pair) -> None:
    anna, _ = _ready(fresh_pair)
    for option, value, says in (("socket", "/nowhere/socket", "[database] socket"), ("socket", None, "host and port")):
        anna.change_conf({"database": {option: value, "port": str(ports.take())}})
        for verb in DATABASE_VERBS:
            if verb != "--serve":
                assert "running?" in _refused(anna, verb, code=DATABASE, says=says)


@pytest.mark.parametrize("verb", ["--drain", "--serve", "--status", "--parked", "--wait", "--retry", "--discard"])
def test_what_needs_the_schema_says_to_install_when_it_is_not_there(fresh_pair: Pair, verb: str) -> None:
    anna = fresh_pair.anna
    anna.sql(T)
    arguments = [verb, "1"] if verb in ("--retry", "--discard") else [verb]
    _refused(anna, *arguments, code=DATABASE, says="run agent --install")
    anna.install()
    hand.sync(anna, "DROP TABLE sync_node")
    _refused(anna, *arguments, code=DATABASE, says="run agent --install")


def test_check_says_to_install_when_the_schema_is_not_there(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    anna.sql(T)
    assert "run agent --install" in anna.agent("--check", check=DONE).stdout
    assert anna.sql("SHOW DATABASES LIKE 'app\\_sync'") == []


@contextmanager
def _account(node: Node, *grants: str) -> Iterator[None]:
    """The agent's account with these privileges on the app's database and no others, for a while."""
    try:
        node.server.sql(f"REVOKE ALL ON `{node.database}`.* FROM '{ACCOUNT}'@'localhost'")
        for grant in grants:
            node.server.sql(f"GRANT {grant} TO '{ACCOUNT}'@'localhost'")
        yield
    finally:
        node._make_account()


def test_an_account_without_trigger_privilege_is_told_so(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    anna.sql(T)
    with _account(anna, "SELECT, INSERT, UPDATE, DELETE ON app.*"):
        _refused(anna, "--install", code=DATABASE, says="TRIGGER")
        checked = anna.agent("--check", check=FAILED).stdout
        assert any("TRIGGER" in line and "GRANT" in line for line in checked.splitlines()), checked
    anna.sql("INSERT INTO t VALUES (1, 'the app goes on')")


def test_an_account_without_select_on_one_table_is_told_so_and_the_app_goes_on(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    hand.everywhere(fresh_pair, T, "CREATE TABLE u (id INT PRIMARY KEY, v VARCHAR(40))")
    with _account(anna, "TRIGGER, INSERT, UPDATE, DELETE ON app.*", "SELECT ON app.t"):
        ran = anna.agent("--install")
        told = ran.returncode == DATABASE or "table u" in ran.stdout
        anna.sql("INSERT INTO u VALUES (1, 'a')")  # never fails because of the agent
        assert told, ran.stdout + ran.stderr
        assert anna.agent("--check", check=FAILED).stdout.count("SELECT")


# install, uninstall ------------------------------------------------------------------------------

SHAPES = (
    "CREATE TABLE plain (id INT PRIMARY KEY, v INT) COMMENT 'x'", "CREATE TABLE child (id INT PRIMARY KEY, p INT,"
    " CONSTRAINT f FOREIGN KEY (p) REFERENCES plain (id) ON DELETE CASCADE)", "CREATE VIEW seen AS SELECT v FROM plain",
    "CREATE TABLE `od``d 'one'` (`k y` VARCHAR(40) CHARACTER SET latin1 PRIMARY KEY)", "CREATE TABLE nokey (a INT)",
    "CREATE TABLE isam (id INT PRIMARY KEY) ENGINE=MyISAM", "CREATE SEQUENCE numbers",
    "CREATE TRIGGER own BEFORE INSERT ON plain FOR EACH ROW SET NEW.v=IFNULL(NEW.v,0)",
    "CREATE TRIGGER own_after AFTER INSERT ON plain FOR EACH ROW INSERT INTO nokey VALUES (NEW.v)",
    "CREATE PROCEDURE work() INSERT INTO plain VALUES (99, 99)", "CREATE FUNCTION two() RETURNS INT RETURN 2",
    "CREATE EVENT later ON SCHEDULE EVERY 1 YEAR DO DELETE FROM nokey", f"CREATE TABLE {'w' * 64} (id INT PRIMARY KEY)")


CHOICE = {"table plain": {"app_triggers": "run"}}


def _schema(node: Node) -> dict[str, Any]:
    """Everything that the app's database is made of."""
    names = [name for (name,) in node.sql("SHOW TABLES")]
    quoted = ["`" + name.replace("`", "``") + "`" for name in names]
    return {
        "databases": sorted(node.server.sql("SHOW DATABASES")),
        "tables": {name: node.sql(f"SHOW CREATE TABLE {quoted_name}")[0][:2] for name, quoted_name in zip(names, quoted)},
        "triggers": node.sql("SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_STATEMENT, ACTION_ORDER, ACTION_TIMING,"
                             " SQL_MODE, DEFINER FROM information_schema.TRIGGERS ORDER BY 1"),
        "routines": node.sql("SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES"
                             " WHERE ROUTINE_SCHEMA<>'sys' AND ROUTINE_SCHEMA<>'mysql' ORDER BY 1, 2"),
        "events": node.sql("SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS ORDER BY 1"),
        "options": node.sql("SELECT TABLE_NAME, CREATE_OPTIONS, TABLE_COMMENT FROM information_schema.TABLES"
                            " WHERE TABLE_SCHEMA=DATABASE() ORDER BY 1"),
    }


def _ours(node: Node) -> dict[str, tuple[str, str]]:
    """Our triggers: name to table and body."""
    return {name: (table, body) for name, table, body in node.sql(
        "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_STATEMENT FROM information_schema.TRIGGERS"
        " WHERE TRIGGER_SCHEMA=DATABASE() AND TRIGGER_NAME LIKE 'tandem\\_%'")}


def test_install_names_what_it_cannot_replicate_and_takes_the_rest(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    hand.everywhere(fresh_pair, *SHAPES, "CREATE TABLE wide (k VARCHAR(2000) CHARACTER SET latin1 PRIMARY KEY)",
                    "CREATE TABLE part (a VARCHAR(900), PRIMARY KEY (a(10)))")
    for node in fresh_pair.nodes:
        node.change_conf(CHOICE)
    fresh_pair.bert.install()
    said = anna.install().stdout
    assert "4 tables are replicated (13 triggers set" in said
    for table in ("nokey", "isam", "numbers", "wide", "part"):
        assert f"not replicated: table {table} " in said
    assert "table seen" not in said  # a view: the tables below it are replicated
    shown = json.loads(anna.agent("--check", "--json", check=(FAILED, PEER)).stdout)["findings"]
    assert [one for one in shown if "view" in one["finding"] and one["severity"] == "note"], shown
    for table, words in {"nokey": "no primary key", "isam": "MyISAM", "numbers": "sequence", "wide": "key",
                         "part": "prefix"}.items():
        (found,) = [one for one in shown if f"table {table} " in one["finding"] and "own" not in one["finding"]]
        assert words in found["finding"] and found["remedy"], found
    assert not [one for one in shown if one["remedy"] == "run agent --install"], shown
    assert [one for one in shown if one["finding"].startswith("4 tables")], shown
    anna.sql("INSERT INTO plain VALUES (1, 1)")
    anna.sql("INSERT INTO wide VALUES ('k')")
    fresh_pair.settle()
    assert fresh_pair.bert.sql("SELECT * FROM plain") == [(1, 1)]


def test_install_again_changes_nothing_and_mends_what_was_broken(fresh_pair: Pair) -> None:
    anna, _ = _ready(fresh_pair, T, "CREATE TABLE u (id INT PRIMARY KEY)", "CREATE TABLE w (id INT PRIMARY KEY)")
    ours, schema, identity = _ours(anna), _schema(anna), hand.sync(anna, "SELECT * FROM sync_node")
    assert "(0 triggers set, 9 were right, 0 removed)" in anna.install().stdout
    anna.sql("INSERT INTO t VALUES (1, 'queued')")
    hand.run(anna.connect(), "DROP TRIGGER tandem_au_t", "CREATE OR REPLACE TRIGGER tandem_ai_u AFTER INSERT ON u"
             " FOR EACH ROW SET @x=1", "CREATE TRIGGER tandem_ai_gone AFTER INSERT ON w FOR EACH ROW SET @x=1",
             "SET sql_mode=''", f"CREATE OR REPLACE TRIGGER tandem_ad_w AFTER DELETE ON w FOR EACH ROW {ours['tandem_ad_w'][1]}")
    found = [one["finding"] for one in json.loads(anna.agent("--check", "--json", check=FAILED).stdout)["findings"]
             if one["severity"] == "problem"]
    assert len(found) == 3 and all(f"table {name} " in " ".join(found) for name in "tuw"), found
    assert "(3 triggers set, 6 were right, 1 removed)" in anna.install().stdout
    assert _ours(anna) == ours and _schema(anna) == schema
    assert hand.sync(anna, "SELECT * FROM sync_node") == identity and anna.queue() == {"pending": 1}


def test_install_takes_its_triggers_off_a_table_that_was_excluded_and_puts_them_back(fresh_pair: Pair) -> None:
    anna, _ = _ready(fresh_pair, T, "CREATE TABLE u (id INT PRIMARY KEY)")
    ours = _ours(anna)
    anna.change_conf({"sync": {"exclude": "u"}})
    assert "1 tables are replicated (0 triggers set, 3 were right, 3 removed)" in anna.install().stdout
    assert {table for table, _ in _ours(anna).values()} == {"t"}
    anna.change_conf({"sync": {"exclude": None, "tables": "[a-z], ?"}})
    assert "2 tables are replicated (3 triggers set" in anna.install().stdout
    assert _ours(anna) == ours


def test_a_dry_run_of_install_and_uninstall_changes_nothing(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    hand.run(anna.connect(), *SHAPES)
    anna.change_conf(CHOICE)
    before = _schema(anna)
    assert "would" in anna.agent("--install", "--dry-run", check=DONE).stdout and _schema(anna) == before
    anna.install()
    anna.sql("DROP TRIGGER tandem_ai_plain")
    anna.sql("INSERT INTO plain VALUES (1, 1)")
    before, queue = _schema(anna), anna.queue()
    assert "plain" in anna.agent("--install", "--dry-run", check=DONE).stdout
    assert "would" in anna.agent("--uninstall", "--dry-run", check=DONE).stdout
    assert (_schema(anna), anna.queue()) == (before, queue)


@pytest.mark.parametrize("dropped", [False, True], ids=["in order", "after the sync database was dropped"])
def test_uninstall_leaves_the_apps_database_as_it_was(fresh_pair: Pair, dropped: bool) -> None:
    anna = fresh_pair.anna
    hand.run(anna.connect(), *SHAPES)
    anna.change_conf(CHOICE)
    before = _schema(anna)
    anna.install()
    anna.sql("INSERT INTO plain VALUES (1, 1)")
    assert _schema(anna) != before
    if dropped:
        anna.server.sql("DROP DATABASE app_sync")
    assert "13 triggers" in anna.agent("--uninstall", check=DONE).stdout
    assert _schema(anna) == before
    anna.sql("UPDATE plain SET v=2")
    assert "0 triggers" in anna.agent("--uninstall", check=DONE).stdout
    anna.install()
    anna.sql("UPDATE plain SET v=3")
    assert anna.queue() == {"pending": 1}


# drain -------------------------------------------------------------------------------------------

def test_a_drain_beside_another_says_so_and_succeeds(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    bert.start_serve()
    link = fresh_pair.wire["anna", "bert"]
    anna.sql("INSERT INTO t VALUES (1, 'a')")
    fault = link.plan(Fault("hold_response", "/api/sync/receive"))
    first = subprocess.Popen(anna.command("--drain"), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             stdin=subprocess.DEVNULL, preexec_fn=process.dies_with_parent())
    try:
        until(lambda: fault.hits, 10, "the first drain waits for its answer")
        second = anna.drain(check=DONE)
        assert "another drain to peer bert is running" in second.stdout and second.stderr == ""
        assert anna.drain("-q", check=DONE).stdout == ""
    finally:
        fault.release()
        out, _ = first.communicate(timeout=30)
    assert first.returncode == DONE and "1 records sent" in out
    assert bert.sql("SELECT id FROM t") == [(1,)]


def test_a_dry_run_of_drain_counts_by_table_and_changes_nothing(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, T, "CREATE TABLE u (id INT PRIMARY KEY)")
    hand.transaction(anna, "INSERT INTO t VALUES (1,'a'),(2,'b'),(3,'c')", "UPDATE t SET v='x'", "INSERT INTO u VALUES (1)")

    def state() -> list[Any]:
        return [hand.sync(anna, f"SELECT * FROM {table}") for table in ("sync_queue", "sync_epoch", "sync_peer", "sync_owed")]

    bert.start_serve()
    before, passed = state(), fresh_pair.wire["anna", "bert"].requests
    for _ in range(2):
        said = anna.drain("--dry-run", check=DONE).stdout
        assert "bert" in said and "t: 3 records" in said and "u: 1 records" in said
    shown = json.loads(anna.drain("--dry-run", "--json", check=DONE).stdout)
    assert [(peer["name"], peer["records"]) for peer in shown["peers"]] == [("bert", {"t": 3, "u": 1})]
    assert state() == before and fresh_pair.wire["anna", "bert"].requests > passed  # bert was asked
    fresh_pair.settle()
    assert "nothing" in anna.drain("--dry-run", check=DONE).stdout


def test_quiet_verbs_print_nothing_on_success(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.anna, fresh_pair.bert
    hand.everywhere(fresh_pair, T)
    for node in fresh_pair.nodes:
        ran = node.agent("--install", "-q", check=DONE)
        assert (ran.stdout, ran.stderr) == ("", "")
    bert.start_serve()
    bert.sql("ALTER TABLE t ADD CHECK (id<>7)")
    anna.sql("INSERT INTO t VALUES (1, 'a')")
    for words in (["--drain", "--dry-run"], ["--drain"], ["--wait", "5"], ["--check"], ["--status"], ["--parked"],
                  ["--install", "--dry-run"], ["--uninstall", "--dry-run"], ["--install", "--peer", "bert"]):
        ran = anna.agent(*words, "-q", check=DONE)
        assert (ran.stdout, ran.stderr) == ("", ""), words
    for verb in ("--retry", "--discard"):
        anna.sql("REPLACE INTO t VALUES (7, 'refused')")
        until(lambda: anna.drain("-q").returncode == PERSON, 20, "it is parked")
        (parked,) = json.loads(anna.agent("--parked", "--json", check=PERSON).stdout)["parked"]
        ran = anna.agent(verb, str(parked["id"]), "-q", check=DONE)
        assert (ran.stdout, ran.stderr) == ("", "")
    ran = anna.agent("--uninstall", "-q", check=DONE)
    assert (ran.stdout, ran.stderr) == ("", "")


# peers that are not there, or not what they should be --------------------------------------------

def _loses_nothing(node: Node, code: int, says: str, timeout: float = 30) -> str:
    """A drain ends with the code and one line, and what was pending stays so and is no attempt."""
    before = node.queue()
    said = _refused(node, "--drain", code=code, says=says, timeout=timeout)
    assert node.queue() == before and hand.owed(node) == []
    peer = node.status()["peers"][0]
    assert (peer["in_step"], peer["pending"], peer["parked"]) == (False, 1, 0) and peer["last_error"]
    return said


def test_a_peer_that_is_away_is_4_and_named(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    anna.sql("INSERT INTO t VALUES (1, 'a')")
    anna.change_conf({"peer bert": {"url": f"http://127.0.0.1:{bert.listen_port}"}})
    for _ in range(4):  # more often than max_attempts
        _loses_nothing(anna, PEER, "refused the connection")
    assert "start agent --serve there" in anna.agent("--check", check=PEER).stdout
    anna.change_conf({"peer bert": {"url": "http://no-such-laptop.invalid:8440"}})
    _loses_nothing(anna, PEER, "no-such-laptop.invalid")


def test_a_peer_with_another_key_is_refused_and_the_key_not_told(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    bert.start_serve()
    anna.sql("INSERT INTO t VALUES (1, 'a')")
    right = anna.conf["peer bert"]["key"]
    anna.change_conf({"peer bert": {"key": "ab" * 32}})
    _loses_nothing(anna, PEER, "key the same")
    checked = anna.agent("--check", check=PEER).stdout
    assert "key the same" in checked and "ab" * 32 not in checked
    anna.change_conf({"peer bert": {"key": right}})
    anna.drain(check=DONE)


class _Fake(threading.Thread):
    """Something on a port that is no Tandem agent: each connection is given to answer()."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        super().__init__(daemon=True)
        self._answer, self._socket = answer, socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self.start()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            try:
                self._answer(connection)
            except OSError:
                pass

    def close(self) -> None:
        """Wakes accept() as well."""
        self._socket.shutdown(socket.SHUT_RDWR)
        for one in (self._socket, *self._open):
            one.close()


@contextmanager
def _fake(node: Node, answer: Callable[[socket.socket], None]) -> Iterator[_Fake]:
    """The fake stands where the node looks for bert."""
    one = _Fake(answer)
    node.change_conf({"peer bert": {"url": one.url}, "sync": {"timeout": "1s"}})
    try:
        yield one
    finally:
        one.close()


def _portal(connection: socket.socket) -> None:
    connection.recv(65536)
    page = b"<html>Welcome to the hotel's network\x1b[31m</html>"
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page) + page)


def _elsewhere(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")


def _garbage(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"SSH-2.0-\x1b[2J\0\xff\xfe" + bytes(range(256)) * 8 + b"\r\n")
    connection.close()


def _silent(connection: socket.socket) -> None:
    pass


def _dribble(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Tandem-Mac: " + b"a" * 64 + b"\r\nContent-Length: 1000\r\n\r\n{")


@pytest.mark.parametrize(("answer", "says"), [
    (_portal, "is that a Tandem agent"), (_elsewhere, "is that a Tandem agent"), (_garbage, "127.0.0.1"),
    (_silent, "no answer for 1 s"), (_dribble, "no answer for 1 s")], ids=lambda one: getattr(one, "__name__", None))
def test_something_else_on_the_peers_port_is_no_peer(fresh_pair: Pair, answer: Callable[[socket.socket], None],
                                                     says: str) -> None:
    anna, _ = _ready(fresh_pair)
    anna.sql("INSERT INTO t VALUES (1, 'a')")
    with _fake(anna, answer) as fake:
        begun = time.monotonic()
        said = _loses_nothing(anna, PEER, says, timeout=10)
        assert fake.url in said and "\x1b" not in said and time.monotonic() - begun < 6
        assert fake.url in anna.agent("--check", check=PEER).stdout


# The signatures of docs/protocol.md, written down once more.

def _mac(key: bytes, *fields: str) -> bytes:
    return hmac.new(key, "".join(field + "\n" for field in fields).encode(), hashlib.sha256).digest()


def _about(body: bytes) -> tuple[str, str]:
    return str(len(body)), hashlib.sha256(body).hexdigest()


def _impostor(victim: Node, /, **changes: Any) -> Callable[[socket.socket], None]:
    """A peer bert with the right key, whose welcome differs in what changes say."""
    pair = bytes.fromhex(str(victim.conf["peer bert"]["key"]))

    def answer(connection: socket.socket) -> None:
        request = connection.recv(65536)
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        head = dict(line.split(": ", 1) for line in request.split(b"\r\n\r\n")[0].decode().split("\r\n")[1:])
        welcome = {"welcome": "1", "node": "bert", "incarnation": "b" * 32, "session": "a" * 32 + ".1." + "b" * 64, "knows": "",
                   "cursor": {"epoch": "0", "stamp": ""}, "clock": str(int(time.time() * 1e6)), **changes}
        body = json.dumps(welcome, separators=(",", ":")).encode() + b"\n"
        mac = _mac(_mac(pair, "tandem1 key", "bert", "anna"), "tandem1 response", "200", head["X-Tandem-Mac"], *_about(body))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-tandem\r\nContent-Length: %d\r\n"
                           b"X-Tandem-Mac: %s\r\n\r\n" % (len(body), mac.hex().encode()) + body)

    return answer


def _incarnation(node: Node) -> str:
    return str(hand.sync(node, "SELECT incarnation FROM sync_node")[0][0])


@pytest.mark.parametrize(("changes", "says"), [
    ({"welcome": "99"}, "protocol version 99"), ({"node": "carl"}, "carl"), ({"incarnation": "mine"}, "very database"),
    ({"clock": "1000000000000000"}, "clock")], ids=["protocol", "name", "mirror", "clock"])
def test_a_peer_of_another_version_name_database_or_time_is_refused_with_the_reason(
        fresh_pair: Pair, changes: dict[str, str], says: str) -> None:
    anna, _ = _ready(fresh_pair)
    anna.sql("INSERT INTO t VALUES (1, 'a')")
    if changes.get("incarnation") == "mine":
        changes = {"incarnation": _incarnation(anna)}
    with _fake(anna, _impostor(anna, **changes)):
        ran = anna.drain(check=(FAILED, PERSON))
        _one_line(ran, says)
        assert ran.returncode == (FAILED if "welcome" in changes else PERSON)
        assert anna.queue() == {"pending": 1}
        checked = anna.agent("--check", check=FAILED).stdout
        problems = [line for line in checked.splitlines() if line.startswith("problem")]
        assert len(problems) == 1 and says in problems[0], checked


def _hello(node: Node, version: str) -> tuple[int, dict[str, Any]]:
    """Say hello to the node as its peer anna, signed; the answer."""
    pair = bytes.fromhex(str(node.conf["peer anna"]["key"]))
    body = json.dumps({"hello": version, "node": "anna", "incarnation": "c" * 32, "nonce": "d" * 32}).encode() + b"\n"
    mac = _mac(_mac(pair, "tandem1 key", "anna", "bert"), "tandem1 request", "POST", "/api/sync/hello", "anna", "bert", "", "0",
               *_about(body))
    connection = http.client.HTTPConnection("127.0.0.1", node.listen_port, timeout=10)
    try:
        connection.request("POST", "/api/sync/hello", body, {
            "Content-Type": "application/x-tandem", "X-Tandem-From": "anna", "X-Tandem-To": "bert", "X-Tandem-Counter": "0",
            "X-Tandem-Mac": mac.hex()})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read().split(b"\n")[0])
    finally:
        connection.close()


def test_a_caller_of_another_version_learns_the_version_spoken_here(fresh_pair: Pair) -> None:
    _, bert = _ready(fresh_pair)
    bert.start_serve()
    own, welcome = _hello(bert, "1")
    assert (own, welcome["welcome"], welcome["node"]) == (200, "1", "bert")
    status, said = _hello(bert, "99")
    assert said.get("welcome") == "1" if status == 200 else "version" in said["message"], said


# state_dir ---------------------------------------------------------------------------------------

def test_a_state_dir_that_cannot_be_made_is_2_and_one_that_cannot_be_written_is_1(fresh_pair: Pair, tmp_path: Path) -> None:
    anna, bert = _ready(fresh_pair, T, "CREATE TABLE big (id INT PRIMARY KEY, b LONGBLOB)")
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/no/such")):
        anna.change_conf({"node": {"state_dir": str(path)}})
        _refused(anna, "--status", code=USAGE, says=str(path))
    anna.change_conf({"node": {"state_dir": "/proc"}})  # is there, and nobody can make a file in it
    bert.start_serve()
    anna.sql("INSERT INTO t VALUES (1, 'small')")
    anna.drain(check=DONE)
    connection = anna.connect(autocommit=False, max_allowed_packet=64 << 20)
    hand.run(connection, *[("INSERT INTO big VALUES (%s, %s)", (n, os.urandom(4 << 20))) for n in range(5)])
    connection.commit()
    _refused(anna, "--drain", code=FAILED, says="[node] state_dir")
    assert anna.pending() == 5
    anna.change_conf({"node": {"state_dir": str(anna.folder / "state")}})
    anna.drain(check=DONE)
    fresh_pair.assert_equal()


# status, parked, wait, check ---------------------------------------------------------------------

def test_the_status_tells_the_truth_at_every_step(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, T, "CREATE TABLE u (id INT PRIMARY KEY)")
    bert.start_serve()

    def peer() -> dict[str, Any]:
        return anna.status()["peers"][0]

    assert (peer()["in_step"], peer()["last_success"], peer()["last_error"]) == (True, None, None)
    assert "in step" in anna.agent("--status", check=DONE).stdout and not fresh_pair.differences()
    hand.transaction(anna, "INSERT INTO t VALUES (1,'a'),(2,'b')", "INSERT INTO u VALUES (1)")
    status = anna.status()
    assert (status["node"], status["database"], status["peers"][0]["name"]) == ("anna", "app", "bert")
    assert status["pending_by_table"] == {"t": 2, "u": 1} and status["queue"]["pending"] == 3
    assert (peer()["in_step"], peer()["pending"]) == (False, 3) and "not in step" in anna.agent("--status", check=DONE).stdout
    anna.drain(check=DONE)
    status = anna.status()
    assert status["queue"] == {"pending": 0, "synced": 3, "failed": 0, "superseded": 0} and status["pending_by_table"] == {}
    assert peer()["in_step"] and peer()["records_sent"] == 3 and peer()["last_success"] and not fresh_pair.differences()
    assert [(one["peer"], one["direction"], one["records"], one["refused"]) for one in status["activity"]] == [("bert", "sent", 3, 0)]
    assert [(one["peer"], one["direction"], one["records"]) for one in bert.status()["activity"]] == [("anna", "applied", 3)]
    assert bert.status()["peers"][0]["records_applied"] == 3
    bert.sql("ALTER TABLE t ADD CHECK (v<>'no')")
    anna.sql("UPDATE t SET v='no' WHERE id=2")
    anna.drain(check=DONE)
    assert (peer()["in_step"], peer()["retry"]) == (False, 1)
    anna.drain(check=PERSON)
    assert (peer()["in_step"], peer()["parked"]) == (False, 1) and not bert.status()["peers"][0]["in_step"]
    assert "parked" in anna.agent("--status", check=PERSON).stdout and anna.status()["queue"]["failed"] == 1
    (parked,) = anna.status()["parked"]
    assert (parked["peer"], parked["table"], parked["record_id"], parked["attempts"]) == ("bert", "t", "2", 3)
    anna.agent("--discard", str(parked["id"]), check=DONE)
    assert (peer()["in_step"], peer()["discarded"]) == (False, 1) and fresh_pair.differences()
    anna.sql("UPDATE t SET v='yes' WHERE id=2")
    anna.drain(check=DONE)
    anna.start_serve()  # bert's table was altered: he compares it with anna's before he says so
    until(lambda: (bert.drain(), peer()["in_step"] and bert.status()["peers"][0]["in_step"])[1], 60, "both say in step")
    assert not fresh_pair.differences()


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside other changes"])
def test_a_table_altered_under_its_triggers_waits_for_the_peer_and_then_goes_on(fresh_pair: Pair, alone: bool) -> None:
    anna, bert = _ready(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "CREATE TABLE u (id INT PRIMARY KEY)")
    anna.sql("ALTER TABLE t CHANGE id number INT")
    anna.sql("INSERT INTO t VALUES (1, 1)")  # the app goes on
    if not alone:
        anna.sql("INSERT INTO u VALUES (1)")
    status = json.loads(anna.agent("--status", "--json", check=PERSON).stdout)
    assert status["dirty_tables"] == 1 and not status["peers"][0]["in_step"], "before any drain"
    bert.start_serve()
    anna.drain(check=DONE)
    status = json.loads(anna.agent("--status", "--json", check=DONE).stdout)
    assert status["dirty_tables"] == 0 and not status["peers"][0]["in_step"]
    said = anna.agent("--status", check=DONE).stdout
    assert "not in step" in said and "table t: its definition was altered" in said and "number" in said
    assert alone or bert.sql("SELECT id FROM u") == [(1,)]
    bert.sql("ALTER TABLE t CHANGE id number INT")
    until(lambda: (anna.drain(check=DONE), bert.sql("SELECT number, v FROM t") == [(1, 1)])[1], 30, "the table is compared, and the row arrives")
    until(lambda: json.loads(anna.agent("--status", "--json", check=DONE).stdout)["peers"][0]["in_step"], 30, "in step")


def test_parked_changes_are_listed_and_settled_by_their_ids(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    assert anna.agent("--parked", check=DONE).stdout == "nothing is parked\n"
    assert json.loads(anna.agent("--parked", "--json", check=DONE).stdout) == {"parked": []}
    bert.start_serve()
    bert.sql("ALTER TABLE t ADD CHECK (v NOT LIKE 'no%')")
    anna.sql("INSERT INTO t VALUES (1, 'no\"\\\\'), (2, 'none'), (3, 'fine')")
    until(lambda: anna.drain().returncode == PERSON, 10, "they are parked")
    listed = json.loads(anna.agent("--parked", "--json", check=PERSON).stdout)["parked"]
    assert [(one["record_id"], one["attempts"]) for one in listed] == [("1", 3), ("2", 3)]
    assert all("CONSTRAINT" in one["reason"] and one["refused_at"] for one in listed)
    said = anna.agent("--parked", check=PERSON).stdout
    assert all(str(one["id"]) in said for one in listed)
    for words in ("0", "-1", "x", "99999", "1 ", "18446744073709551616"):
        _refused(anna, f"--retry={words}", code=USAGE, says="parked")
        _refused(anna, f"--discard={words}", code=USAGE, says="parked")
    _refused(anna, "--discard", "all", code=USAGE, says="id")
    anna.agent("--discard", str(listed[0]["id"]), check=DONE)
    bert.sql("ALTER TABLE t DROP CONSTRAINT CONSTRAINT_1")
    anna.agent("--retry", "all", check=DONE)
    anna.drain(check=DONE)
    assert bert.sql("SELECT id FROM t ORDER BY id") == [(2,), (3,)] and hand.owed(anna)[0][2] == "discarded"


def test_wait_returns_when_everything_has_arrived_or_its_seconds_are_over(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    assert "safe to close the lid" in anna.agent("--wait", check=DONE).stdout
    anna.sql("INSERT INTO t VALUES (1, 'a')")
    begun = time.monotonic()
    _refused(anna, "--wait", "1", code=PEER, says="not everything")
    assert time.monotonic() - begun >= 1
    _refused(anna, "--wait", "0", code=PEER, says="not everything")
    for words in ("x", "-1", "1.5", "99999999999"):
        _refused(anna, f"--wait={words}", code=USAGE, says="seconds")
    waiting = subprocess.Popen(anna.command("--wait", "30"), text=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                               preexec_fn=process.dies_with_parent())
    fresh_pair.start_serve()
    out, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == DONE and "safe" in out and bert.sql("SELECT id FROM t") == [(1,)]
    bert.sql("ALTER TABLE t ADD CHECK (id<>7)")
    anna.sql("INSERT INTO t VALUES (7, 'a')")
    until(lambda: anna.drain().returncode == PERSON, 20, "it is parked")
    _refused(anna, "--wait", "30", code=PERSON, says="--parked")


def test_a_peer_that_is_not_in_the_file_is_wrong_usage(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    for verb in ("--check", "--drain", "--status", "--wait", "--parked", "--install"):
        _refused(anna, verb, "--peer", "carl", code=USAGE, says="[peer carl]")
    anna.add_peer("carl", f"http://127.0.0.1:{ports.take()}", "cd" * 32)
    anna.write_conf()
    anna.install()
    bert.start_serve()
    anna.sql("INSERT INTO t VALUES (1, 'a')")
    anna.drain("--peer", "bert", check=DONE)
    anna.agent("--wait", "0", "--peer", "bert", check=DONE)
    anna.agent("--wait", "0", check=PEER)
    (shown,) = json.loads(anna.agent("--status", "--json", "--peer", "bert", check=DONE).stdout)["peers"]
    assert shown["name"] == "bert" and shown["in_step"]
    _refused(anna, "--drain", code=PEER, says="refused the connection")
    anna.change_conf({"peer carl": {"paused": "yes"}})
    anna.drain(check=DONE)


def test_a_link_that_the_other_side_has_paused_is_told_from_a_peer_in_trouble(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    bert.change_conf({"peer anna": {"paused": "yes"}})
    bert.start_serve()
    anna.sql("INSERT INTO t VALUES (70, 'waits')")
    anna.drain(check=PEER)
    said = anna.agent("--status").stdout
    assert "this link is paused here ([peer anna] paused)" in said and "The link is paused at the other laptop" in said
    bert.change_conf({"peer anna": {"paused": "no"}})
    bert.agent("--reload", check=DONE)
    until(lambda: anna.drain().returncode == DONE, 30, "bert takes it again")


def test_check_finds_nothing_when_all_is_well(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    bert.start_serve()
    said = anna.agent("--check", check=DONE).stdout
    assert all(line.startswith(("ok ", "note ")) for line in said.splitlines()), said
    assert "peer bert answers, clocks differ by" in said and "1 tables can be replicated" in said
    found = json.loads(anna.agent("--check", "--json", check=DONE).stdout)["findings"]
    assert {one["severity"] for one in found} == {"ok", "note"} and len(found) == len(said.splitlines())


def test_check_warns_of_settings_that_bite_later(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair, "CREATE TABLE numbered (id INT AUTO_INCREMENT PRIMARY KEY)")
    bert.start_serve()
    for name, value, says in (("auto_increment_increment", 1, "auto_increment_offset"),
                              ("innodb_flush_log_at_trx_commit", 2, "innodb_flush_log_at_trx_commit=1")):
        with hand.setting(anna.server, name, value):
            (warned,) = [line for line in anna.agent("--check", check=DONE).stdout.splitlines() if not line.startswith(("ok ", "note "))]
            assert warned.startswith("warning ") and says in warned


# serve and its page ------------------------------------------------------------------------------

@pytest.mark.parametrize("option", ["listen", "monitor"])
def test_a_port_in_use_ends_serve_with_one_line_and_nothing_stays(fresh_pair: Pair, option: str) -> None:
    anna, _ = _ready(fresh_pair)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        anna.change_conf({"node": {option: f"127.0.0.1:{port}"}})
        said = _refused(anna, "--serve", code=FAILED, says=f"change [node] {option}")
        assert str(port) in said
    for free in {anna.listen_port, anna.monitor_port} - {port}:
        socket.create_server(("127.0.0.1", free)).close()
    assert len(anna.sql(f"SELECT 1 FROM information_schema.PROCESSLIST WHERE user='{ACCOUNT}'")) == 0
    for address in ("192.0.2.1:8440", "no-such-laptop.invalid:8440"):
        anna.change_conf({"node": {option: address}})
        _refused(anna, "--serve", code=FAILED, says=f"change [node] {option}")


def _ask(node: Node, path: str, method: str = "GET", body: bytes | None = None,
         **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    """One request to the page's server."""
    connection = http.client.HTTPConnection("127.0.0.1", node.monitor_port, timeout=10)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def _basic(key: str, user: str = "anybody") -> str:
    return "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()


def test_the_page_wants_the_key_and_gives_nothing_away_without(fresh_pair: Pair) -> None:
    anna, _ = _ready(fresh_pair)
    anna.start_serve()
    key = anna.monitor_key
    assert _ask(anna, "/healthz")[::2] == (200, b"ok\n")
    status, headers, body = _ask(anna, "/")
    assert status == 303 and headers["location"] == "/login" and b"anna" not in body
    for path in ("/", "/monitor.js", "/api/status"):
        for bad in ("", f"Bearer {key[:-1]}", f"Bearer {key}0", f"Bearer {key.upper()}x", _basic("wrong"), "Basic !", key,
                    _basic(""), "Bearer "):
            if path == "/" and not bad:
                continue
            status, headers, body = _ask(anna, path, **({"Authorization": bad} if bad else {}))
            assert status == 401 and headers["www-authenticate"].startswith("Bearer"), (path, bad)
            assert b"anna" not in body and key.encode() not in body
        for good in (f"Bearer {key}", _basic(key), _basic(key, "")):
            status, headers, body = _ask(anna, path, Authorization=good)
            assert status == 200 and body and key.encode() not in body
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
            assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
    status, headers, body = _ask(anna, "/", Authorization=_basic(key))
    assert headers["content-type"] == "text/html; charset=utf-8" and body.startswith(b"<!doctype html>")
    assert json.loads(_ask(anna, "/api/status", Authorization=_basic(key))[2]).keys() == anna.status().keys()


def test_the_pages_server_refuses_what_it_does_not_know(fresh_pair: Pair) -> None:
    anna, _ = _ready(fresh_pair)
    anna.start_serve()
    good = {"Authorization": f"Bearer {anna.monitor_key}"}
    for path in ("/nothing", "/api", "/api/status/", "//", "/../etc/passwd", "/%2e%2e/", "/index.html", "/api/sync/hello"):
        assert _ask(anna, path, **good)[0] == 404, path
        assert _ask(anna, path)[0] in (401, 404), path
    assert _ask(anna, "/api/status?key=1", **good)[0] == 400
    assert _ask(anna, "/api/status", Host="evil.example", **good)[0] == 403
    assert _ask(anna, "/api/trigger", **good)[0] == 405
    assert _ask(anna, "/api/status", "DELETE", **good)[0] in (405, 501)
    assert _ask(anna, "/api/trigger", "POST", b"{}", Content_Type="application/json")[0] == 401
    assert _ask(anna, "/api/trigger", "POST", b"{}", Content_Type="text/plain", **good)[0] == 415
    assert _ask(anna, "/api/trigger", "POST", b"{}", Content_Type="application/json", Origin="http://evil.example", **good)[0] == 403
    assert _ask(anna, "/api/trigger", "POST", b"{" * 2000, Content_Type="application/json", **good)[0] == 413
    assert anna.serving() and _ask(anna, "/healthz")[0] == 200


def test_a_trigger_makes_the_daemon_drain_at_once(fresh_pair: Pair) -> None:
    anna, bert = _ready(fresh_pair)
    anna.change_conf({"sync": {"interval": "1h"}})
    fresh_pair.start_serve()
    anna.sql("INSERT INTO t VALUES (1, 'a')")
    status, _, body = _ask(anna, "/api/trigger", "POST", b"{}", Content_Type="application/json",
                           Authorization=f"Bearer {anna.monitor_key}")
    assert (status, json.loads(body)) == (202, {"draining": True})
    until(lambda: bert.sql("SELECT id FROM t") == [(1,)], 5, "the change is there")
