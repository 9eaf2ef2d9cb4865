"""People who edit the same few records on different laptops, and the question whether anything of
what they wrote got lost without a trace.

An editor writes a value that is unique in the whole run into one of a few shared records, or
deletes it, and notes which value it saw there before, in the same transaction and under the row's
lock. So at the end each acknowledged value must be the record's value, or have been seen by
somebody who then wrote another one or deleted it, or be kept in a conflict: there is no fourth way.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql

from lab import Node, hand

import history

SCHEMA = "CREATE TABLE notes (id VARCHAR(8) PRIMARY KEY, value VARCHAR(60) NOT NULL) ENGINE=InnoDB"

KEYS = 12            # few, so that the laptops meet in them
_SERVER_SAYS = (1053, 1205, 1213)  # shutting down; lock wait, deadlock: it did not happen
_PATIENCE = 0.05


class Editor(threading.Thread):
    """One person on one laptop, whose clock may be wrong; start() it, stop() it."""

    def __init__(self, node: Node, number: int, seed: int, skew: float = 0.0,
                 pause: float = 0.01) -> None:
        super().__init__(name=f"{node.name}-editor-{number}", daemon=True)
        self.node = node
        self.path = node.folder / f"edits-{number}"
        self.skew = skew
        self.pause = pause
        self.acknowledged = 0
        self.error: BaseException | None = None
        self._rng = random.Random(seed)
        self._ending = threading.Event()
        self._connection: pymysql.connections.Connection | None = None

    def stop(self) -> None:
        """End after the transaction at hand; what went wrong inside is raised here."""
        self._ending.set()
        self.join(60)
        assert not self.is_alive(), f"{self.name} hangs"
        if self.error is not None:
            raise self.error

    def run(self) -> None:
        log = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            number = 0
            while not self._ending.is_set():
                number += 1
                self._one(log, number)
                self._ending.wait(self.pause)
        except BaseException as wrong:  # noqa: BLE001  (handed to stop())
            self.error = wrong
        finally:
            self._disconnect()
            os.close(log)

    def _one(self, log: int, number: int) -> None:
        if not self._connect():
            return
        edit: dict[str, Any] = {"key": f"k{self._rng.randrange(KEYS)}", "value": f"{self.name}-{number}"}
        if self._rng.random() < 0.15:
            edit["value"] = None
        try:
            self._transaction(edit, log)
        except (pymysql.err.OperationalError, pymysql.err.InterfaceError, pymysql.err.IntegrityError, pymysql.err.ProgrammingError, OSError) as wrong:
            code = wrong.args[0] if wrong.args else 0
            if isinstance(code, int) and 1000 <= code < 2000 and code not in (*_SERVER_SAYS, 1062) and not history.ends_in_a_trigger(wrong):
                raise
            self._disconnect()
            return
        _note(log, {"ok": edit["value"], **edit})
        self.acknowledged += 1

    def _transaction(self, edit: dict[str, Any], log: int) -> None:
        assert self._connection is not None
        with self._connection.cursor() as cursor:
            cursor.execute("SET timestamp=DEFAULT")
            if self.skew:
                cursor.execute("SET timestamp=UNIX_TIMESTAMP(SYSDATE(6)) + %s", [self.skew])
            cursor.execute("BEGIN")
            cursor.execute("SELECT value FROM notes WHERE id=%s FOR UPDATE", [edit["key"]])
            row = cursor.fetchone()
            edit["before"] = row[0] if row else None
            if row and edit["value"] is None:
                cursor.execute("DELETE FROM notes WHERE id=%s", [edit["key"]])
            elif row:
                cursor.execute("UPDATE notes SET value=%s WHERE id=%s", [edit["value"], edit["key"]])
            elif edit["value"] is not None:
                cursor.execute("INSERT INTO notes VALUES (%s, %s)", [edit["key"], edit["value"]])
            _note(log, {"begun": edit["value"], **edit})
            cursor.execute("COMMIT")

    def _connect(self) -> bool:
        while self._connection is None:
            try:
                self._connection = self.node.connect(connect_timeout=10)
            except (pymysql.err.OperationalError, OSError):
                if self._ending.wait(_PATIENCE):
                    return False
        return True

    def _disconnect(self) -> None:
        if self._connection is not None:
            try:
                self._connection.close()
            except (pymysql.err.Error, OSError):
                pass
        self._connection = None


def _note(log: int, line: dict[str, Any]) -> None:
    os.write(log, json.dumps(line).encode() + b"\n")
    os.fdatasync(log)


@dataclass
class Edits:
    """What all editors wrote: acknowledged values, and those that somebody had before his eyes."""
    acknowledged: dict[str, str] = field(default_factory=dict)  # value, key
    begun: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)


def _read(paths: Iterable[Path]) -> Edits:
    edits = Edits()
    for path in paths:
        for text in path.read_text().splitlines():
            line = json.loads(text)
            if line["before"] is not None:
                edits.seen.add(line["before"])
            if line["value"] is None:
                continue
            edits.begun.add(line["value"])
            if "ok" in line:
                edits.acknowledged[line["value"]] = line["key"]
    return edits


def acknowledged(editors: Iterable[Editor]) -> set[str]:
    """Every value that an editor was told is safe."""
    return set(_read(editor.path for editor in editors).acknowledged)


def seen(editors: Iterable[Editor]) -> set[str]:
    """Every value that an editor had before his eyes when he wrote another, or deleted it."""
    return _read(editor.path for editor in editors).seen


def kept(nodes: Iterable[Node]) -> set[str]:
    """Values in kept conflicts of any node."""
    found = set()
    for node in nodes:
        for row in hand.sync(node, "SELECT local_row, remote_row FROM sync_conflict WHERE table_name='notes'"):
            found |= {json.loads(version).get("value") for version in row if version is not None}  # {}: not known there
    return found


def wrong_notes(nodes: list[Node], editors: Iterable[Editor], gone: Collection[str] = ()) -> list[str]:
    """What contradicts the editors' notes, one readable line each. gone: with a disk."""
    edits = _read(editor.path for editor in editors)
    rows = {value: key for key, value in nodes[0].sql("SELECT id, value FROM notes")}
    accounted = rows.keys() | edits.seen | kept(nodes) | set(gone)
    lost = sorted(value for value in edits.acknowledged if value not in accounted)
    strange = sorted(value for value in rows if value not in edits.begun)
    return ([f"written, acknowledged, and lost without a trace: {lost[:10]} ({len(lost)})"] if lost else []) + \
        ([f"never written: {strange[:10]}"] if strange else [])
