"""What foreign keys take along on one laptop ends the same on the other: children that are deleted, set
to NULL or given new keys by the server, which fires no trigger for them."""

from __future__ import annotations

import random

import pytest

from lab import Pair, hand

pytestmark = pytest.mark.slow

SHOP = (
    "CREATE TABLE customer (id INT PRIMARY KEY, name VARCHAR(40))",
    "CREATE TABLE orders (id INT PRIMARY KEY, customer INT, note VARCHAR(40), FOREIGN KEY (customer)"
    " REFERENCES customer (id) ON DELETE CASCADE ON UPDATE CASCADE)",
    "CREATE TABLE line (orders INT, n INT, v INT, PRIMARY KEY (orders, n), FOREIGN KEY (orders)"
    " REFERENCES orders (id) ON DELETE CASCADE ON UPDATE CASCADE)",
    "CREATE TABLE visit (id INT PRIMARY KEY, customer INT, FOREIGN KEY (customer) REFERENCES customer (id)"
    " ON DELETE SET NULL ON UPDATE SET NULL)",
    "CREATE TABLE topic (id INT PRIMARY KEY, above INT, FOREIGN KEY (above) REFERENCES topic (id) ON DELETE CASCADE)",
)
ROWS = (
    "INSERT INTO customer VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')",
    "INSERT INTO orders VALUES (10, 1, ''), (11, 1, ''), (20, 2, ''), (30, 3, '')",
    "INSERT INTO line VALUES (10, 1, 0), (10, 2, 0), (11, 1, 0), (20, 1, 0), (30, 1, 0)",
    "INSERT INTO visit VALUES (1, 1), (2, 2), (3, 3), (4, NULL)",
    "INSERT INTO topic VALUES (1, NULL), (2, 1), (3, 2), (4, 3), (5, 1), (6, NULL), (7, 6)",
)


@pytest.fixture
def shop(fresh_pair: Pair) -> Pair:
    """Both installed, with the same rows, which came through the link."""
    hand.everywhere(fresh_pair, *SHOP)
    fresh_pair.install()
    for statement in ROWS:
        fresh_pair.nodes[0].sql(statement)
    fresh_pair.settle()
    fresh_pair.assert_equal()
    return fresh_pair


@pytest.mark.parametrize("statements", [
    ["DELETE FROM customer WHERE id = 1"],
    ["DELETE FROM customer WHERE id < 4"],
    ["DELETE FROM customer"],
    ["REPLACE INTO customer VALUES (1, 'new'), (2, 'new')"],
    ["DELETE customer, orders FROM customer JOIN orders ON orders.customer = customer.id"],
    ["DELETE FROM customer WHERE id IN (SELECT customer FROM orders)"],
    ["DELETE FROM orders WHERE id = 10"],
    ["DELETE FROM topic WHERE id = 1"],
    ["UPDATE topic SET above = 4 WHERE id = 1", "DELETE FROM topic WHERE id = 2"],
    ["UPDATE topic SET above = 6 WHERE id = 6", "DELETE FROM topic WHERE id = 6"],
    ["SET foreign_key_checks=0", "DELETE FROM visit WHERE id = 1", "SET foreign_key_checks=1", "DELETE FROM customer WHERE id = 2"],
], ids=lambda statements: statements[-1][:50])
def test_what_goes_along_goes_on_both_sides(shop: Pair, statements: list[str]) -> None:
    hand.transaction(shop.nodes[0], *statements)
    shop.settle()
    shop.assert_equal()


@pytest.mark.parametrize("statements", [
    ["UPDATE customer SET id = 9 WHERE id = 1"],
    ["UPDATE orders SET id = id + 100"],
    ["UPDATE orders SET id = 99 WHERE id = 10", "DELETE FROM customer WHERE id = 1"],
    ["UPDATE customer SET id = 9 WHERE id = 1", "UPDATE orders SET id = 99 WHERE id = 10", "UPDATE line SET v = 7"],
], ids=lambda statements: statements[0][:50])
def test_children_follow_a_changed_key(shop: Pair, statements: list[str]) -> None:
    hand.transaction(shop.nodes[0], *statements)
    shop.settle()
    shop.assert_equal()


def test_both_sides_at_random(shop: Pair, rng: random.Random) -> None:
    """In turns, so that nothing conflicts: what is compared is what travels."""
    for round_ in range(12):
        number, other = rng.randint(1, 5), 100 + round_
        statement = rng.choice([
            f"DELETE FROM customer WHERE id = {number}", f"DELETE FROM orders WHERE customer = {number}",
            f"UPDATE IGNORE customer SET id = {other} WHERE id = {number}", f"REPLACE INTO customer VALUES ({number}, 'r')",
            f"INSERT IGNORE INTO orders VALUES ({other}, {number}, 'n')", f"UPDATE orders SET id = {other} LIMIT 1",
            f"INSERT IGNORE INTO line SELECT id, {number}, 1 FROM orders", f"DELETE FROM topic WHERE id = {number}",
            f"UPDATE IGNORE topic SET above = {number} WHERE id <> {number} LIMIT 2"])
        shop.nodes[round_ % 2].sql(statement)
        shop.settle()
        shop.assert_equal()
