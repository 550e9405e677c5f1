"""What happens to a process as a whole: forks, and its end."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from typing import Protocol

from . import _leaving, _native, _news
from ._errors import ForkedError

EXIT_TIMEOUT_S = 2.0


class Renewable(Protocol):
    """Something that belongs to one process."""

    def renew(self) -> None:
        """Begins anew, in a forked child."""

    def close(self, timeout: float) -> object:
        """Ends it while the interpreter still works."""


class Owner:
    """The process that made something which works there only."""

    __slots__ = ("_process", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._process = os.getpid()

    def check(self) -> None:
        """Raises `ForkedError` in a child of that process."""
        if self._process != os.getpid():
            raise ForkedError(
                f"the {self._what} belongs to the process that forked this one; make a new one after a fork"
            )


_all: weakref.WeakSet[Renewable] = weakref.WeakSet()
_process = os.getpid()


def register(one: Renewable) -> None:
    """Has it renewed in forked children, and closed when the interpreter ends."""
    _all.add(one)


def check_fork() -> None:
    """Renews everything in a child of a fork in C that did not call Python's hooks, as uWSGI's does not."""
    if _process != os.getpid():
        _after_fork_in_child()


def _after_fork_in_child() -> None:
    global _process
    _process = os.getpid()
    _news.reset()
    _leaving.reset()
    _native.reset_after_fork()
    for one in list(_all):
        one.renew()


def _end() -> None:
    """Ends all streams, so that none of our threads comes back to the interpreter later."""
    if _process != os.getpid():
        return  # a child that has used nothing, and whose parent's threads are not there
    for one in list(_all):
        one.close(EXIT_TIMEOUT_S)
    _news.stop(EXIT_TIMEOUT_S)
    deadline = time.monotonic() + EXIT_TIMEOUT_S
    while _native.end_waiting() and time.monotonic() < deadline:
        time.sleep(0.001)


os.register_at_fork(after_in_child=_after_fork_in_child)
# After the interpreter has joined its threads, which may publish to the last; those that read must be daemons.
atexit.register(_end)
