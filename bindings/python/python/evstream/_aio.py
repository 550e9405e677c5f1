"""Waiting for the core on an event loop: one wake-up of the loop for all that has happened meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from ._native import Pull, Waiter, Wakeups
from ._stopping import CHECK_EVERY_S, host_is_stopping

if TYPE_CHECKING:
    from ._events import Events

T = TypeVar("T", covariant=True)


class Source(Protocol[T]):
    """Something of the core that can be waited for."""

    def poll(self, waiter: Waiter) -> tuple[bool, T]: ...


class Waiting:
    """Someone who waits for the core, one source after the other, on the running event loop."""

    __slots__ = ("_hub", "_key", "_waiter")

    def __init__(self) -> None:
        self._hub = _hub()
        self._key = next(self._hub.keys)
        self._waiter = self._hub.wakeups.waiter(self._key)

    async def poll(self, source: Source[T]) -> tuple[bool, T]:
        """What `source` has next; not ready only when `wake` was called."""
        ready, item = source.poll(self._waiter)
        if not ready:
            future = self._hub.waiting[self._key] = asyncio.get_running_loop().create_future()
            try:
                await future
            finally:
                self._hub.waiting.pop(self._key, None)
        return ready, item

    async def next(self, source: Source[T]) -> T:
        """What `source` has next."""
        while True:
            ready, item = await self.poll(source)
            if ready:
                return item

    def wake(self) -> None:
        """Has a `poll` that waits come back; from any thread."""
        self._waiter.wake()

    def when_stopping(self, callback: Callable[[], None]) -> None:
        """Calls `callback` when the server that runs this loop is about to stop, unless `forget` is called first."""
        self._hub.when_stopping(self._key, callback)

    def forget(self) -> None:
        """Undoes `when_stopping`."""
        self._hub.on_stop.pop(self._key, None)


class AsyncPull:
    """A stream's bytes on an event loop; ends early, with last words, when the server is about to stop."""

    __slots__ = ("_pull", "_stopping", "_waiting")

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._waiting = Waiting()
        self._stopping = False
        self._waiting.when_stopping(self._stop)

    async def next(self) -> bytes | None:
        """The next bytes; `None` when the stream has ended."""
        while not self._stopping:
            ready, chunk = await self._waiting.poll(self._pull)
            if ready:
                return chunk
        return self._pull.finish()

    def close(self, *, by_client: bool = False) -> None:
        """Ends the stream; whoever waits for its next bytes gets `None`."""
        self._waiting.forget()
        self._pull.close(by_client)
        self._waiting.wake()

    def _stop(self) -> None:
        self._stopping = True
        self._waiting.wake()


def end_adopted_with_host(events: Events) -> None:
    """Has the adopted streams of `events` end with last words when the server that runs this loop is about to stop: it
    does not know them, and may end the process without a word."""
    _hub().watch(events)


class _Hub:
    """What one event loop has to do with the core. It holds no reference to the loop, which owns it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.wakeups = Wakeups()
        self.keys = itertools.count()
        self.waiting: dict[int, asyncio.Future[None]] = {}
        self.on_stop: dict[int, Callable[[], None]] = {}
        self._adopting: weakref.WeakSet[Events] = weakref.WeakSet()
        self._checking = False
        loop.add_reader(self.wakeups.fileno(), self._wake)

    def when_stopping(self, key: int, callback: Callable[[], None]) -> None:
        self.on_stop[key] = callback
        self._check_later()

    def watch(self, events: Events) -> None:
        self._adopting.add(events)
        self._check_later()

    def _wake(self) -> None:
        for key in self.wakeups.take():
            future = self.waiting.get(key)
            if future is not None and not future.done():
                future.set_result(None)

    def _check_later(self) -> None:
        if not self._checking:
            self._checking = True
            asyncio.get_running_loop().call_later(CHECK_EVERY_S, self._check)

    def _check(self) -> None:
        self._checking = False
        adopting = [events for events in self._adopting if events._native.has_streams]
        if host_is_stopping():
            callbacks = list(self.on_stop.values())
            self.on_stop.clear()
            for callback in callbacks:
                callback()
            for events in adopting:
                events._native.end_streams(FAREWELL_S)
            self._adopting.clear()
        elif self.on_stop or adopting:
            self._check_later()
        else:
            self._adopting.clear()


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Hub] = weakref.WeakKeyDictionary()


def _hub() -> _Hub:
    """That of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _hubs.get(loop)
    if found is None:
        found = _hubs[loop] = _Hub(loop)
    return found


FAREWELL_S = 1.0
