"""A real shop on two laptops (tests/data/shop.sql): 50 tables, 74 foreign keys with every action, views, routines,
events and triggers of its own. Days of work through its own procedures and by hand, offline on both sides, end
equal byte for byte with every foreign key whole; so do days with conflicts, random days, and dumps that are loaded."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Callable, Sequence

import pymysql
import pytest

from lab import Node, Pair, hand, load, until
from lab.monkey import Monkey
from lab.server import find_program

pytestmark = pytest.mark.slow

SHOP = "shop"
RANDOM_STATEMENTS = 120  # of one side's turn


def prepare(pair: Pair) -> None:
    """The shop's own triggers belong to root, and do not fire for the agent; --install on both."""
    for node in pair.nodes:
        node.server.sql("GRANT SET USER ON *.* TO 'tandem'@'localhost'")
        tables = [table for (table,) in node.server.sql(
            "SELECT DISTINCT EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=%s"
            " AND TRIGGER_NAME NOT LIKE 'tandem\\_%%'", [node.database])]
        node.change_conf({f"table {table}": {"app_triggers": "guard"} for table in tables})
    pair.install()


@pytest.fixture
def shop(fresh_pair: Pair) -> Pair:
    """Two laptops of the shop, installed."""
    fresh_pair.renew((SHOP,))
    prepare(fresh_pair)
    return fresh_pair


def broken_keys(node: Node) -> list[str]:
    """Foreign keys with children whose parent is not there."""
    rows = node.sql("SELECT CONSTRAINT_NAME, TABLE_NAME, COLUMN_NAME, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME"
                    " FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA=DATABASE() AND REFERENCED_TABLE_NAME IS NOT NULL"
                    " ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION")
    keys: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for name, child, column, parent, referenced in rows:
        keys.setdefault((str(name), str(child), str(parent)), []).append((_quoted(column), _quoted(referenced)))
    assert len(keys) >= 60, "the shop has its foreign keys"
    found = []
    for (name, child, parent), columns in keys.items():
        on = " AND ".join(f"p.{there}=c.{here}" for here, there in columns)
        given = " AND ".join(f"c.{here} IS NOT NULL" for here, _ in columns)
        ((count,),) = node.sql(f"SELECT COUNT(*) FROM {_quoted(child)} c WHERE {given} AND NOT EXISTS"
                               f" (SELECT 1 FROM {_quoted(parent)} p WHERE {on})")
        if count:
            found.append(f"{node.name}: {name}: {count} rows of {child} without their {parent}")
    return found


def _quoted(name: object) -> str:
    return "`" + str(name).replace("`", "``") + "`"


def assert_in_step(pair: Pair) -> None:
    """Both are equal, whole, and nobody waits for anything."""
    pair.assert_equal()
    assert [line for node in pair.nodes for line in broken_keys(node)] == []
    assert {node.name: hand.owed(node) for node in pair.nodes} == {node.name: [] for node in pair.nodes}


def conflicts(pair: Pair) -> list[tuple]:
    """What both sides judged."""
    return [row for node in pair.nodes for row in hand.sync(node, "SELECT * FROM sync_conflict")]


def _ids(node: Node, table: str) -> set[int]:
    return {int(row[0]) for row in node.sql(f"SELECT id FROM {table}")}


# the shop's work --------------------------------------------------------------------------------------

