"""What --json prints fits docs/json.schema.json: every field stands there, with its type, and every verb has a part."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema

from lab import Node, Pair, folders, hand, process, until
from lab.hand import unseen

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCHEMA = json.loads((DOCS / "json.schema.json").read_text(encoding="utf-8"))
NO_JSON = {"serve", "completion"}  # verbs that print nothing of their own, or no result


def _strict(node: Any) -> Any:
    """The schema as it binds the agent: no field that it does not name."""
    if isinstance(node, dict):
        closed = {"additionalProperties": False} if "properties" in node else {}
        return {key: _strict(value) for key, value in node.items()} | closed
    return [_strict(one) for one in node] if isinstance(node, list) else node


STRICT = {"$defs": _strict(SCHEMA["$defs"])}
used: set[str] = set()


def _fits(name: str, text: str) -> Any:
    """The text is one object, and fits that part of the schema."""
    used.add(name)
    found = json.loads(text)
    jsonschema.Draft202012Validator(STRICT | {"$ref": f"#/$defs/{name}"}).validate(found)
    assert text.count("\n") == 1 and text.endswith("\n"), name
    return found


def _says(node: Node, name: str, *words: str, code: int | tuple[int, ...] = 0) -> Any:
    ran = node.agent(*words, "--json", check=code)
    return _fits(name, ran.stdout)


def _parked(node: Node) -> Any:
    return next(one for one in _says(node, "parked", "--parked", code=5)["parked"] if one["record_id"] == "51")


def test_the_page_is_made_of_the_schema_and_every_verb_stands_in_it(fresh_pair: Pair) -> None:
    made = subprocess.run([str(DOCS.parent / "scripts" / "json-doc")], capture_output=True, text=True, check=True).stdout
    assert made == (DOCS / "json.md").read_text(encoding="utf-8"), "scripts/json-doc >docs/json.md"
    verbs = re.findall(r"^  --([a-z]+)", fresh_pair.anna.agent("--help", check=0).stdout.split("Options")[0].split("options:")[0], re.MULTILINE)
    known = " ".join(part["description"] for part in SCHEMA["$defs"].values())
    options = {"config", "json", "quiet", "verbose", "peer", "table", "force", "keep", "repair", "from", "url", "assets", "help", "version"}
    missing = [verb for verb in verbs if verb not in NO_JSON | options and f"`agent --{verb}" not in known]
    assert len(verbs) > 15 and not missing, missing


def _life(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.nodes
    for node in fresh_pair.nodes:
        node.change_conf({"sync": {"max_attempts": "1"}, "table judged": {"conflict": "manual"}})
    hand.everywhere(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20) UNIQUE, b BLOB)", "CREATE TABLE keyless (v INT)",
                    "CREATE TABLE judged (id INT PRIMARY KEY, v INT)", "CREATE TABLE app (id INT PRIMARY KEY)", "CREATE TABLE numbered (id INT AUTO_INCREMENT PRIMARY KEY)",
                    "CREATE TRIGGER own BEFORE INSERT ON app FOR EACH ROW SET @seen = 1", "INSERT INTO t VALUES (1, 'one', NULL), (2, 'two', x'00ff')", "INSERT INTO judged VALUES (1, 1)")
    _says(anna, "check", "--check", code=(0, 1, 4))
    assert _says(anna, "install", "--install", "--dry-run", code=5)["not_replicated"]
    installed = _says(anna, "install", "--install", "--admin-user", "root", code=5)
    assert installed["given"] and installed["triggers_set"] > 0
    bert.agent("--install", check=5)
    _says(anna, "status", "--status", code=(0, 5))
    # Both change the same rows; a person decides one. One record is refused and parked.
    for node in fresh_pair.nodes:
        node.sql("UPDATE t SET b = %s WHERE id = 1", [node.name])
        node.sql("UPDATE judged SET v = %s WHERE id = 1", [10 if node is anna else 20])
    unseen(bert, "INSERT INTO t VALUES (50, 'taken', NULL)")
    anna.sql("INSERT INTO t VALUES (51, 'taken', NULL)")
    _says(anna, "drain", "--drain", code=4)
    bert.start_serve()
    planned = _says(anna, "drain_dry_run", "--drain", "--dry-run", code=5)["peers"][0]
    assert planned["findings"] and planned["list"] and planned["judged"] == 3
    _says(anna, "drain", "--drain", code=5)
    until(lambda: bert.drain().returncode in (0, 4, 5) and _says(bert, "conflicts", "--conflicts", code=(0, 5))["conflicts"], 60, "a conflict is kept")
    status = _says(anna, "status", "--status", code=5)
    assert status["parked"] and status["app_triggers"] and status["activity"] and status["peers"][0]["parked"] > 0
    parked = _parked(anna)
    assert "error" not in _says(anna, "check", "--check", code=(0, 1))["findings"][0]
    life = _says(anna, "explain", "--explain", "t", "51")
    assert life["peers"][0]["owed"] == "parked" and life["changes"]
    assert _says(anna, "retry", "--retry", str(parked["id"]))["retried"] == 1
    anna.drain(check=5)
    parked = _parked(anna)
    assert _says(anna, "discard", "--discard", str(parked["id"]))["discarded"] == 1
    _says(anna, "wait", "--wait", "0", code=(0, 4, 5))
    conflicts = _says(bert, "conflicts", "--conflicts", code=5)["conflicts"]
    assert any(c["local"]["row"] for c in conflicts) and any(c["undecided"] for c in conflicts)
    decided = [c["id"] for c in conflicts if not c["undecided"]]
    assert _says(bert, "resolve", "--resolve", str(decided[0]), "--keep", "local")["resolved"] == decided[0]
    assert _says(bert, "resolve_all", "--resolve", "all", "--keep", "local")["decided"] > 0
    # A comparison that finds something, and a table that moved.
    unseen(anna, "UPDATE t SET v = 'other' WHERE id = 2")
    found = _says(anna, "verify", "--verify", code=5)["peers"][0]["tables"]
    assert any(table["different"] and table["keys"]["different"] and table["columns"] for table in found)
    anna.sql("RENAME TABLE t TO aside")
    anna.drain(check=(0, 1, 5))
    assert any(moved["table"] == "t" for moved in _says(anna, "status", "--status", code=5)["peers"][0]["moved_tables"])
    anna.sql("RENAME TABLE aside TO t")
    begun = bert.logs().count(" up: node bert")
    _says(bert, "reload", "--reload")
    until(lambda: bert.logs().count(" up: node bert") > begun, 60, "his daemon has begun anew")
    bert.wait_serve_ready()
    _says(anna, "startup_dry_run", "--startup", "--dry-run", code=(0, 5))
    assert _says(anna, "trees", "--trees") == {"trees": []}
    assert _says(anna, "startup", "--startup", code=(0, 5))["peer"] == "bert"
    assert _says(anna, "uninstall_dry_run", "--uninstall", "--dry-run")["triggers"] > 0
    assert _says(anna, "uninstall", "--uninstall")["triggers_removed"] > 0
    _snapshots(anna)


def _snapshots(node: Node) -> None:
    """An upload folder that --install has set up, backed up and brought back; one file is spoilt, one is being written."""
    root = node.folder / "uploads"
    for folder in ("", ".sync", ".sync/trash", ".sync/conflict", ".sync/tmp"):
        (root / folder).mkdir(mode=0o700)
    (root / ".sync" / "tree").write_text("tandem tree 1\nid 00112233445566778899aabbccddeeff\ngeneration 1\n", encoding="ascii")
    (root / "photo.jpg").write_text("pixels", encoding="ascii")
    node.change_conf({"tree uploads": {"path": str(root), "mode": "mirror", "source": node.name}})
    name = _says(node, "backup", "--backup", "uploads")["snapshot"]
    with (root / "photo.jpg").open("a", encoding="ascii"):
        assert _says(node, "backup", "--backup", "uploads", code=5)["paths"]
    assert name in _says(node, "restore_list", "--restore", "uploads")["snapshots"]
    (root / "photo.jpg").unlink()
    assert _says(node, "restore", "--restore", "uploads", name)["new"] == 1


def test_what_is_said_of_upload_folders_fits(fresh_pair: Pair) -> None:
    here, _ = folders.join(fresh_pair, {"mode": "two-way"})
    anna = fresh_pair.anna
    fresh_pair.install()
    folders.put(here, "photo.jpg", "pixels")
    assert _says(anna, "order", "--push", "uploads", "--dry-run")["changes"] == [{"letters": "<f+++++++++", "path": "photo.jpg"}]
    assert _says(anna, "order", "--pull", "uploads", "--dry-run")["direction"] == "pull"
    (tree,) = _says(anna, "trees", "--trees")["trees"]
    assert tree["mode"] == "two-way" and not tree["looked"]


def _pairing(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.nodes
    for node, peer in ((anna, "bert"), (bert, "anna")):
        node.conf.pop(f"peer {peer}")
        node.change_conf({"node": {"tls": "on"}})
        node.install()
    with subprocess.Popen(anna.command("--pair", "--json"), stdout=subprocess.PIPE, text=True, cwd=anna.folder, preexec_fn=process.dies_with_parent()) as waiting:
        assert waiting.stdout
        line = _fits("pair_line", waiting.stdout.readline())["line"]
        assert _says(bert, "pair", "--pair", line)["paired"] == "anna"
        assert _fits("pair", waiting.stdout.read())["paired"] == "bert"
    fresh_pair.start_serve()
    assert _says(bert, "rotate", "--rotate", "anna")["rotated"] == "anna"
    assert _says(bert, "unpair", "--unpair", "anna")["unpaired"] == "anna"
    path = anna.folder / "first.conf"
    ran = subprocess.run([*anna.command("--init", "--json")[:1], "--init", "--json", "--config", str(path)], capture_output=True, text=True, check=True, env={**os.environ})
    assert _fits("init", ran.stdout)["config"] == str(path)


def test_what_every_verb_prints_fits_the_schema(fresh_pair: Pair) -> None:
    _life(fresh_pair)
    fresh_pair.stop_serve()
    fresh_pair.renew()
    _pairing(fresh_pair)
    elsewhere = {"order"}  # of upload folders: the test of those, which may run in another process
    parts = {name for name, part in SCHEMA["$defs"].items() if part["description"].startswith("`agent --")} - elsewhere
    assert used >= parts, f"not seen: {sorted(parts - used)}"
