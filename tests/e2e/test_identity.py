"""Restored, copied, emptied and reinstalled databases: whoever is not what its peer has met is noticed
before a record is applied, --status says what happened and names one command, and after that command
alone, run on either side, nothing that existed on one side only is lost and both are equal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from lab import Cluster, Node, Pair, backup, hand, until

pytestmark = pytest.mark.slow

T = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40), n INT NOT NULL DEFAULT 0)"
U = "CREATE TABLE u (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(40))"
DONE, DATABASE, AWAY, PERSON = 0, 3, 4, 5
COMMAND = re.compile(r"run agent --install --peer (\w+) here")

Rows = dict[tuple[str, int], str]
Disaster = Callable[[Pair], Callable[[], None]]  # called before the later exchange: remembers; then: strikes


def _rows(node: Node) -> Rows:
    return {(table, int(key)): str(value) for table in ("t", "u")
            for key, value in node.sql(f"SELECT id, v FROM {table}")}


def _held(node: Node) -> str:
    return node.status()["peers"][0]["held"] or ""


def _edit(node: Node, first: int, what: str) -> None:
    """Rows of its own, and an edit of a row that both have."""
    node.sql("INSERT INTO t (id, v) VALUES (%s, %s)", [first, f"{node.name} {what}"])
    node.sql("INSERT INTO u (v) VALUES (%s)", [f"{node.name} {what}"])
    node.sql("UPDATE t SET v=%s WHERE id=%s", [f"{node.name} {what}", 1 if node.name == "anna" else 2])


def _both_work(two: Pair) -> None:
    """What two people did before anything happened; each has seen all of the other's."""
    hand.everywhere(two, T, U)
    two.install()
    two.start_serve()
    two.anna.sql("INSERT INTO t (id, v) VALUES (1, 'old'), (2, 'old'), (3, 'old'), (4, 'old')")
    _edit(two.anna, 10, "first")
    _edit(two.bert, 20, "first")
    two.settle()


def _live_through(two: Pair, disaster: Disaster) -> None:
    """A backup is made, both go on, some of it unsent; then it strikes, and both write again."""
    _both_work(two)
    strike = disaster(two)
    two.start_serve()
    _edit(two.anna, 11, "later")
    _edit(two.bert, 21, "later")
    two.settle()
    two.stop_serve()
    _edit(two.anna, 12, "unsent")
    _edit(two.bert, 22, "unsent")
    strike()
    _edit(two.anna, 13, "after")
    _edit(two.bert, 23, "after")


def _whole(node: Node) -> str:
    """Every word of the kept versions, to look for values that lost."""
    return " ".join(str(row) for row in hand.sync(node, "SELECT local_row, remote_row FROM sync_conflict"))


def _assert_nothing_lost(two: Pair, before: list[Rows]) -> None:
    now = _rows(two.anna)
    kept = _whole(two.anna) + _whole(two.bert)
    for rows in before:
        for key, value in rows.items():
            assert key in now, f"{key} ({value}) is gone"
            # Within one history the later edit of a row takes the place of its author's earlier one.
            assert now[key] == value or value in kept or _is_older(value, now[key]), (
                f"{key}: {value} is neither in the table ({now[key]}) nor kept")


def _is_older(one: str, other: str) -> bool:
    order = ["old", "first", "later", "unsent", "after"]
    same_author = one.split()[0] == other.split()[0] or one == "old"
    return same_author and order.index(one.split()[-1]) < order.index(other.split()[-1])


def _command(node: Node) -> list[str]:
    """The command of the sentence that --status shows, as a person would copy it."""
    found = COMMAND.search(_held(node))
    assert found, _held(node)
    return ["--install", "--peer", found.group(1)]


def _settle(two: Cluster, where: Node) -> None:
    """What a person has to decide once both have met: numbers that were given to two rows, before and after."""
    calm = 0

    def quiet() -> bool:
        nonlocal calm
        done = [node.drain(check=(DONE, PERSON)).returncode for node in two.nodes]
        for one in json.loads(where.agent("--conflicts", "--json", check=(DONE, PERSON)).stdout)["conflicts"]:
            assert not one["undecided"] or (one["rule"], one["table"]) == ("collision", "u"), one
        where.agent("--resolve", "all", "--keep", "local", check=DONE)
        calm = calm + 1 if done == [DONE] * len(two.nodes) and not two.pending() else 0
        return calm >= 3
    until(quiet, 60, "nothing is left to decide")
    two.settle()


