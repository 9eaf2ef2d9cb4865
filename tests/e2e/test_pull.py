"""Pull: anna can call bert, and nobody can call anna. Both directions go over her connection, whatever
is cut, lost, doubled or killed on the way."""

from __future__ import annotations

import json
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import Node, Pair, hand, until
from lab.impostor import Impostor
from lab.proxy import Fault, Kind

DOWNLOAD, ACKNOWLEDGE = "/api/sync/download", "/api/sync/acknowledge"
pytestmark = pytest.mark.slow

KEYS = 12           # few, so that both sides meet on the same rows
_TABLE = "CREATE TABLE t (id INT PRIMARY KEY, v LONGBLOB, n INT NOT NULL DEFAULT 0)"


def _one_way(two: Pair, timeout: str = "10s") -> tuple[Node, Node]:
    """anna fetches from bert, who has no url of hers; n counts."""
    for node in two.nodes:
        node.sql(_TABLE)
        node.change_conf({"table t": {"add": "n"}, "sync": {"timeout": timeout}})
    two.anna.change_conf({"peer bert": {"pull": "yes"}})
    two.bert.change_conf({"peer anna": {"url": None}})
    two.install()
    return two.anna, two.bert


def _value(node: Node, key: int) -> bytes | None:
    rows = node.sql("SELECT v FROM t WHERE id = %s", [key])
    return bytes(rows[0][0]) if rows else None


def _received(node: Node) -> int:
    """Groups that were applied there."""
    return int(node.sql(f"SELECT COUNT(*) FROM {node.sync_database}.sync_activity"
                        " WHERE direction = 'received'")[0][0])


def _wait_equal(two: Pair, timeout: float = 60) -> None:
    two.wait_quiet(timeout)
    until(lambda: all(peer["in_step"] for node in two.nodes for peer in node.status()["peers"]),
          timeout, "both say that they are in step")
    two.assert_equal()


def test_one_drain_of_the_side_that_can_call_serves_both_directions(fresh_pair: Pair) -> None:
    anna, bert = _one_way(fresh_pair)
    bert.sql("INSERT INTO t VALUES (1, 'bert''s', 0)")
    anna.sql("INSERT INTO t VALUES (2, 'anna''s', 0)")
    said = bert.drain(check=0).stdout  # he cannot, and that is no failure
    assert "has no url here" in said and "waits" in said
    peer = bert.status()["peers"][0]
    assert peer["fetched_by_it"] and peer["url"] is None and not peer["in_step"]
    assert peer["pending"] == 1 and peer["held"] is None and peer["failures"] == 0
    assert "to be fetched by it" in bert.agent("--status").stdout
    anna.drain(check=4)  # nobody serves there
    bert.start_serve()
    said = anna.drain(check=0).stdout
    assert "1 records sent" in said and "1 records fetched" in said
    assert _value(anna, 1) == b"bert's" and _value(bert, 2) == b"anna's"
    # The acknowledgement has been settled: bert knows that it is there.
    until(lambda: bert.status()["peers"][0]["in_step"], 10, "bert has the answer")
    assert anna.drain(check=0).stdout == ""
    assert not fresh_pair.wire["bert", "anna"].exchanges
    paths = {x.path for x in fresh_pair.wire["anna", "bert"].exchanges}
    assert {DOWNLOAD, ACKNOWLEDGE} <= paths
    fresh_pair.assert_equal()


def _differ(anna: Node, bert: Node) -> None:
    """A row only here, one only there, one that differs."""
    for node in (anna, bert):
        hand.unseen(node, f"INSERT INTO t VALUES ({len(node.name) + (node is anna)}, '{node.name}', 0)", f"INSERT INTO t VALUES (9, 'of {node.name}', 0)")


