"""Exactly once, whatever is killed: writers on both laptops, agents and servers that die by
kill -9 at random moments, and at the end every acknowledged transaction is on both, once."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator

import history
import pytest

from lab import Node, Pair, process, until

SHORT_KILLS, LONG_KILLS = 10, 200  # of each kind
_WRITERS = 2                       # of each laptop
_PAUSE = 0.01                      # of a writer: the servers' restarts are the test's time


@pytest.fixture
def busy() -> Iterator[tuple[Pair, list[history.Writer]]]:
    """Two laptops that serve, with writers at work."""
    with Pair(schemas=(), server_options=["--innodb-flush-log-at-trx-commit=1"]) as two:
        history.make_tables(two.nodes)
        two.install()
        writers = [history.Writer(node, i, _PAUSE) for node in two.nodes for i in range(_WRITERS)]
        two.start_serve()
        for writer in writers:
            writer.start()
        try:
            yield two, writers
        finally:
            for writer in writers:
                if writer.is_alive():
                    writer.stop()


def _kill_agent(node: Node) -> None:
    node.kill_serve()
    node.start_serve(wait=False)


def _kill_server(node: Node) -> None:
    node.server.kill9()
    node.server.start()


def _go_on(writers: list[history.Writer], rng: random.Random) -> None:
    """Until the apps have done a few more things: the random moment."""
    goal = sum(writer.acknowledged for writer in writers) + rng.randint(1, 60)
    until(lambda: sum(writer.acknowledged for writer in writers) >= goal, 60,
          "the writers go on", longest=0.005)


def _assert_once(two: Pair, writers: list[history.Writer]) -> None:
    two.settle(180)
    found = [line for node in two.nodes for line in history.wrong_rows(node, writers)]
    assert not found, "\n".join(found)
    two.assert_equal()
    for node in two.nodes:
        assert node.pending() == 0
        assert node.status()["peers"][0]["in_step"], node.status()
        assert node.queue().get("failed", 0) == 0


def _activity(two: Pair) -> list[int]:
    return [node.sql(f"SELECT COUNT(*) FROM {node.sync_database}.sync_activity")[0][0]
            for node in two.nodes]


def _assert_silent(two: Pair) -> None:
    """A second drain has nothing to send."""
    two.start_serve()
    before = _activity(two)
    for node in two.nodes:
        assert node.drain(check=0).stdout == ""
    assert _activity(two) == before


def test_nothing_is_lost_and_nothing_doubled_when_agents_and_servers_are_killed(
        busy: tuple[Pair, list[history.Writer]], rng: random.Random, long_run: bool) -> None:
    two, writers = busy
    kinds: list[tuple[Callable[[Node], None], Node]] = [
        (how, node) for how in (_kill_agent, _kill_server) for node in two.nodes]
    plan = kinds * (LONG_KILLS if long_run else SHORT_KILLS)
    rng.shuffle(plan)
    for how, node in plan:
        _go_on(writers, rng)
        how(node)
    for node in two.nodes:
        node.wait_serve_ready()
    _go_on(writers, rng)
    for writer in writers:
        writer.stop()
    assert sum(writer.acknowledged for writer in writers) > len(plan)
    _assert_once(two, writers)
    _assert_silent(two)


def _killed_drain(node: Node, rng: random.Random) -> None:
    """A drain that gets at most a moment to live."""
    child = subprocess.Popen(node.command("--drain"), stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, cwd=node.folder,
                             preexec_fn=process.dies_with_parent())
    try:
        child.wait(rng.uniform(0.0, 0.15))
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def test_drains_that_are_killed_leave_nothing_half_done(
        busy: tuple[Pair, list[history.Writer]], rng: random.Random) -> None:
    """The same for --drain by cron: it dies anywhere between its start and its end."""
    two, writers = busy
    two.stop_serve()
    two.bert.start_serve()
    for _ in range(15):
        _go_on(writers, rng)
        _killed_drain(two.anna, rng)
    for writer in writers:
        writer.stop()
    two.bert.stop_serve()
    _assert_once(two, writers)
