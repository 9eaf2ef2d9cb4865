#!/usr/bin/python3
"""Writes shop.sql: a shop with stores, a catalogue, orders, returns and loyal customers, as large and as
grown as a real one. Always the same rows: only random.random() is used, whose sequence for a seed is the
same in every version of Python.

    tests/data/make-shop.py > tests/data/shop.sql
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import TypeVar

T = TypeVar("T")

CUSTOMERS, ADDRESSES, PRODUCTS, ORDERS, STAFF, CARTS = 220, 300, 180, 420, 26, 60
BASE = datetime(2024, 3, 4, 7, 15)

_random = random.Random(20240304)

# tables -----------------------------------------------------------------------------------------------

# A sheet of product data that grew by one column at every trade fair: 59 columns beside the key.
_SHEET_KINDS = (
    "VARCHAR(40) NULL", "DECIMAL(9,3) NULL", "INT NOT NULL DEFAULT 0", "ENUM('no','yes','on request') NOT NULL DEFAULT 'no'",
    "DATE NULL", "TEXT NULL", "SMALLINT UNSIGNED NULL", "DOUBLE NULL", "CHAR(3) CHARACTER SET latin1 NULL", "BIT(6) NULL",
    "YEAR NULL", "SET('eu','us','asia','ROW') NOT NULL DEFAULT ''")
SHEET = [(f"field_{n:02d}" if n % 7 else f"Feld {n} (alt)", _SHEET_KINDS[n % len(_SHEET_KINDS)]) for n in range(1, 60)]


def _sheet_columns() -> str:
    return ",\n".join(f"  `{name}` {kind}" for name, kind in SHEET)


TABLES = """\
-- A shop: stores, a catalogue, orders, returns, loyal customers; with views, routines, triggers and events.
-- Made by make-shop.py; change that, not this. Loads into the database that is in use.
SET NAMES utf8mb4;
SET time_zone = '+00:00';

-- What things are called everywhere: natural keys, which do change now and then.

