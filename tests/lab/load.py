"""SQL files into a server: the campus app, the shop, and Chinook under a database name of our choice."""

from __future__ import annotations

import re
from pathlib import Path

from lab import places
from lab.server import Server

SCHEMAS = {name: places.DATA / f"{name}.sql" for name in ("campus", "chinook", "shop")}

# Chinook names its own database; campus.sql does not.
_DATABASE_LINE = re.compile(
    r"^[ \t]*(?:(?:DROP|CREATE)[ \t]+DATABASE\b|USE\b)[^;\n]*;[ \t]*$", re.I | re.M)
# One transaction, and ids as on any other node: a file's rows are the same everywhere.
_BEFORE = "SET SESSION auto_increment_increment=1, auto_increment_offset=1, autocommit=0;\n"
_AFTER = "\nCOMMIT;\n"


def create_database(server: Server, name: str) -> None:
    """An empty database; one of that name that exists is dropped."""
    server.sql(f"DROP DATABASE IF EXISTS `{name}`")
    server.sql(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")


def for_any_database(text: str) -> str:
    """The script without its own DROP DATABASE, CREATE DATABASE and USE lines."""
    return _DATABASE_LINE.sub("", text)


def load(server: Server, database: str, schema: str | Path) -> None:
    """Load a schema by name ("campus", "chinook", "shop") or a file into the database."""
    path = SCHEMAS[schema] if isinstance(schema, str) else schema
    text = for_any_database(path.read_text(encoding="utf-8"))
    server.script(_BEFORE + text + _AFTER, database)
