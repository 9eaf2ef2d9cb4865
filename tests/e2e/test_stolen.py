"""A stolen paired laptop: whoever has it holds a pair's key and speaks the protocol. He may write rows of
the tables that are replicated, which the owner can see and undo, and nothing else: no other table,
schema, column or statement, no mass deletion, no reading of what is not replicated."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from lab import Node, Pair
from lab.hand import sync
from lab.impostor import MIB, RECEIVE, VERIFY, Impostor, body_of



def _now() -> str:
    """Later than all that the victim has done."""
    return (datetime.now(timezone.utc) + timedelta(seconds=5)).strftime("%Y-%m-%d %H:%M:%S.%f")


_T = [["id", "int(11)"], ["v", "varchar(10) utf8mb4_general_ci"], ["d", "date"]]


class Thief(Impostor):
    """Anna's laptop in other hands: a life of its own for the link, and groups of any content."""

    def __init__(self, victim: Node, key: str) -> None:
        super().__init__(victim, "anna", key)
        self.incarnation = secrets.token_hex(16)
        self.epoch, self.stamp = 0, secrets.token_hex(8)
        self.hello()

    def send(self, lines: Sequence[Any], **header: Any) -> tuple[int, list[Any]]:
        """A group of these lines (objects and arrays); status and what the answer's lines say."""
        upto = {"epoch": str(self.epoch + 1), "stamp": secrets.token_hex(8)}
        head = {"group": "1", "node": "anna", "incarnation": self.incarnation,
                "base": {"epoch": str(self.epoch), "stamp": self.stamp}, "upto": upto,
                "seen_incarnation": "", "seen": {"epoch": "0", "stamp": ""}, "start": True, "last": True,
                "records": str(len(lines)), **header}
        text = b"".join(line if isinstance(line, bytes) else
                        json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
                        for line in [head, *lines])
        status, content = self.post(RECEIVE, body_of(text))
        if status == 200:
            self.epoch, self.stamp = int(upto["epoch"]), upto["stamp"]
        return status, [json.loads(line) for line in content.splitlines()]


def _section(table: str, columns: Sequence[Sequence[str]] = _T, key: Sequence[str] = ("id",)) -> dict[str, Any]:
    return {"table": table, "columns": columns, "key": list(key)}


def _row(key: Any, *values: Any, operation: str = "i", meta: str | None = None) -> list[Any]:
    return [operation, str(key), _now(), meta, *values]


@pytest.fixture(scope="module")
def two() -> Iterator[Pair]:
    with Pair(schemas=(), conf={"sync": {"exclude": "hidden"}}) as pair:
        for node in pair.nodes:
            node.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(10) NOT NULL, d DATE NULL)")
            node.sql("CREATE TABLE hidden LIKE t")
            node.sql("CREATE VIEW seen AS SELECT * FROM hidden")
            node.sql("CREATE TABLE nokey (id INT, v VARCHAR(10), d DATE)")
            node.sql("CREATE TABLE made (id INT PRIMARY KEY, v VARCHAR(10), d DATE, g INT AS (id + 1))")
            node.sql("INSERT INTO hidden VALUES (1, 'secret', NULL)")
        pair.install()
        pair.bert.sql("CREATE OR REPLACE TABLE other_schema_probe (id INT PRIMARY KEY)")
        pair.bert.start_serve()
        yield pair
        pair.stop_serve()


@pytest.fixture
def thief(two: Pair) -> Thief:
    bert = two.bert
    bert.sql("DELETE FROM t")
    for table in ("sync_cursor", "sync_unsettled", "sync_conflict", "sync_deletion"):
        sync(bert, f"DELETE FROM {table}")  # every test begins as a link does
    return Thief(bert, two.anna.conf["peer bert"]["key"])


def _all_but(bert: Node) -> dict[str, Any]:
    """What a thief must not change: every schema and account, all tables but t."""
    found = {row[0]: bert.sql(f"CHECKSUM TABLE {row[0]}") for row in bert.sql(
        "SELECT CONCAT('`', TABLE_SCHEMA, '`.`', TABLE_NAME, '`') FROM information_schema.TABLES"
        " WHERE TABLE_TYPE='BASE TABLE' AND (TABLE_SCHEMA IN ('mysql', 'app') OR TABLE_NAME IN"
        " ('sync_node', 'sync_table', 'sync_peer', 'sync_epoch'))"
        " AND TABLE_NAME NOT IN ('t', 'general_log', 'slow_log')"
        " AND TABLE_NAME NOT LIKE '%innodb%' AND TABLE_NAME NOT LIKE '%stat%'")}
    found["tables"] = bert.sql("SELECT TABLE_SCHEMA, TABLE_NAME, CREATE_TIME FROM information_schema.TABLES"
                               " WHERE TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'sys')"
                               " ORDER BY 1, 2")
    found["triggers"] = bert.sql("SELECT TRIGGER_SCHEMA, TRIGGER_NAME, ACTION_STATEMENT FROM"
                                 " information_schema.TRIGGERS ORDER BY 1, 2")
    found["variables"] = bert.sql("SELECT * FROM information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME NOT IN"
                                  " ('GTID_BINLOG_POS', 'TIMESTAMP', 'INNODB_BUFFER_POOL_LOAD_INCREMENTAL')"
                                  " ORDER BY 1")
    return found


