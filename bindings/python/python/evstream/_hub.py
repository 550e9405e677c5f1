"""What an event loop has to do with the core, whichever library runs it."""

from __future__ import annotations

import itertools
import weakref
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from ._native import Waiter, Wakeups
from ._source import Source
from ._stopping import CHECK_EVERY_S, IsStopping, host_is_stopping

FAREWELL_S = 1.0

T_co = TypeVar("T_co", covariant=True)


class Pollable(Protocol[T_co]):
    """Something of the core that can be waited for."""

    def poll(self, waiter: Waiter) -> tuple[bool, T_co]: ...


class Limit(ABC):
    """Ends the current task when something takes it too long."""

    @abstractmethod
    async def call(self, send: Callable[[Any], Awaitable[None]], message: Any) -> None:
        """Sends a message. Raises `TimeoutError` when it takes too long."""

    @abstractmethod
    def end(self) -> None:
        """To be called when it is of no more use."""


class Hub(ABC):
    """What one event loop has to do with the core. It holds no reference to the loop, which owns it."""

    def __init__(self) -> None:
        self.wakeups = Wakeups()
        self.keys = itertools.count()
        self.waiting: dict[int, Callable[[], None]] = {}
        self.on_stop: dict[int, Callable[[], None]] = {}
        self._adopting: weakref.WeakSet[Source] = weakref.WeakSet()
        self._is_stopping: IsStopping = host_is_stopping
        self._checking = False

    @abstractmethod
    async def wait(self, key: int) -> None:
        """Waits until the waiter of this key is woken."""

    @abstractmethod
    async def beside(self, watch: Coroutine[Any, Any, None], work: Coroutine[Any, Any, None]) -> None:
        """Does `work`, and `watch` until that is done."""

    @abstractmethod
    def limit(self, seconds: float) -> Limit:
        """A limit for what the current task does."""

    @abstractmethod
    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Calls `callback` after a time."""

    @abstractmethod
    def watch_host(self) -> IsStopping:
        """What tells whether the server is about to stop."""

    def end_adopted_with_host(self, source: Source) -> None:
        """Has the adopted streams of `source` end with last words when the server is about to stop: it does not know
        them, and may end the process without a word."""
        self._adopting.add(source)
        self.begin_checks()

    def is_stopping(self) -> bool:
        """Whether the server is about to stop."""
        if not self._checking and self._is_stopping is host_is_stopping:
            self._is_stopping = self.watch_host()
        return self._is_stopping()

    def wake(self) -> None:
        """Wakes whoever has something to do."""
        for key in self.wakeups.take():
            if wake := self.waiting.get(key):
                wake()

    def begin_checks(self) -> None:
        """Looks from time to time whether the server is about to stop, while there are streams."""
        if not self._checking:
            self.is_stopping()  # looks for the server
            self._checking = True
            self.later(CHECK_EVERY_S, self._check)

    def _check(self) -> None:
        adopting = [source for source in self._adopting if source.native.has_streams]
        if self._is_stopping():
            callbacks = list(self.on_stop.values())
            self.on_stop.clear()
            for callback in callbacks:
                callback()
            for source in adopting:
                source.end_streams(FAREWELL_S)
        if self.on_stop or adopting:
            self.later(CHECK_EVERY_S, self._check)
        else:
            self._adopting.clear()
            self._checking = False
