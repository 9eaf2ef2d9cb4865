"""A laptop is copied whole, its database, its settings and its upload folder, and the copy runs beside the original, under its
name: nothing is deleted or lost in any of the three folders, a person is told what to do, and when the copy has a name of its
own and has met the others all three are alike."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import Cluster, Node, backup, folders, hand, until
from lab.folders import look, put, trash

pytestmark = pytest.mark.slow

DONE, PERSON = 0, 5
_OF_EACH_LAPTOP = {"node": ("state_dir", "listen", "monitor", "monitor_key"), "database": ("socket",), "log": ("target",)}


def _clone(original: Node, onto: Node) -> None:
    """As a disk image brings it: datadir, state_dir, agent.conf and folder. Paths and ports are the second laptop's own, since
    both run on one machine here; to the agent they say nothing."""
    image = backup.copy_datadir(original, "image")
    backup.put_datadir(onto, image)
    root = folders.folder(onto)
    for was, to in ((original.folder / "state", onto.folder / "state"), (folders.folder(original), root)):
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(was, to, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
    own = {section: {key: onto.conf[section][key] for key in keys} for section, keys in _OF_EACH_LAPTOP.items()}
    onto.conf = copy.deepcopy(original.conf)
    onto.change_conf({**own, "tree uploads": {"path": str(root)}})


def _held(node: Node, peer: str) -> str:
    return next(one for one in node.status()["peers"] if one["name"] == peer)["held"] or ""


def _contents(root: Path) -> set[bytes]:
    """What stands in the folder or was put aside in it."""
    return {content for content in [*look(root).values(), *trash(root), *trash(root, "conflict")] if isinstance(content, bytes)}


class _Laptops:
    """anna and bert are in step; cleo is then a copy of anna."""

    def __init__(self, many: Cluster, tree: dict[str, str]) -> None:
        self.anna, self.bert, self.cleo = many.nodes
        self.many = many
        self.links = {node: node.conf.pop(f"peer {name}") for node, name in ((self.bert, "cleo"), (self.cleo, "bert"))}
        self.roots = [folders.folder(node) for node in many.nodes]
        self.here, self.there, self.copied = self.roots
        for node in (self.anna, self.bert):
            folders.folder(node).mkdir()
            node.change_conf({"tree uploads": {"path": str(folders.folder(node)), **tree}})
        hand.everywhere(many, "CREATE TABLE photo (id INT PRIMARY KEY, file VARCHAR(200))")
        for node in (self.anna, self.bert):
            node.install()
            node.start_serve()
        for i in range(12):
            put(self.here, f"{i % 3}/{i}.jpg", f"photo {i}")
            self.anna.sql(f"INSERT INTO photo VALUES ({i}, '{i % 3}/{i}.jpg')")
        until(lambda: look(self.here) == look(self.there) and len(look(self.there)) == 15, 60, "both have all")
        until(lambda: not self.anna.pending() and not self.bert.pending(), 60, "nothing waits")
        self.anna.stop_serve()
        self.bert.stop_serve()
        _clone(self.anna, self.cleo)
        self.bert.start_serve()

    def work(self, node: Node, who: str) -> set[bytes]:
        """A person writes, changes and deletes at one of the two copies, one and the same path too; what was written."""
        root = folders.folder(node)
        first = {"anna": 3, "copy": 6}[who]
        made = {f"new {who}": f"new of {who}", "0/0.jpg": f"changed by {who}", f"{(first + 1) % 3}/{first + 1}.jpg": f"{who}'s other photo"}
        for path, content in made.items():
            put(root, path, content)
        (root / f"0/{first}.jpg").unlink()
        node.sql(f"INSERT INTO photo VALUES ({100 + first}, 'new {who}')")
        return {content.encode() for content in made.values()}

    def run(self, node: Node) -> None:
        """It runs and has met bert."""
        node.start_serve()
        until(lambda: self._has_met(node), 60, "it has told bert all, or its link is held")

    def _has_met(self, node: Node) -> bool:
        ran = node.drain()
        return ran.returncode == PERSON or (ran.returncode == DONE and not node.pending() and look(folders.folder(node)) == look(self.there))

    def give_the_copy_a_name(self, original_after: Callable[[], None]) -> None:
        """As docs/troubleshooting.md says it, on the copy; then what --status says on the original, where it says anything."""
        self.cleo.stop_serve()
        self.cleo.agent("--uninstall", check=DONE)
        self.cleo.conf.pop("peer bert")
        self.cleo.change_conf({"node": {"name": "cleo"}, "peer bert": self.links[self.cleo]})
        self.bert.stop_serve()
        self.bert.change_conf({"peer cleo": self.links[self.bert]})
        self.bert.install()
        self.bert.start_serve()
        self.cleo.install()
        original_after()
        self.cleo.start_serve()
        self.cleo.agent("--startup", check={DONE, PERSON})

    def alike(self) -> bool:
        ended = [node.drain("--allow-deletes", check={DONE, PERSON}).returncode for node in self.many.nodes]
        return not any(ended) and not self.many.pending() and look(self.here) == look(self.there) == look(self.copied)


@pytest.mark.parametrize("first", ["anna", "copy"])
@pytest.mark.parametrize("tree", [{"mode": "two-way"}, {"mode": "mirror", "source": "anna"}], ids=["two-way", "mirror"])
def test_a_laptop_that_was_copied_whole_costs_no_file_and_with_its_own_name_becomes_like_the_others(tree: dict[str, str], first: str) -> None:
    with Cluster(3, "chain", schemas=()) as many:
        two = _Laptops(many, tree)
        nodes = {"anna": two.anna, "copy": two.cleo}
        second = next(who for who in nodes if who != first)
        old = _contents(two.here)
        written = two.work(nodes[first], first)
        two.run(nodes[first])
        before = look(two.there)
        assert written <= set(before.values())
        # The other one comes: nothing of it reaches bert, nothing of bert's reaches it, and a person is called.
        written |= two.work(nodes[second], second)
        as_left = look(folders.folder(nodes[second]))
        two.run(nodes[second])
        until(lambda: _held(nodes[second], "bert"), 60, "the link of the second one is held")
        for node in (two.bert, nodes[first], nodes[second]):
            node.drain(check={DONE, PERSON})
        assert look(two.there) == before and look(folders.folder(nodes[second])) == as_left
        said = " ".join(nodes[second].agent("--status", check=PERSON).stdout.split())
        assert "copy of this laptop" in said and "agent --install --peer bert" in said, said
        # The copy gets its own name, and goes on as any other laptop.
        original = two.anna

        def mend_the_original() -> None:
            if _held(original, "bert"):
                original.agent("--install", "--peer", "bert", check=DONE)

        two.give_the_copy_a_name(mend_the_original)
        try:
            until(lambda: two.alike() and two.alike(), 60, "all three are alike")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{[sorted(look(root)) for root in two.roots]}\n{many.describe()}") from None
        kept = set().union(*(_contents(root) for root in two.roots))
        assert written | old <= kept, written | old - kept
        assert {row[0] for row in two.bert.sql("SELECT id FROM photo")} >= {*range(12), 103, 106}
        many.assert_equal(["photo"])
        if tree["mode"] == "two-way":
            assert {f"new {who}" for who in nodes} <= set(look(two.there))
        put(two.here, "at last", "at last")
        until(lambda: two.alike() and b"at last" in look(two.copied).values(), 60, "and go on together")