def _assert_mended(two: Pair, where: Node) -> None:
    before = [_rows(node) for node in two.nodes]
    where.agent(*_command(where), check=DONE)
    two.start_serve()
    _settle(two, where)
    two.assert_equal()
    _assert_nothing_lost(two, before)
    for node in two.nodes:
        assert _held(node) == "" and node.status()["peers"][0]["in_step"], node.status()
    _edit(two.anna, 14, "at last")
    _edit(two.bert, 24, "at last")
    two.settle()
    two.assert_equal()
    assert two.bert.sql("SELECT v FROM t WHERE id=14") and two.anna.sql("SELECT v FROM t WHERE id=24")


def _assert_noticed(two: Pair) -> None:
    """By both, and no record went over; the drain ends with 5 and says the same."""
    before = [_rows(node) for node in two.nodes]
    two.start_serve()
    for node in two.nodes:
        until(lambda node=node: _held(node), 60, f"{node.name} notices")  # type: ignore[misc]
        assert COMMAND.search(_held(node)), _held(node)
        ran = hand.drain(node, PERSON)
        assert COMMAND.search(ran.stderr), ran.stderr
        assert node.agent("--status").returncode == PERSON
        assert not node.status()["peers"][0]["in_step"]
        assert COMMAND.search(node.agent_log.read_text()), node.agent_log.read_text()
    assert [_rows(node) for node in two.nodes] == before


# what happens -------------------------------------------------------------------------------------

def _dump_of_all(*who: str) -> Disaster:
    def remember(two: Pair) -> Callable[[], None]:
        dumps = {name: backup.both(two[name]) for name in who}
        return lambda: [backup.load(two[name], text) for name, text in dumps.items()] and None
    return remember


def _dump_of_sync(*who: str) -> Disaster:
    def remember(two: Pair) -> Callable[[], None]:
        dumps = {name: backup.dump(two[name], [two[name].sync_database]) for name in who}
        return lambda: [backup.load(two[name], text) for name, text in dumps.items()] and None
    return remember


def _emptied(*tables: str) -> Disaster:
    return lambda two: lambda: [two.anna.sql(f"TRUNCATE `{two.anna.sync_database}`.{table}") for table in tables] and None


DISASTERS: dict[str, Disaster] = {
    "a dump loaded on anna": _dump_of_all("anna"), "a dump loaded on bert": _dump_of_all("bert"),
    "dumps loaded on both": _dump_of_all("anna", "bert"), "only the sync schema loaded": _dump_of_sync("anna"),
    "the queue emptied": _emptied("sync_queue"), "the receiver's books emptied": _emptied("sync_cursor", "sync_unsettled"),
    "the sender's books emptied": _emptied("sync_peer", "sync_owed")}


@pytest.mark.parametrize("where", ["anna", "bert"])
@pytest.mark.parametrize("disaster", DISASTERS.values(), ids=DISASTERS.keys())
def test_what_happened_to_a_database_is_noticed_and_one_command_on_either_side_mends_it(
        fresh_pair: Pair, disaster: Disaster, where: str) -> None:
    _live_through(fresh_pair, disaster)
    _assert_noticed(fresh_pair)
    fresh_pair.stop_serve()
    _assert_mended(fresh_pair, fresh_pair[where])


@pytest.mark.parametrize("keep", ["local", "remote"])
def test_after_a_restore_nothing_is_overwritten_that_who_wrote_had_not_seen(fresh_pair: Pair, keep: str) -> None:
    """A number given once more, before the command and after it, and an edit after it of a record that the other has newer."""
    two = fresh_pair
    _both_work(two)
    old = backup.both(two.anna)
    for what in ("first life", "first life too"):
        two.anna.sql("INSERT INTO u (v) VALUES (%s)", [what])
    two.anna.sql("UPDATE t SET v='first life' WHERE id=4")
    two.settle()
    two.stop_serve()
    backup.load(two.anna, old)
    two.anna.sql("INSERT INTO u (v) VALUES ('second life')")
    two.start_serve()
    until(lambda: _held(two.anna), 60, "anna notices")
    two.stop_serve()
    two.anna.agent(*_command(two.anna), check=DONE)
    two.anna.sql("INSERT INTO u (v) VALUES ('second life too')")
    two.anna.sql("UPDATE t SET v='blind' WHERE id=4")
    before = {node.name: node.sql("SELECT v FROM u WHERE v LIKE '%life%' ORDER BY id") for node in two.nodes}
    two.start_serve()

    def listed() -> bool:
        for node in two.nodes:
            node.drain(check=(DONE, PERSON))
        return all(node.status()["undecided"] == 2 for node in two.nodes)
    until(listed, 60, "both list both numbers")
    assert {node.name: node.sql("SELECT v FROM u WHERE v LIKE '%life%' ORDER BY id") for node in two.nodes} == before
    assert all("rule collision" in node.agent("--conflicts", check=PERSON).stdout for node in two.nodes)
    two.bert.agent("--resolve", "all", "--keep", keep, check=DONE)
    two.settle()
    two.assert_equal()
    stays, goes = ("first", "second") if keep == "local" else ("second", "first")
    assert two.anna.sql("SELECT v FROM u WHERE v LIKE '%life%' ORDER BY id") == [(f"{stays} life",), (f"{stays} life too",)]
    assert two.bert.sql("SELECT v FROM t WHERE id=4") == [("blind",)]
    kept = _whole(two.anna) + _whole(two.bert)
    assert f'"{goes} life too"' in kept and f'"{goes} life"' in kept and '"id":"4","v":"first life"' in kept


