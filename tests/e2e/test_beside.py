"""Side by side with rsync and unison on the same trees: the same result where they agree on what is right, and where not,
what docs/files.md says of it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

from lab import Pair, folders, until
from lab.folders import OWN, look, put, trash

_OLD = 1_600_000_000  # seconds since 1970


def _rsync(source: Path, target: Path, *options: str) -> None:
    subprocess.run(["rsync", "-rlpt", f"--exclude=/{OWN}", *options, f"{source}/", f"{target}/"], check=True, timeout=60)


class _Unison:
    """Two folders and the archive in which unison remembers what both agreed on."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.a, self.b = folder, folder / "a", folder / "b"
        for root in (self.a, self.b):
            root.mkdir(parents=True)

    def run(self) -> int:
        """Both ways, without questions; 1: something was skipped."""
        ran = subprocess.run(["unison", str(self.a), str(self.b), "-batch", "-silent", "-ui", "text", "-perms", "0o777", "-times", "-confirmbigdel=false"],
                             env={**os.environ, "UNISON": str(self.folder / "archive")}, timeout=60, check=False, capture_output=True)
        assert ran.returncode in (0, 1), ran.stderr
        return ran.returncode


def _rich(root: Path) -> None:
    """What upload folders have, and what they rarely have."""
    put(root, "photo.jpg", b"\xff\xd8 a photo")
    put(root, "a/b/c/deep.txt", "deep")
    put(root, "empty", "")
    (root / "an empty directory").mkdir()
    for name in ("line\nbreak", "quote'\"`$;", " blanks ", "-dash", "\u00e4\u00f6\u00fc.jpg", "*?[a]"):
        put(root, f"names/{name}", name)
    (root / "names" / ("x" * 255)).write_bytes(b"the longest")
    (root / os.fsdecode(b"names/not\xffutf8")).write_bytes(b"bytes")
    put(root, "large", os.urandom(3 * 1024 * 1024 + 5))
    with open(root / "sparse", "wb") as file:
        file.truncate(4 * 1024 * 1024)
        file.seek(2 * 1024 * 1024)
        file.write(b"in the middle")
    (root / "link").symlink_to("a/b/c/deep.txt")
    (root / "a/up").symlink_to("../photo.jpg")
    (root / "dangling").symlink_to("nothing here")
    put(root, "secret", "secret").chmod(0o600)
    put(root, "script", "#!/bin/sh").chmod(0o755)
    os.utime(root / "photo.jpg", (_OLD, _OLD))


def _looks(root: Path) -> dict[str, tuple[int, int]]:
    """Mode and time of every file."""
    return {str(p.relative_to(root)): (p.stat().st_mode & 0o777, p.stat().st_mtime_ns) for p in root.rglob("*")
            if p.is_file() and not p.is_symlink() and OWN not in p.parts}


def test_a_mirror_ends_as_with_rsync_and_differs_where_the_docs_say_so(fresh_pair: Pair, tmp_path: Path) -> None:
    here, there = folders.join(fresh_pair, {"mode": "mirror", "source": "anna", "max_delete": "off"})
    anna = fresh_pair.anna
    fresh_pair.install()
    fresh_pair.bert.start_serve()
    _rich(here)
    copy = tmp_path / "copy"

    def both() -> None:
        until(lambda: anna.drain() and look(there) == look(here), 60, "the folder arrives")
        _rsync(here, copy, "--delete")
        assert look(copy) == look(there) and _looks(copy) == _looks(there)

    both()
    # Changes of every kind, and a content of the same size and time: rsync needs --checksum for that, and gets it here.
    put(here, "photo.jpg", b"\xff\xd8 another one")
    (here / "empty").unlink()
    (here / "empty").mkdir()
    put(here, "empty/now a directory", "x")
    shutil.rmtree(here / "a")
    put(here, "a", "a file where a directory was")
    (here / "names").rename(here / "other names")
    (here / "link").unlink()
    (here / "link").symlink_to("photo.jpg")
    (here / "secret").chmod(0o640)
    both()
    (here / "script").write_text("#!/bin/no")
    os.utime(here / "script", ns=(0, (there / "script").stat().st_mtime_ns))
    _rsync(here, copy, "--delete")
    assert look(copy)["script"] == b"#!/bin/sh"  # it looks at size and time alone
    until(lambda: anna.drain() and look(there) == look(here), 60, "the same size and time, another content")
    _rsync(here, copy, "--delete", "--checksum")
    assert look(copy) == look(there)
    # Where it differs.
    outside = put(tmp_path, "outside.txt", "not in the folder")
    (here / "absolute").symlink_to(outside)
    (here / "leads out").symlink_to("../../outside")
    os.mkfifo(here / "pipe")
    put(here, "upload.tmp", "half an upload")
    os.link(here / "photo.jpg", here / "hard link.jpg")
    (here / "large").unlink()
    put(here, "last", "last")
    until(lambda: anna.drain() and "last" in look(there) and "large" not in look(there), 60, "the next changes arrive")
    _rsync(here, copy, "--delete", "--specials")
    ours, theirs = look(there), set(os.listdir(copy))
    strangers = {"absolute", "leads out", "pipe", "upload.tmp"}
    assert strangers <= theirs and not strangers & set(ours)
    assert ours["hard link.jpg"] == ours["photo.jpg"] and (there / "photo.jpg").stat().st_nlink == 1
    assert any(len(kept) == 3 * 1024 * 1024 + 5 for kept in trash(there)) and not (copy / "large").exists()


