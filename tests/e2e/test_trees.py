"""Upload folders travel with the rows."""

from __future__ import annotations

import os

from lab import Pair, folders, until
from lab.folders import look, put, trash

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
