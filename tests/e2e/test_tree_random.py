"""Two or three persons work at random in one two-way folder, with the agents away, at work or killed; then all settles:
all folders are alike, and every content ever written is there, was taken away by a person who saw it, or lies in a trash.
And rows with files, while a third of all calls breaks and agents are killed."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path

from lab import Cluster, Node, Pair, folders, hand, until
from lab.folders import look, modes, put
from lab.proxy import Fault
from lab.uploader import Uploader, kept

_SHORT, _LONG = 4, 150  # rounds


def _in_step(node: Node) -> bool:
    (tree,) = json.loads(node.agent("--trees", "--json", check={0, 5}).stdout)["trees"]
    return bool(tree["in_step"])


def _some_agents(many: Cluster, rng: random.Random) -> None:
    """Any of them may be away, come, or be killed."""
    for node in many.nodes:
        want = rng.choice(("away", "there", "killed"))
        if want == "there" and not node.serving():
            node.start_serve()
        elif want != "there" and node.serving():
            (node.kill_serve if want == "killed" else node.stop_serve)()


def _differences(many: Cluster, roots: list[Path]) -> list[str]:
    """What is not alike, by path."""
    looks = [{path: (content, modes(root).get(path)) for path, content in look(root).items()} for root in roots]
    paths = sorted({path for seen in looks for path in seen if len({seen.get(path) for seen in looks}) > 1})
    apart = [f"{path}: " + ", ".join(f"{node.name} {str(seen.get(path))[:60]}" for node, seen in zip(many.nodes, looks)) for path in paths]
    return apart + [f"{node.name}: {node.agent('--trees', check={0, 5}).stdout}" for node in many.nodes if not _in_step(node)]


def _settle(many: Cluster, roots: list[Path]) -> None:
    many.start_serve()
    try:  # twice: what arrives may bring more
        until(lambda: not _differences(many, roots) and not _differences(many, roots), 60, "all folders are alike and as their lists say")
    except AssertionError as late:
        raise AssertionError("\n".join([str(late), *_differences(many, roots), many.describe()])) from None


def _work_at_random(many: Cluster, rng: random.Random, rounds: int) -> None:
    """A person at each folder, then all settles, and again."""
    roots = folders.join_all(many, {"mode": "two-way", "max_delete": "off"})
    many.install()
    written: set[bytes] = set()
    replaced: set[bytes] = set()
    persons = [Uploader(root, node.name, rng, written, replaced) for root, node in zip(roots, many.nodes)]
    for _ in range(rounds):
        for _ in range(3):
            _some_agents(many, rng)
            for person in persons:
                person.work(rng.randrange(1, 8))
        _settle(many, roots)
        lost = written - replaced - set().union(*(kept(root) for root in roots))
        assert not lost, f"lost: {[content[:20] for content in lost]}; {[person.did for person in persons]}"
    many.stop_serve()


def test_what_two_persons_write_at_random_is_never_lost(fresh_pair: Pair, rng: random.Random, long_run: bool) -> None:
    _work_at_random(fresh_pair, rng, _LONG if long_run else _SHORT)


def test_what_three_persons_write_at_random_is_never_lost_on_the_way_through_the_middle(rng: random.Random, long_run: bool) -> None:
    with Cluster(3, "chain", schemas=()) as chain:
        _work_at_random(chain, rng, _LONG if long_run else _SHORT - 1)


def _whole(number: int) -> bytes:
    """Of many sizes, up to some blocks; every line says which version it is."""
    return f"version {number:6}\n".encode() * (1 + (number * 7919) % 150_000)


def _read_always(root: Path, names: tuple[str, ...], stop: threading.Event, wrong: list[str]) -> None:
    """What an app sees: each path, once it is there, is always there, and is one version from its first byte to its last."""
    seen: set[str] = set()
    while not stop.is_set():
        for name in names:
            try:
                content = (root / name).read_bytes()
            except FileNotFoundError:
                if name in seen:
                    wrong.append(f"{name} is away")
                continue
            seen.add(name)
            if content != _whole(int(content[8:14] or b"-1")):
                wrong.append(f"{name}: {len(content)} bytes, {content[:16]!r} to {content[-16:]!r}")


def test_whoever_reads_a_file_sees_an_old_or_a_new_one_whole_and_never_none(fresh_pair: Pair, rng: random.Random, long_run: bool) -> None:
    here, there = folders.join(fresh_pair, {"mode": "mirror", "source": "anna"})
    fresh_pair.install()
    fresh_pair.start_serve()
    names, stop, wrong = ("a", "b/c", "b/d"), threading.Event(), list[str]()
    reader = threading.Thread(target=_read_always, args=(there, names, stop, wrong))
    reader.start()
    try:
        for number in range(600 if long_run else 24):
            put(here, rng.choice(names), _whole(number))
            if number % 6 == 5:
                until(lambda: any((there / ".sync/tmp").iterdir()) or look(here) == look(there), 60, "some of it is on its way, or all there")
                fresh_pair.bert.kill_serve()
                fresh_pair.bert.start_serve()
        until(lambda: look(here) == look(there), 60, "all versions are the last")
    finally:
        stop.set()
        reader.join()
    assert wrong == []


_PHOTOS, _PHOTOS_LONG = 40, 1500


def _lose_a_third(pair: Pair, rng: random.Random, calls: int) -> list[Fault]:
    """Of so many calls from anna to bert every third one, about, does not come through, in one of four ways."""
    kinds = ("drop_request", "drop_response", "cut_request", "cut_response")
    return [pair.wire["anna", "bert"].plan(Fault(rng.choice(kinds), skip=n)) for n in range(calls) if rng.random() < 0.3 or n == 0]


class _Album:
    """Photos as anna's app has them: a row and a file each, in any order of writing."""

    def __init__(self, pair: Pair, rng: random.Random) -> None:
        self.anna, self.bert = pair.nodes
        self.here, self.there = (folders.folder(node) for node in pair.nodes)
        self.rng = rng
        self.rows: dict[int, str] = {}

    @staticmethod
    def _content(name: str) -> bytes:
        return name.encode() * 500

    def add(self, number: int) -> None:
        """A new row and its file, whichever comes first."""
        name = f"{self.rng.randrange(4)}/{number}.jpg"
        first = self.rng.random() < 0.5
        if first:
            put(self.here, name, self._content(name))
        self.anna.sql(f"INSERT INTO photo VALUES ({number}, '/uploads/{name}')")
        if not first:
            put(self.here, name, self._content(name))
        self.rows[number] = name

    def replace(self, number: int) -> None:
        """A row gets another file; then the old one goes."""
        old, name = self.rows[number], self.rows[number].replace(".jpg", "+.jpg")
        put(self.here, name, self._content(name))
        self.anna.sql(f"UPDATE photo SET file = '/uploads/{name}' WHERE id = {number}")
        (self.here / old).unlink()
        self.rows[number] = name

    def remove(self, number: int) -> None:
        """A row goes, and its file."""
        self.anna.sql(f"DELETE FROM photo WHERE id = {number}")
        (self.here / self.rows.pop(number)).unlink()

    def seen(self) -> dict[int, str]:
        """What bert's app sees: each row has its file, whole."""
        rows = dict(self.bert.sql("SELECT id, file FROM photo"))
        for number, value in rows.items():
            name = value.removeprefix("/uploads/")
            try:
                assert (self.there / name).read_bytes() == self._content(name), name
            except FileNotFoundError:  # then the row has gone meanwhile, or names another one
                assert self.bert.sql(f"SELECT file FROM photo WHERE id = {number}") != [(value,)], name
        return {number: value.removeprefix("/uploads/") for number, value in rows.items()}


