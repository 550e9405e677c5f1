"""Streams as views of Django, under WSGI and ASGI."""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from asgiref.sync import async_to_sync
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from .. import _asgi, _wsgi
from .._aio import AsyncPull, end_adopted_with_host
from .._channels import Channels, Rule, refusal
from .._errors import Forbidden
from .._events import Events
from .._native import Access, Reply, Request
from .._uvicorn import Handover, find_cycle
from ._settings import get_channel_manager, get_events


def view(events: Events, channels: Channels) -> Callable[..., HttpResponseBase]:
    """A view with these channels. `PermissionDenied` in a function for channels refuses a client, too."""
    rule = Rule(_forbidding(channels) if callable(channels) else channels)

    def stream(request: HttpRequest, **parameters: Any) -> HttpResponseBase:
        return _answer(events, request, lambda: _awaited(rule.access(request, parameters)), exact=True)

    stream.csrf_exempt = True  # type: ignore[attr-defined]
    return stream


def stream(request: HttpRequest, **parameters: Any) -> HttpResponseBase:
    """A view of the project's events, with the channels that the project's channel manager gives."""
    return _answer(get_events(), request, lambda: _managed(request, parameters), exact=False)


stream.csrf_exempt = True  # type: ignore[attr-defined]


def to_response(events: Events, reply: Reply, request: HttpRequest) -> HttpResponseBase:
    """A reply as Django has responses."""
    response: HttpResponseBase
    if not reply.is_stream:
        response = HttpResponse(reply.body, status=reply.status)
    elif isinstance(request, ASGIRequest):
        response = StreamResponse(AsyncBody(events, reply, request.scope), status=reply.status)
    else:
        response = StreamResponse(_wsgi.Body(events, reply, _environ(request)), status=reply.status)
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
    return _asgi.to_request(request.scope) if isinstance(request, ASGIRequest) else _wsgi.to_request(_environ(request))


def raw_path(request: HttpRequest) -> str:
    """The path as it stands in the request line."""
    return _asgi.raw_path(request.scope) if isinstance(request, ASGIRequest) else _wsgi.raw_path(_environ(request))


class AsyncBody:
    """The body of a stream under ASGI: its first bytes; then nothing, if the socket could be taken over, or all that
    follows."""

    def __init__(self, events: Events, reply: Reply, scope: Mapping[str, Any]) -> None:
        self._events = events
        self._reply = reply
        self._scope = scope
        self._handover: Handover | None = None
        self._pull: AsyncPull | None = None
        self._started = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._started:
            self._started = True
            cycle = find_cycle(_find_send(), self._scope) if self._events._adopt else None
            self._handover = Handover(cycle, self._reply) if cycle is not None else None
            return self._reply.body
        if self._pull is None:
            handover, self._handover = self._handover, None
            if handover is not None and await handover.finish():
                end_adopted_with_host(self._events)
                raise StopAsyncIteration
            self._pull = AsyncPull(self._reply.pull())
        chunk = await self._pull.next()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        """Called by Django when it has no more use for it."""
        if self._handover is not None:
            self._handover.undo()
        if self._pull is not None:
            self._pull.close(by_client=True)
        self._reply.close()


def _find_send() -> Any:
    """The `send` that Django's handler calls with what we yield. Django gives it to nobody, but it is who asks us."""
    frame = sys._getframe(2)
    for _ in range(FRAMES):
        if frame.f_code.co_name == "send_response" and frame.f_globals.get("__name__") == "django.core.handlers.asgi":
            return frame.f_locals.get("send")
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def _answer(events: Events, request: HttpRequest, decide: Callable[[], Access], *, exact: bool) -> HttpResponseBase:
    native = to_request(request)
    reply = events._native.screen(native)
    if reply is None:
        reply = events._open(native, decide())
        if exact:
            events._check_links(reply)
    return to_response(events, reply, request)


def _managed(request: HttpRequest, parameters: Mapping[str, Any]) -> Access:
    """What the channel manager says."""
    try:
        manager = get_channel_manager()
        user = getattr(request, "user", None)
        user = user if user is not None and user.is_authenticated else None
        channels = sorted(manager.get_channels_for_request(request, parameters))
        refused = [channel for channel in channels if not manager.can_read_channel(user, channel)]
        if refused:
            return Access.forbid(f"Permission denied to channels: {', '.join(refused)}")
        return Access(channels, user=None if user is None else str(user.pk))
    except PermissionDenied as error:
        return Access.forbid(str(error)) if str(error) else Access.forbid()
    except Exception as error:
        return refusal(error)


def _forbidding(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function, with Django's own exception for what is forbidden."""
    if inspect.iscoroutinefunction(function):

        async def adecide(request: HttpRequest) -> Any:
            try:
                return await function(request)
            except PermissionDenied as error:
                raise Forbidden(*error.args) from error

        return adecide

    def decide(request: HttpRequest) -> Any:
        try:
            return function(request)
        except PermissionDenied as error:
            raise Forbidden(*error.args) from error

    return decide


def _awaited(access: Any) -> Access:
    async def wait() -> Access:
        result: Access = await access
        return result

    return async_to_sync(wait)() if inspect.isawaitable(access) else access


def _environ(request: HttpRequest) -> dict[str, Any]:
    return request.META


FRAMES = 16
