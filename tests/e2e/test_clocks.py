"""Clocks that are wrong, and that are set right again: links are held with both clocks named, go on by
themselves when the clocks agree, and no later edit is lost without a word."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from lab import Node, Pair, hand, until
from lab.clock import Clock

pytestmark = pytest.mark.slow

T = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))"
DAY, DONE, PERSON = 86400, 0, 5


@pytest.fixture(scope="module")
def clocked() -> Iterator[tuple[Pair, Clock]]:
    """Two laptops; the clock of anna's server can be set."""
    with Pair(schemas=()) as two:
        clock = Clock(two.anna.server)
        two.anna.server.restart()
        yield two, clock


@pytest.fixture
def ready(clocked: tuple[Pair, Clock]) -> Iterator[tuple[Pair, Clock]]:
    """The same, installed, with row 1 on both and nobody serving."""
    two, clock = clocked
    clock.wrong_by(0)
    two.renew()
    hand.everywhere(two, T)
    two.install()
    two.start_serve()
    two.anna.sql("INSERT INTO t VALUES (1, 'first')")
    two.settle()
    two.stop_serve()
    yield two, clock
    clock.wrong_by(0)
    two.stop_serve()


def _held(node: Node) -> str:
    return node.status()["peers"][0]["held"] or ""


def _row(node: Node, key: int = 1) -> str | None:
    rows = node.sql("SELECT v FROM t WHERE id=%s", [key])
    return str(rows[0][0]) if rows else None


@pytest.mark.parametrize("wrong", [DAY, -DAY, 120, -120])
def test_clocks_that_differ_hold_both_directions_and_the_link_goes_on_by_itself_when_they_agree(
        ready: tuple[Pair, Clock], wrong: int) -> None:
    two, clock = ready
    clock.wrong_by(wrong)
    two.bert.sql("INSERT INTO t VALUES (2, 'bert')")
    two.start_serve()
    until(lambda: _held(two.bert), 60, "bert holds the link")
    assert two.anna.sql("SELECT COUNT(*) FROM t") == [(1,)]
    said = two.bert.drain(check=PERSON).stderr
    assert "anna has 20" in said and "bert has 20" in said and "set the clock" in said, said
    assert two.bert.agent("--status").returncode == PERSON
    two.anna.sql("INSERT INTO t VALUES (3, 'anna')")
    until(lambda: _held(two.anna), 60, "anna holds the link")
    assert "anna has 20" in _held(two.anna) and "bert has 20" in _held(two.anna)
    assert _row(two.bert, 3) is None
    clock.wrong_by(0)
    until(lambda: _row(two.anna, 2), 120, "bert's row arrives by itself")
    assert _held(two.bert) == ""


@pytest.mark.parametrize("wrong", [DAY, -DAY])
def test_an_edit_made_under_a_wrong_clock_that_was_set_right_is_held_and_one_command_sends_it(
        ready: tuple[Pair, Clock], wrong: int) -> None:
    """Both edit row 1. By the times alone anna's would win, or lose, whatever was later."""
    two, clock = ready
    clock.wrong_by(wrong)
    two.anna.sql("UPDATE t SET v='anna' WHERE id=1")
    clock.wrong_by(0)
    two.bert.sql("UPDATE t SET v='bert' WHERE id=1")
    two.bert.start_serve()
    said = two.anna.drain(check=PERSON).stderr
    assert "clock" in said and "run agent --install here" in said and said.count("UTC") == 2, said
    assert "run agent --install here" in _held(two.anna)
    assert _row(two.bert) == "bert"
    assert "1 changes that a wrong clock had dated" in two.anna.agent("--install", check=DONE).stdout
    two.settle()
    two.assert_equal()
    assert _held(two.anna) == ""
    kept = [row for node in two.nodes for row in hand.sync(node, "SELECT local_row, remote_row FROM sync_conflict")]
    assert any("anna" in str(row) and "bert" in str(row) for row in kept), kept


def test_a_receiver_refuses_what_was_changed_in_its_future_and_the_command_mends_it(ready: tuple[Pair, Clock]) -> None:
    """The sender allows more than the receiver does."""
    two, _ = ready
    two.anna.change_conf({"sync": {"max_clock_skew": "1h"}})
    two.bert.start_serve()
    hand.transaction(two.anna, "SET timestamp=UNIX_TIMESTAMP(SYSDATE(6)) + 600", "UPDATE t SET v='late' WHERE id=1")
    said = two.anna.drain(check=PERSON).stderr
    assert "clock of bert" in said and "run agent --install on anna" in said, said
    assert _row(two.bert) == "first"
    two.anna.change_conf({"sync": {"max_clock_skew": None}})
    two.anna.agent("--install", check=DONE)
    two.settle()
    two.assert_equal()
    assert _row(two.bert) == "late"


