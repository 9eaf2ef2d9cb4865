"""A disk that is full: the agent says so, nothing is lost and nothing is half there, and when
somebody has cleaned up all goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql
import pytest

from lab import Pair, hand, small_disk
from lab.node import Node

pytestmark = pytest.mark.slow

_TABLES = ("CREATE TABLE half (id INT PRIMARY KEY, n INT)", "INSERT INTO half VALUES (1,0), (2,0)",
           "CREATE TABLE t (id INT PRIMARY KEY, v LONGBLOB)")
_SPACE = ("--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M:autoextend:max:96M")
_MORE = "--innodb-data-file-path=ibdata1:12M:autoextend:max:400M"
_BULK = "INSERT INTO t SELECT seq, REPEAT(CHAR(97 + seq % 26), 20000) FROM seq_1_to_1500"  # 30 MB


@pytest.fixture
def narrow() -> Iterator[Pair]:
    """Two laptops whose databases can grow no further than a few dozen MB, the agent's own tables included."""
    with Pair(schemas=(), server_options=_SPACE) as two:
        hand.everywhere(two, *_TABLES)
        two.install()
        two.settle()
        yield two
        two.stop_serve()


def _half_done(node: Node) -> bool:
    one, two = (n for (n,) in node.sql("SELECT n FROM half ORDER BY id"))
    return one != two


def _full(node: Node) -> None:
    """Somebody else's data takes all there is, to the last page."""
    node.server.sql("CREATE DATABASE junk")
    node.server.sql("CREATE TABLE junk.ballast (id INT AUTO_INCREMENT PRIMARY KEY, v LONGBLOB)")
    size = 8 << 20
    while size >= 1 << 10:
        try:
            node.server.sql(f"INSERT INTO junk.ballast (v) VALUES (REPEAT('x', {size}))")
        except pymysql.err.OperationalError as full:
            assert full.args[0] == 1114, full
            size //= 4


def _free(node: Node) -> None:
    """There is room again. (A space without a free page has none for a DROP either.)"""
    node.server.options.append(_MORE)
    node.server.restart()


def test_a_group_for_which_the_peers_disk_is_too_full_comes_again_later(narrow: Pair) -> None:
    anna, bert = narrow.anna, narrow.bert
    bert.start_serve()
    hand.transaction(anna, "UPDATE half SET n=1 WHERE id=1", _BULK, "UPDATE half SET n=1 WHERE id=2")
    _full(bert)
    ran = anna.drain(timeout=180)
    assert ran.returncode in (1, 4) and "full" in ran.stderr.lower(), ran.stderr
    assert not _half_done(bert) and bert.sql("SELECT COUNT(*) FROM t") == [(0,)]
    assert hand.owed(anna) == [], "a full disk is no record's fault"
    assert not anna.status()["peers"][0]["in_step"]
    _free(bert)
    anna.drain(check=0, timeout=180)
    narrow.settle()
    narrow.assert_equal()


def test_a_sender_whose_database_is_full_says_so_and_goes_on_when_there_is_room(narrow: Pair) -> None:
    anna, bert = narrow.anna, narrow.bert
    bert.start_serve()
    hand.transaction(anna, "UPDATE half SET n=1", "INSERT INTO t VALUES (1, 'small')")
    _full(anna)
    ran = anna.drain(timeout=180)  # a mark may still find room in pages that are there
    assert ran.returncode in (0, 1, 3, 5) and (ran.stderr or ran.returncode == 0), ran.stderr
    assert not _half_done(bert)
    _free(anna)
    anna.drain(check=0)
    narrow.settle()
    narrow.assert_equal()


@small_disk.needs_root
@pytest.mark.parametrize("whose", ["sender", "receiver"])
def test_a_full_state_dir_is_named_and_costs_nothing_but_time(fresh_pair: Pair, whose: str) -> None:
    anna, bert = fresh_pair.anna, fresh_pair.bert
    hand.everywhere(fresh_pair, *_TABLES)
    fresh_pair.install()
    full = anna if whose == "sender" else bert
    full.prefix = small_disk.prefix(full.folder / "state", "16k")
    try:
        bert.start_serve()
        hand.transaction(anna, "UPDATE half SET n=1", "INSERT INTO t SELECT seq, SHA2(RAND(), 512) FROM seq_1_to_40000")
        ran = anna.drain()
        assert ran.returncode in (1, 4), (ran.returncode, ran.stderr)
        assert "No space left" in ran.stderr and "state" in ran.stderr, ran.stderr
        assert bert.sql("SELECT COUNT(*) FROM t") == [(0,)] and not _half_done(bert)
    finally:
        full.prefix = []
        bert.stop_serve()
    bert.start_serve()
    anna.drain(check=0)
    fresh_pair.assert_equal()
