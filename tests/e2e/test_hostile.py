"""Strangers and hostile callers at the door of a whole agent: crowds of silent connections, floods of
bad signatures, bytes that two programs could read in two ways, odd surroundings. A real peer gets
through all the same, memory stays bounded, and nothing is written."""

from __future__ import annotations

import os
import resource
import selectors
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from lab import Node, Pair, places, ports, process, until
from lab.impostor import HELLO, MIB, RECEIVE, TYPE, VERIFY, Impostor, head, read, status_of

_SILENT = 1000
_BAD_SIGNATURES = 5000  # 100,000 in a long run
_STRANGERS_MAX = 64 * MIB  # GUARD_STRANGERS_MAX
_DEADLINE = 30.0  # for a change to arrive meanwhile; the machine may be shared
# What a sanitizer keeps of freed memory is not the agent's.
_SANITIZED = b"__asan_init" in places.agent_binary().read_bytes()


@pytest.fixture(scope="module")
def two() -> Iterator[Pair]:
    """Two laptops that serve, in step."""
    with Pair(schemas=(), conf={"sync": {"timeout": "5s"}}) as pair:
        for node in pair.nodes:
            node.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200) NOT NULL)")
        pair.install()
        pair.start_serve()
        yield pair
        pair.stop_serve()


def _works(two: Pair, key: int, deadline: float = _DEADLINE) -> None:
    """What is written on either side arrives on the other one."""
    for number, (here, there) in enumerate(((two.anna, two.bert), (two.bert, two.anna))):
        here.sql(f"INSERT INTO t VALUES ({key + number}, 'x')")
        until(lambda t=there, n=number: t.sql(f"SELECT 1 FROM t WHERE id={key + n}"), deadline,
              f"{here.name}'s change arrives")