class Clerk:
    """Somebody at work in one laptop's shop, in one session, as the shop's own programs do."""

    def __init__(self, node: Node) -> None:
        self.connection = node.connect()

    def __enter__(self) -> Clerk:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def rows(self, text: str, *args: object) -> list[tuple]:
        """A look."""
        with self.connection.cursor() as cursor:
            cursor.execute(text, args or None)
            return list(cursor.fetchall())

    def do(self, text: str, *args: object) -> int:
        """A statement that changes something: how many rows, which must be some."""
        with self.connection.cursor() as cursor:
            count = cursor.execute(text, args or None)
            while cursor.nextset():
                pass
        assert count or text.startswith(("CALL", "SET", "BEGIN", "COMMIT")), f"nothing to do for {text} {args}"
        return count

    def order(self, customer: int, skus: Sequence[str], coupon: str | None = None) -> int:
        """A new order of one to three of each sku."""
        wanted = json.dumps([{"sku": sku, "n": 1 + n % 3} for n, sku in enumerate(skus)])
        self.do("CALL place_order(%s, %s, %s, @made)", customer, wanted, coupon)
        return int(self.rows("SELECT @made")[0][0])

    def customers(self, country: str) -> list[int]:
        """Those of a country without an address in Britain, whose code changes meanwhile."""
        return [int(row[0]) for row in self.rows(
            "SELECT id FROM customers c WHERE country=%s AND NOT EXISTS (SELECT 1 FROM addresses WHERE customer_id=c.id"
            " AND country='GB') ORDER BY id", country)]

    def skus(self, category: str) -> list[str]:
        """What is in a category or below it."""
        return [row[0] for row in self.rows(
            "WITH RECURSIVE below AS (SELECT id FROM categories WHERE name=%s AND parent_id IS NULL UNION SELECT c.id"
            " FROM categories c JOIN below ON c.parent_id=below.id) SELECT sku FROM products WHERE category_id IN"
            " (SELECT id FROM below) ORDER BY sku", category)]

    def quiet(self, category: str, country: str, supplier: int) -> list[str]:
        """Of these, what nobody of a country has wished for or spoken of, and a supplier does not deliver."""
        return [row[0] for row in self.rows(
            "SELECT sku FROM products p WHERE NOT EXISTS (SELECT 1 FROM supplier_products s WHERE s.sku=p.sku AND supplier_id=%s)"
            " AND NOT EXISTS (SELECT 1 FROM (SELECT sku, customer_id FROM reviews UNION ALL SELECT sku, customer_id FROM `wish list`)"
            " w JOIN customers c ON c.id=w.customer_id WHERE w.sku=p.sku AND c.country=%s) AND NOT EXISTS (SELECT 1 FROM"
            " cart_lines l JOIN carts ON carts.id=l.cart_id JOIN customers c ON c.id=carts.customer_id WHERE l.sku=p.sku"
            " AND c.country=%s) AND NOT EXISTS (SELECT 1 FROM order_lines l JOIN orders o ON o.id=l.order_id JOIN customers c"
            " ON c.id=o.customer_id WHERE l.sku=p.sku AND c.country=%s) ORDER BY sku", supplier, country, country, country)
            if row[0] in self.skus(category)]

    def category(self, name: str) -> int:
        """Its number."""
        return int(self.rows("SELECT MIN(id) FROM categories WHERE name=%s", name)[0][0])


def sell(clerk: Clerk, customers: Sequence[int], skus: Sequence[str], method: str) -> list[int]:
    """Orders, payments, parcels, and what comes back."""
    made = [clerk.order(customer, skus[n % len(skus):][:3] or skus[:1]) for n, customer in enumerate(customers)]
    for order in made[:-1]:
        clerk.do("CALL pay(%s, %s)", order, method)
    for order in made[:-2]:
        clerk.do("CALL send(%s, %s)", order, "bike")
    clerk.do("CALL take_back(%s, 1, 1, 'size')", made[0])
    clerk.do("UPDATE order_lines SET quantity=quantity+1 WHERE order_id=%s AND line=1", made[1])
    clerk.do("DELETE FROM order_lines WHERE order_id=%s AND line=1", made[2])
    return made


def annas_day(clerk: Clerk) -> None:
    """Nothing that bert touches on his."""
    skus, people = clerk.skus("Clothing"), clerk.customers("DE")
    assert len(skus) > 5 and len(people) > 5
    made = sell(clerk, people[:4], skus[:4], "card")
    clerk.do("DELETE FROM orders WHERE id=%s", made[3])
    clerk.do("CALL change_prices(%s, 7.5)", clerk.category("Garden"))
    first, *others = clerk.quiet("Clothing", "FR", 2)
    clerk.do("UPDATE products SET sku=CONCAT('new-', sku) WHERE sku=%s", first)
    clerk.do("UPDATE products SET sku=UPPER(CONCAT(sku, 'q')) WHERE sku IN (%s, %s)", *others[:2])
    clerk.do("UPDATE countries SET code='UK', name='Kingdom' WHERE code='GB'")
    clerk.do("DELETE FROM categories WHERE name='Paper'")  # with all below it; its products stay without one
    for person in people[4:7]:
        clerk.do("CALL forget_customer(%s)", person)
    clerk.do("INSERT INTO warehouses VALUES ('NEU1', 1, 'Neu')")
    clerk.do("CALL deliver(1, 'NEU1', 3)")
    clerk.do("INSERT INTO reviews (sku, customer_id, stars) VALUES (%s, NULL, 5), (%s, NULL, 1)", skus[4], skus[5])
    clerk.do("INSERT INTO `Größen` VALUES ('neu', 'ß', 1), ('neu', 'x', 2)")


