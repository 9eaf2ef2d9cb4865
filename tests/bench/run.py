#!/usr/bin/python3
"""How fast is Tandem? Prints tables with targets and verdicts. See docs/performance.md.

Starts and ends its own servers; needs no other than MariaDB, pymysql and the agent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# The same for all servers. The redo log and buffer pool sizes are MariaDB's own defaults.
SERVER_OPTIONS = ["--innodb-flush-log-at-trx-commit=1", "--innodb-log-file-size=96M"]
BUFFER_POOL = "128M"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", type=Path, help="the agent to measure (build it with -O2)")
    parser.add_argument("--quick", action="store_true", help="one round, small sizes")
    parser.add_argument("--rounds", type=int, default=3, help="how often each thing is measured")
    parser.add_argument("--only", action="append", metavar="NAME", default=[],
                        help="only this part: catchup, latency, capture, growth, nothing, drift,"
                             " conflicts, page, hub, security, startup, verify, folders")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser.parse_args()


def machine() -> dict[str, str]:
    """Where the figures come from."""
    from lab import server  # pylint: disable=import-outside-toplevel
    cpu = next((line.partition(":")[2].strip() for line in
                Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
                if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    with server.Server("probe") as probe:
        version = str(probe.sql("SELECT VERSION()")[0][0])
        flush = _flush_ms(probe.folder)
    return {"CPU": f"{cpu}, {os.cpu_count()} cores", "memory": f"{memory:.0f} GiB",
            "one write and fdatasync": f"{flush:.2f} ms", "Linux": platform.release(),
            "MariaDB": version, "servers": f"innodb_buffer_pool_size={BUFFER_POOL}, "
            + ", ".join(option.lstrip("-") for option in SERVER_OPTIONS)}


def _flush_ms(folder: Path) -> float:
    """How long the disk takes to make 512 bytes durable: what a small commit costs at least."""
    file = os.open(folder / "flush", os.O_CREAT | os.O_RDWR)
    started = time.monotonic()
    for i in range(200):
        os.pwrite(file, b"x" * 512, i * 512)
        os.fdatasync(file)
    seconds = time.monotonic() - started
    os.close(file)
    return seconds / 200 * 1000


def main() -> int:
    """0: all targets met; 1: one missed."""
    options = _arguments()
    if options.agent:
        os.environ["TANDEM_AGENT"] = str(options.agent.resolve())
    # After TANDEM_AGENT and the path are set.
    from bench import capture, catchup, conflicts, figures, folders, hub, latency, page, security, size, startup, verify  # pylint: disable=import-outside-toplevel
    rounds = 1 if options.quick else options.rounds
    common = (SERVER_OPTIONS, BUFFER_POOL)
    parts: dict[str, Callable[[], figures.Part]] = {
        "nothing": lambda: size.measure_nothing(*common, options.quick),
        "drift": lambda: size.measure_drift(*common, options.quick),
        "latency": lambda: latency.measure(*common, options.quick),
        "capture": lambda: capture.measure(*common, rounds, options.quick),
        "catchup": lambda: catchup.measure(*common, rounds, options.quick),
        "conflicts": lambda: conflicts.measure(*common, rounds, options.quick),
        "page": lambda: page.measure(*common, options.quick),
        "security": lambda: security.measure(*common, rounds, options.quick),
        "hub": lambda: hub.measure(*common, rounds, options.quick),
        "startup": lambda: startup.measure(*common, rounds, options.quick),
        "verify": lambda: verify.measure(*common, rounds, options.quick),
        "folders": lambda: folders.measure(*common, rounds, options.quick),
        "growth": lambda: size.measure_growth(*common, options.quick),
    }
    unknown = set(options.only) - parts.keys()
    if unknown:
        print(f"--only {', '.join(sorted(unknown))}: no such part; there are {', '.join(parts)}",
              file=sys.stderr)
        return 2
    where = machine()
    print(figures.grid(["machine", ""], [[name, text] for name, text in where.items()]) + "\n",
          flush=True)
    found: list[figures.Part] = []
    for name, measure in parts.items():
        if options.only and name not in options.only:
            continue
        started = time.monotonic()
        found.append(measure())
        print(figures.show(found[-1]), flush=True)
        print(f"({name}: {time.monotonic() - started:.0f} s)\n", flush=True)
    missed = [f"{part.name}: {figure.what}" for part in found for figure in part.figures
              if figure.met() is False]
    print("\n".join(["Missed targets:", *missed]) if missed else "All targets met.")
    if options.json:
        result = {"machine": where, "quick": options.quick, "rounds": rounds,
                  "parts": [part.as_json() for part in found]}
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
