"""agent --push TREE and --pull TREE: one direction of an upload folder, once, whatever its mode."""

from __future__ import annotations

import json
import os
import pty
import subprocess

from lab import Pair, folders, until
from lab.folders import look, put, trash
from lab.node import Node
from lab.proxy import Fault

_TWO_WAY = {"mode": "two-way"}


def _letters(node: Node, *order: str) -> dict[str, str]:
    """What a dry run says, path by path."""
    lines = node.agent(*order, "--dry-run").stdout.splitlines()
    return {line.partition(" ")[2]: line.partition(" ")[0] for line in lines}


def _settled(pair: Pair) -> None:
    """Both sides have the same, and each list what its folder has; nobody serves then."""
    pair.start_serve()
    roots = [folders.folder(node) for node in pair.nodes]

    def alike() -> bool:
        states = [json.loads(node.agent("--trees", "--json").stdout)["trees"][0]["in_step"] for node in pair.nodes]
        return look(roots[0]) == look(roots[1]) and all(states)

    until(alike, 60, "both are alike")
    pair.stop_serve()


def test_a_push_brings_what_is_here_and_deletes_nothing(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _TWO_WAY)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    for name in ("same", "edited", "longer", "gone", "mode"):
        put(here, name, f"first {name}")
    (here / "link").symlink_to("same")
    _settled(fresh_pair)
    # Nobody serves: what changes here is not told.
    stamp = (here / "edited").stat()
    (here / "edited").write_text("other edited")
    (here / "edited").write_text("First edited")
    os.utime(here / "edited", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    put(here, "longer", "much longer than before")
    os.utime(here / "longer", (1800000000, 1800000000))
    (here / "gone").unlink()
    (here / "mode").chmod(0o600)
    (here / "link").unlink()
    (here / "link").symlink_to("longer")
    put(here, "new/deep", "new")
    (here / "new/jump").symlink_to("deep")
    want = {"edited": "<fc........", "longer": "<f.st......", "mode": ".f...p.....", "link -> longer": "cLc........",
            "new/": "cd+++++++++", "new/deep": "<f+++++++++", "new/jump -> deep": "cL+++++++++"}
    assert _letters(anna, "--push", "uploads") == want
    assert _letters(anna, "--push", "uploads") == want, "a dry run changes nothing"
    # A script has to say that files may be replaced.
    before = look(there)
    assert "--yes" in anna.agent("--push", "uploads", check=2).stderr
    bert.start_serve()
    said = json.loads(anna.agent("--push", "uploads", "--yes", "--json").stdout)
    assert said["replaced"] == 3 and len(said["changes"]) == 7 and said["left"] == said["failed"] == 0
    until(lambda: look(there) == {**look(here), "gone": b"first gone"}, 30, "all but the deletion")
    assert before["gone"] == b"first gone" and {b"first edited", b"first longer"} <= set(trash(there))
    assert "nothing to push" in anna.agent("--push", "uploads").stdout
    # The deletion is for the ordinary way.
    until(lambda: anna.drain() and look(there) == look(here), 30, "the deletion follows with a drain")


def test_a_pull_brings_what_peers_have_and_puts_it_over_what_is_here(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _TWO_WAY)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    put(here, "edited", "first edited")
    put(here, "lost", "first lost")
    put(here, "film.mp4", os.urandom(3 * 1024 * 1024 + 5))
    film = look(here)["film.mp4"]
    _settled(fresh_pair)
    put(there, "edited", "bert's own edit")
    put(there, "own", "bert's alone")
    (there / "lost").unlink()
    (there / "film.mp4").unlink()
    assert _letters(bert, "--pull", "uploads") == {"edited": ">f.st......", "lost": ">f+++++++++", "film.mp4": ">f+++++++++"}
    anna.start_serve()
    # A person at a terminal is asked; no is no.
    for answer, wanted in (("n", 1), ("y", 0)):
        master, slave = pty.openpty()
        running = subprocess.Popen(bert.command("--pull", "uploads"), stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        os.write(master, f"{answer}\n".encode())
        if answer == "y":
            # From here on bert's daemon takes, and does not tell; anna calls him, as she was asked to.
            until(lambda: bert.sql("SELECT COUNT(*) FROM app_sync.sync_order") == [(1,)], 30, "the order stands")
            bert.start_serve()
        out, err = running.communicate(timeout=120)
        os.close(slave)
        os.close(master)
        assert running.returncode == wanted, (out, err)
        assert "1 files would be replaced here" in err and "Go on?" in err
    until(lambda: look(there) == {"edited": b"first edited", "lost": b"first lost", "film.mp4": film, "own": b"bert's alone"}, 30, "pulled")
    assert b"bert's own edit" in trash(there)
    until(lambda: look(here) == look(there), 60, "what is bert's alone follows in the ordinary way")


def test_a_mirrors_source_gets_its_files_back_from_a_peer_that_only_it_calls(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "mirror", "source": "anna"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    bert.change_conf({"peer anna": {"url": None}})
    anna.change_conf({"peer bert": {"pull": "yes"}})
    fresh_pair.install()
    bert.start_serve()
    for i in range(80):
        put(here, f"album/{i}.jpg", f"photo {i}")
    until(lambda: anna.drain() and look(there) == look(here), 30, "the album arrives")
    whole = look(here)
    for i in range(79):
        (here / f"album/{i}.jpg").unlink()
    anna.drain(check=5)
    assert "only takes files on this node" in bert.agent("--push", "uploads", check=2).stderr
    assert len(_letters(anna, "--pull", "uploads")) == 79
    assert "79 paths pulled, 0 files replaced" in anna.agent("--pull", "uploads").stdout
    assert look(here) == whole == look(there)
    anna.drain()
    # A peer that is away: said, and nothing is half done.
    bert.stop_serve()
    said = anna.agent("--pull", "uploads", check=4)
    assert not said.stdout and "connection" in said.stderr
    put(here, "album/new.jpg", "new")
    assert "1 paths wait for peers" in anna.agent("--push", "uploads", check=4).stdout
    (here / "album/3.jpg").unlink()
    assert "1 of them have not come" in anna.agent("--pull", "uploads", check=4).stdout
    assert anna.sql("SELECT COUNT(*) FROM app_sync.sync_order") == [(0,)]
    anna.change_conf({"peer bert": {"paused": "yes"}})
    put(here, "album/last.jpg", "last")
    assert "1 paths wait for peers" in anna.agent("--push", "uploads").stdout


def test_a_pull_that_no_content_can_come_by_says_so(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "push"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    bert.change_conf({"tree uploads": {"mode": "pull"}})
    fresh_pair.install()
    put(here, "lost", "lost")
    put(here, "kept", "kept")
    bert.start_serve()
    until(lambda: anna.drain() and look(there) == look(here), 30, "bert has all")
    (here / "lost").unlink()
    said = anna.agent("--pull", "uploads", check=4, timeout=40)
    assert "tree uploads: 0 of 1 paths pulled" in said.stdout and "1 of them have not come" in said.stdout
    assert "no agent --serve runs here" in said.stderr and "pull = yes" in said.stderr
    anna.start_serve()  # a deletion is not told in this mode
    assert "1 paths pulled" in anna.agent("--pull", "uploads", check=0).stdout
    assert look(here) == look(there)
    anna.stop_serve()
    # A folder that is away needs a person.
    here.rename(here.with_name("away"))
    for words in (("--push",), ("--pull",), ("--push", "--dry-run")):
        assert "cannot open the tree" in anna.agent(words[0], "uploads", *words[1:], check=5).stderr


def test_a_push_after_one_that_broke_does_not_call_it_nothing(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _TWO_WAY)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    bert.start_serve()
    put(here, "film", os.urandom(3 * 1024 * 1024))
    fresh_pair.wire["anna", "bert"].plan(Fault("cut_request", path="/api/sync/files", skip=2, times=100))
    anna.agent("--push", "uploads", check=4)
    fresh_pair.wire["anna", "bert"].heal()
    said = anna.agent("--push", "uploads", check=0).stdout
    assert "nothing new to push" in said and "contents sent" in said
    until(lambda: look(there) == look(here), 30, "it is there")
    assert anna.agent("--push", "uploads", check=0).stdout == "tree uploads: nothing to push\n"
