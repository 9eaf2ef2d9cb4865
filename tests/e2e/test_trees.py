"""Upload folders travel with the rows."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab import Cluster, Node, Pair, backup, folders, hand, until
from lab.folders import look, look_without, put, trash
from lab.proxy import Fault

_MIRROR = {"mode": "mirror", "source": "anna"}


def test_a_mirror_follows_its_source_with_every_drain(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _MIRROR)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    bert.start_serve()
    put(here, "photo.jpg", b"\xff\xd8 a photo")
    put(here, "2026/11/plan.pdf", "a plan")
    put(here, "empty", "")
    (here / "leer").mkdir()
    (here / "latest").symlink_to("2026/11/plan.pdf")
    big = os.urandom(5 * 1024 * 1024 + 77)
    put(here, "film.mp4", big)
    (here / "photo.jpg").chmod(0o640)
    until(lambda: anna.drain() and look(there) == look(here), 30, "all of it arrives")
    assert (there / "photo.jpg").stat().st_mode & 0o777 == 0o640
    assert (there / "photo.jpg").stat().st_mtime_ns == (here / "photo.jpg").stat().st_mtime_ns
    assert look(there)["film.mp4"] == big
    # Changes, deletions, another kind.
    put(here, "photo.jpg", b"\xff\xd8 another photo")
    (here / "empty").unlink()
    (here / "empty").mkdir()
    put(here, "empty/no more", "x")
    os.unlink(here / "2026/11/plan.pdf")
    os.rmdir(here / "2026/11")
    (here / "latest").unlink()
    until(lambda: anna.drain() and look(there) == look(here), 30, "changes and deletions arrive")
    assert {b"\xff\xd8 a photo", b"a plan"} <= set(trash(there))
    # Once more without a change: nothing is sent.
    assert anna.drain().stdout == ""


def test_a_mirror_puts_the_other_side_right_and_keeps_what_it_takes_away(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {**_MIRROR, "file_mode": "664", "dir_mode": "775", "exclude": "cache/, *.log"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    bert.start_serve()
    for i in range(30):
        put(here, f"album/{i}.jpg", f"photo {i}")
    put(here, "cache/x", "left out")
    put(here, "error.log", "left out, too")
    put(there, "cache/own", "bert's own, left out")
    until(lambda: anna.drain() and look(there / "album") == look(here / "album"), 30, "the album arrives")
    assert "error.log" not in look(there) and look(there)["cache/own"] == b"bert's own, left out"
    assert {p.stat().st_mode & 0o777 for p in (there / "album").iterdir()} == {0o664}
    assert (there / "album").stat().st_mode & 0o777 == 0o775
    # Created, changed, deleted, made secret on the wrong side; some of it needs anna, and she comes.
    put(there, "bert's.txt", "from bert")
    put(there, "album/1.jpg", "bert's version")
    (there / "album/2.jpg").unlink()
    (there / "album/3.jpg").chmod(0o600)
    (there / "album/4.jpg").unlink()
    (there / "album/4.jpg").mkdir()
    until(lambda: "bert's.txt" not in look(there), 30, "what is bert's alone goes without anna")
    until(lambda: anna.drain() and look(there / "album") == look(here / "album"), 30, "all is right again")
    assert (there / "album/3.jpg").stat().st_mode & 0o777 == 0o664
    assert {b"from bert", b"bert's version"} <= set(trash(there))
    assert not (there / "photo").exists()


def test_a_renamed_folder_is_renamed_on_the_other_side_and_a_file_changed_there_is_not(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way"})
    fresh_pair.install()
    for i in range(60):
        put(here, f"album/{i // 20}/{i}.jpg", f"photo {i // 2}")  # each content twice
    fresh_pair.start_serve()
    until(lambda: look(there) == look(here), 60, "the album arrives")
    fresh_pair.stop_serve()
    inodes = {p.stat().st_ino for p in (there / "album").rglob("*.jpg")}
    (there / "album/2/59.jpg").write_text("changed by bert")
    (here / "album").rename(here / "holiday")
    (here / "holiday/0").rename(here / "holiday/first")
    fresh_pair.start_serve()
    until(lambda: look(there) == look(here), 60, "the renamed folder arrives")
    assert look(here)["album/2/59.jpg"] == look(there)["album/2/59.jpg"] == b"changed by bert"  # a change wins over a deletion
    assert {p.name for p in (there / "holiday").rglob("*.jpg")} == {f"{i}.jpg" for i in range(60)}
    moved = {p.stat().st_ino for p in (there / "holiday").rglob("*.jpg")} & inodes
    assert len(moved) == 59 and trash(there) == []


def test_deletions_in_bulk_wait_for_a_person_on_either_side(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {**_MIRROR, "max_delete": "5 files, 10%"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    bert.start_serve()
    for i in range(40):
        put(here, f"{i}.jpg", f"photo {i}")
    until(lambda: anna.drain() and look(there) == look(here), 30, "all arrives")
    # Renames are no deletions.
    (here / "old").mkdir()
    for i in range(20):
        (here / f"{i}.jpg").rename(here / f"old/{i}.jpg")
    said = anna.drain().stdout
    assert "contents of upload folders sent" not in said
    until(lambda: anna.drain() and look(there) == look(here), 30, "moved there without a content")
    before = look(there)
    for i in range(20):
        (here / f"old/{i}.jpg").unlink()
    said = anna.drain(check=5)
    assert look(there) == before
    assert "held" in (anna.agent_log.read_text())
    assert "tree uploads is held: 20 of 40" in anna.agent("--status", check={0, 5}).stdout
    anna.drain(check=5)
    anna.drain("--allow-deletes")
    until(lambda: "is held: 20 of 40" in bert.agent_log.read_text(), 30, "bert's brake is his own")
    assert len([path for path in look(there) if path.endswith(".jpg")]) == 40
    bert.drain("--allow-deletes", check={0, 4, 5})
    until(lambda: anna.drain() and look(there) == look(here), 30, "then they are gone")
    assert len(trash(there)) >= 20


def test_each_drain_says_which_folder_is_held_and_why_and_nothing_else(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _MIRROR)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    put(here, "1", "one")
    said = anna.drain(check=4).stderr
    assert "stopped" not in said and said.count("agent: ") == 1, said  # of the peer that is away
    bert.start_serve()
    until(lambda: anna.drain(check=0) and look(there) == look(here), 30, "it arrives")
    (here / "1").unlink()
    for _ in range(2):
        held = anna.drain("-q", check=5)
        assert held.stderr == "agent: tree uploads is held: the folder is empty, 1 files were in it; agent --drain --allow-deletes lets it go on\n"
        assert held.stdout == ""
    here.rename(here.with_name("away"))
    for _ in range(2):
        (line,) = anna.drain("-q", check=5).stderr.splitlines()
        assert line.startswith("agent: tree uploads: cannot open the tree ") and line.endswith("No such file or directory")
    here.with_name("away").rename(here)
    anna.drain("--allow-deletes")
    bert.drain("--allow-deletes", check={0, 4, 5})
    until(lambda: anna.drain(check=0) and look(there) == {}, 30, "a person has said yes")


@pytest.mark.parametrize("here_mode, there_mode", [("mirror", "mirror"), ("two-way", "two-way"), ("push", "pull")])
def test_when_most_files_changed_at_once_nothing_is_told_until_a_person_has_looked(fresh_pair: Pair, here_mode: str, there_mode: str) -> None:
    source = {"source": "anna"} if here_mode == "mirror" else {}
    here, there = folders.join(fresh_pair, {"mode": here_mode, **source})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    bert.change_conf({"tree uploads": {"mode": there_mode}})
    fresh_pair.install()
    bert.start_serve()
    for i in range(40):
        put(here, f"{i}.jpg", f"photo {i}")
    until(lambda: anna.drain() and look(there) == look(here), 30, "all arrives")
    if here_mode == "two-way":  # what the other side changes counts there, not here
        for i in range(20):
            put(there, f"{i}.jpg", f"bert's photo {i}")
        anna.start_serve()
        until(lambda: look(there) == look(here) and _is_in_step(anna), 30, "bert's photos arrive")
        anna.stop_serve()
    before = look(there)
    for i in range(21):
        put(here, f"{i}.jpg", f"encrypted {i}")
    for _ in range(2):
        said = anna.drain(check=5).stderr
        assert "tree uploads is held: 21 of 40 files changed at once" in said and "stopped" not in said, said
    assert look(there) == before
    assert "to go on: agent --drain --allow-deletes" in anna.agent("--trees", check=5).stdout
    anna.drain("--allow-deletes")
    until(lambda: anna.drain() and look(there) == look(here), 30, "a person has said yes")


def test_a_folder_that_is_not_there_deletes_nothing(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _MIRROR)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    bert.start_serve()
    put(here, "a.jpg", "a")
    until(lambda: anna.drain() and look(there) == {"a.jpg": b"a"}, 30, "arrives")
    away = here.with_name("away")
    here.rename(away)
    anna.drain(check=5)
    here.mkdir()  # an empty mount point
    anna.drain(check=5)
    assert look(there) == {"a.jpg": b"a"}
    here.rmdir()
    away.rename(here)
    put(here, "b.jpg", "b")
    until(lambda: anna.drain() and look(there) == {"a.jpg": b"a", "b.jpg": b"b"}, 30, "goes on by itself")


def test_a_node_that_nobody_can_call_fetches_files_as_well(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _MIRROR)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    anna.change_conf({"peer bert": {"url": None}})
    bert.change_conf({"peer anna": {"pull": "yes"}})
    fresh_pair.install()
    anna.start_serve()
    big = os.urandom(9 * 1024 * 1024 + 1)
    put(here, "film.mp4", big)
    put(here, "a.jpg", "a")
    until(lambda: bert.drain(check={0, 4}) and look(there) == look(here), 30, "fetched")


def test_a_receiver_that_is_killed_goes_on_where_it_was(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _MIRROR)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    bert.start_serve()
    for i in range(6):
        put(here, f"film{i}.mp4", os.urandom(8 * 1024 * 1024))
    for i in range(300):
        put(here, f"small/{i}", f"small {i}" * 50)
    for _ in range(6):
        running = subprocess.Popen(anna.command("--drain"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = len(look(there))
        until(lambda: len(look(there)) > before + 3 or running.poll() is not None, 30, "something arrives")
        bert.kill_serve()
        running.wait(60)
        whole = look(here)
        assert all(whole[path] == content for path, content in look(there).items())
        bert.start_serve()
    until(lambda: anna.drain(check={0, 4}) and look(there) == look(here), 60, "in the end all of it")


def test_push_and_pull_bring_what_is_new_and_delete_nothing(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "push"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    bert.change_conf({"tree uploads": {"mode": "pull"}})
    fresh_pair.install()
    bert.start_serve()
    put(here, "a.jpg", "a")
    put(here, "b.jpg", "b")
    put(there, "bert's.jpg", "stays with bert")
    until(lambda: anna.drain() and len(look(there)) == 3, 30, "arrive")
    (here / "a.jpg").unlink()
    put(here, "b.jpg", "b again")
    until(lambda: anna.drain() and look(there).get("b.jpg") == b"b again", 30, "a change arrives")
    assert look(there) == {"a.jpg": b"a", "b.jpg": b"b again", "bert's.jpg": b"stays with bert"}
    assert look(here) == {"b.jpg": b"b again"} and trash(there) == [b"b"]

    def shown() -> tuple[object, ...]:
        (tree,) = json.loads(bert.agent("--trees", "--json").stdout)["trees"]
        return tree["mode"], tree["files"], tree["failed"], tree["held"]

    until(lambda: shown() == ("pull", 3, 0, ""), 30, "bert has looked at his own")
    assert "takes what changes elsewhere" in bert.agent("--trees").stdout


def test_a_row_that_can_be_seen_has_its_file(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _MIRROR)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    hand.everywhere(fresh_pair, "CREATE TABLE photo (id INT PRIMARY KEY, file VARCHAR(200), INDEX (file))",
                    "CREATE TABLE remark (id INT PRIMARY KEY, photo INT NOT NULL, FOREIGN KEY (photo) REFERENCES photo (id))",
                    "CREATE TABLE other (id INT PRIMARY KEY)")
    for node in fresh_pair.nodes:
        node.change_conf({"table photo": {"file": "file in uploads prefix /uploads/"}})
    fresh_pair.install()
    bert.start_serve()

    def ids() -> set[int]:
        """What bert's app sees; each row must have its file."""
        rows = bert.sql("SELECT id, file FROM photo")
        for number, name in rows:
            path = there / name.removeprefix("/uploads/")
            assert path.read_bytes() == b"photo %d " % number * 1000, name
        return {number for number, _ in rows}

    def write(number: int) -> None:
        put(here, f"2026/{number}.jpg", b"photo %d " % number * 1000)

    # The row first, and a drain before the file is there: the rest of the group goes on.
    anna.sql("INSERT INTO photo VALUES (1, '/uploads/2026/1.jpg')")
    anna.sql("INSERT INTO remark VALUES (1, 1)")
    anna.sql("INSERT INTO other VALUES (1)")
    anna.drain()
    assert bert.sql("SELECT id FROM other") == [(1,)] and ids() == set()
    assert "waits for its file: 2026/1.jpg" in anna.agent("--status").stdout
    write(1)
    until(lambda: anna.drain() and ids() == {1}, 30, "the row comes with its file")
    until(lambda: anna.drain() and bert.sql("SELECT id FROM remark") == [(1,)], 30, "and what hangs on it")
    # Many, while a daemon sends them; rows before, beside and after their files.
    anna.start_serve()
    for number in range(2, 40):
        if number % 2:
            write(number)
        anna.sql(f"INSERT INTO photo VALUES ({number}, '/uploads/2026/{number}.jpg')")
        if not number % 2:
            write(number)
        if not number % 5:
            fresh_pair.wire["anna", "bert"].break_connections()
        ids()
    until(lambda: ids() == set(range(1, 40)), 60, "all rows")
    # A file goes after the rows that named it.
    anna.sql("DELETE FROM photo WHERE id > 20")
    for number in range(21, 40):
        (here / f"2026/{number}.jpg").unlink()
    until(lambda: ids() == set(range(1, 21)), 30, "rows go")
    until(lambda: look(there) == look(here), 30, "files go")


