"""The lab tests itself: servers, loading, comparing, links. No agent takes part."""

from __future__ import annotations

import http.client
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pymysql
import pytest

from lab import Fault, Pair, Proxy, Server, compare, load, places, ports, until

pytestmark = pytest.mark.slow

CAMPUS_ROWS = {"bookings": 320, "drivers": 36, "notifications": 280, "password_resets": 14,
               "riders": 120}
CHINOOK_ROWS = {"Album": 347, "Artist": 275, "Customer": 59, "Employee": 8, "Genre": 25,
                "Invoice": 412, "InvoiceLine": 2240, "MediaType": 5, "Playlist": 18,
                "PlaylistTrack": 8715, "Track": 3503}


# the server --------------------------------------------------------------------------------------

def test_a_server_is_ready_within_seconds_and_leaves_nothing(shared_server: Server) -> None:
    begun = time.monotonic()
    with Server("quick") as one:
        took = time.monotonic() - begun
        assert one.sql("SELECT 1 + 1") == [(2,)]
        folder, pid = one.folder, one.pid
    assert took < 10, f"the start took {took:.1f} s; it should be below 2 s on a quiet machine"
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_committed_rows_survive_kill_9_and_restart(server: Server) -> None:
    load.create_database(server, "app")
    server.sql("CREATE TABLE app.t (id INT PRIMARY KEY)")
    server.sql("INSERT INTO app.t VALUES (1), (2)")
    server.kill9()
    assert not server.running()
    server.start()
    server.restart()
    assert server.sql("SELECT COUNT(*) FROM app.t") == [(2,)]


def test_an_old_datadir_can_be_put_back(server: Server) -> None:
    load.create_database(server, "app")
    server.sql("CREATE TABLE app.t (id INT PRIMARY KEY)")
    server.stop()
    old = server.save("old")
    server.start()
    server.sql("INSERT INTO app.t VALUES (1)")
    server.stop()
    server.restore(old)
    server.start()
    assert server.sql("SELECT COUNT(*) FROM app.t") == [(0,)]


def test_nobody_is_root_over_tcp(shared_server: Server) -> None:
    with pytest.raises(pymysql.err.OperationalError):
        shared_server.connect(unix_socket=None, host="127.0.0.1", port=shared_server.port)


def test_a_wrong_option_is_told_with_the_servers_own_words() -> None:
    wrong = Server("wrong", ["--no-such-option"])
    with pytest.raises(AssertionError, match="no-such-option"):
        wrong.start()
    wrong.close()


def test_a_killed_test_process_takes_its_server_along_and_the_next_run_sweeps() -> None:
    code = ("from lab import Server; s = Server('orphan'); s.start();"
            "print(s.pid, s.folder, flush=True); import signal; signal.pause()")
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
                             cwd=places.REPOSITORY / "tests")
    try:
        assert child.stdout is not None
        pid, folder = child.stdout.readline().split()
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    until(lambda: not _alive(int(pid)), 20, "the orphaned server is gone")
    assert os.path.exists(folder)
    subprocess.run([sys.executable, "-c", "from lab import places; places.new_folder('sweep')"],
                   check=True, cwd=places.REPOSITORY / "tests")
    assert not os.path.exists(folder)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_port_is_given_once(server: Server) -> None:
    taken = {ports.take() for _ in range(50)}
    assert len(taken) == 50 and server.port not in taken
    for port in taken:
        ports.give_back(port)


def test_until_names_what_did_not_happen() -> None:
    with pytest.raises(AssertionError, match="pigs fly"):
        until(lambda: False, 0.05, "pigs fly")


# the data ----------------------------------------------------------------------------------------

def _rows(server: Server, database: str) -> dict[str, int]:
    marks = compare.fingerprint(compare.Side("it", lambda: server.connect(database)))
    return {table: rows for table, (rows, _) in marks.items()}


def test_campus_and_chinook_stand_side_by_side_in_one_database(shared_server: Server) -> None:
    load.create_database(shared_server, "campus_store")
    load.load(shared_server, "campus_store", "campus")
    load.load(shared_server, "campus_store", "chinook")
    assert _rows(shared_server, "campus_store") == {**CAMPUS_ROWS, **CHINOOK_ROWS}
    assert shared_server.sql("SHOW DATABASES LIKE 'Chinook%'") == []


