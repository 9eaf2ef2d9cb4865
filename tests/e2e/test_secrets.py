"""What is secret stays so: a whole run with every step logged, and afterwards nothing that the agent
wrote, printed, answered or showed to other users of the computer holds a secret."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Node, Pair, hand, process
from lab.node import PASSWORD
from lab.waiting import until

DONE = 0


def _secrets(node: Node) -> dict[str, bytes]:
    """Everything secret that the node's files hold, by what it is."""
    found = {"database password": PASSWORD.encode(), "monitor key": node.monitor_key.encode()}
    for line in node.conf_path.read_text(encoding="utf-8").splitlines():
        if line.startswith("key = "):
            key = line[len("key = "):]
            found["pair's key"] = key.encode()
            found["pair's key as bytes"] = bytes.fromhex(key)
    if node.tls_file.exists():
        pem = node.tls_file.read_text(encoding="ascii")
        found["TLS key"] = pem.splitlines()[1].encode()
    return found


def _seen(folder: Path, secrets: dict[str, bytes], allowed: set[str]) -> list[str]:
    """Files below the folder that hold a secret and are not among those that may."""
    found = []
    for path in folder.rglob("*"):
        if not path.is_file() or path.name in allowed or "data" in path.relative_to(folder).parts[:1]:
            continue
        content = path.read_bytes()
        found += [f"{path}: {what}" for what, secret in secrets.items() if secret in content]
    return found


@pytest.fixture
def pair() -> Iterator[Pair]:
    with Pair(schemas=(), conf={"log": {"level": "debug"}}, tls=True) as two:
        hand.everywhere(two, "CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)")
        yield two


def test_a_whole_run_shows_no_secret(pair: Pair) -> None:
    anna, bert = pair.nodes
    said: list[str] = []

    def run(node: Node, *args: str) -> None:
        ran = node.agent(*args, "-v")
        said.append(ran.stdout + ran.stderr)

    for node in pair.nodes:
        for verb in ("--check", "--install", "--check", "--status", "--parked", "--conflicts"):
            run(node, verb)
    pair.start_serve()
    secrets = {f"{node.name}'s {what}": secret for node in pair.nodes for what, secret in _secrets(node).items()}
    for node in pair.nodes:
        node.sql("INSERT INTO t VALUES (%s, 'x')", [1 if node is anna else 2])
    pair.wait_quiet()
    run(anna, "--rotate", "bert")
    secrets |= {f"{node.name}'s second {what}": secret for node in pair.nodes for what, secret in _secrets(node).items()}
    until(lambda: bert.agent("--check").returncode == DONE, 60, "the new key is in use")
    for node in pair.nodes:
        for args in (("--status", "--json"), ("--verify",), ("--explain", "t", "1"), ("--drain", "--json")):
            run(node, *args)
        for path in ("/api/status", "/metrics", "/", "/healthz"):
            said.append(node.get(path, node.monitor_key)[1].decode("utf-8", "replace"))
        # What goes wrong is told without them too.
        wrong = os.urandom(32).hex()
        node.change_conf({"database": {"password": "this is another secret"}})
        secrets[f"{node.name}'s wrong password"] = b"this is another secret"
        run(node, "--status")
        node.change_conf({"database": {"password": PASSWORD}})
        secrets[f"{node.name}'s wrong key"] = wrong.encode()
        for option in (f"keyy = {wrong}", f"key = {wrong}0", f"key = {wrong}\nkey = {wrong}"):
            text = node.conf_path.read_text(encoding="utf-8")
            node.conf_path.write_text(text + f"\n[peer x]\nurl = https://x\n{option}\n", encoding="utf-8")
            run(node, "--status")
            node.conf_path.write_text(text, encoding="utf-8")
    for node in pair.nodes:
        arguments = Path(f"/proc/{node.serve_pid}/cmdline").read_bytes()
        environment = Path(f"/proc/{node.serve_pid}/environ").read_bytes()
        said.append((arguments + environment).decode("utf-8", "replace"))
        limits = Path(f"/proc/{node.serve_pid}/limits").read_text()
        core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]
    pair.stop_serve()
    text = "\n".join(said).encode()
    assert [what for what, secret in secrets.items() if secret in text] == []
    for node in pair.nodes:
        assert node.agent_log.stat().st_size > 0
        # The lab's own copies of the TLS key and agent.conf are not the agent's.
        assert _seen(node.folder, secrets, {"agent.conf", "tls.pem"}) == []
        assert {path.name for path in (node.folder / "state").iterdir()} <= {"tls.pem", "serve.lock"}


def test_the_line_of_pairing_is_not_left_anywhere(pair: Pair) -> None:
    anna, bert = pair.nodes
    for node, other in zip(pair.nodes, reversed(pair.nodes)):
        node.install()
        node.conf.pop(f"peer {other.name}")
        node.write_conf()
    invitation = subprocess.Popen(anna.command("--pair", "-v"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  cwd=anna.folder, preexec_fn=process.dies_with_parent())
    try:
        assert invitation.stdout
        line = invitation.stdout.readline().strip()
        secret = line.split(b",")[4]
        assert (anna.folder / "state" / "invitation").stat().st_mode & 0o7777 == 0o600
        assert secret not in Path(f"/proc/{invitation.pid}/cmdline").read_bytes()
        ran = bert.agent("--pair", line.decode("ascii"), "-v", check=DONE)
        out, err = invitation.communicate(timeout=60)
    finally:
        if invitation.poll() is None:
            invitation.kill()
    assert invitation.returncode == DONE
    assert secret not in out + err + (ran.stdout + ran.stderr).encode()
    for node in pair.nodes:
        assert _seen(node.folder, {"the line's secret": secret}, set()) == []


def test_an_argument_that_is_a_line_is_wiped_while_it_is_used(pair: Pair) -> None:
    """Other users see arguments in the list of processes: the line must not stay there."""
    _, bert = pair.nodes
    secret = os.urandom(16).hex()
    # An address that never answers: the agent waits there for its timeout.
    bert.change_conf({"sync": {"timeout": "20s"}})
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        line = f"tandem-pair1,carl,https://127.0.0.1:{silent.getsockname()[1]},{bert.tls_pin()},{secret}"
        running = subprocess.Popen(bert.command("--pair", line), cwd=bert.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, preexec_fn=process.dies_with_parent())
        try:
            silent.settimeout(30)
            silent.accept()  # it is at work
            assert secret.encode() not in Path(f"/proc/{running.pid}/cmdline").read_bytes()
        finally:
            running.kill()
            running.wait()
