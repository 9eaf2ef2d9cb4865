"""scripts/setup: from nothing to in step, at a terminal and without one; wrong answers, run again, stopped in the middle."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import until
from lab.blank import SETUP, Blank, Talk, begin, shell

pytestmark = pytest.mark.slow

TABLES = ("CREATE DATABASE shop", "CREATE TABLE shop.article (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40), n INT)",
          "CREATE TABLE shop.sale (id INT AUTO_INCREMENT PRIMARY KEY, article INT, FOREIGN KEY (article) REFERENCES article (id))",
          "INSERT INTO shop.article SELECT seq, CONCAT('article ', seq), seq FROM seq_1_to_200",
          "INSERT INTO shop.sale SELECT seq, seq FROM seq_1_to_100")
LINE = re.compile(r"^tandem\S+,\S+$", re.MULTILINE)
REMEDY = "What to do: "


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Blank, Blank]]:
    anna, ben = Blank("anna"), Blank("ben")
    yield anna, ben
    anna.close()
    ben.close()


@pytest.fixture
def two(servers: tuple[Blank, Blank]) -> Iterator[tuple[Blank, Blank]]:
    """Anna's laptop with a shop, Ben's with an empty server; nothing of Tandem on either."""
    for one in servers:
        one.server.end_connections()
        for database in ("shop_sync", "shop", "store_sync", "store"):
            one.sql(f"DROP DATABASE IF EXISTS {database}", None)
        one.sql("DROP USER IF EXISTS tandem@localhost, boss@localhost, clerk@localhost", None)
        one.sql("SET GLOBAL auto_increment_increment=1, GLOBAL auto_increment_offset=1", None)
        for path in (one.conf_path, *(one.folder / "state").glob("*"), *(one.folder / "units").glob("*"),
                     *(one.folder / name for name in ("crontab", "asked", "60-tandem.cnf", "daemon.log", "agent.conf.setup"))):
            path.unlink(missing_ok=True)
    servers[0].sql(TABLES[0], None)
    for statement in TABLES[1:]:
        servers[0].sql(statement)
    yield servers
    for one in servers:
        one.end_daemon()


def _line(talk: Talk) -> str:
    """The line that --pair prints, when it stands there whole."""
    talk.until("Waiting ...")
    found = LINE.findall(talk.said)
    assert found, talk.said
    return str(found[-1])


def _travels(a: Blank, b: Blank, key: int) -> None:
    a.sql(f"INSERT INTO article VALUES ({key}, 'new', 1)")
    until(lambda: b.sql(f"SELECT 1 FROM article WHERE id={key}"), 60, f"a row of {a.name} arrives")


def _in_step(anna: Blank, ben: Blank) -> None:
    for table in ("article", "sale"):
        until(lambda: anna.sql(f"SELECT * FROM {table} ORDER BY id") == ben.sql(f"SELECT * FROM {table} ORDER BY id"),  # pylint: disable=cell-var-from-loop
              60, f"both have the same {table}")
    _travels(anna, ben, 1001)
    _travels(ben, anna, 1002)


def _files(one: Blank) -> dict[str, tuple[int, bytes]]:
    """Everything that setup may have written."""
    paths = (one.conf_path, one.folder / "60-tandem.cnf", one.folder / "crontab", *(one.folder / "units").glob("*"))
    return {str(path): (path.stat().st_mode, path.read_bytes()) for path in paths if path.exists()}


def test_two_laptops_come_into_step_without_a_question(two: tuple[Blank, Blank]) -> None:
    anna, ben = two
    first = begin(anna, anna.answers(database="shop"))
    line = _line(first)
    second = begin(ben, ben.answers(database="shop", create_database="yes", peer=line))
    first_said = first.end(0, second)
    said = second.end()
    assert "In step" in said and "? [" not in first_said + said
    assert anna.conf_path.stat().st_mode & 0o7777 == 0o600 == ben.conf_path.stat().st_mode & 0o7777
    _in_step(anna, ben)
    # Two laptops that are apart number rows differently, also after a restart.
    assert [one.sql("SELECT @@global.auto_increment_increment, @@global.auto_increment_offset") for one in two] == [[(2, 1)], [(2, 2)]]
    assert "auto_increment_offset=2" in (ben.folder / "60-tandem.cnf").read_text()
    # The account has the documented rights, and not those that making tables took.
    rights = " ".join(grant for (grant,) in ben.sql("SHOW GRANTS FOR tandem@localhost"))
    assert "CREATE, REFERENCES" not in rights and "SELECT, INSERT, UPDATE, DELETE, TRIGGER ON `shop`.*" in rights
    unit = (anna.folder / "units" / "tandem.service").read_text()
    assert f"--config {anna.conf_path}\n" in unit and f"ReadWritePaths={anna.folder}" in unit and "put in the account" not in unit
    assert "systemctl enable --now tandem.service" in anna.asked() and "/usr/local/sbin" not in unit
    password = re.findall(r"^password = (.+)$", anna.conf_path.read_text(), re.MULTILINE)[0]
    assert len(password) == 40 and password not in first_said + anna.log()
    # Once more: nothing is asked, nothing is changed.
    for one in two:
        before, told = _files(one), len(one.asked())
        again = begin(one, one.answers()).end()
        assert _files(one) == before and len(one.asked()) == told, again
        assert "are in place" in again and "can log in and has its rights" in again and "The agent runs" in again
    _travels(anna, ben, 1003)


def test_a_person_types_answers_wrong_ones_first(two: tuple[Blank, Blank]) -> None:
    anna, ben = two
    places = {name: value for name, value in anna.answers().items()
              if name in ("user", "config", "state_dir", "monitor", "units", "server_conf", "mechanism")}
    anna.sql("CREATE USER boss@localhost IDENTIFIED BY 'no such \"luck\\\\'", None)
    anna.sql("GRANT ALL ON *.* TO boss@localhost WITH GRANT OPTION", None)
    anna.sql("CREATE USER clerk@localhost", None)
    taken = socket.create_server(("127.0.0.1", 0))
    talk = begin(anna, places, True)
    for question, wrong, says in (
            ("This laptop's name", "anna and ben", "cannot be a node's name"),
            ("This laptop's name", "anna", ""),
            ("The MariaDB server", "/nowhere/s", "is not there"),
            ("The MariaDB server", "127.0.0.1:1", "no database server answers"),
            ("The MariaDB server", "nonsense", "neither the path of a socket nor HOST:PORT"),
            ("The MariaDB server", str(anna.server.socket), ""),
            ("Who may make accounts", "clerk", "may not make accounts"),
            ("Who may make accounts", "boss", ""),
            ("Password of boss", "wrong", "does not let boss in"),
            ("Password of boss", "no such \"luck\\", ""),
            ("The application's database", "shopp", ""),
            ("Make it, empty", "no", "there is no database shopp"),
            ("The application's database", "mysql", "belongs to the server"),
            ("The application's database", "shop", ""),
            ("The agent's account", "root", "far more than the agent needs"),
            ("The agent's account", "", ""),
            ("Where other laptops reach", f"127.0.0.1:{taken.getsockname()[1]}", "something else listens"),
            ("Where other laptops reach", f"127.0.0.1:{anna.listen_port}", ""),
            ("invite, later, or the line", "tande", "no whole line"),
            ("invite, later, or the line", "invite", ""),
            ("number/of how many", "3/2", "there is no place 3 of 2"),
            ("number/of how many", "", ""),
            ("Start it, now", "perhaps", "none of the answers"),
            ("Start it, now", "", "")):
        talk.answer(question, wrong)
        if says:
            talk.until(says)
            talk.until(REMEDY)
    taken.close()
    line = _line(talk)
    assert "no such" not in talk.said and "wrong" not in talk.said  # passwords are not shown
    other = begin(ben, ben.answers(database="shop", create_database="yes", peer="later", numbering="no", start="no"), False)
    assert "not paired" not in other.end()
    # Ben sits at his terminal; the line is cut first.
    talk_of_ben = begin(ben, ben.answers(), True)
    talk_of_ben.answer("Change something of it?", "no")
    talk_of_ben.answer("invite, later, or the line", line[:-9] + "abcdefghi")
    talk_of_ben.answer("number/of how many", "2/2")
    talk_of_ben.answer("Who may make accounts", "")
    talk_of_ben.until(REMEDY)
    talk_of_ben.answer("invite (a new line), later, or the line", line)
    said = talk.end(0, talk_of_ben)
    assert "steps of 2, beginning with 1" in said
    for question, typed in (("Take its rows over now?", ""), ("Make the tables that are missing", ""), ("Start it, now", "")):
        talk_of_ben.answer(question, typed)
    assert "In step" in talk_of_ben.end()
    _in_step(anna, ben)


def test_a_file_that_the_package_has_made_is_filled_in(two: tuple[Blank, Blank]) -> None:
    anna = two[0]
    anna.agent("--init", "-q", check=0)
    key = re.findall(r"^monitor_key = .*$", anna.conf_path.read_text(), re.MULTILINE)
    said = begin(anna, anna.answers(database="shop", peer="later", start="no")).end()
    assert "it is filled in now" in said
    assert re.findall(r"^monitor_key = .*$", anna.conf_path.read_text(), re.MULTILINE) == key
    assert re.findall(r"^name = .*$", anna.conf_path.read_text(), re.MULTILINE) == ["name = anna", "name = shop"]
    # From then on it is a person's own.
    assert "Change something of it?" in begin(anna, {"config": str(anna.conf_path)} | {"user": anna.answers()["user"]}, True).until("Change something of it?")


def test_a_database_that_is_missing_is_made_when_a_person_says_so(two: tuple[Blank, Blank]) -> None:
    ben = two[1]
    places = {name: value for name, value in ben.answers(peer="later", numbering="no", start="no").items() if name not in ("name", "server", "listen")}
    talk = begin(ben, places, True)
    for question, typed in (("This laptop's name", "ben"), ("The MariaDB server", str(ben.server.socket)), ("Who may make accounts", ""), ("The application's database", "shop"),
                            ("Make it, empty", "yes"), ("The agent's account", ""), ("Where other laptops reach", f"127.0.0.1:{ben.listen_port}")):
        talk.answer(question, typed)
    talk.end()
    assert re.findall(r"^name = .*$", ben.conf_path.read_text(), re.MULTILINE) == ["name = ben", "name = shop"]
    # Another one, with the file that is there; an administrator is asked for when he is needed.
    talk = begin(ben, places, True)
    for question, typed in (("Change something of it?", "yes"), ("This laptop's name", ""), ("The MariaDB server", ""), ("The application's database", "store"),
                            ("Make it, empty", "yes"), ("Who may make accounts", ""), ("Where other laptops reach", "")):
        talk.answer(question, typed)
    talk.end()
    assert re.findall(r"^name = .*$", ben.conf_path.read_text(), re.MULTILINE) == ["name = ben", "name = store"]
    assert ben.sql("SHOW DATABASES LIKE 'store%'", None) == [("store",), ("store_sync",)]


WRONG: list[tuple[dict[str, str], str]] = [
    ({"name": "a b"}, "cannot be a node's name"),
    ({"server": "/nowhere/s"}, "is not there"),
    ({"server": "127.0.0.1:1"}, "no database server answers"),
    ({"admin": "nobody"}, "does not let nobody in"),
    ({"admin": "root", "admin_password": "wrong"}, "does not let root in"),
    ({"admin": "none"}, "does not let tandem in"),
    ({"database": ""}, "there are: shop"),
    ({"database": "shopp"}, "create_database=yes"),
    ({"account": "root"}, "account of its own"),
    ({"listen": "0.0.0.0"}, "is no HOST:PORT"),
    ({"config": "agent.conf"}, "is no path"),
    ({"peer": "tande"}, "no whole line"),
    ({"peer": "later", "numbering": "2"}, "place/laptops"),
    ({"peer": "later", "start": "sometimes"}, "none of the answers"),
    ({"peer": "later", "mechanism": "magic"}, "systemd or cron")]


def test_a_wrong_answer_without_a_terminal_ends_it_with_the_remedy(two: tuple[Blank, Blank]) -> None:
    anna = two[0]
    for given, says in WRONG:
        said = begin(anna, anna.answers(database="shop") | given).end(1)
        assert says in said and REMEDY in said and "run it again" in said, said
    # The right answers go on from there.
    assert "?" not in begin(anna, anna.answers(database="shop", peer="later", start="no")).end().replace("Is all well?", "")


def test_an_account_that_is_there_keeps_its_password(two: tuple[Blank, Blank]) -> None:
    anna = two[0]
    anna.sql("CREATE USER tandem@localhost IDENTIFIED BY 'its own'", None)
    given = anna.answers(database="shop", peer="later", start="no")
    assert "its password is not known here" in begin(anna, given).end(1)
    assert "does not let tandem in" in begin(anna, given | {"password": "another"}).end(1)
    assert "has what it needs" in begin(anna, given | {"password": "its own"}).end()
    assert "password = its own\n" in anna.conf_path.read_text()
    # Without an administrator: all was prepared, also the numbering.
    anna.conf_path.unlink()
    said = begin(anna, given | {"password": "its own", "admin": "none"}).end()
    assert "can log in and has its rights" in said
    # Rights are missing: they are named, ready for an administrator, and nothing goes on without.
    anna.sql("REVOKE TRIGGER ON shop.* FROM tandem@localhost", None)
    said = begin(anna, given | {"password": "its own", "admin": "none"}).end(1)
    assert "GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON `shop`.* TO 'tandem'@'localhost'" in said
    assert "has what it needs" in begin(anna, given | {"password": "its own"}).end()


def test_stopped_anywhere_it_goes_on_when_run_again(two: tuple[Blank, Blank]) -> None:
    anna, ben = two
    for step in ("== agent.conf", "== The account in the database", "Waiting ..."):
        talk = begin(anna, anna.answers(database="shop"))
        talk.until(step)
        talk.interrupt()
        talk.end(None)  # 130, or 1 when it was --pair that took the Ctrl-C: bash loses those that come while it reads a $(...)
        assert "Run it again" in talk.said or "run it again" in talk.said, talk.said
    first = begin(anna, anna.answers(database="shop"))
    second = begin(ben, ben.answers(database="shop", create_database="yes", peer=_line(first)))
    second.until("== What the other laptop has")
    second.interrupt()
    second.end(130)
    first.end()
    # Paired is paired; the fill is asked for by hand, or by the daemon.
    said = begin(ben, ben.answers(database="shop")).end()
    assert "Paired with: anna" in said
    ben.sql("GRANT CREATE, REFERENCES ON shop.* TO tandem@localhost", None)
    ben.agent("--startup", "--create-tables", check=0)
    _in_step(anna, ben)


def test_where_no_systemd_runs_cron_starts_the_daemon_and_never_twice(two: tuple[Blank, Blank]) -> None:
    anna = two[0]
    given = anna.answers(database="shop", peer="later", mechanism="cron")
    (anna.folder / "crontab").write_text("0 3 * * * backup\n")
    said = begin(anna, given).end()
    assert "The agent runs" in said
    lines = (anna.folder / "crontab").read_text().splitlines()
    assert lines[0] == "0 3 * * * backup" and len(lines) == 2 and "flock -n" in lines[1] and "--serve -q" in lines[1]
    # The line's command while the daemon runs, as cron gives it to the shell: what it starts ends at once, and says why.
    command = lines[1].removeprefix("* * * * * ")
    shell(anna, command).end(None)
    assert anna.daemon is not None and anna.daemon.poll() is None
    before = _files(anna)
    begin(anna, given).end()
    assert _files(anna) == before
    anna.end_daemon()
    # Sending alone.
    said = begin(anna, given | {"start": "drain"}).end()
    lines = (anna.folder / "crontab").read_text().splitlines()
    assert len(lines) == 2 and "--drain -q" in lines[1] and lines[0] == "0 3 * * * backup", said


def test_triggers_of_the_application_are_guarded_when_nothing_else_is_said(two: tuple[Blank, Blank]) -> None:
    anna = two[0]
    anna.sql("CREATE TRIGGER stamp BEFORE INSERT ON article FOR EACH ROW SET NEW.n=IFNULL(NEW.n, 1)")
    anna.sql("CREATE USER tandem@localhost IDENTIFIED BY 'its own'", None)
    anna.sql("GRANT SET USER ON *.* TO tandem@localhost", None)
    given = anna.answers(database="shop", peer="later", start="no", password="its own")
    later = begin(anna, given | {"app_triggers": "later"}).end(None)
    assert "the others are replicated" in later
    said = begin(anna, given).end()
    assert "app_triggers = guard" in anna.conf_path.read_text(), said
    assert "IS NULL THEN" in anna.sql("SHOW CREATE TRIGGER stamp")[0][2]


@pytest.mark.skipif(os.getuid() != 0, reason="only root sets up for another account")
def test_root_sets_up_for_another_account_and_over_tcp(two: tuple[Blank, Blank]) -> None:
    anna = two[0]
    anna.sql("CREATE USER boss@'127.0.0.1' IDENTIFIED BY 'boss'", None)
    anna.sql("GRANT ALL ON *.* TO boss@'127.0.0.1' WITH GRANT OPTION", None)
    place = Path(tempfile.mkdtemp(prefix="tandem-nobody-"))
    try:
        place.chmod(0o755)
        given = anna.answers(user="nobody", config=str(place / "conf" / "agent.conf"), state_dir=str(place / "state"), database="shop", peer="later",
                             server=f"127.0.0.1:{anna.server.port}", admin="boss", admin_password="boss", server_conf="no", numbering="1/2")
        (place / "state").mkdir()
        shutil.chown(place / "state", "nobody")
        said = begin(anna, given | {"start": "no"}).end()
        assert "sudo -u nobody agent --status" in said and "write these three lines" in said
        conf = place / "conf" / "agent.conf"
        assert (conf.owner(), conf.stat().st_mode & 0o7777) == ("nobody", 0o600) and conf.parent.owner() == "nobody"
        before = conf.read_bytes()
        said = begin(anna, given).end()
        assert conf.read_bytes() == before and "are in place" in said
        unit = (anna.folder / "units" / "tandem.service").read_text()
        assert "User=nobody\n" in unit and f"ReadWritePaths={place}/conf {place}/state\n" in unit
    finally:
        anna.end_daemon()
        anna.sql("DROP USER boss@'127.0.0.1', tandem@'127.0.0.1'", None)
        shutil.rmtree(place)


def test_wrong_usage_and_a_broken_file_are_named(two: tuple[Blank, Blank]) -> None:
    anna = two[0]
    for words, says in ((["--nonsense"], "unknown argument"), (["nonsense"], "is no NAME=ANSWER"), (["colour=red"], 'nothing is called "colour"'),
                        (["password=x"], "does not belong on a command line"), (["peer=tandem1,x"], "does not belong on a command line"),
                        (["--answers", "/nowhere"], "cannot be read"), (["--answers"], "needs a FILE")):
        assert says in begin(anna, None, False, *words).end(2)
    path = anna.answer_file({"admin_password": "x"})
    path.chmod(0o644)
    assert "chmod 600" in Talk(anna, [str(SETUP), "--answers", str(path)], False).end(2)
    path.unlink()
    said = begin(anna, None, False, "--help").end()
    for name in anna.answers():
        assert re.search(rf"^  {name} ", said, re.MULTILINE), name
    anna.conf_path.touch(mode=0o600)
    anna.conf_path.write_text("[node]\nnames = x\n")
    said = begin(anna, anna.answers(database="shop")).end(1)
    assert 'unknown option "names"' in said and "move it away" in said
    assert anna.conf_path.read_text() == "[node]\nnames = x\n"
    if os.getuid() != 0:
        assert "run it as root" in begin(anna, anna.answers(user="root")).end(1)
