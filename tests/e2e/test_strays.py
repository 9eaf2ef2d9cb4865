"""Files that no row names, and rows whose file is not here."""

from __future__ import annotations

import json

from lab import Pair, folders, hand, until
from lab.folders import look, put


def test_orphans_are_counted_and_listed_on_both_sides(fresh_pair: Pair) -> None:
    here, there = folders.join(fresh_pair, {"mode": "mirror", "source": "anna"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    hand.everywhere(fresh_pair, "CREATE TABLE photo (id INT PRIMARY KEY, file VARCHAR(200) CHARACTER SET latin1, INDEX (file))",
                    "CREATE TABLE plan (id INT PRIMARY KEY, at VARCHAR(200) CHARACTER SET utf8mb4, INDEX (at))")
    for node in fresh_pair.nodes:
        node.change_conf({"table photo": {"file": "file in uploads prefix /up%_loads/"}})
    fresh_pair.install()
    put(here, "album/\u00e9t\u00e9.jpg", "named with an accent")
    put(here, "named", "named")
    put(here, "nobody", "nobody's")
    put(here, "Named", "other case, so nobody's")
    put(here, "plan.pdf", "a plan")
    bert.start_serve()
    until(lambda: anna.drain() and look(there) == look(here), 30, "all arrives")
    assert "no row names" in anna.agent("--trees").stdout
    anna.sql("INSERT INTO photo VALUES (1, '/up%_loads/album/\u00e9t\u00e9.jpg'), (2, '/up%_loads//named'), (3, '/up%_loads/lost?.jpg'), (4, NULL), (5, ''), (6, '/up%_loads/'),"
             " (7, 'https://elsewhere/x'), (8, '/up-xloads/nobody'), (9, '/up%_loads//')")
    anna.sql("INSERT INTO plan VALUES (1, 'plan.pdf'), (2, 'no plan')")

    def orphans(*words: str) -> tuple[object, ...]:
        (tree,) = json.loads(anna.agent("--trees", "--json", *words).stdout)["trees"]
        return tree["named"], tree["unnamed"], tree["unnamed_bytes"], tree["dangling"], [(one["table"], one["name"]) for one in tree["orphans"]]

    nobody = [(None, "Named"), (None, "nobody"), (None, "plan.pdf")]
    assert orphans() == (True, 3, 23 + 8 + 6, 1, [])
    assert orphans("--orphans") == (True, 3, 37, 1, [*nobody, ("photo", "/up%_loads/lost?.jpg")])
    # A second table, without a prefix.
    anna.change_conf({"table plan": {"file": "at in uploads"}})
    assert orphans("--orphans") == (True, 2, 31, 2, [*nobody[:2], ("photo", "/up%_loads/lost?.jpg"), ("plan", "no plan")])
    said = anna.agent("--trees", "--orphans").stdout
    assert "2 files that no row names, 31 bytes; 2 rows whose file is not here\n" in said
    assert "no row names: nobody" in said and "no file of: no plan, table plan" in said
    # On the other side the rows wait for their files, so that none is without.
    rows = [(n,) for n in range(1, 10) if n != 3]  # not the one whose file is lost
    until(lambda: anna.drain(check={0, 5}) and bert.sql("SELECT id FROM photo ORDER BY id") == rows, 30, "the rows arrive")
    (tree,) = json.loads(bert.agent("--trees", "--json", check={0, 5}).stdout)["trees"]
    assert tree["dangling"] == 0 and tree["unnamed"] == 3
    # Where no table says anything, nothing is said.
    anna.change_conf({"table photo": {"file": None}, "table plan": {"file": None}})
    assert orphans() == (False, 0, 0, 0, []) and "no row names" not in anna.agent("--trees").stdout
