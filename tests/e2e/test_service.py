"""The daemon and a service manager: it says when it is ready, reads again and stops, shows signs of life while its loop
turns, and a line for people; and the unit asks for that."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import Pair, hand, places
from lab.manager import Manager
from lab.node import Node
from lab.waiting import until

pytestmark = pytest.mark.slow

WATCHDOG_S = 1.0


@contextmanager
def _managed(node: Node, name: str, watch: bool = True) -> Iterator[Manager]:
    manager = Manager(name)
    env = {"NOTIFY_SOCKET": name} | ({"WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))} if watch else {})
    try:
        node.start_serve(env=env)
        until(lambda: "READY=1" in manager.listen(), 30, "it is ready")
        yield manager
    finally:
        node.stop_serve()
        manager.close()


@pytest.fixture
def two(fresh_pair: Pair) -> Pair:
    """Installed."""
    hand.everywhere(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY)")
    fresh_pair.install()
    return fresh_pair


def test_a_service_manager_hears_of_every_turn_of_its_life(two: Pair) -> None:
    anna = two.anna
    heard = Manager(str(anna.folder / "notify"))
    anna.start_serve(env={"NOTIFY_SOCKET": heard.name, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))})
    try:
        until(lambda: "READY=1" in heard.listen(), 30, "it is ready")
        assert anna.get("/healthz")[0] == 200
        # A line for people, which changes when the state does.
        until(lambda: "STATUS=in step with 1 of 1 peers" in heard.listen(), 30, "its state is told")
        anna.sql("INSERT INTO t VALUES (1)")
        until(lambda: "STATUS=in step with 0 of 1 peers; 1 changes pending" in heard.listen(), 30, "and what is pending")
        # Signs of life, at least two in the time that the manager waits.
        count = heard.listen().count("WATCHDOG=1")
        until(lambda: heard.listen().count("WATCHDOG=1") >= count + 4, 30, "it lives")
        when = [at for at, text in heard.heard if text == "WATCHDOG=1"]
        assert sorted(b - a for a, b in zip(when, when[1:]))[len(when) // 2] < WATCHDOG_S * 0.9
        # A daemon that does not get on gives none.
        anna.pause_serve()
        heard.listen()
        count = heard.listen().count("WATCHDOG=1")
        time.sleep(2 * WATCHDOG_S)
        assert heard.listen().count("WATCHDOG=1") == count
        anna.resume_serve()
        until(lambda: heard.listen().count("WATCHDOG=1") > count, 30, "it lives again")
        # agent.conf read again: said, with a longer time for it, and ready again with the old one.
        anna.agent("--reload", "-q", check=0)
        until(lambda: f"READY=1\nWATCHDOG_USEC={int(WATCHDOG_S * 1e6)}" in heard.listen(), 60, "it is ready again")
        said = heard.listen()
        (again,) = [text for text in said if text.startswith("RELOADING=1")]
        assert again.startswith("RELOADING=1\nWATCHDOG_USEC=") and int(again.rpartition("=")[2]) > 900_000_000
        assert said.index(again) < said.index(f"READY=1\nWATCHDOG_USEC={int(WATCHDOG_S * 1e6)}")
        until(lambda: heard.listen().count("WATCHDOG=1") > said.count("WATCHDOG=1"), 30, "it lives again")
        # agent.conf that is not right changes nothing, and --reload says so.
        good = anna.conf_path.read_text(encoding="utf-8")
        anna.conf_path.write_text(good + "\n[sync]\nwrong = 1\n", encoding="utf-8")
        assert anna.agent("--reload", "-q").returncode == 2
        os.kill(anna.serve_pid, signal.SIGHUP)
        until(lambda: "going on with agent.conf as it was" in anna.agent_log.read_text(encoding="utf-8"), 30, "it has looked")
        anna.conf_path.write_text(good, encoding="utf-8")
        assert "STOPPING=1" not in heard.listen() and len([text for text in heard.listen() if text.startswith("RELOADING=1")]) == 1
    finally:
        anna.stop_serve()
    assert "STOPPING=1" in heard.listen()
    heard.close()


def test_an_abstract_socket_and_no_watchdog(two: Pair) -> None:
    with _managed(two.anna, f"@tandem-test-{os.getpid()}", watch=False) as heard:
        until(lambda: any(text.startswith("STATUS=") for text in heard.listen()), 30, "its state is told")
        assert "WATCHDOG=1" not in heard.listen()


@pytest.mark.parametrize("name", ["", "relative/path", "/nonexistent/socket", "@" + "x" * 200])
def test_a_manager_that_is_not_there_changes_nothing(two: Pair, name: str) -> None:
    two.anna.start_serve(env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "nonsense"})
    assert two.anna.get("/healthz")[0] == 200
    two.anna.stop_serve()


def test_commands_do_not_speak_in_the_daemons_place(two: Pair) -> None:
    """What says where the manager listens is not passed on."""
    anna = two.anna
    script, kept = anna.folder / "tell", anna.folder / "environment"
    script.write_text(f"#!/bin/sh\nenv >{kept}.new\nmv {kept}.new {kept}\n", encoding="utf-8")
    script.chmod(0o700)
    anna.change_conf({"sync": {"notify": str(script)}})
    anna.sql("CREATE TABLE later (id INT PRIMARY KEY)")
    with _managed(anna, str(anna.folder / "notify")):
        until(kept.exists, 60, "the command has run")
    assert not [line for line in kept.read_text(encoding="utf-8").splitlines() if line.startswith(("NOTIFY_SOCKET", "WATCHDOG_"))]


def test_the_unit_asks_for_what_the_daemon_says() -> None:
    lines = Path(places.REPOSITORY / "scripts/tandem.service").read_text(encoding="utf-8").splitlines()
    assert "Type=notify" in lines and "Restart=on-failure" in lines
    assert [line for line in lines if line.startswith("WatchdogSec=")] == ["WatchdogSec=2min"]
    assert [line for line in lines if line.startswith("ExecReload=")] == ["ExecReload=/usr/local/sbin/agent --reload -q --config /var/lib/tandem/agent.conf"]
