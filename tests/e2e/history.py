"""What an app did, written down by the app itself: writers that keep a history which survives
every fault, and the questions that a test asks of it afterwards.

Each writer has a connection and a history file of its own. A line is forced to the disk before
the statement it announces begins and after its outcome is known:

    begun N      the transaction N is about to be sent
    ok N         the server acknowledged its commit: it must never be lost
    failed N     the connection broke: it may have happened or not, as a whole, once

Transaction N of a writer inserts ('NAME', N) into `ledger`, the same into `tickets` (automatic
ids) and adds one to the writer's row of `counters`. So on every node, at every moment that a
reader can see, a writer's counter equals the number of its rows.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pymysql

from lab import Node

SCHEMA = (
    "CREATE TABLE ledger (id VARCHAR(40) CHARACTER SET ascii PRIMARY KEY, writer VARCHAR(20)"
    " NOT NULL, n INT NOT NULL, note VARCHAR(60) NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE tickets (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, writer VARCHAR(20)"
    " NOT NULL, n INT NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE counters (writer VARCHAR(20) PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB",
)

_PATIENCE = 0.05  # between two tries to connect to a server that is away


def make_tables(nodes: Iterable[Node]) -> None:
    """The tables that writers write to, empty, on every node."""
    for node in nodes:
        for statement in SCHEMA:
            node.sql(statement)


@dataclass
class Outcome:
    """What a history file says: transactions acknowledged, and those nobody knows about."""
    ok: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)


def read(path: Path) -> Outcome:
    """A history file; what was begun and never ended is unknown too."""
    outcome = Outcome()
    for line in path.read_text().splitlines():
        word, number = line.split(" ")
        if word == "ok":
            outcome.ok.add(int(number))
            outcome.unknown.discard(int(number))
        else:
            outcome.unknown.add(int(number))
    return outcome


def ends_in_a_trigger(wrong: BaseException) -> bool:
    """A server that is being ended while it reads a trigger calls the trigger's text wrong."""
    return bool(wrong.args) and wrong.args[0] == 1064 and "has an error in its body" in str(wrong.args[-1])


class Writer(threading.Thread):
    """An app's thread on one node; start() it, stop() it, then ask outcome()."""

    def __init__(self, node: Node, number: int, pause: float = 0.0) -> None:
        super().__init__(name=f"{node.name}-{number}", daemon=True)
        self.node = node
        self.path = node.folder / f"history-{number}"
        self.pause = pause
        self.acknowledged = 0
        self.disk_may_go_back = False  # then numbers of before may come back just when they are given once more
        self.error: BaseException | None = None
        self._ending = threading.Event()
        self._connection: pymysql.connections.Connection | None = None
        node.sql("INSERT INTO counters VALUES (%s, 0)", [self.name])

    def stop(self) -> None:
        """End after the transaction at hand; what went wrong inside is raised here."""
        self._ending.set()
        self.join(60)
        assert not self.is_alive(), f"writer {self.name} hangs"
        if self.error is not None:
            raise self.error

    def outcome(self) -> Outcome:
        """What the history says."""
        return read(self.path)

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
        _note(log, f"begun {number}")
        try:
            self._transaction(number)
        except (pymysql.err.OperationalError, pymysql.err.InterfaceError, pymysql.err.ProgrammingError, pymysql.err.IntegrityError,
                OSError) as wrong:
            code = wrong.args[0] if wrong.args else 0
            # 1205, 1213: the server's own answer, the transaction did not happen.
            known = (1053, 1205, 1213, 1062) if self.disk_may_go_back else (1053, 1205, 1213)
            if isinstance(code, int) and 1000 <= code < 2000 and code not in known and not ends_in_a_trigger(wrong):
                raise
            _note(log, f"failed {number}")
            self._disconnect()
            return
        _note(log, f"ok {number}")
        self.acknowledged += 1

    def _transaction(self, number: int) -> None:
        assert self._connection is not None
        with self._connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO ledger VALUES (%s, %s, %s, 'a line of the ledger')",
                           [f"{self.name}-{number}", self.name, number])
            cursor.execute("INSERT INTO tickets (writer, n) VALUES (%s, %s)", [self.name, number])
            cursor.execute("UPDATE counters SET n = n + 1 WHERE writer = %s", [self.name])
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


def _note(log: int, line: str) -> None:
    os.write(log, line.encode() + b"\n")
    os.fdatasync(log)


def wrong_rows(node: Node, writers: Iterable[Writer]) -> list[str]:
    """What on this node contradicts the histories, one readable line each."""
    found: list[str] = []
    for writer in writers:
        history = writer.outcome()
        for table in ("ledger", "tickets"):
            there = [int(n) for (n,) in node.sql(
                f"SELECT n FROM {table} WHERE writer = %s", [writer.name])]
            found += _against(history, there, f"{node.name}: {table} of {writer.name}")
        ((counter,),) = node.sql("SELECT n FROM counters WHERE writer = %s", [writer.name])
        if int(counter) != len(there):
            found.append(f"{node.name}: counter of {writer.name} is {counter}, rows {len(there)}")
    return found


def _against(history: Outcome, there: list[int], where: str) -> list[str]:
    rows = set(there)
    found = []
    if len(rows) != len(there):
        found.append(f"{where}: {len(there) - len(rows)} rows are there twice")
    if history.ok - rows:
        found.append(f"{where}: acknowledged and lost: {sorted(history.ok - rows)[:10]}")
    if rows - history.ok - history.unknown:
        found.append(f"{where}: never written: {sorted(rows - history.ok - history.unknown)[:10]}")
    return found