def test_every_table_of_the_data_has_a_primary_key_and_innodb(shared_server: Server) -> None:
    load.create_database(shared_server, "keys")
    load.load(shared_server, "keys", "campus")
    load.load(shared_server, "keys", "chinook")
    lacking = shared_server.sql(
        "SELECT t.TABLE_NAME FROM information_schema.TABLES t LEFT JOIN"
        " information_schema.STATISTICS s ON s.TABLE_SCHEMA = t.TABLE_SCHEMA"
        " AND s.TABLE_NAME = t.TABLE_NAME AND s.INDEX_NAME = 'PRIMARY'"
        " WHERE t.TABLE_SCHEMA = 'keys' AND (s.INDEX_NAME IS NULL OR t.ENGINE <> 'InnoDB')")
    assert lacking == []


def test_campus_keeps_names_of_all_scripts(shared_server: Server) -> None:
    load.create_database(shared_server, "names")
    load.load(shared_server, "names", "campus")
    names = {name for (name,) in shared_server.sql("SELECT full_name FROM names.riders")}
    assert "陳怡君" in names and any("Škoda" in name for name in names)


def test_campus_sql_is_what_its_generator_writes() -> None:
    made = subprocess.run([sys.executable, str(places.DATA / "make-campus.py")],
                          capture_output=True, check=True).stdout
    assert made == (places.DATA / "campus.sql").read_bytes()


def test_only_the_lines_that_name_a_database_are_left_out() -> None:
    text = ("DROP DATABASE IF EXISTS `X`;\nCREATE DATABASE `X`;\n  USE `X`;\n"
            "CREATE TABLE uses (id INT);\nINSERT INTO uses VALUES ('USE it;');\n")
    assert load.for_any_database(text).split("\n")[3:] == text.split("\n")[3:]
    assert "DATABASE" not in load.for_any_database(text)


# the comparison ----------------------------------------------------------------------------------

TYPES = """CREATE TABLE t (
  id INT NOT NULL, f FLOAT, d DOUBLE, n DECIMAL(30,10), s VARCHAR(40) COLLATE utf8mb4_general_ci,
  l VARCHAR(20) CHARACTER SET latin1, b VARBINARY(20), big LONGBLOB, e ENUM('', 'x', 'y'),
  m SET('p', 'q'), bits BIT(9), u BIGINT UNSIGNED, dt DATETIME(6), ts TIMESTAMP(6) NULL, y YEAR,
  tm TIME(2), j JSON, g POINT, i6 INET6, PRIMARY KEY (id))"""
VALUES = """INSERT INTO t VALUES (1, 16777216, 0.1, 1234567890.0123456789, 'Straße', 'caf\u00e9',
  x'00ff2c', REPEAT('x', 100000), 'x', 'p,q', b'100000001', 18446744073709551615,
  '2024-02-29 23:59:59.999999', '2024-03-31 01:30:00.000001', 1999, '-838:59:59.00', '{"a": 1}',
  ST_GeomFromText('POINT(1 2)'), '::1'),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL)"""


@pytest.fixture
def twins(shared_server: Server) -> Iterator[tuple[compare.Side, compare.Side]]:
    """Two databases with one equal table of many column types."""
    for name in ("left", "right"):
        load.create_database(shared_server, name)
        shared_server.sql(TYPES, db=name)
        shared_server.sql(VALUES, db=name)
    yield (compare.Side("left", lambda: shared_server.connect("left")),
           compare.Side("right", lambda: shared_server.connect("right")))


def test_equal_tables_have_no_differences(twins: tuple[compare.Side, compare.Side]) -> None:
    assert compare.differences(*twins) == []


@pytest.mark.parametrize("change", [
    "f = 16777217 + 1", "d = 0.1 + 1e-17 + 2e-17", "n = n + 0.0000000001", "s = 'strasse'",
    "s = 'Straße '", "l = 'cafe'",
    "b = x'00ff2c00'", "big = CONCAT(REPEAT('x', 99999), 'y')", "e = ''", "e = 'y'",
    "m = 'q'", "bits = b'000000001'", "u = u - 1", "dt = '2024-02-29 23:59:59.999998'",
    "ts = '2024-03-31 01:30:00.000002'", "y = 2000", "tm = '-838:59:58'", "j = '{\"a\":1}'",
    "g = ST_GeomFromText('POINT(2 1)')", "i6 = '::2'", "s = NULL", "b = ''"])
