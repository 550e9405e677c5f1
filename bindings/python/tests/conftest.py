"""Fixtures: real servers as processes of their own, each with the same streams in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import SERVERS, Redis, ServerProcess


@pytest.fixture(scope="module", params=SERVERS.values(), ids=SERVERS.keys())
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """Each server in turn, shared by the tests of a module."""
    with ServerProcess(request.param) as server:
        yield server


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis that one test has for itself."""
    if shutil.which("redis-server") is None:
        pytest.fail("there is no redis-server; scripts/need redis installs it")
    with Redis(tmp_path) as redis:
        yield redis
