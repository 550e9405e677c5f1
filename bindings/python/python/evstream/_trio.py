"""Waiting for the core on trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import trio

from ._hub import Hub, Limit
from ._stopping import IsStopping, watch_trio_host


class TrioHub(Hub):
    """That of a run of trio, with two tasks of the system: one that is woken, and now and then one that looks whether
    the server stops."""

    def __init__(self) -> None:
        super().__init__()
        trio.lowlevel.spawn_system_task(self._run)

    async def wait(self, key: int) -> None:
        event = trio.Event()
        self.waiting[key] = event.set
        try:
            await event.wait()
        finally:
            self.waiting.pop(key, None)

    async def beside(self, watch: Coroutine[Any, Any, None], work: Coroutine[Any, Any, None]) -> None:
        errors: list[Exception] = []

        async def keep(coroutine: Coroutine[Any, Any, None]) -> None:
            try:
                await coroutine
            except Exception as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep, watch)
            await keep(work)
            nursery.cancel_scope.cancel()
        if errors:
            raise errors[0]

    def limit(self, seconds: float) -> Limit:
        return TrioLimit(seconds)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        async def wait() -> None:
            await trio.sleep(seconds)
            callback()

        trio.lowlevel.spawn_system_task(wait)

    def watch_host(self) -> IsStopping:
        root = trio.lowlevel.current_root_task()
        return watch_trio_host(task.coro for task in _tasks(root))

    async def _run(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self.wakeups.fileno())
            self.wake()


class TrioLimit(Limit):
    """A cancel scope for each call."""

    __slots__ = ("_seconds",)

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def call(self, send: Callable[[Any], Awaitable[None]], message: Any) -> None:
        with trio.move_on_after(self._seconds) as scope:
            await send(message)
        if scope.cancelled_caught:
            raise TimeoutError

    def end(self) -> None:
        pass  # each call has a scope of its own


_hub: trio.lowlevel.RunVar[TrioHub] = trio.lowlevel.RunVar("evstream-hub")


def current_trio_hub() -> TrioHub | None:
    """That of the running trio, if it runs."""
    if not trio.lowlevel.in_trio_run():
        return None
    try:
        return _hub.get()
    except LookupError:
        hub = TrioHub()
        _hub.set(hub)
        return hub


def _tasks(task: trio.lowlevel.Task | None) -> Iterator[trio.lowlevel.Task]:
    """A task and those below it."""
    if task is not None:
        yield task
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                yield from _tasks(child)
