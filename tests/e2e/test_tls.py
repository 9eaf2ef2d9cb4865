"""TLS between laptops: the pinned key decides, and nothing else does; whoever has none of the pinned
keys gets no further than the handshake; and where TLS does not stand, both sides say why."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Node, Pair, hand
from lab.waiting import until

DONE, USAGE, PEER = 0, 2, 4
GRACE_S = 10  # GUARD_GRACE_MS: how long a handshake and a small request may take


@pytest.fixture(scope="module")
def laptops() -> Iterator[Pair]:
    with Pair(schemas=(), proxied=True, tls=True) as two:
        hand.everywhere(two, "CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)")
        two.install()
        yield two


@pytest.fixture
def pair(laptops: Pair) -> Iterator[Pair]:
    """Two installed laptops that trust each other's keys, in step and serving."""
    for node in laptops.nodes:
        node.make_tls()
    for node, other in zip(laptops.nodes, reversed(laptops.nodes)):
        node.change_conf({"node": {"tls": "on"}, f"peer {other.name}": {"tls_pin": other.tls_pin(),
                          "url": f"https://127.0.0.1:{laptops.wire[node.name, other.name].port}"}})
        node.agent_log.unlink(missing_ok=True)
    laptops.start_serve()
    laptops.wait_quiet()
    yield laptops
    laptops.stop_serve()


def _restart(node: Node) -> None:
    node.stop_serve()
    node.start_serve()


def _write(node: Node, text: str = "x") -> int:
    """A new record; its key, whose parity is the node's own."""
    parity = 0 if node.name == "anna" else 1
    key = int(node.sql("SELECT COALESCE(MAX(id), 0) DIV 2 * 2 + 2 FROM t")[0][0]) + parity
    node.sql("INSERT INTO t VALUES (%s, %s)", [key, text])
    return key


def _arrives(pair: Pair, node: Node) -> None:
    key = _write(node)
    other = pair.bert if node is pair.anna else pair.anna
    until(lambda: other.sql("SELECT 1 FROM t WHERE id = %s", [key]), 60, f"a record of {node.name} arrives")


def _stays_away(node: Node, says: str) -> None:
    """--drain cannot send, says why, and what it has stays pending."""
    _write(node)
    ran = node.drain(check=PEER)
    assert says in ran.stderr, ran.stderr
    assert node.pending() > 0


def _logged(node: Node, text: str) -> None:
    until(lambda: text in node.agent_log.read_text(errors="replace"), 60,
          f"{node.name}'s log says {text!r}")


