"""Taking a client's socket from a WSGI server.

A server asks our iterable for the first bytes before it writes the head. At that moment one end of a socket pair is put
in place of its socket, so that we read what it writes: head and first bytes, framed as it likes. When it asks again and
they are what we expect, the socket is ours and the server, which now talks to nobody, is free. If not, its socket is
put back, what was caught goes out, and the stream's bytes are given to the server piece by piece.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

from .._native import Reply, has_hung_up
from .framing import is_chunked


class Handover:
    """A socket pair in the place of a server's socket."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._client = os.dup(fd)
                theirs.setblocking(os.get_blocking(fd))
                os.dup2(theirs.fileno(), fd, inheritable=os.get_inheritable(fd))
            except OSError:
                self._ours.close()
                raise
        self._ours.setblocking(False)

    @classmethod
    def begin(cls, environ: Mapping[str, Any]) -> Handover | None:
        """Puts a pair in the place of the socket of the server, if it is one of those whose socket can be taken."""
        sock = find_socket(environ)
        # TLS and gevent have other classes of sockets.
        if type(sock) is not socket.socket or socket.socket.__module__ != "socket" or sock.fileno() < 0:
            return None
        try:
            return cls(sock.fileno())
        except OSError:
            return None  # no descriptor is left for it

    def finish(self, reply: Reply) -> bool:
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


class Client:
    """What can be seen and said of the client of a stream that the server sends."""

    def __init__(self, environ: Mapping[str, Any], write_timeout_s: float) -> None:
        sock = find_socket(environ)
        self._fd = -1
        if sock is not None and sock.fileno() >= 0:
            self._fd = sock.fileno()
            # Or the server would wait without end for a client that takes nothing.
            if sock.gettimeout() is None:
                sock.settimeout(write_timeout_s)
        elif (uwsgi := sys.modules.get("uwsgi")) is not None:
            self._fd = uwsgi.connection_fd()

    def has_gone(self) -> bool:
        """Whether it has closed its connection, on servers whose socket can be seen."""
        return self._fd >= 0 and has_hung_up(self._fd)