def berts_day(clerk: Clerk) -> None:
    """Nothing that anna touches on hers."""
    skus, people = clerk.skus("Küche & Bad"), clerk.customers("FR")
    assert len(skus) > 5 and len(people) > 5
    sell(clerk, people[:4], skus[:4], "bank")
    clerk.do("CALL change_prices(%s, -10)", clerk.category("Kitchen"))
    clerk.do("CALL move_category(%s, %s)", clerk.category("Glass"), clerk.category("Küche & Bad"))
    one, other, *_ = clerk.quiet("Kitchen", "DE", 1)
    clerk.do("UPDATE products SET sku=LOWER(sku) WHERE sku=%s", one)  # one and the same to the foreign keys
    clerk.do("UPDATE products SET sku=CONCAT('bert ', sku) WHERE sku=%s", other)
    clerk.do("DELETE FROM customers WHERE id IN (%s, %s)", people[4], people[5])
    clerk.do("UPDATE coupons SET code='vip 25' WHERE code='vip 24'")
    clerk.do("UPDATE payment_methods SET code='voucher' WHERE code='gift'")
    clerk.do("INSERT INTO warehouses VALUES ('NEU2', NULL, 'Auch neu')")
    clerk.do("CALL deliver(2, 'NEU2', 2)")
    clerk.do("UPDATE `till``s drawer` SET `cash in \"EUR\"`=`cash in \"EUR\"`+1 WHERE store_id=2")
    clerk.do("REPLACE INTO `key` VALUES ('motto', 'anders'), ('new', 'ß')")
    clerk.do("UPDATE product_sheet SET field_03=field_03+1, `Feld 7 (alt)`=17 WHERE sku IN (SELECT sku FROM products WHERE"
             " category_id=%s)", clerk.category("Pans"))
    clerk.do("DELETE FROM customer_groups WHERE name='Presse'")


def both_days(pair: Pair) -> None:
    """Offline, one after the other: no matter, nobody sees the other's."""
    for node, day in ((pair.anna, annas_day), (pair.bert, berts_day)):
        with Clerk(node) as clerk:
            day(clerk)


def test_the_shop_can_be_installed_and_both_laptops_have_the_same(shop: Pair) -> None:
    triggers = shop.anna.sql("SELECT COUNT(DISTINCT EVENT_OBJECT_TABLE) FROM information_schema.TRIGGERS WHERE"
                             " TRIGGER_SCHEMA=DATABASE() AND TRIGGER_NAME LIKE 'tandem\\_ai\\_%'")
    assert triggers == [(50,)], "every table is replicated"
    shop.settle()
    assert_in_step(shop)


def test_a_day_of_work_on_both_sides_offline_ends_equal_without_a_conflict(shop: Pair) -> None:
    before = {node.name: _ids(node, "customers") for node in shop.nodes}
    both_days(shop)
    gone = {number for node in shop.nodes for number in before[node.name] - _ids(node, "customers")}
    assert len(gone) == 5
    shop.settle()
    assert_in_step(shop)
    assert conflicts(shop) == []
    assert not gone & _ids(shop.anna, "customers"), "who was forgotten stays forgotten"


# conflicts ----------------------------------------------------------------------------------------------