CREATE TABLE countries (
  code CHAR(2) CHARACTER SET ascii NOT NULL,
  name VARCHAR(60) NOT NULL,
  in_union TINYINT(1) NOT NULL DEFAULT 0,
  PRIMARY KEY (code),
  UNIQUE KEY countries_name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE regions (
  country CHAR(2) CHARACTER SET ascii NOT NULL,
  code VARCHAR(6) NOT NULL,
  name VARCHAR(80) NOT NULL,
  PRIMARY KEY (country, code),
  CONSTRAINT regions_country FOREIGN KEY (country) REFERENCES countries (code) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE currencies (
  code CHAR(3) CHARACTER SET ascii NOT NULL,
  digits TINYINT UNSIGNED NOT NULL DEFAULT 2,
  per_euro DECIMAL(14,6) NOT NULL,
  PRIMARY KEY (code),
  CHECK (per_euro > 0)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE languages (
  code VARCHAR(8) CHARACTER SET ascii NOT NULL,
  name VARCHAR(40) NOT NULL,
  PRIMARY KEY (code)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE tax_rates (
  country CHAR(2) CHARACTER SET ascii NOT NULL,
  class ENUM('normal','reduced','zero') NOT NULL,
  valid_from DATE NOT NULL,
  rate DECIMAL(5,4) NOT NULL,
  PRIMARY KEY (country, class, valid_from),
  CONSTRAINT tax_rates_country FOREIGN KEY (country) REFERENCES countries (code) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT tax_rates_share CHECK (rate BETWEEN 0 AND 1)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Stores and those who work there: a circle, closed further down.

CREATE TABLE stores (
  id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT,
  name VARCHAR(60) NOT NULL,
  country CHAR(2) CHARACTER SET ascii NOT NULL,
  region VARCHAR(6) NOT NULL,
  manager_id INT UNSIGNED NULL,
  opens TIME NULL,
  position POINT NULL,
  open_days SET('mo','tu','we','th','fr','sa','su') NOT NULL DEFAULT 'mo,tu,we,th,fr',
  PRIMARY KEY (id),
  UNIQUE KEY stores_name (name),
  KEY stores_manager (manager_id),
  CONSTRAINT stores_region FOREIGN KEY (country, region) REFERENCES regions (country, code) ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE staff (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  store_id SMALLINT UNSIGNED NULL,
  boss_id INT UNSIGNED NULL,
  email VARCHAR(120) CHARACTER SET latin1 COLLATE latin1_swedish_ci NOT NULL,
  name VARCHAR(80) NOT NULL,
  role ENUM('clerk','cashier','manager','buyer','ehemalig') NOT NULL DEFAULT 'clerk',
  salary DECIMAL(10,2) NULL,
  password VARBINARY(64) NULL,
  hired YEAR NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY staff_email (email),
  CONSTRAINT staff_store FOREIGN KEY (store_id) REFERENCES stores (id) ON DELETE SET NULL,
  CONSTRAINT staff_boss FOREIGN KEY (boss_id) REFERENCES staff (id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

ALTER TABLE stores ADD CONSTRAINT stores_manager FOREIGN KEY (manager_id) REFERENCES staff (id) ON DELETE SET NULL;

-- Customers and addresses: another circle.

CREATE TABLE customer_groups (
  id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT,
  name VARCHAR(40) NOT NULL,
  discount DECIMAL(4,2) NOT NULL DEFAULT 0.00,
  PRIMARY KEY (id),
  UNIQUE KEY customer_groups_name (name),
  CHECK (discount >= 0 AND discount < 100)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_german1_ci;

CREATE TABLE customers (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  public_id UUID NOT NULL DEFAULT UUID(),
  email VARCHAR(160) NOT NULL,
  first_name VARCHAR(60) NOT NULL,
  last_name VARCHAR(60) NOT NULL,
  full_name VARCHAR(125) GENERATED ALWAYS AS (CONCAT(first_name, ' ', last_name)) STORED,
  country CHAR(2) CHARACTER SET ascii NOT NULL,
  language VARCHAR(8) CHARACTER SET ascii NULL,
  default_address_id INT UNSIGNED NULL,
  born YEAR NULL,
  flags BIT(8) NOT NULL DEFAULT b'0',
  newsletter SET('offers','new','events','partner') NOT NULL DEFAULT '',
  settings JSON NULL,
  credit DECIMAL(12,2) NOT NULL DEFAULT 0.00,
  created_at DATETIME(3) NULL,
  updated_at DATETIME(3) NULL,
  PRIMARY KEY (id),
  UNIQUE KEY customers_public (public_id),
  UNIQUE KEY customers_email (email),
  KEY customers_name (last_name, first_name),
  CONSTRAINT customers_country FOREIGN KEY (country) REFERENCES countries (code) ON UPDATE CASCADE,
  CONSTRAINT customers_language FOREIGN KEY (language) REFERENCES languages (code) ON DELETE SET NULL ON UPDATE CASCADE,
  CONSTRAINT customers_credit CHECK (credit >= -500)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE addresses (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  customer_id INT UNSIGNED NOT NULL,
  line1 VARCHAR(120) NOT NULL,
  line2 VARCHAR(120) NULL,
  postcode VARCHAR(12) NOT NULL,
  city VARCHAR(80) NOT NULL,
  country CHAR(2) CHARACTER SET ascii NOT NULL,
  region VARCHAR(6) NULL,
  PRIMARY KEY (id),
  KEY addresses_customer (customer_id),
  CONSTRAINT addresses_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE,
  CONSTRAINT addresses_region FOREIGN KEY (country, region) REFERENCES regions (country, code) ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

ALTER TABLE customers ADD CONSTRAINT customers_address FOREIGN KEY (default_address_id) REFERENCES addresses (id)
  ON DELETE SET NULL;

CREATE TABLE customer_group_members (
  customer_id INT UNSIGNED NOT NULL,
  group_id SMALLINT UNSIGNED NOT NULL,
  since TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (customer_id, group_id),
  CONSTRAINT members_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE,
  CONSTRAINT members_group FOREIGN KEY (group_id) REFERENCES customer_groups (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE loyalty (
  customer_id INT UNSIGNED NOT NULL,
  points BIGINT NOT NULL DEFAULT 0,
  tier ENUM('basic','silver','gold') NOT NULL DEFAULT 'basic',
  updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (customer_id),
  CONSTRAINT loyalty_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE gift_cards (
  code UUID NOT NULL,
  customer_id INT UNSIGNED NULL,
  currency CHAR(3) CHARACTER SET ascii NOT NULL,
  balance DECIMAL(8,2) NOT NULL,
  pin BINARY(4) NULL,
  valid_until DATE NULL,
  PRIMARY KEY (code),
  CONSTRAINT gift_cards_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE SET NULL,
  CONSTRAINT gift_cards_currency FOREIGN KEY (currency) REFERENCES currencies (code) ON UPDATE CASCADE,
  CHECK (balance >= 0)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- The catalogue. A sku is the key of a product, and is part of the keys of what belongs to it.

CREATE TABLE brands (
  id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT,
  name VARCHAR(60) NOT NULL,
  website VARCHAR(120) NULL,
  PRIMARY KEY (id),
  UNIQUE KEY brands_name (name)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_german1_ci;

CREATE TABLE categories (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  parent_id INT UNSIGNED NULL,
  name VARCHAR(60) NOT NULL,
  slug VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  place SMALLINT NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  UNIQUE KEY categories_slug (slug),
  UNIQUE KEY categories_name (parent_id, name),
  CONSTRAINT categories_parent FOREIGN KEY (parent_id) REFERENCES categories (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE products (
  sku VARCHAR(24) NOT NULL,
  name VARCHAR(120) NOT NULL,
  brand_id SMALLINT UNSIGNED NULL,
  category_id INT UNSIGNED NULL,
  tax_class ENUM('normal','reduced','zero') NOT NULL DEFAULT 'normal',
  price DECIMAL(10,2) NOT NULL,
  cost DECIMAL(10,2) NULL,
  margin DECIMAL(10,2) GENERATED ALWAYS AS (price - cost) VIRTUAL,
  weight_g MEDIUMINT UNSIGNED NULL,
  barcode BINARY(13) NULL,
  attributes JSON NULL,
  size VARCHAR(8) GENERATED ALWAYS AS (JSON_VALUE(attributes, '$.size')) STORED,
  tags SET('new','sale','eco','import','last') NOT NULL DEFAULT '',
  rating DOUBLE NULL,
  reviews INT UNSIGNED NOT NULL DEFAULT 0,
  launched YEAR NULL,
  created_at DATETIME NULL,
  updated_at DATETIME(6) NULL,
  PRIMARY KEY (sku),
  UNIQUE KEY products_barcode (barcode),
  KEY products_margin (margin),
  FULLTEXT KEY products_text (name),
  CONSTRAINT products_brand FOREIGN KEY (brand_id) REFERENCES brands (id) ON DELETE SET NULL,
  CONSTRAINT products_category FOREIGN KEY (category_id) REFERENCES categories (id) ON DELETE SET NULL,
  CONSTRAINT products_price CHECK (price >= 0)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE product_texts (
  sku VARCHAR(24) COLLATE utf8mb4_general_ci NOT NULL,
  language VARCHAR(8) CHARACTER SET ascii NOT NULL,
  title VARCHAR(160) NOT NULL,
  body MEDIUMTEXT NULL,
  PRIMARY KEY (sku, language),
  CONSTRAINT texts_product FOREIGN KEY (sku) REFERENCES products (sku) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT texts_language FOREIGN KEY (language) REFERENCES languages (code) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE product_images (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  sku VARCHAR(24) NOT NULL,
  place TINYINT UNSIGNED NOT NULL,
  image MEDIUMBLOB NOT NULL,
  digest BINARY(32) NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY images_place (sku, place),
  CONSTRAINT images_product FOREIGN KEY (sku) REFERENCES products (sku) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE product_relations (
  sku VARCHAR(24) NOT NULL,
  other_sku VARCHAR(24) NOT NULL,
  kind ENUM('accessory','successor','set') NOT NULL,
  note VARCHAR(60) NULL,
  PRIMARY KEY (sku, other_sku, kind),
  CONSTRAINT relations_one FOREIGN KEY (sku) REFERENCES products (sku) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT relations_other FOREIGN KEY (other_sku) REFERENCES products (sku) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE product_prices (
  sku VARCHAR(24) NOT NULL,
  currency CHAR(3) CHARACTER SET ascii NOT NULL,
  valid_from DATE NOT NULL,
  price DECIMAL(12,2) NOT NULL,
  PRIMARY KEY (sku, currency, valid_from),
  CONSTRAINT prices_product FOREIGN KEY (sku) REFERENCES products (sku) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT prices_currency FOREIGN KEY (currency) REFERENCES currencies (code) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE price_history (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  sku VARCHAR(24) NOT NULL,
  old_price DECIMAL(10,2) NULL,
  new_price DECIMAL(10,2) NULL,
  at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  KEY history_sku (sku, at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE product_sheet (
  sku VARCHAR(24) COLLATE utf8mb4_general_ci NOT NULL,
@SHEET@,
  PRIMARY KEY (sku),
  CONSTRAINT sheet_product FOREIGN KEY (sku) REFERENCES products (sku) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `Größen` (
  system VARCHAR(10) NOT NULL,
  `größe` VARCHAR(8) NOT NULL,
  `order` SMALLINT NOT NULL,
  PRIMARY KEY (system, `größe`),
  UNIQUE KEY `nach order` (system, `order`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_german2_ci;

CREATE TABLE variants (
  sku VARCHAR(24) COLLATE utf8mb4_general_ci NOT NULL,
  variant VARCHAR(16) COLLATE utf8mb4_general_ci NOT NULL,
  system VARCHAR(10) CHARACTER SET latin1 COLLATE latin1_german2_ci NULL,
  `größe` VARCHAR(8) CHARACTER SET latin1 COLLATE latin1_german2_ci NULL,
  extra DECIMAL(8,2) NOT NULL DEFAULT 0.00,
  PRIMARY KEY (sku, variant),
  CONSTRAINT variants_product FOREIGN KEY (sku) REFERENCES products (sku) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT `variants größe` FOREIGN KEY (system, `größe`) REFERENCES `Größen` (system, `größe`)
    ON DELETE SET NULL ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE reviews (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  sku VARCHAR(24) NOT NULL,
  customer_id INT UNSIGNED NULL,
  stars TINYINT UNSIGNED NOT NULL,
  body TEXT NULL,
  created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  UNIQUE KEY reviews_once (sku, customer_id),
  CONSTRAINT reviews_product FOREIGN KEY (sku) REFERENCES products (sku) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT reviews_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE SET NULL,
  CONSTRAINT reviews_stars CHECK (stars BETWEEN 1 AND 5)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE `wish list` (
  customer_id INT UNSIGNED NOT NULL,
  sku VARCHAR(24) COLLATE utf8mb4_general_ci NOT NULL,
  `rank` INT NULL,
  PRIMARY KEY (customer_id, sku),
  CONSTRAINT `wish of` FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE,
  CONSTRAINT `wish for` FOREIGN KEY (sku) REFERENCES products (sku) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Goods: who delivers them and where they lie.

CREATE TABLE suppliers (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  name VARCHAR(80) NOT NULL,
  country CHAR(2) CHARACTER SET ascii NOT NULL,
  buyer_id INT UNSIGNED NULL,
  terms TINYTEXT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY suppliers_name (name, country),
  CONSTRAINT suppliers_country FOREIGN KEY (country) REFERENCES countries (code) ON UPDATE CASCADE,
  CONSTRAINT suppliers_buyer FOREIGN KEY (buyer_id) REFERENCES staff (id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;

CREATE TABLE supplier_products (
  supplier_id INT UNSIGNED NOT NULL,
  sku VARCHAR(24) NOT NULL,
  their_number VARCHAR(30) NULL,
  cost DECIMAL(10,4) NOT NULL,
  days SMALLINT UNSIGNED NULL,
  PRIMARY KEY (supplier_id, sku),
  UNIQUE KEY supplier_number (supplier_id, their_number),
  CONSTRAINT supplies_supplier FOREIGN KEY (supplier_id) REFERENCES suppliers (id) ON DELETE CASCADE,
  CONSTRAINT supplies_product FOREIGN KEY (sku) REFERENCES products (sku) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE warehouses (
  code VARCHAR(8) NOT NULL,
  store_id SMALLINT UNSIGNED NULL,
  name VARCHAR(60) NOT NULL,
  PRIMARY KEY (code),
  CONSTRAINT warehouses_store FOREIGN KEY (store_id) REFERENCES stores (id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_general_cs;

CREATE TABLE stock (
  warehouse VARCHAR(8) CHARACTER SET latin1 COLLATE latin1_general_cs NOT NULL,
  sku VARCHAR(24) COLLATE utf8mb4_general_ci NOT NULL,
  quantity INT NOT NULL DEFAULT 0,
  reserved INT UNSIGNED NOT NULL DEFAULT 0,
  shelf VARCHAR(10) NULL,
  updated_at DATETIME NULL,
  PRIMARY KEY (warehouse, sku),
  UNIQUE KEY stock_shelf (warehouse, shelf),
  CONSTRAINT stock_warehouse FOREIGN KEY (warehouse) REFERENCES warehouses (code) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT stock_product FOREIGN KEY (sku) REFERENCES products (sku) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT stock_sane CHECK (quantity >= -10000)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE stock_moves (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  warehouse VARCHAR(8) CHARACTER SET latin1 COLLATE latin1_general_cs NOT NULL,
  sku VARCHAR(24) COLLATE utf8mb4_general_ci NOT NULL,
  quantity INT NOT NULL,
  reason ENUM('sale','return','delivery','count') NOT NULL,
  staff_id INT UNSIGNED NULL,
  at DATETIME(3) NULL,
  PRIMARY KEY (id),
  CONSTRAINT moves_stock FOREIGN KEY (warehouse, sku) REFERENCES stock (warehouse, sku) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT moves_staff FOREIGN KEY (staff_id) REFERENCES staff (id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Sales.

CREATE TABLE carts (
  id BINARY(16) NOT NULL,
  customer_id INT UNSIGNED NULL,
  updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  PRIMARY KEY (id),
  CONSTRAINT carts_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE cart_lines (
  cart_id BINARY(16) NOT NULL,
  sku VARCHAR(24) COLLATE utf8mb4_general_ci NOT NULL,
  variant VARCHAR(16) COLLATE utf8mb4_general_ci NOT NULL,
  quantity SMALLINT UNSIGNED NOT NULL DEFAULT 1,
  PRIMARY KEY (cart_id, sku, variant),
  CONSTRAINT cart_lines_cart FOREIGN KEY (cart_id) REFERENCES carts (id) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT cart_lines_variant FOREIGN KEY (sku, variant) REFERENCES variants (sku, variant)
    ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE coupons (
  code VARCHAR(20) NOT NULL,
  percent DECIMAL(5,2) NOT NULL,
  starts DATETIME NOT NULL,
  ends DATETIME NULL,
  PRIMARY KEY (code),
  CONSTRAINT coupons_percent CHECK (percent > 0 AND percent <= 100),
  CONSTRAINT coupons_time CHECK (ends IS NULL OR ends >= starts)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE payment_methods (
  code VARCHAR(12) CHARACTER SET ascii NOT NULL,
  name VARCHAR(40) NOT NULL,
  fee DECIMAL(5,3) NOT NULL DEFAULT 0,
  PRIMARY KEY (code)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE carriers (
  code VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  name VARCHAR(40) NOT NULL,
  PRIMARY KEY (code)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE orders (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  number VARCHAR(20) NULL,
  customer_id INT UNSIGNED NOT NULL,
  address_id INT UNSIGNED NULL,
  store_id SMALLINT UNSIGNED NULL,
  staff_id INT UNSIGNED NULL,
  currency CHAR(3) CHARACTER SET ascii NOT NULL DEFAULT 'EUR',
  coupon VARCHAR(20) NULL,
  status ENUM('new','paid','sent','done','cancelled') NOT NULL DEFAULT 'new',
  total DECIMAL(12,2) NOT NULL DEFAULT 0.00,
  note TEXT NULL,
  created_at DATETIME(6) NULL,
  updated_at DATETIME(6) NULL,
  PRIMARY KEY (id),
  UNIQUE KEY orders_number (number),
  KEY orders_status (status, created_at),
  CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE,
  CONSTRAINT orders_address FOREIGN KEY (address_id) REFERENCES addresses (id) ON DELETE SET NULL,
  CONSTRAINT orders_store FOREIGN KEY (store_id) REFERENCES stores (id) ON DELETE SET NULL,
  CONSTRAINT orders_staff FOREIGN KEY (staff_id) REFERENCES staff (id) ON DELETE SET NULL,
  CONSTRAINT orders_currency FOREIGN KEY (currency) REFERENCES currencies (code) ON UPDATE CASCADE,
  CONSTRAINT orders_coupon FOREIGN KEY (coupon) REFERENCES coupons (code) ON DELETE SET NULL ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE order_lines (
  order_id INT UNSIGNED NOT NULL,
  line SMALLINT UNSIGNED NOT NULL,
  sku VARCHAR(24) COLLATE utf8mb4_general_ci NOT NULL,
  quantity INT NOT NULL,
  price DECIMAL(10,2) NULL,
  total DECIMAL(12,2) GENERATED ALWAYS AS (quantity * price) STORED,
  PRIMARY KEY (order_id, line),
  KEY order_lines_sku (sku),
  CONSTRAINT lines_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT lines_product FOREIGN KEY (sku) REFERENCES products (sku) ON UPDATE CASCADE,
  CONSTRAINT lines_quantity CHECK (quantity > 0)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE order_events (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  order_id INT UNSIGNED NOT NULL,
  staff_id INT UNSIGNED NULL,
  what VARCHAR(80) NOT NULL,
  at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT events_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT events_staff FOREIGN KEY (staff_id) REFERENCES staff (id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=latin1;

CREATE TABLE coupon_uses (
  coupon VARCHAR(20) COLLATE utf8mb4_unicode_ci NOT NULL,
  customer_id INT UNSIGNED NOT NULL,
  order_id INT UNSIGNED NULL,
  PRIMARY KEY (coupon, customer_id),
  CONSTRAINT uses_coupon FOREIGN KEY (coupon) REFERENCES coupons (code) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT uses_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE,
  CONSTRAINT uses_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE SET NULL ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE payments (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  order_id INT UNSIGNED NOT NULL,
  method VARCHAR(12) CHARACTER SET ascii NOT NULL,
  gift_card UUID NULL,
  amount DECIMAL(12,2) NOT NULL,
  reference VARCHAR(40) NULL,
  paid_at DATETIME NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY payments_reference (method, reference),
  CONSTRAINT payments_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT payments_method FOREIGN KEY (method) REFERENCES payment_methods (code) ON UPDATE CASCADE,
  CONSTRAINT payments_card FOREIGN KEY (gift_card) REFERENCES gift_cards (code) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE shipments (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  order_id INT UNSIGNED NOT NULL,
  warehouse VARCHAR(8) CHARACTER SET latin1 COLLATE latin1_general_cs NULL,
  carrier VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  tracking VARCHAR(40) NULL,
  sent_at DATETIME NULL,
  PRIMARY KEY (id),
  UNIQUE KEY shipments_tracking (carrier, tracking),
  CONSTRAINT shipments_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT shipments_carrier FOREIGN KEY (carrier) REFERENCES carriers (code) ON UPDATE CASCADE,
  CONSTRAINT shipments_warehouse FOREIGN KEY (warehouse) REFERENCES warehouses (code) ON DELETE SET NULL ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE shipment_lines (
  shipment_id INT UNSIGNED NOT NULL,
  order_id INT UNSIGNED NOT NULL,
  line SMALLINT UNSIGNED NOT NULL,
  quantity INT NOT NULL,
  PRIMARY KEY (shipment_id, order_id, line),
  CONSTRAINT shipped_shipment FOREIGN KEY (shipment_id) REFERENCES shipments (id) ON DELETE CASCADE,
  CONSTRAINT shipped_line FOREIGN KEY (order_id, line) REFERENCES order_lines (order_id, line)
    ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE `returns` (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  order_id INT UNSIGNED NOT NULL,
  line SMALLINT UNSIGNED NOT NULL,
  quantity INT NOT NULL,
  reason ENUM('broken','wrong','size','changed mind') NOT NULL,
  note VARCHAR(200) NULL,
  created_at DATETIME NULL,
  PRIMARY KEY (id),
  CONSTRAINT returns_line FOREIGN KEY (order_id, line) REFERENCES order_lines (order_id, line)
    ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE return_photos (
  return_id INT UNSIGNED NOT NULL,
  n TINYINT UNSIGNED NOT NULL,
  photo BLOB NOT NULL,
  PRIMARY KEY (return_id, n),
  CONSTRAINT photos_return FOREIGN KEY (return_id) REFERENCES `returns` (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE refunds (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  return_id INT UNSIGNED NOT NULL,
  payment_id INT UNSIGNED NULL,
  amount DECIMAL(12,2) NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT refunds_return FOREIGN KEY (return_id) REFERENCES `returns` (id) ON DELETE CASCADE,
  CONSTRAINT refunds_payment FOREIGN KEY (payment_id) REFERENCES payments (id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Beside the goods.

CREATE TABLE `till``s drawer` (
  store_id SMALLINT UNSIGNED NOT NULL,
  `day` DATE NOT NULL,
  `cash in "EUR"` DECIMAL(10,2) NOT NULL DEFAULT 0.00,
  counted_by INT UNSIGNED NULL,
  PRIMARY KEY (store_id, `day`),
  CONSTRAINT `drawer's store` FOREIGN KEY (store_id) REFERENCES stores (id) ON DELETE CASCADE,
  CONSTRAINT `drawer's count` FOREIGN KEY (counted_by) REFERENCES staff (id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE `key` (
  `key` VARCHAR(64) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL,
  `value` LONGTEXT NULL,
  PRIMARY KEY (`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE category_buyers (
  category_id INT UNSIGNED NOT NULL,
  staff_id INT UNSIGNED NOT NULL,
  PRIMARY KEY (category_id, staff_id),
  CONSTRAINT buyers_category FOREIGN KEY (category_id) REFERENCES categories (id) ON DELETE CASCADE,
  CONSTRAINT buyers_staff FOREIGN KEY (staff_id) REFERENCES staff (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE audit (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  at DATETIME(6) NOT NULL,
  who VARCHAR(80) NOT NULL,
  what VARCHAR(40) NOT NULL,
  which VARCHAR(80) NOT NULL,
  details JSON NULL,
  PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
""".replace("@SHEET@", _sheet_columns())

# what stands beside the tables: made after the rows, so that these are as written here -------------------

CODE = """
DELIMITER //

CREATE FUNCTION tax_of(where_to CHAR(2), what VARCHAR(10)) RETURNS DECIMAL(5,4) READS SQL DATA
BEGIN
  DECLARE found DECIMAL(5,4) DEFAULT 0;
  SELECT rate INTO found FROM tax_rates WHERE country = where_to AND class = what AND valid_from <= CURDATE()
    ORDER BY valid_from DESC LIMIT 1;
  RETURN found;
END//

CREATE FUNCTION category_path(wanted INT UNSIGNED) RETURNS TEXT CHARSET utf8mb4 READS SQL DATA
BEGIN
  DECLARE path TEXT CHARSET utf8mb4 DEFAULT '';
  DECLARE here INT UNSIGNED DEFAULT wanted;
  DECLARE above INT UNSIGNED;
  DECLARE label VARCHAR(60) CHARSET utf8mb4;
  DECLARE steps INT DEFAULT 0;
  WHILE here IS NOT NULL AND steps < 20 DO
    SET above = NULL, label = NULL;
    SELECT parent_id, name INTO above, label FROM categories WHERE id = here;
    SET path = CONCAT('/', IFNULL(label, '?'), path), here = above, steps = steps + 1;
  END WHILE;
  RETURN path;
END//

CREATE FUNCTION best_warehouse(wanted VARCHAR(24) CHARSET utf8mb4) RETURNS VARCHAR(8) CHARSET latin1 READS SQL DATA
  RETURN (SELECT warehouse FROM stock WHERE sku = wanted ORDER BY quantity DESC, warehouse LIMIT 1)//

CREATE FUNCTION order_sum(wanted INT UNSIGNED) RETURNS DECIMAL(12,2) READS SQL DATA
  RETURN (SELECT IFNULL(SUM(total), 0) FROM order_lines WHERE order_id = wanted)//

CREATE FUNCTION spend_card(wanted UUID, sum DECIMAL(8,2)) RETURNS DECIMAL(8,2) MODIFIES SQL DATA
BEGIN
  UPDATE gift_cards SET balance = balance - LEAST(balance, sum) WHERE code = wanted;
  RETURN (SELECT balance FROM gift_cards WHERE code = wanted);
END//

CREATE TRIGGER customers_stamp BEFORE INSERT ON customers FOR EACH ROW
  SET NEW.created_at = IFNULL(NEW.created_at, NOW(3)), NEW.updated_at = NOW(3), NEW.email = LOWER(NEW.email)//
CREATE TRIGGER customers_touch BEFORE UPDATE ON customers FOR EACH ROW SET NEW.updated_at = NOW(3)//
CREATE TRIGGER customers_audit AFTER UPDATE ON customers FOR EACH ROW
BEGIN
  IF NOT (OLD.email <=> NEW.email) OR NOT (OLD.credit <=> NEW.credit) THEN
    INSERT INTO audit (at, who, what, which, details) VALUES (NOW(6), CURRENT_USER(), 'customer', NEW.id,
      JSON_OBJECT('email', JSON_ARRAY(OLD.email, NEW.email), 'credit', JSON_ARRAY(OLD.credit, NEW.credit)));
  END IF;
END//
CREATE TRIGGER customers_gone AFTER DELETE ON customers FOR EACH ROW
  INSERT INTO audit (at, who, what, which) VALUES (NOW(6), CURRENT_USER(), 'customer gone', CONCAT(OLD.id, ' ', OLD.public_id))//
CREATE TRIGGER customers_loyal AFTER INSERT ON customers FOR EACH ROW INSERT INTO loyalty (customer_id) VALUES (NEW.id)//

CREATE TRIGGER products_stamp BEFORE INSERT ON products FOR EACH ROW
  SET NEW.created_at = NOW(), NEW.updated_at = NOW(6), NEW.sku = TRIM(NEW.sku)//
CREATE TRIGGER products_touch BEFORE UPDATE ON products FOR EACH ROW SET NEW.updated_at = NOW(6)//
CREATE TRIGGER products_prices AFTER UPDATE ON products FOR EACH ROW
BEGIN
  IF OLD.price <> NEW.price THEN
    INSERT INTO price_history (sku, old_price, new_price, at) VALUES (NEW.sku, OLD.price, NEW.price, NOW(6));
  END IF;
  IF OLD.sku <> NEW.sku THEN
    INSERT INTO audit (at, who, what, which) VALUES (NOW(6), CURRENT_USER(), 'renamed', CONCAT(OLD.sku, ' ', NEW.sku));
  END IF;
END//

CREATE TRIGGER orders_stamp BEFORE INSERT ON orders FOR EACH ROW
  SET NEW.created_at = IFNULL(NEW.created_at, NOW(6)), NEW.updated_at = NOW(6)//
CREATE TRIGGER orders_touch BEFORE UPDATE ON orders FOR EACH ROW SET NEW.updated_at = NOW(6)//
CREATE TRIGGER orders_told AFTER UPDATE ON orders FOR EACH ROW
BEGIN
  IF OLD.status <> NEW.status THEN
    INSERT INTO order_events (order_id, staff_id, what, at) VALUES (NEW.id, NEW.staff_id,
      CONCAT(OLD.status, ' -> ', NEW.status), NOW(6));
  END IF;
END//
CREATE TRIGGER orders_gone AFTER DELETE ON orders FOR EACH ROW
  INSERT INTO audit (at, who, what, which) VALUES (NOW(6), CURRENT_USER(), 'order gone', IFNULL(OLD.number, OLD.id))//

CREATE TRIGGER lines_price BEFORE INSERT ON order_lines FOR EACH ROW
BEGIN
  IF NEW.price IS NULL THEN
    SET NEW.price = (SELECT price FROM products WHERE sku = NEW.sku);
  END IF;
END//
CREATE TRIGGER lines_stock AFTER INSERT ON order_lines FOR EACH ROW
BEGIN
  DECLARE place VARCHAR(8) CHARSET latin1 DEFAULT best_warehouse(NEW.sku);
  IF place IS NOT NULL THEN
    INSERT INTO stock_moves (warehouse, sku, quantity, reason) VALUES (place, NEW.sku, -NEW.quantity, 'sale');
  END IF;
  UPDATE orders SET total = order_sum(NEW.order_id) WHERE id = NEW.order_id;
END//
CREATE TRIGGER lines_changed AFTER UPDATE ON order_lines FOR EACH ROW
BEGIN
  DECLARE place VARCHAR(8) CHARSET latin1 DEFAULT best_warehouse(NEW.sku);
  IF OLD.quantity <> NEW.quantity AND place IS NOT NULL THEN
    INSERT INTO stock_moves (warehouse, sku, quantity, reason) VALUES (place, NEW.sku, OLD.quantity - NEW.quantity, 'sale');
  END IF;
  UPDATE orders SET total = order_sum(NEW.order_id) WHERE id = NEW.order_id;
END//
CREATE TRIGGER lines_gone AFTER DELETE ON order_lines FOR EACH ROW
BEGIN
  DECLARE place VARCHAR(8) CHARSET latin1 DEFAULT best_warehouse(OLD.sku);
  IF place IS NOT NULL THEN
    INSERT INTO stock_moves (warehouse, sku, quantity, reason) VALUES (place, OLD.sku, OLD.quantity, 'return');
  END IF;
  UPDATE orders SET total = order_sum(OLD.order_id) WHERE id = OLD.order_id;
END//

CREATE TRIGGER moves_stamp BEFORE INSERT ON stock_moves FOR EACH ROW SET NEW.at = NOW(3)//
CREATE TRIGGER moves_count AFTER INSERT ON stock_moves FOR EACH ROW
  UPDATE stock SET quantity = quantity + NEW.quantity WHERE warehouse = NEW.warehouse AND sku = NEW.sku//
CREATE TRIGGER stock_stamp BEFORE INSERT ON stock FOR EACH ROW SET NEW.updated_at = NOW()//
CREATE TRIGGER stock_touch BEFORE UPDATE ON stock FOR EACH ROW SET NEW.updated_at = NOW()//

CREATE TRIGGER returns_stamp BEFORE INSERT ON `returns` FOR EACH ROW
BEGIN
  DECLARE sold INT;
  SELECT quantity INTO sold FROM order_lines WHERE order_id = NEW.order_id AND line = NEW.line;
  IF NEW.quantity > sold THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'more comes back than was sold';
  END IF;
  SET NEW.created_at = NOW();
END//
CREATE TRIGGER returns_stock AFTER INSERT ON `returns` FOR EACH ROW
BEGIN
  DECLARE what VARCHAR(24) CHARSET utf8mb4;
  SELECT sku INTO what FROM order_lines WHERE order_id = NEW.order_id AND line = NEW.line;
  IF NEW.reason <> 'broken' AND best_warehouse(what) IS NOT NULL THEN
    INSERT INTO stock_moves (warehouse, sku, quantity, reason) VALUES (best_warehouse(what), what, NEW.quantity, 'return');
  END IF;
END//

CREATE TRIGGER reviews_new AFTER INSERT ON reviews FOR EACH ROW
  UPDATE products SET rating = (SELECT AVG(stars) FROM reviews WHERE sku = NEW.sku), reviews = reviews + 1 WHERE sku = NEW.sku//
CREATE TRIGGER reviews_gone AFTER DELETE ON reviews FOR EACH ROW
  UPDATE products SET rating = (SELECT AVG(stars) FROM reviews WHERE sku = OLD.sku), reviews = IF(reviews > 0, reviews - 1, 0)
    WHERE sku = OLD.sku//

CREATE TRIGGER payments_loyal AFTER INSERT ON payments FOR EACH ROW
BEGIN
  INSERT INTO loyalty (customer_id, points) SELECT customer_id, FLOOR(NEW.amount) FROM orders WHERE id = NEW.order_id
    ON DUPLICATE KEY UPDATE points = points + FLOOR(NEW.amount), tier = IF(points > 1000, 'gold', IF(points > 300, 'silver', tier));
END//
CREATE TRIGGER `categories' audit` AFTER UPDATE ON categories FOR EACH ROW
BEGIN
  IF NOT (OLD.parent_id <=> NEW.parent_id) THEN
    INSERT INTO audit (at, who, what, which, details) VALUES (NOW(6), CURRENT_USER(), 'category moved', NEW.slug,
      JSON_OBJECT('from', OLD.parent_id, 'to', NEW.parent_id));
  END IF;
END//
CREATE TRIGGER `drawer counted` BEFORE UPDATE ON `till``s drawer` FOR EACH ROW
BEGIN
  IF NEW.`cash in "EUR"` < 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a drawer cannot hold less than nothing';
  END IF;
END//

CREATE PROCEDURE place_order(who INT UNSIGNED, wanted JSON, used VARCHAR(20) CHARSET utf8mb4, OUT made INT UNSIGNED)
BEGIN
  DECLARE n INT DEFAULT 0;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  START TRANSACTION;
  INSERT INTO orders (customer_id, address_id, coupon, note) SELECT id, default_address_id, used, NULL FROM customers WHERE id = who;
  SET made = LAST_INSERT_ID();
  UPDATE orders SET number = CONCAT('S-', LPAD(made, 7, '0')) WHERE id = made;
  WHILE n < JSON_LENGTH(wanted) DO
    INSERT INTO order_lines (order_id, line, sku, quantity) VALUES (made, n + 1,
      JSON_VALUE(wanted, CONCAT('$[', n, '].sku')), JSON_VALUE(wanted, CONCAT('$[', n, '].n')));
    SET n = n + 1;
  END WHILE;
  IF used IS NOT NULL THEN
    INSERT INTO coupon_uses VALUES (used, who, made);
  END IF;
  COMMIT;
END//

CREATE PROCEDURE pay(which INT UNSIGNED, how VARCHAR(12) CHARSET ascii)
BEGIN
  INSERT INTO payments (order_id, method, amount, reference, paid_at)
    SELECT id, how, total, CONCAT('ref ', id, '/', how), NOW() FROM (SELECT id, total FROM orders WHERE id = which) AS o;
  UPDATE orders SET status = 'paid' WHERE id = which AND status = 'new';
END//

CREATE PROCEDURE send(which INT UNSIGNED, by_whom VARCHAR(12) CHARSET ascii)
BEGIN
  DECLARE made INT UNSIGNED;
  START TRANSACTION;
  INSERT INTO shipments (order_id, warehouse, carrier, tracking, sent_at)
    VALUES (which, (SELECT MIN(code) FROM warehouses), by_whom, CONCAT('T', which), NOW());
  SET made = LAST_INSERT_ID();
  INSERT INTO shipment_lines SELECT made, order_id, line, quantity FROM order_lines WHERE order_id = which;
  UPDATE orders SET status = 'sent' WHERE id = which;
  COMMIT;
END//

CREATE PROCEDURE take_back(which INT UNSIGNED, n SMALLINT UNSIGNED, how_many INT, why VARCHAR(20) CHARSET utf8mb4)
BEGIN
  DECLARE made INT UNSIGNED;
  INSERT INTO `returns` (order_id, line, quantity, reason) VALUES (which, n, how_many, why);
  SET made = LAST_INSERT_ID();
  INSERT INTO return_photos VALUES (made, 1, UNHEX(SHA1(made))), (made, 2, REPEAT(X'00FF', 40));
  INSERT INTO refunds (return_id, payment_id, amount)
    SELECT made, (SELECT MIN(id) FROM payments WHERE order_id = which), how_many * price
    FROM order_lines WHERE order_id = which AND line = n;
END//

CREATE PROCEDURE change_prices(root INT UNSIGNED, percent DECIMAL(6,2))
BEGIN
  UPDATE products SET price = ROUND(price * (100 + percent) / 100, 2) WHERE category_id IN (
    WITH RECURSIVE below AS (SELECT id FROM categories WHERE id = root
      UNION SELECT c.id FROM categories c JOIN below ON c.parent_id = below.id) SELECT id FROM below);
END//

CREATE PROCEDURE deliver(from_whom INT UNSIGNED, place VARCHAR(8) CHARSET latin1, how_many INT)
BEGIN
  DECLARE done INT DEFAULT 0;
  DECLARE what VARCHAR(24) CHARSET utf8mb4;
  DECLARE those CURSOR FOR SELECT sku FROM supplier_products WHERE supplier_id = from_whom ORDER BY sku;
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1;
  OPEN those;
  next_one: LOOP
    FETCH those INTO what;
    IF done THEN LEAVE next_one; END IF;
    INSERT IGNORE INTO stock (warehouse, sku) VALUES (place, what);
    INSERT INTO stock_moves (warehouse, sku, quantity, reason) VALUES (place, what, how_many, 'delivery');
  END LOOP;
  CLOSE those;
END//

CREATE PROCEDURE move_category(which INT UNSIGNED, under INT UNSIGNED)
  UPDATE categories SET parent_id = under WHERE id = which AND NOT (which <=> under)//

CREATE PROCEDURE forget_customer(which INT UNSIGNED)
BEGIN
  DELETE FROM carts WHERE customer_id = which;
  DELETE FROM customers WHERE id = which;
END//

CREATE EVENT forget_carts ON SCHEDULE EVERY 1 DAY STARTS '2024-01-01 03:00:00' ON COMPLETION PRESERVE
  DO DELETE FROM carts WHERE updated_at < NOW() - INTERVAL 400 DAY//
CREATE EVENT close_orders ON SCHEDULE EVERY 1 DAY STARTS '2024-01-01 04:00:00' ON COMPLETION PRESERVE
  DO UPDATE orders SET status = 'done' WHERE status = 'sent' AND updated_at < NOW() - INTERVAL 30 DAY//
CREATE EVENT end_coupons ON SCHEDULE EVERY 1 WEEK STARTS '2024-01-01 05:00:00' ON COMPLETION PRESERVE DISABLE
  DO DELETE FROM coupons WHERE ends < NOW() - INTERVAL 1 YEAR//

CREATE VIEW order_overview AS SELECT o.id, o.number, c.full_name, o.status, o.total, COUNT(l.line) AS line_count
  FROM orders o JOIN customers c ON c.id = o.customer_id LEFT JOIN order_lines l ON l.order_id = o.id GROUP BY o.id//
CREATE VIEW price_list AS SELECT p.sku, p.name, b.name AS brand, category_path(p.category_id) AS path, p.price
  FROM products p LEFT JOIN brands b ON b.id = p.brand_id//
CREATE VIEW cheap AS SELECT sku, name, price FROM products WHERE price < 20 WITH CHECK OPTION//
CREATE VIEW stock_overview AS SELECT sku, SUM(quantity) AS quantity FROM stock GROUP BY sku//
CREATE SQL SECURITY INVOKER VIEW `best customers` AS SELECT c.id, c.full_name, SUM(o.total) AS spent
  FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.id HAVING spent > 500//

DELIMITER ;
"""

# rows -----------------------------------------------------------------------------------------------------

FIRST = ["Amina", "Anaïs", "Zoë", "Björn", "José", "Łukasz", "Søren", "Chloé", "İpek", "Siobhán", "Mehmet", "Priya",
         "Kwame", "Yuki", "Olena", "Jürgen", "Ingrid", "Tomás", "Léa", "Omar", "Noor", "Éva", "Ján", "Renée", "佳怡", "Ольга"]
LAST = ["O'Connor", "Müller", "García Márquez", "Nguyễn", "Škoda", "Ångström", "D'Angelo", "Okafor", "Kowalczyk", "Yılmaz",
        "Petrović", "de la Cruz", "Haddad", "Tanaka", "Lefèvre", "Weiß", "Patel", "van den Berg", "Novák", "Rossi", "王", "Иваненко"]
COUNTRIES = [("DE", "Deutschland", 1), ("AT", "Österreich", 1), ("CH", "Schweiz", 0), ("FR", "France", 1), ("DK", "Danmark", 1),
             ("PL", "Polska", 1), ("IT", "Italia", 1), ("ES", "España", 1), ("CZ", "Česko", 1), ("GB", "United Kingdom", 0),
             ("NO", "Norge", 0), ("JP", "日本", 0)]
CURRENCIES = [("EUR", 2, "1.000000"), ("CHF", 2, "0.951200"), ("GBP", 2, "0.843100"), ("DKK", 2, "7.460000"),
              ("PLN", 2, "4.312500"), ("JPY", 0, "163.880000")]
LANGUAGES = [("de", "Deutsch"), ("de-CH", "Schweizerdeutsch"), ("en", "English"), ("fr", "Français"), ("pl", "Polski"),
             ("ja", "日本語"), ("da", "Dansk")]
BRANDS = ["Häberle", "Nørgaard", "Café Noir", "Ohm & Söhne", "Tre Stelle", "Bleu d'Azur", "Muñoz", "Straße 7", "Linie Zwölf"]
TREE = [("Garden", ["Tools", "Seeds", "Furniture"]), ("Kitchen", ["Pans", "Knives", "Small machines", "Glass"]),
        ("Clothing", ["Shirts", "Shoes", "Coats"]), ("Paper", ["Pens", "Books"]), ("Küche & Bad", ["Handtücher", "Seife"])]
THINGS = ["Spade", "Kettle", "Lamp", "Knife", "Coat", "Notebook", "Chair", "Pan", "Mug", "Boot", "Schürze", "Théière", "Seife"]
KINDS = ["plain", "blue", "grün", "small", "XL", "de luxe", "№ 5", "1:10", "old", "50% more"]
CITIES = ["Köln", "Wien", "Zürich", "Saint-Étienne", "Århus", "Łódź", "Forlì", "A Coruña", "Český Krumlov", "York", "Tromsø", "京都"]
NOTES = ["", "Please ring twice 🔔", "Back entrance;\nred door\tleft", "It's a gift, so no invoice", "C:\\temp is not a place",
         "Ihr seid großartig – danke!", "谢谢!", "50% now, the rest in cash"]
SIZES = [("EU", ["36", "37", "38", "39", "40", "41", "42"]), ("letters", ["XS", "S", "M", "L", "XL"]), ("Maß", ["klein", "groß"])]


class Raw(str):
    """SQL that is written as it is."""


def pick(items: Sequence[T]) -> T:
    return items[int(_random.random() * len(items))]


def between(low: int, high: int) -> int:
    return low + int(_random.random() * (high - low + 1))


def chance(share: float) -> bool:
    return _random.random() < share


def some(items: Sequence[T], n: int) -> list[T]:
    """n different ones, in their order."""
    left = list(range(len(items)))
    while len(left) > n:
        left.pop(int(_random.random() * len(left)))
    return [items[i] for i in left]


def moment(days: int) -> datetime:
    return BASE + timedelta(minutes=between(0, days * 24 * 60))


def money(low: int, high: int) -> str:
    return f"{between(low * 100, high * 100) / 100:.2f}"


def digest(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


def binary(text: object, length: int) -> Raw:
    """Bytes that look like any."""
    whole = ""
    while len(whole) < 2 * length:
        whole += digest(f"{text} {len(whole)}")
    return Raw(f"x'{whole[:2 * length]}'")


def uuid(text: object) -> str:
    h = digest(text)
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-9{h[17:20]}-{h[20:32]}"


def literal(value: object) -> str:
    """A value as SQL text."""
    if value is None:
        return "NULL"
    if isinstance(value, (Raw, int, float)):
        return str(value)
    text = str(value)
    for plain, escaped in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\t", "\\t")):
        text = text.replace(plain, escaped)
    return f"'{text}'"


def insert(table: str, columns: str, rows: Iterable[tuple]) -> str:
    lines = ",\n".join("(" + ",".join(literal(value) for value in row) + ")" for row in rows)
    return f"\nINSERT INTO {table} ({columns}) VALUES\n{lines};\n"


def skus() -> list[str]:
    return [f"{pick('ABCDEFGH')}{n:03d}-{pick(['x', 'Y', 'zz', '9'])}" for n in range(1, PRODUCTS + 1)]


def places() -> list[tuple[str, str]]:
    return [(code, f"R{n}") for code, _, _ in COUNTRIES for n in range(1, 4)]


def world() -> str:
    out = insert("countries", "code,name,in_union", COUNTRIES)
    out += insert("regions", "country,code,name", [(country, code, f"{pick(CITIES)} {code}") for country, code in places()])
    out += insert("currencies", "code,digits,per_euro", CURRENCIES) + insert("languages", "code,name", LANGUAGES)
    return out + insert("tax_rates", "country,class,valid_from,rate", [
        (code, kind, date(2020 + n, 1, 1), f"{between(50, 250) / 1000:.4f}" if kind != "zero" else "0.0000")
        for code, _, _ in COUNTRIES for kind in ("normal", "reduced", "zero") for n in (0, 3)])


def people() -> str:
    stores = [(n, f"{CITIES[n - 1]} {n}", *places()[3 * n], None, f"{between(7, 10):02d}:30:00",
               Raw(f"ST_GeomFromText('POINT({between(5, 20)}.5 {between(40, 60)}.25)')")) for n in range(1, 9)]
    staff = [(n, between(1, 8) if chance(0.9) else None, between(1, n - 1) if n > 4 else None, f"staff{n}@shop.example",
              f"{pick(FIRST)} {pick(LAST)}", "manager" if n <= 8 else pick(["clerk", "cashier", "buyer"]), money(1800, 5200),
              binary(f"password {n}", 32), between(1995, 2024)) for n in range(1, STAFF + 1)]
    out = insert("stores", "id,name,country,region,manager_id,opens,position", stores)
    out += insert("staff", "id,store_id,boss_id,email,name,role,salary,password,hired", staff)
    out += "\nUPDATE stores SET manager_id = id;\n"
    out += insert("customer_groups", "id,name,discount", [(1, "Händler", 12.5), (2, "Freunde", 5), (3, "Staff", 20), (4, "Presse", 0)])
    homes = places()
    customers = [(n, uuid(f"customer {n}"), f"customer{n}@mail.example", pick(FIRST), pick(LAST), pick(COUNTRIES)[0],
                  pick(LANGUAGES)[0] if chance(0.8) else None, between(1940, 2006) if chance(0.7) else None, between(0, 255),
                  pick(["", "offers", "new,events", "offers,new,events,partner"]),
                  json.dumps({"theme": pick(["dark", "hell"]), "n": n}, ensure_ascii=False) if chance(0.6) else None,
                  money(-100, 300), moment(200), moment(250)) for n in range(1, CUSTOMERS + 1)]
    addresses = [(n, n if n <= CUSTOMERS else between(1, CUSTOMERS), f"{pick(LAST)}-Straße {between(1, 120)}",
                  pick([None, None, "2nd floor", "bei Müller"]), f"{between(1000, 99999)}", pick(CITIES),
                  *((pick(homes)) if chance(0.9) else (pick(homes)[0], None))) for n in range(1, ADDRESSES + 1)]
    out += insert("customers", "id,public_id,email,first_name,last_name,country,language,born,flags,newsletter,settings,credit,"
                  "created_at,updated_at", customers)
    out += insert("addresses", "id,customer_id,line1,line2,postcode,city,country,region", addresses)
    out += "\nUPDATE customers SET default_address_id = id WHERE id % 9 <> 0;\n"
    out += insert("customer_group_members", "customer_id,group_id,since", [
        (n, group, moment(200)) for n in range(1, CUSTOMERS + 1) if chance(0.4) for group in some([1, 2, 3, 4], between(1, 2))])
    out += insert("loyalty", "customer_id,points,tier,updated_at", [
        (n, between(0, 2000), pick(["basic", "silver", "gold"]), moment(200)) for n in range(1, CUSTOMERS + 1)])
    return out + insert("gift_cards", "code,customer_id,currency,balance,pin,valid_until", [
        (uuid(f"card {n}"), between(1, CUSTOMERS) if chance(0.7) else None, pick(CURRENCIES)[0], money(0, 150),
         binary(f"pin {n}", 4), date(2027, between(1, 12), 28) if chance(0.6) else None) for n in range(60)])


def tree() -> list[tuple[int, int | None, str, str, int]]:
    rows: list[tuple[int, int | None, str, str, int]] = []
    for top, below in TREE:
        root = len(rows) + 1
        rows.append((root, None, top, f"c{root}", root))
        for name in below:
            middle = len(rows) + 1
            rows.append((middle, root, name, f"c{middle}", 1))
            for n in range(1, between(2, 4)):
                rows.append((len(rows) + 1, middle, f"{name} {n}", f"c{len(rows) + 1}", n))
    return rows


def sheet(sku: str) -> tuple:
    values: tuple = (
        lambda: pick(NOTES)[:40], lambda: money(0, 900), lambda: between(-5, 5000), lambda: pick(["no", "yes", "on request"]),
        lambda: moment(900).date(), lambda: pick(NOTES), lambda: between(0, 60000), lambda: between(0, 1000) / 7,
        lambda: pick(["abc", "é", "ÄÖÜ"]), lambda: between(0, 63), lambda: between(1990, 2030), lambda: pick(["", "eu", "us,ROW"]))
    return (sku, *(None if "NOT NULL" not in kind and chance(0.3) else values[n % len(values)]()
                   for n, (_, kind) in enumerate(SHEET, 1)))


def catalogue(known: list[str]) -> str:
    categories = tree()
    out = insert("brands", "id,name,website", [
        (n, name, f"https://brand{n}.example" if n % 3 else None) for n, name in enumerate(BRANDS, 1)])
    out += insert("categories", "id,parent_id,name,slug,place", categories)
    out += insert("category_buyers", "category_id,staff_id", [
        (row[0], person) for row in categories if chance(0.4) for person in some(range(9, STAFF + 1), 2)])
    out += insert("products", "sku,name,brand_id,category_id,tax_class,price,cost,weight_g,barcode,attributes,tags,rating,launched,"
                  "created_at,updated_at", [
                      (sku, f"{pick(THINGS)} {pick(KINDS)} {n}", between(1, len(BRANDS)) if chance(0.9) else None,
                       between(1, len(categories)), pick(["normal", "normal", "reduced", "zero"]), money(2, 300), money(1, 90),
                       between(20, 40000) if chance(0.8) else None, Raw(f"x'{f'40{n:011d}'.encode().hex()}'"),
                       json.dumps({"size": pick(["S", "M", "XL"]), "colour": pick(KINDS)}, ensure_ascii=False), pick(["", "new", "sale,eco"]),
                       None, between(1999, 2025), moment(100), f"{moment(200)}.{between(0, 999999):06d}") for n, sku in enumerate(known)])
    out += insert("product_texts", "sku,language,title,body", [
        (sku, code, f"{pick(THINGS)} {sku}", " ".join(pick(NOTES) for _ in range(between(1, 6))) if chance(0.8) else None)
        for sku in known for code in some([code for code, _ in LANGUAGES], between(1, 4))])
    out += insert("product_images", "sku,place,image,digest", [
        (sku, place, binary(f"{sku} {place}", between(8, 160)), binary(sku, 32)) for sku in known for place in range(1, between(1, 3))])
    out += insert("product_relations", "sku,other_sku,kind,note", sorted({
        (pick(known), pick(known), pick(["accessory", "successor", "set"]), None) for _ in range(220)}))
    out += insert("product_prices", "sku,currency,valid_from,price", [
        (sku, code, date(2024, month, 1), money(2, 900)) for sku in known for code, _, _ in some(CURRENCIES, 2) for month in (1, 7)])
    out += insert("price_history", "sku,old_price,new_price,at", [
        (pick(known), money(1, 50), money(1, 50), moment(200)) for _ in range(120)])
    out += insert("product_sheet", ",".join(["sku", *(f"`{name}`" for name, _ in SHEET)]), [sheet(sku) for sku in known[::3]])
    sizes = [(system, size, n) for system, those in SIZES for n, size in enumerate(those)]
    return out + insert("`Größen`", "system,`größe`,`order`", sizes) + insert("variants", "sku,variant,system,`größe`,extra", [
        (sku, variant, *(pick(sizes)[:2] if chance(0.8) else (None, None)), money(0, 9))
        for sku in known for variant in some(["a", "B", "c-1", "ß"], between(1, 3))])


def goods(known: list[str]) -> str:
    out = insert("suppliers", "id,name,country,buyer_id,terms", [
        (n, f"{pick(['Müller', 'Dupont', 'Rossi', 'Sørensen', 'García'])} {n}", pick(COUNTRIES)[0], between(9, STAFF), pick([None, "30 days"]))
        for n in range(1, 16)])
    out += insert("supplier_products", "supplier_id,sku,their_number,cost,days", [
        (n, sku, f"N{n}-{i}" if chance(0.8) else None, money(1, 80), between(1, 40))
        for n in range(1, 16) for i, sku in enumerate(some(known, 20))])
    houses = ["MAIN", "main", "NORD", "SÜD", "KL-1"]
    out += insert("warehouses", "code,store_id,name", [(code, n + 1 if n < 3 else None, f"Lager {code}") for n, code in enumerate(houses)])
    out += insert("stock", "warehouse,sku,quantity,reserved,shelf,updated_at", [
        (code, sku, between(0, 400), between(0, 9), f"{n:03d}" if chance(0.7) else None, moment(200))
        for code in houses for n, sku in enumerate(some(known, 110))])
    out += insert("reviews", "sku,customer_id,stars,body,created_at", [
        (sku, person, between(1, 5), pick(NOTES), moment(200))
        for sku in known for person in some(range(1, CUSTOMERS + 1), between(0, 4))])
    return out + insert("`wish list`", "customer_id,sku,`rank`", [
        (n, sku, between(1, 9)) for n in range(1, CUSTOMERS + 1) if chance(0.5) for sku in some(known, between(1, 5))])


def sales(known: list[str]) -> str:
    coupons = ["SOMMER", "WELCOME", "Tschüß", "10%", "vip 24"]
    out = insert("coupons", "code,percent,starts,ends", [
        (code, 5 * n + 5, BASE, BASE + timedelta(days=1500) if n % 2 else None) for n, code in enumerate(coupons)])
    out += insert("payment_methods", "code,name,fee", [("card", "Karte", "0.015"), ("cash", "Bar", 0), ("bank", "Überweisung", "0.002"), ("gift", "Gutschein", 0)])
    out += insert("carriers", "code,name", [("POST", "Post"), ("post", "Post (alt)"), ("bike", "Fahrradkurier")])
    orders, lines, events, payments, shipments, shipped = [], [], [], [], [], []
    for n in range(1, ORDERS + 1):
        status, made = pick(["new", "paid", "sent", "done", "done", "cancelled"]), moment(240)
        orders.append((n, f"S-{n:07d}", between(1, CUSTOMERS), between(1, ADDRESSES) if chance(0.8) else None,
                       between(1, 8) if chance(0.5) else None, between(1, STAFF) if chance(0.6) else None, pick(CURRENCIES)[0],
                       pick(coupons) if chance(0.2) else None, status, money(5, 900), pick(NOTES) if chance(0.4) else None, made, made))
        mine = [(n, i, sku, between(1, 5), money(2, 300)) for i, sku in enumerate(some(known, between(1, 5)), 1)]
        lines += mine
        events += [(n, between(1, STAFF) if chance(0.5) else None, f"new -> {status}", made)]
        if status in ("paid", "sent", "done"):
            payments.append((len(payments) + 1, n, pick(["card", "cash", "bank"]), money(5, 900), f"old {n}" if chance(0.8) else None, made))
        if status in ("sent", "done"):
            shipments.append((len(shipments) + 1, n, pick(["MAIN", "main", None]), pick(["POST", "post", "bike"]), f"OLD{n}", made))
            shipped += [(len(shipments), n, line[1], line[3]) for line in mine]
    back = [(i, order, line, 1, pick(["broken", "wrong", "size", "changed mind"]), pick(NOTES), moment(240))
            for i, (_, order, line, _) in enumerate(some(shipped, 90), 1)]
    out += insert("orders", "id,number,customer_id,address_id,store_id,staff_id,currency,coupon,status,total,note,created_at,updated_at", orders)
    out += insert("order_lines", "order_id,line,sku,quantity,price", lines)
    out += insert("order_events", "order_id,staff_id,what,at", events)
    out += insert("payments", "id,order_id,method,amount,reference,paid_at", payments)
    out += insert("shipments", "id,order_id,warehouse,carrier,tracking,sent_at", shipments)
    out += insert("shipment_lines", "shipment_id,order_id,line,quantity", shipped)
    out += insert("`returns`", "id,order_id,line,quantity,reason,note,created_at", back)
    out += insert("return_photos", "return_id,n,photo", [(row[0], n, binary(f"photo {row[0]} {n}", 60)) for row in back for n in range(1, between(1, 3))])
    out += insert("refunds", "return_id,payment_id,amount", [(row[0], between(1, len(payments)), money(1, 100)) for row in back if chance(0.8)])
    uses = {(row[7], row[2]): row[0] for row in orders if row[7]}
    return out + insert("coupon_uses", "coupon,customer_id,order_id", [(*who, order) for who, order in uses.items()])


def rest(known: list[str]) -> str:
    carts = [binary(f"cart {n}", 16) for n in range(CARTS)]
    out = insert("carts", "id,customer_id,updated_at", [(cart, between(1, CUSTOMERS) if chance(0.7) else None, moment(240)) for cart in carts])
    lines = "\nINSERT INTO cart_lines (cart_id, sku, variant, quantity)\n  SELECT c.id, v.sku, v.variant, 1 + ASCII(c.id) % 4" \
        " FROM carts c JOIN variants v\n  WHERE CRC32(CONCAT(HEX(c.id), v.sku, v.variant)) % 120 = 0;\n"
    out += lines + insert("`till``s drawer`", "store_id,`day`,`cash in \"EUR\"`,counted_by", [
        (store, (BASE + timedelta(days=n)).date(), money(100, 3000), between(1, STAFF)) for store in range(1, 9) for n in range(20)])
    out += insert("`key`", "`key`,`value`", [("version", "17"), ("Motto", "Wir führen alles – fast 🙂"), ("motto", None), ("empty", ""),
                                             ("long", "lorem ipsum " * 400)])
    return out + insert("audit", "at,who,what,which,details", [
        (moment(240), pick(["root@localhost", "shop@%"]), pick(["renamed", "customer"]), pick(known),
         json.dumps({"by": pick(NOTES)}, ensure_ascii=False)) for _ in range(150)])


def main() -> None:
    sys.stdout.reconfigure(encoding="utf-8")
    known = skus()
    sys.stdout.write(TABLES + world() + people() + catalogue(known) + goods(known) + sales(known) + rest(known) + CODE)


if __name__ == "__main__":
    main()
