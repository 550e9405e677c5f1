"""An application's events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from . import _json
from ._access import Channels
from ._channel import Channel, publish, to_text
from ._messages import Closed, Health, OpenStream, PublishFailure, StreamInfo
from ._mounts import asgi as _asgi
from ._mounts import wsgi as _wsgi
from ._native import Access, Ended, Receipt, Tickets
from ._server import Fallback, Report, Server, serve
from ._source import Source
from ._subscription import Subscription
from ._waiting import Waiting

if TYPE_CHECKING:
    import flask
    from django.http.response import HttpResponseBase
    from starlette.requests import Request as StarletteRequest
    from typing_extensions import Self, Unpack

    from ._mounts.starlette import StreamResponse
    from ._options import Options

T = TypeVar("T")
Function: TypeAlias = Callable[[T], object]


class Events:
    """An application's events: its settings, channels, history and streams. Make one per application; it is safe to
    use from any thread, and no thread is started before a stream is opened, a server bound or a subscription made.

    `json` writes data as JSON, such as `orjson.dumps`. `adopt=False` leaves clients' sockets with the server that
    accepted them. All other keywords are settings. Raises `ConfigError`.

    In a forked child it begins anew, without the history and the streams of the parent. As a context manager it is
    closed at the end, and begins anew when it is entered again.
    """

    def __init__(
        self,
        *,
        json: Callable[[Any], str | bytes] | None = None,
        adopt: bool = True,
        **options: Unpack[Options],
    ) -> None:
        self._source = Source(dict(options), adopt=adopt)
        self._encode = _json.encode if json is None else json

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
        text = to_text(self._encode, data, text)
        source = self._source
        return publish(source, lambda: source.native.publish(channel, text, event, retry_ms, comment))

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
        """As `publish`, but waits until the journal, or every GRIP proxy, has the event. Raises `JournalError` or
        `ProxyError` when one did not get it;
        the other proxies and the streams of this process have got it nevertheless."""
        receipt = self.publish(channel, data, text=text, event=event, retry_ms=retry_ms, comment=comment)
        if not receipt.local_only:
            for _, error in await Waiting().next(receipt):
                if error is not None:
                    raise error
        return receipt

    def publish_to_user(
        self,
        user: str,
        data: Any = None,
        *,
        text: str | None = None,
        event: str | None = None,
        retry_ms: int | None = None,
        comment: str | None = None,
    ) -> Receipt:
        """As `publish`, to all streams of a user as the function for channels has named them: with the setting
        `user_channel` each reads the user's own channel too, which no client can ask for. Raises `InvalidError` without
        that setting, for nobody would get it."""
        channel = self._source.native.user_channel(user)
        return self.publish(channel, data, text=text, event=event, retry_ms=retry_ms, comment=comment)

    async def apublish_to_user(
        self,
        user: str,
        data: Any = None,
        *,
        text: str | None = None,
        event: str | None = None,
        retry_ms: int | None = None,
        comment: str | None = None,
    ) -> Receipt:
        """`publish_to_user` as `apublish` does it."""
        channel = self._source.native.user_channel(user)
        return await self.apublish(channel, data, text=text, event=event, retry_ms=retry_ms, comment=comment)

    def subscribe(self, *channels: str) -> Subscription:
        """Reads channels in this process, from now on: iterate over it, with `for` or `async for`. It ends when it or
        the events are closed. Raises `InvalidError` or `ClosedError`."""
        self._source.start()
        return Subscription(self._source.native.subscribe(list(channels)))

    def channel(self, name: str) -> Channel:
        """The channel of that name, for publishing often and for its number of readers. Raises `InvalidError` or
        `ClosedError`."""
        return Channel(self._source, self._encode, name)

    def reopen(
        self,
        *,
        user: str | None = None,
        channel: str | None = None,
        stream: str | None = None,
        everyone: bool = False,
    ) -> Ended:
        """Has the clients of those streams come back, and the function for channels asked anew: after a change of
        rights. They miss nothing. Streams are meant that have all of what is named; raises `InvalidError` when nothing
        is, unless `everyone` is said. In all workers that share a journal; `Ended.wait` waits until that has it."""
        return self._source.ended(self._source.native.reopen(user, channel, stream, everyone))

    def disconnect(
        self,
        text: str,
        *,
        user: str | None = None,
        channel: str | None = None,
        stream: str | None = None,
        everyone: bool = False,
    ) -> Ended:
        """Ends those streams for good: their clients are told `forbidden` with this text, and get nothing that is
        published after this call. It keeps nobody from asking again, which the function for channels has to refuse.
        Otherwise as `reopen`."""
        return self._source.ended(self._source.native.disconnect(text, user, channel, stream, everyone))

    def streams(
        self,
        *,
        user: str | None = None,
        channel: str | None = None,
        stream: str | None = None,
        everyone: bool = False,
    ) -> list[OpenStream]:
        """The streams of this process that are meant, as `reopen` says, from the oldest to the newest: for a list of
        who is there, and to find clients that are behind. Those that GRIP proxies hold are not among them. It waits
        for the threads that write the streams, a millisecond or less."""
        return [OpenStream(*fields) for fields in self._source.native.streams(user, channel, stream, everyone)]

    def users(self, channel: str) -> list[str]:
        """The users who have streams of a channel open in this process, each once, by their names."""
        return self._source.native.users(channel)

    def ticket(self, tickets: Tickets, access: Access) -> str:
        """A ticket for what `access` grants, which names its channels: for `?ticket=` in the URL of `EventSource`, at
        a mount that has `tickets` in place of channels. It opens a new stream for `open_within` seconds and ends after
        `lasts`, or when `access` expires. It is signed with the setting `ticket_secret`, but not encrypted."""
        return self._source.native.ticket(tickets, access)

    def position(self) -> str:
        """The position now, as the `id` of events has it. Read it before the data that a page shows: a client that
        begins with it, as `?lastEventId=`, gets all that was published since."""
        return self._source.native.position()

    def serve(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        path: str = "/events/",
        channels: Channels = None,
        mounts: Mapping[str, Channels] | None = None,
        fallback: Fallback | None = None,
        accept_publish: bool | str | tuple[str, str] = False,
        metrics: Report = None,
        health: Report = None,
    ) -> Server:
        """Listens with an HTTP server of evstream's own; port 0 takes a free one, and a `host` of `unix:PATH` a Unix
        socket.

        `mounts` are several paths with their channels, in place of `path` and `channels`. `fallback` answers requests
        for other paths: it is given an `HttpRequest` and the body, and gives a status, a media type, and a body.
        `accept_publish` also takes events of other processes at `POST /publish/`, as GRIP proxies do: from anybody
        (`True`, which needs a loopback address or a Unix socket), with a token, or with a user and a password.

        `metrics` and `health` are paths of metrics for Prometheus and of health as JSON (200 or 503; with `?live` after
        it, 200 as long as the process is worth keeping). They need a loopback address or a Unix socket, too, or each a
        function with the path that says who may read it: `metrics=("/metrics", is_scraper)`.

        Raises `ConfigError`, `InvalidError`, `IoError` or `ClosedError`."""
        return serve(
            self._source,
            host if host.startswith("unix:") else f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            {path: channels} if mounts is None else mounts,
            fallback,
            accept_publish,
            metrics,
            health,
        )

    def asgi(self, channels: Channels = None) -> _asgi.Endpoint:
        """An ASGI application that answers with streams, to be mounted in Starlette, FastAPI or any other.

        A function for channels, also a coroutine function, is given an `HttpRequest`."""
        return _asgi.Endpoint(self._source, channels)

    def response(self, request: StarletteRequest, channels: Channels = None) -> StreamResponse:
        """The response of a Starlette or FastAPI route that is a stream. A function for channels is given `request`."""
        from ._mounts.starlette import StreamResponse

        return StreamResponse(self._source, request, channels)

    def wsgi(self, channels: Channels = None) -> _wsgi.Endpoint:
        """A WSGI application that answers with streams. A function for channels is given an `HttpRequest`."""
        return _wsgi.Endpoint(self._source, channels)

    def flask(self, channels: Channels = None) -> Callable[..., flask.Response]:
        """A view function for Flask. A function for channels is given `flask.request`."""
        from ._mounts.flask import view

        return view(self._source, channels)

    def django(self, channels: Channels = None) -> Callable[..., HttpResponseBase]:
        """A view for Django, under WSGI and ASGI alike. A function for channels is given Django's request."""
        from ._mounts.django import view

        return view(self._source, channels)

    def asgi_links(self, app: _asgi.ASGIApp) -> _asgi.Links:
        """Middleware around an ASGI application whose routes are streams behind a GRIP proxy: it answers what proxies
        ask to repair streams, one path segment below each route, and must come before what needs a user."""
        return _asgi.Links(app, self._source)

    def wsgi_links(self, app: _wsgi.WSGIApp) -> _wsgi.Links:
        """The same for a WSGI application: `app.wsgi_app = events.wsgi_links(app.wsgi_app)`."""
        return _wsgi.Links(app, self._source)

    def stats(self) -> dict[str, Any]:
        """Figures at this moment, of this process: `open`, `opened` and `closed` (by reason) streams, `deliveries`,
        `bytes`, `resets` (by reason), `refused`, `connections` and `connections_refused` of `serve`, `held`, `repairs`,
        `grip_refused`, `tokens_refused`, `key_failures`, `publish_failures`, `channels`, `published`, `history_bytes`,
        `journal` (`None` without one) with `connected`, `lag_ms`, `epochs`, `waiting` and `failed`."""
        return self._source.native.stats()

    def metrics(self, *, openmetrics: bool = False) -> str:
        """Metrics of this process as text for Prometheus: OpenMetrics 1.0, or else the older format 0.0.4. For a
        registry of `prometheus_client` there is `evstream.prometheus`."""
        return self._source.native.metrics(openmetrics)

    def health(self) -> Health:
        """Whether this process can serve, and what is wrong. Waits for nothing."""
        return Health(*self._source.native.health())

    def on_open(self, function: Function[StreamInfo]) -> Function[StreamInfo]:
        """Has `function` told of each stream that opens, with a `StreamInfo`; also as a decorator. It is called on a
        thread of evstream's, one call after the other, and must not block it."""
        self._source.observe("open", function)
        return function

    def on_close(self, function: Function[StreamInfo]) -> Function[StreamInfo]:
        """The same for each stream that ends, with its `reason`."""
        self._source.observe("close", function)
        return function

    def on_publish_error(self, function: Function[PublishFailure]) -> Function[PublishFailure]:
        """The same for each event that a GRIP proxy did not get, with a `PublishFailure`."""
        self._source.observe("publish_error", function)
        return function

    def end_streams(self, timeout: float = 1.0) -> None:
        """Asks the clients of all streams to come back later, and ends those that have not taken that in after
        `timeout` seconds. Does not wait for it, and new streams can be opened meanwhile: for a server that is about to
        stop and tells nobody."""
        self._source.end_streams(timeout)

    def close(self, timeout: float = 5.0) -> Closed:
        """Ends everything within `timeout` seconds: refuses further publishing, asks each client to come back later,
        and delivers what waits for proxies. Says whether all has ended, and what proxies did not get; calling it again
        waits on, and gives the same figures. The end of the interpreter calls it too. Raises `CallbackError` in a
        function that decides on channels or answers for `serve`, whose end it would wait for."""
        return self._source.close(timeout)

    def __enter__(self) -> Self:
        self._source.reopen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._source.reopen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import asyncio

        await asyncio.to_thread(self.close)
