"""A caller that is not the agent: raw bytes on a connection, and a peer with a key that says what
the test wants. Zstd frames by hand."""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import hmac
import json
import re
import secrets
import socket
from typing import Any

from lab.node import Node

HELLO, RECEIVE, VERIFY = "/api/sync/hello", "/api/sync/receive", "/api/sync/verify"
TYPE = "Content-Type: application/x-tandem"
MIB = 1024 * 1024


def head(*lines: str, start: str = f"POST {HELLO} HTTP/1.1", host: bool = True) -> bytes:
    all_lines = [start] + (["Host: 127.0.0.1"] if host else []) + list(lines)
    return ("\r\n".join(all_lines) + "\r\n\r\n").encode("latin-1")


def raw(port: int, data: bytes) -> int:
    """Send the bytes and end the sending side; the first status, 0 when closed without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before it was whole: there may be an answer
        return status_of(read(sock))


def read(sock: socket.socket) -> bytes:
    got = b""
    try:
        while chunk := sock.recv(65536):
            got += chunk
    except ConnectionError:
        pass
    return got


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    return int(found.group(1)) if found else 0


class Impostor:
    """Speaks the protocol with anna's key, and says what the test wants."""

    def __init__(self, node: Node, name: str, key: str) -> None:
        self.node, self.name = node, name
        self._send_key = self._direction(bytes.fromhex(key), name, node.name)
        self._take_key = self._direction(bytes.fromhex(key), node.name, name)
        self.session, self.counter = "", 0

    @staticmethod
    def _mac(key: bytes, *fields: str) -> str:
        return hmac.new(key, "".join(field + "\n" for field in fields).encode(), "sha256").hexdigest()

    def _direction(self, key: bytes, sender: str, receiver: str) -> bytes:
        return bytes.fromhex(self._mac(key, "tandem1 key", sender, receiver))

    def get(self, path: str, counter: int | None = None) -> tuple[int, bytes]:
        """A signed GET; its signed answer."""
        return self.post(path, b"", counter, method="GET")

    def post(self, path: str, body: bytes, counter: int | None = None,
             method: str = "POST") -> tuple[int, bytes]:
        """A signed request; its signed answer."""
        if self.session:
            self.counter += 1
        number = str(self.counter if counter is None else counter)
        mac = self._mac(self._send_key, "tandem1 request", method, path, self.name, self.node.name,
                        self.session, number, str(len(body)), hashlib.sha256(body).hexdigest())
        lines = [TYPE, f"X-Tandem-From: {self.name}", f"X-Tandem-To: {self.node.name}",
                 f"X-Tandem-Counter: {number}", f"X-Tandem-Mac: {mac}",
                 f"Content-Length: {len(body)}", "Connection: close"]
        if self.session:
            lines.append(f"X-Tandem-Session: {self.session}")
        with socket.create_connection(("127.0.0.1", self.node.listen_port), timeout=30) as sock:
            sock.sendall(head(*lines, start=f"{method} {path} HTTP/1.1") + body)
            answer = read(sock)
        top, _, content = answer.partition(b"\r\n\r\n")
        status = status_of(answer)
        signed = self._mac(self._take_key, "tandem1 response", str(status), mac, str(len(content)),
                           hashlib.sha256(content).hexdigest())
        assert status == 401 or signed.encode() in top, answer
        return status, content

    def hello(self, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Open a session."""
        self.session, self.counter = "", 0
        nonce = secrets.token_hex(16)
        status, content = self.post(HELLO, json.dumps(body or {
            "hello": "1", "node": self.name, "incarnation": "0" * 32, "nonce": nonce}).encode() + b"\n")
        assert status == 200, (status, content)
        welcome = json.loads(content.split(b"\n")[0])
        self.session = welcome["session"]
        return welcome


_zstd = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
for _name in ("ZSTD_compress", "ZSTD_decompress", "ZSTD_compressBound"):
    getattr(_zstd, _name).restype = ctypes.c_size_t


def pack(text: bytes) -> bytes:
    size = _zstd.ZSTD_compressBound(ctypes.c_size_t(len(text)))
    out = ctypes.create_string_buffer(size)
    n = _zstd.ZSTD_compress(out, ctypes.c_size_t(size), text, ctypes.c_size_t(len(text)), 3)
    return out.raw[:n]


def frames(data: bytes) -> bytes:
    """The text of zstd frames whose sizes are not stored in them."""
    stream = ctypes.CDLL(_zstd._name)
    stream.ZSTD_createDStream.restype = ctypes.c_void_p
    stream.ZSTD_decompressStream.restype = ctypes.c_size_t
    stream.ZSTD_decompressStream.argtypes = [ctypes.c_void_p] * 3
    stream.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]

    class Buffer(ctypes.Structure):
        _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t)]

    source = ctypes.create_string_buffer(data, len(data))
    target = ctypes.create_string_buffer(16 * MIB)
    given = Buffer(ctypes.addressof(source), len(data), 0)
    taken = Buffer(ctypes.addressof(target), len(target), 0)
    handle = stream.ZSTD_createDStream()
    while given.pos < given.size:
        stream.ZSTD_decompressStream(handle, ctypes.byref(taken), ctypes.byref(given))
    stream.ZSTD_freeDStream(handle)
    return target.raw[:taken.pos]


def body_of(group: bytes, envelope: bytes = b'{"piece":"0","last":true}') -> bytes:
    return envelope + b"\n" + pack(group)
