"""A link between two agents that we own: it forwards HTTP and can refuse, stall, hold, cut,
double, change, lose and count what passes. One message is read whole before it goes on, so a
fault happens at exactly the byte that the test named. With raw=True it forwards bytes without
looking at them (TLS) and knows the modes and counters only.

A fault that never fired is not a test: assert on Fault.hits.
"""

from __future__ import annotations

import select
import socket
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from lab import ports

Mode = Literal["pass", "refuse", "stall"]
Kind = Literal["drop_request", "drop_response", "cut_request", "cut_response", "corrupt_request",
               "corrupt_response", "duplicate", "hold_request", "hold_response"]

EXCHANGES_KEPT = 2000  # enough for any test that looks at them, bounded for those that do not
_CHUNK = 65536
_HEAD_END = b"\r\n\r\n"


@dataclass
class Fault:
    """What shall happen to an exchange, once it is planned with Proxy.plan()."""
    kind: Kind
    path: str = ""      # requests whose path begins so; "" means every request
    skip: int = 0       # let so many matching requests pass first
    times: int = 1      # then hit so many
    # cut: bytes that still pass (negative: all but so many at the end); corrupt: offset in the
    # part. None: the middle.
    at: int | None = None
    part: Literal["head", "body"] = "body"  # corrupt: which part
    header: str = ""    # corrupt: the first byte of this header's value instead
    hits: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Let go what a hold fault holds."""
        self.released.set()


@dataclass
class Exchange:
    """One request that came by, and what became of it."""
    number: int
    method: str
    path: str
    request: bytes
    response: bytes = b""
    status: int = 0
    fault: str = ""
    replays: list[bytes] = field(default_factory=list)  # answers to a doubled request


@dataclass
class _Message:
    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        return self.head + self.body

    def header(self, name: str) -> str:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name.lower().encode():
                return value.strip().decode("latin-1")
        return ""

    def first_line(self) -> list[str]:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1").split(" ") + ["", ""]


class _Stream:
    """A socket with the bytes that were read too far."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.rest = b""

    def message(self, answer: bool) -> _Message | None:
        """The next whole message; None when the other end closed before it was whole."""
        while _HEAD_END not in self.rest:
            if not self._more():
                return None
        end = self.rest.index(_HEAD_END) + len(_HEAD_END)
        message = _Message(self.rest[:end], b"")
        length = self._length(message, answer)
        while length < 0 or len(self.rest) < end + length:
            if not self._more():
                if length >= 0:
                    return None
                length = len(self.rest) - end  # no length given: until the end of the stream
        message.body, self.rest = self.rest[end:end + length], self.rest[end + length:]
        return message

    @staticmethod
    def _length(message: _Message, answer: bool) -> int:
        given = message.header("content-length")
        if given:
            return int(given)
        if message.header("transfer-encoding"):
            raise ValueError("the proxy does not read chunked messages; use raw=True")
        bodyless = not answer or message.first_line()[1] in ("204", "304")
        return 0 if bodyless else -1

    def _more(self) -> bool:
        got = self.sock.recv(_CHUNK)
        self.rest += got
        return bool(got)


