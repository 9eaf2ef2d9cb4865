"""What the command line prints for people: on a terminal aligned, coloured, folded to its width; in a pipe plain, one
line each; the worst first; and nothing that comes from a database steers the terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab import Pair, hand, process
from lab.node import Node
from lab.waiting import until

PERSON = 5
HOSTILE = "evil \x1b[31m\r\n\u202e"
TABLES = ("CREATE TABLE riders (id INT PRIMARY KEY, name VARCHAR(200), town VARCHAR(200))",
          "CREATE TABLE `Pferde und Höfe 騎手` (k VARCHAR(100) PRIMARY KEY, v INT)")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def two() -> Iterator[Pair]:
    """Bert refuses some of anna's changes, and one record waits for a person."""
    with Pair(schemas=()) as pair:
        hand.everywhere(pair, *TABLES, "INSERT INTO riders VALUES (1, 'Ada', 'London')")
        pair.anna.change_conf({"table riders": {"conflict": "manual"}})
        pair.bert.change_conf({"table riders": {"conflict": "manual"}})
        pair.install()
        pair.bert.sql("ALTER TABLE riders ADD CONSTRAINT plain CHECK (name NOT LIKE 'evil%')")
        pair.anna.sql("UPDATE riders SET town='Paris' WHERE id=1")
        pair.bert.sql("UPDATE riders SET town='Oxford' WHERE id=1")
        pair.anna.sql("INSERT INTO riders VALUES (2, 'evil', NULL)")
        pair.anna.sql("INSERT INTO `Pferde und Höfe 騎手` VALUES (%s, 1), ('Jürgen 騎手', 2)", [HOSTILE])
        pair.start_serve()
        until(lambda: all(node.status()["undecided"] for node in pair.nodes) and pair.anna.status()["parked"], 60, "both wait for a person")
        pair.stop_serve()
        yield pair


def _terminal(node: Node, *args: str, width: int = 80, on_stderr: bool = False, **env: str) -> tuple[int, str]:
    """What the verb shows on a terminal of that width (stdout alone, unless stderr is asked for); its exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
    child = subprocess.Popen(node.command(*args), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL if on_stderr else theirs,
                             stderr=theirs if on_stderr else subprocess.DEVNULL, env={**clean, "TERM": "xterm", **env},
                             preexec_fn=process.dies_with_parent())
    os.close(theirs)
    seen = b""
    try:
        while True:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        return child.wait(60), seen.decode().replace("\r\n", "\n")
    finally:
        os.close(ours)
        process.end(child)


def _columns(line: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in COLOUR.sub("", line))


@contextmanager
def hand_dropped(node: Node, make: str, drop: str) -> Iterator[None]:
    """Something in the app's database, for a while."""
    node.sql(make)
    try:
        yield
    finally:
        node.sql(drop)


VERBS = (["--status"], ["--parked"], ["--conflicts"], ["--check"], ["--explain", "riders", "1"])


def test_a_pipe_gets_no_colours_and_a_terminal_does(two: Pair) -> None:
    for verb in VERBS:
        plain = two.anna.agent(*verb).stdout
        assert plain and "\x1b" not in plain, verb
        assert COLOUR.search(_terminal(two.anna, *verb)[1]), verb
        assert "\x1b" not in _terminal(two.anna, *verb, NO_COLOR="1")[1]
        assert COLOUR.search(two.anna.agent(*verb, "--color", "always").stdout)
    assert "\x1b" not in _terminal(two.anna, "--status", TERM="dumb")[1]
    assert "\x1b" not in _terminal(two.anna, "--status", "--color=never")[1]
    assert COLOUR.search(_terminal(two.anna, "--status", "--color=always", NO_COLOR="1")[1])
    assert "auto, always or never" in two.anna.agent("--status", "--color", "red", check=2).stderr


def test_json_and_quiet_are_the_same_everywhere(two: Pair) -> None:
    for verb in VERBS[1:3]:
        piped = two.anna.agent(*verb, "--json").stdout
        assert _terminal(two.anna, *verb, "--json", "--color=always")[1] == piped and json.loads(piped)
    for verb in (["--status"], ["--parked"], ["--conflicts"], ["--explain", "riders", "1"]):
        assert _terminal(two.anna, *verb, "-q")[1] == ""


@pytest.mark.parametrize("width", [200, 80, 40, 20])
def test_nothing_is_wider_than_the_terminal(two: Pair, width: int) -> None:
    for verb in VERBS:
        _, seen = _terminal(two.anna, *verb, width=width)
        too_wide = [line for line in seen.splitlines() if _columns(line) > max(width, 20)]
        assert not too_wide, (verb, too_wide)
        for line in seen.splitlines():
            assert line == line.rstrip(), "nothing stands behind the end of a line"


def test_columns_are_aligned_whatever_the_names(two: Pair) -> None:
    """The heads stand above their columns, also below a name of wide characters."""
    lines = [COLOUR.sub("", line) for line in _terminal(two.anna, "--explain", "Pferde und Höfe 騎手", "Jürgen 騎手", width=160)[1].splitlines()]
    head = next(i for i, line in enumerate(lines) if line.startswith("changed "))
    assert lines[head].index("change ", 9) == lines[head + 1].index("insert")
    wide = [line for line in lines[head:] if "騎手" in line]
    assert not wide or all(_columns(line) <= 160 for line in wide)
    lines = [COLOUR.sub("", line) for line in _terminal(two.anna, "--parked", width=200)[1].splitlines()]
    assert lines[0].split()[:4] == ["id", "peer", "table", "record"]
    assert lines[1].startswith(" " * (len(lines[0].split("id")[0])) ) and lines[1].index("bert") == lines[0].index("peer")


