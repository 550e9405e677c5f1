"""Streams as views of Flask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
from werkzeug.datastructures import Headers

from .._access import Channels, Rule
from .._source import Source
from .wsgi import Body, to_request


def view(source: Source, channels: Channels) -> Callable[..., flask.Response]:
    """A view function. What `after_request` functions set on its response is sent along."""
    rule = Rule(channels)

    def stream(**parameters: Any) -> flask.Response:
        environ = flask.request.environ
        reply = source.reply_to(to_request(environ), rule, flask.request, parameters, exact=True)
        if not reply.is_stream:
            return flask.Response(reply.body, reply.status, reply.headers)
        # Passed through, so that the server has our own iterable in its hands.
        body = Body(source, reply, environ)
        headers = [*reply.headers, ("Content-Encoding", "identity")]
        return StreamResponse(body, reply.status, headers, direct_passthrough=True)

    stream.provide_automatic_options = False  # type: ignore[attr-defined]
    stream.methods = ["GET", "HEAD", "OPTIONS"]  # type: ignore[attr-defined]
    return stream


class StreamResponse(flask.Response):
    """A response that is a stream. To extensions it seems to be encoded already, since some would compress it and hold
    events back; to the server it is not."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        """The headers that are sent."""
        headers = super().get_wsgi_headers(environ)
        if headers.get("Content-Encoding") == "identity":
            del headers["Content-Encoding"]
        return headers
