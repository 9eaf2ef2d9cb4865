"""Folder and list are not compared anew while neither has changed; whatever changes either is found all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab import Pair, folders, hand, until
from lab.folders import look, put
from lab.node import Node

_UNLIKE = "SELECT COUNT(*) FROM sync_file_local WHERE base<>content"
_SETTLED = ("SELECT MAX(UPDATE_TIME) < SYSDATE() - INTERVAL 11 SECOND FROM information_schema.TABLES"
            " WHERE TABLE_NAME IN ('sync_file_local', 'sync_file_uploads')")


def _listed_otherwise(anna: Node) -> None:
    hand.unseen(anna, "UPDATE sync_file_uploads SET mode=384 WHERE path='one'")


def _agreed_no_more(anna: Node) -> None:
    hand.sync(anna, "UPDATE sync_file_local SET base='' WHERE path='two'")


def _other_permissions(anna: Node) -> None:
    anna.change_conf({"tree uploads": {"file_mode": "600"}})


@pytest.mark.parametrize("change", [_listed_otherwise, _agreed_no_more, _other_permissions])
def test_what_changes_a_folder_at_rest_or_its_list_is_found(fresh_pair: Pair, change: Callable[[Node], None]) -> None:
    here, there = folders.join(fresh_pair, {"mode": "two-way", "max_delete": "off"})
    anna, bert = fresh_pair.anna, fresh_pair.bert
    fresh_pair.install()
    bert.start_serve()
    for name in ("one", "two"):
        put(here, name, f"the file {name}")
    until(lambda: anna.drain() and look(there) == look(here), 60, "both have all")
    # Each drain has a connection of its own, whose first comparison this is.
    until(lambda: anna.drain() and hand.sync(anna, "SELECT COUNT(*) FROM sync_tree_calm") == [(1,)], 60, "it is remembered that they are alike")
    change(anna)
    until(lambda: anna.sql(_SETTLED) == [(1,)], 60, "the change is no recent one")
    anna.drain()
    assert hand.sync(anna, _UNLIKE) == [(0,)]
    assert ((here / "one").stat().st_mode & 0o777 == 0o600) == (change is not _agreed_no_more)

