"""The lab's few programs in C, compiled when they are needed first."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

from lab import places


@lru_cache(maxsize=None)
def compiled(source: str, *options: str) -> Path:
    """A file of this folder compiled with the options, once for each lab root."""
    path = Path(__file__).with_name(source)
    made = places.lab_root() / f"{path.stem}-{path.stat().st_mtime_ns}"
    with open(places.lab_root() / "compiled.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            draft = made.with_suffix(".draft")
            compiler = next(found for found in map(shutil.which, ("cc", "gcc", "clang")) if found)
            subprocess.run([compiler, "-O2", "-o", str(draft), str(path), *options], check=True)
            draft.rename(made)
    return made
