"""One laptop: a private server, an app database, an agent.conf and the agent.

The app writes as root through the socket; the agent has an account of its own with privileges on
the app's database and the sync database and, beside these, PROCESS alone, as docs and --check ask for. Every run of the agent is looked through
for reports of the sanitizers.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
import weakref
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pymysql

from lab import compare, load, places, ports, process
from lab.server import Row, Server
from lab.waiting import until

Options = Mapping[str, Mapping[str, str | None]]  # section, key, value; None takes a key out
NO_OPTIONS: Options = MappingProxyType({})

ACCOUNT = "tandem"
PASSWORD = "correct horse battery"  # with spaces: the parser of agent.conf has to manage them
SANITIZER_EXIT = 99
_SANITIZER_REPORT = re.compile(
    r"ERROR: (?:Address|Leak|Thread|Memory)Sanitizer|: runtime error: |SUMMARY: \w*Sanitizer")
_SERVE_TIMEOUT = 30

# What a failing test shows: the logs of the nodes that live, and of those that a with statement
# closed because of the failure.
live: weakref.WeakSet[Node] = weakref.WeakSet()
last_words: list[str] = []


class Node:
    """A laptop called name. setup() makes it whole; close() ends and removes everything."""

    def __init__(self, name: str, *, database: str = "app",
                 auto_increment: tuple[int, int] = (1, 1), server_options: Sequence[str] = (),
                 conf: Options = NO_OPTIONS, buffer_pool: str = "64M", tls: bool = False) -> None:
        step, first = auto_increment
        self.name = name
        self.tls = tls
        self.database = database
        self.sync_database = f"{database}_sync"
        self.server = Server(name, [f"--auto-increment-increment={step}",
                                    f"--auto-increment-offset={first}", *server_options],
                             buffer_pool)
        self.folder = self.server.folder
        self.listen_port = ports.take()
        self.monitor_port = ports.take()
        self.monitor_key = os.urandom(16).hex()
        self.conf_path = self.folder / "agent.conf"
        self.agent_log = self.folder / "agent.log"
        self.serve_log = self.folder / "serve.log"
        self.prefix: list[str] = []  # of the agent's command line (lab.small_disk)
        self.conf = self._first_conf()
        self.change_conf(conf, write=False)
        self._serve: subprocess.Popen[bytes] | None = None
        live.add(self)

    def __enter__(self) -> Node:
        return self.setup()

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure:
            last_words.append(self.logs())
        self.close()

    def setup(self, schemas: Sequence[str | Path] = ()) -> Node:
        """Start the server, make database and account, load the schemas, write agent.conf."""
        if not self.server.running():
            self.server.start()
        load.create_database(self.server, self.database)
        self._make_account()
        for schema in schemas:
            load.load(self.server, self.database, schema)
        (self.folder / "state").mkdir(mode=0o700, exist_ok=True)
        self.write_conf()
        return self

    def renew(self, schemas: Sequence[str | Path] = ()) -> None:
        """As after setup(), on the server that runs already; what the last test left is gone."""
        self.kill_serve()
        self.server.end_connections()
        self.server.sql(f"DROP DATABASE IF EXISTS `{self.sync_database}`")
        for log in (self.agent_log, self.serve_log):
            log.unlink(missing_ok=True)
        self.setup(schemas)

    def close(self) -> None:
        """End agent and server, remove the folder."""
        if self._serve is not None:
            process.end(self._serve, signal.SIGKILL)
            self._serve = None
        self.server.close()
        ports.give_back(self.listen_port)
        ports.give_back(self.monitor_port)
        live.discard(self)

    def _make_account(self) -> None:
        self.server.sql(f"CREATE OR REPLACE USER '{ACCOUNT}'@'localhost' IDENTIFIED BY %s",
                        [PASSWORD])
        for database in (self.database, self.sync_database):
            pattern = database.replace("_", r"\_")  # in a grant, _ stands for any character
            self.server.sql(f"GRANT ALL ON `{pattern}`.* TO '{ACCOUNT}'@'localhost'")
        self.server.sql(f"GRANT PROCESS ON *.* TO '{ACCOUNT}'@'localhost'")

    # agent.conf --------------------------------------------------------------------------------

    def _first_conf(self) -> dict[str, dict[str, str]]:
        return {
            "node": {"name": self.name, "state_dir": str(self.folder / "state"),
                     "listen": f"127.0.0.1:{self.listen_port}",
                     "tls": "on" if self.tls else "off",
                     "monitor": f"127.0.0.1:{self.monitor_port}",
                     "monitor_key": self.monitor_key},
            "database": {"socket": str(self.server.socket), "user": ACCOUNT, "password": PASSWORD,
                         "name": self.database},
            "sync": {"startup": "no"},  # a test says when a node fills itself
            "log": {"target": f"file {self.agent_log}"},
        }

    def change_conf(self, conf: Options, write: bool = True) -> None:
        """Set options by section; None takes an option out again."""
        for section, options in conf.items():
            mine = self.conf.setdefault(section, {})
            for key, value in options.items():
                if value is None:
                    mine.pop(key, None)
                else:
                    mine[key] = value
        if write:
            self.write_conf()

    def add_peer(self, name: str, url: str, key: str, pin: str = "") -> None:
        """A [peer] section; write_conf() puts it into the file."""
        self.conf[f"peer {name}"] = {"url": url, "key": key} | ({"tls_pin": pin} if pin else {})

    @property
    def tls_file(self) -> Path:
        """The node's TLS key and certificate."""
        return self.folder / "state" / "tls.pem"

    def make_tls(self, *options: str) -> str:
        """A TLS key and certificate made by openssl, not by the agent; its pin."""
        self.tls_file.parent.mkdir(mode=0o700, exist_ok=True)
        self.tls_file.unlink(missing_ok=True)
        self.tls_file.touch(mode=0o600)
        cert = self.folder / "cert.pem"
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", f"/CN={self.name}", "-keyout", str(self.tls_file), "-out", str(cert),
                 *(options or ("-days", "1")))
        with self.tls_file.open("a", encoding="ascii") as both:
            both.write(cert.read_text(encoding="ascii"))
        return self.tls_pin()

    def tls_pin(self) -> str:
        """The pin of the node's TLS key as openssl reckons it, for tls_pin of the peers."""
        public = _openssl("x509", "-in", str(self.tls_file), "-noout", "-pubkey")
        der = _openssl("pkey", "-pubin", "-outform", "DER", given=public)
        return "sha256//" + base64.b64encode(hashlib.sha256(der).digest()).decode("ascii")

    def write_conf(self) -> None:
        """Write agent.conf, readable by its owner alone."""
        lines: list[str] = []
        for section, options in self.conf.items():
            if options:
                lines.append(f"[{section}]")
                lines += [f"{key} = {value}" for key, value in options.items()] + [""]
        draft = self.conf_path.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text("\n".join(lines), encoding="utf-8")
        draft.rename(self.conf_path)

    # the agent, one verb -------------------------------------------------------------------------

    def command(self, *args: str) -> list[str]:
        """The command line that runs the agent on this node."""
        return [*self.prefix, str(places.agent_binary()), "--config", str(self.conf_path), *args]

    def agent(self, *args: str, check: int | Collection[int] | None = None, timeout: float = 60,
              env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run the agent; check: the exit code, or the exit codes, that it must end with."""
        try:
            ran = subprocess.run(process.bound(self.command(*args)), text=True, errors="replace",
                                 capture_output=True, timeout=timeout, env=_environment(env),
                                 stdin=subprocess.DEVNULL, cwd=self.folder, check=False)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"{self.name}: agent {' '.join(args)} still ran after"
                                 f" {timeout:g} s\n{late.stdout}\n{late.stderr}") from None
        said = (f"{self.name}: agent {' '.join(args)} ended with {ran.returncode}\n"
                f"--- stdout\n{ran.stdout}--- stderr\n{ran.stderr}")
        _refuse_sanitizer_report(ran.returncode, ran.stderr, said)
        expected = {check} if isinstance(check, int) else check
        assert expected is None or ran.returncode in expected, f"expected {expected}; {said}"
        return ran

    def install(self) -> subprocess.CompletedProcess[str]:
        """--install, which must succeed."""
        return self.agent("--install", check=0)

    def drain(self, *args: str, check: int | Collection[int] | None = None,
              timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """One --drain."""
        return self.agent("--drain", *args, check=check, timeout=timeout)

    def status(self) -> dict[str, Any]:
        """--status --json, whatever its exit code says."""
        ran = self.agent("--status", "--json")
        try:
            return json.loads(ran.stdout)
        except json.JSONDecodeError:
            raise AssertionError(f"{self.name}: --status --json is no JSON (exit code"
                                 f" {ran.returncode}):\n{ran.stdout}\n{ran.stderr}") from None

    # the agent, --serve --------------------------------------------------------------------------

    def start_serve(self, wait: bool = True, env: Mapping[str, str] | None = None) -> None:
        """Start agent --serve, and wait until it answers unless told not to."""
        assert not self.serving(), f"{self.name} serves already"
        self._serve = process.start(self.command("--serve"), self.serve_log, _environment(env),
                                    self.folder)
        if wait:
            self.wait_serve_ready()

    def wait_serve_ready(self, timeout: float = _SERVE_TIMEOUT) -> None:
        """Wait until GET /healthz of the monitor answers 200."""
        until(self._healthy, timeout, f"{self.name}: agent --serve answers /healthz")

    def _healthy(self) -> bool:
        if not self.serving():
            code = self._serve.returncode if self._serve else None
            raise AssertionError(f"{self.name}: agent --serve ended with {code}:\n{self.logs()}")
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def get(self, path: str, key: str | None = None, timeout: float = 10) -> tuple[int, bytes]:
        """GET from the monitor address: status and body. key: sent as Bearer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.monitor_port}{path}")
        if key is not None:
            request.add_header("Authorization", f"Bearer {key}")
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()

    def serving(self) -> bool:
        """Does agent --serve run?"""
        return self._serve is not None and self._serve.poll() is None

    @property
    def serve_pid(self) -> int:
        """The process id of agent --serve."""
        assert self._serve is not None, f"{self.name} does not serve"
        return self._serve.pid

    def stop_serve(self, timeout: float = 60) -> None:
        """SIGTERM; it must end in order, in time and without a leak."""
        code = self._end_serve(signal.SIGTERM, timeout)
        assert code in (None, 0), f"{self.name}: agent --serve ended with {code}:\n{self.logs()}"

    def kill_serve(self) -> None:
        """SIGKILL, as when the battery is taken out."""
        self._end_serve(signal.SIGKILL, _SERVE_TIMEOUT)

    def pause_serve(self) -> None:
        """SIGSTOP: a laptop asleep with its connections open."""
        os.kill(self.serve_pid, signal.SIGSTOP)

    def resume_serve(self) -> None:
        """SIGCONT."""
        os.kill(self.serve_pid, signal.SIGCONT)

    def _end_serve(self, how: int, timeout: float) -> int | None:
        if self._serve is None:
            return None
        code = process.end(self._serve, how, timeout)
        self._serve = None
        output = self.serve_log.read_text(errors="replace")
        _refuse_sanitizer_report(code, output, f"{self.name}: agent --serve\n{output}")
        return code

    # the databases -------------------------------------------------------------------------------

    def connect(self, **kw: Any) -> pymysql.connections.Connection:
        """A connection of the app (root) to the app's database."""
        return self.server.connect(self.database, **kw)

    def sql(self, text: str, args: Sequence[Any] | None = None) -> list[Row]:
        """One statement of the app, committed at once; the rows of its result."""
        return self.server.sql(text, args, self.database)

    def side(self) -> compare.Side:
        """This node for lab.compare."""
        return compare.Side(self.name, self.connect)

    def queue(self) -> dict[str, int]:
        """How many changes of each status the queue holds, asked of the database."""
        rows = self.sql(f"SELECT status, COUNT(*) FROM `{self.sync_database}`.sync_queue"
                        " GROUP BY status")
        return {status: int(count) for status, count in rows}

    def positions(self) -> str:
        """What the sync schema says of peers and epochs, for messages."""
        sync = f"`{self.sync_database}`"
        found = {"peers (acked, quiet, floor)": f"SELECT peer, acked_epoch, quiet_epoch, floor_epoch"
                 f" FROM {sync}.sync_peer",
                 "settled": f"SELECT settled_epoch FROM {sync}.sync_node",
                 "last epochs": f"SELECT epoch, high_id, holes FROM {sync}.sync_epoch"
                 " ORDER BY epoch DESC LIMIT 3",
                 "pending": f"SELECT id, via, operation, last_error FROM {sync}.sync_queue"
                 " WHERE status='pending' LIMIT 20"}
        return "\n".join(f"  {what}: {self.sql(text)}" for what, text in found.items())

    def pending(self) -> int:
        """How many changes wait to be sent."""
        return self.queue().get("pending", 0)

    def at_rest(self) -> Row | None:
        """None when a drain would have something to do; else where queue, epochs and cursors are."""
        sync = f"`{self.sync_database}`"
        last = f"(SELECT MAX(epoch) FROM {sync}.sync_epoch)"
        ((busy, *place),) = self.sql(
            f"SELECT EXISTS(SELECT 1 FROM {sync}.sync_queue WHERE status='pending') OR EXISTS(SELECT 1 FROM {sync}.sync_owed)"
            f" OR EXISTS(SELECT 1 FROM {sync}.sync_drift) OR EXISTS(SELECT 1 FROM {sync}.sync_renewal WHERE renewal='' OR NOT told)"
            f" OR EXISTS(SELECT 1 FROM {sync}.sync_startup WHERE peer='' OR state='filling')"
            f" OR EXISTS(SELECT 1 FROM {sync}.sync_peer WHERE held IS NOT NULL OR GREATEST(acked_epoch, quiet_epoch)<{last})"
            f" OR IFNULL((SELECT MAX(id) FROM {sync}.sync_queue), 0)>IFNULL((SELECT high_id FROM {sync}.sync_epoch WHERE epoch={last} AND holes=''), 0),"
            f" {last}, (SELECT MAX(id) FROM {sync}.sync_queue), (SELECT GROUP_CONCAT(peer, epoch ORDER BY peer) FROM {sync}.sync_cursor)")
        return None if busy else tuple(place)

    def logs(self) -> str:
        """The ends of all logs of this node, for messages."""
        return "\n".join(f"--- {self.name}: {log.name}\n{process.tail(log)}"
                         for log in (self.agent_log, self.serve_log, self.server.log))


def _openssl(*args: str, given: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *args], input=given, capture_output=True, check=True).stdout


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """The caller's environment; a sanitizer's report ends the agent with a code of its own."""
    env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    env.pop("AGENT_CONF", None)
    common = f"exitcode={SANITIZER_EXIT}"
    env.setdefault("ASAN_OPTIONS", f"{common}:detect_leaks=1:abort_on_error=0")
    env.setdefault("LSAN_OPTIONS", common)
    env.setdefault("UBSAN_OPTIONS", f"{common}:print_stacktrace=1:halt_on_error=1")
    env.update(extra or {})
    return env


def _refuse_sanitizer_report(code: int, text: str, said: str) -> None:
    reported = code == SANITIZER_EXIT or _SANITIZER_REPORT.search(text)
    assert not reported, f"a sanitizer reported an error; {said}"