# datadirs -----------------------------------------------------------------------------------------

def _datadir_of(*who: str) -> Disaster:
    def remember(two: Pair) -> Callable[[], None]:
        two.stop_serve()
        copies = {name: backup.copy_datadir(two[name], "old") for name in who}
        return lambda: [backup.put_datadir(two[name], copy) for name, copy in copies.items()] and None
    return remember


@pytest.mark.parametrize(("who", "where"), [(("anna",), "anna"), (("anna",), "bert"), (("bert",), "bert"), (("anna", "bert"), "anna")],
                         ids=["anna's, mended there", "anna's, mended by bert", "bert's", "both"])
def test_a_datadir_that_was_copied_back_is_noticed_and_one_command_mends_it(who: tuple[str, ...], where: str) -> None:
    with Pair(schemas=()) as two:
        _live_through(two, _datadir_of(*who))
        if len(who) == 1:
            _assert_noticed(two)
        else:  # the same day's on both: they are as far as they were then, and go on from there
            before = [_rows(node) for node in two.nodes]
            two.start_serve()
            two.settle()
            two.assert_equal()
            _assert_nothing_lost(two, before)
            return
        two.stop_serve()
        _assert_mended(two, two[where])


def test_backups_of_different_days_on_both_are_noticed_and_one_command_mends_it() -> None:
    with Pair(schemas=()) as two:
        _both_work(two)
        two.stop_serve()
        old = backup.copy_datadir(two.anna, "monday")
        two.start_serve()
        _edit(two.anna, 15, "later")
        _edit(two.bert, 25, "later")
        two.settle()
        two.stop_serve()
        younger = backup.copy_datadir(two.bert, "tuesday")
        two.start_serve()
        _edit(two.anna, 16, "later")
        _edit(two.bert, 26, "later")
        two.settle()
        two.stop_serve()
        backup.put_datadir(two.anna, old)
        backup.put_datadir(two.bert, younger)
        _edit(two.anna, 13, "after")
        _edit(two.bert, 23, "after")
        _assert_noticed(two)
        two.stop_serve()
        _assert_mended(two, two.bert)


def test_two_copies_of_one_laptop_never_mix_and_each_may_begin_anew() -> None:
    """Both run under one name, now one, now the other; what either wrote is everywhere at the end."""
    with Pair(schemas=()) as two:
        _both_work(two)
        two.stop_serve()
        copy = backup.copy_datadir(two.anna, "clone")
        two.start_serve()
        _edit(two.anna, 11, "first")
        _edit(two.bert, 21, "later")
        two.settle()
        two.stop_serve()
        two.anna.server.stop()
        original = two.anna.server.save("original")
        two.anna.server.restore(copy)
        two.anna.server.start()
        _edit(two.anna, 12, "clone")
        _edit(two.bert, 22, "later")
        _assert_noticed(two)
        two.stop_serve()
        two.anna.agent(*_command(two.anna), check=DONE)
        two.start_serve()
        _settle(two, two.anna)
        two.stop_serve()
        two.assert_equal()
        assert {("t", 11), ("t", 12), ("t", 21), ("t", 22)} <= _rows(two.bert).keys()
        backup.put_datadir(two.anna, original)
        _edit(two.anna, 13, "original")
        _edit(two.bert, 23, "later")
        _assert_noticed(two)
        two.stop_serve()
        two.bert.agent(*_command(two.bert), check=DONE)
        two.start_serve()
        _settle(two, two.bert)
        two.assert_equal()
        assert {("t", n) for n in (11, 12, 13, 21, 22, 23)} <= _rows(two.anna).keys()


