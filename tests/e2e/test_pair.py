"""Two laptops come to trust each other by one pasted line, part again, and change their key; a line
that is wrong, old, used or guessed is worth nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator

import pytest

from lab import Node, Pair, hand, process
from lab.waiting import until

DONE, FAILED, USAGE, PEER = 0, 1, 2, 4

COMMENTED = """; Anna's laptop. This comment stays.
[log]
; and this one
target = file {log}

[node]
name = {name}
state_dir = {state}
listen = 127.0.0.1:{listen}
monitor = 127.0.0.1:{monitor}
monitor_key = {key}
; before the database
[database]
socket = {socket}
user = tandem
password = {password}
name = app
; the end, without a line feed"""


@pytest.fixture(scope="module")
def laptops() -> Iterator[Pair]:
    with Pair(schemas=(), links=()) as two:
        hand.everywhere(two, "CREATE TABLE t (id INT PRIMARY KEY, v TEXT)")
        two.install()
        yield two


@pytest.fixture
def pair(laptops: Pair) -> Iterator[Pair]:
    """Two installed laptops that do not know each other, with comments in their agent.conf."""
    for node in laptops.nodes:
        database = node.conf["database"]
        text = COMMENTED.format(name=node.name, state=node.folder / "state", listen=node.listen_port,
                                monitor=node.monitor_port, key=node.monitor_key, log=node.agent_log,
                                socket=database["socket"], password=database["password"])
        node.conf_path.write_text(text, encoding="utf-8")
        for leftover in (node.folder / "state").glob("*"):
            leftover.unlink()
        node.agent_log.unlink(missing_ok=True)
    yield laptops
    laptops.stop_serve()


class Invitation:
    """agent --pair, waiting; its line."""

    def __init__(self, node: Node, *options: str) -> None:
        self.node = node
        self.process = subprocess.Popen(node.command("--pair", *options), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, cwd=node.folder,
                                        preexec_fn=process.dies_with_parent())
        assert self.process.stdout
        self.line = self.process.stdout.readline().strip()

    def __enter__(self) -> Invitation:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def end(self) -> tuple[int, str]:
        """Wait for its end: exit code and what it printed."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out + err


def _join(node: Node, line: str, code: int = DONE) -> str:
    ran = node.agent("--pair", line, check=code)
    return ran.stdout + ran.stderr


def _pair(pair: Pair) -> None:
    with Invitation(pair.anna, "--color", "always") as invitation:
        assert "\x1b" not in invitation.line + _join(pair.bert, invitation.line)
        code, said = invitation.end()
        assert code == DONE and "\x1b[32mpaired with bert" in said


def _section(node: Node, peer: str) -> dict[str, str]:
    """The options of [peer NAME] as the file has them."""
    found: dict[str, str] = {}
    inside = False
    for line in node.conf_path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            inside = line == f"[peer {peer}]"
        elif inside and " = " in line and line[0] not in ";#":
            key, value = line.split(" = ", 1)
            found[key] = value
    return found


def _travels(pair: Pair) -> None:
    for node, other in zip(pair.nodes, reversed(pair.nodes)):
        key = int.from_bytes(os.urandom(3), "big") * 2 + (node.name == "bert")
        node.sql("INSERT INTO t VALUES (%s, 'x')", [key])
        until(lambda: other.sql("SELECT 1 FROM t WHERE id = %s", [key]), 60,  # pylint: disable=cell-var-from-loop
              f"a record of {node.name} arrives")


def test_a_laptop_without_an_address_pairs_and_fetches(pair: Pair) -> None:
    anna, bert = pair.nodes
    assert "whoever prints it must have an address" in anna.agent("--pair", "--url", "none", check=USAGE).stderr
    with Invitation(anna) as invitation:
        ran = bert.agent("--pair", invitation.line, "--url", "none", check=DONE)
        assert "with pull = yes" in ran.stdout
        assert invitation.end()[0] == DONE
    mine, theirs = _section(anna, "bert"), _section(bert, "anna")
    assert "url" not in mine and "pull" not in mine and mine["tls_pin"] == bert.tls_pin()
    assert theirs["pull"] == "yes" and theirs["url"] == f"https://127.0.0.1:{anna.listen_port}"
    pair.start_serve()
    _travels(pair)
    pair.assert_equal()


