#!/usr/bin/python3
"""Writes campus.sql: the data of a ride-sharing app of a university. Always the same rows: only
random.random() is used, whose sequence for a seed is the same in every version of Python.

    tests/data/make-campus.py > tests/data/campus.sql
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

T = TypeVar("T")

RIDERS, DRIVERS, BOOKINGS, NOTIFICATIONS, RESETS = 120, 36, 320, 280, 14
BASE = datetime(2024, 9, 2, 6, 30)

_random = random.Random(20240902)

FIRST = ["Amina", "Anaïs", "Zoë", "Björn", "José", "Łukasz", "Søren", "Chloé", "Nuño", "İpek",
         "Đorđe",
         "Siobhán", "Mehmet", "Priya", "Kwame", "Yuki", "Olena", "Ravi", "Fatima", "Jürgen",
         "Ingrid", "Tomás", "Léa", "Hannah", "Omar", "Noor", "Mateo", "Éva", "Ján", "Wanjirū",
         "Dmitrij", "Aoife", "Renée", "Gökçe", "Chinedu", "Linh"]
LAST = ["O'Connor", "Müller", "García Márquez", "Nguyễn", "Škoda", "Ångström", "D'Angelo", "Okafor",
        "Kowalczyk", "Yılmaz", "Sørensen", "Petrović", "de la Cruz", "Ó Briain", "Haddad", "Tanaka",
        "Ivanenko", "Mensah", "Fernández", "Lefèvre", "Weiß", "Kaya", "Patel", "van den Berg",
        "Mwangi", "Novák", "Rossi", "Çelik", "Abdi", "Lindqvist"]
OTHER_SCRIPTS = ["陳怡君", "김서연", "Ольга Шевченко", "محمد العلي", "नेहा शर्मा",
                 "Γιώργος Παπαδόπουλος", "田中 さくら", "נועה לוי"]
PLACES = ["Main Gate", "Science Block C", "Übergang Nord", "Café Zürich", "St Mary's Hall", "Library",
          "Sports Centre", "Hostel 7 \"Sunrise\"", "Faculty of Law", "Train Station", "Old Town",
          "City Hospital", "Airport T2", "Botanic Garden"]
DEPARTMENTS = ["Computer Science", "Law", "Medicine", "Économie", "Architecture", "Philosophy"]
CARS = [("Toyota", "Corolla"), ("Škoda", "Octavia"), ("Renault", "Mégane"), ("Kia", "Cee'd"),
        ("Volkswagen", "Golf"), ("Hyundai", "i20"), ("Citroën", "C3"), ("Nissan", "Leaf")]
NOTES = ["", "Please ring twice 🔔", "I have a cello 🎻 with me", "Back entrance;\nred door\tleft",
         "It's raining, so I'll wait inside", "50% now, the rest in cash", "C:\\temp is not a place",
         "Ihr seid großartig – danke!", "谢谢!"]

SCHEMA = """\
-- A ride-sharing app of a university: riders, drivers, bookings, notifications, password resets.
-- Made by make-campus.py; change that, not this. Loads into the database that is in use.
SET NAMES utf8mb4;
SET time_zone = '+00:00';

