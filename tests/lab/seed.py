"""Random numbers that can be replayed: the seed is printed when a test fails, and TANDEM_SEED
brings the same run back."""

from __future__ import annotations

import os
import random


def choose() -> int:
    """The seed of $TANDEM_SEED, else a fresh one, which pytest's worker processes then share."""
    fresh = str(random.SystemRandom().randrange(1, 2**31))
    return int(os.environ.setdefault("TANDEM_SEED", fresh))


def line(seed: int) -> str:
    """What to print so that a reader can replay the run."""
    return f"replay with TANDEM_SEED={seed}"