def test_one_line_pairs_two_laptops_on_which_nothing_runs(pair: Pair) -> None:
    before = {node.name: node.conf_path.read_bytes() for node in pair.nodes}
    _pair(pair)
    for node, other in zip(pair.nodes, reversed(pair.nodes)):
        after = node.conf_path.read_bytes()
        assert after.startswith(before[node.name])  # comments and order are kept
        assert node.conf_path.stat().st_mode & 0o7777 == 0o600
        section = _section(node, other.name)
        assert section["url"] == f"https://127.0.0.1:{other.listen_port}"
        assert section["tls_pin"] == other.tls_pin()
    keys = {_section(pair.anna, "bert")["key"], _section(pair.bert, "anna")["key"]}
    assert len(keys) == 1 and len(keys.pop()) == 64
    pair.start_serve()
    _travels(pair)
    pair.assert_equal()


def test_without_tls_of_its_own_a_laptop_is_paired_with_sealed_bodies(pair: Pair) -> None:
    for node in pair.nodes:
        text = node.conf_path.read_text(encoding="utf-8")
        node.conf_path.write_text(text.replace("[node]\n", "[node]\ntls = off\n", 1), encoding="utf-8")
    pair.start_serve()
    with Invitation(pair.anna) as invitation:
        _join(pair.bert, invitation.line)
        assert invitation.end()[0] == DONE
    for node, other in zip(pair.nodes, reversed(pair.nodes)):
        assert _section(node, other.name)["seal"] == "yes"
    assert "tls_pin" not in _section(pair.bert, "anna")
    _travels(pair)


def test_a_daemon_that_runs_answers_and_takes_the_new_peer(pair: Pair) -> None:
    pair.start_serve()
    with Invitation(pair.anna) as invitation:
        said = _join(pair.bert, invitation.line)
        assert "agent --serve has been told" in said
        code, out = invitation.end()
        assert code == DONE and "paired with bert" in out
    _travels(pair)


def test_a_line_is_used_once(pair: Pair) -> None:
    with Invitation(pair.anna) as invitation:
        _join(pair.bert, invitation.line)
        assert invitation.end()[0] == DONE
        pair.bert.agent("--unpair", "anna", check=DONE)
        _join(pair.bert, invitation.line, PEER)  # nobody listens any more
        pair.anna.start_serve()
        assert "knows no such line" in _join(pair.bert, invitation.line, FAILED)


def test_a_lost_answer_is_given_again_to_the_same_caller_alone(pair: Pair) -> None:
    anna, bert = pair.nodes
    with Invitation(anna) as invitation:
        line = invitation.line
        offer = b"tandem-offer1,bert,https://127.0.0.1:9,," + b"0" * 31
        assert _offer(anna, line, offer + b"1")[0] == 200
        assert _offer(anna, line, offer + b"1")[0] == 200
        status, body = _offer(anna, line, offer + b"2")
        assert status == 409 and b"used before" in body
        assert invitation.end()[0] == DONE
    assert anna.conf_path.read_text(encoding="utf-8").count("[peer bert]") == 1


def _offer(node: Node, line: str, body: bytes, secret: str = "", sender: str = "bert") -> tuple[int, bytes]:
    """A pairing call made by hand, as docs/protocol.md says: status and body of the answer."""
    secret = secret or line.split(",")[4]
    call_key = hmac.digest(secret.encode(), b"tandem1 pairing\n", "sha256")
    key = hmac.digest(call_key, f"tandem1 key\n{sender}\n{node.name}\n".encode(), "sha256")
    text = f"tandem1 request\nPOST\n/api/sync/pair\n{sender}\n{node.name}\n\n0\n{len(body)}\n" \
           f"{hashlib.sha256(body).hexdigest()}\n"
    request = (f"POST /api/sync/pair HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tandem\r\n"
               f"Content-Length: {len(body)}\r\nX-Tandem-From: {sender}\r\nX-Tandem-To: {node.name}\r\n"
               f"X-Tandem-Counter: 0\r\nX-Tandem-Mac: {hmac.digest(key, text.encode(), 'sha256').hex()}\r\n"
               "\r\n").encode() + body
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", node.listen_port), timeout=30) as plain, \
            context.wrap_socket(plain) as tls:
        tls.sendall(request)
        answer = b""
        while True:
            head, end, rest = answer.partition(b"\r\n\r\n")
            if end and len(rest) >= int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]):
                return int(head.split()[1]), rest
            more = tls.recv(8192)
            assert more, answer
            answer += more


