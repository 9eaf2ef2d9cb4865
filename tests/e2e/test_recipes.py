"""docs/recipes.md: its two agent.conf and every command in it, on two servers."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from lab import Node, Pair, until
from lab.hand import unseen

RECIPES = (Path(__file__).resolve().parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
TABLES = ("CREATE TABLE article (id INT PRIMARY KEY, name VARCHAR(40), price DECIMAL(9,2))",
          "CREATE TABLE shelf (article INT PRIMARY KEY, stock INT NOT NULL, FOREIGN KEY (article) REFERENCES article (id))",
          "CREATE TABLE sale (id INT PRIMARY KEY, article INT, n INT, FOREIGN KEY (article) REFERENCES article (id))",
          "CREATE TABLE adjustment (id INT PRIMARY KEY, article INT, n INT)")
ROWS = ("INSERT INTO article SELECT seq, CONCAT('article ', seq), seq FROM seq_1_to_300", "INSERT INTO shelf SELECT seq, 100 FROM seq_1_to_300",
        "INSERT INTO sale SELECT seq, 1 + seq MOD 300, 1 FROM seq_1_to_1000", "INSERT INTO adjustment VALUES (1, 1, 1)")
NAMES = ("article", "shelf", "sale", "adjustment")


def section(title: str) -> str:
    """The text under a heading."""
    return RECIPES.split(f"# {title}\n", 1)[1].split("\n#", 1)[0]


def configure(two: Pair) -> None:
    """The rules of the two files; names, places and keys are the lab's."""
    files = re.findall(r"```\n(\[node\].*?)```", RECIPES, re.S)
    assert len(files) == 2
    for node, text in zip((two.anna, two.bert), files):
        conf = configparser.ConfigParser(interpolation=None)
        conf.read_string(text.replace("ben", "bert"))
        assert conf["node"]["name"] == node.name and conf.has_section(f"peer {'bert' if node is two.anna else 'anna'}")
        rules = {name: dict(conf[name]) for name in conf.sections() if name.startswith("table ") or name == "sync"}
        node.change_conf(rules)


def follow(two: Pair, title: str, at: int | None = None) -> None:
    """The commands of a section, on the node each names; at: only this one."""
    commands = re.findall(r"^(anna|ben)\$ agent (.*)$", section(title), re.M)
    assert commands
    for name, words in commands if at is None else [commands[at]]:
        (two.anna if name == "anna" else two.bert).agent(*words.replace("ben", "bert").split(), check=0)


def content(node: Node) -> list[object]:
    return [node.sql(f"SELECT * FROM {table} ORDER BY 1") for table in NAMES]


def in_step(two: Pair) -> None:
    until(lambda: content(two.anna) == content(two.bert), what="both are equal")


@pytest.fixture
def shop(fresh_pair: Pair) -> Pair:
    """As after the first day."""
    two = fresh_pair
    configure(two)
    for statement in TABLES + ROWS:
        two.anna.sql(statement)
    for at in (0, 1):
        follow(two, "The first day", at)
    two.anna.start_serve()
    follow(two, "The first day", 2)
    assert content(two.anna) == content(two.bert)
    two.bert.start_serve()
    return two


def test_the_rules_and_the_laptop_that_lost_everything(shop: Pair) -> None:
    anna, ben = shop.anna, shop.bert
    shop.stop_serve()
    for node, name in ((anna, "anna"), (ben, "ben")):
        node.sql("UPDATE article SET name = %s WHERE id = 1", [name])
        node.sql("UPDATE shelf SET stock = stock - %s WHERE article = 1", [3 if node is anna else 5])
        node.sql("UPDATE adjustment SET n = %s WHERE id = 1", [3 if node is anna else 5])
    ben.sql("UPDATE sale SET n = 7 WHERE id = 1")
    anna.sql("UPDATE sale SET n = 8 WHERE id = 1")
    shop.start_serve()
    until(lambda: [node.sql("SELECT (SELECT name FROM article WHERE id = 1), (SELECT stock FROM shelf WHERE article = 1), (SELECT n FROM sale WHERE id = 1)")
                   for node in (anna, ben)] == [[("anna", 92, 7)]] * 2, what="the rules have decided")
    until(lambda: all("NOT DECIDED" in node.agent("--conflicts").stdout for node in (anna, ben)), what="both list the adjustment")
    assert (anna.sql("SELECT n FROM adjustment"), ben.sql("SELECT n FROM adjustment")) == ([(3,)], [(5,)])
    # Stolen.
    ben.kill_serve()
    ben.sql(f"DROP DATABASE {ben.sync_database}")
    for table in reversed(NAMES):
        ben.sql(f"DROP TABLE {table}")
    follow(shop, "The laptop lost everything")
    assert content(anna) == content(ben)
    ben.start_serve()
    ben.sql("UPDATE sale SET n = 9 WHERE id = 2")
    anna.sql("UPDATE sale SET n = 9 WHERE id = 3")
    in_step(shop)


def test_a_restored_master_a_spoilt_laptop_and_who_is_right(shop: Pair) -> None:
    anna, ben = shop.anna, shop.bert
    in_step(shop)
    anna.stop_serve()
    ben.sql("INSERT INTO sale VALUES (2000, 1, 1)")
    # The backup: rows are gone, others old, and there is no sync schema in it.
    anna.sql("DROP DATABASE " + anna.sync_database)
    for table in reversed(NAMES):
        anna.sql(f"DROP TABLE {table}")
    for statement in TABLES + ROWS + ("DELETE FROM sale WHERE id > 900", "UPDATE article SET price = 0 WHERE id = 7", "INSERT INTO adjustment VALUES (2, 2, 2)"):
        anna.sql(statement)
    anna.install()
    follow(shop, "The master was restored from a backup")
    anna.start_serve()
    in_step(shop)
    assert anna.sql("SELECT COUNT(*) FROM sale") == [(1001,)] and ben.sql("SELECT COUNT(*) FROM adjustment") == [(2,)]
    assert ben.sql("SELECT price FROM article WHERE id = 7") == [(7,)]
    # Somebody tried things out.
    ben.stop_serve()
    ben.sql("DELETE FROM sale WHERE id < 500")
    ben.sql("UPDATE article SET name = 'nonsense'")
    ben.sql("INSERT INTO adjustment VALUES (99, 1, 1)")
    before = content(anna)
    follow(shop, "The laptop's data are not to be trusted")
    assert content(ben) == before == content(anna)
    ben.start_serve()
    follow(shop, "Are both equal, and if not, who is right?", 0)
    # Each side may be right.
    for at, winner in ((1, anna), (2, ben)):
        for node in (anna, ben):
            unseen(node, ("UPDATE sale SET n = %s WHERE id = 20", [100 + at if node is winner else 50]))
        follow(shop, "Are both equal, and if not, who is right?", at)
        until(lambda: [node.sql("SELECT n FROM sale WHERE id = 20") for node in (anna, ben)] == [[(100 + at,)]] * 2, what="the winner's stands")
