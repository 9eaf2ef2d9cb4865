"""The link between two agents under faults and under attack: answers that get lost, messages sent
twice, late, changed or forged, callers who are not peers, and databases that are not what they
were. Whatever arrives, a group is applied once or not at all, and a person can read what is wrong.
"""

from __future__ import annotations

import http.server
import json
import re
import secrets
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab import Exchange, Fault, Node, Pair, Proxy, until
from lab.impostor import (HELLO, MIB as _MIB, RECEIVE, TYPE as _JSON, Impostor, body_of as _body,
                          frames as _frames, head as _head, raw as _raw, read as _read,
                          status_of as _status)
from lab.proxy import Kind

_CONF = {"sync": {"timeout": "2s"}}


@contextmanager
def _fresh_pair(proxied: bool = False, install: bool = True, serve: bool = True) -> Iterator[Pair]:
    """Two laptops with one table; bert serves, anna drains by hand."""
    with Pair(schemas=(), conf=_CONF, proxied=proxied) as two:
        for node in two.nodes:
            node.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200) NOT NULL, b BLOB NULL)")
        if install:
            two.install()
            if serve:
                two.bert.start_serve()
        yield two


class Wire:
    """A pair whose link is ours, and a table in which every test has rows of its own."""

    def __init__(self, two: Pair) -> None:
        self.two, self.anna, self.bert = two, two.anna, two.bert
        self.proxy: Proxy = two.wire["anna", "bert"]
        self._next = 0

    def write(self, rows: int = 1, size: int = 10) -> list[int]:
        """New rows on anna, in one transaction; their keys."""
        keys = list(range(self._next + 1, self._next + 1 + rows))
        self._next += rows
        values = ", ".join(f"({key}, '{'x' * size}', x'00ff{key:08x}')" for key in keys)
        self.anna.sql(f"INSERT INTO t VALUES {values}")
        return keys

    def arrived(self, keys: list[int]) -> int:
        """How many of them bert has."""
        marks = ", ".join(str(key) for key in keys)
        return self.bert.sql(f"SELECT COUNT(*) FROM t WHERE id IN ({marks})")[0][0]

    def exchanges(self) -> list[Exchange]:
        return list(self.proxy.exchanges)

    def record(self) -> list[Exchange]:
        """A good drain; what went over the link."""
        before = self.proxy.requests
        self.write()
        self.anna.drain(check=0)
        return [one for one in self.exchanges() if one.number > before]

    def pending(self) -> int:
        """What anna still has for bert, by their positions."""
        return self.anna.status()["peers"][0]["pending"]

    def lose(self, kind: Kind, path: str = "", **options: Any) -> Fault:
        """A fault that lasts: libcurl asks once more by itself when a connection that it had
        used before ends without an answer."""
        return self.proxy.plan(Fault(kind, path, times=100, **options))

    def fresh_log(self) -> None:
        """Restart bert's agent: of a flood of refusals only the first ones get a line each."""
        self.bert.stop_serve()
        self.bert.start_serve()

    def heal(self) -> None:
        """The link is good again."""
        with self.proxy._lock:
            self.proxy._faults.clear()

    def settle(self, keys: list[int]) -> None:
        """After the faults: one good drain brings and settles everything, once."""
        before = _applied(self.bert)
        here = self.arrived(keys)
        self.anna.drain(check=0)
        assert self.arrived(keys) == len(keys)
        assert self.pending() == 0
        assert _applied(self.bert) - before == (0 if here == len(keys) else 1)
        assert self.anna.drain(check=0).stdout == ""
        self.two.assert_equal()


@pytest.fixture(scope="module")
def shared_pair() -> Iterator[Pair]:
    with _fresh_pair(proxied=True) as two:
        yield two


@pytest.fixture(scope="module")
def shared_wire(shared_pair: Pair) -> Wire:
    return Wire(shared_pair)


@pytest.fixture
def wire(shared_wire: Wire) -> Iterator[Wire]:
    """The shared link, in step when the test begins; its own faults end with it."""
    shared_wire.anna.drain(check=0)
    yield shared_wire
    shared_wire.proxy.set_mode("pass")
    shared_wire.heal()


def _rows(node: Node, text: str) -> list[tuple[Any, ...]]:
    return node.sql(text.replace("SYNC.", f"`{node.sync_database}`."))


def _applied(node: Node) -> int:
    return _rows(node, "SELECT COUNT(*) FROM SYNC.sync_activity WHERE direction = 'applied'")[0][0]