def test_a_guessed_secret_is_refused_and_soon_the_line_is_worth_nothing(pair: Pair) -> None:
    anna, bert = pair.nodes
    with Invitation(anna) as invitation:
        offer = b"tandem-offer1,bert,https://127.0.0.1:9,," + b"0" * 32
        for _ in range(5):
            assert _offer(anna, invitation.line, offer, os.urandom(16).hex())[0] == 401
        code, out = invitation.end()
        assert code == FAILED and "tried with wrong ones" in out
        _join(bert, invitation.line, PEER)
    assert not _section(anna, "bert") and not _section(bert, "anna")


@pytest.mark.parametrize("spoil", [lambda line: line[:-1], lambda line: line + "0", lambda line: line.replace(",", ";"),
                                   lambda line: "x" + line, lambda line: line.replace("tandem-pair1", "tandem-pair2"),
                                   lambda line: "tandem-pair1,a b,https://x,,", lambda line: "-" * 0 + ","])
def test_a_line_that_is_not_whole_is_refused_before_anything_is_sent(pair: Pair, spoil) -> None:
    with Invitation(pair.anna) as invitation:
        assert "no whole line" in _join(pair.bert, spoil(invitation.line), USAGE)
        _join(pair.bert, invitation.line)  # it still is good


def test_an_old_line_is_refused(pair: Pair) -> None:
    anna, bert = pair.nodes
    anna.start_serve()
    with Invitation(anna) as invitation:
        file = anna.folder / "state" / "invitation"
        line, made, rest = file.read_text(encoding="ascii").split(" ", 2)
        file.write_text(f"{line} {int(made) - 10 * 60 * 1000} {rest}", encoding="ascii")
        code, _ = invitation.end()
        assert code == FAILED
        assert "older than 10 minutes" in _join(bert, invitation.line, FAILED)
    assert not _section(anna, "bert") and not _section(bert, "anna")


def test_the_line_of_somebody_in_between_does_not_fit(pair: Pair) -> None:
    anna, bert = pair.nodes
    with Invitation(anna) as invitation:
        fields = invitation.line.split(",")
        fields[3] = bert.make_tls()  # another key answers than the line says
        assert "has another TLS key" in _join(bert, ",".join(fields), PEER)
    assert not _section(bert, "anna")


def test_a_name_that_is_known_is_not_taken_over(pair: Pair) -> None:
    anna, bert = pair.nodes
    _pair(pair)
    bert.agent("--unpair", "anna", check=DONE)
    key = _section(anna, "bert")["key"]
    with Invitation(anna) as invitation:
        assert "agent --unpair bert" in _join(bert, invitation.line, FAILED)
    assert _section(anna, "bert")["key"] == key
    assert not _section(bert, "anna")
    with Invitation(anna) as invitation:
        assert "this node itself or a peer already" in _join(anna, invitation.line, USAGE)


def test_interrupting_ends_the_invitation(pair: Pair) -> None:
    with Invitation(pair.anna) as invitation:
        invitation.process.send_signal(signal.SIGINT)
        assert invitation.end()[0] == FAILED
        assert not (pair.anna.folder / "state" / "invitation").exists()


def test_unpairing_leaves_the_file_as_it_was(pair: Pair) -> None:
    anna, _ = pair.nodes
    before = anna.conf_path.read_bytes()
    _pair(pair)
    anna.agent("--unpair", "bert", check=DONE)
    assert anna.conf_path.read_bytes() == before + b"\n"
    assert "no [peer bert]" in anna.agent("--unpair", "bert", check=USAGE).stderr


def test_an_unpaired_laptop_is_refused_at_once(pair: Pair) -> None:
    anna, bert = pair.nodes
    _pair(pair)
    pair.start_serve()
    _travels(pair)
    assert "has been told" in anna.agent("--unpair", "bert", check=DONE).stdout
    until(lambda: bert.agent("--check").returncode == PEER, 60, "bert is refused")
    bert.sql("INSERT INTO t VALUES (-1, 'nobody wants this')")
    until(lambda: bert.drain().returncode == PEER, 60, "a drain of bert's is refused")
    assert not anna.sql("SELECT 1 FROM t WHERE id = -1")
    bert.sql("DELETE FROM t WHERE id = -1")


