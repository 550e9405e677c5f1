"""Rights that change while streams are open, and snapshots that join them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support import until

from evstream import Access, ClosedError, Events, InvalidError, InvalidEventError, Server


@pytest.fixture
def events() -> Iterator[Events]:
    with Events() as events:
        yield events


def lines(server: Server, user: str) -> Iterator[str]:
    with httpx.stream("GET", f"http://{server.address}/events/", headers={"x-user": user}, timeout=30) as response:
        yield from response.iter_lines()


def serve(events: Events, **access: Any) -> Server:
    def channels(request: Any) -> Access:
        headers = dict(request.headers)
        return Access(["room"], user=headers["x-user"], **access)

    return events.serve(channels=channels)


def expect(stream: Iterator[str], part: str) -> None:
    for line in stream:
        if part in line:
            return
    raise AssertionError(f"no {part!r}")


def test_whose_streams_are_ended(events: Events) -> None:
    server = serve(events)
    bob, eve = lines(server, "bob"), lines(server, "eve")
    for stream in (bob, eve):
        expect(stream, "stream-open")
    ended = events.disconnect("you have left", user="bob", channel="room")
    assert ended.local_only
    ended.wait()
    events.publish("room", "secret")
    rest = list(bob)
    assert any("you have left" in line for line in rest)
    assert not any("secret" in line for line in rest)
    expect(eve, "secret")
    events.reopen(everyone=True)
    expect(eve, '{"reason":"reauthorize"}')
    until(lambda: events.stats()["closed"]["disconnected"] == 1, "it is counted")


def test_somebody_is_named(events: Events) -> None:
    for who in ({}, {"user": ""}, {"everyone": False}):
        with pytest.raises(InvalidError):
            events.reopen(**who)
        with pytest.raises(InvalidError):
            events.disconnect("x", **who)


def test_who_is_there(events: Events) -> None:
    opened: list[str] = []
    events.on_open(lambda info: opened.append(info.id))
    server = serve(events)
    bob, eve = lines(server, "bob"), lines(server, "eve")
    for stream in (bob, eve):
        expect(stream, "stream-open")
    # What has come through says that the engine has them.
    events.publish("room", "first")
    for stream in (bob, eve):
        expect(stream, "first")
    assert events.users("room") == ["bob", "eve"]
    assert events.users("another") == []
    [found] = events.streams(user="bob", channel="room")
    assert (found.user, found.channels, found.address) == ("bob", ["room"], "127.0.0.1")
    assert 0 <= found.age < 60
    assert found.behind in (0, 1)
    everyone = events.streams(everyone=True)
    assert [stream.user for stream in everyone] == ["bob", "eve"]
    assert everyone[0].id == found.id
    until(lambda: len(opened) == 2, "both are told of")
    assert found.id in opened
    events.disconnect("you", stream=found.id)
    list(bob)
    until(lambda: events.users("room") == ["eve"], "one is gone")
    for who in ({}, {"user": ""}, {"everyone": False}):
        with pytest.raises(InvalidError):
            events.streams(**who)
    with pytest.raises(InvalidError):
        events.users("")
    events.close()
    with pytest.raises(ClosedError):
        events.streams(everyone=True)


def test_a_snapshot_joins_the_stream(events: Events) -> None:
    def channels(request: Any) -> Access:
        position = events.position()
        events.publish("room", "meanwhile")
        return Access(["room"], since=position, greet=[{"event": "rows", "data": [1, {"a": "ü"}]}])

    server = events.serve(channels=channels)
    stream = lines(server, "bob")
    expect(stream, "event: rows")
    expect(stream, "data: [1, ")
    expect(stream, "meanwhile")


def test_what_an_access_takes() -> None:
    now = time.time()
    Access(["a"], expires_at=now + 60)
    for bad in (float("nan"), float("inf"), -1, now * 1000):
        with pytest.raises(InvalidError):
            Access(["a"], expires_at=bad)
    for user in ("", "a\nb", "x" * 300):
        with pytest.raises(InvalidError):
            Access(["a"], user=user)
    with pytest.raises(InvalidError):
        Access(["a"], since="yesterday")
    with pytest.raises(InvalidError):
        Access(["a"], greet=[{"data": 1, "name": "typo"}])
    with pytest.raises(InvalidEventError):
        Access(["a"], greet=[{"data": 1, "event": "stream-open"}])
    with pytest.raises(InvalidError):
        Access(["a"], greet=[{"data": 1}] * 101)


def test_publishing_to_one_user(events: Events) -> None:
    with pytest.raises(InvalidError, match="user_channel"):
        events.publish_to_user("bob", 1)
    with Events(user_channel=True) as own:
        server = serve(own)
        bob, eve = lines(server, "bob"), lines(server, "eve")
        for stream in (bob, eve):
            expect(stream, '"channels"')
        assert own.publish_to_user("bob", {"for": "bob"}, event="mail").streams == 1
        assert asyncio.run(own.apublish_to_user("eve", text="for eve")).streams == 1
        own.publish("room", text="for all")
        for stream, first in ((bob, 'data: {"for":"bob"}'), (eve, "data: for eve")):
            data = (line for line in stream if line.startswith("data:"))
            assert [next(data), next(data)] == [first, "data: for all"]
        repeating = own.serve(channels=lambda request: ["room", "@user/bob"])
        refused = httpx.get(f"http://{repeating.address}/events/")
        assert "belong to one user each" in refused.text
        with pytest.raises(InvalidError):
            own.publish_to_user("", 1)
