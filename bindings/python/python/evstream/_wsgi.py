"""Streams in WSGI servers.

A server asks our iterable for the first bytes before it writes the head. At that moment one end of a socket pair is put
in place of its socket, so that we read what it writes: head and first bytes, framed as it likes. When it asks again and
they are what we expect, the socket is ours and the server, which now talks to nobody, is free. If not, its socket is
put back, what was caught goes out, and the stream's bytes are given to the server piece by piece.
"""

from __future__ import annotations

import contextlib
import http
import inspect
import io
import os
import select
import socket
import time
import types
import urllib.parse
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from . import _native
from ._channels import Channels, Rule
from ._framing import is_chunked
from ._request import HttpRequest
from ._stopping import CHECK_EVERY_S, host_is_stopping

if TYPE_CHECKING:
    from ._events import Events

Environ: TypeAlias = "dict[str, Any]"
StartResponse: TypeAlias = Callable[..., Any]
WSGIApp: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]


class Endpoint:
    """A WSGI application that answers with streams."""

    def __init__(self, events: Events, channels: Channels = None) -> None:
        self._events = events
        self._rule = Rule(channels)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = to_http_request(environ)
        reply = answer(self._events, self._rule, request, {}, environ)
        return send(self._events, reply, environ, start_response)


class Links:
    """WSGI middleware that answers what GRIP proxies ask on behalf of streams they hold, before any routing."""

    def __init__(self, app: WSGIApp, events: Events) -> None:
        self._app = app
        self._events = events
        events._links_answered = True

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if _native.is_link(raw_path(environ)):
            reply = self._events._native.screen(to_request(environ))
            if reply is not None:
                return send(self._events, reply, environ, start_response)
        return self._app(environ, start_response)


def answer(events: Events, rule: Rule, request: Any, parameters: Mapping[str, Any], environ: Environ) -> _native.Reply:
    """Answers a request; `request` is what a function for channels is given."""
    native = to_request(environ)
    reply = events._native.screen(native)
    if reply is not None:
        return reply
    access = rule.access(request, parameters)
    return events._open(native, run(access) if inspect.isawaitable(access) else access)


def run(access: Awaitable[_native.Access]) -> _native.Access:
    """What a coroutine function for channels gives, on an event loop of its own."""
    import asyncio

    return asyncio.run(cast("Coroutine[Any, Any, _native.Access]", access))


