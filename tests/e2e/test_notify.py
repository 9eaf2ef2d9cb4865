"""[sync] notify: a command is run when a person is needed, once for each cause, by the daemon and by drains, whatever
the command does."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Pair, hand, places
from lab.node import Node
from lab.waiting import until

pytestmark = pytest.mark.slow

T = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))"
HOSTILE = "t $(touch hit) `touch hit`; touch hit \"'\\"


class _Letters:
    """A command that keeps each of its runs: input and environment, in a file of its own."""

    def __init__(self, node: Node, then: str = "") -> None:
        self.folder = node.folder / "letters"
        self.folder.mkdir(exist_ok=True)
        for old in self.folder.iterdir():
            old.unlink()
        script = node.folder / "tell"
        script.write_text(f'#!/bin/sh\nf=$(mktemp {self.folder}/new.XXXXXX)\n'
                          'echo "words=$*" >"$f"; env | grep ^TANDEM_ >>"$f"; echo --- >>"$f"; cat >>"$f"\n'
                          f'ls /proc/$$/fd | wc -l >>"$f"\nmv "$f" "$f.done"\n{then}\n', encoding="utf-8")
        script.chmod(0o700)
        node.change_conf({"sync": {"notify": f"{script} one $HOME *"}})

    def all(self) -> list[str]:
        """What was told so far, the oldest first."""
        done = sorted(self.folder.glob("*.done"), key=lambda letter: letter.stat().st_mtime_ns)
        return [letter.read_text(encoding="utf-8") for letter in done]

    def causes(self) -> list[str]:
        """Their causes."""
        return [found[1] for found in (re.search(r"^TANDEM_CAUSE=(.*)$", letter, re.M) for letter in self.all()) if found]


def _parked(two: Pair, key: int) -> None:
    """One more change of anna's that bert refuses until it is parked."""
    two.anna.sql("INSERT INTO t VALUES (%s, 'x')", [key])
    before = int(hand.sync(two.anna, "SELECT COUNT(*) FROM sync_owed WHERE state='parked'")[0][0])
    until(lambda: two.anna.drain() and int(hand.sync(two.anna, "SELECT COUNT(*) FROM sync_owed WHERE state='parked'")[0][0]) > before,
          60, "it is parked")


@pytest.fixture
def two(fresh_pair: Pair) -> Iterator[Pair]:
    """Installed; bert serves and refuses every record above 100."""
    hand.everywhere(fresh_pair, T)
    fresh_pair.anna.change_conf({"sync": {"max_attempts": "1"}})
    fresh_pair.install()
    fresh_pair.bert.sql("ALTER TABLE t ADD CHECK (id<=100)")
    fresh_pair.bert.start_serve()
    yield fresh_pair


def test_a_drain_tells_once_until_the_cause_has_ended_and_is_back(two: Pair) -> None:
    anna = two.anna
    letters = _Letters(anna)
    anna.sql("INSERT INTO t VALUES (1, 'fine')")
    anna.drain(check=0)
    assert letters.all() == []
    _parked(two, 101)
    (first,) = letters.all()
    head, text = first.split("---\n")
    assert "words=one $HOME *\n" in head and "TANDEM_CAUSE=parked\n" in head and "TANDEM_PEER=bert\n" in head
    assert "TANDEM_SUBJECT=anna: changes that bert refused are parked\n" in head and "TANDEM_NODE=anna\n" in head
    assert "TANDEM_TEXT=1 records\n" in head and "TANDEM_REMEDY=agent --parked" in head
    assert re.search(r"^TANDEM_SINCE=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", head, re.M)
    assert text.startswith("anna: changes that bert refused are parked\n\n  1 records\n\nWhat to do: agent --parked")
    assert int(text.splitlines()[-1]) <= 5  # standard ones, the script, ls's own: no connection of the agent's
    _parked(two, 102)  # more of the same
    anna.drain(check=5)
    anna.start_serve()  # and the daemon knows it, too
    time.sleep(3)
    anna.stop_serve()
    assert len(letters.all()) == 1
    for (id_,) in hand.sync(anna, "SELECT last_id FROM sync_owed WHERE state='parked'"):
        anna.agent("--discard", str(id_), check=0)
    anna.drain()
    assert hand.sync(anna, "SELECT * FROM sync_notice") == []
    _parked(two, 103)
    assert letters.causes() == ["parked", "parked"]


def test_the_daemon_tells_of_each_cause_and_a_restart_does_not_tell_again(two: Pair) -> None:
    anna, bert = two.anna, two.bert
    letters = _Letters(anna)
    anna.change_conf({"sync": {"notify_after": "1s", "conflict": "manual"}})
    bert.change_conf({"sync": {"conflict": "manual"}})
    two.install()
    bert.stop_serve()
    bert.start_serve()
    anna.start_serve()
    anna.sql("INSERT INTO t VALUES (5, 'first')")
    until(lambda: bert.sql("SELECT 1 FROM t WHERE id=5"), 30, "it is there")
    until(lambda: anna.status()["peers"][0]["in_step"] and bert.status()["peers"][0]["in_step"], 30, "both know")
    assert letters.all() == []
    anna.stop_serve()
    anna.sql("UPDATE t SET v='anna' WHERE id=5")
    bert.sql("UPDATE t SET v='bert' WHERE id=5")
    anna.start_serve()
    until(lambda: letters.causes() == ["conflict"], 30, "anna hears of the conflict")
    bert.stop_serve()
    anna.sql("INSERT INTO t VALUES (6, 'nobody takes it')")
    until(lambda: set(letters.causes()) == {"conflict", "silent"}, 60, "bert is silent")
    anna.stop_serve()
    anna.start_serve()
    until(lambda: anna.status()["peers"][0]["failures"] >= 4, 60, "anna tries on")
    time.sleep(3)
    assert len(letters.all()) == 2
    silent = [letter for letter in letters.all() if "TANDEM_CAUSE=silent" in letter][0]
    assert "TANDEM_TEXT=the oldest change has waited for 0 min; last success: 2" in silent and "; last error: " in silent
    log = anna.agent_log.read_text(encoding="utf-8")
    assert "peer=bert notify: told of cause silent" in log


