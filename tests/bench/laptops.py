"""Two laptops with Tandem: anna has a backlog, bert serves; one measured drain."""

from __future__ import annotations

import os
import re
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime

from lab import Pair, process
from lab.node import Node

from bench import work
from bench.watch import Use, Watch

_LOG_TIME = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z \S+ (.*)$")


@dataclass
class Carried:
    """What one drain took."""
    seconds: float
    use: dict[str, Use] = field(default_factory=dict)
    build: float = 0.0  # start until the group is spooled, all groups together
    send: float = 0.0  # sending until it is answered and settled, applying in it
    apply: float = 0.0  # what the receiver says about applying
    groups: int = 0


class Laptops:
    """anna and bert, equal and installed. bert serves, anna drains by hand, until serve_both()."""

    def __init__(self, options: list[str], buffer_pool: str) -> None:
        self.pair = Pair(schemas=(), database=work.DATABASE, server_options=options,
                         buffer_pool=buffer_pool, conf={"log": {"level": "debug"}})
        self.anna, self.bert = self.pair.anna, self.pair.bert
        self.tables = work.Tables()
        self.master = self.anna.server  # the same words as native.Native
        self.replica = self.bert.server

    def __enter__(self) -> Laptops:
        try:
            for node in self.pair.nodes:
                work.make_tables(node.server)
            self.pair.install()
            self.bert.start_serve()
            self.anna.drain(check=0)
        except BaseException:
            self.pair.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.pair.close()

    def write(self, text: str) -> None:
        """A backlog on anna."""
        work.write(self.anna.server, text)

    def carry(self, table: str) -> Carried:
        """One drain of anna, from its start to its exit."""
        log_from = self.anna.agent_log.stat().st_size if self.anna.agent_log.exists() else 0
        applied_from = self._last_activity()
        pids = {"server A": self.anna.server.pid, "server B": self.bert.server.pid,
                "agent B": self.bert.serve_pid}
        with Watch(pids, memory=("agent B",)) as watch:
            started = time.time()
            seconds, cpu = run_drain(self.anna, watch)
        watch.use["agent A"].cpu = cpu
        carried = Carried(seconds, watch.use)
        self._read_log(carried, log_from, started)
        self._read_activity(carried, applied_from)
        work.assert_equal(self.anna.server, self.bert.server, table)
        return carried

    def _last_activity(self) -> int:
        return int(self.bert.sql(f"SELECT IFNULL(MAX(id), 0) FROM `{self.bert.sync_database}`"
                                 ".sync_activity")[0][0])

    def _read_activity(self, carried: Carried, after: int) -> None:
        rows = self.bert.sql("SELECT milliseconds FROM "
                             f"`{self.bert.sync_database}`.sync_activity"
                             " WHERE direction='applied' AND id>%s", [after])
        carried.apply = sum(int(row[0]) for row in rows) / 1000
        carried.groups = len(rows)

    def _read_log(self, carried: Carried, offset: int, started: float) -> None:
        """The agent's own log says when each group was built and when it was answered."""
        with open(self.anna.agent_log, encoding="utf-8") as log:
            log.seek(offset)
            text = log.read()
        last = started
        for line in text.splitlines():
            match = _LOG_TIME.match(line)
            if not match:
                continue
            when = datetime.fromisoformat(match.group(1) + "+00:00").timestamp()
            if "Sync queued" in match.group(2):
                carried.build += when - last
                last = when
            elif "Sync success" in match.group(2):
                carried.send += when - last
                last = when


def run_drain(node: Node, watch: Watch | None = None) -> tuple[float, float]:
    """agent --drain, which must succeed: seconds until its exit, and its CPU seconds."""
    started = time.monotonic()
    child = subprocess.Popen(node.command("--drain"), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=node.folder,
                             preexec_fn=process.dies_with_parent())
    if watch is not None:
        watch.add("agent A", child.pid)
    assert child.stdout is not None
    with child.stdout:
        said = child.stdout.read()  # ends with the process
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"--drain ended with {child.returncode}: {said!r}\n{node.logs()}"
    return seconds, used.ru_utime + used.ru_stime