def send(events: Events, reply: _native.Reply, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Sends a reply."""
    headers = list(reply.headers)
    if not reply.is_stream and reply.status != 204:
        headers.append(("Content-Length", str(len(reply.body))))
    start_response(f"{reply.status} {http.HTTPStatus(reply.status).phrase}", headers)
    return Body(events, reply, environ) if reply.is_stream else [reply.body]


class Body:
    """The body of a stream: its first bytes; then nothing, if the socket could be taken over, or all that follows."""

    def __init__(self, events: Events, reply: _native.Reply, environ: Environ) -> None:
        self._reply = reply
        self._environ = environ
        self._adopt = events._adopt
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
        self._handover = Handover.begin(self._environ) if self._adopt else None
        yield self._reply.body
        if self._handover is None or not self._handover.finish(self._reply):
            yield from _pull(self._reply.pull(), Hangup(self._environ))


class Handover:
    """A socket pair in the place of a server's socket."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._client = os.dup(fd)
        self._ours, theirs = socket.socketpair()
        with theirs:
            theirs.setblocking(os.get_blocking(fd))
            os.dup2(theirs.fileno(), fd, inheritable=os.get_inheritable(fd))
        self._ours.setblocking(False)

    @classmethod
    def begin(cls, environ: Mapping[str, Any]) -> Handover | None:
        """Puts a pair in the place of the socket of the server, if it is one of those whose socket can be taken."""
        sock = find_socket(environ)
        # TLS and gevent have other classes of sockets.
        if type(sock) is not socket.socket or socket.socket.__module__ != "socket" or sock.fileno() < 0:
            return None
        return cls(sock.fileno())

    def finish(self, reply: _native.Reply) -> bool:
        """Takes the socket; false when it cannot be taken, and then the stream is to be pulled."""
        caught = self._caught()
        chunked = is_chunked(caught, reply.body)
        if chunked is None:
            self._put_back(caught)
            return False
        self._ours.shutdown(socket.SHUT_WR)  # the server sees its client gone
        client, self._client = self._client, -1
        reply.adopt(client, chunked, caught)
        return True

    def close(self) -> None:
        """Lets go of what is left; the server's socket is its own again if it was not taken."""
        if self._client >= 0:
            with contextlib.suppress(OSError):
                self._put_back(self._caught())
        self._ours.close()

    def _caught(self) -> bytes:
        caught = []
        with contextlib.suppress(BlockingIOError):
            while some := self._ours.recv(65_536):
                caught.append(some)
        return b"".join(caught)

    def _put_back(self, caught: bytes) -> None:
        client, self._client = self._client, -1
        with socket.socket(fileno=client) as sock:
            os.dup2(client, self._fd, inheritable=os.get_inheritable(self._fd))
            sock.sendall(caught)


def find_socket(environ: Mapping[str, Any]) -> Any | None:
    """The socket of gunicorn's sync and gthread workers, of werkzeug's server, and of `wsgiref` and Django's
    `runserver`, which have it behind the request's body."""
    sock = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if sock is None and str(environ.get("SERVER_SOFTWARE", "")).startswith("WSGIServer/"):
        body = environ.get("wsgi.input")
        reader = getattr(getattr(body, "_read", None), "__self__", body)
        if isinstance(reader, io.BufferedReader) and isinstance(reader.raw, socket.SocketIO):
            sock = getattr(reader.raw, "_sock", None)
    return sock


class Hangup:
    """Tells when a client has closed its connection, on servers whose socket can be seen."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._poll: select.poll | None = None
        sock = find_socket(environ)
        if sock is not None and sock.fileno() >= 0 and hasattr(select, "POLLRDHUP"):
            self._poll = select.poll()
            self._poll.register(sock.fileno(), select.POLLRDHUP)

    def __bool__(self) -> bool:
        return self._poll is not None and bool(self._poll.poll(0))


def _pull(pull: _native.Pull, hangup: Hangup) -> Iterator[bytes]:
    """A stream's bytes; they end early, with last words, when the server is about to stop."""
    # Under gevent and eventlet a wait of ours would hold up the whole worker, and their sleep does not.
    cooperative = not isinstance(time.sleep, types.BuiltinFunctionType)
    gone = True
    try:
        while not host_is_stopping():
            chunk = pull.next(0.0 if cooperative else WAIT_S)
            if chunk is None:
                break
            if chunk:
                yield chunk
            elif hangup:
                return
            elif cooperative:
                time.sleep(COOPERATIVE_WAIT_S)
        else:
            yield pull.finish() or b""
        gone = False
    finally:
        pull.close(gone)


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


def to_http_request(environ: Mapping[str, Any]) -> HttpRequest:
    """The request of a WSGI environ, for a function for channels."""
    headers = {name[5:].replace("_", "-").lower(): str(v) for name, v in environ.items() if name.startswith("HTTP_")}
    path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1").decode("utf-8", "replace")
    method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
    return HttpRequest(method, path, query, headers, environ.get("REMOTE_ADDR"), environ)


def raw_path(environ: Mapping[str, Any]) -> str:
    """The path as it stands in the request line, or the same percent-encoded again."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if isinstance(raw, str) and raw.startswith("/"):
        return raw.partition("?")[0]
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return urllib.parse.quote(path.encode("latin-1"))


WAIT_S = 5 * CHECK_EVERY_S
COOPERATIVE_WAIT_S = 0.05
