"""The examples in scripts/ for cron, systemd and git do what they say."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from lab import Pair, folders, places, until
from lab.folders import look, put
from lab.node import Node

_SCRIPTS = places.REPOSITORY / "scripts"
_MIRROR = {"mode": "mirror", "source": "anna"}


def _environment(node: Node) -> dict[str, str]:
    """A PATH on which agent is the one that is tested."""
    commands = node.folder / "bin"
    commands.mkdir(exist_ok=True)
    (commands / "agent").unlink(missing_ok=True)
    (commands / "agent").symlink_to(places.agent_binary())
    return {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"}


def _here(node: Node, command: str) -> str:
    """The command with this node's paths instead of those that a person puts in."""
    return command.replace("/var/lib/tandem/agent.conf", str(node.conf_path)).replace("/var/lib/tandem/", f"{node.folder}/").replace("/usr/local/sbin/agent", "agent")


def _cron_lines() -> list[tuple[str, str, str]]:
    """Time, account and command of each line, as cron reads /etc/cron.d."""
    lines = (_SCRIPTS / "tandem.cron").read_text(encoding="utf-8").splitlines()
    jobs = [line for line in lines if line and not line.startswith("#") and not re.match(r"\w+\s*=", line)]
    return [(" ".join(job.split(None, 5)[:5]), job.split(None, 6)[5], job.split(None, 6)[6]) for job in jobs]


def _units() -> list[Path]:
    return sorted(_SCRIPTS.glob("tandem-*.service"))


def test_cron_sends_files_and_takes_snapshots(fresh_pair: Pair, tmp_path: Path) -> None:
    here, there = folders.join(fresh_pair, {**_MIRROR, "backup_to": str(tmp_path)})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    jobs = _cron_lines()
    assert [job[:2] for job in jobs] == [("* * * * *", "tandem"), ("30 3 * * *", "tandem")]
    assert not any("%" in command for _, _, command in jobs)  # cron would read it as a new line

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["/bin/sh", "-c", _here(anna, command)], env=_environment(anna), text=True, capture_output=True, timeout=60, check=False)

    put(here, "a.jpg", "a photo")
    away = run(jobs[0][2])  # bert is away: no mail
    assert (away.stdout, away.stderr) == ("", "")
    bert.start_serve()
    until(lambda: not run(jobs[0][2]).stdout and look(there) == {"a.jpg": b"a photo"}, 60, "cron brings the file")
    taken = run(jobs[1][2])
    assert (taken.returncode, taken.stdout, taken.stderr) == (0, "", "")
    (kept,) = tmp_path.rglob("files/a.jpg")
    assert kept.read_text() == "a photo" and (kept.parent.parent / "database.sql").exists()
    anna.conf_path.rename(anna.folder / "gone.conf")  # what is wrong is told
    assert "agent.conf" in run(jobs[0][2]).stdout
    (anna.folder / "gone.conf").rename(anna.conf_path)


@pytest.mark.parametrize("unit", _units(), ids=lambda path: path.stem)
def test_the_units_run_what_they_name(fresh_pair: Pair, unit: Path, tmp_path: Path) -> None:
    here, there = folders.join(fresh_pair, {**_MIRROR, "backup_to": str(tmp_path)})
    fresh_pair.install()
    fresh_pair.bert.start_serve()
    put(here, "a.jpg", "a photo")
    read = configparser.RawConfigParser(strict=False)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read(unit, encoding="utf-8")
    assert unit.with_suffix(".timer").exists() and read["Service"]["Type"] == "oneshot" and read["Service"]["User"] == "tandem"
    command = shlex.split(_here(fresh_pair.anna, read["Service"]["ExecStart"]))
    ran = subprocess.run(command, env=_environment(fresh_pair.anna), text=True, capture_output=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert (ran.stdout, ran.stderr) == ("", "")
    if "--backup" in command:
        assert len(list(tmp_path.rglob("files/a.jpg"))) == 1
    else:
        until(lambda: look(there) == {"a.jpg": b"a photo"}, 60, "the drain brings the file")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_systemd_understands_units_and_timers(tmp_path: Path) -> None:
    for unit in [*_units(), *_SCRIPTS.glob("tandem-*.timer")]:
        text = unit.read_text(encoding="utf-8").replace("/usr/local/sbin/agent", str(places.agent_binary()))
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    ran = subprocess.run(["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))], text=True, capture_output=True, timeout=60, check=False)
    assert not re.search(r"Unknown|Failed to parse|Invalid|not valid", ran.stderr), ran.stderr


def test_a_commit_sends_rows_and_files_and_waits_for_nothing(fresh_pair: Pair, tmp_path: Path) -> None:
    here, there = folders.join(fresh_pair, _MIRROR)
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    environment = {**_environment(anna), "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "anna", "GIT_AUTHOR_EMAIL": "a@example.org",
                   "GIT_COMMITTER_NAME": "anna", "GIT_COMMITTER_EMAIL": "a@example.org"}

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)

    git("init", "-q")
    shutil.copy(_SCRIPTS / "post-commit", tmp_path / ".git/hooks/post-commit")
    git("config", "tandem.config", str(anna.conf_path))
    log = tmp_path / ".git/tandem.log"
    git("commit", "-q", "--allow-empty", "-m", "bert is away")
    until(lambda: log.exists() and "ended with 4" in log.read_text(), 60, "the hook says that bert is away")
    bert.start_serve()
    put(here, "a.jpg", "a photo")
    git("commit", "-q", "--allow-empty", "-m", "a photo")
    until(lambda: look(there) == {"a.jpg": b"a photo"}, 60, "the commit sends the photo")
    until(lambda: "ended with 0" in log.read_text(), 60, "the hook is done")
    git("config", "tandem.agent", str(tmp_path / "no agent"))
    git("commit", "-q", "--allow-empty", "-m", "without an agent")  # a commit never fails because of it
    until(lambda: "ended with 127" in log.read_text(), 60, "the log says why")
