"""What tests do by hand beside the agent: statements in one transaction, writes that the triggers
do not see, looks at the agent's own tables, settings of a running server."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pymysql.connections import Connection
from pymysql.err import OperationalError

from lab.node import Node
from lab.pair import Cluster
from lab.server import Row, Server
from lab.waiting import until

DEADLOCK = 1213

Statement = str | tuple[str, Sequence[Any]]


def run(connection: Connection, *statements: Statement) -> None:
    """Statements on a connection; those with values are pairs of text and values."""
    with connection.cursor() as cursor:
        for statement in statements:
            text, values = (statement, None) if isinstance(statement, str) else statement
            cursor.execute(text, values)


def transaction(node: Node, *statements: Statement) -> None:
    """Statements of the app in one transaction."""
    connection = node.connect(autocommit=False)
    try:
        run(connection, *statements)
        connection.commit()
    finally:
        connection.close()


def tried(node: Node, *statements: Statement) -> bool:
    """As transaction(), False when it was the victim of a deadlock, as any app must expect."""
    try:
        transaction(node, *statements)
    except OperationalError as refused:
        if refused.args[0] != DEADLOCK:
            raise
        return False
    return True


def everywhere(cluster: Cluster, *statements: Statement) -> None:
    """The same statements, each committed at once, on every node (tables, first rows)."""
    for node in cluster.nodes:
        connection = node.connect()
        run(connection, *statements)
        connection.close()


def drain(node: Node, check: int | Collection[int] = 0) -> subprocess.CompletedProcess[str]:
    """One --drain of a node whose --serve may be at it just now: then it is repeated."""
    expected = {check} if isinstance(check, int) else set(check)
    tries: list[subprocess.CompletedProcess[str]] = []

    def ran() -> bool:
        tries.append(node.drain(check=expected | {0}))
        return "is running" not in tries[-1].stdout

    until(ran, what=f"{node.name} drains")
    assert tries[-1].returncode in expected, tries[-1]
    return tries[-1]


def token(node: Node) -> str:
    """Names the variable that keeps the agent's own writes out of the queue."""
    return str(node.sql(f"SELECT token FROM `{node.sync_database}`.sync_node")[0][0])


def unseen(node: Node, *statements: Statement) -> None:
    """Statements that the triggers let pass: a difference that no agent knows of."""
    connection = node.connect()
    run(connection, f"SET @tandem_skip_{token(node)}=1", *statements)
    connection.close()


def sync(node: Node, text: str, args: Sequence[Any] | None = None) -> list[Row]:
    """One statement in the node's sync database."""
    return node.server.sql(text, args, node.sync_database)


def captured(node: Node) -> int:
    """How many changes this node's triggers have ever queued that are still there."""
    return int(sync(node, "SELECT COUNT(*) FROM sync_queue")[0][0])


def owed(node: Node) -> list[tuple[str, str, str, int, str]]:
    """What the peers have not accepted: table, record, state, attempts, reason."""
    return [(table, bytes(key).decode(), state, int(attempts), reason or "")
            for table, key, state, attempts, reason in sync(
                node, "SELECT table_name, record_id, state, attempts, last_error FROM sync_owed"
                " ORDER BY table_name, record_id")]


@contextmanager
def setting(server: Server, name: str, value: int) -> Iterator[None]:
    """A global variable of the server for a while; connections made meanwhile see it."""
    before = int(server.sql(f"SELECT @@global.{name}")[0][0])
    server.sql(f"SET GLOBAL {name}={value}")
    try:
        yield
    finally:
        server.sql(f"SET GLOBAL {name}={before}")
