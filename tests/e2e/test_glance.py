"""New files are told by a glance at what was heard of; everything else by a look at the whole folder."""

from __future__ import annotations

import os
import shutil

from lab import Pair, folders, hand, until
from lab.folders import look, put
from lab.node import Node


def _looked(node: Node) -> object:
    return hand.sync(node, "SELECT looked_at FROM sync_tree")


def test_new_files_travel_without_a_look_at_the_whole_folder(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "mirror", "source": "anna", "max_delete": "off", "exclude": "*.part"})
    anna = fresh_pair.anna
    put(here, "photos/first.jpg", "the first one")
    fresh_pair.install()
    fresh_pair.start_serve()
    until(lambda: look(there) == look(here), 60, "both are alike")
    put(here, "photos/heard.jpg", "heard of")
    until(lambda: look(there) == look(here), 60, "it has come")
    # Only a look that was made before it hears of everything says nothing of the next ones.
    seen = _looked(anna)
    for name in ("photos/a.jpg", "b.jpg", "photos/left out.part"):
        put(here, name, f"the file {name}")
    (here / "photos/late.jpg").write_bytes(os.urandom(2_000_000))
    until(lambda: {"photos/a.jpg", "b.jpg", "photos/late.jpg"} <= set(look(there)), 60, "they have come")
    assert _looked(anna) == seen
    assert "photos/left out.part" not in look(there)
    # A change, a deletion, a new directory and a link are for the whole look.
    for change in (lambda: put(here, "photos/a.jpg", "changed"), lambda: (here / "b.jpg").unlink(),
                   lambda: put(here, "new/deep/c.jpg", "below"), lambda: (here / "link").symlink_to("photos/a.jpg"),
                   lambda: (here / "photos/late.jpg").rename(here / "photos/renamed.jpg"), lambda: shutil.rmtree(here / "new")):
        seen = _looked(anna)
        change()
        until(lambda: look(there) == {path: found for path, found in look(here).items() if not path.endswith(".part")}, 60, "it has come")
        assert _looked(anna) != seen


def test_a_file_that_is_written_for_long_is_told_when_it_is_closed(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "mirror", "source": "anna", "settle": "1s"})
    anna = fresh_pair.anna
    put(here, "first", "the first one")
    fresh_pair.install()
    fresh_pair.start_serve()
    until(lambda: look(there) == look(here), 60, "both are alike")
    put(here, "heard", "heard of")
    until(lambda: look(there) == look(here), 60, "it has come")
    seen = _looked(anna)
    with open(here / "slow", "wb") as file:
        for i in range(20):
            file.write(b"%d " % i)
            file.flush()
            put(here, f"beside {i}", "whole")
            until(lambda: f"beside {i}" in look(there), 60, "what is whole has come")  # noqa: B023
            assert "slow" not in look(there)
    until(lambda: look(there) == look(here), 60, "all of it has come")
    assert _looked(anna) == seen
