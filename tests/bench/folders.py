"""Upload folders: Tandem beside rsync (a daemon, over loopback) and unison (its socket), on the same files and disk."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from lab import Pair, folders, ports, process, until
from lab.folders import OWN
from lab.proxy import Proxy

from bench import work
from bench.figures import Part, median, percentile

_SEED = 20261121
_SMALL = 3 * 1024  # bytes of a small file
_A_DIRECTORY = 100  # small files in each
_MIB = 1024 * 1024
_LONGEST = 600.0  # seconds
_LOOK = 0.004  # seconds between two looks at a command's memory


class Rig:
    """anna has a folder, bert serves; rsync and unison have a pair of folders each beside them."""

    def __init__(self, options: list[str], buffer_pool: str) -> None:
        self.pair = Pair(schemas=(), database=work.DATABASE, server_options=options,
                         buffer_pool=buffer_pool)
        self.anna, self.bert = self.pair.anna, self.pair.bert
        self.dice = random.Random(_SEED)
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Rig:
        try:
            self.here, self.there = folders.join(self.pair, {"mode": "two-way", "max_delete": "off"})
            self.pair.install()
            self.bert.start_serve()
            self.drain()
            self._start_rsync()
            self._start_unison()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything."""
        for daemon in self._daemons:
            process.end(daemon, 15)
        self.pair.close()

    # Tandem -----------------------------------------------------------------------------------------

    def counted(self, work: Callable[[], float]) -> tuple[float, float]:
        """What the work returns, and the bytes that went from anna to bert and back meanwhile."""
        with Proxy(self.bert.listen_port, raw=True) as proxy:
            direct = self.anna.conf["peer bert"]["url"]
            self.anna.change_conf({"peer bert": {"url": proxy.url}})
            found = work()
            self.anna.change_conf({"peer bert": {"url": direct}})
            return found, proxy.bytes_passed

    def drain(self) -> tuple[float, float]:
        """One agent --drain of anna: seconds, and the most memory in MiB."""
        return _timed(self.anna.command("--drain"), self.anna.folder)

    def carry(self) -> float:
        """Drain until bert has what anna has, which one drain should do."""
        began = time.monotonic()
        while True:
            self.drain()
            seconds = time.monotonic() - began
            if _names(self.there) == _names(self.here):
                return seconds
            assert seconds < _LONGEST, "the folders do not become alike"

    # the others -----------------------------------------------------------------------------------

    def _start_rsync(self) -> None:
        self.rsync_port = ports.take()
        self.rsync_root = self.bert.folder / "rsync"
        self.rsync_root.mkdir()
        conf = self.bert.folder / "rsyncd.conf"
        conf.write_text(f"use chroot = no\n[m]\npath = {self.rsync_root}\nread only = no\nuid = {os.getuid()}\ngid = {os.getgid()}\n",
                        encoding="utf-8")
        self._daemons.append(process.start(["rsync", "--daemon", "--no-detach", "--address=127.0.0.1", f"--port={self.rsync_port}",
                                            f"--config={conf}"], self.bert.folder / "rsyncd.log", None, self.bert.folder))
        _until_listening(self.rsync_port)

    def rsync(self, *options: str) -> float:
        """anna's folder to the daemon, as a mirror."""
        return _timed(["rsync", "-rlpt", "--delete", f"--exclude=/{OWN}", *options, f"{self.here}/",
                       f"rsync://127.0.0.1:{self.rsync_port}/m/"], self.anna.folder)[0]

    def _start_unison(self) -> None:
        self.unison_port = ports.take()
        self.unison_root = self.bert.folder / "unison"
        self.unison_root.mkdir()
        environment = {**os.environ, "UNISON": str(self.bert.folder / "unison-archive")}
        self._daemons.append(process.start(["unison", "-socket", str(self.unison_port)], self.bert.folder / "unison.log", environment, self.bert.folder))
        _until_listening(self.unison_port)

    def unison(self) -> float:
        """Both ways, without questions."""
        environment = {**os.environ, "UNISON": str(self.anna.folder / "unison-archive")}
        return _timed(["unison", str(self.here), f"socket://127.0.0.1:{self.unison_port}/{self.unison_root}", "-batch", "-silent",
                       "-confirmbigdel=false", "-ignore", f"Path {OWN}"], self.anna.folder, environment)[0]


