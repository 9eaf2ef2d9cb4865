"""The only place where a test waits: until a condition holds, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_FIRST_PAUSE = 0.002
_LAST_PAUSE = 0.1


def until(fn: Callable[[], T], timeout: float = 30, what: str = "",
          longest: float = _LAST_PAUSE) -> T:
    """Call fn until it returns something true, and return that; AssertionError at the deadline.
    what names the condition in the message; longest: the longest pause between two looks, in
    seconds (small where the time itself is measured)."""
    deadline = time.monotonic() + timeout
    pause = min(_FIRST_PAUSE, longest)
    while True:
        found = fn()
        if found:
            return found
        if time.monotonic() >= deadline:
            name = what or getattr(fn, "__name__", "condition")
            raise AssertionError(f"not within {timeout:g} s: {name} (last answer: {found!r})")
        time.sleep(pause)
        pause = min(pause * 1.5, longest)
