"""Snapshots of an upload folder, and files brought back from them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Pair, places, process, small_disk
from lab.server import find_program
from lab.waiting import until

HOSTILE = [b"new\nline", b"back\\slash", b"\xff\xfe", b"quote'\"", b" blank ", b"-rf", "\u00e9t\u00e9".encode(), b"n" * 255]
SNAPSHOTS = "[0-9]*[0-9]"
MARK = "tandem tree 1\nid 00112233445566778899aabbccddeeff\ngeneration 1\n"


class Folder:
    """An upload folder with an agent.conf beside it; no database is asked."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / "uploads"
        self.to = base / "state" / "snapshots" / "uploads"
        self.root.mkdir()
        (base / "state").mkdir(mode=0o700)
        self.conf = base / "agent.conf"
        self.options = ""
        self.mark()

    def mark(self, text: str = MARK) -> None:
        own = self.root / ".sync"
        for folder in (own, own / "trash", own / "conflict", own / "tmp"):
            folder.mkdir(mode=0o700, exist_ok=True)
        (own / "tree").write_text(text)

    def write(self, path: str | bytes, content: str = "text", mtime: int = 1_700_000_000) -> Path:
        whole = Path(os.fsdecode(os.path.join(os.fsencode(self.root), os.fsencode(path))))
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_text(content)
        os.utime(whole, (mtime, mtime))
        return whole

    def command(self, *words: str) -> list[str]:
        self.conf.write_text(
            f"[node]\nname = anna\nstate_dir = {self.base}/state\nmonitor_key = {'ab' * 16}\n"
            f"[database]\nuser = nobody\nname = app\n[tree uploads]\npath = {self.root}\nmode = mirror\nsource = anna\n{self.options}")
        self.conf.chmod(0o600)
        return [str(places.agent_binary()), *words, "--config", str(self.conf)]

    def run(self, *words: str, code: int = 0, prefix: list[str] | None = None) -> str:
        done = subprocess.run([*(prefix or []), *self.command(*words)], capture_output=True, text=True, timeout=60)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def back_up(self, *words: str, code: int = 0) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.run("--backup", "uploads", "--json", *words, code=code))
        return told

    def restore(self, *words: str, code: int = 0) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.run("--restore", "uploads", *words, "--json", code=code))
        return told

    def snapshots(self) -> list[Path]:
        return sorted(p for p in self.to.glob(SNAPSHOTS) if "." not in p.name)

    def trashed(self, path: str) -> list[Path]:
        return list((self.root / ".sync" / "trash").glob(f"*_restore*/{path}"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    yield Folder(tmp_path)


def same_trees(live: Path, copy: Path) -> None:
    """But for the folder itself, which is the agent's in a snapshot."""
    told = subprocess.run(["rsync", "-rlpt", "--omit-dir-times", "--omit-link-times", "--checksum", "--delete", "--dry-run", "--itemize-changes", "--exclude=/.sync", f"{live}/", f"{copy}/"],
                          capture_output=True, text=True, check=True).stdout
    assert [line for line in told.splitlines() if not line.endswith(" ./")] == []


def test_a_snapshot_is_the_folder_and_shares_what_did_not_change(folder: Folder) -> None:
    for name in HOSTILE:
        folder.write(name)
        folder.write(b"d/" + name, "below")
    folder.write("sparse").open("r+b").truncate(50_000_000)
    (folder.root / "empty").mkdir()
    (folder.root / "d" / "link").symlink_to("../sparse")
    (folder.root / "out").symlink_to("/etc/passwd")
    folder.write("photo.tmp")  # left out by default
    os.mkfifo(folder.root / "fifo")
    (folder.root / "d").chmod(0o775)
    first = folder.back_up()
    assert (first["files"], first["copied"], first["linked"]) == (17, 17, 0)
    one = folder.to / first["snapshot"]
    for left_out in ("photo.tmp", "fifo", "out"):
        assert not (one / "files" / left_out).exists()
        (folder.root / left_out).unlink()
    same_trees(folder.root, one / "files")
    assert (one / "files" / "sparse").stat().st_blocks < 5000
    assert subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "manifest.sha256"], cwd=one).returncode == 0
    assert folder.to.stat().st_mode & 0o777 == 0o700
    # One change that size and time do not show.
    folder.write("d/-rf", "BELOW")
    second = folder.back_up()
    two = folder.to / second["snapshot"]
    assert (second["copied"], second["linked"], second["previous"]) == (1, 16, first["snapshot"])
    same_trees(folder.root, two / "files")
    assert (one / "files" / "d" / "-rf").read_text() == "below"
    assert (two / "files" / "quote'\"").stat().st_ino == (one / "files" / "quote'\"").stat().st_ino
    assert (folder.root / "-rf").stat().st_nlink == 1  # never a link to the live folder