# Both work on the same: what anna does, what bert does. Each ends equal, with every foreign key whole.
QUARRELS: dict[str, tuple[list[str], list[str]]] = {
    "one edits, one edits": (
        ["UPDATE customers SET credit=1 WHERE id<20", "UPDATE products SET price=price+1", "UPDATE stock SET quantity=quantity-1"],
        ["UPDATE customers SET credit=2 WHERE id<30", "UPDATE products SET price=price*2", "UPDATE stock SET quantity=quantity-2"]),
    "one deletes customers, one edits them": (
        ["CALL forget_customer(11)", "DELETE FROM customers WHERE id IN (12, 13)"],
        ["UPDATE customers SET credit=7 WHERE id IN (11, 12)", "UPDATE addresses SET line2='new' WHERE customer_id=13",
         "UPDATE orders SET note='late' WHERE customer_id=12"]),
    "one deletes customers, one sells to them": (
        ["CALL forget_customer(11)", "DELETE FROM customers WHERE id=12"],
        ["CALL place_order(11, (SELECT JSON_ARRAY(JSON_OBJECT('sku', MIN(sku), 'n', 1)) FROM products), NULL, @a)",
         "CALL place_order(12, (SELECT JSON_ARRAY(JSON_OBJECT('sku', MAX(sku), 'n', 2)) FROM products), NULL, @b)",
         "CALL pay(@b, 'card')", "CALL send(@b, 'bike')"]),
    "one deletes an order, one takes something back": (
        ["DELETE FROM orders WHERE status IN ('sent', 'done') ORDER BY id LIMIT 3"],
        ["CALL take_back((SELECT MIN(id) FROM orders WHERE status IN ('sent', 'done')), 1, 1, 'broken')"]),
    "one moves a category, one deletes it": (
        ["CALL move_category((SELECT id FROM categories WHERE name='Pans'), (SELECT id FROM categories WHERE name='Paper'))"],
        ["DELETE FROM categories WHERE name='Kitchen'"]),
    "one deletes a category, one adds to it": (
        ["DELETE FROM categories WHERE name='Clothing'"],
        ["INSERT INTO categories (parent_id, name, slug) SELECT id, 'Hüte', 'hats' FROM categories WHERE name='Clothing'"]),
    "one renames a sku, one sells it": (
        ["UPDATE products SET sku=CONCAT('new ', sku) ORDER BY sku LIMIT 2"],
        ["CALL place_order(11, (SELECT JSON_ARRAY(JSON_OBJECT('sku', MIN(sku), 'n', 1)) FROM products), NULL, @a)"]),
    "one renames a sku, one edits what belongs to it": (
        ["UPDATE products SET sku=CONCAT('new ', sku) ORDER BY sku LIMIT 2"],
        ["UPDATE product_texts SET title='bert' ORDER BY sku, language LIMIT 4", "UPDATE stock SET shelf=NULL ORDER BY sku LIMIT 4"]),
    "both rename one coupon": (
        ["UPDATE coupons SET code='anna' WHERE code='SOMMER'"], ["UPDATE coupons SET code='bert' WHERE code='SOMMER'"]),
    "both rename one sku": (
        ["UPDATE products SET sku=CONCAT('anna ', sku) ORDER BY sku LIMIT 1"], ["UPDATE products SET sku=CONCAT('bert ', sku) ORDER BY sku LIMIT 1"]),
    "one renames skus, one their languages": (
        ["UPDATE products SET sku=CONCAT('new ', sku) ORDER BY sku LIMIT 10"],
        ["UPDATE languages SET code='de-AT' WHERE code='de'", "DELETE FROM languages WHERE code='ja'"]),
    "one renames a country, one moves there": (
        ["UPDATE countries SET code='UK' WHERE code='GB'"],
        ["UPDATE addresses SET country='GB', region='R1' WHERE id<6", "UPDATE customers SET country='GB' WHERE id<6"]),
    "one deletes staff, one gives them work": (
        ["DELETE FROM staff WHERE id IN (3, 9)"],
        ["UPDATE stores SET manager_id=9 WHERE id=1", "UPDATE orders SET staff_id=3 WHERE id<5",
         "INSERT INTO category_buyers SELECT id, 9 FROM categories WHERE id NOT IN (SELECT category_id FROM category_buyers WHERE staff_id=9) LIMIT 1"]),
}


@pytest.mark.parametrize("quarrel", QUARRELS)
def test_a_quarrel_in_the_shop_ends_equal_with_every_foreign_key_whole(shop: Pair, quarrel: str) -> None:
    for node, statements in zip(shop.nodes, QUARRELS[quarrel]):
        with Clerk(node) as clerk:
            for statement in statements:
                clerk.do(statement)
    shop.settle(codes=(0, 5))
    assert_in_step(shop)


def test_a_second_day_on_which_both_work_on_the_same_ends_equal(shop: Pair) -> None:
    both_days(shop)
    shop.settle()
    for node in shop.nodes:
        with Clerk(node) as clerk:
            for statement in [one for each in ("one edits, one edits", "one deletes customers, one edits them",
                                               "one deletes an order, one takes something back")
                              for one in QUARRELS[each][shop.nodes.index(node)]]:
                clerk.do(statement)
    shop.settle(codes=(0, 5))
    assert_in_step(shop)
    assert conflicts(shop) != []


# random days --------------------------------------------------------------------------------------------

def may_delete(pair: Pair) -> None:
    """Whoever works at random deletes half of a small table as well."""
    for node in pair.nodes:
        node.change_conf({"sync": {"max_delete": "off"}})


