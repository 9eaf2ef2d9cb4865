"""Sealed bodies written down a second time, from docs/protocol.md and RFC 8439 and nothing else: what the
agent seals is opened here, and the other way round."""

from __future__ import annotations

import hashlib
import hmac
import os
import struct

MAGIC = b"tandem-seal1\n"
SALT, TAG = 32, 16
_MASK = 0xffffffff


def direction_key(pair: bytes, sender: str, receiver: str) -> bytes:
    """The key of everything that sender sends to receiver."""
    return hmac.new(pair, f"tandem1 key\n{sender}\n{receiver}\n".encode(), hashlib.sha256).digest()


def _body_key(key: bytes, use: str, salt: bytes) -> bytes:
    return hmac.new(key, f"tandem1 seal {use}\n".encode() + salt, hashlib.sha256).digest()


def _block(key: bytes, counter: int, nonce: bytes) -> bytes:
    start = list(struct.unpack("<16L", b"expand 32-byte k" + key + struct.pack("<L", counter) + nonce))
    s = start[:]
    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                           (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                s[x] = (s[x] + s[y]) & _MASK
                s[z] ^= s[x]
                s[z] = (s[z] << turn | s[z] >> 32 - turn) & _MASK
    return struct.pack("<16L", *((x + y) & _MASK for x, y in zip(s, start)))


def _stream(key: bytes, nonce: bytes, text: bytes) -> bytes:
    out = bytearray()
    for at in range(0, len(text), 64):
        block = _block(key, 1 + at // 64, nonce)
        out += bytes(a ^ b for a, b in zip(text[at:at + 64], block))
    return bytes(out)


def _tag(key: bytes, nonce: bytes, head: bytes, sealed: bytes) -> bytes:
    once = _block(key, 0, nonce)[:32]
    r = int.from_bytes(once[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff
    pad = lambda data: data + bytes(-len(data) % 16)  # noqa: E731
    text = pad(head) + pad(sealed) + struct.pack("<QQ", len(head), len(sealed))
    total = 0
    for at in range(0, len(text), 16):
        total = (total + int.from_bytes(text[at:at + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
    return (total + int.from_bytes(once[16:], "little") & (1 << 128) - 1).to_bytes(16, "little")


def put(key: bytes, use: str, text: bytes, salt: bytes | None = None) -> bytes:
    """The sealed body; use: "request" or "answer"."""
    head = MAGIC + (os.urandom(SALT) if salt is None else salt)
    own, nonce = _body_key(key, use, head[len(MAGIC):]), bytes(12)
    sealed = _stream(own, nonce, text)
    return head + sealed + _tag(own, nonce, head, sealed)


def take(key: bytes, use: str, body: bytes) -> bytes | None:
    """The text of a sealed body; None when it does not fit."""
    head, sealed, tag = body[:len(MAGIC) + SALT], body[len(MAGIC) + SALT:-TAG], body[-TAG:]
    if len(body) < len(MAGIC) + SALT + TAG or not body.startswith(MAGIC):
        return None
    own, nonce = _body_key(key, use, head[len(MAGIC):]), bytes(12)
    if not hmac.compare_digest(_tag(own, nonce, head, sealed), tag):
        return None
    return _stream(own, nonce, sealed)