def test_a_row_has_its_file_though_a_third_of_all_calls_breaks(fresh_pair: Pair, rng: random.Random, long_run: bool) -> None:
    folders.join(fresh_pair, {"mode": "mirror", "source": "anna", "max_delete": "off"})
    hand.everywhere(fresh_pair, "CREATE TABLE photo (id INT PRIMARY KEY, file VARCHAR(200), INDEX (file))")
    for node in fresh_pair.nodes:
        node.change_conf({"table photo": {"file": "file in uploads prefix /uploads/"}})
    fresh_pair.install()
    fresh_pair.start_serve()
    album = _Album(fresh_pair, rng)
    photos = _PHOTOS_LONG if long_run else _PHOTOS
    faults = _lose_a_third(fresh_pair, rng, photos)
    for number in range(photos):
        album.add(number)
        if rng.random() < 0.3:
            album.replace(rng.choice(list(album.rows)))
        if rng.random() < 0.2:
            album.remove(rng.choice(list(album.rows)))
        album.seen()
        if number % 13 == 12:
            node = rng.choice(fresh_pair.nodes)
            node.kill_serve()
            album.seen()
            node.start_serve()
    until(lambda: album.seen() == album.rows and look(album.there) == look(album.here), 120, "all rows, and their files alone")
    assert any(fault.hits for fault in faults)
