"""Streams as views of Django, under WSGI and ASGI."""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, cast

from asgiref.sync import async_to_sync
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from .._access import Channels, Rule
from .._aio import AsyncioLimit
from .._native import Access, Reply, Request
from .._source import Source
from .._waiting import AsyncPull, current_hub
from . import asgi, wsgi
from .daphne import Pace
from .pieces import pieces
from .uvicorn import Handover, find_cycle

FRAMES = 16


def view(source: Source, channels: Channels) -> Callable[..., Any]:
    """A view with these channels: an asynchronous one if `channels` is a coroutine function."""
    rule = make_rule(channels)

    def stream(request: HttpRequest, **parameters: Any) -> HttpResponseBase:
        return respond(source, rule, request, request, parameters, exact=True)

    async def astream(request: HttpRequest, **parameters: Any) -> HttpResponseBase:
        reply = await source.areply_to(to_request(request), rule, request, parameters, exact=True)
        return to_response(source, reply, request)

    chosen: Any = astream if inspect.iscoroutinefunction(channels) else stream
    chosen.csrf_exempt = True
    return cast("Callable[..., Any]", chosen)


def make_rule(channels: Channels) -> Rule:
    """A rule for which Django's own exception refuses a client, too."""
    return Rule(channels, refusals=(PermissionDenied,))


def respond(
    source: Source, rule: Rule, request: HttpRequest, shown: Any, parameters: Mapping[str, Any], *, exact: bool
) -> HttpResponseBase:
    """Answers a request; a function for channels is given `shown`."""
    reply = source.reply_to(to_request(request), rule, shown, parameters, exact=exact, run=_run)
    return to_response(source, reply, request)


def to_response(source: Source, reply: Reply, request: HttpRequest) -> HttpResponseBase:
    """A reply as Django has responses."""
    response: HttpResponseBase
    if not reply.is_stream:
        response = HttpResponse(reply.body, status=reply.status)
    elif isinstance(request := unwrap(request), ASGIRequest):
        response = StreamResponse(AsyncBody(source, reply, request.scope), status=reply.status)
    else:
        response = StreamResponse(wsgi.Body(source, reply, request.META), status=reply.status)
    del response.headers["Content-Type"]
    for name, value in reply.headers:
        response.headers[name] = value
    if reply.is_stream:
        response.headers["Content-Encoding"] = "identity"
    return response


class StreamResponse(StreamingHttpResponse):
    """A response that is a stream. To middleware it seems to be encoded already, since Django's `GZipMiddleware` would
    hold events back; to the server it is not."""

    def items(self) -> Any:
        """The headers that are sent."""
        return [item for item in super().items() if item != ("Content-Encoding", "identity")]


def to_request(request: HttpRequest) -> Request:
    """A request of Django as the core has it."""
    request = unwrap(request)
    return asgi.to_request(request.scope) if isinstance(request, ASGIRequest) else wsgi.to_request(request.META)


def raw_path(request: HttpRequest) -> str:
    """The path as it stands in the request line."""
    request = unwrap(request)
    return asgi.raw_path(request.scope) if isinstance(request, ASGIRequest) else wsgi.raw_path(request.META)


def unwrap(request: HttpRequest) -> HttpRequest:
    """Django's request, also from that of Django REST framework, which is around it."""
    inner = getattr(request, "_request", None)
    return inner if isinstance(inner, HttpRequest) else request


class AsyncBody:
    """The body of a stream under ASGI: its first bytes; then nothing, if the socket could be taken over, or all that
    follows."""

    def __init__(self, source: Source, reply: Reply, scope: Mapping[str, Any]) -> None:
        self._source = source
        self._reply = reply
        self._scope = scope
        self._started = False
        self._handover: Handover | None = None
        self._pulled: _Pulled | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._started:
            self._started = True
            adopt = self._source.adopt and not current_hub().is_stopping()
            cycle = find_cycle(_find_send(), self._scope) if adopt else None
            self._handover = Handover.begin(cycle, self._reply) if cycle is not None else None
            return self._reply.body
        if self._pulled is None:
            handover, self._handover = self._handover, None
            if handover is not None and await handover.finish():
                current_hub().end_adopted_with_host(self._source)
                raise StopAsyncIteration
            self._pulled = _Pulled(self._source, self._reply, Pace.begin(_find_send()))
        return await self._pulled.next()

    def close(self) -> None:
        """Called by Django when it has no more use for it."""
        if self._handover is not None:
            self._handover.undo()
        if self._pulled is not None:
            self._pulled.close()
        self._reply.close()


class _Pulled:
    """A stream that Django sends. When it does not come back for more in time, its task is cancelled."""

    def __init__(self, source: Source, reply: Reply, pace: Pace | None) -> None:
        source.advice.pulled(source.adopt)
        self._pull = AsyncPull(reply.pull())
        self._limit = AsyncioLimit(source.native.write_timeout)
        self._pace = pace
        self._pieces: Iterator[bytes] = iter(())

    async def next(self) -> bytes:
        self._limit.stop()
        piece = next(self._pieces, None)
        while piece is None:
            chunk = await self._pull.next()
            if chunk is None:
                self.close()
                raise StopAsyncIteration
            self._pieces = pieces(chunk)
            piece = next(self._pieces, None)
        if self._pace is not None:
            try:
                await self._limit.call(self._pace.wait, None)
            except TimeoutError:
                self.close()
                raise StopAsyncIteration from None
        self._limit.start()
        return piece

    def close(self) -> None:
        self._pull.close("write-timeout" if self._limit.expired else "client")
        self._limit.end()
        if self._pace is not None:
            self._pace.end()


def _find_send() -> Any:
    """The `send` that Django's handler calls with what we yield. Django gives it to nobody, but it is who asks us."""
    frame = sys._getframe(1)
    for _ in range(FRAMES):
        if frame.f_code.co_name == "send_response" and frame.f_globals.get("__name__") == "django.core.handlers.asgi":
            return frame.f_locals.get("send")
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def _run(access: Any) -> Access:
    """What a coroutine function gives; Django knows whether there is an event loop that it belongs to."""

    async def wait() -> Access:
        result: Access = await access
        return result

    return async_to_sync(wait)()
