#!/usr/bin/python3
"""Takes the pictures of the page for README and docs/monitor.md: docs/page-*.png. Needs chromium and selenium.

usage: TANDEM_AGENT=build/agent/agent tests/bench/pictures.py
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab import Pair, hand  # noqa: E402  (needs the path above)
from lab.browser import Browser  # noqa: E402
from lab.node import Node  # noqa: E402
from lab.waiting import until  # noqa: E402

DOCS = Path(__file__).resolve().parents[2] / "docs"
TABLES = ("CREATE TABLE riders (id INT PRIMARY KEY, name VARCHAR(60), town VARCHAR(40), fee DECIMAL(8,2), note TEXT)",
          "CREATE TABLE lessons (id INT PRIMARY KEY, rider INT, at DATETIME)",
          "INSERT INTO riders VALUES (17,'Ada Lovelace','London',12.50,NULL),(18,'Grace Hopper','New York',9.00,'left-handed')")


def main() -> None:
    """Two laptops in step, then a conflict."""
    with Pair(schemas=(), database="stable") as two:
        hand.everywhere(two, *TABLES)
        for node in two.nodes:
            node.change_conf({"sync": {"conflict": "manual"}})
        two.install()
        two.start_serve()
        _fill_graphs(two.anna)
        for i in range(30):
            two.anna.sql("INSERT INTO lessons VALUES (%s, 17, NOW())", [i])
        two.wait_quiet()
        window = Browser()
        try:
            _take(two, window)
        finally:
            window.close()
        two.stop_serve()


def _fill_graphs(node: Node) -> None:
    """A morning's work: changes in bursts, one hour ago until now."""
    until(lambda: hand.sync(node, "SELECT COUNT(*) FROM sync_history")[0][0], 30, "the first sample")
    for i in range(350):
        wave = max(0, (i * 37 % 97) - 60) * (3 if 120 < i < 170 else 1)
        if wave:
            hand.sync(node, "INSERT IGNORE INTO sync_history VALUES (10, UNIX_TIMESTAMP() DIV 10 * 10 - %s, 'bert', %s, %s, %s, %s)",
                      [(355 - i) * 10, wave * (40 if 120 < i < 170 else 2), wave * 9, wave * 4, wave * (900 if 120 < i < 170 else 30)])
    hand.sync(node, "INSERT IGNORE INTO sync_history SELECT 10, UNIX_TIMESTAMP() DIV 10 * 10 - seq * 300, 'bert', 0, 0, 0, 0 FROM seq_1_to_12")


def _take(two: Pair, window: Browser) -> None:
    window.size(1280, 1040)
    window.open(two.anna)
    window.shows("#headline", "In step")
    window.shows("#charts", "Records per second")
    time.sleep(1)
    window.picture(DOCS / "page-in-step.png")
    two.stop_serve()
    two.anna.sql("UPDATE riders SET town='Paris', fee=14.00 WHERE id=17")
    two.bert.sql("UPDATE riders SET town='Oxford', note='moved in May' WHERE id=17")
    two.start_serve()
    until(lambda: two.anna.status()["undecided"], 60, "the conflict is known")
    window.alive()
    window.shows("#conflict-list", "Oxford")
    window.js("document.querySelector('#conflicts').scrollIntoView()")
    window.size(1280, 520)
    window.picture(DOCS / "page-conflict.png")
    window.size(390, 780)
    window.scheme("dark")
    window.js("window.scrollTo(0, 0)")
    time.sleep(1)
    window.picture(DOCS / "page-phone.png")
    _take_held(two, window)


def _take_held(two: Pair, window: Browser) -> None:
    """On a projector, in the dark: bert's laptop was put back to a backup."""
    conflict = str(hand.sync(two.anna, "SELECT MAX(id) FROM sync_conflict")[0][0])
    two.anna.agent("--resolve", conflict, "--keep", "local", check=0)
    two.wait_quiet()
    two.bert.stop_serve()
    hand.sync(two.anna, "UPDATE sync_peer SET held=%s",
              ["peer bert has received changes that this node does not know (restored from a backup, or a copy of this laptop runs as well?):"
               " run agent --install --peer bert here: the link begins anew, all tables are compared and merged"])
    window.size(1600, 940)
    window.shows("#peer-bert", "begins anew")
    window.shows("#todo", lambda text: "conflict" not in text)
    window.js("window.scrollTo(0, 0)")
    time.sleep(1)
    window.picture(DOCS / "page-held.png")


if __name__ == "__main__":
    main()
