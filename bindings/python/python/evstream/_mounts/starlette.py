"""Streams as responses of Starlette's and FastAPI's routes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from .._access import Channels, Rule
from .._source import Source
from .asgi import Receive, Scope, Send, answer


class StreamResponse(Response):
    """A response that is a stream. Headers and cookies set on it are sent along."""

    def __init__(self, source: Source, request: Request, channels: Channels) -> None:
        super().__init__(None)
        del self.headers["content-length"]
        self._source = source
        self._request = request
        self._rule = Rule(channels)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(self._source, self._rule, self._request, scope, receive, send, self.raw_headers, exact=True)
        if self.background is not None:
            await self.background()