def test_the_side_that_cannot_call_compares_and_repairs_over_the_others_connection(fresh_pair: Pair) -> None:
    anna, bert = _one_way(fresh_pair, "2s")
    _differ(anna, bert)
    for verb in ("--verify", "--startup"):
        assert "agent --serve, which does not run here" in bert.agent(verb, check=4).stderr
    bert.start_serve()
    ran = bert.agent("--verify", check=4)  # anna is not there
    assert "waiting up to 6 s for peer anna" in ran.stdout and "has not come within 6 s" in ran.stderr
    anna.start_serve()
    said = json.loads(bert.agent("--verify", "--json", check=5).stdout)["peers"][0]["tables"][0]
    assert [said["keys"][kind] for kind in ("missing_there", "missing_here", "different")] == [["4"], ["5"], ["9"]]
    bert.agent("--verify", "--repair", "--from", "bert", check=0)
    until(lambda: _value(anna, 9) == b"of bert" and _value(anna, 5) is None, 60, "anna has what bert has")
    _wait_equal(fresh_pair)
    hand.unseen(bert, "UPDATE t SET v = 'other'")
    bert.agent("--verify", "--repair", "--from", "anna", check=0)
    until(lambda: _value(bert, 9) == b"of bert", 60, "and the other way round")
    _wait_equal(fresh_pair)
    assert not fresh_pair.wire["bert", "anna"].exchanges  # nobody has called anna


def test_a_comparison_waits_for_a_peer_that_only_drains_now_and_then(fresh_pair: Pair) -> None:
    anna, bert = _one_way(fresh_pair)
    _differ(anna, bert)
    bert.start_serve()
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(lambda: bert.agent("--verify", "--json"))
        until(lambda: anna.drain().returncode == 0 and asked.done(), 60, "a drain of anna's stays until bert has what he asks for")
    assert asked.result().returncode == 5, asked.result().stderr
    assert json.loads(asked.result().stdout)["peers"][0]["tables"][0]["different"] == 1
    anna.drain(check=0)  # and the next one does not wait for a guest that has gone


@pytest.mark.parametrize("fault, path", [("cut_response", DOWNLOAD), ("cut_request", ACKNOWLEDGE), ("cut_response", ACKNOWLEDGE)])
def test_a_line_that_is_cut_costs_a_comparison_over_it_a_new_hello(fresh_pair: Pair, fault: Kind, path: str) -> None:
    anna, bert = _one_way(fresh_pair)
    for node in (anna, bert):
        hand.unseen(node, "INSERT INTO t SELECT seq, 'x', 0 FROM seq_1_to_20000")
    hand.unseen(anna, "UPDATE t SET v = 'y' WHERE id IN (1, 10000, 20000)", "DELETE FROM t WHERE id = 7")
    fresh_pair.start_serve()
    wire = fresh_pair.wire["anna", "bert"]
    until(lambda: any(x.path == DOWNLOAD for x in wire.exchanges), 20, "anna waits for what comes")
    cut = wire.plan(Fault(fault, path=path, skip=4))
    said = json.loads(bert.agent("--verify", "--json", check=5).stdout)["peers"][0]["tables"][0]
    assert cut.hits == 1
    assert sorted(said["keys"]["different"]) == ["1", "10000", "20000"] and said["keys"]["missing_there"] == ["7"]


def test_a_node_that_cannot_call_fills_itself_from_who_comes(fresh_pair: Pair) -> None:
    anna, bert = _one_way(fresh_pair)
    fresh_pair.start_serve()
    hand.unseen(anna, "INSERT INTO t SELECT seq, 'x', 0 FROM seq_1_to_30000")
    hand.unseen(bert, "INSERT INTO t VALUES (7, 'other', 0), (40000, 'only here', 0)")
    said = json.loads(bert.agent("--startup", "--dry-run", "--json", check=0).stdout)
    assert said["tables"][0]["missing_here"] == 29999 and bert.sql("SELECT COUNT(*) FROM t") == [(2,)]
    said = json.loads(bert.agent("--startup", "--json", check=0).stdout)
    assert said["copied"] >= 29999 and said["sent"] == 1
    _wait_equal(fresh_pair)
    assert _value(anna, 40000) == b"only here" and anna.sql("SELECT COUNT(*) FROM t") == [(30001,)]
    hand.unseen(bert, "INSERT INTO t VALUES (50000, 'only here', 0)")
    bert.agent("--startup", "--force", check=0)
    assert _value(bert, 50000) is None
    _wait_equal(fresh_pair)


def test_a_node_that_cannot_call_and_has_no_rows_fills_itself_from_who_comes(fresh_pair: Pair) -> None:
    anna, bert = _one_way(fresh_pair)
    hand.unseen(anna, "INSERT INTO t SELECT seq, 'x', 0 FROM seq_1_to_5000")  # in no queue: only a startup brings them
    bert.change_conf({"sync": {"startup": None}})
    fresh_pair.start_serve()
    anna.sql("UPDATE t SET n = n + 1 WHERE id = 7")
    until(lambda: bert.sql("SELECT COUNT(*) FROM t") == [(5000,)], 60, "bert is filled")
    bert.sql("UPDATE t SET n = n + 1 WHERE id = 7")
    _wait_equal(fresh_pair)
    assert anna.sql("SELECT n FROM t WHERE id = 7") == [(2,)]


