"""Reading channels inside the process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from . import _native
from ._errors import DeadlineError, InvalidError
from ._green import GREEN_WAIT_S, is_green
from ._messages import Received, Reset, from_fields
from ._process import Owner
from ._waiting import Waiting

if TYPE_CHECKING:
    from typing_extensions import Self

SLICE_S = 0.2


class Subscription:
    """A reader of channels inside the process: `for message in subscription`, or `async for`. Gives `Received`, and
    `Reset` where events were missed because the reader was too slow. Also a context manager that closes it."""

    def __init__(self, native: _native.Subscription) -> None:
        self._owner = Owner("subscription")
        self._native = native
        self._waiting: Waiting | None = None

    def next(self, timeout: float | None = None) -> Received | Reset | None:
        """The next message; `None` when the subscription or the events are closed. Raises `DeadlineError` when there
        was none within `timeout` seconds."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        green = is_green()
        while True:
            self._owner.check()
            # In slices, so that Ctrl-C comes through.
            left = deadline - time.monotonic()
            ready, fields = self._native.next(0.0 if green else max(0.0, min(left, SLICE_S)))
            if ready:
                return None if fields is None else from_fields(fields)
            if left <= (0 if green else SLICE_S):
                raise DeadlineError("the channels had no event in the time given")
            if green:
                time.sleep(GREEN_WAIT_S)

    def close(self) -> None:
        """Ends it; whoever iterates over it comes to the end."""
        self._native.close()
        if self._waiting is not None:
            self._waiting.wake()

    def __iter__(self) -> Iterator[Received | Reset]:
        return self

    def __next__(self) -> Received | Reset:
        message = self.next()
        if message is None:
            raise StopIteration
        return message

    def __aiter__(self) -> AsyncIterator[Received | Reset]:
        return self

    async def __anext__(self) -> Received | Reset:
        self._owner.check()
        if self._waiting is not None:
            raise InvalidError("the subscription is being read by another task")
        self._waiting = Waiting()
        try:
            fields = await self._waiting.next(self._native)
        finally:
            self._waiting = None
        if fields is None:
            raise StopAsyncIteration
        return from_fields(fields)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