def _context(certificate: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(str(certificate))
    return context


def _ask(port: int, context: ssl.SSLContext) -> bytes:
    """A request without a signature over TLS: the answer; b"" when the connection was ended."""
    request = b"POST /api/sync/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n" \
              b"Content-Type: application/json\r\n\r\n{}"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as plain, \
                context.wrap_socket(plain) as tls:
            tls.sendall(request)
            return tls.recv(4096)
    except (ssl.SSLError, ConnectionError):
        return b""


def test_changes_travel_both_ways_and_the_connection_is_kept(pair: Pair) -> None:
    wires = list(pair.wire.values())
    for node in pair.nodes:
        _arrives(pair, node)
    before = [wire.connections for wire in wires]
    for _ in range(5):
        for node in pair.nodes:
            _arrives(pair, node)
    # A handshake for each change would be half of what a small change costs.
    assert [wire.connections for wire in wires] == before
    pair.wait_quiet()
    pair.assert_equal()


def test_much_travels_at_once_both_ways(pair: Pair) -> None:
    before = {node.name: pair.wire[node.name, other.name].bytes_up
              for node, other in zip(pair.nodes, reversed(pair.nodes))}
    for node in pair.nodes:
        node.stop_serve()
    for node in pair.nodes:
        start = 1000000 + (node.name == "bert")
        for i in range(12):  # 12 MiB each way that zstd cannot make small: several pieces
            node.sql("INSERT INTO t VALUES (%s, %s)", [start + 2 * i, os.urandom(512 * 1024).hex()])
    pair.start_serve()
    pair.wait_quiet()
    pair.assert_equal()
    for node, other in zip(pair.nodes, reversed(pair.nodes)):
        assert pair.wire[node.name, other.name].bytes_up - before[node.name] > 6 * 1024 * 1024
    for node in pair.nodes:
        node.sql("DELETE FROM t WHERE id >= 1000000 AND id %% 2 = %s", [int(node.name == "bert")])
        pair.wait_quiet()


def test_another_key_than_the_pinned_one_is_not_talked_to(pair: Pair) -> None:
    anna, bert = pair.nodes
    right = anna.conf["peer bert"]["tls_pin"]
    anna.change_conf({"peer bert": {"tls_pin": anna.tls_pin()}})
    anna.stop_serve()
    _stays_away(anna, "has another TLS key than tls_pin of [peer bert] says")
    anna.change_conf({"peer bert": {"tls_pin": right}})
    anna.start_serve()
    _arrives(pair, anna)


def test_a_changed_key_is_not_talked_to_until_it_is_pinned(pair: Pair) -> None:
    anna, bert = pair.nodes
    bert.stop_serve()
    pin = bert.make_tls()
    bert.start_serve()
    anna.stop_serve()
    _stays_away(anna, "has another TLS key")
    anna.change_conf({"peer bert": {"tls_pin": pin}})
    anna.start_serve()
    _arrives(pair, anna)
    _arrives(pair, bert)


def test_the_caller_is_pinned_too(pair: Pair) -> None:
    anna, bert = pair.nodes
    anna.stop_serve()
    anna.make_tls()  # bert knows another one
    _stays_away(anna, "is this node's TLS key the tls_pin of [peer anna] there?")
    _logged(bert, "its TLS key is no tls_pin of any peer here")
    bert.change_conf({"peer anna": {"tls_pin": anna.tls_pin()}})
    _restart(bert)
    anna.start_serve()
    _arrives(pair, anna)


def test_a_peers_signature_does_not_make_up_for_another_peers_tls_key() -> None:
    with Pair(schemas=(), tls=True) as pair:
        anna, bert = pair.nodes
        hand.everywhere(pair, "CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)")
        anna.install()
        bert.install()
        anna.make_tls()
        # To bert that key is carl's: it gets past the handshake, and there anna's signature comes.
        bert.add_peer("carl", "https://127.0.0.1:9", os.urandom(32).hex(), anna.tls_pin())
        bert.write_conf()
        bert.start_serve()
        _stays_away(anna, "HTTP 401")
        _logged(bert, "signed by a peer, but with another TLS key than its tls_pin here")
        bert.stop_serve()


@pytest.mark.parametrize("dates", [("-days", "-1"), ("-not_before",)], ids=["expired", "of the future"])
def test_dates_do_not_count(pair: Pair, dates: tuple[str, ...]) -> None:
    """The same as clocks that are wrong by years: only the key decides."""
    anna, bert = pair.nodes
    pair.stop_serve()
    for node in pair.nodes:
        _with_dates(node, dates[0] == "-days")
    for node, other in zip(pair.nodes, reversed(pair.nodes)):
        node.change_conf({f"peer {other.name}": {"tls_pin": other.tls_pin()}})
    pair.start_serve()
    _arrives(pair, anna)
    _arrives(pair, bert)


def _with_dates(node: Node, expired: bool) -> None:
    """A certificate for the node's key that ended in 2001 or begins in 2090, by openssl's small CA."""
    node.make_tls()
    folder = node.folder / "ca"
    folder.mkdir(exist_ok=True)
    key = node.tls_file.read_text(encoding="ascii").split("-----BEGIN CERT")[0]
    (folder / "key.pem").touch(mode=0o600)
    (folder / "key.pem").write_text(key, encoding="ascii")
    (folder / "index").write_text("", encoding="ascii")
    (folder / "serial").write_text("01\n", encoding="ascii")
    (folder / "ca.conf").write_text(f"""[ca]
default_ca = here
[here]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
[any]
commonName = supplied
""", encoding="ascii")
    begin, end = ("20000101000000Z", "20010101000000Z") if expired else ("20900101000000Z", "20910101000000Z")
    for args in (["req", "-new", "-key", "key.pem", "-subj", f"/CN={node.name}", "-out", "req.pem"],
                 ["ca", "-config", "ca.conf", "-selfsign", "-keyfile", "key.pem", "-in", "req.pem",
                  "-startdate", begin, "-enddate", end, "-batch", "-notext", "-out", "cert.pem"]):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)
    node.tls_file.write_text(key + (folder / "cert.pem").read_text(encoding="ascii"), encoding="ascii")


def test_a_new_certificate_for_the_same_key_is_the_same_laptop(pair: Pair) -> None:
    anna, bert = pair.nodes
    before = bert.tls_file.read_text(encoding="ascii")
    pin = bert.tls_pin()
    bert.stop_serve()
    key = bert.folder / "same-key.pem"
    key.touch(mode=0o600)
    key.write_text(before.split("-----BEGIN CERT")[0], encoding="ascii")
    cert = bert.folder / "other-cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-new", "-key", str(key), "-subj", "/CN=somebody", "-days", "7",
                    "-out", str(cert)], check=True, capture_output=True)
    bert.tls_file.write_text(key.read_text() + cert.read_text(), encoding="ascii")
    assert bert.tls_file.read_text() != before and bert.tls_pin() == pin
    bert.start_serve()
    _arrives(pair, anna)
    _arrives(pair, bert)


