"""Streams in ASGI servers."""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, TypeAlias

from .. import _native
from .._access import Channels, Rule
from .._hub import Limit
from .._request import HttpRequest, query_of
from .._source import Source
from .._waiting import AsyncPull, current_hub
from .daphne import Pace
from .pieces import pieces
from .uvicorn import Handover, abort, find_cycle

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = "list[tuple[bytes, bytes]]"

TEST_IDLE_S = 1.0


class Endpoint:
    """An ASGI application that answers with streams."""

    def __init__(self, source: Source, channels: Channels = None) -> None:
        self._source = source
        self._rule = Rule(channels)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003, "reason": "this is a stream of text/event-stream"})
        else:
            await answer(self._source, self._rule, HttpRequest.from_scope(scope), scope, receive, send)


class Links:
    """ASGI middleware that answers what GRIP proxies ask on behalf of streams they hold, before any routing."""

    def __init__(self, app: ASGIApp, source: Source) -> None:
        self._app = app
        self._source = source
        source.advice.links_answered = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _native.is_link(raw_path(scope)):
            reply = self._source.screen(to_request(scope))
            if isinstance(reply, _native.Reply):
                await send_whole(reply, send, [])
                return
        await self._app(scope, receive, send)


async def answer(
    source: Source,
    rule: Rule,
    request: Any,
    scope: Scope,
    receive: Receive,
    send: Send,
    headers: Iterable[tuple[bytes, bytes]] = (),
    *,
    exact: bool = False,
) -> None:
    """Answers a request with a stream; `request` is what a function for channels is given. `exact` when paths below
    that of the request do not come here."""
    parameters = scope.get("path_params", {})
    reply = await source.areply_to(to_request(scope), rule, request, parameters, exact=exact)
    if reply.is_stream:
        await _stream(source, reply, scope, receive, send, headers)
    else:
        await send_whole(reply, send, headers)


async def send_whole(reply: _native.Reply, send: Send, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Sends a reply without a stream."""
    head = encode_headers(reply)
    if reply.status != 204:
        head.append((b"content-length", b"%d" % len(reply.body)))
    await send({"type": "http.response.start", "status": reply.status, "headers": [*head, *headers]})
    await send({"type": "http.response.body", "body": reply.body})


async def _stream(
    source: Source,
    reply: _native.Reply,
    scope: Scope,
    receive: Receive,
    send: Send,
    headers: Iterable[tuple[bytes, bytes]],
) -> None:
    # A server that stops waits for what it sends itself, and not for what we have adopted.
    cycle = find_cycle(receive, scope) if source.adopt and not current_hub().is_stopping() else None
    handover = Handover.begin(cycle, reply) if cycle is not None else None
    try:
        head = [*encode_headers(reply), *headers]
        await send({"type": "http.response.start", "status": reply.status, "headers": head})
        await send({"type": "http.response.body", "body": reply.body, "more_body": True})
    except BaseException:
        reply.close()
        if handover is not None:
            handover.undo()
        raise
    if handover is not None and await handover.finish():
        current_hub().end_adopted_with_host(source)
        # For middleware; uvicorn no longer listens.
        await send({"type": "http.response.body", "body": b""})
        return
    await _Sender(source, reply, scope, receive, send).run()


class _Sender:
    """Gives a stream's bytes to the server, until it ends or the client goes."""

    def __init__(self, source: Source, reply: _native.Reply, scope: Scope, receive: Receive, send: Send) -> None:
        source.advice.pulled(source.adopt)
        self._pull = AsyncPull(reply.pull())
        self._hub = self._pull.waiting.hub
        self._limit: Limit = self._hub.limit(source.native.write_timeout)
        self._pace = Pace.begin(send)
        self._receive = receive
        self._send = send
        self._is_test = is_test(scope)
        self._disconnected = False
        self._sent = 0

    async def run(self) -> None:
        try:
            await self._hub.beside(self._watch(), self._work())
        finally:
            self._pull.close()
            self._limit.end()
            self._end_pace()

    async def _work(self) -> None:
        if self._is_test:
            self._end_when_idle(-1)
        try:
            while (chunk := await self._pull.next()) is not None:
                for piece in pieces(chunk):
                    if self._pace is not None:
                        await self._limit.call(self._pace.wait, None)
                    await self._limit.call(self._send, {"type": "http.response.body", "body": piece, "more_body": True})
                self._sent += 1
            self._end_pace()
            if not self._disconnected:
                await self._limit.call(self._send, {"type": "http.response.body", "body": b""})
        except TimeoutError:
            # Raised by an `OSError` of a server, too: either way the client takes nothing.
            self._pull.close("write-timeout")
            abort(self._receive)
        except OSError:
            self._pull.close("client")  # as ASGI servers may say

    async def _watch(self) -> None:
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self._disconnected = True
        finally:
            self._pull.close("client" if self._disconnected else "dropped")

    def _end_pace(self) -> None:
        if self._pace is not None:
            self._pace.end()

    def _end_when_idle(self, sent: int) -> None:
        """Ends it with last words when nothing was sent for a while."""
        if self._sent == sent:
            self._pull.stop()
        else:
            sent = self._sent
            self._hub.later(TEST_IDLE_S, lambda: self._end_when_idle(sent))


def is_test(scope: Scope) -> bool:
    """Whether this is no server but Starlette's `TestClient` or httpx's `ASGITransport`: a test that asks for a stream
    waits for its end, perhaps without reading it meanwhile."""
    if "http.response.debug" in scope.get("extensions", {}):
        return True
    is_bare = not scope.keys() & {"extensions", "state"} and "spec_version" not in scope.get("asgi", {})
    return is_bare and isinstance(scope.get("client"), tuple)


async def _lifespan(receive: Receive, send: Send) -> None:
    """There is nothing to start, and what ends with the process is not ours to end with one of its servers."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def to_request(scope: Mapping[str, Any]) -> _native.Request:
    """The request of an ASGI scope."""
    client = scope.get("client")
    return _native.Request(
        scope["method"], raw_path(scope), query_of(scope), scope["headers"], client[0] if client else None
    )


def raw_path(scope: Mapping[str, Any]) -> str:
    """The path as it stands in the request line."""
    raw = scope.get("raw_path")
    if raw:
        return bytes(raw).partition(b"?")[0].decode("latin-1")
    return urllib.parse.quote(scope["path"])


def encode_headers(reply: _native.Reply) -> Headers:
    """A reply's headers, as ASGI has them."""
    return [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in reply.headers]