def test_a_number_that_was_given_twice_and_after_a_restore_once_more_keeps_all_three_rows() -> None:
    """The second of them was on anna's disk alone, and in the conflict that bert was asked about."""
    with Pair(schemas=()) as two:
        _both_work(two)
        two.stop_serve()
        copy = backup.copy_datadir(two.anna, "yesterday")
        for node in two.nodes:
            node.sql("INSERT INTO u (id, v) VALUES (100, %s)", [f"{node.name} first"])
        two.start_serve()
        for node in two.nodes:
            until(lambda node=node: "anna first" in _whole(node) and "bert first" in _whole(node), 60, f"{node.name} is asked")
        two.stop_serve()
        two.anna.server.stop()
        backup.put_datadir(two.anna, copy)
        two.anna.sql("INSERT INTO u (id, v) VALUES (100, 'anna again')")
        _assert_noticed(two)
        two.stop_serve()
        two.anna.agent(*_command(two.anna), check=DONE)
        two.start_serve()
        for node in two.nodes:
            until(lambda node=node: "anna again" in _whole(node) and "bert first" in _whole(node), 60, f"{node.name} is asked anew")
        assert "anna first" in _whole(two.bert)
        two.bert.agent("--resolve", "all", "--keep", "remote", check=DONE)
        _settle(two, two.bert)
        two.assert_equal()
        assert _rows(two.bert)["u", 100] == "anna again"
        assert all(what in _whole(two.bert) for what in ("anna first", "bert first"))


# gone ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("first", ["anna", "bert"])
def test_a_dropped_sync_schema_is_made_anew_and_one_command_on_either_side_begins_the_link_anew(
        fresh_pair: Pair, first: str) -> None:
    two = fresh_pair
    _live_through(two, lambda two: lambda: None)
    two.anna.sql(f"DROP DATABASE `{two.anna.sync_database}`")
    for verb in ("--drain", "--status"):
        ran = two.anna.agent(verb, check=DATABASE)
        assert "run agent --install" in ran.stderr and "missing" in ran.stderr, ran.stderr
    two.anna.agent("--install", check=DONE)
    two.anna.sql("INSERT INTO t (id, v) VALUES (17, 'anna after')")
    before = [_rows(node) for node in two.nodes]
    two.start_serve()
    until(lambda: _held(two[first]), 60, f"{first} notices")
    assert [_rows(node) for node in two.nodes] == before
    hand.drain(two[first], PERSON)
    two.stop_serve()
    _assert_mended(two, two[first])


@pytest.mark.parametrize("tables", [("sync_node",), ("sync_node", "sync_epoch", "sync_queue", "sync_peer", "sync_cursor", "sync_witness")],
                         ids=["its identity", "nearly all"])
def test_a_sync_schema_whose_tables_were_emptied_is_named_and_mended_by_two_commands(
        fresh_pair: Pair, tables: tuple[str, ...]) -> None:
    two = fresh_pair
    _live_through(two, _emptied(*tables))
    assert "run agent --install" in two.anna.drain(check=DATABASE).stderr
    two.anna.agent("--install", check=DONE)
    two.anna.sql("INSERT INTO t (id, v) VALUES (17, 'anna after')")
    _assert_noticed(two)
    two.stop_serve()
    _assert_mended(two, two.anna)


def test_only_the_app_s_database_restored_holds_its_tables_and_one_command_merges_them(fresh_pair: Pair) -> None:
    two = fresh_pair
    _both_work(two)
    old = backup.dump(two.anna, [two.anna.database])
    _edit(two.anna, 11, "later")
    _edit(two.bert, 21, "later")
    two.settle()
    two.stop_serve()
    _edit(two.bert, 22, "unsent")
    backup.load(two.anna, old)
    _edit(two.anna, 13, "after")
    _edit(two.bert, 23, "after")
    there = _rows(two.bert)
    two.bert.start_serve()
    two.anna.drain(check=PERSON)
    assert _rows(two.bert) == there
    said = two.anna.agent("--status", check=PERSON).stdout
    assert "restored from a dump" in said, said
    whole = "agent --verify --repair --peer bert"
    assert whole in said, said
    before = [_rows(node) for node in two.nodes]
    two.anna.agent(*whole.split()[1:], check=DONE)
    two.start_serve()
    two.settle()
    two.assert_equal()
    _assert_nothing_lost(two, before)


# another than agent.conf means ----------------------------------------------------------------------