def test_a_change_of_one_value_is_found(twins: tuple[compare.Side, compare.Side],
                                        shared_server: Server, change: str) -> None:
    shared_server.sql(f"UPDATE t SET {change} WHERE id = 1", db="right")
    found = compare.differences(*twins)
    column = change.split(" ")[0]
    assert len(found) == 1 and found[0].startswith("t id='1': " + column + " is "), found


def test_missing_and_additional_rows_are_found(twins: tuple[compare.Side, compare.Side],
                                               shared_server: Server) -> None:
    shared_server.sql("DELETE FROM t WHERE id = 1", db="right")
    shared_server.sql("INSERT INTO t (id) VALUES (7)", db="right")
    assert compare.differences(*twins) == ["t id='1': on left, missing on right",
                                           "t id='7': on right, missing on left"]


def test_an_enums_empty_member_is_not_its_error_value(twins: tuple[compare.Side, compare.Side],
                                                      shared_server: Server) -> None:
    shared_server.sql("UPDATE t SET e = '' WHERE id = 1", db="left")
    connection = shared_server.connect("right", sql_mode="")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE IGNORE t SET e = 'none of these' WHERE id = 1")
    connection.close()
    assert len(compare.differences(*twins)) == 1


def test_a_missing_table_and_another_definition_are_found(
        twins: tuple[compare.Side, compare.Side], shared_server: Server) -> None:
    shared_server.sql("CREATE TABLE extra (id INT PRIMARY KEY)", db="left")
    shared_server.sql("ALTER TABLE t MODIFY s VARCHAR(41)", db="right")
    found = compare.differences(*twins)
    assert found[0] == "extra: missing on right" and found[1].startswith("t: other columns"), found


def test_keys_equal_by_collation_and_different_in_bytes_are_found(shared_server: Server) -> None:
    for name, key in (("left", "abc"), ("right", "ABC")):
        load.create_database(shared_server, name)
        shared_server.sql("CREATE TABLE k (k VARCHAR(9) PRIMARY KEY)", db=name)
        shared_server.sql("INSERT INTO k VALUES (%s)", [key], db=name)
    sides = [compare.Side(n, lambda n=n: shared_server.connect(n)) for n in ("left", "right")]
    assert len(compare.differences(*sides)) == 2


def test_tables_without_a_key_are_compared_as_bags(shared_server: Server) -> None:
    for name, rows in (("left", "(1),(2),(2)"), ("right", "(2),(1),(2)")):
        load.create_database(shared_server, name)
        shared_server.sql("CREATE TABLE bag (v INT)", db=name)
        shared_server.sql(f"INSERT INTO bag VALUES {rows}", db=name)
    sides = [compare.Side(n, lambda n=n: shared_server.connect(n)) for n in ("left", "right")]
    assert compare.differences(*sides) == []
    shared_server.sql("UPDATE bag SET v = 1 WHERE v = 2 LIMIT 1", db="right")
    assert len(compare.differences(*sides)) == 2


def test_many_differences_are_counted_not_listed(shared_server: Server) -> None:
    for name in ("left", "right"):
        load.create_database(shared_server, name)
        shared_server.sql("CREATE TABLE many (id INT PRIMARY KEY)", db=name)
    shared_server.sql("INSERT INTO many SELECT seq FROM seq_1_to_5000", db="left")
    sides = [compare.Side(n, lambda n=n: shared_server.connect(n)) for n in ("left", "right")]
    found = compare.differences(*sides)
    assert len(found) == compare.DIFFERENCES_MAX + 1 and "4980 further" in found[-1]


# the link ----------------------------------------------------------------------------------------

class _Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[bytes] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[tuple[Proxy, list[bytes]]]:
    """A proxy before a server that answers what it was sent, and what that server saw."""
    _Echo.seen = []
    target = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    target.daemon_threads = True
    threading.Thread(target=target.serve_forever, args=(0.02,), daemon=True).start()
    with Proxy(target.server_port) as proxy:
        yield proxy, _Echo.seen
    target.shutdown()
    target.server_close()


