"""Contents of upload folders on the line: what is answered, when, and what a wrong one leaves behind."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from lab import Fault, Pair, folders, until
from lab.folders import look, put
from lab.impostor import MIB, Impostor

_FILES = "/api/sync/files"
_WANT = b'["want","1","uploads"]\n'
_PUT = b'["put","1","uploads"]\n'


def _listed_only(pair: Pair, content: bytes) -> tuple[Path, Path]:
    """bert's list names a content that anna has, and its folder does not have it yet."""
    here, there = folders.join(pair, {"mode": "mirror", "source": "anna"})
    pair.install()
    pair.bert.start_serve()
    put(here, "film", content)
    link = pair.wire["anna", "bert"]
    fault = link.plan(Fault("drop_request", _FILES, times=1000))
    assert pair.anna.drain(check=4).returncode == 4
    assert fault.hits > 0 and pair.bert.sql("SELECT path FROM sync_file_uploads") == [(b"film",)]
    fault.times = 0
    return here, there


def _blocks(content: bytes) -> tuple[str, bytes, list[bytes]]:
    """The name of a content of several blocks, the hashes of its blocks, and they."""
    blocks = [content[at:at + MIB] for at in range(0, len(content), MIB)]
    digests = b"".join(hashlib.sha256(b).digest() for b in blocks)
    return hashlib.sha256(b"mb1" + len(content).to_bytes(8, "big") + digests).hexdigest(), digests, blocks


def _item(name: str, at: int | None, data: bytes) -> bytes:
    """A block, or (at: None) the list of hashes."""
    return json.dumps([name, None if at is None else str(at), str(len(data))], separators=(",", ":")).encode() + b"\n" + data


def test_a_block_that_is_not_what_its_hash_says_is_told_with_the_next_call_and_nothing_of_it_is_kept() -> None:
    content = os.urandom(3 * MIB + 7)
    name, digests, blocks = _blocks(content)
    with Pair(schemas=(), proxied=True) as pair:
        here, there = _listed_only(pair, content)
        forger = Impostor(pair.bert, "anna", pair.anna.conf["peer bert"]["key"])
        forger.hello()
        status, needs = forger.post(_FILES, _WANT)
        assert status == 200 and name.encode() in needs, needs
        assert forger.post(_FILES, _PUT + _item(name, None, digests))[0] == 200
        for at in (0, 2, 3):
            assert forger.post(_FILES, _PUT + _item(name, at, blocks[at]))[0] == 200
        status, said = forger.post(_FILES, _PUT + _item(name, 1, bytes(len(blocks[1]))))
        if status == 200:  # answered as soon as it lay there; one that was still busy says it at once
            status, said = forger.post(_FILES, _WANT)
        assert status == 422 and b"not what its hash says" in said
        status, needs = forger.post(_FILES, _WANT)
        assert status == 200 and f'["{name}","{len(content)}","1","1"]'.encode() in needs, needs
        assert look(there) == {}
        until(lambda: pair.anna.drain() and look(there) == look(here), 60, "anna brings the block that is missing")


def _lack(*paths: bytes) -> bytes:
    return b'["lack","1","uploads"]\n' + b"".join(b'["%s"]\n' % hashlib.sha256(path).hexdigest()[:32].encode() for path in paths)


def test_a_question_about_paths_is_answered_for_these_alone_and_a_deletion_is_seen_to_all_the_same() -> None:
    with Pair(schemas=(), proxied=True) as pair:
        here, there = _listed_only(pair, b"the film")
        anna, bert = pair.anna, pair.bert
        forger = Impostor(bert, "anna", anna.conf["peer bert"]["key"])
        forger.hello()
        film = hashlib.sha256(b"the film").hexdigest().encode()
        assert b"ready" in forger.post(_FILES, _lack(b"other"))[1] and film not in forger.post(_FILES, _lack(b"other"))[1]
        status, needs = forger.post(_FILES, _lack(b"other", b"film"))
        assert status == 200 and needs.count(film) == 1
        for wrong in (b'["lack","1","uploads"]\n["0"]\n', _lack(b"film")[:-1], _lack(*[b"%d" % i for i in range(501)])):
            assert forger.post(_FILES, wrong)[0] in {400, 422}
        assert forger.post(_FILES, _PUT + _item(film.decode(), 0, b"the film"))[0] == 200
        assert film not in forger.post(_FILES, _lack(b"film"))[1] and look(there) == {"film": b"the film"}
        # Deleted there in the list, by anna: to be removed, whichever paths are asked about.
        put(here, "more", "so that the folder is not emptied")
        until(lambda: anna.drain() and look(there) == look(here), 60, "both are alike")
        fault = pair.wire["anna", "bert"].plan(Fault("drop_request", _FILES, times=1000))
        (here / "film").unlink()
        anna.drain(check=4)
        assert fault.hits > 0
        until(lambda: bert.sql("SELECT content FROM sync_file_uploads WHERE path='film'") == [(b"",)], 60, "the list says so")
        forger = Impostor(bert, "anna", anna.conf["peer bert"]["key"])
        forger.hello()
        assert forger.post(_FILES, _lack(b"film"))[0] == 200
        until(lambda: "film" not in look(there), 60, "it is removed")
        fault.times = 0
        until(lambda: anna.drain() and look(there) == look(here), 60, "both are alike")


def test_the_daemon_asks_about_the_paths_that_it_has_told_just_now() -> None:
    with Pair(schemas=(), proxied=True) as pair:
        here, there = folders.join(pair, {"mode": "mirror", "source": "anna"})
        link = pair.wire["anna", "bert"]
        put(here, "first", "the first")
        pair.install()
        pair.start_serve()
        until(lambda: look(there) == look(here), 60, "both are alike")

        def asked() -> bool:
            put(here, f"more {len(look(here))}", "one more")
            return any(b'["lack","1","uploads"]' in one.request for one in link.exchanges)
        until(asked, 60, "it asks about paths")
        until(lambda: look(there) == look(here), 60, "all has come")
