"""The ways of docs/network.md, each tried: a tunnel that ends TLS (stunnel) with bodies sealed from end to end,
a local network and a virtual one between network namespaces, SSH."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Node, Pair, hand, ports, process, seal
from lab.impostor import HELLO, RECEIVE, Impostor
from lab.proxy import Proxy
from lab.waiting import until

DONE, PEER = 0, 4
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"  # what libcurl of Debian trusts
SECRET = "nobody on the way may read this"
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin")


def _can(*command: str) -> bool:
    """Does the command work here? Namespaces need root, and not every container has them."""
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    except OSError:
        return False


def _arrives(pair: Pair, node: Node, text: str = "x") -> None:
    other = pair.bert if node is pair.anna else pair.anna
    key = int(node.sql("SELECT COALESCE(MAX(id), 0) DIV 2 * 2 + 2 FROM t")[0][0]) + (node is pair.bert)
    node.sql("INSERT INTO t VALUES (%s, %s)", [key, text])
    until(lambda: other.sql("SELECT 1 FROM t WHERE id = %s", [key]), 60, f"a record of {node.name} arrives")


@pytest.fixture(scope="module")
def laptops() -> Iterator[Pair]:
    with Pair(schemas=()) as two:
        hand.everywhere(two, "CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)")
        two.install()
        yield two


@pytest.fixture
def pair(laptops: Pair) -> Iterator[Pair]:
    """Two installed laptops that do not serve; agent.conf and prefix are put back."""
    before = [json.loads(json.dumps(node.conf)) for node in laptops.nodes]
    yield laptops
    laptops.stop_serve()
    for node, conf in zip(laptops.nodes, before):
        node.conf, node.prefix = conf, []
        node.write_conf()


def _peers(pair: Pair, **options: str | None) -> None:
    for node, other in ((pair.anna, pair.bert), (pair.bert, pair.anna)):
        node.change_conf({f"peer {other.name}": dict(options)})


# --- a tunnel that ends TLS ----------------------------------------------------------------------

def _certificate(folder: Path) -> Path:
    """Key and certificate of the tunnel's host in one file, as a public authority would sign it."""
    both = folder / "tunnel.pem"
    both.touch(mode=0o600)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2", "-keyout", str(folder / "tunnel.key"),
                    "-out", str(folder / "tunnel.crt")], check=True, capture_output=True)
    both.write_bytes((folder / "tunnel.key").read_bytes() + (folder / "tunnel.crt").read_bytes())
    return both


@contextlib.contextmanager
def _tunnel(folder: Path, target: int) -> Iterator[int]:
    """stunnel: TLS with a certificate of its own outside, plain HTTP inside; its port."""
    port = ports.take()
    conf = folder / "stunnel.conf"
    conf.write_text(f"foreground = yes\npid =\nsyslog = no\n[web]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{target}\n"
                    f"cert = {_certificate(folder)}\n")
    child = process.start([shutil.which("stunnel4") or "stunnel", str(conf)], folder / "stunnel.log")
    try:
        until(lambda: "Configuration successful" in (folder / "stunnel.log").read_text(), 30, "stunnel is up")
        yield port
    finally:
        process.end(child)
        ports.give_back(port)


def _trust(node: Node, certificate: Path) -> None:
    """The node's agent trusts the tunnel's certificate as it trusts public ones, and nobody else's agent does."""
    command = f'mount --bind {certificate} {CA_BUNDLE} && exec "$@"'
    node.prefix = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", command, "sh"]


@pytest.fixture
def tunnel(pair: Pair) -> Iterator[Proxy]:
    """bert reaches anna through stunnel, which passes on to the proxy that is yielded (and remembers what it
    sees); anna reaches bert by plain HTTP. Bodies are sealed."""
    if not shutil.which("stunnel4") and not shutil.which("stunnel"):
        pytest.skip("stunnel4 is not here (scripts/install-packages)")
    if not _can("unshare", "--mount", "--", "true") or not os.path.exists(CA_BUNDLE):
        pytest.skip("no mount namespace here: another certificate authority cannot be trusted for one process alone")
    anna, bert = pair.nodes
    with Proxy(anna.listen_port) as seen, _tunnel(anna.folder, seen.port) as port:
        _trust(bert, anna.folder / "tunnel.crt")
        bert.change_conf({"peer anna": {"url": f"https://localhost:{port}"}})
        _peers(pair, seal="yes")
        pair.start_serve()
        yield seen
        pair.stop_serve()