def _state(node: Node) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that a request of a peer could change."""
    return {
        "rows": _rows(node, "SELECT * FROM t ORDER BY id"),
        "cursor": _rows(node, "SELECT peer, incarnation, epoch, stamp, seen_epoch, answer,"
                              " records_applied FROM SYNC.sync_cursor ORDER BY peer"),
        "queue": _rows(node, "SELECT COUNT(*), MAX(id) FROM SYNC.sync_queue"),
        "epochs": _rows(node, "SELECT COUNT(*), MAX(epoch) FROM SYNC.sync_epoch"),
        "unsettled": _rows(node, "SELECT peer, record_id, kind FROM SYNC.sync_unsettled"),
        "conflicts": _rows(node, "SELECT COUNT(*) FROM SYNC.sync_conflict"),
        "activity": _rows(node, "SELECT COUNT(*) FROM SYNC.sync_activity"),
    }


def _position(node: Node) -> list[tuple[Any, ...]]:
    return _rows(node, "SELECT peer, acked_epoch, acked_stamp FROM SYNC.sync_peer ORDER BY peer")


def _log_since(node: Node, at: int) -> str:
    return node.agent_log.read_text(errors="replace")[at:]


def _log_end(node: Node) -> int:
    return len(node.agent_log.read_text(errors="replace")) if node.agent_log.exists() else 0


# lost and cut ------------------------------------------------------------------------------------

def test_a_group_whose_answer_is_lost_is_applied_once_and_settled_later(wire: Wire) -> None:
    keys = wire.write(3)
    position = _position(wire.anna)
    fault = wire.lose("drop_response", RECEIVE)
    ran = wire.anna.drain(check=4)
    assert fault.hits >= 1 and ran.stderr.strip()
    until(lambda: wire.arrived(keys) == 3, 10, "bert has applied the group")
    assert _position(wire.anna) == position
    assert wire.pending() == 3
    wire.heal()
    wire.settle(keys)


def test_statuses_follow_when_a_lost_answer_is_learnt_from_the_next_hello(wire: Wire) -> None:
    keys = wire.write(3)
    assert wire.lose("drop_response", RECEIVE)
    wire.anna.drain(check=4)
    wire.heal()
    until(lambda: wire.arrived(keys) == 3, 10, "bert has applied the group")
    wire.anna.drain(check=0)
    assert wire.pending() == 0
    assert wire.anna.pending() == 0, "the queue says pending, and nothing is"


def test_an_answer_lost_once_on_a_kept_connection_costs_nothing(wire: Wire) -> None:
    keys = wire.write(3)
    applied = _applied(wire.bert)
    fault = wire.proxy.drop_response(RECEIVE)
    wire.anna.drain(check=(0, 4))
    assert fault.hits == 1
    until(lambda: wire.arrived(keys) == 3, 10, "bert has applied the group")
    wire.settle(keys)
    assert _applied(wire.bert) == applied + 1


def test_a_lost_answer_to_changes_made_further_counts_before_they_are_sent(wire: Wire) -> None:
    keys = wire.write(2)
    fault = wire.lose("drop_response", RECEIVE)
    wire.anna.drain(check=4)
    assert fault.hits >= 1
    wire.heal()
    until(lambda: wire.arrived(keys) == 2, 10, "bert has applied the group")
    wire.anna.sql("UPDATE t SET v = 'later' WHERE id = %s", [keys[0]])
    applied = _applied(wire.bert)
    assert "1 records sent" in wire.anna.drain(check=0).stdout
    assert _applied(wire.bert) == applied + 1
    wire.settle(keys)


@pytest.mark.parametrize("path", [HELLO, RECEIVE])
@pytest.mark.parametrize("at", [0, 1, 12, 40, 150, -60, -1])
def test_an_answer_cut_at_any_byte_is_no_answer(wire: Wire, path: str, at: int) -> None:
    keys = wire.write(2)
    position = _position(wire.anna)
    fault = wire.lose("cut_response", path, at=at)
    ran = wire.anna.drain(check=4)
    assert fault.hits >= 1 and wire.proxy.url in ran.stderr
    wire.heal()
    assert _position(wire.anna) == position
    if path == RECEIVE:
        until(lambda: wire.arrived(keys) == 2, 10, "bert has applied the group")
    wire.settle(keys)


@pytest.mark.parametrize("path", [HELLO, RECEIVE])
@pytest.mark.parametrize("at", [0, 1, 30, 200, -100, -1])
def test_a_request_cut_at_any_byte_changes_nothing(wire: Wire, path: str, at: int) -> None:
    keys = wire.write(2)
    before, position = _state(wire.bert), _position(wire.anna)
    fault = wire.lose("cut_request", path, at=at)
    wire.anna.drain(check=4)
    assert fault.hits >= 1
    wire.heal()
    assert _state(wire.bert) == before and _position(wire.anna) == position
    wire.settle(keys)


def test_a_link_that_goes_silent_ends_the_drain_within_its_timeout(wire: Wire) -> None:
    keys = wire.write(1)
    wire.proxy.set_mode("stall")
    ran = wire.anna.drain(check=4, timeout=30)
    assert "no answer for 2 s" in ran.stderr
    wire.proxy.set_mode("pass")
    wire.settle(keys)


def test_a_large_group_that_breaks_off_between_its_bodies_is_sent_again_from_the_start(
        wire: Wire) -> None:
    wire.anna.sql("CREATE TABLE IF NOT EXISTS big (id INT PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB")
    wire.bert.sql("CREATE TABLE IF NOT EXISTS big (id INT PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB")
    wire.two.install()
    with wire.anna.connect() as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        for key in range(6):  # what does not compress: more than two bodies of 4 MiB
            cursor.execute("INSERT INTO big VALUES (%s, %s)", [key, secrets.token_bytes(2 * _MIB)])
        cursor.execute("COMMIT")
    fault = wire.lose("drop_response", RECEIVE, skip=1)
    wire.anna.drain(check=4)
    assert fault.hits >= 1
    wire.heal()
    assert wire.bert.sql("SELECT COUNT(*) FROM big") == [(0,)]
    begun = wire.proxy.requests
    wire.anna.drain(check=0)
    assert len([one for one in wire.exchanges() if one.number > begun and one.path == RECEIVE]) >= 3
    wire.two.assert_equal()


# twice, late, in the wrong order -----------------------------------------------------------------

def test_the_same_request_twice_is_applied_once(wire: Wire) -> None:
    keys = wire.write(2)
    applied = _applied(wire.bert)
    fault = wire.proxy.duplicate(RECEIVE)
    ran = wire.anna.drain()
    assert fault.hits == 1 and ran.returncode in (0, 4), ran.stderr
    doubled = next(one for one in wire.exchanges()[::-1] if one.fault == "duplicate")
    until(lambda: doubled.replays, 10, "the second one was answered")
    statuses = {_status(doubled.replays[0]), _status(doubled.response)}
    assert 401 in statuses, statuses
    until(lambda: wire.arrived(keys) == 2, 10, "the rows arrive")
    assert _applied(wire.bert) == applied + 1
    wire.settle(keys)


def test_recorded_requests_are_worth_nothing_later(wire: Wire) -> None:
    recorded = wire.record() + wire.record() + wire.record()
    before = _state(wire.bert)
    for exchange in recorded + recorded[::-1]:
        answer = wire.proxy.replay(exchange)
        if exchange.path == RECEIVE:
            assert _status(answer) == 401, answer
    assert _state(wire.bert) == before
    wire.settle(wire.write())


def test_a_recorded_session_is_worth_nothing_to_a_restarted_agent(wire: Wire) -> None:
    recorded = wire.record() + wire.record()
    wire.bert.stop_serve()
    wire.bert.start_serve()
    before = _state(wire.bert)
    for exchange in recorded:
        answer = wire.proxy.replay(exchange)
        assert exchange.path == HELLO or _status(answer) == 401, answer
    assert _state(wire.bert) == before
    wire.settle(wire.write())


def test_a_replayed_hello_hands_no_usable_session_to_who_lacks_the_key(wire: Wire) -> None:
    hello, receive = wire.record()
    answer = wire.proxy.replay(hello)
    session = json.loads(answer.partition(b"\r\n\r\n")[2].split(b"\n")[0])["session"]
    forged = Exchange(0, "POST", RECEIVE, re.sub(
        rb"X-Tandem-Session: [^\r]*", b"X-Tandem-Session: " + session.encode(), receive.request))
    before = _state(wire.bert)
    assert _status(wire.proxy.replay(forged)) == 401
    assert _state(wire.bert) == before


def test_a_request_that_arrives_after_its_resend_changes_nothing(wire: Wire) -> None:
    keys = wire.write(2)
    fault = wire.lose("drop_request", RECEIVE)
    wire.anna.drain(check=4)
    assert fault.hits >= 1
    wire.heal()
    late = next(one for one in wire.exchanges()[::-1] if one.fault == "drop_request")
    wire.anna.sql("UPDATE t SET v = 'newer' WHERE id = %s", [keys[0]])
    wire.settle(keys)
    answer = wire.proxy.replay(late)  # its session is alive, its counter was never used: signed
    assert _status(answer) in (401, 409, 200), answer
    assert wire.bert.sql("SELECT v FROM t WHERE id = %s", [keys[0]]) == [("newer",)]
    wire.settle(keys)


def test_a_daemon_whose_peer_was_restarted_says_hello_once_and_goes_on() -> None:
    with _fresh_pair(proxied=True) as two:
        link = two.wire["anna", "bert"]
        two.start_serve()
        two.anna.sql("INSERT INTO t VALUES (1, 'before', NULL)")
        two.wait_quiet()
        two.bert.stop_serve()
        two.bert.start_serve()
        begun = link.requests
        two.anna.sql("INSERT INTO t VALUES (2, 'after', NULL)")
        until(lambda: two.bert.sql("SELECT 1 FROM t WHERE id = 2"), 20, "the row arrives")
        paths = [one.path for one in link.exchanges if one.number > begun]
        assert paths.count(HELLO) == 1, paths
        two.wait_quiet()
        two.assert_equal()


# changed on the way ------------------------------------------------------------------------------

_REQUEST_PLACES = {
    "the method": {"part": "head", "at": 0},
    "the path": {"part": "head", "at": 12},
    "the version": {"part": "head", "at": -1},
    "the sender": {"header": "X-Tandem-From"},
    "the receiver": {"header": "X-Tandem-To"},
    "the session": {"header": "X-Tandem-Session"},
    "the counter": {"header": "X-Tandem-Counter"},
    "the signature": {"header": "X-Tandem-Mac"},
    "the type": {"header": "Content-Type"},
    "the first byte of the body": {"at": 0},
    "a byte of the body": {"at": 60},
    "the last byte of the body": {"at": 10**9},
}


@pytest.mark.parametrize("path", [HELLO, RECEIVE])
@pytest.mark.parametrize("place", _REQUEST_PLACES)
def test_a_request_changed_on_the_way_is_refused(wire: Wire, path: str, place: str) -> None:
    options: dict[str, Any] = dict(_REQUEST_PLACES[place])
    if path == HELLO and place == "the session":
        pytest.skip("hello has no session")
    if place == "the version":
        options["at"] = len(f"POST {path} HTTP/1.")
    wire.fresh_log()
    keys = wire.write(2)
    before, position, log = _state(wire.bert), _position(wire.anna), _log_end(wire.bert)
    fault = wire.lose("corrupt_request", path, **options)
    ran = wire.anna.drain(check=4)
    assert fault.hits >= 1
    assert _state(wire.bert) == before and _position(wire.anna) == position
    assert wire.proxy.url in ran.stderr, ran.stderr
    # A stale session is everyday life after a restart: no warning. A method that evhttp does not know
    # is answered by evhttp itself; on a connection that has served a request we do not learn of it.
    if place != "the session" and (place, path) != ("the method", RECEIVE):
        assert "warning" in _log_since(wire.bert, log), "bert says nothing"
    wire.heal()
    wire.settle(keys)


_ANSWER_PLACES = {
    "the version": {"part": "head", "at": 5},
    "the status": {"part": "head", "at": 9},
    "the signature": {"header": "X-Tandem-Mac"},
    "the first byte of the body": {"at": 0},
    "a byte of the body": {"at": None},
    "the last byte of the body": {"at": 10**9},
}


@pytest.mark.parametrize("path", [HELLO, RECEIVE])
@pytest.mark.parametrize("place", _ANSWER_PLACES)
def test_an_answer_changed_on_the_way_is_not_believed(wire: Wire, path: str, place: str) -> None:
    keys = wire.write(2)
    position = _position(wire.anna)
    fault = wire.lose("corrupt_response", path, **_ANSWER_PLACES[place])
    ran = wire.anna.drain(check=4)
    assert fault.hits >= 1
    assert wire.proxy.url in ran.stderr, ran.stderr
    assert _position(wire.anna) == position
    assert wire.pending() == 2
    wire.heal()
    wire.settle(keys)


# who speaks --------------------------------------------------------------------------------------

def test_with_a_wrong_key_nothing_goes_and_both_sides_say_so(wire: Wire) -> None:
    right = wire.anna.conf["peer bert"]["key"]
    wire.fresh_log()
    keys = wire.write(1)
    before, position, log = _state(wire.bert), _position(wire.anna), _log_end(wire.bert)
    wire.anna.change_conf({"peer bert": {"key": "ab" * 32}})
    try:
        ran = wire.anna.drain(check=4)
        assert "is the key the same on both sides" in ran.stderr
        assert "signature does not fit; is the key the same" in _log_since(wire.bert, log)
        assert _state(wire.bert) == before and _position(wire.anna) == position
        error = wire.anna.status()["peers"][0]["last_error"]
        assert "key" in error, error
    finally:
        wire.anna.change_conf({"peer bert": {"key": right}})
    wire.settle(keys)


class _Portal(http.server.BaseHTTPRequestHandler):
    """What a hotel's network answers to everything."""
    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")

    def do_POST(self) -> None:  # noqa: N802
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        status, headers, body = self.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


