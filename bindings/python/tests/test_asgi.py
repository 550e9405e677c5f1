"""Streams in ASGI servers of our own, which misbehave as servers may; on both libraries of event loops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import trio
import uvicorn
from django.test import AsyncClient
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount
from starlette.testclient import TestClient
from support import open_stream, until

import evstream
from evstream import Events

Message = dict[str, Any]


class Host:
    """A server of one request, on asyncio."""

    def __init__(self, events: Events, **scope: Any) -> None:
        self._app = events.asgi()
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "path": "/events/",
            "query_string": b"channel=a",
            "headers": [(b"host", b"x")],
            **scope,
        }
        self.sent: list[Message] = []
        self.incoming: asyncio.Queue[Message | Exception] = asyncio.Queue()
        self.refusal: BaseException | None = None
        self.blocked: asyncio.Event | None = None

    async def receive(self) -> Message:
        message = await self.incoming.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, message: Message) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.sent.append(message)
        if self.blocked is not None and len(self.sent) > 2:
            await self.blocked.wait()

    def start(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._app(self.scope, self.receive, self.send))

    async def has_sent(self, count: int) -> None:
        await awhile(lambda: len(self.sent) < count)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


async def awhile(condition: Callable[[], bool]) -> None:
    async def wait() -> None:
        while condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), 15)


async def test_a_send_that_fails_after_the_client_has_gone() -> None:
    with Events() as events:
        host = Host(events)
        task = host.start()
        await host.has_sent(2)
        host.refusal = OSError("the client has gone")
        events.publish("a", 1)
        await asyncio.wait_for(task, 15)
        assert events.stats()["closed"]["client"] == 1


async def test_a_disconnect() -> None:
    with Events() as events:
        host = Host(events)
        task = host.start()
        await host.has_sent(2)
        host.refusal = OSError("the client has gone")
        await host.incoming.put({"type": "http.disconnect"})
        await asyncio.wait_for(task, 15)
        assert events.stats()["closed"]["client"] == 1


async def test_a_receive_that_fails_ends_the_stream() -> None:
    with Events() as events:
        host = Host(events)
        task = host.start()
        await host.has_sent(2)
        await host.incoming.put(RuntimeError("boom"))
        with pytest.raises(RuntimeError, match="boom"):
            await asyncio.wait_for(task, 15)
        assert events.stats()["open"] == 0


async def test_a_send_that_never_ends() -> None:
    with Events(write_timeout_ms=100) as events:
        host = Host(events)
        host.blocked = asyncio.Event()
        task = host.start()
        await host.has_sent(2)
        events.publish("a", 1)
        await asyncio.wait_for(task, 15)
        assert events.stats()["closed"]["write-timeout"] == 1


async def test_a_task_that_is_cancelled() -> None:
    with Events() as events:
        host = Host(events)
        task = host.start()
        await host.has_sent(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert events.stats()["open"] == 0
        assert len(asyncio.all_tasks()) == 1


async def test_a_large_event_goes_out_in_pieces() -> None:
    with Events() as events:
        host = Host(events)
        task = host.start()
        await host.has_sent(2)
        events.publish("a", "x" * 300_000)
        await awhile(lambda: b'xx"\n' not in host.body)
        assert max(len(message.get("body", b"")) for message in host.sent) <= 65_536
        task.cancel()


async def test_a_query_that_is_text() -> None:
    """As Django's own test client gives it."""
    with Events() as events:
        host = Host(events, query_string="channel=b")
        task = host.start()
        await host.has_sent(2)
        assert b'{"channels":["b"]}' in host.body
        task.cancel()


async def test_djangos_asynchronous_client(settings_of_django: Any) -> None:
    response = await AsyncClient().get("/one/tea/")
    assert response.status_code == 200
    content = aiter(response.streaming_content)
    assert b'{"channels":["tea"]}' in await anext(content)
    await asyncio.to_thread(response.close)


@pytest.fixture
def settings_of_django() -> Any:
    import test_django

    test_django.forget()
    yield
    test_django.events().close()
    test_django.forget()


def test_trio() -> None:
    async def main() -> None:
        sent: list[Message] = []
        gone = trio.Event()

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        async def sent_something(text: bytes) -> None:
            while text not in b"".join(message.get("body", b"") for message in sent):  # noqa: ASYNC110
                await trio.sleep(0.005)

        host = Host(events)
        with trio.fail_after(15):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(host._app, host.scope, receive, send)
                await sent_something(b"stream-open")
                await events.apublish("a", "hi")
                await sent_something(b'data: "hi"')
                with events.subscribe("a") as reader:
                    events.publish("a", 1)
                    message = await anext(reader)
                    assert isinstance(message, evstream.Received)
                gone.set()

    with Events() as events:
        trio.run(main)
        assert events.stats()["closed"]["client"] == 1