def test_whoever_ends_tls_reads_nothing_and_everything_travels(pair: Pair, tunnel: Proxy) -> None:
    anna, bert = pair.nodes
    key = bytes.fromhex(bert.conf["peer anna"]["key"])
    there, back = seal.direction_key(key, "bert", "anna"), seal.direction_key(key, "anna", "bert")
    _arrives(pair, bert, SECRET)
    _arrives(pair, anna, SECRET)
    bert.agent("--verify", check=DONE)
    opened = []
    for exchange in list(tunnel.exchanges):
        body = exchange.request.partition(b"\r\n\r\n")[2]
        answer = exchange.response.partition(b"\r\n\r\n")[2]
        assert body.startswith(seal.MAGIC), exchange.path
        assert SECRET.encode() not in body + answer and b"incarnation" not in body + answer
        if len(body) < 4096:  # the second implementation is slow
            opened.append(seal.take(there, "request", body))
            assert seal.take(back, "request", body) is None and seal.take(there, "answer", body) is None
        if answer:
            assert answer.startswith(seal.MAGIC), (exchange.path, answer)
        if exchange.path == HELLO and exchange.status == 200:
            welcome = seal.take(back, "answer", answer)
            assert welcome is not None and json.loads(welcome.split(b"\n")[0])["node"] == "anna"
    assert any(text and b'"hello":"1"' in text for text in opened), opened
    # recorded and sent once more: refused, nothing changed
    before = anna.sql("SELECT COUNT(*) FROM t")
    again = next(exchange for exchange in reversed(tunnel.exchanges) if exchange.path == RECEIVE)
    assert tunnel._send_alone(again.request).startswith(b"HTTP/1.1 401"), "a replay"
    assert anna.sql("SELECT COUNT(*) FROM t") == before
    # no warning while it is so, and one without
    assert "whoever ends TLS" not in bert.agent("--check", check={0, 1}).stdout
    bert.change_conf({"peer anna": {"seal": "no"}})
    assert "whoever ends TLS on the way to peer anna can read" in bert.agent("--check", check={0, 1, 4, 5}).stdout


def test_a_tunnel_whose_certificate_nobody_signed_is_not_used(pair: Pair, tunnel: Proxy) -> None:
    bert = pair.bert
    bert.stop_serve()
    bert.prefix = []
    bert.sql("INSERT INTO t VALUES (100001, 'x')")
    assert "not to be trusted" in bert.drain(check=PEER).stderr
    bert.change_conf({"peer anna": {"url": bert.conf["peer anna"]["url"].replace("localhost", "127.0.0.1")}})
    _trust(bert, pair.anna.folder / "tunnel.crt")
    assert "not to be trusted" in bert.drain(check=PEER).stderr  # another name than the certificate's


def test_bodies_are_sealed_on_both_sides_or_refused_with_the_remedy(pair: Pair) -> None:
    anna, bert = pair.nodes
    anna.change_conf({"peer bert": {"seal": "yes"}})
    pair.start_serve()
    bert.sql("INSERT INTO t VALUES (200001, 'x')")
    said = until(lambda: "set seal = yes" in (ran := bert.drain()).stderr and ran, 60, "bert is told")
    assert said.returncode != DONE and not anna.sql("SELECT 1 FROM t WHERE id = 200001")
    assert "seal = yes is missing" in anna.agent_log.read_text()
    _arrives(pair, anna, "sealed towards one that does not ask for it")
    pair.stop_serve()
    bert.change_conf({"peer anna": {"seal": "yes"}})
    pair.start_serve()
    until(lambda: anna.sql("SELECT 1 FROM t WHERE id = 200001"), 60, "nothing was lost")