def test_an_agent_pointed_at_itself_says_so_and_goes_on_when_the_url_is_right(fresh_pair: Pair) -> None:
    two = fresh_pair
    _both_work(two)
    right = two.anna.conf["peer bert"]["url"]
    two.stop_serve()
    two.anna.change_conf({"peer bert": {"url": f"http://127.0.0.1:{two.anna.listen_port}"}})
    two.start_serve()
    _edit(two.anna, 11, "later")
    before = [_rows(node) for node in two.nodes]
    ran = two.anna.drain()
    assert ran.returncode == AWAY and "or to this one" in ran.stderr, ran.stderr  # what answers cannot be believed
    assert [_rows(node) for node in two.nodes] == before
    assert not two.anna.status()["peers"][0]["in_step"]
    two.anna.change_conf({"peer bert": {"url": right}})
    two.anna.drain(check=DONE)
    two.assert_equal()


def test_an_agent_pointed_at_another_node_s_database_names_both_and_does_nothing(fresh_pair: Pair) -> None:
    two = fresh_pair
    _both_work(two)
    two.stop_serve()
    mine = two.anna.conf["database"]["socket"]
    two.anna.change_conf({"database": {"socket": str(two.bert.server.socket)}})
    before = [_rows(node) for node in two.nodes]
    for verb in ("--drain", "--status", "--install"):
        ran = two.anna.agent(verb)
        assert ran.returncode != DONE
        assert "bert" in ran.stderr + ran.stdout, ran.stderr
    assert [_rows(node) for node in two.nodes] == before
    two.anna.change_conf({"database": {"socket": mine}})
    two.anna.agent("--status", check=DONE)


# more than two --------------------------------------------------------------------------------------

def test_a_restored_hub_begins_anew_with_each_of_its_peers_and_all_three_end_equal() -> None:
    with Cluster(3, "star", schemas=()) as star:
        hand.everywhere(star, T, U)
        star.install()
        star.start_serve()
        star["anna"].sql("INSERT INTO t (id, v) VALUES (1, 'old'), (2, 'old')")
        star.settle()
        old = backup.both(star["anna"])
        for number, name in enumerate(("anna", "bert", "cleo")):
            star[name].sql("INSERT INTO t (id, v) VALUES (%s, %s)", [10 + number, name])
        star.settle()
        star.stop_serve()
        star["bert"].sql("INSERT INTO t (id, v) VALUES (21, 'bert unsent')")
        star["cleo"].sql("UPDATE t SET v='cleo unsent' WHERE id=2")
        backup.load(star["anna"], old)
        star["anna"].sql("INSERT INTO t (id, v) VALUES (30, 'anna after')")
        star.start_serve()
        for peer in star["anna"].status()["peers"]:
            assert COMMAND.search(peer["held"]), peer
            star["anna"].agent("--install", "--peer", peer["name"], check=DONE)
        star.settle()
        star.assert_equal()
        assert {key for _, key in _rows(star["cleo"])} >= {1, 2, 10, 11, 12, 21, 30}
        assert star["bert"].sql("SELECT v FROM t WHERE id=2") == [("cleo unsent",)]


def test_what_two_peers_had_refused_waits_for_nobody_when_one_link_began_anew_and_the_other_took_it() -> None:
    with Cluster(3, "star", schemas=()) as star:
        hand.everywhere(star, T)
        star.install()
        star.start_serve()
        star["anna"].sql("INSERT INTO t (id, v) VALUES (1, 'old')")
        star.settle()
        for name in ("bert", "cleo"):
            star[name].sql("ALTER TABLE t ADD CONSTRAINT no CHECK (v NOT LIKE 'new%')")
        star["anna"].sql("UPDATE t SET v='new' WHERE id=1")
        until(lambda: len(hand.owed(star["anna"])) == 2, 60, "both refuse it")
        star["cleo"].stop_serve()
        star["anna"].sql("UPDATE t SET v='newer' WHERE id=1")
        ids = "SELECT queue_ids FROM sync_owed WHERE peer='bert'"
        until(lambda: "," in hand.sync(star["anna"], ids)[0][0], 60, "bert has refused two changes, cleo one")
        for name in ("bert", "cleo"):
            star[name].sql("ALTER TABLE t DROP CONSTRAINT no")
        star["anna"].stop_serve()
        star["anna"].agent("--install", "--peer", "bert", check=DONE)
        assert hand.sync(star["anna"], "SELECT status, last_error IS NULL FROM sync_queue WHERE operation='update' ORDER BY id") == \
            [("pending", 0), ("pending", 1)]
        for name in ("anna", "cleo"):
            star[name].start_serve()
        star.settle()
        star.assert_equal()
        assert not star["anna"].queue().keys() & {"pending", "failed"}
