"""An application's events."""

from __future__ import annotations

import json as _json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict

from . import _asgi, _native, _process, _wsgi
from ._aio import Waiting
from ._channels import Channels, Rule
from ._errors import DeadlineError, ForkedError, InvalidError, InvalidEventError
from ._messages import Received, Reset, from_fields
from ._native import Receipt
from ._request import HttpRequest

if TYPE_CHECKING:
    import flask
    from django.http.response import HttpResponseBase
    from starlette.requests import Request as StarletteRequest
    from typing_extensions import Self, Unpack

    from ._starlette import StreamResponse

logger = logging.getLogger("evstream")


class Options(TypedDict, total=False):
    """The settings, the same in all languages; `None` leaves one at its default. `python -m evstream` explains them."""

    history_events: int | None
    history_age_ms: int | None
    history_bytes: int | None
    backlog_events: int | None
    channel_limit: int | None
    max_event_bytes: int | None
    keep_alive_ms: int | None
    keep_alive_comment: bool | None
    write_timeout_ms: int | None
    slow_client: str | None
    max_age_ms: int | None
    retry_ms: int | None
    max_streams: int | None
    max_streams_per_address: int | None
    cors_origins: str | list[str] | None
    cors_credentials: bool | None
    cors_headers: str | list[str] | None
    grip: str | list[str] | None
    grip_verify_key: str | None
    grip_prefix: str | None
    grip_required: bool | None
    grip_trust_unverified: bool | None
    grip_link_timeout_ms: int | None
    grip_link_lifetime_ms: int | None
    grip_link_secret: str | None
    grip_queue_events: int | None
    grip_deadline_ms: int | None
    shards: int | None
    server_threads: int | None
    header_timeout_ms: int | None
    max_header_bytes: int | None
    max_url_bytes: int | None
    max_body_bytes: int | None
    body_timeout_ms: int | None


