"""An app that nobody wrote works on two laptops that are apart: random statements on a schema full of
foreign keys with actions, conflicts included. When they have met both are equal, byte for byte."""

from __future__ import annotations

import random

from lab import Pair
from lab.monkey import Monkey

_ROUNDS, _STATEMENTS = 3, 80

_SCHEMA = """
CREATE TABLE region (code CHAR(3) CHARACTER SET ascii PRIMARY KEY, name VARCHAR(30));
CREATE TABLE customer (id INT AUTO_INCREMENT PRIMARY KEY, region CHAR(3) CHARACTER SET ascii, name VARCHAR(30) NOT NULL,
  born DATE, credit DECIMAL(8,2) NOT NULL DEFAULT 0, FOREIGN KEY (region) REFERENCES region (code) ON DELETE SET NULL);
CREATE TABLE category (id INT AUTO_INCREMENT PRIMARY KEY, above INT, name VARCHAR(30),
  FOREIGN KEY (above) REFERENCES category (id) ON DELETE CASCADE);
CREATE TABLE product (id INT AUTO_INCREMENT PRIMARY KEY, category INT, name VARCHAR(30), price DECIMAL(8,2) NOT NULL,
  kind ENUM('new','used'), photo BLOB, FOREIGN KEY (category) REFERENCES category (id) ON DELETE SET NULL);
CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL, at DATETIME NOT NULL,
  FOREIGN KEY (customer) REFERENCES customer (id) ON DELETE CASCADE);
CREATE TABLE line (orders INT, n INT, product INT, amount FLOAT NOT NULL, PRIMARY KEY (orders, n),
  FOREIGN KEY (orders) REFERENCES orders (id) ON DELETE CASCADE, FOREIGN KEY (product) REFERENCES product (id));
CREATE TABLE note (id INT AUTO_INCREMENT PRIMARY KEY, orders INT, n INT, text TEXT, flags SET('a','b','c'),
  FOREIGN KEY (orders, n) REFERENCES line (orders, n) ON DELETE CASCADE);
INSERT INTO region VALUES ('abc','A'), ('def','D'), ('ghi',NULL);
INSERT INTO customer (id, region, name) SELECT seq, ELT(seq % 3 + 1, 'abc', 'def', 'ghi'), CONCAT('c', seq) FROM seq_1_to_30;
INSERT INTO category (id, above, name) SELECT seq, NULLIF(seq DIV 3, 0), CONCAT('k', seq) FROM seq_1_to_12;
INSERT INTO product (id, category, name, price) SELECT seq, seq % 12 + 1, CONCAT('p', seq), seq FROM seq_1_to_40;
INSERT INTO orders (id, customer, at) SELECT seq, seq % 30 + 1, '2026-01-01' FROM seq_1_to_60;
INSERT INTO line SELECT seq % 60 + 1, seq DIV 60, seq % 40 + 1, 1 FROM seq_1_to_150;
INSERT INTO note (id, orders, n, text) SELECT orders, orders, n, 'x' FROM line WHERE n = 1;
"""


def _orphans(pair: Pair) -> list[tuple]:
    """Rows whose parent is missing, on either laptop."""
    looks = ("SELECT c.id FROM customer c LEFT JOIN region r ON r.code=c.region WHERE c.region IS NOT NULL AND r.code IS NULL",
             "SELECT l.n FROM line l LEFT JOIN orders o ON o.id=l.orders WHERE o.id IS NULL",
             "SELECT n.id FROM note n LEFT JOIN line l ON (l.orders, l.n)=(n.orders, n.n)"
             " WHERE n.orders IS NOT NULL AND n.n IS NOT NULL AND l.n IS NULL")
    return [row for node in pair.nodes for look in looks for row in node.sql(look)]


def test_random_work_on_two_laptops_that_are_apart_ends_equal(rng: random.Random) -> None:
    with Pair(schemas=(), conf={"sync": {"max_delete": "off"}}) as pair:
        for node in pair.nodes:
            node.server.script(_SCHEMA, node.database)
        pair.install()
        done = 0
        for _ in range(_ROUNDS):
            for node in pair.nodes:
                # A parent's key that changes while somebody apart gives it a child is a person's case.
                monkey = Monkey(node, rng, without=("key",))
                monkey.work(_STATEMENTS)
                done += sum(monkey.done.values())
                monkey.close()
            pair.settle(120)
            pair.assert_equal()
            assert not _orphans(pair)
        assert done > _ROUNDS * _STATEMENTS / 2
