"""Random numbers that can be replayed: the seed is printed when a test fails, and TANDEM_SEED
brings the same run back."""

from __future__ import annotations

import os
import random


def choose() -> int:
    """The seed of $TANDEM_SEED, else a fresh one, which pytest's worker processes then share."""
    if "TANDEM_SEED" not in os.environ:
        os.environ["TANDEM_SEED"] = str(random.SystemRandom().randrange(1, 2**31))
        os.environ["TANDEM_SEED_IS_FRESH"] = "1"
    return int(os.environ["TANDEM_SEED"])


def asked(usual: int) -> int:
    """The seed that somebody has asked for with TANDEM_SEED, else the usual one: for work that is the same each time."""
    return usual if os.environ.get("TANDEM_SEED_IS_FRESH") == "1" else choose()


def line(seed: int) -> str:
    """What to print so that a reader can replay the run."""
    return f"replay with TANDEM_SEED={seed}"
