"""Backups as people make them: dumps of one or both of a node's databases, and copies of its datadir."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from lab import process
from lab.node import Node
from lab.server import find_program


def dump(node: Node, databases: Sequence[str]) -> str:
    """mariadb-dump of whole databases, with triggers and routines."""
    ran = subprocess.run(
        process.bound([find_program("mariadb-dump", "mysqldump"), "--no-defaults", f"--socket={node.server.socket}",
                       "--user=root", "--single-transaction", "--routines", "--triggers", "--databases", *databases]),
        capture_output=True, check=False, timeout=600)
    if ran.returncode != 0:
        raise RuntimeError(f"{node.name}: {ran.stderr.decode(errors='replace')}")
    return ran.stdout.decode(errors="surrogateescape")


def load(node: Node, text: str) -> None:
    """Load a dump over what is there."""
    ran = subprocess.run(process.bound(node.server.client()), input=text.encode(errors="surrogateescape"),
                         capture_output=True, check=False, timeout=600)
    if ran.returncode != 0:
        raise RuntimeError(f"{node.name}: {ran.stderr.decode(errors='replace')}")


def both(node: Node) -> str:
    """A dump of everything Tandem has to do with: the app's database and the sync database."""
    return dump(node, (node.database, node.sync_database))


def copy_datadir(node: Node, name: str) -> Path:
    """A copy of the datadir as it is now; the server stands still for it."""
    node.server.stop()
    copy = node.server.save(name)
    node.server.start()
    return copy


def put_datadir(node: Node, copy: Path) -> None:
    """The copy takes the datadir's place."""
    node.server.stop()
    node.server.restore(copy)
    node.server.start()