def _memory(node: Node, which: str = "VmRSS") -> int:
    with open(f"/proc/{node.serve_pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(which))


def _dial(node: Node, number: int) -> socket.socket:
    """A connection from one of many addresses: 127.1.0.0/16 are all this machine."""
    sock = socket.socket()
    sock.bind((f"127.1.{number // 250 % 250}.{number % 250 + 1}", 0))
    sock.settimeout(10)
    sock.connect(("127.0.0.1", node.listen_port))
    return sock


class _Crowd:
    """Connections that are made anew whenever they are closed, each sending a byte now and then."""

    def __init__(self, node: Node, size: int, text: bytes, places: int) -> None:
        self._node, self._size, self._text, self._places = node, size, text, places
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.made = 0

    def _open(self, watch: selectors.BaseSelector) -> None:
        try:
            sock = _dial(self._node, self.made % self._places)
            sock.sendall(self._text)
        except OSError:
            return
        self.made += 1
        watch.register(sock, selectors.EVENT_READ)

    def _run(self) -> None:
        with selectors.DefaultSelector() as watch:
            while not self._stop.is_set():
                for _ in range(50):
                    if len(watch.get_map()) < self._size:
                        self._open(watch)
                for key, _ in watch.select(0.02):
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    watch.unregister(sock)
                    sock.close()
            for key in list(watch.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]

    def __enter__(self) -> _Crowd:
        self._thread.start()
        until(lambda: self.made >= self._size, 60, "the crowd is here")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


_CROWDS = {
    "silent": b"",
    "half a header": f"POST {RECEIVE} HTTP/1.1\r\nHost: a\r\nX-Ta".encode(),
    "half a body": head(TYPE, f"Content-Length: {4 * MIB}", start=f"POST {RECEIVE} HTTP/1.1") + b"x" * 1000,
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32,
}


@pytest.mark.parametrize("what", _CROWDS)
def test_a_thousand_slow_or_silent_connections_keep_no_peer_out(two: Pair, what: str) -> None:
    before = _memory(two.bert)
    with _Crowd(two.bert, _SILENT, _CROWDS[what], places=200):
        _works(two, 1000 + 10 * list(_CROWDS).index(what))
        # A peer that comes anew, with no connection from before, too.
        two.anna.sql(f"UPDATE t SET v='{what}'")
        two.anna.drain(check=0)
        assert len(os.listdir(f"/proc/{two.bert.serve_pid}/fd")) < 400
        assert _SANITIZED or _memory(two.bert) - before < 64 * MIB
    two.assert_equal()


def test_a_crowd_of_one_address_the_peers_own_keeps_it_not_out(two: Pair) -> None:
    # As behind a tunnel, where everybody has one address.
    with _Crowd(two.bert, 300, b"", places=1):
        _works(two, 1100)
        two.anna.sql("UPDATE t SET v='tunnel'")
        two.anna.drain(check=0)
    two.assert_equal()


@pytest.mark.slow  # a sanitizer's shadow memory is not the agent's
def test_strangers_bodies_fill_no_memory(two: Pair) -> None:
    before = _memory(two.bert)
    text = head(TYPE, f"Content-Length: {4 * MIB}", start=f"POST {RECEIVE} HTTP/1.1") + b"x" * (4 * MIB - 1)
    socks: list[socket.socket] = []
    for number in range(100):
        sock = _dial(two.bert, number)
        socks.append(sock)
        try:
            sock.sendall(text)
        except OSError:
            pass  # closed: there is no more room
        if number % 25 == 0:
            _works(two, 1200 + number)
    peak = _memory(two.bert, "VmHWM")
    for sock in socks:
        sock.close()
    # What is allowed, as much again for what buffers leave unused, and a request of a peer.
    assert peak - before < 2 * _STRANGERS_MAX + 32 * MIB, f"{before} to {peak}"
    _works(two, 1300)


def _forged(number: int) -> bytes:
    body = b"{}\n"
    return head(TYPE, "X-Tandem-From: anna", "X-Tandem-To: bert", "X-Tandem-Counter: 0",
                f"X-Tandem-Mac: {number:064x}", f"Content-Length: {len(body)}") + body


def _cpu(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _flood(node: Node, count: int, first: int) -> int:
    """Hellos with wrong signatures, one a connection; how many were refused as they should."""
    refused = 0
    for number in range(first, first + count):
        with _dial(node, number % 200) as sock:
            sock.sendall(_forged(number))
            refused += status_of(read(sock)) == 401
    return refused


def test_a_flood_of_bad_signatures_keeps_no_peer_out_and_costs_little(two: Pair, long_run: bool) -> None:
    count = 100_000 if long_run else _BAD_SIGNATURES
    before, memory, log = _cpu(two.bert.serve_pid), _memory(two.bert), two.bert.agent_log.stat().st_size
    results: list[int] = []
    flood = threading.Thread(target=lambda: results.append(_flood(two.bert, count, 0)), daemon=True)
    flood.start()
    key = 2000
    while flood.is_alive() or key == 2000:
        _works(two, key)
        key += 10
    flood.join()
    assert results == [count]
    each = (_cpu(two.bert.serve_pid) - before) / count * 1e6
    print(f"{each:.0f} us of CPU for a refused connection")
    assert each < 1000, f"{each:.0f} us"  # with the connection, the syncing beside it and a busy machine
    assert _SANITIZED or _memory(two.bert) - memory < 32 * MIB
    # Ten lines in ten seconds, then a count.
    assert two.bert.agent_log.stat().st_size - log < 2 * MIB
    _works(two, key)
    two.assert_equal()
    # Nothing of it became a peer, a row or a conflict.
    assert two.bert.status()["conflicts"] == 0


def test_what_stands_behind_a_refused_request_is_never_answered(two: Pair) -> None:
    # A request that two programs could read in two ways must not carry a second one in.
    second = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    start = f"POST {RECEIVE} HTTP/1.1"
    for first in (
            head(TYPE, "Transfer-Encoding: xchunked", start=start),
            head(TYPE, "Content-Length: 3", "Content-Length: 0", start=start),
            head(TYPE, "Transfer-Encoding : chunked", "Content-Length: 0", start=start),
            head(TYPE, "Transfer-Encoding: chunked", "Content-Length: 0", start=start) + b"0\r\n\r\n",
            head("Content-Length: 0", start=f"GET {HELLO} HTTP/1.1"),
            head(TYPE, "Content-Length: 2", start=start) + b"{}",
            head(start="CONNECT 127.0.0.1:22 HTTP/1.1"),
            head(start="TRACE / HTTP/1.1")):
        with socket.create_connection(("127.0.0.1", two.bert.listen_port), timeout=20) as sock:
            sock.sendall(first + second * 3)
            answer = read(sock)
        assert answer.count(b"HTTP/1.1 ") <= 1, (first, answer)
        assert status_of(answer) in (0, 400, 401, 405, 501), (first, answer)


def test_a_refusal_repeats_nothing_and_the_log_keeps_no_key(two: Pair) -> None:
    secret = "0123456789abcdef" * 4
    with socket.create_connection(("127.0.0.1", two.bert.listen_port), timeout=20) as sock:
        sock.sendall(head(TYPE, "Content-Length: 0", f"Authorization: Bearer {secret}",
                          start=f"POST {HELLO}?api_key={secret}&x=<script> HTTP/1.1"))
        answer = read(sock)
    assert status_of(answer) == 400
    assert secret.encode() not in answer and b"<script>" not in answer
    assert b"must be changed" in answer  # the key is burnt, and its owner is told
    assert secret not in two.bert.agent_log.read_text() + two.bert.serve_log.read_text()


# surroundings --------------------------------------------------------------------------------------

_SURROUNDINGS: dict[str, dict[str, str]] = {
    "nothing set": {},
    "a comma in numbers": {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"},
    "a Turkish i": {"LC_ALL": "tr_TR.UTF-8"},
    "an odd time zone": {"TZ": "Asia/Kathmandu"},
    "a broken time zone": {"TZ": "::::/../../etc/passwd"},
    "proxies": {"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9", "no_proxy": ""},
    "a key log": {"SSLKEYLOGFILE": "keys.txt"},
    "a home that is not there": {"HOME": "/nowhere"},
}


@pytest.mark.parametrize("what", _SURROUNDINGS)
def test_odd_surroundings_change_nothing(two: Pair, what: str) -> None:
    env = {"PATH": os.environ["PATH"], **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")},
           **_SURROUNDINGS[what]}
    two.anna.sql(f"INSERT INTO t VALUES ({900_000 + list(_SURROUNDINGS).index(what)}, 'x')")
    ran = subprocess.run(two.anna.command("--drain"), env=env, cwd=two.anna.folder, timeout=60,
                         capture_output=True, stdin=subprocess.DEVNULL, check=False)
    assert ran.returncode == 0, ran
    until(lambda: not two.anna.pending(), 30, "the change has arrived")
    assert not (two.anna.folder / "keys.txt").exists()
    ran = subprocess.run(two.anna.command("--status", "--json"), env=env, cwd=two.anna.folder, timeout=60,
                         capture_output=True, stdin=subprocess.DEVNULL, check=False)
    assert ran.returncode == 0 and b'"in_step":true' in ran.stdout.replace(b" ", b""), ran


def test_no_folder_to_stand_in_no_umask_and_no_name_change_nothing(two: Pair) -> None:
    gone = two.anna.folder / "gone"
    gone.mkdir()
    dies = process.dies_with_parent()

    def lost() -> None:
        dies()
        os.chdir(gone)
        os.rmdir(gone)
        os.umask(0)

    two.anna.sql("INSERT INTO t VALUES (800000, 'x')")
    ran = subprocess.run(two.anna.command("--drain"), preexec_fn=lost, timeout=60, check=False, capture_output=True)
    assert ran.returncode == 0, ran
    until(lambda: two.bert.sql("SELECT 1 FROM t WHERE id = 800000"), 30, "the change arrives")
    for path in [two.anna.agent_log, *(two.anna.folder / "state").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    # what Linux makes of no arguments at all
    ran = subprocess.run([""], executable=str(places.agent_binary()), timeout=60, check=False, capture_output=True)
    assert ran.returncode == 2 and ran.stderr and not ran.stdout, ran


def test_a_second_daemon_on_the_same_database_applies_nothing_twice(two: Pair) -> None:
    anna = two.anna
    text = anna.conf_path.read_text(encoding="utf-8")
    second = anna.folder / "second.conf"
    second.touch(mode=0o600)
    second.write_text(text, encoding="utf-8")
    command = [str(places.agent_binary()), "--config", str(second), "--serve"]
    ran = subprocess.run(command, timeout=60, check=False, capture_output=True, text=True, cwd=anna.folder)
    assert ran.returncode == 1 and "in use" in ran.stderr, ran  # the same address
    mine, other = str(anna.listen_port), ports.take()
    page, other_page = str(anna.monitor_port), ports.take()
    second.write_text(text.replace(f":{mine}\n", f":{other}\n").replace(f":{page}\n", f":{other_page}\n"), encoding="utf-8")
    child = process.start(command, anna.folder / "second.log", cwd=anna.folder)
    try:
        until(lambda: child.poll() is not None or _listens(other), 30, "the second one is up, or refuses")
        for number in range(5):
            _works(two, 810_000 + 10 * number)
    finally:
        process.end(child)
        ports.give_back(other)
        ports.give_back(other_page)
    two.wait_quiet()
    two.assert_equal()
    assert anna.status()["conflicts"] == two.bert.status()["conflicts"] == 0


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except OSError:
        return False


_GOOD = b'"hello":"1","node":"anna","incarnation":"' + b"0" * 32 + b'","nonce":"' + b"1" * 32 + b'"'
_JSON = {
    "blanks alone": b"   ", "cut": b"{" + _GOOD, "something behind": b"{" + _GOOD + b"}x", "a second object": b"{" + _GOOD + b"}{}",
    "a doubled key": b"{" + _GOOD + b',"node":"bert"}', "a key with a NUL": b'{"node\\u0000x":"a",' + _GOOD + b"}",
    "a key with a raw NUL": b'{"no\x00de":"a",' + _GOOD + b"}",
    "NaN": b"{" + _GOOD + b',"x":NaN}', "minus infinity": b"{" + _GOOD + b',"x":-Infinity}',
    "single quotes": b"{" + _GOOD.replace(b'"', b"'") + b"}", "no UTF-8": b"{" + _GOOD + b',"x":"\xff"}',
    "overlong UTF-8": b"{" + _GOOD + b',"x":"\xc0\xaf"}', "a surrogate as UTF-8": b"{" + _GOOD + b',"x":"\xed\xa0\x80"}',
    "half a surrogate": b"{" + _GOOD + b',"x":"\\ud800"}', "a raw control character": b"{" + _GOOD + b',"x":"\x01"}',
    "33 deep": b"{" + _GOOD + b',"x":' + b"[" * 33 + b"]" * 33 + b"}", "a byte order mark": b"\xef\xbb\xbf{" + _GOOD + b"}",
    "a number": b"{" + _GOOD.replace(b'"1"', b"1", 1) + b"}", "a list": b"[" + _GOOD.replace(b":", b",") + b"]",
    "null": b"null", "many keys": b"{" + _GOOD + b"".join(b',"%d":0' % i for i in range(5000)) + b"}",
}


def test_json_that_two_programs_could_read_in_two_ways_is_refused(two: Pair) -> None:
    thief = Impostor(two.bert, "anna", two.anna.conf["peer bert"]["key"])
    for what, body in _JSON.items():
        status, answer = thief.post(HELLO, body + b"\n")
        assert status == 400, (what, status, answer)
    status, _ = thief.post(HELLO, b"{" + _GOOD + b"}\n")
    assert status == 200, "the one that all of these were made of"
    before = _memory(two.bert, "VmHWM")
    thief.hello()
    for body in (b"[" + b"[]," * (4 * MIB // 3 - 2) + b"[]]", b"[" * 4 * MIB, b"{" + b'"a":{' * (4 * MIB // 5 - 1)):
        assert thief.post(VERIFY, body)[0] in (400, 422)
    assert _SANITIZED or _memory(two.bert, "VmHWM") - before < 64 * MIB
    _works(two, 820_000)


def test_an_agent_without_open_descriptors_or_with_few_of_them_works(two: Pair) -> None:
    dies = process.dies_with_parent()

    def bare() -> None:
        dies()
        for fd in (0, 1, 2):
            os.close(fd)

    for verb in ("--drain", "--status"):
        ran = subprocess.run(two.anna.command(verb), preexec_fn=bare, timeout=60, check=False,
                             cwd=two.anna.folder)
        assert ran.returncode == 0, verb

    def few() -> None:
        dies()
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))

    ran = subprocess.run(two.anna.command("--status"), preexec_fn=few, timeout=60, check=False,
                         capture_output=True, cwd=two.anna.folder)
    assert ran.returncode in (0, 1, 3) and (ran.returncode == 0 or ran.stderr), ran


@pytest.mark.parametrize("arguments", [
    ["--nonsense"], ["--drain", "--install"], ["--peer"], ["--peer", "x" * 100_000, "--drain"],
    ["--config", "/dev/null/x", "--drain"], [b"--\xff\xfe".decode("utf-8", "surrogateescape")], ["-"], [""],
    ["--drain", "extra"], ["--resolve", "1", "--keep", "both"], ["--resolve", "99999999999999999999"]])
def test_a_wrong_command_line_is_said_and_ends_with_two(two: Pair, arguments: list[str]) -> None:
    ran = subprocess.run(two.anna.command(*arguments), timeout=60, check=False, capture_output=True,
                         cwd=two.anna.folder, stdin=subprocess.DEVNULL)
    assert ran.returncode == 2, ran
    assert 0 < len(ran.stderr) < 2000 and ran.stdout == b"", ran


def test_no_secret_is_in_anything_that_the_agent_writes(two: Pair) -> None:
    secrets = [two.anna.monitor_key, two.anna.conf["peer bert"]["key"], two.anna.conf["database"]["password"]]
    two.stop_serve()
    for node in two.nodes:
        node.change_conf({"log": {"level": "debug"}})
    two.start_serve()
    _works(two, 910_000)
    written = [two.anna.agent(*verb).stdout + two.anna.agent(*verb).stderr
               for verb in (["--status", "--json"], ["--status", "-v"], ["--check"], ["--drain", "-v"],
                            ["--conflicts"], ["--parked"], ["--help"], ["--explain", "t", "910000"])]
    written += [two.anna.get(path, two.anna.monitor_key)[1].decode()
                for path in ("/", "/monitor.js", "/api/status", "/metrics")]
    written += [node.agent_log.read_text() + node.serve_log.read_text() for node in two.nodes]
    for pid in (two.anna.serve_pid,):
        with open(f"/proc/{pid}/cmdline", "rb") as line:
            written.append(line.read().decode())
    for secret in secrets:
        assert not [text for text in written if secret in text]
    state = subprocess.run(["grep", "-r", "-l", "-F", *[f"-e{s}" for s in secrets], str(two.anna.folder / "state")],
                           capture_output=True, check=False)
    assert state.stdout == b"", state.stdout