_WELCOME = (b'{"welcome":"1","node":"bert","incarnation":"' + b"0" * 32 + b'","session":"' + b"0" * 32
            + b'.1.' + b"0" * 64 + b'","knows":"","cursor":{"epoch":"99","stamp":""},"clock":"1"}\n')
_ANSWERS = {
    "a page": (200, {"Content-Type": "text/html"}, b"<html>Please log in</html>"),
    "a redirect": (302, {"Location": "http://127.0.0.1:1/login"}, b""),
    "a permanent redirect": (308, {"Location": "http://127.0.0.1:1/login"}, b""),
    "nothing": (204, {}, b""),
    "an error": (502, {"Content-Type": "text/html"}, b"<html>Bad gateway</html>"),
    "a forged welcome": (200, {"Content-Type": "application/x-tandem"}, _WELCOME),
    "a forged signature": (200, {"X-Tandem-Mac": "0" * 64}, _WELCOME),
    "a forged refusal": (409, {}, b'{"error":"incarnation","message":"x"}'),
    "a log-in": (401, {"WWW-Authenticate": "Basic"}, b""),
    "a flood": (200, {"Content-Type": "text/html"}, b"x" * (8 * _MIB)),
}


@pytest.mark.parametrize("what", _ANSWERS)
def test_an_answer_without_the_peers_signature_is_no_answer(wire: Wire, what: str) -> None:
    right = wire.anna.conf["peer bert"]["url"]
    portal = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Portal", (_Portal,), {"answer": _ANSWERS[what]}))
    threading.Thread(target=portal.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{portal.server_address[1]}"
    keys = wire.write(1)
    position = _position(wire.anna)
    wire.anna.change_conf({"peer bert": {"url": url}})
    try:
        ran = wire.anna.drain(check=4)
        assert url in ran.stderr, ran.stderr
        assert _position(wire.anna) == position
        peer = wire.anna.status()["peers"][0]
        assert peer["held"] is None and peer["pending"] == 1, peer
    finally:
        wire.anna.change_conf({"peer bert": {"url": right}})
        portal.shutdown()
        portal.server_close()
    wire.settle(keys)


def test_a_peer_of_another_name_than_its_section_is_refused() -> None:
    with _fresh_pair(install=False) as two:
        two.bert.change_conf({"node": {"name": "robert"}})
        two.install()
        two.bert.start_serve()
        two.anna.sql("INSERT INTO t VALUES (1, 'x', NULL)")
        assert two.anna.drain(check=(4, 5)).stderr.strip()
        assert "another name" in two.bert.agent_log.read_text()
        assert two.bert.sql("SELECT COUNT(*) FROM t") == [(0,)]
        assert two.anna.pending() == 1


def test_an_agent_pointed_at_itself_applies_nothing() -> None:
    with _fresh_pair() as two:
        two.bert.stop_serve()
        two.anna.change_conf({"peer bert": {"url": f"http://127.0.0.1:{two.anna.listen_port}"}})
        two.anna.start_serve()
        before = _state(two.anna)["rows"]
        two.anna.sql("INSERT INTO t VALUES (1, 'x', NULL)")

        def drained_alone() -> subprocess.CompletedProcess[str] | None:
            ran = two.anna.drain()  # its serve may be at it just now
            return None if "is running" in ran.stdout else ran

        ran = until(drained_alone, what="a drain beside the serving agent gets its turn")
        assert ran.returncode in (4, 5) and ran.stderr.strip()
        assert _state(two.anna)["rows"] == before + [(1, "x", None)]
        assert _applied(two.anna) == 0 and two.anna.pending() == 1


# raw bytes ---------------------------------------------------------------------------------------

_RAW: dict[str, tuple[bytes, set[int]]] = {
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, {0, 400}),
    "an empty line": (b"\r\n\r\n", {0, 400}),
    "no host": (_head(_JSON, "Content-Length: 2", host=False) + b"{}", {400}),
    "two hosts": (_head("Host: b", _JSON, "Content-Length: 2") + b"{}", {400}),
    "HTTP/1.0": (_head(_JSON, "Content-Length: 2", start=f"POST {HELLO} HTTP/1.0") + b"{}", {400}),
    "HTTP/2.0": (_head(_JSON, "Content-Length: 2", start=f"POST {HELLO} HTTP/2.0") + b"{}",
                 {0, 400, 505}),
    "two equal lengths": (_head(_JSON, "Content-Length: 2", "Content-Length: 2") + b"{}", {400}),
    "two lengths": (_head(_JSON, "Content-Length: 2", "Content-Length: 3") + b"{} ", {400}),
    "a signed length": (_head(_JSON, "Content-Length: +2") + b"{}", {400}),
    "a negative length": (_head(_JSON, "Content-Length: -2") + b"{}", {0, 400}),
    "a length and more": (_head(_JSON, "Content-Length: 2, 2") + b"{}", {400}),
    "an endless length": (_head(_JSON, "Content-Length: 99999999999999999999") + b"{}",
                          {0, 400, 413}),
    "no length": (_head(_JSON), {400, 411}),
    "chunks": (_head(_JSON, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n", {400}),
    "chunks and a length": (_head(_JSON, "Transfer-Encoding: chunked", "Content-Length: 2")
                            + b"2\r\n{}\r\n0\r\n\r\n", {400}),
    "an unknown transfer encoding": (_head(_JSON, "Transfer-Encoding: gzip", "Content-Length: 2")
                                     + b"{}", {400}),
    "a long header": (_head(_JSON, "X-Long: " + "x" * 20000, "Content-Length: 2") + b"{}",
                      {0, 400, 413, 431}),
    "many headers": (_head(_JSON, *[f"X-{i}: 1" for i in range(60)], "Content-Length: 2") + b"{}",
                     {431}),
    "a long path": (_head(start="GET /" + "a" * 400 + " HTTP/1.1"), {404, 414}),
    "a query": (_head(_JSON, "Content-Length: 2", start=f"POST {HELLO}?key=x HTTP/1.1") + b"{}",
                {400}),
    "a path with an escape": (_head(_JSON, "Content-Length: 2",
                                    start="POST /api/sync/%68ello HTTP/1.1") + b"{}", {404}),
    "a path that climbs": (_head(start="GET /../../etc/passwd HTTP/1.1"), {404}),
    "an absolute target": (_head(_JSON, "Content-Length: 2",
                                 start=f"POST http://127.0.0.1{HELLO} HTTP/1.1") + b"{}", {400}),
    "a folded header": (_head(_JSON, "X-Fold: a\r\n b", "Content-Length: 2") + b"{}", {400, 401}),
    "a header with a blank in its name": (_head(_JSON, "X Bad: 1", "Content-Length: 2") + b"{}",
                                          {0, 400}),
    "an expectation": (_head(_JSON, "Expect: 100-continue", "Content-Length: 2") + b"{}",
                       {100, 417}),
    "another type": (_head("Content-Type: text/html", "Content-Length: 2") + b"{}", {415}),
    "a form": (_head("Content-Type: application/x-www-form-urlencoded", "Content-Length: 3")
               + b"a=b", {415}),
    "an encoding": (_head(_JSON, "Content-Encoding: gzip", "Content-Length: 2") + b"{}", {415}),
    "no type": (_head("Content-Length: 2") + b"{}", {415}),
    "no signature": (_head(_JSON, "Content-Length: 2") + b"{}", {401}),
    "another method": (_head(start=f"GET {HELLO} HTTP/1.1"), {405}),
    "an unknown method": (_head(start=f"BREW {HELLO} HTTP/1.1"), {0, 400, 405, 501}),
    "a forbidden method": (_head(start=f"DELETE {RECEIVE} HTTP/1.1"), {0, 400, 405, 501}),
    "a tunnel": (_head(start="CONNECT 127.0.0.1:22 HTTP/1.1"), {0, 400, 405, 501}),
    "too large a body": (_head(_JSON, f"Content-Length: {5 * _MIB}", start=f"POST {RECEIVE} HTTP/1.1")
                         + b"x" * (5 * _MIB), {0, 413}),
    "a hello of 100 KiB": (_head(_JSON, f"Content-Length: {100 * 1024}") + b"x" * (100 * 1024), {413}),
    "half a body": (_head(_JSON, "Content-Length: 100") + b"{", {0, 400}),
    "half a header": (f"POST {HELLO} HTTP/1.1\r\nHost: 12".encode(), {0, 400}),
}


@pytest.mark.parametrize("what", _RAW)
def test_a_request_of_wrong_form_is_refused_before_anything_else(wire: Wire, what: str) -> None:
    data, statuses = _RAW[what]
    before, pid = _state(wire.bert), wire.bert.serve_pid
    status = _raw(wire.bert.listen_port, data)
    assert status in statuses, status
    assert _state(wire.bert) == before
    assert wire.bert.serving() and wire.bert.serve_pid == pid
    assert wire.bert.get("/healthz")[0] == 200


@pytest.mark.parametrize("path", ["/", "/api/status", "/api/trigger", "/metrics", "/healthz",
                                  "/monitor.js"])
def test_the_peers_port_knows_nothing_of_the_page(wire: Wire, path: str) -> None:
    key = f"Authorization: Bearer {wire.bert.monitor_key}"
    for method in ("GET", "POST"):
        data = _head(key, "Content-Length: 0", start=f"{method} {path} HTTP/1.1")
        assert _raw(wire.bert.listen_port, data) == 404


def test_the_page_knows_nothing_of_the_peers_routes(wire: Wire) -> None:
    hello = wire.record()[0]
    data = re.sub(rb"Host: [^\r]*", f"Host: 127.0.0.1:{wire.bert.monitor_port}".encode(),
                  hello.request)
    assert _raw(wire.bert.monitor_port, data) == 404


# a peer with the key, gone bad -------------------------------------------------------------------

@pytest.fixture(scope="module")
def hostile_pair() -> Iterator[Pair]:
    """A pair that has exchanged; what anna's key signs from now on, the tests write."""
    with _fresh_pair(proxied=True) as two:
        two.anna.sql("INSERT INTO t VALUES (1, 'one', NULL), (2, 'two', x'0001')")
        two.anna.drain(check=0)
        two.anna.start_serve()
        two.bert.sql("UPDATE t SET v = 'zwei' WHERE id = 2")  # now anna has seen an epoch of bert
        until(lambda: two.anna.sql("SELECT 1 FROM t WHERE v = 'zwei'"), 20, "bert's change arrives")
        two.wait_quiet()
        two.anna.stop_serve()
        yield two


@pytest.fixture
def impostor(hostile_pair: Pair) -> Impostor:
    """Anna's key in other hands, with an open session to bert."""
    forger = Impostor(hostile_pair.bert, "anna", hostile_pair.anna.conf["peer bert"]["key"])
    forger.hello()
    return forger


def _lost_group(two: Pair) -> bytes:
    """The text of a group that bert would apply now; it never reached him."""
    link = two.wire["anna", "bert"]
    two.anna.sql("INSERT INTO t VALUES (3, 'three', x'00ff') ON DUPLICATE KEY UPDATE"
                 " v = CONCAT(v, '.')")
    fault = link.plan(Fault("drop_request", RECEIVE, times=100))
    two.anna.drain(check=4)
    assert fault.hits >= 1
    fault.times = fault.hits
    lost = next(one for one in list(link.exchanges)[::-1] if one.fault == "drop_request")
    return _frames(lost.request.partition(b"\r\n\r\n")[2].partition(b"\n")[2])


@pytest.fixture
def good_group(hostile_pair: Pair) -> bytes:
    """A group of the hostile pair, not yet delivered."""
    return _lost_group(hostile_pair)


def _lines(group: bytes) -> list[bytes]:
    return group.rstrip(b"\n").split(b"\n")


_BODIES: dict[str, bytes] = {
    "no JSON": b"hello\n",
    "an empty object": b"{}\n",
    "an array": b"[]\n",
    "an envelope without an end": b'{"piece":"0","last":true}',
    "a negative piece": b'{"piece":"-1","last":true}\n',
    "a huge piece": b'{"piece":"99999999999999999999999","last":true}\n',
    "a later piece alone": b'{"piece":"7","last":true}\nabc',
    "doubled members": b'{"piece":"0","piece":"1","last":true}\n',
    "deep nesting": b"[" * 100_000 + b"\n",
    "an empty group": b'{"piece":"0","last":true}\n',
    "no compression": b'{"piece":"0","last":true}\n{"group":"1"}\n',
    "half a frame": _body(b"x" * 1000)[:-7],
    "NUL bytes": b"\x00" * 64 + b"\n",
}


@pytest.mark.parametrize("what", _BODIES)
def test_a_signed_body_that_makes_no_sense_is_refused(
        hostile_pair: Pair, impostor: Impostor, what: str) -> None:
    before = _state(hostile_pair.bert)
    status, content = impostor.post(RECEIVE, _BODIES[what])
    assert status in (400, 409, 422), (status, content)
    assert json.loads(content)["message"]
    assert _state(hostile_pair.bert) == before
    assert hostile_pair.bert.get("/healthz")[0] == 200


def _change(old: bytes, new: bytes, count: int = 1) -> Any:
    def change(group: bytes) -> bytes:
        changed = re.sub(old, new, group, count=count)
        assert changed != group, f"{old!r} is not in {group!r}"
        return changed
    return change


_GROUPS: dict[str, Any] = {
    "of another node": _change(rb'"node":"anna"', b'"node":"carl"'),
    "of another incarnation": _change(rb'"incarnation":"[0-9a-f]{32}"',
                                      b'"incarnation":"' + b"1" * 32 + b'"'),
    "from another history": _change(rb'("base":\{"epoch":"\d+","stamp":)"[0-9a-f]{16}"',
                                    rb'\1"0000000000000000"'),
    "from the future": _change(rb'"base":\{"epoch":"\d+"', b'"base":{"epoch":"999"'),
    "from the past": _change(rb'"base":\{"epoch":"\d+"', b'"base":{"epoch":"0"'),
    "that has seen the future": _change(rb'"seen":\{"epoch":"\d+"', b'"seen":{"epoch":"999"'),
    "that knows another bert": _change(rb'"seen_incarnation":"[0-9a-f]{32}"',
                                       b'"seen_incarnation":"' + b"2" * 32 + b'"'),
    "with a number for a text": _change(rb'"group":"1"', b'"group":1e400'),
    "of another version": _change(rb'"group":"1"', b'"group":"2"'),
    "with a record before its table": lambda g: b"\n".join(
        [_lines(g)[0], _lines(g)[2], _lines(g)[1]]) + b"\n",
    "with too few values": lambda g: b"\n".join(
        _lines(g)[:2] + [_lines(g)[2].rsplit(b",", 1)[0] + b"]"]) + b"\n",
    "with too many values": lambda g: b"\n".join(
        _lines(g)[:2] + [_lines(g)[2][:-1] + b',"x"]']) + b"\n",
    "with an unknown operation": _change(rb'\["[iu]"', b'["z"'),
    "with a number for a value": _change(rb'"three\.*"', b"17"),
    "with an object for a value": _change(rb'"three\.*"', b'{"a":"b"}'),
    "with broken UTF-8": _change(rb"three", b"thr\xff\xfe"),
    "with a bare control byte": _change(rb"three", b"thr\x01"),
    "cut in a record": lambda g: g[:-9],
    "with an endless line": lambda g: b"\n".join(_lines(g)[:2]) + b'\n["i","' + b"1" * 12_000_000,
    "that is only its header": lambda g: _lines(g)[0][:40] + b"\n",
}


@pytest.mark.parametrize("what", _GROUPS)
def test_a_signed_group_that_does_not_fit_changes_nothing(
        hostile_pair: Pair, impostor: Impostor, good_group: bytes, what: str) -> None:
    before = _state(hostile_pair.bert)
    status, content = impostor.post(RECEIVE, _body(_GROUPS[what](good_group)))
    assert status in (400, 409, 422), (status, content)
    assert _state(hostile_pair.bert) == before
    assert hostile_pair.bert.get("/healthz")[0] == 200
    hostile_pair.anna.drain(check=0)
    hostile_pair.assert_equal()


_FOREIGN_TABLES = ("nothing", "mysql`.`user", "app_sync.sync_node", "sync_cursor",
                   "t; DROP TABLE t", "T", "t ")


def test_tables_that_are_not_replicated_cannot_be_written() -> None:
    with _fresh_pair(proxied=True) as two:
        forger = Impostor(two.bert, "anna", two.anna.conf["peer bert"]["key"])
        forger.hello()
        before = _state(two.bert)
        head, section, record = _lines(_lost_group(two))
        forged = [head.replace(b'"records":"1"', b'"records":"%d"' % len(_FOREIGN_TABLES))]
        for table in _FOREIGN_TABLES:
            forged += [section.replace(b'"table":"t"', b'"table":' + json.dumps(table).encode()),
                       record]
        status, content = forger.post(RECEIVE, _body(b"\n".join(forged) + b"\n"))
        assert status in (200, 422), (status, content)
        if status == 200:
            assert json.loads(content.split(b"\n")[0])["applied"] == "0"
        after = _state(two.bert)
        for what in ("rows", "queue", "conflicts"):
            assert after[what] == before[what], what
        assert two.bert.get("/healthz")[0] == 200


def test_a_session_cannot_be_opened_for_another_node(hostile_pair: Pair) -> None:
    forger = Impostor(hostile_pair.bert, "anna", hostile_pair.anna.conf["peer bert"]["key"])
    status, content = forger.post(HELLO, b'{"hello":"1","node":"carl","incarnation":"' + b"0" * 32
                                  + b'","nonce":"' + b"0" * 32 + b'"}\n')
    assert status == 403, content


def test_a_counter_is_good_once(hostile_pair: Pair, impostor: Impostor) -> None:
    before = _state(hostile_pair.bert)
    assert impostor.post(RECEIVE, b"x\n", counter=5)[0] == 400
    assert impostor.post(RECEIVE, b"x\n", counter=5)[0] == 401
    assert impostor.post(RECEIVE, b"x\n", counter=4)[0] == 401
    assert impostor.post(RECEIVE, b"x\n", counter=6)[0] == 400
    assert _state(hostile_pair.bert) == before


@pytest.mark.slow  # a sanitizer's shadow memory is not the agent's
def test_a_bomb_does_not_fill_the_memory(hostile_pair: Pair, impostor: Impostor) -> None:
    before = _state(hostile_pair.bert)
    pid = hostile_pair.bert.serve_pid
    status, _ = impostor.post(RECEIVE, _body(b"[" + b"0" * (300 * _MIB)))
    assert status in (400, 413, 422)
    # One line may have 256 MiB (a value of 128 MiB in base64), and no more.
    assert _peak_kib(pid) < 400 * 1024, f"{_peak_kib(pid)} KiB"
    assert _state(hostile_pair.bert) == before


def _peak_kib(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1))  # type: ignore[union-attr]


# other databases than before ---------------------------------------------------------------------

def _insert(node: Node, key: int, value: str = "x") -> None:
    node.sql("INSERT INTO t VALUES (%s, %s, NULL)", [key, value])


def _held(node: Node) -> str:
    return node.status()["peers"][0]["held"] or ""


def _remember(node: Node, name: str) -> Any:
    """A copy of the datadir of the node as it is now."""
    node.server.stop()
    copy = node.server.save(name)
    node.server.start()
    return copy


def _go_back(node: Node, copy: Any) -> None:
    node.server.stop()
    node.server.restore(copy)
    node.server.start()


def _mend(two: Pair) -> None:
    """What a person does: make both equal, then start the link anew on both sides."""
    for node in two.nodes:
        node.sql("DELETE FROM t WHERE id > 1")
        node.sql("INSERT INTO t VALUES (50, 'mended', NULL)")
    two.anna.agent("--install", "--peer", "bert", check=0)
    two.bert.agent("--install", "--peer", "anna", check=0)
    two.assert_equal()


def _assert_works(two: Pair) -> None:
    """Changes travel both ways, nothing is held, nothing is pending."""
    two.start_serve()
    _insert(two.anna, 101, "from anna")
    _insert(two.bert, 102, "from bert")
    two.settle(30)
    two.assert_equal()
    assert two.anna.sql("SELECT COUNT(*) FROM t WHERE id IN (101, 102)") == [(2,)]
    for node in two.nodes:
        assert _held(node) == "" and node.pending() == 0


def test_a_reinstalled_node_is_held_until_the_link_is_started_anew() -> None:
    with _fresh_pair() as two:
        _insert(two.anna, 1)
        two.anna.drain(check=0)
        two.bert.stop_serve()
        two.bert.agent("--uninstall", check=0)
        two.bert.agent("--install", check=0)
        two.bert.start_serve()
        _insert(two.anna, 2)
        before = _state(two.bert)["rows"]
        ran = two.anna.drain(check=5)
        assert "agent --install --peer bert" in ran.stderr
        assert "agent --install --peer bert" in _held(two.anna)
        assert two.anna.agent("--status").returncode == 5
        assert _state(two.bert)["rows"] == before
        _insert(two.bert, 2)  # make both equal
        two.anna.agent("--install", "--peer", "bert", check=0)
        two.bert.agent("--install", "--peer", "anna", check=0)
        _assert_works(two)


def test_after_a_reinstall_the_command_of_the_message_alone_mends_the_link() -> None:
    with _fresh_pair() as two:
        _insert(two.anna, 1)
        two.anna.drain(check=0)
        two.bert.stop_serve()
        two.bert.agent("--uninstall", check=0)
        two.bert.agent("--install", check=0)
        two.bert.start_serve()
        _insert(two.anna, 2)
        two.anna.drain(check=5)
        two.anna.sql("DELETE FROM t WHERE id = 2")  # both are equal again
        two.anna.agent("--install", "--peer", "bert", check=0)
        _assert_works(two)


@pytest.mark.parametrize("restart", [True, False], ids=["restarted", "serving on"])
def test_a_receiver_that_went_back_is_held_before_a_record_is_applied(restart: bool) -> None:
    with _fresh_pair() as two:
        _insert(two.anna, 1)
        two.anna.drain(check=0)
        old = _remember(two.bert, "old")
        _insert(two.anna, 2)
        two.anna.drain(check=0)
        if restart:
            two.bert.stop_serve()
        _go_back(two.bert, old)
        if restart:
            two.bert.start_serve()
        _insert(two.anna, 3)
        before = _state(two.bert)
        ran = two.anna.drain(check=5)
        assert "went back" in ran.stderr and "went back" in _held(two.anna)
        assert _state(two.bert) == before
        _mend(two)
        _assert_works(two)


@pytest.mark.parametrize("restart", [True, False], ids=["restarted", "serving on"])
def test_a_receiver_that_went_back_to_before_the_first_contact_is_held_too(restart: bool) -> None:
    """It has never heard of the sender, and lacks what it had acknowledged: row 1."""
    with _fresh_pair() as two:
        old = _remember(two.bert, "old")
        _insert(two.anna, 1)
        two.anna.drain(check=0)
        if restart:
            two.bert.stop_serve()
        _go_back(two.bert, old)
        if restart:
            two.bert.start_serve()
        _insert(two.anna, 2)
        before = _state(two.bert)
        ran = two.anna.drain(check=5)
        assert "went back" in ran.stderr, ran.stderr
        assert _state(two.bert) == before


def test_a_receiver_that_went_back_under_an_open_session_is_held_too() -> None:
    """As before, and no hello comes in between: the group itself has to tell."""
    with _fresh_pair() as two:
        old = _remember(two.bert, "old")
        two.anna.start_serve()
        _insert(two.anna, 1)
        until(lambda: two.anna.status()["peers"][0]["records_sent"] == 1, 20, "row 1 is sent")
        _go_back(two.bert, old)
        before = _state(two.bert)
        _insert(two.anna, 2)
        until(lambda: _held(two.anna) or two.bert.sql("SELECT 1 FROM t"), 20, "anna has tried")
        assert "went back" in _held(two.anna)
        assert _state(two.bert) == before


def test_a_sender_that_went_back_is_held_before_a_record_is_applied() -> None:
    with _fresh_pair() as two:
        _insert(two.anna, 1)
        two.anna.drain(check=0)
        old = _remember(two.anna, "old")
        _insert(two.anna, 2)
        two.anna.drain(check=0)
        _go_back(two.anna, old)
        _insert(two.anna, 3)
        before = _state(two.bert)
        ran = two.anna.drain(check=5)
        assert "restored from a backup" in ran.stderr and _held(two.anna)
        assert _state(two.bert) == before
        _mend(two)
        _assert_works(two)


def test_a_sender_that_went_back_and_counted_on_is_held_too() -> None:
    """Its epochs have come to the numbers that the peer knows, with other content."""
    with _fresh_pair() as two:
        _insert(two.anna, 1)
        two.anna.drain(check=0)
        old = _remember(two.anna, "old")
        _insert(two.anna, 2)
        two.anna.drain(check=0)
        _go_back(two.anna, old)
        two.bert.stop_serve()
        for key in (3, 4, 5):  # each try makes an epoch
            _insert(two.anna, key)
            two.anna.drain(check=4)
        two.bert.start_serve()
        before = _state(two.bert)
        two.anna.drain(check=5)
        assert _state(two.bert) == before


def test_a_node_that_went_back_is_told_so_by_the_changes_of_its_peer_too() -> None:
    """Bert has seen epochs of anna that anna does not know any more."""
    with _fresh_pair() as two:
        two.anna.start_serve()
        _insert(two.anna, 1)
        _insert(two.bert, 21)
        two.settle()
        old = _remember(two.anna, "old")
        _insert(two.anna, 2)
        two.settle()
        two.stop_serve()
        _go_back(two.anna, old)
        two.anna.start_serve()
        _insert(two.bert, 22)
        before = _state(two.anna)
        two.bert.drain(check=5)
        assert _state(two.anna) == before and _held(two.bert)


def test_two_copies_of_one_node_are_told_apart() -> None:
    """A laptop's datadir is cloned; both copies go on, under one name."""
    with _fresh_pair() as two:
        _insert(two.anna, 1)
        two.anna.drain(check=0)
        copy = _remember(two.anna, "copy")
        _insert(two.anna, 2, "the first copy's")
        two.anna.drain(check=0)
        two.anna.server.stop()
        two.anna.server.save("first")
        two.anna.server.restore(copy)
        two.anna.server.start()
        _insert(two.anna, 2, "the second copy's")
        before = _state(two.bert)
        two.anna.drain(check=5)
        assert _state(two.bert) == before