def test_a_sealed_body_of_another_key_use_or_length_is_refused(pair: Pair) -> None:
    anna = pair.anna
    _peers(pair, seal="yes")
    pair.start_serve()
    hex_key = anna.conf["peer bert"]["key"]
    key = bytes.fromhex(hex_key)
    there, back = seal.direction_key(key, "bert", "anna"), seal.direction_key(key, "anna", "bert")
    thief = Impostor(anna, "bert", hex_key)  # has the signature's key
    hello = json.dumps({"hello": "1", "node": "bert", "incarnation": "0" * 32, "nonce": secrets.token_hex(16)}).encode() + b"\n"
    good = seal.put(there, "request", hello)
    status, answer = thief.post(HELLO, good)
    assert status == 200 and json.loads((seal.take(back, "answer", answer) or b"{}").split(b"\n")[0])["node"] == "anna"
    changed = bytearray(good)
    changed[-1] ^= 1
    for what, body in {"another direction": seal.put(back, "request", hello), "an answer": seal.put(there, "answer", hello),
                       "another pair": seal.put(os.urandom(32), "request", hello), "one byte less": good[:-1],
                       "one more": good + b"\0", "no tag": good[:-16], "the head alone": good[:45], "half a head": good[:20],
                       "one bit": bytes(changed), "of another message": good[:45] + seal.put(there, "request", hello)[45:]}.items():
        status, answer = thief.post(HELLO, body)
        assert status == 400, what
        assert answer.startswith(seal.MAGIC), what
    status, answer = thief.post(HELLO, hello)
    assert status == 403 and b"seal = yes" in (seal.take(back, "answer", answer) or b""), answer


# --- networks ---------------------------------------------------------------------------------------

@pytest.fixture
def network(pair: Pair) -> Iterator[list[str]]:
    """Two network namespaces with a cable between them, one for each agent; their names."""
    tag = f"t{os.getpid() % 100000}"
    names = [f"{tag}a", f"{tag}b"]
    if not (_can("ip", "netns", "add", names[0]) and _can("ip", "netns", "add", names[1])):
        pytest.skip("no network namespaces here (they need root and ip)")
    try:
        if not _can("ip", "link", "add", f"{tag}0", "netns", names[0], "type", "veth", "peer", "name", f"{tag}1", "netns", names[1]):
            pytest.skip("no veth devices here")
        for i, (name, node) in enumerate(zip(names, pair.nodes)):
            for command in (("ip", "link", "set", "lo", "up"), ("ip", "addr", "add", f"10.77.0.{i + 1}/24", "dev", f"{tag}{i}"),
                            ("ip", "link", "set", f"{tag}{i}", "up")):
                subprocess.run(["ip", "netns", "exec", name, *command], check=True)
            node.prefix = ["ip", "netns", "exec", name]
        yield names
        pair.stop_serve()
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)


def _over(pair: Pair, hosts: list[str], listen: list[str]) -> None:
    """TLS with pins; each at its host name or address for the other, listening there."""
    for node in pair.nodes:
        node.make_tls()
    for i, (node, other) in enumerate(zip(pair.nodes, reversed(pair.nodes))):
        node.change_conf({"node": {"tls": "on", "listen": f"{listen[i]}:{node.listen_port}"},
                          f"peer {other.name}": {"url": f"https://{hosts[1 - i]}:{other.listen_port}", "tls_pin": other.tls_pin()}})


def _travels(pair: Pair) -> None:
    for node in pair.nodes:
        node.start_serve(wait=False)  # /healthz is in another namespace
    for node in pair.nodes:
        _arrives(pair, node, SECRET)


