"""Waiting for the core on asyncio."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ._hub import Hub, Limit
from ._stopping import IsStopping, watch_host


class AsyncioHub(Hub):
    """That of a loop of asyncio."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        loop.add_reader(self.wakeups.fileno(), self.wake)

    async def wait(self, key: int) -> None:
        future = asyncio.get_running_loop().create_future()
        self.waiting[key] = lambda: None if future.done() else future.set_result(None)
        try:
            await future
        finally:
            self.waiting.pop(key, None)

    async def beside(self, watch: Coroutine[Any, Any, None], work: Coroutine[Any, Any, None]) -> None:
        watching = asyncio.ensure_future(watch)
        try:
            await work
        finally:
            if not watching.cancel() and not watching.cancelled():
                watching.result()  # which raises what it has failed with

    def limit(self, seconds: float) -> AsyncioLimit:
        return AsyncioLimit(seconds)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, callback)

    def watch_host(self) -> IsStopping:
        return watch_host(asyncio.get_running_loop())


class AsyncioLimit(Limit):
    """Has one timer for many short calls, which costs them next to nothing."""

    __slots__ = ("_loop", "_seconds", "_since", "_task", "_timer", "expired")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.expired = False

    async def call(self, send: Callable[[Any], Awaitable[None]], message: Any) -> None:
        self.start()
        try:
            await send(message)
        except asyncio.CancelledError:
            if not self.expired:
                raise
            if sys.version_info >= (3, 11) and self._task is not None:
                self._task.uncancel()
            raise TimeoutError from None
        finally:
            self.stop()

    def start(self) -> None:
        """From now on time passes."""
        self._since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._check)

    def stop(self) -> None:
        """It was done in time."""
        self._since = None

    def end(self) -> None:
        self._since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        self._timer = None
        if self._since is None:
            return
        left = self._since + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check)
        elif self._task is not None:
            self.expired = True
            self._task.cancel()


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncioHub] = weakref.WeakKeyDictionary()


def current_asyncio_hub() -> AsyncioHub | None:
    """That of the running event loop, if one runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    found = _hubs.get(loop)
    if found is None:
        found = _hubs[loop] = AsyncioHub(loop)
    return found
