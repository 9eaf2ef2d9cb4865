"""GET /metrics: what it says is true, promtool accepts it, only a key opens it, and the rules that the docs give out
are right: they are checked, and fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pymysql
import pytest

from lab import Pair, hand, places
from lab.node import Node
from lab.waiting import until

PROMTOOL = shutil.which("promtool")
METRICS_KEY = "00112233445566778899aabbccddeeff"
LINE = re.compile(r'^([a-zA-Z_][a-zA-Z0-9_]*)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)$')


def _scrape(node: Node, key: str | None = None) -> dict[str, float]:
    """Every sample, by its name with labels; each line must be of the format, and each name told of once."""
    status, body = node.get("/metrics", key or node.monitor_key)
    assert status == 200
    found: dict[str, float] = {}
    for line in body.decode().splitlines():
        if line.startswith("#"):
            continue
        parts = LINE.match(line)
        assert parts, line
        sample = parts[1] + ("{" + parts[2] + "}" if parts[2] else "")
        assert sample not in found, sample
        found[sample] = float(parts[3])
    return found


def _promtool(*words: str, given: str = "") -> str:
    if PROMTOOL is None:
        pytest.skip("promtool (Debian: prometheus) is not here")
    ran = subprocess.run([PROMTOOL, *words], input=given, text=True, capture_output=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def _block(name: str) -> str:
    text = (places.REPOSITORY / "docs/metrics.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name}: begin -->\n```yaml\n(.*?)```\n<!-- {name}: end -->", text, re.S)
    assert found
    return found[1]


def test_metrics_tell_the_truth_to_whoever_has_a_key(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.anna, fresh_pair.bert
    anna.change_conf({"node": {"metrics_key": METRICS_KEY}})
    hand.everywhere(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))")
    fresh_pair.install()
    link = fresh_pair.wire["anna", "bert"]
    link.set_mode("refuse")
    anna.sql("INSERT INTO t VALUES (1,'a'),(2,'b'),(7,'seven')")
    bert.sql("ALTER TABLE t ADD CHECK (id<>7)")
    fresh_pair.start_serve()

    # Away: pending, failing, nobody has to come.
    until(lambda: _scrape(anna).get('tandem_peer_errors_total{direction="out",peer="bert",code="peer"}', 0) >= 2, 30, "failures are counted")
    said = _scrape(anna, METRICS_KEY)
    assert said['tandem_peer_in_step{peer="bert"}'] == 0
    assert said['tandem_peer_pending_changes{peer="bert"}'] == 3
    assert 0 < said['tandem_peer_oldest_pending_age_seconds{peer="bert"}'] < 300
    assert said['tandem_peer_last_success_timestamp_seconds{peer="bert"}'] == 0
    assert said['tandem_peer_consecutive_failures{peer="bert"}'] >= 1
    assert said["tandem_database_up"] == 1 and said['tandem_peer_held{peer="bert"}'] == 0

    # There: two arrive, one is refused until it is parked.
    link.set_mode("pass")
    parked = 'tandem_peer_owed_records{peer="bert",state="parked"}'
    until(lambda: anna.drain().returncode in (0, 4, 5) and _scrape(anna)[parked] == 1, 60, "it is parked")
    said = _scrape(anna)
    assert said['tandem_peer_records_sent_total{peer="bert"}'] == 2
    now = float(anna.sql("SELECT UNIX_TIMESTAMP(NOW(6))")[0][0])
    assert 0 <= now - said['tandem_peer_last_success_timestamp_seconds{peer="bert"}'] < 300
    theirs = _scrape(bert)
    assert theirs['tandem_peer_records_applied_total{peer="anna"}'] == 2
    assert theirs['tandem_peer_refused_here_records{peer="anna"}'] == 1
    until(lambda: "tandem_queue_bytes" in _scrape(anna), 30, "whole tables are counted")
    said = _scrape(anna)
    assert said["tandem_sync_schema_bytes"] > said["tandem_queue_bytes"] > 0 and said["tandem_state_dir_free_bytes"] > 0
    text = anna.get("/metrics", METRICS_KEY)[1].decode()
    _promtool("check", "metrics", given=text)

    # Its own key opens nothing else, and nothing else opens it.
    assert [anna.get("/metrics", key)[0] for key in (None, "f" * 32, anna.conf["peer bert"]["key"])] == [401] * 3
    assert bert.get("/metrics", METRICS_KEY)[0] == 401  # bert has none
    for path in ("/api/status", "/", "/api/monitor/state", "/monitor.js"):
        assert anna.get(path, METRICS_KEY)[0] == 401, path
    until(lambda: _scrape(anna, METRICS_KEY).get('tandem_http_refused_total{door="page",status="401"}', 0) >= 7, 20, "they are counted")
    for secret in (METRICS_KEY, anna.monitor_key, anna.conf["database"]["password"], anna.conf["peer bert"]["key"], "seven"):
        assert secret not in text


def test_metrics_say_so_when_the_database_is_away(fresh_pair: Pair) -> None:
    anna = fresh_pair.anna
    hand.everywhere(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY)")
    fresh_pair.install()
    anna.start_serve()
    assert _scrape(anna)["tandem_database_up"] == 1
    anna.server.stop()
    try:
        until(lambda: _scrape(anna)["tandem_database_up"] == 0, 30, "it is noticed")
        said = _scrape(anna)
        assert not any(sample.startswith("tandem_peer_in_step") for sample in said)
        assert said["process_cpu_seconds_total"] > 0
    finally:
        anna.server.start()
    until(lambda: _scrape(anna)["tandem_database_up"] == 1, 30, "it is back")


PAGES_OWN = ("sync_history", "sync_audit")  # what no group writes to


def _lock_all(group: pymysql.connections.Connection, node: Node) -> bool:
    """More than any group locks: each row and the gaps between them, in the app's tables and in all of ours."""
    tables = node.server.sql("SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA IN (%s, %s)"
                             " AND TABLE_TYPE='BASE TABLE' AND TABLE_NAME NOT IN %s ORDER BY 1", (node.database, node.sync_database, PAGES_OWN))
    try:
        with group.cursor() as cursor:
            for (table,) in tables:
                cursor.execute(f"SELECT COUNT(*) FROM (SELECT 1 FROM {table} FOR UPDATE) x")
    except pymysql.OperationalError as e:  # the daemon was about to tidy up
        assert e.args[0] in (1205, 1213)
        group.rollback()
        return False
    return len(tables) > 20