def test_a_new_key_loses_no_change(pair: Pair) -> None:
    anna, bert = pair.nodes
    _pair(pair)
    pair.start_serve()
    old = _section(anna, "bert")["key"]
    start = int(anna.sql("SELECT COALESCE(MAX(id), 0) FROM t")[0][0]) // 2 * 2 + 2
    for i in range(60):  # both write all the time
        anna.sql("INSERT INTO t VALUES (%s, 'a')", [start + 2 * i])
        bert.sql("INSERT INTO t VALUES (%s, 'b')", [start + 2 * i + 1])
        if i in (20, 40):
            said = anna.agent("--rotate", "bert", "--color", "always", check=DONE).stdout
            assert said == "\x1b[32mthe pair with bert has a new key, and agent --serve has been told\x1b[0m\n"
            until(lambda: _section(bert, "anna")["key"] == _section(anna, "bert")["key"] != old, 30, "both have the key")
            old = _section(anna, "bert")["key"]
            until(lambda: {node.agent("--check").returncode for node in pair.nodes} == {DONE}, 60, "both daemons have it too")
    pair.wait_quiet()
    pair.assert_equal()


def test_a_key_that_was_cut_off_on_its_way_is_taken_up_again(pair: Pair) -> None:
    anna, bert = pair.nodes
    _pair(pair)
    bert.start_serve()
    # As if bert had written it and his answer had been lost.
    key = os.urandom(32).hex()
    pending = anna.folder / "state" / "rotate-bert"
    pending.touch(mode=0o600)
    pending.write_text(key, encoding="ascii")
    bert.stop_serve()
    text = bert.conf_path.read_text(encoding="utf-8")
    bert.conf_path.write_text(text.replace(_section(bert, "anna")["key"], key), encoding="utf-8")
    assert anna.drain().returncode == PEER or anna.pending() == 0
    bert.start_serve()
    anna.agent("--rotate", "bert", check=DONE)
    assert _section(anna, "bert")["key"] == key and not pending.exists()
    anna.start_serve()
    _travels(pair)


def test_a_file_that_would_not_be_right_is_not_written(pair: Pair) -> None:
    """A section that agent.conf would refuse is found before the other side is asked."""
    anna, bert = pair.nodes
    with Invitation(anna, "--url", f"http://127.0.0.1:{anna.listen_port}") as invitation:
        before = bert.conf_path.read_bytes()
        said = _join(bert, invitation.line, USAGE)
        assert "an http url" in said
        assert bert.conf_path.read_bytes() == before
        assert not _section(anna, "bert")


def test_pairing_as_json_and_by_the_standard_input(pair: Pair) -> None:
    anna, bert = pair.nodes
    with Invitation(anna, "--json") as invitation:
        line = json.loads(invitation.line)["line"]
        ran = subprocess.run(bert.command("--pair=-", "--json"), input=line + "\n", text=True, capture_output=True,
                             timeout=60, check=True)
        assert json.loads(ran.stdout) == {"paired": "anna"}
        code, out = invitation.end()
        assert code == DONE and json.loads(out.splitlines()[0]) == {"paired": "bert"}


def test_a_reload_with_a_wrong_file_goes_on_as_before(pair: Pair) -> None:
    anna, bert = pair.nodes
    _pair(pair)
    pair.start_serve()
    good = anna.conf_path.read_bytes()
    anna.conf_path.write_bytes(good + b"\nnonsense\n")
    os.kill(anna.serve_pid, signal.SIGHUP)
    until(lambda: "going on with agent.conf as it was" in anna.agent_log.read_text(), 30, "the log says so")
    _travels(pair)
    anna.conf_path.write_bytes(good)
    started = time.monotonic()
    os.kill(anna.serve_pid, signal.SIGHUP)
    until(lambda: "agent.conf is read again" in anna.agent_log.read_text(), 30, "the log says so")
    _travels(pair)
    assert time.monotonic() - started < 60


def test_a_daemon_that_is_told_to_stop_while_it_reads_agent_conf_again_stops(pair: Pair) -> None:
    anna = pair.anna
    anna.install()
    for pause in range(0, 60, 4):  # milliseconds: somewhere in it lies the moment between two lives
        anna.start_serve()
        assert anna.serve_pid is not None
        os.kill(anna.serve_pid, signal.SIGHUP)
        time.sleep(pause / 1000)
        anna.stop_serve()