def test_while_both_serve_changes_come_at_once_in_both_directions(fresh_pair: Pair) -> None:
    anna, bert = _one_way(fresh_pair)
    fresh_pair.start_serve()
    until(lambda: any(x.path == DOWNLOAD for x in fresh_pair.wire["anna", "bert"].exchanges), 20,
          "anna waits for what comes")
    slowest = 0.0
    for key in range(1, 11):
        writer, reader = (anna, bert) if key % 2 else (bert, anna)
        began = time.monotonic()
        writer.sql("INSERT INTO t VALUES (%s, 'x', 0)", [key])
        until(lambda: _value(reader, key) == b"x", 20, f"record {key} arrives")
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 3  # it is pushed as soon as it is there; the wait of a download is far longer
    _wait_equal(fresh_pair)
    # What waits does not keep the daemon from ending, and what is written then is fetched later.
    bert.stop_serve()
    bert.sql("INSERT INTO t VALUES (11, 'later', 0)")
    until(lambda: anna.status()["peers"][0]["last_error"] is not None, 20, "anna says that she cannot fetch")
    bert.start_serve()
    until(lambda: _value(anna, 11) == b"later", 60, "it is fetched when bert is back")
    _wait_equal(fresh_pair)


def test_what_is_refused_is_counted_and_parked_where_it_came_from(fresh_pair: Pair) -> None:
    for node in fresh_pair.nodes:
        node.sql("CREATE TABLE name (id INT PRIMARY KEY, name VARCHAR(20) UNIQUE)")
    anna, bert = _one_way(fresh_pair)
    anna.sql("INSERT INTO name VALUES (1, 'Pat')")
    bert.sql("INSERT INTO name VALUES (2, 'Pat'), (3, 'Kim')")
    fresh_pair.start_serve()
    until(lambda: bert.status()["peers"][0]["parked"] == 1, 60, "bert parks it after three tries")
    assert anna.sql("SELECT name FROM name WHERE id = 3") == [("Kim",)]
    bert.sql("UPDATE name SET name = 'Pat B.' WHERE id = 2")
    anna.sql("UPDATE name SET name = 'Pat A.' WHERE id = 1")
    bert.agent("--retry", "all")
    until(lambda: anna.sql("SELECT name FROM name WHERE id = 2") == [("Pat B.",)], 60, "and then it comes")
    _wait_equal(fresh_pair)


def test_a_large_group_is_fetched_in_pieces(fresh_pair: Pair) -> None:
    anna, bert = _one_way(fresh_pair)
    photo = os.urandom(11 * 1024 * 1024)  # not to be compressed: three pieces
    bert.sql("INSERT INTO t VALUES (1, %s, 0)", [photo])
    bert.start_serve()
    wire = fresh_pair.wire["anna", "bert"]
    anna.drain(check=0, timeout=120)
    pieces = [x for x in wire.exchanges if x.path == DOWNLOAD and len(x.response) > 1024 * 1024]
    assert len(pieces) == 3
    assert _value(anna, 1) == photo
    # Cut in the middle of the second piece: it is fetched again, from its beginning, and arrives once.
    bert.sql("UPDATE t SET v = %s, n = n + 1", [photo[::-1]])
    cut = wire.plan(Fault("cut_response", path=DOWNLOAD, skip=2))
    for _ in range(10):
        if anna.drain(timeout=120).returncode == 0 and _value(anna, 1) == photo[::-1]:
            break
    assert cut.hits == 1
    until(lambda: bert.status()["peers"][0]["in_step"], 20, "bert knows")
    assert anna.sql("SELECT n FROM t") == [(1,)]
    fresh_pair.assert_equal()


