"""Waiting for the core on an event loop: one wake-up of the loop for all that has happened meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from ._aio import current_asyncio_hub
from ._errors import EvstreamError
from ._hub import Hub, Pollable
from ._native import Pull

T = TypeVar("T")


class Waiting:
    """Someone who waits for the core, for one thing after the other, on the running event loop."""

    __slots__ = ("_key", "_waiter", "hub")

    def __init__(self) -> None:
        self.hub = current_hub()
        self._key = next(self.hub.keys)
        self._waiter = self.hub.wakeups.waiter(self._key)

    async def poll(self, pollable: Pollable[T]) -> tuple[bool, T]:
        """What it has next; not ready only when `wake` was called."""
        ready, item = pollable.poll(self._waiter)
        if not ready:
            await self.hub.wait(self._key)
        return ready, item

    async def next(self, pollable: Pollable[T]) -> T:
        """What it has next."""
        while True:
            ready, item = await self.poll(pollable)
            if ready:
                return item

    def wake(self) -> None:
        """Has a `poll` that waits come back; from any thread."""
        self._waiter.wake()

    def when_stopping(self, callback: Callable[[], None]) -> None:
        """Calls `callback` when the server that runs this loop is about to stop, unless `forget` is called first."""
        self.hub.on_stop[self._key] = callback
        self.hub.begin_checks()

    def forget(self) -> None:
        """Undoes `when_stopping`."""
        self.hub.on_stop.pop(self._key, None)


class AsyncPull:
    """A stream's bytes on an event loop; ends early, with last words, when the server is about to stop."""

    __slots__ = ("_pull", "_stopping", "waiting")

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._stopping = False
        self.waiting = Waiting()
        self.waiting.when_stopping(self.stop)

    async def next(self) -> bytes | None:
        """The next bytes; `None` when the stream has ended."""
        while not self._stopping:
            ready, chunk = await self.waiting.poll(self._pull)
            if ready:
                return chunk
        return self._pull.finish()

    def stop(self) -> None:
        """Has it end with last words."""
        self._stopping = True
        self.waiting.wake()

    def close(self, reason: str = "dropped") -> None:
        """Ends the stream; whoever waits for its next bytes gets `None`."""
        self.waiting.forget()
        self._pull.close(reason)
        self.waiting.wake()


def current_hub() -> Hub:
    """That of the running event loop."""
    hub: Hub | None = current_asyncio_hub()
    if hub is None and "trio" in sys.modules:
        from ._trio import current_trio_hub

        hub = current_trio_hub()
    if hub is None:
        raise EvstreamError("evstream waits on event loops of asyncio and trio, and none of them runs here")
    return hub
