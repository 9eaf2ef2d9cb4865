"""A disk that is full, or that may only be read: what does not fit waits and is named, files that fit and rows go on."""

from __future__ import annotations

import os
from pathlib import Path

from lab import Node, Pair, folders, hand, small_disk, until
from lab.folders import look, put

pytestmark = small_disk.needs_root

_MIRROR = {"mode": "mirror", "source": "anna"}
_MIB = 1024 * 1024


def _serve(node: Node, prefix: list[str]) -> Path:
    """Its daemon alone sees the folder so; the folder as it sees it."""
    node.prefix = prefix
    node.start_serve()
    node.prefix = []
    return Path(f"/proc/{node.serve_pid}/root{folders.folder(node)}")


def test_a_file_for_which_there_is_no_room_waits_named_and_the_others_go_on(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _MIRROR)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    seen = _serve(bert, small_disk.prefix(there, "24m"))
    put(here, "film", os.urandom(20 * _MIB))
    put(here, "photo", "a photo")
    put(here, "album/photo", "another photo")
    (here / "link").symlink_to("photo")
    until(lambda: anna.drain() and {"photo", "album/photo", "link"} <= look(seen).keys(), 30, "what has room arrives")
    until(lambda: "waits: film: no room" in bert.agent("--trees", check=5).stdout, 30, "the film waits, named")
    put(here, "later", "later")
    (here / "photo").unlink()
    want = {path: content for path, content in look(here).items() if path != "film"}
    until(lambda: anna.drain() and look(seen) == want, 30, "later ones go on, and so do deletions")
    put(here, "film", "a short film")
    until(lambda: anna.drain() and put(seen, "an event", "which is put right") and "waits:" not in bert.agent("--trees", check={0, 5}).stdout, 30,
          "what has room by now is tried with the next look")
    until(lambda: anna.drain() and look(seen) == look(here), 30, "and arrives")


def test_a_folder_that_may_only_be_read_is_named_rows_go_on_and_so_does_it_when_it_may_be_written(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _MIRROR)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    hand.everywhere(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY)")
    fresh_pair.install()
    bert.start_serve()
    put(here, "photo", "a photo")
    until(lambda: anna.drain() and look(there) == look(here), 30, "it arrives")
    bert.stop_serve()
    script = f"mount --bind {there} {there} && mount -o remount,bind,ro {there} && exec \"$@\""
    _serve(bert, ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"])
    put(here, "photo", "another photo")
    put(here, "new", "new")
    anna.sql("INSERT INTO t VALUES (1)")
    until(lambda: anna.drain() and bert.sql("SELECT id FROM t") == [(1,)], 30, "rows arrive")
    until(lambda: "Read-only file system" in bert.agent("--trees", check=5).stdout, 30, "the folder is named")
    assert look(there) == {"photo": b"a photo"}
    bert.stop_serve()
    bert.start_serve()
    until(lambda: anna.drain() and look(there) == look(here), 30, "it goes on by itself")
    until(lambda: bert.agent("--trees", check={0, 5}).returncode == 0, 30, "and nothing is said any more")
