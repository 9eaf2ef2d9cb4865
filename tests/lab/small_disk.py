"""A disk of a few kilobytes under one folder, for one process: a tmpfs in a mount
namespace of its own, so that nobody else sees it and it goes away with the process. Needs root."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a small disk")


def prefix(folder: Path, size: str) -> list[str]:
    """What to put before a command: its folder, with what it holds, is on a disk of that size."""
    here = shlex.quote(str(folder))
    script = (f"d=$(mktemp -d) && mount -t tmpfs -o size={size} tmpfs $d && cp -a --sparse=never {here}/. $d && chmod 700 $d"
              f" && mount --bind $d {here} && exec \"$@\"")
    return ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"]
