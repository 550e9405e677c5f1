"""Noticing that the server we are mounted in is about to stop, so that open streams do not hold it up.

No server tells its applications before it waits for their requests. So each has its place here, and one that is not
known, or has changed, ends its requests as it does with those of others.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from types import FrameType
from typing import Any

CHECK_EVERY_S = 0.1
STACK_FRAMES = 64

IsStopping = Callable[[], bool]


def host_is_stopping() -> bool:
    """Whether gunicorn or uvicorn waits for its requests to end. Both catch signals with methods of the object that
    knows."""
    for number in (signal.SIGTERM, signal.SIGINT):
        owner = getattr(signal.getsignal(number), "__self__", None)
        if is_of(owner, "gunicorn.workers"):
            return getattr(owner, "alive", True) is False
        if is_of(owner, "uvicorn.server"):
            return getattr(owner, "should_exit", False) is True
    return False


@contextlib.contextmanager
def watch_wsgi_host() -> Iterator[IsStopping]:
    """What tells, meanwhile, whether the WSGI server that this thread belongs to is about to stop."""
    if "uwsgi" not in sys.modules:
        yield host_is_stopping
        return
    from ._uwsgi import heed

    with contextlib.closing(heed()) as heeding:
        yield lambda: heeding.is_over


def is_of(thing: Any, module: str) -> bool:
    """Whether the class of `thing`, or one that it is made of, is from this module or package."""
    names = (kind.__module__ for kind in type(thing).__mro__)
    return any(name == module or name.startswith(f"{module}.") for name in names)


def watch_host(loop: asyncio.AbstractEventLoop) -> IsStopping:
    """What tells whether the server that runs this event loop, which is the running one, is about to stop."""
    return (
        _uvicorn(loop)
        or _hypercorn(task.get_coro() for task in asyncio.all_tasks(loop))
        or _granian(loop)
        or _twisted()
        or host_is_stopping
    )


def watch_trio_host(coroutines: Iterable[Any]) -> IsStopping:
    """The same for trio, of which these are the tasks."""
    return _hypercorn(coroutines) or host_is_stopping


def find_uvicorn(loop: asyncio.AbstractEventLoop) -> Any | None:
    """uvicorn's object for the server that runs this event loop, on whatever thread."""
    for task in asyncio.all_tasks(loop):
        for frame in _frames(task.get_coro()):
            if frame.f_globals.get("__name__") == "uvicorn.server" and is_of(
                server := frame.f_locals.get("self"), "uvicorn.server"
            ):
                return server
    return None


def _uvicorn(loop: asyncio.AbstractEventLoop) -> IsStopping | None:
    server = find_uvicorn(loop)
    return None if server is None else lambda: getattr(server, "should_exit", False) is True


def _hypercorn(coroutines: Iterable[Any]) -> IsStopping | None:
    for coroutine in coroutines:
        for frame in _frames(coroutine):
            if frame.f_globals.get("__name__") in ("hypercorn.asyncio.run", "hypercorn.trio.run"):
                terminated = getattr(frame.f_locals.get("context"), "terminated", None)
                if terminated is not None:
                    return lambda: bool(terminated.is_set())
    return None


def _frames(coroutine: Any) -> Iterator[FrameType]:
    """Those of a coroutine and of what it awaits."""
    while isinstance(coroutine, Coroutine) and (frame := getattr(coroutine, "cr_frame", None)) is not None:
        yield frame
        coroutine = getattr(coroutine, "cr_await", None)


def _granian(loop: asyncio.AbstractEventLoop) -> IsStopping | None:
    """granian waits for its requests without end. Its handler of signals only sets an event, which is found beneath us
    on the stack; ours does the same, and remembers it."""
    frame: FrameType | None = sys._getframe() if "granian" in sys.modules else None
    for _ in range(STACK_FRAMES):
        if frame is None:
            return None
        if frame.f_globals.get("__name__") == "granian.server.mp" and "shutdown_event" in frame.f_locals:
            break
        frame = frame.f_back
    else:
        return None
    event, stopping = frame.f_locals["shutdown_event"], asyncio.Event()

    def stop() -> None:
        stopping.set()
        event.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopping.is_set


def _twisted() -> IsStopping | None:
    """Under daphne the reactor tells, and waits for a moment in which streams say their last words."""
    reactor = sys.modules.get("twisted.internet.reactor")
    if reactor is None or not getattr(reactor, "running", False):
        return None
    from twisted.internet.task import deferLater

    clock: Any = reactor
    stopping = []

    def stop() -> Any:
        stopping.append(True)
        return deferLater(clock, 3 * CHECK_EVERY_S)

    clock.addSystemEventTrigger("before", "shutdown", stop)
    return lambda: bool(stopping)