CREATE TABLE riders (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  full_name VARCHAR(120) NOT NULL,
  email VARCHAR(190) NOT NULL,
  phone VARCHAR(32) NULL,
  department VARCHAR(60) NULL,
  status ENUM('active','suspended','left') NOT NULL DEFAULT 'active',
  is_verified TINYINT(1) NOT NULL DEFAULT 0,
  wallet_balance DECIMAL(10,2) NOT NULL DEFAULT 0.00,
  rating FLOAT NULL,
  bio TEXT NULL,
  created_at DATETIME NOT NULL,
  updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  UNIQUE KEY riders_email (email)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE drivers (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  full_name VARCHAR(120) NOT NULL,
  email VARCHAR(190) NOT NULL,
  phone VARCHAR(32) NOT NULL,
  licence_no CHAR(10) NOT NULL,
  plate VARCHAR(16) NOT NULL,
  vehicle VARCHAR(80) NOT NULL,
  seats TINYINT UNSIGNED NOT NULL DEFAULT 4,
  comforts SET('music','quiet','pets','luggage','wheelchair') NOT NULL DEFAULT '',
  status ENUM('offline','available','on_trip','suspended') NOT NULL DEFAULT 'offline',
  latitude DOUBLE NULL,
  longitude DOUBLE NULL,
  earnings DECIMAL(12,2) NOT NULL DEFAULT 0.00,
  joined_on DATE NOT NULL,
  shift_start TIME NULL,
  updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  UNIQUE KEY drivers_email (email),
  UNIQUE KEY drivers_licence (licence_no),
  UNIQUE KEY drivers_plate (plate)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE bookings (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  rider_id BIGINT UNSIGNED NOT NULL,
  driver_id BIGINT UNSIGNED NULL,
  pickup VARCHAR(120) NOT NULL,
  dropoff VARCHAR(120) NOT NULL,
  pickup_at DATETIME NOT NULL,
  seats TINYINT UNSIGNED NOT NULL DEFAULT 1,
  distance_km DECIMAL(6,3) NULL,
  fare DECIMAL(8,2) NOT NULL,
  payment ENUM('cash','card','wallet') NOT NULL DEFAULT 'cash',
  status ENUM('requested','accepted','in_progress','completed','cancelled') NOT NULL
    DEFAULT 'requested',
  note TEXT NULL,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  KEY bookings_rider (rider_id, pickup_at),
  KEY bookings_driver (driver_id),
  CONSTRAINT bookings_rider FOREIGN KEY (rider_id) REFERENCES riders (id),
  CONSTRAINT bookings_driver FOREIGN KEY (driver_id) REFERENCES drivers (id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE notifications (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  rider_id BIGINT UNSIGNED NOT NULL,
  booking_id BIGINT UNSIGNED NULL,
  channel ENUM('push','email','sms') NOT NULL DEFAULT 'push',
  title VARCHAR(140) NOT NULL,
  body TEXT NOT NULL,
  payload JSON NULL,
  read_at DATETIME NULL,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  KEY notifications_rider (rider_id, read_at),
  KEY notifications_booking (booking_id),
  CONSTRAINT notifications_rider FOREIGN KEY (rider_id) REFERENCES riders (id) ON DELETE CASCADE,
  CONSTRAINT notifications_booking FOREIGN KEY (booking_id) REFERENCES bookings (id)
    ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE password_resets (
  email VARCHAR(190) NOT NULL,
  token_hash BINARY(32) NOT NULL,
  used TINYINT(1) NOT NULL DEFAULT 0,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  expires_at DATETIME NOT NULL,
  PRIMARY KEY (email)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
"""


class Raw(str):
    """SQL that is written as it is."""


def pick(items: Sequence[T]) -> T:
    return items[int(_random.random() * len(items))]


def between(low: int, high: int) -> int:
    return low + int(_random.random() * (high - low + 1))


def chance(share: float) -> bool:
    return _random.random() < share


def moment(days: int) -> datetime:
    return BASE + timedelta(minutes=between(0, days * 24 * 60))


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


def insert(table: str, columns: str, rows: Sequence[tuple]) -> str:
    lines = ",\n".join("(" + ",".join(literal(value) for value in row) + ")" for row in rows)
    return f"\nINSERT INTO {table} ({columns}) VALUES\n{lines};\n"


def person(i: int) -> str:
    if i % 12 == 5:
        return OTHER_SCRIPTS[i // 12 % len(OTHER_SCRIPTS)]
    return f"{pick(FIRST)} {pick(LAST)}"


def riders() -> Iterator[tuple]:
    for i in range(1, RIDERS + 1):
        made = moment(120)
        yield (i, person(i), f"rider{i:03d}@campus.example",
               f"+49 30 {between(100000, 999999)}" if chance(0.8) else None,
               pick(DEPARTMENTS) if chance(0.9) else None,
               "active" if chance(0.93) else pick(["suspended", "left"]), int(chance(0.7)),
               f"{between(-500, 20000) / 100:.2f}",
               between(200, 500) / 100 if chance(0.6) else None,
               pick(NOTES) if chance(0.3) else None, made,
               made + timedelta(minutes=between(0, 9000)))


def drivers() -> Iterator[tuple]:
    comforts = ["", "music", "quiet,pets", "luggage", "music,luggage,wheelchair"]
    for i in range(1, DRIVERS + 1):
        yield (i, person(i + 7), f"driver{i:02d}@campus.example",
               f"+49 151 {between(1000000, 9999999)}", f"DL{between(0, 9999):04d}{i:04d}",
               f"B-{chr(64 + between(1, 26))}{chr(64 + between(1, 26))} {1000 + i}",
               " ".join(pick(CARS)), pick([2, 3, 4, 4, 4, 6, 8]), pick(comforts),
               pick(["offline", "available", "available", "on_trip", "suspended"]),
               round(52.4 + _random.random() / 5, 7) if chance(0.8) else None,
               round(13.2 + _random.random() / 3, 7) if chance(0.8) else None,
               f"{between(0, 900000) / 100:.2f}", moment(90).date(),
               f"{between(5, 20):02d}:{pick(['00', '15', '30'])}:00" if chance(0.7) else None,
               f"{moment(130)}.{between(0, 999):03d}")


def bookings() -> Iterator[tuple]:
    for i in range(1, BOOKINGS + 1):
        status = pick(["requested", "accepted", "in_progress", "completed", "completed",
                       "cancelled"])
        start, distance = moment(130), between(400, 42000)
        yield (i, between(1, RIDERS), None if status == "requested" else between(1, DRIVERS),
               pick(PLACES), pick(PLACES), start, between(1, 3), f"{distance / 1000:.3f}",
               f"{1.5 + distance * 0.0011:.2f}", pick(["cash", "card", "wallet"]), status,
               pick(NOTES) if chance(0.4) else None, start - timedelta(minutes=between(5, 600)))


def notifications() -> Iterator[tuple]:
    titles = ["Your ride is confirmed", "Votre chauffeur est arrivé", "Fahrt storniert",
              "Rate your trip ⭐"]
    for i in range(1, NOTIFICATIONS + 1):
        booking = between(1, BOOKINGS) if chance(0.75) else None
        made = moment(130)
        told = chance(0.5)
        payload = json.dumps({"booking": booking, "eta_min": between(1, 25)}) if told else None
        yield (i, between(1, RIDERS), booking, pick(["push", "email", "sms"]), pick(titles),
               pick(NOTES[1:]), payload,
               made + timedelta(minutes=between(1, 500)) if chance(0.6) else None, made)


def resets() -> Iterator[tuple]:
    for i in range(RESETS):
        email = f"rider{1 + i * 8:03d}@campus.example"
        made = moment(130)
        digest = hashlib.sha256(f"{email} {made}".encode()).hexdigest()
        yield (email, Raw(f"x'{digest}'"), int(chance(0.3)), made, made + timedelta(hours=2))


def main() -> None:
    sys.stdout.reconfigure(encoding="utf-8")
    out = [SCHEMA]
    out.append(insert("riders", "id,full_name,email,phone,department,status,is_verified,"
                      "wallet_balance,rating,bio,created_at,updated_at", list(riders())))
    out.append(insert("drivers", "id,full_name,email,phone,licence_no,plate,vehicle,seats,comforts,"
                      "status,latitude,longitude,earnings,joined_on,shift_start,updated_at",
                      list(drivers())))
    out.append(insert("bookings", "id,rider_id,driver_id,pickup,dropoff,pickup_at,seats,distance_km,"
                      "fare,payment,status,note,created_at", list(bookings())))
    out.append(insert("notifications", "id,rider_id,booking_id,channel,title,body,payload,read_at,"
                      "created_at", list(notifications())))
    out.append(insert("password_resets", "email,token_hash,used,created_at,expires_at",
                      list(resets())))
    sys.stdout.write("".join(out))


if __name__ == "__main__":
    main()
