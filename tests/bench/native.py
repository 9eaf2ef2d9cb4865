"""Two servers with MariaDB's own replication: binary log in row format, GTID, one-way."""

from __future__ import annotations

import time
from collections.abc import Callable

from lab import Server, load

from bench import work
from bench.watch import Watch

_ACCOUNT, _PASSWORD = "replica", "replica"
_WAIT = 600  # seconds that a replica may need to catch up

MASTER_OPTIONS = ["--server-id=1", "--log-bin=binlog", "--binlog-format=ROW", "--sync-binlog=1"]
REPLICA_OPTIONS = ["--server-id=2"]


class Native:
    """A master and a replica that starts empty and equal."""

    def __init__(self, options: list[str], buffer_pool: str, make: Callable[[Server], None] = work.make_tables) -> None:
        self._make = make  # the tables
        self.master = Server("master", [*options, *MASTER_OPTIONS], buffer_pool)
        self.replica = Server("replica", [*options, *REPLICA_OPTIONS], buffer_pool)
        self.tables = work.Tables()

    def __enter__(self) -> Native:
        try:
            for server in (self.master, self.replica):
                server.launch()
            for server in (self.master, self.replica):
                server.wait_ready()
            self._set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.replica.close()
        self.master.close()

    def _set_up(self) -> None:
        self.master.sql(f"CREATE USER {_ACCOUNT}@'127.0.0.1' IDENTIFIED BY '{_PASSWORD}'")
        self.master.sql(f"GRANT REPLICATION SLAVE ON *.* TO {_ACCOUNT}@'127.0.0.1'")
        self.replica.sql(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={self.master.port},"
            f" MASTER_USER='{_ACCOUNT}', MASTER_PASSWORD='{_PASSWORD}', MASTER_USE_GTID=slave_pos")
        load.create_database(self.master, work.DATABASE)
        self._make(self.master)
        self._catch_up()

    def _catch_up(self) -> float:
        """Start the replica, wait until it has everything, stop it; the seconds."""
        position = self.master.sql("SELECT @@GLOBAL.gtid_binlog_pos")[0][0]
        connection = self.replica.connect()
        with connection.cursor() as cursor:
            started = time.monotonic()
            cursor.execute("START SLAVE")
            cursor.execute("SELECT MASTER_GTID_WAIT(%s, %s)", (position, _WAIT))
            reached = cursor.fetchone()
            seconds = time.monotonic() - started
            cursor.execute("SHOW SLAVE STATUS")
            assert reached == (0,), f"the replica did not catch up: {cursor.fetchone()}"
            cursor.execute("STOP SLAVE")
        connection.close()
        return seconds

    def write(self, text: str) -> None:
        """A backlog on the master; the replica is stopped."""
        work.write(self.master, text)

    def carry(self, table: str) -> tuple[float, dict[str, float]]:
        """Let the replica catch up: seconds, and the CPU seconds of both servers."""
        pids = {"server A": self.master.pid, "server B": self.replica.pid}
        with Watch(pids) as watch:
            seconds = self._catch_up()
        work.assert_equal(self.master, self.replica, table)
        return seconds, {name: use.cpu for name, use in watch.use.items()}
