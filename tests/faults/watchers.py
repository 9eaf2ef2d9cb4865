"""Somebody who looks at a laptop all the time: a transaction is seen whole or not at all, and what
a writer has done never goes back."""

from __future__ import annotations

import threading

import pymysql

from lab import Node

_PAUSE = 0.02


class Watcher(threading.Thread):
    """Reads `ledger` and `counters` (tests/e2e/history.py) of one node in snapshots, over and over."""

    def __init__(self, node: Node) -> None:
        super().__init__(name=f"{node.name}-watcher", daemon=True)
        self.node = node
        self.looks = 0
        self.found: list[str] = []
        self._highest: dict[str, int] = {}
        self._ending = threading.Event()

    def stop(self) -> None:
        """Look no more; what was seen stands in found."""
        self._ending.set()
        self.join(60)
        assert not self.is_alive(), f"{self.name} hangs"

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                connection = self.node.connect(connect_timeout=10)
            except (pymysql.err.OperationalError, OSError):
                self._ending.wait(_PAUSE)
                continue
            try:
                self._watch(connection)
            except (pymysql.err.OperationalError, pymysql.err.InterfaceError, OSError):
                pass  # the server was killed under us
            finally:
                try:
                    connection.close()
                except (pymysql.err.Error, OSError):
                    pass

    def _watch(self, connection: pymysql.connections.Connection) -> None:
        with connection.cursor() as cursor:
            while not self._ending.is_set():
                cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
                cursor.execute("SELECT writer, COUNT(*) FROM ledger GROUP BY writer")
                rows = dict(cursor.fetchall())
                cursor.execute("SELECT writer, n FROM counters")
                counters = dict(cursor.fetchall())
                cursor.execute("COMMIT")
                self._judge(rows, counters)
                self.looks += 1
                self._ending.wait(_PAUSE)

    def _judge(self, rows: dict[str, int], counters: dict[str, int]) -> None:
        for writer, n in counters.items():
            if rows.get(writer, 0) != n:
                self.found.append(f"{self.node.name}: {writer} counted {n}, and has {rows.get(writer, 0)} rows")
            if n < self._highest.get(writer, 0):
                self.found.append(f"{self.node.name}: {writer} went back from {self._highest[writer]} to {n}")
            self._highest[writer] = max(n, self._highest.get(writer, 0))
