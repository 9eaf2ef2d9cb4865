"""Two servers with MariaDB's own replication, compared and repaired with percona-toolkit."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass

from lab import Server

from bench import shop
from bench.native import Native
from bench.watch import Watch, children_seconds

PROGRAMS = ("pt-table-checksum", "pt-table-sync")

_LIMIT = 1800  # seconds
_REPAIRED = 2  # how pt-table-sync ends when tables differed


@dataclass
class Took:
    """One command: wall clock, and CPU seconds of the program, of the server that is compared and of the other one."""
    seconds: float
    program: float
    here: float
    there: float


def missing() -> str:
    """What is not installed, in words; "" when all is."""
    lost = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{' and '.join(lost)} not found: install percona-toolkit to compare with it" if lost else ""


class Percona(Native):
    """The shop on a master and its replica, which runs."""

    def __init__(self, options: list[str], buffer_pool: str, rows: int) -> None:
        super().__init__(options, buffer_pool, shop.make_tables)
        self._rows = rows

    def _set_up(self) -> None:
        super()._set_up()
        for server in (self.master, self.replica):
            shop.fill(server, self._rows)
        self.master.sql("CREATE DATABASE percona")
        self.master.sql("CREATE TABLE percona.dsns (id INT AUTO_INCREMENT PRIMARY KEY, parent_id INT, dsn VARCHAR(255) NOT NULL)")
        self.master.sql("INSERT INTO percona.dsns (dsn) VALUES (%s)", [_dsn(self.replica)])
        self.replica.sql("START SLAVE")

    def _run(self, command: list[str], expected: int) -> Took:
        with Watch({"there": self.master.pid, "here": self.replica.pid}) as watch:
            before, started = children_seconds(), time.monotonic()
            ran = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)
            seconds = time.monotonic() - started
        assert ran.returncode == expected, f"{command[0]} ended with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}"
        return Took(seconds, children_seconds() - before, watch.use["here"].cpu, watch.use["there"].cpu)

    def checksum(self) -> Took:
        """pt-table-checksum, which also looks at the replica's sums."""
        return self._run(["pt-table-checksum", _dsn(self.master), f"--databases={shop.DATABASE}", "--no-check-binlog-format",
                     f"--recursion-method=dsn={_dsn(self.master)},D=percona,t=dsns", "--no-version-check"], 0)

    def sync(self) -> Took:
        """pt-table-sync from the master to the replica, all tables."""
        took = self._run(["pt-table-sync", "--execute", "--no-check-slave", f"--databases={shop.DATABASE}", _dsn(self.master), _dsn(self.replica)], _REPAIRED)
        assert shop.spoilt(self.replica, self._rows) == 0
        return took

    def spoil(self) -> None:
        """A hundred rows of the replica differ."""
        shop.spoil(self.replica, self._rows, "SET sql_log_bin=0")


def _dsn(server: Server) -> str:
    return f"S={server.socket},u=root"
