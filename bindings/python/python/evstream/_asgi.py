"""Streams in ASGI servers."""

from __future__ import annotations

import asyncio
import inspect
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

from . import _native
from ._aio import AsyncPull, end_adopted_with_host
from ._channels import Channels, Rule
from ._request import HttpRequest
from ._uvicorn import Handover, find_cycle

if TYPE_CHECKING:
    from ._events import Events

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = "list[tuple[bytes, bytes]]"


class Endpoint:
    """An ASGI application that answers with streams."""

    def __init__(self, events: Events, channels: Channels = None) -> None:
        self._events = events
        self._rule = Rule(channels)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003, "reason": "this is a stream of text/event-stream"})
        else:
            await answer(self._events, self._rule, HttpRequest.from_scope(scope), scope, receive, send)


class Links:
    """ASGI middleware that answers what GRIP proxies ask on behalf of streams they hold, before any routing."""

    def __init__(self, app: ASGIApp, events: Events) -> None:
        self._app = app
        self._events = events
        events._links_answered = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _native.is_link(raw_path(scope)):
            reply = self._events._native.screen(to_request(scope))
            if reply is not None:
                await send_whole(reply, send, [])
                return
        await self._app(scope, receive, send)


async def answer(
    events: Events,
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
    native = to_request(scope)
    reply = events._native.screen(native)
    if reply is None:
        access = rule.access(request, scope.get("path_params", {}))
        if inspect.isawaitable(access):
            access = await access
        reply = events._open(native, access)
        if exact:
            events._check_links(reply)
    if reply.is_stream:
        await _stream(events, reply, scope, receive, send, headers)
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
    events: Events,
    reply: _native.Reply,
    scope: Scope,
    receive: Receive,
    send: Send,
    headers: Iterable[tuple[bytes, bytes]],
) -> None:
    cycle = find_cycle(receive, scope) if events._adopt else None
    handover = Handover(cycle, reply) if cycle is not None else None
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
        end_adopted_with_host(events)
    else:
        await _pull(AsyncPull(reply.pull()), receive, send)
    # After an adoption this is for middleware; uvicorn no longer listens.
    await send({"type": "http.response.body", "body": b""})


async def _pull(pull: AsyncPull, receive: Receive, send: Send) -> None:
    """Sends a stream's bytes until it ends or the client goes."""
    watch = asyncio.ensure_future(_disconnect(receive, pull))
    try:
        while (chunk := await pull.next()) is not None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except OSError:
        pass  # the client has gone, as ASGI servers may say
    finally:
        watch.cancel()
        pull.close()


async def _disconnect(receive: Receive, pull: AsyncPull) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    pull.close(by_client=True)


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
    query = scope.get("query_string", b"").decode("latin-1")
    return _native.Request(scope["method"], raw_path(scope), query, scope["headers"], client[0] if client else None)


def raw_path(scope: Mapping[str, Any]) -> str:
    """The path as it stands in the request line."""
    raw = scope.get("raw_path")
    if raw:
        return bytes(raw).partition(b"?")[0].decode("latin-1")
    return urllib.parse.quote(scope["path"])


def encode_headers(reply: _native.Reply) -> Headers:
    """A reply's headers, as ASGI has them."""
    return [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in reply.headers]
