"""The daemon: databases and peers that go and come back, ends in the middle of work, long runs,
and that it is quiet when there is nothing to do and never tells a secret."""

from __future__ import annotations

import json
import os
import statistics
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import Node, Pair, hand, until
from lab.node import PASSWORD

pytestmark = pytest.mark.slow

LARGE, HUGE = 100_000, 200_000  # rows of one transaction


@contextmanager
def _serving(proxied: bool = False, conf: dict[str, dict[str, str | None]] | None = None,
             buffer_pool: str = "64M", start: bool = True) -> Iterator[Pair]:
    """Two laptops with one small table, installed and serving."""
    with Pair(schemas=(), proxied=proxied, conf=conf or {}, buffer_pool=buffer_pool) as two:
        for node in two.nodes:
            node.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40) NOT NULL DEFAULT '')")
        two.install()
        if start:
            two.start_serve()
        yield two


def _has(node: Node, key: int) -> bool:
    return bool(node.sql("SELECT 1 FROM t WHERE id = %s", [key]))


def _count(node: Node) -> int:
    return int(node.sql("SELECT COUNT(*) FROM t")[0][0])


def _fill(node: Node, rows: int) -> None:
    """One transaction of that many rows."""
    node.sql(f"INSERT INTO t (id, v) SELECT seq, CONCAT('row ', seq) FROM seq_1_to_{rows}")


