"""What every test may ask for. `server`: a fresh private mariadbd; `pair`: two laptops with the
campus data, not installed yet (call pair.install()); `installed_pair`: the same, installed;
`fresh_pair`: two laptops with empty databases on servers shared by many tests, quick;
`rng`: random numbers that TANDEM_SEED replays; `long_run`: is this a long run (TANDEM_LONG=1)?"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import Pair, Server, node, places, seed  # noqa: E402  (needs the path above)

_SEED = seed.choose()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: scripts/check runs it with the plain build, and all others with the sanitized one")


def pytest_report_header() -> list[str]:
    return [f"agent: {places.agent_binary()}", seed.line(_SEED)]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failing test shows its seed and the ends of all logs."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        report.sections.append(("seed", seed.line(_SEED)))
        logs = [laptop.logs() for laptop in node.live] + node.last_words
        report.sections += [("laptop", text) for text in logs]
    if report.when == "teardown":
        node.last_words.clear()


@pytest.fixture
def server() -> Iterator[Server]:
    """A fresh private server without databases."""
    with Server() as fresh:
        yield fresh


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Server]:
    """One server for all tests of a run that leave nothing behind."""
    with Server("shared") as one:
        yield one


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two laptops with the campus data, not installed."""
    with Pair() as two:
        yield two


@pytest.fixture
def installed_pair() -> Iterator[Pair]:
    """Two laptops with the campus data, installed, not serving."""
    with Pair() as two:
        two.install()
        yield two


@pytest.fixture(scope="session")
def lasting_pair() -> Iterator[Pair]:
    """The servers of fresh_pair; tests ask for that one."""
    with Pair(schemas=(), proxied=True) as two:
        yield two


@pytest.fixture
def fresh_pair(lasting_pair: Pair) -> Iterator[Pair]:
    """Two laptops with empty databases, not installed, proxied, on servers that run already (their
    settings are the tests' to put back); an agent that still serves at the end must stop in order."""
    lasting_pair.renew()
    yield lasting_pair
    lasting_pair.stop_serve()


@pytest.fixture
def rng() -> random.Random:
    """Random numbers; each test begins at the same seed, so that it can be replayed alone."""
    return random.Random(_SEED)


@pytest.fixture(scope="session")
def long_run() -> bool:
    """Was a long run asked for?"""
    return os.environ.get("TANDEM_LONG") == "1"
