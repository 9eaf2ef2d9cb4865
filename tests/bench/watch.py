"""CPU time and memory of processes, from /proc."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

_TICK = os.sysconf("SC_CLK_TCK")
_LOOK = 0.05  # seconds between two looks at the memory
_MIB = 1024  # /proc speaks of KiB


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far, user and system; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK


def children_seconds() -> float:
    """CPU time of the children of this process that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def pss_mib(pid: int) -> float:
    """Memory of a process in MiB, shared pages in shares; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            for line in rollup:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) / _MIB
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0.0


@dataclass
class Use:
    """What a process used while it was watched."""
    cpu: float = 0.0  # seconds
    pss: float = 0.0  # MiB, the peak


class Watch:
    """with Watch({"serve": pid}) as w: ...; then w.use["serve"]. memory: also the peak of these."""

    def __init__(self, pids: Mapping[str, int], memory: tuple[str, ...] = ()) -> None:
        self.pids = dict(pids)
        self.use = {name: Use() for name in pids}
        self.seconds = 0.0
        self._memory = memory
        self._before: dict[str, float] = {}
        self._end = threading.Event()
        self._looker = threading.Thread(target=self._look, daemon=True)
        self._started = 0.0

    def __enter__(self) -> Watch:
        self._before = {name: cpu_seconds(pid) for name, pid in self.pids.items()}
        if self._memory:
            self._looker.start()
        self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._started
        for name, pid in self.pids.items():
            self.use[name].cpu = cpu_seconds(pid) - self._before[name]
        if self._memory:
            self._end.set()
            self._looker.join()

    def add(self, name: str, pid: int) -> None:
        """Watch the memory of a process that has just been started, too."""
        self.use[name] = Use()
        self._memory += (name,)
        self.pids[name] = pid
        self._before[name] = 0.0

    def _look(self) -> None:
        while not self._end.wait(_LOOK):
            for name in self._memory:
                self.use[name].pss = max(self.use[name].pss, pss_mib(self.pids[name]))
