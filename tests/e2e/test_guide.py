"""docs/quickstart.md, guide.md and faq.md: each command in them, as it is written there, on two laptops that have
nothing but a server and a shop; and what the docs name is there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import places, until
from lab.blank import SETUP, Blank, Talk, shell

pytestmark = pytest.mark.slow

DOCS = Path(__file__).resolve().parents[2] / "docs"
SHOP = ("CREATE TABLE article (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40))",
        "CREATE TABLE sale (id INT AUTO_INCREMENT PRIMARY KEY, article INT, FOREIGN KEY (article) REFERENCES article (id))",
        "INSERT INTO article SELECT seq, CONCAT('article ', seq) FROM seq_1_to_200", "INSERT INTO sale SELECT seq, seq FROM seq_1_to_100")
LINE = re.compile(r"^tandem\S+,\S+$", re.MULTILINE)
COMMAND = re.compile(r"^(anna|ben)\$ (.*)$", re.MULTILINE)


class Reader:
    """Somebody who types what the docs say, on two laptops."""

    def __init__(self, anna: Blank, ben: Blank) -> None:
        self.laptops = {"anna": anna, "ben": ben}
        self.line = ""
        self.waits: Talk | None = None  # Anna's, until Ben has taken her line
        self.typed: list[str] = []

    def type(self, who: str, command: str) -> str:
        """One command line; it must end well. One that waits for the other laptop is left to wait."""
        on = self.laptops[who]
        self.typed.append(f"{who}$ {command}")
        if "tandem-setup" in command:
            on.answer_file(on.answers(database="shop") | ({"create_database": "yes", "peer": self.line} if self.line else {}))
        talk = shell(on, command.replace("LINE", self.line))
        if ("tandem-setup" in command or "--pair" in command) and self.waits is None:
            talk.until("Waiting ...")
            self.line = LINE.findall(talk.said)[-1]
            self.waits = talk
            return talk.said
        others = [self.waits] if self.waits else []
        said = talk.end(0, *others)
        if self.waits and "LINE" in command or "tandem-setup" in command:
            assert self.waits
            self.waits.end()
            self.waits, self.line = None, ""
        for one in self.laptops.values():
            one.attend()
        return said

    def follow(self, text: str) -> list[str]:
        """Every command of a text, in its order; what each said."""
        found = COMMAND.findall(text)
        assert found, text[:200]
        return [self.type(who, command) for who, command in found]


def _section(text: str, title: str) -> str:
    return text.split(f"## {title}", 1)[1].split("\n## ", 1)[0]


def _equal(reader: Reader) -> None:
    anna, ben = reader.laptops.values()
    for table in ("article", "sale"):
        until(lambda: anna.sql(f"SELECT * FROM {table} ORDER BY id") == ben.sql(f"SELECT * FROM {table} ORDER BY id"),  # pylint: disable=cell-var-from-loop
              60, f"both have the same {table}")


@pytest.fixture
def reader() -> Iterator[Reader]:
    """Two laptops, Anna's with the shop."""
    anna, ben = Blank("anna"), Blank("ben")
    for one in (anna, ben):
        one.command("tandem-setup", f'exec {SETUP} --answers "$BLANK/answers" "$@"\n')
    anna.sql("CREATE DATABASE shop", None)
    for statement in SHOP:
        anna.sql(statement)
    yield Reader(anna, ben)
    for one in (anna, ben):
        one.end_daemon()
        one.close()


def test_the_quickstart_brings_two_laptops_into_step(reader: Reader) -> None:
    text = (DOCS / "quickstart.md").read_text(encoding="utf-8")
    look = text.index("ben$ sudo mariadb")
    assert "In step" in reader.follow(text[:look])[3]
    _equal(reader)
    said = reader.follow(text[look:])
    assert said[0].split() == ["name", "tandem"]  # what Anna wrote is at Ben's
    assert "in step" in said[1]