class Events:
    """An application's events: its settings, channels, history and streams. Make one per application; it is safe to
    use from any thread, and no thread is started before a stream is opened, a server bound or a subscription made.

    `json` writes data as JSON, such as `orjson.dumps`. `adopt=False` leaves clients' sockets with the server that
    accepted them. All other keywords are settings. Raises `ConfigError`.

    In a forked child it begins anew, without the history and the streams of the parent.
    """

    def __init__(
        self,
        *,
        json: Callable[[Any], str | bytes] | None = None,
        adopt: bool = True,
        **options: Unpack[Options],
    ) -> None:
        self._grip = bool(options.get("grip"))
        self._options = dict(options)
        self._native = _native.Events(self._options)
        self._encode = _encode if json is None else json
        self._adopt = adopt
        self._links_answered = False
        self._links_missed = False
        self._unheard = False
        self._generation = 0
        self._closed = False
        _process.register(self)

    def publish(
        self,
        channel: str,
        data: Any = None,
        *,
        text: str | None = None,
        event: str | None = None,
        retry_ms: int | None = None,
        comment: str | None = None,
    ) -> Receipt:
        """Publishes an event: `data` as JSON, or `text` as it is. Never waits for a client or a proxy, so that it can
        be called from anywhere, also from coroutines.

        `event` is the event's type; `retry_ms` asks clients to wait so long before they reconnect. Raises
        `InvalidEventError`, `InvalidError` or `ClosedError`.
        """
        if text is None:
            try:
                encoded = self._encode(data)
            except (TypeError, ValueError, RecursionError) as error:
                raise InvalidEventError(f"the data cannot be written as JSON: {error}") from error
            text = encoded if isinstance(encoded, str) else encoded.decode()
        elif data is not None:
            raise InvalidError("an event has data or text, not both")
        try:
            receipt = self._native.publish(channel, text, event, retry_ms, comment)
        except UnicodeEncodeError as error:
            raise InvalidEventError(f"the event cannot be written as UTF-8: {error}") from error
        except OverflowError as error:
            raise InvalidEventError(f"retry_ms is out of range: {retry_ms}") from error
        if self._unheard and receipt.streams == 0:
            self._tell_unheard(receipt)
        return receipt

    async def apublish(
        self,
        channel: str,
        data: Any = None,
        *,
        text: str | None = None,
        event: str | None = None,
        retry_ms: int | None = None,
        comment: str | None = None,
    ) -> Receipt:
        """As `publish`, but waits until every GRIP proxy has the event. Raises `ProxyError` when one did not get it;
        the other proxies and the streams of this process have got it nevertheless."""
        receipt = self.publish(channel, data, text=text, event=event, retry_ms=retry_ms, comment=comment)
        if self._grip:
            for _, error in await Waiting().next(receipt):
                if error is not None:
                    raise error
        return receipt

    def subscribe(self, *channels: str) -> Subscription:
        """Reads channels in this process, from now on: iterate over it, with `for` or `async for`. It ends when it or
        the events are closed. Raises `InvalidError` or `ClosedError`."""
        _process.start_logging()
        return Subscription(self, self._native.subscribe(list(channels)))

    def serve(
        self, host: str = "127.0.0.1", port: int = 0, *, path: str = "/events/", channels: Channels = None
    ) -> Server:
        """Listens with an HTTP server of evstream's own; port 0 takes a free one, and a `host` of `unix:PATH` a Unix
        socket. Raises `ConfigError`, `InvalidError`, `IoError` or `ClosedError`."""
        _process.start_logging()
        address = host if host.startswith("unix:") else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        rule = Rule(channels)

        def authorize(request: _native.Request) -> _native.Access:
            access = rule.access(HttpRequest.from_native(request), {})
            return access if isinstance(access, _native.Access) else _wsgi.run(access)

        native = self._native.serve(address, path, rule._names, authorize if callable(channels) else None)
        return Server(self, native)

    def asgi(self, channels: Channels = None) -> _asgi.Endpoint:
        """An ASGI application that answers with streams, to be mounted in Starlette, FastAPI or any other.

        A function for channels, also a coroutine function, is given an `HttpRequest`."""
        return _asgi.Endpoint(self, channels)

    def response(self, request: StarletteRequest, channels: Channels = None) -> StreamResponse:
        """The response of a Starlette or FastAPI route that is a stream. A function for channels is given `request`."""
        from ._starlette import StreamResponse

        return StreamResponse(self, request, channels)

    def wsgi(self, channels: Channels = None) -> _wsgi.Endpoint:
        """A WSGI application that answers with streams. A function for channels is given an `HttpRequest`."""
        return _wsgi.Endpoint(self, channels)

    def flask(self, channels: Channels = None) -> Callable[..., flask.Response]:
        """A view function for Flask. A function for channels is given `flask.request`."""
        from ._flask import view

        return view(self, channels)

    def django(self, channels: Channels = None) -> Callable[..., HttpResponseBase]:
        """A view for Django, under WSGI and ASGI alike. A function for channels is given Django's request."""
        from .django._view import view

        return view(self, channels)

    def asgi_links(self, app: _asgi.ASGIApp) -> _asgi.Links:
        """Middleware around an ASGI application whose routes are streams behind a GRIP proxy: it answers what proxies
        ask to repair streams, one path segment below each route, and must come before what needs a user."""
        return _asgi.Links(app, self)

    def wsgi_links(self, app: _wsgi.WSGIApp) -> _wsgi.Links:
        """The same for a WSGI application: `app.wsgi_app = events.wsgi_links(app.wsgi_app)`."""
        return _wsgi.Links(app, self)

    def stats(self) -> dict[str, Any]:
        """Figures at this moment, of this process: `open`, `opened` and `closed` (by reason) streams, `deliveries`,
        `bytes`, `resets` (by reason), `refused`, `held`, `repairs`, `grip_refused`, `publish_failures`, `channels`,
        `published`, `history_bytes`."""
        return self._native.stats()

    def close(self, timeout: float = 5.0) -> int:
        """Ends everything within `timeout` seconds: refuses further publishing, asks each client to come back later,
        and delivers what waits for proxies. Gives the number of events that proxies did not get. Calling it again
        does nothing; the end of the interpreter calls it too."""
        self._closed = True
        return self._native.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import asyncio

        await asyncio.to_thread(self.close)

    def _open(self, request: _native.Request, access: _native.Access) -> _native.Reply:
        self._unheard = False
        _process.start_logging()
        return self._native.open(request, access)

    def _check_links(self, reply: _native.Reply) -> None:
        """Says so loudly when a stream goes to a GRIP proxy that will ask below its path, and nobody answers there."""
        if self._grip and not (self._links_answered or self._links_missed):
            self._links_missed = any(name == "Grip-Link" for name, _ in reply.headers)
            if self._links_missed:
                logger.error(
                    "a stream was handed to a GRIP proxy, which will ask below the stream's path to repair it, but "
                    "nothing answers there: add the middleware Events.asgi_links, Events.wsgi_links or "
                    "evstream.django.LinksMiddleware"
                )

    def _tell_unheard(self, receipt: Receipt) -> None:
        """Says once that a worker, such as Celery's, publishes to nobody: the streams are in the process it was forked
        from."""
        self._unheard = False
        if receipt.local_only:
            logger.warning(
                "an event was published in a forked process that has no streams: those of other processes get it only "
                "through a GRIP proxy, and none is configured"
            )

    def _renew(self) -> None:
        """Begins anew in a forked child. What belongs to the parent is never freed here: its threads are not there."""
        self._native.leak()
        self._generation += 1
        self._unheard = True
        self._native = _native.Events(self._options)
        if self._closed:
            self._native.close(0.0)