def _timed(command: list[str], where: Path, environment: dict[str, str] | None = None) -> tuple[float, float]:
    """Seconds of a command that must succeed and says little, and the most memory it had in MiB."""
    began = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=where, env=environment,
                             preexec_fn=process.dies_with_parent())
    assert child.stdout is not None
    most = 0
    while child.poll() is None:
        most = _peak(child.pid) or most  # the last look: before its exec it is as large as we are, and so says rusage
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_LOOK)
    seconds = time.monotonic() - began
    with child.stdout:
        said = child.stdout.read()
    assert child.returncode == 0, f"{command} ended with {child.returncode}: {said!r}"
    return seconds, most / 1024


def _peak(pid: int) -> int:
    """The most memory that a process has had up to now, in KiB; 0: it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def _until_listening(port: int) -> None:
    def listens() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False
    until(listens, 30, "the daemon listens")


def _names(root: Path) -> dict[str, int]:
    """Every file with its size: all that a file shows before it is read."""
    found: dict[str, int] = {}

    def add(path: str, below: str) -> None:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name == OWN and below == "":
                    continue
                if entry.is_dir(follow_symlinks=False):
                    add(entry.path, f"{below}{entry.name}/")
                else:
                    found[below + entry.name] = entry.stat(follow_symlinks=False).st_size

    add(str(root), "")
    return found


def _write_small(rig: Rig, root: Path, count: int) -> None:
    """So many small files with contents of their own."""
    for i in range(count):
        if i % _A_DIRECTORY == 0:
            (root / f"{i // _A_DIRECTORY:04}").mkdir(parents=True)
        (root / f"{i // _A_DIRECTORY:04}" / f"{i:06}.jpg").write_bytes(rig.dice.randbytes(_SMALL))


def _write_large(rig: Rig, path: Path, mib: int) -> None:
    with open(path, "wb") as file:
        for _ in range(mib):
            file.write(rig.dice.randbytes(_MIB))


def _small_files(rig: Rig, part: Part, rounds: int, count: int) -> None:
    took: dict[str, list[float]] = {"Tandem": [], "rsync": [], "rsync --fsync": [], "unison": []}
    for i in range(rounds):
        _write_small(rig, rig.here / f"small{i}", count)
        os.sync()
        took["Tandem"].append(rig.carry())
        took["rsync"].append(rig.rsync())
        took["unison"].append(rig.unison())
        folders.remove(rig.rsync_root / f"small{i}")
        took["rsync --fsync"].append(rig.rsync("--fsync"))
    what = f"{count:,} files of 3 KiB"
    for name, times in took.items():
        part.add(f"{what}: {name}", times, "s")
    part.put(f"{what}: Tandem, files a second", count / median(took["Tandem"]), at_least=3000)
    for name, least in (("rsync", {"at_least": 1.0}), ("rsync --fsync", {}), ("unison", {})):
        part.add(f"{what}: times as fast as {name}", [r / t for r, t in zip(took[name], took["Tandem"])], **least)


def _large_file(rig: Rig, part: Part, rounds: int, mib: int) -> None:
    took: dict[str, list[float]] = {"Tandem": [], "rsync": [], "unison": []}
    for i in range(rounds):
        (rig.here / f"film{i - 1}").unlink(missing_ok=True)
        _write_large(rig, rig.here / f"film{i}", mib)
        os.sync()
        took["Tandem"].append(rig.carry())
        took["rsync"].append(rig.rsync())
        took["unison"].append(rig.unison())
    what = f"a file of {mib:,} MiB"
    for name, times in took.items():
        part.add(f"{what}: {name}", times, "s")
    part.add(f"{what}: times as fast as rsync", [r / t for r, t in zip(took["rsync"], took["Tandem"])], at_least=0.8)
    part.add(f"{what}: times as fast as unison", [r / t for r, t in zip(took["unison"], took["Tandem"])])
    with open(rig.here / f"film{rounds - 1}", "r+b") as file:
        file.seek(mib // 3 * _MIB)
        file.write(rig.dice.randbytes(_MIB))
    seconds, sent = rig.counted(rig.carry)
    assert (rig.there / f"film{rounds - 1}").read_bytes() == (rig.here / f"film{rounds - 1}").read_bytes()
    part.put("the same with one MiB changed: Tandem sends", sent / _MIB, "MiB", at_most=2)
    part.put("the same with one MiB changed: Tandem", seconds, "s")
    part.put("the same with one MiB changed: rsync", rig.rsync(), "s")
    part.put("the same with one MiB changed: unison", rig.unison(), "s")


def _renamed(rig: Rig, part: Part, count: int) -> None:
    (rig.here / "small0").rename(rig.here / "renamed")
    os.sync()
    seconds, sent = rig.counted(rig.carry)
    what = f"a renamed directory of {count:,} files"
    part.put(f"{what}: Tandem", seconds, "s", at_most=3)
    part.put(f"{what}: Tandem sends", sent / _MIB, "MiB", at_most=count * _SMALL / _MIB / 2)
    part.put(f"{what}: rsync", rig.rsync(), "s")
    part.put(f"{what}: unison", rig.unison(), "s")


def _unchanged(rig: Rig, part: Part, rounds: int, count: int) -> None:
    have = len(_names(rig.here))
    for i in range(have, count):
        folder = rig.here / "many" / f"{i // _A_DIRECTORY:04}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:06}.txt").write_bytes(b"%d" % i)
    part.put(f"until {count - have:,} files of some bytes more are there: Tandem", rig.carry(), "s")
    rig.rsync()
    rig.unison()
    runs = [rig.drain() for _ in range(rounds + 1)][1:]
    part.add(f"{count:,} files, nothing changed: Tandem", [seconds for seconds, _ in runs], "s", at_most=0.6)
    part.put(f"{count:,} files, nothing changed: Tandem, memory", max(memory for _, memory in runs), "MiB", at_most=64)
    part.add(f"{count:,} files, nothing changed: rsync", [rig.rsync() for _ in range(rounds)], "s")
    part.add(f"{count:,} files, nothing changed: unison", [rig.unison() for _ in range(rounds)], "s")


def _uploads(rig: Rig, part: Part, count: int) -> None:
    rig.anna.start_serve()
    rig.pair.wait_quiet()
    times: list[float] = []
    beside = len(_names(rig.here))
    for i in range(count):
        path = f"new/{beside + i}.jpg"
        folders.put(rig.here, path, rig.dice.randbytes(_SMALL * 30))
        began = time.monotonic()
        until((rig.there / path).exists, _LONGEST, f"upload {i} has arrived", longest=0.002)
        times.append((time.monotonic() - began) * 1000)
        time.sleep(rig.dice.uniform(0.3, 1.5))  # people upload when they like: at any moment of the daemons' rhythms
    rig.anna.stop_serve()
    what = f"a new upload until it is seen on the peer, {beside:,} files beside it"
    part.put(f"{what}: median", percentile(times, 50), "ms", at_most=300)
    part.put(f"{what}: 90th percentile", percentile(times, 90), "ms")


def measure(options: list[str], buffer_pool: str, rounds: int, quick: bool) -> Part:
    """Small files, a large one, a changed block, a renamed directory, nothing to do, single uploads."""
    part = Part("folders", "Upload folders, beside rsync and unison")
    small, mib, many, uploads = (1000, 64, 5000, 5) if quick else (10_000, 1024, 100_000, 30)
    with Rig(options, buffer_pool) as rig:
        _uploads(rig, part, uploads)
        _small_files(rig, part, rounds, small)
        _renamed(rig, part, small)
        _large_file(rig, part, rounds, mib)
        _unchanged(rig, part, rounds, many)
        _uploads(rig, part, uploads)
    return part