def test_what_needs_a_person_comes_first(two: Pair) -> None:
    said = two.anna.agent("--status", check=PERSON).stdout.splitlines()
    assert said[0] == "node anna, database app" and said[1].startswith("needs you")
    two.anna.add_peer("aaron", "http://127.0.0.1:9", "cd" * 32)
    two.anna.write_conf()
    try:
        rows = [line.split()[0] for line in two.anna.agent("--status", check=PERSON).stdout.splitlines() if line.startswith(("aaron ", "bert "))]
        assert rows[:2] == ["bert", "aaron"], "bert needs a person"
    finally:
        del two.anna.conf["peer aaron"]
        two.anna.write_conf()
        two.anna.install()
    shown = two.anna.agent("--conflicts", check=PERSON).stdout
    assert "NOT DECIDED" in shown.splitlines()[0] and '"Paris"' in shown and '"Oxford"' in shown
    row, = [line for line in shown.splitlines() if line.startswith("  town")]
    assert row.index('"Paris"') < row.index('"Oxford"'), "side by side"


def test_sizes_and_ages_are_readable(two: Pair) -> None:
    said = two.anna.agent("--status").stdout
    assert re.search(r"stored: +queue [\d.]+ (KiB|MiB), conflicts [\d.]+ (KiB|MiB); free in state_dir: [\d.]+ (MiB|GiB|TiB)", said)
    assert re.search(r"\b(just now|\d+ s ago|\d+ min ago)\b", said)
    hand.sync(two.anna, "UPDATE sync_peer SET last_success=UTC_TIMESTAMP() - INTERVAL 3 HOUR")
    assert "3 h ago" in two.anna.agent("--status").stdout


def test_nothing_from_the_database_steers_the_terminal(two: Pair) -> None:
    two.bert.sql("ALTER TABLE `Pferde und Höfe 騎手` ADD CONSTRAINT few CHECK (v<>7)")
    two.anna.sql("UPDATE `Pferde und Höfe 騎手` SET v=7 WHERE k=%s", [HOSTILE])
    two.bert.start_serve()
    try:
        until(lambda: two.anna.drain().returncode == PERSON and "evil" in str(two.anna.status()["parked"][-1]["record_id"]), 30, "it is parked")
    finally:
        two.bert.stop_serve()
    for ran in (two.anna.agent("--parked").stdout, _terminal(two.anna, "--parked", NO_COLOR="1")[1],
                two.anna.agent("--explain", "Pferde und Höfe 騎手", HOSTILE).stdout):
        assert "evil \\x1b[31m" in ran.replace("\n", "") or "evil" in ran
        assert not set("\x1b\r\u202e") & set(ran)


def test_nothing_that_is_printed_elsewhere_steers_the_terminal(two: Pair) -> None:
    """Names of tables and triggers, what a peer answers: in --install, --check, --drain."""
    with hand_dropped(two.anna, f"CREATE TABLE `{HOSTILE}x` (v INT)", f"DROP TABLE `{HOSTILE}x`"), \
            hand_dropped(two.anna, f"CREATE TABLE `{HOSTILE}` (id INT PRIMARY KEY)", f"DROP TABLE `{HOSTILE}`"):
        for words in (["--install", "--dry-run"], ["--install"], ["--check"], ["--status"], ["--uninstall", "--dry-run"]):
            ran = two.anna.agent(*words)
            assert not set("\x1b\r\u202e") & set(ran.stdout + ran.stderr), words
            assert words[0] not in ("--install", "--check") or "evil \\x1b[31m" in ran.stdout, words
        two.anna.sql(f"INSERT INTO `{HOSTILE}` VALUES (1)")
        for words in (["--drain", "--dry-run", "-v"], ["--drain"]):
            ran = two.anna.agent(*words)
            assert not set("\x1b\r\u202e") & set(ran.stdout + ran.stderr), words
    two.anna.install()


def test_long_work_shows_how_far_it_is_on_a_terminal_alone(two: Pair) -> None:
    two.bert.start_serve()
    try:
        _, seen = _terminal(two.anna, "--verify", "--table", "riders", on_stderr=True)
        assert re.search(r"\rriders: \d+ .*records", seen) and "\r\x1b[K" in seen, "shown, and taken away again"
        assert not re.search(r"\rriders", _terminal(two.anna, "--verify", "--table", "riders", "-q", on_stderr=True)[1])
        assert "\r" not in two.anna.agent("--verify", "--table", "riders").stderr
    finally:
        two.bert.stop_serve()


@pytest.mark.parametrize("verb", [["--install"], ["--retry", "all"], ["--resolve", "all", "--keep", "local"]])
def test_what_was_done_is_said_in_colour_too(two: Pair, verb: list[str]) -> None:
    assert COLOUR.search(two.anna.agent(*verb, "--color", "always").stdout)
    assert "\x1b" not in two.anna.agent(*verb).stdout