def test_a_dry_run_makes_nothing(folder: Folder) -> None:
    folder.write("a")
    assert folder.back_up("--dry-run")["copied"] == 1
    assert folder.snapshots() == [] and not list(folder.to.glob("*.partial"))


def test_a_killed_backup_is_gone_on_with(folder: Folder) -> None:
    for i in range(3000):
        folder.write(f"d{i % 7}/{i}", "x" * 3000)
    agent = subprocess.Popen(folder.command("--backup", "uploads"), stdout=subprocess.DEVNULL)
    until(lambda: len(list(folder.to.glob("*.partial/files/d0/*"))) > 20, longest=0.001)
    agent.kill()
    assert agent.wait() == -signal.SIGKILL
    partial = next(folder.to.glob("*.partial"))
    got = {p.relative_to(partial): p.stat().st_ino for p in partial.glob("files/*/*") if p.stat().st_mtime == 1_700_000_000}
    assert folder.snapshots() == [] and 0 < len(got) < 3000
    for i in range(8):  # others that were killed at once, long ago
        (folder.to / f"2020-01-0{i + 1}_000000.partial").mkdir()
    told = folder.back_up()
    one = folder.to / told["snapshot"]
    assert told["files"] == 3000 and not list(folder.to.glob("*.partial"))
    same_trees(folder.root, one / "files")
    assert all((one / path).stat().st_ino == inode for path, inode in got.items())


@small_disk.needs_root
def test_a_full_disk_ends_a_backup_and_the_next_goes_on(folder: Folder) -> None:
    for i in range(100):
        folder.write(f"{i:03}", os.urandom(5000).hex())
    folder.to.parent.mkdir()
    (folder.to.parent / "filler").write_bytes(b"x" * 1_000_000)
    agent = " ".join(folder.command("--backup", "uploads"))
    script = f"{agent}; echo code $?; ls {folder.to}/*.partial/files | wc -l; rm {folder.to.parent}/filler; {agent}; echo code $?; ls {folder.to}"
    done = subprocess.run([*small_disk.prefix(folder.to.parent, "2m"), "sh", "-c", script], capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert lines[0] == "code 1" and "is full" in done.stderr, done
    assert 0 < int(lines[1]) < 100
    assert lines[2].startswith("snapshot ") and "100 files" in lines[2] and lines[3] == "code 0", done
    assert not any(name.endswith(".partial") for name in lines[4:])
    copied = int(lines[2].split("; ")[1].split()[0])
    assert copied < 100  # what the first one had was used


def test_a_file_that_is_being_written_is_kept_as_it_was(folder: Folder) -> None:
    folder.write("film", "whole")
    folder.write("other")
    folder.options = "backup_keep = 0 days, 0 weeks, at least 1\n"
    first = folder.back_up()
    with (folder.root / "film").open("a") as app, (folder.root / "fresh").open("w") as new:
        app.write("half")
        app.flush()
        new.write("half")
        new.flush()
        told = folder.back_up(code=5)
    assert (told["older"], told["skipped"], told["pruned"]) == (1, 1, 0)
    assert {(p["path"], p["reason"]) for p in told["paths"]} == {("film", "busy"), ("fresh", "busy")}
    two = folder.to / told["snapshot"]
    assert (two / "files" / "film").read_text() == "whole" and not (two / "files" / "fresh").exists()
    assert subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "manifest.sha256"], cwd=two).returncode == 0
    assert len(folder.snapshots()) == 2  # nothing is removed for one that lacks something
    third = folder.back_up()
    assert third["pruned"] == 2 and [p.name for p in folder.snapshots()] == [third["snapshot"]]
    assert first["snapshot"] != third["snapshot"]


