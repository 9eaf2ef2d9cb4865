"""The agent's account with exactly the rights that docs/security.md names, given by hand or by --install with
an administrator, and an account with more."""

from __future__ import annotations

import os
import pty
import select
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Node, Pair, process, until
from lab.hand import unseen
from lab.node import ACCOUNT

# One scenario of each kind, run here once more under the documented rights alone (see fresh_pair).
from test_ddl import test_another_key_goes_on_by_itself_when_nothing_was_pending  # noqa: F401
from test_decisions import test_a_decision_on_either_side_ends_it_on_both  # noqa: F401
from test_drift import (test_triggers_of_an_account_that_was_dropped_are_made_anew,  # noqa: F401
                        test_while_a_daemon_serves_a_truncated_table_arrives_too)
from test_knots import test_a_circle_of_deletes_arrives  # noqa: F401
from test_manual import test_an_edit_that_the_decision_had_not_seen_is_left_to_a_person_again  # noqa: F401
from test_merge import test_of_one_column_the_later_edit_stays_and_the_other_is_kept  # noqa: F401
from test_parents import test_children_that_the_sender_does_not_know_are_kept_and_everybody_is_told  # noqa: F401
from test_uninstall import test_uninstall_without_the_apps_database_takes_the_sync_schema_away  # noqa: F401

_DOCS = Path(__file__).resolve().parents[2] / "docs" / "security.md"
_WHO = f"'{ACCOUNT}'@'localhost'"


def _documented() -> list[str]:
    """The GRANTs of docs/security.md, for the lab's names."""
    text = _DOCS.read_text(encoding="utf-8")
    grants = re.findall(r"^GRANT .*;$", text, re.MULTILINE)
    assert len(grants) == 3, grants
    return [grant.rstrip(";").replace("`shop`", "`app`").replace(r"`shop\_sync`", r"`app\_sync`")
            .replace("tandem@localhost", _WHO) for grant in grants]


