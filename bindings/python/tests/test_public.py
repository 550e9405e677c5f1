"""Mounts whose clients choose among channels that anybody may read."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from evstream import Events, InvalidError, PublicChannels

PUBLIC = PublicChannels("clock", "news-*")


def own_server(events: Events) -> Callable[[str], str]:
    server = events.serve(channels=PUBLIC)

    return lambda query: httpx.get(f"http://{server.address}/events/{query}", timeout=30).text


def asgi(events: Events) -> Callable[[str], str]:
    app = Starlette()
    app.mount("/events", events.asgi(PUBLIC))
    return lambda query: TestClient(app).get(f"/events/{query}").text


@pytest.mark.parametrize("mounted", [own_server, asgi])
def test_clients_read_those_and_no_others(mounted: Callable[[Events], Callable[[str], str]]) -> None:
    with Events(max_age_ms=1) as events:
        ask = mounted(events)
        assert 'data: {"channels":["clock","news-de"]}' in ask("?channel=clock&channel=news-de")
        for query in ("?channel=room-1", "?channel=clock&channel=room-1", "?channel=%72oom-1"):
            refused = ask(query)
            assert "stream-error" in refused
            assert 'the channel \\"room-1\\" is not public' in refused


@pytest.mark.parametrize("channels", [("",), ("a*b",), ("**",)])
def test_what_is_no_beginning(channels: tuple[str, ...]) -> None:
    with pytest.raises(InvalidError):
        PublicChannels(*channels)