def _post(proxy: Proxy, body: bytes, path: str = "/x", timeout: float = 10) -> bytes:
    request = urllib.request.Request(proxy.url + path, data=body, headers={"X-Sign": "abc"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=timeout) as answer:
        return answer.read()


BROKEN = (urllib.error.URLError, OSError, http.client.HTTPException)


def test_a_link_forwards_and_counts(echo: tuple[Proxy, list[bytes]]) -> None:
    proxy, seen = echo
    assert _post(proxy, b"hello") == b"hello" and seen == [b"hello"]
    assert (proxy.requests, proxy.connections) == (1, 1)
    exchange = proxy.exchanges[0]
    assert (exchange.method, exchange.path, exchange.status) == ("POST", "/x", 200)
    assert proxy.bytes_passed == len(exchange.request) + len(exchange.response)


def test_one_connection_carries_several_requests(echo: tuple[Proxy, list[bytes]]) -> None:
    proxy, seen = echo
    line = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    for body in (b"one", b"two", b"x" * 300000):
        line.request("POST", "/x", body)
        assert line.getresponse().read() == body
    line.close()
    assert proxy.connections == 1 and len(seen) == 3


def test_a_refusing_link_refuses_and_comes_back_on_the_same_port(
        echo: tuple[Proxy, list[bytes]]) -> None:
    proxy, seen = echo
    for _ in range(3):
        proxy.set_mode("refuse")
        with pytest.raises(urllib.error.URLError, match="refused"):
            _post(proxy, b"a")
        proxy.set_mode("pass")
        assert _post(proxy, b"b") == b"b"
    assert seen == [b"b"] * 3


def test_a_stalled_link_moves_nothing_until_it_passes_again(
        echo: tuple[Proxy, list[bytes]]) -> None:
    proxy, seen = echo
    proxy.set_mode("stall")
    with pytest.raises(OSError):
        _post(proxy, b"a", timeout=0.2)
    assert seen == []
    proxy.set_mode("pass")
    until(lambda: seen == [b"a"], 10, "the stalled request went on")


def test_a_lost_answer_was_applied(echo: tuple[Proxy, list[bytes]]) -> None:
    proxy, seen = echo
    fault = proxy.drop_response("/x", skip=1)
    assert _post(proxy, b"1") == b"1"
    with pytest.raises(BROKEN):
        _post(proxy, b"2")
    assert _post(proxy, b"3") == b"3"
    assert seen == [b"1", b"2", b"3"] and fault.hits == 1


def test_a_cut_request_arrives_in_part_and_is_not_answered(
        echo: tuple[Proxy, list[bytes]]) -> None:
    proxy, _ = echo
    proxy.cut_request(at=10)
    with pytest.raises(BROKEN):
        _post(proxy, b"abc")
    assert proxy.bytes_up == 10 and proxy.bytes_down == 0


@pytest.mark.parametrize("at", [0, 1, -1])
def test_a_cut_answer_ends_at_the_byte(echo: tuple[Proxy, list[bytes]], at: int) -> None:
    proxy, seen = echo
    proxy.cut_response(at=at)
    with pytest.raises(BROKEN):
        _post(proxy, b"abc")
    whole = len(proxy.exchanges[0].response)
    assert proxy.bytes_down == at % whole and seen == [b"abc"]


def test_a_doubled_request_arrives_twice_and_both_answers_are_kept(
        echo: tuple[Proxy, list[bytes]]) -> None:
    proxy, seen = echo
    proxy.duplicate("/x")
    assert _post(proxy, b"again") == b"again"
    exchange = proxy.exchanges[0]
    until(lambda: exchange.replays, 10, "the second answer")
    assert exchange.replays[0].endswith(b"again") and seen == [b"again"] * 2
    assert proxy.replay(exchange).endswith(b"again") and len(seen) == 3


def test_a_turned_bit_arrives_in_body_head_or_header(echo: tuple[Proxy, list[bytes]]) -> None:
    proxy, seen = echo
    proxy.plan(Fault("corrupt_request", at=1))
    assert _post(proxy, b"aaa") == b"a`a" == seen[0]
    proxy.plan(Fault("corrupt_response", at=0))
    assert _post(proxy, b"aaa") == b"`aa"
    proxy.plan(Fault("corrupt_response", part="head", at=0))
    with pytest.raises(BROKEN):
        _post(proxy, b"aaa")
    fault = proxy.plan(Fault("corrupt_request", header="X-Sign"))
    assert _post(proxy, b"aaa") == b"aaa" and fault.hits == 1


def test_a_held_request_waits_for_its_release(echo: tuple[Proxy, list[bytes]]) -> None:
    proxy, seen = echo
    fault = proxy.plan(Fault("hold_request"))
    answers: list[bytes] = []
    caller = threading.Thread(target=lambda: answers.append(_post(proxy, b"late")))
    caller.start()
    until(lambda: fault.hits == 1, 10, "the request is held")
    assert seen == []
    fault.release()
    caller.join(10)
    assert answers == [b"late"]


def test_a_raw_link_forwards_bytes_that_are_no_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as target:
        with Proxy(target.getsockname()[1], raw=True) as proxy:
            near = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
            far, _ = target.accept()
            near.sendall(b"\x16\x03\x01ping")
            assert far.recv(100) == b"\x16\x03\x01ping"
            far.sendall(b"pong")
            assert near.recv(100) == b"pong" and proxy.bytes_passed == 11
            proxy.set_mode("refuse")
            assert near.recv(1) == b""
            near.close()
            far.close()


# the pair ----------------------------------------------------------------------------------------

def test_a_pair_begins_equal_and_its_comparison_sees_a_change(pair: Pair) -> None:
    pair.assert_equal()
    pair.anna.sql("UPDATE riders SET full_name = CONCAT(full_name, ' ') WHERE id = 3")
    with pytest.raises(AssertionError, match="riders id='3': full_name is"):
        pair.assert_equal()
    pair.assert_equal(["drivers", "bookings"])


def test_rows_made_on_two_laptops_get_different_ids(pair: Pair) -> None:
    text = "INSERT INTO riders (full_name, email, created_at) VALUES ('N', %s, NOW())"
    for i in range(3):
        pair.anna.sql(text, [f"a{i}@x"])
        pair.bert.sql(text, [f"b{i}@x"])
    ids = [{i for (i,) in node.sql("SELECT id FROM riders WHERE id > 120")} for node in pair.nodes]
    assert len(ids[0]) == len(ids[1]) == 3 and not ids[0] & ids[1]


def test_agent_conf_is_private_and_names_the_peer(pair: Pair) -> None:
    path = pair.anna.conf_path
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert f"[peer bert]\nurl = http://127.0.0.1:{pair.bert.listen_port}\n" in text
    assert pair.anna.conf["peer bert"]["key"] == pair.bert.conf["peer anna"]["key"]


def test_the_agents_account_sees_its_two_databases_and_no_other(pair: Pair) -> None:
    anna = pair.anna
    load.create_database(anna.server, "appXsync")
    account = {key: anna.conf["database"][key] for key in ("user", "password")}
    connection = anna.server.connect(**account)
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE app_sync")
        cursor.execute("SHOW DATABASES")
        assert {name for (name,) in cursor.fetchall()} == {"app", "app_sync", "information_schema"}
    connection.close()


def test_a_sanitizers_report_fails_the_test(pair: Pair, tmp_path, monkeypatch) -> None:
    fake = tmp_path / "agent"
    fake.write_text("#!/bin/sh\necho '==1==ERROR: AddressSanitizer: heap-use-after-free' >&2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("TANDEM_AGENT", str(fake))
    with pytest.raises(AssertionError, match="a sanitizer reported"):
        pair.anna.agent("--status")
    fake.write_text("#!/bin/sh\nexit 99\n")
    with pytest.raises(AssertionError, match="a sanitizer reported"):
        pair.anna.agent("--status")


def test_a_wrong_exit_code_shows_what_the_agent_said(pair: Pair, tmp_path, monkeypatch) -> None:
    fake = tmp_path / "agent"
    fake.write_text("#!/bin/sh\necho out; echo err >&2; exit 4\n")
    fake.chmod(0o755)
    monkeypatch.setenv("TANDEM_AGENT", str(fake))
    assert pair.anna.drain(check=(0, 4)).returncode == 4
    with pytest.raises(AssertionError, match="ended with 4\n--- stdout\nout\n--- stderr\nerr"):
        pair.anna.drain(check=0)