_NAMES = ["hidden", "seen", "nokey", "mysql.user", "mysql`.`global_priv", "app`.`hidden", "information_schema.TABLES",
          "app_sync.sync_node", "app_sync`.`sync_queue", "sync_queue", "sync_peer", "../t", "../../mysql/user", "T",
          "t ", " t", "t;DROP TABLE t", "t` (id) VALUES (7); DROP TABLE hidden; -- ", "t'--", "t\\", "t\u0000", "\u0442",
          "t" * 64, "t" * 65, "\u20ac" * 64, "\U0001f6b2", "x" * 255, "", "t/**/", "%", "*", "t\nhidden", "performance_schema.threads", "app.t"]


@pytest.mark.parametrize("operation", ["i", "u", "d"])
def test_no_name_leads_to_a_table_that_is_not_replicated(two: Pair, thief: Thief, operation: str) -> None:
    before = _all_but(two.bert)
    for name in _NAMES:
        row = _row(1, *([] if operation == "d" else ["1", "stolen", None]), operation=operation)
        status, answer = thief.send([_section(name), row])
        assert status in (200, 422), (name, answer)
        if status == 200:
            assert answer[0]["applied"] == "0" and answer[0]["refused"] == "1", (name, answer)
    assert _all_but(two.bert) == before
    assert two.bert.sql("SELECT * FROM t") == []


_COLUMNS: dict[str, tuple[str, Any]] = {
    "unknown": ("t", [*_T[:2], ["x", "date"]]),
    "missing": ("t", _T[:2]),
    "one more": ("t", [*_T, ["x", "int(11)"]]),
    "twice": ("t", [*_T[:2], _T[1]]),
    "generated": ("made", [*_T, ["g", "int(11)"]]),
    "SQL": ("t", [*_T[:2], ["d`=(SELECT v FROM hidden),`d", "date"]]),
    "another case": ("t", [*_T[:2], ["D", "date"]]),
    "no column": ("t", []),
    "another type": ("t", [_T[0], _T[1], ["d", "date, v=(SELECT 1)"]]),
}


@pytest.mark.parametrize("what", _COLUMNS)
def test_columns_are_those_of_the_table_or_nothing_is_written(two: Pair, thief: Thief, what: str) -> None:
    before = _all_but(two.bert)
    table, columns = _COLUMNS[what]
    row = _row(1, *["1", "stolen", None, "7"][:len(columns)])
    status, answer = thief.send([_section(table, columns), row])
    assert status == 422 or answer[0]["applied"] == "0", answer
    assert _all_but(two.bert) == before
    assert two.bert.sql("SELECT * FROM t") == two.bert.sql("SELECT * FROM made") == []


_VALUES: dict[str, list[Any]] = {
    "too long": ["1", "x" * 11, None],
    "far too long": ["1", "x" * 5 * MIB, None],
    "NULL where none may be": ["1", None, None],
    "no number": ["one", "v", None],
    "beyond the range": ["99999999999", "v", None],
    "no date": ["1", "v", "2024-02-31x"],
    "SQL": ["1+1", "v", None],
    "another key": ["2", "v", None],
}


@pytest.mark.parametrize("what", _VALUES)
def test_a_value_that_does_not_fit_is_refused_and_nothing_else(two: Pair, thief: Thief, what: str) -> None:
    status, answer = thief.send([_section("t"), _row(1, *_VALUES[what]), _row(5, "5", "good", None)])
    assert status in (200, 422), answer
    if status == 200:
        assert (answer[0]["applied"], answer[0]["refused"]) == ("1", "1"), answer
        assert two.bert.sql("SELECT id, v FROM t") == [(5, "good")]
    else:
        assert two.bert.sql("SELECT id, v FROM t") == []


@pytest.mark.parametrize("line", [
    b'["x","1","%s",null]\n', b'["i","1","now()",null,"1","v",null]\n', b'["TRUNCATE","1","%s",null]\n',
    b'["i","1","%s",null,"1","v"]\n', b'["i","1","%s",null,"1","v",null,"DROP TABLE t"]\n',
    b'["i","1","%s",null,["not base64"],"v",null]\n', b'["i","1","%s",null,1,"v",null]\n',
    b'["i","1","%s","{\\"old\\":\\"zz\\"}","1","v",null]\n', b'["i",null,"%s",null,"1","v",null]\n',
    b'{"sql":"DROP TABLE t"}\n', b'SELECT 1\n'])
