"""A laptop on which nothing is set up yet: a private server, a folder for everything that is written, and
commands of a Debian laptop that lead there instead (sudo, mariadb, systemctl, crontab, apt ...).

What would go on running (a service, a daemon beside cron) is noted by these commands in the file `wanted`
and started by attend(), so that it never outlives the tests."""

from __future__ import annotations

import os
import pty
import pwd
import re
import select
import shlex
import signal
import subprocess
import time
from pathlib import Path

from lab import places, ports, process
from lab.manager import Manager
from lab.server import Row, Server, find_program
from lab.waiting import until

REPOSITORY = Path(__file__).resolve().parents[2]
SETUP = REPOSITORY / "scripts" / "setup"
ANSWER_TIMEOUT = 60

# Each is a shell script below a line that sets $BLANK, the laptop's folder.
COMMANDS = {
    "sudo": 'if [ "$1" = -u ]; then shift 2; fi\nexec "$@"\n',
    "apt": 'echo "apt $*" >>"$BLANK/asked"\n',
    "ufw": 'echo "ufw $*" >>"$BLANK/asked"\n',
    "journalctl": 'cat "$BLANK/daemon.log"\n',
    "crontab": 'if [ "$1" = -u ]; then shift 2; fi\n'
               'case $1 in -l) cat "$BLANK/crontab" ;; -) cat >"$BLANK/crontab" ;; *) exit 2 ;; esac\n',
    "setsid": 'printf "%s" "$3" >"$BLANK/wanted.new"; mv "$BLANK/wanted.new" "$BLANK/wanted"\n',
    "systemctl": 'echo "systemctl $*" >>"$BLANK/asked"\nas=\nuser=$(sed -n s/^User=//p "$BLANK/units/tandem.service" 2>/dev/null)\n'
                 '[ -z "$user" ] || [ "$user" = "$(id -un)" ] || as="setpriv --reuid=$user --clear-groups --regid=$(id -g "$user") --pdeathsig KILL "\n'
                 'case "$*" in\n'
                 '"enable --now tandem.service"|"start tandem") sed -n "s/^ExecStart=/exec $as/p" "$BLANK/units/tandem.service"'
                 ' >"$BLANK/wanted.new" ;;\n'
                 '"disable --now tandem.service"|"stop tandem") echo stop >"$BLANK/wanted.new" ;;\n'
                 '*) exit 0 ;;\nesac\n'
                 'mv "$BLANK/wanted.new" "$BLANK/wanted"\n'
                 # As the real one with a unit of Type=notify: it returns when the daemon is ready, or ended.
                 'while [ -e "$BLANK/wanted" ]; do sleep 0.02; done\n[ ! -e "$BLANK/failed" ]\n',
}