def test_an_empty_or_another_folder_is_not_backed_up(folder: Folder) -> None:
    folder.write("a")
    folder.back_up()
    kept = folder.snapshots()
    (folder.root / "a").unlink()
    assert "is empty" in folder.run("--backup", "uploads", code=5)
    folder.write("b")
    folder.mark(MARK.replace("0011", "ffff"))
    assert "is the right disk mounted" in folder.run("--backup", "uploads", code=5)
    shutil.rmtree(folder.root / ".sync")
    assert "is the right disk mounted" in folder.run("--backup", "uploads", code=5)
    shutil.rmtree(folder.root)
    assert "cannot open the tree" in folder.run("--backup", "uploads", code=5)
    assert folder.snapshots() == kept


def test_old_snapshots_go_by_the_dates_in_their_names(folder: Folder) -> None:
    folder.write("a")
    one = folder.to / folder.back_up()["snapshot"]
    for name in ("2020-01-01_120000", "2020-01-01_180000", "2020-01-02_000000", "2020-01-20_000000"):
        shutil.copytree(one, folder.to / name)
    (folder.to / "2019-01-01_000000.removing" / "files").mkdir(parents=True)  # of a removal that was killed
    (folder.to / "my notes").mkdir()
    folder.options = "backup_keep = 3 days, 0 weeks, at least 1\n"
    assert folder.back_up("--dry-run")["pruned"] > 0 and len(folder.snapshots()) == 5
    folder.back_up()
    names = [p.name for p in folder.snapshots()]
    assert names[:2] == ["2020-01-02_000000", "2020-01-20_000000"] and len(names) == 3
    assert sorted(p.name for p in folder.to.iterdir() if not p.name[0].isdigit()) == ["lock", "my notes"]
    assert not list(folder.to.glob("*.removing"))


