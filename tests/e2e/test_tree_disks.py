"""A disk that is full, or that may only be read, and an agent that is not root: what cannot be done is said, all else goes on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
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


_NOBODY = 65534


@contextlib.contextmanager
def _as_nobody(node: Node) -> Iterator[None]:
    """Its agent has no rights but those of an account of its own, whose folder, settings and upload folder these are."""
    root = folders.folder(node)
    for path in (root, *root.rglob("*"), node.folder / "state", *(node.folder / "state").rglob("*"), node.conf_path, node.agent_log):
        if path.exists():
            os.chown(path, _NOBODY, _NOBODY)
    above = {path: path.stat().st_mode for path in root.parents if path.stat().st_uid == os.getuid() and not path.stat().st_mode & 0o001}
    for path in above:
        path.chmod(0o711)
    node.prefix = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--"]
    try:
        yield
    finally:
        node.stop_serve()
        node.prefix = []
        for path, mode in above.items():
            path.chmod(mode & 0o7777)


def test_an_agent_that_is_not_root_says_once_what_it_may_not_set_and_does_all_else(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    bert.change_conf({"tree uploads": {"owner": "daemon", "group": "daemon"}})
    fresh_pair.install()
    bert.agent_log.touch()
    with _as_nobody(bert):
        put(here, "photo", "a photo").chmod(0o640)
        put(there, "secret", "root's").chmod(0o600)
        put(there, "dark/photo", "root's").parent.chmod(0o700)
        fresh_pair.start_serve()
        for i in range(3):
            put(here, f"{i}", f"{i}")
            put(there, f"open {i}", "everybody's")
            until(lambda: f"{i}" in look(there) and f"open {i}" in look(here), 60, "what may be read and written travels")  # noqa: B023
        assert (there / "photo").stat().st_mode & 0o777 == 0o640 and (there / "photo").stat().st_uid == _NOBODY
        assert "secret" not in look(here) and "dark/photo" not in look(here)
        log = bert.agent_log.read_text()
        assert log.count("only root may give files to another owner") == 1 and "cannot open secret" in log and "dark cannot be read" in log
        for path in (there / "secret", there / "dark"):
            path.chmod(0o755)
        until(lambda: look(here) == look(there), 60, "when it may be read, it travels")
        # A directory that may not be read any more: nothing below it counts as deleted.
        (there / "dark").chmod(0o700)
        put(there, "last", "last")
        until(lambda: "last" in look(here), 60, "the others go on")
        assert look(here)["dark/photo"] == b"root's"
    (there / "dark").chmod(0o755)
