"""Child processes that never outlive the tests: the kernel kills them when the test process dies,
atexit ends what is left when it ends in order, and each is ended by its own process id."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lab.compiled import compiled

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_children: list[subprocess.Popen[Any]] = []


def dies_with_parent() -> Callable[[], None]:
    """For preexec_fn. The kernel means the THREAD that started the child: start children from
    threads that live as long as they shall."""
    parent = os.getpid()

    def set_death_signal() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)

    return set_death_signal


def bound(command: Sequence[str]) -> list[str]:
    """The command line of one that dies with this thread: as with dies_with_parent, and much quicker than a
    preexec_fn, for which the whole test process is copied."""
    return [str(compiled("child.c", "-static")), str(os.getpid()), *command]


def start(command: list[str], log: Path, env: dict[str, str] | None = None,
          cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a child in the background; both its outputs are appended to the log file. It has a
    session of its own, so that a Ctrl-C is for us and we end it in order."""
    with open(log, "ab") as out:
        child = subprocess.Popen(bound(command), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                 env=env, cwd=cwd, start_new_session=True)
    _children.append(child)
    return child


def end(child: subprocess.Popen[Any], how: int = signal.SIGTERM, grace: float = 60) -> int:
    """Send the signal, wait, and return the exit code; SIGKILL after the grace."""
    if child.poll() is None:
        child.send_signal(how)
        try:
            child.wait(grace)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child in _children:
        _children.remove(child)
    for left in (f"faketime_shm_{child.pid}", f"sem.faketime_sem_{child.pid}"):
        Path("/dev/shm", left).unlink(missing_ok=True)  # libfaketime's, of a child that was killed
    return child.returncode


def tail(log: Path, lines: int = 40) -> str:
    """The last lines of a log file, for messages."""
    if not log.exists():
        return f"({log.name}: no such file)"
    text = log.read_text(errors="replace").splitlines()
    return "\n".join(text[-lines:])


@atexit.register
def _end_all() -> None:
    for child in list(_children):
        end(child, signal.SIGKILL)
