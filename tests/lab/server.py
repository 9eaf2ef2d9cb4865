"""One private mariadbd: own folder, socket and port, no option file, no system service.

The first server of a lab makes an empty datadir (the template); each further one is a copy of it,
so that a server is ready in well under two seconds.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pymysql

from lab import places, ports, process
from lab.waiting import until

Row = tuple[Any, ...]

_LOG_FILE_SIZE = "--innodb-log-file-size=32M"  # small: it is copied for each server
_START_TIMEOUT = 60
# Accounts that a private server does not need: with them anybody on this machine could be root.
_LOCK_DOWN = "DELETE FROM mysql.global_priv WHERE Host <> 'localhost' OR User = '';\n"


def find_program(*names: str) -> str:
    """The path of the first program found; /usr/sbin is not in every user's PATH."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    raise RuntimeError(f"{names[0]} is not installed: run scripts/install-packages")


def _as_user() -> list[str]:
    """mariadbd refuses to run as root unless told so; others may not name a user."""
    return [f"--user={pwd.getpwuid(0).pw_name}"] if os.getuid() == 0 else []


@lru_cache(maxsize=None)
def _template() -> Path:
    """The empty datadir that servers are copied from; made once for each lab root and version."""
    said = subprocess.run([find_program("mariadbd"), "--no-defaults", "--version"], text=True,
                          capture_output=True, check=True).stdout
    version = re.search(r"Ver (\S+)", said)
    path = places.lab_root() / f"template-{version.group(1) if version else 'unknown'}"
    with open(places.lab_root() / "template.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _make_template(path)
    return path


def _make_template(path: Path) -> None:
    work = places.new_folder("template")
    extra = work / "lock-down.sql"
    extra.write_text(_LOCK_DOWN)
    made = subprocess.run(
        [find_program("mariadb-install-db", "mysql_install_db"), "--no-defaults", *_as_user(),
         "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
         f"--datadir={work / 'datadir'}", f"--extra-file={extra}", _LOG_FILE_SIZE],
        text=True, capture_output=True, check=False)
    if made.returncode != 0:
        raise RuntimeError(f"mariadb-install-db failed:\n{made.stdout}\n{made.stderr}")
    _copy_tree(work / "datadir", path)
    shutil.rmtree(work)


def _copy_tree(source: Path, target: Path) -> None:
    """Whole or not at all: the copy gets its name when it is complete."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(partial)], check=True)
    partial.rename(target)


class Server:
    """A private mariadbd. start() it, use it, close() it; or use it in a with statement."""

    def __init__(self, name: str = "server", options: Sequence[str] = (),
                 buffer_pool: str = "64M") -> None:
        self.name = name
        self.options = list(options)
        self.buffer_pool = buffer_pool
        self.folder = places.new_folder(name)
        self.datadir = self.folder / "data"
        self.socket = self.folder / "s"
        self.log = self.folder / "mariadbd.log"
        self.port = ports.take()
        self.environment: dict[str, str] | None = None  # beside our own
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def command(self) -> list[str]:
        """The command line of mariadbd; options given by the test come last and win."""
        return [
            find_program("mariadbd"), "--no-defaults", *_as_user(),
            f"--datadir={self.datadir}", f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}", f"--tmpdir={self.folder}",
            "--bind-address=127.0.0.1", f"--port={self.port}", "--skip-networking=0",
            "--skip-name-resolve", "--performance-schema=0",
            f"--innodb-buffer-pool-size={self.buffer_pool}", _LOG_FILE_SIZE,
            "--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-load-at-startup=0",
            "--innodb-buffer-pool-dump-at-shutdown=0",
            "--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci",
            *self.options]

    # life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start and wait until it answers."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start without waiting, so that several servers can come up side by side."""
        assert not self.running(), f"{self.name} is running already"
        if not self.datadir.exists():
            _copy_tree(_template(), self.datadir)
        self._process = process.start(self.command(), self.log, {**os.environ, **(self.environment or {})})

    def wait_ready(self) -> None:
        """Wait until the server answers; its log is in the message when it does not."""
        try:
            until(self._answers, _START_TIMEOUT, f"{self.name} answers")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{process.tail(self.log)}") from None

    def _answers(self) -> bool:
        if not self.running():
            raise AssertionError(f"{self.name} did not start")
        try:
            self.connect().close()
        except pymysql.err.OperationalError:
            return False
        return True

    def running(self) -> bool:
        """Is the process there?"""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    def stop(self) -> None:
        """An orderly shutdown."""
        self._end(signal.SIGTERM)

    def kill9(self) -> None:
        """As a power cut for the process: no shutdown, what was not flushed is gone."""
        self._end(signal.SIGKILL)

    def _end(self, how: int) -> None:
        if self._process is not None:
            process.end(self._process, how)
            self._process = None

    def restart(self) -> None:
        """An orderly stop and a start, same folder, socket and port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End the process and remove its folder. The server cannot be started again."""
        self.kill9()
        ports.give_back(self.port)
        shutil.rmtree(self.folder, ignore_errors=True)

    # backups ---------------------------------------------------------------------------------

    def save(self, name: str) -> Path:
        """Copy the datadir of the stopped server; restore() brings it back, here or elsewhere."""
        assert not self.running(), f"stop {self.name} before copying its datadir"
        copy = self.folder / f"saved-{name}"
        _copy_tree(self.datadir, copy)
        return copy

    def restore(self, copy: Path) -> None:
        """Put a saved datadir in the place of the stopped server's own."""
        assert not self.running(), f"stop {self.name} before replacing its datadir"
        shutil.rmtree(self.datadir, ignore_errors=True)
        _copy_tree(copy, self.datadir)

    # use -------------------------------------------------------------------------------------

    def connect(self, db: str | None = None, **kw: Any) -> pymysql.connections.Connection:
        """A connection as root through the socket: autocommit, utf8mb4."""
        settings: dict[str, Any] = {"unix_socket": str(self.socket), "user": "root",
                                    "database": db, "charset": "utf8mb4", "autocommit": True}
        settings.update(kw)
        return pymysql.connect(**settings)

    def sql(self, text: str, args: Sequence[Any] | None = None, db: str | None = None) -> list[Row]:
        """Run one statement on a connection of its own; the rows of its result."""
        connection = self.connect(db)
        try:
            with connection.cursor() as cursor:
                cursor.execute(text, args)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def end_connections(self) -> None:
        """End every other connection: an open transaction of a test that failed blocks DROP."""
        for (number,) in self.sql("SELECT id FROM information_schema.PROCESSLIST WHERE"
                                  " id <> CONNECTION_ID() AND user <> 'system user'"):
            try:
                self.sql(f"KILL {number}")
            except pymysql.err.OperationalError:
                pass  # it went by itself

    def client(self, db: str | None = None) -> list[str]:
        """The command line of the mariadb client for this server."""
        command = [find_program("mariadb", "mysql"), "--no-defaults", f"--socket={self.socket}",
                   "--user=root", "--default-character-set=utf8mb4"]
        return command + ([db] if db else [])

    def script(self, text: str, db: str | None = None) -> str:
        """Run a script of many statements with the client; what it printed."""
        ran = subprocess.run(process.bound(self.client(db)), input=text.encode(), capture_output=True,
                             check=False, timeout=600)
        if ran.returncode != 0:
            raise RuntimeError(f"{self.name}: {ran.stderr.decode(errors='replace')}")
        return ran.stdout.decode(errors="replace")