def test_a_local_network_and_a_virtual_one_above_it(pair: Pair, network: list[str]) -> None:
    for node in pair.nodes:
        node.change_conf({"sync": {"timeout": "2s"}})  # how soon a cable is missed
    _over(pair, ["10.77.0.1", "10.77.0.2"], ["0.0.0.0"] * 2)
    _travels(pair)
    # the cable is pulled, and put back: nothing is lost
    subprocess.run(["ip", "-n", network[0], "link", "set", f"{network[0][:-1]}0", "down"], check=True)
    pair.anna.sql("INSERT INTO t VALUES (300000, 'without a cable')")
    gone = ("cannot be reached", "no connection", "no answer")
    until(lambda: any(word in pair.anna.agent_log.read_text() for word in gone), 60, "anna says that bert is away")
    subprocess.run(["ip", "-n", network[0], "link", "set", f"{network[0][:-1]}0", "up"], check=True)
    until(lambda: pair.bert.sql("SELECT 1 FROM t WHERE id = 300000"), 100, "it arrives by itself")
    pair.stop_serve()
    for i, name in enumerate(network):
        if not _can("ip", "-n", name, "link", "add", "vpn", "type", "vxlan", "id", "7", "dev", f"{network[0][:-1]}{i}",
                    "remote", f"10.77.0.{2 - i}", "dstport", "4789"):
            pytest.skip("the local network works; no virtual network (vxlan) here")
        subprocess.run(["ip", "-n", name, "addr", "add", f"10.78.0.{i + 1}/24", "dev", "vpn"], check=True)
        subprocess.run(["ip", "-n", name, "link", "set", "vpn", "up"], check=True)
    _over(pair, ["10.78.0.1", "10.78.0.2"], ["10.78.0.1", "10.78.0.2"])  # at the VPN's address alone
    _travels(pair)


@pytest.mark.skipif(SSHD is None or shutil.which("ssh") is None, reason="no sshd here (Debian: openssh-server)")
def test_an_ssh_tunnel_both_ways(pair: Pair) -> None:
    anna, bert = pair.nodes
    folder = anna.folder / "ssh"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    port, towards_anna, towards_bert = ports.take(), ports.take(), ports.take()
    (folder / "conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'authorized'}\nUsePAM no\n"
        "PasswordAuthentication no\nPermitRootLogin yes\nStrictModes no\nPidFile none\n")
    if os.getuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    server = process.start([str(SSHD), "-D", "-e", "-f", str(folder / "conf")], folder / "sshd.log")
    # as docs/network.md has it, from bert's laptop
    client = process.start(["ssh", "-N", "-F", "none", "-p", str(port), "-i", str(folder / "user"), "-o", "StrictHostKeyChecking=no",
                            "-o", f"UserKnownHostsFile={folder / 'known'}", "-o", "ExitOnForwardFailure=yes", "-o", "BatchMode=yes",
                            "-o", "ConnectionAttempts=10",
                            "-L", f"{towards_anna}:127.0.0.1:{anna.listen_port}", "-R", f"{towards_bert}:127.0.0.1:{bert.listen_port}",
                            "127.0.0.1"], folder / "ssh.log")
    try:
        _over(pair, ["127.0.0.1"] * 2, ["127.0.0.1"] * 2)
        bert.change_conf({"peer anna": {"url": f"https://127.0.0.1:{towards_anna}"}})
        anna.change_conf({"peer bert": {"url": f"https://127.0.0.1:{towards_bert}"}})
        _travels(pair)
    except AssertionError as failed:
        raise AssertionError(f"{failed}\n{process.tail(folder / 'sshd.log')}\n{process.tail(folder / 'ssh.log')}") from None
    finally:
        pair.stop_serve()
        process.end(client)
        process.end(server)


def test_what_is_fetched_comes_sealed(pair: Pair) -> None:
    """bert cannot reach anna, who fetches from him over plain HTTP."""
    anna, bert = pair.nodes
    _peers(pair, seal="yes")
    with Proxy(bert.listen_port) as seen, Proxy(anna.listen_port) as closed:
        closed.set_mode("refuse")
        anna.change_conf({"peer bert": {"url": seen.url, "pull": "yes"}})
        bert.change_conf({"peer anna": {"url": closed.url}})
        pair.start_serve()
        _arrives(pair, bert, SECRET)
        _arrives(pair, anna, SECRET)
        fetched = [exchange for exchange in seen.exchanges if exchange.path.startswith("/api/sync/download")]
        answers = [exchange.response.partition(b"\r\n\r\n")[2] for exchange in fetched]
        assert any(answers) and all(answer.startswith(seal.MAGIC) for answer in answers if answer), fetched
        assert not any(SECRET.encode() in answer for answer in answers)
        pair.stop_serve()
    bert.change_conf({"peer anna": {"url": None, "seal": None}})
    said = bert.agent("--check").stdout
    assert "what peer anna fetches is signed but not encrypted here" in said and "on the way to peer anna" not in said
