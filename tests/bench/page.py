"""What an open page costs, and how soon it answers, with a long queue and while a group is applied."""

from __future__ import annotations

import http.client
import threading
import time

from lab.node import Node

from bench import work
from bench.figures import Part, Table, number, percentile
from bench.laptops import Laptops
from bench.watch import Watch

_PATHS = ("/api/monitor/state", "/", "/api/monitor/review", "/api/monitor/history", "/metrics")
_PAUSE = 0.1  # between two requests
_SCRAPE = 15.0  # between two scrapes, Prometheus' own default is a minute


def measure(options: list[str], buffer_pool: str, quick: bool) -> Part:
    """A long queue: a page that is open, requests; then the queue is sent, applied there, and asked after on both."""
    rows, seconds = (100_000, 10.0) if quick else (1_000_000, 60.0)
    part = Part("page", f"The page with {rows:,} changes in the queue")
    with Laptops(options, buffer_pool) as laptops:
        laptops.bert.stop_serve()
        table = laptops.tables.take()
        laptops.write(work.bulk_insert(table, rows))
        laptops.anna.start_serve()
        _settle(laptops.anna)
        alone = _cpu(laptops.anna, seconds)
        with _Opened(laptops.anna) as page:
            _settle(laptops.anna)
            opened = _cpu(laptops.anna, seconds)
        assert page.bytes > 0, "no event came"
        shares = Table("CPU, % of a core", ["", "agent", "server"])
        for name, use in (("no page is open", alone), ("a page is open and metrics are scraped", opened)):
            shares.rows.append([name, *(number(value) for value in use)])
        part.tables.append(shares)
        part.put("an open page and metrics cost the agent", max(0.0, opened[0] - alone[0]), "% of a core", at_most=1)
        part.put("... and the server", max(0.0, opened[1] - alone[1]), "% of a core")
        _put_answers(part, "the queue at rest", _ask(laptops.anna, lambda: False, 40 if quick else 200))
        laptops.bert.start_serve()
        done = threading.Event()
        there: list[float] = []
        asker = threading.Thread(target=lambda: there.extend(_ask(laptops.bert, done.is_set)))
        asker.start()
        here = _ask(laptops.anna, lambda: laptops.bert.sql(f"SELECT 1 FROM {table} LIMIT 1") != () and laptops.anna.status()["peers"][0]["in_step"])
        done.set()
        asker.join()
        _put_answers(part, "while the queue is sent", here)
        _put_answers(part, "on the other laptop, while it is applied", there)
        work.assert_equal(laptops.anna.server, laptops.bert.server, table)
    return part


def _settle(node: Node) -> None:
    """The first count of whole tables is over."""
    deadline = time.monotonic() + 60
    while b'"counts":{' not in node.get("/api/monitor/state", node.monitor_key)[1]:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    time.sleep(3)


def _cpu(node: Node, seconds: float) -> tuple[float, float]:
    """Share of a core that agent and server use."""
    with Watch({"agent": node.serve_pid, "server": node.server.pid}) as watch:
        time.sleep(seconds)
    return tuple(use.cpu / watch.seconds * 100 for use in watch.use.values())  # type: ignore[return-value]


class _Opened:
    """A page that is open: it reads events, and as the page does the history now and then; and a Prometheus that scrapes."""

    def __init__(self, node: Node) -> None:
        self.node, self.bytes, self._end = node, 0, threading.Event()
        self._connection = http.client.HTTPConnection("127.0.0.1", node.monitor_port, timeout=30)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._scraper = threading.Thread(target=self._scrape, daemon=True)

    def __enter__(self) -> _Opened:
        self._connection.request("GET", "/api/monitor/events", headers={"Authorization": f"Bearer {self.node.monitor_key}"})
        self._reader.start()
        self._scraper.start()
        return self

    def _read(self) -> None:
        reply = self._connection.getresponse()
        asked = 0.0
        while not self._end.is_set():
            self.bytes += len(reply.readline())
            if time.monotonic() - asked > 20:
                asked = time.monotonic()
                self.node.get("/api/monitor/history", self.node.monitor_key)

    def _scrape(self) -> None:
        while not self._end.wait(_SCRAPE):
            self.node.get("/metrics", self.node.monitor_key)

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._reader.join(30)
        self._scraper.join(30)
        self._connection.close()


def _ask(node: Node, over, most: int = 100_000) -> list[float]:  # type: ignore[no-untyped-def]
    """Milliseconds of each answer, until it is over."""
    times: list[float] = []
    looked = time.monotonic()
    while len(times) < most:
        begun = time.monotonic()
        status, _ = node.get(_PATHS[len(times) % len(_PATHS)], node.monitor_key, timeout=60)
        times.append((time.monotonic() - begun) * 1000)
        assert status == 200
        if time.monotonic() - looked > 2:
            looked = time.monotonic()
            if over():
                break
        time.sleep(_PAUSE)
    return times


def _put_answers(part: Part, when: str, times: list[float]) -> None:
    part.put(f"answers, {when}: median of {len(times)}", percentile(times, 50), "ms")
    part.put(f"answers, {when}: 99th percentile", percentile(times, 99), "ms", at_most=100)
