"""Waiting for clients under daphne, whose `send` takes whatever it is given and keeps it in memory."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from .._stopping import is_of


class Pace:
    """Follows Twisted's flow control of one request, as its producer."""

    def __init__(self, request: Any) -> None:
        self._free = asyncio.Event()
        self._free.set()
        request.registerProducer(self, True)
        self._request = request

    @classmethod
    def begin(cls, send: Any) -> Pace | None:
        """Takes part in the flow control, if `send` is daphne's own."""
        request = send.args[0] if isinstance(send, functools.partial) and len(send.args) == 1 else None
        if not is_of(request, "daphne.http_protocol") or getattr(request, "producer", None) is not None:
            return None
        return cls(request)

    async def wait(self, _: object = None) -> None:
        """Waits until the client has taken most of what was sent."""
        await self._free.wait()

    def end(self) -> None:
        """Leaves the flow control, without which the request cannot be finished."""
        if self._request is not None:
            self._request.unregisterProducer()
            self._request = None

    def pauseProducing(self) -> None:
        self._free.clear()

    def resumeProducing(self) -> None:
        self._free.set()

    def stopProducing(self) -> None:
        self._free.set()