def test_a_line_of_another_form_refuses_the_whole_group(two: Pair, thief: Thief, line: bytes) -> None:
    good = _row(5, "5", "good", None)
    status, answer = thief.send([_section("t"), good, line.replace(b"%s", _now().encode())])
    assert status == 422, answer
    assert two.bert.sql("SELECT * FROM t") == []


def test_what_looks_like_sql_is_stored_as_it_is(two: Pair, thief: Thief) -> None:
    texts = ["'; DROP--", "\\'", "`x`", "%s ? ?", "\\0\\x", "1); --", "${x}", "\u0000\u0001"]
    rows = [_row(i, str(i), text, None) for i, text in enumerate(texts, 1)]
    status, answer = thief.send([_section("t"), *rows])
    assert (status, answer[0]["refused"]) == (200, "0"), answer
    assert [v for _, v in two.bert.sql("SELECT id, v FROM t ORDER BY id")] == texts


def test_a_mass_deletion_waits_for_a_person_however_it_is_cut(two: Pair, thief: Thief) -> None:
    two.bert.sql("INSERT INTO t SELECT seq, 'mine', NULL FROM seq_1_to_3000")
    status, answer = thief.send([_section("t"), *[_row(i, operation="d") for i in range(1, 3001)]])
    assert (status, answer[0].get("error")) == (409, "deletes"), answer
    gone = 0
    for first in range(1, 3001, 200):
        status, answer = thief.send([_section("t"), *[_row(i, operation="d") for i in range(first, first + 200)]])
        gone += 200 if status == 200 else 0
    assert status == 409 and gone <= 1000, gone
    assert two.bert.sql("SELECT COUNT(*) FROM t") == [(3000 - gone,)]
    assert any("max_delete" in json.dumps(peer) or peer["held_back"] for peer in two.bert.status()["peers"])


@pytest.mark.parametrize("at", ["2099-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999", "2026-02-31 00:00:00.000000",
                                "0000-00-00 00:00:00.000000", "1969-12-31 23:59:59.000000", "2038-01-19 03:14:08.000000",
                                "2026-13-01 00:00:00.000000", "2026-01-01 24:00:00.000000"])
def test_a_time_that_cannot_be_is_no_reason_to_come_again(two: Pair, thief: Thief, at: str) -> None:
    status, answer = thief.send([_section("t"), ["i", "1", at, None, "1", "v", None]])
    assert (status, answer[0].get("error")) == (422, "content"), answer
    assert two.bert.sql("SELECT * FROM t") == []


def test_what_a_thief_overwrites_unseen_is_kept(two: Pair, thief: Thief) -> None:
    two.bert.sql("INSERT INTO t VALUES (1, 'mine', NULL)")
    status, answer = thief.send([_section("t"), _row(1, "1", "stolen", None, operation="u")])
    assert status == 200, answer
    kept = json.dumps(sync(two.bert, "SELECT CAST(local_row AS CHAR), CAST(remote_row AS CHAR) FROM sync_conflict"))
    assert "mine" in kept and "stolen" in kept


def _question(table: str, ask: str, *items: Any) -> bytes:
    lines = [["compare", "1", ask, "", "0", "", None], {"table": table, "columns": _T}, ["id"], *items]
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)


def test_a_comparison_tells_nothing_of_what_is_not_replicated(two: Pair, thief: Thief) -> None:
    before = _all_but(two.bert)
    for name in _NAMES:
        for ask, items in (("sums", [None, None]), ("rows", [None, None]), ("keys", ["1"]), ("keep", ["1"]),
                           ("queue", ["1"])):
            status, content = thief.post(VERIFY, _question(name, ask, items))
            assert status in (400, 422), (name, ask, content)
            assert b"secret" not in content
    for bound in ("1 OR 1=1", "1' OR '1", "(SELECT 1)", "1;DROP TABLE t", "\u0000"):
        status, content = thief.post(VERIFY, _question("t", "sums", [None, bound]))
        assert status in (200, 422), content
    assert _all_but(two.bert) == before
    assert sync(two.bert, "SELECT COUNT(*) FROM sync_conflict") == [(0,)]


def _memory(node: Node, which: str) -> int:
    with open(f"/proc/{node.serve_pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(which))


@pytest.mark.slow  # a sanitizer's shadow memory is not the agent's
def test_many_refusals_stay_within_bounds(two: Pair, thief: Thief) -> None:
    before = _memory(two.bert, "VmRSS")
    rows = b"".join(b'["i","%d","%s",null,"%d","v",null]\n' % (i, _now().encode(), i) for i in range(30_000))
    code, answer = thief.send([_section("hidden"), rows])
    assert code in (200, 422, 503), answer[0]
    peak = _memory(two.bert, "VmHWM")
    assert peak - before < 400 * 1024, f"{before} to {peak} KiB"
    assert thief.send([_section("t"), _row(1, "1", "v", None)])[0] == 200
