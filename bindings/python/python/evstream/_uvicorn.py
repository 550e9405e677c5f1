"""Taking a client's socket from uvicorn, when the head and first bytes of a stream have been sent through it.

uvicorn's object for a request writes to its `transport`. While we send the head and first bytes, a stand-in catches
them; if they are what we expect, the socket is ours, uvicorn is told that the client has gone, and the engine writes
what was caught. If not, what was caught goes out as if nothing had happened.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from ._framing import is_chunked
from ._native import Reply

DRAIN_TIMEOUT_S = 0.05


def find_cycle(function: Any, scope: Mapping[str, Any]) -> Any | None:
    """uvicorn's object for a request, from its `receive` or `send`; `None` when its socket cannot be taken: another
    server, a wrapped function, TLS."""
    cycle = getattr(function, "__self__", None)
    module = type(cycle).__module__
    if type(cycle).__name__ != "RequestResponseCycle" or not module.startswith("uvicorn.protocols.http."):
        return None
    if scope.get("http_version") not in ("1.1", "1.0") or getattr(cycle, "response_complete", True):
        return None
    transport = getattr(cycle, "transport", None)
    if transport is None or transport.get_extra_info("sslcontext") is not None:
        return None
    return cycle if transport.get_extra_info("socket") is not None else None


class Handover:
    """Catches what uvicorn writes, from its making until `finish` or `undo`."""

    def __init__(self, cycle: Any, reply: Reply) -> None:
        self._cycle = cycle
        self._reply = reply
        self._transport: asyncio.Transport = cycle.transport
        self._caught: list[bytes] = []
        cycle.transport = _Catcher(self._transport, self._caught)

    async def finish(self) -> bool:
        """Takes the socket; false when it cannot be taken, and then the stream is to be pulled."""
        cycle, transport = self._cycle, self._transport
        cycle.transport = transport
        written = b"".join(self._caught)
        chunked = is_chunked(written, self._reply.body)
        if chunked is None or not await _is_drained(transport) or cycle.disconnected:
            transport.write(written)
            return False
        fd = os.dup(transport.get_extra_info("socket").fileno())
        try:
            transport.abort()
            # uvicorn hears of it on the next turns, and then expects nothing more of this request.
            while not cycle.disconnected:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0)
        except BaseException:
            os.close(fd)
            raise
        self._reply.adopt(fd, chunked, written)
        return True

    def undo(self) -> None:
        """Lets everything go on as if nothing had happened."""
        self._cycle.transport = self._transport
        self._transport.write(b"".join(self._caught))


class _Catcher:
    def __init__(self, transport: asyncio.Transport, caught: list[bytes]) -> None:
        self._transport = transport
        self.write = caught.append

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


async def _is_drained(transport: asyncio.Transport) -> bool:
    """Whether all that was written before has reached the socket, after a moment's patience: uvloop writes at the end
    of each turn."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DRAIN_TIMEOUT_S
    while transport.get_write_buffer_size() > 0:
        if transport.is_closing() or loop.time() > deadline:
            return False
        await asyncio.sleep(0)
    return not transport.is_closing()