def _random_changes(dice: random.Random, roots: list[Path], names: list[str]) -> None:
    """Changes on both sides, never two of one path: what all agree on. The same for every pair of roots (a, b, a, b)."""
    for name in dice.sample(names, len(names) * 2 // 3):
        side, kind, content = dice.randrange(2), dice.randrange(4), dice.randbytes(dice.choice((0, 10, 5000)))
        for root in roots[side::2]:
            path = root / name
            if kind == 0:
                path.unlink(missing_ok=True)
            elif kind == 1 and path.exists():
                path.rename(root / f"{name} renamed")
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                put(root, name, content)


def test_two_sides_end_as_with_unison_and_differ_where_the_docs_say_so(fresh_pair: Pair, tmp_path: Path) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way", "max_delete": "off"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    unison, dice = _Unison(tmp_path), random.Random(20261121)
    roots = [here, there, unison.a, unison.b]
    names = [f"{'abc'[i % 3]}/{i}" for i in range(24)]

    def both() -> None:
        fresh_pair.start_serve()
        unison.run()
        expected = {path: what for path, what in look(unison.a).items() if what != "dir"}
        assert expected == {path: what for path, what in look(unison.b).items() if what != "dir"}

        def files(root: Path) -> dict[str, str | bytes]:
            return {path: what for path, what in look(root).items() if what != "dir"}

        until(lambda: files(here) == files(there) == expected, 60, "both are as unison leaves them")
        fresh_pair.stop_serve()

    for _ in range(3):
        _random_changes(dice, roots, names)
        both()
    # Where it differs: one path changed on both sides, and changed here, deleted there.
    for i, root in enumerate(roots):
        put(root, "both", f"side {i % 2}")
        put(root, "against", "first")
    for root in roots:
        os.utime(root / "against", (_OLD, _OLD))
        (root / "both").unlink()
    both()
    for i, root in enumerate(roots):
        put(root, "both", f"side {i % 2}")
        os.utime(root / "both", (_OLD + i % 2, _OLD + i % 2))
    for root in roots[0::2]:
        (root / "against").unlink()
    for root in roots[1::2]:
        put(root, "against", "changed")
    assert unison.run() == 1  # it leaves both, and says so
    assert (unison.a / "both").read_text() != (unison.b / "both").read_text() and not (unison.a / "against").exists()
    fresh_pair.start_serve()
    until(lambda: look(here) == look(there) and look(here).get("against") == b"changed", 60, "one of both, and the change, stand on both sides")
    assert ({b"side 0", b"side 1"} - {look(here)["both"]}) <= set(trash(here) + trash(there))
    kept = [one for node in (anna, bert) for one in json.loads(node.agent("--conflicts", "--json", check={0, 5}).stdout)["conflicts"]]
    assert any("both" in (one["local"]["row"]["path"], one["remote"]["row"]["path"]) for one in kept)
