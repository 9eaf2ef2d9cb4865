"""[tree] after: a command that is told what stands in its place."""

from __future__ import annotations

import json
import os
from pathlib import Path

from lab import Pair, folders, until
from lab.folders import look, put

_COMMAND = r"""#!/bin/sh
{ printf '%s %s %s\n' "$TANDEM_TREE" "$TANDEM_PATH" "$*"; tr '\0\n' '\n@'; echo .; } >>"$0.said"
test ! -p "$0.gate" || { read -r _ <"$0.gate"; exit 4; }
test ! -e "$0.fails" || { echo 'no thumbnails today'; exit 3; }
"""


def _command(root: Path) -> Path:
    command = root.with_name("after.sh")
    command.write_text(_COMMAND, encoding="ascii")
    command.chmod(0o700)
    for old in ("said", "fails", "gate"):
        Path(f"{command}.{old}").unlink(missing_ok=True)
    return command


def _said(command: Path) -> list[list[str]]:
    """What each run was told: its words and tree, then the paths."""
    said = Path(f"{command}.said")
    text = said.read_text(encoding="utf-8") if said.exists() else ""
    return [run.splitlines() for run in text.split("\n.\n")[:-1]]


def test_a_command_is_told_of_each_batch_that_stands_in_its_place(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "mirror", "source": "anna"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    command = _command(there)
    bert.change_conf({"tree uploads": {"after": f"{command} some $HOME words;"}})
    fresh_pair.install()
    bert.start_serve()
    put(here, "album/1.jpg", "one")
    put(here, "album/line\nfeed", "two")
    put(here, "quote'\"", "three")
    (here / "link").symlink_to("album")
    until(lambda: anna.drain() and look(there) == look(here), 30, "all arrives")
    want = {"album", "album/1.jpg", "album/line@feed", "quote'\"", "link"}

    def told() -> set[str]:
        return {path for run in _said(command) for path in run[1:]}

    until(lambda: told() == want, 30, "the command has been told")
    assert {run[0] for run in _said(command)} == {f"uploads {there} some $HOME words;"}, "words, and no shell"
    # One that fails undoes nothing; it is said, and told again with the next batch.
    Path(f"{command}.fails").touch()
    (here / "link").unlink()
    put(here, "album/1.jpg", "one again")
    until(lambda: anna.drain() and look(there) == look(here), 30, "changes arrive")
    until(lambda: "no thumbnails today" in bert.agent("--trees", check={0, 5}).stdout, 30, "it is said")
    assert "after failed: it ended with 3" in bert.agent("--status", check={0, 5}).stdout
    (tree,) = json.loads(bert.agent("--trees", "--json", check=5).stdout)["trees"]
    assert "no thumbnails today" in tree["after_error"] and look(there) == look(here)
    Path(f"{command}.fails").unlink()
    put(here, "next", "the next batch")
    until(lambda: anna.drain() and len(_said(command)[-1]) == 4, 30, "told again")
    assert set(_said(command)[-1][1:]) == {"album/1.jpg", "link", "next"}
    until(lambda: bert.agent("--trees", check={0, 5}).stdout.count("after") == 0, 30, "all is well again")
    assert bert.sql("SELECT COUNT(*) FROM app_sync.sync_after") == [(0,)]
    # What comes while it runs is the next batch, also where it fails then.
    gate = Path(f"{command}.gate")
    os.mkfifo(gate)
    put(here, "before", "of the run that fails")
    runs = len(_said(command))
    until(lambda: anna.drain() and len(_said(command)) > runs, 30, "it runs")
    put(here, "meanwhile", "while it ran")
    until(lambda: anna.drain() and "meanwhile" in look(there), 30, "another one arrives")
    with gate.open("w", encoding="ascii") as opened:  # it waits at the other end
        gate.unlink()
        opened.write("fail\n")
    until(lambda: set(_said(command)[-1][1:]) == {"before", "meanwhile"}, 30, "told at once")


def test_without_a_daemon_the_call_that_fetched_tells_it(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "mirror", "source": "anna"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    anna.change_conf({"peer bert": {"url": None}})
    bert.change_conf({"peer anna": {"pull": "yes"}})
    command = _command(there)
    bert.change_conf({"tree uploads": {"after": str(command)}})
    fresh_pair.install()
    anna.start_serve()
    for i in range(30):
        put(here, f"{i}.jpg", f"photo {i}")
    until(lambda: bert.drain(check={0, 4}) and look(there) == look(here), 30, "fetched")
    until(lambda: bert.drain() and {path for run in _said(command) for path in run[1:]} == set(look(here)), 30, "told")
    runs = len(_said(command))
    bert.drain()
    assert len(_said(command)) == runs, "nothing new, nothing told"