def test_page_and_metrics_wait_for_nothing_that_a_group_has_locked(fresh_pair: Pair) -> None:
    anna, bert = fresh_pair.anna, fresh_pair.bert
    hand.everywhere(fresh_pair, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))")
    fresh_pair.install()
    fresh_pair.start_serve()
    anna.sql("INSERT INTO t VALUES (1,'a'),(2,'b')")
    until(lambda: bert.sql("SELECT COUNT(*) FROM t") == [(2,)], 60, "both are there")
    refused = 'tandem_http_refused_total{door="page",status="401"}'
    with bert.connect(autocommit=False) as group:
        until(lambda: _lock_all(group, bert), 60, "all is locked")
        bert.server.sql("INSERT INTO sync_audit (caller, action, records) VALUES ('here', 'drain', 0)", db=bert.sync_database)
        newest = bert.server.sql("SELECT MAX(id) FROM sync_audit", db=bert.sync_database)[0][0]
        assert bert.get("/metrics", "f" * 32)[0] == 401
        # Nothing is let go before the answers are there, and they are not those of before.
        until(lambda: json.loads(bert.get("/api/monitor/state", bert.monitor_key, timeout=60)[1])["last_audit"] == newest, 60, "the state is read")
        until(lambda: _scrape(bert).get(refused, 0) >= 1, 60, "the metrics are made")
        assert _scrape(bert)["tandem_database_up"] == 1
        assert json.loads(bert.get("/api/monitor/review", bert.monitor_key, timeout=60)[1])["audit"]
        for path, shown in (("/", b"anna"), ("/api/monitor/history", b"hour"), ("/api/status", b'"peers"')):
            status, body = bert.get(path, bert.monitor_key, timeout=60)
            assert status == 200 and shown in body, path
        group.rollback()


def test_the_rules_and_the_scrape_config_of_the_docs_are_right(tmp_path: Path) -> None:
    rules, key = tmp_path / "tandem.rules.yml", tmp_path / "tandem.key"
    rules.write_text(_block("rules"), encoding="utf-8")
    key.write_text(METRICS_KEY, encoding="utf-8")
    _promtool("check", "rules", str(rules))
    config = tmp_path / "prometheus.yml"
    config.write_text(_block("scrape").replace("/etc/prometheus/tandem.rules.yml", str(rules)).replace("/etc/prometheus/tandem.key", str(key)),
                      encoding="utf-8")
    _promtool("check", "config", str(config))
    # Do they fire? Times of promtool's tests begin at 0: a last success of -100000 is more than a day ago.
    labels = 'instance="i",job="tandem",peer="bert"'
    series = {f"tandem_peer_in_step{{{labels}}}": "0x200", f"tandem_peer_paused{{{labels}}}": "0x200",
              f"tandem_peer_last_success_timestamp_seconds{{{labels}}}": "-100000x200",
              f"tandem_peer_oldest_pending_age_seconds{{{labels}}}": "4000x200",
              f'tandem_peer_owed_records{{{labels},state="parked"}}': "2x200", f"tandem_peer_held{{{labels}}}": "1x200",
              f"tandem_peer_held_deletions{{{labels}}}": "0x200", f"tandem_peer_held_tables{{{labels}}}": "0x200"}
    fires = {"TandemBehind": {}, "TandemNoSuccessForADay": {}, "TandemHeld": {}, "TandemParked": {"state": "parked"}}
    quiet = ("TandemConflict", "TandemDatabaseAway", "TandemDiskFilling", "TandemWrongKeys")
    base = {"instance": "i", "job": "tandem", "peer": "bert"}
    ask = []
    for alert, more in fires.items():
        kept = {"instance": "i", "peer": "bert"} if alert == "TandemHeld" else base | more
        ask.append({"eval_time": "2h", "alertname": alert, "exp_alerts": [{"exp_labels": kept}]})
    ask += [{"eval_time": "2h", "alertname": alert, "exp_alerts": []} for alert in quiet]
    tests = tmp_path / "tests.yml"
    tests.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [
        {"interval": "1m", "input_series": [{"series": name, "values": values} for name, values in series.items()],
         "alert_rule_test": ask}]}), encoding="utf-8")
    # Annotations are compared, too; what they say is for people, so they are left out here.
    rules.write_text(re.sub(r"\n +annotations:\n(?: {10}.*\n?)*", "\n", _block("rules")), encoding="utf-8")
    _promtool("test", "rules", str(tests))


def test_every_metric_of_the_docs_exists_and_every_one_that_exists_is_in_the_docs() -> None:
    told = set(re.findall(r"`((?:tandem|process)_[a-z_]+)`", (places.REPOSITORY / "docs/metrics.md").read_text(encoding="utf-8")))
    made = set(re.findall(r'"((?:tandem|process)_[a-z_]+)"', (places.REPOSITORY / "agent/app/metrics.c").read_text(encoding="utf-8")))
    assert told == made