def _trigger(node: Node, key: str | None) -> int:
    """POST /api/trigger; the status."""
    request = urllib.request.Request(f"http://127.0.0.1:{node.monitor_port}/api/trigger",
                                     data=b"{}", method="POST")
    request.add_header("Content-Type", "application/json")
    if key is not None:
        request.add_header("Authorization", f"Bearer {key}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


# away and back -----------------------------------------------------------------------------------

def test_serve_starts_while_the_database_is_away_and_goes_on_when_it_comes_back() -> None:
    with _serving(start=False) as two:
        two.bert.start_serve()
        two.anna.sql("INSERT INTO t VALUES (1, 'before')")
        two.anna.server.stop()
        two.anna.start_serve()  # answers /healthz without a database
        status, body = two.anna.get("/api/status", two.anna.monitor_key)
        assert status == 503 and json.loads(body)["message"]
        two.anna.server.start()
        until(lambda: _has(two.bert, 1), 20, "what waited arrives")
        two.bert.sql("INSERT INTO t VALUES (2, 'after')")
        until(lambda: _has(two.anna, 2), 20, "and what is written there")
        assert two.anna.get("/api/status", two.anna.monitor_key)[0] == 200


@pytest.mark.parametrize("how", ["stop", "kill9"])
def test_a_database_restarted_under_a_running_serve_is_taken_up_again(how: str) -> None:
    with _serving() as two:
        for round_, node in enumerate((two.anna, two.bert, two.anna)):
            pid = node.serve_pid
            two.anna.sql("INSERT INTO t VALUES (%s, '')", [10 * round_])
            until(lambda: _has(two.bert, 10 * round_), 20, "a row arrives before")
            getattr(node.server, how)()
            node.server.start()
            two.anna.sql("INSERT INTO t VALUES (%s, '')", [10 * round_ + 1])
            two.bert.sql("INSERT INTO t VALUES (%s, '')", [10 * round_ + 2])
            until(lambda: _has(two.bert, 10 * round_ + 1), 20, "anna's row arrives after")
            until(lambda: _has(two.anna, 10 * round_ + 2), 20, "bert's row arrives after")
            assert node.serve_pid == pid and node.serving()
        two.wait_quiet()
        two.assert_equal()


def test_a_peer_that_was_away_gets_everything_when_it_is_back() -> None:
    with _serving(proxied=True) as two:
        link = two.wire["anna", "bert"]
        link.set_mode("refuse")
        two.anna.sql("INSERT INTO t VALUES (1, '')")
        until(lambda: two.anna.status()["peers"][0]["failures"] >= 3, 20, "anna has tried")
        peer = two.anna.status()["peers"][0]
        assert not peer["in_step"] and peer["pending"] == 1 and peer["parked"] == 0
        assert peer["held"] is None and "refused the connection" in peer["last_error"]
        link.set_mode("pass")
        until(lambda: _has(two.bert, 1), 15, "the row arrives within the backoff's limit")
        until(lambda: two.anna.status()["peers"][0]["in_step"], 10, "anna says so")
        assert two.anna.status()["peers"][0]["failures"] == 0


def test_tries_grow_rarer_while_a_peer_is_away_and_a_trigger_makes_one_at_once() -> None:
    with _serving(proxied=True) as two:
        link = two.wire["anna", "bert"]
        link.set_mode("refuse")
        two.anna.sql("INSERT INTO t VALUES (1, '')")
        until(lambda: two.anna.status()["peers"][0]["failures"] >= 4, 30, "anna has tried")
        begun = time.monotonic()
        link.set_mode("pass")  # the next try by itself is seconds away: 0.5, 1, 2, 4 s ...
        assert _trigger(two.anna, None) == 401 and _trigger(two.anna, "0" * 32) == 401
        assert _trigger(two.anna, two.anna.monitor_key) == 202
        until(lambda: _has(two.bert, 1), 2, "the row arrives at once", longest=0.01)
        assert time.monotonic() - begun < 2


def test_laptops_that_slept_go_on_when_they_wake() -> None:
    with _serving() as two:
        two.anna.sql("INSERT INTO t VALUES (1, '')")
        until(lambda: _has(two.bert, 1), 10, "a row arrives")
        two.bert.pause_serve()
        two.anna.sql("INSERT INTO t VALUES (2, '')")
        until(lambda: two.anna.pending() >= 1, 10, "anna waits for bert")
        two.bert.resume_serve()
        until(lambda: _has(two.bert, 2), 20, "the row arrives")
        two.wait_quiet()


# ends in the middle ------------------------------------------------------------------------------

def _watch_counts(node: Node, seen: set[int], over: threading.Event) -> None:
    while not over.is_set():
        seen.add(_count(node))
        over.wait(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["receiver", "sender"])
def test_sigterm_in_the_middle_of_a_large_group_leaves_no_half_of_it(who: str) -> None:
    with _serving(proxied=True) as two:
        link, doomed = two.wire["anna", "bert"], (two.bert if who == "receiver" else two.anna)
        seen: set[int] = set()
        over = threading.Event()
        watch = threading.Thread(target=_watch_counts, args=(two.bert, seen, over))
        watch.start()
        try:
            begun = link.bytes_up
            _fill(two.anna, LARGE)
            until(lambda: link.bytes_up > begun + 100_000, 30, "the group is on its way",
                  longest=0.002)
            stopping = time.monotonic()
            doomed.stop_serve(timeout=40)  # fails unless it ends with 0
            assert time.monotonic() - stopping < 35
            assert _count(two.bert) in (0, LARGE)
            doomed.start_serve()
            until(lambda: _count(two.bert) == LARGE, 60, "everything arrives")
        finally:
            over.set()
            watch.join()
        assert seen <= {0, LARGE}, f"half a group was seen: {sorted(seen)[:5]}"
        two.wait_quiet()
        two.assert_equal()


@pytest.mark.slow
def test_the_page_answers_while_a_huge_group_is_applied() -> None:
    with _serving(proxied=True, buffer_pool="256M",
                  conf={"sync": {"group_rows": str(HUGE + 1)}}) as two:
        link = two.wire["anna", "bert"]
        begun = link.bytes_up
        _fill(two.anna, HUGE)
        until(lambda: link.bytes_up > begun + 100_000, 60, "the group is on its way",
              longest=0.002)
        slowest, asked = 0.0, 0
        deadline = time.monotonic() + 120
        while _count(two.bert) < HUGE:
            for path, key in (("/healthz", None), ("/api/status", two.bert.monitor_key),
                              ("/", two.bert.monitor_key), ("/metrics", two.bert.monitor_key)):
                asked_at = time.monotonic()
                assert two.bert.get(path, key)[0] == 200, path
                slowest, asked = max(slowest, time.monotonic() - asked_at), asked + 1
            assert time.monotonic() < deadline, "the group does not arrive"
        print(f"{asked} answers while {HUGE} rows were applied, slowest {slowest * 1000:.0f} ms")
        assert asked >= 3 and slowest < 5.0  # not as long as the group takes
        two.wait_quiet()
        two.assert_equal()


def test_a_drain_beside_a_serve_does_no_harm() -> None:
    with _serving() as two:
        for key in range(40):
            two.anna.sql("INSERT INTO t VALUES (%s, '')", [key])
            two.anna.drain(check=0)
        until(lambda: _count(two.bert) == 40, 20, "all rows arrive")
        two.wait_quiet()
        two.assert_equal()
        applied = two.bert.sql(f"SELECT SUM(records) FROM {two.bert.sync_database}.sync_activity"
                               " WHERE direction = 'applied'")
        assert int(applied[0][0]) == 40


# long runs ---------------------------------------------------------------------------------------

def _open_files(node: Node) -> int:
    return len(os.listdir(f"/proc/{node.serve_pid}/fd"))


def _threads(node: Node) -> int:
    return len(os.listdir(f"/proc/{node.serve_pid}/task"))


def _exchange(two: Pair, first: int, rows: int) -> None:
    for key in range(first, first + rows):
        two.anna.sql("INSERT INTO t VALUES (%s, '')", [key])
        until(lambda: _has(two.bert, key), 20, "the row arrives", longest=0.005)


def test_files_and_threads_do_not_grow_with_exchanges_and_restarts_of_the_peer() -> None:
    with _serving() as two:
        _exchange(two, 0, 20)
        two.wait_quiet()
        for node in two.nodes:  # both workers of the page have their connections from then on
            for path in ("/api/status", "/api/monitor/state"):
                assert node.get(path, node.monitor_key)[0] == 200
        files, threads = _open_files(two.anna), _threads(two.anna)
        files_there, threads_there = _open_files(two.bert), _threads(two.bert)
        _exchange(two, 1000, 200)
        until(lambda: _open_files(two.bert) <= files_there + 1, 10, "bert's files are steady")
        assert _threads(two.bert) == threads_there
        for round_ in range(20):
            two.bert.stop_serve()
            two.bert.start_serve()
            _trigger(two.anna, two.anna.monitor_key)
            two.anna.sql("INSERT INTO t VALUES (%s, '')", [5000 + round_])
            until(lambda: _has(two.bert, 5000 + round_), 20, "the row arrives", longest=0.02)
        until(lambda: _open_files(two.anna) <= files + 1, 10, "anna's files are steady")
        assert _threads(two.anna) == threads
        two.wait_quiet()
        two.assert_equal()


def test_a_commit_is_soon_visible_on_the_other_laptop() -> None:
    with _serving() as two:
        _exchange(two, 0, 5)
        took = []
        with two.anna.connect() as here, two.bert.connect() as there:
            for key in range(100, 160):
                with here.cursor() as cursor:
                    cursor.execute("INSERT INTO t VALUES (%s, '')", [key])
                begun = time.monotonic()

                def visible(wanted: int = key) -> bool:
                    with there.cursor() as cursor:
                        return bool(cursor.execute("SELECT 1 FROM t WHERE id = %s", [wanted]))

                until(visible, 10, "the row arrives", longest=0.001)
                took.append(time.monotonic() - begun)
        median = statistics.median(took)
        print(f"commit to visible: median {median * 1000:.1f} ms, longest {max(took) * 1000:.1f} ms")
        assert median < 1.0


def test_status_and_page_answer_while_a_group_is_applied() -> None:
    """Whoever applies a group has the cursor locked until it commits; nobody who only looks waits for that."""
    with _serving() as two:
        _exchange(two, 0, 2)
        with two.bert.connect(autocommit=False) as applying, applying.cursor() as cursor:
            cursor.execute(f"SELECT * FROM `{two.bert.sync_database}`.sync_cursor FOR UPDATE")
            cursor.execute(f"SELECT * FROM `{two.bert.sync_database}`.sync_peer FOR UPDATE")
            for path in ("/api/status", "/api/monitor/state", "/", "/api/monitor/review", "/api/monitor/history"):
                begun = time.monotonic()
                assert two.bert.get(path, two.bert.monitor_key)[0] == 200
                assert time.monotonic() - begun < 4, path  # a lock is waited for 5 s
            begun = time.monotonic()
            two.bert.agent("--status")
            assert time.monotonic() - begun < 4


# quiet -------------------------------------------------------------------------------------------

_WRITES = ("Com_insert", "Com_update", "Com_commit", "Com_replace", "Com_call_procedure",
           "Innodb_rows_inserted", "Innodb_rows_updated", "Innodb_rows_deleted")


def _written(node: Node) -> dict[str, int]:
    names = ", ".join(f"'{name}'" for name in _WRITES)
    return {name: int(value) for name, value in
            node.sql(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({names})")}


def _looks(node: Node) -> int:
    return int(node.sql("SHOW GLOBAL STATUS LIKE 'Questions'")[0][1])


def _noted(node: Node, what: str) -> int:
    return int(hand.sync(node, f"SELECT {what} FROM sync_history WHERE step_s=10")[0][0] or 0)


def test_an_idle_pair_writes_nothing_and_sends_nothing() -> None:
    with _serving(proxied=True) as two:
        until(lambda: all(_noted(node, "COUNT(*)") for node in two.nodes), 20, "the first sample for the graphs")
        two.anna.sql("INSERT INTO t VALUES (1, '')")
        two.bert.sql("INSERT INTO t VALUES (2, '')")
        two.wait_quiet()
        until(lambda: all(_noted(node, "LEAST(SUM(sent), SUM(applied))") for node in two.nodes), 30,
              "the sample of what happened")
        until(lambda: all(node.status()["peers"][0]["in_step"] for node in two.nodes), 20, "in step")
        # A table's age is noted once, two seconds after it was made.
        until(lambda: all(hand.sync(node, "SELECT COUNT(*) FROM sync_identity WHERE noted_at < created + INTERVAL 2 SECOND")
                          == [(0,)] for node in two.nodes), 20, "no table is new")
        until(lambda: _settled(two), 20, "the last settling is over")
        written = [_written(node) for node in two.nodes]
        passed = [link.bytes_passed for link in two.wire.values()]
        looks = [_looks(node) for node in two.nodes]
        # An idle window of a few hundred looks of every daemon, whatever time they take.
        until(lambda: all(_looks(node) > before + 400 for node, before in zip(two.nodes, looks)),
              60, "the daemons have looked", longest=0.5)
        assert [_written(node) for node in two.nodes] == written
        assert [link.bytes_passed for link in two.wire.values()] == passed


def _settled(two: Pair) -> bool:
    before = [_written(node) for node in two.nodes]
    looks = [_looks(node) for node in two.nodes]
    until(lambda: all(_looks(node) > n + 60 for node, n in zip(two.nodes, looks)), 20, "a few looks",
          longest=0.2)
    return [_written(node) for node in two.nodes] == before


# secrets -----------------------------------------------------------------------------------------

def _secrets(node: Node) -> list[str]:
    peer = next(section for name, section in node.conf.items() if name.startswith("peer "))
    return [str(peer["key"]), node.monitor_key, PASSWORD]


def _proc(pid: int, what: str) -> str:
    return Path(f"/proc/{pid}/{what}").read_bytes().decode(errors="replace")


def test_no_secret_is_ever_told() -> None:
    with _serving(start=False) as two:
        for node in two.nodes:
            node.change_conf({"log": {"level": "debug"}})
        two.start_serve()
        two.anna.sql("INSERT INTO t VALUES (1, '')")
        until(lambda: _has(two.bert, 1), 20, "the row arrives")
        told: dict[str, str] = {}
        for node in two.nodes:
            told[f"{node.name} cmdline"] = _proc(node.serve_pid, "cmdline")
            told[f"{node.name} environ"] = _proc(node.serve_pid, "environ")
            for path in ("/", "/api/status", "/monitor.js", "/healthz", "/nothing"):
                for key in (node.monitor_key, "wrong" * 8):
                    told[f"{node.name} {path} {key[:5]}"] = node.get(path, key)[1].decode()
        right = str(two.anna.conf["peer bert"]["key"])
        for name, verb in _verbs():
            ran = two.anna.agent(*verb)
            told[name] = ran.stdout + ran.stderr
        two.anna.change_conf({"peer bert": {"key": "12" * 32}, "database": {"password": "wrong word"}})
        for name, verb in _verbs():
            ran = two.anna.agent(*verb)
            told[f"{name}, wrong password"] = ran.stdout + ran.stderr
            assert "wrong word" not in told[f"{name}, wrong password"]
        two.anna.change_conf({"peer bert": {"key": right + "zz"}, "database": {"password": PASSWORD}})
        told["a malformed key"] = two.anna.agent("--drain").stderr
        two.anna.change_conf({"peer bert": {"key": right}})
        two.stop_serve()
        for node in two.nodes:
            for log in [*node.folder.glob("*.log"), *(node.folder / "state").rglob("*")]:
                if log.is_file():
                    told[f"{node.name} {log.name}"] = log.read_text(errors="replace")
        assert any("debug" in text for text in told.values())
        for node in two.nodes:
            for secret in _secrets(node):
                where = [name for name, text in told.items() if secret in text]
                assert not where, f"a secret of {node.name} is told by {where}"


def _verbs() -> list[tuple[str, list[str]]]:
    return [(" ".join(verb), verb) for verb in (
        ["--status"], ["--status", "--json"], ["--check"], ["--drain", "-v"], ["--install", "-v"],
        ["--parked", "--json"], ["--help"], ["--wait", "0"])]


def test_a_second_serve_on_the_same_ports_says_which_option_to_change() -> None:
    with _serving() as two:
        ran: Any = two.anna.agent("--serve", timeout=30)
        assert ran.returncode not in (0, None)
        assert "listen" in ran.stderr and str(two.anna.listen_port) in ran.stderr, ran.stderr
        assert two.anna.serving()