class _Owned:
    """Something that belongs to the process that made it."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._generation = events._generation

    def _check_process(self) -> None:
        if self._generation != self._events._generation:
            kind = type(self).__name__.lower()
            raise ForkedError(f"the {kind} belongs to the process that forked this one; make a new one after a fork")


class Subscription(_Owned):
    """A reader of channels inside the process: `for message in subscription`, or `async for`. Gives `Received`, and
    `Reset` where events were missed because the reader was too slow. Also a context manager that closes it."""

    def __init__(self, events: Events, native: _native.Subscription) -> None:
        super().__init__(events)
        self._native = native
        self._waiting: Waiting | None = None

    def next(self, timeout: float | None = None) -> Received | Reset | None:
        """The next message; `None` when the subscription or the events are closed. Raises `DeadlineError` when there
        was none within `timeout` seconds."""
        left = float("inf") if timeout is None else timeout
        while True:
            self._check_process()
            # In slices, so that Ctrl-C comes through.
            ready, fields = self._native.next(max(0.0, min(left, SLICE_S)))
            if ready:
                return None if fields is None else from_fields(fields)
            left -= SLICE_S
            if left <= 0:
                raise DeadlineError("the channels had no event in the time given")

    def close(self) -> None:
        """Ends it; whoever iterates over it comes to the end."""
        self._native.close()
        if self._waiting is not None:
            self._waiting.wake()

    def __iter__(self) -> Iterator[Received | Reset]:
        return self

    def __next__(self) -> Received | Reset:
        message = self.next()
        if message is None:
            raise StopIteration
        return message

    def __aiter__(self) -> AsyncIterator[Received | Reset]:
        return self

    async def __anext__(self) -> Received | Reset:
        self._check_process()
        self._waiting = Waiting()
        try:
            fields = await self._waiting.next(self._native)
        finally:
            self._waiting = None
        if fields is None:
            raise StopAsyncIteration
        return from_fields(fields)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Server(_Owned):
    """A listening server of evstream's own. Also a context manager that closes it."""

    def __init__(self, events: Events, native: _native.Server) -> None:
        super().__init__(events)
        self._native = native

    @property
    def address(self) -> str:
        """Where it listens: `host:port`, or `unix:PATH`."""
        return self._native.address

    @property
    def port(self) -> int:
        """The port it listens on; 0 for a Unix socket."""
        port = self.address.rpartition(":")[2]
        return int(port) if port.isdigit() else 0

    def close(self, timeout: float = 5.0) -> bool:
        """Ends it within `timeout` seconds: takes no more connections and asks its clients to come back later. False
        when the time was not enough."""
        self._check_process()
        return self._native.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


SLICE_S = 0.2
_encode: Callable[[Any], str] = _json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