def test_names_and_texts_reach_no_shell(two: Pair) -> None:
    anna = two.anna
    letters = _Letters(anna)
    # A table whose name wants to be a command, and that --install has not seen.
    anna.sql(f"CREATE TABLE `{HOSTILE.replace('`', '``')}` (id INT PRIMARY KEY)")
    anna.drain()
    (letter,) = letters.all()
    assert "TANDEM_CAUSE=table\n" in letter and "TANDEM_PEER=\n" in letter
    assert f"TANDEM_TEXT=table {HOSTILE} is new" in letter
    assert not list(anna.folder.rglob("hit"))


@pytest.mark.parametrize(("then", "says"), [
    ("echo no network >&2; exit 3", "it ended with 3: no network"), ("kill -9 $$", "it was ended by signal 9"),
    ("", "cannot be run"), ("sleep 1000 & sleep 1000", ""), ("sleep 1000 & yes", "")],
    ids=["fails", "is killed", "is not there", "hangs", "never stops talking"])
def test_a_command_that_fails_is_logged_and_harms_nothing(two: Pair, then: str, says: str) -> None:
    anna = two.anna
    _Letters(anna, then)
    if says == "cannot be run":
        anna.change_conf({"sync": {"notify": "/nonexistent/tandem"}})
        assert "the program /nonexistent/tandem cannot be run" in anna.agent("--check").stdout
    if says:
        _parked(two, 101)
        assert says in anna.agent_log.read_text(encoding="utf-8")
        ((tries, told, why),) = hand.sync(anna, "SELECT tries, told_at, last_error FROM sync_notice")
        assert tries == 1 and told is None and says in why
        anna.drain(check=5)  # not at once again
        assert hand.sync(anna, "SELECT tries FROM sync_notice") == [(1,)]
        hand.sync(anna, "UPDATE sync_notice SET tried_at = tried_at - INTERVAL 11 MINUTE")
        _Letters(anna)
        anna.drain(check=5)
        assert hand.sync(anna, "SELECT tries, told_at IS NULL, last_error FROM sync_notice") == [(2, 0, None)]
        return
    # The daemon ends a hanging command with itself, and tells it in its next life.
    _parked_by_daemon(two)
    until(lambda: hand.sync(anna, "SELECT 1 FROM sync_notice WHERE tries=1"), 30, "it runs")
    begun = time.monotonic()
    anna.stop_serve()
    assert time.monotonic() - begun < 10
    assert hand.sync(anna, "SELECT tries, told_at FROM sync_notice") == [(0, None)]
    left = subprocess.run(["pgrep", "-f", "^sleep 1000$"], capture_output=True, text=True, check=False).stdout.split()
    assert not [pid for pid in left if Path(f"/proc/{pid}/cwd").resolve() == anna.folder]


def _parked_by_daemon(two: Pair) -> None:
    two.anna.start_serve()
    two.anna.sql("INSERT INTO t VALUES (101, 'x')")


def test_a_schema_from_before_goes_on_without_notices(two: Pair) -> None:
    anna = two.anna
    letters = _Letters(anna)
    hand.sync(anna, "DROP TABLE sync_notice")
    anna.sql("INSERT INTO t VALUES (101, 'x')")
    until(lambda: anna.drain().returncode == 5, 30, "it is parked")
    assert letters.all() == [] and "whether a person is needed could not be looked at" in anna.agent_log.read_text(encoding="utf-8")
    anna.install()
    anna.drain(check=5)
    assert letters.causes() == ["parked"]


@pytest.mark.parametrize(("script", "program", "says"), [
    ("mail", "mail", "-s\nanna: the link\nme@example.org\ntext\n"),
    ("desktop", "notify-send", "--app-name=Tandem\n--\nanna: the link\nno $HOME\nsee `to` it\n")])
def test_the_scripts_of_the_docs_pass_on_what_they_get(tmp_path: Path, script: str, program: str, says: str) -> None:
    text = (places.REPOSITORY / "docs/notify.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {script}: begin -->\n```sh\n(.*?)```\n<!-- {script}: end -->", text, re.S)
    assert found
    (tmp_path / "tell").write_text(found[1], encoding="utf-8")
    fake = tmp_path / program
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n' + ("cat\n" if program == "mail" else ""), encoding="utf-8")
    for file in (tmp_path / "tell", fake):
        file.chmod(0o700)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TANDEM_SUBJECT": "anna: the link", "TANDEM_TEXT": "no $HOME", "TANDEM_REMEDY": "see `to` it"}
    ran = subprocess.run([str(tmp_path / "tell")], input="text\n", env=env, text=True, capture_output=True, check=True)
    assert ran.stdout == says
