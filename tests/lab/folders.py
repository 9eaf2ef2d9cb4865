"""Upload folders of laptops: made, filled, read back."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from lab.node import Node
from lab.pair import Cluster, Pair
from lab.proxy import Fault
from lab.waiting import until

OWN = ".sync"  # the agent's own folder in the root


def folder(node: Node, tree: str = "uploads") -> Path:
    """Where a node has its tree."""
    return node.folder / f"tree-{tree}"


def join_all(many: Cluster, options: Mapping[str, str], tree: str = "uploads") -> list[Path]:
    """Each laptop has a new, empty folder that [tree] describes; not installed yet."""
    roots = []
    for node in many.nodes:
        root = folder(node, tree)
        remove(root)
        root.mkdir()
        node.change_conf({f"tree {tree}": {"path": str(root), **options}})
        roots.append(root)
    return roots


def join(pair: Pair, options: Mapping[str, str], tree: str = "uploads") -> tuple[Path, Path]:
    """The same of two."""
    here, there = join_all(pair, options, tree)
    return here, there


def remove(root: Path) -> None:
    """The folder with all in it."""
    if not root.exists():
        return
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    root.rmdir()


def put(root: Path, path: str, content: str | bytes) -> Path:
    """Write a file as an upload is written: beside its name, then renamed."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(target.name + ".part")
    beside.write_bytes(content.encode() if isinstance(content, str) else content)
    beside.rename(target)
    return target


def _read(full: bytes) -> str | bytes:
    mode = os.lstat(full).st_mode
    if stat.S_ISLNK(mode):
        return "-> " + os.fsdecode(os.readlink(full))
    if stat.S_ISDIR(mode):
        return "dir"
    with open(full, "rb") as f:
        return f.read()


def look(root: Path) -> dict[str, str | bytes]:
    """Everything below root: a file's bytes, "dir", or "-> TARGET". What goes meanwhile is left out."""
    found: dict[str, str | bytes] = {}
    for here, directories, files in os.walk(os.fsencode(root)):
        if here == os.fsencode(root):
            directories[:] = [d for d in directories if d != OWN.encode()]
        for name in directories + files:
            full = os.path.join(here, name)
            try:
                found[os.fsdecode(os.path.relpath(full, os.fsencode(root)))] = _read(full)
            except OSError as gone:  # EINVAL: no link any more
                if gone.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL):
                    raise
    return found


def modes(root: Path) -> dict[str, int]:
    """The permissions of all files and directories; links have none, and what goes meanwhile is left out."""
    found: dict[str, int] = {}
    for path in look(root):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            mode = os.lstat(root / path).st_mode
            if not stat.S_ISLNK(mode):
                found[path] = stat.S_IMODE(mode)
    return found


def look_without(root: Path, names: set[str]) -> dict[str, str | bytes]:
    """The same without what must not be opened (pipes)."""
    for name in names:
        (root / name).rename(root.parent / f"away-{name}")
    found = look(root)
    for name in names:
        (root.parent / f"away-{name}").rename(root / name)
    return found


def trash(root: Path, area: str = "trash") -> list[bytes]:
    """The contents of all files in the trash."""
    return sorted(p.read_bytes() for p in (root / OWN / area).rglob("*") if p.is_file())


def tell_before_hearing(pair: Pair) -> None:
    """Start both daemons; each has built and sent what it tells before it hears of the other's."""
    meeting = [wire.plan(Fault("hold_request", path="/api/sync/receive")) for wire in pair.wire.values()]
    pair.start_serve()
    until(lambda: all(group.hits for group in meeting), 60, "both tell before they hear")
    for group in meeting:
        group.release()
