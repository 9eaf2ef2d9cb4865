"""What bash, zsh and fish complete after agent: the shells themselves are asked."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import places

CONFIG = "[node]\nname = anna\n[peer bert]\nurl = http://127.0.0.1:1\n[peer carla]\n[peer $(id)]\n[tree uploads]\n"

Complete = Callable[..., list[str]]

# Each prints the words offered for the last of its arguments; the script is $1, the line the rest.
BASH = """. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _agent; printf '%s\\n' "${COMPREPLY[@]}" """
ZSH = """compdef() { :; }; _describe() { print -l -- ${${(P)2}%%:*}; }; _files() { print -l -- *; }
compadd() { [ "$1" = -- ] && shift; print -l -- "$@"; }
. "$1"; shift; words=("$@"); CURRENT=$#; _agent"""
FISH = 'source $argv[1]; complete -C "$argv[2..]"'


@pytest.fixture(params=["bash", "zsh", "fish"])
def complete(request: pytest.FixtureRequest, tmp_path: Path) -> Complete:
    """Asks a shell, in a folder with an agent.conf."""
    (tmp_path / "agent.conf").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "other.conf").write_text("[peer dora]\n", encoding="utf-8")
    shell = request.param
    script = tmp_path / "script"
    script.write_text(_run([str(places.agent_binary()), "--completion", shell], tmp_path), encoding="utf-8")
    command = {"bash": ["bash", "--norc", "-c", BASH, "-"], "zsh": ["zsh", "-f", "-c", ZSH, "-"],
               "fish": ["fish", "--no-config", "-c", FISH]}[shell]

    def ask(*line: str) -> list[str]:
        words = _run([*command, str(script), "agent", *line], tmp_path).splitlines()
        # fish and bash filter by what is typed; zsh leaves that to its own machinery.
        return [word.split("\t")[0] for word in words if word.startswith(line[-1])]
    return ask


def _run(command: list[str], folder: Path) -> str:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), "TERM": "dumb"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1) and done.stderr == "", done.stderr
    return done.stdout


def test_every_verb_of_help_is_offered_first(complete: Complete, tmp_path: Path) -> None:
    text = _run([str(places.agent_binary()), "--help"], tmp_path)
    verbs = re.findall(r"^  (--[a-z-]+)", text.partition("Options")[0], re.MULTILINE)
    assert len(verbs) > 15
    assert set(verbs) <= set(complete("--"))


def test_after_a_verb_its_options_are_offered_and_no_others(complete: Complete) -> None:
    offered = complete("--drain", "--")
    assert {"--dry-run", "--allow-deletes", "--peer", "--json"} <= set(offered)
    assert not {"--keep", "--status", "--drain", "--table"} & set(offered)
    assert complete("--resolve", "--ke") == ["--keep"]


def test_arguments_that_can_be_known_are_offered(complete: Complete) -> None:
    assert complete("--drain", "--peer", "b") == ["bert"]
    assert complete("--config", "other.conf", "--unpair", "d") == ["dora"]
    assert set(complete("--resolve", "--keep", "")) == {"local", "remote", "both"}
    assert [complete(verb, "u") for verb in ("--push", "--pull", "--backup", "--restore")] == [["uploads"]] * 4
    assert complete("--status", "--color", "al") == ["always"]
    assert "other.conf" in complete("--config", "oth")
    assert complete("--completion", "f") == ["fish"]


def test_another_shell_is_refused_with_the_three() -> None:
    done = subprocess.run([str(places.agent_binary()), "--completion", "csh"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == 'agent: no completion for "csh"; write agent --completion bash, zsh or fish\n'
