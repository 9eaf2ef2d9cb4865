"""What the agent does while one call of it fails: each scene makes its own work, lets one run of
the agent have the failure, and says afterwards what is wrong. One pair of laptops serves all scenes
of a run, one after the other; undisturbed agents put it right between two of them."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lab import Pair, hand
from lab.node import Node

_SCHEMA = (
    "CREATE TABLE first_half (id INT PRIMARY KEY, n INT NOT NULL)",
    "CREATE TABLE second_half (id INT PRIMARY KEY, n INT NOT NULL)",
    "CREATE TABLE goods (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL, photo LONGBLOB)",
    "CREATE TABLE sold (id INT PRIMARY KEY, goods INT, FOREIGN KEY (goods) REFERENCES goods (id) ON DELETE CASCADE)",
    "CREATE TABLE fussy (id INT PRIMARY KEY, v INT NOT NULL)",
)
_ROWS = ("INSERT INTO first_half VALUES (1, 0)", "INSERT INTO second_half VALUES (1, 0)",
         "INSERT INTO goods SELECT seq, CONCAT('g', seq), NULL FROM seq_1_to_20",
         "INSERT INTO sold SELECT seq, seq FROM seq_1_to_20", "INSERT INTO fussy VALUES (1, 0)")
_CODES = range(6)  # the exit codes that docs/agent.8 knows
_PHOTO = 300_000
_BOTH = ("UPDATE first_half SET n=n+1", "UPDATE second_half SET n=n+1")
_TRIES = 6


@contextmanager
def _binary(path: Path) -> Iterator[None]:
    before = os.environ.get("TANDEM_AGENT")
    os.environ["TANDEM_AGENT"] = str(path)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TANDEM_AGENT"]
        else:
            os.environ["TANDEM_AGENT"] = before


class Stage:
    """The laptops, and the agent whose calls fail."""

    def __init__(self, tortured: Path) -> None:
        self.tortured = tortured
        # Nobody drains by himself: the scenes say who does what.
        self.pair = Pair(schemas=(), conf={"sync": {"interval": "1h", "max_delete": "off"}})
        self.lone = Node("cleo").setup()
        hand.everywhere(self.pair, *_SCHEMA, *_ROWS)
        for statement in (*_SCHEMA, *_ROWS):
            self.lone.sql(statement)
        self.pair.install()
        self.pair.bert.sql("ALTER TABLE fussy ADD CHECK (v<>7)")
        self.pair.start_serve()
        self.pair.settle()
        self.log = Path(tempfile.mkdtemp(dir=self.lone.folder)) / "torture.log"
        self.round = 0

    def close(self) -> None:
        """End everything."""
        self.pair.close()
        self.lone.close()

    @property
    def anna(self) -> Node:
        """Sends."""
        return self.pair.anna

    @property
    def bert(self) -> Node:
        """Receives."""
        return self.pair.bert

    def environment(self, failure: str) -> dict[str, str]:
        """For the run that is to fail; without a failure its calls are counted."""
        env = {"TANDEM_TORTURE_LOG": str(self.log)}
        return {**env, "TANDEM_TORTURE": failure} if failure else env

    def run(self, node: Node, failure: str, *args: str) -> list[str]:
        """One verb with the failure. A failure that the agent can do without may go unnoticed."""
        with _binary(self.tortured):
            try:
                ran = node.agent(*args, env=self.environment(failure))
            except AssertionError as wrong:
                return [str(wrong)]
        return _wrong_end(ran)

    # work ------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Of every kind: insert, update, delete, cascade, a large value, a conflict, a refusal."""
        self.round += 1
        r = self.round
        own = 1000 + 10 * r
        hand.transaction(self.anna, *_BOTH, "UPDATE goods SET name=CONCAT('anna ', %d) WHERE id=1" % r,
                         f"INSERT INTO goods SELECT {own}+seq, 'new', NULL FROM seq_0_to_4",
                         f"INSERT INTO sold SELECT {own}+seq, {own}+seq FROM seq_0_to_4",
                         f"DELETE FROM goods WHERE id={own - 10}", "UPDATE fussy SET v=7",
                         f"UPDATE goods SET photo=REPEAT('{chr(97 + r % 26)}', {_PHOTO}) WHERE id=2")
        hand.transaction(self.bert, "UPDATE goods SET name=CONCAT('bert ', %d) WHERE id=1" % r)

    def mend(self) -> list[str]:
        """Undisturbed agents put everything right; what they cannot is said."""
        self.anna.sql("UPDATE fussy SET v=0")
        for node in self.pair.nodes:
            if not node.serving():
                node.start_serve()
        said = ""
        for _ in range(_TRIES):
            ran = [node.drain() for node in self.pair.nodes]
            said = "\n".join(one.stdout + one.stderr for one in ran)
            if not any(one.returncode for one in ran) and not self.pair.pending():
                found = self.pair.differences()
                return [f"the laptops differ: {line}" for line in found[:5]]
        return [f"undisturbed drains do not come to an end: {said}\n{self.pair.describe()}"]

    def halves(self) -> list[str]:
        """Two tables that every transaction changes together."""
        wrong = []
        for node in self.pair.nodes:
            one, two = node.sql("SELECT a.n, b.n FROM first_half a JOIN second_half b USING (id)")[0]
            if one != two:
                wrong.append(f"half a group is applied on {node.name}: {one}, {two}")
        return wrong


def _wrong_end(ran: subprocess.CompletedProcess[str]) -> list[str]:
    said = f"ended with {ran.returncode}\n{ran.stdout}{ran.stderr}"
    if ran.returncode not in _CODES:
        return [said]
    if ran.returncode and not (ran.stderr + ran.stdout).strip():
        return [f"no error is shown: {said}"]
    return []


