"""Fixtures: real servers as processes of their own, each with the same streams in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import SERVERS, ServerProcess


@pytest.fixture(scope="module", params=SERVERS.values(), ids=SERVERS.keys())
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """Each server in turn, shared by the tests of a module."""
    with ServerProcess(request.param) as server:
        yield server
