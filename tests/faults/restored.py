"""Datadirs that are copied and put back in the middle of everything, the one command that --status then names, and
what the people's notes may say afterwards: what was nowhere but on the disk that is gone is gone, and nothing else."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lab import Node, hand, until
from lab.pair import Cluster

import editors
import history
from chaos import Chaos

_COMMAND = re.compile(r"run agent (--install --peer \w+) here")
_DONE, _DECIDE = 0, 5  # a drain ends with 5 for what was not decided as well


def _kept(node: Node, table: str) -> list[dict[str, Any]]:
    rows = hand.sync(node, "SELECT local_row, remote_row FROM sync_conflict WHERE table_name=%s", [table])
    return [json.loads(version) for row in rows for version in row if version not in (None, b"{}")]


class Disks:
    """The faults "copy" and "put back" of a Chaos."""

    def __init__(self, cluster: Cluster, chaos: Chaos, writers: list[history.Writer], people: list[editors.Editor],
                 rng: random.Random) -> None:
        self.cluster = cluster
        self.chaos = chaos
        self.writers = writers
        self.people = people
        self.rng = rng
        self.gone: set[tuple[str, str]] = set()  # (table, what was written)
        self.lost: set[tuple[str, str]] = set()  # by nobody's disk: what must not be taken for gone with the next one
        self._copies: dict[str, Path] = {}
        self._number = 0
        for writer in writers:
            writer.disk_may_go_back = True
        chaos.kinds |= {"copy": self._copy, "put_back": self._put_back}

    # the faults ----------------------------------------------------------------------------------

    def _copy(self) -> None:
        node = self.rng.choice(self.cluster.nodes)
        node.kill_serve()
        node.server.stop()
        self._number += 1
        old = self._copies.pop(node.name, None)
        if old is not None:
            shutil.rmtree(old)
        self._copies[node.name] = node.server.save(f"copy-{self._number}")
        node.server.start()
        node.start_serve()
        self.chaos.happened["copy"] += 1

    def _put_back(self) -> None:
        """The disk is replaced by its copy, and the app goes on at once; then a person does what --status says."""
        if not self._copies:
            self._copy()
        node = self.cluster[self.rng.choice(sorted(self._copies))]
        said = {one for one in self._acknowledged() if one[0] != "notes"}  # those that nobody replaces
        self.lost |= said - self.gone - self._found(self.cluster.nodes)
        node.kill_serve()
        node.server.stop()
        node.server.restore(self._copies[node.name])
        before = self._acknowledged()
        node.server.start()
        self.gone |= before - self._found(self.cluster.nodes)
        node.start_serve()
        self.chaos.happened["put_back"] += 1
        self._mend(node)

    def _mend(self, node: Node) -> None:
        """One command for each link that is held, on either side of it. When the copy was of a moment ago, nothing
        has been said since, and nothing has to be mended."""
        for peer in [peer["name"] for peer in node.status()["peers"]]:
            sides = {node.name: peer, peer: node.name}

            def known(sides: dict[str, str] = sides) -> dict[str, str] | str:
                said = [self.cluster[name].drain("--peer", other).returncode for name, other in sides.items()]
                held = {name: text for name, other in sides.items() if (text := self._held(self.cluster[name], other))}
                return held or ("nothing" if set(said) <= {_DONE, _DECIDE} else {})
            held = until(known, 60, f"the link of {node.name} and {peer} goes on, or is held")
            if isinstance(held, str):
                continue
            where = self.rng.choice(sorted(held))
            found = _COMMAND.search(held[where])
            assert found, held
            self.cluster[where].agent(*found.group(1).split(), check=_DONE)
            self.chaos.happened["mended"] += 1

    @staticmethod
    def _held(node: Node, peer: str) -> str:
        return str(next((one["held"] for one in node.status()["peers"] if one["name"] == peer), None) or "")

    # what there is ---------------------------------------------------------------------------------

    def _acknowledged(self) -> set[tuple[str, str]]:
        """All that anybody was told is safe."""
        said = {(table, f"{writer.name}-{n}") for writer in self.writers for n in writer.outcome().ok for table in ("ledger", "tickets")}
        return said | {("notes", value) for value in editors.acknowledged(self.people)}

    def _found(self, nodes: Iterable[Node]) -> set[tuple[str, str]]:
        """What is on some laptop, or was seen by whoever replaced it. Rows first: what leaves a row is kept then."""
        found = set()
        for node in nodes:
            found |= {("ledger", key) for (key,) in node.sql("SELECT id FROM ledger")}
            found |= {("tickets", f"{writer}-{n}") for writer, n in node.sql("SELECT writer, n FROM tickets")}
            # Of two tickets with one number one is kept, on a single laptop: it may go with that one's disk.
            found |= {("tickets", f"{row['writer']}-{row['n']}") for row in _kept(node, "tickets") if "writer" in row}
            found |= {("notes", value) for (value,) in node.sql("SELECT value FROM notes")}
            found |= {("notes", row["value"]) for row in _kept(node, "notes")}
        return found | {("notes", value) for value in editors.seen(self.people)}

    # the end ---------------------------------------------------------------------------------------

    def decide(self) -> None:
        """A person gives each number to one of the two tickets that got it, before and after."""
        calm = 0

        def quiet() -> bool:
            nonlocal calm
            done = [node.drain().returncode for node in self.cluster.nodes]
            open_ones = {table for node in self.cluster.nodes for (table,) in hand.sync(
                node, "SELECT table_name FROM sync_conflict WHERE verdict='ask' AND resolved_at IS NULL")}
            assert open_ones <= {"tickets"}, open_ones
            self.chaos.happened["number given twice"] += bool(open_ones)
            self.rng.choice(self.cluster.nodes).agent("--resolve", "all", "--keep", "local", check=_DONE)
            calm = calm + 1 if done == [_DONE] * len(done) and not self.cluster.pending() and not open_ones else 0
            return calm >= 3
        try:
            until(quiet, 60, "nothing is left to decide")
        except AssertionError as late:
            said = "\n".join(f"{node.name}: {node.drain().stderr}{hand.owed(node)[:3]}" for node in self.cluster.nodes)
            raise AssertionError(f"{late}\n{said}\n{self.cluster.describe()}") from None

    def wrong(self) -> list[str]:
        """What contradicts the notes, one readable line each; all laptops are equal by now."""
        found = self._found(self.cluster.nodes)
        lost = sorted(self.lost | (self._acknowledged() - self.gone - found))
        begun = {f"{writer.name}-{n}" for writer in self.writers for n in writer.outcome().ok | writer.outcome().unknown}
        strange = sorted(key for table, key in found if table == "ledger" and key not in begun)
        return ([f"acknowledged, on another laptop too, and lost: {lost[:10]} ({len(lost)})"] if lost else []) + \
            ([f"never written: {strange[:10]}"] if strange else [])