def test_two_sides_change_one_folder(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    for name in ("1", "2", "3", "4", "5", "6", "7", "8", "9", "same"):
        put(here, name, f"first {name}")
    put(there, "bert's", "bert's own")
    put(there, "same", "first same")  # equal contents are no conflict
    fresh_pair.start_serve()
    until(lambda: look(here) == look(there) and len(look(here)) == 11, 60, "both have all")
    for node in fresh_pair.nodes:
        until(lambda: node.server.sql("SELECT COUNT(*) FROM app_sync.sync_conflict") == [(0,)], 30, "no conflict is left")  # noqa: B023
    fresh_pair.stop_serve()
    assert trash(here) == trash(there) == []
    # While they do not see each other: each changes, creates and deletes.
    put(here, "1", "anna changed 1")
    put(there, "2", "bert changed 2")
    (here / "3").unlink()
    (there / "4").unlink()
    put(here, "new/anna", "new")
    put(here, "5", "anna's 5")
    put(there, "5", "bert's 5")
    os.utime(there / "5", (2000000000, 2000000000))  # the later one
    # Changed, noticed and then deleted by one while the other was away: it is gone, nobody has changed it there.
    put(here, "9", "anna changed 9")
    anna.drain(check={4})
    (here / "9").unlink()
    anna.drain(check={4})
    (here / "6").unlink()
    put(there, "6", "bert changed 6")
    put(here, "7", "anna changed 7")
    (there / "7").unlink()
    put(here, "8", "both alike")
    put(there, "8", "both alike")
    fresh_pair.start_serve()
    until(lambda: look(here) == look(there) and look(here).get("new/anna") == b"new" and look(here).get("2") == b"bert changed 2"
          and not {"3", "4", "9"} & set(look(there)), 60, "both are alike again")
    found = look(here)
    assert found["1"] == b"anna changed 1" and found["8"] == b"both alike"
    assert found["6"] == b"bert changed 6" and found["7"] == b"anna changed 7"
    assert found["5"] in (b"anna's 5", b"bert's 5")
    lost = {b"anna's 5", b"bert's 5"} - {found["5"]}
    assert lost & set(trash(here) + trash(there))
    # The inbox has it, and the other one can still be chosen.
    listed = [(node, one) for node in fresh_pair.nodes for one in json.loads(node.agent("--conflicts", "--json", check={0, 5}).stdout)["conflicts"]]
    ours = [(node, one) for node, one in listed if one["local"]["row"] and one["remote"]["row"] and "5" in (one["local"]["row"]["path"], one["remote"]["row"]["path"])]
    (other,) = lost
    name = [base64.b64encode(b"f" + hashlib.sha256(other).digest()).decode()]
    node, number, side = next((node, one["id"], side) for node, one in ours for side in ("local", "remote") if one[side]["row"]["content"] == name)
    node.agent("--resolve", str(number), "--keep", side)
    until(lambda: look(here).get("5") == look(there).get("5") == other, 60, "the other version stands on both sides")


def test_of_a_file_that_both_sides_changed_both_can_stay(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way", "conflict": "prefer anna"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    put(here, "album/photo.jpg", "first")
    fresh_pair.start_serve()
    until(lambda: look(here) == look(there) and len(look(there)) == 2, 60, "both have it")
    fresh_pair.stop_serve()
    put(here, "album/photo.jpg", "anna's photo")
    put(there, "album/photo.jpg", "bert's photo")
    for root in (here, there):
        os.utime(root / "album/photo.jpg", (1800000000, 1800000000))
    fresh_pair.start_serve()
    until(lambda: look(here) == look(there) and b"anna's photo" in look(there).values(), 60, "anna is preferred")
    node = next(node for node in fresh_pair.nodes if json.loads(node.agent("--conflicts", "--json").stdout)["conflicts"])
    (one,) = json.loads(node.agent("--conflicts", "--json").stdout)["conflicts"]
    said = node.agent("--conflicts").stdout
    assert "tree uploads, album/photo.jpg" in said and "--keep both" in said
    assert "for one file" in node.agent("--resolve", "all", "--keep", "both", check=2).stderr
    node.agent("--resolve", str(one["id"]), "--keep", "both")
    beside = "album/photo.conflict-20270115-080000-bert.jpg"
    want = {"album": "dir", "album/photo.jpg": b"anna's photo", beside: b"bert's photo"}
    until(lambda: look(here) == look(there) == want, 60, "both stand on both sides")
    node.agent("--resolve", str(one["id"]), "--keep", "both")  # once more: nothing changes
    until(lambda: look(here) == look(there) == want, 30, "as before")
    assert "there is no conflict" in node.agent("--resolve", "99999", "--keep", "both", check=2).stderr


def test_a_file_that_is_changed_and_told_while_another_version_of_it_comes_is_not_waited_for_for_ever(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    put(here, "film.mp4", "first")
    fresh_pair.start_serve()
    until(lambda: look(there) == {"film.mp4": b"first"}, 60, "both have it")
    fresh_pair.wire["bert", "anna"].set_mode("refuse")  # anna has nothing of bert's film
    held = fresh_pair.wire["anna", "bert"].plan(Fault("hold_request", path="/api/sync/files", skip=7))  # two questions and a list, then blocks
    put(here, "film.mp4", os.urandom(40 * 1024 * 1024))
    until(lambda: held.hits, 60, "a part of anna's film is at bert")
    told = bert.server.sql("SELECT node, content FROM app.sync_file_uploads")
    put(there, "film.mp4", "bert's film")
    os.utime(there / "film.mp4", (2000000000, 2000000000))  # the later one
    until(lambda: bert.server.sql("SELECT node, content FROM app.sync_file_uploads") != told, 60, "bert's film is noticed")
    held.release()
    until(lambda: trash(there, "conflict") == [b"bert's film"], 60, "it had to give way to one that was on its way")
    fresh_pair.wire["bert", "anna"].heal()
    until(lambda: look(here) == look(there) == {"film.mp4": b"bert's film"}, 60, "the later one stands")
    until(lambda: _is_in_step(anna) and _is_in_step(bert), 30, "nothing is waited for")


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _is_in_step(node: Node) -> bool:
    (tree,) = json.loads(node.agent("--trees", "--json", check={0, 5}).stdout)["trees"]
    return bool(tree["in_step"])


def _keep(node: Node) -> list[Any]:
    kept: list[Any] = json.loads(node.agent("--conflicts", "--json", check={0, 5}).stdout)["conflicts"]
    return kept


def test_permissions_travel_both_ways_and_never_cost_a_content(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    for name in ("a", "b", "c", "d", "e"):
        put(here, f"album/{name}", f"first {name}").chmod(0o644)
    fresh_pair.start_serve()
    until(lambda: look(here) == look(there) and len(look(there)) == 6, 60, "both have all")
    # Of a file and of a directory, on either side; from then on nobody puts anything back.
    (here / "album/a").chmod(0o600)
    until(lambda: _mode(there / "album/a") == 0o600, 60, "anna's permissions arrive")
    (there / "album/b").chmod(0o640)
    (there / "album").chmod(0o750)
    until(lambda: (_mode(here / "album/b"), _mode(here / "album")) == (0o640, 0o750), 60, "bert's permissions arrive")
    (there / "album/a").chmod(0o664)
    until(lambda: _mode(here / "album/a") == 0o664, 60, "the other one has the last word")
    fresh_pair.stop_serve()
    # Away from each other: edits before and after a chmod over there, noticed one by one; and both change permissions.
    put(here, "album/a", "anna's a").chmod(0o664)
    anna.drain(check={4})
    (there / "album/a").chmod(0o600)
    bert.drain(check={4})
    (here / "album/c").chmod(0o606)
    anna.drain(check={4})
    put(there, "album/c", "bert's c").chmod(0o644)
    bert.drain(check={4})
    (there / "album/b").chmod(0o604)
    put(here, "album/b", "anna's b").chmod(0o640)
    (here / "album/d").chmod(0o600)
    (there / "album/d").chmod(0o660)
    (there / "album/e").chmod(0o600)
    (here / "album/e").unlink()
    fresh_pair.start_serve()
    want = {"album": "dir", "album/a": b"anna's a", "album/b": b"anna's b", "album/c": b"bert's c", "album/d": b"first d"}

    def alike() -> bool:
        seen = [{name: _mode(root / name) for name in want} for root in (here, there) if look(root).items() >= want.items()]
        return len(seen) == 2 and seen[0] == seen[1] and seen[0]["album/a"] == 0o600 and seen[0]["album/b"] == 0o604 and seen[0]["album/c"] == 0o606

    until(alike, 60, "the content of the one and the permissions of the other, on both sides")
    until(lambda: look(here) == look(there) and not _keep(anna) and not _keep(bert), 30, "and nobody has to decide anything")
    assert not {b"anna's a", b"anna's b", b"bert's c"} & set(trash(here) + trash(there)) - set(want.values())
    assert _mode(here / "album/d") in (0o600, 0o660)
    # With file_mode the folder has those, whatever anybody sets.
    fresh_pair.stop_serve()
    anna.change_conf({"tree uploads": {"file_mode": "660"}})
    fresh_pair.start_serve()
    until(lambda: {_mode(here / name) for name in want if name != "album"} == {0o660}, 60, "those of agent.conf")
    (here / "album/a").chmod(0o600)
    until(lambda: _mode(here / "album/a") == 0o660, 60, "again")
    assert _mode(there / "album/a") == 0o600


def test_a_chmod_from_elsewhere_never_brings_an_older_content_over_an_edit_that_goes_on(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    put(here, "plan", "first").chmod(0o644)
    fresh_pair.start_serve()
    until(lambda: look(here) == look(there) and len(look(there)) == 1, 60, "both have it")
    fresh_pair.stop_serve()
    # An edit that anna has told, and a chmod of bert's after it; meanwhile anna's app is writing the next version.
    put(here, "plan", "second").chmod(0o644)
    anna.drain(check={4})
    (there / "plan").chmod(0o600)
    bert.drain(check={4})
    with put(here, "plan", "third").open("ab") as still:
        fresh_pair.start_serve()
        told = (b"f" + hashlib.sha256(b"second").digest(), 0o600)
        until(lambda: all(node.sql("SELECT content, mode & 511 FROM sync_file_uploads") == [told] for node in fresh_pair.nodes), 60,
              "the edit's content and the chmod's permissions are the list's on both sides")
        anna.drain(check={0, 5})
        assert look(here) == {"plan": b"third"} and trash(here, "conflict") == []
        still.write(b", and whole")
    until(lambda: look(here) == look(there) == {"plan": b"third, and whole"}, 60, "the last version stands on both sides")
    until(lambda: _is_in_step(anna) and _is_in_step(bert), 30, "nothing is waited for")


@pytest.mark.parametrize("then", ["deleted", "made anew"])
def test_a_chmod_from_elsewhere_keeps_no_edit_alive_that_its_author_has_gone_on_from(fresh_pair: Pair, then: str) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    put(here, "plan", "first").chmod(0o644)
    put(here, "other", "other")
    fresh_pair.start_serve()
    until(lambda: look(here) == look(there) and len(look(there)) == 2, 60, "both have it")
    fresh_pair.stop_serve()
    put(here, "plan", "second").chmod(0o644)
    anna.drain(check={4})
    (there / "plan").chmod(0o600)
    bert.drain(check={4})
    # Bert hears of the edit, and does not get to his folder; anna goes on from it, and he does not hear of that.
    with (there / ".sync/lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        bert.start_serve()
        anna.drain(check={0, 4, 5})
        until(lambda: hand.sync(bert, "SELECT 1 FROM sync_conflict"), 30, "bert has heard of it")
        bert.kill_serve()
    (here / "plan").unlink()
    anna.drain(check={4})
    if then == "made anew":
        put(here, "plan", "third")
        anna.drain(check={4})
    bert.drain(check={0, 4, 5})
    assert bert.sql("SELECT content FROM sync_file_uploads WHERE path='plan'") == [(b"f" + hashlib.sha256(b"second").digest(),)]
    fresh_pair.start_serve()
    want = {"other": b"other"} | ({} if then == "deleted" else {"plan": b"third"})
    until(lambda: look(here) == look(there) == want and _is_in_step(anna) and _is_in_step(bert), 30, "what the author did last stands on both sides")


def test_the_third_of_a_chain_hears_of_an_edit_and_of_a_chmod_that_met_in_the_middle() -> None:
    with Cluster(3, "chain", schemas=()) as chain:
        roots = folders.join_all(chain, {"mode": "two-way"})
        anna, bert, _ = chain.nodes
        anna.change_conf({"peer bert": {"url": None}})
        bert.change_conf({"peer anna": {"pull": "yes"}})
        chain.install()
        put(roots[0], "plan", "first").chmod(0o644)
        chain.start_serve()
        until(lambda: all(look(root) == {"plan": b"first"} for root in roots), 60, "all have it")
        chain.stop_serve()
        put(roots[0], "plan", "second").chmod(0o644)
        anna.drain()
        (roots[1] / "plan").chmod(0o600)
        bert.drain(check={4})
        chain.start_serve()
        want = [({"plan": b"second"}, 0o600)] * 3
        until(lambda: [(look(root), _mode(root / "plan")) for root in roots] == want, 60, "the edit's content and the chmod's permissions, everywhere")
        until(lambda: all(_is_in_step(node) for node in chain.nodes), 30, "nothing is waited for")
        chain.stop_serve()


def _conflicts_by_path(node: Node) -> dict[str, Any]:
    return {(one["local"]["row"] or one["remote"]["row"])["path"]: one for one in _keep(node)}


def test_two_persons_decide_one_conflict_at_once_and_differently_and_nothing_is_lost(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    names = ("both both.jpg", "both other.jpg", "other both.jpg", "other other.jpg", "mine mine.jpg")
    for name in names:
        put(here, name, f"first {name}")
    fresh_pair.start_serve()
    until(lambda: look(here) == look(there) and len(look(there)) == 5, 60, "both have all")
    fresh_pair.stop_serve()
    written = set()
    for node, root in ((anna, here), (bert, there)):
        for name in names:
            content = f"{node.name}'s {name}".encode()
            put(root, name, content)
            written.add(content)
        node.drain(check={4})
    folders.tell_before_hearing(fresh_pair)
    until(lambda: len(_keep(anna)) == len(_keep(bert)) == 5, 30, "both list all of them")
    fresh_pair.stop_serve()
    for node, place in ((anna, 0), (bert, 1)):
        for path, one in _conflicts_by_path(node).items():
            say = {"both": "both", "mine": "local", "other": "local" if one["kept"] == "remote" else "remote"}[path.removesuffix(".jpg").split()[place]]
            node.agent("--resolve", str(one["id"]), "--keep", say)
    fresh_pair.start_serve()

    def beside(name: str) -> list[bytes | str]:
        return [content for path, content in look(here).items() if path.startswith(name + ".conflict-")]

    def settled() -> bool:
        return look(here) == look(there) and all(beside(name) for name in ("both both", "both other", "other both")) and len(look(here)) == 8

    until(lambda: settled() and _is_in_step(anna) and _is_in_step(bert) and settled(), 60, "both are alike, with what either wanted beside")
    found = look(here)
    assert {found["both both.jpg"], *beside("both both")} == {b"anna's both both.jpg", b"bert's both both.jpg"}
    assert found["other other.jpg"] == b"anna's other other.jpg"
    everywhere = {content for root in (here, there) for content in [*look(root).values(), *trash(root), *trash(root, "conflict")] if isinstance(content, bytes)}
    assert written <= everywhere


@pytest.mark.parametrize("rule", ["newer", "prefer anna", "prefer bert"])
def test_of_a_change_and_a_deletion_the_inbox_says_that_the_change_stays_until_a_person_chooses_otherwise(fresh_pair: Pair, rule: str) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way", "conflict": rule})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    names = ("gone at anna's", "gone at bert's", "other")
    for name in names:
        put(here, name, f"first {name}")
    fresh_pair.start_serve()
    until(lambda: look(here) == look(there) and len(look(there)) == 3, 60, "both have all")
    fresh_pair.stop_serve()
    put(there, names[0], "bert's")
    (there / names[1]).unlink()
    bert.drain(check={4})
    put(here, names[1], "anna's")
    (here / names[0]).unlink()
    anna.drain(check={4})
    fresh_pair.start_serve()
    want: dict[str, str | bytes] = {names[0]: b"bert's", names[1]: b"anna's", "other": b"first other"}
    until(lambda: look(here) == look(there) == want and _is_in_step(anna) and _is_in_step(bert), 60, "the changes stay on both")
    until(lambda: len(_keep(anna)) + len(_keep(bert)) >= 2, 30, "listed at least once")
    for node in fresh_pair.nodes:
        for path, one in _conflicts_by_path(node).items():
            assert one[one["kept"]]["row"]["content"] != "", (path, one)
            assert "nothing that could stand beside" in node.agent("--resolve", str(one["id"]), "--keep", "both", check=2).stderr
    teller = anna if names[0] in _conflicts_by_path(anna) else bert
    shown = teller.agent("--conflicts", check=0).stdout
    assert ", deleted" in shown and "bytes" in shown and "mtime_ns" not in shown and "\\x" not in shown
    one = _conflicts_by_path(teller)[names[0]]
    teller.agent("--resolve", str(one["id"]), "--keep", "local" if one["kept"] == "remote" else "remote", check=0)
    del want[names[0]]
    until(lambda: look(here) == look(there) == want and _is_in_step(anna) and _is_in_step(bert), 60, "the deletion stands, as a person said")
    assert b"bert's" in trash(here) + trash(there)
    kept = _conflicts_by_path(teller)[names[0]]
    assert kept[kept["kept"]]["row"]["content"] == "" and kept["resolved_at"]
    fresh_pair.settle(codes={0, 5})
    assert look(here) == look(there) == want


def _put_back(copy: Path, root: Path) -> None:
    """An older copy of the folder takes its place, with the agent's own folder in it."""
    shutil.rmtree(root)
    shutil.copytree(copy, root, symlinks=True)


def test_an_older_copy_of_a_folder_deletes_and_overwrites_nothing(fresh_pair: Pair, tmp_path: Path) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    bert.start_serve()
    for i in range(5):
        put(here, f"{i}", f"first {i}")
    until(lambda: anna.drain() and look(there) == look(here), 60, "both have all")
    shutil.copytree(here, tmp_path / "copy", symlinks=True)
    anna.server.sql("UPDATE app_sync.sync_tree_life SET raised_at=raised_at - INTERVAL 1 HOUR")
    put(here, "new", "made after the copy")
    put(here, "1", "changed after the copy")
    until(lambda: anna.drain() and look(there) == look(here), 60, "both have that, too")
    now = look(there)
    _put_back(tmp_path / "copy", here)
    put(here, "newest", "made after all")
    said = anna.drain(check={5}).stdout
    assert anna.drain(check={5}).stdout == said and look(there) == now
    shown = anna.agent("--trees", check={5}).stdout
    assert "older copy" in shown and "agent --pull" in shown
    # What is missing comes from the other side.
    anna.start_serve()
    anna.agent("--pull", "uploads", "--yes")
    anna.stop_serve()
    want = {**now, "newest": b"made after all"}
    until(lambda: anna.drain() and look(there) == look(here) == want, 60, "nothing is lost, and what is new is told")
    assert _is_in_step(anna) and _is_in_step(bert)
    # Or the older copy is what is wanted.
    shutil.rmtree(tmp_path / "copy")
    shutil.copytree(here, tmp_path / "copy", symlinks=True)
    anna.server.sql("UPDATE app_sync.sync_tree_life SET raised_at=raised_at - INTERVAL 1 HOUR")
    anna.drain()
    put(here, "late", "late")
    until(lambda: anna.drain() and look(there) == look(here), 60, "both have that")
    _put_back(tmp_path / "copy", here)
    anna.drain(check={5})
    anna.drain("--allow-deletes")
    until(lambda: anna.drain() and look(there) == look(here) == want, 60, "a person has said yes")
    assert b"late" in trash(there)


def test_an_older_database_deletes_no_file(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way"})
    anna = fresh_pair.anna
    fresh_pair.install()
    for i in range(6):
        put(here, f"{i}", f"first {i}")
    fresh_pair.start_serve()
    until(lambda: look(there) == look(here) and len(look(there)) == 6, 60, "both have all")
    fresh_pair.settle()
    fresh_pair.stop_serve()
    older = backup.both(anna)
    fresh_pair.start_serve()
    put(here, "new here", "new here")
    put(there, "new there", "new there")
    put(here, "1", "changed here")
    put(there, "2", "changed there")
    (here / "3").unlink()
    until(lambda: look(there) == look(here) and len(look(there)) == 7 and look(here)["2"] == b"changed there", 60, "all that is on both")
    (there / "3").write_text("again")
    until(lambda: look(there) == look(here) and len(look(there)) == 8, 60, "and once more")
    fresh_pair.settle()
    want = look(here)
    fresh_pair.stop_serve()
    backup.load(anna, older)
    fresh_pair.start_serve()
    until(lambda: "run agent --install --peer bert" in anna.agent("--status", check={0, 4, 5}).stdout, 60, "the link waits for a person")
    anna.agent("--install", "--peer", "bert")
    until(lambda: look(there) == look(here) and all(_is_in_step(node) for node in fresh_pair.nodes), 60, "both are alike")
    fresh_pair.settle(codes={0, 5})
    assert look(here) == look(there)
    assert want.keys() <= look(here).keys()
    gone = {content for content in want.values()} - {content for root in (here, there) for content in [*look(root).values(), *trash(root), *trash(root, "conflict")]}
    assert not gone


def test_a_link_whose_row_says_not_where_to_waits_and_holds_up_nothing(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _MIRROR)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    (here / "a link").symlink_to("z")
    bert.start_serve()
    until(lambda: anna.drain() and look(there) == look(here), 60, "the link arrives")
    bert.stop_serve()
    bert.sql("UPDATE sync_file_uploads SET link = NULL WHERE path = 'a link'")  # as no agent writes it
    (there / "a link").unlink()
    put(here, "z", "a file")
    bert.start_serve()
    until(lambda: anna.drain() and look(there) == {"z": b"a file"}, 30, "the file arrives")
    until(lambda: "this link may not be made: a link" in bert.agent("--trees", check={0, 5}).stdout, 30, "the link waits")


def test_names_of_every_kind_travel_and_nothing_leaves_the_folder(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _MIRROR)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    outside = there.parent / "outside"
    outside.mkdir()
    bert.start_serve()
    root = os.fsencode(here)
    names = [b"line\nfeed", b"quote'\"`\\", b"\xff\xfe no text", b"x" * 255, "\u00e9 composed".encode(), "e\u0301 decomposed".encode(), b" blanks ", b"-rf", b"a", b"A",
             b"percent%00", b".hidden", b"*?[x]"]
    for name in names:
        with open(os.path.join(root, name), "wb") as f:
            f.write(b"content of " + name)
    deep = b"/".join([b"d" * 200] * 18)
    os.makedirs(os.path.join(root, deep))
    with open(os.path.join(root, deep, b"deep"), "wb") as f:
        f.write(b"deep down")
    os.mkfifo(here / "pipe")
    (here / "escape").symlink_to("../../outside")
    (here / "absolute").symlink_to("/etc/passwd")
    (here / "setuid").write_text("no")
    (here / "setuid").chmod(0o4755)
    want = {path: content for path, content in look_without(here, {"pipe"}).items() if path not in ("escape", "absolute")}
    until(lambda: anna.drain() and look(there) == want, 60, "all but pipe and links that lead out")
    assert (there / "setuid").stat().st_mode & 0o7777 == 0o755
    # A link where a directory stood, on the side that takes: what belongs below it is not written outside.
    put(here, "album/1", "one")
    until(lambda: anna.drain() and "album/1" in look(there), 30, "the album arrives")
    (there / "album/1").unlink()
    (there / "album").rmdir()
    (there / "album").symlink_to(outside)
    put(here, "album/2", "two")
    until(lambda: anna.drain(check={0, 5}) and look(there).get("album/2") == b"two", 60, "the link gives way")
    assert list(outside.iterdir()) == []
    outside.rmdir()


def test_one_path_that_cannot_be_written_waits_and_is_named(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _MIRROR)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    bert.start_serve()
    put(here, "good", "good")
    put(here, "closed/bad", "bad")
    until(lambda: anna.drain() and look(there) == look(here), 30, "arrive")
    subprocess.run(["chattr", "+i", str(there / "closed/bad")], check=False)
    os.chmod(there / "closed", 0o755)
    fixed = "i" in subprocess.run(["lsattr", str(there / "closed/bad")], check=False, capture_output=True, text=True).stdout.split(" ")[0]
    if not fixed:
        pytest.skip("this file system has no such attribute")
    try:
        put(here, "closed/bad", "worse")
        put(here, "good", "better")
        until(lambda: anna.drain(check={0, 5}) and look(there)["good"] == b"better", 30, "the others go on")
        until(lambda: anna.drain(check={0, 5}) and "closed/bad" in bert.agent("--trees", check={0, 5}).stdout, 30, "named")
        assert look(there)["closed/bad"] == b"bad"
    finally:
        subprocess.run(["chattr", "-i", str(there / "closed/bad")], check=True)
    put(there, "an event", "which is put right")
    until(lambda: anna.drain(check={0, 5}) and look(there) == look(here), 60, "then it is written")


def test_a_path_that_cannot_be_made_takes_no_content_from_another_that_can(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way", "conflict": "prefer anna"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    hand.everywhere(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY)")
    fresh_pair.install()
    # Bert's directory is a file of anna's, and he does not hear of it; what lies in it stands elsewhere, too.
    put(here, "album", "anna's file")
    inner, outer = "album/photo", max((f"photo {i}" for i in range(20)), key=lambda path: hashlib.sha256(path.encode()).digest())
    assert hashlib.sha256(inner.encode()).digest() < hashlib.sha256(outer.encode()).digest()  # the order in which paths are looked at
    put(there, inner, "a photo")
    anna.start_serve()
    until(lambda: _is_in_step(anna), 30, "anna knows her file")
    bert.drain(check={0, 5})
    until(lambda: "waits: " + inner in anna.agent("--trees", check=5).stdout, 30, "it waits, since a file stands in its way")
    put(there, outer, "a photo")
    bert.sql("INSERT INTO t VALUES (1)")
    bert.drain(check={0, 5})
    bert.drain(check={0, 5})
    assert look(here) == {"album": b"anna's file", outer: b"a photo"} and anna.sql("SELECT * FROM t") == [(1,)]
    bert.start_serve()
    until(lambda: look(here) == look(there) and _is_in_step(anna) and _is_in_step(bert), 60, "when bert hears of it, both are alike")


def test_a_path_that_waited_and_is_right_by_now_is_not_named_any_more(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, _MIRROR)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    bert.start_serve()
    put(here, "file", "first").chmod(0o644)
    (here / "link").symlink_to("file")
    until(lambda: anna.drain() and look(there) == look(here) and _is_in_step(bert), 30, "arrive")
    bert.stop_serve()
    # A link that somebody here made in the instant before the agent did; a version that had no room and is not wanted any more.
    bert.server.sql("UPDATE app_sync.sync_file_local SET state='failed', error='exists: cannot make the link', racy=0")
    assert "waits: link" in bert.agent("--trees", check=5).stdout
    bert.drain(check={0, 4})
    assert _is_in_step(bert)


def test_status_page_and_metrics_show_the_folders_as_trees_does(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {**_MIRROR, "max_delete": "2 files, 10%"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    for i in range(10):
        put(here, f"{i}.jpg", f"{i}" * 1000)
    bert.start_serve()
    until(lambda: anna.drain() and look(there) == look(here), 30, "the files arrive")
    (one,) = anna.status()["trees"]
    (shown,) = json.loads(anna.agent("--trees", "--json").stdout)["trees"]
    assert one == shown
    assert (one["files"], one["bytes"], one["listed_files"], one["listed_bytes"], one["pending"], one["in_step"]) == (10, 10000, 10, 10000, 0, True)
    (transfer,) = one["transfers"]
    assert transfer["peer"] == "bert" and transfer["last_success"] and transfer["left_bytes"] == 0 and not transfer["moving"]
    assert transfer["bytes"] == 10_000, transfer
    (received,) = bert.status()["trees"][0]["transfers"]
    assert received["peer"] is None and received["last_success"]
    said = anna.agent("--status").stdout
    assert "tree uploads: 10 files here, 9.8 KiB; 10 in its list, in step" in said and "to bert: last complete just now" in said
    # Held: the reason and what ends it, wherever a person looks.
    for i in range(9):
        (here / f"{i}.jpg").unlink()
    anna.drain(check=5)
    (one,) = anna.status()["trees"]
    assert one["held"] and one["remedy"] == "agent --drain --allow-deletes" and not one["in_step"]
    said = anna.agent("--status", check=5).stdout
    assert f"tree uploads is held: {one['held']}" in " ".join(said.split()) and "agent --drain --allow-deletes lets it go on" in " ".join(said.split())
    assert "to go on: agent --drain --allow-deletes" in anna.agent("--trees", check=5).stdout
    anna.start_serve()
    until(lambda: b"tandem_tree_held{tree=\"uploads\"} 1" in anna.get("/metrics", anna.monitor_key)[1], 60, "the metrics count the folder")
    metrics = anna.get("/metrics", anna.monitor_key)[1].decode()
    assert 'tandem_tree_files{tree="uploads",where="list"} 10' in metrics
    assert 'tandem_tree_last_success_timestamp_seconds{tree="uploads",peer="bert"} 1' in metrics
    until(lambda: one["held"].encode() in anna.get("/", anna.monitor_key)[1], 60, "the page says why the folder is held")
    page = anna.get("/", anna.monitor_key)[1].decode()
    assert "agent --drain --allow-deletes" in page and "Upload folders" in page and "10 files, 9.8 KiB" in page
    def state() -> dict[str, Any]:
        return json.loads(anna.get("/api/monitor/state", anna.monitor_key)[1])

    until(lambda: state()["headline"] == "person", 60, "the page asks for a person")
    assert state()["counts"]["trees"][0]["held"] == one["held"]


def test_a_file_that_came_is_not_read_again_and_a_write_into_it_at_once_is_seen(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    bert.start_serve()
    for name, seconds in (("old", 1700000000.5), ("whole second", 1700000000), ("to come", 4000000000.5)):
        put(here, name, "as it came")
        os.utime(here / name, (seconds, seconds))
    until(lambda: anna.drain() and look(there) == look(here), 60, "both have all")
    bert.stop_serve()
    # What another writer may give the same time is read once more; the time of "to come" is not over.
    again = dict(hand.sync(bert, "SELECT CAST(path AS CHAR), racy FROM sync_file_local WHERE content<>'d'"))
    assert again == {"old": 0, "whole second": 0, "to come": 1}
    for name in ("old", "to come"):
        with open(there / name, "r+b") as file:  # the same inode, the same size
            file.write(b"as bert is")
    os.utime(there / "to come", (4000000000.5, 4000000000.5))
    fresh_pair.start_serve()
    until(lambda: look(here)["old"] == look(here)["to come"] == b"as bert is", 60, "anna is told")