@pytest.mark.parametrize("path", [DOWNLOAD, ACKNOWLEDGE])
def test_nothing_on_the_way_loses_or_doubles_a_change(fresh_pair: Pair, path: str) -> None:
    anna, bert = _one_way(fresh_pair, "2s")
    bert.sql("INSERT INTO t VALUES (1, 'x', 0)")
    fresh_pair.start_serve()
    until(lambda: _value(anna, 1) == b"x", 20, "the first arrives")
    wire = fresh_pair.wire["anna", "bert"]
    kinds: list[Kind] = ["drop_request", "drop_response", "cut_request", "cut_response",
                         "corrupt_request", "corrupt_response", "duplicate"]
    for turn, kind in enumerate(kinds, 1):
        fault = wire.plan(Fault(kind, path=path))
        bert.sql("UPDATE t SET n = n + 1")
        anna.sql("UPDATE t SET n = n + 100")
        until(lambda: fault.hits == 1, 60, f"{kind} hits a {path}")
        until(lambda: anna.sql("SELECT n FROM t") == [(101 * turn,)] == bert.sql("SELECT n FROM t"),
              60, f"both have it once after {kind}")
    _wait_equal(fresh_pair)


@pytest.mark.parametrize("who", ["anna", "bert"])
@pytest.mark.parametrize("fault", ["hold_request", "hold_response"])
@pytest.mark.parametrize("path", [DOWNLOAD, ACKNOWLEDGE])
def test_a_kill_at_any_step_loses_and_doubles_nothing(fresh_pair: Pair, who: str, fault: Kind, path: str) -> None:
    anna, bert = _one_way(fresh_pair, "2s")
    bert.sql("INSERT INTO t VALUES (1, 'x', 0)")
    fresh_pair.start_serve()
    until(lambda: _value(anna, 1) == b"x", 20, "the first arrives")
    wire = fresh_pair.wire["anna", "bert"]
    for turn in range(1, 3):
        held = wire.plan(Fault(fault, path=path))
        bert.sql("UPDATE t SET n = n + 1")
        until(lambda: held.hits == 1, 30, "the step is reached")
        victim = fresh_pair[who]
        victim.kill_serve()
        held.release()
        victim.start_serve()
        until(lambda: anna.sql("SELECT n FROM t") == [(turn,)], 60, "it arrives, once")
    _wait_equal(fresh_pair)
    assert anna.sql("SELECT n FROM t") == [(2,)] == bert.sql("SELECT n FROM t")


def test_a_table_that_was_emptied_is_compared_over_the_same_connection(fresh_pair: Pair) -> None:
    """Comparing needs questions of bert's to anna: they are fetched as well."""
    anna, bert = _one_way(fresh_pair)
    bert.sql("INSERT INTO t SELECT seq, 'x', 0 FROM seq_1_to_40")
    fresh_pair.start_serve()
    until(lambda: anna.sql("SELECT COUNT(*) FROM t") == [(40,)], 20, "all arrive")
    bert.sql("TRUNCATE t")
    until(lambda: anna.sql("SELECT COUNT(*) FROM t") == [(0,)], 60, "anna's go, too")
    _wait_equal(fresh_pair)
    # The link begins anew where nobody can call: anna hears of it when she fetches.
    bert.stop_serve()
    anna.sql("INSERT INTO t VALUES (1, 'anna', 0)")
    bert.sql("INSERT INTO t VALUES (2, 'bert', 0)")
    bert.agent("--install", "--peer", "anna", check=0)
    bert.start_serve()
    until(lambda: _value(anna, 2) == b"bert" and _value(bert, 1) == b"anna", 60, "both are merged")
    _wait_equal(fresh_pair)


def test_a_second_fetcher_stands_back_and_a_paused_link_fetches_nothing(fresh_pair: Pair) -> None:
    anna, bert = _one_way(fresh_pair)
    fresh_pair.start_serve()
    bert.sql("INSERT INTO t VALUES (1, 'x', 0)")
    until(lambda: _value(anna, 1) == b"x", 20, "it arrives")
    for _ in range(3):
        anna.drain(check=0)
    _wait_equal(fresh_pair)
    anna.stop_serve()
    bert.stop_serve()
    bert.change_conf({"peer anna": {"paused": "yes"}})
    bert.start_serve()
    bert.sql("INSERT INTO t VALUES (2, 'y', 0)")
    assert "paused here" in anna.drain(check=4).stderr
    assert _value(anna, 2) is None