def _fill_in(on: Blank, text: str) -> None:
    """The guide's lines in the file that --init has made; names, places and passwords are this laptop's."""
    password = re.search(r"IDENTIFIED BY '(.*?)'", [line for line in text.splitlines() if line.startswith(f"{on.name}$ sudo mariadb -e \"CREATE USER")][0])
    lines = re.search(r"```ini\n(.*?)```", text, re.DOTALL)
    assert password and lines
    conf = on.conf_path.read_text(encoding="utf-8")
    section = ""
    for line in lines.group(1).splitlines():
        if line.startswith("["):
            section = line
            continue
        option = line.split(" = ")[0]
        own = {"[node]name": on.name, "[node]listen": f"127.0.0.1:{on.listen_port}", "[database]password": password.group(1)}
        value = own.get(section + option, line.split(" = ")[1])
        head, tail = conf.split(f"\n{section}\n", 1)
        changed = re.sub(rf"^(; )?{option} = .*$|^; {option} =$", f"{option} = {value}", tail, count=1, flags=re.MULTILINE)
        assert changed != tail or f"\n{option} = {value}\n" in tail, option
        conf = f"{head}\n{section}\n{changed}"
    for option, value in (("state_dir", on.folder / "state"), ("monitor", f"127.0.0.1:{on.monitor_port}"), ("socket", on.server.socket)):
        conf = re.sub(rf"^; {option} =.*$", f"{option} = {value}", conf, count=1, flags=re.MULTILINE)
    on.conf_path.write_text(conf, encoding="utf-8")


def test_the_guide_leads_from_the_database_to_a_restored_backup(reader: Reader) -> None:
    text = (DOCS / "guide.md").read_text(encoding="utf-8")
    anna, ben = reader.laptops.values()
    for one in (anna, ben):
        (one.folder / "units" / "tandem.service").write_text(f"ExecStart={places.agent_binary()} --serve --config {one.conf_path}\n")
    reader.follow(_section(text, "1. The database"))
    install = _section(text, "2. Install")
    begins = install.index("anna$ agent --check")
    reader.follow(install[:begins])
    for one in (anna, ben):
        _fill_in(one, text)
    reader.follow(install[begins:])
    reader.follow(_section(text, "3. Peers"))
    reader.follow(_section(text, "4. Schedule"))
    assert "systemctl enable --now tandem-drain.timer" in anna.asked()
    cron = re.search(r"^\* \* \* \* \* (agent .*)$", text, re.MULTILINE)
    assert cron and reader.type("anna", cron.group(1).replace("/etc/tandem/agent.conf", str(anna.conf_path))) == ""
    _equal(reader)
    reader.follow(_section(text, "5. Firewall and networks"))
    assert "ufw allow 8440/tcp" in anna.asked()
    said = reader.follow(_section(text, "6. Monitor"))
    assert "in step" in said[0] and "record 1" in said[3]
    backup = _section(text, "7. Backup and restore")
    begins = backup.index("anna$ sudo systemctl stop")
    reader.follow(backup[:begins])
    assert (anna.folder / "backup.sql").stat().st_size > 1000
    # Life goes on after the backup, on both; then Anna's is restored.
    anna.sql("INSERT INTO article VALUES (1001, 'after the backup')")
    ben.sql("INSERT INTO article VALUES (1002, 'after the backup')")
    ben.sql("UPDATE article SET name = 'changed' WHERE id = 7")
    _equal(reader)
    reader.follow(backup[begins:])
    _equal(reader)
    assert anna.sql("SELECT COUNT(*) FROM article WHERE id > 1000 OR name = 'changed'") == [(3,)]
    reader.follow((DOCS / "faq.md").read_text(encoding="utf-8"))
    assert anna.daemon is None
    assert anna.sql("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='shop'") == [(0,)]


def test_verbs_and_options_that_the_docs_name_exist() -> None:
    helped = subprocess.run([str(places.agent_binary()), "--help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"--([a-z-]+)", helped))
    for path in [*DOCS.glob("*.md"), DOCS.parent / "README.md", DOCS.parent / "SECURITY.md"]:
        for call in re.findall(r"`(?:sudo (?:-u \w+ )?)?agent (--[^`]*)`", path.read_text(encoding="utf-8")):
            for word in re.findall(r"--([a-z-]+)", call):
                assert word in known, f"{path.name} names agent --{word}: {call}"
