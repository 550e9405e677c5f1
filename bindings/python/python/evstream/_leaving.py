"""Processes that end by `os._exit`, which runs neither `atexit` nor the end of the C library, and so nothing that waits
for what was published last: the children of `multiprocessing` (`fork`, `forkserver`) and of `billiard`, as Celery's
workers. These have ends of their own, where we wait. After a plain `os.fork()` and `os._exit()` nobody can.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import Any, Protocol

from . import _news
from ._errors import DeadlineError, EvstreamError
from ._native import Ended, Events, Receipt

PACKAGES = ("multiprocessing", "billiard")
LAST = -(10**6)
"""The priority of what is to run after all else, which may publish."""
MANY = 1_000
LOG_TIMEOUT_S = 1.0


class Sender(Protocol):
    """An application's events."""

    native: Events
    number: int
    """Which no others have."""


_logger = logging.getLogger("evstream")
_has_begun = False
_leaves_hastily = False
_sent: dict[tuple[int, int], tuple[Receipt | Ended, float]] = {}
"""What each thread has sent last by each of its events, and for how long that is tried. What it sent before is settled
when this is: both go through one queue in order."""


def sent(what: Receipt | Ended, sender: Sender) -> None:
    """Something is on its way to a journal or to GRIP proxies."""
    if not _has_begun:
        _begin()
    if _leaves_hastily:
        if len(_sent) >= MANY:
            _forget_settled()
        _sent[threading.get_ident(), sender.number] = (what, sender.native.delivery_timeout)


def reset() -> None:
    """Starts over in a forked child."""
    global _has_begun, _leaves_hastily
    _has_begun = _leaves_hastily = False
    _sent.clear()


def _begin() -> None:
    """Once in a process that sends something; twice does no harm."""
    global _has_begun, _leaves_hastily
    _news.start()  # what fails is told in the log
    for package in PACKAGES:
        process, util = sys.modules.get(f"{package}.process"), sys.modules.get(f"{package}.util")
        if process is None or util is None:
            continue
        if getattr(process.current_process(), "_parent_pid", None) is None:
            # Not a child of that package, or one whose main module is being imported, which comes before it is one.
            util.register_after_fork(_begin_again, _call)
            continue
        util.Finalize(None, _leave, exitpriority=LAST)
        if (celery := sys.modules.get("celery.signals")) is not None:
            # Its workers are billiard's, but end without their finalizers.
            celery.worker_process_shutdown.connect(_leave, weak=False, dispatch_uid=__name__)
        _leaves_hastily = True
    _has_begun = True


def _begin_again() -> None:
    global _has_begun
    _has_begun = False


def _call(function: Any) -> None:
    function()


def _leave(*_: object, **__: object) -> None:
    """Waits until all is delivered, or has failed and been told."""
    waiting = list(_sent.values())
    _sent.clear()
    begun = time.monotonic()
    late = False
    for what, timeout_s in waiting:
        try:
            what.wait(max(begun + timeout_s - time.monotonic(), 0.0))
        except DeadlineError:
            late = True
        except EvstreamError:
            pass  # the core has logged it
    if late:
        _logger.error("the process ends before the journal, or a GRIP proxy, has taken what was published last")
    if waiting:
        _news.stop(LOG_TIMEOUT_S)


def _forget_settled() -> None:
    for key, (what, _) in list(_sent.items()):
        try:
            what.wait(0.0)
        except DeadlineError:
            continue
        except EvstreamError:
            pass
        _sent.pop(key, None)
