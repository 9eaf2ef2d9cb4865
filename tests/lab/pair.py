"""Laptops that are each other's peers: Pair for two, Cluster for any tree of them."""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from lab import compare, process
from lab.node import NO_OPTIONS, Node, Options, last_words
from lab.proxy import Proxy
from lab.waiting import until

NAMES = ("anna", "bert", "cleo", "dora", "emil", "fynn", "gina", "hugo")

Links = Literal["chain", "star"] | Sequence[tuple[int, int]]


def _pairs(n: int, links: Links) -> list[tuple[int, int]]:
    if links == "chain":
        return [(i, i + 1) for i in range(n - 1)]
    if links == "star":
        return [(0, i) for i in range(1, n)]
    return [(int(i), int(j)) for i, j in links]


class Cluster:
    """n nodes with the same data, joined by links; not installed yet (see install()).

    proxied=True puts a Proxy into every direction of every link; wire["anna", "bert"] is the one
    that anna's requests to bert go through. tls=True: every node listens with TLS and every peer
    is pinned; the proxies then see bytes alone."""

    def __init__(self, n: int, links: Links = "chain", *,
                 schemas: Sequence[str | Path] = ("campus",), database: str = "app",
                 conf: Options = NO_OPTIONS, server_options: Sequence[str] = (), proxied: bool = False,
                 buffer_pool: str = "64M", tls: bool = False) -> None:
        self.tls = tls
        self.nodes: list[Node] = []
        self.wire: dict[tuple[str, str], Proxy] = {}
        try:
            for i, name in enumerate(NAMES[:n]):
                # Rows made on different laptops must not get the same automatic id.
                self.nodes.append(Node(name, database=database, auto_increment=(n, i + 1),
                                       server_options=server_options, conf=conf,
                                       buffer_pool=buffer_pool, tls=tls))
            self._start(_pairs(n, links), schemas, proxied)
        except BaseException:
            self.close()
            raise
        self._first_conf = [copy.deepcopy(node.conf) for node in self.nodes]

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure:
            last_words.extend(node.logs() for node in self.nodes)
        self.close()

    def __getitem__(self, name: str) -> Node:
        """A node by its name."""
        return next(node for node in self.nodes if node.name == name)

    def _start(self, links: Sequence[tuple[int, int]], schemas: Sequence[str | Path],
               proxied: bool) -> None:
        for node in self.nodes:
            node.server.launch()
        for i, j in links:
            self._link(self.nodes[i], self.nodes[j], proxied)
        for node in self.nodes:
            node.server.wait_ready()
        for node in self.nodes:
            node.setup(schemas)

    def _link(self, a: Node, b: Node, proxied: bool) -> None:
        key = os.urandom(32).hex()
        for sender, receiver in ((a, b), (b, a)):
            port = receiver.listen_port
            if proxied:
                proxy = Proxy(port, raw=self.tls)
                self.wire[sender.name, receiver.name] = proxy
                port = proxy.port
            url = f"{'https' if self.tls else 'http'}://127.0.0.1:{port}"
            pin = ""
            if self.tls:
                pin = receiver.tls_pin() if receiver.tls_file.exists() else receiver.make_tls()
            sender.add_peer(receiver.name, url, key, pin)

    def close(self) -> None:
        """End and remove everything."""
        for proxy in self.wire.values():
            proxy.close()
        for node in self.nodes:
            node.close()

    def renew(self, schemas: Sequence[str | Path] = ()) -> None:
        """As new, on the servers that run already: empty databases with the schemas, the first
        agent.conf, no agent, healthy links. Much quicker than new servers."""
        for proxy in self.wire.values():
            proxy.heal()
        for node, conf in zip(self.nodes, self._first_conf):
            node.conf = copy.deepcopy(conf)
            node.renew(schemas)

    # what all nodes do -----------------------------------------------------------------------

    def install(self) -> None:
        """--install on every node."""
        for node in self.nodes:
            node.install()

    def start_serve(self) -> None:
        """agent --serve on every node that does not serve yet."""
        idle = [node for node in self.nodes if not node.serving()]
        for node in idle:
            node.start_serve(wait=False)
        for node in idle:
            node.wait_serve_ready()

    def stop_serve(self) -> None:
        """An orderly end of every agent --serve."""
        for node in self.nodes:
            node.stop_serve()

    def settle(self, timeout: float = 60, codes: Collection[int] = (0,)) -> None:
        """Drain until every drain ends with one of the codes and nothing is pending anywhere.
        Nodes that do not serve are served meanwhile: somebody has to receive."""
        borrowed = [node for node in self.nodes if not node.serving()]
        self.start_serve()
        quiet = 0

        def settled() -> bool:
            nonlocal quiet
            results = [node.drain() for node in self.nodes]
            # A change that arrives may make its receiver queue one: two quiet rounds in a row, or one after which two
            # looks at every database say that nothing is left to do.
            calm = all(r.returncode in codes for r in results) and not self.pending()
            quiet = quiet + 1 if calm else 0
            return quiet >= 2 or (calm and not any(r.returncode for r in results) and self._at_rest())

        try:
            until(settled, timeout, "all nodes are in step")
        except AssertionError as late:
            last = "\n".join(f"{node.name}: --drain ends with {ran.returncode}: {ran.stderr}"
                             for node, ran in ((node, node.drain()) for node in self.nodes))
            raise AssertionError(f"{late}\n{last}\n{self.describe()}") from None
        for node in borrowed:
            node.stop_serve()

    def _at_rest(self) -> bool:
        """Nothing is pending, waits or is to be compared anywhere, every peer knows of every epoch, and nothing moves."""
        if any(section.startswith("tree ") for node in self.nodes for section in node.conf):
            return False
        looks = [[node.at_rest() for node in self.nodes] for _ in range(2)]
        return all(looks[0]) and looks[0] == looks[1]

    def wait_quiet(self, timeout: float = 60) -> None:
        """Wait, without draining, until nothing is pending anywhere: --serve does that."""
        try:
            # Twice: what arrives may make its receiver queue a change after we looked there.
            until(lambda: not self.pending() and not self.pending(), timeout,
                  "nothing is pending on any node")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.describe()}") from None

    def pending(self) -> int:
        """Changes that wait on any node."""
        return sum(node.pending() for node in self.nodes)

    def describe(self) -> str:
        """Queues and last log lines of every node, for messages."""
        return "\n".join(f"{node.name}: queue {node.queue()}\n{node.positions()}\n"
                         f"{process.tail(node.agent_log, 15)}" for node in self.nodes)

    def differences(self, tables: Sequence[str] | None = None) -> list[str]:
        """What differs between the first node and each other one."""
        first, *others = [node.side() for node in self.nodes]
        return [line for other in others
                for line in compare.differences(first, other, tables)]

    def assert_equal(self, tables: Sequence[str] | None = None) -> None:
        """All nodes hold the same rows, byte for byte."""
        found = self.differences(tables)
        assert not found, "the databases differ:\n" + "\n".join(found)


class Pair(Cluster):
    """Two laptops, anna and bert."""

    def __init__(self, *, schemas: Sequence[str | Path] = ("campus",), database: str = "app",
                 conf: Options = NO_OPTIONS,
                 server_options: Sequence[str] = (), proxied: bool = False,
                 buffer_pool: str = "64M", tls: bool = False, links: Links = "chain") -> None:
        super().__init__(2, links, schemas=schemas, database=database, conf=conf,
                         server_options=server_options, proxied=proxied, buffer_pool=buffer_pool,
                         tls=tls)

    @property
    def anna(self) -> Node:
        """The first laptop."""
        return self.nodes[0]

    @property
    def bert(self) -> Node:
        """The second laptop."""
        return self.nodes[1]
