"""Taking a client's socket from uvicorn, when the head and first bytes of a stream have been sent through it.

uvicorn's object for a request writes to its `transport`. While we send the head and first bytes, a stand-in catches
them; if they are what we expect, the socket is ours, uvicorn is told that the client has gone, and the engine writes
what was caught. If not, what was caught goes out as if nothing had happened.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any

from .._native import Reply
from .framing import is_chunked

PATIENCE_S = 0.05


def find_cycle(function: Any, scope: Mapping[str, Any]) -> Any | None:
    """uvicorn's object for a request, from its `receive` or `send`; `None` when its socket cannot be taken: another
    server, a wrapped function, TLS."""
    cycle = _cycle_of(function)
    if scope.get("http_version") not in ("1.1", "1.0") or getattr(cycle, "response_complete", True):
        return None
    transport = getattr(cycle, "transport", None)
    if transport is None or transport.get_extra_info("sslcontext") is not None:
        return None
    return cycle if transport.get_extra_info("socket") is not None else None


def abort(function: Any) -> None:
    """Closes the connection to a client that takes nothing, for which uvicorn would wait."""
    transport = getattr(_cycle_of(function), "transport", None)
    if transport is not None:
        transport.abort()


class Handover:
    """Catches what uvicorn writes, from its making until `finish` or `undo`."""

    def __init__(self, cycle: Any, reply: Reply, fd: int) -> None:
        self._cycle = cycle
        self._reply = reply
        self._fd = fd
        self._transport: asyncio.Transport = cycle.transport
        self._caught: list[bytes] = []
        cycle.transport = _Catcher(self._transport, self._caught)

    @classmethod
    def begin(cls, cycle: Any, reply: Reply) -> Handover | None:
        """Begins to catch; `None` when there is no descriptor left for it."""
        try:
            return cls(cycle, reply, os.dup(cycle.transport.get_extra_info("socket").fileno()))
        except OSError:
            return None

    async def finish(self) -> bool:
        """Takes the socket; false when it cannot be taken, and then the stream is to be pulled."""
        cycle, transport = self._cycle, self._transport
        chunked = is_chunked(b"".join(self._caught), self._reply.body)
        # uvloop writes at the end of each turn.
        is_drained = await _soon(lambda: transport.is_closing() or transport.get_write_buffer_size() == 0)
        if chunked is None or not is_drained or transport.is_closing() or cycle.disconnected:
            self.undo()
            return False
        cycle.transport = transport
        transport.abort()
        # uvicorn hears of it on the next turns, and then expects nothing more of this request.
        await _soon(lambda: bool(cycle.disconnected))
        fd, self._fd = self._fd, -1
        self._reply.adopt(fd, chunked, b"".join(self._caught))
        return True

    def undo(self) -> None:
        """Lets everything go on as if nothing had happened."""
        self._cycle.transport = self._transport
        self._transport.write(b"".join(self._caught))
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


class _Catcher:
    def __init__(self, transport: asyncio.Transport, caught: list[bytes]) -> None:
        self._transport = transport
        self.write = caught.append

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _cycle_of(function: Any) -> Any | None:
    cycle = getattr(function, "__self__", None)
    is_cycle = type(cycle).__name__ == "RequestResponseCycle"
    return cycle if is_cycle and type(cycle).__module__.startswith("uvicorn.protocols.http.") else None


async def _soon(condition: Callable[[], bool]) -> bool:
    """Whether it is true within a few turns of the loop."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_S
    while not condition():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(0)  # there is no event to wait for
    return True