class Blank:
    """One such laptop; close() ends and removes everything."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.server = Server(name)
        self.server.start()
        self.folder = self.server.folder
        self.conf_path = self.folder / "agent.conf"
        self.listen_port, self.monitor_port = ports.take(), ports.take()
        self.daemon: subprocess.Popen[bytes] | None = None
        for made in ("bin", "home", "units", "state"):
            (self.folder / made).mkdir(mode=0o700)
        for command, text in COMMANDS.items():
            self.command(command, text)
        for client in ("mariadb", "mariadb-dump"):
            self.command(client, self._client(client))
        self.command("agent", f'case " $* " in *" --config "*) exec {places.agent_binary()} "$@" ;; esac\n'
                              f'exec {places.agent_binary()} --config {self.conf_path} "$@"\n')
        self.env = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}:/usr/sbin",
                    "HOME": str(self.folder / "home"), "TANDEM_AGENT": str(places.agent_binary())}
        self.env.pop("XDG_CONFIG_HOME", None)

    def _client(self, name: str) -> str:
        """The client as root of this server; --defaults-file and its like say it themselves."""
        real = find_program(name)
        return (f'case "$1" in --defaults*) exec {real} "$@" ;; esac\n'
                f'exec {real} --no-defaults --socket={self.server.socket} --user=root "$@"\n')

    def command(self, name: str, text: str) -> None:
        """A command of this laptop: a shell script."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\nBLANK={self.folder}\n{text}")
        path.chmod(0o755)

    def close(self) -> None:
        """End daemon and server, remove the folder."""
        self.end_daemon(signal.SIGKILL)
        self.server.close()
        ports.give_back(self.listen_port)
        ports.give_back(self.monitor_port)

    # the daemon that the laptop's own commands asked for -------------------------------------------------

    def attend(self) -> None:
        """Start or stop what systemctl or setup's line for cron has asked for."""
        wanted = self.folder / "wanted"
        if not wanted.exists():
            return
        # flock would stand between us and the daemon, which has to end with us.
        text, by_cron = re.subn(r"^exec flock -n '[^']*' ", "exec ", wanted.read_text())
        self.end_daemon()
        (self.folder / "failed").unlink(missing_ok=True)
        if by_cron:
            self.daemon = self._start_daemon(text, {})
        elif text.strip() != "stop" and not self._start_service(text):
            (self.folder / "failed").touch()
        wanted.unlink()

    def _start_daemon(self, text: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
        return process.start(["sh", "-c", text], self.folder / "daemon.log", self.env | env, self.folder)

    def _start_service(self, text: str) -> bool:
        """As a unit of Type=notify: until it says that it is ready; False when it ends instead."""
        manager = Manager(f"@tandem-lab-ready-{self.monitor_port}")
        daemon = self.daemon = self._start_daemon(text, {"NOTIFY_SOCKET": manager.name})
        until(lambda: "READY=1" in manager.listen() or daemon.poll() is not None, ANSWER_TIMEOUT, f"{self.name}: the daemon is ready")
        manager.close()
        return daemon.poll() is None

    def end_daemon(self, how: int = signal.SIGTERM) -> None:
        """An orderly end, unless told otherwise."""
        if self.daemon is not None:
            code = process.end(self.daemon, how)
            assert how == signal.SIGKILL or code == 0, f"{self.name}: the daemon ended with {code}\n{self.log()}"
            self.daemon = None

    def log(self) -> str:
        """What the daemon said."""
        path = self.folder / "daemon.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def asked(self) -> str:
        """What apt, ufw and systemctl were asked for."""
        path = self.folder / "asked"
        return path.read_text() if path.exists() else ""

    # use ---------------------------------------------------------------------------------------------------

    def sql(self, text: str, db: str | None = "shop") -> list[Row]:
        """A statement of the app; the rows of its result."""
        return self.server.sql(text, db=db)

    def agent(self, *args: str, check: int | None = None) -> subprocess.CompletedProcess[str]:
        """The agent with the file that setup has written."""
        ran = subprocess.run(process.bound([str(places.agent_binary()), "--config", str(self.conf_path), *args]), env=self.env, text=True,
                             capture_output=True, check=False, timeout=ANSWER_TIMEOUT, stdin=subprocess.DEVNULL)
        assert check is None or ran.returncode == check, f"{self.name}: {args} ended with {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran

    def answers(self, **others: str) -> dict[str, str]:
        """What leads a setup to this laptop's own places, and more."""
        me = pwd.getpwuid(os.getuid()).pw_name
        return {"name": self.name, "user": me, "config": str(self.conf_path), "state_dir": str(self.folder / "state"),
                "server": str(self.server.socket), "listen": f"127.0.0.1:{self.listen_port}",
                "monitor": f"127.0.0.1:{self.monitor_port}", "units": str(self.folder / "units"),
                "server_conf": str(self.folder / "60-tandem.cnf"), "mechanism": "systemd"} | others

    def answer_file(self, answers: dict[str, str]) -> Path:
        """The answers as a file for --answers."""
        path = self.folder / "answers"
        path.touch(mode=0o600)
        path.write_text("# answers of the tests\n" + "".join(f"{name}={value}\n" for name, value in answers.items()))
        return path


class Talk:
    """A program at a terminal, or without one: what it says so far, and what is typed."""

    def __init__(self, on: Blank, command: list[str], terminal: bool) -> None:
        self.on = on
        self.said = ""
        self.read_to = 0
        self.terminal = terminal
        self.master, slave = pty.openpty() if terminal else os.pipe()
        given = slave if terminal else subprocess.DEVNULL
        self.child = subprocess.Popen(command, stdin=given, stdout=slave, stderr=slave, env=on.env, cwd=on.folder,
                                      preexec_fn=process.dies_with_parent(), start_new_session=True)
        os.close(slave)

    def listen(self, seconds: float = 0.02) -> bool:
        """Take up what was said, and what the laptop wants; False at its end."""
        self.on.attend()
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            heard = os.read(self.master, 65536)
        except OSError:  # a terminal whose other end is closed
            heard = b""
        self.said += heard.decode(errors="replace").replace("\r\n", "\n")
        return heard != b""

    def until(self, text: str) -> str:
        """Wait until it says so, behind what was waited for before; the line."""
        def heard() -> bool:
            going = self.listen()
            if text in self.said[self.read_to:]:
                return True
            assert going, f"{self.on.name}: ended without saying \"{text}\":\n{self.said}"
            return False
        until(heard, ANSWER_TIMEOUT, f"{self.on.name} says \"{text}\"; so far:\n{self.said}")
        at = self.said.index(text, self.read_to)
        self.read_to = at + len(text)
        return self.said[self.said.rfind("\n", 0, at) + 1:].split("\n", 1)[0]

    def answer(self, question: str, text: str) -> None:
        """Wait for the question, type the answer."""
        self.until(question)
        os.write(self.master, text.encode() + b"\n")

    def interrupt(self) -> None:
        """Ctrl-C, again while it goes on: bash loses one that comes while it reads a $(...)."""
        def ended() -> bool:
            if self.child.poll() is None:
                os.killpg(self.child.pid, signal.SIGINT)
            return not self.listen(0.5)
        until(ended, ANSWER_TIMEOUT, f"{self.on.name} ends at Ctrl-C")

    def end(self, code: int | None = 0, *others: Talk) -> str:
        """Wait for its end; what it has said. others are listened to meanwhile."""
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while self.listen():
            for other in others:
                other.listen(0)
            assert time.monotonic() < deadline, f"{self.on.name} still runs:\n{self.said}"
        os.close(self.master)
        ended = self.child.wait(ANSWER_TIMEOUT)
        assert code is None or ended == code, f"{self.on.name}: ended with {ended}:\n{self.said}"
        return self.said


def begin(on: Blank, answers: dict[str, str] | None = None, terminal: bool = False, *words: str) -> Talk:
    """scripts/setup on that laptop."""
    given = ["--answers", str(on.answer_file(answers))] if answers is not None else []
    return Talk(on, [str(SETUP), *given, *words], terminal)


def shell(on: Blank, line: str, terminal: bool = False) -> Talk:
    """A command line as a person types it on that laptop."""
    return Talk(on, ["bash", "-c", line], terminal)


def quoted(words: list[str]) -> str:
    """A command as a line."""
    return " ".join(shlex.quote(word) for word in words)