def test_nonsense_in_the_two_calls_is_refused_and_harms_nobody(fresh_pair: Pair) -> None:
    """Somebody who has anna's key: the most that he can have is what is for anna."""
    anna, bert = _one_way(fresh_pair)
    bert.sql("INSERT INTO t VALUES (1, 'x', 0)")
    bert.start_serve()
    forger = Impostor(bert, "anna", anna.conf["peer bert"]["key"])
    forger.hello()
    assert forger.get(DOWNLOAD)[0] == 409  # nobody said that this session fetches
    for body in (b"\n", b"[]\n", b'["fetch"]\n', b'["fetch","1","5",null]', b'["fetch","1","60001",null]\n',
                 b'["fetch","1","-1",null]\n', b'["fetch","1",null,null]\n', b'["fetch","1","5","twice"]\n',
                 b'["fetch","1","5",null]\nmore', b'["fetch","1","5",null,null]\n', b'{"fetch":"1"}\n',
                 b'["answer","1","0","200","0","last"]\n', b'["answer","1","1","99","0","last"]\n',
                 b'["answer","1","1","200","0"]\n', b'["answer","1","18446744073709551616","200","0","last"]\n',
                 b'["fetch\\u0000x","1","5",null]\n', b'["' + b"x" * 300 + b'","1","5",null]\n', b"\xff\xfe\n"):
        status, said = forger.post(ACKNOWLEDGE, body)
        assert status == 400 and b"malformed" in said, (body, status, said)
    status, said = forger.post(ACKNOWLEDGE, b'["fetch","2","5",null]\n')
    assert status == 409 and b"same version" in said
    assert forger.post(ACKNOWLEDGE, b'["answer","1","1","200","0","last"]\nx')[0] == 409
    assert forger.post(ACKNOWLEDGE, b'["fetch","1","10000","once"]\n')[0] == 200
    status, said = forger.get(DOWNLOAD)
    assert status == 200 and said.startswith(b'["errand","1","') and b'"/api/sync/hello"]\n{"hello":' in said
    number = said.split(b'"')[5]
    assert forger.get(DOWNLOAD, counter=forger.counter)[0] == 401  # the same request once more
    for line in (b'["answer","1","%d","200","0","last"]' % (int(number) + 1), b'["answer","1",%b,"200","1","last"]' % (b'"' + number + b'"')):
        assert forger.post(ACKNOWLEDGE, line + b"\n{}")[0] == 409
    # An answer that is no welcome, and one that claims anna has everything: neither moves a position.
    assert forger.post(ACKNOWLEDGE, b'["answer","1","' + number + b'","200","0","last"]\n{}\n')[0] == 200
    until(lambda: bert.status()["peers"][0]["last_error"] is not None, 20, "bert could not read it")
    assert not bert.status()["peers"][0]["in_step"]
    # A second session takes over; the first one is told so. Then the true anna comes.
    other = Impostor(bert, "anna", anna.conf["peer bert"]["key"])
    other.hello()
    assert other.post(ACKNOWLEDGE, b'["fetch","1","0",null]\n')[0] == 200
    assert forger.get(DOWNLOAD)[0] == 409
    anna.drain(check=0)
    assert _value(anna, 1) == b"x"
    until(lambda: bert.status()["peers"][0]["in_step"], 20, "bert has anna's answer")


def test_random_work_with_cuts_ends_alike(fresh_pair: Pair, rng: random.Random, long_run: bool) -> None:
    anna, bert = _one_way(fresh_pair, "2s")
    wire = fresh_pair.wire["anna", "bert"]
    kinds: list[Kind] = ["drop_request", "drop_response", "cut_request", "cut_response", "corrupt_response", "duplicate"]
    counted = {key: 0 for key in range(KEYS)}
    bert.sql("INSERT INTO t SELECT seq, 'x', 0 FROM seq_0_to_11")
    fresh_pair.start_serve()
    _wait_equal(fresh_pair)
    for _ in range(200 if long_run else 25):
        for node in fresh_pair.nodes:
            for _ in range(rng.randrange(4)):
                key, more = rng.randrange(KEYS), rng.randrange(1, 100)
                node.sql("UPDATE t SET v = %s, n = n + %s WHERE id = %s",
                         [f"{node.name} {more}", more, key])
                counted[key] += more
        if rng.random() < 0.6:
            wire.plan(Fault(rng.choice(kinds), skip=rng.randrange(4),
                            path=rng.choice(["/api/sync/", DOWNLOAD, ACKNOWLEDGE])))
        if rng.random() < 0.2:
            fresh_pair.wait_quiet()
        if rng.random() < 0.15:
            rng.choice(fresh_pair.nodes).kill_serve()
            fresh_pair.start_serve()
    wire.heal()
    _wait_equal(fresh_pair, 90)
    assert dict(anna.sql("SELECT id, n FROM t")) == counted  # no change was applied twice, none lost