def test_one_backup_at_a_time(folder: Folder) -> None:
    folder.write("a")
    name = folder.back_up()["snapshot"]
    with (folder.to / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert folder.back_up() == {"tree": "uploads", "busy": True}
    assert [p.name for p in folder.snapshots()] == [name]


def test_a_directory_of_snapshots_in_the_folder_itself_is_refused(folder: Folder) -> None:
    assert "lie within each other" in folder.run("--backup", "uploads", "--to", str(folder.root / "backup"), code=2)
    assert "lie within each other" in folder.run("--backup", "uploads", "--to", str(folder.base), code=2)
    assert "there is no [tree other]" in folder.run("--backup", "other", code=2)


def test_a_link_does_not_lead_snapshots_into_the_folder(folder: Folder) -> None:
    folder.write("sub/a")
    (folder.base / "door").symlink_to(folder.root / "sub")
    for place in (folder.base / "door", folder.base / "door" / "new"):
        assert "lie within each other" in folder.run("--backup", "uploads", "--to", str(place), code=2)
    # Nor the other way round: the folder's own path is a link into what would hold the snapshots.
    (folder.base / "inner").mkdir()
    folder.root.rename(folder.base / "inner" / "uploads")
    folder.root.symlink_to(folder.base / "inner" / "uploads")
    assert "lie within each other" in folder.run("--backup", "uploads", "--to", str(folder.base / "inner"), code=2)
    assert [p.name for p in folder.root.rglob("*") if p.is_file() and ".sync" not in p.parts] == ["a"]


def test_a_disk_that_is_not_there_gets_no_snapshot(folder: Folder) -> None:
    folder.write("a")
    disk = folder.base / "media" / "disk"
    for words in (("--to", str(disk)), ("--to", str(disk), "--dry-run"), ("--to", "disk")):
        assert "is its disk mounted" in folder.run("--backup", "uploads", *words, code=2)
    folder.options = f"backup_to = {disk}\n"
    assert "is its disk mounted" in folder.run("--backup", "uploads", code=2)
    assert not disk.parent.exists()
    disk.mkdir(parents=True)
    folder.back_up()
    assert (disk / "uploads").is_dir()


def test_files_come_back_and_what_stood_there_goes_to_the_trash(folder: Folder) -> None:
    folder.write("a/changed", "old")
    folder.write("a/gone", "gone")
    folder.write("a/same")
    folder.write("b/turned", "a file once")
    (folder.root / "link").symlink_to("a/same")
    name = folder.back_up()["snapshot"]
    folder.write("a/changed", "new")
    folder.write("a/added", "later")
    for path in ("a/gone", "b/turned", "link"):
        (folder.root / path).unlink()
    folder.write("b/turned/inside", "a directory now")
    folder.write("link", "a file now")
    before = sorted(str(p) for p in folder.root.rglob("*"))
    dry = folder.restore("latest", "--dry-run")
    assert {(p["path"], p["state"]) for p in dry["paths"]} == {("a/changed", "replaced"), ("a/gone", "new"), ("b/turned", "replaced"), ("link", "replaced")}
    assert sorted(str(p) for p in folder.root.rglob("*")) == before
    part = folder.restore(name, "a/")
    assert (part["new"], part["replaced"]) == (1, 1)
    assert (folder.root / "a" / "changed").read_text() == "old" and (folder.root / "b" / "turned").is_dir()
    assert [p.read_text() for p in folder.trashed("a/changed")] == ["new"]
    rest = folder.restore(name)
    assert (rest["new"], rest["replaced"], rest["failed"]) == (0, 2, 0)
    assert (folder.root / "b" / "turned").read_text() == "a file once" and os.readlink(folder.root / "link") == "a/same"
    assert [p.read_text() for p in folder.trashed("b/turned/inside")] == ["a directory now"]
    assert [p.read_text() for p in folder.trashed("link")] == ["a file now"]
    assert (folder.root / "a" / "added").read_text() == "later"  # restoring deletes nothing
    assert (folder.root / "a" / "gone").stat().st_mtime == 1_700_000_000
    again = folder.restore(name)
    assert (again["new"], again["replaced"]) == (0, 0)


def test_a_terminal_sees_how_far_a_backup_and_a_restore_are(folder: Folder) -> None:
    def shown(*words: str) -> str:
        ours, theirs = pty.openpty()
        with open(ours, "rb", buffering=0) as screen:
            child = subprocess.Popen(folder.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs, preexec_fn=process.dies_with_parent())
            os.close(theirs)
            seen = b""
            try:
                while piece := screen.read(65536):
                    seen += piece
            except OSError:  # the other end is closed
                pass
            assert child.wait(60) == 0
        return seen.decode()

    for i in range(300):
        folder.write(f"f{i}")
    for words in (("--backup", "uploads"), ("--restore", "uploads", "latest")):
        seen = shown(*words)
        assert re.search(r"\ruploads: \d+ (of about \d+ )?files", seen) and seen.endswith("\r\x1b[K"), (words, seen)
        assert shown(*words, "-q") == ""
    # The list of the snapshot before says how many there are about.
    assert re.search(r"\ruploads: \d+ of about \d+ files \(\d+ %\)", shown("--backup", "uploads"))


def test_a_spoilt_snapshot_is_named_and_not_restored(folder: Folder) -> None:
    folder.write("good", "good")
    folder.write("spoilt", "fine")
    one = folder.to / folder.back_up()["snapshot"]
    (one / "files" / "spoilt").write_text("evil")
    folder.write("good", "newer")
    (folder.root / "spoilt").unlink()
    told = folder.restore("latest", code=5)
    assert (told["corrupt"], told["replaced"]) == (1, 1) and not (folder.root / "spoilt").exists()
    assert (folder.root / "good").read_text() == "good"


def test_a_file_that_a_snapshot_has_lost_is_named(folder: Folder) -> None:
    for path in ("album/a", "album/b", "album.jpg", "z"):
        folder.write(path, path)
    one = folder.to / folder.back_up()["snapshot"]
    for path in ("album/b", "z"):
        (one / "files" / path).unlink()
        (folder.root / path).unlink()
    for words in (("--dry-run",), ()):
        told = folder.restore("latest", *words, code=5)
        assert (told["corrupt"], told["same"]) == (2, 3)  # with the directory
        assert {(p["path"], p["reason"]) for p in told["paths"]} == {("album/b", "gone"), ("z", "gone")}
    assert folder.restore("latest", "album", code=5)["corrupt"] == 1
    assert folder.restore("latest", "z", code=5)["corrupt"] == 1
    assert folder.restore("latest", "album.jpg")["corrupt"] == 0
    assert "does not have album/c" in folder.run("--restore", "uploads", "latest", "album/c", code=1)


def test_a_newest_snapshot_that_lacks_its_list_is_for_a_person(folder: Folder) -> None:
    folder.write("a")
    one = folder.to / folder.back_up()["snapshot"]
    for lost in ("manifest.sha256", "snapshot.txt"):
        (one / lost).unlink()
        said = folder.run("--backup", "uploads", code=5)
        assert f"{one.name} is no whole snapshot" in said and "move it away" in said and lost in said
    one.rename(folder.base / "away")
    folder.back_up()


def test_a_restore_says_what_there_is_and_what_is_not(folder: Folder) -> None:
    folder.write("a")
    assert "there are no snapshots" in folder.run("--restore", "uploads", code=2)
    name = folder.back_up()["snapshot"]
    assert folder.restore()["snapshots"] == [name]
    assert "no snapshot" in folder.run("--restore", "uploads", "2001-01-01_000000", code=2)
    assert "does not have b" in folder.run("--restore", "uploads", name, "b", code=1)
    for path in ("../a", "/a", "./a", "/", ""):  # an empty variable of a script is not the whole folder
        assert "without . and .." in folder.run("--restore", "uploads", name, path, code=2)
    (folder.root / ".sync" / "tree").unlink()
    assert "agent --install" in folder.run("--restore", "uploads", name, code=5)


def test_rows_of_the_same_moment_lie_beside_the_files(fresh_pair: Pair, tmp_path: Path) -> None:
    anna = fresh_pair.nodes[0]
    anna.sql("CREATE TABLE photos (id INT PRIMARY KEY, path VARCHAR(80))")
    anna.sql("INSERT INTO photos VALUES (1, 'a.jpg')")
    root = tmp_path / "uploads"
    root.mkdir()
    (tmp_path / "to").mkdir()
    (root / "a.jpg").write_text("pixels")
    os.utime(root / "a.jpg", (1, 1))
    anna.change_conf({"tree uploads": {"path": str(root), "mode": "mirror", "source": anna.name}})
    anna.agent("--install", check=0)
    anna.server.sql("REVOKE ALL ON app.* FROM tandem@localhost")
    anna.server.sql("GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON app.* TO tandem@localhost")  # as docs/security.md has them
    told = json.loads(anna.agent("--backup", "uploads", "--with-database", "--to", str(tmp_path / "to"), "--json", check=0).stdout)
    one = tmp_path / "to" / "uploads" / told["snapshot"]
    dump = (one / "database.sql").read_text()
    assert "INSERT INTO `photos` VALUES" in dump and "'a.jpg'" in dump and dump.rstrip().splitlines()[-1].startswith("-- Dump completed")
    assert (one / "files" / "a.jpg").read_text() == "pixels"
    assert (one / "database.sql").stat().st_mode & 0o777 == 0o600
    assert f"tree {(root / '.sync' / 'tree').read_text().split()[4]}" in (one / "snapshot.txt").read_text()
    # What changes while the rows are read is named; all else is as it was when the dump began.
    real = find_program("mariadb-dump", "mysqldump")
    beside = tmp_path / "bin"
    beside.mkdir()
    (root / "same.jpg").write_text("same")
    os.utime(root / "same.jpg", (1, 1))
    until(lambda: time.time() - (root / "same.jpg").stat().st_ctime > 0.1, 10, "it is old")
    (beside / "mariadb-dump").write_text(f'#!/bin/sh\n{real} "$@" || exit 1\necho new >{root}/new.jpg; echo other >{root}/a.jpg\n')
    (beside / "mariadb-dump").chmod(0o755)
    told = json.loads(anna.agent("--backup", "uploads", "--with-database", "--to", str(tmp_path / "to"), "--json", check=0,
                                 env={"PATH": f"{beside}:{os.environ['PATH']}"}).stdout)
    two = tmp_path / "to" / "uploads" / told["snapshot"]
    assert sorted((two / "later.txt").read_text().splitlines()) == ["a.jpg", "new.jpg"] and told["changed_since_dump"] == 2
    assert (two / "files" / "same.jpg").read_text() == "same"
    shutil.rmtree(two)
    for name in ("new.jpg", "same.jpg"):
        (root / name).unlink()
    (root / "a.jpg").write_text("other pixels")
    back = anna.agent("--restore", "uploads", "latest", "--from", str(tmp_path / "to"), check=0).stdout
    assert "1 replaced" in back and (root / "a.jpg").read_text() == "pixels"
    anna.change_conf({"database": {"password": "wrong"}})
    failed = anna.agent("--backup", "uploads", "--with-database", "--to", str(tmp_path / "to"), check=3)
    assert "mariadb-dump failed" in failed.stderr
    assert len(list((tmp_path / "to" / "uploads").glob(SNAPSHOTS))) == 1