def _app_goes_on(node: Node) -> list[str]:
    """What an app notices of it: nothing."""
    hand.transaction(node, "INSERT INTO goods VALUES (900000, 'app', NULL)", "UPDATE goods SET name='app2' WHERE id=900000",
                     "DELETE FROM goods WHERE id=900000")
    return []


# scenes: each takes the failure, and gives what is wrong -----------------------------------------

def drain(stage: Stage, failure: str) -> list[str]:
    """The sender."""
    stage.work()
    return stage.run(stage.anna, failure, "--drain") + stage.halves() + stage.mend()


def receive(stage: Stage, failure: str) -> list[str]:
    """The receiver: its daemon starts, takes a group and ends."""
    stage.work()
    stage.bert.stop_serve()
    wrong = []
    with _binary(stage.tortured):
        stage.bert.start_serve(wait=False, env=stage.environment(failure))
        try:
            stage.bert.wait_serve_ready()
        except AssertionError:
            pass  # it may not even start: then it says so
    ended = not stage.bert.serving()
    ran = stage.anna.drain()
    wrong += _wrong_end(ran)
    try:
        code = stage.bert._end_serve(15, 60)  # noqa: SLF001  (any documented exit code will do)
        said = stage.bert.serve_log.read_text() + stage.bert.agent_log.read_text()
        if code not in _CODES or (ended and code == 0) or (code and not said):
            wrong.append(f"--serve ended with {code}: {said[-2000:]}")
    except AssertionError as report:
        wrong.append(str(report))
        stage.bert.kill_serve()
    stage.bert.serve_log.unlink(missing_ok=True)
    return wrong + stage.halves() + stage.mend()


def verify(stage: Stage, failure: str) -> list[str]:
    """A difference that nobody knows of is found and repaired."""
    stage.round += 1
    hand.unseen(stage.anna, f"UPDATE goods SET name='unseen {stage.round}' WHERE id=3", "DELETE FROM sold WHERE id=4")
    wrong = stage.run(stage.anna, failure, "--verify", "--repair")
    stage.anna.agent("--verify", "--repair", check={0, 5})
    return wrong + stage.mend()


def resolve(stage: Stage, failure: str) -> list[str]:
    """A person lets the loser win."""
    stage.work()
    wrong = stage.mend()
    for node in stage.pair.nodes:
        kept = json.loads(node.agent("--conflicts", "--json", check={0, 5}).stdout)["conflicts"]
        mine = [one for one in kept if one["resolved_at"] is None and (one["table"], one["record_id"]) == ("goods", "1")]
        if mine:
            break
    else:
        return [*wrong, "no conflict was kept"]
    one = mine[-1]
    side = "local" if one["kept"] == "remote" else "remote"
    order = ("--resolve", str(one["id"]), "--keep", side)
    wrong += stage.run(node, failure, *order)
    ran = node.agent(*order)
    if ran.returncode not in (0, 1, 2):
        wrong += _wrong_end(ran)
    stage.anna.drain()
    wrong += stage.mend()
    value = one[side]["row"]["name"]
    if node.sql("SELECT name FROM goods WHERE id=1") != [(value,)]:
        wrong.append(f"--resolve has no effect: {node.sql('SELECT name FROM goods WHERE id=1')} instead of {value}")
    return wrong


def look(stage: Stage, failure: str) -> list[str]:
    """Verbs that only look change nothing."""
    if stage.round == 0:
        stage.work()
    verbs = (("--status",), ("--status", "--json"), ("--conflicts",), ("--explain", "goods", "1"), ("--check",),
             ("--parked",))
    stage.round += 1
    return stage.run(stage.anna, failure, *verbs[stage.round % len(verbs)])


def install(stage: Stage, failure: str) -> list[str]:
    """Triggers that went away are put back."""
    for (name,) in stage.anna.sql("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=DATABASE()"
                                  " AND EVENT_OBJECT_TABLE IN ('goods', 'fussy')"):
        stage.anna.sql(f"DROP TRIGGER `{name}`")
    wrong = stage.run(stage.anna, failure, "--install") + _app_goes_on(stage.anna)
    stage.anna.install()
    stage.work()
    return wrong + stage.mend()


def first(stage: Stage, failure: str) -> list[str]:
    """The first --install of a laptop; nothing stands in the way of the second."""
    wrong = stage.run(stage.lone, failure, "--install") + _app_goes_on(stage.lone)
    stage.lone.install()
    before = hand.captured(stage.lone)
    _app_goes_on(stage.lone)
    if hand.captured(stage.lone) == before:
        wrong.append("nothing is captured after an undisturbed --install")
    stage.lone.agent("--uninstall", check=0)
    return wrong


def uninstall(stage: Stage, failure: str) -> list[str]:
    """What is left of an --uninstall goes with the next one."""
    stage.lone.install()
    wrong = stage.run(stage.lone, failure, "--uninstall") + _app_goes_on(stage.lone)
    stage.lone.agent("--uninstall", check=0)
    left = stage.lone.sql("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=DATABASE()")
    if left or stage.lone.sql("SHOW DATABASES LIKE %s", [stage.lone.sync_database]):
        wrong.append(f"--uninstall leaves something behind: {left}")
    return wrong


SCENES: Mapping[str, Callable[[Stage, str], list[str]]] = {
    scene.__name__: scene for scene in (drain, receive, verify, resolve, look, install, first, uninstall)}
