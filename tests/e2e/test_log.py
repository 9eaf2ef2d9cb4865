"""The log: one line an event that names peer, table and record, in words that can be searched for; nothing at all with
-q on success, whatever the log is told."""

from __future__ import annotations

import os
import re
import signal

from lab import Pair, hand
from lab.node import Node
from lab.waiting import until

DONE, PERSON = 0, 5
T = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))"
LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|info|debug) (?:peer=(\S+) )?(.+)$")


def _said(node: Node) -> list[str]:
    """The lines of the log as "level peer text"; each must be whole and of the form."""
    found = []
    for line in node.agent_log.read_text(encoding="utf-8").splitlines():
        parts = LINE.match(line)
        assert parts, line
        found.append(f"{parts[1]} {parts[2]} {parts[3]}")
    return found


def _has(node: Node, pattern: str) -> bool:
    return any(re.fullmatch(pattern, line) for line in _said(node))


def test_what_was_queued_sent_applied_and_refused_can_be_searched_for(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.anna, fresh_pair.bert
    hand.everywhere(fresh_pair, T, *(f"CREATE TABLE u{i} (id INT PRIMARY KEY)" for i in range(8)))
    fresh_pair.install()
    bert.sql("ALTER TABLE t ADD CHECK (id<>7)")
    bert.start_serve()
    hand.transaction(anna, "INSERT INTO t VALUES (1,'a'),(2,'b'),(7,'c')", "INSERT INTO u1 VALUES (5)", "UPDATE t SET v='x' WHERE id=1")
    until(lambda: anna.drain().returncode == PERSON, 60, "it is parked")
    assert _has(anna, r"info bert Sync queued: epoch 1, 4 records, \d+ bytes \(t 3, u1 1\)"), _said(anna)
    assert _has(anna, r"info bert Sync success: 3 records up to epoch 1, 1 refused \(t 3, u1 1\)")
    refused = r"table t record 7: .*CONSTRAINT_1.* \(error 4025\)"
    assert _has(anna, rf"warning bert Sync refused: {refused} \(retry, attempt 1 of 3\)")
    assert _has(anna, rf"warning bert Sync refused: {refused} \(parked, attempt 3 of 3\)")
    assert _has(bert, r"info anna Sync applied: 3 records up to epoch 1, 1 refused")
    assert _has(bert, rf"warning anna Sync refused here: {refused}")
    # Many tables: the line has an end.
    hand.transaction(anna, *(f"INSERT INTO u{i} VALUES (9)" for i in range(8)))
    anna.drain(check=PERSON)
    assert _has(anna, r"info bert Sync queued: epoch \d+, \d+ records, \d+ bytes \((\w+ \d, ){5}\w+ \d and \d more\)"), _said(anna)


def test_levels_leave_out_what_is_below_them(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.anna, fresh_pair.bert
    hand.everywhere(fresh_pair, T)
    fresh_pair.install()
    bert.start_serve()
    for level, words, shows in (("warning", (), False), ("debug", (), True), ("error", ("-v",), True), ("debug", ("-q",), False)):
        anna.agent_log.unlink(missing_ok=True)
        anna.change_conf({"log": {"level": level}})
        anna.sql("REPLACE INTO t VALUES (1, %s)", [" ".join([level, *words])])
        anna.drain(*words, check=DONE)
        text = anna.agent_log.read_text(encoding="utf-8")
        assert ("Sync queued" in text) == ("Sync success" in text) == (" debug " in text) == shows, (level, words, text)


def test_a_daemon_takes_another_log_up_and_keeps_its_own_where_that_cannot_be_written(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    hand.everywhere(fresh_pair, T)
    fresh_pair.install()
    anna.start_serve()
    first, second = anna.agent_log, anna.folder / "second.log"
    for target, level, seen in ((f"file {second}", "debug", lambda: second.exists() and " debug " in second.read_text()),
                                (f"file {anna.folder}", "info", lambda: "error the log stays as it was: " in second.read_text()),
                                (f"file {first}", "info", lambda: first.read_text().count(" up: node anna") == 2)):
        anna.change_conf({"log": {"target": target, "level": level}})
        assert anna.serve_pid is not None
        os.kill(anna.serve_pid, signal.SIGHUP)
        until(seen, 60, target)
    assert second.stat().st_mode & 0o777 == 0o600
    assert second.read_text().count(" up: node anna") == 2


def test_with_q_a_success_prints_nothing_at_all(fresh_pair: Pair) -> None:
    """Not even with a log that goes to stderr: what cron runs mails nothing."""
    anna, bert = fresh_pair.anna, fresh_pair.bert
    hand.everywhere(fresh_pair, T)
    script = anna.folder / "tell"
    script.write_text("#!/bin/sh\necho out; echo err >&2\n", encoding="utf-8")
    script.chmod(0o700)
    for level in ("info", "debug"):
        anna.change_conf({"log": {"target": "stderr", "level": level}, "sync": {"notify": str(script)}})
        assert _silent(anna, "--install") == bert.install().stderr == ""
        if level == "info":
            bert.start_serve()
        for words in (["--drain"], ["--drain"], ["--drain", "--dry-run"], ["--drain", "--allow-deletes"], ["--wait", "5"], ["--status"], ["--check"],
                      ["--parked"], ["--conflicts"], ["--verify"], ["--verify", "--repair"], ["--startup"], ["--install"]):
            anna.sql("REPLACE INTO t VALUES (1, %s)", [level + " ".join(words)])
            if words[0] not in ("--drain", "--install"):
                hand.drain(anna)
            _silent(anna, *words)
    # What fails says so, in one line.
    bert.stop_serve()
    anna.sql("REPLACE INTO t VALUES (1, 'nobody there')")
    ran = anna.agent("--drain", "-q", check=4)
    assert ran.stdout == "" and len(ran.stderr.splitlines()) == 1
    # And what a person has to see.
    bert.start_serve()
    bert.sql("ALTER TABLE t ADD CHECK (id<>7)")
    anna.sql("INSERT INTO t VALUES (7, 'refused')")
    until(lambda: anna.agent("--drain", "-q").returncode == PERSON, 60, "it is parked")


def _silent(node: Node, *words: str) -> str:
    ran = node.agent(*words, "-q", check=DONE)
    assert (ran.stdout, ran.stderr) == ("", ""), words
    return ran.stdout
