"""Programs that believe it is another time: libfaketime, for their wall clock alone."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from lab import places

_FOLDERS = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime")


@lru_cache(maxsize=None)
def _library() -> str:
    for folder in _FOLDERS:
        found = Path(folder) / "libfaketimeMT.so.1"
        if found.exists():
            return str(found)
    raise RuntimeError("libfaketime is not installed: run scripts/install-packages")


@lru_cache(maxsize=None)
def _sanitizer() -> str:
    """AddressSanitizer wants to be loaded before anything else."""
    return "libasan.so.8 " if b"libasan.so.8" in places.agent_binary().read_bytes() else ""


def wrong_by(seconds: int) -> dict[str, str]:
    """The environment of a server whose clock is wrong by so much. Its timers stay right."""
    return {"LD_PRELOAD": _library(), "FAKETIME": f"{seconds:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}


def agent_too(environment: dict[str, str]) -> dict[str, str]:
    """The same for an agent, which may have sanitizers."""
    return {**environment, "LD_PRELOAD": _sanitizer() + environment["LD_PRELOAD"]}
