"""The agent's account with exactly the rights that docs/security.md names, and an account with more."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Node, Pair, until
from lab.hand import unseen
from lab.node import ACCOUNT

_DOCS = Path(__file__).resolve().parents[2] / "docs" / "security.md"
_WHO = f"'{ACCOUNT}'@'localhost'"


def _documented() -> list[str]:
    """The GRANTs of docs/security.md, for the lab's names."""
    text = _DOCS.read_text(encoding="utf-8")
    grants = re.findall(r"^GRANT .*;$", text, re.MULTILINE)
    assert len(grants) == 3, grants
    return [grant.rstrip(";").replace("`shop`", "`app`").replace(r"`shop\_sync`", r"`app\_sync`")
            .replace("tandem@localhost", _WHO) for grant in grants]


def _limit(node: Node) -> None:
    node.server.sql(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {_WHO}")
    for grant in _documented():
        node.server.sql(grant)


@pytest.fixture
def two() -> Iterator[Pair]:
    with Pair() as pair:
        for node in pair.nodes:
            _limit(node)
        yield pair


def test_the_documented_rights_are_enough_for_a_whole_life(two: Pair) -> None:
    anna, bert = two.nodes
    two.install()
    two.start_serve()
    # both ways, foreign keys with their actions included
    for node in two.nodes:
        node.sql("CREATE TABLE parent (id INT PRIMARY KEY, v VARCHAR(20))")
        node.sql("CREATE TABLE child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parent (id)"
                 " ON DELETE CASCADE ON UPDATE CASCADE)")
        node.install()
    anna.sql("INSERT INTO parent VALUES (1, 'a'), (2, 'b')")
    bert_sees = lambda text: until(lambda: bert.sql(text), 60, text)  # noqa: E731
    bert_sees("SELECT 1 FROM parent WHERE id=2")
    bert.sql("INSERT INTO child VALUES (1, 1), (2, 2)")
    until(lambda: anna.sql("SELECT 1 FROM child WHERE id=2"), 60, "the child arrives")
    anna.sql("DELETE FROM parent WHERE id=1")
    anna.sql("UPDATE parent SET id=3 WHERE id=2")
    bert_sees("SELECT 1 FROM child WHERE parent=3")
    two.wait_quiet()
    two.assert_equal()
    # a conflict, a difference that no trigger saw, a table that moved
    two.stop_serve()
    anna.sql("UPDATE parent SET v='anna'")
    bert.sql("UPDATE parent SET v='bert'")
    two.settle(codes=(0, 5))
    unseen(anna, "UPDATE parent SET v='unseen'")
    two.start_serve()
    anna.agent("--verify", "--repair", "--from", "anna", check={0, 5})
    anna.sql("TRUNCATE child")
    two.wait_quiet()
    anna.agent("--check", check={0, 1})
    anna.agent("--conflicts", check={0, 5})
    two.stop_serve()
    for node in two.nodes:
        node.agent("--uninstall", check=0)
        assert node.sql("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_NAME LIKE 'tandem%'") == [(0,)]


def test_rights_that_are_not_needed_are_named(two: Pair) -> None:
    anna = two.anna
    assert "does not need" not in anna.agent("--check").stdout
    anna.server.sql(f"GRANT FILE, SUPER ON *.* TO {_WHO}")
    assert re.search(r"^warning .*does not need: FILE, SUPER: ", anna.agent("--check").stdout, re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_the_unit_leaves_the_agent_next_to_nothing() -> None:
    unit = Path(__file__).resolve().parents[2] / "scripts" / "tandem.service"
    ran = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", str(unit)],
                         capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout[-300:] + ran.stderr