def test_a_seeded_random_day_in_turns_ends_equal(shop: Pair, rng: random.Random) -> None:
    """No two changes are concurrent: what is compared is what travels."""
    may_delete(shop)
    for node in (*shop.nodes, *shop.nodes):
        monkey = Monkey(node, random.Random(rng.random()))
        monkey.work(RANDOM_STATEMENTS)
        monkey.close()
        assert sum(monkey.done.values()) > RANDOM_STATEMENTS // 4, monkey.refused
        shop.settle()
        assert_in_step(shop)


def test_after_a_seeded_random_day_on_both_sides_offline_no_foreign_key_is_broken(shop: Pair, rng: random.Random) -> None:
    """What both refuse may wait for a person; all else is equal, and whole."""
    may_delete(shop)
    for node in shop.nodes:
        # A parent's key that changes while somebody apart gives it a child is a person's case.
        monkey = Monkey(node, random.Random(rng.random()), without=("key",))
        monkey.work(RANDOM_STATEMENTS)
        monkey.close()
    shop.settle(codes=(0, 5), timeout=120)
    assert [line for node in shop.nodes for line in broken_keys(node)] == []
    waiting = {table for node in shop.nodes for table, *_ in hand.owed(node)}
    different = {line.split(":")[0].split(" ")[0] for line in shop.differences()}
    assert different <= {table.split(" ")[0] for table in waiting}


# dumps --------------------------------------------------------------------------------------------------

def dump(node: Node, *options: str) -> str:
    """What mariadb-dump writes of the node's database."""
    return subprocess.run(
        [find_program("mariadb-dump", "mysqldump"), "--no-defaults", f"--socket={node.server.socket}", "--user=root",
         "--default-character-set=utf8mb4", "--hex-blob", *options], check=True, capture_output=True, text=True, timeout=120).stdout


def routines() -> str:
    """The shop's functions and procedures, as its makers deliver them."""
    text = load.SCHEMAS[SHOP].read_text(encoding="utf-8")
    made = re.findall(r"^CREATE (?:FUNCTION|PROCEDURE) .*?//$", text, re.M | re.S)
    assert len(made) == 13
    return "DELIMITER //\n" + "\n".join(made) + "\nDELIMITER ;\n"


@pytest.mark.parametrize("options", [("--routines", "--events"), ()], ids=["with routines and events", "without"])
def test_a_dump_of_one_laptop_begins_a_new_pair_that_goes_on(shop: Pair, options: Sequence[str]) -> None:
    """The dump carries our triggers and guards, of an installation that the new servers do not have."""
    with Clerk(shop.anna) as clerk:
        annas_day(clerk)
    text = dump(shop.anna, "--single-transaction", *options, shop.anna.database)
    assert "tandem_ai_" in text
    with Pair(schemas=()) as fresh:
        for node in fresh.nodes:
            if not options:  # a view that calls a function cannot be made without it
                node.server.script("SET SESSION check_constraint_checks=1;\n" + routines(), node.database)
            node.server.script(text, node.database)
        prepare(fresh)
        fresh.settle()
        assert_in_step(fresh)
        with Clerk(fresh.bert) as clerk:
            berts_day(clerk)
        with Clerk(fresh.anna) as clerk:
            sell(clerk, clerk.customers("IT")[:4], clerk.skus("Garden")[:4], "cash")
        fresh.settle()
        assert_in_step(fresh)
        assert conflicts(fresh) == []


RELOADS: dict[str, tuple[str, Callable[[Node], None], tuple[str, ...]]] = {
    "a log": ("audit", lambda node: node.sql("DELETE FROM audit"), ()),
    "a parent, replaced": ("products", lambda node: node.sql("UPDATE products SET price=price+1"), ("--replace",)),
    "a table with triggers that write elsewhere": (
        "reviews", lambda node: node.sql("DELETE FROM reviews WHERE id<60"), ("--insert-ignore",)),
    "a tree": ("categories", lambda node: node.sql("UPDATE categories SET place=9"), ("--replace",)),
}


@pytest.mark.parametrize("what", RELOADS)
def test_one_table_can_be_loaded_again_under_lock_tables(shop: Pair, what: str) -> None:
    table, change, options = RELOADS[what]
    text = dump(shop.anna, "--no-create-info", "--skip-triggers", *options, shop.anna.database, table)
    assert "LOCK TABLES" in text
    change(shop.anna)
    shop.anna.server.script(text, shop.anna.database)
    shop.anna.sql("UPDATE `key` SET `value`='and on' WHERE `key`='version'")
    shop.bert.start_serve()
    shop.anna.drain("--allow-deletes", check=0)
    shop.settle()
    assert_in_step(shop)