def test_strangers_get_no_further_than_the_handshake(pair: Pair) -> None:
    anna, bert = pair.nodes
    assert _ask(bert.listen_port, _context()) == b""
    _logged(bert, "no TLS key shown, and every peer here has a tls_pin")
    stranger = bert.folder / "stranger.pem"
    kept = bert.tls_file.read_bytes()
    bert.make_tls()
    bert.tls_file.rename(stranger)
    bert.tls_file.touch(mode=0o600)
    bert.tls_file.write_bytes(kept)
    assert _ask(bert.listen_port, _context(stranger)) == b""
    _logged(bert, "its TLS key is no tls_pin of any peer here")
    # With a peer's certificate the handshake stands, and the signature is asked for.
    assert _ask(bert.listen_port, _context(anna.tls_file)).startswith(b"HTTP/1.1 401 ")
    _arrives(pair, anna)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
def test_old_versions_of_tls_are_refused(pair: Pair, version: ssl.TLSVersion) -> None:
    anna, bert = pair.nodes
    context = _context(anna.tls_file)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    assert _ask(bert.listen_port, context) == b""
    _logged(bert, "TLS older than 1.2")


def test_tls_1_2_and_1_3_are_spoken(pair: Pair) -> None:
    anna, bert = pair.nodes
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = _context(anna.tls_file)
        context.minimum_version = context.maximum_version = version
        assert _ask(bert.listen_port, context).startswith(b"HTTP/1.1 401 "), version


def test_plain_http_to_a_port_with_tls_is_told_to_both(pair: Pair) -> None:
    anna, bert = pair.nodes
    anna.stop_serve()
    port = pair.wire["anna", "bert"].port
    anna.change_conf({"peer bert": {"url": f"http://127.0.0.1:{port}", "tls_pin": None}})
    _stays_away(anna, "if tls is on there, the url must begin with https://")
    _logged(bert, "plain HTTP where TLS is spoken: the url there must begin with https://")


def test_tls_to_a_port_with_plain_http_is_told_to_both(pair: Pair) -> None:
    anna, bert = pair.nodes
    anna.stop_serve()
    bert.change_conf({"node": {"tls": "off"}})
    _restart(bert)
    _stays_away(anna, "no TLS (")
    _stays_away(anna, "is tls = on there")
    _logged(bert, "TLS where plain HTTP is spoken")


def test_without_a_pin_a_certificate_of_ones_own_is_not_trusted(pair: Pair) -> None:
    anna, bert = pair.nodes
    anna.stop_serve()
    anna.change_conf({"peer bert": {"tls_pin": None}})
    _stays_away(anna, "a laptop of your own needs its tls_pin in [peer bert]")


def test_half_open_handshakes_end_and_hinder_nobody(pair: Pair) -> None:
    anna, bert = pair.nodes
    silent = [socket.create_connection(("127.0.0.1", bert.listen_port), timeout=60) for _ in range(50)]
    try:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # the beginning of one
        for i, sock in enumerate(silent):
            sock.sendall(hello[:i % len(hello)])
        _arrives(pair, anna)
        for sock in silent:
            sock.settimeout(GRACE_S + 50)
            try:
                assert sock.recv(1) == b""
            except ConnectionError:
                pass
    finally:
        for sock in silent:
            sock.close()
    _logged(bert, "TLS handshake not finished in time")
    _arrives(pair, anna)


def test_a_key_that_others_may_read_is_not_used(pair: Pair) -> None:
    anna, _ = pair.nodes
    pair.stop_serve()
    kept = anna.tls_file.read_bytes()
    for spoil, says in ((lambda f: f.chmod(0o640), "TLS key is readable by others: chmod 600"),
                        (lambda f: f.write_bytes(b"no key"), "does not hold a key and its certificate"),
                        (lambda f: (f.rename(f.with_suffix(".real")), f.symlink_to(f.with_suffix(".real"))),
                         "is a symbolic link"),
                        (lambda f: (f.unlink(), os.mkfifo(f, 0o600)), "is not a regular file")):
        spoil(anna.tls_file)
        ran = anna.agent("--serve", check=USAGE)
        assert says in ran.stderr, ran.stderr
        anna.tls_file.unlink()
        anna.tls_file.touch(mode=0o600)
        anna.tls_file.write_bytes(kept)
    pair.start_serve()
    _arrives(pair, anna)


def test_a_node_makes_its_key_when_it_has_none(pair: Pair) -> None:
    anna, bert = pair.nodes
    pair.stop_serve()
    anna.tls_file.unlink()
    anna.start_serve()
    assert anna.tls_file.stat().st_mode & 0o7777 == 0o600
    pin = anna.tls_pin()
    assert f"tls_pin = {pin}" in anna.agent("--check").stdout
    _restart(anna)
    assert anna.tls_pin() == pin
    bert.change_conf({"peer anna": {"tls_pin": pin}})
    bert.start_serve()
    _arrives(pair, anna)
    _arrives(pair, bert)


def test_a_file_from_before_tls_must_choose(pair: Pair) -> None:
    anna, _ = pair.nodes
    anna.stop_serve()
    port = pair.wire["anna", "bert"].port
    anna.change_conf({"node": {"tls": None}, "peer bert": {"url": f"http://127.0.0.1:{port}", "tls_pin": None}})
    ran = anna.agent("--status", check=USAGE)
    assert "write tls = off into [node] to go on without" in ran.stderr