def _limit(node: Node) -> None:
    node.server.sql(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {_WHO}")
    for grant in _documented():
        node.server.sql(grant)


def _rights(node: Node) -> set[str]:
    """The account's GRANTs as the server has them, without the password's hash."""
    found = {re.sub(r" IDENTIFIED BY .*", "", grant) for (grant,) in node.server.sql(f"SHOW GRANTS FOR {_WHO}")}
    return {re.sub("[`']", "", grant) for grant in found}


ADMIN = "boss"
ADMIN_PASSWORD = "no such thing as ' \"luck"


def _administrator(node: Node) -> None:
    """An administrator with a password, and no account for the agent."""
    node.server.sql(f"DROP USER {_WHO}")
    node.server.sql(f"CREATE USER '{ADMIN}'@'localhost' IDENTIFIED BY %s", [ADMIN_PASSWORD])
    node.server.sql(f"GRANT ALL ON *.* TO '{ADMIN}'@'localhost' WITH GRANT OPTION")


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    with Pair() as pair:
        yield pair


@pytest.fixture
def two(servers: Pair) -> Iterator[Pair]:
    servers.renew(("campus",))
    for node in servers.nodes:
        _limit(node)
    yield servers
    servers.stop_serve()


@pytest.fixture
def fresh_pair(lasting_pair: Pair) -> Iterator[Pair]:
    """As everywhere, but for the accounts."""
    lasting_pair.renew()
    for node in lasting_pair.nodes:
        _limit(node)
    yield lasting_pair
    lasting_pair.stop_serve()


def _typed(node: Node, *args: str) -> tuple[int, str]:
    """A verb at a terminal, where somebody types the administrator's password: exit code, screen."""
    master, slave = pty.openpty()
    child = subprocess.Popen(node.command(*args), stdin=slave, stdout=slave, stderr=slave, cwd=node.folder,
                             preexec_fn=process.dies_with_parent())
    os.close(slave)
    screen, said, deadline = b"", False, time.monotonic() + 60
    try:
        while True:
            ready, _, _ = select.select([master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"it waits: {screen!r}"
            try:
                screen += os.read(master, 4096)
            except OSError:  # the other end is closed
                break
            if b"password of the database administrator" in screen and not said:
                said = True
                os.write(master, ADMIN_PASSWORD.encode() + b"\n")
        return child.wait(60), screen.decode()
    finally:
        os.close(master)
        process.end(child)


def test_an_administrator_installs_and_leaves_an_account_with_the_documented_rights(two: Pair) -> None:
    anna, bert = two.nodes
    expected = None
    for node in two.nodes:
        expected = _rights(node)
        _administrator(node)
    # a password in a file, which others may not read
    file = anna.folder / "admin.password"
    file.write_text(ADMIN_PASSWORD + "\n")
    file.chmod(0o644)
    by_file = ("--install", "--admin-user", ADMIN, "--admin-password-file", str(file))
    assert "chmod 600" in anna.agent(*by_file, check=2).stderr
    file.chmod(0o600)
    planned = anna.agent(*by_file, "--dry-run", check=0).stdout
    assert "would be given" in planned and f"CREATE USER '{ACCOUNT}'@'localhost'" in planned
    assert not anna.server.sql("SELECT 1 FROM mysql.global_priv WHERE User=%s", [ACCOUNT])
    said = anna.agent(*by_file, "-v", check=0)
    written = [path for path in [anna.agent_log, *(anna.folder / "state").rglob("*")] if path.is_file()]
    assert not any(ADMIN_PASSWORD.encode() in path.read_bytes() for path in written), written
    assert said.stdout.count("GRANT ") == 3 and f"CREATE USER '{ACCOUNT}'@'localhost'" in said.stdout
    assert ADMIN_PASSWORD not in said.stdout + said.stderr and "correct horse" not in said.stdout + said.stderr
    assert _rights(anna) == expected
    # what the administrator made belongs to the agent's account, which goes on without him
    assert anna.server.sql("SELECT DISTINCT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='app'") == [
        (f"{ACCOUNT}@localhost",)]
    anna.server.sql(f"DROP USER '{ADMIN}'@'localhost'")
    assert "CREATE USER" not in anna.agent("--install", "--admin-user", "root", check=0).stdout  # no password needed
    # ~/.my.cnf; the wrong password, and none at all
    home = bert.folder / "home"
    home.mkdir()
    cnf = home / ".my.cnf"
    quoted = ADMIN_PASSWORD.replace('"', r'\"')
    for text, code in (("", 3), ('[client]\npassword="wrong"\n', 3), (f'[client]\nhost=192.0.2.1\npassword="{quoted}"\n', 0)):
        cnf.write_text(text)
        ran = bert.agent("--install", "--json", "--admin-user", ADMIN, env={"HOME": str(home)}, check=code)
        assert (code == 0) == ('"given":["CREATE USER' in ran.stdout), ran.stdout
        assert code == 0 or "--admin-password-file" in ran.stderr
    assert _rights(bert) == expected
    bert.server.sql(f"DROP USER {_WHO}")
    code, screen = _typed(bert, "--install", "--admin-user", ADMIN)
    assert code == 0 and "CREATE USER" in screen and ADMIN_PASSWORD not in screen, screen
    # and everything runs
    two.start_serve()
    anna.sql("INSERT INTO riders (full_name, email, created_at) VALUES ('by hand', 'hand@example.org', NOW())")
    two.wait_quiet()
    two.assert_equal()
    assert "does not need" not in anna.agent("--check", check={0, 1}).stdout


def test_an_administrator_that_cannot_be_one_is_refused(two: Pair) -> None:
    anna = two.anna
    assert "both tandem" in anna.agent("--install", "--admin-user", ACCOUNT, check=2).stderr
    assert "goes with --admin-user" in anna.agent("--install", "--admin-password-file", "x", check=2).stderr
    assert "--admin-user NAME" in anna.agent("--install", "--admin-user", check=2).stderr
    anna.server.sql("CREATE OR REPLACE USER 'nobody'@'localhost'")
    anna.server.sql("GRANT SELECT ON app.* TO 'nobody'@'localhost'")
    assert "may not GRANT" in anna.agent("--install", "--admin-user", "nobody", check=3).stderr
    anna.server.sql(f"ALTER USER {_WHO} IDENTIFIED BY 'another'")
    assert "has another password" in anna.agent("--install", "--admin-user", "root", check=3).stderr


def test_an_administrator_guards_triggers_of_other_accounts_and_gives_them_back(two: Pair) -> None:
    anna = two.anna
    anna.server.script("CREATE TABLE orders (id INT PRIMARY KEY, v INT);\nCREATE TABLE notes (v INT) ENGINE=InnoDB;\n"
                       "CREATE TRIGGER note AFTER INSERT ON orders FOR EACH ROW INSERT INTO notes VALUES (NEW.v);\n", "app")
    anna.change_conf({"sync": {"tables": "orders"}, "table orders": {"app_triggers": "guard"}})
    text = "SELECT DEFINER, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_NAME='note'"
    before = anna.server.sql(text)
    assert "--admin-user" in anna.agent("--install", check=5).stdout
    anna.agent("--install", "--admin-user", "root", check=0)
    assert anna.server.sql(text) != before and before[0][0] == anna.server.sql(text)[0][0]
    anna.agent("--uninstall", "--admin-user", "root", check=0)
    assert anna.server.sql(text) == before


def test_the_documented_rights_are_enough_for_a_whole_life(two: Pair) -> None:
    anna, bert = two.nodes
    two.install()
    two.start_serve()
    # both ways, foreign keys with their actions included
    for node in two.nodes:
        node.sql("CREATE TABLE parent (id INT PRIMARY KEY, v VARCHAR(20))")
        node.sql("CREATE TABLE child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parent (id)"
                 " ON DELETE CASCADE ON UPDATE CASCADE)")
        node.install()
    anna.sql("INSERT INTO parent VALUES (1, 'a'), (2, 'b')")
    bert_sees = lambda text: until(lambda: bert.sql(text), 60, text)  # noqa: E731
    bert_sees("SELECT 1 FROM parent WHERE id=2")
    bert.sql("INSERT INTO child VALUES (1, 1), (2, 2)")
    until(lambda: anna.sql("SELECT 1 FROM child WHERE id=2"), 60, "the child arrives")
    anna.sql("DELETE FROM parent WHERE id=1")
    anna.sql("UPDATE parent SET id=3 WHERE id=2")
    bert_sees("SELECT 1 FROM child WHERE parent=3")
    two.wait_quiet()
    two.assert_equal()
    # a conflict, a difference that no trigger saw, a table that moved
    two.stop_serve()
    anna.sql("UPDATE parent SET v='anna'")
    bert.sql("UPDATE parent SET v='bert'")
    two.settle(codes=(0, 5))
    unseen(anna, "UPDATE parent SET v='unseen'")
    two.start_serve()
    anna.agent("--verify", "--repair", "--from", "anna", check={0, 5})
    anna.sql("TRUNCATE child")
    two.wait_quiet()
    anna.agent("--check", check={0, 1})
    anna.agent("--conflicts", check={0, 5})
    two.stop_serve()
    for node in two.nodes:
        node.agent("--uninstall", check=0)
        assert node.sql("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_NAME LIKE 'tandem%'") == [(0,)]


def test_rights_that_are_not_needed_are_named(two: Pair) -> None:
    anna = two.anna
    assert "does not need" not in anna.agent("--check").stdout
    anna.server.sql(f"GRANT FILE, SUPER ON *.* TO {_WHO}")
    assert re.search(r"^warning .*does not need: FILE, SUPER: ", anna.agent("--check").stdout, re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_the_unit_leaves_the_agent_next_to_nothing() -> None:
    unit = Path(__file__).resolve().parents[2] / "scripts" / "tandem.service"
    ran = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", str(unit)],
                         capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout[-300:] + ran.stderr