class Proxy:
    """Listens on a free port of 127.0.0.1 and forwards to target_port. Close it at the end."""

    def __init__(self, target_port: int, raw: bool = False) -> None:
        self.target_port = target_port
        self.raw = raw
        self.port = ports.take()
        self.exchanges: deque[Exchange] = deque(maxlen=EXCHANGES_KEPT)
        self.requests = 0
        self.connections = 0
        self.bytes_up = 0    # from the client to the target
        self.bytes_down = 0  # from the target to the client
        self.mode: Mode = "pass"
        self._faults: list[Fault] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._closed = False
        self._listener = self._bind()
        self._listen()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """For the url of a [peer] section."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def bytes_passed(self) -> int:
        """All bytes that went over this link so far, both ways."""
        return self.bytes_up + self.bytes_down

    # what the test orders ----------------------------------------------------------------------

    def set_mode(self, mode: Mode) -> None:
        """pass: forward. refuse: nobody listens, and open connections break. stall: connections
        are taken and nothing moves, until the mode changes."""
        with self._changed:
            before, self.mode = self.mode, mode
            self._changed.notify_all()
        if mode == "refuse" and before != "refuse":
            self._close_socket(self._listener)
            self._listener = self._bind()  # bound and not listening: refused, and still ours
            self.break_connections()
        elif mode != "refuse" and before == "refuse":
            self._listen()

    def break_connections(self) -> None:
        """End all connections that are open now."""
        with self._lock:
            doomed = list(self._open)
        for sock in doomed:
            self._close_socket(sock)

    def heal(self) -> None:
        """Pass everything, forget planned faults and what came by."""
        with self._lock:
            for fault in self._faults:
                fault.release()
            self._faults.clear()
            self.exchanges.clear()
        self.set_mode("pass")

    def plan(self, fault: Fault) -> Fault:
        """Add a fault for requests to come; the first planned one that fits is taken."""
        assert not self.raw, "a raw proxy sees no requests"
        with self._lock:
            self._faults.append(fault)
        return fault

    def drop_response(self, path: str = "", skip: int = 0, times: int = 1) -> Fault:
        """The answer is made and lost: the sender cannot know whether it was applied."""
        return self.plan(Fault("drop_response", path, skip, times))

    def cut_request(self, at: int, path: str = "", skip: int = 0) -> Fault:
        """Only the first bytes of the request arrive, then the connection breaks."""
        return self.plan(Fault("cut_request", path, skip, at=at))

    def cut_response(self, at: int, path: str = "", skip: int = 0) -> Fault:
        """Only the first bytes of the answer arrive, then the connection breaks."""
        return self.plan(Fault("cut_response", path, skip, at=at))

    def duplicate(self, path: str = "", skip: int = 0, times: int = 1) -> Fault:
        """The request arrives a second time, over a connection of its own."""
        return self.plan(Fault("duplicate", path, skip, times))

    def replay(self, exchange: Exchange) -> bytes:
        """Send a recorded request once more, now; the answer's bytes (empty: none)."""
        return self._send_alone(exchange.request)

    def close(self) -> None:
        """Stop listening, end all connections, give the port back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            held = [fault.released for fault in self._faults]
        for event in held:
            event.set()
        self._close_socket(self._listener)
        self.break_connections()
        ports.give_back(self.port)

    # sockets -----------------------------------------------------------------------------------

    def _bind(self) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.port))
        return sock

    def _listen(self) -> None:
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    @staticmethod
    def _close_socket(sock: socket.socket) -> None:
        try:
            sock.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits in accept() or recv()
        except OSError:
            pass
        sock.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(client)
            threading.Thread(target=self._connection, args=(client,), daemon=True).start()

    def _connection(self, client: socket.socket) -> None:
        """The life of one client's connection, with a connection of its own to the target."""
        target = socket.socket()
        try:
            target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            target.connect(("127.0.0.1", self.target_port))
            with self._lock:
                self._open.add(target)
            if self.raw:
                self._pump(client, target)
            else:
                self._forward(_Stream(client), _Stream(target))
        except (OSError, ValueError):
            pass  # a broken connection is this class's trade
        finally:
            with self._lock:
                self._open -= {client, target}
            self._close_socket(client)
            self._close_socket(target)

    def _wait_while_stalled(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self.mode != "stall" or self._closed)
            return not self._closed

    # bytes without meaning ---------------------------------------------------------------------

    def _pump(self, client: socket.socket, target: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([client, target], [], [])
            for source in ready:
                data = source.recv(_CHUNK)
                if not data or not self._wait_while_stalled():
                    return
                if source is client:
                    self._up(target, data)
                else:
                    self._down(client, data)

    def _up(self, target: socket.socket, data: bytes) -> None:
        with self._lock:
            self.bytes_up += len(data)
        target.sendall(data)

    def _down(self, client: socket.socket, data: bytes) -> None:
        with self._lock:
            self.bytes_down += len(data)
        client.sendall(data)

    # requests and answers ----------------------------------------------------------------------

    def _forward(self, client: _Stream, target: _Stream) -> None:
        while True:
            if not client.rest:
                ready, _, _ = select.select([client.sock, target.sock], [], [])
                if client.sock not in ready:
                    return  # the target closed an idle connection
            request = client.message(answer=False)
            if request is None or not self._wait_while_stalled():
                return
            exchange, fault = self._note(request)
            if not self._send_request(target, request, exchange, fault):
                return
            answer = target.message(answer=True)
            if answer is None:
                return
            exchange.response = answer.raw
            exchange.status = int(answer.first_line()[1] or 0)
            if not self._wait_while_stalled() or \
                    not self._send_response(client, answer, exchange, fault):
                return

    def _note(self, request: _Message) -> tuple[Exchange, Fault | None]:
        method, path = request.first_line()[:2]
        with self._lock:
            self.requests += 1
            exchange = Exchange(self.requests, method, path, request.raw)
            self.exchanges.append(exchange)
            fault = self._choose(path)
        if fault:
            exchange.fault = fault.kind
        return exchange, fault

    def _choose(self, path: str) -> Fault | None:
        for fault in self._faults:
            if not path.startswith(fault.path) or fault.hits >= fault.times:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.hits += 1
            return fault
        return None

    def _send_request(self, target: _Stream, request: _Message, exchange: Exchange,
                      fault: Fault | None) -> bool:
        kind = fault.kind if fault else ""
        data = request.raw
        if fault and kind == "hold_request":
            fault.released.wait()
        elif kind == "drop_request":
            return False
        elif fault and kind == "cut_request":
            self._up(target.sock, data[:_middle(fault.at, data)])
            return False
        elif fault and kind == "corrupt_request":
            data = _corrupted(request, fault)
        elif kind == "duplicate":
            self._up(target.sock, data)
            threading.Thread(target=self._double, args=(exchange,), daemon=True).start()
            return True
        self._up(target.sock, data)
        return True

    def _send_response(self, client: _Stream, answer: _Message, exchange: Exchange,
                       fault: Fault | None) -> bool:
        kind = fault.kind if fault else ""
        data = answer.raw
        if fault and kind == "hold_response":
            fault.released.wait()
        elif kind == "drop_response":
            return False
        elif fault and kind == "cut_response":
            self._down(client.sock, data[:_middle(fault.at, data)])
            return False
        elif fault and kind == "corrupt_response":
            data = _corrupted(answer, fault)
        self._down(client.sock, data)
        return True

    def _double(self, exchange: Exchange) -> None:
        exchange.replays.append(self._send_alone(exchange.request))

    def _send_alone(self, raw: bytes) -> bytes:
        try:
            with socket.create_connection(("127.0.0.1", self.target_port), timeout=60) as sock:
                sock.sendall(raw)
                answer = _Stream(sock).message(answer=True)
                return answer.raw if answer else b""
        except OSError:
            return b""


def _middle(at: int | None, data: bytes) -> int:
    return len(data) // 2 if at is None else at


def _corrupted(message: _Message, fault: Fault) -> bytes:
    """The message with one bit of one byte turned; of the head when there is no body."""
    if fault.header:
        start = message.head.lower().find(b"\r\n" + fault.header.lower().encode() + b":")
        assert start >= 0, f"no header {fault.header} in {message.head!r}"
        colon = message.head.index(b":", start) + 1
        blanks = len(message.head[colon:]) - len(message.head[colon:].lstrip(b" \t"))
        return _turned(message.head, colon + blanks) + message.body
    if fault.part == "head" or not message.body:
        return _turned(message.head, _middle(fault.at, message.head)) + message.body
    return message.head + _turned(message.body, _middle(fault.at, message.body))


def _turned(data: bytes, at: int) -> bytes:
    at = min(at, len(data) - 1)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
