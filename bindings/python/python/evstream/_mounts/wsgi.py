"""Streams in WSGI servers."""

from __future__ import annotations

import http
import time
import urllib.parse
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from .. import _native
from .._access import Channels, Rule
from .._green import GREEN_WAIT_S, is_green
from .._request import HttpRequest
from .._source import Source
from .._stopping import CHECK_EVERY_S, IsStopping, watch_wsgi_host
from .pieces import pieces
from .sockets import Client, Handover

Environ: TypeAlias = "dict[str, Any]"
StartResponse: TypeAlias = Callable[..., Any]
WSGIApp: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]

WAIT_S = 5 * CHECK_EVERY_S


class Endpoint:
    """A WSGI application that answers with streams."""

    def __init__(self, source: Source, channels: Channels = None) -> None:
        self._source = source
        self._rule = Rule(channels)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        shown = HttpRequest.from_environ(environ)
        reply = self._source.reply_to(to_request(environ), self._rule, shown, {})
        return send(self._source, reply, environ, start_response)


class Links:
    """WSGI middleware that answers what GRIP proxies ask on behalf of streams they hold, before any routing."""

    def __init__(self, app: WSGIApp, source: Source) -> None:
        self._app = app
        self._source = source
        source.advice.links_answered = True

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if _native.is_link(raw_path(environ)):
            reply = self._source.screen(to_request(environ))
            if isinstance(reply, _native.Reply):
                return send(self._source, reply, environ, start_response)
        return self._app(environ, start_response)


def send(source: Source, reply: _native.Reply, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Sends a reply."""
    headers = list(reply.headers)
    if not reply.is_stream and reply.status != 204:
        headers.append(("Content-Length", str(len(reply.body))))
    start_response(f"{reply.status} {http.HTTPStatus(reply.status).phrase}", headers)
    return Body(source, reply, environ) if reply.is_stream else [reply.body]


class Body:
    """The body of a stream: its first bytes; then nothing, if the socket could be taken over, or all that follows."""

    def __init__(self, source: Source, reply: _native.Reply, environ: Environ) -> None:
        self._source = source
        self._reply = reply
        self._environ = environ
        self._handover: Handover | None = None
        self._steps = self._run()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._steps)

    def close(self) -> None:
        """Called by the server when it has no more use for it."""
        self._steps.close()
        self._reply.close()
        if self._handover is not None:
            self._handover.close()

    def _run(self) -> Generator[bytes, None, None]:
        self._handover = Handover.begin(self._environ) if self._source.adopt else None
        yield self._reply.body
        if self._handover is None or not self._handover.finish(self._reply):
            self._source.advice.pulled(self._source.adopt)
            timeout_s = self._source.native.write_timeout
            client = Client(self._environ, timeout_s)
            with watch_wsgi_host() as is_stopping:
                yield from _pull(self._reply.pull(), client, timeout_s, is_stopping)


def _pull(pull: _native.Pull, client: Client, write_timeout_s: float, is_stopping: IsStopping) -> Iterator[bytes]:
    """A stream's bytes; they end early, with last words, when the server is about to stop."""
    # Under gevent and eventlet a wait of ours would hold up the whole worker, and their sleep does not.
    green = is_green()
    given_at, reason = time.monotonic(), "client"
    try:
        while not is_stopping():
            chunk = pull.next(0.0 if green else WAIT_S)
            if chunk is None:
                break
            for piece in pieces(chunk):
                given_at = time.monotonic()
                yield piece
            if not chunk and client.has_gone():
                return
            if not chunk and green:
                time.sleep(GREEN_WAIT_S)
        else:
            yield pull.finish() or b""
        reason = "dropped"
    except GeneratorExit:
        # The server has given up on writing to the client.
        if time.monotonic() - given_at >= write_timeout_s:
            reason = "write-timeout"
        raise
    finally:
        pull.close(reason)


def to_request(environ: Mapping[str, Any]) -> _native.Request:
    """The request of a WSGI environ."""
    headers = [
        (name[5:].replace("_", "-").encode("latin-1"), value.encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]
    return _native.Request(
        environ["REQUEST_METHOD"],
        raw_path(environ),
        environ.get("QUERY_STRING", ""),
        headers,
        environ.get("REMOTE_ADDR"),
    )


def raw_path(environ: Mapping[str, Any]) -> str:
    """The path as it stands in the request line, or the same percent-encoded again."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if isinstance(raw, str) and raw.startswith("/"):
        return raw.partition("?")[0]
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return urllib.parse.quote(path.encode("latin-1"))
