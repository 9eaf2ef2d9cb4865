"""Folders of a run: where they are, and that they go away again.

Each test process owns its folders by a file lock; folders whose owner is dead (a killed pytest)
are swept by the next run. TANDEM_LAB_DIR moves everything elsewhere. Keep that path short: the
servers' sockets lie inside, and a socket's path has at most 107 bytes.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import stat
import tempfile
from functools import lru_cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "tests" / "data"

_OWNER_LOCK = "owner.lock"
_DOOR = "door.lock"
_RUN_PREFIX = "run-"


def lab_root() -> Path:
    """The private folder of this user's lab; made when missing, refused when not ours."""
    root = Path(os.environ.get("TANDEM_LAB_DIR") or _default_root())
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = root.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise RuntimeError(f"{root} is not a folder of this user: remove it or set TANDEM_LAB_DIR")
    root.chmod(0o700)
    return root


def _default_root() -> str:
    return os.path.join(tempfile.gettempdir(), f"tandem-lab-{os.getuid()}")


def agent_binary() -> Path:
    """The agent under test: $TANDEM_AGENT, else the build tree beside the sources."""
    named = os.environ.get("TANDEM_AGENT")
    return Path(named).resolve() if named else REPOSITORY / "build" / "agent" / "agent"


def axe_core() -> Path | None:
    """axe.min.js of axe-core, where it is installed (scripts/check does that when npm is there), or None."""
    found = Path(os.environ.get("TANDEM_AXE") or REPOSITORY / "build/node_modules/axe-core/axe.min.js")
    return found if found.is_file() else None


def new_folder(name: str) -> Path:
    """An empty folder of this process, removed at its end."""
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_run_folder()))


@lru_cache(maxsize=None)
def _run_folder() -> Path:
    root = lab_root()
    # One at a time: between its making and its locking a folder looks as if nobody owned it.
    door = os.open(root / _DOOR, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(door, fcntl.LOCK_EX)
        _sweep(root)
        folder = Path(tempfile.mkdtemp(prefix=_RUN_PREFIX, dir=root))
        # The lock is held until this process ends, however it ends; the number is kept on purpose.
        lock = os.open(folder / _OWNER_LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(door)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _sweep(root: Path) -> None:
    """Remove run folders whose owner is gone."""
    for folder in root.glob(_RUN_PREFIX + "*"):
        try:
            lock = os.open(folder / _OWNER_LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # being made or being removed right now
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