def test_no_event_loop() -> None:
    with Events() as events, pytest.raises(evstream.EvstreamError, match="asyncio and trio"):
        anext(aiter(events.subscribe("a"))).send(None)


async def test_two_tasks_cannot_read_one_subscription() -> None:
    with Events() as events, events.subscribe("a") as reader:
        first = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
        with pytest.raises(evstream.InvalidError, match="another task"):
            await anext(reader)
        events.publish("a", 1)
        assert isinstance(await asyncio.wait_for(first, 15), evstream.Received)


@pytest.mark.parametrize("adopt", [True, False], ids=["adopted", "pulled"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped"])
def test_uvicorn_on_a_thread_stops(adopt: bool, wrapped: bool) -> None:
    """It has no handlers of signals there."""
    events = Events(adopt=adopt)
    app: Any = Starlette(routes=[Mount("/events", events.asgi())])
    if wrapped:

        class PassOn(BaseHTTPMiddleware):
            async def dispatch(self, request: Any, call_next: Any) -> Any:
                return await call_next(request)

        app.add_middleware(PassOn)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, args=[[listener]])
    thread.start()
    with open_stream(f"http://127.0.0.1:{listener.getsockname()[1]}/events/?channel=a") as client:
        client.named("stream-open")
        until(lambda: events.stats()["open"] == 1, "it is open")
        server.should_exit = True
        assert any(event.event == "stream-close" for event in client.rest())
    thread.join(15)
    assert not thread.is_alive()
    until(lambda: events.stats()["open"] == 0, "it is closed")
    events.close()


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped"])
def test_a_test_of_starlette_comes_to_an_end(wrapped: bool) -> None:
    """Also one that does not read while the stream is open."""
    with Events() as events:
        app: Any = Starlette(routes=[Mount("/events", events.asgi())])
        client = TestClient(app)
        position = events.position()
        events.publish("a", "kept", event="x")
        answer = client.get(f"/events/?channel=a&lastEventId={position}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
        assert 'data: "kept"' in answer.text
        with client.stream("GET", "/events/?channel=a") as response:
            lines = response.iter_lines()
            assert "event: stream-open" in [next(lines) for _ in range(3)]
            events.publish("a", "live", event="x")
            assert 'data: "live"' in lines


async def test_a_test_of_httpx_comes_to_an_end() -> None:
    with Events() as events:
        transport = httpx.ASGITransport(app=Starlette(routes=[Mount("/events", events.asgi())]))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            asking = asyncio.ensure_future(client.get("/events/?channel=a"))
            await awhile(lambda: events.stats()["open"] == 0)
            events.publish("a", "meanwhile", event="x")
            answer = await asyncio.wait_for(asking, 15)
        assert 'data: "meanwhile"' in answer.text
        assert "stream-close" in answer.text


def test_a_lifespan_that_is_entered_twice() -> None:
    events = Events()

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with events:
            yield

    app = Starlette(routes=[Mount("/events", events.asgi())], lifespan=lifespan)
    for _ in range(2):
        with TestClient(app) as client:
            assert client.head("/events/?channel=a").status_code == 200
            assert events.publish("a", 1).position
    with pytest.raises(evstream.ClosedError):
        events.publish("a", 1)


@pytest.mark.parametrize("query", ["channel=a&channel=b", "channel=a&channel=b#&channel=c", "channel=b&channel=a"])
async def test_a_function_decides_on_what_is_opened(query: str) -> None:
    """It is shown the channels that the client names as they will be read."""
    shown: list[list[str]] = []

    def decide(request: evstream.HttpRequest, channels: list[str]) -> Any:
        shown.append(channels)
        return True

    with Events() as events:
        host = Host(events, query_string=query.encode())
        host._app = events.asgi(decide)
        task = host.start()
        await host.has_sent(2)
        assert sorted(shown[0]) == ["a", "b"]
        assert json.dumps({"channels": shown[0]}, separators=(",", ":")).encode() in host.body
        task.cancel()


@pytest.mark.parametrize("function", [lambda: True, lambda a, b, c: True])
def test_a_function_that_cannot_be_asked_is_told_at_once(function: Any) -> None:
    with Events() as events, pytest.raises(evstream.InvalidError, match="takes the request"):
        events.asgi(function)
    with Events() as events, pytest.raises(evstream.InvalidError, match="one or more"):
        events.asgi([])