def test_a_refused_change_of_a_wrong_clock_gets_the_present_time_as_well(ready: tuple[Pair, Clock]) -> None:
    """Both clocks were wrong when the peer refused it, so nobody minded then."""
    two, _ = ready
    for node in two.nodes:
        node.change_conf({"sync": {"max_clock_skew": "1h"}})
    two.bert.sql("CREATE TRIGGER no BEFORE UPDATE ON t FOR EACH ROW"
                 " IF NEW.v = 'late' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='not today'; END IF")
    two.bert.start_serve()
    hand.transaction(two.anna, "SET timestamp=UNIX_TIMESTAMP(SYSDATE(6)) + 600", "UPDATE t SET v='late' WHERE id=1")
    assert " 0 records sent, " in two.anna.drain(check=(DONE, PERSON)).stdout
    for node in two.nodes:
        node.change_conf({"sync": {"max_clock_skew": None}})
    two.bert.stop_serve()
    two.bert.start_serve()
    two.bert.sql("DROP TRIGGER no")
    assert "run agent --install on anna" in two.anna.drain(check=PERSON).stderr
    assert "1 changes that a wrong clock had dated" in two.anna.agent("--install", check=DONE).stdout
    two.settle()
    two.assert_equal()
    assert _row(two.bert) == "late" and _held(two.anna) == ""


def test_what_a_group_that_is_applied_meanwhile_queues_again_gets_the_present_time_too(ready: tuple[Pair, Clock]) -> None:
    """It wins by the wrong time, and is queued with it."""
    two, _ = ready
    sync = two.anna.sync_database
    with two.anna.connect(autocommit=False) as group, group.cursor() as cursor:  # as whoever applies
        cursor.execute(f"SELECT * FROM {sync}.sync_cursor FOR UPDATE")
        install = subprocess.Popen(two.anna.command("--install"), stdout=subprocess.DEVNULL, cwd=two.anna.folder)
        until(lambda: install.poll() is not None or two.anna.server.sql(
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%%sync_cursor FOR UPDATE'") == [(1,)], what="it waits")
        cursor.execute(f"INSERT INTO {sync}.sync_queue (id, table_name, operation, record_id, changed_at, whole)"
                       f" VALUES (NEXTVAL({sync}.sync_sequence), 't', 'update', '1', NOW(6) + INTERVAL 1 DAY, 1)")
        group.commit()
    assert install.wait() == DONE
    two.bert.start_serve()
    two.anna.drain(check=DONE)


def test_an_app_with_a_clock_of_its_own_is_never_disturbed(ready: tuple[Pair, Clock]) -> None:
    two, _ = ready
    hand.transaction(two.anna, "SET timestamp=1000000000", "INSERT INTO t VALUES (4, 'of 2001')")
    two.bert.start_serve()
    two.anna.drain(check=PERSON)
    hand.transaction(two.anna, "INSERT INTO t VALUES (5, 'now')")
    two.anna.agent("--install", check=DONE)
    two.settle()
    two.assert_equal()


@pytest.mark.parametrize("zones", [["+13:00", "SYSTEM"], ["-12:00", "SYSTEM"], ["+02:00", "+01:00", "+02:00"]], ids=["far east", "far west", "summer and winter"])
def test_time_zones_and_daylight_saving_never_hold_anything(ready: tuple[Pair, Clock], zones: list[str]) -> None:
    two, _ = ready
    two.start_serve()
    for number, one in enumerate(zones):
        two.anna.server.sql(f"SET GLOBAL time_zone='{one}'")
        hand.transaction(two.anna, f"SET time_zone='{one}'", f"INSERT INTO t VALUES ({10 + number}, 'anna')")
        hand.transaction(two.bert, f"INSERT INTO t VALUES ({20 + number}, 'bert')")
        two.settle()
        two.assert_equal()
        assert _held(two.anna) == _held(two.bert) == ""
    two.anna.server.sql("SET GLOBAL time_zone='SYSTEM'")


def test_a_transaction_that_was_open_for_a_while_holds_nothing(ready: tuple[Pair, Clock]) -> None:
    """Its changes are older than marks made meanwhile, by less than an hour."""
    two, _ = ready
    two.start_serve()
    hand.transaction(two.anna, "SET timestamp=UNIX_TIMESTAMP(SYSDATE(6)) - 1800", "INSERT INTO t VALUES (6, 'half an hour')")
    two.settle()
    two.assert_equal()
    assert _held(two.anna) == ""
